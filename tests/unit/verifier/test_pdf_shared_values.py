"""Several fields with one signature: it is one signature, and a place added later shows nothing."""

from __future__ import annotations

import pytest

from services.verifier.domain import ChangeKind, Code, Verdict
from tests.support.pdf_signatures import Signatures
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import update

SECOND = b"<</FT/Sig/T(Second)/V %s/Type/Annot/Subtype/Widget/Rect[0 0 %d 9]>>"
FORM = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%s]/SigFlags 3>>>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[30 0 R]>>"


def signatures(hierarchy: Hierarchy) -> Signatures:
    """A file to sign."""
    return Signatures(lambda content: hierarchy.signer.cms(content, detached=True))


@pytest.mark.parametrize("width", [0, 9])
def test_fields_that_are_signed_together_are_one_signature(
    verify: Verify, hierarchy: Hierarchy, width: int
) -> None:
    file = signatures(hierarchy)
    file.write({30: SECOND % (b"4 0 R", width)}, fields=(30,))
    report = verify(file.add())
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert len(report.signatures) == 1


@pytest.mark.parametrize("order", [b"5 0 R 30 0 R", b"30 0 R 5 0 R"])
def test_a_field_that_shows_nothing_may_be_added_for_a_signature(
    verify: Verify, hierarchy: Hierarchy, order: bytes
) -> None:
    report = verify(update(signatures(hierarchy).add(), {30: SECOND % (b"4 0 R", 0), 1: FORM % order}))
    assert report.verdict is Verdict.VALID
    assert report.clean
    (signature,) = report.signatures
    assert signature.name == "Signature1"
    assert [change.kind for change in signature.coverage.later] == [ChangeKind.SIGNATURE]


FORGED: dict[str, dict[int, bytes]] = {
    "a field that shows": {30: SECOND % (b"4 0 R", 9), 3: PAGE},
    "a field that shows, and is not placed": {30: SECOND % (b"4 0 R", 9)},
    "something else that was there": {30: SECOND % (b"2 0 R", 0)},
    "another value in its place": {30: SECOND % (b"4 0 R", 0), 4: b"<</Type/Sig/SubFilter/ETSI.RFC3161/Contents<00>>>"},
    "another generation": {30: SECOND % (b"4 1 R", 0)},
    "a field of the same name": {30: (SECOND % (b"4 0 R", 0)).replace(b"(Second)", b"(Signature1)")},
    "actions": {30: (SECOND % (b"4 0 R", 0)).replace(b"/FT", b"/AA<</PV<</S/JavaScript/JS(x)>>>>/FT")},
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_what_looks_like_a_signature_that_was_there_is_told(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    signed = signatures(hierarchy).add()
    report = verify(update(signed, {1: FORM % b"5 0 R 30 0 R"} | FORGED[what]))
    assert not report.clean
    if report.signatures:
        told = {notice.code for one in report.signatures for notice in one.notices}
        assert told & {Code.DOC_MODIFIED, Code.DOC_MALFORMED}


def test_a_document_that_allows_no_changes_gets_no_further_place(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    closed = b"/Reference[<</TransformMethod/DocMDP/TransformParams<</P 1>>>>]/SubFilter/adbe.pkcs7.detached"
    signed = signatures(hierarchy).add(closed)
    assert verify(signed).clean
    later = {30: SECOND % (b"4 0 R", 0), 1: FORM % b"5 0 R 30 0 R"}
    assert not verify(update(signed, later)).clean


def test_each_of_two_signatures_counts_with_its_fields(verify: Verify, hierarchy: Hierarchy) -> None:
    """Of the first one's second place nothing follows for the second signature, which is broken."""
    file = signatures(hierarchy)
    file.write({30: SECOND % (b"4 0 R", 0)}, fields=(30,))
    file.add()
    file._sign = lambda content: hierarchy.signer.cms(content + b"x", detached=True)
    report = verify(file.add())
    assert len(report.signatures) == 2
    assert report.verdict is Verdict.INVALID
