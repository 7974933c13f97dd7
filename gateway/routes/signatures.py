"""/v1/signatures and /v1/uploads: documents signed at once or later, and documents kept for jobs on the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, schemas, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import (
    DocumentResponse,
    Upstream,
    content_disposition,
    first_message,
    forward,
    signed_name,
)
from gateway.endpoint import Endpoint, idempotency_key, json_response, query
from gateway.fields import Fields, parse_object
from gateway.multipart import MultipartBody, Part, safe_file_name
from gateway.problems import UnsupportedMediaType
from kyso.v1 import common_pb2 as common
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import AlgorithmUnknown, FieldInvalid

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub

MAX_REQUEST_PART = 64 * 1024
MULTIPART_OVERHEAD = MAX_REQUEST_PART + 64 * 1024
"""What a multipart body may be larger than its document: the request part, boundaries, headers."""
WHY = "send part 'request' (application/json) first, then part 'document', and no other"
MODES = {"sync": "sync", "async": "async"}


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
            Endpoint("POST", "/v1/signatures", self.sign, _SIGN, document),
            Endpoint("GET", "/v1/signatures/{id}", self.show, _SHOW, either),
            Endpoint("GET", "/v1/signatures/{id}/document", self.fetch, _FETCH, document),
            Endpoint("POST", "/v1/uploads", self.upload, _UPLOAD, document),
        )

    async def sign(self, request: Request, caller: Caller) -> Response:
        """Stream the document to the signer; answer the signed one, or 202 where it is signed later."""
        key = idempotency_key(request)
        body.require_media_type(request, "multipart/form-data")
        limit = self._limits.max_document_bytes + MULTIPART_OVERHEAD
        pieces = body.pieces(request, limit, self._limits)
        parts = MultipartBody(request.headers["content-type"], pieces)
        asked = await parts.require_part("request", WHY)
        if asked.media_type not in {"", "application/json"}:
            raise UnsupportedMediaType("part 'request' must be application/json", part="request")
        header, mode = read_header(parse_object(await asked.read(MAX_REQUEST_PART), "part 'request'"), key)
        document = await parts.require_part("document", WHY)
        header.file_name = document.file_name
        if mode == "async":
            return await self._submit(header, parts, document, caller)
        return await self._sign(header, parts, document, caller)

    async def _sign(
        self, header: messages.SignDocumentHeader, parts: MultipartBody, document: Part, caller: Caller
    ) -> Response:
        call = cast("Upstream", self._signer.SignDocument(timeout=self._timeout, metadata=caller.metadata))
        await forward(call, self._requests(header, parts, document))
        result = await first_message(call)
        name = signed_name(header.file_name, result.media_type)
        return DocumentResponse(
            call,
            result.size,
            result.media_type,
            {"X-Kyso-Operation-Id": result.operation_id, "Content-Disposition": content_disposition(name)},
        )

    async def _submit(
        self, header: messages.SignDocumentHeader, parts: MultipartBody, document: Part, caller: Caller
    ) -> Response:
        call = self._signer.SubmitDocument(timeout=self._timeout, metadata=caller.metadata)
        await forward(cast("Upstream", call), self._requests(header, parts, document))
        answer = await call
        url = f"/v1/signatures/{answer.operation_id}"
        accepted = {"operation_id": answer.operation_id, "status_url": url, "replayed": answer.replayed}
        return json_response(accepted, 202, {"Location": url, "X-Kyso-Operation-Id": answer.operation_id})

    async def _requests(
        self, header: messages.SignDocumentHeader, parts: MultipartBody, document: Part
    ) -> AsyncIterator[messages.SignDocumentRequest]:
        yield messages.SignDocumentRequest(header=header)
        size = 0
        async for piece in document.pieces(self._limits.max_document_bytes):
            size += len(piece)
            yield messages.SignDocumentRequest(chunk=piece)
        # Before the signer is told that this was all: a body that goes on, or breaks off, signs nothing.
        await parts.require_end(WHY)
        yield messages.SignDocumentRequest(end=messages.DocumentEnd(size=size))

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
        return DocumentResponse(
            call,
            result.size,
            result.media_type,
            {"X-Kyso-Operation-Id": identifier, "Content-Disposition": content_disposition(name)},
        )

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


def read_header(fields: Fields, key: str) -> tuple[messages.SignDocumentHeader, str]:
    """Read the request part; return the header for the signer and the mode "sync" or "async"."""
    mode = fields.choice("mode", MODES, default="sync")
    header = messages.SignDocumentHeader(
        credential_id=fields.text("credential_id", 64),
        idempotency_key=key,
        format=fields.choice("format", translate.FORMATS),
        level=fields.choice("level", translate.LEVELS, default=messages.SIGNATURE_LEVEL_B_B),
        packaging=fields.choice(
            "packaging", translate.PACKAGINGS, default=messages.SIGNATURE_PACKAGING_UNSPECIFIED
        ),
        digest_algorithm=fields.choice(
            "digest_algorithm",
            translate.DIGEST_ALGORITHMS,
            default=common.DIGEST_ALGORITHM_SHA256,
            error=AlgorithmUnknown,
        ),
        scheme=fields.choice(
            "scheme",
            translate.SCHEMES,
            default=common.SIGNATURE_SCHEME_UNSPECIFIED,
            error=AlgorithmUnknown,
        ),
        context=messages.SigningContext(
            document_type=fields.optional_text("document_type"),
            label=fields.choice("label", translate.LABELS, default=common.SECRECY_LABEL_UNSPECIFIED),
            reference=fields.optional_text("reference"),
        ),
        reason=fields.optional_text("reason"),
        location=fields.optional_text("location"),
        field_name=fields.optional_text("field_name"),
    )
    fields.done()
    if header.format == messages.SIGNATURE_FORMAT_CADES and (
        header.reason or header.location or header.field_name
    ):
        raise FieldInvalid(
            "reason, location and field_name belong to PAdES; a CMS signature has no place for them",
            field="format",
        )
    return header, mode


_SIGN = openapi.operation(
    "signing",
    "Sign a document",
    {
        "200": {
            **openapi.binary_answer(
                "The signed document, or the detached signature.",
                "application/pdf",
                "application/pkcs7-signature",
            ),
            "headers": {
                "X-Kyso-Operation-Id": {"description": "Receipt.", "schema": schemas.text("Id.")},
                "Content-Disposition": {"description": "File name.", "schema": schemas.text("Name.")},
            },
        },
        "202": openapi.json_answer("Accepted", "Recorded; it is signed later (mode async)."),
        "422": {"$ref": "#/components/responses/Problem422"},
    },
    body={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"request": schemas.ref("SignatureRequest"), "document": {}},
                    "required": ["request", "document"],
                },
                "encoding": {
                    "request": {"contentType": "application/json"},
                    "document": {"contentType": "application/pdf, application/octet-stream"},
                },
            }
        },
    },
    parameters=[openapi.IDEMPOTENCY_KEY],
    description="Part `request` must come first, then part `document`. The document is never held whole on its way.",
)
_SHOW = openapi.operation(
    "signing", "Tell where an operation stands", {"200": openapi.json_answer("Operation", "The operation.")}
)
_FETCH = openapi.operation(
    "signing",
    "Fetch the signed document",
    {
        "200": openapi.binary_answer("The document.", "application/pdf", "application/pkcs7-signature"),
        "409": {"$ref": "#/components/responses/Problem409"},
    },
)
_UPLOAD = openapi.operation(
    "signing",
    "Keep a document for a job on the bus",
    {"201": openapi.json_answer("Upload", "Kept until it is named or its time is over.")},
    body={
        "required": True,
        "content": {"application/octet-stream": {}, "application/pdf": {}},
    },
    parameters=[openapi.parameter("file_name", "File name as the caller knows it.")],
)
