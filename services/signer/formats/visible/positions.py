"""Where text stands on the pages of a PDF file, as PDFium reads it: drawn text, not annotations or form fields.

PDFium parses the file a second time, in native code, so this is used only where a profile needs to know of text. Boxes
are those of the ink, in displayed coordinates.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pypdfium2
import pypdfium2.raw as pdfium

from services.kernel.errors import PlaceInvalid
from services.signer.formats.visible.page import Box, all_pages
from services.signer.formats.visible.scan import shortcomings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.format import Document
    from services.signer.formats.visible.page import Page

IN_MEMORY_BYTES = 8 << 20
MAX_SEARCHED_PAGES = 2000
MAX_CHARACTERS = 200_000
"""On one page."""
MAX_RUNS = 20_000
MAX_HITS = 100
_SAME_LINE = 0.5
"""Two boxes share a line where half the lower one's height is common to both."""
_COLUMN_GAP = 1.5
"""Text further apart than this many heights of the line stands in another column."""
_MAX_LINE_CHARACTERS = 200
_NAMED_PAGES = 5
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SPACES = "\u200b\ufeff\x02\ufffe"
"""Besides what Unicode calls a space: marks that PDFium puts where a word was broken, and invisible ones."""


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was searched for."""

    page: Page
    box: Box
    line: Box
    """With what stands beside it in the same line and column."""


class Texts:
    """The text of an open document; pages are read when they are asked for."""

    def __init__(self, document: pypdfium2.PdfDocument, reader: PdfFileReader) -> None:
        """Made by `opened`."""
        self._document = document
        self._reader = reader

    @cached_property
    def _pages(self) -> list[Page]:
        pages = all_pages(self._reader)
        if len(self._document) != len(pages):
            # A file whose page tree is read in two ways would show the signature elsewhere than it was placed.
            raise PlaceInvalid(
                "the document's pages are counted in two ways, so its text has no sure place: give a box on a page"
            )
        return pages

    def scan_warnings(self) -> list[str]:
        """Tell where scanned pages are not as copies of paper are wanted."""
        return shortcomings(self._document)

    def on(self, page: Page) -> list[Box]:
        """Give a box for each line of a page, columns apart."""
        with self._text_page(page) as text_page:
            count = text_page.count_rects()
            if count > MAX_RUNS:
                raise PlaceInvalid(
                    f"page {page.number} has too much text to look for a place in it: give a box on a page",
                    page=page.number,
                )
            runs = [page.to_displayed(Box(*text_page.get_rect(index))) for index in range(count)]
        lines: list[Box] = []
        for run in runs:
            if not (run.width > 0 and run.height > 0):
                continue
            if lines and _continues(lines[-1], run):
                lines[-1] = Box.around(*lines[-1].corners, *run.corners)
            else:
                lines.append(run)
        return lines

    def once(self, text: str) -> Found:
        """Find a text that must be there exactly once, letter for letter but for the kind and number of spaces.

        Raises PlaceInvalid where it is not, or where there are too many pages to search.
        """
        if len(self._pages) > MAX_SEARCHED_PAGES:
            raise PlaceInvalid(
                f"text is searched for in documents of up to {MAX_SEARCHED_PAGES} pages, this one has "
                f"{len(self._pages)}: give a box on a page",
                pages=len(self._pages),
            )
        counts = {page: count for page in self._pages if (count := self._count(page, text))}
        total = sum(counts.values())
        found = self._search(next(iter(counts)), text, fold=False) if total == 1 else []
        if len(found) == 1:
            return found[0]
        if total:
            pages = ", ".join(str(page.number) for page in list(counts)[:_NAMED_PAGES])
            where = f"{total} times, on page {pages}" if total > 1 else "where nothing of it is drawn"
        else:
            where = "nowhere"
        raise PlaceInvalid(
            f"the anchor text stands {where} in the document: name a text that is there exactly once, or give a box "
            "on a page",
            found=total,
        )

    def last(self, text: str) -> Found | None:
        """Find the last occurrence of a text, small and capital letters alike: the lowest on the last page with it."""
        for page in self._pages[: -MAX_SEARCHED_PAGES - 1 : -1]:
            found = self._search(page, text, fold=True)
            if found:
                return min(found, key=lambda one: (one.box.bottom, -one.box.left))
        return None

    def _count(self, page: Page, text: str) -> int:
        wanted = _quick(text, fold=False)
        with self._text_page(page) as text_page:
            return _quick(self._units(page, text_page), fold=False).count(wanted) if wanted else 0

    def _search(self, page: Page, text: str, *, fold: bool) -> list[Found]:
        wanted = _quick(text, fold=fold)
        with self._text_page(page) as text_page:
            units = self._units(page, text_page)
            if not wanted or wanted not in _quick(units, fold=fold):
                return []
            joined, origins = _normal(units, fold=fold)
            found: list[Found] = []
            at = joined.find(wanted)
            while at >= 0 and len(found) < MAX_HITS:
                hit = _Hit(page, text_page, origins[at], origins[at + len(wanted) - 1])
                if hit.box is not None:
                    found.append(Found(page, hit.box, hit.line()))
                at = joined.find(wanted, at + len(wanted))
            return found

    @staticmethod
    def _units(page: Page, text_page: pypdfium2.PdfTextPage) -> str:
        """Return a page's text as PDFium counts it, in 16-bit units: what takes two of them stays two."""
        if text_page.count_chars() > MAX_CHARACTERS:
            raise PlaceInvalid(
                f"page {page.number} has more than {MAX_CHARACTERS} characters: give a box on a page",
                page=page.number,
            )
        return _ASTRAL.sub("\ufffd\ufffd", str(text_page.get_text_range(errors="surrogatepass")))

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


class _Hit:
    """One occurrence, by the numbers of its first and last character in the page's text."""

    def __init__(self, page: Page, text_page: pypdfium2.PdfTextPage, first: int, last: int) -> None:
        self._page, self._raw = page, text_page.raw
        # PDFium leaves some characters out of the text: the two have numbers of their own.
        self._first = pdfium.FPDFText_GetCharIndexFromTextIndex(self._raw, first)
        self._last = pdfium.FPDFText_GetCharIndexFromTextIndex(self._raw, last)
        self._count = text_page.count_chars()
        boxes = [box for index in range(self._first, self._last + 1) if (box := self._at(index)) is not None]
        self.box = _union(boxes) if boxes else None

    def line(self) -> Box:
        """Go left and right while characters follow in the line without the gap of a column."""
        assert self.box is not None  # noqa: S101 - the caller looked
        line = self.box
        before = range(self._first - 1, max(-1, self._first - _MAX_LINE_CHARACTERS), -1)
        after = range(self._last + 1, min(self._count, self._last + _MAX_LINE_CHARACTERS))
        for neighbours in (before, after):
            for index in neighbours:
                box = self._at(index)
                if box is None:
                    continue
                if not _continues(line, box):
                    break
                line = _union([line, box])
        return line

    def _at(self, index: int) -> Box | None:
        """Box of a character; None for a space, or where nothing is inked."""
        code = pdfium.FPDFText_GetUnicode(self._raw, index)
        sides = [ctypes.c_double() for _ in range(4)]
        if chr(code).isspace() or not pdfium.FPDFText_GetCharBox(self._raw, index, *map(ctypes.byref, sides)):
            return None
        left, right, bottom, top = (side.value for side in sides)
        return (
            self._page.to_displayed(Box(left, bottom, right, top)) if right > left and top > bottom else None
        )


@contextmanager
def opened(document: Document, reader: PdfFileReader) -> Iterator[Texts]:
    """Open a document for its text. Raises PlaceInvalid where PDFium cannot read what pyHanko's reader read."""
    source = document.read() if document.size <= IN_MEMORY_BYTES else document.stream
    document.stream.seek(0)
    try:
        native = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        raise PlaceInvalid("the text of the document cannot be read: give a box on a page") from error
    try:
        yield Texts(native, reader)
    finally:
        native.close()


def _quick(text: str, *, fold: bool) -> str:
    """Normalise as `_normal` does, without telling where what came from."""
    composed = unicodedata.normalize("NFC", text)
    for mark in _SPACES:
        composed = composed.replace(mark, " ")
    joined = " ".join(composed.split())
    return joined.casefold() if fold else joined


def _normal(text: str, *, fold: bool) -> tuple[str, list[int]]:
    """Compose letters with their marks and make every run of spaces one; say where each character came from."""
    out: list[str] = []
    origins: list[int] = []
    for index, letter in enumerate(text):
        if letter.isspace() or letter in _SPACES:
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


def _continues(line: Box, other: Box) -> bool:
    common = min(line.top, other.top) - max(line.bottom, other.bottom)
    if common < _SAME_LINE * min(line.height, other.height):
        return False
    reach = _COLUMN_GAP * max(line.height, other.height)
    return line.left - reach <= other.right and other.left <= line.right + reach


def _union(boxes: list[Box]) -> Box:
    return Box(
        min(box.left for box in boxes),
        min(box.bottom for box in boxes),
        max(box.right for box in boxes),
        max(box.top for box in boxes),
    )
