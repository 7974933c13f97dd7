"""The command line's words for what can be asked of a signature."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kyso_client.options import FORMATS, LEVELS, PROFILES, Anchor, Box, PdfOptions, Visible, XmlOptions
from kyso_client.settings import SettingsError

PLAIN = (
    "level", "packaging", "time_stamp_authority", "digest_algorithm", "document_type", "label", "reference", "reason",
    "location", "field_name", "json_serialization", "cms_relation", "asic_signature",
)  # fmt: skip
"""Options that go into the request as they are."""


def add_signing(command: argparse.ArgumentParser) -> None:
    """Add what every command that signs takes."""
    command.add_argument("--credential", required=True, metavar="ID", help="credential to sign with")
    command.add_argument("--format", choices=FORMATS, default="pades", help="default pades")
    command.add_argument("--level", choices=LEVELS, default="", help="default B-B")
    command.add_argument(
        "--lower-level", action="store_true", help="take a lower level where it cannot be reached"
    )
    command.add_argument(
        "--time-stamp-authority", default="", metavar="NAME", help="default: the platform's own"
    )
    command.add_argument("--packaging", choices=("enveloped", "enveloping", "detached"), default="")
    command.add_argument(
        "--digest", dest="digest_algorithm", choices=("SHA-256", "SHA-384", "SHA-512"), default=""
    )
    add_declarations(command)
    command.add_argument(
        "--idempotency-key", default="", metavar="KEY", help="repeat the key of an earlier try"
    )
    _add_pdf(command.add_argument_group("PDF"))
    other = command.add_argument_group("XML, JSON, CMS, containers")
    other.add_argument("--target-id", default="", metavar="ID", help="XML: element to sign (default: all)")
    other.add_argument("--parent", default="", metavar="PATH", help="XML: element to put the signature at")
    other.add_argument("--placement", choices=("last_child", "first_child", "after"), default="")
    other.add_argument(
        "--serialization", dest="json_serialization", choices=("compact", "flattened", "general"), default=""
    )
    other.add_argument("--relation", dest="cms_relation", choices=("parallel", "counter"), default="")
    other.add_argument("--asic", dest="asic_signature", choices=("xades", "cades"), default="")


def add_declarations(command: argparse.ArgumentParser) -> None:
    """Add what is declared about a document, signed or extended."""
    command.add_argument(
        "--document-type", default="", metavar="TYPE", help="by the unit's list, such as cong-van"
    )
    command.add_argument("--label", choices=("none", "mat", "toi_mat", "tuyet_mat"), default="none")
    command.add_argument("--reference", default="", help="the caller's own reference, such as 1030/UBND-VX")


def _add_pdf(pdf: argparse._ArgumentGroup) -> None:
    pdf.add_argument("--reason", default="")
    pdf.add_argument("--location", default="")
    pdf.add_argument("--field", dest="field_name", default="", metavar="NAME", help="field to fill")
    pdf.add_argument("--certify", choices=("no_changes", "forms", "annotations"), default="")
    pdf.add_argument("--visible", choices=PROFILES, default="", help="profile of a visible signature")
    pdf.add_argument(
        "--image", type=Path, action="append", default=[], metavar="PNG", help="of signature or seal"
    )
    pdf.add_argument(
        "--image-mm", metavar="WIDTH,HEIGHT", default="", help="the image's real size in millimetres"
    )
    pdf.add_argument("--box", metavar="PAGE,LEFT,BOTTOM,WIDTH,HEIGHT", default="", help="place, in points")
    pdf.add_argument("--anchor", metavar="TEXT", default="", help="place: at a text that stands there once")
    pdf.add_argument(
        "--anchor-box", metavar="WIDTH,HEIGHT[,X,Y]", default="160,40", help="box at the anchor, points"
    )
    pdf.add_argument("--printed-name", default="", metavar="NAME", help="nd30.person: name to look for")
    pdf.add_argument("--document-number", default="", metavar="NUMBER", help="nd30.attachment")
    pdf.add_argument("--agency-name", default="", metavar="NAME", help="nd30.copy, archive05")
    pdf.add_argument("--copy-form", choices=("sao_y", "sao_luc", "trich_sao"), default="", help="nd30.copy")
    pdf.add_argument(
        "--line", action="append", default=[], metavar="TEXT", help="free: {name} and {time} are filled in"
    )


def signing_options(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of the signing calls; raise SettingsError for numbers that are none."""
    options: dict[str, Any] = {
        "credential_id": asked.credential, "format": asked.format,
        **{name: getattr(asked, name) for name in PLAIN if getattr(asked, name)},
    }  # fmt: skip
    if asked.lower_level:
        options["level_rule"] = "lower"
    visible = _visible(asked)
    if asked.certify or visible is not None:
        options["pdf"] = PdfOptions(asked.certify, visible)
    if asked.target_id or asked.parent or asked.placement:
        options["xml"] = XmlOptions(asked.target_id, asked.parent, asked.placement)
    return options


def _visible(asked: argparse.Namespace) -> Visible | None:
    if not asked.visible:
        given = [name for name in ("box", "anchor", "image", "image_mm", "line") if getattr(asked, name)]
        if given:
            raise SettingsError(f"--{given[0].replace('_', '-')} needs --visible PROFILE")
        return None
    box = anchor = None
    if asked.box:
        page, *rest = _numbers("--box", asked.box, 5)
        box = Box(int(page), *rest)
    if asked.anchor:
        anchor = Anchor(asked.anchor, *_numbers("--anchor-box", asked.anchor_box, 2, 4))
    width, height = _numbers("--image-mm", asked.image_mm, 2) if asked.image_mm else (0.0, 0.0)
    return Visible(
        asked.visible, box, anchor, asked.printed_name, width, height, asked.document_number, asked.agency_name,
        asked.copy_form, tuple(asked.line),
    )  # fmt: skip


def _numbers(name: str, text: str, *counts: int) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        raise SettingsError(
            f"{name} takes {' or '.join(map(str, counts))} numbers with commas between, not {text!r}"
        )
    return numbers
