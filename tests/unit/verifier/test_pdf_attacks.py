"""PDF files made so that what is shown later differs from what was signed: none of them is valid and clean."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from services.verifier.domain import DocumentReport, Verdict
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import stream, update

ROOM = 6000
EVIL = b"<</Type/Annot/Subtype/FreeText/Rect[0 0 595 842]/Contents(Forged)>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]%s>>"
SIGNATURE = b"<</FT/Sig/T(Signature1)/V 4 0 R/Type/Annot/Subtype/Widget/Rect[0 0 %d 9]%s>>"
FORM = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R %s]/SigFlags 3>>%s>>"
Sign = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def sign(hierarchy: Hierarchy) -> Sign:
    """A detached CMS by the hierarchy's signer."""
    return lambda content: hierarchy.signer.cms(content, detached=True)


def signed(
    sign: Sign,
    objects: dict[int, bytes] | None = None,
    *,
    rows: bytes = b"",
    head: bytes = b"%PDF-1.7\n",
    tail: bytes = b"",
    size: int = 200,
) -> bytes:
    """A signed file in one revision: catalog 1, pages 2, page 3, signature 4, field 5, and what else is given.

    `rows` are further subsections of the table, `tail` stands before the last startxref; "OFFSET" in it becomes its own.
    """
    held = b"/Contents <%s>" % (b"0" * ROOM)
    every = {
        1: FORM % (b"", b""),
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: PAGE % b"",
        4: b"<</Type/Sig/Filter/X/SubFilter/adbe.pkcs7.detached/ByteRange[%s]%s>>" % (b" " * 40, held),
        5: SIGNATURE % (0, b""),
    } | (objects or {})
    out, lines = bytearray(head), []
    for number, body in every.items():
        lines.append(b"%d 1\n%010d 00000 n \n" % (number, len(out)))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n%s%strailer\n<</Size %d/Root 1 0 R>>\n" % (b"".join(lines), rows, size)
    if tail:
        place = b"%010d" % len(out)
        out[:] = out.replace(b"OFFSET----", place) + tail
    out += b"startxref\n%d\n%%%%EOF\n" % start
    first = out.index(held) + len(b"/Contents ")
    second = first + ROOM + 2
    place_at = out.index(b"/ByteRange[") + len(b"/ByteRange[")
    out[place_at : place_at + 40] = (b"0 %d %d %d" % (first, second, len(out) - second)).ljust(40)
    container = sign(bytes(out[:first]) + bytes(out[second:])).hex().encode()
    out[first + 1 : first + 1 + len(container)] = container
    return bytes(out)


def with_rows(data: bytes, rows: bytes, trailer: bytes = b"/Size 200/Root 1 0 R", body: bytes = b"") -> bytes:
    """The file with a further revision of which every byte is given."""
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    start = len(data) + len(body)
    data += body + b"xref\n%strailer\n<<%s/Prev %d>>\n" % (rows, trailer, previous)
    return data + b"startxref\n%d\n%%%%EOF\n" % start


def packed(objects: dict[int, bytes], kind: bytes = b"/Type/ObjStm") -> bytes:
    """An object stream's text."""
    index, bodies = b"", b""
    for number, body in objects.items():
        index += b"%d %d " % (number, len(bodies))
        bodies += body + b" "
    return stream(index + bodies, kind + b"/N %d/First %d" % (len(objects), len(index)))


def with_stream(data: bytes, rows: dict[int, tuple[int, int, int]], number: int = 190) -> bytes:
    """The file with a cross-reference stream that has these rows."""
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    rows = rows | {number: (1, len(data), 0)}
    index = b" ".join(b"%d 1" % one for one in sorted(rows))
    content = b"".join(
        bytes((kind,)) + second.to_bytes(4, "big") + third.to_bytes(2, "big")
        for _, (kind, second, third) in sorted(rows.items())
    )
    text = stream(content, b"/Type/XRef/W[1 4 2]/Size 200/Root 1 0 R/Prev %d/Index[%s]" % (previous, index))
    return data + b"%d 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (number, text, len(data))


def passes(report: DocumentReport) -> bool:
    """Valid, and nothing to warn of."""
    return report.verdict is Verdict.VALID and report.clean


# Each makes the signed file and the one it is turned into.
Attack = Callable[[Sign], tuple[bytes, bytes]]
ATTACKS: dict[str, Attack] = {}


def attack(what: Attack) -> Attack:
    """Enter an attack into the table."""
    ATTACKS[what.__name__] = what
    return what


@attack
def object_stream_is_supplied_later(sign: Sign) -> tuple[bytes, bytes]:
    """The page lists an annotation that lies in an object stream which is not there yet."""
    before = signed(sign, {3: PAGE % b"/Annots[90 0 R]"}, rows=b"")
    base = with_stream(before, {90: (2, 91, 0)})
    before = resigned(sign, base)
    return before, update(before, {91: packed({90: EVIL})})


@attack
def object_stream_is_written_anew_as_a_look(sign: Sign) -> tuple[bytes, bytes]:
    """An object stream is also the look of a field, so writing it anew is taken for a new look."""
    field = b"<</FT/Tx/T(x)%s/V(1)/AP<</N 91 0 R>>/Type/Annot/Subtype/Widget/Rect[0 0 9 9]>>"
    plain = signed(sign, {1: FORM % (b"20 0 R", b""), 3: PAGE % b"/Annots[90 0 R 20 0 R]", 20: field % b""})
    holder = packed({90: b"null"})
    base = update(plain, {91: holder})
    before = resigned(sign, with_stream(base, {90: (2, 91, 0)}))
    return before, update(before, {91: packed({90: EVIL}), 20: field % b"/Ff 1"})


def resigned(sign: Sign, base: bytes) -> bytes:
    """The file with a second signature in a revision of its own: value 80, field 81."""
    held = b"/Contents <%s>" % (b"0" * ROOM)
    root = re.findall(rb"[\n]1 0 obj\n(.*?)\nendobj", base, re.DOTALL)[-1]
    out = bytearray(
        update(
            base,
            {
                1: root.replace(b"/Fields[", b"/Fields[81 0 R "),
                80: b"<</Type/Sig/Filter/X/SubFilter/adbe.pkcs7.detached/ByteRange[%s]%s>>"
                % (b" " * 40, held),
                81: b"<</FT/Sig/T(Signature2)/V 80 0 R/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>",
            },
        )
    )
    first = out.rindex(held) + len(b"/Contents ")
    second = first + ROOM + 2
    at = out.rindex(b"/ByteRange[") + len(b"/ByteRange[")
    out[at : at + 40] = (b"0 %d %d %d" % (first, second, len(out) - second)).ljust(40)
    container = sign(bytes(out[:first]) + bytes(out[second:])).hex().encode()
    out[first + 1 : first + 1 + len(container)] = container
    return bytes(out)


@attack
def another_generation_of_the_same_object(sign: Sign) -> tuple[bytes, bytes]:
    """The page refers to a generation that is there only later, with the same content."""
    before = signed(sign, {3: PAGE % b"/Annots[90 1 R]", 90: EVIL})
    body = b"90 1 obj\n%s\nendobj\n" % EVIL
    return before, with_rows(before, b"90 1\n%010d 00001 n \n" % len(before), body=body)


@attack
def supplied_to_an_object_that_cannot_be_read(sign: Sign) -> tuple[bytes, bytes]:
    """The page says a key twice: its references are not known, so nothing is known to be supplied."""
    before = signed(sign, {3: PAGE % b"/Annots[90 0 R]/Rotate 0/Rotate 0"})
    return before, update(before, {90: EVIL})


@attack
def an_object_reaches_behind_the_signed_bytes(sign: Sign) -> tuple[bytes, bytes]:
    """A string that the signed bytes open is closed behind them."""
    before = signed(
        sign,
        {3: PAGE % b"/Annots[90 0 R]"},
        rows=b"90 1\nOFFSET---- 00000 n \n",
        tail=b"90 0 obj\n%s/T(" % EVIL[:-2],
    )
    rest = b")>>\nendobj\n"
    offset = int(re.findall(rb"90 1\n(\d+)", before)[-1])
    return before, with_rows(before, b"90 1\n%010d 00000 n \n" % offset, body=rest)


@attack
def an_object_behind_its_own_revision(sign: Sign) -> tuple[bytes, bytes]:
    """An entry of a later revision points into an object of a still later one."""
    before = signed(sign, {3: PAGE % b"/Annots[90 0 R]"})
    probe = with_rows(before, b"90 1\n%010d 00000 n \n" % 0)
    head = b"91 0 obj\n<</Length %d>>stream\n"
    inner = b"90 0 obj\n%s\nendobj" % EVIL
    head %= len(inner)
    first = with_rows(before, b"90 1\n%010d 00000 n \n" % (len(probe) + len(head)))
    body = head + inner + b"\nendstream\nendobj\n"
    return before, with_rows(first, b"91 1\n%010d 00000 n \n" % len(first), body=body)


@attack
def an_entry_that_leads_nowhere(sign: Sign) -> tuple[bytes, bytes]:
    """Readers that repair a file for a wrong entry then find what lies in the stream beside it."""
    before = signed(sign)
    hidden = b"\n3 0 obj\n%s\nendobj\n" % (PAGE % b"/Rotate 90")
    field = b"<</FT/Sig/T(new)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/AP 93 0 R>>"
    forged = update(before, {1: FORM % (b"92 0 R", b""), 92: field, 94: stream(hidden)})
    return before, with_rows(forged, b"93 1\n%010d 00000 n \n" % 77)


@attack
def objects_inside_a_stream(sign: Sign) -> tuple[bytes, bytes]:
    """What a reader finds that looks for objects by their keywords."""
    before = signed(sign)
    return before, update(before, {94: stream(b"\n3 0 obj\n%s\nendobj\n" % (PAGE % b"/Rotate 90"))})


@attack
def a_trailer_without_a_catalog(sign: Sign) -> tuple[bytes, bytes]:
    """Readers take the newest trailer, and repair the file where that names no catalog."""
    before = signed(sign)
    hidden = b"94 0 obj\n%s\nendobj\n" % stream(b"x")
    return before, with_rows(before, b"94 1\n%010d 00000 n \n" % len(before), b"/Size 200", hidden)


@attack
def a_signed_look_is_written_anew(sign: Sign) -> tuple[bytes, bytes]:
    """A signature that shows gets another look, and its field another flag, which may always change."""
    shown = signed(
        sign, {5: SIGNATURE % (99, b"/AP<</N 90 0 R>>"), 90: look(b"An"), 3: PAGE % b"/Annots[5 0 R]"}
    )
    return shown, update(shown, {5: SIGNATURE % (99, b"/AP<</N 90 0 R>>/Ff 1"), 90: look(b"Binh")})


@attack
def a_filled_look_is_written_anew(sign: Sign) -> tuple[bytes, bytes]:
    field = b"<</FT/Tx/T(x)%s/V(1)/AP<</N 91 0 R>>/Type/Annot/Subtype/Widget/Rect[0 0 99 9]>>"
    objects = {1: FORM % (b"20 0 R", b""), 3: PAGE % b"/Annots[20 0 R]", 20: field % b"", 91: look(b"1")}
    before = signed(sign, objects)
    return before, update(before, {20: field % b"/Ff 1", 91: look(b"9")})


def look(text: bytes) -> bytes:
    """A form XObject."""
    return stream(b"BT /F 9 Tf (%s) Tj ET" % text, b"/Type/XObject/Subtype/Form/BBox[0 0 99 9]")


@attack
def a_field_that_shows_under_a_signed_name(sign: Sign) -> tuple[bytes, bytes]:
    """The name of the signed field in another encoding: a look without a signature seems to be signed."""
    before = signed(sign)
    name = b"<feff%s>" % "Signature1".encode("utf-16-be").hex().encode()
    field = b"<</FT/Sig/T %s/Type/Annot/Subtype/Widget/Rect[0 0 595 842]/AP<</N 93 0 R>>>>" % name
    objects = {1: FORM % (b"92 0 R", b""), 3: PAGE % b"/Annots[92 0 R]", 92: field, 93: look(b"x")}
    return before, update(before, objects)


@attack
def a_field_that_shows_below_a_signed_one(sign: Sign) -> tuple[bytes, bytes]:
    """The same by a child without a name of its own."""
    before = signed(sign)
    child = b"<</FT/Sig/T()/Parent 5 0 R/Type/Annot/Subtype/Widget/Rect[0 0 595 842]/AP<</N 93 0 R>>>>"
    objects = {3: PAGE % b"/Annots[92 0 R]", 5: SIGNATURE % (0, b"/Kids[92 0 R]"), 92: child, 93: look(b"x")}
    return before, update(before, objects)


@attack
def another_order_of_annotations(sign: Sign) -> tuple[bytes, bytes]:
    objects = {3: PAGE % b"/Annots[90 0 R 91 0 R]", 90: EVIL, 91: EVIL.replace(b"Forged", b"Cover")}
    before = signed(sign, objects)
    return before, update(before, {3: PAGE % b"/Annots[91 0 R 90 0 R]"})


@attack
def resources_below_the_security_store(sign: Sign) -> tuple[bytes, bytes]:
    """The store's own branch leads to what pages use."""
    objects = {
        1: FORM % (b"", b"/DSS<</VRI<</A 3 0 R/B 41 0 R>>>>"),
        3: PAGE % b"/Resources 41 0 R",
        41: b"<</Font<</F 42 0 R>>>>",
        42: b"<</Type/Font/BaseFont/Symbol>>",
        43: b"<</Type/Font/BaseFont/Courier>>",
    }
    before = signed(sign, objects)
    return before, update(before, {41: b"<</Font<</F 43 0 R>>>>"})


@attack
def resources_below_the_structure_tree(sign: Sign) -> tuple[bytes, bytes]:
    """The structure tree leads to what pages use, and a time-stamp of nobody's opens it to changes."""
    objects = {
        1: FORM % (b"", b"/StructTreeRoot<</A 3 0 R/K 41 0 R>>"),
        3: PAGE % b"/Resources 41 0 R",
        41: b"<</Font<</F 42 0 R>>>>",
        42: b"<</Type/Font/BaseFont/Symbol>>",
        43: b"<</Type/Font/BaseFont/Courier>>",
    }
    before = signed(sign, objects)
    changes = {1: objects[1].replace(b"/Fields[", b"/Fields[92 0 R "), 41: b"<</Font<</F 43 0 R>>>>"}
    return before, update(before, changes | STAMP)


STAMP = {
    92: b"<</FT/Sig/T(Stamp)/V 93 0 R/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>",
    93: b"<</Type/DocTimeStamp/SubFilter/ETSI.RFC3161/Contents<00>/ByteRange[0 1 2 3]>>",
}
SPEAKING = {"resources_below_the_structure_tree"}
"""Here the document's verdict is that of the time-stamp; the signature's own tells."""


@attack
def a_font_by_the_name_of_a_producers_mark(sign: Sign) -> tuple[bytes, bytes]:
    """A resource is called like the mark that may always change."""
    objects = {
        3: PAGE % b"/Resources<</Font 41 0 R>>",
        41: b"<</ITXT 42 0 R>>",
        42: b"<</Type/Font/BaseFont/Symbol>>",
        43: b"<</Type/Font/BaseFont/Courier>>",
    }
    before = signed(sign, objects)
    return before, update(before, {41: b"<</ITXT 43 0 R>>"})


@attack
def another_structure_for_readers_of_linearised_files(sign: Sign) -> tuple[bytes, bytes]:
    """The file becomes as long as its first object says, so that readers begin with the cross-references there."""

    def made(length: int) -> bytes:
        head = b"%%PDF-1.7\n100 0 obj\n<</Linearized 1/L %010d/H[0 0]/O 3/E 99/N 1/T 9>>\nendobj\n" % length
        head += b"xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 200/Root 1 0 R>>\nstartxref\n0\n%%EOF\n"
        return signed(sign, head=head)

    length = len(update(made(0), {94: b"<<>>"}))
    before = made(length)
    return before, update(before, {94: b"<<>>"})


@attack
def a_table_and_a_stream_that_differ(sign: Sign) -> tuple[bytes, bytes]:
    """A later hybrid revision frees an annotation for readers of tables, and copies it for those of streams."""
    before = signed(sign, {3: PAGE % b"/Annots[90 0 R]", 90: EVIL})
    copy = b"90 0 obj\n%s\nendobj\n" % EVIL
    content = b"\x01" + len(before).to_bytes(4, "big") + b"\0\0"
    text = b"190 0 obj\n%s\nendobj\n" % stream(content, b"/Type/XRef/W[1 4 2]/Size 200/Index[90 1]")
    trailer = b"/Size 200/Root 1 0 R/XRefStm %d" % (len(before) + len(copy))
    return before, with_rows(before, b"90 1\n0000000000 00001 f \n", trailer, copy + text)


@attack
def a_kind_of_entry_that_there_is_not(sign: Sign) -> tuple[bytes, bytes]:
    """Some readers take it for null, others for a reason to repair the file."""
    before = signed(sign)
    return before, with_stream(before, {94: (7, 1, 0)})


@attack
def bytes_before_the_header(sign: Sign) -> tuple[bytes, bytes]:
    """Some readers count offsets from the header, others from the first byte."""
    before = signed(sign, head=b"\n\n\n%PDF-1.7\n")
    return before, update(before, {94: b"<<>>"})


@attack
def a_script_with_a_new_field(sign: Sign) -> tuple[bytes, bytes]:
    """A field that does not show acts when its page is opened."""
    before = signed(sign)
    field = b"<</FT/Sig/T(x)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/AA<</PO<</S/JavaScript/JS(x)>>>>>>"
    return before, update(before, {1: FORM % (b"92 0 R", b""), 3: PAGE % b"/Annots[92 0 R]", 92: field})


@attack
def another_annotation_as_a_new_field(sign: Sign) -> tuple[bytes, bytes]:
    """A field is no widget but a line that shows whatever its rectangle is."""
    before = signed(sign)
    field = b"<</FT/Sig/T(x)/Type/Annot/Subtype/Ink/InkList[[0 0 99 99]]/Rect[0 0 0 0]>>"
    return before, update(before, {1: FORM % (b"92 0 R", b""), 3: PAGE % b"/Annots[92 0 R]", 92: field})


@attack
def a_reference_to_nothing(sign: Sign) -> tuple[bytes, bytes]:
    """Some readers repair the file for it, and find other objects in the signed bytes."""
    before = signed(sign)
    return before, update(before, {94: b"<</AP 95 0 R>>"})


@attack
def a_size_that_grows_over_what_is_there(sign: Sign) -> tuple[bytes, bytes]:
    """An object beyond the size of the signed state is not there for readers that look at it."""
    before = signed(sign, {3: PAGE % b"/Annots[90 0 R]", 90: EVIL}, size=50)
    return before, update(before, {94: b"<<>>"})


@pytest.mark.parametrize("what", ATTACKS)
def test_what_shows_differently_is_never_valid_and_clean(verify: Verify, sign: Sign, what: str) -> None:
    _, after = ATTACKS[what](sign)
    report = verify(after)
    assert not passes(report)
    if what in SPEAKING:
        assert not next(one for one in report.signatures if one.name == "Signature1").clean
