"""Sets of single nodes, as XPath 1.0 filters leave them: asked of every node, namespaces included, and written.

Such a set can hold a text without its element, or a namespace without either. What it signs of a document is said
strictly: all of it, down to the last namespace, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_expressions import Kind, Node, Scope
from services.verifier.formats.xml_input import (
    DS,
    Intervals,
    Source,
    XmlError,
    XmlLimit,
    children,
    union,
    without,
)
from services.verifier.formats.xml_nodes import escaped, newlines, qualified, quoted
from services.verifier.formats.xml_paths import UnsupportedTransform

MAX_NODES = 200_000
_ASKED = 1024
"""Octets that asking one node counts for beside its steps."""
_XML = "{http://www.w3.org/XML/1998/namespace}"


@dataclass(frozen=True)
class SingleNodes:
    """Nodes of a document that a filter has left. `signed` are the elements, if it leaves nothing out of them."""

    kept: frozenset[Node]
    namespaces: Callable[[Any], dict[str, str]]
    signed: Intervals


@dataclass(frozen=True, slots=True)
class Around:
    """Of which nodes a filter is asked: `apex` and below; what stands `around` the root, comments where they belong."""

    apex: Any
    intervals: Intervals
    around: bool
    comments: bool


def pick(source: Source, nodes: Around, question: Callable[[Node], bool], scope: Scope) -> SingleNodes:
    """The nodes of which the question is true. Raises XmlLimit, UnsupportedTransform."""
    kept = set()
    for asked, node in enumerate(_all(source, nodes, scope)):
        if asked >= MAX_NODES:
            raise XmlLimit(f"an XPath expression is asked of more than {MAX_NODES} nodes")
        scope.spend(_ASKED)
        if question(node):
            kept.add(node)
    if any(one.kind is Kind.ATTRIBUTE and Node.of(one.place) not in kept for one in kept):
        raise UnsupportedTransform("an XPath expression that leaves attributes without their elements")
    single = frozenset(kept)
    return SingleNodes(single, scope.namespaces, _signed(source, nodes, single, scope))


def _all(source: Source, nodes: Around, scope: Scope) -> Iterator[Node]:
    for start, end in nodes.intervals:
        for element in source.elements[start:end]:
            yield Node.of(element)
            yield from _own(element, scope, comments=nodes.comments)
    if nodes.around:
        for other in (*nodes.apex.itersiblings(preceding=True), *nodes.apex.itersiblings()):
            if nodes.comments or other.tag is not etree.Comment:
                yield Node.of(other)


def _own(element: Any, scope: Scope, *, comments: bool) -> Iterator[Node]:
    """What belongs to an element itself: all that is in it but elements and what belongs to those."""
    for name in element.attrib:
        yield Node(Kind.ATTRIBUTE, element, str(name), element)
    for prefix in scope.namespaces(element):
        yield Node(Kind.NAMESPACE, element, prefix, element)
    if element.text:
        yield Node(Kind.TEXT, element, "text", element)
    for child in element:
        if not isinstance(child.tag, str) and (comments or child.tag is not etree.Comment):
            yield Node.of(child)
        if child.tail:
            yield Node(Kind.TEXT, child, "tail", element)


def _signed(source: Source, nodes: Around, kept: frozenset[Node], scope: Scope) -> Intervals:
    """The elements asked, where all are kept with all that is theirs, but signatures, and a root with nothing but a name.

    Where anything else is left out, it is not said how the rest stands together: none of it is.
    """
    whole: set[Any] = set()
    touched: set[Any] = set()
    for start, end in reversed(nodes.intervals):
        for element in reversed(source.elements[start:end]):
            own = [Node.of(element), *_own(element, scope, comments=False)]
            inner = children(element)
            if any(one in kept for one in own) or any(child in touched for child in inner):
                touched.add(element)
            left_out = (child for child in inner if child not in whole)
            if all(one in kept for one in own) and all(
                child.tag == f"{DS}Signature" and child not in touched for child in left_out
            ):
                whole.add(element)
    signed = union((source.numbers[one][0], source.numbers[one][0] + 1) for one in whole)
    signatures = (source.numbers[one] for one in nodes.apex.iter(f"{DS}Signature"))
    left = without(nodes.intervals, union(signed, signatures))
    return signed if not left or (left == ((0, 1),) and _is_bare(source.root)) else ()


def _is_bare(root: Any) -> bool:
    texts = (root.text, *(child.tail for child in root))
    return not any(text and text.strip() for text in texts) and all(
        str(name).startswith(_XML) for name in root.attrib
    )


@dataclass(frozen=True, slots=True)
class Written:
    """How to write. `default`: the exclusive form treats the default namespace as the inclusive one does."""

    exclusive: bool
    default: bool
    comments: bool


def write(picked: SingleNodes, apex: Any, form: Written, *, around: bool) -> bytes:
    """Octets of the canonical form 1.0 or exclusive (C14N 1.0 2.3, exclusive C14N 3). Raises XmlError, UnknownMethod."""
    return "".join(_Writer(picked, form).document(apex, around=around)).encode()


class _Writer:
    def __init__(self, picked: SingleNodes, form: Written) -> None:
        self._kept, self._scope, self._form = picked.kept, picked.namespaces, form

    def document(self, apex: Any, *, around: bool) -> Iterator[str]:
        for other in list(apex.itersiblings(preceding=True))[::-1] if around else ():
            if text := self._other(other):
                yield text + "\n"
        yield from self._element(apex, {}, {})
        for other in apex.itersiblings() if around else ():
            if text := self._other(other):
                yield "\n" + text

    def _element(self, element: Any, above: dict[str, str], made: dict[str, str]) -> Iterator[str]:
        """`above`: namespaces of the nearest kept ancestor; `made`: those in force by what is written (exclusive)."""
        scope = self._scope(element)
        mine = {
            prefix: uri
            for prefix, uri in scope.items()
            if Node(Kind.NAMESPACE, element, prefix, element) in self._kept
        }
        if any(":" not in uri for uri in mine.values()):
            raise XmlError("relative namespace names have no canonical form")
        name = f"{element.prefix}:" if element.prefix else ""
        name += etree.QName(element).localname
        kept = Node.of(element) in self._kept
        if kept:
            if self._form.default and not element.prefix and "" in scope and "" not in mine:
                # Implementations differ in whether the name without its namespace counts as declared.
                raise UnknownMethod("the default namespace of an element is left out, and is to be written")
            attributes = self._attributes(element)
            used = {element.prefix or ""} | {q.partition(":")[0] for n, _, q, _ in attributes if n}
            declared, made = self._declared(mine, used - {"xml"}, above, made)
            above = mine
            yield f"<{name}{_declarations(declared)}"
            yield "".join(f' {written}="{quoted(value)}"' for _, _, written, value in attributes)
            yield ">"
        else:
            yield _declarations({p: u for p, u in self._inclusive(mine).items() if above.get(p) != u})
        if element.text and Node(Kind.TEXT, element, "text", element) in self._kept:
            yield escaped(element.text)
        for child in element:
            if isinstance(child.tag, str):
                yield from self._element(child, above, made)
            else:
                yield self._other(child)
            if child.tail and Node(Kind.TEXT, child, "tail", element) in self._kept:
                yield escaped(child.tail)
        if kept:
            yield f"</{name}>"

    def _inclusive(self, mine: dict[str, str]) -> dict[str, str]:
        """Those of an element's namespaces that are written where its nearest kept ancestor has others."""
        if not self._form.exclusive:
            return mine
        return {prefix: uri for prefix, uri in mine.items() if not prefix and self._form.default}

    def _declared(
        self, mine: dict[str, str], used: set[str], above: dict[str, str], made: dict[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The declarations of an element that is written, and what is in force below it."""
        declared = {p: u for p, u in self._inclusive(mine).items() if above.get(p) != u}
        if (not self._form.exclusive or self._form.default) and "" not in mine and above.get(""):
            declared[""] = ""
        if not self._form.exclusive:
            return declared, made
        for prefix in used - ({""} if self._form.default else set()):
            if prefix in mine and made.get(prefix) != mine[prefix]:
                declared[prefix] = mine[prefix]
            elif not prefix and "" not in mine and made.get(""):
                declared[""] = ""
        gone = {prefix for prefix in used if prefix not in mine}
        return declared, {p: u for p, u in {**made, **declared}.items() if p not in gone}

    def _attributes(self, element: Any) -> list[tuple[str, str, str, str]]:
        """Namespace, local name, qualified name, value, in order; below what is left out also inherited ones."""
        own = [str(name) for name in element.attrib]
        kept = (name for name in own if Node(Kind.ATTRIBUTE, element, name, element) in self._kept)
        values = {name: str(element.get(name)) for name in kept}
        parent = element.getparent()
        if not self._form.exclusive and parent is not None and Node.of(parent) not in self._kept:
            for ancestor in element.iterancestors():
                for name in ancestor.attrib:
                    if str(name).startswith(_XML) and name not in own:
                        values.setdefault(str(name), str(ancestor.get(name)))
        found = []
        for name, value in values.items():
            namespace, _, local = name.rpartition("}")
            found.append((namespace[1:], local, qualified(element, namespace[1:], local), value))
        return sorted(found)

    def _other(self, node: Any) -> str:
        if Node.of(node) not in self._kept:
            return ""
        if node.tag is etree.Comment:
            return f"<!--{newlines(node.text)}-->" if self._form.comments else ""
        content = newlines(node.text)
        return f"<?{node.target}{' ' if content else ''}{content}?>"


def _declarations(declared: dict[str, str]) -> str:
    return "".join(
        f' xmlns{":" if prefix else ""}{prefix}="{quoted(uri)}"' for prefix, uri in sorted(declared.items())
    )
