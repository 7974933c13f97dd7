import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kyso.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscriberKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBSCRIBER_KIND_UNSPECIFIED: _ClassVar[SubscriberKind]
    SUBSCRIBER_KIND_PERSON: _ClassVar[SubscriberKind]
    SUBSCRIBER_KIND_ORGANIZATION: _ClassVar[SubscriberKind]
    SUBSCRIBER_KIND_DEVICE_OR_SERVICE: _ClassVar[SubscriberKind]

class IssuerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISSUER_KIND_UNSPECIFIED: _ClassVar[IssuerKind]
    ISSUER_KIND_OWN_CA: _ClassVar[IssuerKind]
    ISSUER_KIND_OUTSIDE_CA: _ClassVar[IssuerKind]

class HoldReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLD_REASON_UNSPECIFIED: _ClassVar[HoldReason]
    HOLD_REASON_DEVICE_LOST: _ClassVar[HoldReason]
    HOLD_REASON_SECRET_EXPOSED: _ClassVar[HoldReason]
    HOLD_REASON_KEY_SUSPECTED: _ClassVar[HoldReason]
    HOLD_REASON_SECRET_FORGOTTEN: _ClassVar[HoldReason]
    HOLD_REASON_OTHER: _ClassVar[HoldReason]

class RevocationGround(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVOCATION_GROUND_UNSPECIFIED: _ClassVar[RevocationGround]
    REVOCATION_GROUND_KEY_EXPOSED: _ClassVar[RevocationGround]
    REVOCATION_GROUND_DEVICE_LOST: _ClassVar[RevocationGround]
    REVOCATION_GROUND_DEVICE_BROKEN: _ClassVar[RevocationGround]
    REVOCATION_GROUND_AUTHORITY_REQUEST: _ClassVar[RevocationGround]
    REVOCATION_GROUND_MANAGING_BODY: _ClassVar[RevocationGround]
    REVOCATION_GROUND_POST_CHANGED: _ClassVar[RevocationGround]
    REVOCATION_GROUND_LEFT_SERVICE: _ClassVar[RevocationGround]
    REVOCATION_GROUND_ORGANIZATION_ENDED: _ClassVar[RevocationGround]
    REVOCATION_GROUND_SERVICE_STOPPED: _ClassVar[RevocationGround]

class EvidenceFileKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVIDENCE_FILE_KIND_UNSPECIFIED: _ClassVar[EvidenceFileKind]
    EVIDENCE_FILE_KIND_REPORT: _ClassVar[EvidenceFileKind]
    EVIDENCE_FILE_KIND_CERTIFICATE: _ClassVar[EvidenceFileKind]
    EVIDENCE_FILE_KIND_CRL: _ClassVar[EvidenceFileKind]
    EVIDENCE_FILE_KIND_OCSP_RESPONSE: _ClassVar[EvidenceFileKind]
    EVIDENCE_FILE_KIND_TIME_STAMP: _ClassVar[EvidenceFileKind]
SUBSCRIBER_KIND_UNSPECIFIED: SubscriberKind
SUBSCRIBER_KIND_PERSON: SubscriberKind
SUBSCRIBER_KIND_ORGANIZATION: SubscriberKind
SUBSCRIBER_KIND_DEVICE_OR_SERVICE: SubscriberKind
ISSUER_KIND_UNSPECIFIED: IssuerKind
ISSUER_KIND_OWN_CA: IssuerKind
ISSUER_KIND_OUTSIDE_CA: IssuerKind
HOLD_REASON_UNSPECIFIED: HoldReason
HOLD_REASON_DEVICE_LOST: HoldReason
HOLD_REASON_SECRET_EXPOSED: HoldReason
HOLD_REASON_KEY_SUSPECTED: HoldReason
HOLD_REASON_SECRET_FORGOTTEN: HoldReason
HOLD_REASON_OTHER: HoldReason
REVOCATION_GROUND_UNSPECIFIED: RevocationGround
REVOCATION_GROUND_KEY_EXPOSED: RevocationGround
REVOCATION_GROUND_DEVICE_LOST: RevocationGround
REVOCATION_GROUND_DEVICE_BROKEN: RevocationGround
REVOCATION_GROUND_AUTHORITY_REQUEST: RevocationGround
REVOCATION_GROUND_MANAGING_BODY: RevocationGround
REVOCATION_GROUND_POST_CHANGED: RevocationGround
REVOCATION_GROUND_LEFT_SERVICE: RevocationGround
REVOCATION_GROUND_ORGANIZATION_ENDED: RevocationGround
REVOCATION_GROUND_SERVICE_STOPPED: RevocationGround
EVIDENCE_FILE_KIND_UNSPECIFIED: EvidenceFileKind
EVIDENCE_FILE_KIND_REPORT: EvidenceFileKind
EVIDENCE_FILE_KIND_CERTIFICATE: EvidenceFileKind
EVIDENCE_FILE_KIND_CRL: EvidenceFileKind
EVIDENCE_FILE_KIND_OCSP_RESPONSE: EvidenceFileKind
EVIDENCE_FILE_KIND_TIME_STAMP: EvidenceFileKind

class Agency(_message.Message):
    __slots__ = ("id", "parent_id", "name", "organ_id", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    parent_id: str
    name: str
    organ_id: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., parent_id: _Optional[str] = ..., name: _Optional[str] = ..., organ_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateAgencyRequest(_message.Message):
    __slots__ = ("parent_id", "name", "organ_id")
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORGAN_ID_FIELD_NUMBER: _ClassVar[int]
    parent_id: str
    name: str
    organ_id: str
    def __init__(self, parent_id: _Optional[str] = ..., name: _Optional[str] = ..., organ_id: _Optional[str] = ...) -> None: ...

class GetAgencyRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListAgenciesRequest(_message.Message):
    __slots__ = ("parent_id", "page_size", "page_token")
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent_id: str
    page_size: int
    page_token: str
    def __init__(self, parent_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAgenciesResponse(_message.Message):
    __slots__ = ("agencies", "next_page_token")
    AGENCIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agencies: _containers.RepeatedCompositeFieldContainer[Agency]
    next_page_token: str
    def __init__(self, agencies: _Optional[_Iterable[_Union[Agency, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Subscriber(_message.Message):
    __slots__ = ("id", "agency_id", "kind", "name", "tax_code", "citizen_number_masked", "email", "title", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TAX_CODE_FIELD_NUMBER: _ClassVar[int]
    CITIZEN_NUMBER_MASKED_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    agency_id: str
    kind: SubscriberKind
    name: str
    tax_code: str
    citizen_number_masked: str
    email: str
    title: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., agency_id: _Optional[str] = ..., kind: _Optional[_Union[SubscriberKind, str]] = ..., name: _Optional[str] = ..., tax_code: _Optional[str] = ..., citizen_number_masked: _Optional[str] = ..., email: _Optional[str] = ..., title: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateSubscriberRequest(_message.Message):
    __slots__ = ("agency_id", "kind", "name", "tax_code", "citizen_number", "email", "title")
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TAX_CODE_FIELD_NUMBER: _ClassVar[int]
    CITIZEN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    agency_id: str
    kind: SubscriberKind
    name: str
    tax_code: str
    citizen_number: str
    email: str
    title: str
    def __init__(self, agency_id: _Optional[str] = ..., kind: _Optional[_Union[SubscriberKind, str]] = ..., name: _Optional[str] = ..., tax_code: _Optional[str] = ..., citizen_number: _Optional[str] = ..., email: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class GetSubscriberRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListSubscribersRequest(_message.Message):
    __slots__ = ("agency_id", "page_size", "page_token")
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agency_id: str
    page_size: int
    page_token: str
    def __init__(self, agency_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSubscribersResponse(_message.Message):
    __slots__ = ("subscribers", "next_page_token")
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    subscribers: _containers.RepeatedCompositeFieldContainer[Subscriber]
    next_page_token: str
    def __init__(self, subscribers: _Optional[_Iterable[_Union[Subscriber, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("id", "agency_id", "name", "scopes", "document_types", "label_required", "enabled", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    LABEL_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    agency_id: str
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    document_types: _containers.RepeatedScalarFieldContainer[str]
    label_required: bool
    enabled: bool
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., agency_id: _Optional[str] = ..., name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., document_types: _Optional[_Iterable[str]] = ..., label_required: _Optional[bool] = ..., enabled: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateClientRequest(_message.Message):
    __slots__ = ("agency_id", "name", "scopes", "document_types", "label_required", "jwks")
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    LABEL_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    JWKS_FIELD_NUMBER: _ClassVar[int]
    agency_id: str
    name: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    document_types: _containers.RepeatedScalarFieldContainer[str]
    label_required: bool
    jwks: str
    def __init__(self, agency_id: _Optional[str] = ..., name: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., document_types: _Optional[_Iterable[str]] = ..., label_required: _Optional[bool] = ..., jwks: _Optional[str] = ...) -> None: ...

class CreateClientResponse(_message.Message):
    __slots__ = ("client", "secret")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    client: Client
    secret: str
    def __init__(self, client: _Optional[_Union[Client, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class GetClientRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("agency_id", "page_size", "page_token")
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agency_id: str
    page_size: int
    page_token: str
    def __init__(self, agency_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClientsResponse(_message.Message):
    __slots__ = ("clients", "next_page_token")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[Client]
    next_page_token: str
    def __init__(self, clients: _Optional[_Iterable[_Union[Client, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SetClientEnabledRequest(_message.Message):
    __slots__ = ("id", "enabled")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    id: str
    enabled: bool
    def __init__(self, id: _Optional[str] = ..., enabled: _Optional[bool] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("id", "agency_id", "subscriber_id", "status", "key_algorithm", "activation", "client_ids", "certificate_chain", "serial_number", "not_before", "not_after", "profile", "issuer", "created_at", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    KEY_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_IDS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    SERIAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    agency_id: str
    subscriber_id: str
    status: _common_pb2.CredentialStatus
    key_algorithm: _common_pb2.KeyAlgorithm
    activation: _common_pb2.Activation
    client_ids: _containers.RepeatedScalarFieldContainer[str]
    certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    serial_number: str
    not_before: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    profile: str
    issuer: IssuerKind
    created_at: _timestamp_pb2.Timestamp
    version: int
    def __init__(self, id: _Optional[str] = ..., agency_id: _Optional[str] = ..., subscriber_id: _Optional[str] = ..., status: _Optional[_Union[_common_pb2.CredentialStatus, str]] = ..., key_algorithm: _Optional[_Union[_common_pb2.KeyAlgorithm, str]] = ..., activation: _Optional[_Union[_common_pb2.Activation, str]] = ..., client_ids: _Optional[_Iterable[str]] = ..., certificate_chain: _Optional[_Iterable[bytes]] = ..., serial_number: _Optional[str] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., profile: _Optional[str] = ..., issuer: _Optional[_Union[IssuerKind, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class CreateCredentialRequest(_message.Message):
    __slots__ = ("subscriber_id", "key_algorithm", "activation", "client_ids", "issuer", "validity_days", "idempotency_key")
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_IDS_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_DAYS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    subscriber_id: str
    key_algorithm: _common_pb2.KeyAlgorithm
    activation: _common_pb2.Activation
    client_ids: _containers.RepeatedScalarFieldContainer[str]
    issuer: IssuerKind
    validity_days: int
    idempotency_key: str
    def __init__(self, subscriber_id: _Optional[str] = ..., key_algorithm: _Optional[_Union[_common_pb2.KeyAlgorithm, str]] = ..., activation: _Optional[_Union[_common_pb2.Activation, str]] = ..., client_ids: _Optional[_Iterable[str]] = ..., issuer: _Optional[_Union[IssuerKind, str]] = ..., validity_days: _Optional[int] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class GetCredentialRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListCredentialsRequest(_message.Message):
    __slots__ = ("agency_id", "page_size", "page_token")
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agency_id: str
    page_size: int
    page_token: str
    def __init__(self, agency_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCredentialsResponse(_message.Message):
    __slots__ = ("credentials", "next_page_token")
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    credentials: _containers.RepeatedCompositeFieldContainer[Credential]
    next_page_token: str
    def __init__(self, credentials: _Optional[_Iterable[_Union[Credential, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCertificationRequestRequest(_message.Message):
    __slots__ = ("credential_id",)
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    def __init__(self, credential_id: _Optional[str] = ...) -> None: ...

class GetCertificationRequestResponse(_message.Message):
    __slots__ = ("certification_request",)
    CERTIFICATION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    certification_request: bytes
    def __init__(self, certification_request: _Optional[bytes] = ...) -> None: ...

class ImportCertificateRequest(_message.Message):
    __slots__ = ("credential_id", "certificate_chain")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, credential_id: _Optional[str] = ..., certificate_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class HoldCredentialRequest(_message.Message):
    __slots__ = ("credential_id", "reason", "suspected_since", "reporter")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUSPECTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    REPORTER_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    reason: HoldReason
    suspected_since: _timestamp_pb2.Timestamp
    reporter: str
    def __init__(self, credential_id: _Optional[str] = ..., reason: _Optional[_Union[HoldReason, str]] = ..., suspected_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reporter: _Optional[str] = ...) -> None: ...

class HoldConfirmation(_message.Message):
    __slots__ = ("replica", "milliseconds")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    replica: str
    milliseconds: int
    def __init__(self, replica: _Optional[str] = ..., milliseconds: _Optional[int] = ...) -> None: ...

class HoldCredentialResponse(_message.Message):
    __slots__ = ("credential", "confirmations", "unconfirmed", "milliseconds")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    credential: Credential
    confirmations: _containers.RepeatedCompositeFieldContainer[HoldConfirmation]
    unconfirmed: _containers.RepeatedScalarFieldContainer[str]
    milliseconds: int
    def __init__(self, credential: _Optional[_Union[Credential, _Mapping]] = ..., confirmations: _Optional[_Iterable[_Union[HoldConfirmation, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[str]] = ..., milliseconds: _Optional[int] = ...) -> None: ...

class ReleaseCredentialRequest(_message.Message):
    __slots__ = ("credential_id", "confirmation")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    confirmation: str
    def __init__(self, credential_id: _Optional[str] = ..., confirmation: _Optional[str] = ...) -> None: ...

class RevokeCredentialRequest(_message.Message):
    __slots__ = ("credential_id", "ground", "request_reference")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    ground: RevocationGround
    request_reference: str
    def __init__(self, credential_id: _Optional[str] = ..., ground: _Optional[_Union[RevocationGround, str]] = ..., request_reference: _Optional[str] = ...) -> None: ...

class RevokeCredentialResponse(_message.Message):
    __slots__ = ("credential", "confirmations", "unconfirmed", "crl_number")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    CRL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    credential: Credential
    confirmations: _containers.RepeatedCompositeFieldContainer[HoldConfirmation]
    unconfirmed: _containers.RepeatedScalarFieldContainer[str]
    crl_number: int
    def __init__(self, credential: _Optional[_Union[Credential, _Mapping]] = ..., confirmations: _Optional[_Iterable[_Union[HoldConfirmation, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[str]] = ..., crl_number: _Optional[int] = ...) -> None: ...

class ListAuditEventsRequest(_message.Message):
    __slots__ = ("credential_id", "operation_id", "from_time", "page_size", "page_token")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    operation_id: str
    from_time: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, credential_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class AuditEvent(_message.Message):
    __slots__ = ("id", "position", "type", "agency_id", "client_id", "credential_id", "operation_id", "time", "ledger", "ledger_sequence", "data")
    ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    LEDGER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    position: int
    type: str
    agency_id: str
    client_id: str
    credential_id: str
    operation_id: str
    time: _timestamp_pb2.Timestamp
    ledger: str
    ledger_sequence: int
    data: str
    def __init__(self, id: _Optional[str] = ..., position: _Optional[int] = ..., type: _Optional[str] = ..., agency_id: _Optional[str] = ..., client_id: _Optional[str] = ..., credential_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ledger: _Optional[str] = ..., ledger_sequence: _Optional[int] = ..., data: _Optional[str] = ...) -> None: ...

class ListAuditEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AuditEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[AuditEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class IssueTokenRequest(_message.Message):
    __slots__ = ("client_id", "client_secret", "client_assertion", "scope", "token_endpoint")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ASSERTION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    client_secret: str
    client_assertion: str
    scope: str
    token_endpoint: str
    def __init__(self, client_id: _Optional[str] = ..., client_secret: _Optional[str] = ..., client_assertion: _Optional[str] = ..., scope: _Optional[str] = ..., token_endpoint: _Optional[str] = ...) -> None: ...

class IssueTokenResponse(_message.Message):
    __slots__ = ("access_token", "expires_in", "scope")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    expires_in: int
    scope: str
    def __init__(self, access_token: _Optional[str] = ..., expires_in: _Optional[int] = ..., scope: _Optional[str] = ...) -> None: ...

class GetTokenKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTokenKeysResponse(_message.Message):
    __slots__ = ("jwks",)
    JWKS_FIELD_NUMBER: _ClassVar[int]
    jwks: str
    def __init__(self, jwks: _Optional[str] = ...) -> None: ...

class ResolveCredentialRequest(_message.Message):
    __slots__ = ("credential_id", "replica", "cacheable")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    CACHEABLE_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    replica: str
    cacheable: bool
    def __init__(self, credential_id: _Optional[str] = ..., replica: _Optional[str] = ..., cacheable: _Optional[bool] = ...) -> None: ...

class ResolveCredentialResponse(_message.Message):
    __slots__ = ("credential_id", "version", "head", "status", "agency_id", "agency_path", "client_ids", "activation", "key_id", "certificate_chain")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_PATH_FIELD_NUMBER: _ClassVar[int]
    CLIENT_IDS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    version: int
    head: int
    status: _common_pb2.CredentialStatus
    agency_id: str
    agency_path: _containers.RepeatedScalarFieldContainer[str]
    client_ids: _containers.RepeatedScalarFieldContainer[str]
    activation: _common_pb2.Activation
    key_id: str
    certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, credential_id: _Optional[str] = ..., version: _Optional[int] = ..., head: _Optional[int] = ..., status: _Optional[_Union[_common_pb2.CredentialStatus, str]] = ..., agency_id: _Optional[str] = ..., agency_path: _Optional[_Iterable[str]] = ..., client_ids: _Optional[_Iterable[str]] = ..., activation: _Optional[_Union[_common_pb2.Activation, str]] = ..., key_id: _Optional[str] = ..., certificate_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetCrlRequest(_message.Message):
    __slots__ = ("ca",)
    CA_FIELD_NUMBER: _ClassVar[int]
    ca: str
    def __init__(self, ca: _Optional[str] = ...) -> None: ...

class GetCrlResponse(_message.Message):
    __slots__ = ("crl", "this_update", "next_update")
    CRL_FIELD_NUMBER: _ClassVar[int]
    THIS_UPDATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    crl: bytes
    this_update: _timestamp_pb2.Timestamp
    next_update: _timestamp_pb2.Timestamp
    def __init__(self, crl: _Optional[bytes] = ..., this_update: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_update: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetCaCertificateRequest(_message.Message):
    __slots__ = ("ca",)
    CA_FIELD_NUMBER: _ClassVar[int]
    ca: str
    def __init__(self, ca: _Optional[str] = ...) -> None: ...

class GetCaCertificateResponse(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    def __init__(self, certificate: _Optional[bytes] = ...) -> None: ...

class GetTrustRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustAnchor(_message.Message):
    __slots__ = ("certificate", "scope", "trusted_from", "trusted_until", "purposes", "trust_list")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FROM_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    PURPOSES_FIELD_NUMBER: _ClassVar[int]
    TRUST_LIST_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    scope: str
    trusted_from: _timestamp_pb2.Timestamp
    trusted_until: _timestamp_pb2.Timestamp
    purposes: _containers.RepeatedScalarFieldContainer[str]
    trust_list: str
    def __init__(self, certificate: _Optional[bytes] = ..., scope: _Optional[str] = ..., trusted_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trusted_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., purposes: _Optional[_Iterable[str]] = ..., trust_list: _Optional[str] = ...) -> None: ...

class TrustListState(_message.Message):
    __slots__ = ("name", "sequence_number", "next_update")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    sequence_number: int
    next_update: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., sequence_number: _Optional[int] = ..., next_update: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTrustResponse(_message.Message):
    __slots__ = ("anchors", "intermediates", "crls", "read_at", "trust_lists")
    ANCHORS_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    CRLS_FIELD_NUMBER: _ClassVar[int]
    READ_AT_FIELD_NUMBER: _ClassVar[int]
    TRUST_LISTS_FIELD_NUMBER: _ClassVar[int]
    anchors: _containers.RepeatedCompositeFieldContainer[TrustAnchor]
    intermediates: _containers.RepeatedScalarFieldContainer[bytes]
    crls: _containers.RepeatedScalarFieldContainer[bytes]
    read_at: _timestamp_pb2.Timestamp
    trust_lists: _containers.RepeatedCompositeFieldContainer[TrustListState]
    def __init__(self, anchors: _Optional[_Iterable[_Union[TrustAnchor, _Mapping]]] = ..., intermediates: _Optional[_Iterable[bytes]] = ..., crls: _Optional[_Iterable[bytes]] = ..., read_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trust_lists: _Optional[_Iterable[_Union[TrustListState, _Mapping]]] = ...) -> None: ...

class GetTimeStampCertificateRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetTimeStampCertificateResponse(_message.Message):
    __slots__ = ("certificate_chain",)
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificate_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EvidenceFile(_message.Message):
    __slots__ = ("kind", "sha256", "size")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    kind: EvidenceFileKind
    sha256: bytes
    size: int
    def __init__(self, kind: _Optional[_Union[EvidenceFileKind, str]] = ..., sha256: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class KeepEvidenceHeader(_message.Message):
    __slots__ = ("document_sha256", "verdict", "validated_at", "outcome_sha256", "reference")
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VALIDATED_AT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_SHA256_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    document_sha256: bytes
    verdict: str
    validated_at: _timestamp_pb2.Timestamp
    outcome_sha256: bytes
    reference: str
    def __init__(self, document_sha256: _Optional[bytes] = ..., verdict: _Optional[str] = ..., validated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome_sha256: _Optional[bytes] = ..., reference: _Optional[str] = ...) -> None: ...

class KeepEvidenceRequest(_message.Message):
    __slots__ = ("header", "file", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: KeepEvidenceHeader
    file: EvidenceFile
    chunk: bytes
    def __init__(self, header: _Optional[_Union[KeepEvidenceHeader, _Mapping]] = ..., file: _Optional[_Union[EvidenceFile, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("id", "agency_id", "client_id", "document_sha256", "verdict", "validated_at", "kept_at", "reference", "files")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VALIDATED_AT_FIELD_NUMBER: _ClassVar[int]
    KEPT_AT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    id: str
    agency_id: str
    client_id: str
    document_sha256: bytes
    verdict: str
    validated_at: _timestamp_pb2.Timestamp
    kept_at: _timestamp_pb2.Timestamp
    reference: str
    files: _containers.RepeatedCompositeFieldContainer[EvidenceFile]
    def __init__(self, id: _Optional[str] = ..., agency_id: _Optional[str] = ..., client_id: _Optional[str] = ..., document_sha256: _Optional[bytes] = ..., verdict: _Optional[str] = ..., validated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kept_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ..., files: _Optional[_Iterable[_Union[EvidenceFile, _Mapping]]] = ...) -> None: ...

class GetEvidenceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListEvidenceRequest(_message.Message):
    __slots__ = ("document_sha256", "reference", "page_size", "page_token")
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    document_sha256: bytes
    reference: str
    page_size: int
    page_token: str
    def __init__(self, document_sha256: _Optional[bytes] = ..., reference: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEvidenceResponse(_message.Message):
    __slots__ = ("evidence", "next_page_token")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    next_page_token: str
    def __init__(self, evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FetchEvidenceFileRequest(_message.Message):
    __slots__ = ("id", "sha256")
    ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    id: str
    sha256: bytes
    def __init__(self, id: _Optional[str] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class FetchEvidenceFileResponse(_message.Message):
    __slots__ = ("file", "chunk")
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    file: EvidenceFile
    chunk: bytes
    def __init__(self, file: _Optional[_Union[EvidenceFile, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class DeleteEvidenceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteEvidenceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
