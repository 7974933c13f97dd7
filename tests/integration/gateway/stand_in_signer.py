"""A small real gRPC signer: answers signatures made of digests, and remembers what it was sent."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import common_pb2 as common
from kyso.v1 import signer_pb2 as signer
from kyso.v1 import signer_pb2_grpc
from services.kernel.errors import DomainError, NotFound, PartOrder

MOMENT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def stamp(moment: datetime = MOMENT) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


MEDIA_TYPES = {
    signer.SIGNATURE_FORMAT_PADES: "application/pdf",
    signer.SIGNATURE_FORMAT_CADES: "application/pkcs7-signature",
    signer.SIGNATURE_FORMAT_XADES: "application/xml",
    signer.SIGNATURE_FORMAT_XMLDSIG: "application/xml",
    signer.SIGNATURE_FORMAT_JADES: "application/jose+json",
    signer.SIGNATURE_FORMAT_ASIC_S: "application/vnd.etsi.asic-s+zip",
    signer.SIGNATURE_FORMAT_ASIC_E: "application/vnd.etsi.asic-e+zip",
    signer.SIGNATURE_FORMAT_SMIME: "message/rfc822",
}


@dataclass
class SentFile:
    """One file of a stream."""

    role: int
    name: str
    media_type: str = ""
    size: int = 0


class Signer(signer_pb2_grpc.SignerServiceServicer):
    """Answers signatures made of digests; counts what it was sent."""

    def __init__(self) -> None:
        self.refuse: DomainError | None = None
        self.break_off = False
        self.announce_too_much = 0
        self.hashes: list[signer.SignHashesRequest] = []
        self.headers: list[signer.SignDocumentHeader] = []
        self.authorizations: list[str] = []
        self.largest_chunk = 0
        self.received = 0
        self.completed = 0
        """Streams whose end was said: only those may be signed."""
        self.files: list[list[SentFile]] = []
        """The files of each stream, in order."""
        self.extended: list[signer.ExtendDocumentHeader] = []
        self.prepared: list[signer.SignDocumentHeader] = []
        self.media_type = ""
        """Given instead of the one that the format has."""
        self.result = signer.SignDocumentResult(level=signer.SIGNATURE_LEVEL_B_B)
        """What results say besides."""
        self.refuse_names: dict[str, DomainError] = {}
        """File name -> why it is refused, after its header alone."""
        self.submitted: dict[str, str] = {}
        """Idempotency key -> operation."""
        self.asked_before_end = 0
        """So many times an operation is told to be begun before it is told to be signed."""

    def _note(self, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.authorizations.append(str(metadata.get("authorization", "")))
        if self.refuse is not None:
            raise self.refuse

    async def SignHashes(self, request: signer.SignHashesRequest, context: Any) -> signer.SignHashesResponse:
        self._note(context)
        self.hashes.append(request)
        answer = signer.SignHashesResponse(
            operation_id="op_1", scheme=common.SIGNATURE_SCHEME_ECDSA, certificate_chain=[b"leaf", b"issuer"]
        )
        for digest in request.digests:
            outcome = answer.outcomes.add()
            if digest[0] == 0xFF:
                outcome.error.code, outcome.error.message, outcome.error.retryable = (
                    "HSM_TIMEOUT",
                    "too late",
                    True,
                )
            else:
                outcome.signature = b"signed:" + digest
        return answer

    async def _take(self, requests: AsyncIterator[Any]) -> tuple[Any, bytes]:
        header = signer.SignDocumentHeader()
        digest, kept, size = hashlib.sha256(), b"", 0
        files: list[SentFile] = []
        whole = False
        self.files.append(files)
        async for request in requests:
            match request.WhichOneof("part"):
                case "header" if isinstance(request, signer.ExtendDocumentRequest):
                    self.extended.append(request.header)
                case "header":
                    header = request.header
                    self.headers.append(header)
                    if header.file_name in self.refuse_names:
                        raise self.refuse_names[header.file_name]
                case "next":
                    files.append(SentFile(request.next.role, request.next.name, request.next.media_type))
                case "end":
                    assert request.end.size == size
                    self.completed += 1
                    whole = True
                case "chunk":
                    size += len(request.chunk)
                    self.largest_chunk = max(self.largest_chunk, len(request.chunk))
                    self.received += len(request.chunk)
                    digest.update(request.chunk)
                    kept = request.chunk[:32]
                    if not files:
                        files.append(SentFile(signer.PART_ROLE_CONTENT, header.file_name))
                    files[-1].size += len(request.chunk)
        if not whole:
            raise PartOrder("the stream broke off")
        return header, b"%PDF-signed " + digest.hexdigest().encode() + b" " + kept

    async def SignDocument(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[signer.SignDocumentResponse]:
        self._note(context)
        header, content = await self._take(request_iterator)
        async for answer in self._answer(MEDIA_TYPES[header.format], content):
            yield answer

    async def ExtendDocument(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[signer.SignDocumentResponse]:
        self._note(context)
        _, content = await self._take(request_iterator)
        async for answer in self._answer("application/pdf", content):
            yield answer

    async def _answer(self, media_type: str, content: bytes) -> AsyncIterator[signer.SignDocumentResponse]:
        result = signer.SignDocumentResult(
            operation_id="op_2",
            media_type=self.media_type or media_type,
            size=len(content) + self.announce_too_much,
            signing_time=stamp(),
        )
        result.MergeFrom(self.result)
        yield signer.SignDocumentResponse(result=result)
        yield signer.SignDocumentResponse(chunk=content[:7])
        if self.break_off:
            raise NotFound("the rest is gone")
        yield signer.SignDocumentResponse(chunk=content[7:])

    async def PrepareDocument(self, request: Any, context: Any) -> signer.PrepareDocumentResponse:
        self._note(context)
        self.prepared.append(request)
        pdf = request.format == signer.SIGNATURE_FORMAT_PADES
        return signer.PrepareDocumentResponse(
            digest_algorithm=request.digest_algorithm,
            hashed="ByteRange" if pdf else "content",
            contents_bytes=8192 if pdf else 0,
            sub_filter="ETSI.CAdES.detached" if pdf else "",
            signing_time=stamp(),
        )

    async def SubmitDocument(self, request_iterator: Any, context: Any) -> signer.SubmitDocumentResponse:
        self._note(context)
        header, _ = await self._take(request_iterator)
        known = header.idempotency_key in self.submitted
        number = len(self.submitted) + 3
        operation = self.submitted.setdefault(header.idempotency_key, f"op_{number}")
        return signer.SubmitDocumentResponse(operation_id=operation, replayed=known)

    async def UploadDocument(self, request_iterator: Any, context: Any) -> signer.UploadDocumentResponse:
        self._note(context)
        await self._take(request_iterator)
        return signer.UploadDocumentResponse(
            upload_id="up_1", sha256=b"\x01" * 32, size=self.received, expires_at=stamp()
        )

    async def GetOperation(self, request: Any, context: Any) -> signer.GetOperationResponse:
        self._note(context)
        self.asked_before_end -= 1
        signed = self.asked_before_end < 0
        return signer.GetOperationResponse(
            operation_id=request.operation_id,
            state=signer.OPERATION_STATE_SIGNED if signed else signer.OPERATION_STATE_BEGUN,
            credential_id="cr_1",
            created_at=stamp(),
            document_available=signed,
            file_name="Công văn.pdf",
        )

    async def FetchDocument(self, request: Any, context: Any) -> AsyncIterator[signer.FetchDocumentResponse]:
        self._note(context)
        result = signer.SignDocumentResult(
            operation_id=request.operation_id, media_type="application/pdf", size=8
        )
        yield signer.FetchDocumentResponse(result=result)
        yield signer.FetchDocumentResponse(chunk=b"%PDF-1.7")
