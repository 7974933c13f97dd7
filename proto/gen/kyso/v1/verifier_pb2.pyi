import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Indication(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDICATION_UNSPECIFIED: _ClassVar[Indication]
    INDICATION_TOTAL_PASSED: _ClassVar[Indication]
    INDICATION_TOTAL_FAILED: _ClassVar[Indication]
    INDICATION_INDETERMINATE: _ClassVar[Indication]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_VALID: _ClassVar[Verdict]
    VERDICT_INVALID: _ClassVar[Verdict]
    VERDICT_INDETERMINATE: _ClassVar[Verdict]
    VERDICT_MALFORMED: _ClassVar[Verdict]
    VERDICT_UNSIGNED: _ClassVar[Verdict]
INDICATION_UNSPECIFIED: Indication
INDICATION_TOTAL_PASSED: Indication
INDICATION_TOTAL_FAILED: Indication
INDICATION_INDETERMINATE: Indication
VERDICT_UNSPECIFIED: Verdict
VERDICT_VALID: Verdict
VERDICT_INVALID: Verdict
VERDICT_INDETERMINATE: Verdict
VERDICT_MALFORMED: Verdict
VERDICT_UNSIGNED: Verdict

class CollectEvidenceRequest(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class MissingEvidence(_message.Message):
    __slots__ = ("certificate_sha256", "reason", "detail")
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    certificate_sha256: bytes
    reason: str
    detail: str
    def __init__(self, certificate_sha256: _Optional[bytes] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class CollectEvidenceResponse(_message.Message):
    __slots__ = ("certificates", "crls", "ocsp_responses", "missing")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    CRLS_FIELD_NUMBER: _ClassVar[int]
    OCSP_RESPONSES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    crls: _containers.RepeatedScalarFieldContainer[bytes]
    ocsp_responses: _containers.RepeatedScalarFieldContainer[bytes]
    missing: _containers.RepeatedCompositeFieldContainer[MissingEvidence]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ..., crls: _Optional[_Iterable[bytes]] = ..., ocsp_responses: _Optional[_Iterable[bytes]] = ..., missing: _Optional[_Iterable[_Union[MissingEvidence, _Mapping]]] = ...) -> None: ...

class RequestTimeStampRequest(_message.Message):
    __slots__ = ("authority", "request")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    authority: str
    request: bytes
    def __init__(self, authority: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class RequestTimeStampResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    def __init__(self, response: _Optional[bytes] = ...) -> None: ...

class VerifyDocumentHeader(_message.Message):
    __slots__ = ("file_name", "detached", "integrity_only")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    INTEGRITY_ONLY_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    detached: bool
    integrity_only: bool
    def __init__(self, file_name: _Optional[str] = ..., detached: _Optional[bool] = ..., integrity_only: _Optional[bool] = ...) -> None: ...

class VerifyDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "detached_chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DETACHED_CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: VerifyDocumentHeader
    chunk: bytes
    detached_chunk: bytes
    def __init__(self, header: _Optional[_Union[VerifyDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., detached_chunk: _Optional[bytes] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("code", "vi", "en")
    CODE_FIELD_NUMBER: _ClassVar[int]
    VI_FIELD_NUMBER: _ClassVar[int]
    EN_FIELD_NUMBER: _ClassVar[int]
    code: str
    vi: str
    en: str
    def __init__(self, code: _Optional[str] = ..., vi: _Optional[str] = ..., en: _Optional[str] = ...) -> None: ...

class SubjectIdentifier(_message.Message):
    __slots__ = ("type", "value", "malformed")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    type: str
    value: str
    malformed: bool
    def __init__(self, type: _Optional[str] = ..., value: _Optional[str] = ..., malformed: _Optional[bool] = ...) -> None: ...

class CertificateSummary(_message.Message):
    __slots__ = ("subject", "issuer", "common_name", "organization", "title", "email", "identifiers", "serial_number", "sha256", "not_before", "not_after")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    COMMON_NAME_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    SERIAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    subject: str
    issuer: str
    common_name: str
    organization: str
    title: str
    email: str
    identifiers: _containers.RepeatedCompositeFieldContainer[SubjectIdentifier]
    serial_number: str
    sha256: bytes
    not_before: _timestamp_pb2.Timestamp
    not_after: _timestamp_pb2.Timestamp
    def __init__(self, subject: _Optional[str] = ..., issuer: _Optional[str] = ..., common_name: _Optional[str] = ..., organization: _Optional[str] = ..., title: _Optional[str] = ..., email: _Optional[str] = ..., identifiers: _Optional[_Iterable[_Union[SubjectIdentifier, _Mapping]]] = ..., serial_number: _Optional[str] = ..., sha256: _Optional[bytes] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StatusSource(_message.Message):
    __slots__ = ("kind", "produced_at", "url")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_AT_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    produced_at: _timestamp_pb2.Timestamp
    url: str
    def __init__(self, kind: _Optional[str] = ..., produced_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., url: _Optional[str] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("kind", "covered_bytes", "total_bytes", "revision")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COVERED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    covered_bytes: int
    total_bytes: int
    revision: int
    def __init__(self, kind: _Optional[str] = ..., covered_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class LaterChange(_message.Message):
    __slots__ = ("revision", "kind", "allowed", "description")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    kind: str
    allowed: bool
    description: str
    def __init__(self, revision: _Optional[int] = ..., kind: _Optional[str] = ..., allowed: _Optional[bool] = ..., description: _Optional[str] = ...) -> None: ...

class SignatureReport(_message.Message):
    __slots__ = ("name", "format", "indication", "sub_indication", "integrity", "signer", "path", "claimed_signing_time", "best_signing_time", "algorithm", "coverage", "later_changes", "status_source", "warnings", "sentence_vi", "sentence_en", "clean")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    INDICATION_FIELD_NUMBER: _ClassVar[int]
    SUB_INDICATION_FIELD_NUMBER: _ClassVar[int]
    INTEGRITY_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_SIGNING_TIME_FIELD_NUMBER: _ClassVar[int]
    BEST_SIGNING_TIME_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    LATER_CHANGES_FIELD_NUMBER: _ClassVar[int]
    STATUS_SOURCE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_VI_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_EN_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: str
    indication: Indication
    sub_indication: str
    integrity: str
    signer: CertificateSummary
    path: _containers.RepeatedCompositeFieldContainer[CertificateSummary]
    claimed_signing_time: _timestamp_pb2.Timestamp
    best_signing_time: _timestamp_pb2.Timestamp
    algorithm: str
    coverage: Coverage
    later_changes: _containers.RepeatedCompositeFieldContainer[LaterChange]
    status_source: StatusSource
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    sentence_vi: str
    sentence_en: str
    clean: bool
    def __init__(self, name: _Optional[str] = ..., format: _Optional[str] = ..., indication: _Optional[_Union[Indication, str]] = ..., sub_indication: _Optional[str] = ..., integrity: _Optional[str] = ..., signer: _Optional[_Union[CertificateSummary, _Mapping]] = ..., path: _Optional[_Iterable[_Union[CertificateSummary, _Mapping]]] = ..., claimed_signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., best_signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., algorithm: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., later_changes: _Optional[_Iterable[_Union[LaterChange, _Mapping]]] = ..., status_source: _Optional[_Union[StatusSource, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., sentence_vi: _Optional[str] = ..., sentence_en: _Optional[str] = ..., clean: _Optional[bool] = ...) -> None: ...

class VerifyDocumentResponse(_message.Message):
    __slots__ = ("verdict", "clean", "signatures", "document_sha256", "validated_at", "sentence_vi", "sentence_en", "integrity_only")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    VALIDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_VI_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_EN_FIELD_NUMBER: _ClassVar[int]
    INTEGRITY_ONLY_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    clean: bool
    signatures: _containers.RepeatedCompositeFieldContainer[SignatureReport]
    document_sha256: bytes
    validated_at: _timestamp_pb2.Timestamp
    sentence_vi: str
    sentence_en: str
    integrity_only: bool
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., clean: _Optional[bool] = ..., signatures: _Optional[_Iterable[_Union[SignatureReport, _Mapping]]] = ..., document_sha256: _Optional[bytes] = ..., validated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sentence_vi: _Optional[str] = ..., sentence_en: _Optional[str] = ..., integrity_only: _Optional[bool] = ...) -> None: ...
