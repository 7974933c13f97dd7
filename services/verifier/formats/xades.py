"""XAdES qualifying properties (EN 319 132-1): those that are signed. Time-stamps are `xades_stamps`' subject."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from lxml import etree

from services.verifier.formats import ber
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import CertificateReference
from services.verifier.formats.xml_algorithms import (
    DIGEST_OIDS,
    UnknownMethod,
    digest_of,
    octets_of,
    plain_text,
)
from services.verifier.formats.xml_input import DS, XmlError, local_name

NAMESPACES = (
    "http://uri.etsi.org/01903/v1.3.2#",
    "http://uri.etsi.org/01903/v1.2.2#",
    "http://uri.etsi.org/01903/v1.1.1#",
)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?")
MAX_REFERENCES = 50
_OF_NOBODY = CertificateReference(DIGEST_OIDS["SHA-256"], b"")
"""A reference whose digest is no certificate's."""


@dataclass(frozen=True, slots=True)
class Properties:
    """Signed properties of one signature. `issuer` (DER) and `serial` name the certificate, where they are stated."""

    claimed_time: datetime | None = None
    references: tuple[CertificateReference, ...] = ()
    issuer: bytes = b""
    serial: int | None = None
    is_signed: bool = False
    certificates: tuple[bytes, ...] = ()


def qualifying(signature: etree._Element) -> etree._Element | None:
    """The one QualifyingProperties of a signature; None where there is none. Raises XmlError.

    Its Target is not asked: what counts is that it stands in the signature and that a reference covers what is signed.
    """
    found = [
        one
        for container in signature.findall(f"{DS}Object")
        for one in container
        if any(one.tag == f"{{{namespace}}}QualifyingProperties" for namespace in NAMESPACES)
    ]
    if len(found) > 1:
        raise XmlError("a signature with more than one QualifyingProperties")
    if not found:
        return None
    return found[0]


def countersigned(signature: etree._Element) -> etree._Element | None:
    """The signature of which this one is a counter-signature (EN 319 132-1 5.2.7); None where it is not one."""
    parent = signature.getparent()
    if parent is None or local_name(parent) != "CounterSignature":
        return None
    return next(signature.iterancestors(f"{DS}Signature"), None)


def signed_properties(properties: etree._Element) -> etree._Element | None:
    """The SignedProperties. Raises XmlError where there are several."""
    found = [one for one in properties if local_name(one) == "SignedProperties"]
    if len(found) > 1:
        raise XmlError("more than one SignedProperties")
    return found[0] if found else None


def read(properties: etree._Element, *, is_signed: bool) -> Properties:
    """The properties; what no reference covers (`is_signed` false) is left unread. Raises XmlError."""
    spare = _certificate_values(properties)
    signed = signed_properties(properties)
    if signed is None or not is_signed:
        return Properties(certificates=spare)
    namespace = str(signed.tag).rpartition("}")[0] + "}"
    of_signature = signed.find(f"{namespace}SignedSignatureProperties")
    if of_signature is None:
        return Properties(is_signed=True, certificates=spare)
    reference, issuer, serial = _certificate(of_signature, namespace)
    return Properties(
        claimed_time=_time(plain_text(of_signature.find(f"{namespace}SigningTime"))),
        references=reference,
        issuer=issuer,
        serial=serial,
        is_signed=True,
        certificates=spare,
    )


def _certificate(
    of_signature: etree._Element, namespace: str
) -> tuple[tuple[CertificateReference, ...], bytes, int | None]:
    """Digest of the signer's certificate, and its issuer and number as SigningCertificateV2 states them.

    The first reference is the signer's (EN 319 132-1 5.2.2); others name certificates above it and bind nobody here.
    """
    for name in ("SigningCertificateV2", "SigningCertificate"):
        listed = of_signature.find(f"{namespace}{name}")
        if listed is None:
            continue
        certificates = listed.findall(f"{namespace}Cert")
        if not 1 <= len(certificates) <= MAX_REFERENCES:
            raise XmlError(f"{name} with {len(certificates)} references")
        references = tuple(_reference(one, namespace) for one in certificates)
        issuer, serial = _issuer_serial(certificates[0].find(f"{namespace}IssuerSerialV2"))
        return references, issuer, serial
    return (), b"", None


def _reference(certificate: etree._Element, namespace: str) -> CertificateReference:
    """The digest of one certificate. A value that none can have fits nobody: integrity does not depend on who signed."""
    digest = certificate.find(f"{namespace}CertDigest")
    if digest is None:
        raise XmlError("a certificate's reference has no digest")
    # XAdES 1.1.1 (TS 101 903, and DDOC with it) has the members of a digest in its own namespace.
    within = [one for one in (DS, namespace) if digest.find(f"{one}DigestMethod") is not None]
    if len(within) != 1:
        raise XmlError("there is not exactly one DigestMethod")
    try:
        oid = DIGEST_OIDS[digest_of(digest, within[0])]
    except UnknownMethod:
        return _OF_NOBODY
    value = digest.findall(f"{within[0]}DigestValue")
    if len(value) != 1:
        raise XmlError("there is not exactly one DigestValue")
    try:
        return CertificateReference(oid, octets_of(value[0], "DigestValue"))
    except XmlError:
        return _OF_NOBODY


def _issuer_serial(element: etree._Element | None) -> tuple[bytes, int | None]:
    """IssuerSerialV2: DER of IssuerSerial (RFC 5035 4). What cannot be read names nobody: the digest decides."""
    if element is None:
        return b"", None
    try:
        names, serial = ber.load(octets_of(element, "IssuerSerialV2"))[0].children()[:2]
        directory = names.children()[0]
        return directory.children()[0].encoded, ber.integer(serial)
    except (XmlError, BerError, IndexError, ValueError):
        return b"", None


def _certificate_values(properties: etree._Element) -> tuple[bytes, ...]:
    found = []
    for one in properties.iter("*"):
        if local_name(one) == "EncapsulatedX509Certificate":
            try:
                found.append(octets_of(one, "EncapsulatedX509Certificate"))
            except XmlError:
                # Spare certificates are nobody's word: one that cannot be read is of no use and harms nobody.
                continue
    return tuple(found[:200])


def _time(text: str) -> datetime | None:
    """An xs:dateTime in UTC; one without a zone is taken for UTC. Raises XmlError."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise XmlError("SigningTime is not a date and time")
    shift = timedelta()
    if match.group(8) and match.group(8) != "Z":
        hours, minutes = int(match.group(8)[1:3]), int(match.group(8)[4:6])
        sign = -1 if match.group(8)[0] == "-" else 1
        shift = timedelta(hours=hours, minutes=minutes) * sign
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        zone = timezone(shift)
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise XmlError("SigningTime is not a date and time") from error
