"""What the registry counts. Label values come from closed sets; ids stay out."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_HOLD_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10)


@dataclass(frozen=True, slots=True)
class RegistryMetrics:
    """The registry's own figures; RPC, outbox and consumer figures are the chassis'."""

    audit_ledger_sequence: Gauge
    audit_gaps: Counter
    audit_breaks: Counter
    directory_head: Gauge
    hold_seconds: Histogram
    crl_age: Gauge
    certificates_issued: Counter
    tokens_issued: Counter
    tokens_refused: Counter
    evidence: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> RegistryMetrics:
        """Make them in the process's own registry."""
        return cls(
            audit_ledger_sequence=Gauge(
                "kyso_registry_audit_ledger_sequence",
                "Last entry of each signing ledger that the audit log holds without a gap.",
                ["ledger"],
                registry=registry,
            ),
            audit_gaps=Counter(
                "kyso_registry_audit_gaps_total",
                "Gaps in a signing ledger that were found and fetched from the signer.",
                registry=registry,
            ),
            audit_breaks=Counter(
                "kyso_registry_audit_chain_breaks_total",
                "Ledger entries that do not continue the chain of hashes: somebody must look at each.",
                registry=registry,
            ),
            directory_head=Gauge(
                "kyso_registry_directory_head", "Head version of the directory.", registry=registry
            ),
            hold_seconds=Histogram(
                "kyso_registry_hold_seconds",
                "From the commit of a hold or revocation to the answer that no signature can start any more.",
                buckets=_HOLD_BUCKETS,
                registry=registry,
            ),
            crl_age=Gauge(
                "kyso_registry_crl_age_seconds",
                "Seconds since thisUpdate of the newest CRL.",
                ["ca"],
                registry=registry,
            ),
            certificates_issued=Counter(
                "kyso_registry_certificates_issued_total",
                "Certificates issued by our CA, or imported, by profile.",
                ["profile"],
                registry=registry,
            ),
            tokens_issued=Counter(
                "kyso_registry_tokens_issued_total", "Access tokens issued.", registry=registry
            ),
            tokens_refused=_tokens_refused(registry),
            evidence=_evidence(registry),
        )


def _tokens_refused(registry: CollectorRegistry) -> Counter:
    return Counter(
        "kyso_registry_tokens_refused_total",
        "Token requests refused, by error code.",
        ["code"],
        registry=registry,
    )


def _evidence(registry: CollectorRegistry) -> Counter:
    return Counter(
        "kyso_registry_evidence_total",
        "Evidence of verifications: kept, again (kept before), refused (no room), deleted or expired.",
        ["what"],
        registry=registry,
    )


def trust_list_gauge(registry: CollectorRegistry) -> Gauge:
    """Make the gauge of how long each trust list is good for."""
    return Gauge(
        "kyso_registry_trust_list_remaining_seconds",
        "Seconds until the trust list in use is to be replaced (nextUpdate); negative: it should have been.",
        ["list"],
        registry=registry,
    )
