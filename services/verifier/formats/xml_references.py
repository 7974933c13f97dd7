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
from services.verifier.formats.xml_input import DS, Intervals, Source, XmlError, XmlLimit, parse, union
from services.verifier.formats.xml_paths import UnsupportedTransform
from services.verifier.formats.xml_transforms import Data

MAX_REFERENCES = 5000
"""Of one signature or manifest: as many as a container has members."""
MAX_HASHED = 512 << 20
_ELEMENT = 192
"""Octets that an element counts for beside its own: writing many small ones takes longer than one large one."""
_STEP = 4096
"""Octets that a reference and each of its transforms count for beside what they are over: each takes its time."""
OBJECT = "http://www.w3.org/2000/09/xmldsig#Object"
MANIFEST = "http://www.w3.org/2000/09/xmldsig#Manifest"
_WHOLE = ("", "#xpointer(/)")
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

    `apex` is the element that the URI names, `left` the one that its transforms leave of that (the same where they leave
    several parts). `cut`: its transforms leave something of content outside the document unsigned. `split`: comments that
    they leave out of such content stand in the middle of its text. `single`: a filter has asked each node of the
    document by itself.
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
    left: etree._Element | None = None
    split: bool = False
    single: bool = False


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
        """Those in a SignedInfo or Manifest. Raises XmlError where there are none, XmlLimit where there are too many."""
        found = [child for child in parent if child.tag == f"{DS}Reference"]
        if not found:
            raise XmlError("there is no reference where one is expected")
        if len(found) > MAX_REFERENCES:
            raise XmlLimit(f"{len(found)} references, at most {MAX_REFERENCES} are looked at")
        # Refused before the work and not in the midst of it, where they are over the same large part again and again.
        self._require_left(sum(map(self._elements, found)) * _ELEMENT)
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
            data, nodes, left, split = self._transformed(data, reference, signature)
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
            left=_one_left(own) if own is not None else None,
            split=split,
            single=own is not None and own.single is not None,
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
        self.spend(_STEP)
        source = self.source
        if uri in _WHOLE:
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
    ) -> tuple[Data, NodeSet | None, _Left, bool]:
        """The data after all transforms, the last node set on the way that is of this document, and what is left.

        The last is told of content outside this document, and so is whether comments split text that is signed.
        """
        groups = reference.findall(f"{DS}Transforms")
        steps = [child for group in groups for child in group if child.tag == f"{DS}Transform"]
        if len(groups) > 1 or len(steps) > xml_transforms.MAX_TRANSFORMS:
            raise XmlError(f"more than {xml_transforms.MAX_TRANSFORMS} transforms of a reference")
        nodes, left, split = data if isinstance(data, NodeSet) else None, _Left.ALL, False
        for step in steps:
            before, data = data, self._applied(data, step, signature)
            if isinstance(before, bytes) and xml_transforms.drops_comments(step):
                split = split or self._split(before)
            if isinstance(data, NodeSet) and data.source is self.source:
                nodes = data
            elif isinstance(data, NodeSet):
                # Filtered again after it was read anew: what is left cannot be said in this document's elements.
                left = min(left, _left_of(data)) if nodes is None else left
                nodes = None if nodes is None else _emptied(nodes)
        return data, nodes, left, split

    def _split(self, data: bytes) -> bool:
        """True for XML of its own with comments in the middle of text. Raises XmlError."""
        octets = data.replace(b"\0", b"") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else data
        if b"<!--" not in octets:
            return False
        self.spend(len(data))
        return comment_splits_text(parse(data).getroot())

    def _applied(self, data: Data, step: etree._Element, signature: etree._Element) -> Data:
        if isinstance(data, bytes):
            self.spend(_STEP + len(data))
        else:
            self.spend(_STEP + _weight(data) + (len(data.source.data) if data.whole else 0))
        return xml_transforms.apply(data, step, signature, self.spend)

    def _hashed(self, label: str, data: Data) -> bytes:
        octets = xml_transforms.octets(data)
        self.spend(len(octets))
        return algorithms.digest(label, octets)

    def _elements(self, reference: etree._Element) -> int:
        """How many elements of the document its URI names; 0 where that is not simply said."""
        uri = reference.get("URI")
        if uri in _WHOLE:
            return len(self.source.elements)
        named = self.source.ids.get(uri[1:], []) if uri is not None and uri.startswith("#") else []
        return sum(end - start for start, end in (self.source.numbers[one] for one in named[:1]))

    def spend(self, octets: int) -> None:
        """Count octets that are worked on. Raises XmlLimit."""
        self._require_left(octets)
        self.spent += octets

    def _require_left(self, octets: int) -> None:
        if self.spent + octets > MAX_HASHED:
            raise XmlLimit(f"the signatures make more than {MAX_HASHED} octets to hash")


def _weight(nodes: NodeSet) -> int:
    return _ELEMENT * sum(end - start for start, end in nodes.intervals)


def _one_left(nodes: NodeSet) -> etree._Element:
    """The element of which these nodes are all and nothing else; the apex where there is none."""
    if len(nodes.intervals) == 1 and nodes.single is None:
        element = nodes.source.elements[nodes.intervals[0][0]]
        if nodes.source.numbers[element] == nodes.intervals[0]:
            return element
    return nodes.apex


def _emptied(nodes: NodeSet) -> NodeSet:
    return NodeSet(nodes.source, nodes.apex, (), nodes.whole, nodes.comments)


def comment_splits_text(root: etree._Element) -> bool:
    """True where a comment stands in the middle of text: some readers take what is before it for all."""
    for comment in root.iter(etree.Comment):
        before, parent = comment.getprevious(), comment.getparent()
        text = before.tail if before is not None else parent.text if parent is not None else None
        if text and text.strip() and comment.tail and comment.tail.strip():
            return True
    return False


def covered(references: list[Reference]) -> Intervals:
    """The document's elements that these references cover together."""
    return union(*(one.intervals for one in references))
