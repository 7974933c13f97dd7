"""The signer's settings."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from cryptography import x509
from pydantic import Field, field_validator, model_validator

from services.kernel.runtime.config import (
    BusSettings,
    DatabaseSettings,
    ProcessSettings,
    RpcClientSettings,
    RpcServerSettings,
    Settings,
)
from services.kernel.values import KeyAlgorithm
from services.signer.failpoints import FailpointName
from services.signer.hsm.hsm import TokenGroupSettings

DOCUMENT_GROUP = "documents"
AUTHORITY_GROUP = "authority"


class HsmSettings(Settings):
    """Two token groups: document keys and CA keys never share a token, a PIN or a worker."""

    documents: TokenGroupSettings
    authority: TokenGroupSettings


class DocumentSettings(Settings):
    """Document workers: processes that parse what callers send, without PIN, database or network."""

    workers: int = Field(default=2, ge=1, le=64)
    timeout_seconds: float = Field(default=60, gt=0, le=600)
    """How long one step on one document may take."""
    max_document_bytes: int = Field(default=100 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    require_confinement: bool = False
    """Start no worker that could not give up files and network; false, because kernels differ."""
    font_file: Path | None = None
    """TrueType font that visible signatures print with: Liberation Serif 2, Tinos or Times New Roman, regular, with the
    Vietnamese letters. Absent: visible signatures with text are refused."""


class BlobSettings(Settings):
    """Payloads of asynchronous jobs."""

    folder: Path
    """Encrypted files, a key for each in the database."""
    keep_seconds: float = Field(default=24 * 3600, gt=0)
    """How long a result waits to be collected, and an upload for its job."""


class DirectorySettings(Settings):
    """How long the signer relies on what the registry told."""

    heartbeat_limit_seconds: float = Field(default=3, gt=0, le=60)
    """The registry waits for this and a second more where a replica does not confirm a hold."""
    entry_seconds: float = Field(default=60, gt=0, le=60)
    entries: int = Field(default=10_000, ge=1)


class AuthorityKeySettings(Settings):
    """One key that may sign certificates or CRLs, or else time-stamps."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    role: Literal["root", "issuing", "time_stamping"]
    algorithm: str = "ECDSA-P384"
    may_sign: tuple[Literal["certificate", "crl", "time_stamp"], ...] = ("certificate", "crl")
    """A key of the role time_stamping signs time_stamp and nothing else; no other key signs time-stamps."""
    create: bool = False
    """Make the key when it is asked for the first time; false: it must be there."""

    @model_validator(mode="after")
    def _known_algorithm(self) -> AuthorityKeySettings:
        if self.algorithm not in {algorithm.label for algorithm in KeyAlgorithm}:
            raise ValueError(f"algorithm must be one of {', '.join(one.label for one in KeyAlgorithm)}")
        return self

    @model_validator(mode="after")
    def _stamps_alone(self) -> AuthorityKeySettings:
        # RFC 3161 section 2.3: the key that signs time-stamps signs nothing else.
        stamps = self.role == "time_stamping"
        if stamps != ("time_stamp" in self.may_sign) or (stamps and len(self.may_sign) != 1):
            raise ValueError(
                'role = "time_stamping" goes with may_sign = ["time_stamp"], and no other with it'
            )
        return self


class AuthoritySettings(Settings):
    """Which keys may sign as an authority: this file decides, not the directory."""

    keys: tuple[AuthorityKeySettings, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> AuthoritySettings:
        if len({key.name for key in self.keys}) != len(self.keys):
            raise ValueError("each authority key needs a name of its own")
        return self


class TimeStampSettings(Settings):
    """Our own time-stamp authority (RFC 3161). Absent: there is none."""

    key: str = Field(default="tsa", pattern=r"^[a-z0-9-]{1,64}$")
    """The authority key that signs: one of the role time_stamping. The registry issues its certificate."""
    policy: str = Field(
        default="2.25.276143064756067490626061319986090920208.10", pattern=r"^[0-2](\.(0|[1-9][0-9]*)){1,30}$"
    )
    """Object identifier of the time-stamp policy, in every token; the default is this project's own."""

    @field_validator("policy")
    @classmethod
    def _can_be(cls, policy: str) -> str:
        # Such as 1.40.3 (X.660 section 7.6: below the arcs 0 and 1 lie 40), or an arc above 128 bits.
        try:
            return x509.ObjectIdentifier(policy).dotted_string
        except ValueError as error:
            raise ValueError(
                "policy is no object identifier that can be written: the first arc is 0 to 2, the second below 40 "
                "where the first is 0 or 1, and no arc has more than 128 bits"
            ) from error

    accuracy_milliseconds: int = Field(default=1000, ge=1, le=60_000)
    """How far genTime may be from UTC: what the machine's time synchronisation keeps, never less."""
    serial_block: int = Field(default=1000, ge=1, le=1_000_000)
    """Serial numbers taken from the database at once; a stop loses what is left of them."""


class FaultSettings(Settings):
    """For fault tests only."""

    failpoint: FailpointName | None = None
    """The process kills itself there."""
    after: int = Field(default=1, ge=1)
    """At which reaching."""


class SignerSettings(ProcessSettings):
    """Everything that the signer needs."""

    replica: str = Field(
        default_factory=socket.gethostname, validate_default=True, pattern=r"^[A-Za-z0-9_-]{1,64}$"
    )
    """Names this replica's ledger and leases: the same after a restart, never the same as another's.

    Absent: the host's name, for pods of a StatefulSet, which share their settings and keep their names.
    """
    rpc: RpcServerSettings
    registry: RpcClientSettings
    verifier: RpcClientSettings
    """Fetches what levels above B-B need, and says whether a person signed: the signer asks nobody outside."""
    bus: BusSettings
    database: DatabaseSettings
    hsm: HsmSettings
    documents: DocumentSettings = DocumentSettings()
    blobs: BlobSettings
    directory: DirectorySettings = DirectorySettings()
    authority: AuthoritySettings = AuthoritySettings()
    time_stamp: TimeStampSettings | None = None
    lease_seconds: float = Field(default=180, ge=1, le=3600)
    """After this time an operation whose replica neither ended it nor renewed its lease is taken for dead."""
    idempotency_hours: float = Field(default=24, gt=0, le=24 * 31)
    """How long the answer to an idempotency key is kept, from the operation's end on."""
    development: bool = False
    faults: FaultSettings = FaultSettings()

    @model_validator(mode="after")
    def _stamps_with_its_own_key(self) -> SignerSettings:
        stamping = {key.name for key in self.authority.keys if key.role == "time_stamping"}
        if self.time_stamp is not None and self.time_stamp.key not in stamping:
            raise ValueError("time_stamp.key must name one of authority.keys with the role time_stamping")
        return self

    @model_validator(mode="after")
    def _faults_in_development_only(self) -> SignerSettings:
        if self.faults.failpoint is not None and not self.development:
            raise ValueError("faults.failpoint is for development = true only")
        return self
