"""POST /v1/verifications: every signature of one document, judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import Upstream, forward
from gateway.endpoint import Endpoint, flag, json_response, query
from gateway.multipart import MultipartBody, safe_file_name
from kyso.v1 import verifier_pb2 as messages
from services.kernel.errors import PartOrder

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.verifier_pb2_grpc import VerifierServiceAsyncStub

RAW_TYPES = (
    "application/pdf",
    "application/pkcs7-signature",
    "application/pkcs7-mime",
    "application/octet-stream",
)
MAX_DETACHED_SIGNATURE = 1024 * 1024
"""The verifier must be told at once whether detached content follows, and a multipart body tells only after the
first part: so much of that part waits here. A detached signature is smaller; what is larger is a document."""
MULTIPART_OVERHEAD = 64 * 1024
MAX_PARTS = 4
"""One more than may stand there would do; some more let the answer say which one is wrong."""
WHY = (
    "send part 'document' (the signed document or the signature) first, then part 'detached' if there is one"
)


class Verifications:
    """Verifies documents."""

    def __init__(self, verifier: VerifierServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the verifier."""
        self._verifier = verifier
        self._limits = limits
        self._timeout = limits.body_seconds + limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (Endpoint("POST", "/v1/verifications", self.verify, _VERIFY, frozenset({"verify"})),)

    async def verify(self, request: Request, caller: Caller) -> Response:
        """Stream the document, and the detached content if any, to the verifier; answer its report."""
        parameters = query(request, "integrity_only", "file_name")
        header = messages.VerifyDocumentHeader(
            integrity_only=flag(parameters, "integrity_only"),
            file_name=safe_file_name(parameters.get("file_name", "")),
        )
        given = body.require_media_type(request, "multipart/form-data", *RAW_TYPES)
        maximum = self._limits.max_document_bytes
        if given == "multipart/form-data":
            pieces = body.pieces(request, 2 * maximum + MULTIPART_OVERHEAD, self._limits)
            requests = self._of_parts(
                header, MultipartBody(request.headers["content-type"], pieces, MAX_PARTS)
            )
        else:
            requests = _of_bytes(header, body.pieces(request, maximum, self._limits))
        call = self._verifier.VerifyDocument(timeout=self._timeout, metadata=caller.metadata)
        await forward(cast("Upstream", call), requests)
        return json_response(translate.verification(await call))

    async def _of_parts(
        self, header: messages.VerifyDocumentHeader, parts: MultipartBody
    ) -> AsyncIterator[messages.VerifyDocumentRequest]:
        maximum = self._limits.max_document_bytes
        document = await parts.require_part("document", WHY)
        header.file_name = header.file_name or document.file_name
        waiting: list[bytes] | None = []
        waiting_bytes = 0
        async for piece in document.pieces(maximum):
            if waiting is None:
                yield messages.VerifyDocumentRequest(chunk=piece)
                continue
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes > MAX_DETACHED_SIGNATURE:
                for message in _head(header, waiting):
                    yield message
                waiting = None
        detached = await parts.next_part()
        if detached is not None and detached.name != "detached":
            raise PartOrder(f"part {detached.name!r} was not expected: {WHY}", part=detached.name)
        if detached is not None and waiting is None:
            raise PartOrder(
                f"part 'document' is larger than {MAX_DETACHED_SIGNATURE} bytes, so it is no detached signature: {WHY}",
                part="document",
                limit=MAX_DETACHED_SIGNATURE,
            )
        header.detached = detached is not None
        for message in _head(header, waiting) if waiting is not None else ():
            yield message
        if detached is not None:
            async for piece in detached.pieces(maximum):
                yield messages.VerifyDocumentRequest(detached_chunk=piece)
            await parts.require_end(WHY)


def _head(header: messages.VerifyDocumentHeader, pieces: list[bytes]) -> list[messages.VerifyDocumentRequest]:
    return [
        messages.VerifyDocumentRequest(header=header),
        *(messages.VerifyDocumentRequest(chunk=piece) for piece in pieces),
    ]


async def _of_bytes(
    header: messages.VerifyDocumentHeader, pieces: AsyncIterator[bytes]
) -> AsyncIterator[messages.VerifyDocumentRequest]:
    yield messages.VerifyDocumentRequest(header=header)
    async for piece in pieces:
        yield messages.VerifyDocumentRequest(chunk=piece)


_VERIFY = openapi.operation(
    "verification",
    "Verify a document",
    {
        "200": openapi.json_answer(
            "Verification", "The report; an invalid signature is an answer, not an error."
        )
    },
    body={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"document": {}, "detached": {}},
                    "required": ["document"],
                }
            },
            **{media_type: {} for media_type in RAW_TYPES},
        },
    },
    parameters=[
        openapi.parameter("integrity_only", "Leave trust out.", {"type": "boolean", "default": False}),
        openapi.parameter("file_name", "File name as the caller knows it."),
    ],
    description="Part `document` first; part `detached` holds the content of a detached signature.",
)
