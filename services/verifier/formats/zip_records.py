"""The records of a ZIP file (APPNOTE 6.3.10), read from the octets as they stand, and held against each other.

A ZIP file says everything twice, and readers differ in whom they believe. Here both must say the same: what a member's
own header and the directory tell, where members begin and end, and which octets belong to nothing at all.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

STORED, DEFLATED = 0, 8
MAX_MEMBERS = 5000
MAX_VERSION = 63
"""The newest that APPNOTE has (4.4.3), in tenths: readers refuse a member that asks for a newer one."""
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
LOCAL_MARK = b"PK\x03\x04"
_CENTRAL_MARK, _END_MARK = b"PK\x01\x02", b"PK\x05\x06"
_END_64_MARK, _LOCATOR_64_MARK = b"PK\x06\x06", b"PK\x06\x07"
_DESCRIPTOR_MARK = b"PK\x07\x08"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Encrypted, strongly encrypted, with a masked directory (4.4.4)."""
_DESCRIPTOR, UTF8_NAME = 0x8, 0x800
_EFFORT = 0x6
"""How hard a member was packed: of no meaning for readers."""
_KNOWN = _ENCRYPTED | _DESCRIPTOR | UTF8_NAME | _EFFORT
_NONE_16, _NONE_32 = 0xFFFF, 0xFFFFFFFF
_MAX_COMMENT = 0xFFFF
_ZIP64_FIELD, _UNICODE_PATH = 0x0001, 0x7075
_UNIX = 3

Span = tuple[int, int]


class ZipError(ValueError):
    """The file is not one that all readers take apart alike; the message says why."""


class ZipLimit(ZipError):
    """The file asks for more than is given to one document."""


class ZipEncrypted(ZipError):
    """Members are encrypted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the directory tells of it, and where its octets lie once `read` has held its own header against it.

    `packed` and `size` are octets before and after inflating; `start` is where the packed octets begin in the file.
    """

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    unicode_path: bytes | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """All members in the order of their octets, and the spans of the file that belong to nothing (from, to)."""

    entries: tuple[Entry, ...]
    unowned: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Directory:
    """Where the directory lies, how many members it has, and where what comes after it begins."""

    offset: int
    size: int
    total: int
    after: int


def looks_like(data: bytes) -> bool:
    """True when the file starts with a member, as ZIP files do that hold nothing else."""
    return data[:4] == LOCAL_MARK


def read(data: bytes) -> Records:
    """Everything about the members but what is in them. Raises ZipError."""
    directory = _directory(data)
    if directory.total > MAX_MEMBERS:
        raise ZipLimit(f"a ZIP file with {directory.total} members, at most {MAX_MEMBERS} are read")
    entries = sorted(_entries(data, directory), key=lambda entry: entry.offset)
    located, unowned, end = [], [], 0
    for entry in entries:
        if entry.offset < end:
            raise ZipError("members of the ZIP file overlap")
        if entry.offset > end:
            unowned.append((end, entry.offset))
        start, end = _extent(data, entry, directory.offset)
        located.append(replace(entry, start=start))
    if end < directory.offset:
        unowned.append((end, directory.offset))
    if directory.offset + directory.size < directory.after:
        unowned.append((directory.offset + directory.size, directory.after))
    return Records(tuple(located), tuple(unowned))


def _directory(data: bytes) -> _Directory:
    end = _end_record(data)
    _, disk, first_disk, here, total, size, offset, _ = _END.unpack_from(data, end)
    after = end
    locator = end - _LOCATOR_64.size
    if locator >= 0 and data[locator : locator + 4] == _LOCATOR_64_MARK:
        after, (disk, first_disk, here, total, size, offset) = _zip64(data, locator)
    elif _NONE_16 in (here, total) or _NONE_32 in (size, offset):
        raise ZipError("the ZIP file says that it is a ZIP64 file, and has not what makes one")
    if disk or first_disk or here != total:
        raise ZipError("the ZIP file is one of several disks")
    if offset + size > after:
        raise ZipError("the directory of the ZIP file does not lie where it should")
    return _Directory(offset, size, total, after)


def _end_record(data: bytes) -> int:
    """The one end of directory whose comment reaches to the end of the file (4.3.16)."""
    found = []
    at = data.find(_END_MARK, max(0, len(data) - _END.size - _MAX_COMMENT))
    while at >= 0:
        found.append(at)
        at = data.find(_END_MARK, at + 1)
    fitting = [one for one in found if one + _END.size <= len(data) and _ends(data, one)]
    if len(fitting) != 1:
        raise ZipError("the ZIP file has no end of directory that reaches to its end, or more than one")
    if found[-1] != fitting[0]:
        # A reader that takes the last mark it finds would open another directory.
        raise ZipError("a second end of directory stands in the comment of the ZIP file")
    return fitting[0]


def _ends(data: bytes, at: int) -> bool:
    return at + _END.size + int(_END.unpack_from(data, at)[-1]) == len(data)


def _zip64(data: bytes, locator: int) -> tuple[int, tuple[int, int, int, int, int, int]]:
    """Where the ZIP64 end of directory begins (4.3.14), and what it says in place of the plain one."""
    _, _, at, disks = _LOCATOR_64.unpack_from(data, locator)
    if disks > 1 or at + _END_64.size > locator or data[at : at + 4] != _END_64_MARK:
        raise ZipError("the ZIP64 end of directory does not lie where it should")
    _, length, _, _, disk, first_disk, here, total, size, offset = _END_64.unpack_from(data, at)
    if at + 12 + length != locator:
        raise ZipError("the ZIP64 end of directory has not the size that it says")
    return at, (disk, first_disk, here, total, size, offset)


def _entries(data: bytes, directory: _Directory) -> Iterator[Entry]:
    at, last = directory.offset, directory.offset + directory.size
    for _ in range(directory.total):
        if at + _CENTRAL.size > last or data[at : at + 4] != _CENTRAL_MARK:
            raise ZipError("the directory of the ZIP file is broken")
        found = _CENTRAL.unpack_from(data, at)
        _, made_by, version, flags, method, _, _, crc, packed, size, name, extra, comment = found[:13]
        disk, _, external, offset = found[13:]
        names = at + _CENTRAL.size
        fields = names + name
        at = fields + extra + comment
        if at > last or disk not in (0, _NONE_16) or version > MAX_VERSION:
            raise ZipError("the directory of the ZIP file is broken")
        extras = _extra(data[fields : fields + extra])
        packed, size, offset = _wide(extras, size, packed, offset)
        if made_by >> 8 == _UNIX and stat.S_ISLNK(external >> 16):
            raise ZipError("a member of the ZIP file is a link")
        entry = Entry(
            bytes(data[names:fields]), flags, method, crc, packed, size, offset, extras.get(_UNICODE_PATH)
        )
        _require_readable(entry)
        yield entry
    if at != last:
        raise ZipError("the directory of the ZIP file is broken")


def _require_readable(entry: Entry) -> None:
    if entry.flags & _ENCRYPTED:
        raise ZipEncrypted("the ZIP file has encrypted members")
    if entry.flags & ~_KNOWN:
        raise ZipError("a member asks its reader for something that is not done (flags)")
    if entry.method not in (STORED, DEFLATED):
        raise ZipError(f"a member is packed by method {entry.method}, only 0 and 8 are read")
    if entry.method == STORED and entry.packed != entry.size:
        raise ZipError("a stored member has two sizes")


def _extra(field: bytes) -> dict[int, bytes]:
    """The extra field's blocks by number (4.5.1). Odd octets at its end are what some programs pad with."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(field):
        number, length = struct.unpack_from("<2H", field, at)
        if at + 4 + length > len(field):
            break
        if number in found and number in (_ZIP64_FIELD, _UNICODE_PATH):
            raise ZipError("an extra field of the ZIP file says twice what may be said once")
        found[number] = field[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _wide(extras: dict[int, bytes], size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Packed size, size and offset, where need be from the ZIP64 block (4.5.3)."""
    block = extras.get(_ZIP64_FIELD, b"")
    at, values = 0, []
    for value in (size, packed, offset):
        if value == _NONE_32:
            if at + 8 > len(block):
                raise ZipError("a size of the ZIP file is left to a ZIP64 block that is not there")
            value = int.from_bytes(block[at : at + 8], "little")
            at += 8
        values.append(value)
    return values[1], values[0], values[2]


def _extent(data: bytes, entry: Entry, limit: int) -> Span:
    """Hold a member's own header against the directory; where its octets begin, and where the next member may."""
    if entry.offset + _LOCAL.size > limit:
        raise ZipError("a member lies behind the directory of the ZIP file")
    head = _LOCAL.unpack_from(data, entry.offset)
    mark, version, flags, method, _, _, crc, packed, size, name, extra = head
    names = entry.offset + _LOCAL.size
    start = names + name + extra
    end = start + entry.packed
    if mark != LOCAL_MARK or end > limit or version > MAX_VERSION:
        raise ZipError("a member does not lie where the directory of the ZIP file says")
    extras = _extra(data[names + name : start])
    wide = _NONE_32 in (packed, size)
    if wide:
        packed, size, _ = _wide(extras, size, packed, 0)
    later = bool(flags & _DESCRIPTOR)
    told, known = (crc, packed, size), (entry.crc, entry.packed, entry.size)
    path = extras.get(_UNICODE_PATH)
    if (
        data[names : names + name] != entry.raw_name
        or method != entry.method
        or (flags ^ entry.flags) & ~_EFFORT
        or (path is not None and entry.unicode_path is not None and path != entry.unicode_path)
        or (told != known and not (later and _left_out(told, known)))
    ):
        raise ZipError("a member's own header contradicts the directory of the ZIP file")
    return start, end + (_descriptor(data, end, known, limit) if later else 0)


def _left_out(told: tuple[int, int, int], known: tuple[int, int, int]) -> bool:
    """True where a header leaves to the data descriptor what it does not say (4.4.4 bit 3)."""
    return all(one in (0, other) for one, other in zip(told, known, strict=True))


def _descriptor(data: bytes, at: int, known: tuple[int, int, int], limit: int) -> int:
    """Length of the data descriptor (4.3.9), with or without mark, with sizes of 4 or 8 octets."""
    crc, packed, size = known
    for width in (4, 8):
        if max(packed, size) >> (8 * width):
            continue
        plain = crc.to_bytes(4, "little") + b"".join(n.to_bytes(width, "little") for n in (packed, size))
        for whole in (_DESCRIPTOR_MARK + plain, plain):
            if at + len(whole) <= limit and data[at : at + len(whole)] == whole:
                return len(whole)
    raise ZipError("a member's data descriptor contradicts the directory of the ZIP file")
