"""Objects of PDF files (ISO 32000-2 7.2, 7.3), read into plain Python values by a strict and bounded lexer.

null, booleans, integers and reals are Python's; a name is `str` without its slash, a string is `bytes`, whatever its
form in the file; arrays and dictionaries are `list` and `dict` (entries that are null are left out, as the standard
says that they are not there). References and streams have classes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

WHITE = b"\x00\t\n\x0c\r "
MAX_DEPTH = 100
"""Arrays and dictionaries inside each other."""
MAX_TOKENS = 2_000_000
"""Of one file: each takes about a microsecond and a hundred bytes."""
_BYTES_PER_TOKEN = 64
"""White space, comments and searches of that many bytes count as one more."""
MEASURES = frozenset(
    {
        *("MediaBox", "CropBox", "BleedBox", "TrimBox", "ArtBox", "UserUnit"),
        *("Rect", "BBox", "Matrix", "RD", "QuadPoints", "Border", "C", "IC", "BC", "BG", "CA", "ca"),
        *("FontBBox", "FontMatrix", "Widths", "MissingWidth", "AvgWidth", "MaxWidth"),
        *("ItalicAngle", "Ascent", "Descent", "Leading", "CapHeight", "XHeight", "StemV", "StemH"),
    }
)
"""Keys for lengths, places, widths and colours: 595 and 595.0 are one number there (7.3.3). Elsewhere a reader that wants
a whole number passes a real one over, and shows something else: /Rotate 90.0, a code in /Differences."""

_S = rb"[\x00\t\n\x0c\r ]"
_REGULAR = rb"[^\x00\t\n\x0c\r ()<>\[\]{}/%]"
_SKIP = re.compile(_S + rb"*+(?:%[^\r\n]*+(?:[\r\n]|\Z)" + _S + rb"*+)*+")
_TOKEN = re.compile(
    _S
    + rb"*+(?:(?P<reference>(\d{1,10})"
    + _S
    + rb"{1,32}(\d{1,5})"
    + _S
    + rb"{1,32}R(?!"
    + _REGULAR
    + rb"))"
    rb"|/(?P<name>" + _REGULAR + rb"*+)"
    rb"|(?P<integer>[+-]?\d{1,19})(?!" + _REGULAR + rb")"
    rb"|(?P<open><<)"
    rb"|(?P<close>>>)"
    rb"|(?P<start>\[)"
    rb"|(?P<stop>\])"
    rb"|<(?P<hex>[0-9A-Fa-f]*+)>"
    rb"|<(?P<spaced>[0-9A-Fa-f\x00\t\n\x0c\r ]*+)>"
    rb"|\((?P<plain>[^()\\\r]*+)\)"
    rb"|(?P<literal>\()"
    rb"|(?P<real>[+-]?(?:\d{1,32}\.\d{0,32}|\.\d{1,32}))(?!" + _REGULAR + rb")"
    rb"|(?P<word>" + _REGULAR + rb"{1,32}+)"
    rb"|(?P<comment>%))"
)
_OPENING, _CLOSING = frozenset({"open", "start"}), frozenset({"close", "stop"})
_WORDS: dict[bytes, Value] = {b"true": True, b"false": False, b"null": None}
_HEADER = re.compile(
    _S + rb"{0,64}+(\d{1,10})" + _S + rb"{1,64}+(\d{1,5})" + _S + rb"{1,64}+obj(?!" + _REGULAR + rb")"
)
_STREAM = re.compile(rb"stream(?:\r\n|\n|\r)")
_END_STREAM = re.compile(rb"(?:\r\n|\n|\r|)endstream(?!" + _REGULAR + rb")")
_END_STREAM_LOOSE = re.compile(_S + rb"{0,64}+endstream(?!" + _REGULAR + rb")")
_END_OBJECT = re.compile(rb"endobj(?!" + _REGULAR + rb")")
_NAME_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_IN_LITERAL = re.compile(rb"[()\\\r]")
_OCTAL = re.compile(rb"[0-7]{1,3}")
_ESCAPES = {0x6E: b"\n", 0x72: b"\r", 0x74: b"\t", 0x62: b"\b", 0x66: b"\f"}


class PdfError(ValueError):
    """The bytes are not the PDF that they ought to be; the message names the offset and quotes nothing."""


class PdfLimit(PdfError):
    """The file asks for more than the reader gives: objects, memory, depth or revisions."""


class Ref(NamedTuple):
    """An indirect reference."""

    number: int
    generation: int


class Meter:
    """How much the lexer may still read of one file."""

    def __init__(self, tokens: int = MAX_TOKENS) -> None:
        """`tokens` at most."""
        self._left = tokens

    def spend(self, tokens: int, over: int = 0) -> None:
        """Count tokens, and bytes that were passed `over`. Raises PdfLimit."""
        self._left -= tokens + over // _BYTES_PER_TOKEN
        if self._left < 0:
            raise PdfLimit("the objects of the file come to more than is read")

    @property
    def left(self) -> int:
        """Tokens."""
        return self._left


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream object of a file; its data lie from `start` to `stop`, and are copied only when they are asked for."""

    entries: dict[str, Value]
    data: bytes
    start: int
    stop: int
    number: int
    generation: int

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return self.stop - self.start

    @property
    def raw(self) -> bytes:
        """Its data as they stand in the file, filters and encryption on."""
        return self.data[self.start : self.stop]

    def holds_same(self, other: Stream) -> bool:
        """True where the data are the same, octet for octet."""
        own, others = (
            memoryview(self.data)[self.start : self.stop],
            memoryview(other.data)[other.start : other.stop],
        )
        return self.size == other.size and own == others


Value = None | bool | int | float | str | bytes | Ref | Stream | list["Value"] | dict[str, "Value"]


class Indirect(NamedTuple):
    """An object at its place in the file: `end` is the first byte behind its `endobj`."""

    number: int
    generation: int
    value: Value
    end: int


def skip(data: bytes, position: int) -> int:
    """The first byte at or after `position` that is neither white space nor comment."""
    found = _SKIP.match(data, position)
    return found.end() if found is not None else position


def name(value: object) -> str:
    """A name, "" for anything else."""
    return value if isinstance(value, str) else ""


def integer(value: object) -> int | None:
    """A whole number; None for anything else, booleans too."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parse(data: bytes, position: int, meter: Meter) -> tuple[Value, int]:
    """The object that starts at `position`, and the first byte behind it. Raises PdfError, PdfLimit."""
    count = [0]
    try:
        return _parse(data, position, meter, count)
    finally:
        # What could not be read has cost as much.
        meter.spend(count[0])


def _parse(data: bytes, position: int, meter: Meter, count: list[int]) -> tuple[Value, int]:
    """The same; counts the tokens, and ends where there are more than the meter has left."""
    outer: list[tuple[list[Value], bool]] = []
    current: list[Value] = []
    kind = False
    left = meter.left
    while True:
        start, token = position, _TOKEN.match(data, position)
        if token is None or count[0] > left:
            raise PdfError(f"no object at byte {position}")
        position = token.end()
        count[0] += 1 + (position - start) // _BYTES_PER_TOKEN
        what = token.lastgroup
        if what in _OPENING:
            if len(outer) >= MAX_DEPTH:
                raise PdfLimit(f"objects nest deeper than {MAX_DEPTH}")
            outer.append((current, kind))
            current, kind = [], what == "open"
            continue
        value: Value
        if what in _CLOSING:
            if not outer or kind is not (what == "close"):
                raise PdfError(f"array or dictionary ends where it cannot, at byte {position}")
            value = _dictionary(current, position) if kind else current
            current, kind = outer.pop()
        elif what == "comment":
            position = skip(data, position - 1)
            count[0] += (position - start) // _BYTES_PER_TOKEN
            continue
        elif what == "literal":
            value, position = _literal(data, position, meter)
        else:
            value = _simple(what, token, position)
        if not outer:
            return value, position
        current.append(value)


def _simple(what: str | None, token: re.Match[bytes], position: int) -> Value:
    if what == "name":
        return _name(token["name"])
    if what == "reference":
        return Ref(int(token[2]), int(token[3]))
    if what == "integer":
        return int(token["integer"])
    if what == "plain":
        return token["plain"]
    if what == "hex":
        digits = token["hex"]
        return bytes.fromhex((digits if len(digits) % 2 == 0 else digits + b"0").decode("ascii"))
    if what == "real":
        return float(token["real"])
    if what == "spaced":
        digits = b"".join(token["spaced"].replace(b"\0", b" ").split())
        return bytes.fromhex((digits if len(digits) % 2 == 0 else digits + b"0").decode("ascii"))
    word = token["word"]
    if word not in _WORDS:
        raise PdfError(f"no object at byte {position - len(word)}")
    return _WORDS[word]


def _name(raw: bytes) -> str:
    if b"#" in raw:
        raw = _NAME_ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), raw)
    return raw.decode("latin-1")


def _dictionary(parts: list[Value], position: int) -> dict[str, Value]:
    keys, values = parts[::2], parts[1::2]
    if len(keys) != len(values):
        raise PdfError(f"a key without a value in the dictionary before byte {position}")
    found: dict[str, Value] = {}
    for key, value in zip(keys, values, strict=True):
        if not isinstance(key, str):
            raise PdfError(f"a key that is no name in the dictionary before byte {position}")
        if key in found:
            # Readers differ in which of the two they take: whoever signs the one shows the other.
            raise PdfError(f"a key stands twice in the dictionary before byte {position}")
        found[key] = value
    return {key: value for key, value in found.items() if value is not None}


def _literal(data: bytes, position: int, meter: Meter) -> tuple[bytes, int]:
    """ISO 32000-2 7.3.4.2, for strings with escapes, line ends or parentheses."""
    parts: list[bytes] = []
    depth, start = 1, position
    while True:
        mark = _IN_LITERAL.search(data, position)
        meter.spend(1, over=(mark.end() if mark is not None else len(data)) - position)
        if mark is None:
            raise PdfError(f"the string at byte {start} does not end")
        at, position = mark.start(), mark.end()
        parts.append(data[start:at])
        start = at
        octet = data[at]
        if octet == 0x28:
            depth += 1
        elif octet == 0x29:
            depth -= 1
            if depth == 0:
                return b"".join(parts), position
        else:
            text, position = _escape(data, position) if octet == 0x5C else (b"\n", position)
            if octet == 0x0D and data[position : position + 1] == b"\n":
                position += 1
            parts.append(text)
            start = position


def _escape(data: bytes, position: int) -> tuple[bytes, int]:
    octal = _OCTAL.match(data, position)
    if octal is not None:
        return bytes((int(octal[0], 8) & 0xFF,)), octal.end()
    if data[position : position + 2] == b"\r\n":
        return b"", position + 2
    following = data[position : position + 1]
    if following in (b"\r", b"\n"):
        return b"", position + 1
    return _ESCAPES.get(following[0], following) if following else b"", position + 1


def parse_indirect(
    data: bytes,
    offset: int,
    length: Callable[[Value], int | None],
    meter: Meter,
    expected: tuple[int, int] | None = None,
) -> Indirect:
    """The indirect object at `offset`; `expected` is its number and generation. Raises PdfError, PdfLimit.

    `length` says what a stream's /Length comes to, None where that is not known.
    """
    header = _HEADER.match(data, offset)
    if header is None:
        raise PdfError(f"no indirect object at byte {offset}")
    number, generation = int(header[1]), int(header[2])
    if expected not in {None, (number, generation)}:
        raise PdfError(f"another object than expected at byte {offset}")
    value, position = parse(data, header.end(), meter)
    position = _skipped(data, position, meter)
    if isinstance(value, dict):
        mark = _STREAM.match(data, position)
        if mark is not None:
            start = mark.end()
            stop, position = _stream_end(data, start, length(value.get("Length")), meter)
            value = Stream(value, data, start, stop, number, generation)
            position = _skipped(data, position, meter)
    end = _END_OBJECT.match(data, position)
    if end is None:
        raise PdfError(f"the object at byte {offset} has no end")
    return Indirect(number, generation, value, end.end())


def _skipped(data: bytes, position: int, meter: Meter) -> int:
    end = skip(data, position)
    meter.spend(0, over=end - position)
    return end


def _stream_end(data: bytes, start: int, size: int | None, meter: Meter) -> tuple[int, int]:
    """Where the data stop, and where the keyword behind them ends. What /Length says must be so."""
    if size is None:
        mark = _END_STREAM.search(data, start)
        meter.spend(1, over=(mark.end() if mark is not None else len(data)) - start)
        if mark is None:
            raise PdfError(f"the stream at byte {start} does not end")
        return mark.start(), mark.end()
    stop = start + size
    if not start <= stop <= len(data):
        raise PdfError(f"the stream at byte {start} is longer than the file")
    mark = _END_STREAM_LOOSE.match(data, stop)
    if mark is None:
        raise PdfError(f"the stream at byte {start} does not end where its length says")
    return stop, mark.end()


def is_number(value: object) -> bool:
    """True for a whole or a real number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Value, other: Value, *, measure: bool = False) -> bool:
    """True for equal objects of the same kinds; references by number.

    `measure`: they stand at a key of MEASURES, where a number may be whole or real and is the same one.
    """
    if measure and is_number(one) and is_number(other):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(item, other[key], measure=key in MEASURES) for key, item in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            same(*pair, measure=measure) for pair in zip(one, other, strict=True)
        )
    if isinstance(one, Stream) and isinstance(other, Stream):
        return one.holds_same(other) and same(one.entries, other.entries)
    return one == other
