"""Reports as plain JSON values: the shape that the command prints and that worker processes send back."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from services.verifier import owner
from services.verifier.domain import CertificateSummary, DocumentReport, Notice, OwnerMatch, SignatureReport
from services.verifier.reports import sentences


def document(report: DocumentReport) -> dict[str, Any]:
    """The whole report; times RFC 3339 in UTC, binary in base64."""
    vi, en = sentences.of_document(report)
    return {
        "verdict": report.verdict.value,
        "clean": report.clean,
        "sentence": {"vi": vi, "en": en},
        "format": report.format,
        "size": report.size,
        "sha256": report.sha256,
        "checked_at": _time(report.checked_at),
        "valid_at": _time(report.valid_at),
        "integrity_only": report.integrity_only,
        "owner": _owner(report.owner),
        "warnings": [_notice(n) for n in report.notices],
        "signatures": [signature(s, integrity_only=report.integrity_only) for s in report.signatures],
        "inner": [{"name": one.name, "report": document(one.report)} for one in report.inner],
    }


def signature(report: SignatureReport, *, integrity_only: bool) -> dict[str, Any]:
    """One signature's report."""
    vi, en = sentences.of_signature(report, integrity_only=integrity_only)
    coverage, status = report.coverage, report.status
    return {
        "name": report.name,
        "format": report.format,
        "kind": report.kind.value,
        "indication": report.indication.value,
        "sub_indication": report.sub_indication.value if report.sub_indication else None,
        "sentence": {"vi": vi, "en": en},
        "detail": report.detail,
        "clean": report.clean,
        "integrity": report.integrity.value,
        "signer": _certificate(report.signer) if report.signer else None,
        "signing_time": {
            "claimed": _time(report.signing_time.claimed),
            "best": _time(report.signing_time.best),
            "source": report.signing_time.source.value,
            "authority": report.signing_time.authority,
        },
        "coverage": {
            "kind": coverage.coverage.value,
            "covered_bytes": coverage.covered_bytes,
            "total_bytes": coverage.total_bytes,
            "revision": coverage.revision,
            "revisions": coverage.revisions,
            "later": [
                {"revision": c.number, "kind": c.kind.value, "allowed": c.allowed, "touches": c.touches}
                for c in coverage.later
            ],
        },
        "status": {
            "source": status.source.value,
            "produced_at": _time(status.produced_at),
            "next_update": _time(status.next_update),
            "revoked_at": _time(status.revoked_at),
            "reason": status.reason,
        },
        "path": [_certificate(c) for c in report.path],
        "digest_algorithm": report.digest_algorithm,
        "signature_algorithm": report.signature_algorithm,
        "owner": _owner(report.owner),
        "warnings": [_notice(n) for n in report.notices],
    }


def _certificate(summary: CertificateSummary) -> dict[str, Any]:
    return {
        "subject": summary.subject,
        "common_name": summary.common_name,
        "organization": summary.organization,
        "organizational_unit": summary.organizational_unit,
        "title": summary.title,
        "email": summary.email,
        "issuer": summary.issuer,
        "issuer_name": summary.issuer_name,
        "serial": summary.serial,
        "sha256": summary.sha256,
        "not_before": _time(summary.not_before),
        "not_after": _time(summary.not_after),
        "identifiers": [
            {"kind": i.kind, "value": i.value, "prefix": i.prefix, "well_formed": i.well_formed}
            for i in summary.identifiers
        ],
        "der": base64.b64encode(summary.der).decode("ascii"),
    }


def _notice(notice: Notice) -> dict[str, str]:
    vi, en = sentences.of_code(notice.code)
    return {"code": notice.code.value, "vi": vi, "en": en, "detail": notice.detail}


def _owner(answer: OwnerMatch | None) -> dict[str, str] | None:
    if answer is None:
        return None
    vi, en = owner.sentence(answer)
    return {"result": answer.result.value, "reason": answer.reason.value, "vi": vi, "en": en}


def _time(moment: datetime | None) -> str | None:
    # Years before 1000, which only a forger writes, have four digits too; strftime gives them fewer.
    return None if moment is None else moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
