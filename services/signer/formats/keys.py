"""Signature values and the certificates' keys: what every format verifies before it releases a signature."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from services.kernel.errors import AlgorithmMismatch, FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.errors import SelfCheckFailed

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

HASHES: dict[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}


def signer_certificate(
    chain: tuple[bytes, ...], algorithm: SigningAlgorithm
) -> tuple[x509.Certificate, PublicKey]:
    """Read the signer's certificate, the first of the chain, and its key.

    Raises FieldInvalid where it cannot be read, AlgorithmMismatch where its key cannot sign by the algorithm.
    """
    try:
        leaf = x509.load_der_x509_certificate(chain[0])
        key = leaf.public_key()
    except (ValueError, TypeError) as error:
        raise FieldInvalid(
            "the signer's certificate chain is not DER X.509", field="certificate_chain"
        ) from error
    if not isinstance(key, PublicKey) or not fits(key, algorithm.scheme):
        raise AlgorithmMismatch(
            f"{algorithm.label} does not fit the key in the signer's certificate", field="signature_scheme"
        )
    return leaf, key


def fits(key: PublicKey, scheme: SignatureScheme) -> bool:
    """Say whether a key of that type signs by the scheme."""
    return isinstance(key, ec.EllipticCurvePublicKey if scheme is SignatureScheme.ECDSA else rsa.RSAPublicKey)


def verify_value(key: PublicKey, algorithm: SigningAlgorithm, data: bytes, signature: bytes) -> None:
    """Verify a signature value over data (not its digest), or raise SelfCheckFailed.

    ECDSA values are DER ECDSA-Sig-Value (RFC 3279 section 2.2.3); the salt of RSA-PSS is as long as the digest.
    """
    chosen = HASHES[algorithm.digest]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(chosen))
        elif algorithm.scheme is SignatureScheme.RSA_PSS:
            key.verify(signature, data, padding.PSS(padding.MGF1(chosen), algorithm.digest.size), chosen)
        else:
            key.verify(signature, data, padding.PKCS1v15(), chosen)
    except InvalidSignature as error:
        raise SelfCheckFailed(
            "the signature value does not verify with the key in the signer's certificate"
        ) from error
