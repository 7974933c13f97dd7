"""Cross-references of a PDF file (ISO 32000-2 7.5.4 to 7.5.8): its revisions, and where each of them has its objects.

Nothing is repaired: a file whose cross-references cannot be followed from its last startxref is damaged. A repair is
one reader's guess, and signatures are forged in the gap between the guesses of two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from services.verifier.formats import pdf_filters, pdf_syntax
from services.verifier.formats.pdf_filters import Budget
from services.verifier.formats.pdf_syntax import Meter, PdfError, PdfLimit, Stream, Value, integer

MAX_SECTIONS = 4000
MAX_ENTRIES = 1_000_000
"""Of all sections together."""
MAX_OBJECT_NUMBER = 8_388_607
"""ISO 32000-1 annex C."""
MAX_TYPE_BYTES = 4
"""Of an entry's kind in a cross-reference stream; some readers take no more."""
TAIL_BYTES = 2048
"""In which the last startxref has to lie."""
_WS = rb"[\x00\t\n\x0c\r ]"
_START = re.compile(rb"startxref" + _WS + rb"{1,64}+(\d{1,12})")
_TABLE = re.compile(_WS + rb"{0,64}+xref" + _WS + rb"{1,64}+")
_SUBSECTION = re.compile(rb"(\d{1,10}) ++(\d{1,10})[ \t]{0,8}+(?:\r\n|\r|\n)" + _WS + rb"{0,64}+")
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([nf])(?: \r\n|\r\n| \r| \n|\n|\r)")
_TRAILER = re.compile(_WS + rb"{0,64}+trailer" + _WS + rb"{0,64}+")
_SPACE = re.compile(_WS + rb"{0,64}+")


class Entry(NamedTuple):
    """Where an object is. In use: `offset` and `second` its generation; compressed: `offset` is 0 - then `stream` is the
    number of the object stream and `second` the index in it; free: neither.
    """

    in_use: bool
    offset: int
    stream: int
    second: int

    @property
    def generation(self) -> int:
        """The generation; 0 for a compressed object (7.5.8.3)."""
        return 0 if self.stream else self.second


@dataclass(slots=True)
class Section:
    """One table or stream. `start` is its first byte (the keyword, or the stream's object), `end` the first behind it.

    `hidden`: it is a hybrid's table and calls objects free that the stream has.
    """

    start: int
    end: int
    trailer: dict[str, Value]
    entries: dict[int, Entry]
    number: int = 0
    hidden: bool = False


@dataclass(slots=True)
class Revision:
    """One state of a file. `start` is what its startxref says; `close` the end of its %%EOF.

    `highest` is the last byte of the file that an entry points to. `sections` are its own: two where it is a hybrid or the first state of a linearised file.
    """

    start: int
    sections: list[Section]
    close: int = 0
    highest: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    trailer: dict[str, Value] = field(default_factory=dict)

    @property
    def hidden(self) -> bool:
        """True where a hybrid's stream has objects that its table calls free."""
        return any(section.hidden for section in self.sections)

    @property
    def end(self) -> int:
        """The first byte behind its last section."""
        return max(section.end for section in self.sections)

    @property
    def begin(self) -> int:
        """The first byte of its first section."""
        return min(section.start for section in self.sections)


def read(data: bytes, budget: Budget, meter: Meter) -> list[Revision]:
    """The revisions of a file, the oldest first. Raises PdfError, PdfLimit."""
    starts: set[int] = set()
    revisions: list[Revision] = []
    reader = _Sections(data, budget, meter)
    position: int | None = _last_start(data)
    while position is not None:
        if position in starts:
            raise PdfError("the cross-references of the file go round in a circle")
        starts.add(position)
        sections = reader.at(position)
        previous = _previous(sections[0].trailer)
        newer = revisions[-1] if revisions else None
        if newer is not None and position > newer.start and newer.sections[0].start < sections[0].start:
            # The older one lies behind the newer one: a linearised file, which came into being at once (annex F).
            newer.sections.extend(sections)
        else:
            revisions.append(Revision(position, sections))
        position = previous
    revisions.reverse()
    for revision in revisions:
        _complete(revision, data)
    return revisions


def _complete(revision: Revision, data: bytes) -> None:
    # The newest section of a revision comes first and wins; of a hybrid, the table (7.5.8.4).
    for section in reversed(revision.sections):
        revision.entries.update(section.entries)
        revision.trailer.update(section.trailer)
    found = data.find(b"%%EOF", revision.end)
    revision.close = found + 5 if found >= 0 else len(data)
    offsets = (entry.offset for entry in revision.entries.values() if entry.offset < len(data))
    revision.highest = max(offsets, default=0)


def _last_start(data: bytes) -> int:
    found = data.rfind(b"startxref", max(0, len(data) - TAIL_BYTES))
    match = _START.match(data, found) if found >= 0 else None
    if match is None:
        raise PdfError("the file does not end with a startxref")
    return int(match[1])


def _previous(trailer: dict[str, Value]) -> int | None:
    value = trailer.get("Prev")
    if value is None:
        return None
    position = integer(value)
    if position is None or position < 0:
        raise PdfError("Prev of a trailer is no offset")
    # Software writes 0 where nothing is before: the header stands there, and readers end with it.
    return position or None


class _Sections:
    """Reads sections, and counts what it has read."""

    def __init__(self, data: bytes, budget: Budget, meter: Meter) -> None:
        self._data, self._budget, self._meter = data, budget, meter
        self._sections, self._entries = 0, 0

    def at(self, position: int) -> list[Section]:
        """The section at an offset and, of a hybrid, the stream that its trailer names. Raises PdfError."""
        if not 0 <= position < len(self._data):
            raise PdfError("an offset of cross-references lies outside the file")
        self._count()
        table = _TABLE.match(self._data, position)
        if table is None:
            return [self._stream(position)]
        section = self._table(table)
        hidden = integer(section.trailer.get("XRefStm"))
        if hidden is None:
            return [section]
        self._count()
        other = self._stream(hidden)
        mine, others = section.entries, other.entries
        both = mine.keys() & others.keys()
        # Software that copies trailers leaves the stream of an older section in a newer one's: there the table is newer.
        copied = other.start < (integer(section.trailer.get("Prev")) or 0)
        if not copied and any(mine[number].in_use and mine[number] != others[number] for number in both):
            raise PdfError("a table and a stream of cross-references say two things about an object")
        section.hidden = any(others[number].in_use and not mine[number].in_use for number in both)
        # A table entry that is free stands for one that the stream has (7.5.8.4).
        section.entries = {
            number: entry
            for number, entry in section.entries.items()
            if entry.in_use or number not in other.entries
        }
        other.trailer = {}
        return [section, other]

    def _count(self) -> None:
        self._sections += 1
        if self._sections > MAX_SECTIONS:
            raise PdfLimit(f"more than {MAX_SECTIONS} sections of cross-references")

    def _add(self, count: int) -> None:
        self._entries += count
        if self._entries > MAX_ENTRIES:
            raise PdfLimit(f"more than {MAX_ENTRIES} cross-references")

    def _table(self, table: re.Match[bytes]) -> Section:
        data, position = self._data, table.end()
        entries: dict[int, Entry] = {}
        while (head := _SUBSECTION.match(data, position)) is not None:
            first, count = int(head[1]), int(head[2])
            position = head.end()
            self._add(count)
            if first + count > MAX_OBJECT_NUMBER + 1:
                raise PdfLimit("an object number is higher than a file may have")
            position = _table_entries(data, position, first, count, entries)
        trailer = _TRAILER.match(data, position)
        if trailer is None:
            raise PdfError(f"the table at byte {table.start()} has no trailer")
        value, end = pdf_syntax.parse(data, trailer.end(), self._meter)
        if not isinstance(value, dict):
            raise PdfError(f"the trailer at byte {trailer.end()} is no dictionary")
        start = data.index(b"xref", table.start())
        return Section(start, end, value, entries)

    def _stream(self, position: int) -> Section:
        found = pdf_syntax.parse_indirect(self._data, position, integer, self._meter)
        stream = found.value
        if not isinstance(stream, Stream) or stream.entries.get("Type") != "XRef":
            raise PdfError(f"no cross-references at byte {position}")
        content = pdf_filters.decoded(stream.entries, stream.raw, self._budget)
        widths = _widths(stream.entries.get("W"))
        ranges = list(_ranges(stream.entries))
        width = sum(widths)
        needed = sum(count for _, count in ranges)
        self._add(needed)
        if needed * width > len(content):
            raise PdfError(f"the cross-reference stream at byte {position} is too short")
        numbers = (number for first, count in ranges for number in range(first, first + count))
        entries = dict(_stream_entries(content, widths, numbers))
        start = pdf_syntax.skip(self._data, position)
        return Section(start, found.end, stream.entries, entries, found.number)


def _table_entries(data: bytes, position: int, first: int, count: int, entries: dict[int, Entry]) -> int:
    for number in range(first, first + count):
        entry = _ENTRY.match(data, position)
        if entry is None:
            raise PdfError(f"a line of the table is damaged at byte {position}")
        position = entry.end()
        # The first table line for a number counts; a second one in a section is how two readers are told two things.
        if number in entries:
            raise PdfError(f"the table has two lines for one object before byte {position}")
        offset, in_use = int(entry[1]), entry[3] == b"n" and int(entry[1]) > 0
        entries[number] = Entry(in_use, offset if in_use else 0, 0, int(entry[2]))
    found = _SPACE.match(data, position)
    return found.end() if found is not None else position


def _widths(value: Value) -> tuple[int, int, int]:
    numbers = [integer(item) for item in value] if isinstance(value, list) else []
    if len(numbers) != 3 or any(item is None or not 0 <= item <= 8 for item in numbers):
        raise PdfError("W of a cross-reference stream is not usable")
    first, second, third = (item or 0 for item in numbers)
    if not second or first > MAX_TYPE_BYTES:
        raise PdfError("W of a cross-reference stream is not what readers take")
    return first, second, third


def _ranges(entries: dict[str, Value]) -> Iterator[tuple[int, int]]:
    size = integer(entries.get("Size"))
    index = entries.get("Index", [0, size])
    numbers = [integer(item) for item in index] if isinstance(index, list) else []
    if not numbers or len(numbers) % 2:
        raise PdfError("Index of a cross-reference stream is not usable")
    for first, count in zip(numbers[::2], numbers[1::2], strict=True):
        if first is None or count is None or first < 0 or count < 0:
            raise PdfError("Index of a cross-reference stream is not usable")
        if first + count > MAX_OBJECT_NUMBER + 1:
            raise PdfLimit("an object number is higher than a file may have")
        yield first, count


def _stream_entries(
    content: bytes, widths: tuple[int, int, int], numbers: Iterable[int]
) -> Iterator[tuple[int, Entry]]:
    one, two = widths[0], widths[0] + widths[1]
    width = sum(widths)
    position = 0
    seen: set[int] = set()
    for number in numbers:
        row = content[position : position + width]
        position += width
        if number in seen:
            raise PdfError("a cross-reference stream has two entries for one object")
        seen.add(number)
        kind = int.from_bytes(row[:one], "big") if one else 1
        second, third = int.from_bytes(row[one:two], "big"), int.from_bytes(row[two:], "big")
        if kind == 1:
            yield number, Entry(second > 0, second, 0, third)
        elif kind == 2:
            yield number, Entry(True, 0, second, third)
        elif kind == 0:
            yield number, Entry(False, 0, 0, third)
        else:
            # Readers are to take the object for null, and some take the file for damaged.
            raise PdfError("a cross-reference stream has an entry of a kind that there is not")
