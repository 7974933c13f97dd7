"""PNG images of signatures and seals: checked by VS-30 to VS-35, decoded once, ready to be put into a PDF file.

Only the chunks that make the picture reach the decoder; nothing of text, profiles or animations is read or kept.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, PngImagePlugin

from services.kernel.errors import ImageInvalid

if TYPE_CHECKING:
    from services.signer.formats.format import Document

MAX_BYTES = 1 << 20
MAX_SIDE = 4000
"""VS-35, in pixels."""
MIN_SHARE = 0.8
MIN_ALPHA = 128
MIN_SATURATION = 90
"""VS-32: 0.35 of 255, rounded up."""
BLUE, RED = "blue", "red"
_HUES = {BLUE: ((200.0, 260.0),), RED: ((345.0, 360.0), (0.0, 15.0))}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MAX_CHUNKS = 10_000
_COUNTED_PIXELS = 500_000
_CACHED = 64
_CACHED_BYTES = 16 << 20
_POINTS_PER_METRE = 72 / 0.0254


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image. Sizes in pixels, rows from the top."""

    width: int
    height: int
    colours: bytes
    """zlib: RGB, 8 bits each."""
    alpha: bytes
    """zlib: 8 bits a pixel, 0 is transparent."""
    visible: tuple[int, int, int, int]
    """Smallest box with every pixel that is not fully transparent: left, upper, right, lower edge."""
    shares: dict[str, float]
    """Of the saturated, mostly opaque pixels: how many have each hue of VS-32. Empty: there is none such pixel."""
    physical: tuple[float, float] | None
    """Width and height in points, as the file's own pHYs says."""

    def require_hue(self, hue: str, what: str) -> None:
        """Refuse (VS-32) a picture that is not of its colour."""
        share = self.shares.get(hue, 0.0)
        if share < MIN_SHARE:
            raise ImageInvalid(
                f"the image of {what} must be {hue}: {share:.0%} of its coloured pixels are, {MIN_SHARE:.0%} "
                "must be (VS-32)",
                check="VS-32",
            )


_cache: OrderedDict[bytes, Picture] = OrderedDict()


def load(document: Document) -> Picture:
    """Check and decode the file of the role IMAGE; the last few are kept by their hash. Raises ImageInvalid."""
    if document.size > MAX_BYTES:
        raise ImageInvalid(
            f"the image has {document.size} bytes, at most {MAX_BYTES} are taken (VS-35)", check="VS-35"
        )
    data = document.read()
    key = hashlib.sha256(data).digest()
    picture = _cache.get(key)
    if picture is None:
        picture = _cache[key] = _decoded(data)
        while len(_cache) > _CACHED or sum(map(_bytes_of, _cache.values())) > _CACHED_BYTES:
            _cache.popitem(last=False)
    else:
        _cache.move_to_end(key)
    return picture


def _bytes_of(picture: Picture) -> int:
    return len(picture.colours) + len(picture.alpha)


def _decoded(data: bytes) -> Picture:
    chunks, plain = _chunks(data)
    header = chunks[b"IHDR"]
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ImageInvalid(
            f"the image is {width} x {height} pixels, at most {MAX_SIDE} a side are taken (VS-35)",
            check="VS-35",
        )
    if header[9] not in (4, 6) and b"tRNS" not in chunks:
        raise ImageInvalid(
            "the image has no transparent background: save it as PNG with an alpha channel (VS-30)",
            check="VS-30",
        )
    try:
        with PngImagePlugin.PngImageFile(BytesIO(plain)) as opened:
            whole = opened.convert("RGBA")
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        raise _damaged("its pixels cannot be decoded") from error
    alpha = whole.getchannel("A")
    _require_clear_corners(alpha)
    visible = alpha.getbbox()
    if visible is None:
        raise ImageInvalid("every pixel of the image is transparent (VS-31)", check="VS-31")
    colours = Image.new("RGB", whole.size, "white")
    # What transparent pixels hide is nobody's business, and white packs best.
    colours.paste(whole.convert("RGB"), mask=alpha.point(lambda value: 255 if value else 0))
    return Picture(
        width=width,
        height=height,
        colours=zlib.compress(colours.tobytes()),
        alpha=zlib.compress(alpha.tobytes()),
        visible=visible,
        shares=hue_shares(colours, alpha),
        physical=_physical(chunks.get(b"pHYs", b""), width, height),
    )


def from_png_data(data: bytes, width: int, height: int, mode: str) -> Image.Image:
    """Decode filtered rows (mode "L" or "RGB", 8 bits), packed as IDAT has them. Raises what Pillow raises."""
    header = (
        width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0 if mode == "L" else 2, 0, 0, 0))
    )
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")]
    with PngImagePlugin.PngImageFile(BytesIO(_SIGNATURE + b"".join(parts))) as opened:
        opened.load()
        return opened.copy()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _chunks(data: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """Walk the chunks and check each CRC; return the first of each kind, and the file with the picture's alone."""
    if not data.startswith(_SIGNATURE):
        raise ImageInvalid("the image is not a PNG file, whatever its name says (VS-30)", check="VS-30")
    found: dict[bytes, bytes] = {}
    plain = [_SIGNATURE]
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            raise _damaged("it ends in the middle of a chunk")
        kind, body = data[at + 4 : at + 8], data[at + 8 : end - 4]
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _damaged("the check sum of a chunk is wrong")
        if kind == b"acTL":
            raise ImageInvalid("the image is animated: save one picture as PNG (VS-30)", check="VS-30")
        if not found and (kind != b"IHDR" or length != 13):
            raise _damaged("it does not begin with its header")
        found.setdefault(kind, body)
        if kind in _PICTURE_CHUNKS:
            plain.append(data[at:end])
        at = end
        if kind == b"IEND":
            return found, b"".join(plain)
    raise _damaged(f"it has more than {_MAX_CHUNKS} chunks")


def _damaged(why: str) -> ImageInvalid:
    return ImageInvalid(f"the PNG file is damaged: {why} (VS-30)", check="VS-30")


def _require_clear_corners(alpha: Image.Image) -> None:
    right, lower = alpha.width - 1, alpha.height - 1
    if any(alpha.getpixel(corner) for corner in ((0, 0), (right, 0), (0, lower), (right, lower))):
        raise ImageInvalid(
            "the four corner pixels of the image must be fully transparent (VS-31)", check="VS-31"
        )


def hue_shares(colours: Image.Image, alpha: Image.Image) -> dict[str, float]:
    """Say how large a part of the saturated, mostly opaque pixels each hue of VS-32 has; empty where there is none."""
    step = math.isqrt(colours.width * colours.height // _COUNTED_PIXELS) + 1
    if step > 1:
        # Every so many rows and columns are enough to tell a share by.
        size = (-(-colours.width // step), -(-colours.height // step))
        colours, alpha = (one.resize(size, Image.Resampling.NEAREST) for one in (colours, alpha))
    hue, saturation, _ = colours.convert("HSV").split()
    counted = ImageChops.darker(
        alpha.point(lambda value: 255 if value >= MIN_ALPHA else 0),
        saturation.point(lambda value: 255 if value >= MIN_SATURATION else 0),
    )
    histogram = hue.histogram(counted)
    total = sum(histogram)
    if not total:
        return {}
    # Pillow's hue has 256 steps to the circle.
    return {
        name: sum(
            count
            for step, count in enumerate(histogram)
            if any(low <= step * 360 / 255 <= high for low, high in ranges)
        )
        / total
        for name, ranges in _HUES.items()
    }


def _physical(density: bytes, width: int, height: int) -> tuple[float, float] | None:
    """Read pHYs (PNG 11.3.5.3): pixels a metre; other units name no size."""
    if len(density) != 9 or density[8] != 1:
        return None
    across, down = int.from_bytes(density[:4], "big"), int.from_bytes(density[4:8], "big")
    if not across or not down:
        return None
    return width / across * _POINTS_PER_METRE, height / down * _POINTS_PER_METRE
