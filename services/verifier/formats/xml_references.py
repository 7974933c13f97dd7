"""The references of an XML signature: what each resolves to, whether its digest is right, and what it covers."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from lxml import etree

from services.verifier import algorithms
from services.verifier.formats import xml_transforms
from services.verifier.formats.by_digest import KnownDigests
from services.verifier.formats.xml_algorithms import UnknownMethod, digest_of, octets_of
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import DS, Intervals, Source, XmlError, XmlLimit, union
from services.verifier.formats.xml_transforms import Data, UnsupportedTransform

MAX_REFERENCES = 500
MAX_HASHED = 512 << 20
_ELEMENT = 64
"""Octets that an element counts for beside its own: writing many small ones takes longer than one large one."""
OBJECT = "http://www.w3.org/2000/09/xmldsig#Object"
MANIFEST = "http://www.w3.org/2000/09/xmldsig#Manifest"
_POINTER_ID = re.compile(r"""#xpointer\(id\((?:'([^']+)'|"([^"]+)")\)\)""")

Resolve = Callable[[str], bytes | None]
"""Content outside the document, by the URI that a reference gives; None where it is not at hand."""


class State(Enum):
    """What came of a reference."""

    HOLDS = "holds"
    BROKEN = "broken"
    MISSING = "missing"
    UNSUPPORTED = "unsupported"
    MALFORMED = "malformed"


class _Left(IntEnum):
    """How much of some content goes into a digest."""

    NOTHING = 0
    PART = 1
    ALL = 2


def _left_of(nodes: NodeSet) -> _Left:
    if not nodes.intervals:
        return _Left.NOTHING
    whole = union([nodes.source.numbers[nodes.source.root]])
    return _Left.ALL if nodes.intervals == whole else _Left.PART


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference, worked out. `intervals` are the elements of the document that it covers; none when detached.

    `cut`: its transforms leave something of content outside the document unsigned.
    """

    uri: str
    type: str
    state: State
    detail: str = ""
    apex: etree._Element | None = None
    intervals: Intervals = ()
    digest: str = ""
    outside: bool = False
    comments: bool = False
    cut: bool = False


@dataclass
class Resolver:
    """Works out the references of the signatures of one document, within one limit on what is hashed.

    `keys` are keys that whoever asks knows by the names that KeyInfo may give.
    """

    source: Source
    outside: Resolve
    spent: int = 0
    keys: Mapping[str, PublicKeyTypes] = field(default_factory=dict)
    digests: KnownDigests = field(default_factory=lambda: KnownDigests(()))

    def references(self, signature: etree._Element, parent: etree._Element) -> list[Reference]:
        """Those in a SignedInfo or Manifest. Raises XmlError where there are none or too many."""
        found = [child for child in parent if child.tag == f"{DS}Reference"]
        if not found or len(found) > MAX_REFERENCES:
            raise XmlError(f"{len(found)} references, where 1 to {MAX_REFERENCES} are expected")
        return [self.work_out(signature, one) for one in found]

    def work_out(self, signature: etree._Element, reference: etree._Element) -> Reference:
        """Resolve, transform, hash, compare. Raises XmlLimit."""
        uri, kind = reference.get("URI"), reference.get("Type", "")
        name = uri if uri is not None else ""
        try:
            data = self._resolved(uri)
            if data is None:
                return self._by_digest(reference, name, kind)
            start = data
            digest = digest_of(reference)
            stated = octets_of(reference.find(f"{DS}DigestValue"), "DigestValue")
            data, nodes, left = self._transformed(data, reference, signature)
            if not left:
                raise XmlError(f'the transforms leave nothing of "{name[:80]}" to be signed')
            actual = self._hashed(digest, data)
        except XmlLimit:
            raise
        except (UnsupportedTransform, UnknownMethod) as error:
            return Reference(name, kind, State.UNSUPPORTED, str(error))
        except XmlError as error:
            return Reference(name, kind, State.MALFORMED, str(error))
        own = nodes if isinstance(start, NodeSet) else None
        return Reference(
            name,
            kind,
            State.HOLDS if hmac.compare_digest(actual, stated) else State.BROKEN,
            "" if actual == stated else f'the digest of "{name[:80]}" is not the signed one',
            own.apex if own is not None else None,
            own.intervals if own is not None else (),
            digest,
            outside=own is None,
            comments=own is not None and own.comments,
            cut=left is _Left.PART,
        )

    def _by_digest(self, reference: etree._Element, name: str, kind: str) -> Reference:
        """What is not at hand, by a digest of it: that says something where no transform comes between the two."""
        missing = Reference(name, kind, State.MISSING, f'"{name[:80]}" is not found')
        transformed = next(reference.iter(f"{DS}Transform"), None) is not None
        if name.startswith("#") or transformed or not len(self.digests):
            return missing
        digest = digest_of(reference)
        held = self.digests.holds(digest, octets_of(reference.find(f"{DS}DigestValue"), "DigestValue"))
        if held is None:
            return missing
        detail = "" if held else f'the digest of "{name[:80]}" is not the signed one'
        state = State.HOLDS if held else State.BROKEN
        return Reference(name, kind, state, detail, digest=digest, outside=True)

    def octets(self, signature: etree._Element, reference: etree._Element, form: Form) -> bytes:
        """What a reference's digest is over; nodes that no transform writes get this form. Raises XmlError."""
        data = self._resolved(reference.get("URI"))
        if data is None:
            raise XmlError("what the reference names is not at hand")
        data, *_ = self._transformed(data, reference, signature)
        return self._write(data, form)

    def written(self, element: etree._Element, form: Form) -> bytes:
        """An element in canonical form. Raises XmlError."""
        return self._write(NodeSet.of(self.source, element, comments=True), form)

    def _write(self, data: Data, form: Form) -> bytes:
        if isinstance(data, NodeSet):
            self.spend(_weight(data))
        octets = data if isinstance(data, bytes) else canonical(data, form)
        self.spend(len(octets))
        return octets

    def _resolved(self, uri: str | None) -> Data | None:
        """XMLDSig 4.4.3.2 and 4.4.3.3: the five forms that stay in the document, and whatever is handed in beside it."""
        source = self.source
        if uri in ("", "#xpointer(/)"):
            return NodeSet.of(source, source.root, comments=uri != "", whole=True)
        if uri is not None and uri.startswith("#"):
            match = _POINTER_ID.fullmatch(uri)
            if match is None and "(" in uri:
                raise UnsupportedTransform(f"a pointer into the document is not supported: {uri[:80]}")
            identifier = (match.group(1) or match.group(2)) if match else uri[1:]
            named = source.ids.get(identifier, [])
            if len(named) > 1:
                raise XmlError(f'{len(named)} elements have the id "{identifier[:80]}"')
            return NodeSet.of(source, named[0], comments=match is not None) if named else None
        return self.outside(uri or "")

    def _transformed(
        self, data: Data, reference: etree._Element, signature: etree._Element
    ) -> tuple[Data, NodeSet | None, _Left]:
        """The data after all transforms, the last node set on the way that is of this document, and what is left.

        The last is told of content outside this document.
        """
        groups = reference.findall(f"{DS}Transforms")
        steps = [child for group in groups for child in group if child.tag == f"{DS}Transform"]
        if len(groups) > 1 or len(steps) > xml_transforms.MAX_TRANSFORMS:
            raise XmlError(f"more than {xml_transforms.MAX_TRANSFORMS} transforms of a reference")
        nodes, left = data if isinstance(data, NodeSet) else None, _Left.ALL
        for step in steps:
            data = self._applied(data, step, signature)
            if isinstance(data, NodeSet) and data.source is self.source:
                nodes = data
            elif isinstance(data, NodeSet):
                # Filtered again after it was read anew: what is left cannot be said in this document's elements.
                left = min(left, _left_of(data)) if nodes is None else left
                nodes = None if nodes is None else _emptied(nodes)
        return data, nodes, left

    def _applied(self, data: Data, step: etree._Element, signature: etree._Element) -> Data:
        if isinstance(data, bytes):
            self.spend(len(data))
        else:
            self.spend(_weight(data) + (len(data.source.data) if data.whole else 0))
        return xml_transforms.apply(data, step, signature)

    def _hashed(self, label: str, data: Data) -> bytes:
        octets = xml_transforms.octets(data)
        self.spend(len(octets))
        return algorithms.digest(label, octets)

    def spend(self, octets: int) -> None:
        """Count octets that are worked on. Raises XmlLimit."""
        self.spent += octets
        if self.spent > MAX_HASHED:
            raise XmlLimit(f"the signatures make more than {MAX_HASHED} octets to hash")


def _weight(nodes: NodeSet) -> int:
    return _ELEMENT * sum(end - start for start, end in nodes.intervals)


def _emptied(nodes: NodeSet) -> NodeSet:
    return NodeSet(nodes.source, nodes.apex, (), nodes.whole, nodes.comments)


def covered(references: list[Reference]) -> Intervals:
    """The document's elements that these references cover together."""
    return union(*(one.intervals for one in references))
