"""Settings of the verifier's process."""

from __future__ import annotations

from pydantic import Field

from services.kernel.runtime.config import ProcessSettings, RpcClientSettings, RpcServerSettings, Settings


class LimitSettings(Settings):
    """What one document may cost, and how many are checked at once."""

    max_document_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Largest document, and largest detached content; refused at the crossing byte."""
    max_buffered_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Most bytes of all documents under way together; beyond it new ones are refused as OVERLOADED."""
    workers: int = Field(default=2, ge=1, le=256)
    """Worker processes: one for each CPU is right."""
    max_waiting: int = Field(default=64, ge=0, le=10_000)
    """Documents that may wait for a worker; beyond it new ones are refused as OVERLOADED."""
    timeout_seconds: float = Field(default=20, gt=0, le=600)
    """After this time a worker is killed and the document's verdict is indeterminate."""
    worker_memory_bytes: int = Field(default=1024 * 1024 * 1024, ge=256 * 1024 * 1024)
    """Address space of one worker (RLIMIT_AS)."""
    require_confinement: bool = False
    """Start no worker that could not give up files and network; false, because kernels differ."""
    documents_per_worker: int = Field(default=1000, ge=1)
    """Then a worker is replaced, so that nothing a document left behind stays for long."""


class TrustSettings(Settings):
    """How fresh the registry's anchors, CA certificates and CRLs must be."""

    refresh_seconds: float = Field(default=5, gt=0, le=3600)
    """Material older than this is fetched anew before a document is judged by it."""
    max_age_seconds: float = Field(default=900, gt=0, le=86_400)
    """While the registry is out of reach, material up to this age is used; after it nothing is judged."""


class VerifierSettings(ProcessSettings):
    """The whole file."""

    rpc: RpcServerSettings
    registry: RpcClientSettings
    limits: LimitSettings = LimitSettings()
    trust: TrustSettings = TrustSettings()
