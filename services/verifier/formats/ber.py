"""A small strict reader of ASN.1 BER (ITU-T X.690), for the outer layers of CMS.

BER and not only DER, because signers in the field send indefinite lengths and constructed strings. Every length is
checked against its container, nesting is bounded, and nothing is ever read outside the buffer. Certificates and CRLs
are not read here: the `cryptography` package does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MAX_DEPTH = 48
MAX_CHILDREN = 20_000

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
_CONSTRUCTED = 0x20


class BerError(ValueError):
    """The bytes are not the ASN.1 that they ought to be; the message names the offset."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value. `start` is its identifier octet, `body..stop` its contents, `end` the first octet after it."""

    data: bytes
    start: int
    body: int
    stop: int
    end: int
    tag: int
    depth: int

    @property
    def contents(self) -> bytes:
        """The contents octets, without identifier, length and end-of-contents octets."""
        return self.data[self.body : self.stop]

    @property
    def encoded(self) -> bytes:
        """The whole value as it stands in the message."""
        return self.data[self.start : self.end]

    @property
    def constructed(self) -> bool:
        """True when the contents are themselves values."""
        return bool(self.tag & _CONSTRUCTED)

    def children(self) -> list[Node]:
        """The values inside a constructed value."""
        if not self.constructed:
            raise BerError(f"primitive value at {self.start} has no members")
        return list(_members(self.data, self.body, self.stop, self.depth + 1))

    def expect(self, tag: int, what: str) -> Node:
        """This node, if its identifier octet is `tag`."""
        if self.tag != tag:
            raise BerError(f"{what} expected at {self.start}, found identifier {self.tag:#04x}")
        return self


def load(data: bytes) -> tuple[Node, bytes]:
    """The first value of `data` and the octets after it."""
    node = _read(data, 0, len(data), 0)
    return node, data[node.end :]


def _members(data: bytes, offset: int, stop: int, depth: int) -> Iterator[Node]:
    count = 0
    while offset < stop:
        node = _read(data, offset, stop, depth)
        count += 1
        if count > MAX_CHILDREN:
            raise BerError(f"more than {MAX_CHILDREN} members in one value")
        yield node
        offset = node.end


def _read(data: bytes, start: int, limit: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise BerError(f"nesting deeper than {MAX_DEPTH} at {start}")
    if start + 2 > limit:
        raise BerError(f"value cut off at {start}")
    tag, offset = data[start], start + 1
    if tag & 0x1F == 0x1F:
        # High tag numbers occur in no structure read here; a reader that skips them has more ways to be fooled.
        raise BerError(f"high tag number at {start}")
    first = data[offset]
    offset += 1
    if first < 0x80:
        stop = offset + first
        end = stop
    elif first == 0x80:
        if not tag & _CONSTRUCTED:
            raise BerError(f"indefinite length on a primitive value at {start}")
        stop = _find_end_of_contents(data, offset, limit, depth)
        end = stop + 2
    else:
        octets = first & 0x7F
        if octets > 4 or offset + octets > limit:
            raise BerError(f"length field at {start} is not usable")
        stop = offset + octets + int.from_bytes(data[offset : offset + octets], "big")
        offset += octets
        end = stop
    if end > limit:
        raise BerError(f"value at {start} is longer than its container")
    return Node(data, start, offset, stop, end, tag, depth)


def _find_end_of_contents(data: bytes, offset: int, limit: int, depth: int) -> int:
    count = 0
    while True:
        if offset + 2 > limit:
            raise BerError("end-of-contents octets are missing")
        if data[offset] == 0 and data[offset + 1] == 0:
            return offset
        offset = _read(data, offset, limit, depth + 1).end
        count += 1
        if count > MAX_CHILDREN:
            raise BerError(f"more than {MAX_CHILDREN} members in one value")


def octets(node: Node) -> bytes:
    """Value of an OCTET STRING, its segments joined when it is constructed (X.690 8.7.3)."""
    if node.tag == OCTET_STRING:
        return node.contents
    if node.tag == OCTET_STRING | _CONSTRUCTED:
        return b"".join(octets(child) for child in node.children())
    raise BerError(f"octet string expected at {node.start}, found identifier {node.tag:#04x}")


def integer(node: Node) -> int:
    """Value of an INTEGER of at most 512 octets."""
    contents = node.expect(INTEGER, "integer").contents
    if not 0 < len(contents) <= 512:
        raise BerError(f"integer at {node.start} has no usable length")
    return int.from_bytes(contents, "big", signed=True)


def oid(node: Node) -> str:
    """Value of an OBJECT IDENTIFIER in dotted form."""
    contents = node.expect(OID, "object identifier").contents
    if not 0 < len(contents) <= 64 or contents[-1] & 0x80:
        raise BerError(f"object identifier at {node.start} is damaged")
    arcs: list[int] = []
    value = 0
    for octet in contents:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def time(node: Node) -> datetime:
    """Value of a UTCTime or GeneralizedTime, aware, in UTC (RFC 5652 11.3: years before 2050 as UTCTime)."""
    text = node.contents.decode("ascii", "replace")
    if node.tag == UTC_TIME:
        century = "19" if text[:2] >= "50" else "20"
        text = century + text
    elif node.tag != GENERALIZED_TIME:
        raise BerError(f"time expected at {node.start}")
    try:
        return _parse_time(text)
    except (ValueError, OverflowError) as error:
        raise BerError(f"time at {node.start} cannot be read") from error


def _parse_time(text: str) -> datetime:
    shift = timedelta()
    if text.endswith("Z"):
        text = text[:-1]
    elif len(text) > 5 and text[-5] in "+-":
        shift = timedelta(hours=int(text[-4:-2]), minutes=int(text[-2:])) * (1 if text[-5] == "+" else -1)
        text = text[:-5]
    text, _, fraction = text.partition(".")
    form = "%Y%m%d%H%M%S" if len(text) == 14 else "%Y%m%d%H%M"
    moment = datetime.strptime(text, form).replace(tzinfo=UTC)
    micro = int((fraction + "000000")[:6]) if fraction else 0
    return moment.replace(microsecond=micro) - shift


def tlv(tag: int, contents: bytes) -> bytes:
    """One value with a definite, shortest length."""
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + contents


def der(node: Node, tag: int | None = None) -> bytes:
    """The value re-encoded with DER's lengths, joined strings and sorted SETs; `tag` replaces its own identifier."""
    own = node.tag if tag is None else tag
    if node.tag == OCTET_STRING | _CONSTRUCTED:
        return tlv(OCTET_STRING, octets(node))
    if not node.constructed:
        return tlv(own, node.contents)
    members = [der(child) for child in node.children()]
    if own == SET:
        members.sort()
    return tlv(own, b"".join(members))
