"""SignerService of proto/kyso/v1/signer.proto."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from kyso.v1 import signer_pb2, signer_pb2_grpc
from services.kernel.errors import FieldInvalid
from services.kernel.runtime.telemetry import request_id
from services.signer.authority import Authority, Purpose
from services.signer.domain import Client, Kind, require_any_scope
from services.signer.fields import MAX_FILE_NAME, require_text
from services.signer.ports import SigningStore, Tokens
from services.signer.service.documents import DocumentSigning
from services.signer.service.extension import Extension
from services.signer.service.hashes import HashSigning
from services.signer.service.jobs import JobSigning
from services.signer.service.kept import unpack_reached
from services.signer.service.keys import KeyService
from services.signer.service.preparation import Preparing
from services.signer.servicer import envelopes, translate
from services.signer.servicer.streams import fill_reached, read_chunks, read_header, read_pieces, result_of
from services.signer.time_stamps import TimeStampService

SERVICE_NAME = "kyso.v1.SignerService"
MAX_LEDGER_ENTRIES = 1000

_CALLERS = {
    "registry": (
        "GenerateKey",
        "SignCertificationRequest",
        "GenerateAuthorityKey",
        "SignAuthority",
        "ReadLedger",
    ),
    "gateway": (
        "SignHashes",
        "SignDocument",
        "SubmitDocument",
        "UploadDocument",
        "GetOperation",
        "FetchDocument",
        "ExtendDocument",
        "PrepareDocument",
        "TimeStamp",
    ),
}
ALLOW: Mapping[str, frozenset[str]] = {
    f"/{SERVICE_NAME}/{method}": frozenset({caller})
    for caller, methods in _CALLERS.items()
    for method in methods
}
"""Which service may call which RPC, by the DNS name in its certificate."""

_PURPOSES = {
    signer_pb2.AUTHORITY_PURPOSE_CERTIFICATE: Purpose.CERTIFICATE,
    signer_pb2.AUTHORITY_PURPOSE_CRL: Purpose.CRL,
}

# Text, because the class is generic for the type checker only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the RPCs are answered by."""

    tokens: Tokens
    hashes: HashSigning
    keys: KeyService
    authority: Authority
    store: SigningStore
    documents: DocumentSigning
    jobs: JobSigning
    extension: Extension
    preparing: Preparing
    time_stamps: TimeStampService


class SignerServicer(signer_pb2_grpc.SignerServiceServicer):
    """Translates; every rule lies in the use cases."""

    def __init__(self, use_cases: UseCases) -> None:
        """Bind the use cases."""
        self._use = use_cases

    async def _client(self, context: Context) -> Client:
        # 1. Who asks: the access token, verified here and not taken on the gateway's word.
        return await self._use.tokens.verify(_bearer(context.invocation_metadata() or ()))

    async def SignHashes(
        self, request: signer_pb2.SignHashesRequest, context: Context
    ) -> signer_pb2.SignHashesResponse:
        """Sign digests."""
        client = await self._client(context)
        answer = await self._use.hashes.sign_hashes(client, translate.hash_request(request), request_id.get())
        return translate.hash_response(answer)

    async def SignDocument(
        self, request_iterator: AsyncIterator[signer_pb2.SignDocumentRequest], context: Context
    ) -> AsyncIterator[signer_pb2.SignDocumentResponse]:
        """Sign one document while the caller waits."""
        client = await self._client(context)
        request = envelopes.document_request(await read_header(request_iterator))
        pieces = read_pieces(request_iterator, request.file_name)
        async with self._use.documents.sign_document(client, request, pieces, request_id.get()) as answer:
            yield signer_pb2.SignDocumentResponse(result=result_of(answer))
            async for chunk in answer.chunks:
                yield signer_pb2.SignDocumentResponse(chunk=chunk)

    async def SubmitDocument(
        self, request_iterator: AsyncIterator[signer_pb2.SignDocumentRequest], context: Context
    ) -> signer_pb2.SubmitDocumentResponse:
        """Accept one document to be signed later."""
        client = await self._client(context)
        request = envelopes.document_request(await read_header(request_iterator))
        pieces = read_pieces(request_iterator, request.file_name)
        operation_id, replayed = await self._use.jobs.submit(client, request, pieces, request_id.get())
        return signer_pb2.SubmitDocumentResponse(operation_id=operation_id, replayed=replayed)

    async def PrepareDocument(
        self, request: signer_pb2.SignDocumentHeader, context: Context
    ) -> signer_pb2.PrepareDocumentResponse:
        """Tell what to hash of a document that stays with the caller."""
        client = await self._client(context)
        # Nothing is recorded, so there is nothing to repeat.
        request.idempotency_key = request.idempotency_key or "none"
        if not request.HasField("content_digest"):
            # The digest comes with the call to sign; its length is all that is known of it.
            request.content_digest = bytes(translate.digest_algorithm(request.digest_algorithm).size)
        told = await self._use.preparing.prepare(client, envelopes.document_request(request))
        return signer_pb2.PrepareDocumentResponse(
            digest_algorithm=request.digest_algorithm,
            hashed=told.hashed,
            contents_bytes=told.contents_bytes,
            sub_filter=told.sub_filter,
            signing_time=translate.timestamp(told.signing_time),
        )

    async def ExtendDocument(
        self, request_iterator: AsyncIterator[signer_pb2.ExtendDocumentRequest], context: Context
    ) -> AsyncIterator[signer_pb2.SignDocumentResponse]:
        """Raise the signatures of a document to a higher level."""
        client = await self._client(context)
        header: signer_pb2.ExtendDocumentHeader = await read_header(request_iterator)
        request = envelopes.extension_request(header)
        pieces = read_pieces(request_iterator, header.file_name)
        async with self._use.extension.extend(client, request, pieces) as answer:
            yield signer_pb2.SignDocumentResponse(result=result_of(answer))
            async for chunk in answer.chunks:
                yield signer_pb2.SignDocumentResponse(chunk=chunk)

    async def TimeStamp(
        self,
        request: signer_pb2.TimeStampRequest,
        context: Context,
    ) -> signer_pb2.TimeStampResponse:
        """Answer a time-stamp request of anybody's."""
        return signer_pb2.TimeStampResponse(response=await self._use.time_stamps.respond(request.request))

    async def UploadDocument(
        self, request_iterator: AsyncIterator[signer_pb2.UploadDocumentRequest], context: Context
    ) -> signer_pb2.UploadDocumentResponse:
        """Keep a document for a job that the client publishes itself."""
        client = await self._client(context)
        header: signer_pb2.UploadDocumentHeader = await read_header(request_iterator)
        file_name = require_text(header.file_name, "file_name", MAX_FILE_NAME)
        blob = await self._use.jobs.upload(client, file_name, read_chunks(request_iterator))
        return signer_pb2.UploadDocumentResponse(
            upload_id=blob.id,
            sha256=blob.sha256,
            size=blob.size,
            expires_at=translate.timestamp(blob.expires_at),
        )

    async def GetOperation(
        self, request: signer_pb2.GetOperationRequest, context: Context
    ) -> signer_pb2.GetOperationResponse:
        """Tell where an operation of the client stands."""
        client = await self._client(context)
        require_any_scope(client)
        found, job = await self._use.jobs.operation(client, request.operation_id)
        answer = signer_pb2.GetOperationResponse(
            operation_id=found.id,
            state=translate.state(found.state),
            credential_id=found.credential_id,
            created_at=translate.timestamp(found.created_at),
        )
        if found.ended_at is not None:
            answer.ended_at.CopyFrom(translate.timestamp(found.ended_at))
        if found.failure is not None:
            answer.error.CopyFrom(translate.item_error(found.failure))
        if job is not None:
            translate.fill_job(answer, job)
        kept = unpack_reached(found.result) if found.kind is Kind.DOCUMENT else None
        fill_reached(answer, kept.reached if kept else None)
        return answer

    async def FetchDocument(
        self, request: signer_pb2.FetchDocumentRequest, context: Context
    ) -> AsyncIterator[signer_pb2.FetchDocumentResponse]:
        """Stream the signed document of an asynchronous operation."""
        client = await self._client(context)
        require_any_scope(client)
        answer = await self._use.jobs.fetch(client, request.operation_id)
        yield signer_pb2.FetchDocumentResponse(result=result_of(answer))
        async for chunk in answer.chunks:
            yield signer_pb2.FetchDocumentResponse(chunk=chunk)

    async def GenerateKey(
        self,
        request: signer_pb2.GenerateKeyRequest,
        context: Context,
    ) -> signer_pb2.GenerateKeyResponse:
        """Make a document key."""
        key = await self._use.keys.generate(request.credential_id, translate.key_algorithm(request.algorithm))
        return signer_pb2.GenerateKeyResponse(key_id=key.id, spki=key.spki)

    async def SignCertificationRequest(
        self,
        request: signer_pb2.SignCertificationRequestRequest,
        context: Context,
    ) -> signer_pb2.SignCertificationRequestResponse:
        """Sign a PKCS#10 request."""
        made = await self._use.keys.sign_certification_request(
            request.key_id, request.certification_request_info, request_id.get()
        )
        return signer_pb2.SignCertificationRequestResponse(certification_request=made)

    async def GenerateAuthorityKey(
        self,
        request: signer_pb2.GenerateAuthorityKeyRequest,
        context: Context,
    ) -> signer_pb2.GenerateAuthorityKeyResponse:
        """Make, or answer, an authority key."""
        key = await self._use.authority.generate(request.name)
        return signer_pb2.GenerateAuthorityKeyResponse(
            spki=key.spki, algorithm=translate.key_algorithm_number(key.algorithm)
        )

    async def SignAuthority(
        self,
        request: signer_pb2.SignAuthorityRequest,
        context: Context,
    ) -> signer_pb2.SignAuthorityResponse:
        """Sign a certificate or a CRL."""
        purpose = _PURPOSES.get(request.purpose)
        if purpose is None:
            raise FieldInvalid("name the purpose: certificate or CRL", field="purpose")
        signed = await self._use.authority.sign(request.name, purpose, request.to_be_signed, request_id.get())
        return signer_pb2.SignAuthorityResponse(signed=signed)

    async def ReadLedger(
        self,
        request: signer_pb2.ReadLedgerRequest,
        context: Context,
    ) -> signer_pb2.ReadLedgerResponse:
        """Read ledger entries in order."""
        heads = [translate.ledger_head(head) for head in await self._use.store.ledger_heads()]
        if not request.ledger:
            return signer_pb2.ReadLedgerResponse(heads=heads)
        if request.from_sequence < 1:
            raise FieldInvalid("from_sequence counts from 1", field="from_sequence")
        if not 1 <= request.limit <= MAX_LEDGER_ENTRIES:
            raise FieldInvalid(f"limit must be 1 to {MAX_LEDGER_ENTRIES}", field="limit")
        entries = await self._use.store.ledger_entries(request.ledger, request.from_sequence, request.limit)
        return signer_pb2.ReadLedgerResponse(
            entries=[translate.ledger_entry(entry) for entry in entries], heads=heads
        )


def _bearer(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
    return ""
