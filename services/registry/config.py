"""Settings of the registry: one TOML file, every key checked, secrets by file."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from services.kernel.runtime.config import (
    BusSettings,
    DatabaseSettings,
    ProcessSettings,
    RpcClientSettings,
    RpcServerSettings,
    Settings,
)

_HOUR = 3600.0


class AuthorityNames(Settings):
    """Distinguished name of one CA: C=VN, O, CN."""

    organization: str = Field(min_length=1, max_length=64)
    common_name: str = Field(min_length=1, max_length=64)
    validity_days: int = Field(ge=1, le=7305)
    """RG-05: a CA's certificate lives 20 years at most."""


class OutsideAnchorSettings(Settings):
    """Anchors of others that are trusted on the same terms."""

    file: Path
    """PEM: CA certificates."""
    scope: Literal["government", "public", "foreign"]
    """By whom they stand: verifications under a foreign one carry a warning."""
    trusted_from: AwareDatetime | None = None
    """What their certificates signed is trusted where it existed at this time or later. Absent: no limit."""
    trusted_until: AwareDatetime | None = None
    """And before this time: signatures that are not proved to be older do not pass. Absent: no limit."""
    purposes: frozenset[Literal["signature", "time-stamp"]] = Field(
        default=frozenset({"signature", "time-stamp"}), min_length=1
    )

    @model_validator(mode="after")
    def _lasts(self) -> OutsideAnchorSettings:
        if self.trusted_from and self.trusted_until and self.trusted_from >= self.trusted_until:
            raise ValueError("trusted_until must be later than trusted_from")
        return self


class TrustListSettings(Settings):
    """A trust list (ETSI TS 119 612) whose services are anchors."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    """Under which the registry remembers the newest sequence number: an older list is never taken."""
    file: Path
    """What `python -m services.verifier trust-list` wrote after it checked the list's signature."""


class CaSettings(Settings):
    """The two-level CA."""

    public_base_url: str = Field(pattern=r"^http://[^\s/?#]+(/[^\s?#]*[^\s/?#])?$", max_length=200)
    """Address of the gateway's /pki as outsiders reach it: plain HTTP, no slash at the end (RFC 5280 section 8)."""
    create_at_first_start: bool = False
    """Make root and issuing CA where there are none. For development: elsewhere the root is offline."""
    root: AuthorityNames = AuthorityNames(
        organization="Kyso", common_name="Kyso Development Root CA", validity_days=7305
    )
    issuing: AuthorityNames = AuthorityNames(
        organization="Kyso", common_name="Kyso Development Issuing CA", validity_days=3652
    )
    root_crl_interval_seconds: float = Field(default=7 * 24 * _HOUR, ge=1)
    """A new CRL of the root this often, besides those on revocation."""
    root_crl_validity_seconds: float = Field(default=31 * 24 * _HOUR, ge=2)
    """nextUpdate less thisUpdate."""
    issuing_crl_interval_seconds: float = Field(default=4 * _HOUR, ge=1)
    issuing_crl_validity_seconds: float = Field(default=24 * _HOUR, ge=2)
    reconcile_seconds: float = Field(default=5, gt=0, le=_HOUR)
    """Between looks for work that a crash left unfinished."""
    outside_anchor_files: tuple[Path, ...] = ()
    """PEM files with CA certificates of others that are trusted. A certificate that a client imports must lead to one."""
    outside_intermediate_files: tuple[Path, ...] = ()
    """PEM files with CA certificates below those anchors, for leaves that come alone; trusted for nothing themselves."""
    outside_anchors: tuple[OutsideAnchorSettings, ...] = Field(default=(), max_length=200)
    """Anchors that are trusted on terms: from when, until when, for what, and by whom they stand."""
    trust_lists: tuple[TrustListSettings, ...] = Field(default=(), max_length=64)
    trust_list_seconds: float = Field(default=60, gt=0, le=_HOUR)
    """Between looks for newer files of trust lists."""

    @model_validator(mode="after")
    def _lists_have_names(self) -> CaSettings:
        names = [one.name for one in self.trust_lists]
        if len(set(names)) != len(names):
            raise ValueError("each trust list needs a name of its own")
        return self

    @model_validator(mode="after")
    def _crls_overlap(self) -> CaSettings:
        # With validity no longer than the interval there are times without a valid CRL.
        if self.root_crl_validity_seconds <= self.root_crl_interval_seconds:
            raise ValueError("root_crl_validity_seconds must be longer than root_crl_interval_seconds")
        if self.issuing_crl_validity_seconds <= self.issuing_crl_interval_seconds:
            raise ValueError("issuing_crl_validity_seconds must be longer than issuing_crl_interval_seconds")
        return self


class TimeStampSettings(Settings):
    """The certificate of our own time-stamp unit. Absent: none is issued."""

    key: str = Field(default="tsa", pattern=r"^[a-z0-9-]{1,64}$")
    """Name of its key in the signer's settings."""
    organization: str = Field(default="Kyso", min_length=1, max_length=64)
    common_name: str = Field(default="Kyso Time-Stamp Unit 1", min_length=1, max_length=64)
    validity_days: int = Field(default=1826, ge=2, le=1826)
    """Never longer than the issuing CA's own."""
    renew_days_before: int = Field(default=90, ge=1, le=1825)
    """A new certificate is issued so long before the end of the one before, for the same key."""

    @model_validator(mode="after")
    def _renews_within(self) -> TimeStampSettings:
        if self.renew_days_before >= self.validity_days:
            raise ValueError("renew_days_before must be shorter than validity_days")
        return self


class TokenSettings(Settings):
    """Access tokens."""

    key_file: Path
    """JWK Set with the private signing keys (ES256), made at first start with mode 0600; the last one signs."""
    lifetime_seconds: int = Field(default=600, ge=30, le=3600)


class BootstrapSettings(Settings):
    """The first client: the operator, with every scope over the whole tree."""

    client_id: str = Field(pattern=r"^[a-z0-9_-]{3,64}$")
    client_secret_file: Path
    """At least 32 characters; a changed file replaces the secret at the next start."""
    agency_name: str = Field(default="Kyso", min_length=1, max_length=200)
    """Name of the platform's own agency, the root of the tree."""


class DirectorySettings(Settings):
    """What holds and signers agree on."""

    heartbeat_interval_seconds: float = Field(default=1, gt=0, le=60)
    heartbeat_limit_seconds: float = Field(default=3, gt=0, le=300)
    """A signer that has heard nothing for this long asks before it signs; the signers' own setting is the same."""
    cache_seconds: float = Field(default=60, gt=0, le=3600)
    """How long a signer keeps an entry; the signers' own setting is the same."""


class AuditSettings(Settings):
    """The audit log."""

    batch: int = Field(default=500, ge=1, le=1000)
    """Events taken in by one transaction at most."""
    gather_seconds: float = Field(default=0.25, ge=0, le=10)
    """Between two transactions, unless a batch is full: each costs much more than an event in it."""
    reconcile_seconds: float = Field(default=10, gt=0, le=_HOUR)
    """Between comparisons with the signer's ledgers; an entry missing for this long is fetched."""


class EvidenceSettings(Settings):
    """Evidence of verifications that clients have kept."""

    max_bytes: int = Field(default=64 * 1024 * 1024, ge=64 * 1024, le=512 * 1024 * 1024)
    """Most bytes of one verification's; more than the verifier's own limit, for the report beside it."""
    max_agency_bytes: int = Field(default=4 * 1024 * 1024 * 1024, ge=1024)
    """Most bytes that one agency keeps; a value that several verifications went by counts once."""
    max_buffered_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """Most bytes coming in at once; beyond it calls are refused as OVERLOADED."""
    keep_days: int = Field(default=0, ge=0, le=36_600)
    """Deleted when older than this; 0: kept until somebody deletes it."""


class RegistrySettings(ProcessSettings):
    """The whole file."""

    replica: str = Field(
        default_factory=socket.gethostname, validate_default=True, pattern=r"^[a-z0-9-]{1,64}$"
    )
    """Names this replica in the source of its events. Absent: the host's name, which is the pod's."""
    rpc: RpcServerSettings
    signer: RpcClientSettings
    bus: BusSettings
    database: DatabaseSettings
    ca: CaSettings
    time_stamp: TimeStampSettings | None = None
    tokens: TokenSettings
    bootstrap: BootstrapSettings
    directory: DirectorySettings = DirectorySettings()
    audit: AuditSettings = AuditSettings()
    evidence: EvidenceSettings = EvidenceSettings()
