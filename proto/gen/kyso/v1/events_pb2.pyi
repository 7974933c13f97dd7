from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class SigningRecord(_message.Message):
    __slots__ = ("ledger", "sequence", "outcome", "operation_id", "client_id", "agency_id", "credential_id", "key_id", "serial_number", "kind", "algorithm", "signed_items", "total_items", "request_sha256", "signatures_sha256", "document_type", "reference", "label", "activation", "error_code", "request_id", "time")
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SERIAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SIGNED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ITEMS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_SHA256_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ledger: str
    sequence: int
    outcome: str
    operation_id: str
    client_id: str
    agency_id: str
    credential_id: str
    key_id: str
    serial_number: str
    kind: str
    algorithm: str
    signed_items: int
    total_items: int
    request_sha256: str
    signatures_sha256: str
    document_type: str
    reference: str
    label: str
    activation: str
    error_code: str
    request_id: str
    time: str
    def __init__(self, ledger: _Optional[str] = ..., sequence: _Optional[int] = ..., outcome: _Optional[str] = ..., operation_id: _Optional[str] = ..., client_id: _Optional[str] = ..., agency_id: _Optional[str] = ..., credential_id: _Optional[str] = ..., key_id: _Optional[str] = ..., serial_number: _Optional[str] = ..., kind: _Optional[str] = ..., algorithm: _Optional[str] = ..., signed_items: _Optional[int] = ..., total_items: _Optional[int] = ..., request_sha256: _Optional[str] = ..., signatures_sha256: _Optional[str] = ..., document_type: _Optional[str] = ..., reference: _Optional[str] = ..., label: _Optional[str] = ..., activation: _Optional[str] = ..., error_code: _Optional[str] = ..., request_id: _Optional[str] = ..., time: _Optional[str] = ...) -> None: ...

class CredentialChanged(_message.Message):
    __slots__ = ("credential_id", "version", "status", "subscriber_id", "agency_id", "client_id", "reason", "time")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENCY_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    version: int
    status: str
    subscriber_id: str
    agency_id: str
    client_id: str
    reason: str
    time: str
    def __init__(self, credential_id: _Optional[str] = ..., version: _Optional[int] = ..., status: _Optional[str] = ..., subscriber_id: _Optional[str] = ..., agency_id: _Optional[str] = ..., client_id: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[str] = ...) -> None: ...

class OperationEnded(_message.Message):
    __slots__ = ("operation_id", "state", "client_id", "error_code", "error_message", "signatures", "time", "job_id", "level", "level_missed")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_MISSED_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    state: str
    client_id: str
    error_code: str
    error_message: str
    signatures: _containers.RepeatedScalarFieldContainer[str]
    time: str
    job_id: str
    level: str
    level_missed: str
    def __init__(self, operation_id: _Optional[str] = ..., state: _Optional[str] = ..., client_id: _Optional[str] = ..., error_code: _Optional[str] = ..., error_message: _Optional[str] = ..., signatures: _Optional[_Iterable[str]] = ..., time: _Optional[str] = ..., job_id: _Optional[str] = ..., level: _Optional[str] = ..., level_missed: _Optional[str] = ...) -> None: ...

class CrlPublished(_message.Message):
    __slots__ = ("ca", "number", "entries", "this_update", "next_update")
    CA_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    THIS_UPDATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    ca: str
    number: int
    entries: int
    this_update: str
    next_update: str
    def __init__(self, ca: _Optional[str] = ..., number: _Optional[int] = ..., entries: _Optional[int] = ..., this_update: _Optional[str] = ..., next_update: _Optional[str] = ...) -> None: ...

class SigningJob(_message.Message):
    __slots__ = ("operation_id", "idempotency_key", "job_id", "access_token", "credential_id", "digest_algorithm", "scheme", "digests", "upload_id", "format", "document_type", "label", "reference", "level", "packaging")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PACKAGING_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    idempotency_key: str
    job_id: str
    access_token: str
    credential_id: str
    digest_algorithm: str
    scheme: str
    digests: _containers.RepeatedScalarFieldContainer[str]
    upload_id: str
    format: str
    document_type: str
    label: str
    reference: str
    level: str
    packaging: str
    def __init__(self, operation_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., job_id: _Optional[str] = ..., access_token: _Optional[str] = ..., credential_id: _Optional[str] = ..., digest_algorithm: _Optional[str] = ..., scheme: _Optional[str] = ..., digests: _Optional[_Iterable[str]] = ..., upload_id: _Optional[str] = ..., format: _Optional[str] = ..., document_type: _Optional[str] = ..., label: _Optional[str] = ..., reference: _Optional[str] = ..., level: _Optional[str] = ..., packaging: _Optional[str] = ...) -> None: ...

class DirectoryChanged(_message.Message):
    __slots__ = ("credential_id", "version", "status")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    version: int
    status: str
    def __init__(self, credential_id: _Optional[str] = ..., version: _Optional[int] = ..., status: _Optional[str] = ...) -> None: ...

class DirectoryHeartbeat(_message.Message):
    __slots__ = ("head", "sent_at")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    head: int
    sent_at: str
    def __init__(self, head: _Optional[int] = ..., sent_at: _Optional[str] = ...) -> None: ...

class DirectoryConfirmed(_message.Message):
    __slots__ = ("credential_id", "version", "replica")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    version: int
    replica: str
    def __init__(self, credential_id: _Optional[str] = ..., version: _Optional[int] = ..., replica: _Optional[str] = ...) -> None: ...
