"""JSON Schemas (2020-12) of the bodies: the component schemas of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway import translate

Schema = dict[str, Any]
SCOPES = {
    "sign:hash": "sign digests",
    "sign:document": "sign documents and upload them for jobs",
    "verify": "verify documents",
    "credentials:read": "read credentials",
    "credentials:write": "make, hold, release and revoke credentials",
    "registry:read": "read agencies, subscribers and clients",
    "registry:write": "make agencies, subscribers and clients",
    "audit:read": "read the audit log",
}
"""Scope -> what it is for."""


def text(description: str, **rules: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **rules}


def maybe(description: str, **rules: Any) -> Schema:
    """Return the schema of a text that may be null."""
    return {"type": ["string", "null"], "description": description, **rules}


def words(description: str, options: Iterable[str]) -> Schema:
    """Return the schema of one word of a closed list."""
    return {"type": "string", "enum": list(options), "description": description}


def number(description: str, low: int = 0, high: int | None = None) -> Schema:
    """Return the schema of a whole number."""
    rules = {"minimum": low} if high is None else {"minimum": low, "maximum": high}
    return {"type": "integer", "description": description, **rules}


def flag(description: str) -> Schema:
    """Return the schema of true or false."""
    return {"type": "boolean", "description": description}


def moment(description: str) -> Schema:
    """Return the schema of an RFC 3339 time that may be null."""
    return {"type": ["string", "null"], "format": "date-time", "description": description}


def base64(description: str) -> Schema:
    """Return the schema of binary in standard base64."""
    return {"type": "string", "contentEncoding": "base64", "description": description}


def rows(items: Schema, description: str, **rules: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, "description": description, **rules}


def ref(name: str) -> Schema:
    """Refer to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def asked(required: Iterable[str], **properties: Schema) -> Schema:
    """Return the schema of an object that callers send: other names are refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def answered(**properties: Schema) -> Schema:
    """Return the schema of an object that is answered: every member is there, and more may come in later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def listed(name: str, schema: str) -> Schema:
    """Return the schema of one page of a list."""
    token = maybe("Token for the next page; null on the last.")
    return answered(**{name: rows(ref(schema), "Rows in order of making."), "next_page_token": token})


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

REGISTRY_SCHEMAS: Mapping[str, Schema] = {
    "AgencyRequest": asked(
        ["name"],
        parent_id=text("Agency above.", maxLength=64),
        name=text("Full name.", maxLength=200),
        organ_id=text("OrganId of QCVN 102:2016, such as 000.00.01.H56.", maxLength=64),
    ),
    "Agency": answered(
        id=text("Opaque id, ag_…"),
        parent_id=maybe("Agency above; null for a root."),
        name=text("Full name."),
        organ_id=maybe("OrganId."),
        created_at=moment("When it was made."),
    ),
    "SubscriberRequest": asked(
        ["agency_id", "kind", "name"],
        agency_id=text("Managing agency.", maxLength=64),
        kind=words("Class.", translate.SUBSCRIBER_KINDS),
        name=text("Name.", maxLength=200),
        tax_code=text("MST: NNNNNNNNNN or NNNNNNNNNN-NNN.", maxLength=14),
        citizen_number=text("CCCD, 12 digits; persons only.", maxLength=12),
        email=text("Official e-mail.", maxLength=254),
        title=text("Title (chức vụ); persons only.", maxLength=200),
    ),
    "Subscriber": answered(
        id=text("Opaque id, sub_…"),
        agency_id=text("Managing agency."),
        kind=words("Class.", translate.SUBSCRIBER_KINDS),
        name=text("Name."),
        tax_code=maybe("MST."),
        citizen_number_masked=maybe("CCCD, masked."),
        email=maybe("Official e-mail."),
        title=maybe("Title."),
        created_at=moment("When it was made."),
    ),
    "ClientRequest": asked(
        ["agency_id", "name", "scopes", "document_types"],
        agency_id=text("Agency that it acts for.", maxLength=64),
        name=text("Name.", maxLength=200),
        scopes=rows(words("Scope.", SCOPES), "Scopes; none that the caller does not hold."),
        document_types=rows(text("Document type."), "Types that it may sign; * alone means any."),
        label_required=flag("Demand a secrecy label with every request."),
        jwks={"type": "object", "description": "JWK Set with public keys; absent: a secret is made."},
    ),
    "Client": answered(
        id=text("Opaque id, cl_…; also the OAuth2 client_id."),
        agency_id=text("Agency that it acts for."),
        name=text("Name."),
        scopes=rows(text("Scope."), "Scopes that it may ask for."),
        document_types=rows(text("Document type."), "Types that it may sign."),
        label_required=flag("Every request must carry a label."),
        enabled=flag("It may get tokens."),
        created_at=moment("When it was made."),
    ),
    "CredentialRequest": asked(
        ["subscriber_id", "key_algorithm"],
        subscriber_id=text("Owner.", maxLength=64),
        key_algorithm=words("Key type.", translate.KEY_ALGORITHMS),
        activation={**words("What must be shown.", translate.ACTIVATIONS), "default": "client"},
        client_ids=rows(
            text("Client."), "Clients that may use it; empty: every client of the agency or above."
        ),
        issuer={**words("Who issues the certificate.", translate.ISSUERS), "default": "own_ca"},
        validity_days=number("Days; absent: the profile's own.", 1, 1826),
    ),
    "Credential": answered(
        id=text("Opaque id, cr_…"),
        agency_id=text("Agency."),
        subscriber_id=text("Owner."),
        status=words("Status.", translate.CREDENTIAL_STATUSES),
        key_algorithm=words("Key type.", translate.KEY_ALGORITHMS),
        activation=words("Activation.", translate.ACTIVATIONS),
        client_ids=rows(text("Client."), "Clients that may use it."),
        certificate_chain=rows(base64("Certificate, DER."), "Leaf first, without the root."),
        serial_number=maybe("Serial number, hexadecimal."),
        not_before=moment("Start of validity."),
        not_after=moment("End of validity."),
        profile=maybe("Certificate profile."),
        issuer=words("Who issues its certificates.", translate.ISSUERS),
        created_at=moment("When it was made."),
        version=number("The directory's head at its last change."),
    ),
    "HoldRequest": asked(
        ["reason", "reporter"],
        reason=words("Why.", translate.HOLD_REASONS),
        suspected_since=text("Since when the exposure is suspected.", format="date-time"),
        reporter=text("Who reports it.", maxLength=200),
    ),
    "HoldAnswer": answered(
        credential=ref("Credential"),
        confirmations=rows(ref("Confirmation"), "Signers that confirmed, quickest first."),
        unconfirmed=rows(text("Signer."), "Signers for which the heartbeat limit was waited out."),
        milliseconds=number("From the commit to this answer."),
    ),
    "Confirmation": answered(replica=text("Signer."), milliseconds=number("From commit to confirmation.")),
    "ReleaseRequest": asked(
        ["confirmation"], confirmation=text("Number and date of the confirmation.", maxLength=200)
    ),
    "RevokeRequest": asked(
        ["ground", "request_reference"],
        ground=words("Ground.", translate.REVOCATION_GROUNDS),
        request_reference=text("Number and date of the written request.", maxLength=200),
    ),
    "RevokeAnswer": answered(
        credential=ref("Credential"),
        confirmations=rows(ref("Confirmation"), "Signers that confirmed."),
        unconfirmed=rows(text("Signer."), "Signers for which the heartbeat limit was waited out."),
        crl_number={
            "type": ["integer", "null"],
            "description": "CRL that lists the certificate; null: outside CA.",
        },
    ),
    "CertificateImport": asked(
        ["certificate_chain"],
        certificate_chain=rows(base64("Certificate, DER."), "Leaf first.", minItems=1, maxItems=8),
    ),
    "AuditEvent": answered(
        id=text("Event id."),
        position=number("Position in the audit log.", 1),
        type=text("Type, such as kyso.signature.completed."),
        agency_id=maybe("Agency concerned."),
        client_id=maybe("Client that asked."),
        credential_id=maybe("Credential concerned."),
        operation_id=maybe("Operation concerned."),
        time=moment("When it happened."),
        ledger=maybe("Ledger that holds it; null for the registry's own events."),
        ledger_sequence={"type": ["integer", "null"], "description": "Sequence in that ledger."},
        data={"description": "The recorded fact."},
    ),
}

VERIFICATION_SCHEMAS: Mapping[str, Schema] = {
    "Certificate": answered(
        subject=text("Subject, RFC 4514."),
        issuer=text("Issuer, RFC 4514."),
        common_name=maybe("Common name."),
        organization=maybe("Organisation."),
        title=maybe("Title (chức vụ)."),
        email=maybe("E-mail."),
        identifiers=rows(
            answered(
                type=words("Kind.", ["tax", "citizen", "old_id", "passport", "other"]),
                value=text("Normalised value."),
                malformed=flag("Not of the form that its kind must have."),
            ),
            "Identifiers found (MST, CCCD …).",
        ),
        serial_number=text("Serial number, hexadecimal."),
        sha256=text("SHA-256 of the DER, hexadecimal."),
        not_before=moment("Start of validity."),
        not_after=moment("End of validity."),
    ),
    "SignatureReport": answered(
        name=text("PDF field name, or signer-1 and so on."),
        format=text("Such as PAdES-B-B."),
        indication=words("Main indication (ETSI EN 319 102-1).", translate.INDICATIONS),
        sub_indication=maybe("Sub-indication, such as HASH_FAILURE."),
        integrity=maybe("intact, extended or broken."),
        signer={"oneOf": [ref("Certificate"), {"type": "null"}]},
        path=rows(ref("Certificate"), "Certification path, leaf first."),
        claimed_signing_time=moment("As the signer claims it."),
        best_signing_time=moment("The time at which the certificate was judged."),
        algorithm=maybe("Signature algorithm."),
        coverage={
            "oneOf": [
                answered(
                    kind=text("whole_document, revision or partial."),
                    covered_bytes=number("Covered bytes."),
                    total_bytes=number("Size of the document."),
                    revision={"type": ["integer", "null"], "description": "Revision that it closes."},
                ),
                {"type": "null"},
            ]
        },
        later_changes=rows(
            answered(
                revision={"type": ["integer", "null"], "description": "Revision that made it."},
                kind=text("Kind of change."),
                allowed=flag("The rules of the signature allow it."),
                description=text("What it touches."),
            ),
            "What came after it.",
        ),
        status_source={
            "oneOf": [
                answered(
                    kind=text("crl, ocsp or none."),
                    produced_at=moment("thisUpdate or producedAt."),
                    url=maybe("Where it was had."),
                ),
                {"type": "null"},
            ]
        },
        warnings=rows(answered(code=text("Code."), vi=text("Vietnamese."), en=text("English.")), "Warnings."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        clean=flag("Nothing is left to warn about."),
    ),
    "Verification": answered(
        verdict=words("Verdict on the whole document.", translate.VERDICTS),
        clean=flag("Every signature is clean."),
        signatures=rows(ref("SignatureReport"), "One report for each signature."),
        document_sha256=text("SHA-256 of the document as received, hexadecimal."),
        validated_at=moment("When it was judged."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        integrity_only=flag("Trust was left out on request."),
    ),
}

LIST_SCHEMAS: Mapping[str, Schema] = {
    "AgencyList": listed("agencies", "Agency"),
    "SubscriberList": listed("subscribers", "Subscriber"),
    "ClientList": listed("clients", "Client"),
    "CredentialList": listed("credentials", "Credential"),
    "AuditEventList": listed("events", "AuditEvent"),
    "ClientCreated": answered(
        client=ref("Client"), secret=maybe("Shown only here; null where keys were brought.")
    ),
    "Readiness": answered(
        ready=flag("True where requests are taken."),
        reasons={"type": "object", "description": "What stands against readiness: name -> reason."},
        services={"type": "object", "description": "Service -> reachable or unreachable."},
    ),
}

SCHEMAS: Mapping[str, Schema] = {
    **ERROR_SCHEMAS,
    **SIGNING_SCHEMAS,
    **REGISTRY_SCHEMAS,
    **VERIFICATION_SCHEMAS,
    **LIST_SCHEMAS,
}
