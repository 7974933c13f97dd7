"""What an OCSP response says of a certificate (RFC 6960), read without a clock: whoever asks decides on freshness."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.verifier import algorithms
from services.verifier.algorithms import SignatureAlgorithm
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError, Node
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate, CertificateError
from services.verifier.x509.issuance import signed_by
from services.verifier.x509.revocation import UNREADABLE

MAX_RESPONSE_BYTES = 1024 * 1024
MAX_RESPONSES = 64
MAX_RESPONDER_CERTIFICATES = 8
_DIGESTS = frozenset({"sha1", "sha256", "sha384", "sha512"})


class OcspRefused(Exception):
    """The response says nothing that can be relied on; the message is a clause that says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response by who may give it. `responder` is the delegated responder's certificate; None: the CA's own key."""

    response: ocsp.OCSPResponse
    single: ocsp.OCSPSingleResponse
    responder: Certificate | None
    scheme: SignatureAlgorithm


def authentic(der: bytes, certificate: Certificate, issuer: Certificate) -> Answer:
    """What the response says of the certificate, signed by who may: the issuer, or whom it made a responder.

    Whether the responder is revoked, whether the answer is fresh or has the right nonce, and whether its algorithm may
    be relied on, is not looked at. Raises OcspRefused.
    """
    if len(der) > MAX_RESPONSE_BYTES:
        raise OcspRefused(f"the OCSP response has more than {MAX_RESPONSE_BYTES} bytes")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspRefused(f"the responder says {response.response_status.name.lower()}")
        single = _own(response, certificate, issuer)
        for extension in response.extensions:
            if extension.critical and not isinstance(extension.value, x509.OCSPNonce):
                raise OcspRefused("the OCSP response has a critical extension that is not known")
        responder = _responder(response, issuer)
        scheme = _require_signature(der, response, responder or issuer)
    except (*UNREADABLE, BerError, CertificateError, algorithms.AlgorithmError) as error:
        raise OcspRefused("the OCSP response cannot be read") from error
    return Answer(response, single, responder, scheme)


@lru_cache(maxsize=1024)
def answer_for(der: bytes, certificate: Certificate, issuer: Certificate) -> Answer | None:
    """The same for a response that somebody kept; None where it says nothing of the certificate."""
    try:
        answer = authentic(der, certificate, issuer)
    except OcspRefused:
        return None
    # Nobody knows any more which nonce was asked for.
    return None if any(extension.critical for extension in answer.response.extensions) else answer


def _own(
    response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate
) -> ocsp.OCSPSingleResponse:
    """The one response about this certificate: serial number, and digests of the issuer's name and key."""
    for count, single in enumerate(response.responses):
        if count >= MAX_RESPONSES:
            break
        if single.serial_number == certificate.parsed.serial_number and _names_issuer(single, issuer):
            return single
    raise OcspRefused("the OCSP response is about another certificate")


def _names_issuer(single: ocsp.OCSPSingleResponse, issuer: Certificate) -> bool:
    name = single.hash_algorithm.name
    if name not in _DIGESTS:
        return False
    return single.issuer_name_hash == _hashed(
        name, issuer.subject_octets
    ) and single.issuer_key_hash == _hashed(name, _key_bits(issuer))


def _responder(response: ocsp.OCSPResponse, issuer: Certificate) -> Certificate | None:
    """Who is entitled to answer (RFC 6960 4.2.2.2). None: the issuer."""
    if _is_named(response, issuer):
        return None
    for parsed in response.certificates[:MAX_RESPONDER_CERTIFICATES]:
        candidate = certificates.load(parsed.public_bytes(Encoding.DER))
        if _is_named(response, candidate):
            _require_delegated(candidate, issuer, response)
            return candidate
    raise OcspRefused(
        "the OCSP response is neither by the issuer nor by a responder whose certificate it holds"
    )


def _require_delegated(responder: Certificate, issuer: Certificate, response: ocsp.OCSPResponse) -> None:
    if responder.issuer_key != issuer.subject_key or not signed_by(responder, issuer):
        raise OcspRefused("the OCSP responder's certificate is not by the certificate's issuer")
    if not is_responder(responder):
        raise OcspRefused("the OCSP responder's certificate is not for signing OCSP responses")
    if not responder.not_before <= response.produced_at_utc <= responder.not_after:
        raise OcspRefused("the OCSP responder's certificate was outside its validity")
    try:
        usage = responder.extensions().get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not (usage.digital_signature or usage.content_commitment):
        raise OcspRefused("the OCSP responder's key may not sign")


def is_responder(certificate: Certificate) -> bool:
    """True where the extended key usage names OCSP signing. Raises CertificateError."""
    try:
        usages = certificate.extensions().get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages


def needs_no_status(certificate: Certificate) -> bool:
    """True for a responder whose CA says that its status need not be asked for (RFC 6960 4.2.2.2.1).

    Raises CertificateError.
    """
    has = any(isinstance(one.value, x509.OCSPNoCheck) for one in certificate.extensions())
    return has and is_responder(certificate)


def _is_named(response: ocsp.OCSPResponse, certificate: Certificate) -> bool:
    if response.responder_name is not None:
        return certificates.name_key(response.responder_name) == certificate.subject_key
    return response.responder_key_hash == _hashed("sha1", _key_bits(certificate))


def _require_signature(der: bytes, response: ocsp.OCSPResponse, signer: Certificate) -> SignatureAlgorithm:
    """RFC 6960 4.2.1: BasicOCSPResponse.signature over tbsResponseData."""
    # OCSPResponse > [0] > ResponseBytes > response > BasicOCSPResponse > signatureAlgorithm, signature
    response_bytes = ber.load(der)[0].children()[1].children()[0].children()
    basic = ber.load(response_bytes[1].contents)[0].children()
    scheme = algorithms.signature_algorithm(cms.algorithm(basic[1]), "")
    value = algorithms.digest(scheme.digest, response.tbs_response_bytes)
    if not algorithms.holds(signer.public_key(), scheme, whole_octets(basic[2]), value):
        raise OcspRefused("the signature on the OCSP response is not the responder's")
    return scheme


def whole_octets(bits: Node) -> bytes:
    """A BIT STRING of whole octets, as every signature is. Raises BerError."""
    contents = bits.expect(ber.BIT_STRING, "signature").contents
    if contents[:1] != b"\0":
        raise BerError("a signature value with unused bits")
    return contents[1:]


def _key_bits(certificate: Certificate) -> bytes:
    """The subjectPublicKey without its tag, length and count of unused bits (RFC 6960 4.1.1)."""
    return ber.load(certificate.key_info)[0].children()[1].contents[1:]


def _hashed(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data, usedforsecurity=False).digest()
