"""XML signatures (XMLDSig 1.1) and XAdES: every Signature element of a document, read and its references checked.

What is signed is decided here, by the reader: each reference is resolved, transformed and hashed, and its digest is
compared. The procedure gets the canonical SignedInfo, the value, and a fault where any of that went wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from lxml import etree

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SubIndication,
)
from services.verifier.formats import beside, xades, xades_stamps, xml_contents, xml_coverage, xml_keys
from services.verifier.formats.by_digest import KnownDigests
from services.verifier.formats.cms import AlgorithmIdentifier, SignerInfo
from services.verifier.formats.xades import Properties
from services.verifier.formats.xades_stamps import Evidence
from services.verifier.formats.xml_algorithms import (
    DIGEST_OIDS,
    KeyedHash,
    Method,
    UnknownMethod,
    octets_of,
    scheme_of,
)
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import (
    DS,
    Source,
    XmlError,
    XmlLimit,
    children,
    local_name,
    looks_like,
    parse,
    union,
)
from services.verifier.formats.xml_keys import Keys
from services.verifier.formats.xml_references import MANIFEST, OBJECT, Reference, Resolve, Resolver, State
from services.verifier.ports import Fault, Findings, FoundSignature, Proof, SubmittedDocument
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate, CertificateError

MAX_SIGNATURES = 500
_ORDER = ("SignedInfo", "SignatureValue", "KeyInfo", "Object")
_VERDICTS = {
    State.BROKEN: (Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, Code.DOC_MODIFIED),
    State.MALFORMED: (Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, Code.DOC_MALFORMED),
    State.MISSING: (Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, None),
    State.UNSUPPORTED: (Indication.INDETERMINATE, SubIndication.GENERIC, None),
}
"""What a reference that does not hold makes of its signature, the worst first."""


class XmlFormat:
    """Finds the signatures of an XML document, and their time-stamps."""

    name = "XML"

    def __init__(self, keys: Mapping[str, PublicKeyTypes] | None = None) -> None:
        """`keys` are known by these names to whoever asks, for signatures whose KeyInfo only names its key."""
        self._keys = dict(keys or {})

    def recognises(self, data: bytes) -> bool:
        """XML in UTF-8 or UTF-16, signed or not."""
        return looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each Signature element; content handed in beside it answers references to the outside."""
        used: set[str] = set()
        named = beside.handed_in(document)
        answering = beside.answering(document, _outside(document.data))

        def outside(uri: str) -> bytes | None:
            name = answering(uri)
            used.add(name)
            return named.get(name)

        digests = KnownDigests(document.digests, alone=not named)
        findings = self.find_with(document.data, outside, digests)
        if used:
            return beside.judged(findings, document, used, digests.spare)
        return beside.warned(findings, document)

    def find_with(self, data: bytes, outside: Resolve, digests: KnownDigests | None = None) -> Findings:
        """As `find`, with content outside the document by the name that a reference gives (a container's files)."""
        try:
            source = Source.of(data)
            signatures = list(source.root.iter(f"{DS}Signature"))
            if len(signatures) > MAX_SIGNATURES:
                raise XmlLimit(f"more than {MAX_SIGNATURES} signatures")
            resolver = Resolver(source, outside, keys=self._keys, digests=digests or KnownDigests(()))
            read = [_read(resolver, signature) for signature in signatures]
            sound = [(one.element, one.references) for one in read if one.fault is None]
            inside = xml_contents.signed_documents(resolver, sound)
        except XmlLimit as error:
            return Findings(self.name, obstacle=Notice(Code.LIMIT_REACHED, str(error)))
        except XmlError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        if inside:
            within = union(source.numbers[one.element] for one in inside)
            read = [one for one in read if not source.within(one.element, within)]
        covered = union(*(one.intervals for each in read for one in each.references))
        left = xml_coverage.leftover(source, signatures, covered)
        values = Counter(each.method.value for each in read if each.method is not None)
        found = [_found(source, each, left, index) for index, each in enumerate(read)]
        found = [_told_apart(one, values) for one in found]
        signed = ((one.name, each.element, each.references) for one, each in zip(found, read, strict=True))
        return Findings(self.name, found, contents=xml_contents.of(resolver, signed, inside))


def _outside(data: bytes) -> Iterator[str]:
    """The URIs by which references of a document name what is outside of it."""
    try:
        references = list(parse(data).getroot().iter(f"{DS}Reference"))
    except XmlError:
        return
    uris = (one.get("URI") or "" for one in references)
    yield from (uri for uri in uris if uri and not uri.startswith("#"))


@dataclass(frozen=True, slots=True)
class _Read:
    """One signature as far as it could be made out. `data` are the references to what is signed."""

    element: etree._Element
    references: tuple[Reference, ...] = ()
    data: tuple[Reference, ...] = ()
    method: Method | None = None
    keys: Keys = field(default_factory=Keys)
    properties: Properties = field(default_factory=Properties)
    evidence: Evidence = field(default_factory=Evidence)
    fault: Fault | None = None


def _read(resolver: Resolver, signature: etree._Element) -> _Read:
    """Each signature in its own guard: one that cannot be read must not hide the others. Raises XmlLimit."""
    try:
        info, value = _members(signature)
        references = resolver.references(signature, info)
        method = Method(scheme_of(_one(info, "SignatureMethod")), _octets(resolver.source, info), value)
        return _understood(resolver, signature, references, method)
    except XmlLimit:
        raise
    except (KeyedHash, XmlError) as error:
        notice = Notice(Code.DOC_MALFORMED, str(error))
        failed = Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, str(error), (notice,))
        return _Read(signature, fault=failed)
    except UnknownMethod as error:
        return _Read(signature, fault=Fault(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)))


def _understood(
    resolver: Resolver, signature: etree._Element, references: list[Reference], method: Method
) -> _Read:
    source = resolver.source
    keys = xml_keys.read(source, signature, resolver.keys)
    qualifying = xades.qualifying(signature)
    properties, evidence = Properties(), Evidence()
    if qualifying is None and any(one.type.endswith("#SignedProperties") for one in references):
        raise XmlError("signed properties are referred to, and none are where XAdES has them")
    if qualifying is not None:
        is_signed = _is_signed(source, qualifying, references)
        properties = xades.read(qualifying, is_signed=is_signed)
        own = tuple(references)
        evidence = xades_stamps.read(xades_stamps.Signature(resolver, signature, own, qualifying, is_signed))
    references += _manifests(resolver, signature, references)
    data = xml_coverage.data_references(source, references, signature)
    fault = _fault_of(references) or _misplaced(signature, references)
    if fault is None and not data and any(one.single for one in references):
        detail = "the signature is over single nodes, which are not all of the document"
        fault = Fault(Indication.INDETERMINATE, SubIndication.GENERIC, detail)
    elif fault is None and not data:
        detail = "the signature covers nothing but itself"
        fault = Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail)
    return _Read(signature, tuple(references), tuple(data), method, keys, properties, evidence, fault)


def _members(signature: etree._Element) -> tuple[etree._Element, bytes]:
    """SignedInfo and the value; members in the order of the schema (XMLDSig 4.2), each at most as often as it allows."""
    names = [str(child.tag).removeprefix(DS) for child in children(signature)]
    expected = sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    once = all(names.count(name) == 1 for name in _ORDER[:2]) and names.count("KeyInfo") <= 1
    if not once or set(names) - set(_ORDER) or names != expected:
        raise XmlError("the members of Signature are not those of XML signatures, or in another order")
    if any(text and text.strip() for text in (signature.text, *(child.tail for child in signature))):
        raise XmlError("text stands between the members of Signature")
    info = _one(signature, "SignedInfo")
    if next(info.iter(etree.Comment, etree.PI), None) is not None:
        # A comment splits text where some readers stop, and most canonical forms leave it out of what is signed.
        raise XmlError("SignedInfo holds comments or processing instructions")
    return info, octets_of(_one(signature, "SignatureValue"), "SignatureValue")


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{DS}{name}")
    if len(found) != 1:
        raise XmlError(f"there is not exactly one {name}")
    return found[0]


def _octets(source: Source, info: etree._Element) -> bytes:
    form = Form.of(_one(info, "CanonicalizationMethod"))
    if form is None:
        raise UnknownMethod("the canonical form of SignedInfo is not a known one")
    return canonical(NodeSet.of(source, info, comments=True), form)


def _is_signed(source: Source, qualifying: etree._Element, references: Sequence[Reference]) -> bool:
    """True when a reference covers all of SignedProperties (EN 319 132-1 4.3.1)."""
    signed = xades.signed_properties(qualifying)
    if signed is None:
        return False
    first, last = source.numbers[signed]
    return any(start <= first and last <= end for one in references for start, end in one.intervals)


def _manifests(
    resolver: Resolver, signature: etree._Element, references: Sequence[Reference]
) -> list[Reference]:
    """References in signed manifests are checked as the signature's own (XMLDSig 5.1 leaves that to applications).

    One that is not at hand is left aside: what the manifest lists may have gone its own way.
    """
    found: list[Reference] = []
    for one in references:
        if one.type != MANIFEST or one.left is None or one.state is not State.HOLDS:
            continue
        manifests = [one.left] if one.left.tag == f"{DS}Manifest" else one.left.findall(f"{DS}Manifest")
        for manifest in manifests:
            listed = resolver.references(signature, manifest)
            found += [each for each in listed if each.state is not State.MISSING]
    return found


def _fault_of(references: Sequence[Reference]) -> Fault | None:
    for state, (indication, sub, code) in _VERDICTS.items():
        for one in references:
            if one.state is state:
                notices = (Notice(code, one.detail),) if code is not None else ()
                return Fault(indication, sub, one.detail, notices)
    return None


def _told_apart(found: FoundSignature, values: Mapping[bytes, int]) -> FoundSignature:
    """Nobody signs the same twice: a second copy was put there by another hand, to be found by somebody."""
    count = values.get(found.signer.signature, 0) if found.signer is not None else 0
    if count < 2:
        return found
    detail = f"the same signature stands in the document {count} times"
    return replace(found, notices=(*found.notices, Notice(Code.WRAPPING, detail)))


def _misplaced(signature: etree._Element, references: Sequence[Reference]) -> Fault | None:
    """A reference that names what it is for, and resolves to something else: the mark of things moved about.

    XMLDSig 4.5 (Object), 5.1 (Manifest); EN 319 132-1 4.3.1 (SignedProperties) and 5.2.7 (counter-signature).
    """
    above = xades.countersigned(signature)
    if above is not None:
        value = above.find(f"{DS}SignatureValue")
        if not any(one.apex is value for one in references):
            detail = "the counter-signature is not over the value of the signature that it stands in"
            return Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail)
    for one in references:
        if one.left is None or one.outside:
            continue
        parent = one.left.getparent()
        above = parent.getparent() if parent is not None else None
        if one.type == OBJECT and parent is not signature and not _is_apart(one.left):
            what = "an Object of the signature"
        elif one.type == MANIFEST and signature not in (parent, above):
            what = "a Manifest of the signature"
        elif one.type.endswith("#SignedProperties") and not _in_own_object(signature, one.left):
            what = "the signature's own SignedProperties"
        else:
            continue
        detail = f'the reference "{one.uri[:80]}" is said to be to {what}, and is not'
        notice = Notice(Code.WRAPPING, detail)
        return Fault(Indication.INDETERMINATE, SubIndication.SIG_CONSTRAINTS_FAILURE, detail, (notice,))
    return None


def _is_apart(element: etree._Element) -> bool:
    """True for an Object outside of all signatures, as documents with a signature beside their objects have it."""
    return element.tag == f"{DS}Object" and next(element.iterancestors(f"{DS}Signature"), None) is None


def _in_own_object(signature: etree._Element, element: etree._Element) -> bool:
    """True for what stands in an Object of this very signature, or is one; SignedProperties only at their own place."""
    line = [element, *element.iterancestors()]
    if signature not in line or line[line.index(signature) - 1].tag != f"{DS}Object":
        return False
    inside = [local_name(one) for one in line[: line.index(signature)]]
    return inside[0] != "SignedProperties" or inside == ["SignedProperties", "QualifyingProperties", "Object"]


def _found(source: Source, read: _Read, left: xml_coverage.Leftover, index: int) -> FoundSignature:
    name = f"signature-{index + 1}"
    if read.method is None:
        unknown = CoverageReport(Coverage.UNKNOWN)
        return FoundSignature(name, "XMLDSig", unknown, fault=read.fault, signer=None)
    coverage, notices = xml_coverage.report(source, read.references, read.element, left, len(source.data))
    signer, chosen = _signer(read, read.method)
    intact = () if notices else (Notice(Code.DOC_INTACT, xml_coverage.described(source, read.data)),)
    return FoundSignature(
        name=name,
        format=_level(read.properties),
        coverage=coverage if read.fault is None else CoverageReport(Coverage.UNKNOWN),
        signer=signer,
        digest=None,
        certificates=(*chosen, *read.keys.certificates, *read.properties.certificates),
        crls=read.evidence.crls,
        ocsps=read.evidence.ocsps,
        time_stamps=read.evidence.time_stamps,
        unjudged_time_stamps=read.evidence.unjudged,
        claimed_time=read.properties.claimed_time,
        notices=(*intact, *notices),
        fault=read.fault,
        proof=Proof(read.method.scheme, read.method.holds, key=read.keys.key, digests=_digests(read)),
    )


def _level(properties: Properties) -> str:
    """EN 319 132-1 6.3: the baseline level B-B needs the certificate's reference and the signing time, both signed."""
    if not properties.is_signed:
        return "XMLDSig"
    if not properties.references:
        return "XAdES"
    return "XAdES-B-B" if properties.claimed_time is not None else "XAdES"


def _digests(read: _Read) -> tuple[str, ...]:
    return tuple(sorted({one.digest for one in read.references if one.digest}))


def _signer(read: _Read, method: Method) -> tuple[SignerInfo, tuple[bytes, ...]]:
    """The certificate that signed properties name by digest; without any, one in KeyInfo that can be a signer's."""
    properties = read.properties
    ders = (*read.keys.certificates, *properties.certificates)
    reference = properties.references[:1]
    matched = [(der, one) for der in ders for one in properties.references if algorithms.fits(one, der)]
    fitting = next((pair for pair in matched if _is_by(method, pair[0])), matched[0] if matched else None)
    certificate: Certificate | None = None
    if fitting is not None:
        certificate, reference = certificates.readable(fitting[0]), (fitting[1],)
    elif not properties.issuer:
        candidates = xml_keys.end_entities(read.keys.certificates)
        by = (one for one in candidates if _is_by(method, one.der))
        certificate = next(by, candidates[0] if candidates else None)
        alone = xml_keys.lone_authority(read.keys.certificates)
        if certificate is None and alone is not None and _is_by(method, alone.der):
            certificate = alone
    info = SignerInfo(
        issuer=certificate.parsed.issuer.public_bytes() if certificate is not None else properties.issuer,
        serial=certificate.parsed.serial_number if certificate is not None else properties.serial,
        subject_key_id=None,
        digest=AlgorithmIdentifier(DIGEST_OIDS.get(method.scheme.digest, ""), None),
        signature_algorithm=AlgorithmIdentifier("", None),
        signature=method.value,
        signed_octets=method.octets,
        content_type=None,
        message_digest=None,
        signing_time=properties.claimed_time,
        references=reference,
        has_reference_attribute=bool(properties.references),
        has_timestamp=bool(read.evidence.time_stamps),
    )
    return info, (certificate.der,) if certificate is not None else ()


def _is_by(method: Method, der: bytes) -> bool:
    certificate = certificates.readable(der)
    try:
        return certificate is not None and method.holds(certificate.public_key())
    except (AlgorithmError, CertificateError):
        return False
