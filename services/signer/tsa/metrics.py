"""What the time-stamp authority counts. Label values come from closed sets."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.runtime.telemetry import LATENCY_BUCKETS


@dataclass(frozen=True, slots=True)
class TsaMetrics:
    """Figures of time-stamps, our own and those asked of others."""

    stamps: Counter
    seconds: Histogram
    certificate_end: Gauge
    serial_blocks: Gauge
    serials_left: Gauge
    outside: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> TsaMetrics:
        """Create every figure in the process's registry."""
        return cls(
            stamps=Counter(
                "kyso_signer_time_stamps_total",
                "Time-stamps asked of our own authority, by outcome: granted, or the name of the failInfo.",
                ["outcome"],
                registry=registry,
            ),
            seconds=Histogram(
                "kyso_signer_time_stamp_seconds",
                "Time of one answer of our own time-stamp authority.",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ),
            certificate_end=Gauge(
                "kyso_signer_time_stamp_certificate_end_seconds",
                "End of the time-stamp unit's certificate, seconds since 1970; 0 while there is none.",
                registry=registry,
            ),
            serial_blocks=Gauge(
                "kyso_signer_time_stamp_serial_blocks",
                "Blocks of serial numbers that this replica took since its start.",
                registry=registry,
            ),
            serials_left=Gauge(
                "kyso_signer_time_stamp_serials_left",
                "Serial numbers left of the block in hand.",
                registry=registry,
            ),
            outside=Counter(
                "kyso_signer_outside_time_stamps_total",
                "Time-stamps asked of other authorities, by outcome: granted, unavailable or wrong.",
                ["outcome"],
                registry=registry,
            ),
        )
