"""Writes the appearance of a visible signature: a form XObject with images and text, fit for PDF/A.

Text is black in an embedded subset; images are RGB with a soft mask. No transparency group, no device colour where a
PDF/A file does not define it, nothing that needs a viewer's own font.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.signer.formats.visible.earlier import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyhanko.pdf_utils import generic

    from services.kernel.typeface import Face, Subset
    from services.signer.formats.pdf_update import IncrementalUpdate
    from services.signer.formats.visible.image import Picture
    from services.signer.formats.visible.page import Box, Page
    from services.signer.formats.visible.pdfa import Claim
    from services.signer.formats.visible.words import Printed

_CALIBRATED_RGB = (
    b"[/CalRGB <</WhitePoint [0.9505 1 1.089] /Gamma [2.2 2.2 2.2] "
    b"/Matrix [0.4124 0.2126 0.0193 0.3576 0.7152 0.1192 0.1805 0.0722 0.9505]>>]"
)
"""sRGB's primaries and white with a plain power for its curve: needs no profile, and PDF/A takes it everywhere.

Elsewhere images stay device RGB, which viewers take for sRGB to the letter.
"""
_CALIBRATED_GREY = b"[/CalGray <</WhitePoint [0.9505 1 1.089] /Gamma 2.2>>]"
_SERIF_SYMBOLIC = 6
"""Font flags (ISO 32000-1 table 123): serif, and an encoding of its own."""
_STEM = 80
_ROWS_A_SECTION = 100
"""Adobe's CMap specification: entries in one bfchar section."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What stands in the appearance; its ground is displayed points from the box's lower left corner."""

    page: Page
    box: Box
    """Displayed."""
    pictures: tuple[tuple[Picture, Box], ...] = ()
    """Each with the place of its whole image; what lies outside the box is cut off."""
    lines: tuple[Printed, ...] = ()


def write(
    update: IncrementalUpdate,
    drawing: Drawing,
    face: Face | None,
    profile: str,
    moment: str,
    claim: Claim,
) -> generic.Reference:
    """Put the form XObject and what it needs into the update; `moment` is a PDF date."""
    content: list[bytes] = []
    images: list[bytes] = []
    for number, (picture, place) in enumerate(drawing.pictures):
        sides = [_real(side) for side in (place.width, place.height, place.left, place.bottom)]
        content.append(
            b"q %s 0 0 %s %s %s cm " % (sides[0], sides[1], sides[2], sides[3]) + b"/I%d Do Q" % number
        )
        reference = _put_picture(update, picture, _CALIBRATED_RGB if claim.part else b"/DeviceRGB")
        images.append(b"/I%d %d 0 R" % (number, reference.idnum))
    fonts = b""
    if drawing.lines and face is not None:
        subset = face.subset("".join(line.text for line in drawing.lines))
        fonts = b"/Font <</F0 %d 0 R>> " % _put_font(update, face, subset).idnum
        content.append(_text(drawing.lines, subset))
    resources = b"<<%s%s%s>>" % (
        b"/XObject <<%s>> " % b" ".join(images) if images else b"",
        fonts,
        b"/ColorSpace <</DefaultGray %s>> " % _CALIBRATED_GREY if claim.grey_needs_definition else b"",
    )
    reference = update.new_reference()
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 %s %s] /Matrix [%d %d %d %d %d %d] /Resources %s" % (
        _real(drawing.box.width),
        _real(drawing.box.height),
        *drawing.page.upright,
        resources,
    )
    piece = b" /LastModified (%s) /PieceInfo <<%s <</LastModified (%s) /Private /%s>>>>" % (
        moment.encode(),
        MARK.encode(),
        moment.encode(),
        profile.encode(),
    )
    _put_stream(update, reference, head + piece, b"\n".join(content), pack=False)
    return reference


def _real(value: float) -> bytes:
    """Write a number to a hundred-thousandth of a point."""
    return f"{value:.5f}".rstrip("0").rstrip(".").encode() if value else b"0"


def _put_stream(
    update: IncrementalUpdate, reference: generic.Reference, entries: bytes, data: bytes, *, pack: bool = True
) -> None:
    packed = zlib.compress(data) if pack else data
    how = b" /Filter /FlateDecode" if pack else b""
    update.put(reference, b"<<%s%s /Length %d>>\nstream\n%s\nendstream" % (entries, how, len(packed), packed))


def _put_picture(update: IncrementalUpdate, picture: Picture, space: bytes) -> generic.Reference:
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 /Filter /FlateDecode" % (
        picture.width,
        picture.height,
    )
    mask, whole = update.new_reference(), update.new_reference()
    _put_stream(update, mask, size + b" /ColorSpace /DeviceGray", picture.alpha, pack=False)
    colours = size + b" /ColorSpace %s /SMask %d 0 R" % (space, mask.idnum)
    _put_stream(update, whole, colours, picture.colours, pack=False)
    return whole


def _text(lines: Sequence[Printed], subset: Subset) -> bytes:
    shown = [b"BT 0 g"]
    for line in lines:
        glyphs = b"".join(subset.numbers[letter].to_bytes(2, "big") for letter in line.text)
        shown.append(
            b"/F0 %s Tf 1 0 0 1 %s %s Tm <%s> Tj"
            % (_real(line.size), _real(line.left), _real(line.baseline), glyphs.hex().encode())
        )
    return b"\n".join([*shown, b"ET"])


def _put_font(update: IncrementalUpdate, face: Face, subset: Subset) -> generic.Reference:
    """Write a composite font (ISO 32000-1 9.7) whose CIDs are glyph numbers, with its way back to Unicode."""
    font, descendant, descriptor, program, cids, unicode = (update.new_reference() for _ in range(6))
    name = subset.name.encode("ascii")
    _put_stream(update, program, b"/Length1 %d" % len(subset.program), subset.program)
    # PDF/A-1 (ISO 19005-1 6.3.5) wants every CID of a subset named.
    count = len(subset.widths)
    named = ((1 << count) - 1) << (-count % 8)
    _put_stream(update, cids, b"", named.to_bytes(-(-count // 8), "big"))
    _put_stream(update, unicode, b"", _to_unicode(subset))
    update.put(
        descriptor,
        b"<</Type /FontDescriptor /FontName /%s /Flags %d /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d "
        b"/Descent %d /CapHeight %d /StemV %d /FontFile2 %d 0 R /CIDSet %d 0 R>>"
        % (
            name, _SERIF_SYMBOLIC, *face.box, face.ascent, face.descent, face.cap_height, _STEM,
            program.idnum, cids.idnum,
        ),
    )  # fmt: skip
    update.put(
        descendant,
        b"<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0>> /FontDescriptor %d 0 R /DW 0 /W [0 [%s]] /CIDToGIDMap /Identity>>"
        % (name, descriptor.idnum, b" ".join(b"%d" % width for width in subset.widths)),
    )
    update.put(
        font,
        b"<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] "
        b"/ToUnicode %d 0 R>>" % (name, descendant.idnum, unicode.idnum),
    )
    return font


def _to_unicode(subset: Subset) -> bytes:
    rows = [
        b"<%04x> <%s>" % (number, letter.encode("utf-16-be").hex().encode())
        for letter, number in sorted(subset.numbers.items(), key=lambda pair: pair[1])
    ]
    sections = [
        b"%d beginbfchar\n%s\nendbfchar" % (len(part), b"\n".join(part))
        for part in (rows[at : at + _ROWS_A_SECTION] for at in range(0, len(rows), _ROWS_A_SECTION))
    ]
    return b"\n".join(
        [
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            b"/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
            b"/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            b"1 begincodespacerange <0000> <ffff> endcodespacerange",
            *sections,
            b"endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    )
