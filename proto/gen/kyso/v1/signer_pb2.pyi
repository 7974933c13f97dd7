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

class AuthorityPurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTHORITY_PURPOSE_UNSPECIFIED: _ClassVar[AuthorityPurpose]
    AUTHORITY_PURPOSE_CERTIFICATE: _ClassVar[AuthorityPurpose]
    AUTHORITY_PURPOSE_CRL: _ClassVar[AuthorityPurpose]

class SignatureFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_FORMAT_UNSPECIFIED: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_PADES: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_CADES: _ClassVar[SignatureFormat]

class SignatureLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_LEVEL_UNSPECIFIED: _ClassVar[SignatureLevel]
    SIGNATURE_LEVEL_B_B: _ClassVar[SignatureLevel]

class SignaturePackaging(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_PACKAGING_UNSPECIFIED: _ClassVar[SignaturePackaging]
    SIGNATURE_PACKAGING_ENVELOPED: _ClassVar[SignaturePackaging]
    SIGNATURE_PACKAGING_DETACHED: _ClassVar[SignaturePackaging]

class OperationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATE_UNSPECIFIED: _ClassVar[OperationState]
    OPERATION_STATE_ACCEPTED: _ClassVar[OperationState]
    OPERATION_STATE_BEGUN: _ClassVar[OperationState]
    OPERATION_STATE_SIGNED: _ClassVar[OperationState]
    OPERATION_STATE_REFUSED: _ClassVar[OperationState]
    OPERATION_STATE_FAILED: _ClassVar[OperationState]
    OPERATION_STATE_OUTCOME_UNKNOWN: _ClassVar[OperationState]
AUTHORITY_PURPOSE_UNSPECIFIED: AuthorityPurpose
AUTHORITY_PURPOSE_CERTIFICATE: AuthorityPurpose
AUTHORITY_PURPOSE_CRL: AuthorityPurpose
SIGNATURE_FORMAT_UNSPECIFIED: SignatureFormat
SIGNATURE_FORMAT_PADES: SignatureFormat
SIGNATURE_FORMAT_CADES: SignatureFormat
SIGNATURE_LEVEL_UNSPECIFIED: SignatureLevel
SIGNATURE_LEVEL_B_B: SignatureLevel
SIGNATURE_PACKAGING_UNSPECIFIED: SignaturePackaging
SIGNATURE_PACKAGING_ENVELOPED: SignaturePackaging
SIGNATURE_PACKAGING_DETACHED: SignaturePackaging
OPERATION_STATE_UNSPECIFIED: OperationState
OPERATION_STATE_ACCEPTED: OperationState
OPERATION_STATE_BEGUN: OperationState
OPERATION_STATE_SIGNED: OperationState
OPERATION_STATE_REFUSED: OperationState
OPERATION_STATE_FAILED: OperationState
OPERATION_STATE_OUTCOME_UNKNOWN: OperationState

class GenerateKeyRequest(_message.Message):
    __slots__ = ("credential_id", "algorithm")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    algorithm: _common_pb2.KeyAlgorithm
    def __init__(self, credential_id: _Optional[str] = ..., algorithm: _Optional[_Union[_common_pb2.KeyAlgorithm, str]] = ...) -> None: ...

class GenerateKeyResponse(_message.Message):
    __slots__ = ("key_id", "spki")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SPKI_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    spki: bytes
    def __init__(self, key_id: _Optional[str] = ..., spki: _Optional[bytes] = ...) -> None: ...

class SignCertificationRequestRequest(_message.Message):
    __slots__ = ("key_id", "certification_request_info")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATION_REQUEST_INFO_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    certification_request_info: bytes
    def __init__(self, key_id: _Optional[str] = ..., certification_request_info: _Optional[bytes] = ...) -> None: ...

class SignCertificationRequestResponse(_message.Message):
    __slots__ = ("certification_request",)
    CERTIFICATION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    certification_request: bytes
    def __init__(self, certification_request: _Optional[bytes] = ...) -> None: ...

class GenerateAuthorityKeyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GenerateAuthorityKeyResponse(_message.Message):
    __slots__ = ("spki", "algorithm")
    SPKI_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    spki: bytes
    algorithm: _common_pb2.KeyAlgorithm
    def __init__(self, spki: _Optional[bytes] = ..., algorithm: _Optional[_Union[_common_pb2.KeyAlgorithm, str]] = ...) -> None: ...

class SignAuthorityRequest(_message.Message):
    __slots__ = ("name", "purpose", "to_be_signed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    TO_BE_SIGNED_FIELD_NUMBER: _ClassVar[int]
    name: str
    purpose: AuthorityPurpose
    to_be_signed: bytes
    def __init__(self, name: _Optional[str] = ..., purpose: _Optional[_Union[AuthorityPurpose, str]] = ..., to_be_signed: _Optional[bytes] = ...) -> None: ...

class SignAuthorityResponse(_message.Message):
    __slots__ = ("signed",)
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    signed: bytes
    def __init__(self, signed: _Optional[bytes] = ...) -> None: ...

class SigningContext(_message.Message):
    __slots__ = ("document_type", "label", "reference")
    DOCUMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    document_type: str
    label: _common_pb2.SecrecyLabel
    reference: str
    def __init__(self, document_type: _Optional[str] = ..., label: _Optional[_Union[_common_pb2.SecrecyLabel, str]] = ..., reference: _Optional[str] = ...) -> None: ...

class SignHashesRequest(_message.Message):
    __slots__ = ("credential_id", "idempotency_key", "digest_algorithm", "scheme", "digests", "context")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    idempotency_key: str
    digest_algorithm: _common_pb2.DigestAlgorithm
    scheme: _common_pb2.SignatureScheme
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    context: SigningContext
    def __init__(self, credential_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., digest_algorithm: _Optional[_Union[_common_pb2.DigestAlgorithm, str]] = ..., scheme: _Optional[_Union[_common_pb2.SignatureScheme, str]] = ..., digests: _Optional[_Iterable[bytes]] = ..., context: _Optional[_Union[SigningContext, _Mapping]] = ...) -> None: ...

class HashOutcome(_message.Message):
    __slots__ = ("signature", "error")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    signature: bytes
    error: _common_pb2.ItemError
    def __init__(self, signature: _Optional[bytes] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ...) -> None: ...

class SignHashesResponse(_message.Message):
    __slots__ = ("operation_id", "outcomes", "scheme", "certificate_chain", "replayed")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    outcomes: _containers.RepeatedCompositeFieldContainer[HashOutcome]
    scheme: _common_pb2.SignatureScheme
    certificate_chain: _containers.RepeatedScalarFieldContainer[bytes]
    replayed: bool
    def __init__(self, operation_id: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[HashOutcome, _Mapping]]] = ..., scheme: _Optional[_Union[_common_pb2.SignatureScheme, str]] = ..., certificate_chain: _Optional[_Iterable[bytes]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class SignDocumentHeader(_message.Message):
    __slots__ = ("credential_id", "idempotency_key", "format", "level", "packaging", "digest_algorithm", "scheme", "context", "reason", "location", "field_name", "file_name")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PACKAGING_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    FIELD_NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    idempotency_key: str
    format: SignatureFormat
    level: SignatureLevel
    packaging: SignaturePackaging
    digest_algorithm: _common_pb2.DigestAlgorithm
    scheme: _common_pb2.SignatureScheme
    context: SigningContext
    reason: str
    location: str
    field_name: str
    file_name: str
    def __init__(self, credential_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., format: _Optional[_Union[SignatureFormat, str]] = ..., level: _Optional[_Union[SignatureLevel, str]] = ..., packaging: _Optional[_Union[SignaturePackaging, str]] = ..., digest_algorithm: _Optional[_Union[_common_pb2.DigestAlgorithm, str]] = ..., scheme: _Optional[_Union[_common_pb2.SignatureScheme, str]] = ..., context: _Optional[_Union[SigningContext, _Mapping]] = ..., reason: _Optional[str] = ..., location: _Optional[str] = ..., field_name: _Optional[str] = ..., file_name: _Optional[str] = ...) -> None: ...

class DocumentEnd(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class SignDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "end")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    header: SignDocumentHeader
    chunk: bytes
    end: DocumentEnd
    def __init__(self, header: _Optional[_Union[SignDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., end: _Optional[_Union[DocumentEnd, _Mapping]] = ...) -> None: ...

class SignDocumentResult(_message.Message):
    __slots__ = ("operation_id", "media_type", "size", "signing_time", "replayed")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    media_type: str
    size: int
    signing_time: _timestamp_pb2.Timestamp
    replayed: bool
    def __init__(self, operation_id: _Optional[str] = ..., media_type: _Optional[str] = ..., size: _Optional[int] = ..., signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class SignDocumentResponse(_message.Message):
    __slots__ = ("result", "chunk")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    result: SignDocumentResult
    chunk: bytes
    def __init__(self, result: _Optional[_Union[SignDocumentResult, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class SubmitDocumentResponse(_message.Message):
    __slots__ = ("operation_id", "replayed")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    replayed: bool
    def __init__(self, operation_id: _Optional[str] = ..., replayed: _Optional[bool] = ...) -> None: ...

class UploadDocumentHeader(_message.Message):
    __slots__ = ("file_name",)
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    def __init__(self, file_name: _Optional[str] = ...) -> None: ...

class UploadDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "end")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    header: UploadDocumentHeader
    chunk: bytes
    end: DocumentEnd
    def __init__(self, header: _Optional[_Union[UploadDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., end: _Optional[_Union[DocumentEnd, _Mapping]] = ...) -> None: ...

class UploadDocumentResponse(_message.Message):
    __slots__ = ("upload_id", "sha256", "size", "expires_at")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    sha256: bytes
    size: int
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, upload_id: _Optional[str] = ..., sha256: _Optional[bytes] = ..., size: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation_id", "state", "credential_id", "created_at", "ended_at", "error", "document_available", "document_expires_at", "media_type", "file_name")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    state: OperationState
    credential_id: str
    created_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    error: _common_pb2.ItemError
    document_available: bool
    document_expires_at: _timestamp_pb2.Timestamp
    media_type: str
    file_name: str
    def __init__(self, operation_id: _Optional[str] = ..., state: _Optional[_Union[OperationState, str]] = ..., credential_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ..., document_available: _Optional[bool] = ..., document_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., media_type: _Optional[str] = ..., file_name: _Optional[str] = ...) -> None: ...

class FetchDocumentRequest(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class FetchDocumentResponse(_message.Message):
    __slots__ = ("result", "chunk")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    result: SignDocumentResult
    chunk: bytes
    def __init__(self, result: _Optional[_Union[SignDocumentResult, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ReadLedgerRequest(_message.Message):
    __slots__ = ("ledger", "from_sequence", "limit")
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ledger: str
    from_sequence: int
    limit: int
    def __init__(self, ledger: _Optional[str] = ..., from_sequence: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class LedgerEntry(_message.Message):
    __slots__ = ("ledger", "sequence", "hash", "previous_hash", "data", "event_id")
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HASH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ledger: str
    sequence: int
    hash: bytes
    previous_hash: bytes
    data: bytes
    event_id: str
    def __init__(self, ledger: _Optional[str] = ..., sequence: _Optional[int] = ..., hash: _Optional[bytes] = ..., previous_hash: _Optional[bytes] = ..., data: _Optional[bytes] = ..., event_id: _Optional[str] = ...) -> None: ...

class LedgerHead(_message.Message):
    __slots__ = ("ledger", "sequence", "hash")
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    ledger: str
    sequence: int
    hash: bytes
    def __init__(self, ledger: _Optional[str] = ..., sequence: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ReadLedgerResponse(_message.Message):
    __slots__ = ("entries", "heads")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LedgerEntry]
    heads: _containers.RepeatedCompositeFieldContainer[LedgerHead]
    def __init__(self, entries: _Optional[_Iterable[_Union[LedgerEntry, _Mapping]]] = ..., heads: _Optional[_Iterable[_Union[LedgerHead, _Mapping]]] = ...) -> None: ...
