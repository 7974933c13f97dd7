"""XPath 1.0 expressions that are asked of every node, in a small language of their own: what a node is and stands in.

Steps lead to the node itself, up from it, and to the namespaces in scope; never down, sideways or to other documents.
Every step is counted. Truths, texts and numbers are told apart before anything is asked, and none is turned into another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from lxml import etree

from services.verifier.formats.xml_input import local_name, text_of
from services.verifier.formats.xml_nodes import qualified
from services.verifier.formats.xml_paths import MAX_EXPRESSION, Spend, refusal

_VISIT = 384
"""Octets that a step to one node counts for."""
MAX_NESTING = 20
_TOKEN = re.compile(
    r"""\s*('[^']*'|"[^"]*"|\d{1,4}(?![\w.])|::|!=|[()=|/*]|[A-Za-z_][\w.-]*(?::(?!:)(?:[A-Za-z_][\w.-]*|\*))?)"""
)


class Kind(Enum):
    """What a node is."""

    DOCUMENT = "document"
    ELEMENT = "element"
    ATTRIBUTE = "attribute"
    NAMESPACE = "namespace"
    TEXT = "text"
    COMMENT = "comment"
    INSTRUCTION = "processing-instruction"


class Node(NamedTuple):
    """One node. `place` is the lxml node that it is or belongs to, `name` an attribute's, a prefix, or where text is."""

    kind: Kind
    place: Any
    name: str
    above: Any

    @classmethod
    def of(cls, place: Any) -> Node:
        """An element, comment or instruction; the document for None."""
        if place is None:
            return cls(Kind.DOCUMENT, None, "", None)
        kind = Kind.ELEMENT
        if not isinstance(place.tag, str):
            kind = Kind.COMMENT if place.tag is etree.Comment else Kind.INSTRUCTION
        return cls(kind, place, "", place.getparent())


_Question = Callable[[Node], Any]


class _Sort(Enum):
    TRUTH = "truth"
    TEXT = "text"
    NUMBER = "number"


_Asked = tuple[_Sort, _Question]


@dataclass
class Scope:
    """What the questions look things up in. `prefixes` are those declared where the expression stands."""

    prefixes: dict[str, str]
    spend: Spend
    _namespaces: dict[Any, dict[str, str]] = field(default_factory=dict)
    _uris: dict[str, str] = field(default_factory=dict)

    def namespaces(self, element: Any) -> dict[str, str]:
        """Prefixes in scope and what they stand for; that of XML itself, which is everywhere, is not among them."""
        if element not in self._namespaces:
            found = {prefix or "": uri for prefix, uri in element.nsmap.items() if uri and prefix != "xml"}
            # Each is a copy, and may be as long as the document: one of them is kept, for all elements.
            self.spend(sum(_VISIT + len(uri) for uri in found.values()))
            self._namespaces[element] = {one: self._uris.setdefault(uri, uri) for one, uri in found.items()}
        return self._namespaces[element]

    def text(self, node: Node) -> str:
        """The node's string value."""
        match node.kind:
            case Kind.ATTRIBUTE:
                return str(node.place.get(node.name))
            case Kind.NAMESPACE:
                return self.namespaces(node.place)[node.name]
            case Kind.TEXT:
                return str(getattr(node.place, node.name))
            case Kind.ELEMENT:
                value = text_of(node.place)
                self.spend(len(value))
                return value
        return str(node.place.text or "")


def parse(text: str, scope: Scope) -> Callable[[Node], bool]:
    """The question that an expression asks. Raises UnsupportedTransform for every other than those told above."""
    words, place = [], 0
    while len(text) <= MAX_EXPRESSION and (match := _TOKEN.match(text, place)) is not None:
        words.append(match.group(1))
        place = match.end()
    if text[place:].strip() or not words:
        raise refusal(text)
    reader = _Reader(words, scope)
    try:
        sort, question = reader.either(0)
    except _Strange as error:
        raise refusal(text) from error
    if sort is not _Sort.TRUTH or reader.words:
        raise refusal(text)
    return question


class _Strange(Exception):
    """The expression is not of this language."""


class _Reader:
    """Recursive descent, by the precedence of XPath 1.0 section 3."""

    def __init__(self, words: list[str], scope: Scope) -> None:
        self.words, self._scope = words[::-1], scope

    def _next(self) -> str:
        if not self.words:
            raise _Strange
        return self.words.pop()

    def _comes(self, *wanted: str) -> bool:
        if self.words and self.words[-1] in wanted:
            self.words.pop()
            return True
        return False

    def _must(self, wanted: str) -> None:
        if not self._comes(wanted):
            raise _Strange

    def either(self, depth: int) -> _Asked:
        """One or several with `or` between."""
        if depth > MAX_NESTING:
            raise _Strange
        asked = [self._all(depth)]
        while self._comes("or"):
            asked.append(self._all(depth))
        return asked[0] if len(asked) == 1 else (_Sort.TRUTH, _any([_truth(one) for one in asked]))

    def _all(self, depth: int) -> _Asked:
        asked = [self._compared(depth)]
        while self._comes("and"):
            asked.append(self._compared(depth))
        return asked[0] if len(asked) == 1 else (_Sort.TRUTH, _every([_truth(one) for one in asked]))

    def _compared(self, depth: int) -> _Asked:
        sort, left = self._rest(depth)
        for sign in ("=", "!="):
            if self._comes(sign):
                other, right = self._rest(depth)
                if other is not sort or sort is _Sort.TRUTH:
                    raise _Strange
                return _Sort.TRUTH, _equal(left, right) if sign == "=" else _not(_equal(left, right))
        return sort, left

    def _rest(self, depth: int) -> _Asked:
        sort, left = self._one(depth)
        if self._comes("mod"):
            by = self._next()
            if sort is not _Sort.NUMBER or not by.isdecimal() or not int(by):
                raise _Strange
            return _Sort.NUMBER, _modulo(left, int(by))
        return sort, left

    def _one(self, depth: int) -> _Asked:
        word = self._next()
        if word == "(":
            inside = self.either(depth + 1)
            self._must(")")
            return inside
        if word[0] in "'\"":
            return _Sort.TEXT, _constant(word[1:-1])
        if word.isdecimal():
            return _Sort.NUMBER, _constant(int(word))
        if self._comes("("):
            answer = self._function(word, depth)
            self._must(")")
            return answer
        path = self._path(word)
        return _Sort.TRUTH, lambda node: next(path(node), None) is not None

    def _function(self, name: str, depth: int) -> _Asked:
        if name == "not":
            return _Sort.TRUTH, _not(_truth(self.either(depth + 1)))
        if name == "count":
            paths = [self._path(self._next())]
            while self._comes("|"):
                paths.append(self._path(self._next()))
            return _Sort.NUMBER, lambda node: len({one for path in paths for one in path(node)})
        lead = self._near(name)
        scope = self._scope
        if name == "string":
            return _Sort.TEXT, lambda node: scope.text(lead(node))
        if name in ("name", "namespace-uri", "local-name"):
            part = ("name", "namespace-uri", "local-name").index(name)
            return _Sort.TEXT, lambda node: _names(lead(node))[part]
        raise _Strange

    def _near(self, name: str) -> Callable[[Node], Node]:
        """What a function is of: the node itself, or for names also that above it."""
        if self.words and self.words[-1] == ")" and name != "string":
            return lambda node: node
        axis = self._next()
        for wanted in ("::", "node", "(", ")"):
            self._must(wanted)
        if axis == "self":
            return lambda node: node
        if axis == "parent" and name != "string":
            return lambda node: node if node.kind is Kind.DOCUMENT else Node.of(node.above)
        raise _Strange

    def _path(self, axis: str) -> Callable[[Node], Iterator[Node]]:
        """One step; from the node itself or from above it, also the namespaces in scope there."""
        if axis not in _AXES:
            raise _Strange
        self._must("::")
        wanted = self._test()
        spend, lead = self._scope.spend, _AXES[axis]

        def step(node: Node) -> Iterator[Node]:
            for one in lead(node):
                spend(_VISIT)
                if wanted(one):
                    yield one

        if not self._comes("/"):
            return step
        if axis not in ("self", "parent"):
            raise _Strange
        for word in ("namespace", "::", "*"):
            self._must(word)
        return lambda node: (each for one in step(node) for each in self._namespaces(one))

    def _namespaces(self, node: Node) -> Iterator[Node]:
        if node.kind is Kind.ELEMENT:
            for prefix in ("xml", *self._scope.namespaces(node.place)):
                self._scope.spend(_VISIT)
                yield Node(Kind.NAMESPACE, node.place, prefix, node.place)

    def _test(self) -> Callable[[Node], bool]:
        word = self._next()
        if self._comes("("):
            self._must(")")
            if word == "node":
                return lambda _: True
            kinds = [one for one in (Kind.TEXT, Kind.COMMENT, Kind.INSTRUCTION) if one.value == word]
            if not kinds:
                raise _Strange
            return lambda node: node.kind is kinds[0]
        prefix, _, local = word.rpartition(":")
        uri = self._scope.prefixes.get(prefix) if prefix else ""
        if uri is None or not (word == "*" or local == "*" or word[0].isalpha() or word[0] == "_"):
            raise _Strange
        if word == "*":
            return lambda node: node.kind is Kind.ELEMENT
        if local == "*":
            return lambda node: node.kind is Kind.ELEMENT and etree.QName(node.place).namespace == uri
        tag = f"{{{uri}}}{local}" if uri else local
        return lambda node: node.kind is Kind.ELEMENT and node.place.tag == tag


def _upwards(node: Node) -> Iterator[Node]:
    while node.kind is not Kind.DOCUMENT:
        node = Node.of(node.above)
        yield node


def _with_itself(node: Node) -> Iterator[Node]:
    yield node
    yield from _upwards(node)


_AXES: dict[str, Callable[[Node], Iterator[Node]]] = {
    "self": lambda node: iter((node,)),
    "parent": lambda node: iter(() if node.kind is Kind.DOCUMENT else (Node.of(node.above),)),
    "ancestor": _upwards,
    "ancestor-or-self": _with_itself,
}


def _names(node: Node) -> tuple[str, str, str]:
    """Name as it is written, namespace, local name (XPath 1.0 section 4.1); empty for what has none."""
    if node.kind is Kind.ELEMENT:
        local = local_name(node.place)
        written = f"{node.place.prefix}:{local}" if node.place.prefix else local
        return written, etree.QName(node.place).namespace or "", local
    if node.kind is Kind.ATTRIBUTE:
        uri, _, local = node.name.rpartition("}")
        return qualified(node.place, uri[1:], local), uri[1:], local
    if node.kind is Kind.NAMESPACE:
        return node.name, "", node.name
    name = str(node.place.target) if node.kind is Kind.INSTRUCTION else ""
    return name, "", name


def _truth(asked: _Asked) -> _Question:
    if asked[0] is not _Sort.TRUTH:
        raise _Strange
    return asked[1]


def _any(questions: list[_Question]) -> _Question:
    return lambda node: any(one(node) for one in questions)


def _every(questions: list[_Question]) -> _Question:
    return lambda node: all(one(node) for one in questions)


def _not(question: _Question) -> _Question:
    return lambda node: not question(node)


def _equal(left: _Question, right: _Question) -> _Question:
    return lambda node: left(node) == right(node)


def _modulo(left: _Question, by: int) -> _Question:
    return lambda node: left(node) % by


def _constant(value: str | int) -> _Question:
    return lambda _: value
