"""The few DER structures that a PKCS#11 worker has to write, so that it need not load an ASN.1 library for them."""

from __future__ import annotations

_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
"""AlgorithmIdentifier rsaEncryption with NULL parameters (RFC 3279 section 2.3.1)."""
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")

CURVES = {bytes.fromhex("06082a8648ce3d030107"): 32, bytes.fromhex("06052b81040022"): 48}
"""DER object identifier of a curve (CKA_EC_PARAMS) -> bytes of a coordinate: P-256, P-384."""
P256, P384 = CURVES


def tlv(tag: int, content: bytes) -> bytes:
    """Encode one element with a definite length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(big_endian: bytes) -> bytes:
    """Encode a non-negative INTEGER given as big-endian bytes of any length."""
    content = big_endian.lstrip(b"\0") or b"\0"
    return tlv(0x02, b"\0" + content if content[0] & 0x80 else content)


def rsa_spki(modulus: bytes, exponent: bytes) -> bytes:
    """Encode the SubjectPublicKeyInfo of an RSA key (RFC 3279 section 2.3.1)."""
    key = tlv(0x30, integer(modulus) + integer(exponent))
    return tlv(0x30, _RSA_ENCRYPTION + tlv(0x03, b"\0" + key))


def ec_spki(params: bytes, point: bytes) -> bytes:
    """Encode the SubjectPublicKeyInfo of a P-256 or P-384 key (RFC 5480 section 2).

    `params` and `point` are CKA_EC_PARAMS and CKA_EC_POINT. The point is a DER OCTET STRING as PKCS#11 2.40 section
    2.3.3 says; tokens that give it bare are understood too. Raises ValueError for any other curve or shape.
    """
    size = CURVES.get(params)
    if size is None:
        raise ValueError("the key is not on P-256 or P-384")
    bare = 1 + 2 * size
    if len(point) == bare + 2 and point[0] == 0x04 and point[1] == bare:
        point = point[2:]
    if len(point) != bare or point[0] != 0x04:
        raise ValueError("the public point is not an uncompressed point of its curve")
    return tlv(0x30, tlv(0x30, _EC_PUBLIC_KEY + params) + tlv(0x03, b"\0" + point))


def ecdsa_signature(raw: bytes) -> bytes:
    """Turn r || s, as CKM_ECDSA gives it, into an ECDSA-Sig-Value (RFC 3279 section 2.2.3)."""
    half = len(raw) // 2
    return tlv(0x30, integer(raw[:half]) + integer(raw[half:]))
