"""The few PDF objects that a signature makes or follows, with types: pyHanko's object layer carries only some."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

if TYPE_CHECKING:
    from collections.abc import Mapping


def resolved(value: generic.PdfObject) -> generic.PdfObject:
    """Follow a reference, or return the object itself."""
    result: generic.PdfObject = value.get_object()  # type: ignore[no-untyped-call]
    return result


def pointer(reference: generic.Reference) -> generic.IndirectObject:
    """Make the object that refers to another."""
    return generic.IndirectObject(  # type: ignore[no-untyped-call]
        reference.idnum, reference.generation, reference.pdf
    )


def number(value: int) -> generic.NumberObject:
    """Make an integer object."""
    return generic.NumberObject(value)  # type: ignore[no-untyped-call]


def real(value: float) -> bytes:
    """Write a real number to a thousandth, never with an exponent (ISO 32000-1 7.3.3)."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return b"0" if text == "-0" else text.encode("ascii")


def integer_at(parent: generic.DictionaryObject, key: str) -> int:
    """Return the integer that stands at a key, directly or by reference; 0 where nothing or null does."""
    value = value_at(parent, key)
    return 0 if value is None else int(value)  # type: ignore[call-overload]


def value_at(parent: generic.DictionaryObject, key: str) -> generic.PdfObject | None:
    """Return what stands at a key, directly or by reference; None where nothing or null does."""
    try:
        value: generic.PdfObject = parent[key]
    except KeyError:
        return None
    return value


def dictionary(entries: Mapping[str, generic.PdfObject]) -> generic.DictionaryObject:
    """Make a dictionary object."""
    return generic.DictionaryObject(entries)  # type: ignore[no-untyped-call]


def written(value: generic.PdfObject) -> bytes:
    """Write an object as it stands in a file."""
    stream = BytesIO()
    value.write_to_stream(stream, None)
    return stream.getvalue()


def text_string(text: str) -> bytes:
    """Write a text string (ISO 32000-1 7.9.2.2): ASCII as it is, anything else, Vietnamese too, as UTF-16BE."""
    if text.isascii():
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        return b"(" + escaped.encode("ascii") + b")"
    return b"<FEFF" + text.encode("utf-16-be").hex().upper().encode() + b">"
