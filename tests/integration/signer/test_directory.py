"""Holds and outages through the real bus: the register and the bus go away one after the other."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from kyso.v1 import common_pb2
from services.kernel.errors import (
    CallerNotAllowed,
    CredentialExpired,
    CredentialHeld,
    CredentialNotFound,
    CredentialStatusUnavailable,
    CredentialWithoutCertificate,
    DigestLength,
    DomainError,
    IdempotencyConflict,
    ScopeMissing,
    TokenExpired,
    TokenInvalid,
    Unauthenticated,
)
from services.kernel.events import DIRECTORY_CONFIRMED
from tests.integration.signer.requests import hashes_request
from tests.support.nats_server import eventually
from tests.support.signer_world import SignerWorld

HELD = common_pb2.CREDENTIAL_STATUS_HELD


async def test_a_hold_is_confirmed_and_bites_at_once(world: SignerWorld) -> None:
    confirmed: list[dict[str, Any]] = []

    async def heard(_subject: str, data: bytes) -> None:
        confirmed.append(json.loads(data))

    await world.bus.subscribe_core(DIRECTORY_CONFIRMED, heard)
    credential_id = await world.credential()
    await eventually(lambda: world.sample("kyso_signer_directory_age_seconds") < 1, what="a heartbeat")
    await world.sign(hashes_request(credential_id))
    version = await world.register.change(credential_id, HELD)
    expected = {"credential_id": credential_id, "version": version, "replica": "signer-1"}
    await eventually(lambda: expected in confirmed, what="the confirmation")
    with pytest.raises(CredentialHeld):
        await world.sign(hashes_request(credential_id))


async def test_a_hold_bites_while_callers_sign(world: SignerWorld) -> None:
    credential_id = await world.credential()
    confirmed = asyncio.Event()

    async def heard(_subject: str, data: bytes) -> None:
        if json.loads(data)["credential_id"] == credential_id:
            confirmed.set()

    await world.bus.subscribe_core(DIRECTORY_CONFIRMED, heard)
    late: list[Any] = []

    async def caller() -> None:
        while True:
            after = confirmed.is_set()
            try:
                answer = await world.sign(hashes_request(credential_id, 20))
            except (CredentialHeld, CredentialStatusUnavailable):
                if after:
                    return
                continue
            if after:
                late.append(answer)
                return

    callers = [asyncio.create_task(caller()) for _ in range(4)]
    await world.sign(hashes_request(credential_id))
    await world.register.change(credential_id, HELD)
    await asyncio.gather(*callers)
    assert late == []


async def test_without_the_bus_signing_asks_by_rpc_and_a_hold_still_bites(world: SignerWorld) -> None:
    world.register.beating = False
    credential_id = await world.credential()
    await eventually(
        lambda: world.sample("kyso_signer_directory_age_seconds") > 3, what="the end of the heartbeats"
    )
    await world.sign(hashes_request(credential_id))
    asked = len(world.register.asked)
    await world.sign(hashes_request(credential_id))
    assert len(world.register.asked) == asked + 1
    await world.register.change(credential_id, HELD, told=False)
    with pytest.raises(CredentialHeld):
        await world.sign(hashes_request(credential_id))
    # And without the registry nothing is signed, and readiness says why.
    world.register.fails = True
    with pytest.raises(CredentialStatusUnavailable):
        await world.sign(hashes_request(credential_id))
    reasons = await world.runtime.health.refresh(force=True)
    assert "directory" in reasons


async def test_every_kind_of_bad_input_is_refused_with_its_code(world: SignerWorld) -> None:
    token, register = world.register.token(), world.register
    good = await world.credential()
    gone = await world.credential(status=HELD)
    old = await world.credential(life=-timedelta(days=1))
    bare = await world.credential(certified=False)
    foreign = await world.credential(client_ids=["cl_other"])
    used = hashes_request(good)
    await world.sign(used)
    rows: list[tuple[Any, str | None, type[DomainError]]] = [
        (hashes_request(good), "", Unauthenticated),
        (hashes_request(good), token[:-6] + "AAAAAA", TokenInvalid),
        (hashes_request(good), register.token(exp=1), TokenExpired),
        (hashes_request(good), register.token(scope="verify"), ScopeMissing),
        (hashes_request("cr_unknown"), token, CredentialNotFound),
        (hashes_request(foreign), token, CredentialNotFound),
        (hashes_request(good), register.token(agency="ag_other"), CredentialNotFound),
        (hashes_request(gone), token, CredentialHeld),
        (hashes_request(old), token, CredentialExpired),
        (hashes_request(bare), token, CredentialWithoutCertificate),
        (hashes_request(good, digests=[b"short"]), token, DigestLength),
        (hashes_request(good, idempotency_key=used.idempotency_key), token, IdempotencyConflict),
    ]
    for request, shown, error in rows:
        metadata = (("authorization", f"Bearer {shown}"),) if shown else ()
        with pytest.raises(error):
            await world.as_gateway.SignHashes(request, metadata=metadata)
    with pytest.raises(CallerNotAllowed):
        await world.as_registry.SignHashes(hashes_request(good), metadata=world.metadata())
    assert sum(record["signed_items"] for record in await world.ledger()) == 1
