"""ZIP files as ASiC wants them (EN 319 162-1 annex A): the same members always give the same bytes.

No data descriptors, no extra fields, no ZIP64; names in UTF-8; times from the members.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

STORED, DEFLATED = 0, 8
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
UTF8_NAME = 0x800
"""General purpose bit 11 (APPNOTE 4.4.4)."""
MAX_RATIO = 100
"""How much smaller than its content a deflated member may be: readers take more for a bomb."""
RATIO_FLOOR_BYTES = 1 << 20
"""Contents up to this size are no bomb whatever their ratio."""

_VERSION = 20
"""Deflate (APPNOTE 4.4.3.2)."""
_LEVEL = 6
_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a ZIP file, as it is stored there."""

    name: str
    method: int
    stored: bytes | memoryview
    """Deflated, or the content itself."""
    size: int
    """Of the content."""
    crc: int
    moment: tuple[int, int]
    """MS-DOS date and time."""

    @classmethod
    def of(cls, name: str, content: bytes, moment: tuple[int, int], *, deflate: bool = True) -> Member:
        """Make a member; deflated where that saves space and asks no reader for too much."""
        crc = zlib.crc32(content)
        if deflate and _packs(content):
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            packed = packer.compress(content) + packer.flush()
            harmless = len(content) <= RATIO_FLOOR_BYTES or len(content) <= MAX_RATIO // 2 * len(packed)
            if len(packed) < len(content) and harmless:
                return cls(name, DEFLATED, packed, len(content), crc, moment)
        return cls(name, STORED, content, len(content), crc, moment)


def _packs(content: bytes) -> bool:
    """Say whether deflating is worth its time: of large contents the beginning tells (images, PDF files, archives)."""
    if len(content) <= 4 * _SAMPLE_BYTES:
        return True
    return len(zlib.compress(content[:_SAMPLE_BYTES], 1)) < _SAMPLE_BYTES * 19 // 20


def dos_moment(moment: datetime) -> tuple[int, int]:
    """Write a moment as MS-DOS date and time, UTC, in steps of two seconds; 1980 to 2107."""
    moment = moment.astimezone(UTC)
    year = min(max(moment.year, 1980), 2107)
    date = (year - 1980) << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2


def write(members: list[Member]) -> bytes:
    """Write a ZIP file of these members in this order, without a comment."""
    parts: list[bytes | memoryview] = []
    directory: list[bytes] = []
    offset = 0
    for member in members:
        name = member.name.encode("utf-8")
        flags = 0 if name.isascii() else UTF8_NAME
        date, time = member.moment
        middle = (flags, member.method, time, date, member.crc, len(member.stored), member.size, len(name))
        local = LOCAL.pack(LOCAL_MARK, _VERSION, *middle, 0)
        directory.append(
            CENTRAL.pack(CENTRAL_MARK, _VERSION, _VERSION, *middle, 0, 0, 0, 0, 0, offset) + name
        )
        parts += (local, name, member.stored)
        offset += len(local) + len(name) + len(member.stored)
    listed = b"".join(directory)
    end = END.pack(END_MARK, 0, 0, len(members), len(members), len(listed), offset, 0)
    return b"".join((*parts, listed, end))
