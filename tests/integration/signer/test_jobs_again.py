"""Jobs that come again: what they made the first time goes on, and what is told of them is true."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.kernel.errors import (
    HsmUnavailable,
    Internal,
    Overloaded,
    ServiceUnavailable,
    TokenExpired,
)
from services.kernel.runtime.outbox import MAX_EVENT_BYTES
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.documents.session import DocumentSession
from services.signer.domain import Client, CredentialStatus, DocumentRequest, State
from services.signer.formats.parameters import Envelope
from services.signer.ledger import Facts
from services.signer.service.jobs import Next, Parked
from services.signer.service.messages import MAX_RESULT_BYTES, Ended, ended_events, require_result_fits
from services.signer.service.requests import SigningJob
from services.signer.service.steps import Selected
from tests.integration.signer.test_jobs import CLIENT, RULES, World, own_job, world
from tests.support.pdfs import one_page_pdf
from tests.unit.signer.memory import utc_now

__all__ = ["world"]


async def take(world: World, job: SigningJob, *, last: bool = False) -> Next | Parked:
    return await world.signing.take(job, "cl_1", "req_1", last=last)


def let_tokens_expire(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def expired(_token: str) -> Client:
        raise TokenExpired("its time is over")

    monkeypatch.setattr(world.signing._parts.tokens, "verify", expired)


async def uploaded(world: World, **changes: Any) -> SigningJob:
    async def chunks() -> AsyncIterator[bytes]:
        yield one_page_pdf()

    kept = await world.signing.upload(CLIENT, "a.pdf", chunks())
    return own_job(upload_id=kept.id, format="pades", **changes)


async def test_an_upload_that_was_accepted_is_signed_though_its_token_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(world)
    world.hsm.plan = lambda number: HsmUnavailable("no worker") if number == 0 else None
    assert await take(world, job) is Next.AGAIN
    let_tokens_expire(world, monkeypatch)
    assert await take(world, job) is Next.DONE
    assert [result["state"] for result in await world.results()] == ["signed"]
    # Another request under the same key is none that was accepted: it needs a token of its own.
    key = job.idempotency_key
    assert await take(world, await uploaded(world, idempotency_key=key, reference="2")) == Parked(
        "TOKEN_EXPIRED"
    )


async def test_signatures_that_were_not_told_before_a_crash_are_told_though_the_token_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = own_job()

    async def away(_events: Any) -> None:
        raise ServiceUnavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(world.jobs, "publish", away)
        with pytest.raises(ServiceUnavailable):
            await take(world, job)
    let_tokens_expire(world, monkeypatch)
    assert await take(world, job, last=True) is Next.DONE
    (result,) = await world.results()
    assert (result["state"], len(result["signatures"])) == ("signed", 1)
    assert world.hsm.signed == 1


async def test_a_failure_and_the_signature_after_it_are_both_told(world: World) -> None:
    job = own_job()
    world.hsm.plan = lambda number: HsmUnavailable("no worker") if number == 0 else None
    assert await take(world, job, last=True) == Parked("HSM_UNAVAILABLE")
    assert await take(world, job) is Next.DONE
    first, second = await world.results()
    assert first["operation_id"] == second["operation_id"]
    assert (first["state"], second["state"]) == ("failed", "signed")


async def test_what_is_under_way_is_never_told_as_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = own_job()

    async def away(_ending: Any) -> bool:
        raise ServiceUnavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(world.real.store, "end", away)
        assert await take(world, job) is Next.AGAIN
    assert await take(world, job) is Next.AGAIN
    assert await take(world, job, last=True) == Parked("OPERATION_IN_PROGRESS")
    assert await world.results() == []


async def test_a_refusal_that_another_replica_forestalled_is_not_parked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation_id = await world.submit(one_page_pdf())
    held = replace(world.directory.credentials["cr_1"], status=CredentialStatus.HELD)
    world.directory.credentials["cr_1"] = held

    async def lost(_ending: Any) -> bool:
        return False

    monkeypatch.setattr(world.real.store, "end", lost)
    assert await world.take(operation_id) is Next.DONE


async def test_more_signatures_than_a_message_takes_are_refused_before_signing(world: World) -> None:
    keys: Any = world.signing._steps.parts.keys
    keys.keys["key_1"] = replace(keys.keys["key_1"], algorithm=KeyAlgorithm.RSA_4096)
    job = own_job(digests=["ZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGQ="] * 1000)
    assert await take(world, job) == Parked("BATCH_TOO_LARGE")
    assert world.hsm.signed == 0
    (result,) = await world.results()
    assert "at most 761 digests" in result["error_message"]


async def test_as_many_signatures_as_are_allowed_fit_into_a_message(world: World) -> None:
    assert MAX_RESULT_BYTES <= MAX_EVENT_BYTES
    key: Any = (await world.signing._steps.parts.keys.key("key_1")) or None
    credential = world.directory.credentials["cr_1"]
    assert credential.chain is not None
    algorithm = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256)
    selected = Selected(
        credential, credential.chain, replace(key, algorithm=KeyAlgorithm.RSA_4096), algorithm
    )
    require_result_fits(selected, 761)
    facts = Facts("op_" + "0" * 26, "cl_" + "0" * 61, "ag_1", "", "hashes", 761, "")
    outcomes = [os.urandom(512)] * 761
    events = ended_events(Ended(facts, State.SIGNED, utc_now(), None, outcomes, "Ố" * 64), "signer-1")
    assert max(len(event.data) for event in events) <= MAX_EVENT_BYTES
    assert all(len(event.id) <= 64 for event in events)


async def test_a_document_that_could_not_be_completed_is_not_signed_a_second_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(_session: DocumentSession, _signature: bytes) -> None:
        raise Overloaded("all document workers are busy")

    async def chunks() -> AsyncIterator[bytes]:
        yield one_page_pdf()

    request = DocumentRequest(
        "cr_1", os.urandom(8).hex(), Envelope("PADES"), DigestAlgorithm.SHA256, None, RULES
    )
    with monkeypatch.context() as patched:
        patched.setattr(DocumentSession, "complete", busy)
        with pytest.raises(Internal):
            async with world.signing._documents.sign_document(CLIENT, request, chunks(), "req_1"):
                pass
    with pytest.raises(Internal, match="new idempotency key"):
        async with world.signing._documents.sign_document(CLIENT, request, chunks(), "req_1"):
            pass
    assert world.hsm.signed == 1
