"""The transforms of a reference: the few that are known to be safe, each by rules of its own; nothing is executed."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import Any, cast

from lxml import etree

from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import (
    DS,
    Interval,
    Source,
    XmlError,
    children,
    common,
    text_of,
    union,
    without,
)

ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
BASE64 = "http://www.w3.org/2000/09/xmldsig#base64"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
FILTER2 = "http://www.w3.org/2002/06/xmldsig-filter2"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
MAX_TRANSFORMS = 10
MAX_FILTERS = 10
MAX_EXPRESSION = 300
# A step is a name or *, down one level or to any; nothing that can take more than one pass over the document.
_NAME = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_STEPS = re.compile(rf"(?:/|//|/descendant::|/descendant-or-self::)(?:{_NAME}|\*)(?:/(?:{_NAME}|\*)){{0,8}}")
_WITH_ID = r"""\[\s*@(Id|ID|id)\s*=\s*(?:'([^']*)'|"([^"]*)")\s*\]"""
_ANCESTOR = re.compile(rf"(not\()?\s*ancestor-or-self::({_NAME})\s*(?:{_WITH_ID})?\s*(?(1)\))")
_OWN = re.compile(rf"here\(\)/ancestor::{_NAME}\[1\]")

Data = bytes | NodeSet


class UnsupportedTransform(ValueError):
    """The reference asks for something that is not done; the message names it."""


def apply(data: Data, transform: etree._Element, signature: etree._Element) -> Data:
    """What one transform makes of the data. Raises UnsupportedTransform, XmlError."""
    algorithm = transform.get("Algorithm", "")
    form = Form.of(transform)
    if form is not None:
        return canonical(_nodes(data), form)
    if algorithm == ENVELOPED:
        return _enveloped(_nodes(data), signature)
    if algorithm == BASE64:
        return _decoded(data)
    if algorithm == XPATH:
        return _xpath(_nodes(data), transform)
    if algorithm == FILTER2:
        return _filtered(_nodes(data), transform, signature)
    what = "XSLT, which is never executed" if algorithm == XSLT else algorithm[:120] or "without a name"
    raise UnsupportedTransform(f"a transform is not supported: {what}")


def drops_comments(transform: etree._Element) -> bool:
    """True for a transform after which the comments of octets that were read as XML are not signed. Raises XmlError."""
    form = Form.of(transform)
    return not form.comments if form is not None else transform.get("Algorithm") != BASE64


def octets(data: Data) -> bytes:
    """What is hashed: nodes without a canonical form of their own get that of C14N 1.0 (XMLDSig 4.4.3.2)."""
    return data if isinstance(data, bytes) else canonical(data, Form())


def _nodes(data: Data) -> NodeSet:
    if isinstance(data, NodeSet):
        return data
    source = Source.of(data)
    return NodeSet.of(source, source.root, comments=True, whole=True)


def _enveloped(nodes: NodeSet, signature: etree._Element) -> NodeSet:
    if signature not in nodes.source.numbers:
        raise UnsupportedTransform("the enveloped-signature transform is used on another document")
    return _subtracted(nodes, [signature])


def _subtracted(nodes: NodeSet, roots: list[etree._Element]) -> NodeSet:
    inside = [root for root in roots if common((nodes.source.numbers[root],), nodes.intervals)]
    outermost = [one for one in inside if not any(up in set(inside) for up in one.iterancestors())]
    return replace(
        nodes,
        intervals=without(nodes.intervals, _numbers(nodes, outermost)),
        cuts=None if nodes.cuts is None else _joined(nodes.cuts, outermost),
    )


def _joined(cuts: tuple[etree._Element, ...], more: list[etree._Element]) -> tuple[etree._Element, ...]:
    """Both, without those that lie inside another."""
    every = dict.fromkeys((*cuts, *more))
    return tuple(one for one in every if not any(up in every for up in one.iterancestors()))


def _numbers(nodes: NodeSet, roots: list[etree._Element]) -> list[Interval]:
    return [nodes.source.numbers[root] for root in roots]


def _decoded(data: Data) -> bytes:
    if isinstance(data, NodeSet):
        if data.cuts != () or children(data.apex):
            # Tags are dropped here: they would count as signed and not be.
            raise UnsupportedTransform("base64 of anything but the text of one element is not supported")
        text = text_of(data.apex).encode()
    else:
        text = data
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise XmlError("the base64 transform meets what is not base64") from error


def _xpath(nodes: NodeSet, transform: etree._Element) -> NodeSet:
    """XPath 1.0 as a filter: only "has (or has not) such an ancestor", also one of that id, as signers of this kind ask."""
    expressions = transform.findall(f"{DS}XPath")
    if len(expressions) != 1:
        raise XmlError("an XPath transform has exactly one expression")
    expression = expressions[0]
    text = text_of(expression).strip()
    match = _ANCESTOR.fullmatch(text) if len(text) <= MAX_EXPRESSION else None
    if match is None:
        raise UnsupportedTransform(f"an XPath expression is not supported: {text[:80]}")
    named = _located(nodes.source, f"//{match.group(2)}", expression)
    if match.group(3):
        identifier = match.group(4) if match.group(4) is not None else match.group(5)
        named = [one for one in named if one.get(match.group(3)) == identifier]
    if match.group(1):
        return _subtracted(nodes, named)
    return replace(nodes, intervals=common(nodes.intervals, _numbers(nodes, named)), cuts=None)


def _filtered(nodes: NodeSet, transform: etree._Element, signature: etree._Element) -> NodeSet:
    """XPath Filter 2.0: one set operation with the subtrees of the named elements after the other."""
    expressions = list(transform.iterchildren(f"{{{FILTER2}}}XPath"))
    if not 1 <= len(expressions) <= MAX_FILTERS:
        raise XmlError(f"an XPath filter has one to {MAX_FILTERS} expressions")
    before = nodes
    for expression in expressions:
        text = text_of(expression).strip()
        if _OWN.fullmatch(text):
            roots = [signature]
        else:
            roots = _located(nodes.source, text, expression)
        kind = expression.get("Filter")
        if kind == "subtract":
            nodes = _subtracted(nodes, roots)
        elif kind == "intersect":
            nodes = replace(nodes, intervals=common(nodes.intervals, _numbers(nodes, roots)), cuts=None)
        elif kind == "union":
            nodes = replace(nodes, intervals=union(nodes.intervals, _numbers(nodes, roots)), cuts=None)
        else:
            raise XmlError("an XPath filter is neither intersect, subtract nor union")
    return replace(nodes, intervals=common(nodes.intervals, before.intervals))


def _located(source: Source, text: str, expression: etree._Element) -> list[etree._Element]:
    if text == "/":
        return [source.root]
    if len(text) > MAX_EXPRESSION or _STEPS.fullmatch(text) is None:
        raise UnsupportedTransform(f"an XPath expression is not supported: {text[:80]}")
    spaces = {prefix: uri for prefix, uri in expression.nsmap.items() if prefix and uri}
    try:
        found = source.tree.xpath(text, namespaces=spaces)
    except (etree.XPathError, ValueError) as error:
        raise XmlError(f"an XPath expression cannot be evaluated: {text[:80]}") from error
    return [one for one in cast("list[Any]", found) if one in source.numbers]
