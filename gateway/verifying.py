"""Reading what a caller asks of a verification: query parameters or the request part -> the header for the verifier.

Whoever names a dossier's owner does so in the request part: a citizen number in an address would stand in the logs of
every proxy on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from gateway import translate
from gateway.endpoint import flag, query
from gateway.fields import Fields, clean_text, parse_time
from gateway.multipart import safe_file_name
from kyso.v1 import verifier_pb2 as messages
from services.kernel.errors import FieldInvalid

FORMS: Mapping[str, messages.ReportForm] = {
    "json": messages.REPORT_FORM_UNSPECIFIED,
    "etsi": messages.REPORT_FORM_ETSI,
    "html": messages.REPORT_FORM_HTML,
    "pdf": messages.REPORT_FORM_PDF,
}
LANGUAGES: Mapping[str, messages.ReportLanguage] = {
    "both": messages.REPORT_LANGUAGE_BOTH,
    "vi": messages.REPORT_LANGUAGE_VI,
    "en": messages.REPORT_LANGUAGE_EN,
}
MEDIA_TYPES = {
    "application/json": "json",
    "application/xml": "etsi",
    "text/xml": "etsi",
    "text/html": "html",
    "application/pdf": "pdf",
}
"""Accept -> the form of the report."""
FLAGS = ("integrity_only", "include_evidence", "keep_evidence")
PARAMETERS = (*FLAGS, "file_name", "valid_at", "report", "language", "reference")
MAX_REFERENCE = 200
MAX_OWNER_NAME = 512


def read_parameters(request: Request, *without: str) -> messages.VerifyDocumentHeader:
    """Read what the address and the header Accept ask for; parameters named in `without` are not known there."""
    given = query(request, *(name for name in PARAMETERS if name not in without))
    moment = parse_time("valid_at", given["valid_at"]) if "valid_at" in given else None
    header = messages.VerifyDocumentHeader(
        file_name=safe_file_name(given.get("file_name", "")),
        valid_at=translate.timestamp(moment),
        report_form=_chosen("report", given.get("report") or _accepted(request), FORMS),
        report_language=_chosen("language", given.get("language", "both"), LANGUAGES),
        evidence_reference=clean_text("reference", given.get("reference", ""), MAX_REFERENCE),
    )
    for name in FLAGS:
        setattr(header, name, flag(given, name))
    return _checked(header)


def read_part(fields: Fields, header: messages.VerifyDocumentHeader, *without: str) -> None:
    """Read the request part into the header; what stands in both is refused."""
    for name in FLAGS:
        if name not in without and name in fields:
            _require_unset(header, name)
            setattr(header, name, fields.flag(name))
    if "file_name" in fields:
        header.file_name = safe_file_name(fields.text("file_name", 255))
    if "valid_at" in fields:
        _require_unset(header, "valid_at")
        moment = translate.timestamp(fields.time("valid_at"))
        if moment is not None:
            header.valid_at.MergeFrom(moment)
            # Of the first second of 1970 nothing would be set otherwise.
            header.valid_at.SetInParent()
    if "report" in fields and "report" not in without:
        header.report_form = fields.choice("report", FORMS)
    if "language" in fields and "language" not in without:
        header.report_language = fields.choice("language", LANGUAGES)
    if "reference" in fields and "reference" not in without:
        header.evidence_reference = fields.text("reference", MAX_REFERENCE)
    owner = fields.nested("owner")
    if owner is not None:
        header.owner.MergeFrom(_owner(owner))
        header.owner.SetInParent()
    fields.done()
    _checked(header)


def _owner(fields: Fields) -> messages.DossierOwner:
    owner = messages.DossierOwner(
        name=fields.optional_text("name", MAX_OWNER_NAME),
        tax_code=fields.optional_text("tax_code", 32),
        citizen_id=fields.optional_text("citizen_id", 32),
        passport=fields.optional_text("passport", 32),
        code=fields.optional_text("code", 64),
        head_office_counts=fields.flag("head_office_counts"),
    )
    fields.done()
    return owner


def _checked(header: messages.VerifyDocumentHeader) -> messages.VerifyDocumentHeader:
    if header.include_evidence and header.report_form != messages.REPORT_FORM_UNSPECIFIED:
        raise FieldInvalid(
            "include_evidence goes with report json only; keep_evidence goes with every report",
            field="include_evidence",
        )
    if header.evidence_reference and not header.keep_evidence:
        raise FieldInvalid("reference goes with keep_evidence", field="reference")
    return header


def _accepted(request: Request) -> str:
    """The form that Accept names first among those there are; what it prefers by weights, `report` can say better."""
    for item in request.headers.get("accept", "").lower().split(","):
        form = MEDIA_TYPES.get(item.partition(";")[0].strip())
        if form is not None:
            return form
    return "json"


def _chosen(name: str, word: str, words: Mapping[str, Any]) -> Any:
    if word not in words:
        raise FieldInvalid(f"query parameter {name!r} must be one of {', '.join(words)}", field=name)
    return words[word]


def _require_unset(header: messages.VerifyDocumentHeader, name: str) -> None:
    stands = header.HasField("valid_at") if name == "valid_at" else getattr(header, name)
    if stands:
        raise FieldInvalid(f"{name} stands in the address and in part 'request'; say it once", field=name)
