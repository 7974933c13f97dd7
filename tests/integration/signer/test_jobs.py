"""The work queue's use case where something is in its way: what is tried again, parked, and never called failed."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from services.kernel.errors import DomainError, HsmUnavailable, ServiceUnavailable, TokenInvalid
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.values import DigestAlgorithm, KeyAlgorithm
from services.signer.blobs import FileBlobStore
from services.signer.documents.documents import DocumentWorkers
from services.signer.domain import (
    CertificateChain,
    Client,
    Credential,
    CredentialStatus,
    Declaration,
    DocumentRequest,
    Key,
    SecrecyLabel,
    State,
)
from services.signer.formats.parameters import Envelope
from services.signer.metrics import SignerMetrics
from services.signer.service.documents import DocumentSigning
from services.signer.service.hashes import HashSigning
from services.signer.service.jobs import JobParts, JobSigning, Next, Parked
from services.signer.service.requests import SigningJob, read_job
from services.signer.service.steps import SigningParts, SigningSteps
from services.signer.store.jobs import SqlJobStore
from services.signer.store.tables import outbox
from tests.integration.signer.test_store import Real, opened
from tests.support.pdfs import one_page_pdf
from tests.support.signer_world import IssuingCa
from tests.unit.signer.memory import MemoryDirectory, MemoryKeys, SoftwareHsm, document_parts, utc_now

CLIENT = Client("cl_1", "ag_1", frozenset({"sign:hash", "sign:document"}), frozenset({"*"}), False)
RULES = Declaration("cong-van", SecrecyLabel.NONE)


@dataclass
class Tokens:
    """One token is good."""

    async def verify(self, token: str) -> Client:
        if token != "good":
            raise TokenInvalid("no")
        return CLIENT


@dataclass
class World:
    """The use case over the real store, a directory and an HSM in memory."""

    real: Real
    documents: DocumentWorkers
    folder: Path
    hsm: SoftwareHsm = field(default_factory=SoftwareHsm)
    directory: MemoryDirectory = field(default_factory=MemoryDirectory)

    async def start(self) -> World:
        made = await self.hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        place = made.locator
        key = Key(
            "key_1", "cr_1", KeyAlgorithm.ECDSA_P256, "documents", place.cka_id, made.spki, place.spki_sha256
        )
        keys = MemoryKeys()
        await keys.add_key(key, utc_now())
        day = timedelta(days=1)
        der = tuple(IssuingCa().certify(made.spki, "Kiểm thử"))
        chain = CertificateChain(
            der, os.urandom(32), "0a", place.spki_sha256, "", ((utc_now() - day, utc_now() + day),)
        )
        self.directory.credentials["cr_1"] = Credential(
            "cr_1", 1, CredentialStatus.ACTIVE, "ag_1", ("ag_1",), frozenset(), "client", "key_1", chain
        )
        steps = SigningSteps(
            SigningParts(
                store=self.real.store,
                keys=keys,
                directory=self.directory,
                hsm=self.hsm,
                clock=utc_now,
                metrics=SignerMetrics.register(CollectorRegistry()),
            )
        )
        hashes, documents = HashSigning(steps), DocumentSigning(steps, document_parts(self.documents))
        self.jobs = SqlJobStore(self.real.database, lambda: None)
        self.blobs = FileBlobStore(self.folder)
        parts = JobParts(
            jobs=self.jobs,
            blobs=self.blobs,
            tokens=Tokens(),
            documents=self.documents,
            replica="signer-1",
            keep=timedelta(hours=1),
            max_document_bytes=1 << 20,
        )
        self.signing = JobSigning(steps, hashes, documents, parts)
        return self

    async def submit(self, data: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        request = DocumentRequest(
            "cr_1", os.urandom(8).hex(), Envelope("PADES"), DigestAlgorithm.SHA256, None, RULES
        )
        operation_id, _ = await self.signing.submit(CLIENT, request, chunks(), "req_1")
        return operation_id

    async def take(self, operation_id: str, *, last: bool = False) -> Next | Parked:
        job = SigningJob(operation_id, "", "", "", {})
        return await self.signing.take(job, "cl_1", "req_1", last=last)

    async def state(self, operation_id: str) -> tuple[State, str]:
        found = await self.real.store.operation(operation_id)
        assert found is not None
        return found.state, found.failure.code if found.failure else ""

    async def results(self) -> list[dict[str, Any]]:
        async with self.real.database.reading() as connection:
            rows = (await connection.execute(select(outbox).order_by(outbox.c.seq))).all()
        return [json.loads(row.data) for row in rows if row.nats_subject.startswith("kyso.result.")]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'signer.db'}")
    async with opened(settings) as real, DocumentWorkers.open(workers=1) as documents:
        yield await World(real, documents, tmp_path / "blobs").start()


async def test_a_busy_hsm_gives_the_job_back_and_the_last_attempt_ends_it(world: World) -> None:
    operation_id = await world.submit(one_page_pdf())
    world.hsm.plan = lambda _: HsmUnavailable("no worker")
    for _ in range(3):
        assert await world.take(operation_id) is Next.AGAIN
        assert await world.state(operation_id) == (State.ACCEPTED, "")
    assert await world.take(operation_id, last=True) == Parked("HSM_UNAVAILABLE")
    assert await world.state(operation_id) == (State.FAILED, "HSM_UNAVAILABLE")
    (result,) = await world.results()
    assert (result["state"], result["error_code"]) == ("failed", "HSM_UNAVAILABLE")


async def test_a_job_given_back_is_signed_later_and_only_once(world: World) -> None:
    operation_id = await world.submit(one_page_pdf())
    world.hsm.plan = lambda number: HsmUnavailable("no worker") if number == 0 else None
    assert await world.take(operation_id) is Next.AGAIN
    assert await world.take(operation_id) is Next.DONE
    assert await world.take(operation_id) is Next.DONE
    assert world.hsm.signed == 2
    assert [result["state"] for result in await world.results()] == ["signed"]


async def test_a_credential_that_was_held_meanwhile_refuses_the_job(world: World) -> None:
    operation_id = await world.submit(one_page_pdf())
    held = replace(world.directory.credentials["cr_1"], status=CredentialStatus.HELD)
    world.directory.credentials["cr_1"] = held
    assert await world.take(operation_id) == Parked("CREDENTIAL_HELD")
    assert await world.state(operation_id) == (State.REFUSED, "CREDENTIAL_HELD")
    assert world.hsm.signed == 0


async def test_a_lost_payload_ends_the_job_and_says_so(world: World) -> None:
    operation_id = await world.submit(one_page_pdf())
    for path in world.folder.iterdir():
        path.unlink()
    assert await world.take(operation_id) == Parked("BLOB_LOST")
    assert await world.state(operation_id) == (State.FAILED, "BLOB_LOST")


async def test_an_outcome_that_could_not_be_recorded_is_never_called_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation_id = await world.submit(one_page_pdf())

    async def away(_ending: Any) -> bool:
        raise ServiceUnavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(world.real.store, "end", away)
        assert await world.take(operation_id) is Next.AGAIN
    assert await world.take(operation_id) is Next.AGAIN
    assert await world.take(operation_id, last=True) is Next.DONE
    assert await world.state(operation_id) == (State.BEGUN, "")
    assert world.hsm.signed == 1


async def test_nobody_runs_another_clients_operation(world: World) -> None:
    operation_id = await world.submit(one_page_pdf())
    job = SigningJob(operation_id, "", "", "", {})
    assert await world.signing.take(job, "cl_2", "req_1", last=False) == Parked("OPERATION_NOT_FOUND")
    assert await world.state(operation_id) == (State.ACCEPTED, "")


def own_job(**changes: Any) -> SigningJob:
    digest = base64.b64encode(b"d" * 32).decode()
    fields = {
        "idempotency_key": os.urandom(8).hex(),
        "job_id": "mine",
        "access_token": "good",
        "credential_id": "cr_1",
        "digest_algorithm": "SHA-256",
        "digests": [digest],
        "label": "none",
        "document_type": "cong-van",
    }
    return read_job(json.dumps(fields | changes).encode())


@pytest.mark.parametrize(
    ("changes", "client_id", "code"),
    [
        ({"access_token": "bad"}, "cl_1", "TOKEN_INVALID"),
        ({}, "cl_2", "FORBIDDEN"),
        ({"digests": ["***"]}, "cl_1", "BASE64_INVALID"),
        ({"digests": []}, "cl_1", "BATCH_EMPTY"),
        ({"digests": "x"}, "cl_1", "FIELD_INVALID"),
        ({"digest_algorithm": "MD5"}, "cl_1", "ALGORITHM_UNKNOWN"),
        ({"scheme": "RSA-PSS"}, "cl_1", "ALGORITHM_MISMATCH"),
        ({"label": "secret"}, "cl_1", "FIELD_INVALID"),
        ({"label": "mat"}, "cl_1", "CLASSIFIED_REFUSED"),
        ({"credential_id": "cr_9"}, "cl_1", "CREDENTIAL_NOT_FOUND"),
        ({"upload_id": "blob_none", "format": "pades"}, "cl_1", "NOT_FOUND"),
    ],
)
async def test_a_job_that_cannot_be_done_is_parked_and_its_client_told(
    world: World, changes: dict[str, Any], client_id: str, code: str
) -> None:
    job = own_job(**changes)
    assert await world.signing.take(job, client_id, "req_1", last=False) == Parked(code)
    (result,) = await world.results()
    assert (result["state"], result["error_code"], result["job_id"]) == ("failed", code, "mine")
    assert result["client_id"] == client_id
    assert world.hsm.signed == 0


async def test_a_job_that_comes_twice_is_signed_once_and_told_once(world: World) -> None:
    job = own_job()
    for _ in range(2):
        assert await world.signing.take(job, "cl_1", "req_1", last=False) is Next.DONE
    assert world.hsm.signed == 1
    (result,) = await world.results()
    assert len(result["signatures"]) == 1


async def test_an_upload_keeps_its_name_where_the_name_is_signed(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"content"

    upload = await world.signing.upload(CLIENT, "tờ trình.txt", chunks())
    job = own_job(upload_id=upload.id, format="asic_e")
    # A job may come twice.
    for _ in range(2):
        assert await world.signing.take(job, "cl_1", "req_1", last=False) is Next.DONE
    assert world.hsm.signed == 1
    (result,) = await world.results()
    answer = await world.signing.fetch(CLIENT, result["operation_id"])
    container = b"".join([chunk async for chunk in answer.chunks])
    assert "tờ trình.txt" in zipfile.ZipFile(io.BytesIO(container)).namelist()


async def test_signatures_too_large_for_a_message_are_recorded_and_can_be_asked_for(world: World) -> None:
    job = own_job(digests=[base64.b64encode(b"d" * 32).decode()] * 1000)
    world.directory.credentials["cr_1"] = world.directory.credentials["cr_1"]

    async def many(*_: Any, **__: Any) -> list[bool]:
        return [True] * 1000

    world.signing._steps._check.verify = many  # type: ignore[method-assign]
    world.hsm.plan = lambda _: b"s" * 512
    assert await world.signing.take(job, "cl_1", "req_1", last=False) is Next.DONE
    (result,) = await world.results()
    assert (result["state"], result["error_code"]) == ("signed", "BODY_TOO_LARGE")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"1" * 800_000])
def test_what_is_no_job_is_refused(data: bytes) -> None:
    with pytest.raises(DomainError):
        read_job(data)
