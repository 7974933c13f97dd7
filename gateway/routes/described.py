"""How the OpenAPI document describes the doors for document signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway import openapi, schemas
from gateway.document import EXTENSIONS

_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE}
_CODES = "Codes of docs/errors.md or of the rules for visible signatures, separated by commas."


def _signed_answer(description: str) -> dict[str, Any]:
    headers = {
        "X-Kyso-Operation-Id": "Receipt.",
        "X-Kyso-Level": "Level that was reached.",
        "X-Kyso-Level-Missed": "Why a lower level than asked is given (level_rule lower): a code.",
        "X-Kyso-Warning": f"What was done although a rule advises against it. {_CODES}",
        "Content-Disposition": "File name.",
    }
    return {
        **openapi.binary_answer(description, *EXTENSIONS),
        "headers": {
            name: {"description": text, "schema": schemas.text(text)} for name, text in headers.items()
        },
    }


def _multipart(schema: str, examples: Mapping[str, Any], **files: Mapping[str, Any]) -> dict[str, Any]:
    required = [
        "request",
        *(name for name in ("document",) if name in files and schema == "ExtensionRequest"),
    ]
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"request": schemas.ref(schema), **files},
                    "required": required,
                },
                "encoding": {"request": {"contentType": "application/json"}},
                "examples": _examples(examples),
            }
        },
    }


def _examples(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()}


def _signing(summary: str, _document: str = "<bytes>", **request: Any) -> tuple[str, dict[str, Any]]:
    parts: dict[str, Any] = {"request": {"credential_id": "cr_…", "label": "none", **request}}
    if "content_digest" not in request:
        parts["document"] = [_document]
    return summary, parts


_SEAL = {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}
SIGN_EXAMPLES: Mapping[str, Any] = {
    "pades": _signing("PDF, invisible", format="pades", reason="Phê duyệt"),
    "pades_seal": (
        "PDF with the agency's seal over the leader's signature, for years",
        {
            **_signing("", format="pades", level="B-LT", pdf={"visible": _SEAL})[1],
            "image": ["<PNG of the seal>"],
        },
    ),
    "pades_copy": _signing(
        "Electronic copy (SAO Y), certified against changes",
        format="pades",
        pdf={"certification": "no_changes", "visible": {"profile": "nd30.copy", "copy_form": "sao_y"}},
    ),
    "pades_free": _signing(
        "Text where the caller says",
        format="pades",
        pdf={
            "visible": {
                "profile": "free",
                "lines": ["Đã nhận: {name}", "{time}"],
                "anchor": {"text": "NƠI NHẬN", "width": 160, "height": 40, "offset_y": 6},
            }
        },
    ),
    "cades": _signing("Any file, detached CMS", format="cades", level="B-T"),
    "cades_parallel": (
        "One more signer beside those of an existing CMS",
        {
            **_signing("", format="cades", cms_relation="parallel")[1],
            "signature": ["<the .p7s so far>"],
        },
    ),
    "xades": _signing(
        "XML, enveloped, one element signed",
        format="xades",
        xml={"target_id": "HSo", "parent": "/HSoKhaiThue/CKyDTu"},
    ),
    "xmldsig": _signing("XML without XAdES properties", format="xmldsig"),
    "jades": _signing("JSON, JWS in JSON form", format="jades", json_serialization="flattened"),
    "asic_s": _signing("One file and its signature in a container", format="asic_s", level="B-LTA"),
    "asic_e": (
        "Several files in one container",
        {**_signing("", format="asic_e", asic_signature="cades")[1], "document": ["<bytes>", "<bytes>"]},
    ),
    "smime": _signing("A whole e-mail message", "<.eml>", format="smime"),
    "lower": _signing(
        "The level that can be had, and the answer says which",
        format="pades",
        level="B-LTA",
        level_rule="lower",
    ),
    "hash_only": _signing(
        "A file that stays with the caller",
        format="cades",
        content_digest="n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=",
    ),
}
PREPARE_EXAMPLES = {
    "pades": (
        "PDF that stays with the caller",
        {"credential_id": "cr_…", "format": "pades", "label": "none"},
    ),
    "xades": ("Any file, detached", {"credential_id": "cr_…", "format": "xades", "label": "none"}),
}
COMPLETE_EXAMPLES = {
    name: (summary, {**request, "content_digest": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="})
    for name, (summary, request) in PREPARE_EXAMPLES.items()
}
EXTEND_EXAMPLES = {
    "archive": (
        "For the archive",
        {"request": {"level": "B-LTA", "label": "none"}, "document": "<signed file>"},
    ),
    "detached": (
        "A detached signature",
        {"request": {"level": "B-T", "label": "none"}, "document": "<.p7s>", "content": ["<what it signs>"]},
    ),
}
BATCH_EXAMPLES = {
    "seal": (
        "The same seal on many letters",
        {
            "request": {
                "credential_id": "cr_…",
                "format": "pades",
                "label": "none",
                "pdf": {"visible": _SEAL},
                "items": [
                    {"key": "1030.pdf", "reference": "1030/UBND-VX"},
                    {"key": "1031.pdf", "reference": "1031/UBND-VX"},
                ],
                "wait_seconds": 30,
            },
            "image": ["<PNG of the seal>"],
            "1030.pdf": "<bytes>",
            "1031.pdf": "<bytes>",
        },
    )
}


def _json_body(schema: str, examples: Mapping[str, Any]) -> dict[str, Any]:
    content = {"schema": schemas.ref(schema), "examples": _examples(examples)}
    return {"required": True, "content": {"application/json": content}}


_UNPROCESSABLE = {"422": {"$ref": "#/components/responses/Problem422"}}
SIGN = openapi.operation(
    "signing",
    "Sign a document",
    {
        "200": _signed_answer("The signed document, or the signature container."),
        "202": openapi.json_answer("Accepted", "Recorded; it is signed later (mode async)."),
        **_UNPROCESSABLE,
    },
    body=_multipart("SignatureRequest", SIGN_EXAMPLES, document=_FILES, signature=_FILES, image=_FILES),
    parameters=[openapi.IDEMPOTENCY_KEY],
    description=(
        "Part `request` must come first, then the files: `document` (the content; ASiC-E, XAdES and JAdES detached"
        " take several), `signature` (an existing container that takes one more signature), `image` (PNG of a visible"
        " signature, at most 1 MiB, after the document). Files go with their names and media types. With"
        " `content_digest` no document comes. No document is ever held whole on its way."
    ),
)
SHOW = openapi.operation(
    "signing", "Tell where an operation stands", {"200": openapi.json_answer("Operation", "The operation.")}
)
FETCH = openapi.operation(
    "signing",
    "Fetch the signed document",
    {"200": _signed_answer("The document."), "409": {"$ref": "#/components/responses/Problem409"}},
)
UPLOAD = openapi.operation(
    "signing",
    "Keep a document for a job on the bus",
    {"201": openapi.json_answer("Upload", "Kept until it is named or its time is over.")},
    body={
        "required": True,
        "content": {"application/octet-stream": {}, "application/pdf": {}},
    },
    parameters=[openapi.parameter("file_name", "File name as the caller knows it.")],
)
BATCH = openapi.operation(
    "signing",
    "Sign many documents",
    {"200": openapi.json_answer("BatchAnswer", "One outcome for each item, in their order.")},
    body=_multipart("BatchRequest", BATCH_EXAMPLES, image=_FILES),
    parameters=[openapi.IDEMPOTENCY_KEY],
    description=(
        "Part `request` first, then up to four parts `image` for the visible signatures (field `image` says which, where"
        " there are several), then one part for each item, in any order, its name the item's key. Fields of an item stand in place of the common"
        " ones. Every document is accepted to be signed later, as with mode async; an item that fails stops no other."
        " To go on after a break, send the same call again with the same Idempotency-Key, whole or with the missing"
        " items only: nothing is signed twice."
    ),
)
EXTEND = openapi.operation(
    "signing",
    "Raise signatures to a higher level",
    {"200": _signed_answer("The extended file."), **_UNPROCESSABLE},
    body=_multipart("ExtensionRequest", EXTEND_EXAMPLES, document=_FILE, content=_FILES),
    description=(
        "Part `request` first, then `document`: the signed file, made here or elsewhere; then `content` where the"
        " signature is detached and its content does not stay with the caller."
    ),
)
PREPARE = openapi.operation(
    "signing",
    "Tell what to hash of a document that stays with the caller",
    {"200": openapi.json_answer("Prepared", "What to hash and what to keep.")},
    body=_json_body("PrepareRequest", PREPARE_EXAMPLES),
    description="Nothing is recorded. How a PDF is laid out from the answer: docs/hash-only.md.",
)
COMPLETE = openapi.operation(
    "signing",
    "Sign the digest of a document that stays with the caller",
    {"200": _signed_answer("The signature container."), **_UNPROCESSABLE},
    body=_json_body("CompleteRequest", COMPLETE_EXAMPLES),
    parameters=[openapi.IDEMPOTENCY_KEY],
    description="For a PDF the container is the CMS for /Contents.",
)
