"""Time-stamps and validation data in XAdES signatures (EN 319 132-1 clauses 5.2.8, 5.3, 5.4, 5.5 and annex A.1.5).

Each time-stamp comes with what it has to be over. Nothing that stands in the unsigned properties is trusted: a stamp
counts by its imprint over this very signature, a value by its issuer's signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from lxml import etree

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import TimeSource
from services.verifier.formats import cms, cms_stamps, cms_values, revocation_values
from services.verifier.formats.ber import BerError
from services.verifier.formats.xades_values import (
    CERTIFICATE,
    CRL,
    OCSP,
    TOKEN,
    V132,
    V141,
    Values,
    decoded,
    values_in,
)
from services.verifier.formats.xml_algorithms import UnknownMethod, octets_of
from services.verifier.formats.xml_canonical import Form
from services.verifier.formats.xml_input import DS, XmlError, children, local_name
from services.verifier.formats.xml_references import Reference, Resolver, State
from services.verifier.ports import FoundTimeStamp

MAX_TIME_STAMPS = cms_stamps.MAX_TIME_STAMPS
"""Of one signature; more are not read."""
_ARCHIVE, _OLD_ARCHIVE = f"{V141}ArchiveTimeStamp", f"{V132}ArchiveTimeStamp"
_SIGNATURE = f"{V132}SignatureTimeStamp"
_SIGNATURE_AND_REFERENCES = frozenset({f"{V132}SigAndRefsTimeStamp", f"{V141}SigAndRefsTimeStampV2"})
_REFERENCES_ONLY = frozenset({f"{V132}RefsOnlyTimeStamp", f"{V141}RefsOnlyTimeStampV2"})
_KINDS = {
    _SIGNATURE: TimeSource.SIGNATURE,
    _ARCHIVE: TimeSource.ARCHIVE,
    _OLD_ARCHIVE: TimeSource.ARCHIVE,
    **dict.fromkeys(_SIGNATURE_AND_REFERENCES, TimeSource.SIGNATURE),
    **dict.fromkeys(_REFERENCES_ONLY, TimeSource.REFERENCES),
}
_REFERENCE_PROPERTIES = frozenset(
    {
        f"{V132}CompleteCertificateRefs",
        f"{V141}CompleteCertificateRefsV2",
        f"{V132}CompleteRevocationRefs",
        f"{V132}AttributeCertificateRefs",
        f"{V141}AttributeCertificateRefsV2",
        f"{V132}AttributeRevocationRefs",
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Time-stamps and values of one signature (DER). `unjudged`: there are time-stamps of a form that is not read."""

    time_stamps: tuple[FoundTimeStamp, ...] = ()
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    unjudged: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature as its references were worked out; those of SignedInfo come first, in its order."""

    resolver: Resolver
    element: etree._Element
    references: tuple[Reference, ...]
    qualifying: etree._Element
    is_signed: bool
    begun: dict[tuple[str, Form], hashes.Hash] = field(default_factory=dict)
    """What every archive time-stamp is over first, hashed once for each algorithm and form."""


def read(signature: Signature) -> Evidence:
    """Everything in the properties that speaks of time or status. Raises nothing on account of them."""
    stamps: list[FoundTimeStamp] = []
    unjudged = False
    for element in _signed_stamps(signature):
        found, whole = _content_stamps(signature, element)
        stamps, unjudged = [*stamps, *found], unjudged or not whole
    properties, clear = _unsigned(signature)
    values = values_in(properties)
    for position, element in enumerate(properties):
        if element.tag not in _KINDS:
            unjudged |= _is_older_stamp(element)
            continue
        found, whole = _unsigned_stamps(signature, properties[: position + 1], values)
        stamps, unjudged = [*stamps, *found], unjudged or not whole
    stamps = stamps[:MAX_TIME_STAMPS]
    found_values = cms_values.Values(values.certificates, values.crls, values.ocsps)
    for stamp in stamps:
        found_values += _carried(stamp.token)
    return Evidence(
        tuple(stamps),
        found_values.certificates,
        found_values.crls,
        found_values.ocsps,
        unjudged or not clear or len(stamps) > MAX_TIME_STAMPS,
    )


def _unsigned(signature: Signature) -> tuple[list[etree._Element], bool]:
    """The unsigned signature properties in their order; false where it is not clear which they are, or whose.

    Properties that say by Target to be another signature's are that one's, wherever they stand (clause 4.3.2).
    """
    target = signature.qualifying.get("Target", "")
    named = signature.resolver.source.ids.get(target[1:], []) if target[:1] == "#" else []
    if named and signature.element not in named:
        return [], False
    outer = _named(signature.qualifying, "UnsignedProperties")
    inner = [one for each in outer for one in _named(each, "UnsignedSignatureProperties")]
    if len(outer) > 1 or len(inner) > 1:
        return [], False
    return (children(inner[0]) if inner else []), True


def _named(parent: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in children(parent) if local_name(child) == name]


def _is_older_stamp(element: etree._Element) -> bool:
    """Time-stamps of XAdES before 1.3.2, which state what they are over in a way of their own."""
    return local_name(element).endswith(("TimeStamp", "TimeStampV2"))


# --- time-stamps --------------------------------------------------------------------------------------------------


def _signed_stamps(signature: Signature) -> Iterator[etree._Element]:
    """The content time-stamps, where the signature covers them."""
    if not signature.is_signed:
        return
    for signed in _named(signature.qualifying, "SignedProperties"):
        for place in _named(signed, "SignedDataObjectProperties"):
            yield from (one for one in children(place) if local_name(one).endswith("DataObjectsTimeStamp"))


def _content_stamps(signature: Signature, element: etree._Element) -> tuple[list[FoundTimeStamp], bool]:
    """AllDataObjectsTimeStamp and IndividualDataObjectsTimeStamp, clause 5.2.8."""
    listed = _listed(signature)
    if element.tag == f"{V132}AllDataObjectsTimeStamp":
        chosen = [(one, got) for one, got in listed if not got.type.endswith("#SignedProperties")]
    elif element.tag == f"{V132}IndividualDataObjectsTimeStamp":
        by_id: dict[str, list[tuple[etree._Element, Reference]]] = {}
        for pair in listed:
            by_id.setdefault(pair[0].get("Id", ""), []).append(pair)
        named = [_included(by_id, include) for include in element.findall(f"{V132}Include")]
        chosen = [pair for pair in named if pair is not None]
        if not chosen or len(chosen) != len(named):
            fault = "the content time-stamp names what is no reference of the signature"
            return _tokens(element, TimeSource.CONTENT, None, frozenset(), fault)
    else:
        return [], False
    form = _form(element)
    if form is None:
        return _tokens(element, TimeSource.CONTENT, None, frozenset(), _NO_FORM)
    imprint = None
    if _at_hand(got for _, got in chosen):
        imprint = _imprint(lambda: _referenced(signature, (one for one, _ in chosen), form))
    return _tokens(element, TimeSource.CONTENT, imprint, frozenset())


def _included(
    by_id: Mapping[str, list[tuple[etree._Element, Reference]]], include: etree._Element
) -> tuple[etree._Element, Reference] | None:
    """The reference that an Include names; it has to say that it means the data and not the element (5.1.4.4)."""
    uri = include.get("URI", "")
    named = by_id.get(uri[1:], []) if uri[:1] == "#" and len(uri) > 1 else []
    whole = include.get("referencedData") in ("true", "1")
    return named[0] if len(named) == 1 and whole and len(include) == 0 else None


def _unsigned_stamps(
    signature: Signature, line: list[etree._Element], values: Values
) -> tuple[list[FoundTimeStamp], bool]:
    """The last of these properties, which is a time-stamp, with those before it."""
    element, before = line[-1], line[:-1]
    kind = _KINDS[str(element.tag)]
    if not _says_what_it_is_over(signature, element):
        return [], False
    form = _form(element)
    if form is None:
        return _tokens(element, kind, None, frozenset(), _NO_FORM)
    if kind is TimeSource.ARCHIVE:
        covers = frozenset(_held(signature, before, values))
        imprint = None
        if _at_hand(got for _, got in _listed(signature)):
            imprint = _imprint(
                lambda: _archived(signature, element, before, form),
                lambda label: _begun(signature, label, form),
            )
        return _tokens(element, kind, imprint, covers)
    chosen = _counted(element, before)
    covers = frozenset(_held(None, chosen, values))
    with_value = kind is TimeSource.SIGNATURE
    return _tokens(element, kind, _imprint(lambda: _stamped(signature, chosen, form, with_value)), covers)


def _says_what_it_is_over(signature: Signature, stamp: etree._Element) -> bool:
    """True where nothing is included by name, or the value that a stamp over the value is over in any case.

    Else it is the distributed form, for signatures whose properties lie in several places: that is not read.
    """
    included = stamp.findall(f"{V132}Include")
    value = signature.element.find(f"{DS}SignatureValue")
    if not included or value is None or stamp.tag != _SIGNATURE:
        return not included
    return [one.get("URI", "") for one in included] == [f"#{value.get('Id', '')}"]


def _counted(stamp: etree._Element, before: Iterable[etree._Element]) -> list[etree._Element]:
    """The earlier properties that a stamp over the signature or its references is over too (A.1.5)."""
    if stamp.tag == _SIGNATURE:
        return []
    wanted = _REFERENCE_PROPERTIES
    if stamp.tag in _SIGNATURE_AND_REFERENCES:
        wanted |= {_SIGNATURE}
    return [one for one in before if one.tag in wanted]


_NO_FORM = "the time-stamp names a canonical form that is not known"


def _form(stamp: etree._Element) -> Form | None:
    """How the time-stamp writes XML; C14N 1.0 where it does not say (clause 5.1.4.3)."""
    named = stamp.findall(f"{DS}CanonicalizationMethod")
    try:
        return Form() if not named else Form.of(named[0]) if len(named) == 1 else None
    except XmlError:
        return None


def _tokens(
    element: etree._Element,
    kind: TimeSource,
    imprint: Callable[[str], bytes] | None,
    covers: frozenset[bytes],
    fault: str = "",
) -> tuple[list[FoundTimeStamp], bool]:
    """Every token of one property is over the same octets; false where some are of a kind that is not read."""
    found = []
    for one in element.findall(TOKEN)[: MAX_TIME_STAMPS + 1]:
        try:
            found.append(
                FoundTimeStamp(kind, octets_of(one, "EncapsulatedTimeStamp"), imprint, covers, fault)
            )
        except XmlError as error:
            found.append(FoundTimeStamp(kind, b"", fault=str(error)))
    return found, bool(found) and element.find(f"{V132}XMLTimeStamp") is None


def _listed(signature: Signature) -> list[tuple[etree._Element, Reference]]:
    """The references in SignedInfo, each with what came of it."""
    info = signature.element.find(f"{DS}SignedInfo")
    elements = info.findall(f"{DS}Reference") if info is not None else []
    return list(zip(elements, signature.references, strict=False))


def _at_hand(references: Iterable[Reference]) -> bool:
    return all(one.state in (State.HOLDS, State.BROKEN) for one in references)


# --- what they are over -------------------------------------------------------------------------------------------


def _imprint(
    parts: Callable[[], Iterable[bytes]], begun: Callable[[str], hashes.Hash] | None = None
) -> Callable[[str], bytes]:
    def compute(label: str) -> bytes:
        try:
            if begun is None:
                return algorithms.digest_all(label, parts())
            running = begun(label)
            for part in parts():
                running.update(part)
            return running.finalize()
        except (XmlError, UnknownMethod, ValueError) as error:
            if isinstance(error, AlgorithmError):
                raise
            raise AlgorithmError(f"what the time-stamp is over cannot be written: {error}") from error

    return compute


def _stamped(
    signature: Signature, properties: Iterable[etree._Element], form: Form, with_value: bool
) -> Iterator[bytes]:
    """The signature value (clause 5.3), and with references the properties that count (A.1.5.1, A.1.5.2)."""
    value = signature.element.find(f"{DS}SignatureValue")
    if with_value and value is not None:
        yield signature.resolver.written(value, form)
    for one in properties:
        yield signature.resolver.written(one, form)


def _begun(signature: Signature, label: str, form: Form) -> hashes.Hash:
    """Clause 5.5.2.2, first half: data, SignedInfo, value and keys; the same for all archive time-stamps."""
    if (label, form) not in signature.begun:
        running = hashes.Hash(algorithms.hash_algorithm(label))
        for part in _referenced(signature, (one for one, _ in _listed(signature)), form):
            running.update(part)
        for name in ("SignedInfo", "SignatureValue", "KeyInfo"):
            found = signature.element.find(f"{DS}{name}")
            if found is not None:
                running.update(signature.resolver.written(found, form))
        signature.begun[label, form] = running
    return signature.begun[label, form].copy()


def _archived(
    signature: Signature, stamp: etree._Element, before: Iterable[etree._Element], form: Form
) -> Iterator[bytes]:
    """Clause 5.5.2.2, second half: the properties before the time-stamp, and the Objects of the signature."""
    element, written = signature.element, signature.resolver.written
    for one in before:
        yield written(one, form)
    # Before 1.4.1, Objects that a reference covers already were left out (TS 101 903 v1.3.2, 7.7.1).
    left_out = {
        one.uri[1:] for one in signature.references if stamp.tag == _OLD_ARCHIVE and one.uri[:1] == "#"
    }
    for one in element.findall(f"{DS}Object"):
        if one is not signature.qualifying.getparent() and one.get("Id") not in left_out:
            yield written(one, form)


def _referenced(signature: Signature, references: Iterable[etree._Element], form: Form) -> Iterator[bytes]:
    for one in references:
        yield signature.resolver.octets(signature.element, one, form)


def _held(
    signature: Signature | None, properties: Iterable[etree._Element], values: Values
) -> Iterator[bytes]:
    """SHA-256 of all values that stand in these properties or are named there by digest; with a signature its keys."""
    places = list(properties)
    ders = [*decoded(places, CERTIFICATE), *decoded(places, CRL)]
    ders += map(revocation_values.as_response, decoded(places, OCSP))
    if signature is not None:
        info = signature.element.findall(f"{DS}KeyInfo")
        ders += decoded(info, f"{DS}X509Certificate")
    for token in decoded(places, TOKEN):
        ders.append(token)
        yield from _carried(token).fingerprints()
    yield from (hashlib.sha256(der).digest() for der in ders)
    for place in places:
        if place.tag in _REFERENCE_PROPERTIES:
            yield from values.referred(place)


def _carried(token: bytes) -> cms_values.Values:
    """What a token has for its own validation; nothing where it cannot be read."""
    try:
        return cms_values.of_message(cms.parse(token)[0])
    except BerError:
        return cms_values.Values()
