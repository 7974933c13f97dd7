"""Between the contract's messages and the REST API's JSON, both ways.

JSON is snake_case; times are RFC 3339 UTC; binary is standard base64, SHA-256 fingerprints are lower-case hexadecimal;
a value that is not there is null.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import common_pb2 as common
from kyso.v1 import registry_pb2 as registry
from kyso.v1 import signer_pb2 as signer


def _words(enum: Any, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix).lower(): value for name, value in enum.items() if value != 0}


DIGEST_ALGORITHMS = {
    "SHA-256": common.DIGEST_ALGORITHM_SHA256,
    "SHA-384": common.DIGEST_ALGORITHM_SHA384,
    "SHA-512": common.DIGEST_ALGORITHM_SHA512,
}
SCHEMES = {
    "RSA-PKCS1v1.5": common.SIGNATURE_SCHEME_RSA_PKCS1V15,
    "RSA-PSS": common.SIGNATURE_SCHEME_RSA_PSS,
    "ECDSA": common.SIGNATURE_SCHEME_ECDSA,
}
KEY_ALGORITHMS = {
    "RSA-2048": common.KEY_ALGORITHM_RSA_2048,
    "RSA-3072": common.KEY_ALGORITHM_RSA_3072,
    "RSA-4096": common.KEY_ALGORITHM_RSA_4096,
    "ECDSA-P256": common.KEY_ALGORITHM_ECDSA_P256,
    "ECDSA-P384": common.KEY_ALGORITHM_ECDSA_P384,
}
CREDENTIAL_STATUSES = _words(common.CredentialStatus, "CREDENTIAL_STATUS_")
ACTIVATIONS = _words(common.Activation, "ACTIVATION_")
LABELS = _words(common.SecrecyLabel, "SECRECY_LABEL_")
SUBSCRIBER_KINDS = _words(registry.SubscriberKind, "SUBSCRIBER_KIND_")
ISSUERS = _words(registry.IssuerKind, "ISSUER_KIND_")
HOLD_REASONS = _words(registry.HoldReason, "HOLD_REASON_")
REVOCATION_GROUNDS = _words(registry.RevocationGround, "REVOCATION_GROUND_")
FORMATS = _words(signer.SignatureFormat, "SIGNATURE_FORMAT_")
LEVELS = {
    "B-B": signer.SIGNATURE_LEVEL_B_B,
    "B-T": signer.SIGNATURE_LEVEL_B_T,
    "B-LT": signer.SIGNATURE_LEVEL_B_LT,
    "B-LTA": signer.SIGNATURE_LEVEL_B_LTA,
}
HIGHER_LEVELS = {word: value for word, value in LEVELS.items() if value != signer.SIGNATURE_LEVEL_B_B}
LEVEL_RULES = _words(signer.LevelRule, "LEVEL_RULE_")
PACKAGINGS = _words(signer.SignaturePackaging, "SIGNATURE_PACKAGING_")
CERTIFICATIONS = _words(signer.PdfCertification, "PDF_CERTIFICATION_")
VISIBLE_PROFILES = {
    "nd30.person": signer.VISIBLE_PROFILE_ND30_PERSON,
    "nd30.agency": signer.VISIBLE_PROFILE_ND30_AGENCY,
    "nd30.attachment": signer.VISIBLE_PROFILE_ND30_ATTACHMENT,
    "nd30.copy": signer.VISIBLE_PROFILE_ND30_COPY,
    "archive05": signer.VISIBLE_PROFILE_ARCHIVE05,
    "block": signer.VISIBLE_PROFILE_BLOCK,
    "free": signer.VISIBLE_PROFILE_FREE,
}
COPY_FORMS = _words(signer.CopyForm, "COPY_FORM_")
XML_PLACEMENTS = _words(signer.XmlPlacement, "XML_PLACEMENT_")
JSON_SERIALIZATIONS = _words(signer.JsonSerialization, "JSON_SERIALIZATION_")
CMS_RELATIONS = _words(signer.CmsRelation, "CMS_RELATION_")
ASIC_SIGNATURES = _words(signer.AsicSignature, "ASIC_SIGNATURE_")
OPERATION_STATES = _words(signer.OperationState, "OPERATION_STATE_")


def _backwards(words: Mapping[str, Any]) -> dict[int, str]:
    return {int(value): word for word, value in words.items()}


_WORD = {
    "status": _backwards(CREDENTIAL_STATUSES),
    "key_algorithm": _backwards(KEY_ALGORITHMS),
    "activation": _backwards(ACTIVATIONS),
    "issuer": _backwards(ISSUERS),
    "kind": _backwards(SUBSCRIBER_KINDS),
    "scheme": _backwards(SCHEMES),
    "digest_algorithm": _backwards(DIGEST_ALGORITHMS),
    "level": _backwards(LEVELS),
    "state": _backwards(OPERATION_STATES),
}


def _word(table: str, value: int) -> str | None:
    return _WORD[table].get(value)


def base64_text(value: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(value).decode("ascii")


def _chain(certificates: Iterable[bytes]) -> list[str]:
    return [base64_text(certificate) for certificate in certificates]


def time_text(message: Message, name: str) -> str | None:
    """Return a Timestamp field as RFC 3339 UTC, or None where it is absent."""
    if not message.HasField(name):
        return None
    moment: Timestamp = getattr(message, name)
    return moment.ToJsonString()


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Return an aware datetime as a Timestamp; None stays None, which protobuf takes as absent."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def item_error(error: common.ItemError) -> dict[str, Any]:
    """Return the failure of one item."""
    return {"code": error.code, "message": error.message, "retryable": error.retryable}


# --- signer -------------------------------------------------------------------------------------------------------


def hashes_answer(answer: signer.SignHashesResponse) -> dict[str, Any]:
    """Return what POST /v1/hashes:sign answers. On the hot road: no reflection."""
    encode = base64.b64encode
    return {
        "operation_id": answer.operation_id,
        "signatures": [
            {"error": item_error(outcome.error)}
            if outcome.HasField("error")
            else {"signature": encode(outcome.signature).decode("ascii")}
            for outcome in answer.outcomes
        ],
        "scheme": _word("scheme", answer.scheme),
        "certificate_chain": _chain(answer.certificate_chain),
        "replayed": answer.replayed,
    }


def operation(answer: signer.GetOperationResponse) -> dict[str, Any]:
    """Return where an operation stands."""
    identifier = answer.operation_id
    available = answer.document_available
    return {
        "operation_id": identifier,
        "state": _word("state", answer.state),
        "credential_id": answer.credential_id or None,
        "created_at": time_text(answer, "created_at"),
        "ended_at": time_text(answer, "ended_at"),
        "error": item_error(answer.error) if answer.HasField("error") else None,
        "document_url": f"/v1/signatures/{identifier}/document" if available else None,
        "document_expires_at": time_text(answer, "document_expires_at"),
        "media_type": answer.media_type or None,
        "file_name": answer.file_name or None,
        "level": level(answer.level),
        "level_missed": item_error(answer.level_missed) if answer.HasField("level_missed") else None,
        "warnings": list(answer.warnings),
    }


def level(value: int) -> str | None:
    """Return a baseline level in words, or None where there is none."""
    return _word("level", value)


def prepared(answer: signer.PrepareDocumentResponse) -> dict[str, Any]:
    """Return what a caller must hash, and keep, to sign a document that stays with it."""
    return {
        "digest_algorithm": _word("digest_algorithm", answer.digest_algorithm),
        "hashed": answer.hashed,
        "contents_bytes": answer.contents_bytes or None,
        "sub_filter": answer.sub_filter or None,
        "signing_time": time_text(answer, "signing_time"),
    }


def upload(answer: signer.UploadDocumentResponse) -> dict[str, Any]:
    """Return what an upload is named by."""
    return {
        "upload_id": answer.upload_id,
        "sha256": answer.sha256.hex(),
        "size": answer.size,
        "expires_at": time_text(answer, "expires_at"),
    }


# --- registry -----------------------------------------------------------------------------------------------------


def agency(row: registry.Agency) -> dict[str, Any]:
    """Return an agency."""
    return {
        "id": row.id,
        "parent_id": row.parent_id or None,
        "name": row.name,
        "organ_id": row.organ_id or None,
        "created_at": time_text(row, "created_at"),
    }


def subscriber(row: registry.Subscriber) -> dict[str, Any]:
    """Return a subscriber; the citizen number stays masked."""
    return {
        "id": row.id,
        "agency_id": row.agency_id,
        "kind": _word("kind", row.kind),
        "name": row.name,
        "tax_code": row.tax_code or None,
        "citizen_number_masked": row.citizen_number_masked or None,
        "email": row.email or None,
        "title": row.title or None,
        "created_at": time_text(row, "created_at"),
    }


def client(row: registry.Client) -> dict[str, Any]:
    """Return an API client."""
    return {
        "id": row.id,
        "agency_id": row.agency_id,
        "name": row.name,
        "scopes": list(row.scopes),
        "document_types": list(row.document_types),
        "label_required": row.label_required,
        "enabled": row.enabled,
        "created_at": time_text(row, "created_at"),
    }


def credential(row: registry.Credential) -> dict[str, Any]:
    """Return a credential with its current certificates."""
    return {
        "id": row.id,
        "agency_id": row.agency_id,
        "subscriber_id": row.subscriber_id,
        "status": _word("status", row.status),
        "key_algorithm": _word("key_algorithm", row.key_algorithm),
        "activation": _word("activation", row.activation),
        "client_ids": list(row.client_ids),
        "certificate_chain": _chain(row.certificate_chain),
        "serial_number": row.serial_number or None,
        "not_before": time_text(row, "not_before"),
        "not_after": time_text(row, "not_after"),
        "profile": row.profile or None,
        "issuer": _word("issuer", row.issuer),
        "created_at": time_text(row, "created_at"),
        "version": row.version,
    }


def confirmations(
    answer: registry.HoldCredentialResponse | registry.RevokeCredentialResponse,
) -> dict[str, Any]:
    """Return which signers confirmed, and how fast."""
    return {
        "confirmations": [
            {"replica": row.replica, "milliseconds": row.milliseconds} for row in answer.confirmations
        ],
        "unconfirmed": list(answer.unconfirmed),
    }


def audit_event(row: registry.AuditEvent) -> dict[str, Any]:
    """Return an audit event; `data` stays the text that was recorded: its hash is in the ledger."""
    return {
        "id": row.id,
        "position": row.position,
        "type": row.type,
        "agency_id": row.agency_id or None,
        "client_id": row.client_id or None,
        "credential_id": row.credential_id or None,
        "operation_id": row.operation_id or None,
        "time": time_text(row, "time"),
        "ledger": row.ledger or None,
        "ledger_sequence": row.ledger_sequence or None,
        "data": row.data,
    }
