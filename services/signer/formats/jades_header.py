"""The protected header of a JAdES signature (ETSI TS 119 182-1 section 5) and the algorithms of JWA (RFC 7518).

The claimed signing time is `iat`: TS 119 182-1 V1.2.1 section 5.1.11 demands it of signatures made since 2025-05-15
and forbids `sigT` from then on. `typ` is left out, because the same signature may be written compact first and as
JSON later. `crit` names what must be understood to know what is signed: sigD (section 5.1.9) and b64 (RFC 7797
section 6).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from services.kernel.errors import AlgorithmMismatch, FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.jades_json import to_base64url
from services.signer.formats.keys import PublicKey, signer_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from services.signer.formats.format import Document

BY_URI_HASH = "http://uri.etsi.org/19182/ObjectIdByURIHash"
"""TS 119 182-1 section 5.2.8.3.3: names and digests of the contents, no payload."""
HASH_NAMES = {
    DigestAlgorithm.SHA256: "S256",
    DigestAlgorithm.SHA384: "S384",
    DigestAlgorithm.SHA512: "S512",
}
"""Names of digests in `hashM` and `x5t#o`."""
_JWA_PREFIX = {
    SignatureScheme.RSA_PKCS1V15: "RS",
    SignatureScheme.RSA_PSS: "PS",
    SignatureScheme.ECDSA: "ES",
}
_CURVE_BITS = {DigestAlgorithm.SHA256: 256, DigestAlgorithm.SHA384: 384, DigestAlgorithm.SHA512: 521}
_MAX_MEDIA_TYPE = 255


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a certificate chain and an algorithm contribute to every header."""

    public_key: PublicKey
    fields: str
    """JSON text of the members alg, x5t#S256 or x5t#o, and x5c, without braces."""


@lru_cache(maxsize=256)
def contribution(chain: tuple[bytes, ...], algorithm: SigningAlgorithm) -> Contribution:
    """Write the constant members. Raises FieldInvalid for a bad chain, AlgorithmMismatch for what JWA has no name."""
    _, key = signer_certificate(chain, algorithm)
    name = _JWA_PREFIX[algorithm.scheme] + HASH_NAMES[algorithm.digest][1:]
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size != _CURVE_BITS[algorithm.digest]:
        # RFC 7518 section 3.4 ties each curve to one digest.
        raise AlgorithmMismatch(
            f"a JSON signature by {name} needs another curve than the {key.key_size}-bit one of the signer's key: "
            "take SHA-256 with P-256 and SHA-384 with P-384",
            field="digest_algorithm",
        )
    fingerprint = to_base64url(algorithm.digest.digest(chain[0]))
    members: dict[str, Any] = {"alg": name}
    if algorithm.digest is DigestAlgorithm.SHA256:
        members["x5t#S256"] = fingerprint
    else:
        members["x5t#o"] = {"digAlg": HASH_NAMES[algorithm.digest], "digVal": fingerprint}
    # RFC 7515 section 4.1.6: x5c is plain base64, not base64url.
    members["x5c"] = [base64.b64encode(certificate).decode("ascii") for certificate in chain]
    return Contribution(key, _written(members)[1:-1])


def protected_header(fields: str, moment: datetime, more: dict[str, Any]) -> str:
    """Put a header together and return its base64url text; `more` are the members that differ by signature."""
    members = _written({"iat": int(moment.timestamp()), **more})
    return to_base64url(f"{{{fields},{members[1:]}".encode())


def content_type(media_type: str) -> str:
    """Shorten a media type as RFC 7515 section 4.1.10 recommends. Raises FieldInvalid where it is none."""
    if len(media_type) > _MAX_MEDIA_TYPE or not media_type.isascii() or not media_type.isprintable():
        raise FieldInvalid("a media type has at most 255 printable ASCII characters", field="media_type")
    short = media_type.removeprefix("application/")
    return media_type if "/" in short else short


def signed_data(
    contents: tuple[Document, ...], algorithm: DigestAlgorithm, *, encoded: bool
) -> dict[str, Any]:
    """Describe detached contents (`sigD`): names, digests, media types.

    Not `encoded`: digests of the contents' bytes (b64=false). Encoded: of their base64url text (section 5.2.8.3.3).
    """
    names = [content.name for content in contents]
    if not all(names) or len(set(names)) != len(names):
        raise FieldInvalid(
            "a detached JSON signature refers to its contents by name: give each file a name of its own",
            field="file_name",
        )
    described: dict[str, Any] = {
        "mId": BY_URI_HASH,
        "pars": names,
        "hashM": HASH_NAMES[algorithm],
        "hashV": [to_base64url(content_digest(content, algorithm, encoded=encoded)) for content in contents],
    }
    if any(content.media_type for content in contents):
        described["ctys"] = [
            content_type(content.media_type or "application/octet-stream") for content in contents
        ]
    return described


def content_digest(content: Document, algorithm: DigestAlgorithm, *, encoded: bool) -> bytes:
    """Hash one detached content, or its base64url text."""
    if not encoded:
        return content.hash(algorithm).digest()
    if content.known_digest is not None:
        raise FieldInvalid(
            "the signatures that are there hash the content's base64url text, so its digest does not help: send "
            "the content",
            field="content_digest",
        )
    return algorithm.digest(to_base64url(content.read()).encode())


def fixed_length(key: PublicKey, signature: bytes) -> bytes:
    """Turn a CMS signature value into that of JWA: ECDSA becomes r and s of the curve's length (RFC 7518 3.4)."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return signature
    size = (key.key_size + 7) // 8
    first, second = decode_dss_signature(signature)
    return first.to_bytes(size, "big") + second.to_bytes(size, "big")


def as_der(key: PublicKey, value: bytes) -> bytes:
    """Turn a JWA signature value into the one that CMS carries; raise ValueError where its length is wrong."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return value
    size = (key.key_size + 7) // 8
    if len(value) != 2 * size:
        raise ValueError("an ECDSA value of a wrong length")
    return encode_dss_signature(int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big"))


def _written(members: dict[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
