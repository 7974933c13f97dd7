"""The files of a multipart body as the messages of a document stream: header, files in pieces, end.

Nothing is held: a file's pieces go on as they come, and the signer is told that it has all only when the body has
proved whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from gateway.config import LimitSettings
from gateway.multipart import MultipartBody, Part
from gateway.problems import UnsupportedMediaType
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import PartOrder

M = TypeVar("M", messages.SignDocumentRequest, messages.ExtendDocumentRequest)

MAX_REQUEST_PART = 64 * 1024
WHY_SIGN = (
    "send part 'request' (application/json) first, then the files: 'document' (the content; several where the format"
    " takes several), 'signature' (an existing signature container), 'image' (PNG of a visible signature)"
)
WHY_EXTEND = (
    "send part 'request' (application/json) first, then 'document' (the signed file), then 'content' where the"
    " signature is detached"
)
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")
"""RFC 6838 section 4.2."""
UNTOLD = frozenset({"", "application/octet-stream"})
"""Media types that say nothing."""
USUAL = {
    messages.SIGNATURE_FORMAT_PADES: "application/pdf",
    messages.SIGNATURE_FORMAT_SMIME: "message/rfc822",
}
"""Media type that a content has in this format anyway."""
NAMELESS = frozenset({
    messages.SIGNATURE_FORMAT_PADES,
    messages.SIGNATURE_FORMAT_CADES,
    messages.SIGNATURE_FORMAT_SMIME,
})  # fmt: skip
"""Formats in which no file's name is written."""
ONE_CONTENT = frozenset({
    messages.SIGNATURE_FORMAT_PADES,
    messages.SIGNATURE_FORMAT_CADES,
    messages.SIGNATURE_FORMAT_ASIC_S,
    messages.SIGNATURE_FORMAT_SMIME,
})  # fmt: skip
WITHOUT_CONTAINER = frozenset({messages.SIGNATURE_FORMAT_PADES, messages.SIGNATURE_FORMAT_SMIME})
"""A further signature of these formats is made on the signed document itself."""


class Roles(Protocol):
    """Says what each file is for, in the order in which they come."""

    def role(self, part: Part) -> messages.PartRole:
        """Return the file's role; raise PartOrder where it must not stand there."""

    def told(self, part: Part, role: messages.PartRole) -> bool:
        """Tell whether the header says all that is to be said of a first file."""

    def require_complete(self) -> None:
        """Raise PartOrder where a file is missing."""


class SigningRoles:
    """The files of a signing request."""

    def __init__(self, header: messages.SignDocumentHeader) -> None:
        """Take what was asked for: it decides which files may come."""
        self._header = header
        self._hash_only = header.HasField("content_digest")
        self._files = self._contents = 0

    def role(self, part: Part) -> messages.PartRole:
        """Return the file's role; raise PartOrder where it must not stand there."""
        first = self._files == 0
        self._files += 1
        match part.name:
            case "document" if not self._hash_only:
                self._contents += 1
                if self._contents == 1 or self._header.format not in ONE_CONTENT:
                    return messages.PART_ROLE_CONTENT
            case "signature" if self._header.format not in WITHOUT_CONTAINER:
                return messages.PART_ROLE_SIGNATURE
            case "image" if self._header.pdf.HasField("visible") and not first:
                return messages.PART_ROLE_IMAGE
        raise _not_expected(part, WHY_SIGN)

    def told(self, part: Part, role: messages.PartRole) -> bool:
        """Tell whether the header says all that is to be said of a first file."""
        return role == messages.PART_ROLE_CONTENT and not tells_more(part, self._header.format)

    def require_complete(self) -> None:
        """Raise PartOrder where there is nothing to sign."""
        if self._files == 0 and not self._hash_only:
            raise PartOrder(f"part 'document' is missing: {WHY_SIGN}", part="document")


class ExtensionRoles:
    """The files of an extension: the signed one, then what it signs where that is detached."""

    def __init__(self) -> None:
        """Wait for the signed file."""
        self._first = True

    def role(self, part: Part) -> messages.PartRole:
        """Return the file's role; raise PartOrder where it must not stand there."""
        first, self._first = self._first, False
        if first and part.name == "document":
            return messages.PART_ROLE_SIGNATURE
        if not first and part.name == "content":
            return messages.PART_ROLE_CONTENT
        raise _not_expected(part, WHY_EXTEND)

    def told(self, part: Part, role: messages.PartRole) -> bool:
        """Answer no: that it is a signed file, only its own message says."""
        del part, role
        return False

    def require_complete(self) -> None:
        """Raise PartOrder where the signed file did not come."""
        if self._first:
            raise PartOrder(f"part 'document' is missing: {WHY_EXTEND}", part="document")


def _not_expected(part: Part, why: str) -> PartOrder:
    return PartOrder(f"part {part.name!r} was not expected there: {why}", part=part.name)


async def read_request_part(parts: MultipartBody, why: str, maximum: int = MAX_REQUEST_PART) -> bytes:
    """Return the JSON of the first part, which must be the request."""
    part = await parts.require_part("request", why)
    if part.media_type not in {"", "application/json"}:
        raise UnsupportedMediaType("part 'request' must be application/json", part="request")
    return await part.read(maximum)


class FileStream:
    """One request's files on their way to the signer."""

    def __init__(self, parts: MultipartBody, roles: Roles, limits: LimitSettings) -> None:
        """Take the body behind its request part, and what its files may be."""
        self._parts = parts
        self._roles = roles
        self._limits = limits
        self._first: tuple[Part, messages.PartRole] | None = None
        self._size = 0

    async def open(self) -> str:
        """Read as far as the first file's head; return its name, "" where no file comes."""
        self._first = await self._next()
        return self._first[0].file_name if self._first is not None else ""

    async def _next(self) -> tuple[Part, messages.PartRole] | None:
        part = await self._parts.next_part()
        if part is None:
            self._roles.require_complete()
            return None
        return part, self._roles.role(part)

    async def requests(self, opening: M) -> AsyncIterator[M]:
        """Yield the stream, once; `opening` is the message with the header."""
        make = type(opening)
        yield opening
        file = self._first
        while file is not None:
            part, role = file
            if file is not self._first or not self._roles.told(part, role):
                yield make(next=document_part(part, role))
            async for piece in self._pieces(part, role):
                yield make(chunk=piece)
            # Before the signer is told that this was all: a body that goes on wrongly, or breaks off, signs nothing.
            file = await self._next()
        yield make(end=messages.DocumentEnd(size=self._size))

    async def _pieces(self, part: Part, role: messages.PartRole) -> AsyncIterator[bytes]:
        left = self._limits.max_document_bytes - self._size
        limit = min(left, self._limits.max_image_bytes) if role == messages.PART_ROLE_IMAGE else left
        received = 0
        async for piece in part.pieces(limit):
            received += len(piece)
            yield piece
        self._size += received


def tells_more(part: Part, signature_format: messages.SignatureFormat) -> bool:
    """Tell whether a first content needs a message of its own: its name is signed, or its media type says something."""
    if signature_format in NAMELESS:
        return part.media_type.lower() not in UNTOLD | {USUAL.get(signature_format)}
    return True


def document_part(part: Part, role: messages.PartRole) -> messages.DocumentPart:
    """Return what begins a file on the stream."""
    media_type = part.media_type.lower()
    return messages.DocumentPart(
        role=role, name=part.file_name, media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else ""
    )
