"""Bodies of errors, tokens, signatures and hashes."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import translate
from gateway.schemas.words import (
    Schema,
    answered,
    asked,
    base64,
    flag,
    maybe,
    moment,
    number,
    ref,
    rows,
    text,
    words,
)

_DIGEST = words("Digest algorithm.", translate.DIGEST_ALGORITHMS)
_SCHEME = words("Signature scheme; absent: the key's usual one.", translate.SCHEMES)
_CONTEXT: Mapping[str, Schema] = {
    "document_type": text("Document type by the unit's list, such as cong-van.", maxLength=200),
    "label": words("Secrecy label; anything but none is refused.", translate.LABELS),
    "reference": text("The caller's own reference, such as 1030/UBND-VX.", maxLength=200),
}

ERROR_SCHEMAS: Mapping[str, Schema] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details. More members may tell the field, the index or the limit.",
        "properties": {
            "type": text("Where the code is explained.", format="uri-reference"),
            "title": text("The code in words."),
            "status": number("HTTP status.", 400, 599),
            "detail": text("What was wrong, where, and what to do next."),
            "code": text("Stable code."),
            "retryable": flag("True where the same request may succeed later."),
            "request_id": text("Identifier of the request, also in X-Request-Id."),
        },
        "required": ["type", "title", "status", "detail", "code", "retryable", "request_id"],
    },
    "OAuthError": {
        "type": "object",
        "description": "RFC 6749 section 5.2.",
        "properties": {"error": text("Error code."), "error_description": text("What was wrong.")},
        "required": ["error"],
    },
    "ItemError": answered(
        code=text("Stable code."), message=text("A sentence."), retryable=flag("May succeed later.")
    ),
}

SIGNING_SCHEMAS: Mapping[str, Schema] = {
    "Token": answered(
        access_token=text("JWT (RFC 9068)."),
        token_type={"const": "Bearer"},
        expires_in=number("Seconds until it ends."),
        scope=text("Scopes given, separated by spaces."),
    ),
    "HashesRequest": asked(
        ["credential_id", "digest_algorithm", "digests"],
        credential_id=text("Credential.", maxLength=64),
        digest_algorithm=_DIGEST,
        scheme=_SCHEME,
        digests=rows(base64("A digest."), "Digests.", minItems=1, maxItems=1000),
        **_CONTEXT,
    ),
    "HashesAnswer": answered(
        operation_id=text("Receipt."),
        signatures=rows(ref("HashOutcome"), "One outcome for each digest, in the same order."),
        scheme=words("Scheme used.", translate.SCHEMES),
        certificate_chain=rows(base64("Certificate, DER."), "Leaf first, without the root."),
        replayed=flag("True where this answer was recorded before and is given again."),
    ),
    "HashOutcome": {
        "oneOf": [
            answered(signature=base64("RSA: octets of the modulus' length; ECDSA: DER Ecdsa-Sig-Value.")),
            answered(error=ref("ItemError")),
        ]
    },
    "SignatureRequest": asked(
        ["credential_id", "format"],
        credential_id=text("Credential.", maxLength=64),
        format=words("Signature format.", translate.FORMATS),
        level={**words("Baseline level.", translate.LEVELS), "default": "B-B"},
        packaging=words("Absent: PAdES enveloped, CAdES detached.", translate.PACKAGINGS),
        digest_algorithm={**_DIGEST, "default": "SHA-256"},
        scheme=_SCHEME,
        reason=text("PDF /Reason.", maxLength=200),
        location=text("PDF /Location.", maxLength=200),
        field_name=text("PDF signature field to fill; absent: a new one.", maxLength=200),
        mode={**words("Whether to wait for the document.", ["sync", "async"]), "default": "sync"},
        **_CONTEXT,
    ),
    "Accepted": answered(
        operation_id=text("Receipt."),
        status_url=text("Where the operation tells its state.", format="uri-reference"),
        replayed=flag("True where the same request had been accepted before."),
    ),
    "Operation": answered(
        operation_id=text("Receipt."),
        state=words("Where it stands.", translate.OPERATION_STATES),
        credential_id=maybe("Credential."),
        created_at=moment("When it was recorded."),
        ended_at=moment("When it ended; null while it has not."),
        error={"oneOf": [ref("ItemError"), {"type": "null"}]},
        document_url=maybe("Where the signed document is; null while there is none.", format="uri-reference"),
        document_expires_at=moment("Until when it is kept."),
        media_type=maybe("Media type of the result."),
        file_name=maybe("File name given with the request."),
    ),
    "Upload": answered(
        upload_id=text("Id to name in a job."),
        sha256=text("SHA-256 of the bytes, hexadecimal."),
        size=number("Size in bytes."),
        expires_at=moment("Deleted then unless a job names it before."),
    ),
}
