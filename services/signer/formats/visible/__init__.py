"""Visible signatures: how a signature looks on the page (NĐ 30/2020/NĐ-CP, TT 05/2025/TT-BNV, and free placement).

`load` reads the font and imports the rest of the package: call it before a worker gives up its files. `draw` puts an
appearance into an update and says where it belongs; who calls it writes the widget:

    drawn = visible.draw(document, reader, update, parameters)
    widget: /Rect drawn.rect, /P drawn.page, /AP <</N drawn.appearance>>, /F 132 (Print and Locked),
            entered in /Annots of drawn.page_dictionary

No appearance characteristics (/MK), no default appearance (/DA) and no NeedAppearances: PDF/A forbids the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.format import Document
    from services.signer.formats.parameters import SignatureParameters
    from services.signer.formats.pdf_update import IncrementalUpdate


@dataclass(frozen=True, slots=True)
class Drawn:
    """A visible signature that was put into an update, all but its widget."""

    page: generic.Reference
    page_dictionary: generic.DictionaryObject
    """As the reader holds it: changes to it are seen by whoever writes the page."""
    rect: tuple[float, float, float, float]
    """/Rect: left, bottom, right, top in default user space."""
    appearance: generic.Reference
    """The form XObject for /AP /N."""
    warnings: tuple[str, ...]
    """What was done although a rule advises against it, as "CODE: sentence"."""


def load(font_file: Path | None = None) -> None:
    """Import what drawing needs and read the font. Raises FontUnfit (a ValueError) or OSError.

    Without a font, signatures with text are refused later (FontMissing).
    """
    from services.signer.formats.visible import drawing

    drawing.load(font_file)


def draw(
    document: Document, reader: PdfFileReader, update: IncrementalUpdate, parameters: SignatureParameters
) -> Drawn:
    """Put the appearance that `parameters.envelope.visible` asks for into the update.

    The image is the first of the document's files with the role IMAGE. Raises ImageInvalid, PlaceInvalid, FieldInvalid,
    FontMissing, and DocumentDamaged where page or fields are broken.
    """
    from services.signer.formats.visible import drawing

    return drawing.draw(document, reader, update, parameters)
