"""A collector of evidence over real HTTP, with the registry's trust as a test sets it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from services.verifier.config import EgressSettings, EvidenceSettings, OutsideHostSettings
from services.verifier.egress.client import Egress, transport_of
from services.verifier.egress.hosts import Gates
from services.verifier.egress.metrics import EgressMetrics
from services.verifier.evidence.collector import Collected, EvidenceCollector
from services.verifier.evidence.sources import EvidenceCache, EvidenceSources
from services.verifier.ports import TrustMaterial
from tests.support.outside_authority import START, authority, crl, der
from tests.support.outside_server import HOST, OutsideServer
from tests.support.rpc import make_runtime

ROOT = authority("Outside Root")
CA = authority("Outside CA", ROOT)


@dataclass
class World:
    """A collector, the host that it asks, and the registry's trust as the test sets it."""

    server: OutsideServer
    trust: TrustMaterial
    collector: EvidenceCollector = field(init=False)
    sample: Callable[..., float | None] = field(init=False)
    now: float = 0.0
    news: TrustMaterial | None = None
    """What the registry says when it is asked anew."""

    async def current(self, within_seconds: float | None = None) -> TrustMaterial:
        """Be the trust source."""
        if within_seconds is not None and self.news is not None:
            self.trust = self.news
        return self.trust

    async def collect(self, *given: x509.Certificate) -> Collected:
        """Collect for certificates."""
        return await self.collector.collect([der(one) for one in given])

    async def missing(self, *given: x509.Certificate) -> list[tuple[str, str]]:
        """Return reason and detail of what is missing."""
        return [(one.reason, one.detail) for one in (await self.collect(*given)).missing]


@asynccontextmanager
async def running(server: OutsideServer, **changes: Any) -> AsyncIterator[World]:
    """Make a collector whose trust is the root with its CRL, and the CA above the leaves."""
    egress = EgressSettings(
        hosts=(OutsideHostSettings(name=HOST, ports=(server.port,), private_address=True),),
        backoff_seconds=0.001,
        read_seconds=0.3,
        cache_bytes=changes.pop("cache_bytes", 1 << 24),
    )
    settings, runtime = EvidenceSettings(**changes), make_runtime("verifier")
    world = World(server, TrustMaterial((ROOT.der,), (CA.der,), (crl(ROOT),)))
    cache = EvidenceCache.of(egress, lambda: time.monotonic() + world.now)
    gates, registry = Gates(egress, time.monotonic), runtime.telemetry.registry
    metrics = EgressMetrics.register(registry, gates.paused, lambda: cache.bytes)
    world.sample = registry.get_sample_value
    async with transport_of(egress) as transport:
        door = Egress(egress, transport, gates, metrics, runtime.telemetry.log)
        sources = EvidenceSources(door, cache, settings, egress.keep_seconds, metrics, lambda: START)
        world.collector = EvidenceCollector(sources, world, settings, metrics, lambda: START)
        yield world
        await cache.close()
