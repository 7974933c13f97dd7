"""Byte-level truths about a signed PDF, checked on the file itself and not on what a lenient parser made of it.

Two questions: does a ByteRange cover everything up to its end except exactly the signature's own hexadecimal string;
and does every byte after a signed revision belong to something that a later revision's cross-references own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import read_object_header

_WHITE = b"\x00\t\n\x0c\r "
_HEX = re.compile(rb"[0-9A-Fa-f]*")
_TAIL = re.compile(rb"startxref[\x00\t\n\x0c\r ]+(\d{1,12})[\x00\t\n\x0c\r ]+%%EOF(\r\n|\r|\n|)\Z")
# Between owned places: white space, and each revision's closing lines. Producers put their name before startxref.
_FILLER = re.compile(
    rb"(?:[\x00\t\n\x0c\r ]+"
    rb"|(?:%[^%\r\n][^\r\n]{0,80}[\r\n]+){0,4}startxref[\x00\t\n\x0c\r ]+\d{1,12}[\x00\t\n\x0c\r ]+%%EOF)*"
)
_AFTER_THE_LAST = re.compile(rb"%%EOF(?:\r\n|\r|\n|)\Z")
_MAX_OWNED_OBJECTS = 200_000


class ByteRangeError(ValueError):
    """The ByteRange does not cover what a signature of this kind has to cover."""


@dataclass(frozen=True, slots=True)
class SignedRange:
    """A checked ByteRange: everything before `end` is signed but `gap_start..gap_end`, which holds `contents` in hex."""

    gap_start: int
    gap_end: int
    end: int
    contents: bytes


def signed_range(data: bytes, byte_range: Sequence[object], contents: bytes) -> SignedRange:
    """Check a ByteRange against the file (ISO 32000-2 12.8.1, EN 319 142-1 5.4). Raises ByteRangeError."""
    numbers = [int(n) for n in byte_range if isinstance(n, int) and not isinstance(n, bool)]
    if len(byte_range) != 4 or len(numbers) != 4:
        raise ByteRangeError("ByteRange must be exactly two ranges of whole numbers")
    start, first, second, rest = numbers
    end = second + rest
    if start != 0:
        raise ByteRangeError("ByteRange must start at the first byte of the file")
    if min(numbers) < 0 or first == 0 or rest == 0 or second < first + 2 or end > len(data):
        raise ByteRangeError("ByteRange does not lie within the file or its ranges overlap")
    gap = data[first:second]
    if gap[:1] != b"<" or gap[-1:] != b">" or _HEX.fullmatch(gap, 1, len(gap) - 1) is None or len(gap) % 2:
        raise ByteRangeError("what ByteRange leaves out is not exactly one hexadecimal string")
    if not data[max(0, first - 64) : first].rstrip(_WHITE).endswith(b"/Contents"):
        raise ByteRangeError("what ByteRange leaves out is not the value of /Contents")
    stored = bytes.fromhex(gap[1:-1].decode("ascii"))
    if stored != contents:
        raise ByteRangeError("what ByteRange leaves out is not the Contents of this signature")
    return SignedRange(first, second, end, stored)


def covers_whole_file(data: bytes, end: int) -> bool:
    """True when nothing follows `end` but the line end of a final %%EOF that was itself signed without one."""
    rest = data[end:]
    return not rest or (rest in (b"\n", b"\r", b"\r\n") and data[end - 5 : end] == b"%%EOF")


def signed_revision(reader: PdfFileReader, data: bytes, end: int) -> int:
    """Index of the revision that ends at `end`. Raises ByteRangeError when none does.

    The revision's own startxref must close the signed bytes, and its cross-references and those of every earlier
    one must lie within them, those of every later one behind them.
    """
    tail = _TAIL.search(data, max(0, end - 64), end)
    if tail is None:
        raise ByteRangeError("the signed bytes do not end at the end of a revision (startxref, %%EOF)")
    infos = [reader.xrefs.get_xref_container_info(i) for i in range(reader.xrefs.total_revisions)]
    pointers = [info.declared_startxref for info in infos]
    if int(tail.group(1)) not in pointers:
        raise ByteRangeError("the revision that the signature covers is not part of the document any more")
    revision = pointers.index(int(tail.group(1)))
    inside = all(info.end_location <= end for info in infos[: revision + 1])
    if not inside or any(info.start_location < end for info in infos[revision + 1 :]):
        raise ByteRangeError("cross-references of the signed revision and of later ones are not kept apart")
    return revision


class Ownership:
    """Which bytes of a file its revisions own; what is found out about an object serves all signatures."""

    def __init__(self, reader: PdfFileReader, data: bytes) -> None:
        """Look at nothing yet."""
        self._reader, self._data = reader, data
        self._spans: dict[int, tuple[int, int] | None] = {}

    def unowned_after(self, first: int) -> list[tuple[int, int]]:
        """Ranges at or after offset `first` that no cross-reference section, trailer or listed object accounts for."""
        xrefs = self._reader.xrefs
        owned: list[tuple[int, int]] = []
        for index in range(xrefs.total_revisions):
            metas, sections = [xrefs.get_xref_container_info(index)], [xrefs.get_xref_data(index)]
            if sections[0].hybrid is not None:
                metas.append(sections[0].hybrid.meta_info)
                sections.append(sections[0].hybrid.xref_data)
            late = [meta for meta in metas if meta.end_location > first]
            owned.extend(
                _xref_span(self._reader, self._data, meta.start_location, meta.end_location) for meta in late
            )
            offsets = {o for section in sections for _, o in section.standard_xrefs.values() if o >= first}
            if len(owned) + len(offsets) > _MAX_OWNED_OBJECTS:
                return [(first, len(self._data))]
            owned.extend(span for span in map(self._object, offsets) if span is not None)
        return _gaps(self._data, first, sorted(owned))

    def _object(self, offset: int) -> tuple[int, int] | None:
        if offset not in self._spans:
            self._spans[offset] = _object_span(self._reader, self._data, offset)
        return self._spans[offset]


def _object_span(reader: PdfFileReader, data: bytes, offset: int) -> tuple[int, int] | None:
    """From an object's header to the end of its endobj; None when there is no such object at the offset."""
    stream = BytesIO(data)
    stream.seek(offset)
    try:
        idnum, generation = read_object_header(stream, strict=False)  # type: ignore[no-untyped-call]
        generic.read_object(stream, generic.Reference(idnum, generation, reader))
    except Exception:  # noqa: BLE001 - the parser raises many kinds on hostile bytes; unreadable means unowned
        return None
    position = _skip_white(data, stream.tell())
    return (offset, position + 6) if data[position : position + 6] == b"endobj" else None


def _xref_span(reader: PdfFileReader, data: bytes, start: int, end: int) -> tuple[int, int]:
    """From the keyword or stream object to its end, with the trailer dictionary of a table."""
    before = data[max(0, start - 16) : start].rstrip(_WHITE)
    if before.endswith(b"xref") and not before.endswith(b"startxref"):
        start -= len(data[max(0, start - 16) : start]) - len(before) + 4
    position = _skip_white(data, end)
    # The library's end of a table lies before or behind the keyword, by the producer's use of line ends.
    if data[max(0, end - 16) : end].rstrip(_WHITE).endswith(b"trailer"):
        trailer = position
    else:
        trailer = position + 7 if data[position : position + 7] == b"trailer" else 0
    if trailer:
        stream: Any = BytesIO(data)
        stream.seek(_skip_white(data, trailer))
        try:
            generic.read_object(stream, generic.TrailerReference(reader))  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001 - as above: what cannot be read is not owned
            return start, end
        return start, stream.tell()
    if data[position : position + 6] == b"endobj":
        return start, position + 6
    return start, end


def _skip_white(data: bytes, position: int) -> int:
    while position < len(data) and data[position] in _WHITE:
        position += 1
    return position


def _gaps(data: bytes, first: int, owned: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    position = first
    for start, stop in [*owned, (len(data), len(data))]:
        if start > position and _FILLER.fullmatch(data, position, start) is None:
            found.append((position, start))
        position = max(position, stop)
    if not found and _AFTER_THE_LAST.search(data, max(first, len(data) - 16)) is None:
        found.append((data.rfind(b"%%EOF") + 5, len(data)))
    return found
