"""Signature dictionaries read ahead are what pyHanko's own reader reads; what is unusual is left to it."""

from __future__ import annotations

import io

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from services.signer.formats.parameters import Level
from services.signer.formats.pdf_structure import dictionary_at, form_fields
from services.signer.formats.pdf_values import read_ahead
from tests.support import pdfs
from tests.support.pades_verdicts import sign_at


def value_of(data: bytes, *, ahead: bool) -> tuple[PdfFileReader, generic.DictionaryObject]:
    reader = PdfFileReader(io.BytesIO(data))
    form = dictionary_at(reader.root, "/AcroForm")
    field = next(iter(form_fields(form)))
    if ahead:
        read_ahead(field.dictionary, "/V")
    value = field.dictionary["/V"]
    assert isinstance(value, generic.DictionaryObject)
    return reader, value


def octets(value: generic.PdfObject) -> bytes:
    if isinstance(value, generic.TextStringObject):
        return bytes(value.original_bytes)
    assert isinstance(value, generic.ByteStringObject)
    return bytes(value)


def with_value(body: bytes) -> bytes:
    objects = pdfs.page_objects(catalog=b"/AcroForm <</Fields [10 0 R]>>")
    objects[10] = b"<</FT /Sig /T (First) /V 11 0 R>>"
    objects[11] = body
    return pdfs.assemble(objects)


BODIES = {
    "plain": b"<</Type /Sig /Contents <3003020101> /ByteRange [0 1 2 3]>>",
    "odd number of digits": b"<</Contents <300>>>",
    "blanks within": b"<</Contents < 30 03\n0201\t01 > /Reason (x)>>",
    "no blank": b"<</Contents<3003020101>/Reason(x)>>",
    "empty": b"<</Contents <> /Reason (x)>>",
    "text that looks alike": b"<</Reason (/Contents <AB>) /Contents <3003>>>",
    "text alone that looks alike": b"<</Reason (/Contents <AB>)>>",
    "end mark in a text": b"<</Reason (endobj) /Contents <3003>>>",
    "end mark in a text behind": b"<</Contents <3003> /Reason (endobj)>>",
    "literal string": b"<</Contents (abc) /Reason (x)>>",
    "nested": b"<</Inner <</Contents <3003>>> /Reason (x)>>",
    "comment": b"<</Contents <3003> % /Contents <AB>\n/Reason (x)>>",
}


@pytest.mark.parametrize("name", BODIES)
def test_every_entry_is_read_as_the_reader_reads_it(name: str) -> None:
    data = with_value(BODIES[name])
    _, expected = value_of(data, ahead=False)
    _, found = value_of(data, ahead=True)
    assert list(found) == list(expected)
    for key in expected:
        if key == "/Contents":
            assert octets(found[key]) == octets(expected[key])
        else:
            assert found[key] == expected[key]


def test_a_signature_of_ours_is_read_ahead() -> None:
    data = sign_at(Level.B_T, pdfs.one_page_pdf())
    reader = PdfFileReader(io.BytesIO(data))
    field = next(iter(form_fields(dictionary_at(reader.root, "/AcroForm"))))
    read_ahead(field.dictionary, "/V")
    reference = field.dictionary.raw_get("/V").reference
    assert (reference.generation, reference.idnum) in reader.resolved_objects
    _, expected = value_of(data, ahead=False)
    assert octets(field.dictionary["/V"]["/Contents"]) == octets(expected["/Contents"])


@pytest.mark.parametrize(
    "body", [b"<</Contents <30zz>>>", b"<</Contents <3003>", b"<</Contents <3003> /Reason>>", b"(x)", b"7"]
)
def test_what_cannot_be_read_is_left_to_the_reader(body: bytes) -> None:
    data = with_value(body)
    reader = PdfFileReader(io.BytesIO(data))
    field = reader.root["/AcroForm"]["/Fields"][0]
    read_ahead(field, "/V")
    assert (0, 11) not in reader.resolved_objects
    if body.startswith(b"<<"):
        with pytest.raises(PdfError):
            field["/V"]
