"""The signer is killed at every numbered step and at random moments, under load, and started again.

At most one signature is released per idempotency key; every accepted request ends signed, failed or OUTCOME_UNKNOWN;
there is no signature without an intent; the ledger has no gap; the signer is ready again in under ten seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.load import Callers, Request, Wish
from tests.support.platform import EndedBeforeReady, TestPlatform, running_platform
from tests.support.records import Records
from tests.support.world import World, until

FAILPOINTS = (
    "intent_recorded", "before_hsm", "after_hsm", "before_outcome", "after_outcome", "before_answer", "before_publish",
)  # fmt: skip
CALLERS = 8
RANDOM = random.SystemRandom()
READY_SECONDS = 10.0
KILLED = -9
ENDED = {"signed", "refused", "failed", "outcome_unknown"}


@dataclass
class Site:
    """A platform under attack, with all that its callers were answered."""

    platform: TestPlatform
    world: World
    requests: list[Request] = field(default_factory=list)
    ready_seconds: list[float] = field(default_factory=list)

    @property
    def wishes(self) -> list[Wish]:
        """ECDSA, whose signatures differ each time, so that a second one shows; and RSA."""
        return [Wish(self.world.ec_credential), Wish(self.world.rsa_credential)]

    def callers(self) -> Callers:
        """Eight callers."""
        door = self.platform.channel("gateway", "signer")
        return Callers([door], self.world.token(), self.wishes, CALLERS)

    async def restart(self, failpoint: str | None) -> None:
        """Start the dead signer again, with a failpoint for its next life or without."""
        faults = {"failpoint": failpoint, "after": RANDOM.randint(1, 40)} if failpoint else {}
        self.platform.configure("signer-1", {"development": True, "faults": faults})
        signer = self.platform.processes["signer-1"]
        signer.start(wait=False)
        try:
            self.ready_seconds.append(await asyncio.to_thread(signer.await_ready))
        except EndedBeforeReady:
            # What the last life left to publish may bring the next one to the failpoint before it is ready.
            if failpoint is None or signer.await_end() != KILLED:
                raise


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_platform(tmp_path_factory.mktemp("crash")) as platform:
        world = World(platform)
        yield Site(platform, world)
        world.close()


async def _die_at(site: Site, failpoint: str, times: int) -> None:
    signer = site.platform.processes["signer-1"]
    await asyncio.to_thread(signer.stop)
    await site.restart(failpoint)
    async with site.callers() as callers:
        for left in reversed(range(times)):
            code = await asyncio.to_thread(signer.await_end)
            assert code == KILLED, f"the signer ended with {code}:\n{signer.tail()}"
            await site.restart(failpoint if left else None)
        await callers.until_signed(CALLERS)
    site.requests += callers.requests


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_a_kill_at_a_step(
    site: Site, failpoint: str, full: bool, report: Callable[[str], None]
) -> None:
    times = 20 if full else 1
    before = len(site.requests)
    await _die_at(site, failpoint, times)
    mine = site.requests[before:]
    _require_sound(site)
    report(
        f"{failpoint}: {times} kills, {len(mine)} requests: {dict(Counter(request.final for request in mine))}"
    )


async def test_kills_at_random_moments(site: Site, full: bool, report: Callable[[str], None]) -> None:
    times = 20 if full else 2
    signer = site.platform.processes["signer-1"]
    before = len(site.requests)
    async with site.callers() as callers:
        for _ in range(times):
            await callers.until_signed(RANDOM.randint(1, 60))
            await asyncio.sleep(RANDOM.random() * 0.02)
            await asyncio.to_thread(signer.kill)
            await site.restart(None)
        await callers.until_signed(CALLERS)
    site.requests += callers.requests
    mine = site.requests[before:]
    _require_sound(site)
    report(f"random: {times} kills, {len(mine)} requests: {dict(Counter(request.final for request in mine))}; "
           f"ready again in {max(site.ready_seconds):.1f} s at most over {len(site.ready_seconds)} starts")  # fmt: skip


def _require_sound(site: Site) -> None:
    database: Path = site.platform.folder / "signer.sqlite"
    records = until("every intent to end", lambda: _all_ended(Records.read(database)))
    assert max(site.ready_seconds) < READY_SECONDS
    for request in site.requests:
        assert request.final in {"signed", "OUTCOME_UNKNOWN"}, (request.final, request.refusals[-5:])
        assert len(request.signatures) <= 1, "two signatures were released under one idempotency key"
        assert len(request.operations) <= 1
    answered = {operation for request in site.requests for operation in request.operations}
    assert records.without_intent(answered) == []
    assert records.ledger_faults() == []
    completed = {entry["operation_id"] for entry in records.entries() if entry["outcome"] == "completed"}
    released = {
        operation for request in site.requests if request.signatures for operation in request.operations
    }
    assert released <= completed, "a signature was released that the ledger does not know"


def _all_ended(records: Records) -> Records | None:
    return records if set(records.states.values()) <= ENDED else None
