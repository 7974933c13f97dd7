"""What the use cases need of the world: rows in transactions, the signer, the directory's bus. No adapter is known here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.kernel.events import Event
from services.kernel.values import KeyAlgorithm
from services.registry.domain.anchors import ListHead
from services.registry.domain.audit import AuditEvent, AuditFilter, AuditRow
from services.registry.domain.authority import Authority, Crl
from services.registry.domain.credentials import (
    Certificate,
    Credential,
    Hold,
    Resolution,
    RevocationGround,
    Revoked,
    Unfinished,
)
from services.registry.domain.evidence import Evidence, EvidenceFilter, NewEvidence
from services.registry.domain.ledger import Entry, Head
from services.registry.domain.paging import Page
from services.registry.domain.parties import Agency, Client, SecretHash, Subscriber
from services.registry.domain.time_stamps import UnitCertificate, UnitState


class PartyRows(Protocol):
    """Agencies, subscribers, clients. `below` is an agency: only it and what lies under it is found."""

    async def add_agency(self, agency: Agency) -> None:
        """Insert; raise Conflict where the OrganId is taken."""

    async def agency(self, agency_id: str) -> Agency | None: ...

    async def root_agency(self) -> Agency | None: ...

    async def agencies(self, agency_ids: Sequence[str]) -> Mapping[str, Agency]: ...

    async def list_agencies(self, below: str, parent_id: str, page: Page) -> list[Agency]:
        """Return one row more than the page holds, where there is one."""

    async def add_subscriber(self, subscriber: Subscriber) -> None: ...

    async def subscriber(self, subscriber_id: str) -> Subscriber | None: ...

    async def list_subscribers(self, below: str, agency_id: str, page: Page) -> list[Subscriber]: ...

    async def add_client(self, client: Client) -> None: ...

    async def client(self, client_id: str, *, keep: bool = False) -> Client | None:
        """Return it, where `keep` so that no other transaction changes it before this one ends."""

    async def set_client_enabled(self, client_id: str, enabled: bool) -> None: ...

    async def set_client_secret(self, client_id: str, secret: SecretHash) -> None: ...

    async def list_clients(self, below: str, agency_id: str, page: Page) -> list[Client]: ...

    async def use_assertion(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Remember an assertion as used; False where it was used before. Forgets those that ended before `now`."""


class EvidenceRows(Protocol):
    """Kept evidence of verifications."""

    async def alone(self, agency_id: str) -> None:
        """Keep others from changing this agency's evidence until the transaction ends."""

    async def get(self, evidence_id: str) -> Evidence | None: ...

    async def list_of(self, agency_id: str, wanted: EvidenceFilter, page: Page) -> list[Evidence]: ...

    async def bytes_of(self, agency_id: str) -> int: ...

    async def missing(self, agency_id: str, new: NewEvidence) -> dict[bytes, bytes]:
        """Return the files that are not kept for the agency yet, by SHA-256."""

    async def add(self, evidence: Evidence, blobs: dict[bytes, bytes]) -> None: ...

    async def data(self, agency_id: str, sha256: bytes) -> bytes | None: ...

    async def remove(self, evidence: Evidence) -> None:
        """Delete it, and the bytes that nothing else of the agency's refers to."""

    async def kept_before(self, moment: datetime, limit: int) -> list[tuple[str, str]]:
        """Return ids and agencies of the oldest evidence kept before a time."""


class CredentialRows(Protocol):
    """Credentials, their certificates, holds and readers."""

    async def add(self, credential: Credential) -> None:
        """Insert; raise OperationInProgress where the same request is making one at this moment."""

    async def get(self, credential_id: str, *, lock: bool = False) -> Credential | None:
        """Return it, where `lock` so that no other transaction changes it before this one ends."""

    async def made_by(self, client_id: str, idempotency_key: str) -> Credential | None: ...

    async def list_below(self, below: str, agency_id: str, page: Page) -> list[Credential]: ...

    async def unfinished(self, before: datetime, at: datetime, limit: int) -> list[Unfinished]:
        """Return credentials made before that moment whose making may be tried again at `at`, longest waiting first."""

    async def put_off(self, credential_id: str, tries: int, until: datetime) -> None:
        """Write how often the making of a credential failed, and until when it waits."""

    async def update(self, credential: Credential, *, unfinished: bool | None = None) -> None:
        """Write status, version, key and current certificate."""

    async def open_certificate(self, credential_id: str) -> Certificate | None:
        """Return the certificate whose to-be-signed bytes are kept and which is not issued yet."""

    async def add_certificate(self, certificate: Certificate, at: datetime) -> None:
        """Insert; raise Conflict where the issuer has given the serial number before."""

    async def finish_certificate(self, certificate: Certificate, at: datetime) -> None:
        """Write state and chain of an issued certificate."""

    async def revoke_certificates(
        self, credential_id: str, ground: RevocationGround, reference: str, at: datetime
    ) -> None:
        """Write when and why all certificates of a credential were revoked; what was written first stands."""

    async def revoked(self, issuer_id: str) -> list[Revoked]:
        """Return what a CA of ours has revoked, oldest first."""

    async def unlisted(self, issuer_id: str) -> frozenset[str]:
        """Return the serial numbers that a CA of ours has revoked and no published CRL has listed."""

    async def mark_listed(self, issuer_id: str, serial_numbers: Collection[str], number: int) -> None:
        """Write the number of the first published CRL that lists these."""

    async def add_hold(self, hold: Hold) -> None: ...

    async def open_holds(self, credential_id: str) -> list[Hold]:
        """Return the reports that hold it now, one for each client, oldest first."""

    async def end_holds(self, credential_id: str, client_id: str, confirmation: str, at: datetime) -> None:
        """Write who released it, when and by which confirmation, to every report that is open."""

    async def record_reader(self, credential_id: str, replica: str, at: datetime) -> None: ...

    async def readers(self, credential_id: str, since: datetime) -> list[str]: ...

    async def forget_readers(self, before: datetime) -> None: ...

    async def resolve(self, credential_id: str) -> Resolution | None:
        """Read state, path and head in one statement, so that they fit one another."""


class AuthorityRows(Protocol):
    """Our CAs and their CRLs."""

    async def add(self, authority: Authority, at: datetime) -> bool:
        """Insert; False where it is there already."""

    async def get(self, name: str, *, lock: bool = False) -> Authority | None: ...

    async def set_certificate(self, name: str, certificate: bytes) -> bool:
        """Write the signed certificate; False where one is there already."""

    async def newest_crl(self, name: str) -> Crl | None:
        """Return the newest signed CRL."""

    async def unsigned_crl(self, name: str) -> Crl | None: ...

    async def last_crl_number(self, name: str) -> int:
        """Return the highest number given, signed or not; 0 where none was."""

    async def add_crl(self, crl: Crl) -> None: ...

    async def finish_crl(self, name: str, number: int, der: bytes) -> bool:
        """Write the signed CRL; False where it is there already."""


class TimeStampRows(Protocol):
    """Certificates of our own time-stamp unit."""

    async def newest(self, key: str, state: UnitState) -> UnitCertificate | None:
        """Return the certificate of a key that ends last among those in this state."""

    async def add(self, reserved: UnitCertificate) -> None:
        """Insert what is about to be signed."""

    async def finish(self, serial_number: str, certificate: bytes, at: datetime) -> bool:
        """Write the signed certificate; False where it is there already."""


class TrustListRows(Protocol):
    """Which trust list was the newest under each name."""

    async def newest(self, name: str) -> ListHead | None: ...

    async def put(self, name: str, head: ListHead) -> None:
        """Write that this one was taken. Only within `alone`."""


class AuditRows(Protocol):
    """The audit log: one line after the other, positions without a gap."""

    async def append(self, rows: Sequence[AuditRow]) -> None: ...

    async def heads(self, ledgers: Sequence[str], *, lock: bool = False) -> Mapping[str, Head]:
        """Return how far each ledger is taken in; one that is not there yet stands at the start."""

    async def set_heads(self, heads: Mapping[str, Head]) -> None: ...

    async def list_below(self, below: str | None, wanted: AuditFilter, page: Page) -> list[AuditEvent]:
        """List lines that concern agencies at or under `below`; None: every line, the platform's own too."""


class Unit(Protocol):
    """One transaction: committed where its block ends, rolled back where it raises."""

    @property
    def parties(self) -> PartyRows: ...

    @property
    def credentials(self) -> CredentialRows: ...

    @property
    def authorities(self) -> AuthorityRows: ...

    @property
    def time_stamps(self) -> TimeStampRows: ...

    @property
    def evidence(self) -> EvidenceRows: ...

    @property
    def trust_lists(self) -> TrustListRows: ...

    @property
    def audit(self) -> AuditRows: ...

    async def alone(self) -> None:
        """Keep other replicas from making what there may be only one of, until this transaction ends."""

    async def next_version(self) -> int:
        """Move the directory's head by one and return it. Holds its row until the end: call it late."""

    async def directory_head(self) -> int: ...

    async def publish(self, event: Event) -> None:
        """Write an event to the outbox."""


class Store(Protocol):
    """The registry's database."""

    def transaction(self) -> AbstractAsyncContextManager[Unit]:
        """Open a transaction for writing."""

    def reading(self) -> AbstractAsyncContextManager[Unit]:
        """Open a transaction for reading."""


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A key that the signer made: its id there and its SubjectPublicKeyInfo, DER."""

    id: str
    spki: bytes


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """A CA key at the signer."""

    spki: bytes
    algorithm: KeyAlgorithm


class Signer(Protocol):
    """The keys. Every method raises ServiceUnavailable, or the signer's own error, where it cannot answer."""

    async def document_key(self, credential_id: str, algorithm: KeyAlgorithm) -> DocumentKey:
        """Make the key of a credential; the same answer every time."""

    async def certification_request(self, key_id: str, info: bytes) -> bytes:
        """Sign a CertificationRequestInfo; return the whole CertificationRequest, DER."""

    async def authority_key(self, name: str) -> AuthorityKey:
        """Make, or find, a CA key."""

    async def sign_certificate(self, authority: str, tbs: bytes) -> bytes:
        """Sign a TBSCertificate; return the whole certificate, DER."""

    async def sign_crl(self, authority: str, tbs: bytes) -> bytes:
        """Sign a TBSCertList; return the whole CRL, DER."""


class Ledgers(Protocol):
    """The signer's ledgers, for what the bus did not bring."""

    async def heads(self) -> Mapping[str, Head]:
        """Return where every ledger stands."""

    async def read(self, ledger: str, from_sequence: int, limit: int) -> list[Entry]:
        """Return entries in order; none past the head."""


class Directory(Protocol):
    """Core messages between registry and signers; lost when nobody listens."""

    @property
    def connected(self) -> bool: ...

    async def announce_change(self, credential_id: str, version: int, status: str) -> None:
        """Publish kyso.directory.changed, and wake whoever moves the outbox."""

    async def announce_head(self, head: int, sent_at: datetime) -> None:
        """Publish kyso.directory.heartbeat."""
