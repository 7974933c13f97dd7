"""ZIP files that mean one thing to one reader and another to the next are refused, and bombs before they go off."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.verifier.formats import zip_members, zip_records
from services.verifier.formats.zip_members import Archive
from services.verifier.formats.zip_records import ZipEncrypted, ZipError, ZipLimit

if TYPE_CHECKING:
    from typing_extensions import Buffer

FILES = {"mimetype": b"application/vnd.etsi.asic-e+zip", "thu-muc/đơn.txt": b"Noi dung " * 40, "b.txt": b""}
DIRECTORY_MARK, END_MARK = b"PK\x01\x02", b"PK\x05\x06"


def packed(
    files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """A ZIP file as Python writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def streamed() -> bytes:
    """The same with data descriptors, as programs write that cannot go back."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.octets = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Buffer) -> int:
            self.octets += bytes(data)
            return len(bytes(data))

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return pipe.octets


def contents(data: bytes) -> dict[str, bytes]:
    """All that comes out."""
    archive = Archive.of(data)
    return {name: archive.content(name) for name in archive.members}


def both(data: bytes, local: int, central: int, octets: bytes) -> bytes:
    """Write octets at an offset of the first local header and of the first entry of the directory."""
    at = data.index(DIRECTORY_MARK) + central
    data = data[:local] + octets + data[local + len(octets) :]
    return data[:at] + octets + data[at + len(octets) :]


def renamed(old: bytes, new: bytes) -> bytes:
    """A file whose one member has another name, in both places."""
    assert len(old) == len(new)
    return packed({old.decode(): b"x"}).replace(old, new)


@pytest.mark.parametrize("data", [packed(), packed(method=zipfile.ZIP_STORED), streamed()])
def test_what_programs_write_is_read(data: bytes) -> None:
    assert contents(data) == FILES
    assert Archive.of(data).unowned == ()


def test_folders_and_comments_are_nothing_to_mind() -> None:
    assert contents(packed({"thu-muc/": b"", "thu-muc/a": b"1"}, comment=b"mimetype=x")) == {
        "thu-muc/a": b"1"
    }


def test_zip64_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"noi dung")
    assert contents(out.getvalue()) == {"a": b"noi dung"}
    plain = packed({"a": b"noi dung"})
    end = plain.index(END_MARK)
    _, _, _, here, total, size, offset, _ = struct.unpack("<4s4H2IH", plain[end:])
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, here, total, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2IH", END_MARK, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert contents(plain[:end] + wide + locator + last) == {"a": b"noi dung"}
    with pytest.raises(ZipError, match="has not what makes one"):
        Archive.of(plain[:end] + last)
    with pytest.raises(ZipError, match="has not the size"):
        Archive.of(plain[:end] + wide + b"them" + locator + last)


def test_octets_of_no_member_are_found() -> None:
    plain = packed({"a": b"1"}, zipfile.ZIP_STORED)
    directory = plain.index(DIRECTORY_MARK)
    end = plain.index(END_MARK)
    _, _, _, here, total, size, offset, _ = struct.unpack("<4s4H2IH", plain[end:])
    hidden = b"an giau o day"
    moved = struct.pack("<4s4H2IH", END_MARK, 0, 0, here, total, size, offset + len(hidden), 0)
    between = plain[:directory] + hidden + plain[directory:end] + moved
    assert Archive.of(between).unowned == ((directory, directory + len(hidden)),)
    behind = plain[:end] + hidden + plain[end:]
    assert Archive.of(behind).unowned == ((end, end + len(hidden)),)
    with pytest.raises(ZipError):
        Archive.of(hidden + plain)
    with pytest.raises(ZipError, match="reaches to its end"):
        Archive.of(plain + hidden)


def test_a_member_that_the_directory_leaves_out_is_octets_of_no_member() -> None:
    whole = packed({"a": b"1", "b": b"2"}, zipfile.ZIP_STORED)
    second = whole.index(DIRECTORY_MARK, whole.index(DIRECTORY_MARK) + 4)
    end = whole.index(END_MARK)
    _, _, _, _, _, _, offset, _ = struct.unpack("<4s4H2IH", whole[end:])
    last = struct.pack("<4s4H2IH", END_MARK, 0, 0, 1, 1, second - offset, offset, 0)
    archive = Archive.of(whole[:second] + last)
    assert list(archive.members) == ["a"]
    assert len(archive.unowned) == 1


@pytest.mark.parametrize(
    ("local", "central"), [(6, 8), (8, 10), (14, 16), (18, 20), (22, 24)], ids=["flags", "method", "crc", "packed", "size"]
)  # fmt: skip
def test_headers_that_contradict_each_other_are_refused(local: int, central: int) -> None:
    plain = packed({"a": b"noi dung"}, zipfile.ZIP_STORED)
    at = plain.index(DIRECTORY_MARK) + central
    for place in (local, at):
        changed = plain[:place] + bytes([plain[place] ^ 8]) + plain[place + 1 :]
        with pytest.raises(ZipError):
            contents(changed)


def test_names_that_contradict_each_other_are_refused() -> None:
    plain = packed({"aaaa": b"1"})
    for place in (plain.index(b"aaaa"), plain.rindex(b"aaaa")):
        with pytest.raises(ZipError, match="contradicts"):
            Archive.of(plain[:place] + b"bbbb" + plain[place + 4 :])


def test_members_that_share_octets_are_refused() -> None:
    whole = packed({"a": b"1", "b": b"2"}, zipfile.ZIP_STORED)
    entry = whole.index(DIRECTORY_MARK, whole.index(DIRECTORY_MARK) + 4)
    with pytest.raises(ZipError):
        Archive.of(whole[: entry + 42] + struct.pack("<I", 0) + whole[entry + 46 :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"aaaaaaaa", b"../../aa"),
        (b"aaaaaaaa", b"/aaaaaaa"),
        (b"aaaaaaaa", b"aa/../aa"),
        (b"aaaaaaaa", b"aa\\aaaaa"),
        (b"aaaaaaaa", b"C:aaaaaa"),
        (b"aaaaaaaa", b"aa//aaaa"),
        (b"aaaaaaaa", b"aaa\x00aaaa"),
        (b"aaaaaaaa", b"aaaaaaa\n"),
        (b"aaaaaaaa", b"aa\xe2\x80\xaeaaa"),
    ],
)
def test_names_that_lead_elsewhere_or_deceive_are_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(ZipError, match="name"):
        Archive.of(renamed(old, new))


@pytest.mark.parametrize("names", [("a.txt", "b.txt"), ("A.txt", "a.txt"), ("\u1eadp", "a\u0323\u0302p")])
def test_two_members_of_one_name_are_refused(names: tuple[str, str]) -> None:
    data = packed({names[0]: b"1", names[1]: b"2"})
    if names == ("a.txt", "b.txt"):
        data = data.replace(b"b.txt", b"a.txt")
    with pytest.raises(ZipError, match="are one"):
        Archive.of(data)


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(ZipError, match="itself a file"):
        Archive.of(packed({"a": b"1", "A/b": b"2"}))


def test_encrypted_members_are_said_to_be() -> None:
    with pytest.raises(ZipEncrypted):
        Archive.of(both(packed({"a": b"1"}), 6, 8, b"\x01"))


def test_flags_that_nobody_knows_are_refused() -> None:
    plain = packed({"a": b"1"})
    with pytest.raises(ZipError, match="flags"):
        Archive.of(both(plain, 6, 8, b"\x20"))
    with pytest.raises(ZipError, match="contradicts"):
        Archive.of(plain[:6] + b"\x20" + plain[7:])
    assert contents(both(plain, 6, 8, b"\x06")) == {"a": b"1"}


def test_links_and_other_methods_are_refused() -> None:
    link = zipfile.ZipInfo("a")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ZipError, match="link"):
        Archive.of(out.getvalue())
    with pytest.raises(ZipError, match="method 14"):
        Archive.of(packed({"a": b"1"}, zipfile.ZIP_LZMA))


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    with pytest.raises(ZipLimit, match="times as large"):
        Archive.of(packed({"a": bytes(zip_members.RATIO_FLOOR_BYTES + 1)}))
    large = {f"{number}": bytes(zip_members.MAX_BYTES // 3) for number in range(4)}
    with pytest.raises(ZipLimit, match="at most"):
        Archive.of(packed(large))
    with pytest.raises(ZipLimit, match="members"):
        Archive.of(packed({f"{number}": b"" for number in range(zip_records.MAX_MEMBERS + 1)}))


def test_a_member_that_holds_more_than_it_says_is_refused_when_it_is_reached() -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = stream.compress(bytes(10 << 20)) + stream.flush()
    name, crc = b"a", zlib.crc32(b"")
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, crc, len(bomb), 5, 1, 0) + name
    central = struct.pack(
        "<4s6H3I5H2I", DIRECTORY_MARK, 20, 20, 0, 8, 0, 0, crc, len(bomb), 5, 1, 0, 0, 0, 0, 0, 0
    ) + name  # fmt: skip
    start = len(local) + len(bomb)
    end = struct.pack("<4s4H2IH", END_MARK, 0, 0, 1, 1, len(central), start, 0)
    archive = Archive.of(local + bomb + central + end)
    with pytest.raises(ZipError, match="size that is declared"):
        archive.content("a")


def test_members_are_not_handed_out_for_ever() -> None:
    archive = Archive.of(packed({"a": bytes(1 << 20)}, zipfile.ZIP_STORED))
    for _ in range(zip_members.MAX_HANDED_OUT >> 20):
        archive.content("a")
    with pytest.raises(ZipLimit, match="octets of members"):
        archive.content("a")


def test_a_second_end_of_directory_in_the_comment_is_refused() -> None:
    other = packed({"other": b"2"})
    with pytest.raises(ZipError, match="second end"):
        Archive.of(packed({"a": b"1"}, comment=other[other.index(END_MARK) :] + b"rest"))


def test_a_second_name_in_an_extra_field_is_refused() -> None:
    path = b"\x01" + struct.pack("<I", zlib.crc32(b"a")) + b"other"
    info = zipfile.ZipInfo("a")
    info.extra = struct.pack("<2H", 0x7075, len(path)) + path
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, b"1")
    with pytest.raises(ZipError, match="two names"):
        Archive.of(out.getvalue())


@pytest.mark.parametrize(
    ("reference", "member"),
    [
        ("a%20b.txt", "a b.txt"),
        ("a b.txt", "a b.txt"),
        ("a+b.txt", "a b.txt"),
        ("./a%20b.txt", "a b.txt"),
        ("/a%20b.txt", "a b.txt"),
        ("100%25.txt", "100%.txt"),
        ("th%C6%B0-m%E1%BB%A5c/%C4%91%C6%A1n.txt", "thư-mục/đơn.txt"),
        ("thư-mục/đơn.txt", "thư-mục/đơn.txt"),
        ("../a b.txt", None),
        ("c.txt", None),
        ("", None),
    ],
)
def test_references_find_members_however_they_are_escaped(reference: str, member: str | None) -> None:
    archive = Archive.of(packed({"a b.txt": b"1", "100%.txt": b"2", "thư-mục/đơn.txt": b"3"}))
    assert archive.resolve(reference) == member


def test_names_in_old_code_pages_are_found_by_their_letters() -> None:
    name = "đơn.pdf".encode("cp1258")
    archive = Archive.of(packed({"xxx.pdf"[-len(name) :]: b"1"}).replace(b"xxx.pdf"[-len(name) :], name))
    (member,) = archive.members
    assert archive.resolve("đơn.pdf") == member


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 30))
def test_any_octets_give_members_or_a_zip_error(octets: bytes, at: int, taken: int) -> None:
    plain = packed()
    for data in (octets, b"PK\x03\x04" + octets, plain[:at] + octets[:20] + plain[at + taken :]):
        try:
            contents(data)
        except ZipError:
            continue
