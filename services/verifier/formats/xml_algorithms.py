"""Algorithm names of XML signatures (RFC 9231, XMLDSig 1.1), and the proof that a value is a key's."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from lxml import etree

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.formats.xml_input import DS, XmlError, text_of

_2000 = "http://www.w3.org/2000/09/xmldsig#"
_2001 = "http://www.w3.org/2001/04/xmldsig-more#"
_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
_2021 = "http://www.w3.org/2021/04/xmldsig-more#"
_11 = "http://www.w3.org/2009/xmldsig11#"
_NEW = "http://www.aleksey.com/xmlsec/2025/12/xmldsig-more#"
"""Names that xmlsec gives to what no standard has named for XML yet."""
_ENC = "http://www.w3.org/2001/04/xmlenc#"

DIGESTS = {
    f"{_2001}md5": "MD5",
    f"{_2000}sha1": "SHA-1",
    f"{_2001}sha224": "SHA-224",
    f"{_ENC}sha256": "SHA-256",
    f"{_2001}sha384": "SHA-384",
    f"{_ENC}sha512": "SHA-512",
} | {f"{_2007}sha3-{bits}": f"SHA3-{bits}" for bits in (224, 256, 384, 512)}

DIGEST_OIDS = {
    "MD5": "1.2.840.113549.2.5",
    "SHA-1": "1.3.14.3.2.26",
    "SHA-224": "2.16.840.1.101.3.4.2.4",
    "SHA-256": "2.16.840.1.101.3.4.2.1",
    "SHA-384": "2.16.840.1.101.3.4.2.2",
    "SHA-512": "2.16.840.1.101.3.4.2.3",
    "SHA3-224": "2.16.840.1.101.3.4.2.7",
    "SHA3-256": "2.16.840.1.101.3.4.2.8",
    "SHA3-384": "2.16.840.1.101.3.4.2.9",
    "SHA3-512": "2.16.840.1.101.3.4.2.10",
}
_SHA2 = {"224": "SHA-224", "256": "SHA-256", "384": "SHA-384", "512": "SHA-512"}
_SHA3 = {f"sha3-{bits}": f"SHA3-{bits}" for bits in (224, 256, 384, 512)}
_SALT = {label: len(algorithms.digest(label, b"")) for label in DIGESTS.values()}
_METHODS: dict[str, SignatureAlgorithm] = {
    f"{_2001}rsa-md5": SignatureAlgorithm("RSA", "MD5"),
    f"{_2000}rsa-sha1": SignatureAlgorithm("RSA", "SHA-1"),
    f"{_2000}dsa-sha1": SignatureAlgorithm("DSA", "SHA-1"),
    f"{_11}dsa-sha256": SignatureAlgorithm("DSA", "SHA-256"),
    f"{_2001}ecdsa-sha1": SignatureAlgorithm("ECDSA", "SHA-1"),
    f"{_2007}sha1-rsa-MGF1": SignatureAlgorithm("RSA-PSS", "SHA-1", 20),
    f"{_2021}eddsa-ed25519": SignatureAlgorithm("Ed25519", ""),
    f"{_2021}eddsa-ed448": SignatureAlgorithm("Ed448", ""),
    **{f"{_NEW}ml-dsa-{size}": SignatureAlgorithm(f"ML-DSA-{size}", "") for size in (44, 65, 87)},
}
for _bits, _label in _SHA2.items():
    _METHODS[f"{_2001}rsa-sha{_bits}"] = SignatureAlgorithm("RSA", _label)
    _METHODS[f"{_2001}ecdsa-sha{_bits}"] = SignatureAlgorithm("ECDSA", _label)
    _METHODS[f"{_2007}sha{_bits}-rsa-MGF1"] = SignatureAlgorithm("RSA-PSS", _label, _SALT[_label])
for _name, _label in _SHA3.items():
    _METHODS[f"{_2021}ecdsa-{_name}"] = SignatureAlgorithm("ECDSA", _label)
    _METHODS[f"{_2007}{_name}-rsa-MGF1"] = SignatureAlgorithm("RSA-PSS", _label, _SALT[_label])
_PSS = f"{_2007}rsa-pss"
_MGF1 = f"{_2007}MGF1"


Holds = Callable[[PublicKeyTypes, bytes, bytes], bool]
"""Whether a value (second) is a key's over these octets. Raises AlgorithmError where key and method do not fit."""


class UnknownMethod(ValueError):
    """A signature or digest method that is not known; the message names it."""


class KeyedHash(ValueError):
    """An HMAC: whoever can check it can make it, so that it shows nothing of a signer."""


@dataclass(frozen=True, slots=True)
class Method:
    """A SignatureMethod with the octets that it is over and the value."""

    scheme: SignatureAlgorithm
    octets: bytes
    value: bytes

    def holds(self, key: PublicKeyTypes) -> bool:
        """True when the value is the key's. Raises AlgorithmError where key and method do not fit."""
        family = self.scheme.family
        if family in _PURE:
            return _PURE[family](key, self.value, self.octets)
        value = self.value
        if family in ("ECDSA", "DSA"):
            value = _der(value, key.key_size if isinstance(key, ec.EllipticCurvePublicKey) else 256)
        digest = algorithms.digest(self.scheme.digest, self.octets)
        return algorithms.holds(key, self.scheme, value, digest)


def scheme_of(method: etree._Element) -> SignatureAlgorithm:
    """What a SignatureMethod names. Raises UnknownMethod, KeyedHash, XmlError."""
    name = method.get("Algorithm", "")
    if "hmac" in name.lower():
        raise KeyedHash("the signature method is an HMAC, which proves no signer")
    if method.find(f"{DS}HMACOutputLength") is not None:
        raise XmlError("HMACOutputLength stands in a method that is no HMAC")
    if name == _PSS:
        return _pss(method)
    if name not in _METHODS:
        raise UnknownMethod(f"signature method {name[:120]} is not known")
    if any(str(child.tag).endswith("ContextString") for child in method):
        raise UnknownMethod("signature methods with a context string are not supported")
    return _METHODS[name]


def digest_of(parent: etree._Element, namespace: str = DS) -> str:
    """Label of the digest that a DigestMethod in this element names. Raises UnknownMethod, XmlError."""
    methods = [child for child in parent if child.tag == f"{namespace}DigestMethod"]
    if len(methods) != 1:
        raise XmlError("there is not exactly one DigestMethod")
    name = methods[0].get("Algorithm", "")
    if name not in DIGESTS:
        raise UnknownMethod(f"digest method {name[:120]} is not known")
    return DIGESTS[name]


def octets_of(element: etree._Element | None, what: str) -> bytes:
    """Base64 of an element's text, which must be written the one right way. Raises XmlError.

    Bits that decoding drops could be changed unseen; white space is left free, as everywhere in XML signatures.
    """
    if element is None:
        raise XmlError(f"{what} is missing")
    if len(element):
        raise XmlError(f"{what} holds more than text")
    text = "".join((element.text or "").split())
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise XmlError(f"{what} is not base64") from error
    if base64.b64encode(octets).decode() != text:
        raise XmlError(f"{what} is base64 with bits that mean nothing")
    return octets


def _pss(method: etree._Element) -> SignatureAlgorithm:
    """RFC 9231 2.3.9: RSASSA-PSS with its parameters spelled out; SHA-256 and the digest's length by default."""
    parameters = method.find(f"{{{_2007}}}RSAPSSParams")
    label, salt = "SHA-256", -1
    if parameters is not None:
        if parameters.find(f"{DS}DigestMethod") is not None:
            label = digest_of(parameters)
        generation = parameters.find(f"{{{_2007}}}MaskGenerationFunction")
        if generation is not None and (
            generation.get("Algorithm") != _MGF1 or (len(generation) > 0 and digest_of(generation) != label)
        ):
            raise UnknownMethod("RSASSA-PSS with another mask generation than MGF1 by the same digest")
        if parameters.findtext(f"{{{_2007}}}TrailerField", "1").strip() != "1":
            raise UnknownMethod("RSASSA-PSS with another trailer field than 1")
        length = parameters.findtext(f"{{{_2007}}}SaltLength", "").strip()
        if length:
            if not (length.isascii() and length.isdigit() and len(length) <= 3):
                raise XmlError("the salt length of RSASSA-PSS is not a small number")
            salt = int(length)
    return SignatureAlgorithm("RSA-PSS", label, _SALT[label] if salt < 0 else salt)


def _der(value: bytes, bits: int) -> bytes:
    """R and s, side by side in XML (XMLDSig 1.1 6.4.2 and 6.4.3), as DER."""
    half = len(value) // 2
    # Some signers write both numbers longer than the key's, with zero octets before them.
    surplus = max(half - (bits + 7) // 8, 0)
    if not value or len(value) % 2 or any(value[:surplus]) or any(value[half : half + surplus]):
        raise AlgorithmError("the signature value is not two numbers of the key's length")
    return utils.encode_dss_signature(
        int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big")
    )


def _ed25519(key: PublicKeyTypes, value: bytes, octets: bytes) -> bool:
    return _edwards(key if isinstance(key, ed25519.Ed25519PublicKey) else None, value, octets)


def _ed448(key: PublicKeyTypes, value: bytes, octets: bytes) -> bool:
    return _edwards(key if isinstance(key, ed448.Ed448PublicKey) else None, value, octets)


def _edwards(
    key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | None, value: bytes, octets: bytes
) -> bool:
    if key is None:
        raise AlgorithmError("an EdDSA signature, but the key is another")
    try:
        key.verify(value, octets)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError) as error:
        raise AlgorithmError("the EdDSA signature cannot be checked with this key") from error
    return True


def _ml_dsa(wanted: type[mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey]) -> Holds:
    def holds(key: PublicKeyTypes, value: bytes, octets: bytes) -> bool:
        if not isinstance(key, wanted):
            raise AlgorithmError("an ML-DSA signature, but the key is another")
        try:
            key.verify(value, octets)
        except InvalidSignature:
            return False
        except (UnsupportedAlgorithm, ValueError) as error:
            raise AlgorithmError("the ML-DSA signature cannot be checked with this key") from error
        return True

    return holds


_PURE: dict[str, Holds] = {
    "Ed25519": _ed25519,
    "Ed448": _ed448,
    "ML-DSA-44": _ml_dsa(mldsa.MLDSA44PublicKey),
    "ML-DSA-65": _ml_dsa(mldsa.MLDSA65PublicKey),
    "ML-DSA-87": _ml_dsa(mldsa.MLDSA87PublicKey),
}


def number_of(element: etree._Element | None, what: str) -> int:
    """A CryptoBinary: an unsigned number, big-endian. Raises XmlError."""
    return int.from_bytes(octets_of(element, what), "big")


def plain_text(element: etree._Element | None) -> str:
    """Text of an element without white space around it; empty where there is no element."""
    return text_of(element).strip() if element is not None else ""
