"""The signatures in a container: each signature file read by its own format, and which members it is over."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from services.verifier.formats import xades
from services.verifier.formats.asic_container import Container, Kind
from services.verifier.formats.asic_manifest import Manifest
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.xml_canonical import Form
from services.verifier.formats.xml_input import DS, XmlError, local_name, parse
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import Fault, FoundSignature, SubmittedDocument

_COUNTERSIGNED = "http://uri.etsi.org/01903#CountersignedSignature"
MAX_CANDIDATES = 10
"""Manifests that are tried for one signature file."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A signature with the member that it stands in and the names of the members that it is over.

    `counter`: it is over another signature's value alone. `bound`: it names a signature policy of its own.
    """

    found: FoundSignature
    file: str
    covered: frozenset[str] = frozenset()
    counter: bool = False
    bound: bool = False
    countersigned: frozenset[str] = frozenset()
    """Names of the signature files whose one signature it is over, by its value."""
    through: tuple[str, ...] = ()
    """Names of the manifests by which it covers them."""


def of_xml(container: Container, name: str) -> list[Placed]:
    """XAdES signatures (clause 4.4.3.2, annex A.3). Raises ZipError."""
    archive = container.archive
    data = archive.content(name)
    archive.spend_on_xml(data)
    alone = container.objects if container.kind is Kind.ASIC_S and len(container.objects) == 1 else ()

    elements = _signatures(data)
    transformed = {
        reference.get("URI") or ""
        for element in elements
        for reference in element.iter(f"{DS}Reference")
        if next(reference.iter(f"{DS}Transform"), None) is not None
    }

    def outside(uri: str) -> bytes | None:
        member = alone[0] if alone and not uri else archive.resolve(uri)
        if member is None:
            return None
        content = archive.content(member)
        if uri in transformed:
            # Each such reference has it parsed anew.
            archive.spend_on_xml(content)
        return content

    findings = XmlFormat().find_with(data, outside)
    if findings.obstacle is not None:
        return [Placed(_unreadable(findings.obstacle), name)]
    if not findings.signatures or len(findings.signatures) != len(elements):
        missing = Notice(Code.DOC_MALFORMED, f"{name} holds no signature that can be told from others")
        return [Placed(_unreadable(missing), name)]
    counters = [xades.countersigned(element) is not None for element in elements]
    # Its reader has seen to it that one that stands in a signature is over that one's value.
    own = {name} if counters.count(False) == 1 else set[str]()
    return [
        Placed(
            found,
            name,
            _members(container, element, alone),
            counter=counter,
            bound=any(local_name(one) == "SignaturePolicyId" for one in element.iter("*")),
            countersigned=_countersigned(container, element) | (own if counter else set()),
        )
        for found, element, counter in zip(findings.signatures, elements, counters, strict=True)
    ]


def misplaced(container: Container) -> tuple[str, ...]:
    """Files that are no signature files by their name, and hold XML signatures. Raises ZipError."""
    found = []
    for name in container.misplaced_signatures:
        content = container.archive.content(name)
        container.archive.spend_on_xml(content)
        if _signatures(content):
            found.append(name)
    return tuple(found)


def _signatures(data: bytes) -> list[etree._Element]:
    """The Signature elements of a file, in document order; none where it cannot be read."""
    try:
        return list(parse(data).getroot().iter(f"{DS}Signature"))
    except XmlError:
        return []


def _members(container: Container, signature: etree._Element, alone: Sequence[str]) -> frozenset[str]:
    """Members that a signature refers to as a whole: as their octets, or in a canonical form."""
    found = set()
    for reference in signature.iterfind(f"{DS}SignedInfo/{DS}Reference"):
        uri = reference.get("URI") or ""
        if uri.startswith("#") or not all(map(_keeps_all, reference.iter(f"{DS}Transform"))):
            continue
        member = alone[0] if alone and not uri else container.archive.resolve(uri) if uri else None
        if member is not None:
            found.add(member)
    return frozenset(found)


def _keeps_all(transform: etree._Element) -> bool:
    """True for a canonical form, which leaves nothing out that a reader of the document sees."""
    try:
        return Form.of(transform) is not None
    except XmlError:
        return False


def _countersigned(container: Container, signature: etree._Element) -> frozenset[str]:
    """Signature files with one signature that this one refers to as a counter-signature does (EN 319 132-1 5.2.7.2)."""
    found = set()
    for reference in signature.iterfind(f"{DS}SignedInfo/{DS}Reference"):
        uri = (reference.get("URI") or "").partition("#")[0]
        member = container.archive.resolve(uri) if uri else None
        if reference.get("Type") == _COUNTERSIGNED and member in container.xml_signatures:
            content = container.archive.content(member)
            container.archive.spend_on_xml(content)
            if len(_signatures(content)) == 1:
                found.add(member)
    return frozenset(found)


def of_cms(container: Container, name: str, manifests: Sequence[Manifest]) -> list[Placed]:
    """CAdES signatures: over the one data object (4.3.3.2), or over the manifest that names the file (4.4.3.3).

    Raises ZipError.
    """
    archive = container.archive
    data = archive.content(name)
    if container.kind is Kind.ASIC_S:
        if len(container.objects) != 1:
            return [Placed(one, name) for one in _cms(data, None)]
        content = archive.content(container.objects[0])
        return [Placed(one, name, frozenset(container.objects)) for one in _cms(data, content)]
    candidates = [one for one in manifests if archive.resolve(one.target) == name]
    if not candidates:
        fault = _failed(f"no manifest that can be read names {name}", Code.DOC_MALFORMED)
        return [Placed(replace(one, fault=one.fault or fault), name) for one in _cms(data, None, fault)]
    placed = []
    tables = [(one, _cms(data, one.data)) for one in candidates[:MAX_CANDIDATES]]
    for index in range(len(tables[0][1])):
        fitting = (one for one, signers in tables if _fits(signers[index]))
        manifest = next(fitting, candidates[0])
        found = next(signers for one, signers in tables if one is manifest)[index]
        if found.fault is None:
            found = replace(found, fault=_manifest_fault(manifest), digests=manifest.digests)
        placed.append(Placed(found, name, manifest.covered | {manifest.name}, through=(manifest.name,)))
    return placed


def _cms(data: bytes, content: bytes | None, fault: Fault | None = None) -> list[FoundSignature]:
    findings = CmsFormat().find(SubmittedDocument(data, content))
    if findings.obstacle is not None:
        return [_unreadable(findings.obstacle)]
    if not findings.signatures:
        return [_unreadable(Notice(Code.DOC_MALFORMED, "a signature file without a signer"))]
    if fault is None:
        return list(findings.signatures)
    return [replace(one, fault=fault) for one in findings.signatures]


def _fits(found: FoundSignature) -> bool:
    """True when the manifest is the one whose digest was signed."""
    signer, digest = found.signer, found.digest
    if signer is None or digest is None or signer.message_digest is None:
        return False
    try:
        actual = digest(algorithms.digest_label(signer.digest.oid))
    except AlgorithmError:
        return False
    return hmac.compare_digest(actual, signer.message_digest)


def _manifest_fault(manifest: Manifest) -> Fault | None:
    if manifest.broken:
        detail = f'the digest of "{manifest.broken[0][:80]}" is not the one in {manifest.name}'
        notice = Notice(Code.DOC_MODIFIED, detail)
        return Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, (notice,))
    if manifest.unsupported:
        return Fault(Indication.INDETERMINATE, SubIndication.GENERIC, manifest.unsupported)
    if manifest.missing:
        detail = f'"{manifest.missing[0][:80]}", which {manifest.name} names, is not in the container'
        return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    return None


def _failed(detail: str, code: Code) -> Fault:
    return Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, (Notice(code, detail),))


def _unreadable(obstacle: Notice) -> FoundSignature:
    """A signature file that cannot be read counts as a signature that does not hold: it must not be overlooked."""
    limit = obstacle.code is Code.LIMIT_REACHED
    fault = Fault(
        Indication.INDETERMINATE if limit else Indication.TOTAL_FAILED,
        SubIndication.GENERIC if limit else SubIndication.FORMAT_FAILURE,
        obstacle.detail,
        (obstacle,),
    )
    return FoundSignature("", "unknown", CoverageReport(Coverage.UNKNOWN), fault=fault)
