"""MIME entities as S/MIME signs them (RFC 8551 section 3.1): canonical line ends, and nothing that mail transport changes.

What is safe already keeps its bytes but for the line ends. Else only the parts that need it are encoded anew.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from services.kernel.errors import FieldInvalid

MAX_HEADER_BYTES = 256 * 1024
MAX_FIELDS = 2_000
MAX_DEPTH = 32
"""Of parts within parts."""
MAX_PARTS = 10_000
MAX_LINE_BYTES = 998
"""RFC 5322 section 2.1.1, line end not counted."""
BASE64_LINE = 76
_BLANK_LINE = re.compile(rb"(?:\A|\r\n|\n)(?:\r\n|\n)")
_FIELD_NAME = re.compile(rb"[!-9;-~]{1,100}:")
"""White space before the colon is obsolete (RFC 5322 section 4.5), and programs disagree whether it is a field."""
_BOUNDARY = re.compile(
    rb';\s*boundary\s*=\s*(?:"((?:[^"\\\r\n]|\\.){1,200})"|([^\s;"]{1,200}))', re.IGNORECASE
)
_BINARY = re.compile(rb"^content-transfer-encoding:\s*binary", re.IGNORECASE | re.MULTILINE)
_ENCODED = frozenset({b"base64", b"quoted-printable"})


@dataclass(frozen=True, slots=True)
class Field:
    """One header field."""

    name: str
    """In lower case."""
    raw: bytes
    """Whole, folding and final CRLF included."""

    @property
    def value(self) -> bytes:
        """What follows the colon, unfolded, without white space round it."""
        return self.raw.partition(b":")[2].replace(b"\r\n", b"").strip()


def split(entity: bytes) -> tuple[list[Field], bytes]:
    """Split an entity or a message into header fields and body (as it is). Raises FieldInvalid."""
    match = _BLANK_LINE.search(entity[: MAX_HEADER_BYTES + 4])
    if match is None and len(entity) > MAX_HEADER_BYTES:
        raise FieldInvalid(f"a header is at most {MAX_HEADER_BYTES} bytes", field="message")
    head, body = (entity, b"") if match is None else (entity[: match.start()], entity[match.end() :])
    return _fields(canonical(head)), body


def canonical(data: bytes) -> bytes:
    """Let every line end with CR LF (RFC 8551 section 3.1.1)."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def transport_safe(entity: bytes) -> bytes:
    """Return an entity in canonical form, parts that transport may change encoded (RFC 8551 section 3.1.3).

    These are parts with octets above 127 or NUL, lines above 998 octets, white space at a line's end, or a line that
    begins with "From ". Signed parts within keep their bytes. Raises FieldInvalid.
    """
    plain = canonical(entity)
    # The cheap look first: most messages hold the word nowhere.
    if b"binary" in plain.lower() and _BINARY.search(plain):
        return _Encoder().entity(entity, 0)
    return plain if _is_safe(plain) else _Encoder().entity(plain, 0)


def base64_lines(data: bytes) -> bytes:
    """Encode in base64 with lines of 76 characters, each ended by CR LF (RFC 2045 section 6.8)."""
    text = base64.b64encode(data)
    lines = [text[at : at + BASE64_LINE] for at in range(0, len(text), BASE64_LINE)]
    return b"\r\n".join((*lines, b""))


def value_of(fields: list[Field], name: str) -> bytes:
    """Return the value of the first field of a name, b"" where there is none."""
    return next((field.value for field in fields if field.name == name), b"")


def boundary_of(content_type: bytes) -> bytes:
    """Return the boundary parameter of a multipart type. Raises FieldInvalid where there is none."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise FieldInvalid("a multipart part names no boundary (RFC 2046 section 5.1)", field="message")
    return re.sub(rb"\\(.)", rb"\1", match[1]) if match[1] is not None else bytes(match[2])


def parts_of(body: bytes, boundary: bytes) -> list[bytes]:
    """Split a multipart body: what stands before the first part, the parts, what stands behind the last."""
    delimiter = re.compile(rb"(?:\A|\r\n|\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)(?:\r?\n)?")
    found: list[bytes] = []
    at = 0
    while len(found) <= MAX_PARTS:
        # The line end before a delimiter is a part of it; one that ended the delimiter before it serves as well.
        match = delimiter.search(body, at - 1 if at and body[at - 1 : at] == b"\n" else at)
        if match is None:
            found.append(body[at:])
            return [*found, b""] if len(found) > 1 else found
        found.append(body[at : max(at, match.start())])
        at = match.end()
        if match[1]:
            return [*found, body[at:]]
    raise FieldInvalid(f"a message has at most {MAX_PARTS} parts", field="message")


class _Encoder:
    """Encodes one message; counts its parts."""

    def __init__(self) -> None:
        self._count = 0

    def entity(self, raw: bytes, depth: int) -> bytes:
        """Return an entity in canonical form, safe for transport."""
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_PARTS:
            raise FieldInvalid(
                f"a message has at most {MAX_PARTS} parts, at most {MAX_DEPTH} within each other",
                field="message",
            )
        fields, body = split(raw)
        content_type = value_of(fields, "content-type").lower()
        if content_type.startswith(b"multipart/signed"):
            return canonical(raw)
        if content_type.startswith(b"multipart/"):
            boundary = boundary_of(value_of(fields, "content-type"))
            return _joined(_without_encoding(fields), self._multipart(body, boundary, depth))
        if content_type.startswith(b"message/rfc822"):
            return _joined(_without_encoding(fields), self.entity(body, depth + 1))
        return _leaf(fields, body, is_text=content_type.startswith(b"text/") or not content_type)

    def _multipart(self, body: bytes, boundary: bytes, depth: int) -> bytes:
        found = parts_of(body, boundary)
        if len(found) < 3:
            raise FieldInvalid("a multipart part has no part (RFC 2046 section 5.1.1)", field="message")
        before, *parts, after = found
        encoded = [b"\r\n--%s\r\n%s" % (boundary, self.entity(part, depth + 1)) for part in parts]
        # What stands round the parts is shown to nobody (RFC 2046 section 5.1.1).
        before, after = (canonical(text) if _is_safe(canonical(text)) else b"" for text in (before, after))
        if not before:
            encoded[0] = encoded[0][2:]
        end = b"\r\n--%s--\r\n" % boundary
        return b"".join((before, *encoded, end, after))


def _leaf(fields: list[Field], body: bytes, *, is_text: bool) -> bytes:
    encoding = value_of(fields, "content-transfer-encoding").lower()
    plain = canonical(body)
    if encoding in _ENCODED or (encoding != b"binary" and _is_safe(plain)):
        return _joined(fields, plain)
    kept = _without_encoding(fields)
    if is_text and encoding != b"binary":
        kept.append(_field(b"Content-Transfer-Encoding: quoted-printable"))
        text = b"\n" + binascii.b2a_qp(plain.replace(b"\r\n", b"\n"), istext=True)
        return _joined(kept, canonical(text.replace(b"\nFrom ", b"\n=46rom ")[1:]))
    kept.append(_field(b"Content-Transfer-Encoding: base64"))
    return _joined(kept, base64_lines(body))


def _fields(head: bytes) -> list[Field]:
    if head[:1] in (b" ", b"\t"):
        raise FieldInvalid("a header begins with a folded line (RFC 5322 section 2.2)", field="message")
    if b"\0" in head:
        raise FieldInvalid("a header holds NUL (RFC 5322 section 4)", field="message")
    # A field's continuation lines begin with white space (RFC 5322 section 2.2.3).
    lines = re.split(rb"\r\n(?![ \t])", head) if head else []
    if len(lines) > MAX_FIELDS:
        raise FieldInvalid(f"a header has at most {MAX_FIELDS} fields", field="message")
    for number, line in enumerate(lines, 1):
        if not _FIELD_NAME.match(line):
            raise FieldInvalid(
                f"field {number} of a header has no name and colon (RFC 5322 section 2.2)", field="message"
            )
    return [_field(line) for line in lines]


def _field(line: bytes) -> Field:
    return Field(line.partition(b":")[0].strip().lower().decode("ascii"), line + b"\r\n")


def _without_encoding(fields: list[Field]) -> list[Field]:
    return [field for field in fields if field.name != "content-transfer-encoding"]


def _joined(fields: list[Field], body: bytes) -> bytes:
    return b"".join((*(field.raw for field in fields), b"\r\n", body))


def _is_safe(data: bytes) -> bool:
    """Say whether transport leaves canonical data alone."""
    if not data.isascii() or b"\0" in data or b" \r\n" in data or b"\t\r\n" in data:
        return False
    if data.startswith(b"From ") or b"\r\nFrom " in data or data.endswith((b" ", b"\t")):
        return False
    return len(data) <= MAX_LINE_BYTES or max(map(len, data.split(b"\r\n"))) <= MAX_LINE_BYTES
