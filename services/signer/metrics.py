"""What the signer counts. Label values come from closed sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.runtime.telemetry import LATENCY_BUCKETS

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class SignerMetrics:
    """Figures of the signer's own floors; the HSM's and the chassis' stand elsewhere."""

    signatures: Counter
    refusals: Counter
    outcome_unknown: Counter
    levels: Counter
    intents_open: Gauge
    ledger_sequence: Gauge
    commit_seconds: Histogram
    commit_batch_size: Histogram
    directory_age: Gauge
    directory_entries: Gauge

    @classmethod
    def register(cls, registry: CollectorRegistry) -> SignerMetrics:
        """Create every figure in the process's registry."""

        def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        unchanged = "Age of the newest word from the registry that its directory is unchanged."
        return cls(
            signatures=counter(
                "kyso_signer_signatures_total", "Items asked for, by kind and outcome.", ["kind", "outcome"]
            ),
            refusals=counter(
                "kyso_signer_refusals_total", "Calls refused before the HSM was asked, by code.", ["code"]
            ),
            outcome_unknown=counter(
                "kyso_signer_outcome_unknown_total", "Operations that ended OUTCOME_UNKNOWN."
            ),
            levels=counter(
                "kyso_signer_levels_total",
                "Documents raised above B-B, by the level asked for and the one reached.",
                ["wanted", "reached"],
            ),
            intents_open=gauge(
                "kyso_signer_intents_open", "Operations of this replica between intent and outcome."
            ),
            ledger_sequence=gauge(
                "kyso_signer_ledger_sequence", "Highest sequence number of the ledger.", ["ledger"]
            ),
            commit_seconds=histogram(
                "kyso_signer_commit_seconds", "Time of one durable transaction.", LATENCY_BUCKETS
            ),
            commit_batch_size=histogram(
                "kyso_signer_commit_batch_size", "Intents and outcomes in one of them.", BATCH_BUCKETS
            ),
            directory_age=gauge("kyso_signer_directory_age_seconds", unchanged),
            directory_entries=gauge("kyso_signer_directory_entries", "Credentials kept in memory."),
        )
