"""S/MIME messages (RFC 8551): multipart/signed with a detached signature, and application/pkcs7-mime around content.

The parts are cut out of the octets as they stand: a library that parses and writes mail anew would change what is
signed. Only the outermost entity is read; a signed message inside another is that message's content.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from dataclasses import replace as changed
from itertools import pairwise

from services.verifier.domain import Code, Notice
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.ports import Findings, SubmittedDocument

MAX_HEADER_BYTES = 64 * 1024
_FIELD = re.compile(rb"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]+)')
_SIGNATURE_TYPES = {"application/pkcs7-signature", "application/x-pkcs7-signature"}
_MESSAGE_TYPES = {"application/pkcs7-mime", "application/x-pkcs7-mime"}


class _MailError(ValueError):
    """The message is not one that can be taken apart without guessing."""


@dataclass(frozen=True, slots=True)
class _Entity:
    """A MIME entity: its media type in lower case, the type's parameters, its transfer encoding, its body."""

    media_type: str
    parameters: dict[str, str]
    encoding: str
    body: bytes


class SmimeFormat:
    """Finds the signers of an S/MIME message."""

    name = "S/MIME"

    def recognises(self, data: bytes) -> bool:
        """Header fields of mail, with a content type that carries a signature."""
        try:
            entity = _entity(data)
        except _MailError:
            return False
        return entity.media_type == "multipart/signed" or entity.media_type in _MESSAGE_TYPES

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each SignerInfo, as of a CMS file."""
        try:
            entity = _entity(document.data)
            message, content = _taken_apart(entity)
        except _MailError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        findings = CmsFormat().find(
            SubmittedDocument(message, document.detached if content is None else content)
        )
        if not _ends_blank(entity):
            # RFC 2046 5.1.1 has readers ignore it; whoever sees it must not take it for signed.
            behind = Notice(Code.DOC_EXTENDED, "text stands behind the end of the signed message")
            signatures = [changed(s, notices=(*s.notices, behind)) for s in findings.signatures]
            findings = changed(findings, signatures=signatures)
        return changed(findings, format=self.name)


def _taken_apart(entity: _Entity) -> tuple[bytes, bytes | None]:
    """The CMS message, and the content beside it (None where the message carries it)."""
    if entity.media_type in _MESSAGE_TYPES:
        return _decoded(entity), None
    first, second = _parts(entity)
    signature = _entity(second)
    if signature.media_type not in _SIGNATURE_TYPES:
        raise _MailError("the second part of the signed message is not a signature")
    return _decoded(signature), _canonical(first)


def _entity(data: bytes) -> _Entity:
    fields: dict[str, str] = {}
    end, body = _header_end(data)
    lines = re.split(rb"\r?\n", data[:end])
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and unfolded:
            unfolded[-1] += line
        elif line:
            unfolded.append(line)
    for line in unfolded:
        match = _FIELD.match(line)
        if match is None:
            raise _MailError("a header field of the message cannot be read")
        name = match.group(1).decode("ascii").casefold()
        if name.startswith("content-") and name in fields:
            raise _MailError(f"the header field {name} occurs twice")
        fields[name] = match.group(2).decode("latin-1").strip()
    stated = fields.get("content-type", "text/plain")
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(stated):
        if name.casefold() in parameters:
            raise _MailError(f"the parameter {name} of the content type occurs twice")
        plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        parameters[name.casefold()] = plain
    encoding = fields.get("content-transfer-encoding", "7bit").casefold()
    return _Entity(stated.partition(";")[0].strip().casefold(), parameters, encoding, data[body:])


def _header_end(data: bytes) -> tuple[int, int]:
    match = re.compile(rb"\r?\n\r?\n").search(data, 0, MAX_HEADER_BYTES)
    if match is None:
        raise _MailError("the header of the message has no end")
    return match.start(), match.end()


def _parts(entity: _Entity) -> tuple[bytes, bytes]:
    """RFC 1847 2.1: exactly two parts. The line break before a delimiter belongs to the delimiter (RFC 2046 5.1.1)."""
    boundary = entity.parameters.get("boundary", "").encode("latin-1")
    if not 0 < len(boundary) <= 70:
        raise _MailError("the signed message has no usable boundary")
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    found = list(delimiter.finditer(entity.body))
    ends = [match.group(1) is not None for match in found]
    if ends != [False, False, True]:
        raise _MailError("the signed message does not have two parts and an end")
    return tuple(  # type: ignore[return-value]
        _after_line_break(entity.body[a.end() : b.start()]) for a, b in pairwise(found)
    )


def _ends_blank(entity: _Entity) -> bool:
    """True unless something stands behind the closing delimiter of a multipart/signed message."""
    closing = b"--" + entity.parameters.get("boundary", "").encode("latin-1") + b"--"
    return entity.media_type != "multipart/signed" or not entity.body.rpartition(closing)[2].strip()


def _after_line_break(part: bytes) -> bytes:
    return part[2:] if part.startswith(b"\r\n") else part[1:]


def _canonical(part: bytes) -> bytes:
    """RFC 8551 3.1.1: text is signed with CRLF at the end of lines, however the file stores it."""
    return re.sub(rb"\r?\n", b"\r\n", part)


def _decoded(entity: _Entity) -> bytes:
    if entity.encoding in {"binary", "8bit", "7bit"}:
        return entity.body
    if entity.encoding != "base64":
        raise _MailError(f"the signature is in the transfer encoding {entity.encoding[:40]}")
    try:
        return base64.b64decode(b"".join(entity.body.split()), validate=True)
    except binascii.Error as error:
        raise _MailError("the base64 of the signature cannot be read") from error
