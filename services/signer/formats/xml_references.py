"""What the references of an XML signature refer to (XMLDSig 1.1 section 4.4.3), read from a document's bytes.

Of the transforms only those are taken that leave no question what is signed: canonicalisation, base64, and the ways to
take signatures out of what is signed. Any other (free XPath, XSLT) is refused, and nothing is ever fetched: a
reference that leads out of the document is answered by the files that came with it, by name, or not at all.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lxml import etree

from services.kernel.errors import FieldInvalid
from services.kernel.values import DigestAlgorithm
from services.signer.formats.format import CHUNK_BYTES
from services.signer.formats.xml_document import DS, damaged, element_by_id, parse, read, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.signer.formats.format import Document, Hash

MAX_SIGNATURES = 64
MAX_REFERENCES = 256
"""Of one signature."""

ENVELOPED = DS + "enveloped-signature"
BASE64 = DS + "base64"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
XPATH_FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
INCLUSIVE_11 = "http://www.w3.org/2006/12/xml-c14n11"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"

DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": DigestAlgorithm.SHA256,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": DigestAlgorithm.SHA384,
    "http://www.w3.org/2001/04/xmlenc#sha512": DigestAlgorithm.SHA512,
}
DIGEST_URIS = {algorithm: uri for uri, algorithm in DIGESTS.items()}

_POINTER = re.compile(r"""#xpointer\(id\((['"])([^'"]+)\1\)\)""")
_XML = "http://www.w3.org/XML/1998/namespace"
_COMMENTS = "WithComments"
_NOT_IN_SIGNATURE = re.compile(r"not\(ancestor-or-self::(?P<prefix>[^:()]+):Signature\)")
_ALL_SIGNATURES = re.compile(r"(?:/descendant::|//)(?P<prefix>[^:()/]+):Signature")
_OWN_SIGNATURE = re.compile(r"here\(\)/ancestor::(?P<prefix>[^:()/]+):Signature\[1\]")


def ds(name: str) -> str:
    """Name an element of XMLDSig as lxml does."""
    return f"{{{DS}}}{name}"


@dataclass(frozen=True, slots=True)
class Canonicalization:
    """A canonical form of XML: 1.0 or 1.1 inclusive, or exclusive 1.0, each with or without comments."""

    algorithm: str
    comments: bool = False
    prefixes: tuple[str, ...] = ()
    """Of the exclusive form: prefixes treated as the inclusive form does (its InclusiveNamespaces)."""

    @classmethod
    def of(cls, element: etree._Element) -> Canonicalization | None:
        """Read a ds:CanonicalizationMethod or ds:Transform; None where it names no canonical form."""
        name = (element.get("Algorithm") or "").strip()
        plain = name.removesuffix(_COMMENTS)
        if plain != name:
            plain = plain if plain.endswith("exc-c14n#") else plain.removesuffix("#")
        if plain not in {INCLUSIVE, INCLUSIVE_11, EXCLUSIVE}:
            return None
        listed = element.find(f"{{{EXCLUSIVE}}}InclusiveNamespaces")
        prefixes = tuple((listed.get("PrefixList") or "").split()) if listed is not None else ()
        return cls(plain, plain != name, prefixes)

    def write(self, node: etree._Element | etree._ElementTree) -> bytes:
        """Write a whole document (a tree) or an element with what is in it. Raises DocumentDamaged."""
        if not isinstance(node, etree._Element):  # noqa: SLF001 - lxml names its types so
            return self._write(node)
        if node.getparent() is None:
            # lxml would write comments and instructions beside the root too.
            return self._write(copy.deepcopy(node))
        if self.algorithm == EXCLUSIVE:
            return self._write(node)
        # Read anew: lxml writes the inclusive forms of a part wrongly where the part lives in an outer default namespace.
        alone = parse(etree.tostring(node, encoding="UTF-8", with_tail=False))
        for name, value in self._inherited(node).items():
            alone.set(name, value)
        return self._write(alone)

    def _write(self, node: etree._Element | etree._ElementTree) -> bytes:
        try:
            return etree.tostring(
                node,
                method="c14n",
                exclusive=self.algorithm == EXCLUSIVE,
                with_comments=self.comments,
                inclusive_ns_prefixes=list(self.prefixes) or None,
            )
        except etree.C14NError as error:
            raise damaged("it has no canonical form: a namespace name is no absolute URI", "c14n") from error

    def _inherited(self, element: etree._Element) -> dict[str, str]:
        """Canonical XML section 2.4: an element that stands alone takes its ancestors' attributes xml:*."""
        found: dict[str, str] = {}
        for ancestor in element.iterancestors():
            for name, value in ancestor.attrib.items():
                if str(name).startswith(f"{{{_XML}}}") and name not in element.attrib:
                    found.setdefault(str(name), str(value))
        if self.algorithm == INCLUSIVE_11:
            # Canonical XML 1.1 section 2.4: xml:id is not taken, xml:base would have to be joined.
            found.pop(f"{{{_XML}}}id", None)
            if f"{{{_XML}}}base" in found:
                raise damaged("Canonical XML 1.1 of an element under xml:base is not supported", "c14n")
        return found


EXCLUSIVE_FORM = Canonicalization(EXCLUSIVE)
STANDARD_FORM = Canonicalization(INCLUSIVE)
"""What node sets become where nothing else is said (XMLDSig 1.1 section 4.4.3.2)."""


class References:
    """Reads what the signatures of one document refer to."""

    def __init__(self, data: bytes, root: etree._Element, contents: Sequence[Document] = ()) -> None:
        """Take a document's bytes, the tree of exactly these bytes, and the files beside it."""
        self._data = data
        self.root = root
        self._contents = contents

    def octets(self, reference: etree._Element) -> bytes:
        """Return what the reference's digest is over; of a file beside the document its whole content."""
        return b"".join(self._pieces(reference, STANDARD_FORM))

    def feed(self, reference: etree._Element, running: Hash, form: Canonicalization | None = None) -> None:
        """Hash what the reference's digest is over, a piece at a time; `form` for nodes that no transform writes."""
        for piece in self._pieces(reference, form or STANDARD_FORM):
            running.update(piece)

    def intact(self, reference: etree._Element) -> bool:
        """Compute a reference's digest and compare it with what is written."""
        method = reference.find(ds("DigestMethod"))
        name = (method.get("Algorithm") or "").strip() if method is not None else ""
        try:
            written = base64.b64decode(reference.findtext(ds("DigestValue")) or "")
        except ValueError as error:
            raise damaged("a digest in it is not base64", "syntax") from error
        if name == DS + "sha1":
            # Only to see that earlier signatures stay what they are; nothing of ours is made so.
            running = hashlib.sha1(usedforsecurity=False)
            self.feed(reference, running)
            return running.digest() == written
        if (algorithm := DIGESTS.get(name)) is None:
            raise damaged("a signature in it uses an unknown digest", "digest")
        if is_outside(reference) and not _transforms(reference):
            return self._content(reference).hash(algorithm).digest() == written
        running = hashlib.new(algorithm.hashlib_name)
        self.feed(reference, running)
        return running.digest() == written

    def _pieces(self, reference: etree._Element, form: Canonicalization) -> Iterator[bytes]:
        transforms = _transforms(reference)
        within = _within(reference)
        if within is None:
            yield from self._outside(reference, transforms)
            return
        nodes = _Nodes(self._data, self.root, *within)
        for position, transform in enumerate(transforms):
            if nodes.leave_out(transform):
                continue
            if position != len(transforms) - 1:
                raise damaged("a signature in it transforms what was canonicalised", "transform")
            yield _decoded(nodes.text()) if _is_base64(transform) else nodes.write(_form(transform))
            return
        yield nodes.write(form)

    def _outside(self, reference: etree._Element, transforms: list[etree._Element]) -> Iterator[bytes]:
        content = self._content(reference)
        if not transforms:
            if content.known_digest is not None:
                raise FieldInvalid("this needs the content itself, not its digest", field="content_digest")
            content.stream.seek(0)
            while chunk := content.stream.read(CHUNK_BYTES):
                yield chunk
            return
        if len(transforms) > 1:
            raise damaged("a signature in it transforms a file beside it more than once", "transform")
        if _is_base64(transforms[0]):
            yield _decoded(taken(content))
            return
        yield _form(transforms[0]).write(read(taken(content)).root.getroottree())

    def _content(self, reference: etree._Element) -> Document:
        """Find the file beside the document that a reference names; one alone may have another name."""
        wanted = unicodedata.normalize("NFC", unquote(reference.get("URI") or ""))
        named = [content for content in self._contents if content.name == wanted]
        siblings = reference.getparent()
        outside = [one for one in siblings.iterchildren(ds("Reference")) if is_outside(one)]  # type: ignore[union-attr]
        if len(named) == 1:
            return named[0]
        if len(self._contents) == 1 and len(outside) == 1 and not named:
            return self._contents[0]
        raise FieldInvalid(
            f"the signed file {wanted[:200]!r} must come along, exactly once and under this name",
            field="files",
        )


class _Nodes:
    """A part of a document without some of the signatures in it."""

    def __init__(self, data: bytes, root: etree._Element, identifier: str, comments: bool) -> None:
        self._data = data
        self._root = root
        self._identifier = identifier
        self._comments = comments
        self._left_out: set[int] = set()

    def leave_out(self, transform: etree._Element) -> bool:
        """Take signatures out as a transform says; False where it is another kind of transform."""
        own = next(transform.iterancestors(ds("Signature")))
        signatures = list(self._root.iter(ds("Signature")))
        match _left_out_by(transform):
            case "":
                return False
            case "own":
                self._left_out.add(signatures.index(own))
            case _:
                self._left_out.update(range(len(signatures)))
        return True

    def write(self, form: Canonicalization) -> bytes:
        form = replace(form, comments=form.comments and self._comments)
        node = self._node()
        return form.write(node.getroottree() if not self._identifier else node)

    def text(self) -> bytes:
        return "".join(str(text) for text in self._node().itertext()).encode()

    def _node(self) -> etree._Element:
        if not self._left_out:
            return element_by_id(self._root, self._identifier) if self._identifier else self._root
        # A tree of its own: what is taken out of a tree may get other prefixes when it is put back.
        root = parse(self._data)
        node = element_by_id(root, self._identifier) if self._identifier else root
        for index, signature in enumerate(list(root.iter(ds("Signature")))):
            if index in self._left_out and (signature is node or signature in node.iterancestors()):
                raise damaged("a signature in it refers to nothing but itself", "transform")
            if index in self._left_out:
                remove(signature)
        return node


def signatures(root: etree._Element) -> list[etree._Element]:
    """List the signatures of a document, those within others too, in document order."""
    found = list(root.iter(ds("Signature")))
    if len(found) > MAX_SIGNATURES:
        raise damaged(f"it has more than {MAX_SIGNATURES} signatures", "size")
    return found


def references(signature: etree._Element) -> list[etree._Element]:
    """List the references of a signature's SignedInfo."""
    found = signature.findall(f"{ds('SignedInfo')}/{ds('Reference')}")
    if not 1 <= len(found) <= MAX_REFERENCES:
        raise damaged(f"a signature in it has not 1 to {MAX_REFERENCES} references", "size")
    return found


def remove(element: etree._Element) -> None:
    """Take an element out and leave the text behind it in, which lxml would take along."""
    parent = element.getparent()
    if parent is None:
        raise damaged("a signature in it refers to nothing but itself", "transform")
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def is_outside(reference: etree._Element) -> bool:
    """Say whether a reference leads out of the document."""
    return _within(reference) is None


def _within(reference: etree._Element) -> tuple[str, bool] | None:
    """Return the Id that a reference names ("": the whole document), and whether it takes comments; None: outside.

    XMLDSig 1.1 section 4.4.3.3: the two XPointers that must be known take comments, the short forms do not.
    """
    uri = reference.get("URI")
    if uri is None or not (uri == "" or uri.startswith("#")):
        return None
    if uri == "#xpointer(/)":
        return "", True
    pointer = _POINTER.fullmatch(uri)
    return (pointer[2], True) if pointer is not None else (uri[1:], False)


def _transforms(reference: etree._Element) -> list[etree._Element]:
    return reference.findall(f"{ds('Transforms')}/{ds('Transform')}")


def _is_base64(transform: etree._Element) -> bool:
    return (transform.get("Algorithm") or "").strip() == BASE64


def _form(transform: etree._Element) -> Canonicalization:
    form = Canonicalization.of(transform)
    if form is None:
        name = (transform.get("Algorithm") or "")[:100]
        raise damaged(f"a signature in it has a transform that is not taken: {name!r}", "transform")
    return form


def _left_out_by(transform: etree._Element) -> str:
    """Return which signatures a transform takes out: "own", "all", or "" where it does not do that."""
    name = (transform.get("Algorithm") or "").strip()
    if name == ENVELOPED:
        return "own"
    if name not in {XPATH, XPATH_FILTER}:
        return ""
    expressions = transform.findall(ds("XPath") if name == XPATH else f"{{{XPATH_FILTER}}}XPath")
    if len(expressions) == 1 and (name == XPATH or expressions[0].get("Filter") == "subtract"):
        text = "".join((expressions[0].text or "").split())
        wanted = (
            {"all": _NOT_IN_SIGNATURE} if name == XPATH else {"all": _ALL_SIGNATURES, "own": _OWN_SIGNATURE}
        )
        for kind, pattern in wanted.items():
            match = pattern.fullmatch(text)
            if match is not None and expressions[0].nsmap.get(match["prefix"]) == DS:
                return kind
    raise damaged("a signature in it has an XPath transform that is not taken", "transform")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError as error:
        raise damaged("what a signature in it refers to is not base64", "transform") from error
