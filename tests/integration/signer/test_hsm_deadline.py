"""No C_Sign begins after the moment up to which its signature was admitted, however long it waited at a worker.

The token journals the moment at which each C_Sign begins.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.kernel.errors import CredentialHeld, DomainError, HsmTimeout
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.hsm.hsm import Hsm, TokenGroupSettings
from services.signer.hsm.types import GeneratedKey
from tests.support.nats_server import eventually
from tests.support.softhsm import SoftHsm, open_hsm, verify

ECDSA_SHA256 = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
SLOW_SECONDS = 2.5
LIMIT_SECONDS = 1.5
"""Less than one signature of the slow token takes."""


@dataclass
class Journalled:
    """A token group of one worker, and the file that its C_Sign write to."""

    settings: TokenGroupSettings
    journal: Path

    def begun(self) -> list[float]:
        """Return the moments of `time.monotonic()` at which a C_Sign began."""
        if not self.journal.exists():
            return []
        offset = time.monotonic() - time.time()
        return [float(line.split()[2]) + offset for line in self.journal.read_text().splitlines()]


def journalled(tmp_path: Path, *, sign_seconds: float = 0) -> Journalled:
    """Make a token of this test's own; `sign_seconds` are added to each C_Sign."""
    softhsm = SoftHsm(tmp_path / "softhsm")
    softhsm.create_token("documents")
    shimmed = softhsm.behind_shim("documents", sign_microseconds=int(sign_seconds * 1e6), workers=1)
    journal = tmp_path / "signs"
    environment = shimmed.settings.environment | {"KYSO_SHIM_SIGN_JOURNAL": str(journal)}
    return Journalled(shimmed.settings.model_copy(update={"environment": environment}), journal)


class Door:
    """Admits for a time; from the `refuse_from`th question on it admits nobody."""

    def __init__(self, seconds: float, refuse_from: int | None = None) -> None:
        """Take how long an admission holds."""
        self._seconds, self._refuse_from = seconds, refuse_from
        self.until: list[float] = []

    def admit(self) -> float:
        """Return until when what is handed over now may begin."""
        if self._refuse_from is not None and len(self.until) + 1 >= self._refuse_from:
            raise CredentialHeld("the credential is on hold")
        self.until.append(time.monotonic() + self._seconds)
        return self.until[-1]


async def sign(
    hsm: Hsm, key: GeneratedKey, admit: Callable[[], float | None], count: int = 1
) -> list[bytes | DomainError]:
    """Sign random digests and verify whatever signature comes."""
    asked = [os.urandom(32) for _ in range(count)]
    outcomes = await hsm.sign(key.locator, ECDSA_SHA256, asked, admit=admit)
    for digest, outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, bytes):
            verify(key.spki, ECDSA_SHA256, digest, outcome)
    return outcomes


async def test_what_waits_behind_a_slow_signature_past_its_deadline_is_asked_about_again(
    tmp_path: Path,
) -> None:
    token = journalled(tmp_path, sign_seconds=SLOW_SECONDS)
    async with open_hsm(documents=token.settings) as (hsm, telemetry):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        first, second, third = Door(LIMIT_SECONDS), Door(LIMIT_SECONDS, refuse_from=2), Door(LIMIT_SECONDS)
        # The worker gets the first two at once; the second call's turn comes when its admission is over.
        results = await asyncio.gather(*(sign(hsm, key, door.admit) for door in (first, second)))
        ((signed,), (held,)) = results
        assert isinstance(signed, bytes)
        assert isinstance(held, CredentialHeld)
        (begun,) = token.begun()
        assert begun < first.until[0]
        # A late item costs the worker nothing: it goes on at once, in the same session.
        (after,) = await sign(hsm, key, third.admit)
        assert isinstance(after, bytes)
        assert len(token.begun()) == 2
        labels = {"group": "documents", "reason": "late"}
        assert telemetry.registry.get_sample_value("kyso_signer_hsm_failures_total", labels) == 1
        assert hsm.status()["documents"].ready_workers == 1


async def test_what_came_back_late_is_signed_under_a_new_admission(tmp_path: Path) -> None:
    token = journalled(tmp_path, sign_seconds=SLOW_SECONDS)
    async with open_hsm(documents=token.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        doors = [Door(LIMIT_SECONDS), Door(LIMIT_SECONDS)]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*(sign(hsm, key, d.admit) for d in doors))]
        assert all(isinstance(outcome, bytes) for outcome in outcomes)
        assert [len(door.until) for door in doors] == [1, 2]
        begun = token.begun()
        assert len(begun) == 2
        assert begun[0] < doors[0].until[0]
        assert doors[1].until[0] < begun[1] < doors[1].until[1]


@pytest.mark.parametrize("sessions", [1, 2])
async def test_a_worker_that_stood_still_past_the_deadline_begins_nothing(
    tmp_path: Path, sessions: int
) -> None:
    token = journalled(tmp_path)
    settings = token.settings.model_copy(update={"sessions_per_worker": sessions, "timeout_seconds": 60.0})
    async with open_hsm(documents=settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        # So that the frames that wait have many items: the group has learnt how fast the token is.
        assert all(isinstance(outcome, bytes) for outcome in await sign(hsm, key, lambda: None, 200))
        before = len(token.begun())
        (worker,) = hsm.status()["documents"].pids
        door = Door(LIMIT_SECONDS, refuse_from=2 * sessions + 1)
        os.kill(worker, signal.SIGSTOP)
        try:
            call = asyncio.create_task(sign(hsm, key, door.admit, 500))
            await eventually(lambda: len(door.until) == 2 * sessions, what="the worker's frames are sent")
            await eventually(lambda: time.monotonic() > door.until[-1], what="the admissions are over")
        finally:
            os.kill(worker, signal.SIGCONT)
        outcomes = await call
        assert all(isinstance(outcome, CredentialHeld) for outcome in outcomes)
        assert len(token.begun()) == before
        # Nothing was in doubt: the same worker signs on.
        assert all(isinstance(outcome, bytes) for outcome in await sign(hsm, key, lambda: None, 10))
        assert hsm.status()["documents"].pids == (worker,)


async def test_admissions_that_are_over_when_they_are_given_end_as_a_time_out(tmp_path: Path) -> None:
    token = journalled(tmp_path)
    async with open_hsm(documents=token.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        door = Door(0)
        outcomes = await sign(hsm, key, door.admit, 3)
        assert all(isinstance(outcome, HsmTimeout) and outcome.retryable for outcome in outcomes)
        assert token.begun() == []
        assert len(await sign(hsm, key, lambda: None, 3)) == len(token.begun()) == 3


async def test_a_key_that_nobody_waits_for_any_more_is_not_made(tmp_path: Path) -> None:
    token = journalled(tmp_path, sign_seconds=SLOW_SECONDS)
    async with open_hsm(documents=token.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        at_work = asyncio.create_task(sign(hsm, key, lambda: None))
        await eventually(token.begun, what="the worker is at work")
        # It reserves the worker, and waits until that is done with its signature.
        made = asyncio.create_task(hsm.generate("documents", KeyAlgorithm.ECDSA_P256))
        waiting = asyncio.create_task(sign(hsm, key, lambda: None))
        await eventually(lambda: hsm.status()["documents"].queue_length == 1, what="the worker is reserved")
        made.cancel()
        for (outcome,) in await asyncio.gather(at_work, waiting):
            assert isinstance(outcome, bytes)
        with pytest.raises(asyncio.CancelledError):
            await made
        assert await hsm.list_ids("documents") == [key.locator.cka_id]
