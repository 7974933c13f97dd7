"""What the platform answers, as values."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]


def _time(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A signed document, or a detached signature."""

    operation_id: str
    media_type: str
    file_name: str
    """Name that the platform proposes for it."""
    size: int
    """Bytes."""
    content: bytes | None
    """The bytes, unless they went to a file."""
    path: Path | None = None
    """Where they went."""
    level: str = ""
    """Level that was reached, such as B-LT; empty where the answer does not tell."""
    level_missed: str = ""
    """Why a lower level than asked was given; empty where it was reached."""
    warnings: tuple[str, ...] = ()
    """Codes of what was done although a rule advises against it."""


@dataclass(frozen=True, slots=True)
class SubmittedDocument:
    """A document accepted to be signed later."""

    operation_id: str
    status_url: str


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of one document of a batch."""

    key: str
    operation_id: str
    """Empty where the document was not accepted."""
    state: str
    """As an operation's; empty where it was not accepted."""
    error_code: str
    error_message: str
    retryable: bool
    replayed: bool

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state not in {"accepted", "begun"}

    @classmethod
    def of(cls, row: Json) -> Self:
        """Read one row of the answer of POST /v1/signatures:batch."""
        error = row.get("error") or {}
        return cls(
            key=str(row["key"]),
            operation_id=row["operation_id"] or "",
            state=row["state"] or "",
            error_code=str(error.get("code", "")),
            error_message=str(error.get("message", "")),
            retryable=bool(error.get("retryable", False)),
            replayed=bool(row["replayed"]),
        )


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What to hash, and what to keep, to sign a document that stays with the caller."""

    digest_algorithm: str
    hashed: str
    """`content`, or `ByteRange` for PAdES."""
    contents_bytes: int
    """PAdES: bytes to reserve for the CMS in /Contents; else 0."""
    sub_filter: str
    """PAdES: /SubFilter to write; else empty."""
    signing_time: datetime | None
    """PAdES: /M to write."""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read the answer of POST /v1/documents:prepare."""
        return cls(
            digest_algorithm=str(document["digest_algorithm"]),
            hashed=str(document["hashed"]),
            contents_bytes=int(document["contents_bytes"] or 0),
            sub_filter=document["sub_filter"] or "",
            signing_time=_time(document["signing_time"]),
        )


@dataclass(frozen=True, slots=True)
class HashOutcome:
    """What became of one digest: a signature, or the reason why there is none."""

    signature: bytes | None
    error_code: str
    error_message: str
    retryable: bool

    @classmethod
    def of(cls, row: Json) -> Self:
        """Read one row of the answer."""
        error = row.get("error")
        if error is None:
            return cls(base64.b64decode(row["signature"]), "", "", retryable=False)
        return cls(None, str(error["code"]), str(error["message"]), bool(error["retryable"]))


@dataclass(frozen=True, slots=True)
class SignedHashes:
    """Outcomes in the order of the digests, and the certificates that go with the signatures."""

    operation_id: str
    outcomes: tuple[HashOutcome, ...]
    scheme: str
    certificate_chain: tuple[bytes, ...]
    """DER, leaf first, without the root."""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read the answer of POST /v1/hashes:sign."""
        return cls(
            str(document["operation_id"]),
            tuple(HashOutcome.of(row) for row in document["signatures"]),
            str(document["scheme"]),
            tuple(base64.b64decode(item) for item in document["certificate_chain"]),
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """Where an operation stands."""

    operation_id: str
    state: str
    """accepted, begun, signed, refused, failed or outcome_unknown."""
    document_url: str | None
    file_name: str | None
    error_code: str
    error_message: str
    document: Json
    """The whole answer."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state not in {"accepted", "begun"}

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read the answer of GET /v1/signatures/{id}."""
        error = document.get("error") or {}
        return cls(
            operation_id=str(document["operation_id"]),
            state=str(document["state"]),
            document_url=document.get("document_url"),
            file_name=document.get("file_name"),
            error_code=str(error.get("code", "")),
            error_message=str(error.get("message", "")),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential: key, certificates, owner, status."""

    id: str
    status: str
    """pending, active, held or revoked."""
    key_algorithm: str
    subscriber_id: str
    agency_id: str
    serial_number: str | None
    not_after: datetime | None
    certificate_chain: tuple[bytes, ...]
    document: Json
    """The whole answer."""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read one credential."""
        return cls(
            id=str(document["id"]),
            status=str(document["status"]),
            key_algorithm=str(document["key_algorithm"]),
            subscriber_id=str(document["subscriber_id"]),
            agency_id=str(document["agency_id"]),
            serial_number=document.get("serial_number"),
            not_after=_time(document.get("not_after")),
            certificate_chain=tuple(base64.b64decode(item) for item in document["certificate_chain"]),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class EvidenceValue:
    """One value that a verdict went by."""

    kind: str
    """certificate, crl, ocsp_response or time_stamp."""
    media_type: str
    data: bytes

    @classmethod
    def of(cls, row: Json) -> Self:
        """Read one."""
        return cls(str(row["kind"]), str(row["media_type"]), base64.b64decode(row["data"]))


@dataclass(frozen=True, slots=True)
class Verification:
    """The verifier's report."""

    verdict: str
    """valid, invalid, indeterminate, malformed or unsigned."""
    clean: bool
    sentence_vi: str
    sentence_en: str
    signatures: tuple[Json, ...]
    evidence_id: str
    """Name under which the evidence is kept; empty where that was not asked for."""
    evidence: tuple[EvidenceValue, ...]
    """What the verdict went by, where it was asked for."""
    document: Json
    """The whole answer."""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read the answer of POST /v1/verifications."""
        return cls(
            verdict=str(document["verdict"]),
            clean=bool(document["clean"]),
            sentence_vi=str(document["sentence_vi"]),
            sentence_en=str(document["sentence_en"]),
            signatures=tuple(document["signatures"]),
            evidence_id=document.get("evidence_id") or "",
            evidence=tuple(EvidenceValue.of(row) for row in document.get("evidence", ())),
            document={key: value for key, value in document.items() if key != "evidence"},
        )


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A kept file."""

    kind: str
    """report, certificate, crl, ocsp_response or time_stamp."""
    sha256: str
    size: int
    url: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of a verification that the platform keeps."""

    id: str
    verdict: str
    document_sha256: str
    validated_at: datetime | None
    kept_at: datetime | None
    reference: str
    files: tuple[EvidenceFile, ...]
    """Empty in a list."""
    document: Json
    """The whole answer."""

    @classmethod
    def of(cls, document: Json) -> Self:
        """Read one row."""
        return cls(
            id=str(document["id"]),
            verdict=str(document["verdict"]),
            document_sha256=str(document["document_sha256"]),
            validated_at=_time(document["validated_at"]),
            kept_at=_time(document["kept_at"]),
            reference=document["reference"] or "",
            files=tuple(
                EvidenceFile(str(file["kind"]), str(file["sha256"]), int(file["size"]), str(file["url"]))
                for file in document.get("files", ())
            ),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the platform takes requests."""

    ready: bool
    reasons: dict[str, str]
    services: dict[str, str]
    """Service -> reachable or unreachable."""
