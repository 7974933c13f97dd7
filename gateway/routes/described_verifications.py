"""How the OpenAPI document describes the doors for verifications and their evidence."""

from __future__ import annotations

from typing import Any

from gateway import openapi, schemas, verifying

RAW_TYPES = (
    "application/pdf",
    "application/pkcs7-signature",
    "application/pkcs7-mime",
    "application/xml",
    "application/jose",
    "application/jose+json",
    "application/vnd.etsi.asic-s+zip",
    "application/vnd.etsi.asic-e+zip",
    "message/rfc822",
    "application/octet-stream",
)
"""What may be sent as it is. It is the caller's word only: the format is found by the content."""
_FILE = {"type": "string", "format": "binary"}


def _body(schema: str) -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "request": schemas.ref(schema),
                        "document": _FILE,
                        "detached": {"type": "array", "items": _FILE},
                    },
                    "required": ["document"],
                },
                "encoding": {"request": {"contentType": "application/json"}},
            },
            **{media_type: {} for media_type in RAW_TYPES},
        },
    }


_VALID_AT = openapi.parameter(
    "valid_at",
    "Judge for this time instead of now (RFC 3339): the caller's word that the signatures existed by then. Not later than"
    " now. The report has `valid_at` and the warning NOT_NOW.",
    {"type": "string", "format": "date-time"},
)
_INTEGRITY = openapi.parameter("integrity_only", "Leave trust out.", {"type": "boolean", "default": False})
_FILE_NAME = openapi.parameter("file_name", "File name as the caller knows it.")
_ORDER = (
    "Parts in this order: `request` if there is one, `document`, then a part `detached` for each content of a detached"
    " signature, under the file name by which the signature knows it. What stands in the address need not stand in"
    " `request`; the dossier's owner stands there only."
)
_ABOUT = {
    "X-Kyso-Verdict": "Verdict on the whole document.",
    "X-Kyso-Clean": "true where every signature is clean.",
    "X-Kyso-Evidence-Id": "Name under which the evidence is kept, where that was asked for.",
    "Content-Disposition": "File name.",
}
_HEADERS = {name: {"description": text, "schema": schemas.text(text)} for name, text in _ABOUT.items()}

_ORIGINALS = {
    "description": "How many there are: 1, or as many as the ZIP file has members.",
    "schema": schemas.text("Number."),
}
VERIFY = openapi.operation(
    "verification",
    "Verify a document",
    {
        "200": {
            "description": "The report; an invalid signature is an answer, not an error. Headers stand beside reports that"
            " are not JSON.",
            "headers": _HEADERS,
            "content": {
                "application/json": {"schema": schemas.ref("Verification")},
                "application/xml": {},
                "text/html": {},
                "application/pdf": {},
            },
        }
    },
    body=_body("VerificationRequest"),
    parameters=[
        _INTEGRITY,
        _FILE_NAME,
        _VALID_AT,
        openapi.parameter(
            "report",
            "Form of the report: JSON, XML after ETSI TS 119 102-2, or a page for people. Absent: as the header Accept says.",
            {"type": "string", "enum": list(verifying.FORMS), "default": "json"},
        ),
        openapi.parameter(
            "language",
            "Language of a page for people.",
            {"type": "string", "enum": list(verifying.LANGUAGES), "default": "both"},
        ),
        openapi.parameter(
            "include_evidence",
            "Answer the evidence used with the report (json only).",
            {"type": "boolean", "default": False},
        ),
        openapi.parameter(
            "keep_evidence",
            "Have the registry keep the evidence used; see /v1/evidence.",
            {"type": "boolean", "default": False},
        ),
        openapi.parameter(
            "reference", "The caller's own reference for what is kept, such as a dossier's number."
        ),
    ],
    description=_ORDER,
)
EXTRACT = openapi.operation(
    "verification",
    "Take the original out of a signed document",
    {
        "200": {
            **openapi.binary_answer(
                "The document as it was signed; a ZIP file where there are several.",
                "application/octet-stream",
                "application/pdf",
                "application/xml",
                "application/zip",
            ),
            "headers": {**_HEADERS, "X-Kyso-Originals": _ORIGINALS},
        },
        "422": {"$ref": "#/components/responses/Problem422"},
    },
    body=_body("ExtractionRequest"),
    parameters=[_INTEGRITY, _FILE_NAME, _VALID_AT],
    description=f"Only what an intact signature is over is given out; X-Kyso-Verdict says whether it also is valid. {_ORDER}",
)

LIST = openapi.operation(
    "evidence",
    "List kept evidence",
    {"200": openapi.json_answer("EvidenceList", "One page.")},
    parameters=[
        openapi.parameter(
            "document_sha256",
            "Only that of this document, hexadecimal.",
            {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
        ),
        openapi.parameter("reference", "Only with this reference."),
        *openapi.PAGE,
    ],
    description="What the caller's own agency keeps; agencies above and below do not see it.",
)
SHOW = openapi.operation(
    "evidence",
    "Read what is kept",
    {"200": openapi.json_answer("Evidence", "The evidence, its files by their addresses.")},
)
FETCH = openapi.operation(
    "evidence",
    "Fetch a kept file",
    {
        "200": openapi.binary_answer(
            "Report (JSON), certificate, CRL, OCSP response (DER) or time-stamp token.",
            "application/json",
            "application/pkix-cert",
            "application/pkix-crl",
            "application/ocsp-response",
            "application/timestamp-token",
        )
    },
)
DELETE = openapi.operation(
    "evidence",
    "Delete what is kept",
    {"204": {"description": "It is gone for good; the audit log keeps that it was there."}},
)
