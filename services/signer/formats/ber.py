"""BER as containers from outside bring it (ITU-T X.690): where each value begins and ends, and DER to write.

Nothing is copied or decoded that nobody asks for, so that what others signed stays as it is, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.kernel.errors import DocumentDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable

INTEGER, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
GENERALIZED_TIME = 0x18
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
"""Constructed, context-specific; primitive ones are 0x80 and 0x81."""

MAX_CHILDREN = 100_000
"""Values directly in one value: more is an attack on memory."""
MAX_DEPTH = 64
"""Of indefinite lengths within each other, and of pieces of an OCTET STRING."""
_INDEFINITE = -1
_CONSTRUCTED = 0x20


class Value(NamedTuple):
    """One value: tag octets as a number, and offsets into `data` of its first octet, its contents and its end."""

    data: bytes
    tag: int
    start: int
    body: int
    body_end: int
    end: int

    @property
    def encoded(self) -> bytes:
        """The whole value as it stands in the data, tag and length included."""
        return self.data[self.start : self.end]

    @property
    def contents(self) -> bytes:
        """The contents octets, without those that end an indefinite length."""
        return self.data[self.body : self.body_end]


def whole(data: bytes) -> Value:
    """Read the one value that the data is. Raises DocumentDamaged where anything follows it."""
    value = _read(data, 0, len(data))
    if value.end != len(data):
        raise damaged(f"{len(data) - value.end} bytes follow the value", value.end)
    return value


def children(value: Value) -> list[Value]:
    """Read the values in a constructed value. Raises DocumentDamaged where they do not fill it."""
    if not value.data[value.start] & _CONSTRUCTED:
        raise damaged("a value that holds others is marked as holding none", value.start)
    found: list[Value] = []
    at = value.body
    while at < value.body_end:
        child = _read(value.data, at, value.body_end)
        found.append(child)
        if len(found) > MAX_CHILDREN:
            raise damaged(f"more than {MAX_CHILDREN} values in one", value.start)
        at = child.end
    return found


def octets(value: Value) -> bytes:
    """Return the octets of an OCTET STRING, also of one in pieces (X.690 section 8.7.3)."""
    if not value.data[value.start] & _CONSTRUCTED:
        return value.contents
    pieces: list[bytes] = []
    waiting = [(child, 1) for child in reversed(children(value))]
    while waiting:
        piece, depth = waiting.pop()
        if piece.tag == OCTET_STRING:
            pieces.append(piece.contents)
        elif piece.tag == OCTET_STRING | _CONSTRUCTED and depth < MAX_DEPTH:
            waiting.extend((child, depth + 1) for child in reversed(children(piece)))
        else:
            raise damaged("an OCTET STRING has pieces of another type", piece.start)
    return b"".join(pieces)


def encode(tag: int, *parts: bytes) -> bytes:
    """Encode a value of one tag octet in DER around its contents."""
    length = sum(map(len, parts))
    if length < 0x80:
        return b"".join((bytes((tag, length)), *parts))
    size = (length.bit_length() + 7) // 8
    return b"".join((bytes((tag, 0x80 | size)), length.to_bytes(size, "big"), *parts))


def integer(number: int) -> bytes:
    """Encode an INTEGER that is not negative."""
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER, tag and length included."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    encoded = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        encoded += bytes(reversed(groups))
    return encode(OID, bytes(encoded))


def extended(existing: Iterable[bytes], new: Iterable[bytes]) -> list[bytes]:
    """Put values into a SET OF: sorted as DER asks where the existing ones are, else behind them.

    Values that are there already are not put in again.
    """
    values = list(existing)
    in_order = values == sorted(values)
    seen = set(values)
    for value in new:
        if value not in seen:
            seen.add(value)
            values.append(value)
    return sorted(values) if in_order else values


def damaged(what: str, offset: int) -> DocumentDamaged:
    """Make the error that names what is wrong and where."""
    return DocumentDamaged(
        f"the signature container cannot be read: {what} (at byte {offset})", reason="ASN.1", offset=offset
    )


def _read(data: bytes, start: int, limit: int) -> Value:
    tag, body, length = _header(data, start, limit)
    if length != _INDEFINITE:
        return Value(data, tag, start, body, body + length, body + length)
    end = _after_indefinite(data, body, limit)
    return Value(data, tag, start, body, end - 2, end)


def _header(data: bytes, start: int, limit: int) -> tuple[int, int, int]:
    """Return tag, offset of the contents and their length, which fits into the limit."""
    if start + 2 > limit:
        raise damaged("it ends within a value", start)
    tag, at = data[start], start + 1
    if tag & 0x1F == 0x1F:
        tag, at = _long_tag(data, start, limit)
    length = data[at]
    at += 1
    if length == 0x80:
        if not data[start] & _CONSTRUCTED:
            raise damaged("a primitive value has no length", start)
        return tag, at, _INDEFINITE
    if length > 0x80:
        size = length & 0x7F
        if size > 8 or at + size > limit:
            raise damaged("a length is too long", start)
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > limit:
        raise damaged("a value is longer than what holds it", start)
    return tag, at, length


def _long_tag(data: bytes, start: int, limit: int) -> tuple[int, int]:
    """Read a tag of several octets (X.690 section 8.1.2.4), of which at least one more octet follows."""
    for at in range(start + 1, min(start + 5, limit - 1)):
        if data[at] < 0x80:
            return int.from_bytes(data[start : at + 1], "big"), at + 1
    raise damaged("a tag is too long", start)


def _after_indefinite(data: bytes, at: int, limit: int) -> int:
    """Find the end of a value of indefinite length (X.690 section 8.1.3.6), without recursion."""
    depth = 1
    while depth:
        if data[at : at + 2] == b"\0\0" and at + 2 <= limit:
            depth, at = depth - 1, at + 2
            continue
        _, body, length = _header(data, at, limit)
        if length == _INDEFINITE:
            depth += 1
            if depth > MAX_DEPTH:
                raise damaged("values nest too deeply", at)
            at = body
        else:
            at = body + length
    return at
