"""Signatures are looked for in the form: what is there and cannot be read is no place where none are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.verifier.domain import Code, Verdict
from tests.support.pdf_signatures import Signatures
from tests.support.pdfs import assemble, assemble_with_streams, page_objects
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify

Edit = Callable[[bytes], bytes]
UNREADABLE = {
    "a key twice": b"/F 4/F 4",
    "a number that is none": b"/X 4.-3",
    "an integer of twenty digits": b"/X 99999999999999999999",
    "a bracket too many": b"/X]",
}


class Edited(Signatures):
    """A signed file in which each object is written as `edit` has it; the form is object 50 of its own."""

    def __init__(self, sign: Callable[[bytes], bytes], edit: Edit) -> None:
        """Start with a file that is not signed."""
        self._edit = edit
        super().__init__(sign)

    def write(
        self, objects: dict[int, bytes], fields: tuple[int, ...] = (), promised: dict[int, int] | None = None
    ) -> None:
        """Write a revision."""
        catalog, written = objects.get(1), dict(objects)
        if catalog is not None:
            head, _, form = catalog.partition(b"/AcroForm")
            written |= {1: head + b"/AcroForm 50 0 R>>", 50: form.removesuffix(b">>")}
        super().write({number: self._edit(body) for number, body in written.items()}, fields, promised)


def broken_then_valid(hierarchy: Hierarchy, edit: Edit) -> bytes:
    """A file with two signatures of which the first is over other octets."""
    file = Edited(lambda content: hierarchy.signer.cms(content + b"x", detached=True), edit)
    file.add()
    file._sign = lambda content: hierarchy.signer.cms(content, detached=True)
    return file.add()


def of(mark: bytes, old: bytes, new: bytes) -> Edit:
    """Write the objects that hold `mark` with `new` for `old`."""
    return lambda body: body.replace(old, new) if mark in body else body


def test_the_file_with_a_form_of_its_own_is_read(verify: Verify, hierarchy: Hierarchy) -> None:
    report = verify(broken_then_valid(hierarchy, lambda body: body))
    assert len(report.signatures) == 2
    assert report.verdict is Verdict.INVALID


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("mark", [b"/Fields", b"/T(Signature1)"])
def test_a_broken_signature_is_not_passed_over_for_a_form_or_field_that_cannot_be_read(
    verify: Verify, hierarchy: Hierarchy, mark: bytes, name: str
) -> None:
    spoilt = of(mark, b"<</F", b"<<%s/F" % UNREADABLE[name])
    report = verify(broken_then_valid(hierarchy, spoilt))
    assert report.verdict is Verdict.MALFORMED
    assert not report.clean
    assert [notice.code for notice in report.notices] == [Code.DOC_MALFORMED]


OTHERS: dict[str, Edit] = {
    "field in another generation": of(b"/Fields", b"[5 0 R", b"[5 3 R"),
    "field that is a stream": lambda body: (
        body + b"stream\nx\nendstream" if b"(Signature1)" in body else body
    ),
    "field in an array": of(b"/Fields", b"[5 0 R", b"[[5 0 R]"),
    "list of fields that is none": of(b"/Fields", b"/Fields[5 0 R", b"/Fields<<>>/Y[5 0 R"),
    "children that are no list": of(b"(Signature1)", b"/FT/Sig", b"/FT/Sig/Kids<<>>"),
    "kind in another generation": of(b"(Signature1)", b"/FT/Sig", b"/FT 2 1 R"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_broken_signature_is_not_passed_over_for_what_is_something_else(
    verify: Verify, hierarchy: Hierarchy, name: str
) -> None:
    data = broken_then_valid(hierarchy, OTHERS[name])
    assert verify(data).verdict is Verdict.MALFORMED


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_form_in_an_object_stream_that_cannot_be_read_is_not_taken_for_none(
    verify: Verify, name: str
) -> None:
    objects = page_objects(catalog=b"/AcroForm 6 0 R ")
    for form, verdict in (
        (b"<</Fields[]>>", Verdict.UNSIGNED),
        (b"<</Fields[]%s>>" % UNREADABLE[name], Verdict.MALFORMED),
    ):
        data = assemble_with_streams(objects | {6: form}, frozenset({1, 2, 3, 4, 6}))
        assert verify(data).verdict is verdict


@pytest.mark.parametrize(
    "catalog",
    [b"", b"/AcroForm null", b"/AcroForm 90 0 R", b"/AcroForm<<>>", b"/AcroForm<</Fields[null 90 0 R]>>"],
)
def test_a_form_that_is_not_there_holds_no_signature(verify: Verify, catalog: bytes) -> None:
    assert verify(assemble(page_objects(catalog=catalog))).verdict is Verdict.UNSIGNED
