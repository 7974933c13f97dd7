"""What an enveloping XML signature carries and is over: the documents in its Objects (XMLDSig 4.5), taken out of it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence

from lxml import etree

from services.verifier.formats import xml_transforms
from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import DS, XmlError, children, text_of
from services.verifier.formats.xml_references import MANIFEST, Reference, Resolver, State
from services.verifier.ports import Content

MAX_CONTENTS = 500
"""Of one document."""
_FORM = Form("exclusive")


def of(
    resolver: Resolver, signatures: Iterable[tuple[str, etree._Element, Sequence[Reference]]]
) -> list[Content]:
    """The documents, each with the names of the signatures over it. Raises nothing on account of them."""
    found: dict[bytes, tuple[str, ...]] = {}
    for name, signature, references in signatures:
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
        if not any(start <= first and last <= end for start, end in reference.intervals):
            # A filter has left something of it unsigned.
            continue
        if _is_machinery(holder) or next(holder.iter(f"{DS}Signature"), None) is not None:
            # Signatures in the tree are judged where they stand.
            continue
        if any(one.get("Algorithm") == xml_transforms.BASE64 for one in element.iter(f"{DS}Transform")):
            yield resolver.octets(signature, element, _FORM)
        elif (data := _document(resolver, apex)) is not None:
            yield data


def _is_machinery(holder: etree._Element) -> bool:
    """Objects with properties and manifests, which are the signature's own."""
    own = ("QualifyingProperties", "SignatureProperties", "Manifest")
    return any(str(one.tag).rpartition("}")[2] in own for one in children(holder))


def _document(resolver: Resolver, apex: etree._Element) -> bytes | None:
    """The one element of an Object, or its text; None where it holds several things."""
    inside = children(apex) if apex.tag == f"{DS}Object" else [apex]
    if not inside:
        text = text_of(apex)
        if apex.get("Encoding") != xml_transforms.BASE64:
            return text.encode()
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            return None
    texts = [apex.text, *(one.tail for one in apex)] if apex.tag == f"{DS}Object" else []
    if len(inside) > 1 or any(text and text.strip() for text in texts):
        return None
    return canonical(NodeSet.of(resolver.source, inside[0]), _FORM)
