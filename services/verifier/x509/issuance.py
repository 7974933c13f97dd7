"""Whether the key of one certificate signed another (RFC 5280 6.1.3 a 1)."""

from __future__ import annotations

from functools import lru_cache

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.x509.certificates import Certificate, CertificateError


def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """True when the issuer's key made the certificate's signature (RFC 5280 6.1.3 a 1, 4.1.1.2)."""
    # A key with inherited parameters belongs to one path, not to the certificate: it is not remembered.
    if issuer.inherits_parameters:
        return check_signature(certificate, issuer)
    return _checked_signature(certificate, issuer)


def check_signature(certificate: Certificate, issuer: Certificate) -> bool:
    """As `signed_by`, without remembering."""
    try:
        outer = ber.load(certificate.der)[0].children()
        fields = outer[0].children()
        stated = fields[2 if fields[0].tag == 0xA0 else 1]
        if stated.encoded != outer[1].encoded:
            return False
        scheme = algorithms.signature_algorithm(cms.algorithm(outer[1]), "")
        value = algorithms.digest(scheme.digest, certificate.tbs)
        return algorithms.holds(issuer.public_key(), scheme, certificate.parsed.signature, value)
    except (BerError, AlgorithmError, CertificateError, IndexError, KeyError):
        # A signature that cannot be read or checked does not bind the certificate to this issuer.
        return False


_checked_signature = lru_cache(maxsize=4096)(check_signature)
