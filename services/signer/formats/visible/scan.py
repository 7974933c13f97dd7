"""How good the scanned pages of a copy are: TT 05/2025 (VS-61, VS-62) and VT-11 want colour and 200 dots an inch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pypdfium2
import pypdfium2.raw as pdfium

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfImage, PdfPage

MIN_DPI, MIN_BITS = 200, 24
DPI_TOLERANCE = 1.0
MAX_PAGES = 50
"""The first of a document; a scanner does not change its settings in the middle of a pile."""
MAX_COLOUR_PAGES = 2
"""Looking at the colours decodes a good part of an image."""
MAX_DEPTH = 2
SCAN_SHARE = 0.5
"""An image that covers this share of its page is the scan of it."""
_NAMED_PAGES = 5


def shortcomings(document: PdfDocument) -> list[str]:
    """Tell, as warnings, which pages were scanned in grey, in too few colours or too coarsely."""
    coarse: list[str] = []
    pale: list[str] = []
    looked_at = 0
    for index in range(min(len(document), MAX_PAGES)):
        try:
            page = document[index]
        except pypdfium2.PdfiumError:
            continue
        try:
            scan = _scan_of(page)
            if scan is None:
                continue
            dpi = _resolution(scan)
            if dpi < MIN_DPI - DPI_TOLERANCE:
                coarse.append(f"{index + 1} ({dpi:.0f})")
            looked_at += 1
            if looked_at <= MAX_COLOUR_PAGES and scan.get_metadata().bits_per_pixel < MIN_BITS:
                pale.append(str(index + 1))
        except pypdfium2.PdfiumError:
            continue
        finally:
            page.close()
    told = []
    if coarse:
        pages = ", ".join(coarse[:_NAMED_PAGES])
        told.append(f"SCAN_COARSE: scanned below {MIN_DPI} dots an inch: page {pages}")
    if pale:
        pages = ", ".join(pale[:_NAMED_PAGES])
        told.append(f"SCAN_GREY: not scanned in colour of {MIN_BITS} bits: page {pages}")
    return told


def _scan_of(page: PdfPage) -> PdfImage | None:
    """Return the image that covers the page."""
    width, height = page.get_size()
    for found in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=MAX_DEPTH):
        left, bottom, right, top = found.get_bounds()
        area = (right - left) * (top - bottom)
        if area > 0 and area >= SCAN_SHARE * width * height:
            return found
    return None


def _resolution(scan: PdfImage) -> float:
    """Return dots an inch, whichever way the image was turned."""
    left, bottom, right, top = scan.get_bounds()
    across, down = sorted(scan.get_px_size())
    short, long = sorted((right - left, top - bottom))
    return float(min(across / short, down / long) * 72)
