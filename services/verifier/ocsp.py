"""What an OCSP response says of a certificate (RFC 6960), read without a clock: whoever asks decides on freshness."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.verifier import algorithms, certificates, path
from services.verifier.certificates import Certificate, CertificateError
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.revocation import UNREADABLE

MAX_RESPONSE_BYTES = 1024 * 1024
MAX_RESPONSES = 64
MAX_RESPONDER_CERTIFICATES = 8
_DIGESTS = frozenset({"sha1", "sha256", "sha384", "sha512"})


@lru_cache(maxsize=1024)
def load(der: bytes) -> ocsp.OCSPResponse | None:
    """A successful response from DER, None where it is none."""
    if len(der) > MAX_RESPONSE_BYTES:
        return None
    try:
        response = ocsp.load_der_ocsp_response(der)
    except UNREADABLE:
        return None
    return response if response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL else None


@lru_cache(maxsize=1024)
def answer_for(
    der: bytes, certificate: Certificate, issuer: Certificate
) -> tuple[ocsp.OCSPSingleResponse, Certificate | None] | None:
    """What the response says of the certificate, and the delegated responder's certificate if one answered.

    None where it is of another certificate, not readable, or not signed by who may: the issuer, or a responder that
    the issuer's key certified for this (RFC 6960 4.2.2.2). Whether that responder is revoked is not looked at.
    """
    response = load(der)
    if response is None:
        return None
    try:
        single = _own(response, certificate, issuer)
        if single is None or any(e.critical for e in response.extensions):
            return None
        responder = _responder(response, issuer)
        if responder is None or not _signed_by(der, response, responder):
            return None
    except (*UNREADABLE, BerError, CertificateError, algorithms.AlgorithmError):
        # What cannot be read or checked says nothing of any certificate.
        return None
    return single, None if responder is issuer else responder


def _own(
    response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate
) -> ocsp.OCSPSingleResponse | None:
    for count, single in enumerate(response.responses):
        if count >= MAX_RESPONSES:
            return None
        if single.serial_number == certificate.parsed.serial_number and _names_issuer(single, issuer):
            return single
    return None


def _names_issuer(single: ocsp.OCSPSingleResponse, issuer: Certificate) -> bool:
    name = single.hash_algorithm.name
    if name not in _DIGESTS:
        return False
    subject = issuer.parsed.subject.public_bytes()
    return single.issuer_name_hash == _hashed(name, subject) and single.issuer_key_hash == _hashed(
        name, _key_bits(issuer)
    )


def _responder(response: ocsp.OCSPResponse, issuer: Certificate) -> Certificate | None:
    if _is_named(response, issuer):
        return issuer
    for parsed in response.certificates[:MAX_RESPONDER_CERTIFICATES]:
        candidate = certificates.load(parsed.public_bytes(Encoding.DER))
        if _is_named(response, candidate):
            return candidate if _is_delegated(candidate, issuer, response) else None
    return None


def _is_delegated(responder: Certificate, issuer: Certificate, response: ocsp.OCSPResponse) -> bool:
    if responder.issuer_key != issuer.subject_key or not path.signed_by(responder, issuer):
        return False
    if not responder.not_before <= response.produced_at_utc <= responder.not_after:
        return False
    try:
        usages = responder.extensions().get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages


def needs_no_status(responder: Certificate) -> bool:
    """True where the CA says that the responder's own status need not be asked for (RFC 6960 4.2.2.2.1)."""
    try:
        return any(isinstance(extension.value, x509.OCSPNoCheck) for extension in responder.extensions())
    except CertificateError:
        return False


def _is_named(response: ocsp.OCSPResponse, certificate: Certificate) -> bool:
    if response.responder_name is not None:
        return certificates.name_key(response.responder_name) == certificate.subject_key
    return response.responder_key_hash == _hashed("sha1", _key_bits(certificate))


def _signed_by(der: bytes, response: ocsp.OCSPResponse, signer: Certificate) -> bool:
    """RFC 6960 4.2.1: BasicOCSPResponse.signature over tbsResponseData."""
    # OCSPResponse > [0] > ResponseBytes > response > BasicOCSPResponse > signatureAlgorithm, signature
    response_bytes = ber.load(der)[0].children()[1].children()[0].children()
    basic = ber.load(response_bytes[1].contents)[0].children()
    scheme = algorithms.signature_algorithm(cms.algorithm(basic[1]), "")
    if algorithms.weaknesses(None, scheme.family, scheme.digest):
        return False
    value = algorithms.digest(scheme.digest, response.tbs_response_bytes)
    return algorithms.holds(signer.public_key(), scheme, response.signature, value)


def _key_bits(certificate: Certificate) -> bytes:
    """The subjectPublicKey without its tag, length and count of unused bits (RFC 6960 4.1.1)."""
    return ber.load(certificate.key_info)[0].children()[1].contents[1:]


def _hashed(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data, usedforsecurity=False).digest()
