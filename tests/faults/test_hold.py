"""After the answer of `:hold` no signature by that credential starts anywhere, whatever the bus does.

The token journals the moment at which each C_Sign begins, so "starts" is seen where it happens.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.load import Callers, Wish
from tests.support.platform import Layout, TestPlatform, running_platform
from tests.support.postgres import PostgresServer
from tests.support.softhsm import build_shim, find_module
from tests.support.world import World, until

CALLERS = 8
LIMIT_SECONDS = 4.0
"""Heartbeat limit and the second more that the registry waits for signers that do not confirm."""


@dataclass
class Site:
    """Two signers on PostgreSQL with journalling tokens."""

    platform: TestPlatform
    world: World
    journal: Path

    def callers(self, credential: str, count: int = CALLERS) -> Callers:
        """Callers over both signers."""
        doors = [self.platform.channel("gateway", "signer", signer=number) for number in (1, 2)]
        return Callers(doors, self.world.token(), [Wish(credential)], count)

    def hold(self, credential: str) -> tuple[dict[str, Any], float]:
        """Hold a credential; return the answer and the moment at which it was here."""
        body = {"reason": "key_suspected", "reporter": "Nguyễn Văn A"}
        answer = self.world.post(f"/v1/credentials/{credential}:hold", body)
        answered = time.time()
        assert answer.status_code == 200, answer.text
        held: dict[str, Any] = answer.json()
        return held, answered

    def release(self, credential: str) -> None:
        """End the hold; another client than the one that placed it must."""
        confirmation = {"confirmation": "15/VP ngày 22/11/2026"}
        answer = self.world.post(
            f"/v1/credentials/{credential}:release", confirmation, client=self.world.operator
        )
        assert answer.status_code == 200, answer.text

    def signs_after(self, moment: float) -> list[float]:
        """Return the moments after `moment` at which a C_Sign began."""
        lines = self.journal.read_text().splitlines()
        return [
            at
            for at in (float(line.split()[2]) for line in lines if line.startswith("C_Sign "))
            if at > moment
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hold")
    journal = folder / "signs"
    environment = {
        "KYSO_SHIM_MODULE": str(find_module()), "KYSO_SHIM_SIGN_JOURNAL": str(journal),
    }  # fmt: skip
    layout = Layout(
        signers=2,
        databases={"signer": postgres_server.fresh_database(), "registry": postgres_server.fresh_database()},
        overrides={
            "signer": {"hsm": {"documents": {"module": build_shim(folder), "environment": environment}}}
        },
    )
    with running_platform(folder / "platform", layout) as platform:
        world = World(platform)
        yield Site(platform, world, journal)
        world.close()


async def test_nothing_starts_after_the_answer(site: Site, full: bool, report: Callable[[str], None]) -> None:
    trials = 50 if full else 5
    credential = site.world.new_credential("ECDSA-P256")
    latencies: list[int] = []
    for _ in range(trials):
        async with site.callers(credential) as callers:
            await callers.until_signed(4 * CALLERS)
            held, answered = await asyncio.to_thread(site.hold, credential)
            async with site.callers(credential, 4) as late:
                await late.until_ended(16)
        assert {request.final for request in late.requests} == {"CREDENTIAL_HELD"}
        sent_late = [request for request in callers.requests if request.sent_at > answered]
        assert all(not request.signatures for request in sent_late)
        assert site.signs_after(answered) == [], "a C_Sign began after the hold was answered"
        assert held["unconfirmed"] == [], held
        latencies.append(max(one["milliseconds"] for one in held["confirmations"]))
        await asyncio.to_thread(site.release, credential)
    report(f"{trials} holds under load, two signers: last confirmation after {statistics.median(latencies):.0f} ms "
           f"(median), {max(latencies)} ms (longest)")  # fmt: skip


async def test_without_the_bus_signing_goes_on_and_a_hold_still_bites(site: Site) -> None:
    credential = site.world.new_credential("ECDSA-P256")
    nats = site.platform.processes["nats"]
    await asyncio.to_thread(nats.kill)
    try:
        async with site.callers(credential) as callers:
            await callers.until_signed(4 * CALLERS)
            held, answered = await asyncio.to_thread(site.hold, credential)
            async with site.callers(credential, 4) as late:
                await late.until_ended(8)
        assert {request.final for request in late.requests} == {"CREDENTIAL_HELD"}
        assert site.signs_after(answered) == []
        assert held["milliseconds"] <= LIMIT_SECONDS * 1000 + 2000
    finally:
        await asyncio.to_thread(nats.start)
    await asyncio.to_thread(_both_ready, site)


async def test_without_bus_and_registry_it_refuses_and_says_why(site: Site) -> None:
    credential = site.world.new_credential("ECDSA-P256")
    async with site.callers(credential) as callers:
        await callers.until_signed(CALLERS)
    nats, registry = site.platform.processes["nats"], site.platform.processes["registry"]
    await asyncio.to_thread(nats.kill)
    await asyncio.to_thread(registry.kill)
    try:
        reasons = await asyncio.to_thread(_reasons, site)
        assert "directory" in reasons
        async with site.callers(credential) as late:
            await late.until_ended(2 * CALLERS)
        assert {request.final for request in late.requests} == {"CREDENTIAL_STATUS_UNAVAILABLE"}
    finally:
        await asyncio.to_thread(nats.start)
        await asyncio.to_thread(registry.start)
    await asyncio.to_thread(_both_ready, site)
    async with site.callers(credential) as again:
        await again.until_signed(CALLERS)


def _both_ready(site: Site) -> None:
    for signer in site.platform.signers:
        signer.await_ready()


def _reasons(site: Site) -> dict[str, str]:
    """Wait until the signer is not ready for the directory's sake; return what it says."""

    def ask() -> dict[str, str] | None:
        said = httpx.get(site.platform.signers[0].ready_url, timeout=5, trust_env=False).json()["reasons"]
        return said if "directory" in said else None

    return until("readiness to name the directory", ask)
