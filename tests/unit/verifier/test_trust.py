"""Freshness of trust: what is used while the registry is away, and when nothing is judged any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry

from kyso.v1 import registry_pb2
from services.kernel.errors import ServiceUnavailable
from services.verifier import algorithm_policy, algorithms
from services.verifier.algorithm_policy import Purpose
from services.verifier.config import TrustSettings
from services.verifier.ports import TrustMaterial
from services.verifier.trust import freshness
from services.verifier.trust.registry import RegistryTrust
from services.verifier.x509.anchors import by_anchor
from tests.unit.verifier.authority import NOW, Hierarchy

VERIFIER_TOML = Path(__file__).resolve().parents[3] / "deploy" / "k8s" / "base" / "config" / "verifier.toml"


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
    settings = TrustSettings(refresh_seconds=5, max_age_seconds=60)
    return RegistryTrust(registry, algorithms.default_policy(), settings, lambda: clock.now)


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


def stamp(at: datetime) -> Timestamp:
    """A time as the registry sends it."""
    sent = Timestamp()
    sent.FromDatetime(at)
    return sent


def anchor(name: bytes, scope: str = "public", **terms: Any) -> registry_pb2.TrustAnchor:
    """An anchor as the registry sends it."""
    return registry_pb2.TrustAnchor(certificate=name, scope=scope, **terms)


async def material(
    *anchors: registry_pb2.TrustAnchor, crls: Sequence[bytes] = (), **lists: datetime
) -> tuple[RegistryTrust, TrustMaterial]:
    """What becomes of an answer of the registry."""
    states = [
        registry_pb2.TrustListState(name=name, sequence_number=1, next_update=stamp(until))
        for name, until in lists.items()
    ]

    class Answering:
        async def GetTrust(self, request: registry_pb2.GetTrustRequest) -> registry_pb2.GetTrustResponse:
            assert request == registry_pb2.GetTrustRequest()
            return registry_pb2.GetTrustResponse(anchors=anchors, crls=crls, trust_lists=states)

    trust = RegistryTrust(Answering(), algorithms.default_policy(), TrustSettings(), lambda: NOW)
    return trust, await trust.current()


async def test_terms_come_with_the_anchors_that_have_any() -> None:
    until = NOW + timedelta(days=1)
    _, found = await material(
        anchor(b"unlimited", "own"),
        anchor(b"limited", trusted_from=stamp(NOW), trusted_until=stamp(until), purposes=["signature"]),
        anchor(b"limited", purposes=["time-stamp"]),
        anchor(b"both ways", trusted_until=stamp(NOW)),
        anchor(b"both ways"),
        anchor(b"foreign", "foreign"),
        anchor(b"of tomorrow", purposes=["what this code does not know"]),
    )
    assert found.anchors == (b"unlimited", b"limited", b"both ways", b"foreign", b"of tomorrow")
    terms = by_anchor(found.terms)
    assert set(terms) == {sha256(one).hexdigest() for one in (b"limited", b"foreign", b"of tomorrow")}
    first, second = terms[sha256(b"limited").hexdigest()]
    assert (first.trusted_from, first.trusted_until, first.purposes) == (
        NOW,
        until,
        frozenset({Purpose.SIGNATURE}),
    )
    assert (second.trusted_from, second.trusted_until, second.purposes) == (
        None,
        None,
        frozenset({Purpose.TIME_STAMP}),
    )
    (unknown,) = terms[sha256(b"of tomorrow").hexdigest()]
    # It is for something, and that is nothing of what is judged here.
    assert unknown.purposes == frozenset()


async def test_readiness_names_what_should_have_been_replaced(hierarchy: Hierarchy) -> None:
    old = hierarchy.issuing.crl(this_update=NOW - timedelta(days=3), next_update=NOW - timedelta(days=2))
    fresh, root = hierarchy.issuing.crl(), hierarchy.root.crl(next_update=NOW - timedelta(hours=1))
    for crls, said in (
        ([fresh, old], None),
        ([old, fresh], None),
        ([old], "the revocation list of Issuing CA was to be replaced by"),
        ([fresh, root], "the revocation list of Root CA"),
        ([b"no list", fresh], None),
    ):
        trust, _ = await material(anchor(b"a"), crls=crls)
        reason = await trust.check()
        assert (reason is None) == (said is None)
        assert said is None or said in str(reason)
    trust, _ = await material(anchor(b"a"), neac=NOW - timedelta(days=1), other=NOW + timedelta(days=1))
    assert str(await trust.check()).startswith("the trust list neac was to be replaced by")
    registry = CollectorRegistry()
    freshness.measure(registry, lambda: trust.freshness, lambda: NOW)
    assert registry.get_sample_value("kyso_verifier_trust_list_remaining_seconds") == -86_400
    assert isnan(registry.get_sample_value("kyso_verifier_crl_remaining_seconds") or 0)


async def test_anchors_that_have_all_ended_are_none() -> None:
    ended = anchor(b"a", trusted_until=stamp(NOW))
    trust, _ = await material(ended)
    assert await trust.check() == "no trust anchor is trusted any more"
    trust, _ = await material(ended, anchor(b"a", trusted_from=stamp(NOW + timedelta(days=1))))
    assert await trust.check() is None


async def test_the_policy_goes_with_the_material(registry: Registry) -> None:
    policy = algorithms.default_policy()
    assert (
        await RegistryTrust(registry, policy, TrustSettings(), lambda: NOW).current()
    ).algorithms is policy


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (algorithm_policy.SHIPPED.read_text("utf-8"), 0, ""),
        ("", 2, "verifier: trust.algorithm_policy_file: "),
    ],
    ids=["good", "empty"],
)
def test_a_check_of_the_settings_reads_the_policy_they_name(
    tmp_path: Path, text: str, code: int, said: str
) -> None:
    (tmp_path / "policy.toml").write_text(text, "utf-8")
    settings = (
        VERIFIER_TOML.read_text("utf-8")
        + f'\n[trust]\nalgorithm_policy_file = "{tmp_path / "policy.toml"}"\n'
    )
    (tmp_path / "verifier.toml").write_text(settings, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "services.verifier", "--config", str(tmp_path / "verifier.toml"), "--check-config"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr[: len(said)], done.stderr.count("\n")) == (code, said, code // 2)
