"""The canonical form of node sets that are no subtree: what XPath Filter 2.0 leaves, gaps and islands included."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_input import Intervals, Source, XmlError

_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_XML = f"{{{_XML_NAMESPACE}}}"


@dataclass(frozen=True, slots=True)
class Options:
    """How to write. `kind` 1.0, 1.1 or exclusive; `whole`: what stands around the root belongs to the set."""

    kind: str
    comments: bool
    prefixes: tuple[str, ...]
    whole: bool


def write(source: Source, apex: etree._Element, intervals: Intervals, options: Options) -> bytes:
    """Octets of the canonical form. Raises XmlError; UnknownMethod for form 1.1 where xml:base would have to be joined."""
    if options.kind == "1.1" and _has_base(source):
        raise UnknownMethod("canonical form 1.1 of what a filter leaves is not supported with xml:base")
    writer = _Writer(source, intervals, options)
    return "".join(writer.document(apex)).encode()


class _Writer:
    """Walks once; knows which declarations the nearest written ancestor has made."""

    def __init__(self, source: Source, intervals: Intervals, options: Options) -> None:
        self._source, self._options = source, options
        self._intervals = intervals
        self._starts = [start for start, _ in intervals]

    def document(self, apex: etree._Element) -> Iterator[str]:
        before = list(apex.itersiblings(preceding=True))[::-1] if self._options.whole else []
        for node in before:
            if text := self._other(node):
                yield text + "\n"
        yield from self._element(apex, {"": ""})
        for node in apex.itersiblings() if self._options.whole else ():
            if text := self._other(node):
                yield "\n" + text

    def _kept(self, element: etree._Element) -> bool:
        number = self._source.numbers[element][0]
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number < self._intervals[index][1]

    def _element(self, element: etree._Element, made: dict[str, str]) -> Iterator[str]:
        kept = self._kept(element)
        name = f"{element.prefix}:{etree.QName(element).localname}" if element.prefix else ""
        name = name or etree.QName(element).localname
        if kept:
            attributes = self._attributes(element)
            declared = self._declarations(element, attributes, made)
            made = {**made, **declared}
            yield f"<{name}"
            for prefix, uri in sorted(declared.items()):
                yield f' xmlns{":" if prefix else ""}{prefix}="{quoted(uri)}"'
            for _, _, qualified, value in attributes:
                yield f' {qualified}="{quoted(value)}"'
            yield ">"
            yield escaped(element.text)
        for child in element:
            if child in self._source.numbers:
                yield from self._element(child, made)
            elif kept:
                yield self._other(child)
            if kept:
                yield escaped(child.tail)
        if kept:
            yield f"</{name}>"

    def _other(self, node: Any) -> str:
        """A comment or an instruction; the two differ by the function that makes them, which is their tag."""
        if node.tag is etree.Comment:
            return f"<!--{newlines(node.text)}-->" if self._options.comments else ""
        content = newlines(node.text)
        return f"<?{node.target}{' ' if content else ''}{content}?>"

    def _attributes(self, element: etree._Element) -> list[tuple[str, str, str, str]]:
        """Namespace, local name, qualified name, value: in canonical order, inherited ones included."""
        values = {str(key): str(value) for key, value in element.attrib.items()}
        parent = element.getparent()
        if self._options.kind != "exclusive" and parent is not None and not self._kept(parent):
            for ancestor in element.iterancestors():
                for key, value in ancestor.attrib.items():
                    if str(key).startswith(_XML) and (self._options.kind == "1.0" or key != f"{_XML}id"):
                        values.setdefault(str(key), str(value))
        found = []
        for key, value in values.items():
            namespace, local = key[1:].split("}") if key[0] == "{" else ("", key)
            found.append((namespace, local, qualified(element, namespace, local), value))
        return sorted(found)

    def _declarations(
        self, element: etree._Element, attributes: list[tuple[str, str, str, str]], made: dict[str, str]
    ) -> dict[str, str]:
        scope = {prefix or "": uri for prefix, uri in element.nsmap.items()}
        scope.pop("xml", None)
        if self._options.kind == "exclusive":
            used = {element.prefix or ""} | {q.partition(":")[0] for n, _, q, _ in attributes if n}
            used |= {"" if prefix == "#default" else prefix for prefix in self._options.prefixes}
            scope = {prefix: uri for prefix, uri in scope.items() if prefix in used}
        if not element.prefix:
            scope[""] = etree.QName(element).namespace or ""
        if any(uri and ":" not in uri for uri in scope.values()):
            raise XmlError("relative namespace names have no canonical form")
        return {prefix: uri for prefix, uri in scope.items() if made.get(prefix) != uri}


def _has_base(source: Source) -> bool:
    return any(f"{_XML}base" in one.attrib for one in source.elements)


def qualified(element: etree._Element, namespace: str, local: str) -> str:
    """An attribute's name as it is written."""
    if not namespace:
        return local
    if namespace == _XML_NAMESPACE:
        return f"xml:{local}"
    prefixes = [prefix for prefix, uri in element.nsmap.items() if prefix and uri == namespace]
    if len(prefixes) == 1:
        return f"{prefixes[0]}:{local}"
    named = element.xpath("name(@*[namespace-uri()=$n and local-name()=$l])", n=namespace, l=local)
    return str(named)


def newlines(text: str | None) -> str:
    """Text of a comment or instruction in canonical form."""
    return (text or "").replace("\r", "&#xD;")


def escaped(text: str | None) -> str:
    """Text in canonical form."""
    if not text:
        return ""
    return newlines(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def quoted(text: str) -> str:
    """The value of an attribute in canonical form."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return newlines(text.replace("\t", "&#x9;").replace("\n", "&#xA;"))
