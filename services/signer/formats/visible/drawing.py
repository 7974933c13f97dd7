"""From what was asked to an appearance in the update: the profile decides what stands where, one writer writes it."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from services.kernel.typeface import Face
from services.signer.formats.visible import Drawn, appearance, image_profiles, pdfa, text_profiles
from services.signer.formats.visible.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.format import Document
    from services.signer.formats.parameters import SignatureParameters
    from services.signer.formats.pdf_update import IncrementalUpdate

_PROFILES: dict[str, Callable[[Request], appearance.Drawing]] = {
    "nd30.person": image_profiles.person,
    "nd30.agency": image_profiles.agency,
    "nd30.attachment": text_profiles.attachment,
    "nd30.copy": text_profiles.copy,
    "archive05": text_profiles.archive,
    "block": text_profiles.block,
    "free": image_profiles.free,
}
_faces: list[Face] = []
"""The font of this process: at most one."""


def load(font_file: Path | None) -> None:
    """Take a font, or none."""
    _faces[:] = [] if font_file is None else [Face.read(font_file)]


def draw(
    document: Document, reader: PdfFileReader, update: IncrementalUpdate, parameters: SignatureParameters
) -> Drawn:
    """See the package."""
    visible = parameters.envelope.visible
    if visible is None:
        raise ValueError("an invisible signature has nothing to draw")
    claim = pdfa.claim(reader)
    face = _faces[0] if _faces else None
    with Request(document, reader, parameters, visible, claim, face) as request:
        drawing = _PROFILES[visible.profile](request)
    moment = parameters.signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
    form = appearance.write(update, drawing, face, visible.profile, moment, claim)
    box = drawing.page.to_user_space(drawing.box)
    return Drawn(
        page=drawing.page.reference,
        page_dictionary=drawing.page.dictionary,
        rect=(box.left, box.bottom, box.right, box.top),
        appearance=form,
        warnings=tuple(request.warnings),
    )
