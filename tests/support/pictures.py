"""Visible signatures made and measured: images, pages with title and name, and poppler's eyes.

    python -m tests.support.pictures FOLDER

writes an example of each profile as PDF and PNG (`make pictures`).
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, ImageDraw
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from deploy.local.tools import FONT_FILE, Tools
from services.signer.formats import visible
from services.signer.formats.format import Document, Role
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Place, Visible
from tests.support import pdfs
from tests.support.document_signers import signer

if TYPE_CHECKING:
    from datetime import datetime

    from services.signer.formats.format import Prepared
    from tests.support.document_signers import TestSigner

MM = 72 / 25.4
A4 = (210 * MM, 297 * MM)
DPI = 288
LEADER = "Nguyễn Văn Thử"
AGENCY = "Ủy ban nhân dân phường Thử Nghiệm"
SEAL_MM = 36.0
_SURFACE = (255, 255, 255, 0)
BLUE = (24, 52, 190)
RED = (214, 22, 32)


@cache
def font_file() -> Path:
    """Return the font that tests print with."""
    return Tools().serif_fonts() / FONT_FILE


def signature_png(
    width: int = 480,
    height: int = 200,
    *,
    padding: float = 0.0,
    colour: tuple[int, int, int] = BLUE,
    dpi: int = 0,
) -> bytes:
    """Draw a scribble that touches all four sides of what the padding (a share of each side) leaves."""
    drawing = Image.new("RGBA", (2 * width, 2 * height), _SURFACE)
    points = [
        (
            width * (1 + 0.9 * math.sin(2 * math.pi * 3 * step / 600)),
            height * (1 + 0.9 * math.sin(2 * math.pi * 4 * step / 600 + 0.4)),
        )
        for step in range(601)
    ]
    ImageDraw.Draw(drawing).line(points, fill=(*colour, 255), width=max(4, height // 12), joint="curve")
    border = (round(padding * width), round(padding * height))
    size = (width - 2 * border[0], height - 2 * border[1])
    image = Image.new("RGBA", (width, height), _SURFACE)
    image.paste(
        drawing.crop(drawing.getchannel("A").getbbox()).resize(size, Image.Resampling.NEAREST), border
    )
    return _png(image, dpi)


def seal_png(
    pixels: int = 500, *, colour: tuple[int, int, int] = RED, padding: int = 0, dpi: int = 0
) -> bytes:
    """Draw two rings and a star, a little transparent."""
    image = Image.new("RGBA", (pixels, pixels), _SURFACE)
    pen = ImageDraw.Draw(image)
    ink = (*colour, 220)
    edge = pixels - 1 - padding
    pen.ellipse((padding, padding, edge, edge), outline=ink, width=pixels // 28)
    inner = padding + pixels // 5
    pen.ellipse((inner, inner, pixels - 1 - inner, pixels - 1 - inner), outline=ink, width=pixels // 70)
    centre, reach = (pixels - 1) / 2, pixels * 0.2
    star = [
        (
            centre + (reach if step % 2 == 0 else reach * 0.4) * math.sin(math.pi * step / 5),
            centre - (reach if step % 2 == 0 else reach * 0.4) * math.cos(math.pi * step / 5),
        )
        for step in range(10)
    ]
    pen.polygon(star, fill=ink)
    return _png(image, dpi)


def _png(image: Image.Image, dpi: int = 0) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", **({"dpi": (dpi, dpi)} if dpi else {}))
    return buffer.getvalue()


def blank_pdf(page: bytes = b"", content: bytes = b"") -> bytes:
    """Return one page of 595 x 842 points; `page` is more of its dictionary, `content` uses the font F1 (Times)."""
    objects = pdfs.page_objects(page=page)
    if b"/MediaBox" in page:
        objects[pdfs.PAGE] = objects[pdfs.PAGE].replace(b"/MediaBox [0 0 595 842] ", b"")
    objects[pdfs.CONTENT] = b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content)
    return pdfs.assemble(objects)


def scanned_pdf(dpi: int, *, colour: bool = True) -> bytes:
    """Return an A4 page that is one scan."""
    size = (round(A4[0] / 72 * dpi), round(A4[1] / 72 * dpi))
    buffer = BytesIO()
    Image.new("RGB" if colour else "L", size, "white").save(buffer, "JPEG")
    data = buffer.getvalue()
    space = b"/DeviceRGB" if colour else b"/DeviceGray"
    content = b"q %f 0 0 %f 0 0 cm /Im0 Do Q" % A4
    objects = pdfs.page_objects()
    objects[pdfs.PAGE] = (
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 %f %f] /Contents 5 0 R /Resources <</XObject <</Im0 6 0 R>>>>>>"
        % A4
    )
    objects[pdfs.CONTENT] = b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content)
    objects[6] = (
        b"<</Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 /ColorSpace %s "
        b"/Filter /DCTDecode /Length %d>>\nstream\n%s\nendstream" % (*size, space, len(data), data)
    )
    return pdfs.assemble(objects)


def letter_pdf(
    *, name: str = LEADER, gap: float = 85.0, centre: float = 410.0, pages: int = 1, repeat_name: bool = False
) -> bytes:
    """Lay out a page with a title of two lines, room of about `gap` points, and a printed name; then further pages."""
    if "Serif" not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont("Serif", str(font_file())))
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setFont("Serif", 13)
    canvas.drawCentredString(170, 770, "ỦY BAN NHÂN DÂN")
    canvas.drawCentredString(420, 770, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM")
    canvas.setFont("Serif", 14)
    for index in range(12):
        canvas.drawString(
            85, 690 - 20 * index, "Căn cứ Luật Giao dịch điện tử, cơ quan ban hành văn bản này để thử."
        )
    canvas.drawCentredString(centre, 400, "TM. ỦY BAN NHÂN DÂN")
    canvas.drawCentredString(centre, 382, "CHỦ TỊCH")
    canvas.setFont("Serif", 11)
    for index, line in enumerate(("Nơi nhận:", "- Như trên;", "- Lưu: VT.")):
        canvas.drawString(85, 400 - 14 * index, line)
    canvas.setFont("Serif", 14)
    canvas.drawCentredString(centre, 382 - gap - 10, name)
    for number in range(2, pages + 1):
        canvas.showPage()
        canvas.setFont("Serif", 14)
        canvas.drawString(85, 760, f"PHỤ LỤC, trang {number}")
        if repeat_name:
            canvas.drawCentredString(centre, 400, "NGƯỜI LẬP")
            canvas.drawCentredString(centre, 300, name)
    canvas.save()
    return buffer.getvalue()


def prepared(
    data: bytes, shown: Visible, image: bytes | None = None, at: datetime | None = None, **options: Any
) -> Prepared:
    """Prepare a visible signature by the usual test signer."""
    return _prepared(data, shown, image, at, options)[0]


def _prepared(
    data: bytes, shown: Visible, image: bytes | None, at: datetime | None, options: dict[str, Any]
) -> tuple[Prepared, Document, Any, TestSigner]:
    who: TestSigner = options.pop("who", None) or signer()
    parameters = who.parameters(visible=shown, **options)
    if at is not None:
        parameters = replace(parameters, signing_time=at)
    others = () if image is None else (replace(Document.of(image), role=Role.IMAGE),)
    document = replace(Document.of(data), others=others)
    return PadesBaseline().prepare(document, parameters), document, parameters, who


def sign(
    data: bytes, shown: Visible, image: bytes | None = None, at: datetime | None = None, **options: Any
) -> bytes:
    """Sign visibly with a key in memory; return the signed file."""
    made, document, parameters, who = _prepared(data, shown, image, at, options)
    value = who.sign(made.digest, parameters.algorithm)
    return data + PadesBaseline().complete(document, parameters, made.state, value)


def use_font() -> None:
    """Let this process print, as a worker does after its start."""
    visible.load(font_file())


@dataclass(frozen=True)
class Edges:
    """Where something is on the displayed page: points from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def near(self, other: Edges, tolerance: float = 0.5) -> bool:
        """Say whether all four edges agree."""
        pairs = zip(self.all, other.all, strict=True)
        return all(abs(mine - theirs) <= tolerance for mine, theirs in pairs)

    @property
    def all(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        return self.left, self.bottom, self.right, self.top


def rendered(data: bytes, page: int = 1, dpi: int = DPI) -> Image.Image:
    """Let poppler draw a page, cut to its CropBox."""
    with _file(data) as path:
        done = subprocess.run(
            ["pdftoppm", "-cropbox", "-r", str(dpi), "-f", str(page), "-l", str(page), "-png", path],
            capture_output=True,
            check=True,
        )
    return Image.open(BytesIO(done.stdout)).convert("RGB")


def ink(image: Image.Image, colour: str, dpi: int = DPI) -> Edges | None:
    """Find the pixels of a colour ("blue", "red" or "black") and return their edges in points."""
    red, green, blue = image.split()
    if colour == "black":
        mask = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(
            lambda value: 255 if value < 128 else 0
        )
    else:
        strong, weak = (blue, red) if colour == "blue" else (red, blue)
        mask = ImageChops.subtract(strong, weak).point(lambda value: 255 if value > 60 else 0)
    box = mask.getbbox()
    if box is None:
        return None
    scale = 72 / dpi
    return Edges(
        box[0] * scale, (image.height - box[3]) * scale, box[2] * scale, (image.height - box[1]) * scale
    )


def widgets(data: bytes) -> list[tuple[int, tuple[float, ...]]]:
    """Return page number and /Rect of each signature widget, in the order of the fields, as pyHanko reads them."""
    from pyhanko.pdf_utils.reader import PdfFileReader

    reader = PdfFileReader(BytesIO(data))
    kids = reader.root["/Pages"]["/Kids"]
    pages = [kids.raw_get(index).reference for index in range(len(kids))]
    fields = [signature.sig_field for signature in reader.embedded_signatures]
    return [
        (1 + pages.index(field.raw_get("/P").reference), tuple(float(edge) for edge in field["/Rect"]))
        for field in fields
    ]


def text_of(data: bytes, page: int = 1) -> str:
    """Let poppler extract the text of a page, annotations included."""
    with _file(data) as path:
        command = ["pdftotext", "-f", str(page), "-l", str(page), "-layout", path, "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def fonts_of(data: bytes) -> list[dict[str, str]]:
    """Let poppler list the fonts of a file."""
    with _file(data) as path:
        lines = (
            subprocess.run(["pdffonts", path], capture_output=True, check=True).stdout.decode().splitlines()
        )
    pattern = re.compile(
        r"(?P<name>\S+)\s+(?P<type>.+?)\s+(?P<encoding>\S+)\s+(?P<emb>yes|no)\s+(?P<sub>yes|no)\s+(?P<uni>yes|no)\s"
    )
    return [match.groupdict() for line in lines[2:] if (match := pattern.match(line))]


class _file:  # noqa: N801 - used like a function
    """A file that poppler can open."""

    def __init__(self, data: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._data = data

    def __enter__(self) -> str:
        path = Path(self._folder.name) / "document.pdf"
        path.write_bytes(self._data)
        return str(path)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def sealed_letter(**options: Any) -> bytes:
    """Sign a letter by the leader and seal it: the two images that NĐ 30/2020 asks for."""
    once = sign(letter_pdf(**options), Visible("nd30.person"), signature_png())
    return sign(once, Visible("nd30.agency", image_width_mm=SEAL_MM, image_height_mm=SEAL_MM), seal_png())


def examples() -> dict[str, bytes]:
    """Make a signed file for each profile, by its name."""
    letter = letter_pdf()
    box = Place(width=220, height=60, page=1, left=85, bottom=120)
    return {
        "nd30-person": sign(letter, Visible("nd30.person"), signature_png()),
        "nd30-agency": sealed_letter(),
        "nd30-attachment": sign(letter, Visible("nd30.attachment", document_number="1030/UBND-VX")),
        "nd30-copy": sign(letter, Visible("nd30.copy", copy_form="SAO Y", agency_name=AGENCY)),
        "archive05": sign(letter, Visible("archive05", agency_name=AGENCY)),
        "block": sign(letter, Visible("block")),
        "free": sign(
            letter,
            Visible("free", place=box, lines=("Người ký: {name}", "Thời gian ký: {time}")),
            signature_png(),
        ),
    }


def main(folder: Path) -> None:
    """Write the examples and how poppler draws them."""
    use_font()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in examples().items():
        (folder / f"{name}.pdf").write_bytes(data)
        picture = rendered(data, dpi=100)
        picture.quantize(64).save(folder / f"{name}.png", optimize=True)
        print(folder / f"{name}.png")  # noqa: T201 - tells a person what was made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
