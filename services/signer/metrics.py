"""What the signer counts. Label values come from closed sets."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.runtime.telemetry import LATENCY_BUCKETS


@dataclass(frozen=True, slots=True)
class SignerMetrics:
    """Figures of the signer's own floors; the HSM's and the chassis' stand elsewhere."""

    signatures: Counter
    refusals: Counter
    outcome_unknown: Counter
    intents_open: Gauge
    ledger_sequence: Gauge
    commit_seconds: Histogram
    commit_batch_size: Histogram
    directory_age: Gauge
    directory_entries: Gauge

    @classmethod
    def register(cls, registry: CollectorRegistry) -> SignerMetrics:
        """Create every figure in the process's registry."""
        return cls(
            signatures=Counter(
                "kyso_signer_signatures_total",
                "Items asked for, by kind of operation and outcome.",
                ["kind", "outcome"],
                registry=registry,
            ),
            refusals=Counter(
                "kyso_signer_refusals_total",
                "Calls refused before the HSM was asked, by error code.",
                ["code"],
                registry=registry,
            ),
            outcome_unknown=Counter(
                "kyso_signer_outcome_unknown_total",
                "Operations that ended OUTCOME_UNKNOWN.",
                registry=registry,
            ),
            intents_open=Gauge(
                "kyso_signer_intents_open",
                "Operations of this replica between intent and outcome.",
                registry=registry,
            ),
            ledger_sequence=Gauge(
                "kyso_signer_ledger_sequence",
                "Highest sequence number of the ledger.",
                ["ledger"],
                registry=registry,
            ),
            commit_seconds=Histogram(
                "kyso_signer_commit_seconds",
                "Time of one durable transaction of the signing ledger.",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ),
            commit_batch_size=Histogram(
                "kyso_signer_commit_batch_size",
                "Intents and outcomes in one durable transaction.",
                buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
                registry=registry,
            ),
            directory_age=Gauge(
                "kyso_signer_directory_age_seconds",
                "Age of the newest word from the registry that its directory is unchanged.",
                registry=registry,
            ),
            directory_entries=Gauge(
                "kyso_signer_directory_entries", "Credentials kept in memory.", registry=registry
            ),
        )
