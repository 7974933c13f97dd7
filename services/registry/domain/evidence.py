"""Evidence of verifications (VR-06, SR-10): what a verdict went by, kept for the agency that asked for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.errors import FieldInvalid
from services.registry.domain import parties
from services.registry.domain.audit import canonical

DIGEST_BYTES = 32
MAX_FILES = 5000
MAX_REFERENCE = 200
VERDICTS = ("valid", "invalid", "indeterminate", "malformed", "unsigned")


class EvidenceKind(StrEnum):
    """What a file is."""

    REPORT = "report"
    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP_RESPONSE = "ocsp_response"
    TIME_STAMP = "time_stamp"


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file without its bytes."""

    kind: EvidenceKind
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """What the verifier hands over. `outcome_sha256` is over what was concluded."""

    document_sha256: bytes
    verdict: str
    validated_at: datetime
    outcome_sha256: bytes
    reference: str
    files: tuple[tuple[EvidenceFile, bytes], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept, without the bytes. `files` is empty in a list."""

    id: str
    agency_id: str
    client_id: str
    document_sha256: bytes
    verdict: str
    validated_at: datetime
    kept_at: datetime
    reference: str
    files: tuple[EvidenceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidenceFilter:
    """Which evidence is asked for; empty means any."""

    document_sha256: bytes = b""
    reference: str = ""


def checked(new: NewEvidence) -> NewEvidence:
    """Return it as it may be kept; raise FieldInvalid."""
    for name, value in (
        ("document_sha256", new.document_sha256),
        ("outcome_sha256", new.outcome_sha256),
    ):
        if len(value) != DIGEST_BYTES:
            raise FieldInvalid(f"{name} must have {DIGEST_BYTES} bytes", field=name)
    if new.verdict not in VERDICTS:
        raise FieldInvalid(f"verdict must be one of {', '.join(VERDICTS)}", field="verdict")
    reference = parties.text(new.reference, "reference", maximum=MAX_REFERENCE, required=False)
    return NewEvidence(
        new.document_sha256, new.verdict, new.validated_at, new.outcome_sha256, reference, new.files
    )


def identifier(agency_id: str, new: NewEvidence) -> str:
    """Make the id of what is kept: the same for the same evidence, document, outcome and reference.

    The report's own bytes do not count: they hold the time of the verification.
    """
    told = {
        (file.kind.value, file.sha256.hex()) for file, _ in new.files if file.kind is not EvidenceKind.REPORT
    }
    content = canonical({
        "agency": agency_id,
        "document": new.document_sha256.hex(),
        "outcome": new.outcome_sha256.hex(),
        "reference": new.reference,
        "files": sorted(told),
    })  # fmt: skip
    return "evd_" + hashlib.sha256(content.encode()).hexdigest()[:40]
