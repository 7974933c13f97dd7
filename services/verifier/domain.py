"""Verdicts and reports. Pure values: nothing here reads a document, a clock or the network.

A verdict starts INDETERMINATE; it becomes TOTAL-PASSED only when every check that was asked for has said so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Indication(StrEnum):
    """Main status indication, ETSI EN 319 102-1 clause 5.1.3."""

    TOTAL_PASSED = "TOTAL-PASSED"
    TOTAL_FAILED = "TOTAL-FAILED"
    INDETERMINATE = "INDETERMINATE"


class SubIndication(StrEnum):
    """Sub-indication, ETSI EN 319 102-1 table 6; only those that this code can give."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND_NO_POE = "NO_CERTIFICATE_CHAIN_FOUND_NO_POE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    REVOKED_CA_NO_POE = "REVOKED_CA_NO_POE"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    TRY_LATER = "TRY_LATER"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
    GENERIC = "GENERIC"


class Verdict(StrEnum):
    """What is said of the document as a whole. The order is worst first."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    INDETERMINATE = "indeterminate"
    VALID = "valid"
    UNSIGNED = "unsigned"


class Code(StrEnum):
    """Messages that people read; each has a sentence in Vietnamese and English in `sentences`."""

    SIG_VALID = "SIG_VALID"
    SIG_INVALID = "SIG_INVALID"
    SIG_INDETERMINATE = "SIG_INDETERMINATE"
    NOT_SIGNED = "NOT_SIGNED"
    DOC_INTACT = "DOC_INTACT"
    DOC_EXTENDED = "DOC_EXTENDED"
    DOC_MODIFIED = "DOC_MODIFIED"
    CERT_REVOKED = "CERT_REVOKED"
    CERT_EXPIRED = "CERT_EXPIRED"
    CERT_NOT_YET = "CERT_NOT_YET"
    CERT_UNTRUSTED = "CERT_UNTRUSTED"
    CERT_HELD = "CERT_HELD"
    CA_REVOKED = "CA_REVOKED"
    CA_FOREIGN = "CA_FOREIGN"
    STATUS_NOT_CHECKED = "STATUS_NOT_CHECKED"
    STATUS_STALE = "STATUS_STALE"
    TS_NONE = "TS_NONE"
    TS_NOT_CHECKED = "TS_NOT_CHECKED"
    TS_OK = "TS_OK"
    TS_UNDECIDED = "TS_UNDECIDED"
    TS_BAD = "TS_BAD"
    CERT_REVOKED_LATER = "CERT_REVOKED_LATER"
    CERT_EXPIRED_LATER = "CERT_EXPIRED_LATER"
    TIME_LOCAL_AS_UTC = "TIME_LOCAL_AS_UTC"
    ALG_SHA1 = "ALG_SHA1"
    ALG_WEAK = "ALG_WEAK"
    SCOPE = "SCOPE"
    DOC_MALFORMED = "DOC_MALFORMED"
    DOC_ENCRYPTED = "DOC_ENCRYPTED"
    FORMAT_UNSUPPORTED = "FORMAT_UNSUPPORTED"
    LIMIT_REACHED = "LIMIT_REACHED"
    UNOWNED_BYTES = "UNOWNED_BYTES"
    TRUST_LEFT_OUT = "TRUST_LEFT_OUT"
    NOT_NOW = "NOT_NOW"
    PARTLY_SIGNED = "PARTLY_SIGNED"
    WRAPPING = "WRAPPING"
    NOT_ALL_SIGNED = "NOT_ALL_SIGNED"
    INNER_BROKEN = "INNER_BROKEN"
    OWNER_MISMATCH = "OWNER_MISMATCH"
    OWNER_NOT_COMPARABLE = "OWNER_NOT_COMPARABLE"


class Coverage(StrEnum):
    """Which part of the file the signature's hash covers."""

    WHOLE = "whole_document"
    REVISION = "revision"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class Integrity(StrEnum):
    """State of what was signed, as the person at the counter asks for it."""

    INTACT = "intact"
    EXTENDED = "extended"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class SignatureKind(StrEnum):
    """What the signed data says: a person's signature, or a time-stamp over the document."""

    SIGNATURE = "signature"
    DOCUMENT_TIMESTAMP = "document_timestamp"


class StatusSource(StrEnum):
    """Where the revocation status of the signer's certificate came from."""

    NONE = "none"
    CRL = "crl"
    OCSP = "ocsp"


class TimeSource(StrEnum):
    """Where the best signing time came from; of a time-stamp, what it is for."""

    CHECKING = "checking"
    STATED = "stated_by_caller"
    CONTENT = "content_time_stamp"
    SIGNATURE = "signature_time_stamp"
    REFERENCES = "references_time_stamp"
    ARCHIVE = "archive_time_stamp"
    DOCUMENT = "document_time_stamp"


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning or remark. `detail` is English, for engineers; it never quotes document content."""

    code: Code
    detail: str = ""


class ChangeKind(StrEnum):
    """What a revision after a signature did."""

    SIGNATURE = "signature"
    TIMESTAMP = "timestamp"
    VALIDATION_DATA = "validation_data"
    FORM_FILLING = "form_filling"
    ANNOTATION = "annotation"
    OTHER = "other"
    UNOWNED_BYTES = "unowned_bytes"


@dataclass(frozen=True, slots=True)
class LaterChange:
    """One revision that was added to a PDF after the signature; `number` counts from 1, 0: bytes of no revision."""

    number: int
    kind: ChangeKind
    allowed: bool
    touches: str


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """What the signature covers and what came after it. Revisions count from 1; 0 where the format has none.

    `end` is the first byte behind the signed revision of a PDF: the document as it was signed ends there; 0: unknown.
    """

    coverage: Coverage
    covered_bytes: int = 0
    total_bytes: int = 0
    revision: int = 0
    revisions: int = 0
    later: tuple[LaterChange, ...] = ()
    end: int = 0


@dataclass(frozen=True, slots=True)
class Identifier:
    """One subject identifier (VN practice). `kind`: tax, citizen, old_id, passport or other."""

    kind: str
    value: str
    prefix: str
    well_formed: bool


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """The readable facts of one certificate. `sha256` is hex of the DER; `serial` is hex."""

    subject: str
    issuer: str
    serial: str
    sha256: str
    not_before: datetime
    not_after: datetime
    common_name: str = ""
    issuer_name: str = ""
    organization: str = ""
    organizational_unit: str = ""
    title: str = ""
    email: str = ""
    identifiers: tuple[Identifier, ...] = ()
    der: bytes = b""


@dataclass(frozen=True, slots=True)
class SigningTime:
    """`claimed` is the signer's own word; `best` is the time by which the signature surely existed.

    `source` says what proves `best`, `authority` is the common name of the time-stamp unit where one does.
    """

    claimed: datetime | None
    best: datetime
    source: TimeSource = TimeSource.CHECKING
    authority: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Revocation status of the signer's certificate and its source."""

    source: StatusSource = StatusSource.NONE
    produced_at: datetime | None = None
    next_update: datetime | None = None
    revoked_at: datetime | None = None
    reason: str = ""


class OwnerResult(StrEnum):
    """Whether the signer is the owner of the dossier whom the caller named."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_COMPARABLE = "not_comparable"


class OwnerReason(StrEnum):
    """What an owner's match rests on; each has a sentence in both languages in `owner`."""

    SAME_IDENTIFIER = "same_identifier"
    OTHER_IDENTIFIER = "other_identifier"
    OTHER_BRANCH = "other_branch"
    SAME_NAME = "same_name"
    ONLY_SAME_NAME = "only_same_name"
    OTHER_NAME = "other_name"
    NEARLY_SAME_NAME = "nearly_same_name"
    NOTHING_IN_COMMON = "nothing_in_common"
    NOT_PROVEN = "not_proven"
    NO_SIGNER = "no_signer"


@dataclass(frozen=True, slots=True)
class OwnerMatch:
    """The answer to one comparison of owner and signer."""

    result: OwnerResult
    reason: OwnerReason


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """All that is known about one signature."""

    name: str
    format: str
    kind: SignatureKind
    indication: Indication
    sub_indication: SubIndication | None
    integrity: Integrity
    coverage: CoverageReport
    signing_time: SigningTime
    signer: CertificateSummary | None = None
    path: tuple[CertificateSummary, ...] = ()
    status: StatusReport = field(default_factory=StatusReport)
    digest_algorithm: str = ""
    signature_algorithm: str = ""
    notices: tuple[Notice, ...] = ()
    detail: str = ""
    owner: OwnerMatch | None = None
    signature_value: bytes = b""
    signed_digest: bytes = b""

    @property
    def stained(self) -> bool:
        """Something that came later, or was left unsigned, has to be warned about.

        A time-stamp that does not hold is none of it: it proves nothing, and takes nothing from what was signed.
        """
        stains = {
            Code.DOC_EXTENDED,
            Code.DOC_MODIFIED,
            Code.UNOWNED_BYTES,
            Code.WRAPPING,
        }
        return bool(stains & {notice.code for notice in self.notices})

    @property
    def clean(self) -> bool:
        """A signature that passed, or a document time-stamp that did not fail, and no stain on it."""
        if self.kind is SignatureKind.DOCUMENT_TIMESTAMP:
            return self.indication is not Indication.TOTAL_FAILED and not self.stained
        return self.indication is Indication.TOTAL_PASSED and not self.stained


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """The answer for one document. `integrity_only`: trust was left out on request.

    `owner`: whether any signature that passed is by the owner whom the caller named; None where nobody was.
    `valid_at` is the time that the caller wanted it judged for; None: it was judged for `checked_at`.
    `inner` are the signed documents that it carries. The verdict is on the document's own signatures; an inner one that
    does not hold takes only `clean` away.
    """

    verdict: Verdict
    clean: bool
    signatures: tuple[SignatureReport, ...]
    format: str
    size: int
    sha256: str
    checked_at: datetime
    integrity_only: bool = False
    notices: tuple[Notice, ...] = ()
    owner: OwnerMatch | None = None
    valid_at: datetime | None = None
    inner: tuple[InnerReport, ...] = ()

    @classmethod
    def undecided(cls, data: bytes, at: datetime, integrity_only: bool) -> DocumentReport:
        """The report on a document whose check ran into a limit of time or memory."""
        return cls(
            verdict=Verdict.INDETERMINATE,
            clean=False,
            signatures=(),
            format="unknown",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            checked_at=at,
            integrity_only=integrity_only,
            notices=(Notice(Code.LIMIT_REACHED, "the check was stopped at its limit of time or memory"),),
        )


@dataclass(frozen=True, slots=True)
class InnerReport:
    """The answer for a signed document that another one carries. `name` is the outer one's word for it."""

    name: str
    report: DocumentReport


def verdict_of(report: SignatureReport) -> Verdict:
    """The document-level word for one signature's indication."""
    if report.indication is Indication.TOTAL_PASSED:
        return Verdict.VALID
    if report.indication is Indication.TOTAL_FAILED:
        return Verdict.MALFORMED if report.sub_indication is SubIndication.FORMAT_FAILURE else Verdict.INVALID
    return Verdict.INDETERMINATE


def worst(
    reports: tuple[SignatureReport, ...], *, stamps_speak: bool = False, stamps_apart: bool = False
) -> Verdict:
    """Verdict of a document with these signatures: that of the worst; UNSIGNED when there is none.

    A document time-stamp speaks for the document only when it is broken: it cannot make a document signed. Where the
    document is itself a time-stamp, its word counts (`stamps_speak`). Where time-stamps are files of their own
    (`stamps_apart`), one that does not hold proves nothing and takes nothing from the signatures beside it; one that
    cannot be read may be anything, and is not overlooked.
    """

    def counts(report: SignatureReport) -> bool:
        if stamps_speak or report.kind is SignatureKind.SIGNATURE:
            return True
        unread = report.sub_indication is SubIndication.FORMAT_FAILURE
        return report.indication is Indication.TOTAL_FAILED and (unread or not stamps_apart)

    found = {verdict_of(report) for report in reports if counts(report)}
    return next((verdict for verdict in Verdict if verdict in found), Verdict.UNSIGNED)
