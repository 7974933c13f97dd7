"""/v1/evidence: what verifications went by, where a client had it kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from grpc.aio import EOF
from starlette.requests import Request
from starlette.responses import Response

from gateway import verdicts
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import DocumentResponse, Upstream, content_disposition
from gateway.endpoint import Endpoint, json_response, page, query
from gateway.routes import described_verifications as described
from kyso.v1 import registry_pb2 as messages
from services.kernel.errors import FieldInvalid, NotFound, ServiceUnavailable

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import EvidenceServiceAsyncStub

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SCOPES = frozenset({"verify"})
_NAMES = {
    "report": "report.json",
    "certificate": "certificate.cer",
    "crl": "list.crl",
    "ocsp_response": "response.ors",
    "time_stamp": "token.tst",
}


class Evidence:
    """The evidence that the caller's own agency keeps."""

    def __init__(self, registry: EvidenceServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the registry."""
        self._registry = registry
        self._timeout = limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        one = "/v1/evidence/{id}"
        return (
            Endpoint("GET", "/v1/evidence", self.list, described.LIST, _SCOPES),
            Endpoint("GET", one, self.show, described.SHOW, _SCOPES),
            Endpoint("GET", one + "/files/{digest}", self.fetch, described.FETCH, _SCOPES),
            Endpoint("DELETE", one, self.delete, described.DELETE, _SCOPES),
        )

    async def list(self, request: Request, caller: Caller) -> Response:
        """List what is kept."""
        given = query(request, "document_sha256", "reference", "page_size", "page_token")
        digest = given.get("document_sha256", "")
        if digest and not _SHA256.fullmatch(digest):
            raise FieldInvalid(
                "query parameter 'document_sha256' must be 64 hexadecimal digits", field="document_sha256"
            )
        answer = await self._registry.ListEvidence(
            messages.ListEvidenceRequest(
                document_sha256=bytes.fromhex(digest), reference=given.get("reference", ""), **page(given)
            ),
            metadata=caller.metadata,
        )
        rows = [verdicts.evidence(row, files=False) for row in answer.evidence]
        return json_response({"evidence": rows, "next_page_token": answer.next_page_token or None})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Answer what is kept under an id."""
        query(request)
        row = await self._registry.GetEvidence(
            messages.GetEvidenceRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(verdicts.evidence(row))

    async def fetch(self, request: Request, caller: Caller) -> Response:
        """Stream one kept file."""
        query(request)
        digest = request.path_params["digest"]
        if not _SHA256.fullmatch(digest):
            raise NotFound("a file is named by its SHA-256, 64 hexadecimal digits")
        asked = messages.FetchEvidenceFileRequest(id=request.path_params["id"], sha256=bytes.fromhex(digest))
        call = cast(
            "Upstream",
            self._registry.FetchEvidenceFile(asked, timeout=self._timeout, metadata=caller.metadata),
        )
        answer = await call.read()
        if answer is EOF or not answer.HasField("file"):
            call.cancel()
            raise ServiceUnavailable("the registry ended its answer before it began; ask again")
        kind = verdicts.KEPT_KINDS.get(answer.file.kind, "report")
        headers = {"Content-Disposition": content_disposition(_NAMES[kind])}
        return DocumentResponse(call, answer.file.size, verdicts.MEDIA_TYPES[kind], headers)

    async def delete(self, request: Request, caller: Caller) -> Response:
        """Delete what is kept, for good."""
        query(request)
        await self._registry.DeleteEvidence(
            messages.DeleteEvidenceRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
