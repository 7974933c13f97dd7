"""MIME entities (RFC 2045, 2046), taken apart in their octets as they stand: nothing is written anew.

A library that parses and writes mail changes what is signed, and each guesses in its own way at what is not well-formed.
Here what has two readings is refused.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from itertools import pairwise
from urllib.parse import unquote_to_bytes

MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 500
MAX_LEVELS = 20
_FIELD = re.compile(rb"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]+)')
_START = re.compile(rb"(?:content-[a-z-]+|mime-version):", re.IGNORECASE)
_SIGNED_TYPES = frozenset({"multipart/signed", "application/pkcs7-mime", "application/x-pkcs7-mime"})


class MailError(ValueError):
    """The message is not one that can be taken apart without guessing."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A MIME entity: its media type in lower case, the type's parameters, its transfer encoding, its body."""

    media_type: str
    parameters: dict[str, str]
    encoding: str
    body: bytes
    disposition: dict[str, str] = field(default_factory=dict)
    """Parameters of Content-Disposition (RFC 2183)."""

    @property
    def is_signed(self) -> bool:
        """True for the forms of RFC 8551."""
        return self.media_type in _SIGNED_TYPES

    @property
    def file_name(self) -> str:
        """What the entity says it is called; empty where it says nothing, or nothing that can be read."""
        for parameters, name in ((self.disposition, "filename"), (self.parameters, "name")):
            if f"{name}*" in parameters:
                return _extended(parameters[f"{name}*"])
            if name in parameters:
                return _words(parameters[name])
        return ""


def read(data: bytes) -> Entity:
    """The entity that these octets are. Raises MailError."""
    end, body = _header_end(data)
    fields: dict[str, str] = {}
    for line in _unfolded(data[:end]):
        match = _FIELD.match(line)
        if match is None:
            raise MailError("a header field of the message cannot be read")
        name = match.group(1).decode("ascii").casefold()
        if name.startswith("content-") and name in fields:
            raise MailError(f"the header field {name} occurs twice")
        fields[name] = match.group(2).decode("latin-1").strip()
    stated = fields.get("content-type", "text/plain")
    encoding = fields.get("content-transfer-encoding", "7bit").casefold()
    return Entity(
        stated.partition(";")[0].strip().casefold(),
        _parameters(stated),
        encoding,
        data[body:],
        _parameters(fields.get("content-disposition", "")),
    )


def parts(entity: Entity) -> list[bytes]:
    """The parts of a multipart entity. The line break before a delimiter belongs to it (RFC 2046 5.1.1).

    Raises MailError.
    """
    boundary = entity.parameters.get("boundary", "").encode("latin-1")
    if not 0 < len(boundary) <= 70:
        raise MailError("the message in parts has no usable boundary")
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    found = list(delimiter.finditer(entity.body))
    ends = [match.group(1) is not None for match in found]
    if not 2 <= len(found) <= MAX_PARTS or ends != [False] * (len(found) - 1) + [True]:
        raise MailError("the message in parts does not have parts and an end")
    return [_after_line_break(entity.body[a.end() : b.start()]) for a, b in pairwise(found)]


def decoded(entity: Entity) -> bytes:
    """The body without its transfer encoding (RFC 2045 6). Raises MailError."""
    if entity.encoding in {"binary", "8bit", "7bit"}:
        return entity.body
    if entity.encoding == "quoted-printable":
        return quopri.decodestring(entity.body)
    if entity.encoding != "base64":
        raise MailError(f"a part is in the transfer encoding {entity.encoding[:40]}")
    try:
        return base64.b64decode(b"".join(entity.body.split()), validate=True)
    except binascii.Error as error:
        raise MailError("the base64 of a part cannot be read") from error


def looks_like(data: bytes) -> bool:
    """True for octets that start as an entity inside a message does."""
    return _START.match(data) is not None


def documents(data: bytes) -> list[tuple[str, bytes]]:
    """The documents in an entity, with their names: the leaves of its parts, signed entities as they stand.

    What cannot be taken apart is one document.
    """
    return _documents(data, MAX_LEVELS)[:MAX_PARTS]


def _documents(data: bytes, levels: int) -> list[tuple[str, bytes]]:
    try:
        entity = read(data)
        if entity.is_signed or not levels:
            return [(entity.file_name, data)]
        if entity.media_type == "message/rfc822":
            return _documents(decoded(entity), levels - 1)
        if entity.media_type.startswith("multipart/"):
            return [one for part in parts(entity) for one in _documents(part, levels - 1)]
        return [(entity.file_name, decoded(entity))]
    except MailError:
        return [("", data)]


def _header_end(data: bytes) -> tuple[int, int]:
    match = re.compile(rb"\r?\n\r?\n").search(data, 0, MAX_HEADER_BYTES)
    blank = re.compile(rb"\r?\n").match(data)
    if blank is not None:
        # A part without header fields begins with the empty line.
        return 0, blank.end()
    if match is None:
        raise MailError("the header of the message has no end")
    return match.start(), match.end()


def _unfolded(header: bytes) -> list[bytes]:
    unfolded: list[bytes] = []
    for line in re.split(rb"\r?\n", header):
        if line[:1] in (b" ", b"\t") and unfolded:
            unfolded[-1] += line
        elif line:
            unfolded.append(line)
    return unfolded


def _parameters(stated: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(stated):
        if name.casefold() in found:
            raise MailError(f"the parameter {name[:40]} of a header field occurs twice")
        plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        found[name.casefold()] = plain
    return found


def _after_line_break(part: bytes) -> bytes:
    return part[2:] if part.startswith(b"\r\n") else part[1:]


def _extended(value: str) -> str:
    """RFC 2231 4: charset, language and octets in percent-encoding."""
    charset, _, rest = value.partition("'")
    try:
        octets = unquote_to_bytes(rest.partition("'")[2].encode("latin-1"))
        return _characters(octets.decode(charset or "utf-8"))
    except (LookupError, ValueError):
        return ""


def _characters(text: str) -> str:
    """The text itself. Raises ValueError: some charsets write halves of surrogate pairs, which are no characters."""
    text.encode("utf-8")
    return text


def _words(value: str) -> str:
    """RFC 2047, which many programs use in parameters too; and UTF-8 as it stands."""
    try:
        plain = value.encode("latin-1").decode("utf-8")
        return _characters(str(make_header(decode_header(plain)))) if "=?" in plain else plain
    except (HeaderParseError, LookupError, ValueError):
        return ""
