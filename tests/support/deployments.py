"""What settings of several services must agree on, wherever they are deployed."""

from __future__ import annotations

from typing import Any

from services.kernel.runtime.config import StreamSettings
from services.kernel.runtime.streams import MAX_JOB_BYTES
from services.signer.authority import MAX_CRL_BYTES

PRIORITIES = 3
MARGIN_BYTES = 1024 * 1024


def assert_streams_fit(signer: StreamSettings, registry: StreamSettings, store_bytes: int) -> None:
    """Each stream has one maker; what they reserve fits in the store; one client's queues do not fill the jobs."""
    made = [*signer.made_here, *registry.made_here]
    assert sorted(made) == ["KYSO_EVENTS", "KYSO_JOBS", "KYSO_PARKED", "KYSO_RESULTS"]
    reserved = 0
    for name in made:
        maker = signer if name in signer.made_here else registry
        reserved += getattr(maker, f"{name.removeprefix('KYSO_').lower()}_bytes")
    assert reserved <= store_bytes
    maker = signer if "KYSO_JOBS" in signer.made_here else registry
    assert PRIORITIES * maker.jobs_per_subject * MAX_JOB_BYTES < maker.jobs_bytes


def assert_crls_pass(signer: Any, registry: Any, gateway: Any, verifier: Any) -> None:
    """Every server and client that a CRL passes takes one of the largest size."""
    for section in (
        signer.rpc,
        signer.registry,
        signer.verifier,
        registry.rpc,
        registry.signer,
        gateway.registry,
        verifier.registry,
        verifier.rpc,
    ):
        assert section.max_message_bytes >= MAX_CRL_BYTES + MARGIN_BYTES, section
