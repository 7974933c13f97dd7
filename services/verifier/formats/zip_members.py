"""The members of a ZIP file under names that can do no harm, inflated within limits that are checked beforehand."""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus

from services.verifier import algorithms
from services.verifier.formats import zip_records
from services.verifier.formats.zip_records import Entry, Span, ZipError, ZipLimit

MAX_BYTES = 96 << 20
"""Of all members together, inflated."""
MAX_RATIO = 200
"""How many times larger than the whole file the members may be together, above RATIO_FLOOR_BYTES."""
RATIO_FLOOR_BYTES = 4 << 20
MAX_HANDED_OUT = 768 << 20
"""Octets of members that are handed out together, to be hashed by one signature after the other."""
MAX_MARKS = 600_000
"""Tags of XML that are read together, those of one file as often as it is read."""
MAX_NAME_BYTES = 1024
_SLASH = re.compile("/")
_DRIVE = re.compile(r"[A-Za-z]:")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn a name round for the eye."""
_OLD_PAGES = ("cp437", "cp852", "cp1258", "cp1252", "cp866")
"""Code pages that names without the mark of UTF-8 are met in, the one that APPNOTE means first."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a ZIP file. `name` is NFC; `others` are what else its octets may mean in another code page."""

    name: str
    entry: Entry
    others: tuple[str, ...] = ()


@dataclass
class Archive:
    """The files of a ZIP file by name, in the order of their octets; folders are left out.

    `unowned` are spans of the file that belong to no member. What was inflated is kept.
    """

    data: bytes
    members: dict[str, Member]
    unowned: tuple[Span, ...] = ()
    handed_out: int = 0
    marks: int = 0
    _others: dict[str, set[str]] = field(default_factory=dict)
    _inflated: dict[str, bytes] = field(default_factory=dict)
    _digests: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> Archive:
        """Read the records and the names; nothing is inflated yet. Raises ZipError."""
        records = zip_records.read(data)
        _require_bounded(records.entries, len(data))
        members: dict[str, Member] = {}
        taken: dict[str, str] = {}
        for entry in records.entries:
            name, others = _names(entry)
            folder = name.endswith("/")
            _require_harmless(name.removesuffix("/"))
            if folder and entry.size:
                raise ZipError(f"the folder {name[:80]!r} has content")
            for one in (name, *others):
                same = taken.setdefault(_identity(one), name)
                if same != name or (one == name and name in members):
                    raise ZipError(f"the names {same[:80]!r} and {name[:80]!r} are one")
            if not folder:
                members[name] = Member(name, entry, others)
        files = {_identity(name) for name in members}
        for name in members:
            if any(_identity(name[: match.start()]) in files for match in _SLASH.finditer(name)):
                raise ZipError(f"the name {name[:80]!r} lies in what is itself a file")
        archive = cls(data, members, records.unowned)
        for member in members.values():
            for other in member.others:
                archive._others.setdefault(other, set()).add(member.name)
        return archive

    def content(self, name: str) -> bytes:
        """What a member holds. Raises ZipError where that is not what its records say, ZipLimit where it was asked for
        too often, KeyError for an unknown name.
        """
        found = self._inflated.get(name)
        if found is None:
            found = self._inflated[name] = _inflated(self.data, self.members[name])
        self.handed_out += len(found)
        if self.handed_out > MAX_HANDED_OUT:
            raise ZipLimit(f"the signatures make more than {MAX_HANDED_OUT} octets of members to hash")
        return found

    def digest(self, label: str, name: str) -> bytes:
        """Digest of what a member holds, computed once. Raises ZipError, KeyError, AlgorithmError."""
        key = (label, name)
        if key not in self._digests:
            self._digests[key] = algorithms.digest(label, self.content(name))
        return self._digests[key]

    def resolve(self, reference: str) -> str | None:
        """Name of the member that a relative URI names (RFC 3986); None where there is none.

        Producers escape differently: the URI is also tried as it stands, and with + for a blank.
        """
        for tried in (unquote(reference), reference, unquote_plus(reference)):
            wanted = unicodedata.normalize("NFC", tried).removeprefix("./").removeprefix("/")
            if wanted in self.members:
                return wanted
            named = self._others.get(wanted, set())
            if len(named) == 1:
                return next(iter(named))
        return None

    def spend_on_xml(self, data: bytes) -> None:
        """Count XML that is about to be parsed: its tags are what takes the time. Raises ZipLimit."""
        self.marks += data.count(b"<")
        if self.marks > MAX_MARKS:
            raise ZipLimit(f"the container makes more than {MAX_MARKS} tags of XML to read")


def _require_bounded(entries: tuple[Entry, ...], whole: int) -> None:
    """Refuse a bomb by what the records say; that they say the truth is seen to while inflating."""
    total = sum(entry.size for entry in entries)
    if total > MAX_BYTES:
        raise ZipLimit(f"the members of the ZIP file have {total} bytes, at most {MAX_BYTES} are inflated")
    if total > RATIO_FLOOR_BYTES and total > MAX_RATIO * whole:
        raise ZipLimit(f"the members of the ZIP file are more than {MAX_RATIO} times as large as itself")


def _names(entry: Entry) -> tuple[str, tuple[str, ...]]:
    """A member's name, and the others that it may have (APPNOTE 4.4.17, appendix D)."""
    raw = entry.raw_name
    try:
        name = raw.decode("utf-8")
        others: tuple[str, ...] = ()
    except UnicodeDecodeError as error:
        if entry.flags & zip_records.UTF8_NAME:
            raise ZipError("the name of a member is not UTF-8, as it is said to be") from error
        read = [_normal(raw.decode(page)) for page in _OLD_PAGES if _decodes(raw, page)]
        name, others = read[0], tuple(dict.fromkeys(read[1:]))
    path = entry.unicode_path
    if path is not None and _states_another(path, raw, name):
        raise ZipError("a member of the ZIP file has two names")
    name = _normal(name)
    return name, tuple(other for other in others if other != name)


def _states_another(path: bytes, raw: bytes, name: str) -> bool:
    """True for a Unicode path (4.6.9) that is for these octets, and another than the name they are."""
    if len(path) < 5 or path[0] != 1:
        return True
    (crc,) = struct.unpack_from("<I", path, 1)
    return bool(crc == zlib.crc32(raw) and path[5:] != name.encode("utf-8"))


def _decodes(raw: bytes, page: str) -> bool:
    try:
        raw.decode(page)
    except UnicodeDecodeError:
        return False
    return True


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _identity(name: str) -> str:
    """What is equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", _normal(name.removesuffix("/")).casefold())


def _require_harmless(name: str) -> None:
    """Refuse a name that may lead out of the folder that the file is unpacked to, or that cannot be shown."""
    shown = repr(name[:80])
    if not name or len(name.encode("utf-8")) > MAX_NAME_BYTES:
        raise ZipError(f"a member's name has no characters, or more than {MAX_NAME_BYTES} bytes")
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        raise ZipError(f"the name {shown} of a member is absolute or holds a backslash")
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        raise ZipError(f"the name {shown} of a member leads elsewhere")
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in _BIDI for character in name):
        raise ZipError(f"the name {shown} of a member holds characters that cannot be shown")


def _inflated(data: bytes, member: Member) -> bytes:
    entry = member.entry
    stored = memoryview(data)[entry.start : entry.start + entry.packed]
    if entry.method == zip_records.STORED:
        found = bytes(stored)
    else:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            found = inflater.decompress(stored, entry.size + 1)
        except zlib.error as error:
            raise ZipError(f"the member {member.name[:80]!r} cannot be inflated") from error
        if not inflater.eof or inflater.unused_data:
            raise ZipError(f"the member {member.name[:80]!r} has not the size that is declared")
    if len(found) != entry.size or zlib.crc32(found) != entry.crc:
        raise ZipError(f"the member {member.name[:80]!r} has not the size or checksum that is declared")
    return found
