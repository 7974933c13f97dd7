"""The transforms of a reference: the few that are known to be safe, each by rules of its own; nothing is executed."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace

from lxml import etree

from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_expressions import Scope, parse
from services.verifier.formats.xml_input import (
    DS,
    Interval,
    Source,
    XmlError,
    children,
    common,
    meets,
    text_of,
    union,
    without,
)
from services.verifier.formats.xml_paths import (
    MAX_EXPRESSION,
    NAME,
    Spend,
    UnsupportedTransform,
    is_named,
    located,
    refusal,
)
from services.verifier.formats.xml_single_nodes import Around, pick

ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
BASE64 = "http://www.w3.org/2000/09/xmldsig#base64"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
FILTER2 = "http://www.w3.org/2002/06/xmldsig-filter2"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
MAX_TRANSFORMS = 10
MAX_FILTERS = 10
_WITH_ID = r"""\[\s*@(Id|ID|id)\s*=\s*(?:'([^']*)'|"([^"]*)")\s*\]"""
_ANCESTOR = re.compile(rf"(not\s*\()?\s*ancestor-or-self::({NAME})\s*(?:{_WITH_ID})?\s*(?(1)\))")
# XMLDSig 6.6.4: what enveloped-signature says, in XPath.
_OWN = re.compile(
    rf"count\(\s*ancestor-or-self::({NAME})\s*\|\s*here\(\)/ancestor::\1\[1\]\s*\)\s*>\s*"
    r"count\(\s*ancestor-or-self::\1\s*\)"
)

Data = bytes | NodeSet


def apply(data: Data, transform: etree._Element, signature: etree._Element, spend: Spend) -> Data:
    """What one transform makes of the data. Raises UnsupportedTransform, XmlError; XmlLimit from `spend`."""
    algorithm = transform.get("Algorithm", "")
    form = Form.of(transform)
    if form is not None:
        return canonical(_nodes(data), form)
    if isinstance(data, NodeSet) and data.single is not None:
        raise UnsupportedTransform("a transform other than a canonical form of single nodes is not supported")
    if algorithm == ENVELOPED:
        return _enveloped(_nodes(data), signature)
    if algorithm == BASE64:
        return _decoded(data)
    if algorithm == XPATH:
        return _xpath(_nodes(data), transform, signature, spend)
    if algorithm == FILTER2:
        return _filtered(_nodes(data), transform, spend)
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
    outermost = _outermost(nodes, roots)
    return replace(
        nodes,
        intervals=without(nodes.intervals, _numbers(nodes, outermost)),
        cuts=None if nodes.cuts is None else _joined(nodes.cuts, outermost),
    )


def _outermost(nodes: NodeSet, roots: list[etree._Element]) -> list[etree._Element]:
    """Those of the elements that hold something of the set and lie in no other, in document order."""
    found, end = [], 0
    for root in sorted(roots, key=lambda one: nodes.source.numbers[one]):
        number = nodes.source.numbers[root]
        if number[0] >= end and meets(number, nodes.intervals):
            found.append(root)
            end = number[1]
    return found


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


def _xpath(nodes: NodeSet, transform: etree._Element, signature: etree._Element, spend: Spend) -> NodeSet:
    """XPath 1.0 as a filter: "has (or has not) such an ancestor", also one of that id, as signers of this kind ask.

    Other questions are asked of each node by itself, in the document of the signature only.
    """
    expressions = transform.findall(f"{DS}XPath")
    if len(expressions) != 1:
        raise XmlError("an XPath transform has exactly one expression")
    expression = expressions[0]
    text = text_of(expression).strip()
    if len(text) > MAX_EXPRESSION:
        raise refusal(text)
    own = _OWN.fullmatch(text)
    if own is not None and is_named(signature, own.group(1), expression):
        return _enveloped(nodes, signature)
    match = _ANCESTOR.fullmatch(text)
    if match is None:
        if signature not in nodes.source.numbers:
            raise refusal(text)
        return _asked(nodes, text, expression, spend)
    named = located(nodes.source, expression, f"//{match.group(2)}", spend)
    if match.group(3):
        identifier = match.group(4) if match.group(4) is not None else match.group(5)
        named = [one for one in named if one.get(match.group(3)) == identifier]
    if match.group(1):
        return _subtracted(nodes, named)
    return replace(nodes, intervals=common(nodes.intervals, _numbers(nodes, named)), cuts=None)


def _asked(nodes: NodeSet, text: str, expression: etree._Element, spend: Spend) -> NodeSet:
    scope = Scope({prefix: uri for prefix, uri in expression.nsmap.items() if prefix and uri}, spend)
    question = parse(text, scope)
    around = Around(nodes.apex, nodes.intervals, nodes.whole, nodes.comments)
    single = pick(nodes.source, around, question, scope)
    return replace(nodes, intervals=single.signed, cuts=None, single=single)


def _filtered(nodes: NodeSet, transform: etree._Element, spend: Spend) -> NodeSet:
    """XPath Filter 2.0: one set operation with the subtrees of the named elements after the other."""
    expressions = list(transform.iterchildren(f"{{{FILTER2}}}XPath"))
    if not 1 <= len(expressions) <= MAX_FILTERS:
        raise XmlError(f"an XPath filter has one to {MAX_FILTERS} expressions")
    before = nodes
    for expression in expressions:
        roots = located(nodes.source, expression, text_of(expression).strip(), spend)
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
