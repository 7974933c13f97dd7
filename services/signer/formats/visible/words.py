"""The texts of the profiles and their lines: broken at spaces, never shrunk, measured with the font's own widths."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from services.kernel.errors import FieldInvalid
from services.signer.formats.visible.page import Box

if TYPE_CHECKING:
    from datetime import datetime

    from services.kernel.typeface import Face

SIZE = 10.0
LINE_HEIGHT = 11.5
_BASELINE = 9.2
"""From the upper edge of a line: the tallest Vietnamese capital rises 9.05, the longest tail hangs 2.2."""
VIET_NAM = timezone(timedelta(hours=7))


@dataclass(frozen=True, slots=True)
class Printed:
    """One line of text on the appearance's own ground."""

    text: str
    left: float
    baseline: float
    size: float


def time_text(moment: datetime) -> str:
    """Write a moment by VS-20 and VS-21: 2026-03-05T14:07:09+07:00."""
    return moment.astimezone(VIET_NAM).replace(microsecond=0).isoformat()


@lru_cache(maxsize=256)
def subject(certificate: bytes) -> tuple[str, str]:
    """Return common name and organisation of a certificate's subject, each empty where there is none."""
    name = x509.load_der_x509_certificate(certificate).subject
    found = []
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        values = name.get_attributes_for_oid(kind)
        found.append(str(values[0].value) if values else "")
    return found[0], found[1]


def clean(text: str, field: str, face: Face) -> str:
    """Compose letters and marks; refuse what the font cannot print."""
    composed = " ".join(unicodedata.normalize("NFC", text).split())
    missing = face.missing(composed)
    if missing:
        codes = ", ".join(f"U+{ord(one):04X}" for one in missing[:5])
        raise FieldInvalid(f"the font {face.name} cannot print {codes} of {field}", field=field)
    return composed


def wrap(face: Face, text: str, width: float, size: float = SIZE) -> list[str]:
    """Break a text at spaces so that each line fits; a word wider than a line is broken where it must be."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if face.width(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while face.width(line, size) > width and len(line) > 1:
            cut = next(
                count
                for count in range(len(line) - 1, 0, -1)
                if face.width(line[:count], size) <= width or count == 1
            )
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line]


def set_lines(
    face: Face, lines: list[str], area: Box, *, right: bool, scale: float = 1.0
) -> tuple[Printed, ...]:
    """Set lines from the upper edge of an area downwards, to its right or left side."""
    size, height = SIZE * scale, LINE_HEIGHT * scale
    return tuple(
        Printed(
            text,
            area.right - face.width(text, size) if right else area.left,
            area.top - index * height - _BASELINE * scale,
            size,
        )
        for index, text in enumerate(lines)
    )
