"""What one certificate may say by itself: critical extensions, and the profile of RFC 5280 section 4."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from services.verifier.x509.certificates import Certificate, is_authority
from services.verifier.x509.issuance import signed_by

MAX_SERIAL_OCTETS = 20
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)\Z")
_ALWAYS_CRITICAL = {
    ExtensionOID.NAME_CONSTRAINTS: "name constraints (RFC 5280 4.2.1.10)",
    ExtensionOID.POLICY_CONSTRAINTS: "policy constraints (RFC 5280 4.2.1.11)",
}
# Extensions whose critical form is processed here.
_PROCESSED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
}


def own_fault(certificate: Certificate, *, leaf: bool) -> str:
    """6.1.4 (o), 6.1.5 (f): critical extensions that are not processed; constraints where they mean nothing."""
    for extension in certificate.extensions():
        if extension.critical and extension.oid not in _PROCESSED:
            return f"has the critical extension {extension.oid.dotted_string}, which is not processed"
        if leaf and extension.oid == ExtensionOID.NAME_CONSTRAINTS and not is_authority(certificate):
            return "has name constraints, which only a CA's may have (RFC 5280 4.2.1.10)"
    return ""


def fault_of(certificate: Certificate, *, leaf: bool, anchor: bool) -> str:
    """What RFC 5280 section 4 demands of conforming CAs and relying parties may overlook; "" when nothing.

    Raises CertificateError.
    """
    # For what is no anchor 6.1 asks it in any case.
    reason = own_fault(certificate, leaf=leaf) if anchor else ""
    critical = {e.oid: e.critical for e in certificate.extensions()}
    return (
        reason
        or ("is not encoded as DER demands (RFC 5280 4.1)" if certificate.flawed else "")
        or _name_fault(certificate, critical)
        or _key_identifier_fault(certificate, critical, leaf=leaf, anchor=anchor)
        or _authority_fault(certificate, critical, leaf=leaf)
        or _host_fault(certificate)
    )


def _name_fault(certificate: Certificate, critical: dict[x509.ObjectIdentifier, bool]) -> str:
    if not 0 < certificate.serial.bit_length() <= 8 * MAX_SERIAL_OCTETS - 1 or certificate.serial < 0:
        return f"has a serial number that is not positive or has more than {MAX_SERIAL_OCTETS} octets (RFC 5280 4.1.2.2)"
    if not certificate.issuer_key:
        return "names no issuer (RFC 5280 4.1.2.4)"
    if not certificate.subject_key and not critical.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME):
        return "names its subject in no critical way (RFC 5280 4.2.1.6)"
    return ""


def _key_identifier_fault(
    certificate: Certificate, critical: dict[x509.ObjectIdentifier, bool], *, leaf: bool, anchor: bool
) -> str:
    # Self-signed is exempt; a root that only bears its own name as the issuer's is cross-signed and is not.
    exempt = anchor and (certificate.self_issued or signed_by(certificate, certificate))
    if not exempt and not _names_key(certificate):
        return "has no key identifier of its issuer (RFC 5280 4.2.1.1)"
    if not leaf and ExtensionOID.SUBJECT_KEY_IDENTIFIER not in critical:
        return "has no key identifier of its own (RFC 5280 4.2.1.2)"
    return ""


def _names_key(certificate: Certificate) -> bool:
    try:
        extension = certificate.extensions().get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return extension.value.key_identifier is not None


def _authority_fault(
    certificate: Certificate, critical: dict[x509.ObjectIdentifier, bool], *, leaf: bool
) -> str:
    for oid, what in _ALWAYS_CRITICAL.items():
        if critical.get(oid) is False:
            return f"does not mark as critical its {what}"
    authority = is_authority(certificate)
    if not leaf and not (authority and critical.get(ExtensionOID.BASIC_CONSTRAINTS)):
        return "has no critical basic constraints of a CA (RFC 5280 4.2.1.9)"
    try:
        signs = certificate.extensions().get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return ""
    if signs and not authority:
        return "may sign certificates and is no CA's (RFC 5280 4.2.1.3)"
    return "is a CA's and may not sign certificates (RFC 5280 4.2.1.3)" if authority and not signs else ""


def _host_fault(certificate: Certificate) -> str:
    """4.2.1.6: a dNSName is in the preferred name syntax; a wildcard as its first label is left to applications."""
    try:
        names = certificate.extensions().get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    for name in names.get_values_for_type(x509.DNSName):
        labels = name.removeprefix("*.").split(".")
        if not all(map(_LABEL.match, labels)) or labels[-1].isdigit():
            return "has a dNSName that is no name of a host (RFC 5280 4.2.1.6)"
    return ""
