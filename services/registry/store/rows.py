"""Rows of credentials and certificates, read into what they mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from services.kernel.values import KeyAlgorithm
from services.registry.domain.credentials import (
    Activation,
    Certificate,
    CertificateState,
    CreationRequest,
    Credential,
    CredentialStatus,
    IssuerKind,
)

CERTIFICATE_COLUMNS = (
    "id",
    "credential_id",
    "issuer_id",
    "serial_number",
    "state",
    "not_before",
    "not_after",
    "tbs",
    "chain",
)


def chain_text(chain: Sequence[bytes]) -> str:
    """Write a chain as it is kept: a JSON list of base64."""
    return json.dumps([base64.b64encode(der).decode() for der in chain]) if chain else ""


def chain_of(text: str) -> tuple[bytes, ...]:
    """Read a kept chain."""
    return tuple(base64.b64decode(item) for item in json.loads(text)) if text else ()


def to_certificate(row: Row[Any]) -> Certificate:
    """Read a certificate from its columns, labelled "certificate_…"."""
    return Certificate(
        id=row.certificate_id,
        credential_id=row.certificate_credential_id,
        issuer_id=row.certificate_issuer_id,
        serial_number=row.certificate_serial_number,
        state=CertificateState(row.certificate_state),
        not_before=row.certificate_not_before,
        not_after=row.certificate_not_after,
        tbs=bytes(row.certificate_tbs),
        chain=chain_of(row.certificate_chain),
    )


def to_credential(row: Row[Any]) -> Credential:
    """Read a credential, with its current certificate where it has one."""
    return Credential(
        id=row.id,
        agency_id=row.agency_id,
        subscriber_id=row.subscriber_id,
        status=CredentialStatus(row.status),
        version=row.version,
        key_algorithm=KeyAlgorithm.parse(row.key_algorithm),
        key_id=row.key_id,
        spki=bytes(row.spki),
        activation=Activation(row.activation),
        client_ids=tuple(json.loads(row.client_ids)),
        issuer=IssuerKind(row.issuer),
        profile=row.profile,
        validity_days=row.validity_days,
        certificate=None if row.certificate_id is None else to_certificate(row),
        request=CreationRequest(row.request_client_id, row.idempotency_key, bytes(row.request_sha256)),
        created_at=row.created_at,
    )
