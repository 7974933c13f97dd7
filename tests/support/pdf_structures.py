"""A generated PDF file for every structure that a signer meets, by the name of the structure."""

from __future__ import annotations

from functools import cache

from services.signer.formats.parameters import Level
from tests.support import pdfs

SRGB_LIKE = b"\x00" * 128
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">'
    "<pdfaid:part>{part}</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)
_ID = b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"


def linearised_pdf() -> bytes:
    """Return a file whose first page comes first, with its own cross-reference section (ISO 32000-1 annex F).

    The hint tables are left out of it: a reader that opens the file from its end needs none.
    """
    objects = pdfs.page_objects("linearised")
    head = b"%PDF-1.4\n%\xc4\xe3\xcf\xd3\n"
    dictionary = b"6 0 obj\n<</Linearized 1 /L %010d /H [0 0] /O 3 /E %010d /N 1 /T %010d>>\nendobj\n"
    first_bodies = {number: objects[number] for number in (1, 3, 4, 5)}
    first_table_at = len(head) + len(dictionary % (0, 0, 0))
    row = 20
    table_size = len(b"xref\n1 1\n3 4\n") + 5 * row
    trailer = b"trailer\n<</Size 7 /Root 1 0 R /Prev %010d " + _ID + b">>\nstartxref\n0\n%%%%EOF\n"
    at = first_table_at + table_size + len(trailer % 0)
    offsets = {6: len(head)}
    body = b""
    for number, value in first_bodies.items():
        offsets[number] = at + len(body)
        body += b"%d 0 obj\n" % number + value + b"\nendobj\n"
    end_of_first_page = at + len(body)
    offsets[2] = end_of_first_page
    rest = b"2 0 obj\n" + objects[2] + b"\nendobj\n"
    main_table_at = end_of_first_page + len(rest)
    main = b"xref\n0 1\n0000000000 65535 f \n2 1\n%010d 00000 n \n" % offsets[2]
    main += b"trailer\n<</Size 3>>\nstartxref\n%d\n%%%%EOF\n" % first_table_at
    rows = {number: b"%010d 00000 n \n" % offset for number, offset in offsets.items()}
    table = b"xref\n1 1\n" + rows[1] + b"3 4\n" + rows[3] + rows[4] + rows[5] + rows[6]
    total = main_table_at + len(main)
    return b"".join(
        (
            head,
            dictionary % (total, end_of_first_page, main_table_at),
            table,
            trailer % main_table_at,
            body,
            rest,
            main,
        )
    )


def updated_pdf(revisions: int = 3) -> bytes:
    """Return a file that was changed and saved again some times."""
    data = pdfs.one_page_pdf("revision 0")
    previous = data.rindex(b"xref\n0 1\n")
    for revision in range(1, revisions + 1):
        content = pdfs.page_objects(f"revision {revision}")[pdfs.CONTENT]
        at = len(data)
        data += b"5 0 obj\n" + content + b"\nendobj\n"
        table = len(data)
        data += b"xref\n5 1\n%010d 00000 n \ntrailer\n<</Size 6 /Root 1 0 R /Prev %d>>\n" % (at, previous)
        data += b"startxref\n%d\n%%%%EOF\n" % table
        previous = table
    return data


def pdfa_pdf(part: int) -> bytes:
    """Return a file with what PDF/A-1b or -2b asks of one without text: metadata, output intent, no font."""
    version = {1: "1.4", 2: "1.7"}[part]
    metadata = _XMP.format(part=part).encode()
    objects = pdfs.page_objects(
        catalog=b"/Metadata 6 0 R /OutputIntents [<</Type /OutputIntent /S /GTS_PDFA1 "
        b"/OutputConditionIdentifier (sRGB) /DestOutputProfile 7 0 R>>]"
    )
    drawing = b"1 0 0 RG 72 72 m 200 200 l S"
    objects[pdfs.CONTENT] = b"<</Length %d>>\nstream\n%s\nendstream" % (len(drawing), drawing)
    objects[pdfs.PAGE] = (
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources <<>>>>"
    )
    del objects[pdfs.FONT]
    objects[6] = b"<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%s\nendstream" % (
        len(metadata),
        metadata,
    )
    objects[7] = b"<</N 3 /Length %d>>\nstream\n%s\nendstream" % (len(SRGB_LIKE), SRGB_LIKE)
    return pdfs.assemble(objects, trailer=_ID, version=version)


def deep_page_tree_pdf(depth: int = 60) -> bytes:
    """Return a file with its page under so many nodes."""
    objects = pdfs.page_objects()
    objects[pdfs.PAGES] = b"<</Type /Pages /Kids [10 0 R] /Count 1>>"
    for number in range(10, 10 + depth):
        kid = number + 1 if number < 9 + depth else pdfs.PAGE
        parent = number - 1 if number > 10 else pdfs.PAGES
        objects[number] = b"<</Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R>>" % (kid, parent)
    objects[pdfs.PAGE] = objects[pdfs.PAGE].replace(b"/Parent 2", b"/Parent %d" % (9 + depth))
    return pdfs.assemble(objects)


def shared_form_pdf() -> bytes:
    """Return a file whose form, fields and annotations are objects of their own."""
    objects = pdfs.page_objects(page=b"/Annots 10 0 R", catalog=b"/AcroForm 11 0 R")
    objects |= {10: b"[]", 11: b"<</Fields 12 0 R /SigFlags 0>>", 12: b"[]"}
    return pdfs.assemble(objects)


def _signed(times: int, **options: int) -> bytes:
    from tests.support.pades_verdicts import sign_at

    data = pdfs.one_page_pdf("signed before")
    for _ in range(times):
        data = sign_at(Level.B_B, data, **options)
    return data


@cache
def structures() -> dict[str, bytes]:
    """Return every structure, made once."""
    plain = pdfs.page_objects()
    return {
        "cross-reference table": pdfs.one_page_pdf(),
        "linearised": linearised_pdf(),
        "hybrid cross-reference": pdfs.hybrid_pdf(),
        "cross-reference stream": pdfs.assemble_with_streams(plain),
        "object stream": pdfs.assemble_with_streams(plain, frozenset({1, 2, 3, 4})),
        "incremental updates": updated_pdf(),
        "form with an empty signature field": pdfs.form_pdf(b"/FT /Sig /T (Leader)", b"/FT /Tx /T (Note)"),
        "form without fields": pdfs.assemble(pdfs.page_objects(catalog=b"/AcroForm <</Fields []>>")),
        "form, fields and annotations as objects": shared_form_pdf(),
        "form fields that are the page's annotations too": pdfs.assemble(
            pdfs.page_objects(page=b"/Annots 10 0 R", catalog=b"/AcroForm <</Fields 10 0 R>>") | {10: b"[]"}
        ),
        "no annotations, said by null": pdfs.assemble(pdfs.page_objects(page=b"/Annots null")),
        "certified, signing allowed": _signed(1, certification=2),
        "signed once": _signed(1),
        "signed three times": _signed(3),
        "rotated page": pdfs.assemble(pdfs.page_objects(page=b"/Rotate 90")),
        "user unit": pdfs.assemble(pdfs.page_objects(page=b"/UserUnit 2.5")),
        "deep page tree": deep_page_tree_pdf(),
        "20,000 objects": pdfs.assemble(plain | dict.fromkeys(range(10, 20_010), b"<</A [1 2 3]>>")),
        "PDF/A-1b": pdfa_pdf(1),
        "PDF/A-2b": pdfa_pdf(2),
        "PDF 2.0": pdfs.assemble(plain, trailer=_ID, version="2.0"),
        "no newline at the end": pdfs.one_page_pdf().rstrip(),
    }


FIELDS = {"form with an empty signature field": "Leader"}
"""Empty field to fill in a structure."""
EARLIER = {"certified, signing allowed": 1, "signed once": 1, "signed three times": 3}
"""Signatures that a structure has already."""
