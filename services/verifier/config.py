"""Settings of the verifier's process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, model_validator

from services.kernel.runtime.config import ProcessSettings, RpcClientSettings, RpcServerSettings, Settings


class LimitSettings(Settings):
    """What one document may cost, and how many are checked at once."""

    max_document_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Largest document, and largest detached content; refused at the crossing byte."""
    max_contents: int = Field(default=200, ge=1, le=1000)
    """Most detached contents of one document."""
    max_evidence_bytes: int = Field(default=40 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    """Most bytes of evidence that go back with an answer, or are kept; values beyond it are counted and left out."""
    max_originals_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    """Most bytes of the documents taken out of a signed one; beyond it the call is refused."""
    max_answer_bytes: int = Field(default=128 * 1024 * 1024, ge=1024 * 1024)
    """Most bytes of all files of one answer."""
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


class ReportSettings(Settings):
    """Reports for people."""

    font_file: Path | None = None
    """TrueType font with the Vietnamese letters, such as Liberation Serif 2; absent: there are no reports in PDF."""


class TrustSettings(Settings):
    """How fresh the registry's anchors, CA certificates and CRLs must be."""

    refresh_seconds: float = Field(default=5, gt=0, le=3600)
    """Material older than this is fetched anew before a document is judged by it."""
    max_age_seconds: float = Field(default=900, gt=0, le=86_400)
    """While the registry is out of reach, material up to this age is used; after it nothing is judged."""
    algorithm_policy_file: Path | None = None
    """TOML: which algorithms may be relied on until when; absent: the policy that comes with the verifier."""
    sha1_links: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """SHA-256 of CA certificates that their root signed with SHA-1 and that are borne with a warning."""
    sha1_cutoff: AwareDatetime | None = None
    """Until this time, certificates that those CAs signed with SHA-1 are borne too, and signatures and time-stamps over
    SHA-1 that are proved to have existed by then; unset: never."""


class OutsideHostSettings(Settings):
    """One name on the list of hosts that may be asked."""

    name: str = Field(pattern=r"^\.?[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?$")
    """Lower case, IDNA: "ocsp.example.vn" is that host alone, ".example.vn" every host below it (not itself)."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    private_address: bool = False
    """The host may have an address that is not of the public Internet; for single hosts of the own house only."""

    @model_validator(mode="after")
    def _private_hosts_by_their_whole_name(self) -> OutsideHostSettings:
        if self.private_address and self.name.startswith("."):
            raise ValueError("private_address is for a host's whole name, not for every host below a name")
        return self

    def covers(self, host: str, port: int) -> bool:
        """Say whether the entry is about this host (lower case) and port."""
        named = host.endswith(self.name) if self.name.startswith(".") else host == self.name
        return named and port in self.ports


class EgressSettings(Settings):
    """Which hosts outside may be asked, and what asking may cost. Without hosts nothing outside is ever asked."""

    hosts: tuple[OutsideHostSettings, ...] = Field(default=(), max_length=1000)
    ca_file: Path | None = None
    """PEM: CAs of TLS servers that are trusted besides the public ones."""
    connect_seconds: float = Field(default=3, gt=0, le=60)
    read_seconds: float = Field(default=5, gt=0, le=60)
    """Longest silence while an answer is read."""
    total_seconds: float = Field(default=12, gt=0, le=120)
    """For one question with its repetitions and its turn at the host."""
    retries: int = Field(default=2, ge=0, le=5)
    """Repetitions after the first try; a time-stamp request is never repeated."""
    backoff_seconds: float = Field(default=0.2, ge=0, le=10)
    """Pause before the first repetition, doubled with each, and half more or less of it by chance."""
    connections_per_host: int = Field(default=8, ge=1, le=256)
    failures_to_pause: int = Field(default=5, ge=1, le=1000)
    """After so many failures in a row a host is left alone for `pause_seconds`."""
    pause_seconds: float = Field(default=30, gt=0, le=3600)
    cache_entries: int = Field(default=4096, ge=1)
    cache_bytes: int = Field(default=128 * 1024 * 1024, ge=1024 * 1024)
    keep_seconds: float = Field(default=3600, ge=0, le=7 * 86_400)
    """A value is kept until its nextUpdate, but no longer than this."""


class EvidenceSettings(Settings):
    """What counts as evidence, and how large it may be."""

    max_crl_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_ocsp_bytes: int = Field(default=64 * 1024, ge=1024, le=1024 * 1024)
    max_answer_bytes: int = Field(default=36 * 1024 * 1024, ge=1024 * 1024, le=60 * 1024 * 1024)
    """Everything found for one question; below the largest message of `[rpc]`."""
    total_seconds: float = Field(default=20, gt=0, le=300)
    """Then what is not there yet is missing."""
    verify_seconds: float = Field(default=8, ge=0, le=60)
    """The same while a document is verified whose own evidence does not suffice; 0: nothing is asked for it then."""
    ocsp_nonce: bool = False
    """Send a nonce (RFC 9654); an answer without one is taken all the same, one with another is not."""
    clock_skew_seconds: float = Field(default=60, ge=0, le=600)
    """How far thisUpdate may lie in the future."""
    max_age_seconds: float = Field(default=86_400, gt=0, le=7 * 86_400)
    """How old an OCSP response may be that says no nextUpdate."""


class TimeStampAuthoritySettings(Settings):
    """A time-stamp authority outside (RFC 3161 over HTTP); its host stands in `[[egress.hosts]]` too."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    url: str = Field(pattern=r"^https?://", max_length=2048)
    user: str = Field(default="", max_length=128, pattern=r"^[^:\x00-\x1f]*$")
    """For HTTP basic authentication; empty: none."""
    password_file: Path | None = None

    @model_validator(mode="after")
    def _whole_credentials(self) -> TimeStampAuthoritySettings:
        if bool(self.user) != (self.password_file is not None):
            raise ValueError("user and password_file belong together")
        return self


class VerifierSettings(ProcessSettings):
    """The whole file."""

    rpc: RpcServerSettings
    registry: RpcClientSettings
    limits: LimitSettings = LimitSettings()
    reports: ReportSettings = ReportSettings()
    trust: TrustSettings = TrustSettings()
    egress: EgressSettings = EgressSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    time_stamp_authorities: tuple[TimeStampAuthoritySettings, ...] = Field(default=(), max_length=64)

    @model_validator(mode="after")
    def _authorities_can_be_asked(self) -> VerifierSettings:
        names = [authority.name for authority in self.time_stamp_authorities]
        if len(set(names)) != len(names):
            raise ValueError("each time-stamp authority needs a name of its own")
        for authority in self.time_stamp_authorities:
            parts = urlsplit(authority.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            covering = [one for one in self.egress.hosts if one.covers(parts.hostname or "", port)]
            if not covering:
                raise ValueError(
                    f"the host and port of authority {authority.name} must stand in egress.hosts"
                )
            if (
                authority.user
                and parts.scheme != "https"
                and not any(one.private_address for one in covering)
            ):
                raise ValueError(f"the password of authority {authority.name} may travel by https only")
        return self
