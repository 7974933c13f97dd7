"""PDF files that ask for more than they are: made to take a reader's time or memory, or to lead it round in circles.

`python -m tests.support.pdf_bombs` judges them all and says what each took.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService

HEADER = b"%PDF-1.7\n"
CATALOG = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]>>>>"
PAGES = b"<</Type/Pages/Kids[]/Count 0>>"
MEGABYTE = 1 << 20


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object's text."""
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def pdf(objects: Mapping[int, bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, one table of cross-references."""
    out, offsets = bytearray(HEADER), dict[int, int]()
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    lines = (
        b"%010d 00000 n \n" % offsets[number] if number in offsets else b"0000000000 65535 f \n"
        for number in range(size)
    )
    out += b"xref\n0 %d\n%s" % (size, b"".join(lines))
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def plain(more: Mapping[int, bytes] | None = None, catalog: bytes = CATALOG) -> bytes:
    """The same with a catalog and an empty tree of pages."""
    return pdf({1: catalog, 2: PAGES, **(more or {})})


def by_stream(content: bytes, entries: bytes, extra: bytes = b"") -> bytes:
    """A file whose cross-references are one stream of this content."""
    body = b"%d 0 obj\n%s\nendobj\n"
    out = HEADER + body % (1, CATALOG) + body % (2, PAGES) + extra
    return (
        out
        + body % (9, stream(content, b"/Type/XRef/Root 1 0 R" + entries))
        + b"startxref\n%d\n%%%%EOF\n" % len(out)
    )


def deflated(size: int, times: int = 1) -> bytes:
    """So many zero octets, deflated once or several times."""
    data = bytes(size)
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data


def lzw(data: bytes) -> bytes:
    """Octets by LZW (ISO 32000-2 7.4.4), EarlyChange 1."""
    codes: list[tuple[int, int]] = [(256, 9)]
    table = {bytes((octet,)): octet for octet in range(256)}
    following, held = 258, b""
    for octet in data:
        longer = held + bytes((octet,))
        if longer in table:
            held = longer
            continue
        codes.append((table[held], following.bit_length()))
        table[longer], following, held = following, following + 1, longer[-1:]
        if following == 4094:
            codes.append((256, 12))
            table = {bytes((octet,)): octet for octet in range(256)}
            following = 258
    if held:
        codes.append((table[held], following.bit_length()))
        following += 1
    codes.append((257, min(12, following.bit_length())))
    return _packed("".join(f"{code:0{width}b}" for code, width in codes))


def lzw_zeros(times: int) -> bytes:
    """So many times 7 MiB of zero octets by LZW, each in 5 KiB."""
    codes = [(0, 9), *((code, (code + 1).bit_length()) for code in range(258, 4094)), (256, 12)]
    bits = "".join(f"{code:0{width}b}" for code, width in codes)
    return _packed(f"{256:09b}" + bits * times + f"{257:09b}")


def _packed(bits: str) -> bytes:
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def runs(size: int) -> bytes:
    """So many zero octets by run lengths (7.4.5)."""
    return b"\x81\x00" * (size // 128) + b"\x80"


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    """Brackets in brackets."""
    return opening * depth + closing * depth


def field_tree(depth: int, width: int) -> bytes:
    """A form whose fields have fields."""
    objects, number = {}, 3
    for _ in range(depth):
        kids = b" ".join(b"%d 0 R" % (number + 1) for _ in range(width))
        objects[number] = b"<</FT/Sig/T(a)/Kids[%s]>>" % kids
        number += 1
    objects[number] = b"<</FT/Sig/T(z)>>"
    return plain(objects, b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[3 0 R]>>>>")


def revisions(count: int) -> bytes:
    """A file with so many empty updates."""
    out = bytearray(plain())
    start = int(out.split(b"startxref\n")[1].split(b"\n")[0])
    for _ in range(count):
        here = len(out)
        out += b"xref\n0 0\ntrailer\n<</Size 3/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (start, here)
        start = here
    return bytes(out)


def circle() -> bytes:
    """Two sections of cross-references, each the other's previous one."""
    data = plain()
    start = int(data.split(b"startxref\n")[1].split(b"\n")[0])
    return data.replace(b"trailer\n<<", b"trailer\n<</Prev %d" % start)


def hybrid_of_itself() -> bytes:
    """A table that names itself for its stream."""
    data = plain()
    start = int(data.split(b"startxref\n")[1].split(b"\n")[0])
    return data.replace(b"trailer\n<<", b"trailer\n<</XRefStm %d" % start)


def compressed_catalog(container: bytes, place: int = 3) -> bytes:
    """A file whose catalog lies in an object stream, which is object 3; its own entry may say that it lies in itself."""
    body = b"3 0 obj\n%s\nendobj\n" % container
    out = HEADER + body
    kinds = [
        (0, 0, 0),
        (2, 3, 0),
        (0, 0, 0),
        (1, len(HEADER), 0) if place == 3 else (2, 3, 1),
        (1, len(out), 0),
    ]
    rows = b"".join(
        bytes((kind,)) + where.to_bytes(4, "big") + bytes((index,)) for kind, where, index in kinds
    )
    table = stream(rows, b"/Type/XRef/Size 5/W[1 4 1]/Root 1 0 R")
    return out + b"4 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, len(out))


def overlapping_streams(count: int) -> bytes:
    """Objects each of which is a stream that holds all later ones."""
    heads = [b"%d 0 obj<</Length %010d>>stream\n" % (3 + number, 0) for number in range(count)]
    tail = b"\nendstream endobj" * count
    size = sum(map(len, heads)) + len(tail)
    out, offsets, position = bytearray(plain()[: plain().index(b"xref\n")]), {}, 0
    base = len(out)
    for number, head in enumerate(heads):
        offsets[3 + number] = base + position
        position += len(head)
        length = size - position - len(b"\nendstream endobj") * (number + 1)
        out += b"%d 0 obj<</Length %010d>>stream\n" % (3 + number, length)
    out += tail
    start = len(out)
    lines = b"".join(b"%010d 00000 n \n" % offset for offset in offsets.values())
    first = plain().index(b"1 0 obj"), plain().index(b"2 0 obj")
    out += b"xref\n0 3\n0000000000 65535 f \n%010d 00000 n \n%010d 00000 n \n3 %d\n%s" % (
        *first,
        count,
        lines,
    )
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count + 3, start)
    return bytes(out)


BOMBS: dict[str, Callable[[], bytes]] = {
    "xref stream that inflates": lambda: by_stream(
        deflated(64 * MEGABYTE), b"/Filter/FlateDecode/Size 3/W[1 2 1]"
    ),
    "xref stream deflated twice": lambda: by_stream(
        deflated(64 * MEGABYTE, 2), b"/Filter[/FlateDecode/FlateDecode]/Size 3/W[1 2 1]"
    ),
    "xref stream with a predictor": lambda: by_stream(
        deflated(12 * MEGABYTE),
        b"/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>/Size 3/W[1 2 1]",
    ),
    "xref stream by LZW": lambda: by_stream(lzw_zeros(9), b"/Filter/LZWDecode/Size 3/W[1 2 1]"),
    "xref stream by much LZW": lambda: by_stream(
        b"\x80" + bytes(2 * MEGABYTE), b"/Filter/LZWDecode/Size 3/W[1 2 1]"
    ),
    "xref stream by LZW twice": lambda: by_stream(
        lzw(lzw_zeros(9)), b"/Filter[/LZWDecode/LZWDecode]/Size 3/W[1 2 1]"
    ),
    "xref stream by run lengths": lambda: by_stream(
        runs(48 * MEGABYTE), b"/Filter/RunLengthDecode/Size 3/W[1 2 1]"
    ),
    "xref stream by deflated run lengths": lambda: by_stream(
        zlib.compress(runs(4096 * MEGABYTE // 64)),
        b"/Filter[/FlateDecode/RunLengthDecode]/Size 3/W[1 2 1]",
    ),
    "xref stream with differences": lambda: by_stream(
        deflated(12 * MEGABYTE),
        b"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 4>>/Size 3/W[1 2 1]",
    ),
    "a thousand filters": lambda: by_stream(
        b"x", b"/Filter[%s]/Size 3/W[1 2 1]" % (b"/ASCIIHexDecode" * 1000)
    ),
    "huge Size": lambda: by_stream(bytes(12), b"/Size 2000000000/W[1 2 1]"),
    "huge Index": lambda: by_stream(bytes(12), b"/Size 3/Index[0 8000000 0 8000000]/W[1 2 1]"),
    "Size of a table": lambda: plain().replace(b"xref\n0 3", b"xref\n0 9999999999"),
    "entries of no width": lambda: by_stream(b"", b"/Size 8000000/W[0 0 0]"),
    "million objects": lambda: by_stream(
        deflated(4 * 1_000_001), b"/Filter/FlateDecode/Size 1000001/W[1 2 1]"
    ),
    "previous is itself": circle,
    "hybrid of itself": hybrid_of_itself,
    "five thousand revisions": lambda: revisions(5000),
    "two thousand revisions": lambda: revisions(2000),
    "deep arrays": lambda: plain({3: nested(b"[", b"]", 1_000_000)}),
    "deep catalog": lambda: plain(
        {}, b"<</Type/Catalog/Pages 2 0 R/AcroForm %s>>" % nested(b"[", b"]", 10_000)
    ),
    "deep dictionaries": lambda: plain({}, nested(b"<</A", b">>", 100_000)),
    "long array": lambda: plain({}, b"<</AcroForm<</Fields[%s]>>>>" % (b"1 " * 3_200_000)),
    "many names": lambda: plain({}, b"<<%s>>" % b"".join(b"/A%d 1" % n for n in range(1_600_000))),
    "string full of escapes": lambda: plain({}, b"<</A(%s)>>" % (b"\\(" * 4_000_000)),
    "string full of brackets": lambda: plain({}, b"<</A(%s%s)>>" % (b"(" * 2_000_000, b")" * 2_000_000)),
    "comments": lambda: plain({}, b"%%\n" * 8_000_000 + CATALOG),
    "white space": lambda: plain({}, b" " * 48_000_000 + CATALOG),
    "reference to itself": lambda: plain({3: b"3 0 R"}, b"<</AcroForm 3 0 R>>"),
    "length of itself": lambda: plain({3: b"<</Length 3 0 R>>stream\nx\nendstream"}, b"<</AcroForm 3 0 R>>"),
    "fields round in a circle": lambda: plain(
        {3: b"<</FT/Sig/T(a)/Kids[3 0 R 4 0 R]>>", 4: b"<</Kids[3 0 R]>>"}, b"<</AcroForm<</Fields[3 0 R]>>>>"
    ),
    "deep fields": lambda: field_tree(1000, 1),
    "wide fields": lambda: plain(
        {3: b"<</T(a)/Kids[%s]>>" % (b"<</T(b)>>" * 100_000)}, b"<</AcroForm<</Fields[3 0 R]>>>>"
    ),
    "field with a huge name": lambda: plain(
        {3: b"<</T(%s)/Kids[%s]>>" % (b"a" * 30_000_000, b"<</T(b)>>" * 1000)},
        b"<</AcroForm<</Fields[3 0 R]>>>>",
    ),
    "object stream in itself": lambda: compressed_catalog(
        stream(b"1 0 3 2 <<>> null", b"/Type/ObjStm/N 2/First 8"), place=0
    ),
    "object stream that inflates": lambda: compressed_catalog(
        stream(deflated(64 * MEGABYTE), b"/Type/ObjStm/N 1/First 4/Filter/FlateDecode")
    ),
    "object stream of many": lambda: compressed_catalog(
        stream(b"1 0 " * 5_000_000, b"/Type/ObjStm/N 5000000/First 20000000")
    ),
    "object stream of one object many times": lambda: compressed_catalog(
        stream(b"1 0 " * 20_000 + b"[%s]" % (b"1 " * 100_000), b"/Type/ObjStm/N 20000/First 80000")
    ),
    "streams in streams": lambda: overlapping_streams(20_000),
}
"""Makers of files by what they are."""


def _peak_mib() -> float:
    """This process's own: `getrusage` counts what the one that started it had."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Judge every bomb in this process; print a JSON object for each: what came out, CPU seconds and peak memory."""
    service = VerificationService((PdfFormat(),), TrustMaterial(), integrity_only=True)
    for name, make in BOMBS.items():
        document = SubmittedDocument(make())
        started = time.process_time()
        report = service.verify(document, datetime.now(UTC))
        answer = {
            "name": name,
            "seconds": time.process_time() - started,
            "peak_mib": _peak_mib(),
            "verdict": report.verdict.value,
            "codes": [notice.code.value for notice in report.notices],
        }
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
