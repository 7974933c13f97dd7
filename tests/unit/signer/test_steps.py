"""What is under way keeps its lease and what it works with, whoever goes away; and what is recorded is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.kernel.errors import DomainError, IdempotencyConflict, OperationInProgress, OutcomeUnknown
from services.signer.domain import CredentialStatus, State
from services.signer.service.steps import SigningSteps
from tests.unit.signer.test_signing import NOW, World, request, world

__all__ = ["world"]


async def test_the_lease_of_what_takes_long_is_renewed_until_it_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = world.signing._steps
    reached, go_on, now = asyncio.Event(), asyncio.Event(), NOW
    parts = replace(steps.parts, clock=lambda: now)
    monkeypatch.setattr(steps, "parts", parts)
    really = world.hsm.sign

    async def slow(*args: Any, **named: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await really(*args, **named)

    monkeypatch.setattr(world.hsm, "sign", slow)
    signing = asyncio.create_task(world.sign(request()))
    await reached.wait()
    (row,) = world.store.rows.values()
    before = await steps.renew_leases(set())
    assert before == {row.id}
    assert world.store.rows[row.id].lease_until == NOW + parts.lease
    now = NOW + timedelta(minutes=2)
    await steps.renew_leases(before)
    assert world.store.rows[row.id].lease_until == now + parts.lease
    go_on.set()
    await signing
    assert await steps.renew_leases(before) == set()


async def test_work_outlives_a_caller_that_is_cancelled_twice(world: World) -> None:
    steps: SigningSteps = world.signing._steps
    go_on, log = asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        log.append("worked")

    async def call() -> None:
        try:
            await steps.to_its_end(work())
        finally:
            log.append("closed what the work used")

    caller = asyncio.create_task(call())
    for _ in range(3):
        for _ in range(5):
            await asyncio.sleep(0)
        caller.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == []
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert log == ["worked", "closed what the work used"]


@pytest.mark.parametrize(
    ("state", "error"), [(State.BEGUN, OperationInProgress), (State.OUTCOME_UNKNOWN, OutcomeUnknown)]
)
async def test_a_repeated_call_is_told_what_is_recorded_though_the_credential_is_held(
    world: World, state: State, error: type[DomainError]
) -> None:
    asked = request()
    answer = await world.sign(asked)
    world.store.rows[answer.operation_id] = replace(world.store.rows[answer.operation_id], state=state)
    world.change(status=CredentialStatus.HELD)
    with pytest.raises(error):
        await world.sign(asked)
    with pytest.raises(IdempotencyConflict):
        await world.sign(replace(asked, digests=(b"y" * 32,)))
    assert len(world.records()) == 1
