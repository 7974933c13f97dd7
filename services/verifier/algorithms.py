"""Signature algorithms: what an identifier means, whether the mathematics holds, and whether it is still allowed.

What is allowed, and until when, is said by a policy (`algorithm_policy`). An algorithm outside it is a policy result with
a warning: its mathematics is still checked, so that an old signature is told apart from a forged one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.verifier import algorithm_policy
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose, Row
from services.verifier.domain import Code, Notice, SubIndication
from services.verifier.formats import ber
from services.verifier.formats.ber import BerError, Node
from services.verifier.formats.cms import AlgorithmIdentifier, CertificateReference, algorithm

_DIGESTS: dict[str, tuple[str, str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.2.5": ("MD5", "md5", hashes.MD5()),  # noqa: S303 - recognised in order to be reported
    "1.3.14.3.2.26": ("SHA-1", "sha1", hashes.SHA1()),  # noqa: S303 - recognised in order to be reported
    "2.16.840.1.101.3.4.2.4": ("SHA-224", "sha224", hashes.SHA224()),
    "2.16.840.1.101.3.4.2.1": ("SHA-256", "sha256", hashes.SHA256()),
    "2.16.840.1.101.3.4.2.2": ("SHA-384", "sha384", hashes.SHA384()),
    "2.16.840.1.101.3.4.2.3": ("SHA-512", "sha512", hashes.SHA512()),
    "2.16.840.1.101.3.4.2.6": ("SHA-512/256", "sha512_256", hashes.SHA512_256()),
    "2.16.840.1.101.3.4.2.7": ("SHA3-224", "sha3_224", hashes.SHA3_224()),
    "2.16.840.1.101.3.4.2.8": ("SHA3-256", "sha3_256", hashes.SHA3_256()),
    "2.16.840.1.101.3.4.2.9": ("SHA3-384", "sha3_384", hashes.SHA3_384()),
    "2.16.840.1.101.3.4.2.10": ("SHA3-512", "sha3_512", hashes.SHA3_512()),
}
_BY_LABEL = {label: oid for oid, (label, _, _) in _DIGESTS.items()}
_SIGNATURES: dict[str, tuple[str, str | None]] = {
    "1.2.840.113549.1.1.1": ("RSA", None),
    "1.2.840.113549.1.1.4": ("RSA", "MD5"),
    "1.2.840.113549.1.1.5": ("RSA", "SHA-1"),
    "1.3.14.3.2.29": ("RSA", "SHA-1"),
    "1.2.840.113549.1.1.14": ("RSA", "SHA-224"),
    "1.2.840.113549.1.1.11": ("RSA", "SHA-256"),
    "1.2.840.113549.1.1.12": ("RSA", "SHA-384"),
    "1.2.840.113549.1.1.13": ("RSA", "SHA-512"),
    "1.2.840.113549.1.1.16": ("RSA", "SHA-512/256"),
    "2.16.840.1.101.3.4.3.13": ("RSA", "SHA3-224"),
    "2.16.840.1.101.3.4.3.14": ("RSA", "SHA3-256"),
    "2.16.840.1.101.3.4.3.15": ("RSA", "SHA3-384"),
    "2.16.840.1.101.3.4.3.16": ("RSA", "SHA3-512"),
    "1.2.840.113549.1.1.10": ("RSA-PSS", None),
    "1.2.840.10045.2.1": ("ECDSA", None),
    "1.2.840.10045.4.1": ("ECDSA", "SHA-1"),
    "1.2.840.10045.4.3.1": ("ECDSA", "SHA-224"),
    "1.2.840.10045.4.3.2": ("ECDSA", "SHA-256"),
    "1.2.840.10045.4.3.3": ("ECDSA", "SHA-384"),
    "1.2.840.10045.4.3.4": ("ECDSA", "SHA-512"),
    "2.16.840.1.101.3.4.3.9": ("ECDSA", "SHA3-224"),
    "2.16.840.1.101.3.4.3.10": ("ECDSA", "SHA3-256"),
    "2.16.840.1.101.3.4.3.11": ("ECDSA", "SHA3-384"),
    "2.16.840.1.101.3.4.3.12": ("ECDSA", "SHA3-512"),
    "0.4.0.127.0.7.1.1.4.1.1": ("ECDSA-plain", "SHA-1"),
    "0.4.0.127.0.7.1.1.4.1.2": ("ECDSA-plain", "SHA-224"),
    "0.4.0.127.0.7.1.1.4.1.3": ("ECDSA-plain", "SHA-256"),
    "0.4.0.127.0.7.1.1.4.1.4": ("ECDSA-plain", "SHA-384"),
    "0.4.0.127.0.7.1.1.4.1.5": ("ECDSA-plain", "SHA-512"),
    "1.2.840.10040.4.3": ("DSA", "SHA-1"),
    "2.16.840.1.101.3.4.3.2": ("DSA", "SHA-256"),
}
_MGF1 = "1.2.840.113549.1.1.8"


class AlgorithmError(ValueError):
    """An algorithm identifier is unknown, damaged, or does not fit the key or the other algorithms."""


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """`family` RSA, RSA-PSS, ECDSA, ECDSA-plain or DSA; `digest` a label such as SHA-256; `salt` octets for PSS.

    `mask` is the label of the digest in the mask generation of PSS, "" where it is the same one.
    """

    family: str
    digest: str
    salt: int = 0
    mask: str = ""

    @property
    def label(self) -> str:
        """Name for reports, such as "RSA-PKCS1v1.5/SHA-256" or "RSA-PSS/SHA-256 (MGF1/SHA-1)"."""
        masked = f" (MGF1/{self.mask})" if self.mask else ""
        return f"{'RSA-PKCS1v1.5' if self.family == 'RSA' else self.family}/{self.digest}{masked}"


def digest_label(oid: str) -> str:
    """Label of a digest's identifier, such as "SHA-256". Raises AlgorithmError."""
    if oid not in _DIGESTS:
        raise AlgorithmError(f"{oid} is not the identifier of a known digest algorithm")
    return _DIGESTS[oid][0]


def stated_digest(text: str) -> tuple[str, bytes]:
    """Label and value of a digest written as ALGORITHM:BASE64, such as "SHA-256:…" or "sha256:…". Raises AlgorithmError."""
    name, _, value = text.partition(":")
    plain = name.replace("-", "").casefold()
    label = next((one for one in _BY_LABEL if one.replace("-", "").casefold() == plain), None)
    if label is None:
        raise AlgorithmError(f"{name[:40]!r} is not the name of a known digest algorithm")
    try:
        octets = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AlgorithmError(f"what follows {name!r} is not base64") from error
    if len(octets) != hash_algorithm(label).digest_size:
        raise AlgorithmError(f"{len(octets)} octets are not a digest by {label}")
    return label, octets


def digest(label: str, *parts: bytes | memoryview) -> bytes:
    """Digest of the parts joined, by label."""
    return digest_all(label, parts)


def fits(reference: CertificateReference, der: bytes) -> bool:
    """True when the digest is this certificate's. Raises AlgorithmError."""
    return digest(digest_label(reference.digest_oid), der) == reference.digest


def hash_algorithm(label: str) -> hashes.HashAlgorithm:
    """The algorithm of a label, for hashing step by step."""
    return _DIGESTS[_BY_LABEL[label]][2]


def digest_all(label: str, parts: Iterable[bytes | memoryview]) -> bytes:
    """The same for parts that are made one after the other and never held together."""
    name, primitive = _DIGESTS[_BY_LABEL[label]][1:]
    if name in hashlib.algorithms_guaranteed:
        state = hashlib.new(name, usedforsecurity=False)
        for part in parts:
            state.update(part)
        return state.digest()
    other = hashes.Hash(primitive)
    for part in parts:
        other.update(bytes(part))
    return other.finalize()


def signature_algorithm(identifier: AlgorithmIdentifier, digest_name: str) -> SignatureAlgorithm:
    """Meaning of a SignerInfo's signatureAlgorithm beside its digestAlgorithm. Raises AlgorithmError.

    Where both name a digest they must agree: a verifier that lets them differ lets the weaker one be chosen. For a
    certificate, which names its digest once, `digest_name` is empty.
    """
    known = _SIGNATURES.get(identifier.oid)
    if known is None:
        raise AlgorithmError(f"signature algorithm {identifier.oid} is not known")
    family, named = known
    salt, mask = 0, ""
    if family == "RSA-PSS":
        named, mask, salt = _pss(identifier.parameters)
    else:
        _require_plain(identifier, family)
    if named is not None and digest_name and named != digest_name:
        raise AlgorithmError(f"digest algorithm {digest_name} and signature algorithm with {named} disagree")
    if not named and not digest_name:
        raise AlgorithmError(f"signature algorithm {identifier.oid} names no digest")
    return SignatureAlgorithm(family, named or digest_name, salt, mask if mask != named else "")


def _require_plain(identifier: AlgorithmIdentifier, family: str) -> None:
    """RFC 3370 3.2, RFC 5758 3: no parameters or NULL; with ECDSA some signers write the curve's identifier instead."""
    parameters = identifier.parameters
    if parameters is None or (parameters.tag == ber.NULL and not parameters.contents):
        return
    if family.startswith("ECDSA") and parameters.tag == ber.OID:
        return
    raise AlgorithmError(f"signature algorithm {identifier.oid} comes with parameters that it does not have")


def _pss(parameters: Node | None) -> tuple[str, str, int]:
    """RFC 4055 3.1: digest, digest of MGF1, and salt length. That both digests are one is recommended, no more."""
    hash_label, mgf_label, salt, trailer = "SHA-1", "SHA-1", 20, 1
    try:
        for member in parameters.children() if parameters is not None else ():
            inner = member.children()[0]
            if member.tag == 0xA0:
                hash_label = digest_label(algorithm(inner).oid)
            elif member.tag == 0xA1:
                generation = algorithm(inner)
                if generation.oid != _MGF1 or generation.parameters is None:
                    raise AlgorithmError("RSASSA-PSS with another mask generation function than MGF1")
                mgf_label = digest_label(algorithm(generation.parameters).oid)
            elif member.tag == 0xA2:
                salt = ber.integer(inner)
            elif member.tag == 0xA3:
                trailer = ber.integer(inner)
            else:
                raise AlgorithmError("RSASSA-PSS parameters have a member that does not belong there")
    except (BerError, IndexError) as error:
        raise AlgorithmError("RSASSA-PSS parameters cannot be read") from error
    if trailer != 1 or not 0 <= salt <= 512:
        raise AlgorithmError("RSASSA-PSS parameters are inconsistent")
    return hash_label, mgf_label, salt


def holds(key: PublicKeyTypes, scheme: SignatureAlgorithm, signature: bytes, value: bytes) -> bool:
    """True when `signature` is `key`'s over the digest `value`. Raises AlgorithmError when key and scheme do not fit."""
    primitive = _DIGESTS[_BY_LABEL[scheme.digest]][2]
    prehashed = utils.Prehashed(primitive)
    try:
        if isinstance(key, rsa.RSAPublicKey) and scheme.family == "RSA":
            key.verify(signature, value, padding.PKCS1v15(), prehashed)
        elif isinstance(key, rsa.RSAPublicKey) and scheme.family == "RSA-PSS":
            mask = padding.MGF1(hash_algorithm(scheme.mask or scheme.digest))
            key.verify(signature, value, padding.PSS(mask, scheme.salt), prehashed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme.family == "ECDSA":
            key.verify(signature, value, ec.ECDSA(prehashed))
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme.family == "ECDSA-plain":
            half = len(signature) // 2
            pair = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
            key.verify(utils.encode_dss_signature(*pair), value, ec.ECDSA(prehashed))
        elif isinstance(key, dsa.DSAPublicKey) and scheme.family == "DSA":
            key.verify(signature, value, prehashed)
        else:
            raise AlgorithmError(
                f"{scheme.family} signature, but the certificate's key is {type(key).__name__}"
            )
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError) as error:
        if isinstance(error, AlgorithmError):
            raise
        raise AlgorithmError(f"{scheme.label} cannot be checked with this key") from error
    return True


_ANY_SIZE = Row(frozenset(family for family, _ in _SIGNATURES.values()))
UNRESTRICTED = AlgorithmPolicy("none", (Row(frozenset(_BY_LABEL)),), (_ANY_SIZE,))
"""Whatever can be checked is allowed: for collections of test cases that are older than today's rules."""


def read_policy(path: Path) -> AlgorithmPolicy:
    """A policy from its file. Raises PolicyFileError, also where it names an algorithm that is not known here."""
    return algorithm_policy.load(path, frozenset(_BY_LABEL), _ANY_SIZE.names)


@cache
def default_policy() -> AlgorithmPolicy:
    """The policy that comes with the verifier."""
    return read_policy(algorithm_policy.SHIPPED)


@dataclass(frozen=True, slots=True)
class Weakness:
    """An algorithm that is not allowed. `end` is the first moment at which it was not any more; None: it never was.

    `late`: what it made is surely younger than that, so that no proof of existence can cure it.
    """

    notice: Notice
    end: datetime | None
    late: bool = False

    def late_after(self, moment: datetime) -> bool:
        """True where what was not made before this moment was made after the end."""
        return self.end is not None and moment >= self.end


def faults(
    key: PublicKeyTypes | None,
    family: str,
    digest_name: str,
    policy: AlgorithmPolicy,
    purpose: Purpose,
    at: datetime,
) -> tuple[Weakness, ...]:
    """What `policy` does not allow for `purpose` at `at`. `family` or `digest_name` "", `key` None: not asked for."""
    found: list[Weakness] = []
    if digest_name:
        end = policy.digest_end(digest_name, purpose)
        code = Code.ALG_SHA1 if digest_name == "SHA-1" else Code.ALG_WEAK
        _add(found, Notice(code, digest_name), end, at)
    if key is not None:
        families, bits, words = _measure(key, family)
        _add(found, Notice(Code.ALG_WEAK, words), policy.signature_end(families, bits, purpose), at)
    elif family:
        _add(found, Notice(Code.ALG_WEAK, family), policy.signature_end({family}, None, purpose), at)
    return tuple(found)


def scheme_faults(
    scheme: SignatureAlgorithm,
    policy: AlgorithmPolicy,
    purpose: Purpose,
    at: datetime,
    key: PublicKeyTypes | None = None,
) -> tuple[Weakness, ...]:
    """What `policy` does not allow of a signature by `scheme`, and with a `key` of this one too.

    Policies have no rows for masks. Theirs for digests name what a signature may rest on, and PSS rests on its mask
    as well: the digest that makes it is held to the same rows.
    """
    found = faults(key, scheme.family, scheme.digest, policy, purpose, at)
    return (*found, *faults(None, "", scheme.mask, policy, purpose, at))


def verdict_on(found: Sequence[Weakness], not_before: datetime | None = None) -> SubIndication:
    """Table 6 of EN 319 102-1 for what these algorithms made.

    `not_before` is a time before which all of it surely was not made (None: unknown).
    """
    if any(one.late or (not_before is not None and one.late_after(not_before)) for one in found):
        return SubIndication.CRYPTO_CONSTRAINTS_FAILURE
    return SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE


def _add(found: list[Weakness], notice: Notice, end: datetime | None, at: datetime) -> None:
    if end is None or at >= end:
        found.append(Weakness(notice, end))


def _measure(key: PublicKeyTypes, family: str) -> tuple[frozenset[str], int | None, str]:
    """The families that the key may be used with, narrowed to the one stated; its size, and both in words."""
    if isinstance(key, rsa.RSAPublicKey):
        kind, bits, words = frozenset({"RSA", "RSA-PSS"}), key.key_size, f"RSA of {key.key_size} bits"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, bits = frozenset({"ECDSA", "ECDSA-plain"}), key.key_size
        words = f"elliptic curve of {key.key_size} bits"
    elif isinstance(key, dsa.DSAPublicKey):
        kind, bits, words = frozenset({"DSA"}), key.key_size, f"DSA of {key.key_size} bits"
    else:
        return frozenset({family}), None, family or type(key).__name__
    return kind & {family} if family else kind, bits, words


def weaknesses(
    key: PublicKeyTypes | None,
    family: str,
    digest_name: str,
    policy: AlgorithmPolicy | None = None,
    at: datetime | None = None,
    purpose: Purpose = Purpose.SIGNATURE,
) -> tuple[Notice, ...]:
    """Warnings for what `policy` (None: the shipped one) does not allow at `at` (None: for ever); P-1.3."""
    moment = datetime.max.replace(tzinfo=UTC) - timedelta(days=1) if at is None else at
    chosen = default_policy() if policy is None else policy
    return tuple(one.notice for one in faults(key, family, digest_name, chosen, purpose, moment))
