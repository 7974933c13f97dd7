"""/v1/documents: signatures raised to a higher level, and signatures over documents that stay with the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import Upstream, answer_document
from gateway.endpoint import Endpoint, idempotency_key, json_response
from gateway.fields import Fields, parse_object
from gateway.files import NAMELESS, WHY_EXTEND, ExtensionRoles, FileStream, read_request_part
from gateway.multipart import MultipartBody, safe_file_name
from gateway.routes import described
from gateway.routes.signatures import multipart_bytes
from gateway.signing import (
    MAX_DIGEST,
    context,
    detach,
    digest_algorithm,
    keep_content,
    level_options,
    read_header,
)
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import FieldInvalid

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub


class Documents:
    """Extends signatures; prepares and completes those over documents that the platform never sees."""

    def __init__(self, signer: SignerServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the signer."""
        self._signer = signer
        self._limits = limits
        self._timeout = limits.body_seconds + limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        scope = frozenset({"sign:document"})
        return (
            Endpoint("POST", "/v1/documents:extend", self.extend, described.EXTEND, scope),
            Endpoint("POST", "/v1/documents:prepare", self.prepare, described.PREPARE, scope),
            Endpoint("POST", "/v1/documents:complete", self.complete, described.COMPLETE, scope),
        )

    async def extend(self, request: Request, caller: Caller) -> Response:
        """Stream the signed file, and its content where that is detached; answer the extended file."""
        body.require_media_type(request, "multipart/form-data")
        pieces = body.pieces(request, multipart_bytes(self._limits), self._limits)
        parts = MultipartBody(request.headers["content-type"], pieces, 1 + self._limits.max_files)
        raw = await read_request_part(parts, WHY_EXTEND)
        header = read_extension(parse_object(raw, "part 'request'"))
        files = FileStream(parts, ExtensionRoles(), self._limits)
        header.file_name = await files.open()
        stream = files.requests(messages.ExtendDocumentRequest(header=header))
        call = cast("Upstream", self._signer.ExtendDocument(timeout=self._timeout, metadata=caller.metadata))
        return await answer_document(call, stream, header.file_name, "extended")

    async def prepare(self, request: Request, caller: Caller) -> Response:
        """Tell what to hash, and what to keep, to sign a document that stays with the caller."""
        fields = await self._fields(request)
        # Nothing is recorded, so that no idempotency key is needed.
        header = read_header(fields, "")
        fields.done()
        detach(header)
        answer = await self._signer.PrepareDocument(header, metadata=caller.metadata)
        return json_response(translate.prepared(answer))

    async def complete(self, request: Request, caller: Caller) -> Response:
        """Sign the digest of a document that stays with the caller; answer the signature container."""
        key = idempotency_key(request)
        fields = await self._fields(request)
        header = read_header(fields, key)
        header.file_name = safe_file_name(fields.optional_text("file_name", 255))
        digest = fields.binary("content_digest", MAX_DIGEST)
        # Taken so that what `prepare` told can be sent back; the signer has a clock of its own.
        fields.time("signing_time")
        fields.done()
        if not digest:
            raise FieldInvalid(
                "field 'content_digest' is required: the digest of what 'prepare' names, in base64",
                field="content_digest",
            )
        keep_content(header, digest)
        call = cast("Upstream", self._signer.SignDocument(timeout=self._timeout, metadata=caller.metadata))
        return await answer_document(call, _without_content(header), header.file_name)

    async def _fields(self, request: Request) -> Fields:
        body.require_media_type(request, "application/json")
        return parse_object(await body.read(request, self._limits.max_json_bytes, self._limits))


def read_extension(fields: Fields) -> messages.ExtendDocumentHeader:
    """Read the request part of an extension."""
    header = messages.ExtendDocumentHeader(
        level=fields.choice("level", translate.HIGHER_LEVELS),
        digest_algorithm=digest_algorithm(fields),
        level_options=level_options(fields),
        context=context(fields),
    )
    digest = fields.binary("content_digest", MAX_DIGEST)
    fields.done()
    if digest is not None:
        header.content_digest = digest
    return header


async def _without_content(
    header: messages.SignDocumentHeader,
) -> AsyncIterator[messages.SignDocumentRequest]:
    yield messages.SignDocumentRequest(header=header)
    if header.file_name and header.format not in NAMELESS:
        name = messages.DocumentPart(role=messages.PART_ROLE_CONTENT, name=header.file_name)
        yield messages.SignDocumentRequest(next=name)
    yield messages.SignDocumentRequest(end=messages.DocumentEnd(size=0))
