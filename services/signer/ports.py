"""What the signer's use cases need of the world outside, and the records that they exchange with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.kernel.errors import DomainError
from services.kernel.events import Event
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SigningAlgorithm
from services.signer.domain import CertificateChain, Client, Credential, ItemFailure, Key, Kind, State
from services.signer.formats.format import (
    Evidence,
    EvidenceNeeded,
    FileStart,
    Need,
    Prepared,
    TimeStampNeeded,
)
from services.signer.formats.parameters import FormatName, Level, SignatureParameters
from services.signer.hsm.types import GeneratedKey, KeyLocator
from services.signer.ledger import Entry, Facts, Head, LedgerEntry

CONTENT_KEY_BYTES = 32
"""AES-256."""

Clock = Callable[[], datetime]
"""Tells the time, aware UTC."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be signed: recorded before the HSM is asked."""

    id: str
    client_id: str
    idempotency_key: str
    request_sha256: bytes
    kind: Kind
    facts: Facts
    created_at: datetime
    lease_until: datetime
    """After this time another replica may decide that this one died over it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An operation as its row holds it."""

    id: str
    client_id: str
    idempotency_key: str
    request_sha256: bytes
    kind: Kind
    state: State
    credential_id: str
    facts: Facts
    lease_until: datetime
    created_at: datetime
    ended_at: datetime | None
    result: bytes | None
    """Kept for the idempotency window: packed outcomes of digests, or what a document signature added."""
    chain_sha256: bytes | None
    algorithm: str
    signing_time: datetime | None
    failure: ItemFailure | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation's row ends, with its ledger entry; `events` are published besides the entry's own."""

    entry: Entry
    state: State
    result: bytes | None = None
    chain: CertificateChain | None = None
    algorithm: str = ""
    signing_time: datetime | None = None
    result_blob: str | None = None
    events: tuple[Event, ...] = ()


class SigningStore(Protocol):
    """Intents, outcomes, idempotency and the ledger; every answer means durable."""

    async def begin(self, intent: Intent) -> Recorded | None:
        """Record an intent. Return None where it is recorded, or the operation that has its idempotency key."""

    async def begin_again(self, intent: Intent, state: State) -> bool:
        """Make the intent of an operation that is in `state` (failed and retryable, or accepted); False: it is not."""

    async def renew(self, operation_ids: Sequence[str], until: datetime) -> None:
        """Let the leases of operations that are under way here end at `until`."""

    async def end(self, ending: Ending) -> bool:
        """Record outcome, ledger entry and events at once. False: the operation is no longer this replica's."""

    async def note(self, entry: Entry) -> None:
        """Record the ledger entry of a refusal that has no row."""

    async def find(self, client_id: str, idempotency_key: str) -> Recorded | None:
        """Return the operation that has this idempotency key."""

    async def operation(self, operation_id: str) -> Recorded | None:
        """Return an operation."""

    async def chain(self, sha256: bytes) -> tuple[bytes, ...]:
        """Return the certificates of a chain that an ending named, DER, leaf first."""

    async def ledger_entries(self, ledger: str, first: int, limit: int) -> list[LedgerEntry]:
        """Return entries in order from `first` on."""

    async def ledger_heads(self) -> list[Head]:
        """Return the head of every ledger."""


class KeyStore(Protocol):
    """Document keys and authority keys: locators and public halves."""

    async def key(self, key_id: str) -> Key | None:
        """Return a document key."""

    async def key_of_credential(self, credential_id: str) -> Key | None:
        """Return the document key made for a credential."""

    async def add_key(self, key: Key, at: datetime) -> Key:
        """Add a document key; where the credential has one already, return that one."""

    async def authority_key(self, name: str) -> AuthorityKey | None:
        """Return an authority key."""

    async def add_authority_key(self, key: AuthorityKey, at: datetime) -> AuthorityKey:
        """Add an authority key; where the name has one already, return that one."""

    async def set_authority_subject(self, name: str, subject: bytes) -> bytes:
        """Record the CA's subject (DER Name) unless one is there; return the one that is there now."""


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """A key that signs certificates or CRLs."""

    name: str
    algorithm: KeyAlgorithm
    token_group: str
    cka_id: bytes
    spki: bytes
    spki_sha256: bytes
    subject: bytes | None
    """DER Name of the CA; None until its own certificate was signed or imported."""


class Door(Protocol):
    """The last check of one signing's credential, and the count of what is past it."""

    def admit(self) -> float:
        """Raise the refusal where the credential may have changed since it was looked up.

        Return the `time.monotonic()` until which what is admitted may begin.
        """

    def close(self) -> None:
        """Say that nothing of this signing is in the HSM any more."""


class Directory(Protocol):
    """The register's credentials, as fresh as signing needs them."""

    async def resolve(self, credential_id: str) -> Credential:
        """Return the present state; CredentialNotFound, CredentialStatusUnavailable."""

    def door(self, credential: Credential) -> Door:
        """Open the last check for one signing with what `resolve` returned."""


class Signer(Protocol):
    """The HSM (hsm.py)."""

    async def sign(
        self,
        locator: KeyLocator,
        algorithm: SigningAlgorithm,
        digests: Sequence[bytes],
        *,
        admit: Callable[[], float | None] | None = None,
    ) -> list[bytes | DomainError]:
        """Sign digests; an outcome each.

        `admit` is called before each part is handed to a worker; past the moment it returns nothing of it begins.
        """

    async def generate(self, group: str, algorithm: KeyAlgorithm) -> GeneratedKey:
        """Make a key pair inside the token."""


class Tokens(Protocol):
    """Access tokens."""

    async def verify(self, token: str) -> Client:
        """Return whose token it is; Unauthenticated, TokenInvalid, TokenExpired, ServiceUnavailable."""


Piece = FileStart | bytes
"""What a document stream is made of: the beginnings of files, and bytes. A stream that begins with bytes is one file."""


class DocumentSession(Protocol):
    """One document, with the files that came along, in the document workers (`documents.session`)."""

    @property
    def document_digest(self) -> bytes:
        """SHA-256 of what was fed (`domain.content_sha256`)."""

    @property
    def first(self) -> FileStart | None:
        """The beginning of the first file; None where none was fed."""

    @property
    def size(self) -> int:
        """Bytes fed."""

    @property
    def result_size(self) -> int:
        """Bytes that `result` gives."""

    async def take(self, piece: Piece) -> None:
        """Take the next piece; BodyTooLarge at the crossing byte, FieldInvalid after too many files."""

    def know(self, digest: Digest) -> None:
        """Take the digest of a content that stays with the caller, in place of its bytes."""

    def original(self) -> AsyncIterator[bytes]:
        """Give the first file as it was fed, in chunks."""

    async def prepare(self, parameters: SignatureParameters) -> Prepared:
        """Build what must be signed; return the digest for the key. The DOCUMENT_* errors."""

    async def complete(self, signature: bytes) -> None:
        """Put the signature in and check the finished document."""

    async def recognise(self) -> FormatName:
        """Take what was fed as a signed file, to be extended; DocumentDamaged where it is none."""

    async def next_need(self, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what must be had next to reach the level; None: it is reached."""

    async def add_time_stamp(self, need: TimeStampNeeded, token: bytes) -> None:
        """Put in a time-stamp token."""

    async def add_evidence(self, need: EvidenceNeeded, evidence: Evidence) -> None:
        """Put in certificates and revocation values."""

    def result(self) -> AsyncIterator[bytes]:
        """Give the signed document or the container, in chunks."""

    async def increment(self) -> bytes:
        """Return only what was added."""

    def restore(self, format: FormatName, increment: bytes, document_digest: bytes) -> None:  # noqa: A002
        """Take an earlier signature's increment instead of signing."""


class DocumentPool(Protocol):
    """The document workers."""

    def session(self) -> AbstractAsyncContextManager[DocumentSession]:
        """Take in one document; on leaving, it is forgotten."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A payload in the blob store: the row is the record, the bytes are encrypted under its key."""

    id: str
    client_id: str
    file_name: str
    content_key: bytes
    """AES-256 key of this object alone."""
    size: int
    sha256: bytes
    expires_at: datetime


class BlobStore(Protocol):
    """Encrypted payloads (blobs.py)."""

    async def write(
        self, blob_id: str, content_key: bytes, chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Write an object durably; return size and SHA-256 of the plain bytes."""

    def read(self, blob: Blob) -> AsyncIterator[bytes]:
        """Read an object back in chunks; BlobLost where it is gone or damaged."""

    async def delete(self, blob_id: str) -> None:
        """Delete an object; no error where it is gone."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is kept beside an asynchronous operation's row."""

    operation_id: str
    client_id: str
    agency_id: str
    request: str
    """The accepted request as JSON (service/requests.py)."""
    job_id: str
    file_name: str
    document_blob: str | None
    result_blob: str | None
    expires_at: datetime


class JobStore(Protocol):
    """Asynchronous operations and their payloads."""

    async def accept(self, intent: Intent, job: Job, event: Event | None) -> Recorded | None:
        """Record an accepted operation, its job and the event that queues it. Returns as `SigningStore.begin`."""

    async def job(self, operation_id: str) -> Job | None:
        """Return the job of an operation."""

    async def release(self, operation_id: str) -> bool:
        """Give a begun operation back to the queue: the HSM was provably not asked."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Put events into the outbox."""

    async def add_blob(self, blob: Blob) -> None:
        """Record a payload that is written."""

    async def blob(self, blob_id: str) -> Blob | None:
        """Return a payload's record."""

    async def expired_blobs(self, at: datetime, limit: int) -> list[str]:
        """Return payloads whose time is over."""

    async def forget_blobs(self, blob_ids: Sequence[str]) -> None:
        """Remove the records of payloads that were deleted."""


class TimeStamps(Protocol):
    """Time-stamp authorities, our own and outside ones."""

    async def stamp(self, authority: str, digest: Digest) -> bytes:
        """Return a TimeStampToken (DER ContentInfo) over the digest, checked; "" is our own authority.

        Raises TimeStampUnavailable.
        """


class EvidenceSource(Protocol):
    """The verifier, as the one that fetches what validates certificates later."""

    async def collect(self, certificates: Sequence[bytes]) -> Evidence:
        """Return issuers and revocation values for all of them; EvidenceUnavailable where any is missing."""


class PersonSignatures(Protocol):
    """The verifier, as the one that says whether a person signed."""

    async def require(self, chunks: AsyncIterator[bytes]) -> None:
        """Raise PersonSignatureMissing unless a person's valid signature covers these bytes (VS-41, VS-42)."""
