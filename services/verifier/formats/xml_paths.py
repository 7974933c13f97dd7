"""Paths by which XPath filters name elements: a few forms of XPath 1.0, each of one pass over the document."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from lxml import etree

from services.verifier.formats.xml_input import Source, XmlError, children

Spend = Callable[[int], None]
"""Counts work, in octets that would take as long to hash. Raises XmlLimit."""

MAX_EXPRESSION = 1000
MAX_PATHS = 8
_VISIT = 16
"""Octets that an element counts for in one pass."""
NAME = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_QUOTED = r"""(?:'[^']*'|"[^"]*")"""
_ATTRIBUTE = rf"(?:@|attribute::)(?:{NAME}|\*)"
_TEST = rf"(?:not\s*\(\s*{_ATTRIBUTE}\s*\)|{_ATTRIBUTE}(?:\s*=\s*{_QUOTED})?)"
_STEP = rf"(?:{NAME}|\*)(?:\[\s*{_TEST}(?:\s+(?:or|and)\s+{_TEST}){{0,15}}\s*\])?"
# A step is a name or *, down one level or to any, and looks at nothing but the attributes of the element it comes to.
_STEPS = re.compile(rf"(?:/|//|/descendant::|/descendant-or-self::){_STEP}(?:/{_STEP}){{0,8}}")
_HERE = re.compile(
    rf"here\(\)/ancestor::({NAME}|\*)\[([1-9]\d?)\]"
    rf"(?:/\*\[\s*namespace-uri\(\)\s*=\s*({_QUOTED})\s+and\s+local-name\(\)\s*=\s*({_QUOTED})\s*\])?"
)
_PARTS = re.compile(rf"(?:[^|'\"]|{_QUOTED})+")


class UnsupportedTransform(ValueError):
    """The reference asks for something that is not done; the message names it."""


def located(source: Source, expression: etree._Element, text: str, spend: Spend) -> list[etree._Element]:
    """The elements of the document that any of the paths of an expression names. Raises UnsupportedTransform, XmlError."""
    parts = _PARTS.findall(text) if len(text) <= MAX_EXPRESSION else []
    if not 1 <= len(parts) <= MAX_PATHS or "|".join(parts) != text:
        raise refusal(text)
    # One path after the other: libxml2 compares each node of a union with all that it has.
    return list(
        dict.fromkeys(one for part in parts for one in _of_path(source, expression, part.strip(), spend))
    )


def refusal(text: str) -> UnsupportedTransform:
    """The error that names an expression which is not evaluated."""
    return UnsupportedTransform(f"an XPath expression is not supported: {text[:80]}")


def is_named(element: etree._Element, name: str, expression: etree._Element) -> bool:
    """True where a name test of the expression, by the prefixes in scope there, is the element's. Raises XmlError."""
    if name == "*":
        return True
    prefix, _, local = name.rpartition(":")
    uri = expression.nsmap.get(prefix) if prefix else ""
    if uri is None:
        raise XmlError(f"an XPath expression names the prefix {prefix[:80]}, which is not declared")
    return bool(element.tag == (f"{{{uri}}}{local}" if uri else local))


def _of_path(source: Source, expression: etree._Element, path: str, spend: Spend) -> list[etree._Element]:
    spend(_VISIT * len(source.elements))
    if path == "/":
        return [source.root]
    if (match := _HERE.fullmatch(path)) is not None:
        return _above(source, expression, match)
    if _STEPS.fullmatch(path) is None:
        raise refusal(path)
    spaces = {prefix: uri for prefix, uri in expression.nsmap.items() if prefix and uri}
    try:
        found = source.tree.xpath(path, namespaces=spaces)
    except (etree.XPathError, ValueError) as error:
        raise XmlError(f"an XPath expression cannot be evaluated: {path[:80]}") from error
    return [one for one in cast("list[Any]", found) if one in source.numbers]


def _above(source: Source, expression: etree._Element, match: re.Match[str]) -> list[etree._Element]:
    """What stands around the expression itself (XPath Filter 2.0 section 3.3.2, XMLDSig 6.6.3), or right below that."""
    if expression not in source.numbers:
        raise UnsupportedTransform("the function here() is used on another document")
    name, number = match.group(1), int(match.group(2))
    line = [one for one in expression.iterancestors() if is_named(one, name, expression)]
    if number > len(line):
        return []
    around = line[number - 1]
    if match.group(3) is None:
        return [around]
    uri, local = match.group(3)[1:-1], match.group(4)[1:-1]
    return [one for one in children(around) if one.tag == (f"{{{uri}}}{local}" if uri else local)]
