"""Figures on what was asked outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.runtime.telemetry import LATENCY_BUCKETS


@dataclass(frozen=True, slots=True)
class EgressMetrics:
    """Counters and histograms; no label has a host in it, for hosts stand in certificates that anybody may send."""

    requests: Counter
    seconds: Histogram
    received: Counter
    hits: Counter
    missing: Counter

    @classmethod
    def register(
        cls, registry: CollectorRegistry, paused: Callable[[], float], cached_bytes: Callable[[], float]
    ) -> EgressMetrics:
        """Make the metrics; the two functions are asked at each scrape."""
        Gauge(
            "kyso_verifier_egress_paused_hosts",
            "Outside hosts that are left alone after failures in a row.",
            registry=registry,
        ).set_function(paused)
        Gauge(
            "kyso_verifier_egress_cache_bytes",
            "Size of the values from outside that are kept in memory.",
            registry=registry,
        ).set_function(cached_bytes)
        return cls(
            Counter(
                "kyso_verifier_egress_requests_total",
                "Questions to outside hosts, by kind and outcome: ok, or the reason in lower case.",
                ["kind", "outcome"],
                registry=registry,
            ),
            Histogram(
                "kyso_verifier_egress_seconds",
                "Time of a question to an outside host, with its repetitions.",
                ["kind"],
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ),
            Counter(
                "kyso_verifier_egress_bytes_total",
                "Bytes of answers that came from outside.",
                ["kind"],
                registry=registry,
            ),
            Counter(
                "kyso_verifier_egress_cache_hits_total",
                "Values that were at hand, or were being fetched already.",
                ["kind"],
                registry=registry,
            ),
            Counter(
                "kyso_verifier_evidence_missing_total",
                "Certificates for which no evidence could be had, by reason.",
                ["reason"],
                registry=registry,
            ),
        )
