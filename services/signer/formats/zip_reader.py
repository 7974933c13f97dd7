"""Hostile ZIP files: everything is checked against the central directory before a byte is inflated.

Refused: ZIP64, several disks, encryption, methods other than stored and deflate, members that overlap or leave gaps,
headers that contradict each other, links, names that lead elsewhere, names that are there twice, and more content
than the limits allow, by what the file declares and by what comes out.
"""

from __future__ import annotations

import stat
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.kernel.errors import DocumentDamaged, DocumentEncrypted
from services.signer.formats.zip_names import identity, require_harmless
from services.signer.formats.zip_writer import (
    CENTRAL,
    CENTRAL_MARK,
    DEFLATED,
    END,
    END_MARK,
    LOCAL,
    LOCAL_MARK,
    MAX_RATIO,
    RATIO_FLOOR_BYTES,
    STORED,
    UTF8_NAME,
    Member,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ZIP_BYTES = 31 << 20
"""Of a container that is read or made: more cannot be handed on."""
MAX_CONTENT_BYTES = 31 << 20
"""Of all members together."""
MAX_MEMBERS = 1000
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Encrypted, strongly encrypted, with a masked directory (APPNOTE 4.4.4)."""
_DESCRIPTOR = 0x8
_DESCRIPTOR_MARK = b"PK\x07\x08"
_NONE_32 = 0xFFFFFFFF
_NONE_16 = 0xFFFF
_ZIP64_LOCATOR = b"PK\x06\x07"
_MAX_COMMENT = 0xFFFF
_UNIX = 3


@dataclass(frozen=True, slots=True)
class _Entry:
    """A member as the central directory tells of it."""

    raw_name: bytes
    flags: int
    method: int
    moment: tuple[int, int]
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def name(self) -> str:
        try:
            return self.raw_name.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _damaged("a member's name is not UTF-8", "name") from error


def read(data: bytes) -> list[Member]:
    """Return the members in the order of their bytes, directories left out. Raises DocumentDamaged or -Encrypted.

    What a member holds is inflated by `content`.
    """
    if len(data) > MAX_ZIP_BYTES:
        raise _damaged(f"it has {len(data)} bytes, at most {MAX_ZIP_BYTES} are read", "size")
    view = memoryview(data)
    entries, directory = _directory(data)
    _require_bounded(entries, len(data))
    members, end = [], 0
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != end:
            # Members that overlap, and bytes that belong to none, mean one thing to one reader and another to the next.
            raise _damaged("its members overlap, or bytes lie between them that belong to none", "overlap")
        start, end = _extent(view, entry, directory)
        name = entry.name
        if name.endswith("/") and not entry.size:
            continue
        require_harmless(name, DocumentDamaged)
        if identity(name) in seen:
            raise _damaged(f"the name {name!r} is there twice", "name")
        seen.add(identity(name))
        stored = view[start : start + entry.packed]
        members.append(Member(name, entry.method, stored, entry.size, entry.crc, entry.moment))
    if end != directory:
        raise _damaged("bytes lie before its directory that belong to no member", "overlap")
    return members


def content(member: Member) -> bytes:
    """Inflate a member, up to what was declared, and check it."""
    if member.method == STORED:
        found = bytes(member.stored)
    else:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            found = inflater.decompress(member.stored, member.size + 1)
        except zlib.error as error:
            raise _damaged(f"the member {member.name!r} cannot be inflated", "deflate") from error
        if not inflater.eof or inflater.unused_data:
            raise _damaged(f"the member {member.name!r} has not the size that is declared", "size")
    if len(found) != member.size or zlib.crc32(found) != member.crc:
        raise _damaged(f"the member {member.name!r} has not the size or checksum that is declared", "size")
    return found


def _directory(data: bytes) -> tuple[list[_Entry], int]:
    """Read the central directory; give its entries and where it begins."""
    end = _end_record(data)
    _, disk, first_disk, here, total, size, offset, _ = END.unpack_from(data, end)
    if _NONE_16 in (here, total) or _NONE_32 in (size, offset) or data[end - 20 : end - 16] == _ZIP64_LOCATOR:
        raise _damaged("it is a ZIP64 file, which containers of this size need not be", "zip64")
    if disk or first_disk or here != total:
        raise _damaged("it is one disk of several", "disks")
    if total > MAX_MEMBERS:
        raise _damaged(f"it has {total} members, at most {MAX_MEMBERS} are read", "members")
    if offset + size != end:
        raise _damaged("its directory does not lie where it should", "directory")
    entries = list(_entries(data[offset:end], total))
    return entries, offset


def _end_record(data: bytes) -> int:
    """Find the one end-of-directory record whose comment reaches to the end of the file."""
    lowest = max(0, len(data) - END.size - _MAX_COMMENT)
    found = []
    at = data.find(END_MARK, lowest)
    while at >= 0:
        if at + END.size <= len(data) and at + END.size + END.unpack_from(data, at)[-1] == len(data):
            found.append(at)
        at = data.find(END_MARK, at + 1)
    if len(found) != 1:
        raise _damaged("it has no end of directory, or more than one", "directory")
    return found[0]


def _entries(directory: bytes, total: int) -> Iterator[_Entry]:
    at = 0
    for _ in range(total):
        if at + CENTRAL.size > len(directory) or directory[at : at + 4] != CENTRAL_MARK:
            raise _damaged("its directory is broken", "directory")
        found = CENTRAL.unpack_from(directory, at)
        _, made_by, _, flags, method, time, date, crc, packed, size, *lengths = found[:13]
        disk, _, external, offset = found[13:]
        name, extra, comment = lengths
        after = at + CENTRAL.size + name + extra + comment
        if after > len(directory) or disk:
            raise _damaged("its directory is broken", "directory")
        raw = directory[at + CENTRAL.size : at + CENTRAL.size + name]
        mode = external >> 16 if made_by >> 8 == _UNIX else 0
        yield _Entry(raw, flags, method, (date, time), crc, packed, size, offset, mode)
        at = after
    if at != len(directory):
        raise _damaged("its directory is broken", "directory")


def _require_bounded(entries: list[_Entry], whole: int) -> None:
    """Refuse what a member may not be, and more than may come out."""
    for entry in entries:
        if entry.flags & _ENCRYPTED:
            raise DocumentEncrypted("the ZIP file has encrypted members: send it decrypted")
        if entry.method not in {STORED, DEFLATED}:
            raise _damaged(f"a member is packed by method {entry.method}, only 0 and 8 are read", "method")
        if _NONE_32 in (entry.packed, entry.size, entry.offset):
            raise _damaged("it is a ZIP64 file, which containers of this size need not be", "zip64")
        if entry.method == STORED and entry.packed != entry.size:
            raise _damaged("a stored member has two sizes", "size")
        if stat.S_ISLNK(entry.mode):
            raise _damaged("a member is a link", "link")
    total = sum(entry.size for entry in entries)
    if total > MAX_CONTENT_BYTES:
        raise _damaged(f"its members have {total} bytes, at most {MAX_CONTENT_BYTES} are read", "bomb")
    if total > RATIO_FLOOR_BYTES and total > MAX_RATIO * whole:
        raise _damaged(f"its members are more than {MAX_RATIO} times as large as itself", "bomb")


def _extent(view: memoryview, entry: _Entry, limit: int) -> tuple[int, int]:
    """Check a member's local header against the directory; give where its bytes begin and where the next one does."""
    start = entry.offset + LOCAL.size
    if start > limit:
        raise _damaged("a member lies behind the directory", "overlap")
    mark, _, flags, method, *_moment, crc, packed, size, name, extra = LOCAL.unpack_from(view, entry.offset)
    data = start + name + extra
    end = data + entry.packed
    if mark != LOCAL_MARK or end > limit:
        raise _damaged("a member does not lie where the directory says", "overlap")
    told = (crc, packed, size)
    known = (entry.crc, entry.packed, entry.size)
    later = flags & _DESCRIPTOR
    if (
        bytes(view[start : start + name]) != entry.raw_name
        or method != entry.method
        or (flags ^ entry.flags) & (_DESCRIPTOR | UTF8_NAME | _ENCRYPTED)
        or (told != known and not (later and told in {(0, 0, 0), (entry.crc, 0, 0)}))
    ):
        raise _damaged("a member's own header contradicts the directory", "mismatch")
    return data, end + (_descriptor(view, end, known, limit) if later else 0)


def _descriptor(view: memoryview, at: int, known: tuple[int, int, int], limit: int) -> int:
    """Return the length of the data descriptor (APPNOTE 4.3.9) that follows a member."""
    plain = b"".join(number.to_bytes(4, "little") for number in known)
    found = bytes(view[at : min(at + 16, limit)])
    if found == _DESCRIPTOR_MARK + plain:
        return 16
    if found[:12] == plain:
        return 12
    raise _damaged("a member's data descriptor contradicts the directory", "mismatch")


def _damaged(text: str, reason: str) -> DocumentDamaged:
    return DocumentDamaged(f"the ZIP file cannot be read: {text}", reason=reason)
