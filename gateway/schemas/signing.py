"""Bodies of errors, tokens, signatures and hashes."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import translate
from gateway.schemas.words import (
    Schema,
    answered,
    asked,
    base64,
    decimal,
    flag,
    maybe,
    maybe_number,
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
_LEVEL_OPTIONS: Mapping[str, Schema] = {
    "level_rule": {
        **words("Where the level cannot be reached: refuse, or give the lower one.", translate.LEVEL_RULES),
        "default": "refuse",
    },
    "time_stamp_authority": text(
        "Outside authority by its name in the platform's settings; absent: our own.", maxLength=64
    ),
}
_ENVELOPE: Mapping[str, Schema] = {
    "credential_id": text("Credential.", maxLength=64),
    "format": words("Signature format.", translate.FORMATS),
    "level": {**words("Baseline level.", translate.LEVELS), "default": "B-B"},
    "packaging": words(
        "Absent: PAdES, XAdES and XMLDSig enveloped, JAdES enveloping, the others detached.",
        translate.PACKAGINGS,
    ),
    "digest_algorithm": {**_DIGEST, "default": "SHA-256"},
    "scheme": _SCHEME,
    "reason": text("PDF /Reason.", maxLength=200),
    "location": text("PDF /Location.", maxLength=200),
    "field_name": text("PDF signature field to fill; absent: a new one.", maxLength=128),
    "pdf": ref("PdfOptions"),
    "xml": ref("XmlOptions"),
    "json_serialization": words(
        "JAdES. Absent: compact for B-B, flattened above it.", translate.JSON_SERIALIZATIONS
    ),
    "cms_relation": words(
        "CAdES: to the signatures of part `signature`. Absent: a container of its own.",
        translate.CMS_RELATIONS,
    ),
    "asic_signature": {
        **words("ASiC: kind of signature inside.", translate.ASIC_SIGNATURES),
        "default": "xades",
    },
    **_LEVEL_OPTIONS,
    **_CONTEXT,
}
_IMAGE = text(
    "File name of the part `image` that the visible signature shows. Absent: the only one, where the profile shows one.",
    maxLength=255,
)
_POINTS = "points of 1/72 inch"

OPTION_SCHEMAS: Mapping[str, Schema] = {
    "PdfOptions": asked(
        [],
        certification=words(
            "Certification signature: what later changes it permits. Absent: an approval signature.",
            translate.CERTIFICATIONS,
        ),
        visible=ref("VisibleSignature"),
    ),
    "VisibleSignature": asked(
        ["profile"],
        profile=words("Profile.", translate.VISIBLE_PROFILES),
        box=ref("PageBox"),
        anchor=ref("TextAnchor"),
        printed_name=text("nd30.person: name to look for; absent: the certificate's.", maxLength=200),
        image_width_mm=decimal("Physical width of the image; nd30.agency needs it.", 0, 500),
        image_height_mm=decimal("Physical height of the image; nd30.agency needs it.", 0, 500),
        document_number=text("nd30.attachment: such as 1030/UBND-VX.", maxLength=200),
        agency_name=text("nd30.copy, archive05; absent: the certificate's organisation.", maxLength=200),
        copy_form=words("nd30.copy: form of copy.", translate.COPY_FORMS),
        lines=rows(
            text("A line; {name} and {time} stand for signer and signing time.", maxLength=200),
            "free: text lines.",
            maxItems=8,
        ),
    ),
    "PageBox": asked(
        ["page", "left", "bottom", "width", "height"],
        page=number("Page, from 1.", 1, 100_000),
        left=decimal(f"Left edge, {_POINTS}, from the CropBox's left as displayed.", -14400, 14400),
        bottom=decimal(f"Lower edge, {_POINTS}, from the CropBox's lower edge.", -14400, 14400),
        width=decimal(f"Width, {_POINTS}.", 0, 14400),
        height=decimal(f"Height, {_POINTS}.", 0, 14400),
    ),
    "TextAnchor": asked(
        ["text", "width", "height"],
        text=text("Text that stands exactly once in the pages.", maxLength=100),
        width=decimal(f"Width of the box, {_POINTS}.", 0, 14400),
        height=decimal(f"Height of the box, {_POINTS}.", 0, 14400),
        offset_x=decimal("From the text's left edge to the box's.", -14400, 14400),
        offset_y=decimal("From the text's lower edge down to the box's upper edge.", -14400, 14400),
    ),
    "XmlOptions": asked(
        [],
        target_id=text("Id of the element to sign; absent: the whole document.", maxLength=200),
        parent=text(
            "Element to put the signature at, such as /HSoKhaiThue/CKyDTu; absent: the root.", maxLength=512
        ),
        placement={**words("Where at that element.", translate.XML_PLACEMENTS), "default": "last_child"},
    ),
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
        mode={**words("Whether to wait for the document.", ["sync", "async"]), "default": "sync"},
        content_digest=base64("Digest of a content that stays with the caller; then no document comes."),
        **_ENVELOPE,
    ),
    "PrepareRequest": asked(["credential_id", "format"], **_ENVELOPE),
    "CompleteRequest": asked(
        ["credential_id", "format", "content_digest"],
        content_digest=base64("Digest of what `prepare` named."),
        file_name=text("Name of the content; the container's name is made of it.", maxLength=255),
        signing_time=moment("As `prepare` told it; not used."),
        **_ENVELOPE,
    ),
    "Prepared": answered(
        digest_algorithm=_DIGEST,
        hashed=text("What to hash: content, or ByteRange (PAdES)."),
        contents_bytes=maybe_number("PAdES: bytes to reserve for the CMS in /Contents."),
        sub_filter=maybe("PAdES: /SubFilter to write."),
        signing_time=moment("PAdES: /M to write."),
    ),
    "ExtensionRequest": asked(
        ["level"],
        level=words("Level wanted.", translate.HIGHER_LEVELS),
        digest_algorithm={**_DIGEST, "default": "SHA-256"},
        content_digest=base64("Digest of a detached content that stays with the caller."),
        **_LEVEL_OPTIONS,
        **_CONTEXT,
    ),
    "BatchRequest": asked(
        ["items"],
        items=rows(ref("BatchItem"), "Documents.", minItems=1, maxItems=1000),
        wait_seconds={
            "type": "number",
            "minimum": 0,
            "maximum": 60,
            "default": 0,
            "description": "How long to wait for the signatures.",
        },
        image=_IMAGE,
        **_ENVELOPE,
    ),
    "BatchItem": asked(
        ["key"],
        key=text("The item's own in this batch, and the name of its part.", minLength=1, maxLength=200),
        file_name=text("Absent: that of the part.", maxLength=255),
        image=_IMAGE,
        **_ENVELOPE,
    ),
    "BatchAnswer": answered(outcomes=rows(ref("BatchOutcome"), "In the order of the items.")),
    "BatchOutcome": answered(
        key=text("The item's key."),
        operation_id=maybe("Receipt; null where the document was not accepted."),
        state={
            **maybe("Where it stands; null where it was not accepted."),
            "enum": [*translate.OPERATION_STATES, None],
        },
        replayed=flag("True where the same document had been accepted before."),
        status_url=maybe("Where the operation tells its state.", format="uri-reference"),
        document_url=maybe("Where the signed document is; null while there is none.", format="uri-reference"),
        error={"oneOf": [ref("ItemError"), {"type": "null"}]},
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
        level=maybe("Level that the signed document reached; null for digests and while nothing was signed."),
        level_missed={"oneOf": [ref("ItemError"), {"type": "null"}]},
        warnings=rows(text("CODE: sentence."), "What was done although a rule advises against it."),
    ),
    "Upload": answered(
        upload_id=text("Id to name in a job."),
        sha256=text("SHA-256 of the bytes, hexadecimal."),
        size=number("Size in bytes."),
        expires_at=moment("Deleted then unless a job names it before."),
    ),
}
