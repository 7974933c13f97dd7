"""Where the revisions of a PDF begin and end, as software in the field writes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.verifier.domain import Code, Coverage, Verdict
from tests.support.pdf_signatures import Signatures
from tests.support.pdfs import assemble, page_objects
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import update


class Closed(Signatures):
    """A file each of whose revisions is edited once it is written, before it is signed."""

    def __init__(self, hierarchy: Hierarchy, edit: Callable[[bytes], bytes]) -> None:
        """Start with a file that is not signed."""
        self._edit = edit
        super().__init__(lambda content: hierarchy.signer.cms(content, detached=True))

    def write(
        self, objects: dict[int, bytes], fields: tuple[int, ...] = (), promised: dict[int, int] | None = None
    ) -> None:
        """Write a revision."""
        begin = len(self._out)
        super().write(objects, fields, promised)
        self._out[begin:] = self._edit(bytes(self._out[begin:]))


def first_with_previous(offset: int) -> Callable[[bytes], bytes]:
    """Write the trailer of the first revision with /Prev."""
    return lambda revision: revision.replace(
        b"/Size 4/Root 1 0 R>>", b"/Size 4/Root 1 0 R/Prev %d>>" % offset
    )


def test_previous_cross_references_at_zero_are_none(verify: Verify, hierarchy: Hierarchy) -> None:
    assert verify(assemble(page_objects(), trailer=b"/Prev 0")).verdict is Verdict.UNSIGNED
    file = Closed(hierarchy, first_with_previous(0))
    file.add()
    report = verify(file.add())
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert len(report.signatures) == 2


def test_previous_cross_references_elsewhere_have_to_be_some(verify: Verify, hierarchy: Hierarchy) -> None:
    for offset in (1, 9):
        assert verify(Closed(hierarchy, first_with_previous(offset)).add()).verdict is Verdict.MALFORMED


def test_a_signature_before_previous_cross_references_at_zero_covers_no_revision(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    """A new revision that forgets those before it, and shows something else around the signature that was there."""
    signed = Closed(hierarchy, lambda revision: revision).add()
    value = signed.index(b"4 0 obj")
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]/SigFlags 3>>>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        5: b"<</FT/Sig/T(Signature1)/V 4 0 R/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>",
    }
    out, offsets = bytearray(signed), {4: value}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    begin = len(out)
    out += b"xref\n" + b"".join(b"%d 1\n%010d 00000 n \n" % pair for pair in sorted(offsets.items()))
    out += b"trailer\n<</Size 6/Root 1 0 R/Prev 0>>\nstartxref\n%d\n%%%%EOF\n" % begin
    report = verify(bytes(out))
    assert not report.clean
    (signature,) = report.signatures
    assert signature.coverage.coverage is Coverage.PARTIAL
    assert Code.DOC_MODIFIED in {notice.code for notice in signature.notices}


CLOSED = {
    "no line end": b"%%EOF",
    "two line ends": b"%%EOF\r\n\r\n",
    "a blank": b"%%EOF \n",
    "zeros": b"%%EOF\n\0\0\0",
    "a comment": b"%%EOF\n%written by a producer\n",
    "a comment without a line end": b"%%EOF %x",
    "comments and blanks before": b"%written by\r%a producer\n \n%%EOF\n",
}
NOT_CLOSED = {
    "an object": b"%%EOF\n9 0 obj null endobj\n",
    "other characters": b"%%EOF\nx",
    "another offset": b"%%EOF\n%startxref 9\n",
    "another end in a comment": b"%%EOF\n% %%EOF\n",
    "another end": b"%%EOF\n%%EOF\n",
    "nothing": b"",
    "more than readers look through": b"%%EOF\n" + b" " * 1024,
}


def ending(ends: bytes) -> Callable[[bytes], bytes]:
    """Write every revision so that it ends in another way."""
    return lambda revision: revision.removesuffix(b"%%EOF\n") + ends


@pytest.mark.parametrize("what", CLOSED)
def test_a_signed_revision_may_end_with_what_says_nothing(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    file = Closed(hierarchy, ending(CLOSED[what]))
    file.add()
    report = verify(file.add())
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert [one.coverage.coverage for one in report.signatures] == [Coverage.REVISION, Coverage.WHOLE]


@pytest.mark.parametrize("what", NOT_CLOSED)
def test_a_signed_revision_that_ends_with_something_else_is_none(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    file = Closed(hierarchy, lambda revision: revision)
    file._edit = ending(NOT_CLOSED[what])
    file.add()
    file._edit = lambda revision: revision
    report = verify(file.add())
    assert not report.clean


@pytest.mark.parametrize("what", [one for one in CLOSED if one != "no line end"])
def test_what_stands_behind_the_last_signature_is_signed_by_nobody(
    verify: Verify, hierarchy: Hierarchy, what: str
) -> None:
    signed = Closed(hierarchy, lambda revision: revision).add()
    behind = CLOSED[what].partition(b"%%EOF")[2] or b"\n"
    report = verify(signed + behind)
    assert not report.clean
    assert Code.UNOWNED_BYTES in {notice.code for notice in report.signatures[0].notices}


def test_an_end_that_is_signed_by_nobody_does_not_become_signed_by_a_later_revision(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    signed = Closed(hierarchy, lambda revision: revision).add()
    for ends in (b"%%EOF\n%x\n", b"%%EOF\n\n"):
        later = update(signed, {30: b"<</Spare true>>"}).removesuffix(b"%%EOF\n") + ends
        assert not verify(later).clean


def test_objects_hidden_in_closing_comments_are_a_doubt(verify: Verify, hierarchy: Hierarchy) -> None:
    """A reader that repairs the file finds them."""
    file = Closed(hierarchy, lambda revision: revision)
    file._edit = ending(b"%%EOF\n%3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n")
    file.add()
    file._edit = lambda revision: revision
    assert not verify(file.add()).clean


def test_a_signed_file_that_is_cut_off_is_not_called_unsigned(verify: Verify, hierarchy: Hierarchy) -> None:
    """Behind the first state there is a signature, or a part of one, that no cross-references lead to."""
    file = Closed(hierarchy, lambda revision: revision)
    unsigned = file.data
    assert verify(unsigned).verdict is Verdict.UNSIGNED
    signed = file.add()
    begin = signed.index(b"/ByteRange[") + len(b"/ByteRange[")
    for end in (begin, begin + 500, begin + 1000):
        report = verify(signed[:end])
        assert report.verdict is Verdict.MALFORMED
        assert [notice.code for notice in report.notices] == [Code.DOC_MALFORMED]
    assert verify(signed[: begin - 20]).verdict is Verdict.UNSIGNED
    by_another = hierarchy.signer.pdf(unsigned)
    held = by_another.index(b"/Contents <30") + 1000
    assert held < by_another.index(b"/ByteRange")
    assert verify(by_another[:held]).verdict is Verdict.MALFORMED
    assert verify(signed.replace(b"\nxref\n0 1\n", b"\nxrex\n0 1\n")).verdict is Verdict.MALFORMED


def test_an_update_that_takes_the_signature_out_is_unsigned(verify: Verify, hierarchy: Hierarchy) -> None:
    """Every reader says so: the form lists nothing, and nothing is lost."""
    signed = Closed(hierarchy, lambda revision: revision).add()
    assert verify(update(signed, {1: b"<</Type/Catalog/Pages 2 0 R>>"})).verdict is Verdict.UNSIGNED
