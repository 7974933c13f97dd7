"""Reading what a caller asks of a signature: JSON fields -> the header that goes to the signer.

Types, lengths and words are checked here; whether they make sense together the signer says, except where an option of
one format stands in a request for another: that is refused before a document is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway import translate
from gateway.fields import Fields
from kyso.v1 import common_pb2 as common
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import AlgorithmUnknown, FieldInvalid

MAX_POINTS = 14_400.0
"""ISO 32000-1 annex C: the longest side of a page."""
MAX_MILLIMETRES = 500.0
MAX_PAGE = 100_000
MAX_FIELD_NAME = 128
MAX_PATH = 512
MAX_DIGEST = 64
MODES = {"sync": "sync", "async": "async"}

_PADES = frozenset({messages.SIGNATURE_FORMAT_PADES})
_CADES = frozenset({messages.SIGNATURE_FORMAT_CADES})
_XML = frozenset({messages.SIGNATURE_FORMAT_XADES, messages.SIGNATURE_FORMAT_XMLDSIG})
_JADES = frozenset({messages.SIGNATURE_FORMAT_JADES})
_ASIC = frozenset({messages.SIGNATURE_FORMAT_ASIC_S, messages.SIGNATURE_FORMAT_ASIC_E})
_BELONGS = {
    "reason": _PADES,
    "location": _PADES,
    "field_name": _PADES,
    "pdf": _PADES,
    "xml": _XML,
    "json_serialization": _JADES,
    "cms_relation": _CADES,
    "asic_signature": _ASIC,
}
"""Option -> the formats that have a place for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to sign: the header, and whether the caller waits."""

    header: messages.SignDocumentHeader
    mode: str = "sync"

    @property
    def hash_only(self) -> bool:
        """Whether the content stays with the caller."""
        return self.header.HasField("content_digest")


def read_request(fields: Fields, key: str) -> Asked:
    """Read the request part of a document that is signed now or later."""
    mode = fields.choice("mode", MODES, default="sync")
    header = read_header(fields, key)
    digest = fields.binary("content_digest", MAX_DIGEST)
    fields.done()
    if digest is not None:
        if mode == "async":
            raise FieldInvalid("a digest is signed at once: leave 'mode' out", field="mode")
        keep_content(header, digest)
    return Asked(header, mode)


def keep_content(header: messages.SignDocumentHeader, digest: bytes) -> None:
    """Set the digest of a content that stays with the caller: its signature is detached unless the caller says else."""
    header.content_digest = digest
    detach(header)


def detach(header: messages.SignDocumentHeader) -> None:
    """Choose detached packaging where the caller chose none: a content that is elsewhere allows no other."""
    if header.packaging == messages.SIGNATURE_PACKAGING_UNSPECIFIED:
        header.packaging = messages.SIGNATURE_PACKAGING_DETACHED


def read_header(fields: Fields, key: str) -> messages.SignDocumentHeader:
    """Read the fields that every road to a document signature takes; the caller sees to `done()`."""
    signature_format = fields.choice("format", translate.FORMATS)
    _refuse_strangers(fields, signature_format)
    header = messages.SignDocumentHeader(
        credential_id=fields.text("credential_id", 64),
        idempotency_key=key,
        format=signature_format,
        level=fields.choice("level", translate.LEVELS, default=messages.SIGNATURE_LEVEL_B_B),
        packaging=fields.choice(
            "packaging", translate.PACKAGINGS, default=messages.SIGNATURE_PACKAGING_UNSPECIFIED
        ),
        digest_algorithm=digest_algorithm(fields),
        scheme=fields.choice(
            "scheme",
            translate.SCHEMES,
            default=common.SIGNATURE_SCHEME_UNSPECIFIED,
            error=AlgorithmUnknown,
        ),
        context=context(fields),
        reason=fields.optional_text("reason"),
        location=fields.optional_text("location"),
        field_name=fields.optional_text("field_name", MAX_FIELD_NAME),
        level_options=level_options(fields),
        json_serialization=fields.choice(
            "json_serialization",
            translate.JSON_SERIALIZATIONS,
            default=messages.JSON_SERIALIZATION_UNSPECIFIED,
        ),
        cms_relation=fields.choice(
            "cms_relation", translate.CMS_RELATIONS, default=messages.CMS_RELATION_UNSPECIFIED
        ),
        asic_signature=fields.choice(
            "asic_signature", translate.ASIC_SIGNATURES, default=messages.ASIC_SIGNATURE_UNSPECIFIED
        ),
    )
    if (pdf := fields.nested("pdf")) is not None:
        header.pdf.CopyFrom(_pdf(pdf))
    if (xml := fields.nested("xml")) is not None:
        header.xml.CopyFrom(_xml(xml))
    return header


def digest_algorithm(fields: Fields) -> common.DigestAlgorithm:
    """Read the digest algorithm, SHA-256 where none is named."""
    return fields.choice(
        "digest_algorithm",
        translate.DIGEST_ALGORITHMS,
        default=common.DIGEST_ALGORITHM_SHA256,
        error=AlgorithmUnknown,
    )


def context(fields: Fields) -> messages.SigningContext:
    """Read what the caller declares about the document."""
    return messages.SigningContext(
        document_type=fields.optional_text("document_type"),
        label=fields.choice("label", translate.LABELS, default=common.SECRECY_LABEL_UNSPECIFIED),
        reference=fields.optional_text("reference"),
    )


def level_options(fields: Fields) -> messages.LevelOptions | None:
    """Read what is to happen where a level cannot be reached, and whose time-stamps are taken."""
    if "level_rule" not in fields and "time_stamp_authority" not in fields:
        return None
    return messages.LevelOptions(
        rule=fields.choice("level_rule", translate.LEVEL_RULES, default=messages.LEVEL_RULE_UNSPECIFIED),
        time_stamp_authority=fields.optional_text("time_stamp_authority", 64),
    )


def _refuse_strangers(fields: Fields, signature_format: messages.SignatureFormat) -> None:
    for name, formats in _BELONGS.items():
        if name in fields and signature_format not in formats:
            word = next(word for word, value in translate.FORMATS.items() if value == signature_format)
            belongs = " and ".join(word for word, value in translate.FORMATS.items() if value in formats)
            raise FieldInvalid(f"field {name!r} belongs to {belongs}; {word} has no place for it", field=name)


def _pdf(fields: Fields) -> messages.PdfOptions:
    options = messages.PdfOptions(
        certification=fields.choice(
            "certification",
            translate.CERTIFICATIONS,
            default=messages.PDF_CERTIFICATION_UNSPECIFIED,
        )
    )
    if (visible := fields.nested("visible")) is not None:
        options.visible.CopyFrom(_visible(visible))
    fields.done()
    return options


def _visible(fields: Fields) -> messages.VisibleSignature:
    message = messages.VisibleSignature(
        profile=fields.choice("profile", translate.VISIBLE_PROFILES),
        printed_name=fields.optional_text("printed_name"),
        image_width_mm=fields.number("image_width_mm", 0, MAX_MILLIMETRES, 0),
        image_height_mm=fields.number("image_height_mm", 0, MAX_MILLIMETRES, 0),
        document_number=fields.optional_text("document_number"),
        agency_name=fields.optional_text("agency_name"),
        copy_form=fields.choice("copy_form", translate.COPY_FORMS, default=messages.COPY_FORM_UNSPECIFIED),
        lines=fields.texts("lines", 8),
    )
    box, anchor = fields.nested("box"), fields.nested("anchor")
    if box is not None and anchor is not None:
        raise FieldInvalid(
            "field 'pdf.visible.anchor' stands beside 'pdf.visible.box': name one place",
            field="pdf.visible.anchor",
        )
    if box is not None:
        message.box.CopyFrom(_box(box))
    if anchor is not None:
        message.anchor.CopyFrom(_anchor(anchor))
    fields.done()
    return message


def _box(fields: Fields) -> messages.PageBox:
    message = messages.PageBox(
        page=fields.integer("page", 1, MAX_PAGE, None),
        left=fields.number("left", -MAX_POINTS, MAX_POINTS, None),
        bottom=fields.number("bottom", -MAX_POINTS, MAX_POINTS, None),
        width=fields.number("width", 0, MAX_POINTS, None),
        height=fields.number("height", 0, MAX_POINTS, None),
    )
    fields.done()
    return message


def _anchor(fields: Fields) -> messages.TextAnchor:
    message = messages.TextAnchor(
        text=fields.text("text", 100),
        width=fields.number("width", 0, MAX_POINTS, None),
        height=fields.number("height", 0, MAX_POINTS, None),
        offset_x=fields.number("offset_x", -MAX_POINTS, MAX_POINTS, 0),
        offset_y=fields.number("offset_y", -MAX_POINTS, MAX_POINTS, 0),
    )
    fields.done()
    return message


def _xml(fields: Fields) -> messages.XmlOptions:
    message = messages.XmlOptions(
        target_id=fields.optional_text("target_id"),
        parent=fields.optional_text("parent", MAX_PATH),
        placement=fields.choice(
            "placement", translate.XML_PLACEMENTS, default=messages.XML_PLACEMENT_UNSPECIFIED
        ),
    )
    fields.done()
    return message
