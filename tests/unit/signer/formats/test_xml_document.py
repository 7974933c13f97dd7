"""XML of strangers: what is refused and why, how things are found in it, and that a splice changes one place only."""

from __future__ import annotations

import random

import pytest
from lxml import etree

from services.kernel.errors import BodyTooLarge, DocumentDamaged, DomainError, TargetInvalid
from services.signer.formats import xml_document
from services.signer.formats.format import Document
from services.signer.formats.xml_document import element_at, element_by_id, read, splice_at
from tests.support.xml_tools import DECLARATION, DS

BOMB = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">%s]><a>&x9;</a>' % b"".join(
    b'<!ENTITY x%d "%s">' % (level, b"&x%d;" % (level - 1) * 10) for level in range(1, 10)
)
XSLT = (
    f'<a><s:Signature xmlns:s="{DS}"><s:SignedInfo><s:Reference><s:Transforms><s:Transform Algorithm="'
    "http://www.w3.org/TR/1999/REC-xslt-19991116&#x20;"
    '"/></s:Transforms></s:Reference></s:SignedInfo></s:Signature></a>'
).encode()
BAD = [
    ("nothing", b"", "syntax"),
    ("no XML", b"%PDF-1.7", "syntax"),
    ("cut off", DECLARATION[:-80], "syntax"),
    ("two roots", b"<a/><b/>", "syntax"),
    ("unbound prefix", b"<x:a/>", "syntax"),
    ("attribute twice", b'<a b="1" b="2"/>', "syntax"),
    ("attribute twice by namespace", b'<a xmlns:x="u:u" xmlns:y="u:u" x:b="1" y:b="2"/>', "syntax"),
    ("undeclared entity", b"<a>&x;</a>", "syntax"),
    ("DTD", b"<!DOCTYPE a><a/>", "dtd"),
    ("DTD with attribute defaults", b'<!DOCTYPE a [<!ATTLIST a Id CDATA "x">]><a/>', "dtd"),
    ("external DTD", b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>', "dtd"),
    ("external entity", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "dtd"),
    ("entity bomb", BOMB, "dtd"),
    ("DTD in UTF-16", "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a><a/>".encode("utf-16"), "dtd"),
    ("DTD after a comment", b"<!-- x --><?y?>\n<!DOCTYPE a><a/>", "dtd"),
    (
        "XInclude",
        b'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/passwd"/></a>',
        "xinclude",
    ),
    ("XSLT transform", XSLT, "xslt"),
    ("XML 1.1", b'<?xml version="1.1"?><a/>', "version"),
    ("broken declaration", b'<?xml encoding="UTF-8"?><a/>', "syntax"),
    ("windows-1258", b'<?xml version="1.0" encoding="windows-1258"?><a/>', "encoding"),
    ("UTF-7", b'<?xml version="1.0" encoding="UTF-7"?><a/>', "encoding"),
    ("UTF-32", "<a/>".encode("utf-32"), "syntax"),
    ("UTF-16 without mark", "<a/>".encode("utf-16-le"), "syntax"),
    ("says UTF-16, is not", b'<?xml version="1.0" encoding="utf-16"?><a/>', "encoding"),
    (
        "says UTF-8, has a mark of UTF-16",
        "<?xml version='1.0' encoding='utf-8'?><a/>".encode("utf-16"),
        "encoding",
    ),
    ("says ASCII, is not", '<?xml version="1.0" encoding="US-ASCII"?><a>ạ</a>'.encode(), "encoding"),
    ("overlong UTF-8", b"<a>\xc0\xbc</a>", "encoding"),
    ("half a surrogate", b"<a>\xed\xa0\x80</a>", "encoding"),
    ("a NUL", b"<a>\x00</a>", "syntax"),
    ("too deep", b"<a>" * 201 + b"</a>" * 201, "depth"),
    ("much too deep", b"<a>" * 100_000, "syntax"),
    ("deep and long", b"<a>" * 1000 + b"x" * 9_000_000 + b"</a>" * 1000, "depth"),
    ("too many elements", b"<a>" + b"<b/>" * 800_001 + b"</a>", "size"),
    ("too many attributes", b"<a>" + b'<b c="" d=""/>' * 400_001 + b"</a>", "size"),
]


@pytest.mark.parametrize(("data", "reason"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_hostile_or_broken_xml_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentDamaged) as caught:
        read(data)
    assert caught.value.data["reason"] == reason


def test_a_document_over_the_limit_is_not_read() -> None:
    too_long = Document.of(b"<a/>")
    with pytest.raises(BodyTooLarge):
        xml_document.taken(Document(too_long.stream, 2 * xml_document.MAX_XML_BYTES))
    with pytest.raises(BodyTooLarge):
        read(bytes(xml_document.MAX_XML_BYTES + 1))


@pytest.mark.parametrize(
    "data",
    [
        DECLARATION,
        b"<a>" * 200 + b"</a>" * 200,
        b"<a><!-- <!DOCTYPE a> --><![CDATA[<!DOCTYPE html>]]></a>",
        b"<a>" + b"QUJD" * 4_000_000 + b"</a>",
        b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8' standalone='yes'?><a/>",
        "<?xml version='1.0' encoding='UTF-16'?><a>ạ</a>".encode("utf-16"),
    ],
    ids=["declaration", "200 deep", "DOCTYPE as text", "16 MB of base64", "marked UTF-8", "UTF-16"],
)
def test_what_is_only_unusual_is_read(data: bytes) -> None:
    assert read(data).data == data


@pytest.mark.parametrize("attribute", ["Id", "ID", "id", "xml:id"])
def test_the_target_is_found_by_any_usual_id_attribute(attribute: str) -> None:
    root = read(f'<a><b {attribute}="x"/><c name="x" iD="x"/></a>'.encode()).root
    assert element_by_id(root, "x").tag == "b"


@pytest.mark.parametrize(
    "text",
    [
        "<a/>",
        '<a><b Id="x"/><c Id="x"/></a>',
        '<a><b Id="x"/><c id="x"/></a>',
        '<a ID="x"><c xml:id="x"/></a>',
    ],
)
def test_an_id_that_is_missing_or_twice_there_is_refused(text: str) -> None:
    with pytest.raises(TargetInvalid, match="exactly one must"):
        element_by_id(read(text.encode()).root, "x")


def test_an_id_is_compared_and_never_taken_as_a_path() -> None:
    root = read(b'<a><b Id="x"/></a>').root
    for identifier in ("' or '1'='1", '"]|//*["', "x' "):
        with pytest.raises(TargetInvalid):
            element_by_id(root, identifier)


PATHS = '<h xmlns="u:h" xmlns:k="u:k"><k:a><b/></k:a><a n="2"><b/><c/></a><d/><d/></h>'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("h", "{u:h}h"),
        ("/h/d/../d", None),
        ("h/a/c", "{u:h}c"),
        ("h/{u:k}a/b", "{u:h}b"),
        ("{u:h}h/{u:h}a", "{u:h}a"),
    ]
    + [
        (path, None)
        for path in ("h/a", "h/d", "h/a/b", "x", "h/x", "a", "h//c", "h/", "{u:h", "h/{u:k}d", "//c")
    ],
)
def test_a_place_is_found_by_names_from_the_root_and_must_be_the_only_one(
    path: str, found: str | None
) -> None:
    root = read(PATHS.encode()).root
    if found is not None:
        assert element_at(root, path).tag == found
        return
    with pytest.raises(TargetInvalid):
        element_at(root, path)


def random_xml(chance: random.Random, depth: int = 0) -> str:
    """Write an element with everything that could lead a search for tags astray."""
    name = chance.choice(("a", "b.c", "k:d", "đ"))
    spaces = chance.choice((" ", "\n  ", "\t"))
    attributes = "".join(
        f"{spaces}{key}{chance.choice(('=', ' = '))}{value}"
        for key, value in (("x", "'<>\"/>'".replace("<", "")), ("k:y", '"a>b/>\'"'), ("z", '"ạ&#10;"'))
        if chance.random() < 0.4
    )
    if chance.random() < 0.2:
        return f"<{name}{attributes}{chance.choice(('', ' '))}/>"
    pieces = [
        "text ạ 😀",
        "<!-- <a> </b.c> -->",
        "<![CDATA[</a><b.c/>]]>",
        "<?pi <a/> ?>",
        "&lt;a/&gt;",
        "\r\n",
    ]
    inside = [
        random_xml(chance, depth + 1) if chance.random() < 0.5 and depth < 5 else chance.choice(pieces)
        for _ in range(chance.randrange(6))
    ]
    return f"<{name}{attributes}>{''.join(inside)}</{name}{chance.choice(('', ' ', chr(10)))}>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("placement", ["FIRST_CHILD", "LAST_CHILD", "AFTER"])
def test_a_splice_puts_an_element_where_it_should_and_nothing_else_changes(
    encoding: str, placement: str
) -> None:
    chance = random.Random(20261122)  # noqa: S311 - the same documents in every run
    checked = 0
    for _ in range(60):
        text = (
            f"<!-- <r> --><?p <r/>?><r xmlns:k='u:k'>{random_xml(chance)}{random_xml(chance)}</r>\n<!-- e -->"
        )
        declared = f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>"
        document = read((declared + text).encode(encoding))
        elements = list(document.root.iter("*"))
        place = chance.randrange(1, len(elements))
        splice = splice_at(document, elements[place], placement)
        changed = splice.apply(document.data, document.encode("<new ạ='1'/>"))
        new_root = etree.fromstring(changed)
        (new,) = new_root.iter("new")
        # What comes before an element in document order is not moved by what goes into it or behind it.
        found = list(new_root.iter("*"))[place]
        if placement == "AFTER":
            assert new.getprevious() is found
            assert not found.tail
        else:
            assert new.getparent() is found
            assert (new.getnext() if placement == "LAST_CHILD" else new.getprevious()) is None
        before = etree.tostring(document.root, method="c14n")
        tail = new.tail or ""
        parent, previous = new.getparent(), new.getprevious()
        assert parent is not None
        if previous is not None:
            previous.tail = (previous.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
        parent.remove(new)
        assert etree.tostring(new_root, method="c14n") == before
        checked += 1
    assert checked == 60


def test_nothing_goes_in_after_the_root() -> None:
    document = read(b"<a/>")
    with pytest.raises(TargetInvalid, match="after the root"):
        splice_at(document, document.root, "AFTER")


def test_a_mutated_document_is_read_or_refused_with_a_typed_error() -> None:
    chance = random.Random(20261122)  # noqa: S311 - the same mutations in every run
    tokens = (
        b"<",
        b">",
        b"&",
        b'"',
        b"<!DOCTYPE a>",
        b"<![CDATA[",
        b"]]>",
        b"\x00",
        b"\xff",
        b"xmlns",
        b"&#x0;",
    )
    taken = refused = 0
    for _ in range(600):
        data = bytearray(DECLARATION)
        for _ in range(chance.choice((1, 1, 2, 8))):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] ^= 1 << chance.randrange(8)
                case 1:
                    del data[place : place + chance.randrange(1, 9)]
                case _:
                    data[place:place] = chance.choice(tokens)
        try:
            document = read(bytes(data))
            splice_at(document, document.root, "LAST_CHILD")
            taken += 1
        except DomainError:
            refused += 1
    assert min(taken, refused) > 50
