"""What XML signatures cover, and whether a reader would take something unsigned for it (signature wrapping).

Everything is counted in intervals of element numbers. A document is whole when nothing but signatures, and the
elements around them, is left over by all of its signatures together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from services.verifier.domain import Code, Coverage, CoverageReport, Notice
from services.verifier.formats.xml_input import (
    DS,
    Intervals,
    Source,
    children,
    local_name,
    meets,
    union,
    without,
)
from services.verifier.formats.xml_references import Reference, comment_splits_text

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Leftover:
    """What no signature of a document covers. `elements` are outside of signatures, `objects` are data in them."""

    elements: tuple[etree._Element, ...]
    objects: tuple[etree._Element, ...]
    split_text: bool
    machinery: Intervals
    """The signatures themselves."""
    telling: tuple[int, ...]
    """Numbers of the elements outside of signatures that say something where nothing in them is signed."""
    rivals: Mapping[str, Sequence[etree._Element]]
    """The elements and all that they stand in, by local name."""


def leftover(source: Source, signatures: Sequence[etree._Element], signed: Intervals) -> Leftover:
    """Look at what `signed`, that of all signatures together, leaves."""
    machinery = union(source.numbers[one] for one in signatures)
    telling = tuple(_telling(source, machinery))
    protected = union(signed, machinery)
    elements = tuple(_unprotected(source, telling, protected))
    objects = tuple(
        one
        for signature in signatures
        for one in signature.findall(f"{DS}Object")
        if not _is_properties(one) and not meets(source.numbers[one], signed)
    )
    return Leftover(
        elements, objects, comment_splits_text(source.root), machinery, telling, _by_name(elements)
    )


def report(
    source: Source, references: Sequence[Reference], signature: etree._Element, left: Leftover, size: int
) -> tuple[CoverageReport, tuple[Notice, ...]]:
    """Coverage of one signature of which every reference holds, and what has to be warned about."""
    data = data_references(source, references, signature)
    notices = [*_partly(source, left), *_wrapped(source, signature, data, left)]
    cut = [one for one in data if one.cut]
    notices += [Notice(Code.PARTLY_SIGNED, f"not signed: parts of {described(source, cut)}")] if cut else []
    outside = bool(data) and all(one.outside for one in data)
    whole = (outside and not any(one.cut or one.split for one in data)) or not notices
    protected = union(*(one.intervals for one in data), left.machinery)
    alone = next(_unprotected(source, left.telling, protected), None) is None
    kind = Coverage.WHOLE if whole and (outside or alone) else Coverage.PARTIAL
    return CoverageReport(kind, size if kind is Coverage.WHOLE else 0, size), tuple(notices)


def data_references(
    source: Source, references: Sequence[Reference], signature: etree._Element
) -> list[Reference]:
    """References to what is signed, not to the signature's own properties, keys or SignedInfo."""
    inside = source.numbers[signature]
    found = []
    for one in references:
        if one.left is None:
            found += [one] if one.outside else []
            continue
        number = source.numbers[one.left][0]
        own = inside[0] <= number < inside[1] and one.left is not signature
        if not own or (_is_data(one.left) and one.intervals):
            found.append(one)
    return [one for one in found if one.outside or one.intervals]


def described(source: Source, data: Sequence[Reference]) -> str:
    """What the references cover, for people: paths of elements and names of content outside."""
    named = [f'"{one.uri[:80]}"' if one.apex is None else source.path(one.apex) for one in data]
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return ", ".join(named[:MAX_NAMED]) + more


def _is_data(element: etree._Element) -> bool:
    """An Object of the signature, or what stands in one, that is not the signed properties."""
    line = [element, *element.iterancestors()]
    names = [str(one.tag) for one in line]
    inner = names[: names.index(f"{DS}Signature")] if f"{DS}Signature" in names else names
    if not inner or inner[-1] != f"{DS}Object":
        return False
    properties = {"QualifyingProperties", "SignedProperties", "UnsignedProperties"}
    return not any(local_name(one) in properties for one in line[: len(inner)]) and not _is_properties(
        line[len(inner) - 1]
    )


def _is_properties(element: etree._Element) -> bool:
    """An Object with nothing but properties or keys, as signatures have them."""
    inside = children(element)
    names = {local_name(one) for one in inside}
    return bool(inside) and names <= {"QualifyingProperties", "QualifyingPropertiesReference", "KeyInfo"}


def _telling(source: Source, machinery: Intervals) -> Iterator[int]:
    """Numbers of elements with text of their own, or with attributes and no signature in them."""
    for start, end in without(((0, len(source.elements)),), machinery):
        for number in range(start, end):
            element = source.elements[number]
            if _has_text(element) or (element.attrib and not meets(source.numbers[element], machinery)):
                yield number


def _has_text(element: etree._Element) -> bool:
    return any(text and text.strip() for text in (element.text, *(child.tail for child in element)))


def _unprotected(source: Source, telling: Sequence[int], protected: Intervals) -> Iterator[etree._Element]:
    """Those of these elements that are not covered; of those without text, where nothing in them is."""
    for start, end in without(((0, len(source.elements)),), protected):
        for number in telling[bisect_left(telling, start) : bisect_left(telling, end)]:
            element = source.elements[number]
            if _has_text(element) or not meets(source.numbers[element], protected):
                yield element


def _partly(source: Source, left: Leftover) -> list[Notice]:
    count = len(left.elements) + len(left.objects)
    if not count:
        return []
    named = [source.path(one) for one in (*left.elements[:MAX_NAMED], *left.objects[:MAX_NAMED])]
    more = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
    return [Notice(Code.PARTLY_SIGNED, f"not signed: {', '.join(named[:MAX_NAMED])}{more}")]


def _wrapped(
    source: Source, signature: etree._Element, data: Sequence[Reference], left: Leftover
) -> list[Notice]:
    """The forms that signature wrapping takes: what references by id, and filters by name, find wherever it stands."""
    found: list[str] = []
    for one in data:
        if one.apex is not None and (astray := _astray(source, one.intervals, one.apex)) is not None:
            path = source.path(astray)
            found.append(
                f"what is signed, {path}, stands deep in the document, and nothing around it is signed"
            )
        if one.apex is None or one.apex is source.root or one.apex is signature:
            continue
        path, above = source.path(one.apex), set(one.apex.iterancestors())
        own = signature in above
        rivals = left.rivals.get(local_name(one.apex), ())
        double = next((rival for rival in rivals if rival not in above), None)
        if double is not None:
            found.append(f"{source.path(double)} is not signed, {path} of the same name is")
        if own and (left.elements or left.objects):
            found.append(f"what is signed, {path}, stands in the signature, and beside it what is not signed")
        elif not own and len(above) > 1 and one.apex.tag != f"{DS}SignatureValue":
            found.append(
                f"what is signed, {path}, stands deep in the document, at a place that is not signed"
            )
    if left.split_text or any(one.split for one in data):
        found.append("comments, which no signature covers, stand in the middle of text")
    return [Notice(Code.WRAPPING, detail) for detail in dict.fromkeys(found)][:MAX_NAMED]


def _astray(source: Source, intervals: Intervals, apex: etree._Element) -> etree._Element | None:
    """A part that filters have taken out of a reference, deep in the document, and not in a signature.

    Whoever moves it about, in the same order, changes nothing of what is hashed.
    """
    if source.within(apex, intervals):
        return None
    place = 0
    for start, end in intervals:
        place = max(place, start)
        while place < end:
            part = source.elements[place]
            above = list(part.iterancestors())
            if len(above) > 1 and not any(one.tag == f"{DS}Signature" for one in (part, *above)):
                return part
            place = source.numbers[part][1]
    return None


def _by_name(elements: Sequence[etree._Element]) -> dict[str, list[etree._Element]]:
    """These elements and all that they stand in, by local name."""
    seen: set[etree._Element] = set()
    found: dict[str, list[etree._Element]] = {}
    for element in elements:
        for up in (element, *element.iterancestors()):
            if up in seen:
                break
            seen.add(up)
            found.setdefault(local_name(up), []).append(up)
    return found
