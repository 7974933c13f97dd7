"""VerifierService: the contract's messages on one side, the worker pool and its reports on the other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc

from kyso.v1 import verifier_pb2, verifier_pb2_grpc
from services.kernel.errors import BodyTooLarge, FieldInvalid, FontMissing, Unauthenticated
from services.verifier import convert
from services.verifier.config import LimitSettings
from services.verifier.egress.time_stamps import TimeStampRelay
from services.verifier.evidence.collector import EvidenceCollector, sentence
from services.verifier.evidence.keeper import EvidenceKeeper, ToKeep
from services.verifier.examination import Answer
from services.verifier.inquiry import FileKind, Inquiry
from services.verifier.intake import Intake, Received
from services.verifier.metrics import VerifierMetrics
from services.verifier.online import OnlineExaminer
from services.verifier.ports import SubmittedDocument, TrustMaterial, TrustSource
from services.verifier.workers.pool import WorkerPool

_EVIDENCE = frozenset({FileKind.CERTIFICATE, FileKind.CRL, FileKind.OCSP_RESPONSE, FileKind.TIME_STAMP})


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom the verifier asks: hosts outside for the signer, and the registry to keep what it does not keep itself."""

    evidence: EvidenceCollector
    time_stamps: TimeStampRelay
    keeper: EvidenceKeeper
    online: OnlineExaminer


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
        self._intake = Intake(limits)

    async def VerifyDocument(
        self,
        request_iterator: AsyncIterator[verifier_pb2.VerifyDocumentRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> verifier_pb2.VerifyDocumentResponse:
        """Judge one document. Bad documents are verdicts, not errors; errors are for bad calls and lack of means."""
        with self._intake.document() as received:
            header, document = await self._receive(received, request_iterator)
            plain = verifier_pb2.VerifyDocumentHeader(
                integrity_only=header.integrity_only,
                valid_at=header.valid_at if header.HasField("valid_at") else None,
                owner=header.owner if header.HasField("owner") else None,
            )
            answer = await self._examine(document, convert.inquiry(plain, self._clock(), self._limits))
        return convert.response(answer.report)

    async def ExamineDocument(
        self,
        request_iterator: AsyncIterator[verifier_pb2.VerifyDocumentRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[verifier_pb2.ExamineDocumentResponse]:
        """Judge one document; answer the report, then the files that were asked for."""
        with self._intake.document() as received:
            header, document = await self._receive(received, request_iterator)
            authorization = _authorization(header, context)
            inquiry = convert.inquiry(header, self._clock(), self._limits)
            if not self._pool.printer.prints(inquiry.form):
                raise FontMissing("this verifier has no font to write a PDF report with: ask for html")
            answer = await self._examine(document, inquiry)
            self._intake.reserve(received, sum(len(file.data) for file in answer.files))
            if answer.originals_left_out:
                most = self._limits.max_originals_bytes
                raise BodyTooLarge(
                    f"the documents in it have more than {most} bytes together, or are too many", limit=most
                )
            response = convert.response(answer.report)
            response.evidence_left_out = answer.evidence_left_out
            response.originals = sum(file.kind is FileKind.ORIGINAL for file in answer.files)
            if header.keep_evidence:
                response.evidence_id = await self._keep(answer, header, authorization)
            yield verifier_pb2.ExamineDocumentResponse(report=response)
            wanted = {FileKind.REPORT, FileKind.ORIGINAL} | (_EVIDENCE if header.include_evidence else set())
            for message in convert.files(answer, frozenset(wanted)):
                yield message

    async def _receive(
        self, received: Received, requests: AsyncIterator[verifier_pb2.VerifyDocumentRequest]
    ) -> tuple[verifier_pb2.VerifyDocumentHeader, SubmittedDocument]:
        async for message in requests:
            self._intake.take(received, message)
        document = received.submitted()
        return received.header or verifier_pb2.VerifyDocumentHeader(), document

    async def _examine(self, document: SubmittedDocument, inquiry: Inquiry) -> Answer:
        started = time.perf_counter()
        trust = TrustMaterial() if inquiry.integrity_only else await self._trust.current()
        answer = await self._outside.online.examine(document, trust, inquiry)
        self._metrics.seconds.observe(time.perf_counter() - started)
        self._metrics.count(answer.report)
        return answer

    async def _keep(
        self, answer: Answer, header: verifier_pb2.VerifyDocumentHeader, authorization: str
    ) -> str:
        files = tuple(file for file in answer.files if file.kind in _EVIDENCE)
        kept = await self._metrics.counted(
            self._outside.keeper.keep(ToKeep(answer.report, files, header.evidence_reference, authorization))
        )
        return kept

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


def _authorization(
    header: verifier_pb2.VerifyDocumentHeader, context: grpc.aio.ServicerContext[Any, Any]
) -> str:
    """The caller's access token where evidence is to be kept; checked before a document is judged in vain."""
    if not header.keep_evidence:
        return ""
    if len(header.evidence_reference) > convert.MAX_REFERENCE:
        raise FieldInvalid(
            f"evidence_reference has more than {convert.MAX_REFERENCE} characters", field="evidence_reference"
        )
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            return value
    raise Unauthenticated(
        'keeping evidence needs the client\'s access token: metadata "authorization: Bearer <token>"'
    )
