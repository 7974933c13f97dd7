"""What an enveloping XML signature carries and is over: the documents in its Objects (XMLDSig 4.5), taken out of it.

A signed XML document that is signed once more, as a whole, lies in the new signature as elements. Its own signatures
mean the document that it was: there they are judged, as those of any document inside another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from lxml import etree

from services.verifier.formats import xml_transforms
from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import DS, Source, XmlError, children, parse, text_of
from services.verifier.formats.xml_references import MANIFEST, Reference, Resolver, State
from services.verifier.ports import Content

MAX_CONTENTS = 500
"""Of one document."""
_FORM = Form("exclusive")


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A signed document in an Object: the signature around it, its element, its octets as they stand in the file."""

    signature: etree._Element
    element: etree._Element
    data: bytes


def signed_documents(
    resolver: Resolver, signatures: Iterable[tuple[etree._Element, Sequence[Reference]]]
) -> list[SignedDocument]:
    """Documents with signatures of their own that lie, each alone, in an Object of which nothing is left unsigned.

    `signatures` are those that have no fault. Raises XmlLimit.
    """
    found: list[SignedDocument] = []
    for signature, references in signatures:
        for _, reference, holder in _held(resolver, signature, references):
            inside = _alone(holder)
            if inside is None or reference.apex not in (holder, inside) or not _is_signed(inside):
                continue
            data = _as_written(resolver, inside)
            if data is not None and len(found) < MAX_CONTENTS:
                found.append(SignedDocument(signature, inside, data))
    return found


def of(
    resolver: Resolver,
    signatures: Iterable[tuple[str, etree._Element, Sequence[Reference]]],
    documents: Sequence[SignedDocument],
) -> list[Content]:
    """The documents, each with the names of the signatures over it. Raises nothing on account of them."""
    found: dict[bytes, tuple[str, ...]] = {}
    for name, signature, references in signatures:
        for document in documents:
            if document.signature is signature:
                found[document.data] = (*found.get(document.data, ()), name)
        try:
            for data in _carried(resolver, signature, references):
                found[data] = (*found.get(data, ()), name)
                if len(found) >= MAX_CONTENTS:
                    break
        except (XmlError, UnknownMethod, ValueError):
            # What cannot be taken out is not handed over; what is said of the signature stands.
            continue
    return [Content("", data, tuple(dict.fromkeys(names))) for data, names in found.items()]


def _carried(
    resolver: Resolver, signature: etree._Element, references: Sequence[Reference]
) -> Iterator[bytes]:
    for element, _, holder in _held(resolver, signature, references):
        if _is_signed(holder):
            # Signatures in the tree are judged where they stand, or come with the whole of their document.
            continue
        if any(one.get("Algorithm") == xml_transforms.BASE64 for one in element.iter(f"{DS}Transform")):
            yield resolver.octets(signature, element, _FORM)
        elif (data := _document(resolver, holder)) is not None:
            yield data


def _held(
    resolver: Resolver, signature: etree._Element, references: Sequence[Reference]
) -> Iterator[tuple[etree._Element, Reference, etree._Element]]:
    """References that hold and cover all of an Object of the signature, or of the one element in it, with the Object."""
    info = signature.find(f"{DS}SignedInfo")
    elements = info.findall(f"{DS}Reference") if info is not None else []
    for element, reference in zip(elements, references, strict=False):
        apex = reference.apex
        if apex is None or reference.state is not State.HOLDS or reference.type == MANIFEST:
            continue
        holder = apex if apex.tag == f"{DS}Object" else apex.getparent()
        if holder is None or holder.tag != f"{DS}Object" or holder.getparent() is not signature:
            continue
        first, last = resolver.source.numbers[apex]
        # A filter may have left something of it unsigned.
        whole = any(start <= first and last <= end for start, end in reference.intervals)
        if whole and not _is_machinery(holder) and apex in (holder, _alone(holder)):
            yield element, reference, holder


def _is_machinery(holder: etree._Element) -> bool:
    """Objects with properties and manifests, which are the signature's own."""
    own = ("QualifyingProperties", "SignatureProperties", "Manifest")
    return any(str(one.tag).rpartition("}")[2] in own for one in children(holder))


def _is_signed(element: etree._Element) -> bool:
    return next(element.iter(f"{DS}Signature"), None) is not None


def _alone(holder: etree._Element) -> etree._Element | None:
    """The one element of an Object that holds nothing else."""
    inside = children(holder)
    texts = [holder.text, *(one.tail for one in holder)]
    return inside[0] if len(inside) == 1 and not any(text and text.strip() for text in texts) else None


def _document(resolver: Resolver, holder: etree._Element) -> bytes | None:
    """The one element of an Object, or its text; None where it holds several things."""
    if children(holder):
        inside = _alone(holder)
        return None if inside is None else canonical(NodeSet.of(resolver.source, inside), _FORM)
    text = text_of(holder)
    if holder.get("Encoding") != xml_transforms.BASE64:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _as_written(resolver: Resolver, element: etree._Element) -> bytes | None:
    """The element's octets in the file; None where they alone do not say the same, by prefixes from further out."""
    source = resolver.source
    if (source.tree.docinfo.encoding or "UTF-8").upper() not in ("UTF-8", "US-ASCII"):
        return None
    resolver.spend(len(source.data))
    try:
        data = _cut_out(source, element)
        alone = parse(data).getroot()
    except (expat.ExpatError, ValueError):
        # One parser may refuse what the other took; then the signatures inside are judged where they stand.
        return None
    same = [one.tag for one in alone.iter("*")] == [one.tag for one in element.iter("*")]
    return data if same else None


def _cut_out(source: Source, element: etree._Element) -> bytes:
    wanted, number, depth = source.numbers[element][0], -1, 0
    start = inner = stop = -1
    scanner = expat.ParserCreate()

    def opened(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal number, depth, start, inner
        number += 1
        depth += 1
        if number == wanted:
            start, inner = scanner.CurrentByteIndex, depth

    def closed(_name: str) -> None:
        nonlocal depth, stop
        if depth == inner and start >= 0 and stop < 0:
            # The end tag starts here, and nothing but its name and white space stands in it.
            stop = source.data.index(b">", scanner.CurrentByteIndex) + 1
        depth -= 1

    scanner.StartElementHandler, scanner.EndElementHandler = opened, closed
    scanner.Parse(source.data, True)
    return source.data[start:stop]
