"""Where text stands on the pages of a PDF file, as PDFium reads it: drawn text, not annotations or form fields.

PDFium parses the file a second time, in native code, so this is used only where a profile needs to know of text.
"""

from __future__ import annotations

import ctypes
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pypdfium2
import pypdfium2.raw as pdfium

from services.kernel.errors import PlaceInvalid
from services.signer.formats.visible.page import Box, all_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.format import Document
    from services.signer.formats.visible.page import Page

IN_MEMORY_BYTES = 8 << 20
MAX_SEARCHED_PAGES = 2000
MAX_CHARACTERS = 100_000
"""On one page."""
_SAME_LINE = 0.5
"""Two characters share a line where half the lower one's height is common to both."""
_COLUMN_GAP = 1.5
"""Text further apart than this many heights of the line stands in another column."""


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text in one line and one column; displayed coordinates of what is inked."""

    page: Page
    box: Box
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was searched for."""

    page: Page
    box: Box
    line: Line


@dataclass(frozen=True, slots=True)
class _Character:
    text: str
    box: Box | None
    """None: a space, or nothing inked."""


class Texts:
    """The text of an open document; pages are read when they are asked for."""

    def __init__(self, document: pypdfium2.PdfDocument, pages: list[Page]) -> None:
        """Made by `opened`."""
        self._document = document
        self._pages = pages

    def on(self, page: Page) -> list[Line]:
        """Give the lines of a page."""
        return _lines(page, self._characters(page))

    def everywhere(self, text: str) -> list[Found]:
        """Find each occurrence of a text, letter for letter but for the kind and number of spaces.

        Raises PlaceInvalid where there are too many pages to search.
        """
        if len(self._pages) > MAX_SEARCHED_PAGES:
            raise PlaceInvalid(
                f"text is searched for in documents of up to {MAX_SEARCHED_PAGES} pages, this one has "
                f"{len(self._pages)}: give a box on a page",
                pages=len(self._pages),
            )
        return [found for page in self._pages for found in self._search(page, text, fold=False)]

    def last(self, text: str) -> Found | None:
        """Find the last occurrence of a text, small and capital letters alike: the lowest on the last page with it."""
        for page in self._pages[: -MAX_SEARCHED_PAGES - 1 : -1]:
            found = self._search(page, text, fold=True)
            if found:
                return min(found, key=lambda one: (one.box.bottom, -one.box.left))
        return None

    def _search(self, page: Page, text: str, *, fold: bool) -> list[Found]:
        wanted, _ = _normal(text, fold=fold)
        wanted = wanted.strip()
        # Most pages do not have it: their characters need not be asked for one by one.
        whole, _ = _normal(self._plain(page), fold=fold)
        if not wanted or wanted not in whole:
            return []
        characters = self._characters(page)
        joined, origins = _normal("".join(one.text for one in characters), fold=fold)
        lines = _lines(page, characters)
        found, at = [], joined.find(wanted)
        while at >= 0:
            span = characters[origins[at] : origins[at + len(wanted) - 1] + 1]
            boxes = [one.box for one in span if one.box is not None]
            if boxes:
                box = Box.around(*(corner for one in boxes for corner in one.corners))
                found.append(Found(page, box, _line_of(boxes[0], lines)))
            at = joined.find(wanted, at + len(wanted))
        return found

    def _plain(self, page: Page) -> str:
        with self._text_page(page) as text_page:
            return str(text_page.get_text_bounded())

    def _characters(self, page: Page) -> list[_Character]:
        """Read every character with its inked box; surrogates are joined by PDFium itself."""
        with self._text_page(page) as text_page:
            raw = text_page.raw
            count = text_page.count_chars()
            if count > MAX_CHARACTERS:
                raise PlaceInvalid(
                    f"page {page.number} has more than {MAX_CHARACTERS} characters: give a box on a page",
                    page=page.number,
                )
            sides = [ctypes.c_double() for _ in range(4)]
            pointers = [ctypes.byref(side) for side in sides]
            found = []
            for index in range(count):
                code = pdfium.FPDFText_GetUnicode(raw, index)
                letter = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
                box = None
                if not letter.isspace() and pdfium.FPDFText_GetCharBox(raw, index, *pointers):
                    left, right, bottom, top = (side.value for side in sides)
                    if right > left and top > bottom:
                        box = page.to_displayed(Box(left, bottom, right, top))
                found.append(_Character(letter, box))
            return found

    @contextmanager
    def _text_page(self, page: Page) -> Iterator[pypdfium2.PdfTextPage]:
        try:
            opened = self._document[page.number - 1]
            try:
                text_page = opened.get_textpage()
                try:
                    yield text_page
                finally:
                    text_page.close()
            finally:
                opened.close()
        except pypdfium2.PdfiumError as error:
            raise PlaceInvalid(
                f"the text of page {page.number} cannot be read: give a box on a page", page=page.number
            ) from error


@contextmanager
def opened(document: Document, reader: PdfFileReader) -> Iterator[Texts]:
    """Open a document for its text. Raises PlaceInvalid where PDFium cannot read what pyHanko's reader read."""
    pages = all_pages(reader)
    source = document.read() if document.size <= IN_MEMORY_BYTES else document.stream
    document.stream.seek(0)
    try:
        native = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        raise PlaceInvalid("the text of the document cannot be read: give a box on a page") from error
    try:
        if len(native) != len(pages):
            # A file whose page tree is read in two ways would show the signature elsewhere than it was placed.
            raise PlaceInvalid(
                "the document's pages are counted in two ways, so its text has no sure place: give a box on a page"
            )
        yield Texts(native, pages)
    finally:
        native.close()


def _normal(text: str, *, fold: bool) -> tuple[str, list[int]]:
    """Compose letters with their marks and make every run of spaces one; say where each character came from."""
    out: list[str] = []
    origins: list[int] = []
    for index, letter in enumerate(text):
        if letter.isspace() or letter in "\u200b\ufeff\x02\ufffe":
            if out and out[-1] != " ":
                out.append(" ")
                origins.append(index)
            continue
        if out and unicodedata.combining(letter):
            composed = unicodedata.normalize("NFC", out[-1] + letter)
            if len(composed) == 1:
                out[-1] = composed
                continue
        for part in unicodedata.normalize("NFC", letter):
            out.append(part)
            origins.append(index)
    if not fold:
        return "".join(out), origins
    folded = [(part, origin) for one, origin in zip(out, origins, strict=True) for part in one.casefold()]
    return "".join(part for part, _ in folded), [origin for _, origin in folded]


def _lines(page: Page, characters: list[_Character]) -> list[Line]:
    """Join characters, in the order in which they were drawn, to lines; a wide gap begins another column."""
    runs: list[tuple[list[str], Box]] = []
    for one in characters:
        if one.box is None:
            if runs and runs[-1][0][-1] != " ":
                runs[-1][0].append(" ")
            continue
        if runs and _continues(runs[-1][1], one.box):
            letters, box = runs[-1]
            letters.append(one.text)
            runs[-1] = (letters, Box.around(*box.corners, *one.box.corners))
        else:
            runs.append(([one.text], one.box))
    return [Line(page, box, "".join(letters).strip()) for letters, box in runs]


def _continues(line: Box, letter: Box) -> bool:
    common = min(line.top, letter.top) - max(line.bottom, letter.bottom)
    if common < _SAME_LINE * min(line.height, letter.height):
        return False
    reach = _COLUMN_GAP * max(line.height, letter.height)
    return line.left - reach <= letter.right and letter.left <= line.right + reach


def _line_of(box: Box, lines: list[Line]) -> Line:
    return next(line for line in lines if line.box.holds(box))
