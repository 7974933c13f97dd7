"""/v1/signatures and /v1/uploads: documents signed at once or later, and documents kept for jobs on the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import (
    DocumentResponse,
    Upstream,
    answer_document,
    document_headers,
    first_message,
    forward,
    signed_name,
)
from gateway.endpoint import Endpoint, idempotency_key, json_response, query
from gateway.fields import parse_object
from gateway.files import MAX_REQUEST_PART, WHY_SIGN, FileStream, SigningRoles, read_request_part
from gateway.multipart import MultipartBody, safe_file_name
from gateway.routes import described
from gateway.signing import read_request
from kyso.v1 import signer_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub

PART_BYTES = 2 * 1024
"""What the head of one file may add to a body."""


def multipart_bytes(limits: LimitSettings) -> int:
    """Return how large a multipart body may be: its files, the request part, heads and boundaries."""
    return limits.max_document_bytes + MAX_REQUEST_PART + 64 * 1024 + limits.max_files * PART_BYTES


class Signatures:
    """Signs documents; tells where operations stand; gives signed documents back."""

    def __init__(self, signer: SignerServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the signer."""
        self._signer = signer
        self._limits = limits
        self._timeout = limits.body_seconds + limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        document = frozenset({"sign:document"})
        either = frozenset({"sign:document", "sign:hash"})
        return (
            Endpoint("POST", "/v1/signatures", self.sign, described.SIGN, document),
            Endpoint("GET", "/v1/signatures/{id}", self.show, described.SHOW, either),
            Endpoint("GET", "/v1/signatures/{id}/document", self.fetch, described.FETCH, document),
            Endpoint("POST", "/v1/uploads", self.upload, described.UPLOAD, document),
        )

    async def sign(self, request: Request, caller: Caller) -> Response:
        """Stream the files to the signer; answer the signed document, or 202 where it is signed later."""
        key = idempotency_key(request)
        body.require_media_type(request, "multipart/form-data")
        pieces = body.pieces(request, multipart_bytes(self._limits), self._limits)
        parts = MultipartBody(request.headers["content-type"], pieces, 1 + self._limits.max_files)
        raw = await read_request_part(parts, WHY_SIGN)
        asked = read_request(parse_object(raw, "part 'request'"), key)
        files = FileStream(parts, SigningRoles(asked.header), self._limits)
        asked.header.file_name = await files.open()
        stream = files.requests(messages.SignDocumentRequest(header=asked.header))
        if asked.mode == "async":
            return await self._submit(stream, caller)
        call = cast("Upstream", self._signer.SignDocument(timeout=self._timeout, metadata=caller.metadata))
        return await answer_document(call, stream, asked.header.file_name)

    async def _submit(self, stream: AsyncIterator[messages.SignDocumentRequest], caller: Caller) -> Response:
        call = self._signer.SubmitDocument(timeout=self._timeout, metadata=caller.metadata)
        await forward(cast("Upstream", call), stream)
        answer = await call
        url = f"/v1/signatures/{answer.operation_id}"
        accepted = {"operation_id": answer.operation_id, "status_url": url, "replayed": answer.replayed}
        return json_response(accepted, 202, {"Location": url, "X-Kyso-Operation-Id": answer.operation_id})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Tell where an operation stands."""
        query(request)
        answer = await self._signer.GetOperation(
            messages.GetOperationRequest(operation_id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(translate.operation(answer))

    async def fetch(self, request: Request, caller: Caller) -> Response:
        """Stream the signed document of an operation that was accepted to be signed later."""
        query(request)
        identifier = request.path_params["id"]
        operation = await self._signer.GetOperation(
            messages.GetOperationRequest(operation_id=identifier), metadata=caller.metadata
        )
        call = cast(
            "Upstream",
            self._signer.FetchDocument(
                messages.FetchDocumentRequest(operation_id=identifier),
                timeout=self._timeout,
                metadata=caller.metadata,
            ),
        )
        result = await first_message(call)
        name = signed_name(safe_file_name(operation.file_name), result.media_type)
        headers = {**document_headers(result, name), "X-Kyso-Operation-Id": identifier}
        return DocumentResponse(call, result.size, result.media_type, headers)

    async def upload(self, request: Request, caller: Caller) -> Response:
        """Keep a document for a job that the client itself publishes on the bus."""
        body.require_media_type(request, "application/octet-stream", "application/pdf")
        name = safe_file_name(query(request, "file_name").get("file_name", ""))
        pieces = body.pieces(request, self._limits.max_document_bytes, self._limits)
        call = self._signer.UploadDocument(timeout=self._timeout, metadata=caller.metadata)

        async def requests() -> AsyncIterator[messages.UploadDocumentRequest]:
            yield messages.UploadDocumentRequest(header=messages.UploadDocumentHeader(file_name=name))
            size = 0
            async for piece in pieces:
                size += len(piece)
                yield messages.UploadDocumentRequest(chunk=piece)
            yield messages.UploadDocumentRequest(end=messages.DocumentEnd(size=size))

        await forward(cast("Upstream", call), requests())
        return json_response(translate.upload(await call), 201)
