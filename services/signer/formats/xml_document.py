"""XML documents of strangers: read under limits, searched, and changed only at one place.

A document is never written anew: what is added is spliced into its bytes at an offset that one parser (expat) gives
and that another (libxml2) then finds to be what was meant. So line ends, quotes, attribute order, entities of
characters, comments and the declaration stay as their author wrote them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from lxml import etree

from services.kernel.errors import BodyTooLarge, DocumentDamaged, TargetInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.signer.formats.format import Document

MAX_XML_BYTES = 28 << 20
"""Of a document that is held as a tree, which takes some times its size; a signature with its evidence goes beside it into
the 32 MiB that a document worker gives back."""
MAX_DEPTH = 200
"""Elements within each other."""
MAX_ELEMENTS = 400_000
MAX_ATTRIBUTES = 800_000
"""Counted by signs of equality, those in texts too. Two trees of such a document fit into a document worker."""
_SMALL_BYTES = 9_000_000
"""Below libxml2's limit for one text; base64 of an attachment may be longer, see `parse`."""

DS = "http://www.w3.org/2000/09/xmldsig#"
XINCLUDE = "http://www.w3.org/2001/XInclude"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
_BY_ID = etree.XPath(
    "/descendant::*/@*[.=$value][name()='Id' or name()='ID' or name()='id' or name()='xml:id']/.."
)
_COUNT = etree.XPath("count(//*)")
_ANCESTORS = etree.XPath("count(ancestor::*)")
_PRECEDING = etree.XPath("count(preceding::*)")
_WITHIN = etree.XPath("count(descendant::*)")
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_DOCTYPE = b"<!DOCTYPE"

_ENCODINGS = {"utf-8": "utf-8", "us-ascii": "ascii", "ascii": "ascii"}
_DECLARATION = re.compile(
    r"""<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(["'])(?P<version>[^"']*)\1"""
    r"""(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(["'])(?P<encoding>[^"']*)\3)?"""
    r"""(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*["'](?:yes|no)["'])?[ \t\r\n]*\?>"""
)
_TAG = re.compile(r"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
_STEP = re.compile(r"(\{[^{}]*\})?[^{}/]+")
_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """Where an element lies: offsets of its start tag's first byte, and of its end tag's (behind it where it is empty)."""

    start: int
    end: int


class XmlDocument:
    """Bytes, their tree, and where an element of the tree lies in the bytes."""

    def __init__(self, data: bytes, encoding: str, root: etree._Element) -> None:
        """Take bytes, Python's name of their codec (a byte order mark left aside), and the tree of the bytes."""
        self.data = data
        self.encoding = encoding
        self.root = root
        self._places: tuple[list[int], list[int]] | None = None

    def span(self, element: etree._Element) -> Span:
        """Say where an element of the tree lies."""
        if self._places is None:
            self._places = _scan(self.data)
            if len(self._places[0]) != _COUNT(self.root):
                raise damaged("two parsers do not agree on its elements", "ambiguous")
        starts, ends = self._places
        depth, before, inside = (int(_number(count(element))) for count in (_ANCESTORS, _PRECEDING, _WITHIN))
        number = before + depth
        # Of the elements that began before it all have ended but its ancestors; those within it have ended too.
        return Span(starts[number], ends[number - depth + inside])

    def encode(self, text: str) -> bytes:
        """Write text as a part of this document; what its encoding lacks becomes a character reference."""
        return text.encode(self.encoding, "xmlcharrefreplace")


@dataclass(frozen=True, slots=True)
class Splice:
    """A change of a document's bytes: `cut` bytes at the offset are replaced."""

    offset: int
    cut: int
    before: bytes
    """Goes in before what is added: the bytes that open an empty element's content."""
    after: bytes

    def apply(self, data: bytes, addition: bytes) -> bytes:
        """Put the addition into the bytes."""
        return b"".join(
            (data[: self.offset], self.before, addition, self.after, data[self.offset + self.cut :])
        )


def read(data: bytes, *, signed: bool = False) -> XmlDocument:
    """Read a document, or raise DocumentDamaged (`reason` names the rule), BodyTooLarge.

    Refused: document type declarations (hence entities, external subsets, attribute defaults), XInclude, encodings
    but UTF-8, US-ASCII and UTF-16 with its mark, XML 1.1, an XSLT transform in any signature, more than the limits
    above; `signed` leaves a fourth more for what signing has added. Nothing outside the bytes is ever fetched.
    """
    room = 1.25 if signed else 1
    if len(data) > MAX_XML_BYTES * room:
        raise _too_large()
    if data.count(b"<") > 2 * MAX_ELEMENTS * room:
        raise damaged(f"it has more than {MAX_ELEMENTS} elements", "size")
    if data.count(b"=") > MAX_ATTRIBUTES * room:
        raise damaged(f"it has more than {MAX_ATTRIBUTES} attributes", "size")
    encoding = _encoding(data)
    if encoding.startswith("utf-16") or _DOCTYPE in data:
        # Expat stops at a document type declaration before anything of it is used; in a comment it may stand.
        _scan(data)
    root = parse(data)
    if _TOO_DEEP(root):
        raise damaged(f"its elements nest more than {MAX_DEPTH} deep", "depth")
    for element in root.iter(f"{{{XINCLUDE}}}*"):
        raise damaged(f"XInclude is not taken (line {element.sourceline})", "xinclude")
    for transform in root.iter(f"{{{DS}}}Transform"):
        if (transform.get("Algorithm") or "").strip() == XSLT:
            raise damaged(f"a signature in it has an XSLT transform (line {transform.sourceline})", "xslt")
    return XmlDocument(data, encoding, root)


def taken(document: Document) -> bytes:
    """Return the bytes of a file that is to be read as XML. Raises BodyTooLarge before anything is read."""
    if document.size > MAX_XML_BYTES * 1.25:
        raise _too_large()
    return document.read()


def parse(data: bytes) -> etree._Element:
    """Parse bytes that `read` has seen, or that were made from such; return the root element.

    libxml2's own limits stay on but for long documents, where they would refuse a text of 10 MB as an attachment's
    base64 easily is; what those limits guard against is refused by `read`: entities before, depth after.
    """
    try:
        root: etree._Element = etree.fromstring(data, _PARSER if len(data) < _SMALL_BYTES else _LONG_PARSER)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise DocumentDamaged(
            f"the document is not well-formed XML (line {line}, column {column})", reason="syntax"
        ) from error
    except ValueError as error:
        raise damaged("it is not XML", "syntax") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise damaged("it has a document type declaration", "dtd")
    return root


def element_by_id(root: etree._Element, identifier: str) -> etree._Element:
    """Find the one element whose Id, ID, id or xml:id has the value; raise TargetInvalid where not exactly one does."""
    found: Any = _BY_ID(root, value=identifier)
    if len(found) != 1:
        many = "no element has" if not found else f"{len(found)} elements have"
        raise TargetInvalid(f"{many} the id {identifier!r}; exactly one must", found=len(found))
    element: etree._Element = found[0]
    return element


def element_at(root: etree._Element, path: str) -> etree._Element:
    """Find the one element at a path of names from the root, each "{namespace}name" or a local name alone.

    Raises TargetInvalid where there is none or more than one, or the path cannot be read.
    """
    steps = _steps(path)
    found = [root] if _named(root, steps[0]) else []
    for step in steps[1:]:
        found = [child for parent in found for child in parent.iterchildren("*") if _named(child, step)]
    if len(found) != 1:
        many = "no element is" if not found else f"{len(found)} elements are"
        raise TargetInvalid(f"{many} at the path {path!r}; exactly one must be", found=len(found))
    return found[0]


def splice_at(document: XmlDocument, element: etree._Element, placement: str) -> Splice:
    """Say where bytes go in as the element's LAST_CHILD or FIRST_CHILD, or AFTER it (not the root: TargetInvalid)."""
    span = document.span(element)
    start = _tag(document, span.start)
    if placement == "AFTER":
        if element is document.root:
            raise TargetInvalid("nothing can stand after the root element: place the signature in it")
        end = span.end if _is_empty(start) else span.end + _size(document, _tag(document, span.end))
        return Splice(end, 0, b"", b"")
    inside = span.start + _size(document, start)
    if _is_empty(start):
        # "<a/>" becomes "<a>...</a>", the one change beside the addition itself.
        name = re.split(r"[\s/]", start[1:], maxsplit=1)[0]
        slash = _size(document, "/>")
        return Splice(inside - slash, slash, _plain(document, ">"), _plain(document, f"</{name}>"))
    return Splice(inside if placement == "FIRST_CHILD" else span.end, 0, b"", b"")


def outer(document: XmlDocument, element: etree._Element) -> tuple[int, int]:
    """Say where an element begins and ends, tags included."""
    span = document.span(element)
    start = _tag(document, span.start)
    end = span.end if _is_empty(start) else span.end + _size(document, _tag(document, span.end))
    return span.start, end


def damaged(what: str, reason: str) -> DocumentDamaged:
    """Make the error that says why an XML document is not taken."""
    return DocumentDamaged(f"the XML document is refused: {what}", reason=reason)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"an XML document to be read may have at most {MAX_XML_BYTES} bytes", limit=MAX_XML_BYTES
    )


def _parser(*, huge: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=huge,
        strip_cdata=False,
        remove_comments=False,
        remove_pis=False,
        remove_blank_text=False,
        recover=False,
    )


_PARSER = _parser(huge=False)
_LONG_PARSER = _parser(huge=True)


def _encoding(data: bytes) -> str:
    """Return the codec that mark and declaration agree on, and in which every byte has a meaning."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        head = data[2:_HEAD_BYTES].decode(encoding, "replace")
        allowed: dict[str, str] = {"utf-16": encoding, "utf-8": ""}
    else:
        encoding = "utf-8"
        head = data.removeprefix(codecs.BOM_UTF8)[:_HEAD_BYTES].decode("ascii", "replace")
        allowed = _ENCODINGS
    declared = encoding if encoding == "utf-8" else "utf-16"
    if head.startswith("<?xml") and head[5:6].isspace():
        declaration = _DECLARATION.match(head)
        if declaration is None:
            raise damaged("its XML declaration cannot be read", "syntax")
        if declaration["version"] != "1.0":
            raise damaged("only XML 1.0 can be signed: no canonical form exists for others", "version")
        declared = (declaration["encoding"] or declared).lower()
    if not (chosen := allowed.get(declared, "")):
        raise damaged("its encoding is not UTF-8: send it in UTF-8", "encoding")
    try:
        data.decode(chosen)
    except UnicodeDecodeError as error:
        raise damaged(f"byte {error.start} does not fit its encoding", "encoding") from error
    return chosen


def _scan(data: bytes) -> tuple[list[int], list[int]]:
    """Go over the document with expat: the offsets at which elements begin, and, in another order, end."""
    parser = expat.ParserCreate()
    starts: list[int] = []
    ends: list[int] = []
    parser.StartElementHandler = lambda _name, _attributes: starts.append(parser.CurrentByteIndex)
    parser.EndElementHandler = lambda _name: ends.append(parser.CurrentByteIndex)
    parser.StartDoctypeDeclHandler = _doctype
    parser.ordered_attributes = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DocumentDamaged(
            f"the document is not well-formed XML (line {error.lineno}, column {error.offset + 1})",
            reason="syntax",
        ) from error
    return starts, ends


def _doctype(*_declaration: object) -> None:
    raise damaged("it has a document type declaration; send it without one", "dtd")


def _number(value: Any) -> float:
    return float(value)


def _tag(document: XmlDocument, offset: int) -> str:
    """Read the tag that begins at an offset."""
    size = 512
    while True:
        piece = document.data[offset : offset + size]
        match = _TAG.match(piece.decode(document.encoding, "ignore"))
        if match is not None:
            return match[0]
        if offset + size > len(document.data):
            raise damaged("a tag has no end", "syntax")
        size *= 4


def _is_empty(tag: str) -> bool:
    return tag.endswith("/>")


def _size(document: XmlDocument, text: str) -> int:
    return len(_plain(document, text))


def _plain(document: XmlDocument, text: str) -> bytes:
    return text.encode(document.encoding)


def _steps(path: str) -> list[str]:
    steps = list(_split(path.removeprefix("/")))
    if "/".join(steps) != path.removeprefix("/"):
        raise TargetInvalid(
            "the path must be names separated by '/', each '{namespace}name' or a local name", path=path[:200]
        )
    return steps


def _split(path: str) -> Iterator[str]:
    for match in _STEP.finditer(path):
        yield match[0]


def _named(element: etree._Element, step: str) -> bool:
    name = etree.QName(element)
    return name.text == step if step.startswith("{") else name.localname == step
