"""What the catalog of a signed PDF may get by a later signature, and what it may not."""

from __future__ import annotations

import pytest

from services.verifier.domain import Code, Verdict
from tests.support.pdf_signatures import Signatures
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import update

APPROVAL = b"/SubFilter/adbe.pkcs7.detached"
CERTIFYING = APPROVAL + b"/Reference[<</TransformMethod/DocMDP/TransformParams<</P 2>>>>]"
FIRST = b"/Perms<</DocMDP 4 0 R>>"
SECOND = b"/Perms<</DocMDP 6 0 R>>"
PIECES = b"/PieceInfo<</Maker<</LastModified(D:2026)/Private<</A 1>>>>>>"


def signed_twice(
    hierarchy: Hierarchy, entries: bytes, before: bytes = b"", more: dict[int, bytes] | None = None
) -> bytes:
    """A file with two signatures, 4 and 6; the catalog has `before`, then `entries` by the second one's revision."""
    file = Extended(hierarchy)
    file.entries = before
    file.add()
    file.entries, file.more = entries, more or {}
    return file.add(CERTIFYING)


class Extended(Signatures):
    """A signed file whose catalog has further entries; `more` are objects that go with them."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        """Start with a file that is not signed."""
        self.entries, self.more = b"", dict[int, bytes]()
        super().__init__(lambda content: hierarchy.signer.cms(content, detached=True))

    def write(
        self, objects: dict[int, bytes], fields: tuple[int, ...] = (), promised: dict[int, int] | None = None
    ) -> None:
        """Write a revision."""
        catalog = {1: objects[1].replace(b"/Pages", self.entries + b"/Pages")} if 1 in objects else {}
        super().write({**objects, **catalog, **self.more}, fields, promised)


GIVEN = {
    "permissions of the new signature": (SECOND, b""),
    "private data": (PIECES, b""),
    "both": (SECOND + PIECES, b""),
    "both, which were there": (FIRST + PIECES, FIRST + PIECES),
}
REFUSED = {
    "permissions of the first signature": (FIRST, b""),
    "permissions of something else": (b"/Perms<</DocMDP 3 0 R>>", b""),
    "permissions in place": (b"/Perms<</DocMDP<</Type/Sig>>>>", b""),
    "usage rights": (b"/Perms<</UR3 6 0 R>>", b""),
    "usage rights beside": (b"/Perms<</DocMDP 6 0 R/UR3 4 0 R>>", b""),
    "no permissions": (b"/Perms<<>>", b""),
    "other permissions": (SECOND, FIRST),
    "permissions no more": (b"", FIRST),
    "other private data": (PIECES.replace(b"/A 1", b"/A 2"), PIECES),
    "private data no more": (b"", PIECES),
    "private data of another look": (b"/PieceInfo<</Maker<</Contents 3 0 R>>>>", b""),
    "colours": (b"/OutputIntents[<</S/GTS_PDFA1>>]", b""),
    "names": (b"/Names<</Dests 3 0 R>>", b""),
    "an action": (b"/OpenAction<</S/JavaScript/JS(x)>>", b""),
}


@pytest.mark.parametrize("what", GIVEN)
def test_a_later_signature_may_give_the_catalog_what_does_not_show(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    report = verify(signed_twice(hierarchy, *GIVEN[what]))
    assert report.verdict is Verdict.VALID
    assert report.clean


@pytest.mark.parametrize("what", REFUSED)
def test_other_entries_of_the_catalog_stay(verify: Verify, hierarchy: Hierarchy, what: str) -> None:
    report = verify(signed_twice(hierarchy, *REFUSED[what]))
    assert not report.clean
    assert Code.DOC_MODIFIED in {notice.code for notice in report.signatures[0].notices}


@pytest.mark.parametrize("entries", [b"/Perms<</DocMDP 30 0 R>>", PIECES])
def test_without_a_signature_the_catalog_gets_neither(
    verify: Verify, hierarchy: Hierarchy, entries: bytes
) -> None:
    signed = Extended(hierarchy).add()
    catalog = b"<</Type/Catalog%s/Pages 2 0 R/AcroForm<</Fields[5 0 R]/SigFlags 3>>>>" % entries
    value = {30: b"<</Type/Sig/Filter/X>>", 31: b"<</V 30 0 R>>"}
    assert not verify(update(signed, {1: catalog, **value})).clean


def test_private_data_do_not_bring_changes_of_what_they_refer_to(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    pieces = b"/PieceInfo<</Maker<</Private 3 0 R>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 5 8]>>"
    assert verify(signed_twice(hierarchy, pieces)).clean
    assert not verify(signed_twice(hierarchy, pieces, more={3: page})).clean
