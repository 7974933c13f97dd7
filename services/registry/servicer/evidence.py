"""EvidenceService: streams in and out, every call by a client's access token."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import BodyTooLarge, FieldInvalid, Overloaded, PartOrder
from services.registry.domain.evidence import (
    MAX_FILES,
    Evidence,
    EvidenceFile,
    EvidenceFilter,
    EvidenceKind,
    NewEvidence,
)
from services.registry.domain.paging import Page
from services.registry.service.evidence import EvidenceService
from services.registry.service.tokens import TokenService
from services.registry.servicer import convert
from services.registry.servicer.bearer import Context, caller_of

MAX_CHUNK_BYTES = 256 * 1024
_KINDS = {
    registry_pb2.EVIDENCE_FILE_KIND_REPORT: EvidenceKind.REPORT,
    registry_pb2.EVIDENCE_FILE_KIND_CERTIFICATE: EvidenceKind.CERTIFICATE,
    registry_pb2.EVIDENCE_FILE_KIND_CRL: EvidenceKind.CRL,
    registry_pb2.EVIDENCE_FILE_KIND_OCSP_RESPONSE: EvidenceKind.OCSP_RESPONSE,
    registry_pb2.EVIDENCE_FILE_KIND_TIME_STAMP: EvidenceKind.TIME_STAMP,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """Most bytes of one verification's evidence, and of all that is coming in at once."""

    evidence_bytes: int
    buffered_bytes: int


@dataclass(slots=True)
class _Received:
    header: registry_pb2.KeepEvidenceHeader | None = None
    files: list[tuple[EvidenceFile, bytearray]] = field(default_factory=list)
    size: int = 0


class EvidenceServicer(registry_pb2_grpc.EvidenceServiceServicer):
    """Proto in, use case, proto out."""

    def __init__(self, tokens: TokenService, evidence: EvidenceService, limits: EvidenceLimits) -> None:
        """Bind the use cases and the limits."""
        self._tokens, self._evidence, self._limits = tokens, evidence, limits
        self._buffered = 0

    async def KeepEvidence(
        self, request_iterator: AsyncIterator[registry_pb2.KeepEvidenceRequest], context: Context
    ) -> registry_pb2.Evidence:
        """Keep what a verification went by."""
        caller = caller_of(self._tokens, context)
        received = _Received()
        try:
            async for message in request_iterator:
                self._take(received, message)
            return _written(await self._evidence.keep(caller, _new(received)))
        finally:
            self._buffered -= received.size

    def _take(self, received: _Received, message: registry_pb2.KeepEvidenceRequest) -> None:
        part = message.WhichOneof("part")
        if part == "header":
            if received.header is not None:
                raise PartOrder("the header came twice; send it once, first")
            received.header = message.header
        elif received.header is None:
            raise PartOrder("the header must come first")
        elif part == "file":
            if len(received.files) >= MAX_FILES:
                raise FieldInvalid(f"evidence has at most {MAX_FILES} files", field="file")
            received.files.append((_file(message.file), bytearray()))
        elif part == "chunk" and received.files:
            self._append(received, message.chunk)
        else:
            raise PartOrder("the stream has the header first, then each file begun by `file`")

    def _append(self, received: _Received, chunk: bytes) -> None:
        file, data = received.files[-1]
        if not 0 < len(chunk) <= MAX_CHUNK_BYTES or len(data) + len(chunk) > file.size:
            raise FieldInvalid("a chunk is empty, too large, or more than its file announced", field="chunk")
        limit = self._limits.evidence_bytes
        if received.size + len(chunk) > limit:
            raise BodyTooLarge(f"the evidence is larger than {limit} bytes", limit=limit)
        if self._buffered + len(chunk) > self._limits.buffered_bytes:
            raise Overloaded("too much evidence is coming in at once; try again in a few seconds")
        data += chunk
        received.size += len(chunk)
        self._buffered += len(chunk)

    async def GetEvidence(
        self, request: registry_pb2.GetEvidenceRequest, context: Context
    ) -> registry_pb2.Evidence:
        """Answer what is kept under an id."""
        return _written(await self._evidence.get(caller_of(self._tokens, context), request.id))

    async def ListEvidence(
        self, request: registry_pb2.ListEvidenceRequest, context: Context
    ) -> registry_pb2.ListEvidenceResponse:
        """List what the caller's agency keeps."""
        caller, page = (
            caller_of(self._tokens, context),
            Page.parse(request.page_size, request.page_token),
        )
        wanted = EvidenceFilter(request.document_sha256, request.reference)
        found = await self._evidence.list_own(caller, wanted, page)
        return registry_pb2.ListEvidenceResponse(
            evidence=[_written(one) for one in found.rows], next_page_token=found.next_token
        )

    async def FetchEvidenceFile(
        self, request: registry_pb2.FetchEvidenceFileRequest, context: Context
    ) -> AsyncIterator[registry_pb2.FetchEvidenceFileResponse]:
        """Answer one kept file."""
        caller = caller_of(self._tokens, context)
        file, data = await self._evidence.file(caller, request.id, request.sha256)
        yield registry_pb2.FetchEvidenceFileResponse(file=_written_file(file))
        for offset in range(0, len(data), MAX_CHUNK_BYTES):
            yield registry_pb2.FetchEvidenceFileResponse(chunk=data[offset : offset + MAX_CHUNK_BYTES])

    async def DeleteEvidence(
        self, request: registry_pb2.DeleteEvidenceRequest, context: Context
    ) -> registry_pb2.DeleteEvidenceResponse:
        """Delete what is kept."""
        await self._evidence.delete(caller_of(self._tokens, context), request.id)
        return registry_pb2.DeleteEvidenceResponse()


def _file(message: registry_pb2.EvidenceFile) -> EvidenceFile:
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise FieldInvalid("kind is required, and must be one that this service knows", field="kind")
    if len(message.sha256) != 32 or message.size <= 0:
        raise FieldInvalid("a file needs its SHA-256, 32 bytes, and its size", field="file")
    return EvidenceFile(kind, message.sha256, message.size)


def _new(received: _Received) -> NewEvidence:
    header = received.header
    if header is None or not received.files:
        raise PartOrder("the stream needs a header and at least one file")
    for file, data in received.files:
        if len(data) != file.size or hashlib.sha256(data).digest() != file.sha256:
            raise FieldInvalid("a file is not what its size and SHA-256 say", field="file")
    return NewEvidence(
        document_sha256=header.document_sha256,
        verdict=header.verdict,
        validated_at=convert.moment(header.validated_at, "validated_at"),
        outcome_sha256=header.outcome_sha256,
        reference=header.reference,
        files=tuple((file, bytes(data)) for file, data in received.files),
    )


def _written(evidence: Evidence) -> registry_pb2.Evidence:
    return registry_pb2.Evidence(
        id=evidence.id,
        agency_id=evidence.agency_id,
        client_id=evidence.client_id,
        document_sha256=evidence.document_sha256,
        verdict=evidence.verdict,
        validated_at=convert.timestamp(evidence.validated_at),
        kept_at=convert.timestamp(evidence.kept_at),
        reference=evidence.reference,
        files=[_written_file(file) for file in evidence.files],
    )


def _written_file(file: EvidenceFile) -> registry_pb2.EvidenceFile:
    return registry_pb2.EvidenceFile(kind=_KIND_NUMBERS[file.kind], sha256=file.sha256, size=file.size)
