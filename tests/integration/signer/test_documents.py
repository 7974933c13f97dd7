"""Documents end to end, at once and by the work queue; the results are checked by independent verifiers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kyso.v1 import common_pb2, signer_pb2
from services.kernel.errors import (
    ClassifiedRefused,
    CredentialHeld,
    DocumentEncrypted,
    DocumentNotPdf,
    DomainError,
    FieldInvalid,
    IdempotencyConflict,
    OperationNotFound,
    OperationNotReady,
    PartOrder,
    ScopeMissing,
)
from services.kernel.events import STREAM_RESULTS, Event, job_subject, result_subject
from services.kernel.runtime.consumer import Disposition, PullConsumer
from services.kernel.values import new_id
from tests.support.document_signers import pdfsig
from tests.support.nats_server import eventually
from tests.support.pdfs import encrypted_pdf, one_page_pdf
from tests.support.signer_world import SignerWorld


def header(credential_id: str, **changes: Any) -> signer_pb2.SignDocumentHeader:
    fields: dict[str, Any] = {
        "credential_id": credential_id,
        "idempotency_key": os.urandom(8).hex(),
        "format": signer_pb2.SIGNATURE_FORMAT_PADES,
        "level": signer_pb2.SIGNATURE_LEVEL_B_B,
        "digest_algorithm": common_pb2.DIGEST_ALGORITHM_SHA256,
        "context": signer_pb2.SigningContext(label=common_pb2.SECRECY_LABEL_NONE, document_type="cong-van"),
    }
    return signer_pb2.SignDocumentHeader(**(fields | changes))


def stream(first: signer_pb2.SignDocumentHeader, data: bytes, step: int = 1000) -> Iterable[Any]:
    yield signer_pb2.SignDocumentRequest(header=first)
    for offset in range(0, len(data), step):
        yield signer_pb2.SignDocumentRequest(chunk=data[offset : offset + step])
    yield signer_pb2.SignDocumentRequest(end=signer_pb2.DocumentEnd(size=len(data)))


async def sign(
    world: SignerWorld, messages: Iterable[Any], token: str | None = None
) -> tuple[signer_pb2.SignDocumentResult, bytes]:
    result, received = None, b""
    async for message in world.as_gateway.SignDocument(iter(messages), metadata=world.metadata(token)):
        if message.WhichOneof("part") == "result":
            result = message.result
        received += message.chunk
    assert result is not None
    assert result.size == len(received)
    return result, received


async def test_a_pdf_comes_back_signed_and_the_same_request_gives_the_same_bytes(
    world: SignerWorld, tmp_path: Path
) -> None:
    credential_id = await world.credential()
    first, data = header(credential_id, reason="Duyệt"), one_page_pdf()
    result, signed = await sign(world, stream(first, data))
    assert signed.startswith(data)
    assert result.media_type == "application/pdf"
    (tmp_path / "signed.pdf").write_bytes(signed)
    assert pdfsig(tmp_path / "signed.pdf")[0]["Signature Validation"] == "Signature is Valid."
    # Held now: what was signed before is answered again, what is new is refused.
    await world.register.change(credential_id, common_pb2.CREDENTIAL_STATUS_HELD)
    again, repeated = await sign(world, stream(first, data, step=77))
    assert again.replayed
    assert (again.operation_id, repeated) == (result.operation_id, signed)
    with pytest.raises(IdempotencyConflict):
        await sign(world, stream(first, one_page_pdf("other")))
    with pytest.raises(CredentialHeld):
        await sign(world, stream(header(credential_id), data))
    outcomes = [(record["outcome"], record["error_code"]) for record in await world.ledger()]
    assert outcomes == [("completed", ""), ("refused", "CREDENTIAL_HELD")]


def openssl_verifies(world: SignerWorld, folder: Path, container: bytes, data: bytes) -> bool:
    files = {"c.p7s": container, "data": data, "ca.der": world.ca.certificate}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    arguments = [
        "-binary",
        "-inform",
        "DER",
        "-in",
        "c.p7s",
        "-content",
        "data",
        "-CAfile",
        "ca.pem",
        "-purpose",
        "any",
    ]
    subprocess.run(["openssl", "x509", "-in", "ca.der", "-out", "ca.pem"], cwd=folder, check=True, timeout=30)
    verified = subprocess.run(
        ["openssl", "cms", "-verify", "-cades", *arguments, "-out", "out"],
        cwd=folder,
        check=False,
        timeout=30,
        capture_output=True,
    )
    return verified.returncode == 0


async def test_a_detached_container_verifies_with_openssl(world: SignerWorld, tmp_path: Path) -> None:
    credential_id = await world.credential()
    data = os.urandom(300_000)
    first = header(credential_id, format=signer_pb2.SIGNATURE_FORMAT_CADES)
    result, container = await sign(world, stream(first, data, step=65_536))
    assert result.media_type == "application/pkcs7-signature"
    assert openssl_verifies(world, tmp_path, container, data)
    assert not openssl_verifies(world, tmp_path, container, data[:-1])


async def _classified(world: SignerWorld, credential_id: str) -> None:
    context = signer_pb2.SigningContext(label=common_pb2.SECRECY_LABEL_MAT)
    await sign(world, stream(header(credential_id, context=context), one_page_pdf()))


async def _not_a_pdf(world: SignerWorld, credential_id: str) -> None:
    await sign(world, stream(header(credential_id), b"hello"))


async def _encrypted(world: SignerWorld, credential_id: str) -> None:
    await sign(world, stream(header(credential_id), encrypted_pdf()))


async def _broken_off(world: SignerWorld, credential_id: str) -> None:
    *all_but_the_end, _ = stream(header(credential_id), one_page_pdf())
    await sign(world, all_but_the_end)


async def _shorter_than_said(world: SignerWorld, credential_id: str) -> None:
    first, _, *rest = stream(header(credential_id), one_page_pdf(), step=100)
    await sign(world, [first, *rest])


async def _chunk_first(world: SignerWorld, credential_id: str) -> None:
    await sign(world, [signer_pb2.SignDocumentRequest(chunk=b"x")])


async def _header_twice(world: SignerWorld, credential_id: str) -> None:
    first = signer_pb2.SignDocumentRequest(header=header(credential_id))
    await sign(world, [first, first])


async def _no_level(world: SignerWorld, credential_id: str) -> None:
    await sign(world, stream(header(credential_id, level=0), one_page_pdf()))


async def _wrong_scope(world: SignerWorld, credential_id: str) -> None:
    token = world.register.token(scope="sign:hash")
    await sign(world, stream(header(credential_id), one_page_pdf()), token)


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (_classified, ClassifiedRefused),
        (_not_a_pdf, DocumentNotPdf),
        (_encrypted, DocumentEncrypted),
        (_chunk_first, PartOrder),
        (_broken_off, PartOrder),
        (_shorter_than_said, FieldInvalid),
        (_header_twice, PartOrder),
        (_no_level, FieldInvalid),
        (_wrong_scope, ScopeMissing),
    ],
)
async def test_what_cannot_be_signed_gets_a_typed_answer(
    world: SignerWorld, attempt: Callable[[SignerWorld, str], Any], error: type[DomainError]
) -> None:
    credential_id = await world.credential()
    with pytest.raises(error):
        await attempt(world, credential_id)
    assert all(record["signed_items"] == 0 for record in await world.ledger())


async def operation(world: SignerWorld, operation_id: str) -> signer_pb2.GetOperationResponse:
    request = signer_pb2.GetOperationRequest(operation_id=operation_id)
    answer: signer_pb2.GetOperationResponse = await world.as_gateway.GetOperation(
        request, metadata=world.metadata()
    )
    return answer


async def until_ended(world: SignerWorld, operation_id: str) -> signer_pb2.GetOperationResponse:
    answers: list[signer_pb2.GetOperationResponse] = []

    async def ended() -> bool:
        answers.append(await operation(world, operation_id))
        return answers[-1].HasField("ended_at")

    await eventually(ended, what="the end of the operation")
    return answers[-1]


async def test_a_submitted_document_is_signed_and_collected(world: SignerWorld, tmp_path: Path) -> None:
    credential_id = await world.credential()
    first, data = header(credential_id, file_name="Công văn.pdf"), one_page_pdf()
    accepted = await world.as_gateway.SubmitDocument(iter(stream(first, data)), metadata=world.metadata())
    same = await world.as_gateway.SubmitDocument(iter(stream(first, data)), metadata=world.metadata())
    assert (same.operation_id, same.replayed) == (accepted.operation_id, True)
    ended = await until_ended(world, accepted.operation_id)
    assert ended.state == signer_pb2.OPERATION_STATE_SIGNED
    assert (ended.document_available, ended.file_name) == (True, "Công văn.pdf")
    fetched = b""
    request = signer_pb2.FetchDocumentRequest(operation_id=accepted.operation_id)
    async for message in world.as_gateway.FetchDocument(request, metadata=world.metadata()):
        fetched += message.chunk
    assert fetched.startswith(data)
    (tmp_path / "signed.pdf").write_bytes(fetched)
    assert pdfsig(tmp_path / "signed.pdf")[0]["Signature Validation"] == "Signature is Valid."
    # Payloads lie encrypted.
    assert all(b"%PDF" not in path.read_bytes() for path in world.settings.blobs.folder.iterdir())
    # Another client sees nothing of it.
    with pytest.raises(OperationNotFound):
        await world.as_gateway.GetOperation(
            signer_pb2.GetOperationRequest(operation_id=accepted.operation_id),
            metadata=world.metadata(world.register.token("cl_other")),
        )


async def test_a_submitted_document_that_is_none_ends_failed_and_says_why(world: SignerWorld) -> None:
    credential_id = await world.credential()
    accepted = await world.as_gateway.SubmitDocument(
        iter(stream(header(credential_id), b"no pdf")), metadata=world.metadata()
    )
    ended = await until_ended(world, accepted.operation_id)
    assert ended.state == signer_pb2.OPERATION_STATE_FAILED
    assert ended.error.code == "DOCUMENT_NOT_PDF"
    request = signer_pb2.FetchDocumentRequest(operation_id=accepted.operation_id)
    call = world.as_gateway.FetchDocument(request, metadata=world.metadata())
    with pytest.raises(OperationNotReady):
        await anext(aiter(call))


class Results:
    """Collects what a client finds on its result subjects."""

    def __init__(self, world: SignerWorld, client_id: str) -> None:
        self.found: list[dict[str, Any]] = []
        subject = result_subject(client_id, "x").removesuffix("x") + "*"
        self._consumer = PullConsumer(
            world.bus, STREAM_RESULTS, f"t-{os.urandom(4).hex()}", subject, self._take
        )

    async def _take(self, messages: Any) -> list[Disposition]:
        self.found += [json.loads(message.data) for message in messages]
        return [Disposition.ACK for _ in messages]

    async def run(self) -> None:
        await self._consumer.run()


async def publish_job(world: SignerWorld, client_id: str, **fields: Any) -> None:
    job = {
        "idempotency_key": os.urandom(8).hex(),
        "job_id": "mine-1",
        "access_token": world.register.token(client_id),
        "digest_algorithm": "SHA-256",
        "label": "none",
    } | fields
    event = Event(
        id=new_id("ev"),
        type="job",
        source="outside",
        subject="job",
        time=datetime.now(UTC),
        data=json.dumps(job).encode(),
        nats_subject=job_subject(client_id, "high"),
    )
    await world.bus.publish(event)


async def test_a_system_publishes_its_jobs_itself(world: SignerWorld) -> None:
    client_id = f"cl_{os.urandom(4).hex()}"
    credential_id = await world.credential()
    results = Results(world, client_id)
    async with AsyncExitStack() as stack:
        running = asyncio.create_task(results.run())
        stack.callback(running.cancel)
        digests = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
        encoded = [base64.b64encode(digest).decode() for digest in digests]
        await publish_job(world, client_id, credential_id=credential_id, digests=encoded)
        await eventually(lambda: results.found, what="the result of the digests")
        assert results.found[0]["state"] == "signed"
        assert results.found[0]["job_id"] == "mine-1"
        assert len(results.found[0]["signatures"]) == 3
        # A document by reference to an upload.
        upload = [
            signer_pb2.UploadDocumentRequest(header=signer_pb2.UploadDocumentHeader(file_name="a.pdf")),
            signer_pb2.UploadDocumentRequest(chunk=one_page_pdf()),
            signer_pb2.UploadDocumentRequest(end=signer_pb2.DocumentEnd(size=len(one_page_pdf()))),
        ]
        kept = await world.as_gateway.UploadDocument(
            iter(upload), metadata=world.metadata(world.register.token(client_id))
        )
        await publish_job(
            world, client_id, credential_id=credential_id, upload_id=kept.upload_id, format="pades"
        )
        await eventually(lambda: len(results.found) == 2, what="the result of the document")
        assert results.found[1]["state"] == "signed"
        # Somebody else's token under this client's subject.
        stolen = world.register.token("cl_other")
        await publish_job(world, client_id, credential_id=credential_id, digests=encoded, access_token=stolen)
        await eventually(lambda: len(results.found) == 3, what="the refusal")
        assert (results.found[2]["state"], results.found[2]["error_code"]) == ("failed", "FORBIDDEN")
