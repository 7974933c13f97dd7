"""Verdicts: the verifier's and the registry's messages about verifications, as the REST API's JSON."""

from __future__ import annotations

from typing import Any

from gateway.translate import time_text
from kyso.v1 import registry_pb2 as registry
from kyso.v1 import verifier_pb2 as verifier

INDICATIONS = {
    "TOTAL-PASSED": verifier.INDICATION_TOTAL_PASSED,
    "TOTAL-FAILED": verifier.INDICATION_TOTAL_FAILED,
    "INDETERMINATE": verifier.INDICATION_INDETERMINATE,
}
VERDICTS = {name.removeprefix("VERDICT_").lower(): value for name, value in verifier.Verdict.items() if value}
EVIDENCE_KINDS = {
    verifier.EXAMINATION_FILE_KIND_CERTIFICATE: "certificate",
    verifier.EXAMINATION_FILE_KIND_CRL: "crl",
    verifier.EXAMINATION_FILE_KIND_OCSP_RESPONSE: "ocsp_response",
    verifier.EXAMINATION_FILE_KIND_TIME_STAMP: "time_stamp",
}
KEPT_KINDS = {
    registry.EVIDENCE_FILE_KIND_REPORT: "report",
    registry.EVIDENCE_FILE_KIND_CERTIFICATE: "certificate",
    registry.EVIDENCE_FILE_KIND_CRL: "crl",
    registry.EVIDENCE_FILE_KIND_OCSP_RESPONSE: "ocsp_response",
    registry.EVIDENCE_FILE_KIND_TIME_STAMP: "time_stamp",
}
MEDIA_TYPES = {
    "report": "application/json",
    "certificate": "application/pkix-cert",
    "crl": "application/pkix-crl",
    "ocsp_response": "application/ocsp-response",
    "time_stamp": "application/timestamp-token",
}
"""Kind of kept evidence -> media type."""
_VERDICT_WORDS = {int(value): word for word, value in VERDICTS.items()}
_INDICATION_WORDS = {int(value): word for word, value in INDICATIONS.items()}


def verdict(answer: verifier.VerifyDocumentResponse) -> str:
    """Return the verdict in a word. One that is not known is never the best."""
    return _VERDICT_WORDS.get(answer.verdict, "indeterminate")


def _certificate(summary: verifier.CertificateSummary) -> dict[str, Any]:
    return {
        "subject": summary.subject,
        "issuer": summary.issuer,
        "common_name": summary.common_name or None,
        "organization": summary.organization or None,
        "organizational_unit": summary.organizational_unit or None,
        "issuer_name": summary.issuer_name or None,
        "title": summary.title or None,
        "email": summary.email or None,
        "identifiers": [
            {"type": row.type, "value": row.value, "malformed": row.malformed, "prefix": row.prefix or None}
            for row in summary.identifiers
        ],
        "serial_number": summary.serial_number,
        "sha256": summary.sha256.hex(),
        "not_before": time_text(summary, "not_before"),
        "not_after": time_text(summary, "not_after"),
    }


def _coverage(coverage: verifier.Coverage) -> dict[str, Any]:
    return {
        "kind": coverage.kind,
        "covered_bytes": coverage.covered_bytes,
        "total_bytes": coverage.total_bytes,
        "revision": coverage.revision or None,
        "revisions": coverage.revisions or None,
    }


def _later_change(change: verifier.LaterChange) -> dict[str, Any]:
    return {
        "revision": change.revision or None,
        "kind": change.kind,
        "allowed": change.allowed,
        "description": change.description,
    }


def _status_source(source: verifier.StatusSource) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "produced_at": time_text(source, "produced_at"),
        "url": source.url or None,
        "next_update": time_text(source, "next_update"),
        "revoked_at": time_text(source, "revoked_at"),
        "reason": source.reason or None,
    }


def _warning(row: verifier.Warning) -> dict[str, Any]:
    return {"code": row.code, "vi": row.vi, "en": row.en, "detail": row.detail or None}


def _owner(match: verifier.OwnerMatch) -> dict[str, Any]:
    return {"result": match.result, "reason": match.reason, "vi": match.vi, "en": match.en}


def _signature(report: verifier.SignatureReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "format": report.format,
        # Absent means that nobody said anything good: never the best word by default.
        "indication": _INDICATION_WORDS.get(report.indication, "INDETERMINATE"),
        "sub_indication": report.sub_indication or None,
        "integrity": report.integrity or None,
        "signer": _certificate(report.signer) if report.HasField("signer") else None,
        "path": [_certificate(row) for row in report.path],
        "claimed_signing_time": time_text(report, "claimed_signing_time"),
        "best_signing_time": time_text(report, "best_signing_time"),
        "algorithm": report.algorithm or None,
        "coverage": _coverage(report.coverage) if report.HasField("coverage") else None,
        "later_changes": [_later_change(row) for row in report.later_changes],
        "status_source": _status_source(report.status_source) if report.HasField("status_source") else None,
        "warnings": [_warning(row) for row in report.warnings],
        "sentence_vi": report.sentence_vi,
        "sentence_en": report.sentence_en,
        "clean": report.clean,
        "kind": report.kind or "signature",
        "detail": report.detail or None,
        "signing_time_source": report.signing_time_source or None,
        "time_stamp_authority": report.time_stamp_authority or None,
        "digest_algorithm": report.digest_algorithm or None,
        "owner": _owner(report.owner) if report.HasField("owner") else None,
    }


def verification(answer: verifier.VerifyDocumentResponse) -> dict[str, Any]:
    """Return the report on a document."""
    return {
        "verdict": verdict(answer),
        "clean": answer.clean,
        "signatures": [_signature(report) for report in answer.signatures],
        "document_sha256": answer.document_sha256.hex(),
        "validated_at": time_text(answer, "validated_at"),
        "sentence_vi": answer.sentence_vi,
        "sentence_en": answer.sentence_en,
        "integrity_only": answer.integrity_only,
        "valid_at": time_text(answer, "valid_at"),
        "warnings": [_warning(row) for row in answer.warnings],
        "format": answer.format or None,
        "owner": _owner(answer.owner) if answer.HasField("owner") else None,
        "evidence_id": answer.evidence_id or None,
        "evidence_left_out": answer.evidence_left_out,
        "inner": [{"name": one.name or None, "report": verification(one.report)} for one in answer.inner],
    }


def evidence(row: registry.Evidence, *, files: bool = True) -> dict[str, Any]:
    """Return kept evidence; its files by their addresses, not in a list."""
    document: dict[str, Any] = {
        "id": row.id,
        "agency_id": row.agency_id,
        "client_id": row.client_id,
        "document_sha256": row.document_sha256.hex(),
        "verdict": row.verdict,
        "validated_at": time_text(row, "validated_at"),
        "kept_at": time_text(row, "kept_at"),
        "reference": row.reference or None,
    }
    if files:
        document["files"] = [
            {
                "kind": KEPT_KINDS.get(file.kind, "other"),
                "sha256": file.sha256.hex(),
                "size": file.size,
                "url": f"/v1/evidence/{row.id}/files/{file.sha256.hex()}",
            }
            for file in row.files
        ]
    return document
