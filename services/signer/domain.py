"""What the signer knows and decides, without any part of the outside: values that cannot be wrong, and the refusals.

The refusals stand in the order in which they are asked (architecture.md section 5, step 3). Each takes what it needs
as an argument, the time too, and raises the DomainError that the caller gets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from services.kernel.errors import (
    BatchEmpty,
    BatchTooLarge,
    ClassifiedRefused,
    CredentialExpired,
    CredentialHeld,
    CredentialNotFound,
    CredentialRevoked,
    CredentialWithoutCertificate,
    DigestLength,
    DocumentTypeNotAllowed,
    DomainError,
    FieldInvalid,
    LabelRequired,
    ScopeMissing,
)
from services.kernel.errors import Kind as ErrorKind
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SignatureScheme
from services.signer.fields import MAX_FILE_NAME, require_id, require_idempotency_key, require_text
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import NAMING_FORMATS, Envelope

MAX_ITEMS = 1000
"""Digests in one call."""
SCOPE_HASH = "sign:hash"
SCOPE_DOCUMENT = "sign:document"

_DOCUMENT_TYPE = re.compile(r"[0-9A-Za-z._-]{0,64}")


class SecrecyLabel(Enum):
    """Secrecy label as the calling application declares it (RG-50). A label that was not given is None."""

    NONE = "none"
    MAT = "mat"
    TOI_MAT = "toi_mat"
    TUYET_MAT = "tuyet_mat"


class CredentialStatus(Enum):
    """Where a credential stands in the register."""

    PENDING = "pending"
    ACTIVE = "active"
    HELD = "held"
    REVOKED = "revoked"


class State(Enum):
    """Where a signing operation stands."""

    ACCEPTED = "accepted"
    BEGUN = "begun"
    SIGNED = "signed"
    REFUSED = "refused"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Kind(Enum):
    """What an operation signs."""

    HASHES = "hashes"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as its access token says."""

    id: str
    agency_id: str
    scopes: frozenset[str]
    document_types: frozenset[str]
    """Types that it may sign; "*" alone means any."""
    label_required: bool


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the caller declares about what is signed (RG-50)."""

    document_type: str = ""
    label: SecrecyLabel | None = None
    reference: str = ""

    def __post_init__(self) -> None:
        """Refuse texts that are no document type or too long."""
        if not _DOCUMENT_TYPE.fullmatch(self.document_type):
            raise FieldInvalid(
                "document_type must be at most 64 letters, digits, dots, hyphens and underscores",
                field="context.document_type",
            )
        require_text(self.reference, "context.reference")


@dataclass(frozen=True, slots=True)
class HashRequest:
    """A call to sign digests."""

    credential_id: str
    idempotency_key: str
    digest_algorithm: DigestAlgorithm
    scheme: SignatureScheme | None
    """None: the key's usual one."""
    digests: tuple[bytes, ...]
    declaration: Declaration

    def __post_init__(self) -> None:
        """Refuse an empty or oversize batch and digests of a wrong length."""
        require_id(self.credential_id, "credential_id")
        require_idempotency_key(self.idempotency_key)
        if not self.digests:
            raise BatchEmpty(f"send 1 to {MAX_ITEMS} digests", field="digests")
        if len(self.digests) > MAX_ITEMS:
            raise BatchTooLarge(
                f"{len(self.digests)} digests in one call; split it into calls of at most {MAX_ITEMS}",
                field="digests",
                limit=MAX_ITEMS,
            )
        size = self.digest_algorithm.size
        for index, digest in enumerate(self.digests):
            if len(digest) != size:
                raise DigestLength(
                    f"digest {index} has {len(digest)} bytes, {self.digest_algorithm.label} has {size}",
                    field="digests",
                    index=index,
                    expected=size,
                    got=len(digest),
                )

    def content_sha256(self) -> bytes:
        """SHA-256 over the digests, in order."""
        return hashlib.sha256(b"".join(self.digests)).digest()

    def request_sha256(self, content_sha256: bytes) -> bytes:
        """SHA-256 over everything that makes this request this one (not the idempotency key)."""
        return _request_sha256(
            "hashes",
            self.credential_id,
            self.digest_algorithm.label,
            self.scheme.label if self.scheme else "",
            str(len(self.digests)),
            content_sha256.hex(),
            *_declared(self.declaration),
        )


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """What is asked about a document; the document itself comes as a stream."""

    credential_id: str
    idempotency_key: str
    envelope: Envelope
    digest_algorithm: DigestAlgorithm
    scheme: SignatureScheme | None
    declaration: Declaration
    file_name: str = ""
    content_digest: Digest | None = None
    """Of a content that stays with the caller; no bytes follow then."""

    def __post_init__(self) -> None:
        """Refuse texts that cannot be what they say."""
        require_id(self.credential_id, "credential_id")
        require_idempotency_key(self.idempotency_key)
        if self.content_digest is not None:
            self.envelope.require_digest_fits()
        require_text(self.file_name, "file_name", MAX_FILE_NAME)

    def require_digest(self) -> None:
        """Refuse a detached PAdES signature of a content that is sent: it is made of the digest of a byte range."""
        envelope = self.envelope
        if envelope.format == "PADES" and envelope.packaging == "DETACHED" and self.content_digest is None:
            raise FieldInvalid(
                "a detached PAdES signature is made of the digest of a byte range: send content_digest",
                field="content_digest",
            )

    def request_sha256(self, content_sha256: bytes, first: FileStart | None = None) -> bytes:
        """SHA-256 over everything that makes this request this one, the document's SHA-256 included.

        The first file's name counts where it is signed or stands in the result.
        """
        named = first if first is not None and self.envelope.format in NAMING_FORMATS else None
        return _request_sha256(
            "document",
            self.credential_id,
            self.envelope.to_json(),
            self.digest_algorithm.label,
            self.scheme.label if self.scheme else "",
            content_sha256.hex(),
            *_declared(self.declaration),
            *((named.name, named.media_type) if named else ()),
        )


def content_sha256(
    payload_sha256: bytes, files: Sequence[tuple[FileStart, int]], known: Digest | None
) -> bytes:
    """SHA-256 that names what is to be signed: of the bytes of a lone content; else of that, with what tells files apart.

    `payload_sha256` is of all files' bytes, one after the other; each file comes with its size in bytes.
    """
    if known is None and [one.role for one, _ in files] in ([], [Role.CONTENT]):
        return payload_sha256
    listed = [[one.role.value, one.name, one.media_type, size] for one, size in files]
    told = [payload_sha256.hex(), listed, [known.algorithm.label, known.value.hex()] if known else []]
    return hashlib.sha256(json.dumps(told).encode()).digest()


def _declared(declaration: Declaration) -> tuple[str, str, str]:
    return (
        declaration.document_type,
        declaration.label.value if declaration.label else "",
        declaration.reference,
    )


def _request_sha256(*parts: str) -> bytes:
    # Lengths before texts: two different lists of parts never give the same bytes.
    encoded = [part.encode() for part in parts]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in encoded)).digest()


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """A credential's certificates, parsed once. The root is not among them."""

    der: tuple[bytes, ...]
    """Leaf first."""
    sha256: bytes
    """SHA-256 over the concatenated certificates: names the chain in the store."""
    serial_number: str
    """Of the leaf, lower-case hexadecimal."""
    spki_sha256: bytes
    """SHA-256 of the leaf's SubjectPublicKeyInfo, DER."""
    signer_name: str
    """Common name of the leaf's subject; may be empty."""
    validity: tuple[tuple[datetime, datetime], ...]
    """notBefore and notAfter of each certificate, in order."""

    def require_valid(self, at: datetime) -> None:
        """Raise CredentialExpired where the leaf or an issuing certificate is not valid (RFC 5280 section 4.1.2.5)."""
        for index, (not_before, not_after) in enumerate(self.validity):
            if not_before <= at <= not_after:
                continue
            which = "certificate" if index == 0 else "issuing CA's certificate"
            when = f"from {_z(not_before)}" if at < not_before else f"until {_z(not_after)}"
            raise CredentialExpired(f"the credential's {which} is valid only {when}: ask for a renewal")


def _z(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as the register holds it at one version."""

    id: str
    version: int
    status: CredentialStatus
    agency_id: str
    agency_path: tuple[str, ...]
    """Its agency and those above, nearest first."""
    client_ids: frozenset[str]
    """Clients that may use it; empty: every client of the agency path."""
    activation: str
    key_id: str
    chain: CertificateChain | None

    def require_signing(self, client: Client, at: datetime) -> CertificateChain:
        """Return the chain to sign with, or raise why this client cannot sign with this credential now."""
        self.require_client(client.id, client.agency_id)
        if (error := status_error(self.id, self.status)) is not None:
            raise error
        if self.chain is None:
            raise CredentialWithoutCertificate(f"credential {self.id} still waits for its certificate")
        self.chain.require_valid(at)
        return self.chain

    def require_client(self, client_id: str, agency_id: str) -> None:
        """Raise CredentialNotFound for a client that is not of its agency path or not on its list.

        The same error as for a credential that does not exist: who may not use it does not learn that it is there.
        """
        if agency_id not in self.agency_path or (self.client_ids and client_id not in self.client_ids):
            raise CredentialNotFound(
                f"no credential {self.id} that this client may use", credential_id=self.id
            )


def status_error(credential_id: str, status: CredentialStatus) -> DomainError | None:
    """Return why a credential of this status cannot sign, or None where it can."""
    match status:
        case CredentialStatus.HELD:
            return CredentialHeld(f"credential {credential_id} is on hold", credential_id=credential_id)
        case CredentialStatus.REVOKED:
            return CredentialRevoked(f"credential {credential_id} is revoked", credential_id=credential_id)
        case CredentialStatus.PENDING:
            return CredentialWithoutCertificate(
                f"credential {credential_id} still waits for its certificate", credential_id=credential_id
            )
    return None


def refuse_by_declaration(client: Client, declaration: Declaration, scope: str) -> None:
    """Raise the first refusal that needs nothing but the token and the declaration, before any byte is hashed."""
    # RG-50, N-DOC-13: classified matter first of all, whatever else is wrong with the request.
    if declaration.label not in {None, SecrecyLabel.NONE}:
        raise ClassifiedRefused(
            "documents labelled MẬT, TỐI MẬT or TUYỆT MẬT are not signed here: use the offline means"
        )
    if declaration.label is None and client.label_required:
        raise LabelRequired(
            'this client must declare a secrecy label; "none" for what is not classified', field="label"
        )
    if "*" not in client.document_types and declaration.document_type not in client.document_types:
        named = declaration.document_type or "(none)"
        raise DocumentTypeNotAllowed(
            f"document type {named} is not on this client's list", field="context.document_type"
        )
    require_scope(client, scope)


def require_scope(client: Client, scope: str) -> None:
    """Raise ScopeMissing where the token does not hold the scope."""
    if scope not in client.scopes:
        raise ScopeMissing(f"this call needs the scope {scope}: ask for a token that holds it", scope=scope)


def require_any_scope(client: Client) -> None:
    """Raise ScopeMissing where the token holds no scope for signing at all."""
    if not client.scopes & {SCOPE_HASH, SCOPE_DOCUMENT}:
        raise ScopeMissing(
            f"this call needs the scope {SCOPE_HASH} or {SCOPE_DOCUMENT}", scope=SCOPE_DOCUMENT
        )


@dataclass(frozen=True, slots=True)
class Key:
    """A document key: where the token holds it, and its public half."""

    id: str
    credential_id: str
    algorithm: KeyAlgorithm
    token_group: str
    cka_id: bytes
    spki: bytes
    """SubjectPublicKeyInfo, DER."""
    spki_sha256: bytes


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one item has no signature: a stable code, a sentence, and whether the same may succeed later."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: DomainError) -> ItemFailure:
        """Take over what a caller may see of an error."""
        return cls(error.code, error.message, error.retryable)


class BlobLost(DomainError):
    """A payload's file is gone or damaged: the job that needs it fails and says so."""

    code, kind = "BLOB_LOST", ErrorKind.INTERNAL
