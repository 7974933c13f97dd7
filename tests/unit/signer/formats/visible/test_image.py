"""Images: what VS-30 to VS-35 ask for is checked on bytes that somebody could really send."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from services.kernel.errors import ImageInvalid
from services.signer.formats.format import Document
from services.signer.formats.visible import image
from tests.support.pictures import BLUE, RED, seal_png, signature_png

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def saved(picture: Image.Image, form: str = "PNG") -> bytes:
    buffer = BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


def with_chunk(kind: bytes, body: bytes) -> bytes:
    """Put a chunk behind the header."""
    plain = signature_png()
    return plain[:33] + chunk(kind, body) + plain[33:]


def header_only(width: int, height: int, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def dot(size: tuple[int, int], colour: tuple[int, int, int, int], mode: str = "RGBA") -> Image.Image:
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    picture.paste(colour, (2, 2, size[0] - 2, size[1] - 2))
    return picture.convert(mode)


def load(data: bytes) -> image.Picture:
    return image.load(Document.of(data))


def _one_corner() -> bytes:
    picture = dot((40, 40), (*BLUE, 255))
    picture.putpixel((39, 0), (*BLUE, 1))
    return saved(picture)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "opaque": (lambda: saved(Image.new("RGB", (40, 40), BLUE)), "VS-30"),
    "jpeg": (lambda: saved(Image.new("RGB", (40, 40), BLUE), "JPEG"), "VS-30"),
    "gif": (lambda: saved(Image.new("P", (40, 40)), "GIF"), "VS-30"),
    "empty": (lambda: b"", "VS-30"),
    "cut off": (lambda: signature_png()[:-20], "VS-30"),
    "one bit turned": (lambda: signature_png()[:90] + b"\x00" + signature_png()[91:], "VS-30"),
    "animated": (lambda: with_chunk(b"acTL", bytes(8)), "VS-30"),
    "header not first": (lambda: SIGNATURE + chunk(b"IDAT", b""), "VS-30"),
    "no pixels": (lambda: SIGNATURE + signature_png()[8:33] + chunk(b"IEND", b""), "VS-30"),
    "too few pixels": (lambda: header_only(400, 400, b"\0" * 100), "VS-30"),
    "broken deflate": (
        lambda: SIGNATURE + signature_png()[8:33] + chunk(b"IDAT", b"\x78\x9c\xff\xff") + chunk(b"IEND", b""),
        "VS-30",
    ),
    "corner": (lambda: saved(Image.new("RGBA", (40, 40), (*BLUE, 255))), "VS-31"),
    "one corner": (_one_corner, "VS-31"),
    "nothing to see": (lambda: saved(Image.new("RGBA", (40, 40), (*BLUE, 0))), "VS-31"),
    "too wide": (lambda: header_only(4001, 10), "VS-35"),
    "too high": (lambda: header_only(10, 100_000), "VS-35"),
    "no width": (lambda: header_only(0, 10), "VS-35"),
    "too many bytes": (lambda: signature_png() + bytes(image.MAX_BYTES), "VS-35"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_is_refused_by_the_row_that_it_breaks(case: str) -> None:
    make, row = BAD[case]
    with pytest.raises(ImageInvalid) as caught:
        load(make())
    assert caught.value.data["check"] == row
    assert row in caught.value.message


@pytest.mark.parametrize(
    ("data", "hue", "fits"),
    [
        (signature_png(), "blue", True),
        (seal_png(), "red", True),
        (signature_png(colour=RED), "blue", False),
        (seal_png(colour=BLUE), "red", False),
        (signature_png(colour=(20, 20, 20)), "blue", False),
        (signature_png(colour=(40, 160, 60)), "blue", False),
    ],
    ids=["blue signature", "red seal", "red signature", "blue seal", "black signature", "green signature"],
)
def test_colours_are_judged_by_vs_32(data: bytes, hue: str, fits: bool) -> None:
    picture = load(data)
    if fits:
        picture.require_hue(hue, "this")
        return
    with pytest.raises(ImageInvalid, match="VS-32"):
        picture.require_hue(hue, "this")


@pytest.mark.parametrize(("degrees", "blue"), [(199, False), (202, True), (258, True), (262, False)])
def test_the_limits_of_blue_are_those_of_vs_32(degrees: int, blue: bool) -> None:
    colour = Image.new("HSV", (1, 1), (round(degrees * 255 / 360), 200, 200)).convert("RGB").getpixel((0, 0))
    assert isinstance(colour, tuple)
    picture = load(saved(dot((40, 40), (*colour[:3], 255))))  # type: ignore[arg-type]
    assert (picture.shares["blue"] >= image.MIN_SHARE) is blue


def test_visible_pixels_are_those_with_any_alpha() -> None:
    picture = dot((100, 50), (*BLUE, 1))
    assert load(saved(picture)).visible == (2, 2, 98, 48)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_pixels_arrive_as_they_were_sent(mode: str) -> None:
    sent = dot((30, 20), (*BLUE, 130), mode)
    picture = load(saved(sent))
    back = Image.frombytes("RGB", (30, 20), zlib.decompress(picture.colours))
    alpha = Image.frombytes("L", (30, 20), zlib.decompress(picture.alpha))
    assert back.getpixel((10, 10)) == sent.convert("RGBA").getpixel((10, 10))[:3]  # type: ignore[index]
    assert (alpha.getpixel((0, 0)), alpha.getpixel((10, 10))) == (0, 130)


def test_a_palette_with_transparent_entries_is_taken() -> None:
    picture = Image.new("P", (30, 30), 0)
    picture.putpalette([255, 255, 255, *BLUE])
    picture.paste(1, (5, 5, 25, 25))
    buffer = BytesIO()
    picture.save(buffer, "PNG", transparency=0)
    assert load(buffer.getvalue()).visible == (5, 5, 25, 25)


def test_sixteen_bits_and_interlacing_are_taken() -> None:
    # Adam7 on one row of four pixels: passes 1, 4 and 6 hold pixels 0, 2, and 1 and 3.
    clear, ink = bytes(8), struct.pack(">4H", 0x1800, 0x3400, 0xBE00, 0xFFFF)
    rows = b"\0" + clear + b"\0" + ink + b"\0" + ink + clear
    header = struct.pack(">IIBBBBB", 4, 1, 16, 6, 0, 0, 1)
    data = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert load(data).visible == (1, 0, 3, 1)


def test_chunks_that_are_no_picture_are_not_read() -> None:
    bomb = b"Comment\0\0" + zlib.compress(bytes(64 << 20))
    plain = load(signature_png())
    loaded = load(with_chunk(b"zTXt", bomb))
    assert (loaded.colours, loaded.alpha) == (plain.colours, plain.alpha)


def test_the_physical_size_is_that_of_phys() -> None:
    physical = load(signature_png(300, 150, dpi=300)).physical
    assert physical is not None
    assert physical == pytest.approx((72, 36), abs=0.01)
    assert load(signature_png()).physical is None


def test_the_same_bytes_are_decoded_once() -> None:
    assert load(signature_png(60, 30)) is load(signature_png(60, 30))
