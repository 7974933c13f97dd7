import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_FORM_UNSPECIFIED: _ClassVar[ReportForm]
    REPORT_FORM_ETSI: _ClassVar[ReportForm]
    REPORT_FORM_HTML: _ClassVar[ReportForm]
    REPORT_FORM_PDF: _ClassVar[ReportForm]

class ReportLanguage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_LANGUAGE_UNSPECIFIED: _ClassVar[ReportLanguage]
    REPORT_LANGUAGE_VI: _ClassVar[ReportLanguage]
    REPORT_LANGUAGE_EN: _ClassVar[ReportLanguage]
    REPORT_LANGUAGE_BOTH: _ClassVar[ReportLanguage]

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

class ExaminationFileKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXAMINATION_FILE_KIND_UNSPECIFIED: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_REPORT: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_CERTIFICATE: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_CRL: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_OCSP_RESPONSE: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_TIME_STAMP: _ClassVar[ExaminationFileKind]
    EXAMINATION_FILE_KIND_ORIGINAL: _ClassVar[ExaminationFileKind]
REPORT_FORM_UNSPECIFIED: ReportForm
REPORT_FORM_ETSI: ReportForm
REPORT_FORM_HTML: ReportForm
REPORT_FORM_PDF: ReportForm
REPORT_LANGUAGE_UNSPECIFIED: ReportLanguage
REPORT_LANGUAGE_VI: ReportLanguage
REPORT_LANGUAGE_EN: ReportLanguage
REPORT_LANGUAGE_BOTH: ReportLanguage
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
EXAMINATION_FILE_KIND_UNSPECIFIED: ExaminationFileKind
EXAMINATION_FILE_KIND_REPORT: ExaminationFileKind
EXAMINATION_FILE_KIND_CERTIFICATE: ExaminationFileKind
EXAMINATION_FILE_KIND_CRL: ExaminationFileKind
EXAMINATION_FILE_KIND_OCSP_RESPONSE: ExaminationFileKind
EXAMINATION_FILE_KIND_TIME_STAMP: ExaminationFileKind
EXAMINATION_FILE_KIND_ORIGINAL: ExaminationFileKind

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
    __slots__ = ("file_name", "detached", "integrity_only", "valid_at", "owner", "report_form", "report_language", "include_evidence", "keep_evidence", "evidence_reference", "include_originals")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    INTEGRITY_ONLY_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REPORT_FORM_FIELD_NUMBER: _ClassVar[int]
    REPORT_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    KEEP_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ORIGINALS_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    detached: bool
    integrity_only: bool
    valid_at: _timestamp_pb2.Timestamp
    owner: DossierOwner
    report_form: ReportForm
    report_language: ReportLanguage
    include_evidence: bool
    keep_evidence: bool
    evidence_reference: str
    include_originals: bool
    def __init__(self, file_name: _Optional[str] = ..., detached: _Optional[bool] = ..., integrity_only: _Optional[bool] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owner: _Optional[_Union[DossierOwner, _Mapping]] = ..., report_form: _Optional[_Union[ReportForm, str]] = ..., report_language: _Optional[_Union[ReportLanguage, str]] = ..., include_evidence: _Optional[bool] = ..., keep_evidence: _Optional[bool] = ..., evidence_reference: _Optional[str] = ..., include_originals: _Optional[bool] = ...) -> None: ...

class DossierOwner(_message.Message):
    __slots__ = ("name", "tax_code", "citizen_id", "passport", "code", "head_office_counts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TAX_CODE_FIELD_NUMBER: _ClassVar[int]
    CITIZEN_ID_FIELD_NUMBER: _ClassVar[int]
    PASSPORT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    HEAD_OFFICE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    tax_code: str
    citizen_id: str
    passport: str
    code: str
    head_office_counts: bool
    def __init__(self, name: _Optional[str] = ..., tax_code: _Optional[str] = ..., citizen_id: _Optional[str] = ..., passport: _Optional[str] = ..., code: _Optional[str] = ..., head_office_counts: _Optional[bool] = ...) -> None: ...

class DetachedContent(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VerifyDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "detached_chunk", "content")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DETACHED_CHUNK_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    header: VerifyDocumentHeader
    chunk: bytes
    detached_chunk: bytes
    content: DetachedContent
    def __init__(self, header: _Optional[_Union[VerifyDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., detached_chunk: _Optional[bytes] = ..., content: _Optional[_Union[DetachedContent, _Mapping]] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("code", "vi", "en", "detail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    VI_FIELD_NUMBER: _ClassVar[int]
    EN_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    code: str
    vi: str
    en: str
    detail: str
    def __init__(self, code: _Optional[str] = ..., vi: _Optional[str] = ..., en: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class SubjectIdentifier(_message.Message):
    __slots__ = ("type", "value", "malformed", "prefix")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    type: str
    value: str
    malformed: bool
    prefix: str
    def __init__(self, type: _Optional[str] = ..., value: _Optional[str] = ..., malformed: _Optional[bool] = ..., prefix: _Optional[str] = ...) -> None: ...

class CertificateSummary(_message.Message):
    __slots__ = ("subject", "issuer", "common_name", "organization", "title", "email", "identifiers", "serial_number", "sha256", "not_before", "not_after", "organizational_unit", "issuer_name")
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
    ORGANIZATIONAL_UNIT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_NAME_FIELD_NUMBER: _ClassVar[int]
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
    organizational_unit: str
    issuer_name: str
    def __init__(self, subject: _Optional[str] = ..., issuer: _Optional[str] = ..., common_name: _Optional[str] = ..., organization: _Optional[str] = ..., title: _Optional[str] = ..., email: _Optional[str] = ..., identifiers: _Optional[_Iterable[_Union[SubjectIdentifier, _Mapping]]] = ..., serial_number: _Optional[str] = ..., sha256: _Optional[bytes] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., organizational_unit: _Optional[str] = ..., issuer_name: _Optional[str] = ...) -> None: ...

class StatusSource(_message.Message):
    __slots__ = ("kind", "produced_at", "url", "next_update", "revoked_at", "reason")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_AT_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    produced_at: _timestamp_pb2.Timestamp
    url: str
    next_update: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, kind: _Optional[str] = ..., produced_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., url: _Optional[str] = ..., next_update: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class OwnerMatch(_message.Message):
    __slots__ = ("result", "reason", "vi", "en")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VI_FIELD_NUMBER: _ClassVar[int]
    EN_FIELD_NUMBER: _ClassVar[int]
    result: str
    reason: str
    vi: str
    en: str
    def __init__(self, result: _Optional[str] = ..., reason: _Optional[str] = ..., vi: _Optional[str] = ..., en: _Optional[str] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("kind", "covered_bytes", "total_bytes", "revision", "revisions")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COVERED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    covered_bytes: int
    total_bytes: int
    revision: int
    revisions: int
    def __init__(self, kind: _Optional[str] = ..., covered_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., revision: _Optional[int] = ..., revisions: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("name", "format", "indication", "sub_indication", "integrity", "signer", "path", "claimed_signing_time", "best_signing_time", "algorithm", "coverage", "later_changes", "status_source", "warnings", "sentence_vi", "sentence_en", "clean", "kind", "detail", "signing_time_source", "time_stamp_authority", "digest_algorithm", "owner")
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
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SIGNING_TIME_SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_STAMP_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
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
    kind: str
    detail: str
    signing_time_source: str
    time_stamp_authority: str
    digest_algorithm: str
    owner: OwnerMatch
    def __init__(self, name: _Optional[str] = ..., format: _Optional[str] = ..., indication: _Optional[_Union[Indication, str]] = ..., sub_indication: _Optional[str] = ..., integrity: _Optional[str] = ..., signer: _Optional[_Union[CertificateSummary, _Mapping]] = ..., path: _Optional[_Iterable[_Union[CertificateSummary, _Mapping]]] = ..., claimed_signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., best_signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., algorithm: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., later_changes: _Optional[_Iterable[_Union[LaterChange, _Mapping]]] = ..., status_source: _Optional[_Union[StatusSource, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., sentence_vi: _Optional[str] = ..., sentence_en: _Optional[str] = ..., clean: _Optional[bool] = ..., kind: _Optional[str] = ..., detail: _Optional[str] = ..., signing_time_source: _Optional[str] = ..., time_stamp_authority: _Optional[str] = ..., digest_algorithm: _Optional[str] = ..., owner: _Optional[_Union[OwnerMatch, _Mapping]] = ...) -> None: ...

class VerifyDocumentResponse(_message.Message):
    __slots__ = ("verdict", "clean", "signatures", "document_sha256", "validated_at", "sentence_vi", "sentence_en", "integrity_only", "valid_at", "warnings", "format", "evidence_id", "evidence_left_out", "owner", "originals", "inner")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    VALIDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_VI_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_EN_FIELD_NUMBER: _ClassVar[int]
    INTEGRITY_ONLY_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    ORIGINALS_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    clean: bool
    signatures: _containers.RepeatedCompositeFieldContainer[SignatureReport]
    document_sha256: bytes
    validated_at: _timestamp_pb2.Timestamp
    sentence_vi: str
    sentence_en: str
    integrity_only: bool
    valid_at: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    format: str
    evidence_id: str
    evidence_left_out: int
    owner: OwnerMatch
    originals: int
    inner: _containers.RepeatedCompositeFieldContainer[InnerDocument]
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., clean: _Optional[bool] = ..., signatures: _Optional[_Iterable[_Union[SignatureReport, _Mapping]]] = ..., document_sha256: _Optional[bytes] = ..., validated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sentence_vi: _Optional[str] = ..., sentence_en: _Optional[str] = ..., integrity_only: _Optional[bool] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., format: _Optional[str] = ..., evidence_id: _Optional[str] = ..., evidence_left_out: _Optional[int] = ..., owner: _Optional[_Union[OwnerMatch, _Mapping]] = ..., originals: _Optional[int] = ..., inner: _Optional[_Iterable[_Union[InnerDocument, _Mapping]]] = ...) -> None: ...

class InnerDocument(_message.Message):
    __slots__ = ("name", "report")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    report: VerifyDocumentResponse
    def __init__(self, name: _Optional[str] = ..., report: _Optional[_Union[VerifyDocumentResponse, _Mapping]] = ...) -> None: ...

class ExaminationFile(_message.Message):
    __slots__ = ("kind", "name", "media_type", "size", "sha256", "signed_by")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNED_BY_FIELD_NUMBER: _ClassVar[int]
    kind: ExaminationFileKind
    name: str
    media_type: str
    size: int
    sha256: bytes
    signed_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[ExaminationFileKind, str]] = ..., name: _Optional[str] = ..., media_type: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[bytes] = ..., signed_by: _Optional[_Iterable[str]] = ...) -> None: ...

class ExamineDocumentResponse(_message.Message):
    __slots__ = ("report", "file", "chunk")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    report: VerifyDocumentResponse
    file: ExaminationFile
    chunk: bytes
    def __init__(self, report: _Optional[_Union[VerifyDocumentResponse, _Mapping]] = ..., file: _Optional[_Union[ExaminationFile, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...
