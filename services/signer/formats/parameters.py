"""What a caller may say about one document signature. Standard library only."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal

from services.kernel.errors import FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm

FormatName = Literal["PADES", "CADES", "XADES", "XMLDSIG", "JADES", "ASIC_S", "ASIC_E", "SMIME"]
PackagingName = Literal["ENVELOPED", "ENVELOPING", "DETACHED"]

APPENDING_FORMATS: frozenset[str] = frozenset({"PADES"})
"""Formats whose result is the document followed by what was added; the others' result is what was added, alone."""

PACKAGINGS: dict[FormatName, tuple[PackagingName, ...]] = {
    "PADES": ("ENVELOPED", "DETACHED"),
    "CADES": ("DETACHED", "ENVELOPING"),
    "XADES": ("ENVELOPED", "ENVELOPING", "DETACHED"),
    "XMLDSIG": ("ENVELOPED", "ENVELOPING", "DETACHED"),
    "JADES": ("ENVELOPING", "DETACHED"),
    "ASIC_S": ("DETACHED",),
    "ASIC_E": ("DETACHED",),
    "SMIME": ("DETACHED", "ENVELOPING"),
}
"""What each format can be packaged as; the first is taken where the caller says nothing."""

MAX_CHAIN = 8
MAX_CERTIFICATE_BYTES = 32 * 1024
MAX_TEXT_CHARACTERS = 200
MAX_FIELD_NAME_CHARACTERS = 128
MAX_PATH_CHARACTERS = 512
MAX_ANCHOR_CHARACTERS = 100
MAX_LINES = 8
MAX_LINE_CHARACTERS = 200
MAX_PAGE = 100_000
MAX_POINTS = 14_400.0
"""ISO 32000-1 annex C: the longest side of a page."""


class Level(Enum):
    """Baseline level of ETSI EN 319 1x2-1; ordered."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"

    @property
    def rank(self) -> int:
        """Position from 0."""
        return list(Level).index(self)

    def includes(self, other: Level) -> bool:
        """Say whether this level has everything of the other."""
        return self.rank >= other.rank


MAX_LEVELS: dict[FormatName, Level] = {
    "PADES": Level.B_LTA,
    "CADES": Level.B_LTA,
    "XADES": Level.B_LTA,
    "XMLDSIG": Level.B_B,
    "JADES": Level.B_LT,
    "ASIC_S": Level.B_LTA,
    "ASIC_E": Level.B_LTA,
    "SMIME": Level.B_B,
}


NAMING_FORMATS: frozenset[FormatName] = frozenset({"JADES", "ASIC_S", "ASIC_E"})
"""Formats that sign names and media types of files, or put them into the result."""


DIGEST_LEVELS: dict[FormatName, Level] = {
    "PADES": Level.B_T,
    "CADES": Level.B_LTA,
    "XADES": Level.B_LT,
    "XMLDSIG": Level.B_B,
    "JADES": Level.B_LT,
}
"""Formats that can be signed detached over the digest of a content that stays away, and up to which level: the DSS of a
PDF file lies in the file, and an archive time-stamp of XAdES covers the content itself (EN 319 132-1 clause 5.5.2)."""


def media_type_of(name: FormatName, packaging: PackagingName | None = None, compact: bool = False) -> str:
    """Name the media type of a result. Packaging None: of a signed file whose packaging is not known."""
    match name:
        case "PADES":
            return "application/pkcs7-signature" if packaging == "DETACHED" else "application/pdf"
        case "CADES":
            return "application/pkcs7-signature" if packaging == "DETACHED" else "application/pkcs7-mime"
        case "JADES":
            return "application/jose" if compact else "application/jose+json"
        case "ASIC_S":
            return "application/vnd.etsi.asic-s+zip"
        case "ASIC_E":
            return "application/vnd.etsi.asic-e+zip"
        case "SMIME":
            return "message/rfc822"
    return "application/xml"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a visible signature stands: a box on a page, or a box at a text. Points, of the page as displayed."""

    width: float
    height: float
    page: int = 0
    """From 1; 0: the place is found by `anchor`."""
    left: float = 0.0
    """Of a box: from the CropBox's left edge. Of an anchor: from the text's left edge."""
    bottom: float = 0.0
    """Of a box: from the CropBox's lower edge. Of an anchor: from the text's lower edge down to the box's upper edge."""
    anchor: str = ""
    """Text that must occur exactly once."""

    def __post_init__(self) -> None:
        """Refuse a place that is on no page."""
        if not (0 < self.width <= MAX_POINTS and 0 < self.height <= MAX_POINTS):
            raise FieldInvalid(
                f"width and height must be above 0 and at most {MAX_POINTS:g} points", field="visible.place"
            )
        if not (abs(self.left) <= MAX_POINTS and abs(self.bottom) <= MAX_POINTS):
            raise FieldInvalid(
                f"a place lies within {MAX_POINTS:g} points of its origin", field="visible.place"
            )
        if bool(self.anchor) == bool(self.page) or not 0 <= self.page <= MAX_PAGE:
            raise FieldInvalid("name a page from 1, or an anchor text", field="visible.place")
        _check_text("visible.anchor", self.anchor or None, MAX_ANCHOR_CHARACTERS)


ProfileName = Literal[
    "nd30.person", "nd30.agency", "nd30.attachment", "nd30.copy", "archive05", "block", "free"
]


@dataclass(frozen=True, slots=True)
class Visible:
    """A visible signature; the image, where the profile wants one, is the part of the role IMAGE."""

    profile: ProfileName
    place: Place | None = None
    """None: the profile computes its place."""
    printed_name: str = ""
    image_width_mm: float = 0.0
    image_height_mm: float = 0.0
    document_number: str = ""
    agency_name: str = ""
    copy_form: Literal["", "SAO Y", "SAO LỤC", "TRÍCH SAO"] = ""
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse texts that cannot be printed and sizes that no image has."""
        for field in ("printed_name", "document_number", "agency_name"):
            _check_text(f"visible.{field}", getattr(self, field) or None, MAX_LINE_CHARACTERS)
        if len(self.lines) > MAX_LINES:
            raise FieldInvalid(f"at most {MAX_LINES} lines can be printed", field="visible.lines")
        for line in self.lines:
            _check_text("visible.lines", line, MAX_LINE_CHARACTERS)
        if self.profile == "nd30.agency" and not (self.image_width_mm and self.image_height_mm):
            raise FieldInvalid(
                "a seal is drawn in its physical size: send image_width_mm and image_height_mm",
                field="visible.image_width_mm",
            )
        if not (0 <= self.image_width_mm <= 500 and 0 <= self.image_height_mm <= 500):
            raise FieldInvalid(
                "an image is at most 500 mm wide and high, and no size is negative", field="visible.image"
            )


@dataclass(frozen=True, slots=True)
class Envelope:
    """Format, level and packaging of a signature, with what the format alone knows. The same for every road to it."""

    format: FormatName
    level: Level = Level.B_B
    packaging: PackagingName | None = None
    """None becomes the format's usual one."""
    may_be_lower: bool = False
    """Where the level cannot be reached, give the lower one and say so."""
    time_stamp_authority: str = ""
    """Outside authority by its name in the verifier's configuration; empty: our own."""
    reason: str | None = None
    """PAdES: /Reason."""
    location: str | None = None
    """PAdES: /Location."""
    field_name: str | None = None
    """PAdES: an empty signature field to fill, or the name of the one to make. None: a free name is taken."""
    certification: Literal[0, 1, 2, 3] = 0
    """PAdES: DocMDP permission of a certification signature (ISO 32000-1 table 254); 0: an approval signature."""
    visible: Visible | None = None
    """PAdES: None: invisible."""
    xml_target_id: str = ""
    """XML: the element to sign; empty: the whole document."""
    xml_parent: str = ""
    """XML: path of the element to put the signature at; empty: the root."""
    xml_placement: Literal["LAST_CHILD", "FIRST_CHILD", "AFTER"] = "LAST_CHILD"
    json_serialization: Literal["", "COMPACT", "FLATTENED", "GENERAL"] = ""
    """JAdES; empty: compact for B-B, flattened above it."""
    cms_relation: Literal["", "PARALLEL", "COUNTER"] = ""
    """CAdES: to the signatures of the part SIGNATURE; empty: a container of its own."""
    asic_signature: Literal["XADES", "CADES"] = "XADES"

    def __post_init__(self) -> None:
        """Refuse a combination that does not exist."""
        if self.packaging is None:
            object.__setattr__(self, "packaging", PACKAGINGS[self.format][0])
        if self.packaging not in PACKAGINGS[self.format]:
            allowed = " or ".join(PACKAGINGS[self.format]).lower()
            raise FieldInvalid(f"{self.format} is packaged {allowed}", field="packaging")
        if not MAX_LEVELS[self.format].includes(self.level):
            raise FieldInvalid(
                f"{self.format} has levels up to {MAX_LEVELS[self.format].value}", field="level"
            )
        _check_text("reason", self.reason, MAX_TEXT_CHARACTERS)
        _check_text("location", self.location, MAX_TEXT_CHARACTERS)
        _check_text("field_name", self.field_name, MAX_FIELD_NAME_CHARACTERS)
        _check_text("xml.target_id", self.xml_target_id or None, MAX_TEXT_CHARACTERS)
        _check_text("xml.parent", self.xml_parent or None, MAX_PATH_CHARACTERS)
        _check_text("level_options.time_stamp_authority", self.time_stamp_authority or None, 64)
        self._refuse_strangers()

    def _refuse_strangers(self) -> None:
        """Refuse options of another format: whoever sets one expects something of it."""
        strangers = {
            "reason": self.reason is not None and self.format != "PADES",
            "location": self.location is not None and self.format != "PADES",
            "field_name": self.field_name is not None and self.format != "PADES",
            "pdf": bool(self.certification or self.visible) and self.format != "PADES",
            "xml": bool(self.xml_target_id or self.xml_parent) and self.format not in {"XADES", "XMLDSIG"},
            "json_serialization": bool(self.json_serialization) and self.format != "JADES",
            "cms_relation": bool(self.cms_relation) and self.format != "CADES",
        }
        for field, stranger in strangers.items():
            if stranger:
                raise FieldInvalid(
                    f"{field} has no place in a signature of the format {self.format}", field=field
                )
        if self.json_serialization == "COMPACT" and self.level is not Level.B_B:
            raise FieldInvalid(
                "a compact JWS has no place for what levels above B-B add", field="json_serialization"
            )

    def require_digest_fits(self) -> None:
        """Raise FieldInvalid where this cannot be made of the digest of a content that stays away."""
        if self.packaging != "DETACHED" or self.format not in DIGEST_LEVELS:
            raise FieldInvalid(
                "only a detached PAdES, CAdES, XAdES, XMLDSig or JAdES signature is made of a digest: "
                "send the content, or packaging detached",
                field="content_digest",
            )
        most = DIGEST_LEVELS[self.format]
        if not most.includes(self.level):
            raise FieldInvalid(
                f"without its content {self.format} has levels up to {most.value}", field="level"
            )

    @property
    def media_type(self) -> str:
        """Media type of the result."""
        compact = self.json_serialization == "COMPACT" or (
            not self.json_serialization and self.level is Level.B_B
        )
        return media_type_of(self.format, self.packaging, compact)

    def to_json(self) -> str:
        """Write canonically: for a job's row, for a document worker, for the digest of a request."""
        raw = asdict(self)
        raw["level"] = self.level.value
        return json.dumps(raw, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Envelope:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        raw["level"] = Level(raw["level"])
        if raw["visible"] is not None:
            visible = raw["visible"]
            place = visible.pop("place")
            lines = tuple(visible.pop("lines"))
            raw["visible"] = Visible(
                place=Place(**place) if place is not None else None, lines=lines, **visible
            )
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class SignatureParameters:
    """Everything but the document and the key. Refuses (FieldInvalid) what no format could write."""

    certificate_chain: tuple[bytes, ...]
    """DER certificates, the signer's first, each certified by the next; 1 to 8."""
    algorithm: SigningAlgorithm
    signing_time: datetime
    """Aware; written to the second: /M in PAdES, the signing-time attribute in CAdES, SigningTime in XAdES, ..."""
    envelope: Envelope

    def __post_init__(self) -> None:
        """Check lengths once, here."""
        if not 1 <= len(self.certificate_chain) <= MAX_CHAIN:
            raise FieldInvalid(
                f"the certificate chain must have 1 to {MAX_CHAIN} certificates", field="certificate_chain"
            )
        for certificate in self.certificate_chain:
            if not 1 <= len(certificate) <= MAX_CERTIFICATE_BYTES:
                raise FieldInvalid(
                    f"a certificate must be at most {MAX_CERTIFICATE_BYTES} bytes, got {len(certificate)}",
                    field="certificate_chain",
                )
        if self.signing_time.tzinfo is None:
            raise FieldInvalid("the signing time must carry its time zone", field="signing_time")

    def to_json(self) -> str:
        """Write for a document worker; `from_json` reads it back."""
        return json.dumps(
            {
                "chain": [base64.b64encode(certificate).decode() for certificate in self.certificate_chain],
                "scheme": self.algorithm.scheme.name,
                "digest": self.algorithm.digest.name,
                "time": self.signing_time.astimezone(UTC).isoformat(),
                "envelope": self.envelope.to_json(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SignatureParameters:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(
            certificate_chain=tuple(base64.b64decode(certificate) for certificate in raw["chain"]),
            algorithm=SigningAlgorithm(SignatureScheme[raw["scheme"]], DigestAlgorithm[raw["digest"]]),
            signing_time=datetime.fromisoformat(raw["time"]),
            envelope=Envelope.from_json(raw["envelope"]),
        )


def _check_text(field: str, text: str | None, limit: int) -> None:
    if text is None:
        return
    if not 1 <= len(text) <= limit:
        raise FieldInvalid(f"{field} must have 1 to {limit} characters, got {len(text)}", field=field)
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise FieldInvalid(f"{field} must not contain control characters", field=field)
