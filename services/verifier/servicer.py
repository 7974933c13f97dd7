"""VerifierService: the contract's messages on one side, the worker pool and its reports on the other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import verifier_pb2, verifier_pb2_grpc
from services.kernel.errors import BodyTooLarge, FieldInvalid, Overloaded, PartOrder
from services.verifier.config import LimitSettings
from services.verifier.egress_time_stamps import TimeStampRelay
from services.verifier.evidence import EvidenceCollector, sentence
from services.verifier.metrics import VerifierMetrics
from services.verifier.ports import SubmittedDocument, TrustMaterial, TrustSource
from services.verifier.workers import WorkerPool

MAX_CHUNK_BYTES = 256 * 1024
_INDICATIONS = {
    "TOTAL-PASSED": verifier_pb2.INDICATION_TOTAL_PASSED,
    "TOTAL-FAILED": verifier_pb2.INDICATION_TOTAL_FAILED,
    "INDETERMINATE": verifier_pb2.INDICATION_INDETERMINATE,
}
_VERDICTS = {
    "valid": verifier_pb2.VERDICT_VALID,
    "invalid": verifier_pb2.VERDICT_INVALID,
    "indeterminate": verifier_pb2.VERDICT_INDETERMINATE,
    "malformed": verifier_pb2.VERDICT_MALFORMED,
    "unsigned": verifier_pb2.VERDICT_UNSIGNED,
}


@dataclass(slots=True)
class _Received:
    """The stream's parts as they come in."""

    header: verifier_pb2.VerifyDocumentHeader | None = None
    document: bytearray = field(default_factory=bytearray)
    detached: bytearray = field(default_factory=bytearray)

    def submitted(self) -> SubmittedDocument:
        """The document, once the stream has ended. Raises PartOrder, FieldInvalid."""
        if self.header is None:
            raise PartOrder("the stream was empty; send the header first, then the document")
        if not self.document:
            raise FieldInvalid("the document is empty", field="chunk")
        return SubmittedDocument(bytes(self.document), bytes(self.detached) if self.header.detached else None)


@dataclass(frozen=True, slots=True)
class Outside:
    """What asks hosts outside for the signer."""

    evidence: EvidenceCollector
    time_stamps: TimeStampRelay


class VerifierServicer(verifier_pb2_grpc.VerifierServiceServicer):
    """Receives documents within the limits, has them judged, and answers the reports."""

    def __init__(
        self,
        pool: WorkerPool,
        trust: TrustSource,
        limits: LimitSettings,
        metrics: VerifierMetrics,
        clock: Callable[[], datetime],
        outside: Outside,
    ) -> None:
        """`clock` answers aware UTC: it is the time of validation."""
        self._outside = outside
        self._pool, self._trust, self._limits = pool, trust, limits
        self._metrics, self._clock = metrics, clock
        self._buffered = 0

    async def VerifyDocument(
        self,
        request_iterator: AsyncIterator[verifier_pb2.VerifyDocumentRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> verifier_pb2.VerifyDocumentResponse:
        """Judge one document. Bad documents are verdicts, not errors; errors are for bad calls and lack of means."""
        with self._buffer() as received:
            async for message in request_iterator:
                self._take(received, message)
            document = received.submitted()
            integrity_only = bool(received.header and received.header.integrity_only)
            started = time.perf_counter()
            trust = TrustMaterial() if integrity_only else await self._trust.current()
            report = await self._pool.judge(document, trust, self._clock(), integrity_only=integrity_only)
        self._metrics.seconds.observe(time.perf_counter() - started)
        self._metrics.count(report)
        return response(report)

    async def CollectEvidence(
        self,
        request: verifier_pb2.CollectEvidenceRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> verifier_pb2.CollectEvidenceResponse:
        """Collect evidence; what could not be had is in the answer with its reason."""
        found = await self._outside.evidence.collect(request.certificates)
        return verifier_pb2.CollectEvidenceResponse(
            certificates=[certificate.der for certificate in found.certificates],
            crls=found.crls,
            ocsp_responses=found.ocsp_responses,
            missing=[
                verifier_pb2.MissingEvidence(
                    certificate_sha256=bytes.fromhex(one.certificate.sha256),
                    reason=one.reason,
                    detail=sentence(one),
                )
                for one in found.missing
            ],
        )

    async def RequestTimeStamp(
        self,
        request: verifier_pb2.RequestTimeStampRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> verifier_pb2.RequestTimeStampResponse:
        """Relay a time-stamp request."""
        answer = await self._outside.time_stamps.request(request.authority, request.request)
        return verifier_pb2.RequestTimeStampResponse(response=answer)

    @contextmanager
    def _buffer(self) -> Iterator[_Received]:
        received = _Received()
        try:
            yield received
        finally:
            self._buffered -= len(received.document) + len(received.detached)

    def _take(self, received: _Received, message: verifier_pb2.VerifyDocumentRequest) -> None:
        part = message.WhichOneof("part")
        if part == "header":
            if received.header is not None:
                raise PartOrder("the header came twice; send it once, first")
            received.header = message.header
            return
        if received.header is None:
            raise PartOrder("the header must come first")
        if part == "chunk":
            if received.detached:
                raise PartOrder("the document must come before the detached content")
            self._append(received.document, message.chunk, "chunk")
        elif part == "detached_chunk":
            if not received.header.detached:
                raise PartOrder("detached content came, but the header does not announce it")
            self._append(received.detached, message.detached_chunk, "detached_chunk")
        else:
            raise FieldInvalid("a message of the stream is empty", field="part")

    def _append(self, target: bytearray, chunk: bytes, name: str) -> None:
        if not 0 < len(chunk) <= MAX_CHUNK_BYTES:
            raise FieldInvalid(f"a chunk must have 1 to {MAX_CHUNK_BYTES} bytes", field=name)
        limit = self._limits.max_document_bytes
        if len(target) + len(chunk) > limit:
            raise BodyTooLarge(f"the document is larger than {limit} bytes", limit=limit)
        if self._buffered + len(chunk) > self._limits.max_buffered_bytes:
            raise Overloaded("too many documents are under way; try again in a few seconds")
        target += chunk
        self._buffered += len(chunk)


def response(report: dict[str, Any]) -> verifier_pb2.VerifyDocumentResponse:
    """A report in the contract's words."""
    return verifier_pb2.VerifyDocumentResponse(
        verdict=_VERDICTS[report["verdict"]],
        clean=report["clean"],
        signatures=[_signature(entry) for entry in report["signatures"]],
        document_sha256=bytes.fromhex(report["sha256"]),
        validated_at=_time(report["checked_at"]),
        sentence_vi=report["sentence"]["vi"],
        sentence_en=report["sentence"]["en"],
        integrity_only=report["integrity_only"],
    )


def _signature(entry: dict[str, Any]) -> verifier_pb2.SignatureReport:
    coverage, status = entry["coverage"], entry["status"]
    return verifier_pb2.SignatureReport(
        name=entry["name"],
        format=entry["format"],
        indication=_INDICATIONS[entry["indication"]],
        sub_indication=entry["sub_indication"] or "",
        integrity=entry["integrity"],
        signer=_certificate(entry["signer"]) if entry["signer"] else None,
        path=[_certificate(certificate) for certificate in entry["path"]],
        claimed_signing_time=_time(entry["signing_time"]["claimed"]),
        best_signing_time=_time(entry["signing_time"]["best"]),
        algorithm=entry["signature_algorithm"],
        coverage=verifier_pb2.Coverage(
            kind=coverage["kind"],
            covered_bytes=coverage["covered_bytes"],
            total_bytes=coverage["total_bytes"],
            revision=coverage["revision"],
        ),
        later_changes=[
            verifier_pb2.LaterChange(
                revision=change["revision"],
                kind=change["kind"],
                allowed=change["allowed"],
                description=change["touches"],
            )
            for change in coverage["later"]
        ],
        status_source=verifier_pb2.StatusSource(
            kind=status["source"], produced_at=_time(status["produced_at"])
        ),
        warnings=[
            verifier_pb2.Warning(code=warning["code"], vi=warning["vi"], en=warning["en"])
            for warning in entry["warnings"]
        ],
        sentence_vi=entry["sentence"]["vi"],
        sentence_en=entry["sentence"]["en"],
        clean=entry["clean"],
    )


def _certificate(entry: dict[str, Any]) -> verifier_pb2.CertificateSummary:
    return verifier_pb2.CertificateSummary(
        subject=entry["subject"],
        issuer=entry["issuer"],
        common_name=entry["common_name"],
        organization=entry["organization"],
        title=entry["title"],
        email=entry["email"],
        identifiers=[
            verifier_pb2.SubjectIdentifier(type=i["kind"], value=i["value"], malformed=not i["well_formed"])
            for i in entry["identifiers"]
        ],
        serial_number=entry["serial"],
        sha256=bytes.fromhex(entry["sha256"]),
        not_before=_time(entry["not_before"]),
        not_after=_time(entry["not_after"]),
    )


def _time(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp
