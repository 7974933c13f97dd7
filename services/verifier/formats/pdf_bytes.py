"""Byte-level truths about a signed PDF, checked on the file itself and not on what a parser made of it.

Two questions: does a ByteRange cover everything up to its end except exactly the signature's own hexadecimal string;
and does every byte after a signed revision belong to something that a later revision's cross-references own.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cached_property

from services.verifier.formats.pdf_file import PdfFile
from services.verifier.formats.pdf_syntax import WHITE, Value

_HEX = re.compile(rb"[0-9A-Fa-f\x00\t\n\x0c\r ]*+")
_BLANK = rb"(?:[\x00\t\n\x0c\r ]|%(?!%EOF)[^\r\n]*+(?:[\r\n]|\Z))"
_TAIL = re.compile(
    rb"startxref[\x00\t\n\x0c\r ]++(\d{1,12})(?!\d)" + _BLANK + rb"*+%%EOF" + _BLANK + rb"*+\Z"
)
_BLANKS = re.compile(_BLANK + rb"*+")
# Between owned places: white space, and each revision's closing lines. Producers put their name before startxref.
_FILLER = re.compile(
    rb"(?:[\x00\t\n\x0c\r ]++"
    rb"|(?:%[^%\r\n][^\r\n]{0,80}[\r\n]++){0,4}startxref[\x00\t\n\x0c\r ]++\d{1,12}[\x00\t\n\x0c\r ]++%%EOF)*+"
)
# What stands in the dictionary of a signature: its ranges, or a message that begins as each does.
_SIGNATURE = re.compile(rb"/ByteRange[\x00\t\n\x0c\r ]*+\[|/Contents[\x00\t\n\x0c\r ]*+<308")
_AFTER_THE_LAST = re.compile(rb"%%EOF(?:\r\n|\r|\n|)\Z")

MAX_FILLER_BYTES = 64 * 1024
TAIL_BYTES = 1024
"""In which readers look for the end of a file, from startxref on."""


class ByteRangeError(ValueError):
    """The ByteRange does not cover what a signature of this kind has to cover."""


@dataclass(frozen=True, slots=True)
class SignedRange:
    """A checked ByteRange: everything before `end` is signed but `gap_start..gap_end`, which holds `contents` in hex."""

    gap_start: int
    gap_end: int
    end: int
    contents: bytes


def signed_range(data: bytes, byte_range: Value, contents: bytes) -> SignedRange:
    """Check a ByteRange against the file (ISO 32000-2 12.8.1, EN 319 142-1 5.4). Raises ByteRangeError."""
    stated = byte_range if isinstance(byte_range, list) else []
    numbers = [n for n in stated if isinstance(n, int) and not isinstance(n, bool)]
    if len(stated) != 4 or len(numbers) != 4:
        raise ByteRangeError("ByteRange must be exactly two ranges of whole numbers")
    start, first, second, rest = numbers
    end = second + rest
    if start != 0:
        raise ByteRangeError("ByteRange must start at the first byte of the file")
    if min(numbers) < 0 or first == 0 or rest == 0 or second < first + 2 or end > len(data):
        raise ByteRangeError("ByteRange does not lie within the file or its ranges overlap")
    gap = data[first:second]
    if gap[:1] != b"<" or gap[-1:] != b">" or _HEX.fullmatch(gap, 1, len(gap) - 1) is None:
        raise ByteRangeError("what ByteRange leaves out is not exactly one hexadecimal string")
    if not data[max(0, first - 64) : first].rstrip(WHITE).endswith(b"/Contents"):
        raise ByteRangeError("what ByteRange leaves out is not the value of /Contents")
    # 7.3.4.3: white space does not count, and a digit that is missing at the end is 0.
    digits = gap[1:-1].translate(None, WHITE)
    stored = bytes.fromhex((digits if len(digits) % 2 == 0 else digits + b"0").decode("ascii"))
    if stored != contents:
        raise ByteRangeError("what ByteRange leaves out is not the Contents of this signature")
    return SignedRange(first, second, end, stored)


def covers_whole_file(data: bytes, end: int) -> bool:
    """True when nothing follows `end` but the line end of a final %%EOF that was itself signed without one."""
    rest = data[end : end + 3]
    return not rest or (rest in (b"\n", b"\r", b"\r\n") and data[end - 5 : end] == b"%%EOF")


def signed_revision(file: PdfFile, end: int) -> int:
    """Index of the revision that ends at `end`. Raises ByteRangeError when none does.

    The revision's own startxref must close the signed bytes; its cross-references and those of every earlier one, and
    all that they point to, must lie within them, the cross-references of every later one behind them.
    """
    tail = _closing(file.data, end)
    if tail is None:
        raise ByteRangeError("the signed bytes do not end at the end of a revision (startxref, %%EOF)")
    stated = int(tail[1])
    starts = [revision.start for revision in file.revisions]
    if stated not in starts:
        raise ByteRangeError("the revision that the signature covers is not part of the document any more")
    index = starts.index(stated)
    inside, behind = file.revisions[: index + 1], file.revisions[index + 1 :]
    if any(one.end > end for one in inside) or any(one.begin < end for one in behind):
        raise ByteRangeError("cross-references of the signed revision and of later ones are not kept apart")
    if any(one.highest >= end for one in inside):
        raise ByteRangeError("cross-references of the signed revision point to what was written later")
    return index


def _closing(data: bytes, end: int) -> re.Match[bytes] | None:
    """The closing lines that end there, with the offset in them; None where there are none.

    White space and comments may be among them and behind %%EOF, but no other closing lines.
    """
    start = data.rfind(b"startxref", max(0, end - TAIL_BYTES), end)
    tail = _TAIL.match(data, start, end) if start >= 0 else None
    return tail if data.count(b"%%EOF", start, end) == 1 else None


class Ownership:
    """Which bytes of a file its revisions own; found out once for all signatures."""

    def __init__(self, file: PdfFile, signed_to: int = 0) -> None:
        """Look at nothing yet. `signed_to` is where the ByteRange of the file that reaches furthest ends."""
        self._file, self._signed_to = file, signed_to

    @cached_property
    def _owned(self) -> list[tuple[int, int]]:
        """From the first byte of each object and section to the first behind it, in the order of the file."""
        found: list[tuple[int, int]] = []
        for index, revision in enumerate(self._file.revisions):
            found.extend((section.start, section.end) for section in revision.sections)
            if index == 0:
                # Of the first state nothing lies behind a signature: it is the oldest that one can cover.
                continue
            for number, entry in revision.entries.items():
                if entry.in_use and entry.offset:
                    loaded = self._file.load(number, index)
                    if loaded.end:
                        found.append((entry.offset, loaded.end))
        return sorted(found)

    @cached_property
    def _gaps(self) -> list[tuple[int, int]]:
        """Ranges behind the first state of the file that lie between owned ones, and are not just closing lines."""
        found: list[tuple[int, int]] = []
        position, size = self._file.revisions[0].close, len(self._file.data)
        for start, stop in [*self._owned, (size, size)]:
            if start > position and not self._is_filler(position, start):
                found.append((position, start))
            position = max(position, stop)
        return found

    def _is_filler(self, start: int, stop: int) -> bool:
        data = self._file.data
        if stop - start > MAX_FILLER_BYTES:
            return False
        if _FILLER.fullmatch(data, start, stop) is not None:
            return True
        tail = self._signed_tail if stop == len(data) else None
        return tail is not None and _BLANKS.fullmatch(data, start, tail.start()) is not None

    @cached_property
    def _signed_tail(self) -> re.Match[bytes] | None:
        """The closing lines of the file where a signature covers them; None where none does."""
        size = len(self._file.data)
        return _closing(self._file.data, size) if self._signed_to == size else None

    def unowned_after(self, first: int) -> list[tuple[int, int]]:
        """Ranges at or after `first`, the end of a signed revision, that nothing accounts for.

        Raises PdfLimit. Earlier revisions must be known not to reach behind it.
        """
        data, found = self._file.data, list[tuple[int, int]]()
        for start, stop in self._gaps[bisect.bisect_right(self._gaps, first, key=lambda gap: gap[1]) :]:
            # One that begins before the end is judged by what of it lies behind.
            if start >= first or not self._is_filler(first, stop):
                found.append((max(start, first), stop))
        ends = _AFTER_THE_LAST.search(data, max(first, len(data) - 16)) or self._signed_tail
        if not found and ends is None:
            found.append((data.rfind(b"%%EOF") + 5, len(data)))
        return found

    def has_lost_signature(self) -> bool:
        """True where a signature lies behind the first state of the file in what nothing accounts for.

        The update that it came with is cut off or damaged. Raises PdfLimit.
        """
        data = self._file.data
        if _SIGNATURE.search(data, self._file.revisions[0].close) is None:
            return False
        return any(_SIGNATURE.search(data, start, stop) is not None for start, stop in self._gaps)
