"""What a profile works on: the file, what was asked, and the parts of it that are costly to have, had once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from services.kernel.errors import FontMissing, ImageInvalid, PlaceInvalid
from services.signer.formats.format import Role
from services.signer.formats.visible import image, positions
from services.signer.formats.visible.earlier import named_widget, page_of_widget
from services.signer.formats.visible.page import Box, box_of, page_at, value_at
from services.signer.formats.visible.words import clean, subject, time_text

if TYPE_CHECKING:
    from types import TracebackType

    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.kernel.typeface import Face
    from services.signer.formats.format import Document
    from services.signer.formats.parameters import SignatureParameters, Visible
    from services.signer.formats.visible.image import Picture
    from services.signer.formats.visible.page import Page
    from services.signer.formats.visible.pdfa import Claim


@dataclass(slots=True)
class Request:
    """One visible signature to draw; a context, because of the text that may be opened for it."""

    document: Document
    reader: PdfFileReader
    parameters: SignatureParameters
    visible: Visible
    claim: Claim
    loaded_face: Face | None
    warnings: list[str] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)
    _texts: positions.Texts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def face(self) -> Face:
        """The font. Raises FontMissing."""
        if self.loaded_face is None:
            raise FontMissing(
                "this signer has no font for the text of visible signatures: its operator installs Liberation Serif 2 "
                "(Debian: fonts-liberation2) and names its regular face as font_file in [documents]"
            )
        return self.loaded_face

    @property
    def texts(self) -> positions.Texts:
        """The text of the document, opened at the first asking."""
        if self._texts is None:
            self._texts = self._open.enter_context(positions.opened(self.document, self.reader))
        return self._texts

    @property
    def time(self) -> str:
        """The signing time as it is printed."""
        return time_text(self.parameters.signing_time)

    @property
    def signer_name(self) -> str:
        """Common name of the signer's certificate."""
        return subject(self.parameters.certificate_chain[0])[0]

    @property
    def agency_name(self) -> str:
        """The name that was asked for, else the organisation of the signer's certificate, else its common name."""
        common_name, organisation = subject(self.parameters.certificate_chain[0])
        return self.visible.agency_name or organisation or common_name

    def printable(self, text: str, name: str) -> str:
        """Return a text as the font prints it. Raises FieldInvalid."""
        return clean(text, f"visible.{name}", self.face)

    def picture(self) -> Picture:
        """The first image that was sent. Raises ImageInvalid."""
        found = self.document.role_of(Role.IMAGE)
        if not found:
            raise ImageInvalid(
                f"the profile {self.visible.profile} shows an image: send it as a part of the role IMAGE (VS-01)",
                check="VS-01",
            )
        return image.load(found[0])

    def refuse_image(self, check: str) -> None:
        """Raise ImageInvalid where an image came with a profile that shows none."""
        if self.document.role_of(Role.IMAGE):
            raise ImageInvalid(
                f"the profile {self.visible.profile} shows no image: leave it out ({check})", check=check
            )

    def asked_box(self, *, of_field: bool = False) -> tuple[Page, Box] | None:
        """Return the place that was asked for, None where none was. Raises PlaceInvalid.

        `of_field`: the place of the empty field that was named counts as asked for where nothing else is.
        """
        place = self.visible.place
        if place is None:
            return self._of_field() if of_field else None
        if place.anchor:
            return self._at_anchor()
        page = page_at(self.reader, place.page)
        box = Box(place.left, place.bottom, place.left + place.width, place.bottom + place.height)
        require_on(page, box)
        return page, box

    def _of_field(self) -> tuple[Page, Box] | None:
        name = self.parameters.envelope.field_name
        widget = named_widget(self.reader, name) if name else None
        page = page_of_widget(self.reader, widget) if widget is not None else None
        if widget is None or page is None:
            return None
        box = page.to_displayed(box_of(value_at(widget, "/Rect"), "/Rect"))
        return (page, box) if box.width > 0 and box.height > 0 else None

    def _at_anchor(self) -> tuple[Page, Box]:
        place = self.visible.place
        assert place is not None  # noqa: S101 - the one caller looked
        anchor = self.texts.once(place.anchor)
        left, top = anchor.box.left + place.left, anchor.box.bottom - place.bottom
        box = Box(left, top - place.height, left + place.width, top)
        require_on(anchor.page, box)
        return anchor.page, box


def require_on(page: Page, box: Box) -> None:
    """Refuse a box that leaves the displayed page."""
    whole = page.displayed
    if not whole.holds(box):
        raise PlaceInvalid(
            f"the box from ({box.left:.1f}, {box.bottom:.1f}) to ({box.right:.1f}, {box.top:.1f}) leaves page "
            f"{page.number}, which is displayed {whole.width:.1f} x {whole.height:.1f} points",
            page=page.number,
        )
