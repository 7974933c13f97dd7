"""Proto to domain and back. An enum's zero and numbers that this code does not know are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import common_pb2, registry_pb2
from services.kernel.errors import AlgorithmUnknown, FieldInvalid
from services.kernel.values import KeyAlgorithm
from services.registry.domain.anchors import PURPOSES, Anchor
from services.registry.domain.audit import AuditEvent
from services.registry.domain.credentials import (
    Activation,
    Credential,
    CredentialStatus,
    HoldReason,
    IssuerKind,
    Resolution,
    RevocationGround,
)
from services.registry.domain.parties import Agency, Client, Subscriber, masked
from services.registry.profiles import SubscriberKind
from services.registry.service.directory import Stop

E = TypeVar("E", bound=Enum)
N = TypeVar("N", bound=int)

_KINDS = {
    registry_pb2.SUBSCRIBER_KIND_PERSON: SubscriberKind.PERSON,
    registry_pb2.SUBSCRIBER_KIND_ORGANIZATION: SubscriberKind.ORGANIZATION,
    registry_pb2.SUBSCRIBER_KIND_DEVICE_OR_SERVICE: SubscriberKind.DEVICE_OR_SERVICE,
}
_ISSUERS = {
    registry_pb2.ISSUER_KIND_OWN_CA: IssuerKind.OWN_CA,
    registry_pb2.ISSUER_KIND_OUTSIDE_CA: IssuerKind.OUTSIDE_CA,
}
_HOLD_REASONS = {
    registry_pb2.HOLD_REASON_DEVICE_LOST: HoldReason.DEVICE_LOST,
    registry_pb2.HOLD_REASON_SECRET_EXPOSED: HoldReason.SECRET_EXPOSED,
    registry_pb2.HOLD_REASON_KEY_SUSPECTED: HoldReason.KEY_SUSPECTED,
    registry_pb2.HOLD_REASON_SECRET_FORGOTTEN: HoldReason.SECRET_FORGOTTEN,
    registry_pb2.HOLD_REASON_OTHER: HoldReason.OTHER,
}
_GROUNDS = {
    registry_pb2.RevocationGround.Value(f"REVOCATION_GROUND_{ground.name}"): ground
    for ground in RevocationGround
}
_ALGORITHMS: dict[common_pb2.KeyAlgorithm, KeyAlgorithm] = {
    common_pb2.KEY_ALGORITHM_RSA_2048: KeyAlgorithm.RSA_2048,
    common_pb2.KEY_ALGORITHM_RSA_3072: KeyAlgorithm.RSA_3072,
    common_pb2.KEY_ALGORITHM_RSA_4096: KeyAlgorithm.RSA_4096,
    common_pb2.KEY_ALGORITHM_ECDSA_P256: KeyAlgorithm.ECDSA_P256,
    common_pb2.KEY_ALGORITHM_ECDSA_P384: KeyAlgorithm.ECDSA_P384,
}
_ACTIVATIONS = {common_pb2.ACTIVATION_CLIENT: Activation.CLIENT}
_STATUSES = {
    CredentialStatus.PENDING: common_pb2.CREDENTIAL_STATUS_PENDING,
    CredentialStatus.ACTIVE: common_pb2.CREDENTIAL_STATUS_ACTIVE,
    CredentialStatus.HELD: common_pb2.CREDENTIAL_STATUS_HELD,
    CredentialStatus.REVOKED: common_pb2.CREDENTIAL_STATUS_REVOKED,
}


def _inverse(table: dict[N, E]) -> dict[E, N]:
    return {value: number for number, value in table.items()}


_KIND_NUMBERS, _ISSUER_NUMBERS = _inverse(_KINDS), _inverse(_ISSUERS)
_ALGORITHM_NUMBERS, _ACTIVATION_NUMBERS = _inverse(_ALGORITHMS), _inverse(_ACTIVATIONS)


def _known(table: dict[N, E], number: N, field: str) -> E:
    value = table.get(number)
    if value is None:
        raise FieldInvalid(f"{field} is required, and must be a value that this service knows", field=field)
    return value


def subscriber_kind(number: registry_pb2.SubscriberKind) -> SubscriberKind:
    """Read the class of a subscriber."""
    return _known(_KINDS, number, "kind")


def issuer_kind(number: registry_pb2.IssuerKind) -> IssuerKind:
    """Read who issues."""
    return _known(_ISSUERS, number, "issuer")


def hold_reason(number: registry_pb2.HoldReason) -> HoldReason:
    """Read why a credential is held."""
    return _known(_HOLD_REASONS, number, "reason")


def revocation_ground(number: registry_pb2.RevocationGround) -> RevocationGround:
    """Read why a credential is revoked."""
    return _known(_GROUNDS, number, "ground")


def activation(number: common_pb2.Activation) -> Activation:
    """Read what must be shown before a credential signs."""
    return _known(_ACTIVATIONS, number, "activation")


def key_algorithm(number: common_pb2.KeyAlgorithm) -> KeyAlgorithm:
    """Read a key type; raise AlgorithmUnknown."""
    algorithm = _ALGORITHMS.get(number)
    if algorithm is None:
        known = ", ".join(algorithm.label for algorithm in KeyAlgorithm)
        raise AlgorithmUnknown(f"key_algorithm is required: one of {known}", field="key_algorithm")
    return algorithm


def moment(stamp: Timestamp, field: str) -> datetime:
    """Read a time; raise FieldInvalid where it is out of range."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise FieldInvalid(f"{field} is not a time", field=field) from None


def timestamp(at: datetime) -> Timestamp:
    """Write a time."""
    stamp = Timestamp()
    stamp.FromDatetime(at.astimezone(UTC))
    return stamp


def when(at: datetime | None) -> Timestamp | None:
    """Write a time that may be missing."""
    return None if at is None else timestamp(at)


def anchor(value: Anchor) -> registry_pb2.TrustAnchor:
    """Write a trust anchor."""
    return registry_pb2.TrustAnchor(
        certificate=value.certificate,
        scope=value.scope,
        trusted_from=when(value.trusted_from),
        trusted_until=when(value.trusted_until),
        # For everything is said by saying nothing.
        purposes=() if value.purposes == PURPOSES else sorted(value.purposes),
        trust_list=value.trust_list,
    )


def agency(value: Agency) -> registry_pb2.Agency:
    """Write an agency."""
    return registry_pb2.Agency(
        id=value.id,
        parent_id=value.parent_id or "",
        name=value.name,
        organ_id=value.organ_id or "",
        created_at=timestamp(value.created_at),
    )


def subscriber(value: Subscriber) -> registry_pb2.Subscriber:
    """Write a subscriber, the citizen number masked."""
    return registry_pb2.Subscriber(
        id=value.id,
        agency_id=value.agency_id,
        kind=_KIND_NUMBERS[value.kind],
        name=value.name,
        tax_code=value.tax_code,
        citizen_number_masked=masked(value.citizen_number),
        email=value.email,
        title=value.title,
        created_at=timestamp(value.created_at),
    )


def client(value: Client) -> registry_pb2.Client:
    """Write a client, without its proofs."""
    return registry_pb2.Client(
        id=value.id,
        agency_id=value.agency_id,
        name=value.name,
        scopes=value.scopes,
        document_types=value.document_types,
        label_required=value.label_required,
        enabled=value.enabled,
        created_at=timestamp(value.created_at),
    )


def credential(value: Credential) -> registry_pb2.Credential:
    """Write a credential."""
    written = registry_pb2.Credential(
        id=value.id,
        agency_id=value.agency_id,
        subscriber_id=value.subscriber_id,
        status=_STATUSES[value.status],
        key_algorithm=_ALGORITHM_NUMBERS[value.key_algorithm],
        activation=_ACTIVATION_NUMBERS[value.activation],
        client_ids=value.client_ids,
        profile=value.profile,
        issuer=_ISSUER_NUMBERS[value.issuer],
        created_at=timestamp(value.created_at),
        version=value.version,
    )
    if value.certificate is not None:
        written.certificate_chain.extend(value.certificate.chain)
        written.serial_number = value.certificate.serial_number
        written.not_before.CopyFrom(timestamp(value.certificate.not_before))
        written.not_after.CopyFrom(timestamp(value.certificate.not_after))
    return written


def confirmations(stop: Stop) -> list[registry_pb2.HoldConfirmation]:
    """Write which signers confirmed a stop."""
    return [
        registry_pb2.HoldConfirmation(replica=item.replica, milliseconds=item.milliseconds)
        for item in stop.confirmations
    ]


def audit_event(value: AuditEvent) -> registry_pb2.AuditEvent:
    """Write a line of the audit log."""
    row = value.row
    return registry_pb2.AuditEvent(
        id=row.id,
        position=value.position,
        type=row.type,
        agency_id=row.agency_id,
        client_id=row.client_id,
        credential_id=row.credential_id,
        operation_id=row.operation_id,
        time=timestamp(row.time),
        ledger=row.ledger or "",
        ledger_sequence=row.ledger_sequence or 0,
        data=row.data,
    )


def resolution(value: Resolution) -> registry_pb2.ResolveCredentialResponse:
    """Write what a signer must know."""
    return registry_pb2.ResolveCredentialResponse(
        credential_id=value.credential_id,
        version=value.version,
        head=value.head,
        status=_STATUSES[value.status],
        agency_id=value.agency_id,
        agency_path=value.agency_path,
        client_ids=value.client_ids,
        activation=_ACTIVATION_NUMBERS[value.activation],
        key_id=value.key_id,
        certificate_chain=value.chain,
    )
