"""Algorithms and keys of JSON signatures (RFC 7518, RFC 8037, RFC 9864): an allow-list, each with its own keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.formats.jws_text import TextError, from_base64url

DIGESTS = {
    "S256": "SHA-256",
    "S384": "SHA-384",
    "S512": "SHA-512",
    "S3-256": "SHA3-256",
    "S3-384": "SHA3-384",
    "S3-512": "SHA3-512",
}
"""Names of digests in TS 119 182-1 (digAlg, hashM)."""
OIDS = {
    "SHA-1": "1.3.14.3.2.26",
    "SHA-256": "2.16.840.1.101.3.4.2.1",
    "SHA-384": "2.16.840.1.101.3.4.2.2",
    "SHA-512": "2.16.840.1.101.3.4.2.3",
    "SHA3-256": "2.16.840.1.101.3.4.2.8",
    "SHA3-384": "2.16.840.1.101.3.4.2.9",
    "SHA3-512": "2.16.840.1.101.3.4.2.10",
}
_SHA2 = {"256": ("SHA-256", 32), "384": ("SHA-384", 48), "512": ("SHA-512", 64)}
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_CURVE_OF = {"SHA-256": "secp256r1", "SHA-384": "secp384r1", "SHA-512": "secp521r1"}
"""RFC 7518 3.4 ties each curve to one digest."""
_EDWARDS = "Ed25519"
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_RSA_BITS = 16384


class UnknownAlgorithm(ValueError):
    """An algorithm that is not known; the message names it."""


class NoSigner(ValueError):
    """An algorithm that shows nothing of a signer: none, or a key that those who check hold too."""


def scheme_of(name: Any) -> SignatureAlgorithm:
    """What `alg` names. Raises NoSigner, UnknownAlgorithm, TextError."""
    if not isinstance(name, str) or not name:
        raise TextError("the protected header names no algorithm (alg)")
    family, size = name[:2], name[2:]
    if name.lower() == "none":
        raise NoSigner('the algorithm is "none": nothing is signed')
    if family == "HS":
        raise NoSigner("the algorithm is an HMAC, which proves no signer")
    if size in _SHA2 and family in ("RS", "PS", "ES"):
        label, length = _SHA2[size]
        if family == "PS":
            # RFC 7518 3.5: the salt is as long as the digest, MGF1 by the same digest.
            return SignatureAlgorithm("RSA-PSS", label, length)
        return SignatureAlgorithm("RSA" if family == "RS" else "ECDSA", label)
    if name in ("EdDSA", _EDWARDS):
        return SignatureAlgorithm(_EDWARDS, "SHA-512")
    raise UnknownAlgorithm(f"signature algorithm {name[:40]!r} is not known")


@dataclass(frozen=True, slots=True)
class Method:
    """A signature value with its algorithm and the octets that it is over, in parts (RFC 7515 5.1)."""

    scheme: SignatureAlgorithm
    parts: tuple[bytes, ...]
    value: bytes

    def holds(self, key: PublicKeyTypes) -> bool:
        """True when the value is the key's. Raises AlgorithmError where key and algorithm do not fit."""
        if self.scheme.family == _EDWARDS:
            return self._edwards(key)
        value = self.value
        if isinstance(key, ec.EllipticCurvePublicKey) and self.scheme.family == "ECDSA":
            value = self._numbers(key)
        return algorithms.holds(key, self.scheme, value, algorithms.digest(self.scheme.digest, *self.parts))

    def _numbers(self, key: ec.EllipticCurvePublicKey) -> bytes:
        """R and s of the curve's length, side by side (RFC 7518 3.4), as DER."""
        if key.curve.name != _CURVE_OF[self.scheme.digest]:
            raise AlgorithmError(f"{self.scheme.label} is not for keys on {key.curve.name} (RFC 7518 3.4)")
        size = (key.key_size + 7) // 8
        if len(self.value) != 2 * size:
            raise AlgorithmError("the signature value has not the length of the key's curve")
        first, second = self.value[:size], self.value[size:]
        return utils.encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))

    def _edwards(self, key: PublicKeyTypes) -> bool:
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise AlgorithmError("an Ed25519 signature, but the key is another")
        try:
            key.verify(self.value, b"".join(self.parts))
        except InvalidSignature:
            return False
        except (UnsupportedAlgorithm, ValueError) as error:
            raise AlgorithmError("the Ed25519 signature cannot be checked with this key") from error
        return True


def key_of(value: Any) -> PublicKeyTypes:
    """The public key of a `jwk` (RFC 7517, RFC 7518 6, RFC 8037 2). Raises TextError."""
    if not isinstance(value, dict):
        raise TextError("jwk is not an object")
    if value.get("kty") == "oct" or _PRIVATE & value.keys():
        raise TextError("jwk holds a secret key, where only a public one belongs")
    try:
        return _public(value)
    except TextError:
        raise
    except (UnsupportedAlgorithm, ValueError) as error:
        raise TextError("the key in jwk cannot be used") from error


def _public(value: dict[str, Any]) -> PublicKeyTypes:
    kind, curve = value.get("kty"), value.get("crv")
    if kind == "RSA":
        modulus, exponent = (int.from_bytes(_octets(value, name), "big") for name in ("n", "e"))
        if modulus.bit_length() > _MAX_RSA_BITS or exponent.bit_length() > 64:
            raise TextError("the RSA key in jwk is larger than is looked at")
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    if kind == "EC" and curve in _CURVES:
        point = b"\x04" + _octets(value, "x") + _octets(value, "y")
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve](), point)
    if kind == "OKP" and curve == _EDWARDS:
        return ed25519.Ed25519PublicKey.from_public_bytes(_octets(value, "x"))
    raise TextError("the key in jwk is of a kind that is not known")


def _octets(value: dict[str, Any], name: str) -> bytes:
    text = value.get(name)
    if not isinstance(text, str) or len(text) > _MAX_RSA_BITS:
        raise TextError(f"{name} of jwk is not a text of usual length")
    return from_base64url(text, f"{name} of jwk")
