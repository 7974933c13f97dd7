"""XML from strangers: parsed without DTD, entities and network, within limits, and laid out for what follows.

Every element gets a number in document order, so that "what is signed" is a handful of intervals of numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
MAX_BYTES = 48 << 20
MAX_DEPTH = 200
MAX_ELEMENTS = 400_000
MAX_MARKS = 2 * MAX_ELEMENTS + 100_000
"""Octets "<", counted before anything is built: an element takes thirty times its four octets of memory."""
MAX_ATTRIBUTES = 256
"""Of one element: canonical XML sorts them, and libxml2 does that in quadratic time."""
MAX_NAMESPACES = 256
"""In scope at one place: every element below is compared with them."""
MAX_NAMESPACE_NAME = 2000
"""Characters: every element and attribute of the namespace has it in its own name."""
_ID_ATTRIBUTES = frozenset(
    {
        "Id",
        "ID",
        "id",
        "{http://www.w3.org/XML/1998/namespace}id",
        "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id",
    }
)
_START = re.compile(r"<(?:[?!]|[^\W\d])")
_CHUNK = 1 << 16
# What libxml2 answers where its own limits end: 256 levels, 10,000,000 octets of text or attribute in one place.
_RESOURCE_LIMIT = 114

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]


class XmlError(ValueError):
    """The document is not XML that may be read; the message says why."""


class XmlLimit(XmlError):
    """The document asks for more than is given to one document."""


class _Prolog(Exception):
    """The root element has been reached."""


def looks_like(data: bytes) -> bool:
    """True when the content starts as XML does, in UTF-8 or UTF-16."""
    head = data[:1024]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head[: len(head) & ~1].decode("utf-16", "replace")
    else:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return _START.match(text.lstrip()) is not None


def parse(data: bytes) -> etree._ElementTree:
    """The tree of a document. Raises XmlError for what is not well-formed, and for every document type declaration."""
    if len(data) > MAX_BYTES:
        raise XmlLimit(f"XML of {len(data)} bytes, at most {MAX_BYTES} are read")
    if data.count(b"<") > MAX_MARKS:
        raise XmlLimit(f"XML with more than {MAX_MARKS} tags")
    _refuse_doctype(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        tree = etree.fromstring(data, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError) as error:
        if getattr(error, "code", 0) == _RESOURCE_LIMIT:
            raise XmlLimit("XML with more levels, or longer text in one place, than is read") from error
        raise XmlError(f"not well-formed XML: {str(error)[:120]}") from error
    info: Any = tree.docinfo
    if info.doctype or info.internalDTD is not None:
        raise XmlError("a document type declaration is refused")
    errors: Any = parser.error_log
    if any(one.domain_name == "NAMESPACE" and one.level > etree.ErrorLevels.WARNING for one in errors):
        # The parser lets a prefix without a namespace pass as a part of the name.
        raise XmlError("not well-formed XML: a prefix is not declared")
    return tree


def _refuse_doctype(data: bytes) -> None:
    """Stop at a DOCTYPE before the other parser sees an entity; nothing after the first tag is looked at."""

    def refuse(*_: Any) -> None:
        raise XmlError("a document type declaration is refused")

    def reached(*_: Any) -> None:
        raise _Prolog

    scanner = expat.ParserCreate()
    scanner.StartDoctypeDeclHandler = refuse
    scanner.StartElementHandler = reached
    try:
        for start in range(0, len(data), _CHUNK):
            scanner.Parse(data[start : start + _CHUNK], False)
    except _Prolog:
        return
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, XmlError):
            raise
        raise XmlError("not well-formed XML before the first element") from error
    raise XmlError("not well-formed XML: no element")


def _refuse_namespaces(tree: etree._ElementTree) -> None:
    """Raise XmlLimit where a namespace's name is too long, or too many are in scope together."""
    in_scope = 0
    for event, declared in etree.iterwalk(tree, events=("start-ns", "end-ns")):
        in_scope += 1 if event == "start-ns" else -1
        if in_scope > MAX_NAMESPACES:
            raise XmlLimit(f"more than {MAX_NAMESPACES} namespaces in scope at one place of the XML")
        if event == "start-ns" and len(declared[1]) > MAX_NAMESPACE_NAME:
            raise XmlLimit(f"a namespace's name of more than {MAX_NAMESPACE_NAME} characters")


@dataclass
class Source:
    """A parsed document. `numbers` gives an element's interval: its own number, and that after its last descendant."""

    data: bytes
    tree: etree._ElementTree
    elements: list[etree._Element] = field(default_factory=list)
    numbers: dict[etree._Element, Interval] = field(default_factory=dict)
    ids: dict[str, list[etree._Element]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> Source:
        """Parse and number. Raises XmlError."""
        source = cls(data, parse(data))
        _refuse_namespaces(source.tree)
        elements = source.elements
        # By number: that of the element above, and how many levels down.
        above: list[int] = []
        levels: list[int] = []
        places: dict[etree._Element | None, int] = {None: -1}
        for element in source.root.iter("*"):
            place = len(elements)
            up = places[element.getparent()]
            level = levels[up] + 1 if place else 1
            if level > MAX_DEPTH or place >= MAX_ELEMENTS:
                raise XmlLimit(f"more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements of XML")
            places[element] = place
            elements.append(element)
            above.append(up)
            levels.append(level)
            names = element.keys()
            if len(names) > MAX_ATTRIBUTES:
                raise XmlLimit(f"more than {MAX_ATTRIBUTES} attributes of one XML element")
            for name in names:
                if name in _ID_ATTRIBUTES:
                    source.ids.setdefault(str(element.get(name)), []).append(element)
        ends = list(range(1, len(elements) + 1))
        for place in range(len(elements) - 1, 0, -1):
            up = above[place]
            ends[up] = max(ends[up], ends[place])
        source.numbers = {one: (start, ends[start]) for start, one in enumerate(elements)}
        return source

    @property
    def root(self) -> etree._Element:
        """The document's element."""
        return self.tree.getroot()

    def within(self, element: etree._Element, intervals: Intervals) -> bool:
        """True when the element is in these intervals."""
        number = self.numbers[element][0]
        return any(start <= number < end for start, end in intervals)

    def path(self, element: etree._Element) -> str:
        """Local names from the root down to the element, for people: "/HSoThueDTu/HSoKhaiThue"."""
        line = [element, *element.iterancestors()]
        return "/" + "/".join(local_name(one) for one in reversed(line))


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def union(*some: Iterable[Interval]) -> Intervals:
    """What is in any of these sets of intervals, in order and joined."""
    joined: list[Interval] = []
    for start, end in sorted(interval for one in some for interval in one if interval[0] < interval[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def without(some: Intervals, others: Iterable[Interval]) -> Intervals:
    """What is in the first set of intervals and not in the second."""
    left: list[Interval] = []
    holes = union(others)
    ends = [end for _, end in holes]
    for start, end in some:
        place = bisect_right(ends, start)
        while start < end and place < len(holes) and holes[place][0] < end:
            if holes[place][0] > start:
                left.append((start, holes[place][0]))
            start = holes[place][1]
            place += 1
        if start < end:
            left.append((start, end))
    return tuple(left)


def meets(one: Interval, intervals: Intervals) -> bool:
    """True when something of an interval is in a set of them, which is in order as all are here."""
    place = bisect_left(intervals, (one[1], 0)) - 1
    return place >= 0 and intervals[place][1] > one[0] and one[0] < one[1]


def common(some: Intervals, others: Iterable[Interval]) -> Intervals:
    """What is in both sets of intervals."""
    return without(some, without(some, others))


def children(element: Any) -> list[etree._Element]:
    """The child elements, without comments and instructions (whose tag is a function, and not a name)."""
    return [child for child in element if isinstance(child.tag, str)]


def text_of(element: etree._Element) -> str:
    """All text in the element and below it, without that of comments and instructions."""
    return str(element.xpath("string()"))
