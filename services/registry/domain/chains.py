"""Certificates and CRLs as they come back signed, and chains of others: what is checked before they are kept."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from services.kernel.errors import Internal

_NO_MATCH = (ValueError, TypeError, InvalidSignature)


def require_signed_certificate(der: bytes, tbs: bytes, issuer: bytes) -> None:
    """Raise Internal unless `der` is `tbs` signed by the key of `issuer` (DER; the certificate itself for a root)."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(issuer or der))
    except _NO_MATCH as error:
        raise Internal("the signer answered a certificate that its issuer's key did not sign") from error
    if certificate.tbs_certificate_bytes != tbs:
        raise Internal("the signer answered another certificate than it was asked to sign")


def require_signed_crl(der: bytes, tbs: bytes, issuer: bytes) -> None:
    """Raise Internal unless `der` is `tbs` signed by the key of `issuer`."""
    try:
        crl = x509.load_der_x509_crl(der)
        key = x509.load_der_x509_certificate(issuer).public_key()
        # Of a key that cannot sign lists the library raises TypeError, which is caught.
        good = crl.is_signature_valid(key)  # type: ignore[arg-type]
    except _NO_MATCH as error:
        raise Internal("the signer answered a CRL that cannot be read") from error
    if not good:
        raise Internal("the signer answered a CRL that its issuer's key did not sign")
    if crl.tbs_certlist_bytes != tbs:
        raise Internal("the signer answered another CRL than it was asked to sign")


def require_signed_request(der: bytes) -> None:
    """Raise Internal unless `der` is a PKCS#10 request signed by its own key."""
    try:
        good = x509.load_der_x509_csr(der).is_signature_valid
    except _NO_MATCH as error:
        raise Internal("the signer answered a certification request that cannot be read") from error
    if not good:
        raise Internal("the signer answered a certification request with a wrong signature")


def crl_serials(der: bytes) -> frozenset[str]:
    """Return the serial numbers that a CRL lists, lower-case hexadecimal."""
    return frozenset(f"{entry.serial_number:x}" for entry in x509.load_der_x509_crl(der))


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def outside_issuer_id(der: bytes) -> str:
    """Return the name under which an outside issuer's serial numbers are kept apart."""
    return "outside:" + hashlib.sha256(x509.load_der_x509_certificate(der).issuer.public_bytes()).hexdigest()
