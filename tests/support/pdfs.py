"""Small PDF files of many structures, written byte by byte so that each test says exactly what it sends."""

from __future__ import annotations

import zlib

CATALOG, PAGES, PAGE, FONT, CONTENT = 1, 2, 3, 4, 5


def one_page_pdf(text: str = "Kyso") -> bytes:
    """Return one page with a line of ASCII text, classical cross-reference table."""
    return assemble(page_objects(text))


def page_objects(text: str = "Kyso", page: bytes = b"", catalog: bytes = b"") -> dict[int, bytes]:
    """Return the objects of a one-page file; `page` and `catalog` are further dictionary entries."""
    shown = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").encode("ascii")
    drawing = b"BT /F1 12 Tf 72 770 Td (" + shown + b") Tj ET"
    return {
        CATALOG: b"<</Type /Catalog /Pages 2 0 R " + catalog + b">>",
        PAGES: b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        PAGE: b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
        b"/Resources <</Font <</F1 4 0 R>>>> " + page + b">>",
        FONT: b"<</Type /Font /Subtype /Type1 /BaseFont /Times-Roman>>",
        CONTENT: b"<</Length %d>>\nstream\n%s\nendstream" % (len(drawing), drawing),
    }


def encrypted_pdf() -> bytes:
    """Return a file whose trailer names the standard security handler (RC4, 128 bits)."""
    objects = page_objects("secret")
    objects[6] = (
        b"<</Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <"
        + b"ab" * 32
        + b"> /U <"
        + b"cd" * 32
        + b">>>"
    )
    return assemble(
        objects,
        trailer=b"/Encrypt 6 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]",
    )


def form_pdf(*fields: bytes, form: bytes = b"") -> bytes:
    """Return a one-page file with a form; each field is the body of a dictionary, numbered from 10."""
    numbers = range(10, 10 + len(fields))
    references = b" ".join(b"%d 0 R" % number for number in numbers)
    objects = page_objects(
        "form",
        page=b"/Annots [" + references + b"]",
        catalog=b"/AcroForm <</Fields [" + references + b"] " + form + b">>",
    )
    for number, field in zip(numbers, fields, strict=True):
        objects[number] = b"<</Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R " + field + b">>"
    return assemble(objects)


def assemble(
    objects: dict[int, bytes], trailer: bytes = b"", size: int | None = None, version: str = "1.7"
) -> bytes:
    """Write objects by number with a cross-reference table; `size` overrides /Size."""
    out, offsets = _bodies(objects, version)
    start = len(out)
    out += b"xref\n" + _table({0: None, **offsets})
    out += b"trailer\n<</Size %d /Root 1 0 R %s>>\n" % (size or max(objects) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def assemble_with_streams(objects: dict[int, bytes], compressed: frozenset[int] = frozenset()) -> bytes:
    """Write a PDF 1.5 file: cross-reference stream, the objects in `compressed` inside an object stream."""
    plain = {number: body for number, body in objects.items() if number not in compressed}
    holder, stream_number = max(objects) + 1, max(objects) + 2
    if compressed:
        plain[holder] = _object_stream({number: objects[number] for number in sorted(compressed)})
    out, offsets = _bodies(plain, "1.5")
    start = len(out)
    offsets[stream_number] = start
    rows = [b"\x00" + bytes(4) + b"\xff\xff"]
    for number in range(1, stream_number + 1):
        if number in compressed:
            rows.append(
                b"\x02" + holder.to_bytes(4, "big") + sorted(compressed).index(number).to_bytes(2, "big")
            )
        elif number in offsets:
            rows.append(b"\x01" + offsets[number].to_bytes(4, "big") + b"\x00\x00")
        else:
            rows.append(b"\x00" + bytes(6))
    data = zlib.compress(b"".join(rows))
    out += (
        b"%d 0 obj\n<</Type /XRef /W [1 4 2] /Size %d /Root 1 0 R /Filter /FlateDecode /Length %d>>\nstream\n"
        % (
            stream_number,
            stream_number + 1,
            len(data),
        )
    )
    return bytes(out + data + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start)


def hybrid_pdf(*, contradictory: bool = False) -> bytes:
    """Return a file as word processors write it: a table, then an empty section whose /XRefStm names a stream.

    The stream repeats the table and adds object 6, hidden in an object stream. Contradictory: it moves the page's
    content elsewhere, so that old and new readers show different pages.
    """
    objects = page_objects("hybrid")
    objects[7] = _object_stream({6: b"<</Type /Hidden>>"})
    if contradictory:
        objects[9] = objects[CONTENT].replace(b"hybrid", b"forged")
    out, offsets = _bodies(objects, "1.5")
    streamed = dict(offsets)
    if contradictory:
        body = objects[9]
        streamed[CONTENT] = len(out)
        out += b"5 0 obj\n" + body + b"\nendobj\n"
    stream_at = len(out)
    rows = b"".join(
        b"\x02" + (7).to_bytes(4, "big") + b"\x00\x00"
        if number == 6
        else b"\x01" + streamed[number].to_bytes(4, "big") + b"\x00\x00"
        if number in streamed
        else b"\x00" + bytes(6)
        for number in range(8)
    )
    out += b"8 0 obj\n<</Type /XRef /W [1 4 2] /Size 9 /Index [0 8] /Root 1 0 R /Length %d>>\nstream\n" % len(
        rows
    )
    out += rows + b"\nendstream\nendobj\n"
    first = len(out)
    out += b"xref\n" + _table({0: None, 6: None, **offsets})
    size = 10 if contradictory else 9
    out += b"trailer\n<</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, first)
    second = len(out)
    out += b"xref\n0 0\ntrailer\n<</Size %d /Root 1 0 R /Prev %d /XRefStm %d>>\n" % (size, first, stream_at)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % second)


def _bodies(objects: dict[int, bytes], version: str) -> tuple[bytearray, dict[int, int]]:
    out = bytearray(b"%PDF-" + version.encode() + b"\n%\xc4\xe3\xcf\xd3\n")
    offsets = {}
    for number in sorted(objects):
        offsets[number] = len(out)
        out += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    return out, offsets


def _table(entries: dict[int, int | None]) -> bytes:
    lines = []
    for number in sorted(entries):
        place = entries[number]
        row = b"0000000000 65535 f \n" if place is None else b"%010d 00000 n \n" % place
        lines.append(b"%d 1\n" % number + row)
    return b"".join(lines)


def _object_stream(objects: dict[int, bytes]) -> bytes:
    index, bodies = b"", b""
    for number, body in objects.items():
        index += b"%d %d " % (number, len(bodies))
        bodies += body + b" "
    data = zlib.compress(index + bodies)
    return b"<</Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream" % (
        len(objects),
        len(index),
        len(data),
        data,
    )
