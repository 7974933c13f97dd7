"""Trust lists (ETSI TS 119 612): read a signed list and turn its services into anchors with terms.

A list is believed where one certificate that the operator pinned signed all of it (clause 5.7.1: enveloped XAdES). Of its
services those count that issue qualified certificates or time-stamps; each approved status, the present one and those of
the history (clauses 5.5.4 and 5.6), becomes a time in which the service's certificates are trusted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.domain import Code, Coverage
from services.verifier.formats import xml_input
from services.verifier.formats.xml_input import Source, XmlError
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import FoundSignature, SubmittedDocument
from services.verifier.procedure import building_blocks
from services.verifier.procedure.building_blocks import Stop
from services.verifier.x509 import certificates
from services.verifier.x509.anchors import AnchorTerms
from services.verifier.x509.certificates import Certificate, CertificateError

TSL = "{http://uri.etsi.org/02231/v2#}"
MAX_SERVICES = 5000
MAX_HISTORY = 200
"""Status changes of one service."""
MAX_ANCHORS = 1000
_TYPES = {
    "http://uri.etsi.org/TrstSvc/Svctype/CA/QC": Purpose.SIGNATURE,
    "http://uri.etsi.org/TrstSvc/Svctype/TSA/QTST": Purpose.TIME_STAMP,
}
_STATUS_BASES = (
    "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/",
    "http://uri.etsi.org/TrstSvc/eSigDir-1999-93-EC-TrustedList/Svcstatus/",
)
_APPROVED = frozenset(
    base + status
    for base in _STATUS_BASES
    for status in (
        "granted",
        "recognisedatnationallevel",
        # Before Regulation (EU) 910/2014 (annex D.5.2).
        "undersupervision",
        "supervisionincessation",
        "accredited",
    )
)
_INFORMATION = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/"
_FOR_WHAT = frozenset(
    _INFORMATION + name for name in ("ForeSignatures", "ForeSeals", "ForWebSiteAuthentication")
)
_FOR_DOCUMENTS = frozenset(_INFORMATION + name for name in ("ForeSignatures", "ForeSeals"))
_STAINS = frozenset({Code.WRAPPING, Code.PARTLY_SIGNED, Code.DOC_MODIFIED, Code.UNOWNED_BYTES})


class TrustListError(ValueError):
    """The list is not one, or must not be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class ListedAnchor:
    """A certificate of a service, DER, with the name that the list gives the service and one term of trust."""

    certificate: bytes
    name: str
    terms: AnchorTerms


@dataclass(frozen=True, slots=True)
class TrustList:
    """A list that was believed. `next_update` None: the list is closed. `left_out` counts what was no use."""

    operator: str
    territory: str
    sequence_number: int
    issued_at: datetime
    next_update: datetime | None
    sha256: str
    signer_sha256: str
    anchors: tuple[ListedAnchor, ...]
    left_out: int


def read(
    data: bytes,
    signers: Sequence[Certificate],
    scope: str,
    at: datetime,
    policy: AlgorithmPolicy | None = None,
) -> TrustList:
    """Believe a list that one of `signers` signed, as of `at`. Raises TrustListError.

    `scope` is what its anchors get (see `anchors.AnchorTerms`); a list that should have been replaced is refused.
    """
    signer = _signer(data, signers, at, policy or algorithms.default_policy())
    try:
        source = Source.of(data)
    except XmlError as error:
        raise TrustListError(str(error)) from error
    root = source.root
    if root.tag != f"{TSL}TrustServiceStatusList":
        raise TrustListError("the document is no trust list (ETSI TS 119 612)")
    scheme = _child(root, "SchemeInformation")
    issued_at = _time(_child(scheme, "ListIssueDateTime"))
    next_update = _next_update(scheme)
    if issued_at > at:
        raise TrustListError(f"the list is issued in the future ({issued_at:%F %T} UTC)")
    if next_update is not None and next_update <= at:
        raise TrustListError(f"the list was to be replaced by {next_update:%F %T} UTC: get the newest one")
    listed, left_out = _anchors(root, scope)
    return TrustList(
        operator=_name(scheme, "SchemeOperatorName"),
        territory=_text(scheme.find(f"{TSL}SchemeTerritory")),
        sequence_number=_number(_child(scheme, "TSLSequenceNumber")),
        issued_at=issued_at,
        next_update=next_update,
        sha256=hashlib.sha256(data).hexdigest(),
        signer_sha256=signer.sha256,
        anchors=listed,
        left_out=left_out,
    )


def document(found: TrustList) -> dict[str, Any]:
    """The list as the registry takes it: JSON values, times RFC 3339, certificates in base64."""
    return {
        "kind": "kyso-trust-list",
        "version": 1,
        "operator": found.operator,
        "territory": found.territory,
        "sequence_number": found.sequence_number,
        "issued_at": found.issued_at.isoformat(),
        "next_update": None if found.next_update is None else found.next_update.isoformat(),
        "sha256": found.sha256,
        "signer_sha256": found.signer_sha256,
        "anchors": [
            one.terms.fields()
            | {"name": one.name, "certificate": base64.b64encode(one.certificate).decode("ascii")}
            for one in found.anchors
        ],
    }


def _signer(
    data: bytes, signers: Sequence[Certificate], at: datetime, policy: AlgorithmPolicy
) -> Certificate:
    """Clause 5.7.1: exactly one signature, over all of the list, by a pinned certificate."""
    findings = XmlFormat().find(SubmittedDocument(data))
    if findings.obstacle is not None:
        raise TrustListError(findings.obstacle.detail)
    if len(findings.signatures) != 1:
        raise TrustListError(f"a trust list has one signature, this one has {len(findings.signatures)}")
    found = findings.signatures[0]
    try:
        return _checked(found, signers, at, policy)
    except Stop as stop:
        raise TrustListError(f"the list's signature does not hold: {stop.detail}") from stop


def _checked(
    found: FoundSignature, signers: Sequence[Certificate], at: datetime, policy: AlgorithmPolicy
) -> Certificate:
    if found.fault is not None:
        raise TrustListError(f"the list's signature does not hold: {found.fault.detail}")
    if found.signer is None or found.proof is None:
        raise TrustListError("the list's signature cannot be read")
    stained = _STAINS & {notice.code for notice in found.notices}
    if found.coverage.coverage is not Coverage.WHOLE or stained:
        raise TrustListError("the list's signature does not cover all of the list")
    named = building_blocks.identify(found.signer, [*building_blocks.loadable(found.certificates), *signers])
    if named not in signers:
        raise TrustListError("the list is signed by another certificate than those that are pinned")
    if not named.not_before <= at <= named.not_after:
        raise TrustListError("the certificate that signed the list is outside its validity")
    signed = building_blocks.check_proof(found.proof, named)
    weak = signed.faults(policy, Purpose.SIGNATURE, at)
    if weak:
        details = ", ".join(one.notice.detail for one in weak)
        raise TrustListError(f"the list is signed by an algorithm that is not allowed ({details})")
    return named


def _next_update(scheme: etree._Element) -> datetime | None:
    """Clause 5.3.15: an empty NextUpdate closes the list."""
    stated = _child(scheme, "NextUpdate").find(f"{TSL}dateTime")
    return None if stated is None else _time(stated)


def _anchors(root: etree._Element, scope: str) -> tuple[tuple[ListedAnchor, ...], int]:
    found: dict[tuple[bytes, AnchorTerms], ListedAnchor] = {}
    left_out = 0
    services = list(root.iterfind(f"{TSL}TrustServiceProviderList//{TSL}TSPService"))
    if len(services) > MAX_SERVICES:
        raise TrustListError(f"the list has {len(services)} services, at most {MAX_SERVICES} are read")
    for service in services:
        information = _child(service, "ServiceInformation")
        name = _name(information, "ServiceName")
        identity = _certificates(information)
        times = list(_times(service, information))
        if not times or not identity:
            left_out += 1
        for certificate in identity:
            for start, end, purpose in times:
                terms = AnchorTerms(certificate.sha256, scope, start, end, frozenset({purpose}))
                found[certificate.der, terms] = ListedAnchor(certificate.der, name, terms)
    if len(found) > MAX_ANCHORS:
        raise TrustListError(f"the list has {len(found)} anchors, at most {MAX_ANCHORS} are taken")
    return tuple(found.values()), left_out


@dataclass(frozen=True, slots=True)
class _Status:
    """One status of a service. `purpose` None: it is not one that makes its certificates anchors."""

    start: datetime
    purpose: Purpose | None


def _times(
    service: etree._Element, information: etree._Element
) -> Iterator[tuple[datetime, datetime | None, Purpose]]:
    """Clauses 5.5.4 and 5.6: from when until when (None: still) the service was approved, joined where it went on."""
    history = service.findall(f"{TSL}ServiceHistory/{TSL}ServiceHistoryInstance")
    if len(history) > MAX_HISTORY:
        raise TrustListError(f"a service has more than {MAX_HISTORY} changes of status")
    statuses = sorted((_status(one) for one in (information, *history)), key=lambda status: status.start)
    ends: list[datetime | None] = [*(one.start for one in statuses[1:]), None]
    open_since: datetime | None = None
    for index, (status, end) in enumerate(zip(statuses, ends, strict=True)):
        if status.purpose is None:
            continue
        start = open_since or status.start
        following = statuses[index + 1] if end is not None else None
        if following is not None and following.purpose is status.purpose:
            open_since = start
            continue
        open_since = None
        if end is None or start < end:
            yield start, end, status.purpose


def _status(information: etree._Element) -> _Status:
    start = _time(_child(information, "StatusStartingTime"))
    purpose = _TYPES.get(_text(information.find(f"{TSL}ServiceTypeIdentifier")))
    if _text(information.find(f"{TSL}ServiceStatus")) not in _APPROVED:
        purpose = None
    stated = {_text(one) for one in information.iterfind(f".//{TSL}AdditionalServiceInformation/{TSL}URI")}
    if purpose is Purpose.SIGNATURE and stated & _FOR_WHAT and not stated & _FOR_DOCUMENTS:
        # Clause 5.5.9.4: certificates for web sites sign no documents.
        purpose = None
    return _Status(start, purpose)


def _certificates(information: etree._Element) -> list[Certificate]:
    """Clause 5.5.3: the service's certificates; one that cannot be read is of no use."""
    found: dict[Certificate, None] = {}
    path = f"{TSL}ServiceDigitalIdentity/{TSL}DigitalId/{TSL}X509Certificate"
    for element in information.iterfind(path):
        try:
            found[certificates.load(base64.b64decode("".join(_text(element).split()), validate=True))] = None
        except (binascii.Error, CertificateError):
            continue
    return list(found)


def _child(element: etree._Element, name: str) -> etree._Element:
    found = element.findall(f"{TSL}{name}")
    if len(found) != 1:
        raise TrustListError(f"{xml_input.local_name(element)} has {len(found)} elements {name}, not one")
    return found[0]


def _text(element: etree._Element | None) -> str:
    return "" if element is None else xml_input.text_of(element).strip()


def _name(element: etree._Element, name: str) -> str:
    """A multilingual name: the English one where there is one, else the first (clause 5.1.4)."""
    names = element.findall(f"{TSL}{name}/{TSL}Name")
    english = [one for one in names if one.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"]
    return _text(next(iter(english or names), None))[:200]


def _number(element: etree._Element) -> int:
    text = _text(element)
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise TrustListError("the sequence number of the list is no positive number")
    return int(text)


def _time(element: etree._Element) -> datetime:
    """Clause 5.1.4: UTC with a Z; an offset is taken too."""
    try:
        moment = datetime.fromisoformat(_text(element))
    except ValueError as error:
        raise TrustListError(f"{xml_input.local_name(element)} is no date and time") from error
    if moment.tzinfo is None:
        raise TrustListError(f"{xml_input.local_name(element)} has no time zone")
    return moment.astimezone(UTC)
