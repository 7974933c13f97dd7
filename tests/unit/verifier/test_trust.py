"""Freshness of trust: what is used while the registry is away, and when nothing is judged any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kyso.v1 import registry_pb2
from services.kernel.errors import ServiceUnavailable
from services.verifier.config import TrustSettings
from services.verifier.trust import RegistryTrust
from tests.unit.verifier.authority import NOW


class Registry:
    """Answers one anchor, or fails."""

    def __init__(self) -> None:
        """Start out in reach."""
        self.away = False
        self.calls = 0
        self.anchors = [b"anchor"]

    async def GetTrust(self, request: registry_pb2.GetTrustRequest) -> registry_pb2.GetTrustResponse:
        """Answer."""
        assert request == registry_pb2.GetTrustRequest()
        self.calls += 1
        if self.away:
            raise ServiceUnavailable("away")
        anchors = [registry_pb2.TrustAnchor(certificate=a) for a in self.anchors]
        return registry_pb2.GetTrustResponse(anchors=anchors)


@pytest.fixture
def registry() -> Registry:
    """A registry."""
    return Registry()


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        """Start at NOW."""
        self.now = NOW


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def trust(registry: Registry, clock: Clock) -> RegistryTrust:
    """Refreshed after 5 s, used for at most 60 s."""
    return RegistryTrust(registry, TrustSettings(refresh_seconds=5, max_age_seconds=60), lambda: clock.now)


async def test_material_is_fetched_once_while_it_is_fresh(
    trust: RegistryTrust, registry: Registry, clock: Clock
) -> None:
    first = await trust.current()
    clock.now += timedelta(seconds=5)
    assert await trust.current() is first
    assert registry.calls == 1
    clock.now += timedelta(seconds=1)
    assert await trust.current() is first
    assert registry.calls == 2
    assert trust.age_seconds() == 0
    registry.anchors.append(b"another")
    clock.now += timedelta(seconds=6)
    assert (await trust.current()).anchors == (b"anchor", b"another")


async def test_old_material_serves_while_the_registry_is_away_and_then_no_more(
    trust: RegistryTrust, registry: Registry, clock: Clock
) -> None:
    await trust.current()
    registry.away = True
    clock.now += timedelta(seconds=60)
    assert (await trust.current()).anchors == (b"anchor",)
    assert await trust.check() is None
    clock.now += timedelta(seconds=1)
    with pytest.raises(ServiceUnavailable):
        await trust.current()
    assert "SERVICE_UNAVAILABLE" in str(await trust.check())


async def test_readiness_says_that_trust_is_missing(trust: RegistryTrust, registry: Registry) -> None:
    registry.away = True
    assert trust.age_seconds() == float("inf")
    assert await trust.check() == "the registry does not answer GetTrust (SERVICE_UNAVAILABLE)"
    registry.away, registry.anchors = False, []
    assert await trust.check() == "the registry knows no trust anchor"
