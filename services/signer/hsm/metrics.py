"""What the HSM floor shows of itself. Label values come from the configuration and from closed sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.signer.hsm.wire import Status

_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)


def failure_reason(status: Status, cryptoki_name: str) -> str:
    """Put a failed item into one of a few classes (values of the label `reason`)."""
    if status is Status.NOT_STARTED and cryptoki_name == "WORKER_DOUBTFUL":
        return "waits_for_recovery"
    return {
        Status.NOT_STARTED: "session",
        Status.UNKNOWN: "device",
        Status.REFUSED: "refused",
        Status.KEY_MISSING: "key_missing",
        Status.KEY_MISMATCH: "key_mismatch",
        Status.PIN: "pin",
        Status.LATE: "late",
    }.get(status, "other")


class Measured(Protocol):
    """What the gauges read when they are scraped."""

    @property
    def queue_length(self) -> int:
        """Digests that wait."""

    @property
    def busy(self) -> int:
        """Sessions at work."""

    @property
    def ready_workers(self) -> int:
        """Workers that can sign."""


@dataclass(frozen=True)
class HsmMetrics:
    """The metric families of all token groups."""

    seconds: Histogram
    busy: Gauge
    workers: Gauge
    queue: Gauge
    failures: Counter
    token_seconds: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> HsmMetrics:
        """Create the families in a registry."""
        group = ["group"]
        return cls(
            seconds=Histogram(
                "kyso_signer_hsm_operation_seconds",
                "Wall time of one operation inside the token, measured in the worker.",
                ["group", "operation", "mechanism"],
                buckets=_BUCKETS,
                registry=registry,
            ),
            busy=Gauge("kyso_signer_hsm_pool_busy", "Sessions that have work.", group, registry=registry),
            workers=Gauge(
                "kyso_signer_hsm_pool_workers",
                "Workers that are logged in and not in doubt.",
                group,
                registry=registry,
            ),
            queue=Gauge("kyso_signer_hsm_queue", "Digests that wait for a worker.", group, registry=registry),
            failures=Counter(
                "kyso_signer_hsm_failures_total",
                "Items and workers that failed, by class of reason.",
                ["group", "reason"],
                registry=registry,
            ),
            token_seconds=Counter(
                "kyso_signer_hsm_token_seconds_total",
                "CPU time of the workers inside C_SignInit and C_Sign: the token's part of the process CPU time.",
                group,
                registry=registry,
            ),
        )

    def of(self, group: str) -> GroupMetrics:
        """Return the metrics of one token group."""
        return GroupMetrics(self, group)


class GroupMetrics:
    """The metrics of one token group, with the label look-ups done once."""

    def __init__(self, families: HsmMetrics, group: str) -> None:
        """Take the families and the group's name."""
        self._families, self._group = families, group
        self._observers: dict[tuple[str, str], Callable[[float], None]] = {}
        self.token_seconds: Callable[[float], None] = families.token_seconds.labels(group).inc

    def follow(self, measured: Measured) -> None:
        """Have the gauges read the group whenever they are scraped."""
        self._families.busy.labels(self._group).set_function(lambda: measured.busy)
        self._families.workers.labels(self._group).set_function(lambda: measured.ready_workers)
        self._families.queue.labels(self._group).set_function(lambda: measured.queue_length)

    def operation(self, operation: str, mechanism: str) -> Callable[[float], None]:
        """Return what takes the seconds of one operation: sign, generate, find, list; mechanism is a CKM name."""
        observe = self._observers.get((operation, mechanism))
        if observe is None:
            observe = self._families.seconds.labels(self._group, operation, mechanism).observe
            self._observers[operation, mechanism] = observe
        return observe

    def failed(self, reason: str, count: int) -> None:
        """Count failures."""
        self._families.failures.labels(self._group, reason).inc(count)
