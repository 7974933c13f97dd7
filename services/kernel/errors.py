"""The one error family of Kyso (docs/errors.md lists every code).

A `DomainError` carries a stable code, a sentence for the caller that says what was wrong and where, and small data
(text or integers, never a secret, never a document). `runtime/errormap.py` maps it to gRPC, `gateway/problems.py` to
HTTP; nothing else does.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of failure it is: decides the gRPC status code and the HTTP status."""

    INVALID = "invalid"
    UNPROCESSABLE = "unprocessable"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    FAILED_PRECONDITION = "failed_precondition"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"


_BY_CODE: dict[str, type[DomainError]] = {}


class DomainError(Exception):
    """An expected failure. Subclasses fix `code` and `kind`; the message is safe to show to the caller."""

    code: ClassVar[str] = "INTERNAL"
    kind: ClassVar[Kind] = Kind.INTERNAL
    retryable: ClassVar[bool] = False
    """True where the same request may succeed later without a change."""

    def __init_subclass__(cls) -> None:
        """Register the code: two classes may not share one."""
        super().__init_subclass__()
        other = _BY_CODE.setdefault(cls.code, cls)
        if other is not cls and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"error code {cls.code} is taken by {other.__qualname__}")

    def __init__(self, message: str, /, **data: str | int) -> None:
        """Take the sentence for the caller and the data that machines read (becomes ErrorInfo.metadata)."""
        super().__init__(message)
        self.message = message
        self.data = data


def error_class(code: str) -> type[DomainError] | None:
    """Return the class of a stable code, or None where this process does not know the code."""
    return _BY_CODE.get(code)


def error_codes() -> dict[str, type[DomainError]]:
    """Return every code that this process knows (a copy)."""
    return dict(_BY_CODE)


class Internal(DomainError):
    """Something failed that should not have: the log has the request id and the details, the caller has the id."""

    code = "INTERNAL"


class Unauthenticated(DomainError):
    """No access token was shown, or the client's own proof (secret, assertion) was refused."""

    code, kind = "UNAUTHENTICATED", Kind.UNAUTHENTICATED


class TokenInvalid(DomainError):
    """The access token is malformed, forged, or made for somebody else."""

    code, kind = "TOKEN_INVALID", Kind.UNAUTHENTICATED


class TokenExpired(DomainError):
    """The access token was good and its time is over: ask for a new one."""

    code, kind = "TOKEN_EXPIRED", Kind.UNAUTHENTICATED


class ScopeMissing(DomainError):
    """The token is good and does not hold the scope that this call needs."""

    code, kind = "SCOPE_MISSING", Kind.FORBIDDEN


class CallerNotAllowed(DomainError):
    """The calling service's certificate is not on the allow-list of this RPC."""

    code, kind = "CALLER_NOT_ALLOWED", Kind.FORBIDDEN


class Forbidden(DomainError):
    """The client may not act on this agency's data."""

    code, kind = "FORBIDDEN", Kind.FORBIDDEN


class FieldInvalid(DomainError):
    """One field of the request is missing, malformed or out of range; `field` names it."""

    code, kind = "FIELD_INVALID", Kind.INVALID


class JsonInvalid(DomainError):
    """The body, or the request part, is not the JSON that this call takes."""

    code, kind = "JSON_INVALID", Kind.INVALID


class Base64Invalid(DomainError):
    """A field that must be standard base64 is not."""

    code, kind = "BASE64_INVALID", Kind.INVALID


class PartOrder(DomainError):
    """The parts of a multipart body are missing, doubled or in the wrong order."""

    code, kind = "PART_ORDER", Kind.INVALID


class BodyTooLarge(DomainError):
    """The body crossed the limit; reading stopped at that byte. `limit` is in bytes."""

    code, kind = "BODY_TOO_LARGE", Kind.TOO_LARGE


class AlgorithmUnknown(DomainError):
    """The digest or signature algorithm is not one that Kyso uses."""

    code, kind = "ALGORITHM_UNKNOWN", Kind.INVALID


class AlgorithmMismatch(DomainError):
    """The signature algorithm does not fit the credential's key or the digest algorithm."""

    code, kind = "ALGORITHM_MISMATCH", Kind.INVALID


class DigestLength(DomainError):
    """A digest has not the length of its algorithm; `index` says which one."""

    code, kind = "DIGEST_LENGTH", Kind.INVALID


class BatchEmpty(DomainError):
    """A batch without items."""

    code, kind = "BATCH_EMPTY", Kind.INVALID


class BatchTooLarge(DomainError):
    """More items than one call takes; `limit` is the number."""

    code, kind = "BATCH_TOO_LARGE", Kind.INVALID


class LabelRequired(DomainError):
    """The policy of this client demands a secrecy label and none was given (RG-51)."""

    code, kind = "LABEL_REQUIRED", Kind.INVALID


class ClassifiedRefused(DomainError):
    """The document is labelled MẬT, TỐI MẬT or TUYỆT MẬT: refused before any byte is hashed (N-DOC-13)."""

    code, kind = "CLASSIFIED_REFUSED", Kind.FORBIDDEN


class DocumentTypeNotAllowed(DomainError):
    """The document type is not on this client's list (RG-60)."""

    code, kind = "DOCUMENT_TYPE_NOT_ALLOWED", Kind.FORBIDDEN


class NotFound(DomainError):
    """There is no such thing, or none that this client may see."""

    code, kind = "NOT_FOUND", Kind.NOT_FOUND


class Conflict(DomainError):
    """The request contradicts what is there."""

    code, kind = "CONFLICT", Kind.CONFLICT


class DocumentNotPdf(DomainError):
    """The bytes are not a PDF file."""

    code, kind = "DOCUMENT_NOT_PDF", Kind.UNPROCESSABLE


class DocumentEncrypted(DomainError):
    """The PDF file is encrypted: sign it before it is encrypted."""

    code, kind = "DOCUMENT_ENCRYPTED", Kind.UNPROCESSABLE


class DocumentDamaged(DomainError):
    """The PDF file cannot be read as ISO 32000 demands."""

    code, kind = "DOCUMENT_DAMAGED", Kind.UNPROCESSABLE


class DocumentLocked(DomainError):
    """An earlier signature of the document forbids this one (DocMDP, field lock)."""

    code, kind = "DOCUMENT_LOCKED", Kind.UNPROCESSABLE


class ImageInvalid(DomainError):
    """The image of a visible signature is not what VS-30 to VS-35 ask for."""

    code, kind = "IMAGE_INVALID", Kind.UNPROCESSABLE


class PlaceInvalid(DomainError):
    """A visible signature has no place: no such page, the text is not there or there twice, the gap is too small."""

    code, kind = "PLACE_INVALID", Kind.UNPROCESSABLE


class FontMissing(DomainError):
    """There is no font to print with: its operator installs one and names it in the settings."""

    code, kind = "FONT_MISSING", Kind.UNAVAILABLE


class PersonSignatureMissing(DomainError):
    """The agency's seal is put only on a document that a person's valid signature covers (VS-41, VS-42)."""

    code, kind = "PERSON_SIGNATURE_MISSING", Kind.UNPROCESSABLE


class SenderMismatch(DomainError):
    """The sender's address of a message is not in the signer's certificate (RFC 8550 section 3)."""

    code, kind = "SENDER_MISMATCH", Kind.UNPROCESSABLE


class TargetInvalid(DomainError):
    """The element that an XML signature names is missing, is there twice, or cannot be signed so."""

    code, kind = "TARGET_INVALID", Kind.UNPROCESSABLE


class LevelNotReached(DomainError):
    """A time-stamp or a revocation value could not be had, and the caller wants no lower level."""

    code, kind = "LEVEL_NOT_REACHED", Kind.UNAVAILABLE


class TimeStampUnavailable(DomainError):
    """The time-stamp authority does not answer, or answers what cannot be used."""

    code, kind, retryable = "TIME_STAMP_UNAVAILABLE", Kind.UNAVAILABLE, True


class EvidenceUnavailable(DomainError):
    """An issuer or a revocation value could not be had."""

    code, kind, retryable = "EVIDENCE_UNAVAILABLE", Kind.UNAVAILABLE, True


class EvidenceNotKept(DomainError):
    """The evidence of a verification was to be kept and could not be, so no report is given."""

    code, kind, retryable = "EVIDENCE_NOT_KEPT", Kind.UNAVAILABLE, True


class EvidenceLimit(DomainError):
    """The agency keeps as much evidence as it may: some of it has to be deleted first."""

    code, kind = "EVIDENCE_LIMIT", Kind.CONFLICT


class CredentialNotFound(DomainError):
    """No such credential, or none that this client may use."""

    code, kind = "CREDENTIAL_NOT_FOUND", Kind.NOT_FOUND


class CredentialHeld(DomainError):
    """The credential is on hold (tạm giữ): signing starts again only after its release."""

    code, kind = "CREDENTIAL_HELD", Kind.CONFLICT


class CredentialRevoked(DomainError):
    """The credential's certificate is revoked; this is final."""

    code, kind = "CREDENTIAL_REVOKED", Kind.CONFLICT


class CredentialExpired(DomainError):
    """The credential's certificate, or its issuer's, is not valid now."""

    code, kind = "CREDENTIAL_EXPIRED", Kind.CONFLICT


class CredentialWithoutCertificate(DomainError):
    """The credential still waits for its certificate."""

    code, kind = "CREDENTIAL_WITHOUT_CERTIFICATE", Kind.CONFLICT


class CredentialStatusUnavailable(DomainError):
    """The credential's present status could not be had from the registry, so nothing is signed with it."""

    code, kind, retryable = "CREDENTIAL_STATUS_UNAVAILABLE", Kind.UNAVAILABLE, True


class IdempotencyConflict(DomainError):
    """The idempotency key was used before with another request."""

    code, kind = "IDEMPOTENCY_CONFLICT", Kind.CONFLICT


class OperationInProgress(DomainError):
    """The same request is being worked on: ask again shortly with the same idempotency key."""

    code, kind, retryable = "OPERATION_IN_PROGRESS", Kind.CONFLICT, True


class OutcomeUnknown(DomainError):
    """A signature may have been made; none was released, and none is made again unless the caller asks with a new key."""

    code, kind = "OUTCOME_UNKNOWN", Kind.CONFLICT


class OperationNotFound(DomainError):
    """No such operation of this client, or its time of keeping is over."""

    code, kind = "OPERATION_NOT_FOUND", Kind.NOT_FOUND


class OperationNotReady(DomainError):
    """The operation has no document to give yet (or ended without one); its state says which."""

    code, kind = "OPERATION_NOT_READY", Kind.CONFLICT


class HsmUnavailable(DomainError):
    """No HSM worker could take the operation: nothing was handed to the token."""

    code, kind, retryable = "HSM_UNAVAILABLE", Kind.UNAVAILABLE, True


class HsmTimeout(DomainError):
    """The operation waited too long for an HSM worker, or for the token after its last check: nothing was signed."""

    code, kind, retryable = "HSM_TIMEOUT", Kind.UNAVAILABLE, True


class HsmOutcomeUnknown(DomainError):
    """The operation had been handed to the token when the worker failed: the token may have signed."""

    code, kind = "HSM_OUTCOME_UNKNOWN", Kind.UNAVAILABLE


class Overloaded(DomainError):
    """More work is waiting than the platform takes: retry after a pause."""

    code, kind, retryable = "OVERLOADED", Kind.UNAVAILABLE, True


class RateLimited(DomainError):
    """This client asked more often than its limit."""

    code, kind, retryable = "RATE_LIMITED", Kind.EXHAUSTED, True


class DeadlineExceeded(DomainError):
    """The time for the call is over. A signature may have been made: ask again with the same idempotency key."""

    code, kind, retryable = "DEADLINE_EXCEEDED", Kind.DEADLINE, True


class ServiceUnavailable(DomainError):
    """A part of the platform cannot be reached now."""

    code, kind, retryable = "SERVICE_UNAVAILABLE", Kind.UNAVAILABLE, True


class RemoteError(DomainError):
    """An error of another service whose code this process does not know."""

    code = "REMOTE_ERROR"
