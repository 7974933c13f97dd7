"""Document requests of the contract to values of the domain. What a message says wrongly is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from kyso.v1 import signer_pb2
from services.kernel.errors import FieldInvalid
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.domain import DocumentRequest
from services.signer.fields import MAX_FILE_NAME, require_text
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import (
    Envelope,
    FormatName,
    Level,
    PackagingName,
    Place,
    ProfileName,
    Visible,
)
from services.signer.service.extension import ExtensionRequest
from services.signer.service.levels import LevelWanted
from services.signer.servicer import translate

_FORMATS: dict[int, FormatName] = {
    signer_pb2.SIGNATURE_FORMAT_PADES: "PADES",
    signer_pb2.SIGNATURE_FORMAT_CADES: "CADES",
    signer_pb2.SIGNATURE_FORMAT_XADES: "XADES",
    signer_pb2.SIGNATURE_FORMAT_XMLDSIG: "XMLDSIG",
    signer_pb2.SIGNATURE_FORMAT_JADES: "JADES",
    signer_pb2.SIGNATURE_FORMAT_ASIC_S: "ASIC_S",
    signer_pb2.SIGNATURE_FORMAT_ASIC_E: "ASIC_E",
    signer_pb2.SIGNATURE_FORMAT_SMIME: "SMIME",
}
_LEVELS: dict[int, Level] = {
    signer_pb2.SIGNATURE_LEVEL_B_B: Level.B_B,
    signer_pb2.SIGNATURE_LEVEL_B_T: Level.B_T,
    signer_pb2.SIGNATURE_LEVEL_B_LT: Level.B_LT,
    signer_pb2.SIGNATURE_LEVEL_B_LTA: Level.B_LTA,
}
LEVEL_NUMBERS: dict[Level, signer_pb2.SignatureLevel] = {
    Level.B_B: signer_pb2.SIGNATURE_LEVEL_B_B,
    Level.B_T: signer_pb2.SIGNATURE_LEVEL_B_T,
    Level.B_LT: signer_pb2.SIGNATURE_LEVEL_B_LT,
    Level.B_LTA: signer_pb2.SIGNATURE_LEVEL_B_LTA,
}
_PACKAGINGS: dict[int, PackagingName | None] = {
    signer_pb2.SIGNATURE_PACKAGING_UNSPECIFIED: None,
    signer_pb2.SIGNATURE_PACKAGING_ENVELOPED: "ENVELOPED",
    signer_pb2.SIGNATURE_PACKAGING_DETACHED: "DETACHED",
    signer_pb2.SIGNATURE_PACKAGING_ENVELOPING: "ENVELOPING",
}
_RULES: dict[int, bool] = {
    signer_pb2.LEVEL_RULE_UNSPECIFIED: False,
    signer_pb2.LEVEL_RULE_REFUSE: False,
    signer_pb2.LEVEL_RULE_LOWER: True,
}
_CERTIFICATIONS: dict[int, Literal[0, 1, 2, 3]] = {
    signer_pb2.PDF_CERTIFICATION_UNSPECIFIED: 0,
    signer_pb2.PDF_CERTIFICATION_NO_CHANGES: 1,
    signer_pb2.PDF_CERTIFICATION_FORMS: 2,
    signer_pb2.PDF_CERTIFICATION_ANNOTATIONS: 3,
}
_PROFILES: dict[int, ProfileName] = {
    signer_pb2.VISIBLE_PROFILE_ND30_PERSON: "nd30.person",
    signer_pb2.VISIBLE_PROFILE_ND30_AGENCY: "nd30.agency",
    signer_pb2.VISIBLE_PROFILE_ND30_ATTACHMENT: "nd30.attachment",
    signer_pb2.VISIBLE_PROFILE_ND30_COPY: "nd30.copy",
    signer_pb2.VISIBLE_PROFILE_ARCHIVE05: "archive05",
    signer_pb2.VISIBLE_PROFILE_BLOCK: "block",
    signer_pb2.VISIBLE_PROFILE_FREE: "free",
}
_COPIES: dict[int, Literal["", "SAO Y", "SAO LỤC", "TRÍCH SAO"]] = {
    signer_pb2.COPY_FORM_UNSPECIFIED: "",
    signer_pb2.COPY_FORM_SAO_Y: "SAO Y",
    signer_pb2.COPY_FORM_SAO_LUC: "SAO LỤC",
    signer_pb2.COPY_FORM_TRICH_SAO: "TRÍCH SAO",
}
_XML_PLACEMENTS: dict[int, Literal["LAST_CHILD", "FIRST_CHILD", "AFTER"]] = {
    signer_pb2.XML_PLACEMENT_UNSPECIFIED: "LAST_CHILD",
    signer_pb2.XML_PLACEMENT_LAST_CHILD: "LAST_CHILD",
    signer_pb2.XML_PLACEMENT_FIRST_CHILD: "FIRST_CHILD",
    signer_pb2.XML_PLACEMENT_AFTER: "AFTER",
}
_SERIALIZATIONS: dict[int, Literal["", "COMPACT", "FLATTENED", "GENERAL"]] = {
    signer_pb2.JSON_SERIALIZATION_UNSPECIFIED: "",
    signer_pb2.JSON_SERIALIZATION_COMPACT: "COMPACT",
    signer_pb2.JSON_SERIALIZATION_FLATTENED: "FLATTENED",
    signer_pb2.JSON_SERIALIZATION_GENERAL: "GENERAL",
}
_RELATIONS: dict[int, Literal["", "PARALLEL", "COUNTER"]] = {
    signer_pb2.CMS_RELATION_UNSPECIFIED: "",
    signer_pb2.CMS_RELATION_PARALLEL: "PARALLEL",
    signer_pb2.CMS_RELATION_COUNTER: "COUNTER",
}
_ASIC: dict[int, Literal["XADES", "CADES"]] = {
    signer_pb2.ASIC_SIGNATURE_UNSPECIFIED: "XADES",
    signer_pb2.ASIC_SIGNATURE_XADES: "XADES",
    signer_pb2.ASIC_SIGNATURE_CADES: "CADES",
}
_ROLES: dict[int, Role] = {
    signer_pb2.PART_ROLE_UNSPECIFIED: Role.CONTENT,
    signer_pb2.PART_ROLE_CONTENT: Role.CONTENT,
    signer_pb2.PART_ROLE_SIGNATURE: Role.SIGNATURE,
    signer_pb2.PART_ROLE_IMAGE: Role.IMAGE,
}
MAX_MEDIA_TYPE = 127

T = TypeVar("T")


def document_request(header: signer_pb2.SignDocumentHeader) -> DocumentRequest:
    """Read what is asked about a document."""
    algorithm = translate.digest_algorithm(header.digest_algorithm)
    return DocumentRequest(
        credential_id=header.credential_id,
        idempotency_key=header.idempotency_key,
        envelope=_envelope(header),
        digest_algorithm=algorithm,
        scheme=translate.scheme(header.scheme),
        declaration=translate.declaration(header.context),
        file_name=header.file_name,
        content_digest=_content_digest(header, algorithm),
    )


def extension_request(header: signer_pb2.ExtendDocumentHeader) -> ExtensionRequest:
    """Read what is asked about a signed document."""
    algorithm = translate.digest_algorithm(header.digest_algorithm)
    options = header.level_options
    wanted = LevelWanted(
        _known(_LEVELS, header.level, "level"),
        algorithm,
        _known(_RULES, options.rule, "level_options.rule"),
        require_text(options.time_stamp_authority, "level_options.time_stamp_authority", 64),
    )
    return ExtensionRequest(wanted, translate.declaration(header.context), _content_digest(header, algorithm))


def file_start(part: signer_pb2.DocumentPart) -> FileStart:
    """Read the beginning of a file."""
    return FileStart(
        _known(_ROLES, part.role, "part.role"),
        require_text(part.name, "part.name", MAX_FILE_NAME),
        require_text(part.media_type, "part.media_type", MAX_MEDIA_TYPE),
    )


def _envelope(header: signer_pb2.SignDocumentHeader) -> Envelope:
    return Envelope(
        format=_known(_FORMATS, header.format, "format"),
        level=_known(_LEVELS, header.level, "level"),
        packaging=_known(_PACKAGINGS, header.packaging, "packaging"),
        may_be_lower=_known(_RULES, header.level_options.rule, "level_options.rule"),
        time_stamp_authority=header.level_options.time_stamp_authority,
        reason=header.reason or None,
        location=header.location or None,
        field_name=header.field_name or None,
        certification=_known(_CERTIFICATIONS, header.pdf.certification, "pdf.certification"),
        visible=_visible(header.pdf.visible) if header.pdf.HasField("visible") else None,
        xml_target_id=header.xml.target_id,
        xml_parent=header.xml.parent,
        xml_placement=_known(_XML_PLACEMENTS, header.xml.placement, "xml.placement"),
        json_serialization=_known(_SERIALIZATIONS, header.json_serialization, "json_serialization"),
        cms_relation=_known(_RELATIONS, header.cms_relation, "cms_relation"),
        asic_signature=_known(_ASIC, header.asic_signature, "asic_signature"),
    )


def _visible(message: signer_pb2.VisibleSignature) -> Visible:
    return Visible(
        profile=_known(_PROFILES, message.profile, "pdf.visible.profile"),
        place=_place(message),
        printed_name=message.printed_name,
        image_width_mm=message.image_width_mm,
        image_height_mm=message.image_height_mm,
        document_number=message.document_number,
        agency_name=message.agency_name,
        copy_form=_known(_COPIES, message.copy_form, "pdf.visible.copy_form"),
        lines=tuple(message.lines),
    )


def _place(message: signer_pb2.VisibleSignature) -> Place | None:
    match message.WhichOneof("place"):
        case "box":
            box = message.box
            return Place(box.width, box.height, box.page, box.left, box.bottom)
        case "anchor":
            anchor = message.anchor
            return Place(anchor.width, anchor.height, 0, anchor.offset_x, anchor.offset_y, anchor.text)
    return None


def _content_digest(
    header: signer_pb2.SignDocumentHeader | signer_pb2.ExtendDocumentHeader, algorithm: DigestAlgorithm
) -> Digest | None:
    return Digest(algorithm, header.content_digest) if header.HasField("content_digest") else None


def _known(table: Mapping[int, T], number: int, field: str) -> T:
    if number not in table:
        raise FieldInvalid(f"{field} is not said, or is not one that this contract knows", field=field)
    return table[number]
