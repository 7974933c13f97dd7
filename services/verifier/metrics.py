"""The verifier's own figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.errors import DomainError
from services.kernel.runtime.confinement import FILES, NETWORK, TCP
from services.kernel.runtime.telemetry import LATENCY_BUCKETS


@dataclass(frozen=True, slots=True)
class VerifierMetrics:
    """Counters and histograms; label values come from closed sets."""

    signatures: Counter
    seconds: Histogram
    kept: Counter

    @classmethod
    def register(
        cls,
        registry: CollectorRegistry,
        trust_age: Callable[[], float],
        workers_lost: Callable[[], float],
        given_up: Callable[[], frozenset[str]],
    ) -> VerifierMetrics:
        """Make the metrics; the three functions are asked at each scrape."""
        Gauge(
            "kyso_verifier_trust_age_seconds",
            "Seconds since the registry last confirmed anchors, CA certificates and CRLs.",
            registry=registry,
        ).set_function(trust_age)
        Gauge(
            "kyso_verifier_workers_lost",
            "Worker processes killed at the deadline or dead, since the start.",
            registry=registry,
        ).set_function(workers_lost)
        confined = Gauge(
            "kyso_verifier_workers_confined",
            "1 where the newest worker process gave up what the label names.",
            ["what"],
            registry=registry,
        )
        for what in (FILES, NETWORK, TCP):
            confined.labels(what).set_function(partial(_contains, given_up, what))
        return cls(
            Counter(
                "kyso_verifier_signatures_total",
                "Signatures judged, by indication and sub-indication of ETSI EN 319 102-1.",
                ["indication", "sub_indication"],
                registry=registry,
            ),
            Histogram(
                "kyso_verifier_seconds",
                "Time from the last byte of a document to its report.",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ),
            Counter(
                "kyso_verifier_evidence_kept_total",
                "Evidence handed to the registry, by outcome: kept, or the error code in lower case.",
                ["outcome"],
                registry=registry,
            ),
        )

    async def counted(self, keeping: Awaitable[str]) -> str:
        """Wait until evidence is kept, and count how that ended."""
        try:
            kept = await keeping
        except DomainError as error:
            self.kept.labels(error.code.lower()).inc()
            raise
        self.kept.labels("kept").inc()
        return kept

    def count(self, report: dict[str, Any]) -> None:
        """Count every signature of a report."""
        for signature in report["signatures"]:
            self.signatures.labels(signature["indication"], signature["sub_indication"] or "").inc()


def _contains(given_up: Callable[[], frozenset[str]], what: str) -> float:
    return float(what in given_up())
