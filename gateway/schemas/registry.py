"""Bodies of agencies, subscribers, clients, credentials and audit events."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import translate
from gateway.schemas.words import (
    SCOPES,
    Schema,
    answered,
    asked,
    base64,
    flag,
    listed,
    maybe,
    moment,
    number,
    ref,
    rows,
    text,
    words,
)

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
        data=text("The recorded fact: canonical JSON, as text, since its hash is in the ledger."),
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
