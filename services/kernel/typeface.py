"""A TrueType font that is printed with, and subsets of it for embedding: in visible signatures and in reports.

A subset is cut here from the font's own tables: it holds the used glyphs without hints, numbered from 1, and takes a
fraction of a millisecond, where a general subsetting library takes twenty.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from fontTools.ttLib import TTFont

if TYPE_CHECKING:
    from pathlib import Path

VIETNAMESE = "ăĂâÂđĐêÊôÔơƠưƯ" + "".join(map(chr, range(0x1EA0, 0x1EFA)))
_RESTRICTED = 0x0002
"""OS/2 fsType: the font must not be embedded."""
_WORDS, _MORE, _INSTRUCTED = 0x0001, 0x0020, 0x0100
_SCALE, _SCALE_XY, _SCALE_2X2 = 0x0008, 0x0040, 0x0080
"""Flags of the parts of a composite glyph (OpenType "glyf")."""
_TABLES = ("head", "hhea", "maxp", "hmtx", "loca", "glyf")
_MAX_PARTS_DEPTH = 8


class FontUnfit(ValueError):
    """The font that the settings name cannot be used."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Some glyphs of a font as a font program; glyph and CID are one number, 0 is the missing glyph."""

    name: str
    """PostScript name with the subset's tag (ISO 32000-1 9.6.4)."""
    program: bytes
    """TrueType."""
    numbers: dict[str, int]
    """Glyph of each character."""
    widths: tuple[int, ...]
    """Of each glyph, thousandths of the size."""


class Face:
    """A TrueType font. It does not kern, shape or turn letters: Vietnamese needs none of it."""

    def __init__(self, data: bytes) -> None:
        """Read the tables. Raises FontUnfit where it is no TrueType font with the Vietnamese letters."""
        try:
            font = TTFont(BytesIO(data), lazy=True)
            self._raw = {tag: bytes(font.reader[tag]) for tag in _TABLES}
            cmap = font.getBestCmap() or {}
            self._glyphs = {character: font.getGlyphID(name) for character, name in cmap.items()}
            self.name = str(font["name"].getDebugName(6) or "Serif")
            embedding = int(font["OS/2"].fsType)
            self._cap_height = int(getattr(font["OS/2"], "sCapHeight", 0)) or int(font["hhea"].ascent)
        except Exception as error:
            # fontTools raises whatever a broken table drives it to; the operator must hear that it is the font.
            raise FontUnfit(f"it is no TrueType font with outlines ({type(error).__name__})") from error
        missing = "".join(letter for letter in VIETNAMESE if ord(letter) not in self._glyphs)
        if missing:
            raise FontUnfit(
                f"it lacks the letters {missing[:20]}: take Liberation Serif 2, Tinos or Times New Roman"
            )
        if embedding & 0x000F == _RESTRICTED:
            raise FontUnfit("its licence forbids embedding (OS/2 fsType)")
        self._count = int.from_bytes(self._raw["maxp"][4:6], "big")
        self._units = int.from_bytes(self._raw["head"][18:20], "big")
        self._offsets = self._locations()
        self._measures = int.from_bytes(self._raw["hhea"][34:36], "big")

    @classmethod
    def read(cls, path: Path) -> Face:
        """Read a file. Raises FontUnfit or OSError."""
        return cls(path.read_bytes())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounds of all glyphs, thousandths."""
        x0, y0, x1, y1 = struct.unpack_from(">4h", self._raw["head"], 36)
        return self._thousandths(x0), self._thousandths(y0), self._thousandths(x1), self._thousandths(y1)

    @property
    def ascent(self) -> int:
        """Thousandths."""
        return self._thousandths(struct.unpack_from(">h", self._raw["hhea"], 4)[0])

    @property
    def descent(self) -> int:
        """Thousandths, negative."""
        return self._thousandths(struct.unpack_from(">h", self._raw["hhea"], 6)[0])

    @property
    def cap_height(self) -> int:
        """Thousandths."""
        return self._thousandths(self._cap_height)

    def missing(self, text: str) -> str:
        """Return the characters that the font has no glyph for, each once."""
        return "".join(dict.fromkeys(one for one in text if ord(one) not in self._glyphs))

    def width(self, text: str, size: float) -> float:
        """Measure a text in points; every character must be in the font."""
        return sum(self._advance(self._glyphs[ord(one)]) for one in text) * size / 1000

    def subset(self, text: str) -> Subset:
        """Cut out the glyphs of a text; what was cut for the last few texts is kept."""
        return self._cut("".join(sorted(set(text))))

    @lru_cache(maxsize=64)  # noqa: B019 - a worker has one font for its life
    def _cut(self, characters: str) -> Subset:
        order = [0]
        place = {0: 0}
        for character in characters:
            self._enter(self._glyphs[ord(character)], order, place, 0)
        outlines = [_without_hints(self._outline(glyph), place) for glyph in order]
        measures = b"".join(struct.pack(">Hh", *self._metrics(glyph)) for glyph in order)
        program = self._program(outlines, measures)
        tag = "".join(chr(65 + byte % 26) for byte in hashlib.sha256(program).digest()[:6])
        return Subset(
            name=f"{tag}+{self.name}",
            program=program,
            numbers={character: place[self._glyphs[ord(character)]] for character in characters},
            widths=tuple(self._advance(glyph) for glyph in order),
        )

    def _enter(self, glyph: int, order: list[int], place: dict[int, int], depth: int) -> None:
        if glyph in place:
            return
        if glyph >= self._count or depth > _MAX_PARTS_DEPTH:
            raise FontUnfit("its composite glyphs are broken")
        place[glyph] = len(order)
        order.append(glyph)
        outline = self._outline(glyph)
        for at in _parts(outline)[0]:
            self._enter(int.from_bytes(outline[at + 2 : at + 4], "big"), order, place, depth + 1)

    def _program(self, outlines: list[bytes], measures: bytes) -> bytes:
        """Put the tables together (OpenType "otff"), glyph places in the long form."""
        count = len(outlines)
        places, at = [0], 0
        for outline in outlines:
            at += len(outline)
            places.append(at)
        head = bytearray(self._raw["head"])
        head[8:12] = bytes(4)
        head[50:52] = b"\0\1"
        hhea = bytearray(self._raw["hhea"])
        hhea[34:36] = struct.pack(">H", count)
        maxp = bytearray(self._raw["maxp"])
        maxp[4:6] = struct.pack(">H", count)
        tables = {
            b"glyf": b"".join(outlines),
            b"head": bytes(head),
            b"hhea": bytes(hhea),
            b"hmtx": measures,
            b"loca": struct.pack(f">{count + 1}I", *places),
            b"maxp": bytes(maxp),
        }
        power = len(tables).bit_length() - 1
        out = bytearray(
            struct.pack(
                ">IHHHH", 0x00010000, len(tables), 16 << power, power, (len(tables) - (1 << power)) * 16
            )
        )
        offset = len(out) + 16 * len(tables)
        bodies, head_at = b"", 0
        for tag, table in tables.items():
            padded = table + bytes(-len(table) % 4)
            if tag == b"head":
                head_at = offset
            out += struct.pack(">4sIII", tag, _check_sum(padded), offset, len(table))
            bodies += padded
            offset += len(padded)
        out += bodies
        out[head_at + 8 : head_at + 12] = struct.pack(">I", (0xB1B0AFBA - _check_sum(bytes(out))) % (1 << 32))
        return bytes(out)

    def _locations(self) -> list[int]:
        if int.from_bytes(self._raw["head"][50:52], "big"):
            return list(struct.unpack_from(f">{self._count + 1}I", self._raw["loca"]))
        return [2 * half for half in struct.unpack_from(f">{self._count + 1}H", self._raw["loca"])]

    def _outline(self, glyph: int) -> bytes:
        return self._raw["glyf"][self._offsets[glyph] : self._offsets[glyph + 1]]

    def _metrics(self, glyph: int) -> tuple[int, int]:
        """Advance and left side bearing, in the font's units."""
        table, full = self._raw["hmtx"], self._measures
        if glyph < full:
            advance, bearing = struct.unpack_from(">Hh", table, 4 * glyph)
            return advance, bearing
        (advance,) = struct.unpack_from(">H", table, 4 * (full - 1))
        (bearing,) = struct.unpack_from(">h", table, 4 * full + 2 * (glyph - full))
        return advance, bearing

    def _advance(self, glyph: int) -> int:
        return self._thousandths(self._metrics(glyph)[0])

    def _thousandths(self, value: int) -> int:
        return round(value * 1000 / self._units)


def _parts(outline: bytes) -> tuple[list[int], int]:
    """Find where the parts of a composite glyph stand and where they end; a simple one has none."""
    found: list[int] = []
    if len(outline) < 10 or struct.unpack_from(">h", outline)[0] >= 0:
        return found, 0
    at = 10
    while True:
        (flags,) = struct.unpack_from(">H", outline, at)
        found.append(at)
        at += 8 if flags & _WORDS else 6
        at += 2 if flags & _SCALE else 4 if flags & _SCALE_XY else 8 if flags & _SCALE_2X2 else 0
        if not flags & _MORE:
            return found, at


def _without_hints(outline: bytes, place: dict[int, int]) -> bytes:
    """Take the instructions out of a glyph, give its parts their new numbers, fill up to four bytes."""
    if len(outline) < 10:
        return b""
    (contours,) = struct.unpack_from(">h", outline)
    if contours >= 0:
        at = 10 + 2 * contours
        (length,) = struct.unpack_from(">H", outline, at)
        bare = outline[:at] + b"\0\0" + outline[at + 2 + length :]
    else:
        changed = bytearray(outline)
        parts, end = _parts(outline)
        for at in parts:
            flags, glyph = struct.unpack_from(">HH", outline, at)
            struct.pack_into(">HH", changed, at, flags & ~_INSTRUCTED, place[glyph])
        bare = bytes(changed[:end])
    return bare + bytes(-len(bare) % 4)


def _check_sum(padded: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) % (1 << 32)
