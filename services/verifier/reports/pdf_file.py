"""Pages written as a PDF file (ISO 32000-1): one composite font with its way back to Unicode, flate streams, a table."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

from services.kernel.typeface import Face, Subset
from services.verifier.reports.pdf_pages import HEIGHT, WIDTH, Page

_FLAGS = 6
"""Font flags (ISO 32000-1 table 123): serif, and an encoding of its own."""
_STEM = 80
_ROWS_A_SECTION = 100
"""Entries in one section of a CMap (Adobe's CMap specification)."""
_OUTLINE = 0.028
"""Width of the stroke that makes a letter bold, as a share of its size."""
_CATALOG, _TREE, _INFO, _FONT, _DESCENDANT, _DESCRIPTOR, _PROGRAM, _UNICODE, _FIRST_PAGE = range(1, 10)


class PdfFile:
    """Writes pages; the same pages give the same bytes."""

    def __init__(self, face: Face, title: str, language: str, made: datetime) -> None:
        """`language` is that of the document as a whole (RFC 3066), `made` its date."""
        self._face, self._title, self._language, self._made = face, title, language, made

    def write(self, pages: Sequence[Page]) -> bytes:
        """The file."""
        used = "".join(sorted({c for page in pages for line in page.lines for c in line.text} | {" "}))
        subset = self._face.subset(used)
        objects = self._frame(len(pages)) | self._font(subset)
        for number, page in enumerate(pages):
            place = _FIRST_PAGE + 2 * number
            objects[place] = (
                b"<</Type /Page /Parent %d 0 R /MediaBox [0 0 %s %s] /Contents %d 0 R "
                b"/Resources <</Font <</F0 %d 0 R>>>>>>"
                % (_TREE, _real(WIDTH), _real(HEIGHT), place + 1, _FONT)
            )
            objects[place + 1] = _stream(_content(page, subset))
        return _assembled(objects)

    def _frame(self, pages: int) -> dict[int, bytes]:
        kids = b" ".join(b"%d 0 R" % (_FIRST_PAGE + 2 * number) for number in range(pages))
        return {
            _CATALOG: b"<</Type /Catalog /Pages %d 0 R /Lang (%s) /ViewerPreferences <</DisplayDocTitle true>>>>"
            % (_TREE, self._language.encode("ascii")),
            _TREE: b"<</Type /Pages /Count %d /Kids [%s]>>" % (pages, kids),
            _INFO: b"<</Title <%s> /Producer (Kyso) /CreationDate (D:%s)>>"
            % (
                (b"\xfe\xff" + self._title.encode("utf-16-be")).hex().encode(),
                self._made.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode(),
            ),
        }

    def _font(self, subset: Subset) -> dict[int, bytes]:
        """A composite font (ISO 32000-1 9.7) whose CIDs are the subset's glyph numbers."""
        face, name = self._face, subset.name.encode("ascii")
        widths = b" ".join(b"%d" % width for width in subset.widths)
        return {
            _FONT: b"<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H "
            b"/DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>" % (name, _DESCENDANT, _UNICODE),
            _DESCENDANT: b"<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) "
            b"/Ordering (Identity) /Supplement 0>> /FontDescriptor %d 0 R /DW 0 /W [0 [%s]] "
            b"/CIDToGIDMap /Identity>>" % (name, _DESCRIPTOR, widths),
            _DESCRIPTOR: b"<</Type /FontDescriptor /FontName /%s /Flags %d /FontBBox [%d %d %d %d] /ItalicAngle 0 "
            b"/Ascent %d /Descent %d /CapHeight %d /StemV %d /FontFile2 %d 0 R>>"
            % (name, _FLAGS, *face.box, face.ascent, face.descent, face.cap_height, _STEM, _PROGRAM),
            _PROGRAM: _stream(subset.program, b"/Length1 %d" % len(subset.program)),
            _UNICODE: _stream(_to_unicode(subset)),
        }


def _content(page: Page, subset: Subset) -> bytes:
    # A font has fewer glyphs than there are code points below the surrogates: two octets write each number.
    numbers = {ord(character): number for character, number in subset.numbers.items()}
    shown: list[bytes] = []
    for box in page.boxes:
        sides = tuple(map(_real, (box.left, box.bottom, box.width, box.height)))
        shown.append(b"%s rg %s %s %s %s re f" % (_colour(box.colour), *sides))
    shown.append(b"BT")
    for line in page.lines:
        size, colour = _real(line.style.size), _colour(line.style.colour)
        # Bold is filled and stroked (text rendering mode 2): a second font would double the file.
        weight = b"2 Tr %s w %s RG" % (_real(line.style.size * _OUTLINE), colour)
        glyphs = line.text.translate(numbers).encode("utf-16-be")
        shown.append(
            b"%s %s rg /F0 %s Tf 1 0 0 1 %s %s Tm <%s> Tj"
            % (
                weight if line.style.bold else b"0 Tr",
                colour,
                size,
                _real(line.left),
                _real(line.bottom),
                glyphs.hex().encode(),
            )
        )
    return b"\n".join([*shown, b"ET"])


def _colour(colour: tuple[float, float, float]) -> bytes:
    return b" ".join(map(_real, colour))


def _real(value: float) -> bytes:
    return (f"{value:.3f}".rstrip("0").rstrip(".") or "0").encode()


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(data, 6)
    return b"<<%s /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream" % (entries, len(packed), packed)


def _to_unicode(subset: Subset) -> bytes:
    rows = [
        b"<%04x> <%s>" % (number, character.encode("utf-16-be").hex().encode())
        for character, number in sorted(subset.numbers.items(), key=lambda pair: pair[1])
    ]
    parts = [rows[at : at + _ROWS_A_SECTION] for at in range(0, len(rows), _ROWS_A_SECTION)]
    return b"\n".join(
        [
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            b"/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
            b"/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            b"1 begincodespacerange <0000> <ffff> endcodespacerange",
            *(b"%d beginbfchar\n%s\nendbfchar" % (len(part), b"\n".join(part)) for part in parts),
            b"endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    )


def _assembled(objects: dict[int, bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n%\xc4\xe3\xcf\xd3\n")
    table = [b"0000000000 65535 f \n"]
    for number in range(1, len(objects) + 1):
        table.append(b"%010d 00000 n \n" % len(out))
        out += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    start, name = len(out), hashlib.sha256(out).hexdigest()[:32].encode()
    out += b"xref\n0 %d\n%s" % (len(table), b"".join(table))
    out += b"trailer\n<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%s> <%s>]>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(table), _CATALOG, _INFO, name, name, start,
    )  # fmt: skip
    return bytes(out)
