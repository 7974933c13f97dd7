import io

from pyhanko.pdf_utils.reader import PdfFileReader

from deploy.local.letter import make_letter
from deploy.local.tools import Tools


def test_the_letter_has_two_pages_and_is_the_same_every_time() -> None:
    fonts = Tools().serif_fonts()
    first = make_letter(fonts)
    assert make_letter(fonts) == first
    reader = PdfFileReader(io.BytesIO(first))
    assert reader.root["/Pages"]["/Count"] == 2
    assert str(reader.root["/Lang"]) == "vi-VN"


def test_every_letter_font_that_text_uses_is_embedded() -> None:
    reader = PdfFileReader(io.BytesIO(make_letter(Tools().serif_fonts())))
    fonts = reader.root["/Pages"]["/Kids"][0]["/Resources"]["/Font"]
    descriptors = [fonts[name]["/FontDescriptor"] for name in fonts if "/FontDescriptor" in fonts[name]]
    assert len(descriptors) >= 3
    assert all("/FontFile2" in descriptor for descriptor in descriptors)
