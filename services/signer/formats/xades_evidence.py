"""Validation data in XAdES signatures: CertificateValues, RevocationValues, and TimeStampValidationData.

EN 319 132-1 sections 5.4 and 5.5.1: what validates the signer stands apart from what validates a time-stamp, which
follows the time-stamp. What cannot be told apart goes to the signer's.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509 import ocsp

from services.signer.formats.format import Evidence
from services.signer.formats.xades_view import XADES141, ocsp_choice, with_property, xades
from services.signer.formats.xml_signature import XADES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.signer.formats.xades_view import XadesSignature
    from services.signer.formats.xml_document import XmlDocument


_DECLARED = f' xmlns:xades="{XADES}"'


def has_certificates(signature: XadesSignature) -> bool:
    """Say whether the place of the certificates was filled: once, before the first archive time-stamp."""
    return bool(signature.unsigned(xades("CertificateValues")) or signature.archive_time_stamps)


def with_evidence(document: XmlDocument, signature: XadesSignature, evidence: Evidence) -> bytes:
    """Put values in behind the properties that are there, nothing twice; return the document's new bytes.

    Once there is an archive time-stamp, or values of another's making, all that is new is data of time-stamps: what
    an archive time-stamp covers never changes, and each place is filled once.
    """
    signers, stamps = _split(signature, _new(signature, evidence))
    full = (
        has_certificates(signature),
        bool(signature.unsigned(xades("RevocationValues")) or signature.archive_time_stamps),
    )
    if full[0]:
        stamps = replace(stamps, certificates=stamps.certificates + signers.certificates)
    if full[1]:
        stamps = replace(
            stamps,
            crls=stamps.crls + signers.crls,
            ocsp_responses=stamps.ocsp_responses + signers.ocsp_responses,
        )
    text = _time_stamp_data(stamps) if stamps != Evidence() else ""
    text += "" if full[0] else _certificate_values(signers, declared=True)
    text += "" if full[1] else _revocation_values(signers, declared=True)
    return with_property(document, signature, text) if text else document.data


def _new(signature: XadesSignature, evidence: Evidence) -> Evidence:
    """Leave out what the signature holds already; certificates in KeyInfo may be there again."""
    _, found = signature.holder(())
    crls = set(found.crls)
    held = {*found.certificates} if has_certificates(signature) else set()
    return Evidence(
        tuple(each for each in dict.fromkeys(evidence.certificates) if each not in held),
        tuple(each for each in dict.fromkeys(evidence.crls) if each not in crls),
        tuple(each for each in dict.fromkeys(evidence.ocsp_responses) if ocsp_choice(each) not in crls),
    )


def _split(signature: XadesSignature, evidence: Evidence) -> tuple[Evidence, Evidence]:
    """Part values into those of the signer's path and those that only the time-stamps' paths need."""
    wanted, _ = signature.holder(signature.signature_time_stamps)
    pool = [_Named.read(each) for each in (*signature.certificates(), *evidence.certificates)]
    own = _path(_Named.read(wanted[0]), pool)
    units = [_Named.read(each) for each in wanted[1:]]
    others = {each for unit in units for each in _path(unit, [*pool, *units])} - own
    names = {each.issuer for each in own}
    foreign = {each.issuer for each in others} - names
    serials = {each.serial for each in others}
    certificates = {each.der for each in others}
    mine: Evidence = Evidence(
        tuple(each for each in evidence.certificates if each not in certificates),
        tuple(each for each in evidence.crls if _issuer(each) not in foreign),
        tuple(each for each in evidence.ocsp_responses if _serial(each) not in serials),
    )
    return mine, Evidence(
        tuple(each for each in evidence.certificates if each in certificates),
        tuple(each for each in evidence.crls if _issuer(each) in foreign),
        tuple(each for each in evidence.ocsp_responses if _serial(each) in serials),
    )


@dataclass(frozen=True, slots=True)
class _Named:
    """A certificate and its names."""

    der: bytes
    subject: bytes
    issuer: bytes
    serial: int

    @classmethod
    def read(cls, der: bytes) -> _Named:
        certificate = x509.load_der_x509_certificate(der)
        return cls(
            der,
            certificate.subject.public_bytes(),
            certificate.issuer.public_bytes(),
            certificate.serial_number,
        )


def _path(leaf: _Named, pool: list[_Named]) -> set[_Named]:
    """Follow the issuers' names from a certificate upwards, through all that bear them."""
    found, waiting = {leaf}, [leaf]
    while waiting:
        issuer = waiting.pop().issuer
        for candidate in pool:
            if candidate.subject == issuer and candidate not in found:
                found.add(candidate)
                waiting.append(candidate)
    return found


def _issuer(crl: bytes) -> bytes:
    return x509.load_der_x509_crl(crl).issuer.public_bytes()


def _serial(response: bytes) -> int | None:
    """Return the serial number that an OCSP response is about, None where it is about several or none."""
    answers = list(ocsp.load_der_ocsp_response(response).responses)
    return answers[0].serial_number if len(answers) == 1 else None


def _time_stamp_data(values: Evidence) -> str:
    inside = _certificate_values(values, declared=False) + _revocation_values(values, declared=False)
    return (
        f'<xades141:TimeStampValidationData xmlns:xades141="{XADES141}" xmlns:xades="{XADES}">{inside}'
        "</xades141:TimeStampValidationData>"
    )


def _certificate_values(values: Evidence, *, declared: bool) -> str:
    if not values.certificates and not declared:
        return ""
    inside = _elements("EncapsulatedX509Certificate", values.certificates)
    return f"<xades:CertificateValues{_DECLARED * declared}>{inside}</xades:CertificateValues>"


def _revocation_values(values: Evidence, *, declared: bool) -> str:
    inside = ""
    if values.crls:
        inside = f"<xades:CRLValues>{_elements('EncapsulatedCRLValue', values.crls)}</xades:CRLValues>"
    if values.ocsp_responses:
        responses = _elements("EncapsulatedOCSPValue", values.ocsp_responses)
        inside += f"<xades:OCSPValues>{responses}</xades:OCSPValues>"
    if not inside:
        return ""
    return f"<xades:RevocationValues{_DECLARED * declared}>{inside}</xades:RevocationValues>"


def _elements(name: str, values: Iterable[bytes]) -> str:
    return "".join(
        f"<xades:{name}>{base64.b64encode(value).decode('ascii')}</xades:{name}>" for value in values
    )
