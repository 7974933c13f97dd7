"""Signature values in CMS containers that exist already: by the embedded certificate's key, over what they say (RFC 5652 section 5.6).

Whom the certificate belongs to, and whether anybody trusts it, is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from services.kernel.errors import DocumentDamaged
from services.signer.formats import ber
from services.signer.formats.cms_container import x509_only
from services.signer.formats.cms_evidence import Holder

if TYPE_CHECKING:
    from services.signer.formats.cms_container import SignedData, SignerInfo

_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    ber.oid(dotted): algorithm
    for dotted, algorithm in (
        # Older signatures are still verified; what they are worth is said elsewhere.
        ("1.3.14.3.2.26", hashes.SHA1()),  # noqa: S303
        ("2.16.840.1.101.3.4.2.4", hashes.SHA224()),
        ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
        ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
        ("2.16.840.1.101.3.4.2.3", hashes.SHA512()),
        ("2.16.840.1.101.3.4.2.8", hashes.SHA3_256()),
        ("2.16.840.1.101.3.4.2.9", hashes.SHA3_384()),
        ("2.16.840.1.101.3.4.2.10", hashes.SHA3_512()),
    )
}
_RSASSA_PSS = ber.oid("1.2.840.113549.1.1.10")
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def require_valid(data: SignedData, info: SignerInfo) -> None:
    """Refuse a signature whose value is not by its certificate's key, or whose content in the container is another.

    One whose certificate is not in the container passes, and so does one over a detached content without signed
    attributes: neither can be said of them here. Raises DocumentDamaged.
    """
    certificates = x509_only(data.certificates)
    certificate = Holder(certificates, ()).certificate_of(info)
    content = data.content
    if content is not None and info.signed_attributes:
        require_digest(info, content)
    if certificate is None or (content is None and not info.signed_attributes):
        return
    if not any(_verifies(certificate, info, text) for text in _texts(info, content or b"")):
        raise _damaged(
            "the signature value is not by the key of the certificate in the container", "signature"
        )


def require_digest(info: SignerInfo, content: bytes) -> None:
    """Refuse a signature that is over another content than this one. Raises DocumentDamaged.

    Digests by algorithms that are not known here pass.
    """
    algorithm = _HASHES.get(_digest_oid(info))
    if algorithm is None or not info.signed_attributes:
        return
    running = hashes.Hash(algorithm)
    running.update(content)
    if running.finalize() != info.message_digest:
        raise _damaged("the content is not what was signed", "digest")


def _texts(info: SignerInfo, content: bytes) -> list[bytes]:
    """Return what the value may be over: the content, or the signed attributes as a SET OF (section 5.4)."""
    if not info.signed_attributes:
        return [content]
    attributes = [child.encoded for child in ber.children(ber.whole(info.signed_attributes))]
    # Section 5.3 demands DER, so sorted; some sign in the order that they write.
    return [ber.encode(ber.SET, *attributes), ber.encode(ber.SET, *sorted(attributes))]


def _verifies(certificate: bytes, info: SignerInfo, text: bytes) -> bool:
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except _UNREADABLE as error:
        raise _damaged("the signer's certificate cannot be read", "certificate") from error
    chosen = _HASHES.get(_digest_oid(info))
    value = info.signature_value
    try:
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(value, text)
        elif chosen is None:
            raise _damaged("it is by a digest algorithm that is not known here", "algorithm")
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, text, ec.ECDSA(chosen))
        elif isinstance(key, rsa.RSAPublicKey):
            return any(_verifies_rsa(key, value, text, chosen, form) for form in _paddings(info, chosen))
        else:
            raise _damaged("it is by a kind of key that is not known here", "algorithm")
    except InvalidSignature:
        return False
    except _UNREADABLE as error:
        raise _damaged("its algorithms do not fit each other", "algorithm") from error
    return True


def _paddings(info: SignerInfo, chosen: hashes.HashAlgorithm) -> list[padding.AsymmetricPadding]:
    if ber.children(ber.whole(info.signature_algorithm))[0].encoded != _RSASSA_PSS:
        return [padding.PKCS1v15()]
    # RFC 4055 section 3.1: the mask is by SHA-1 where the parameters name no other.
    masks: list[hashes.HashAlgorithm] = [chosen, hashes.SHA1()]  # noqa: S303
    return [padding.PSS(padding.MGF1(mask), padding.PSS.AUTO) for mask in masks]


def _verifies_rsa(
    key: rsa.RSAPublicKey,
    value: bytes,
    text: bytes,
    chosen: hashes.HashAlgorithm,
    form: padding.AsymmetricPadding,
) -> bool:
    try:
        key.verify(value, text, form, chosen)
    except InvalidSignature:
        return False
    return True


def _digest_oid(info: SignerInfo) -> bytes:
    fields = ber.children(ber.whole(info.digest_algorithm))
    return fields[0].encoded if fields else b""


def _damaged(text: str, reason: str) -> DocumentDamaged:
    return DocumentDamaged(f"a signature in the container does not verify: {text}", reason=reason)
