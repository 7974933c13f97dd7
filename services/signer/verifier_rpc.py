"""The verifier, as the signer asks it: evidence and time-stamps from outside, and whether a person has signed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from kyso.v1 import verifier_pb2, verifier_pb2_grpc
from services.kernel.errors import (
    DeadlineExceeded,
    DomainError,
    EvidenceUnavailable,
    FieldInvalid,
    Overloaded,
    PersonSignatureMissing,
    ServiceUnavailable,
    TimeStampUnavailable,
)
from services.signer.formats.format import Evidence

MAX_CERTIFICATES = 64
"""Of one CollectEvidence."""
CHUNK_BYTES = 256 * 1024
"""Largest chunk that VerifyDocument takes."""
COLLECT_SECONDS = 30.0
"""A little more than the verifier's own limit, so that it can say what is missing."""
STAMP_SECONDS = 20.0
VERIFY_SECONDS = 60.0
MAX_NAMED = 5
"""Missing values that an error names; the others are counted."""

_PERSONAL = {"citizen", "old_id", "passport"}
_HARMLESS = {"signature", "timestamp", "validation_data"}
_PASSED = verifier_pb2.INDICATION_TOTAL_PASSED
_FAILED = verifier_pb2.INDICATION_TOTAL_FAILED


class VerifierRpc:
    """Questions to the verifier over its channel; the ports EvidenceSource and PersonSignatures."""

    def __init__(self, channel: Any) -> None:
        """`channel` is what `open_channel` gives; it must take messages as large as a CRL."""
        self._verifier = verifier_pb2_grpc.VerifierServiceStub(channel)

    async def collect(self, certificates: Sequence[bytes]) -> Evidence:
        """Return issuers and revocation values for all of them (DER).

        Raises EvidenceUnavailable, which names each certificate without a value and why, where any is missing.
        """
        found = Evidence()
        missing: list[verifier_pb2.MissingEvidence] = []
        asked = list(dict.fromkeys(certificates))
        for start in range(0, len(asked), MAX_CERTIFICATES):
            answer = await self._collect(asked[start : start + MAX_CERTIFICATES])
            missing += answer.missing
            found = Evidence(
                _without_repetition(found.certificates, answer.certificates),
                _without_repetition(found.crls, answer.crls),
                _without_repetition(found.ocsp_responses, answer.ocsp_responses),
            )
        if missing:
            raise _unavailable(missing)
        return found

    async def _collect(self, certificates: Sequence[bytes]) -> verifier_pb2.CollectEvidenceResponse:
        request = verifier_pb2.CollectEvidenceRequest(certificates=certificates)
        try:
            answer: verifier_pb2.CollectEvidenceResponse = await self._verifier.CollectEvidence(
                request, timeout=COLLECT_SECONDS
            )
        except (ServiceUnavailable, DeadlineExceeded, Overloaded, FieldInvalid) as error:
            raise EvidenceUnavailable(
                f"the verifier collects no evidence now: {error.message}", reason=error.code
            ) from error
        return answer

    async def request_time_stamp(self, authority: str, request: bytes) -> bytes:
        """Send a TimeStampReq (DER) to an outside authority; return its TimeStampResp as it came, not checked.

        Raises TimeStampUnavailable, and FieldInvalid where the verifier's configuration knows no such authority.
        """
        message = verifier_pb2.RequestTimeStampRequest(authority=authority, request=request)
        try:
            answer = await self._verifier.RequestTimeStamp(message, timeout=STAMP_SECONDS)
        except FieldInvalid as error:
            raise FieldInvalid(error.message, field="level_options.time_stamp_authority") from error
        except (ServiceUnavailable, DeadlineExceeded, Overloaded) as error:
            raise TimeStampUnavailable(
                f"the verifier cannot ask {authority} for a time-stamp now: {error.message}",
                authority=authority,
                reason=error.code,
            ) from error
        response: bytes = answer.response
        return response

    async def require(self, chunks: AsyncIterator[bytes]) -> None:
        """Raise PersonSignatureMissing unless a person's valid signature covers the whole document (VS-41, VS-42).

        Raises also what VerifyDocument raises: BodyTooLarge, Overloaded, ServiceUnavailable, DeadlineExceeded.
        """
        answer: verifier_pb2.VerifyDocumentResponse = await self._verifier.VerifyDocument(
            _messages(chunks), timeout=VERIFY_SECONDS
        )
        refusal = missing_person(answer)
        if refusal is not None:
            raise refusal


async def _messages(chunks: AsyncIterator[bytes]) -> AsyncIterator[verifier_pb2.VerifyDocumentRequest]:
    yield verifier_pb2.VerifyDocumentRequest(header=verifier_pb2.VerifyDocumentHeader())
    async for chunk in chunks:
        for start in range(0, len(chunk), CHUNK_BYTES):
            yield verifier_pb2.VerifyDocumentRequest(chunk=chunk[start : start + CHUNK_BYTES])


def _without_repetition(known: Iterable[bytes], more: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys((*known, *more)))


def _unavailable(missing: Sequence[verifier_pb2.MissingEvidence]) -> EvidenceUnavailable:
    named = "; ".join(f"{one.reason}: {one.detail}" for one in missing[:MAX_NAMED])
    rest = f"; and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
    return EvidenceUnavailable(
        f"issuers or revocation values are missing: {named}{rest}",
        missing=len(missing),
        reason=missing[0].reason,
    )


def missing_person(answer: verifier_pb2.VerifyDocumentResponse) -> DomainError | None:
    """Say why the answer shows no valid signature of a person over the whole document; None: it shows one."""
    if answer.integrity_only or not answer.signatures:
        return _refusal(
            "NO_SIGNATURE", "văn bản chưa có chữ ký số nào", "the document bears no digital signature yet"
        )
    persons = [report for report in answer.signatures if is_person(report.signer)]
    if not persons:
        return _refusal(
            "NO_PERSON",
            "chưa có chữ ký nào bằng chứng thư số của cá nhân (có số định danh cá nhân hoặc chức vụ)",
            "no signature is by a person's certificate, one with a citizen number or a title",
        )
    passed = [report for report in persons if report.indication == _PASSED]
    if not passed:
        first = persons[0]
        return _refusal("NOT_VALID", first.sentence_vi, first.sentence_en)
    if any(_stands(report, answer) for report in passed):
        return None
    return _refusal(
        "NOT_WHOLE",
        "văn bản đã được thay đổi hoặc bổ sung sau khi cá nhân ký",
        "the document was changed or added to after the person signed it",
    )


def is_person(signer: verifier_pb2.CertificateSummary) -> bool:
    """Say whether a certificate is a person's: it has a personal number or a title, and is not the organisation's own.

    An organisation's certificate has the organisation as its name, a tax code or nothing, and never a title
    (verification rules 9 and 11); a device's has none of it.
    """
    personal = any(one.type in _PERSONAL and not one.malformed for one in signer.identifiers)
    own_name = signer.common_name.casefold().split() == signer.organization.casefold().split()
    return (personal or bool(signer.title)) and not own_name


def _stands(report: verifier_pb2.SignatureReport, answer: verifier_pb2.VerifyDocumentResponse) -> bool:
    """Say whether the report's signature covers the document: nothing but signatures and their evidence came after."""
    if report.coverage.kind == "whole_document":
        return True
    if report.coverage.kind != "revision":
        return False
    return all(
        change.allowed and change.kind in _HARMLESS and _is_owned(change, answer)
        for change in report.later_changes
    )


def _is_owned(change: verifier_pb2.LaterChange, answer: verifier_pb2.VerifyDocumentResponse) -> bool:
    """A later signature's revision must be closed by a signature that passed, a time-stamp's by one that has not failed."""
    closing = [one for one in answer.signatures if one.coverage.revision == change.revision]
    match change.kind:
        case "signature":
            return any(one.indication == _PASSED for one in closing)
        case "timestamp":
            return any(one.indication != _FAILED for one in closing)
        case _:
            return True


def _refusal(reason: str, vi: str, en: str) -> PersonSignatureMissing:
    return PersonSignatureMissing(
        f"Chưa có chữ ký hợp lệ của người có thẩm quyền: {vi.rstrip('.')}. / "
        f"No valid signature of the competent person yet: {en.rstrip('.')}; "
        "have the person sign first, then apply the agency's seal",
        reason=reason,
    )
