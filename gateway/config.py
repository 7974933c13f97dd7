"""Settings of the gateway: one TOML file, `[telemetry] [http] [limits] [rates] [signer] [verifier] [registry]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.kernel.runtime.config import Address, ProcessSettings, RpcClientSettings, Settings

MIB = 1024 * 1024


class HttpTlsSettings(Settings):
    """Certificate (with its chain) and key of the public door, PEM. Callers are known by token, not by certificate."""

    certificate_file: Path
    private_key_file: Path


class HttpSettings(Settings):
    """The public door."""

    listen: Address = "127.0.0.1:8080"
    public_url: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^\s/?#]+$")
    """Address as callers see it, without a path: the audience of client assertions, the server of the OpenAPI."""
    tls: HttpTlsSettings | None = None
    """Absent: plain HTTP, for loopback, or where a load balancer in the same trust zone ends TLS."""
    drain_seconds: float = Field(default=15, ge=0, le=600)
    """How long requests under way may still take after a stop was asked for."""
    max_connections: int = Field(default=2048, ge=1)
    """Connections beyond this number are closed at once."""
    max_in_flight: int = Field(default=512, ge=1)
    """Requests with a good token worked on at once; those beyond are answered 503 OVERLOADED."""
    max_open_in_flight: int = Field(default=128, ge=1)
    """The same for the doors without a token (tokens, CRLs, CA certificates, documentation). These places are of their
    own: whoever has no token cannot take those of callers who have one."""
    max_open_per_address: int = Field(default=16, ge=0)
    """How many of these one address may have at once; those beyond are answered 429. 0: no limit, for where every
    caller comes from a proxy's address and the proxy limits."""
    keep_alive_seconds: int = Field(default=30, ge=1, le=600)
    """An idle connection is closed after this time."""
    head_seconds: float = Field(default=10, gt=0, le=120)
    """A request line with its headers must be there within this time."""


class LimitSettings(Settings):
    """What a request may cost."""

    max_document_bytes: int = Field(default=100 * MIB, ge=1024)
    """Largest document, to sign or to verify."""
    max_files: int = Field(default=100, ge=2, le=1000)
    """Most files in one signing request; all of them together are at most `max_document_bytes`."""
    max_image_bytes: int = Field(default=MIB, ge=1024)
    """Largest image of a visible signature."""
    max_batch_items: int = Field(default=1000, ge=1, le=1000)
    """Most documents in one batch."""
    max_batch_bytes: int = Field(default=1024 * MIB, ge=1024)
    """Largest batch, all documents together."""
    batch_seconds: float = Field(default=1800, gt=0, le=7200)
    """Longest time for a whole batch to come in, the time for handing its documents in included."""
    max_batch_wait_seconds: float = Field(default=60, ge=0, le=300)
    """How long a batch may ask to wait for its signatures."""
    batch_calls: int = Field(default=8, ge=1, le=64)
    """Documents of one batch that wait for the signer's word, or operations asked for, at once."""
    max_json_bytes: int = Field(default=512 * 1024, ge=64 * 1024)
    """Largest JSON body; 1,000 SHA-512 digests in base64 take about 95 kB."""
    body_idle_seconds: float = Field(default=20, gt=0, le=600)
    """Longest pause between two pieces of a body."""
    body_seconds: float = Field(default=300, gt=0, le=3600)
    """Longest time for a whole document."""
    small_body_seconds: float = Field(default=10, gt=0, le=600)
    """Longest time for a whole form or JSON body."""
    document_call_seconds: float = Field(default=60, gt=0, le=3600)
    """Time for signing or verifying once the document is there."""


class RateSettings(Settings):
    """Token buckets in memory, one for each client and replica; a rate of 0 switches a limit off."""

    client_per_second: float = Field(default=2000, ge=0)
    """Requests a second of one client."""
    client_burst: int = Field(default=4000, ge=1)
    """Requests of one client at once after a pause."""
    token_per_second: float = Field(default=20, ge=0)
    """Requests a second to /oauth2/token from one address."""
    token_burst: int = Field(default=100, ge=1)
    open_per_second: float = Field(default=500, ge=0)
    """Requests a second to the doors without a token from one address."""
    open_burst: int = Field(default=1000, ge=1)


class GatewaySettings(ProcessSettings):
    """Settings of `python -m gateway`."""

    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    rates: RateSettings = RateSettings()
    signer: RpcClientSettings
    verifier: RpcClientSettings
    registry: RpcClientSettings
