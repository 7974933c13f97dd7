"""Signature dictionaries of a file, read without reading their long /Contents digit by digit.

pyHanko's reader takes some ten milliseconds for the hexadecimal digits of one signature, ten times what else a
signature costs; a file that several people sign has many. What is not of the usual shape is left to it.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

if TYPE_CHECKING:
    from pyhanko.pdf_utils.generic import Reference

_MAX_BYTES = 1 << 20
_FIRST_BYTES = 1 << 16
_HEAD = re.compile(rb"\s*(\d{1,10})\s+(\d{1,5})\s+obj\b\s*")
_CONTENTS = re.compile(rb"/Contents\s*<([0-9A-Fa-f\s]*)>")
_END = re.compile(rb"\s*endobj\b\s*")


def read_ahead(parent: generic.DictionaryObject, key: str) -> None:
    """Let the reader know the signature dictionary that a key refers to, if it can be read at once."""
    raw = parent.raw_get(key) if key in parent else None
    if not isinstance(raw, generic.IndirectObject):
        return
    reference = raw.reference
    reader = reference.pdf
    if not isinstance(reader, PdfFileReader) or reader.encrypted:
        return
    if (reference.generation, reference.idnum) in reader.resolved_objects:
        return
    value = _read(reader, reference)
    if value is not None:
        reader.resolved_objects[reference.generation, reference.idnum] = value


def _read(reader: PdfFileReader, reference: Reference) -> generic.DictionaryObject | None:
    place = reader.xrefs[reference]
    if not isinstance(place, int):
        return None
    data = _object_bytes(reader, place)
    head = _HEAD.match(data)
    found = list(_CONTENTS.finditer(data))
    if (
        head is None
        or len(found) != 1
        or (int(head[1]), int(head[2]))
        != (
            reference.idnum,
            reference.generation,
        )
    ):
        return None
    contents = found[0]
    # Only digits and blanks between two brackets are taken out, so nothing else is read differently.
    rest = BytesIO(data[head.end() : contents.start(1)] + data[contents.end(1) :])
    try:
        value = generic.read_object(rest, generic.Reference(reference.idnum, reference.generation, reader))
    except PdfError:
        return None
    if not isinstance(value, generic.DictionaryObject) or isinstance(value, generic.StreamObject):
        return None
    shortened = value.get("/Contents")
    is_text = isinstance(shortened, (generic.ByteStringObject, generic.TextStringObject))
    if not is_text or shortened or _END.match(rest.read(16)) is None:
        return None
    digits = b"".join(contents[1].split())
    value["/Contents"] = generic.ByteStringObject(
        bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    )
    return value


def _object_bytes(reader: PdfFileReader, place: int) -> bytes:
    """Read up to the first end mark behind a place: more than the object never, perhaps less."""
    length = _FIRST_BYTES
    while True:
        reader.stream.seek(place)
        data = bytes(reader.stream.read(length))
        end = data.find(b"endobj")
        if end >= 0:
            return data[: end + len(b"endobj")]
        if len(data) < length or length >= _MAX_BYTES:
            return b""
        length = _MAX_BYTES
