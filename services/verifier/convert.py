"""Reports and their files in the contract's words, and what a call asks in ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import verifier_pb2
from services.kernel.errors import FieldInvalid
from services.verifier.config import LimitSettings
from services.verifier.examination import Answer
from services.verifier.inquiry import AnswerFile, FileKind, Form, Inquiry
from services.verifier.owner import Owner
from services.verifier.reports.words import Language

CHUNK_BYTES = 256 * 1024
CLOCK_SKEW = timedelta(seconds=60)
MAX_REFERENCE = 200
_INDICATIONS = {
    "TOTAL-PASSED": verifier_pb2.INDICATION_TOTAL_PASSED,
    "TOTAL-FAILED": verifier_pb2.INDICATION_TOTAL_FAILED,
    "INDETERMINATE": verifier_pb2.INDICATION_INDETERMINATE,
}
_VERDICTS = {
    "valid": verifier_pb2.VERDICT_VALID,
    "invalid": verifier_pb2.VERDICT_INVALID,
    "indeterminate": verifier_pb2.VERDICT_INDETERMINATE,
    "malformed": verifier_pb2.VERDICT_MALFORMED,
    "unsigned": verifier_pb2.VERDICT_UNSIGNED,
}
_FILE_KINDS = {
    FileKind.REPORT: verifier_pb2.EXAMINATION_FILE_KIND_REPORT,
    FileKind.CERTIFICATE: verifier_pb2.EXAMINATION_FILE_KIND_CERTIFICATE,
    FileKind.CRL: verifier_pb2.EXAMINATION_FILE_KIND_CRL,
    FileKind.OCSP_RESPONSE: verifier_pb2.EXAMINATION_FILE_KIND_OCSP_RESPONSE,
    FileKind.TIME_STAMP: verifier_pb2.EXAMINATION_FILE_KIND_TIME_STAMP,
    FileKind.ORIGINAL: verifier_pb2.EXAMINATION_FILE_KIND_ORIGINAL,
}
_FORMS = {
    verifier_pb2.REPORT_FORM_ETSI: Form.ETSI,
    verifier_pb2.REPORT_FORM_HTML: Form.HTML,
    verifier_pb2.REPORT_FORM_PDF: Form.PDF,
}
_LANGUAGES = {
    verifier_pb2.REPORT_LANGUAGE_UNSPECIFIED: Language.BOTH,
    verifier_pb2.REPORT_LANGUAGE_VI: Language.VI,
    verifier_pb2.REPORT_LANGUAGE_EN: Language.EN,
    verifier_pb2.REPORT_LANGUAGE_BOTH: Language.BOTH,
}


def inquiry(header: verifier_pb2.VerifyDocumentHeader, now: datetime, limits: LimitSettings) -> Inquiry:
    """What the header asks. Raises FieldInvalid."""
    evidence = header.include_evidence or header.keep_evidence
    return Inquiry(
        at=now,
        valid_at=_valid_at(header.valid_at, now) if header.HasField("valid_at") else None,
        integrity_only=header.integrity_only,
        owner=_owner(header.owner) if header.HasField("owner") else None,
        form=_form(header.report_form),
        language=_language(header.report_language),
        evidence=limits.max_evidence_bytes if evidence else 0,
        originals=limits.max_originals_bytes if header.include_originals else 0,
        file_name=header.file_name[:255],
    )


def _valid_at(stated: Timestamp, now: datetime) -> datetime | None:
    try:
        moment = stated.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise FieldInvalid("valid_at is not a time", field="valid_at") from None
    if moment > now + CLOCK_SKEW:
        raise FieldInvalid(
            "valid_at lies in the future: nobody knows what will be revoked until then", field="valid_at"
        )
    # Within the difference of two clocks it is now.
    return moment if moment < now else None


def _owner(stated: verifier_pb2.DossierOwner) -> Owner:
    try:
        return Owner.of(
            name=stated.name,
            head_office_counts=stated.head_office_counts,
            tax=stated.tax_code,
            citizen=stated.citizen_id,
            passport=stated.passport,
            code=stated.code,
        )
    except ValueError as error:
        raise FieldInvalid(f"owner: {error}", field="owner") from None


def _form(number: verifier_pb2.ReportForm) -> Form | None:
    if number == verifier_pb2.REPORT_FORM_UNSPECIFIED:
        return None
    if number not in _FORMS:
        raise FieldInvalid("report_form is none that this service knows", field="report_form")
    return _FORMS[number]


def _language(number: verifier_pb2.ReportLanguage) -> Language:
    if number not in _LANGUAGES:
        raise FieldInvalid("report_language is none that this service knows", field="report_language")
    return _LANGUAGES[number]


def files(answer: Answer, kinds: frozenset[FileKind]) -> Iterator[verifier_pb2.ExamineDocumentResponse]:
    """The files of these kinds, each begun by what it is, then its bytes in chunks."""
    for file in answer.files:
        if file.kind not in kinds:
            continue
        yield verifier_pb2.ExamineDocumentResponse(file=_file(file))
        for offset in range(0, len(file.data), CHUNK_BYTES):
            yield verifier_pb2.ExamineDocumentResponse(chunk=file.data[offset : offset + CHUNK_BYTES])


def _file(file: AnswerFile) -> verifier_pb2.ExaminationFile:
    return verifier_pb2.ExaminationFile(
        kind=_FILE_KINDS[file.kind],
        name=file.name,
        media_type=file.media_type,
        size=len(file.data),
        sha256=hashlib.sha256(file.data).digest(),
        signed_by=file.signed_by,
    )


def response(report: dict[str, Any]) -> verifier_pb2.VerifyDocumentResponse:
    """A report in the contract's words."""
    return verifier_pb2.VerifyDocumentResponse(
        verdict=_VERDICTS[report["verdict"]],
        clean=report["clean"],
        signatures=[_signature(entry) for entry in report["signatures"]],
        document_sha256=bytes.fromhex(report["sha256"]),
        validated_at=_time(report["checked_at"]),
        sentence_vi=report["sentence"]["vi"],
        sentence_en=report["sentence"]["en"],
        integrity_only=report["integrity_only"],
        valid_at=_time(report["valid_at"]),
        warnings=[_warning(warning) for warning in report["warnings"]],
        format=report["format"],
        owner=_owner_match(report["owner"]),
        inner=[
            verifier_pb2.InnerDocument(name=one["name"], report=response(one["report"]))
            for one in report["inner"]
        ],
    )


def _signature(entry: dict[str, Any]) -> verifier_pb2.SignatureReport:
    coverage, status = entry["coverage"], entry["status"]
    return verifier_pb2.SignatureReport(
        name=entry["name"],
        format=entry["format"],
        indication=_INDICATIONS[entry["indication"]],
        sub_indication=entry["sub_indication"] or "",
        integrity=entry["integrity"],
        signer=_certificate(entry["signer"]) if entry["signer"] else None,
        path=[_certificate(certificate) for certificate in entry["path"]],
        claimed_signing_time=_time(entry["signing_time"]["claimed"]),
        best_signing_time=_time(entry["signing_time"]["best"]),
        algorithm=entry["signature_algorithm"],
        coverage=verifier_pb2.Coverage(
            kind=coverage["kind"],
            covered_bytes=coverage["covered_bytes"],
            total_bytes=coverage["total_bytes"],
            revision=coverage["revision"],
            revisions=coverage["revisions"],
        ),
        later_changes=[
            verifier_pb2.LaterChange(
                revision=change["revision"],
                kind=change["kind"],
                allowed=change["allowed"],
                description=change["touches"],
            )
            for change in coverage["later"]
        ],
        status_source=verifier_pb2.StatusSource(
            kind=status["source"],
            produced_at=_time(status["produced_at"]),
            next_update=_time(status["next_update"]),
            revoked_at=_time(status["revoked_at"]),
            reason=status["reason"],
        ),
        warnings=[_warning(warning) for warning in entry["warnings"]],
        sentence_vi=entry["sentence"]["vi"],
        sentence_en=entry["sentence"]["en"],
        clean=entry["clean"],
        kind=entry["kind"],
        detail=entry["detail"],
        signing_time_source=entry["signing_time"]["source"],
        time_stamp_authority=entry["signing_time"]["authority"],
        digest_algorithm=entry["digest_algorithm"],
        owner=_owner_match(entry["owner"]),
    )


def _warning(entry: dict[str, str]) -> verifier_pb2.Warning:
    return verifier_pb2.Warning(**entry)


def _owner_match(entry: dict[str, str] | None) -> verifier_pb2.OwnerMatch | None:
    return None if entry is None else verifier_pb2.OwnerMatch(**entry)


def _certificate(entry: dict[str, Any]) -> verifier_pb2.CertificateSummary:
    return verifier_pb2.CertificateSummary(
        subject=entry["subject"],
        issuer=entry["issuer"],
        common_name=entry["common_name"],
        organization=entry["organization"],
        title=entry["title"],
        email=entry["email"],
        identifiers=[
            verifier_pb2.SubjectIdentifier(
                type=i["kind"], value=i["value"], malformed=not i["well_formed"], prefix=i["prefix"]
            )
            for i in entry["identifiers"]
        ],
        serial_number=entry["serial"],
        sha256=bytes.fromhex(entry["sha256"]),
        not_before=_time(entry["not_before"]),
        not_after=_time(entry["not_after"]),
        organizational_unit=entry["organizational_unit"],
        issuer_name=entry["issuer_name"],
    )


def _time(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp
