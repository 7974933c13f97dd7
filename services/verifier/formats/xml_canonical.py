"""Canonical XML (1.0, 1.1, exclusive; with comments and without) of a document, a subtree, or what is left of one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from lxml import etree

from services.verifier.formats import xml_nodes, xml_single_nodes
from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_input import Intervals, Source, XmlError, union
from services.verifier.formats.xml_single_nodes import SingleNodes

_XML = "{http://www.w3.org/XML/1998/namespace}"
_BASE = f"{_XML}base"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_FORMS = {
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315": "1.0",
    "http://www.w3.org/2006/12/xml-c14n11": "1.1",
    EXCLUSIVE.rstrip("#"): "exclusive",
}
MAX_PREFIXES = 100


@dataclass(frozen=True, slots=True)
class Form:
    """One canonical form. `kind` 1.0, 1.1 or exclusive; `prefixes` those that the exclusive form treats as the others do."""

    kind: str = "1.0"
    comments: bool = False
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, method: etree._Element) -> Form | None:
        """The form that a CanonicalizationMethod or Transform names; None where it names something else."""
        base, _, fragment = method.get("Algorithm", "").partition("#")
        if base not in _FORMS or fragment not in ("", "WithComments"):
            return None
        listed = method.find(f"{{{EXCLUSIVE}}}InclusiveNamespaces")
        prefixes = tuple(listed.get("PrefixList", "").split()) if listed is not None else ()
        if len(prefixes) > MAX_PREFIXES:
            raise XmlError(f"more than {MAX_PREFIXES} prefixes in InclusiveNamespaces")
        kind = _FORMS[base]
        return cls(kind, fragment == "WithComments", prefixes if kind == "exclusive" else ())


@dataclass(frozen=True)
class NodeSet:
    """Nodes of a document: those of `apex` (with what stands around it: `whole`) whose numbers are in `intervals`.

    `cuts` are the subtrees that were taken out, and None where the set is no longer a subtree with some taken out.
    `single` are the nodes, where only some of what belongs to these elements and others is in the set.
    """

    source: Source
    apex: etree._Element
    intervals: Intervals
    whole: bool = False
    comments: bool = False
    cuts: tuple[etree._Element, ...] | None = ()
    single: SingleNodes | None = None

    @classmethod
    def of(
        cls, source: Source, apex: etree._Element, *, comments: bool = False, whole: bool = False
    ) -> NodeSet:
        """The subtree of an element; `whole`: the document with its comments and instructions around the root."""
        return cls(source, apex, union([source.numbers[apex]]), whole, comments)


def canonical(nodes: NodeSet, form: Form) -> bytes:
    """Octets of the canonical form. Raises XmlError (relative namespace names), UnknownMethod."""
    if nodes.single is not None:
        return _of_single_nodes(nodes, nodes.single, form)
    if nodes.cuts is None or "#default" in form.prefixes:
        return xml_nodes.write(nodes.source, nodes.apex, nodes.intervals, _options(nodes, form))
    cuts = [cut for cut in nodes.cuts if cut is not nodes.apex]
    if len(cuts) != len(nodes.cuts) or not nodes.intervals:
        return b""
    copy = _copy(nodes)
    _take_out(copy, nodes, cuts)
    if not nodes.whole and form.kind != "exclusive":
        _inherit(copy.getroot(), nodes.apex, form)
    try:
        return bytes(
            etree.tostring(
                copy if nodes.whole else copy.getroot(),
                method="c14n",
                exclusive=form.kind == "exclusive",
                with_comments=form.comments and nodes.comments,
                inclusive_ns_prefixes=list(form.prefixes) or None,
            )
        )
    except (etree.LxmlError, ValueError, TypeError) as error:
        raise XmlError("the canonical form cannot be made (relative namespace names have none)") from error


def _of_single_nodes(nodes: NodeSet, single: SingleNodes, form: Form) -> bytes:
    if form.kind == "1.1" or set(form.prefixes) - {"#default"}:
        raise UnknownMethod("this canonical form of single nodes is not supported")
    exclusive = form.kind == "exclusive"
    written = xml_single_nodes.Written(exclusive, bool(form.prefixes), form.comments and nodes.comments)
    return xml_single_nodes.write(single, nodes.apex, written, around=nodes.whole)


def _options(nodes: NodeSet, form: Form) -> xml_nodes.Options:
    return xml_nodes.Options(form.kind, form.comments and nodes.comments, form.prefixes, nodes.whole)


def _copy(nodes: NodeSet) -> etree._ElementTree:
    """The subtree in a document of its own: read anew, so that prefixes and declarations stay as they are written."""
    octets = (
        nodes.source.data
        if nodes.whole
        else etree.tostring(nodes.apex, encoding="UTF-8", with_tail=False, xml_declaration=True)
    )
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(octets, parser).getroottree()
    except etree.XMLSyntaxError as error:
        raise XmlError("a part of the document cannot be read by itself") from error


def _take_out(copy: etree._ElementTree, nodes: NodeSet, cuts: list[etree._Element]) -> None:
    """Remove the copies of these elements, and keep the text behind each."""
    if not cuts:
        return
    counterparts = dict(zip(nodes.apex.iter("*"), copy.getroot().iter("*"), strict=True))
    for cut in cuts:
        twin = counterparts[cut]
        parent = twin.getparent()
        if parent is None:
            continue
        before = twin.getprevious()
        if twin.tail and before is not None:
            before.tail = (before.tail or "") + twin.tail
        elif twin.tail:
            parent.text = (parent.text or "") + twin.tail
        parent.remove(twin)


def _inherit(root: etree._Element, original: etree._Element, form: Form) -> None:
    """Attributes of the xml namespace that an apex takes from the ancestors left out (C14N 1.0 2.4; 1.1 2.4)."""
    for name, value in inherited(original, form.kind).items():
        if root.get(name) is None or (name == _BASE and form.kind == "1.1"):
            root.set(name, value)
    if form.kind == "1.1" and root.get(_BASE) == "":
        # It says nothing, and is not written.
        del root.attrib[_BASE]


def inherited(element: etree._Element, kind: str) -> dict[str, str]:
    """The xml: attributes that an element's omitted ancestors leave to it. Raises UnknownMethod."""
    found: dict[str, str] = {}
    for ancestor in element.iterancestors():
        for key, value in ancestor.attrib.items():
            name = str(key)
            if name.startswith(_XML) and (kind == "1.0" or name not in (f"{_XML}id", _BASE)):
                found.setdefault(name, str(value))
    if kind == "1.1" and element.getparent() is not None:
        stated = (one.get(_BASE) for one in (element, *element.iterancestors()))
        bases = [str(one) for one in stated if one is not None]
        if bases:
            found[_BASE] = _joined(bases)
    return found


def _joined(bases: list[str]) -> str:
    """The xml:base that stands for several, the nearest first (C14N 1.1 2.4), where the outermost says where it starts."""
    *inner, joined = bases
    if inner and urlsplit(joined).scheme not in ("http", "https"):
        raise UnknownMethod("canonical form 1.1 of a part below a relative xml:base is not supported")
    for one in reversed(inner):
        # Dots at the end are a folder, like what they stand for.
        folder = joined if joined.rpartition("/")[2] not in (".", "..") else f"{joined}/"
        joined = urljoin(folder, one)
    return joined
