"""ZIP files: the same bytes for the same members, and hostile ones refused before they are inflated."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zipfile
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from services.kernel.errors import DocumentDamaged, DocumentEncrypted, FieldInvalid
from services.signer.formats import zip_names, zip_reader, zip_writer
from services.signer.formats.zip_writer import DEFLATED, STORED, Member, dos_moment

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = dos_moment(datetime(2026, 11, 22, 3, 4, 6, tzinfo=UTC))
TEXT = "Công văn số 15/2026\n".encode() * 40


def members() -> list[Member]:
    return [
        Member.of("mimetype", b"application/vnd.etsi.asic-e+zip", MOMENT, deflate=False),
        Member.of("phụ lục/tờ trình.txt", TEXT, MOMENT),
        Member.of("empty", b"", MOMENT),
        Member.of("META-INF/signatures.xml", b"<a/>", MOMENT),
    ]


def test_python_reads_what_is_written() -> None:
    data = zip_writer.write(members())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
        assert [info.filename for info in infos] == [member.name for member in members()]
        assert archive.read("phụ lục/tờ trình.txt") == TEXT
        assert [info.compress_type for info in infos] == [STORED, DEFLATED, STORED, STORED]
        assert {info.date_time for info in infos} == {(2026, 11, 22, 3, 4, 6)}
        # APPNOTE 4.4.4: bit 11 where the name is not ASCII, and no data descriptors.
        assert [info.flag_bits for info in infos] == [0, 0x800, 0, 0]
        assert all(not info.extra for info in infos)


def test_the_same_members_give_the_same_bytes() -> None:
    assert zip_writer.write(members()) == zip_writer.write(members())


def test_times_are_written_in_utc() -> None:
    hanoi = datetime(2026, 11, 22, 10, 4, 7, tzinfo=timezone(timedelta(hours=7)))
    assert dos_moment(hanoi) == MOMENT
    assert dos_moment(datetime(1970, 1, 1, tzinfo=UTC))[0] >> 9 == 0


def test_what_is_read_can_be_written_again() -> None:
    data = zip_writer.write(members())
    assert zip_writer.write(zip_reader.read(data)) == data


def test_a_content_that_packs_too_well_is_stored_so_that_nobody_takes_it_for_a_bomb() -> None:
    zeros = bytes(4 << 20)
    packed = Member.of("zeros", zeros, MOMENT)
    assert packed.method == STORED
    data = zip_writer.write([packed])
    assert zip_reader.content(zip_reader.read(data)[0]) == zeros


def test_members_with_data_descriptors_are_read() -> None:
    class Pipe(io.RawIOBase):
        """A file that cannot be sought: zipfile then writes descriptors."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += memoryview(data)  # type: ignore[arg-type]
            return len(memoryview(data))  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", TEXT)
        archive.writestr("b.txt", b"b")
    data = bytes(pipe.data)
    assert data[6] & 8
    assert [zip_reader.content(member) for member in zip_reader.read(data)] == [TEXT, b"b"]


def _archive(**options: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in options.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _named(*names: str) -> bytes:
    return zip_writer.write([Member.of(name, b"x", MOMENT) for name in names])


def _patched(data: bytes, change: Callable[[bytearray], None]) -> bytes:
    changed = bytearray(data)
    change(changed)
    return bytes(changed)


def _directory(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, data.rfind(b"PK\x05\x06") + 16)[0])


def _set(offset: int, layout: str, value: int, *, central: bool = False) -> Callable[[bytearray], None]:
    """Overwrite a field of the first local header, or of the first entry of the directory."""

    def change(data: bytearray) -> None:
        base = _directory(bytes(data)) if central else 0
        struct.pack_into(layout, data, base + offset, value)

    return change


def _both(offset: int, layout: str, value: int) -> Callable[[bytearray], None]:
    """Overwrite the same field in both headers; the directory's lies two bytes further."""

    def change(data: bytearray) -> None:
        _set(offset, layout, value)(data)
        _set(offset + 2, layout, value, central=True)(data)

    return change


def _overlapping() -> bytes:
    """Two entries of the directory show one member under one name, as quines and bombs do."""
    one = zip_writer.write([Member.of("a", b"content", MOMENT)])
    start = _directory(one)
    entry = one[start : one.rfind(b"PK\x05\x06")]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(entry), start, 0)
    return one[:start] + entry + entry + end


def _zip64() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"x")
    return buffer.getvalue()


def _link() -> bytes:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def _many() -> bytes:
    return _named(*(f"{number}" for number in range(zip_reader.MAX_MEMBERS + 1)))


PLAIN = _archive(a=TEXT)
STORED_ONE = _named("a")
HOSTILE: dict[str, tuple[bytes, str]] = {
    "not a ZIP file": (b"PK\x03\x04 and nothing else", "no end of directory"),
    "cut off": (PLAIN[:-30], "no end of directory"),
    "bytes after the end": (PLAIN + b"x", "no end of directory"),
    "bytes before the beginning": (b"x" + PLAIN, "directory does not lie"),
    "two ends of directory": (
        _patched(PLAIN, lambda data: data.__setitem__(slice(-2, None), b"\x16\x00")) + PLAIN[-22:],
        "more than one",
    ),
    "the end within a comment": (PLAIN[:-2] + struct.pack("<H", 4) + b"abc", "no end of directory"),
    "encrypted": (_patched(PLAIN, _both(6, "<H", 1)), "encrypted"),
    "strongly encrypted": (_patched(PLAIN, _both(6, "<H", 0x41)), "encrypted"),
    "packed by another method": (_patched(PLAIN, _both(8, "<H", 12)), "method 12"),
    "two methods": (_patched(STORED_ONE, _set(8, "<H", 8)), "contradicts"),
    "two sizes": (_patched(PLAIN, _set(22, "<I", 7)), "contradicts"),
    "two checksums": (_patched(PLAIN, _set(14, "<I", 7)), "contradicts"),
    "two names": (_patched(PLAIN, lambda data: data.__setitem__(30, 0x62)), "contradicts"),
    "flags that differ": (_patched(PLAIN, _set(6, "<H", 0x800)), "contradicts"),
    "a descriptor that is not there": (_patched(PLAIN, _both(6, "<H", 8)), "descriptor contradicts"),
    "a wrong checksum": (_patched(PLAIN, _both(14, "<I", 7)), "checksum"),
    "less than declared": (_patched(PLAIN, _both(22, "<I", len(TEXT) + 1)), "declared"),
    "more than declared": (_patched(PLAIN, _both(22, "<I", len(TEXT) - 1)), "declared"),
    "broken deflate": (_patched(PLAIN, lambda data: data.__setitem__(31, 0xFF)), "inflated"),
    "one member twice": (_overlapping(), "overlap"),
    "a gap between members": (
        _patched(STORED_ONE, _set(42, "<I", 1, central=True)),
        "overlap",
    ),
    "ZIP64": (_zip64(), "ZIP64|contradicts|do not lie|declared|overlap"),
    "ZIP64 sizes": (_patched(PLAIN, _set(20, "<I", 0xFFFFFFFF, central=True)), "ZIP64"),
    "several disks": (_patched(PLAIN, lambda data: data.__setitem__(len(data) - 18, 1)), "disk"),
    "a link": (_link(), "link"),
    "too many members": (_many(), "at most 1000"),
    "a slip": (_named("../a"), r"\.\."),
    "a slip inside": (_named("a/../../b"), r"\.\."),
    "an absolute name": (_named("/etc/passwd"), "absolute"),
    "a drive": (_named("C:/a"), "absolute"),
    "a backslash": (_named("..\\a"), "backslash"),
    "a control character": (_named("a\nb"), "control"),
    "a name that is turned round": (_named("a\u202efdp.exe"), "control"),
    "one name twice": (_named("a", "a"), "twice"),
    "one name twice by case": (_named("Tờ.txt", "TỜ.TXT"), "twice"),
    "one name twice by composition": (_named("\u00e9", "e\u0301"), "twice"),
    "a bomb by its sum": (
        _patched(_named("a"), _both(22, "<I", zip_reader.MAX_CONTENT_BYTES + 1)),
        "two sizes|at most",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_the_reason(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises((DocumentDamaged, DocumentEncrypted), match=reason):
        _everything(data)


def _everything(data: bytes) -> list[bytes]:
    return [zip_reader.content(member) for member in zip_reader.read(data)]


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(30 << 20)
    packed = packer.compress(zeros) + packer.flush()
    honest = zip_writer.write([Member("a", DEFLATED, packed, len(zeros), zlib.crc32(zeros), MOMENT)])
    liar = zip_writer.write([Member("a", DEFLATED, packed, 100, 0, MOMENT)])
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(DocumentDamaged, match="100 times as large"):
            _everything(honest)
        with pytest.raises(DocumentDamaged, match="size that is declared"):
            _everything(liar)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_broken_files_raise_nothing_but_typed_errors() -> None:
    data = zip_writer.write(members())
    for position in range(0, len(data), 3):
        for value in (0x00, 0xFF, data[position] ^ 0x10):
            changed = bytearray(data)
            changed[position] = value
            with contextlib.suppress(DocumentDamaged, DocumentEncrypted):
                _everything(bytes(changed))


@pytest.mark.parametrize(
    "names",
    [
        [""],
        ["/a"],
        ["a//b"],
        ["./a"],
        ["a/.."],
        ["a\\b"],
        ["a\x00b"],
        ["a\u202eb"],
        ["META-INF/a"],
        ["meta-inf/a"],
        ["META-INF"],
        ["mimetype"],
        ["MimeType"],
        ["a/"],
        ["D:a"],
        ["a", "A"],
        ["e\u0301"],
        ["ß", "SS"],
        ["a", "a/b"],
        ["x" * 1025],
    ],
)
def test_names_that_contents_cannot_have_are_refused(names: list[str]) -> None:
    with pytest.raises(FieldInvalid) as refused:
        zip_names.require_content_names(names)
    assert refused.value.data["field"] == "file_name"


def test_usual_names_are_taken() -> None:
    zip_names.require_content_names(["Tờ trình: số 15.pdf", "phụ lục/1.txt", "phụ lục/2.txt", "a..b", "…"])
