"""PDF/A stays PDF/A: what a visible signature writes into a file that claims it, by the rules of ISO 19005.

No PDF/A validator is at hand: the rules that a signature can break are checked one by one on what was written.
"""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from services.kernel.errors import ImageInvalid
from services.signer.formats.parameters import Place, Visible
from tests.support import pdfs
from tests.support.pictures import ink, prepared, rendered, sign, signature_png, text_of, use_font

COPY = Visible("nd30.copy", copy_form="SAO Y")
PERSON = Visible("nd30.person", place=Place(width=120, height=50, page=1, left=330, bottom=200))
INTENT = b"/OutputIntents [<</Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (sRGB)>>] "


@pytest.fixture(autouse=True)
def _font() -> None:
    use_font()


def archived(part: int, *, intent: bool = True, page: bytes = b"", attribute: bool = False) -> bytes:
    """Return a file that claims a part of PDF/A, as element or as attribute of its XMP metadata."""
    claim = b'<d:part xmlns:d="http://www.aiim.org/pdfa/ns/id/">%d</d:part>' % part
    if attribute:
        claim = (
            b'<x xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="%d" pdfaid:conformance="B"/>'
            % part
        )
    objects = pdfs.page_objects(page=page, catalog=b"/Metadata 9 0 R " + (INTENT if intent else b""))
    objects[9] = b"<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%s\nendstream" % (len(claim), claim)
    return pdfs.assemble(objects)


def appearance(data: bytes) -> Any:
    return PdfFileReader(BytesIO(data)).embedded_signatures[-1].sig_field["/AP"]["/N"]


@pytest.mark.parametrize("attribute", [True, False])
@pytest.mark.parametrize("part", [1, 2, 3])
def test_text_fits_every_part(part: int, attribute: bool) -> None:
    data = sign(archived(part, attribute=attribute), COPY)
    form = appearance(data)
    assert "/Group" not in form
    assert set(form["/Resources"]) == {"/Font"}
    font = form["/Resources"]["/Font"]["/F0"]
    (cid_font,) = font["/DescendantFonts"]
    cid_font = cid_font.get_object()
    assert str(cid_font["/CIDToGIDMap"]) == "/Identity"
    descriptor = cid_font["/FontDescriptor"]
    # ISO 19005-1 6.3.5: CIDSet names every glyph of the program; 6.3.6: widths agree with the program's.
    from fontTools.ttLib import TTFont

    program = TTFont(BytesIO(descriptor["/FontFile2"].data))
    glyphs = program["maxp"].numGlyphs
    bits = "".join(f"{byte:08b}" for byte in descriptor["/CIDSet"].data)
    assert bits.rstrip("0") == "1" * glyphs
    widths = [float(width) for width in cid_font["/W"][1]]
    advances = [program["hmtx"][name][0] * 1000 / 2048 for name in program.getGlyphOrder()]
    assert widths == pytest.approx(advances, abs=1)
    assert "SAO Y" in text_of(data)


def test_part_1_takes_no_image() -> None:
    with pytest.raises(ImageInvalid, match="PDF/A-1"):
        prepared(archived(1), PERSON, signature_png())


@pytest.mark.parametrize("part", [2, 3, 4])
def test_later_parts_take_an_image_in_calibrated_colours(part: int) -> None:
    data = sign(archived(part), PERSON, signature_png())
    image = appearance(data)["/Resources"]["/XObject"]["/I0"]
    assert str(image["/ColorSpace"][0]) == "/CalRGB"
    assert str(image["/SMask"]["/ColorSpace"]) == "/DeviceGray"
    assert "/Interpolate" not in image
    assert ink(rendered(data), "blue") is not None


def test_without_an_output_intent_transparency_needs_the_pages_group() -> None:
    with pytest.raises(ImageInvalid, match="output intent"):
        prepared(archived(2, intent=False), PERSON, signature_png())
    grouped = archived(2, intent=False, page=b"/Group <</S /Transparency /CS /DeviceRGB>>")
    assert prepared(grouped, PERSON, signature_png()).warnings == ()


def test_without_an_output_intent_black_is_defined() -> None:
    form = appearance(sign(archived(2, intent=False), COPY))
    assert str(form["/Resources"]["/ColorSpace"]["/DefaultGray"][0]) == "/CalGray"
    assert "/ColorSpace" not in appearance(sign(archived(2), COPY))["/Resources"]


def test_the_widget_is_printed_and_nothing_asks_for_appearances() -> None:
    data = sign(archived(2), COPY)
    reader = PdfFileReader(BytesIO(data))
    widget = reader.embedded_signatures[0].sig_field
    assert int(widget["/F"]) & (4 | 2 | 1 | 32) == 4
    assert set(widget["/AP"]) == {"/N"}
    assert "/NeedAppearances" not in reader.root["/AcroForm"]


def test_a_file_that_claims_nothing_is_drawn_in_device_colours() -> None:
    plain = pdfs.one_page_pdf()
    image = appearance(sign(plain, PERSON, signature_png()))["/Resources"]["/XObject"]["/I0"]
    assert str(image["/ColorSpace"]) == "/DeviceRGB"
    assert isinstance(image, generic.StreamObject)


def test_broken_or_packed_metadata_is_met() -> None:
    packed = zlib.compress(b'<x xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="1"/>')
    objects = pdfs.page_objects(catalog=b"/Metadata 9 0 R " + INTENT)
    objects[9] = b"<</Type /Metadata /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream" % (
        len(packed),
        packed,
    )
    with pytest.raises(ImageInvalid, match="PDF/A-1"):
        prepared(pdfs.assemble(objects), PERSON, signature_png())
    objects[9] = re.sub(
        rb"stream\n.*\nendstream", lambda _: b"stream\nbroken\nendstream", objects[9], flags=re.DOTALL
    )
    objects[9] = objects[9].replace(b"/Length %d" % len(packed), b"/Length 6")
    assert prepared(pdfs.assemble(objects), PERSON, signature_png()).warnings == ()
