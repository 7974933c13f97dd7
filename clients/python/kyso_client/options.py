"""What can be asked of a signature, as values: the same names as the fields of the REST API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypedDict

Format = Literal["pades", "cades", "xades", "xmldsig", "jades", "asic_s", "asic_e", "smime"]
Level = Literal["B-B", "B-T", "B-LT", "B-LTA"]
Profile = Literal["nd30.person", "nd30.agency", "nd30.attachment", "nd30.copy", "archive05", "block", "free"]
FORMATS: tuple[Format, ...] = ("pades", "cades", "xades", "xmldsig", "jades", "asic_s", "asic_e", "smime")
LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT", "B-LTA")
PROFILES: tuple[Profile, ...] = (
    "nd30.person",
    "nd30.agency",
    "nd30.attachment",
    "nd30.copy",
    "archive05",
    "block",
    "free",
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, points of 1/72 inch from the lower left corner of the page as it is displayed."""

    page: int
    left: float
    bottom: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Anchor:
    """A box at a text that stands exactly once in the pages; points."""

    text: str
    width: float
    height: float
    offset_x: float = 0
    """From the text's left edge to the box's."""
    offset_y: float = 0
    """From the text's lower edge down to the box's upper edge."""


@dataclass(frozen=True, slots=True)
class Visible:
    """A visible signature. Without `box` and `anchor` the profile computes its place."""

    profile: Profile
    box: Box | None = None
    anchor: Anchor | None = None
    printed_name: str = ""
    image_width_mm: float = 0
    image_height_mm: float = 0
    document_number: str = ""
    agency_name: str = ""
    copy_form: Literal["", "sao_y", "sao_luc", "trich_sao"] = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """PDF: certification signature, visible signature."""

    certification: Literal["", "no_changes", "forms", "annotations"] = ""
    visible: Visible | None = None


@dataclass(frozen=True, slots=True)
class XmlOptions:
    """XML: what is signed, and where the signature is put."""

    target_id: str = ""
    parent: str = ""
    placement: Literal["", "last_child", "first_child", "after"] = ""


class SigningOptions(TypedDict, total=False):
    """Keyword arguments of every signing call."""

    format: Format
    level: Level
    packaging: Literal["", "enveloped", "enveloping", "detached"]
    level_rule: Literal["", "refuse", "lower"]
    time_stamp_authority: str
    digest_algorithm: str
    scheme: str
    document_type: str
    label: str
    reference: str
    reason: str
    location: str
    field_name: str
    pdf: PdfOptions
    xml: XmlOptions
    json_serialization: Literal["", "compact", "flattened", "general"]
    cms_relation: Literal["", "parallel", "counter"]
    asic_signature: Literal["", "xades", "cades"]


class BatchItemOptions(SigningOptions, total=False):
    """What differs for one document of a batch."""

    image: str
    """File name of the shared image that its visible signature shows."""


def as_json(value: Any) -> Any:
    """Return what goes into the request: members without a value are left out, bytes become base64."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
        # A nought is what a number is without a value, except where a box begins at an edge.
        kept = {"left", "bottom"}
        return {
            name: as_json(member) for name, member in value.items() if name in kept or not _is_nothing(member)
        }
    if isinstance(value, Mapping):
        return {name: as_json(member) for name, member in value.items() if member not in (None, "")}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def _is_nothing(value: Any) -> bool:
    return value in (None, "", (), 0)
