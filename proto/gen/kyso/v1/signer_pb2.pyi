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
    SIGNATURE_FORMAT_XADES: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_XMLDSIG: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_JADES: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_ASIC_S: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_ASIC_E: _ClassVar[SignatureFormat]
    SIGNATURE_FORMAT_SMIME: _ClassVar[SignatureFormat]

class SignatureLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_LEVEL_UNSPECIFIED: _ClassVar[SignatureLevel]
    SIGNATURE_LEVEL_B_B: _ClassVar[SignatureLevel]
    SIGNATURE_LEVEL_B_T: _ClassVar[SignatureLevel]
    SIGNATURE_LEVEL_B_LT: _ClassVar[SignatureLevel]
    SIGNATURE_LEVEL_B_LTA: _ClassVar[SignatureLevel]

class SignaturePackaging(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_PACKAGING_UNSPECIFIED: _ClassVar[SignaturePackaging]
    SIGNATURE_PACKAGING_ENVELOPED: _ClassVar[SignaturePackaging]
    SIGNATURE_PACKAGING_DETACHED: _ClassVar[SignaturePackaging]
    SIGNATURE_PACKAGING_ENVELOPING: _ClassVar[SignaturePackaging]

class LevelRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEVEL_RULE_UNSPECIFIED: _ClassVar[LevelRule]
    LEVEL_RULE_REFUSE: _ClassVar[LevelRule]
    LEVEL_RULE_LOWER: _ClassVar[LevelRule]

class PdfCertification(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PDF_CERTIFICATION_UNSPECIFIED: _ClassVar[PdfCertification]
    PDF_CERTIFICATION_NO_CHANGES: _ClassVar[PdfCertification]
    PDF_CERTIFICATION_FORMS: _ClassVar[PdfCertification]
    PDF_CERTIFICATION_ANNOTATIONS: _ClassVar[PdfCertification]

class VisibleProfile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VISIBLE_PROFILE_UNSPECIFIED: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_ND30_PERSON: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_ND30_AGENCY: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_ND30_ATTACHMENT: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_ND30_COPY: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_ARCHIVE05: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_BLOCK: _ClassVar[VisibleProfile]
    VISIBLE_PROFILE_FREE: _ClassVar[VisibleProfile]

class CopyForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COPY_FORM_UNSPECIFIED: _ClassVar[CopyForm]
    COPY_FORM_SAO_Y: _ClassVar[CopyForm]
    COPY_FORM_SAO_LUC: _ClassVar[CopyForm]
    COPY_FORM_TRICH_SAO: _ClassVar[CopyForm]

class XmlPlacement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    XML_PLACEMENT_UNSPECIFIED: _ClassVar[XmlPlacement]
    XML_PLACEMENT_LAST_CHILD: _ClassVar[XmlPlacement]
    XML_PLACEMENT_FIRST_CHILD: _ClassVar[XmlPlacement]
    XML_PLACEMENT_AFTER: _ClassVar[XmlPlacement]

class JsonSerialization(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JSON_SERIALIZATION_UNSPECIFIED: _ClassVar[JsonSerialization]
    JSON_SERIALIZATION_COMPACT: _ClassVar[JsonSerialization]
    JSON_SERIALIZATION_FLATTENED: _ClassVar[JsonSerialization]
    JSON_SERIALIZATION_GENERAL: _ClassVar[JsonSerialization]

class CmsRelation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CMS_RELATION_UNSPECIFIED: _ClassVar[CmsRelation]
    CMS_RELATION_PARALLEL: _ClassVar[CmsRelation]
    CMS_RELATION_COUNTER: _ClassVar[CmsRelation]

class AsicSignature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASIC_SIGNATURE_UNSPECIFIED: _ClassVar[AsicSignature]
    ASIC_SIGNATURE_XADES: _ClassVar[AsicSignature]
    ASIC_SIGNATURE_CADES: _ClassVar[AsicSignature]

class PartRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_ROLE_UNSPECIFIED: _ClassVar[PartRole]
    PART_ROLE_CONTENT: _ClassVar[PartRole]
    PART_ROLE_SIGNATURE: _ClassVar[PartRole]
    PART_ROLE_IMAGE: _ClassVar[PartRole]

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
SIGNATURE_FORMAT_XADES: SignatureFormat
SIGNATURE_FORMAT_XMLDSIG: SignatureFormat
SIGNATURE_FORMAT_JADES: SignatureFormat
SIGNATURE_FORMAT_ASIC_S: SignatureFormat
SIGNATURE_FORMAT_ASIC_E: SignatureFormat
SIGNATURE_FORMAT_SMIME: SignatureFormat
SIGNATURE_LEVEL_UNSPECIFIED: SignatureLevel
SIGNATURE_LEVEL_B_B: SignatureLevel
SIGNATURE_LEVEL_B_T: SignatureLevel
SIGNATURE_LEVEL_B_LT: SignatureLevel
SIGNATURE_LEVEL_B_LTA: SignatureLevel
SIGNATURE_PACKAGING_UNSPECIFIED: SignaturePackaging
SIGNATURE_PACKAGING_ENVELOPED: SignaturePackaging
SIGNATURE_PACKAGING_DETACHED: SignaturePackaging
SIGNATURE_PACKAGING_ENVELOPING: SignaturePackaging
LEVEL_RULE_UNSPECIFIED: LevelRule
LEVEL_RULE_REFUSE: LevelRule
LEVEL_RULE_LOWER: LevelRule
PDF_CERTIFICATION_UNSPECIFIED: PdfCertification
PDF_CERTIFICATION_NO_CHANGES: PdfCertification
PDF_CERTIFICATION_FORMS: PdfCertification
PDF_CERTIFICATION_ANNOTATIONS: PdfCertification
VISIBLE_PROFILE_UNSPECIFIED: VisibleProfile
VISIBLE_PROFILE_ND30_PERSON: VisibleProfile
VISIBLE_PROFILE_ND30_AGENCY: VisibleProfile
VISIBLE_PROFILE_ND30_ATTACHMENT: VisibleProfile
VISIBLE_PROFILE_ND30_COPY: VisibleProfile
VISIBLE_PROFILE_ARCHIVE05: VisibleProfile
VISIBLE_PROFILE_BLOCK: VisibleProfile
VISIBLE_PROFILE_FREE: VisibleProfile
COPY_FORM_UNSPECIFIED: CopyForm
COPY_FORM_SAO_Y: CopyForm
COPY_FORM_SAO_LUC: CopyForm
COPY_FORM_TRICH_SAO: CopyForm
XML_PLACEMENT_UNSPECIFIED: XmlPlacement
XML_PLACEMENT_LAST_CHILD: XmlPlacement
XML_PLACEMENT_FIRST_CHILD: XmlPlacement
XML_PLACEMENT_AFTER: XmlPlacement
JSON_SERIALIZATION_UNSPECIFIED: JsonSerialization
JSON_SERIALIZATION_COMPACT: JsonSerialization
JSON_SERIALIZATION_FLATTENED: JsonSerialization
JSON_SERIALIZATION_GENERAL: JsonSerialization
CMS_RELATION_UNSPECIFIED: CmsRelation
CMS_RELATION_PARALLEL: CmsRelation
CMS_RELATION_COUNTER: CmsRelation
ASIC_SIGNATURE_UNSPECIFIED: AsicSignature
ASIC_SIGNATURE_XADES: AsicSignature
ASIC_SIGNATURE_CADES: AsicSignature
PART_ROLE_UNSPECIFIED: PartRole
PART_ROLE_CONTENT: PartRole
PART_ROLE_SIGNATURE: PartRole
PART_ROLE_IMAGE: PartRole
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

class LevelOptions(_message.Message):
    __slots__ = ("rule", "time_stamp_authority")
    RULE_FIELD_NUMBER: _ClassVar[int]
    TIME_STAMP_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    rule: LevelRule
    time_stamp_authority: str
    def __init__(self, rule: _Optional[_Union[LevelRule, str]] = ..., time_stamp_authority: _Optional[str] = ...) -> None: ...

class PageBox(_message.Message):
    __slots__ = ("page", "left", "bottom", "width", "height")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    page: int
    left: float
    bottom: float
    width: float
    height: float
    def __init__(self, page: _Optional[int] = ..., left: _Optional[float] = ..., bottom: _Optional[float] = ..., width: _Optional[float] = ..., height: _Optional[float] = ...) -> None: ...

class TextAnchor(_message.Message):
    __slots__ = ("text", "width", "height", "offset_x", "offset_y")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_X_FIELD_NUMBER: _ClassVar[int]
    OFFSET_Y_FIELD_NUMBER: _ClassVar[int]
    text: str
    width: float
    height: float
    offset_x: float
    offset_y: float
    def __init__(self, text: _Optional[str] = ..., width: _Optional[float] = ..., height: _Optional[float] = ..., offset_x: _Optional[float] = ..., offset_y: _Optional[float] = ...) -> None: ...

class VisibleSignature(_message.Message):
    __slots__ = ("profile", "box", "anchor", "printed_name", "image_width_mm", "image_height_mm", "document_number", "agency_name", "copy_form", "lines")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    PRINTED_NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
    IMAGE_HEIGHT_MM_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    AGENCY_NAME_FIELD_NUMBER: _ClassVar[int]
    COPY_FORM_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    profile: VisibleProfile
    box: PageBox
    anchor: TextAnchor
    printed_name: str
    image_width_mm: float
    image_height_mm: float
    document_number: str
    agency_name: str
    copy_form: CopyForm
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, profile: _Optional[_Union[VisibleProfile, str]] = ..., box: _Optional[_Union[PageBox, _Mapping]] = ..., anchor: _Optional[_Union[TextAnchor, _Mapping]] = ..., printed_name: _Optional[str] = ..., image_width_mm: _Optional[float] = ..., image_height_mm: _Optional[float] = ..., document_number: _Optional[str] = ..., agency_name: _Optional[str] = ..., copy_form: _Optional[_Union[CopyForm, str]] = ..., lines: _Optional[_Iterable[str]] = ...) -> None: ...

class PdfOptions(_message.Message):
    __slots__ = ("certification", "visible")
    CERTIFICATION_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_FIELD_NUMBER: _ClassVar[int]
    certification: PdfCertification
    visible: VisibleSignature
    def __init__(self, certification: _Optional[_Union[PdfCertification, str]] = ..., visible: _Optional[_Union[VisibleSignature, _Mapping]] = ...) -> None: ...

class XmlOptions(_message.Message):
    __slots__ = ("target_id", "parent", "placement")
    TARGET_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    target_id: str
    parent: str
    placement: XmlPlacement
    def __init__(self, target_id: _Optional[str] = ..., parent: _Optional[str] = ..., placement: _Optional[_Union[XmlPlacement, str]] = ...) -> None: ...

class SignDocumentHeader(_message.Message):
    __slots__ = ("credential_id", "idempotency_key", "format", "level", "packaging", "digest_algorithm", "scheme", "context", "reason", "location", "field_name", "file_name", "content_digest", "level_options", "pdf", "xml", "json_serialization", "cms_relation", "asic_signature")
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
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEVEL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PDF_FIELD_NUMBER: _ClassVar[int]
    XML_FIELD_NUMBER: _ClassVar[int]
    JSON_SERIALIZATION_FIELD_NUMBER: _ClassVar[int]
    CMS_RELATION_FIELD_NUMBER: _ClassVar[int]
    ASIC_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
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
    content_digest: bytes
    level_options: LevelOptions
    pdf: PdfOptions
    xml: XmlOptions
    json_serialization: JsonSerialization
    cms_relation: CmsRelation
    asic_signature: AsicSignature
    def __init__(self, credential_id: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., format: _Optional[_Union[SignatureFormat, str]] = ..., level: _Optional[_Union[SignatureLevel, str]] = ..., packaging: _Optional[_Union[SignaturePackaging, str]] = ..., digest_algorithm: _Optional[_Union[_common_pb2.DigestAlgorithm, str]] = ..., scheme: _Optional[_Union[_common_pb2.SignatureScheme, str]] = ..., context: _Optional[_Union[SigningContext, _Mapping]] = ..., reason: _Optional[str] = ..., location: _Optional[str] = ..., field_name: _Optional[str] = ..., file_name: _Optional[str] = ..., content_digest: _Optional[bytes] = ..., level_options: _Optional[_Union[LevelOptions, _Mapping]] = ..., pdf: _Optional[_Union[PdfOptions, _Mapping]] = ..., xml: _Optional[_Union[XmlOptions, _Mapping]] = ..., json_serialization: _Optional[_Union[JsonSerialization, str]] = ..., cms_relation: _Optional[_Union[CmsRelation, str]] = ..., asic_signature: _Optional[_Union[AsicSignature, str]] = ...) -> None: ...

class DocumentPart(_message.Message):
    __slots__ = ("role", "name", "media_type")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    role: PartRole
    name: str
    media_type: str
    def __init__(self, role: _Optional[_Union[PartRole, str]] = ..., name: _Optional[str] = ..., media_type: _Optional[str] = ...) -> None: ...

class DocumentEnd(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class SignDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "end", "next")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    header: SignDocumentHeader
    chunk: bytes
    end: DocumentEnd
    next: DocumentPart
    def __init__(self, header: _Optional[_Union[SignDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., end: _Optional[_Union[DocumentEnd, _Mapping]] = ..., next: _Optional[_Union[DocumentPart, _Mapping]] = ...) -> None: ...

class SignDocumentResult(_message.Message):
    __slots__ = ("operation_id", "media_type", "size", "signing_time", "replayed", "level", "level_missed", "warnings")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_MISSED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    media_type: str
    size: int
    signing_time: _timestamp_pb2.Timestamp
    replayed: bool
    level: SignatureLevel
    level_missed: _common_pb2.ItemError
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, operation_id: _Optional[str] = ..., media_type: _Optional[str] = ..., size: _Optional[int] = ..., signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed: _Optional[bool] = ..., level: _Optional[_Union[SignatureLevel, str]] = ..., level_missed: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("operation_id", "state", "credential_id", "created_at", "ended_at", "error", "document_available", "document_expires_at", "media_type", "file_name", "level", "level_missed", "warnings")
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
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_MISSED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
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
    level: SignatureLevel
    level_missed: _common_pb2.ItemError
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, operation_id: _Optional[str] = ..., state: _Optional[_Union[OperationState, str]] = ..., credential_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ..., document_available: _Optional[bool] = ..., document_expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., media_type: _Optional[str] = ..., file_name: _Optional[str] = ..., level: _Optional[_Union[SignatureLevel, str]] = ..., level_missed: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

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

class PrepareDocumentResponse(_message.Message):
    __slots__ = ("digest_algorithm", "hashed", "contents_bytes", "sub_filter", "signing_time")
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    HASHED_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUB_FILTER_FIELD_NUMBER: _ClassVar[int]
    SIGNING_TIME_FIELD_NUMBER: _ClassVar[int]
    digest_algorithm: _common_pb2.DigestAlgorithm
    hashed: str
    contents_bytes: int
    sub_filter: str
    signing_time: _timestamp_pb2.Timestamp
    def __init__(self, digest_algorithm: _Optional[_Union[_common_pb2.DigestAlgorithm, str]] = ..., hashed: _Optional[str] = ..., contents_bytes: _Optional[int] = ..., sub_filter: _Optional[str] = ..., signing_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExtendDocumentHeader(_message.Message):
    __slots__ = ("level", "digest_algorithm", "level_options", "context", "file_name", "content_digest")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    LEVEL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    level: SignatureLevel
    digest_algorithm: _common_pb2.DigestAlgorithm
    level_options: LevelOptions
    context: SigningContext
    file_name: str
    content_digest: bytes
    def __init__(self, level: _Optional[_Union[SignatureLevel, str]] = ..., digest_algorithm: _Optional[_Union[_common_pb2.DigestAlgorithm, str]] = ..., level_options: _Optional[_Union[LevelOptions, _Mapping]] = ..., context: _Optional[_Union[SigningContext, _Mapping]] = ..., file_name: _Optional[str] = ..., content_digest: _Optional[bytes] = ...) -> None: ...

class ExtendDocumentRequest(_message.Message):
    __slots__ = ("header", "chunk", "end", "next")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    header: ExtendDocumentHeader
    chunk: bytes
    end: DocumentEnd
    next: DocumentPart
    def __init__(self, header: _Optional[_Union[ExtendDocumentHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., end: _Optional[_Union[DocumentEnd, _Mapping]] = ..., next: _Optional[_Union[DocumentPart, _Mapping]] = ...) -> None: ...

class TimeStampRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class TimeStampResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    def __init__(self, response: _Optional[bytes] = ...) -> None: ...

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
