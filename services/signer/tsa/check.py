"""Checking a time-stamp, our own or another authority's (RFC 3161 sections 2.2 and 2.4.2, RFC 5816).

Read by hand and not by the types that build our own tokens: other authorities store certificates in any order. Whether
the authority's certificate leads to a trusted anchor is the verifier's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.errors import FieldInvalid
from services.kernel.values import Digest
from services.signer import x509_der
from services.signer.tsa import structures
from services.signer.tsa.structures import IDENTIFIERS, VERSION, Request, TstInfo, imprint_of

MAX_RESPONSE_BYTES = 64 * 1024
OFF_BY = timedelta(minutes=5)
"""How far another authority's time may be from ours: further, and one of the two clocks is wrong."""

_FIELD = "time_stamp"
_SET, _OCTETS, _CONTEXT_0, _CONTEXT_1, _OID = 0x31, 0x04, 0xA0, 0xA1, 0x06
_KEY_IDENTIFIER = 0x80
_GRANTED = {0, 1}
"""granted, grantedWithMods."""
_SHA256 = hashes.SHA256()
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": _SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA_PLAIN, _RSA_PSS = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"
_IMPLIED: Mapping[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.1.1.11": _SHA256,
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
    "1.2.840.10045.4.3.2": _SHA256,
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}


class TokenRefused(Exception):
    """A token, or an answer, that is not what was asked for. The text says why."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a checked token says."""

    serial: int
    time: datetime
    policy: str
    certificate: bytes
    """The unit's, DER."""


@dataclass(frozen=True, slots=True)
class _UnitKey:
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    identifiers: frozenset[bytes]
    """How a SignerInfo may name it (RFC 5652 section 5.3), DER."""


class _Walk:
    """One after the other, the DER values inside one value."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data, self._at = data, at
        self._end = len(data) if end is None else end

    @classmethod
    def into(cls, data: bytes, tag: int) -> _Walk:
        """Walk inside the one value that `data` is."""
        outer = cls(data)
        inner = outer.inside(tag)
        outer.finish()
        return inner

    def inside(self, tag: int) -> _Walk:
        start, end = self._next(tag)
        return _Walk(self._data, start, end)

    def contents(self, tag: int) -> bytes:
        start, end = self._next(tag)
        return self._data[start:end]

    def whole(self, tag: int) -> bytes:
        at = self._at
        _, end = self._next(tag)
        return self._data[at:end]

    def optional(self, tag: int) -> _Walk | None:
        return self.inside(tag) if self._at < self._end and self._data[self._at] == tag else None

    def oid(self) -> str:
        return _dotted(self.whole(_OID))

    def number(self) -> int:
        return int.from_bytes(self.contents(x509_der.INTEGER), "big", signed=True)

    def rest(self) -> Iterable[tuple[int, bytes]]:
        """Return tag and whole encoding of each value that is left."""
        while self._at < self._end:
            at = self._at
            tag = self._data[at]
            self._next(tag)
            yield tag, self._data[at : self._at]

    def finish(self) -> None:
        if self._at != self._end:
            raise TokenRefused("the time-stamp holds something that does not belong there")

    def _next(self, tag: int) -> tuple[int, int]:
        found, start, end = x509_der.read(self._data, self._at, _FIELD)
        if found != tag or end > self._end:
            raise TokenRefused("the time-stamp is not built as RFC 3161 says")
        self._at = end
        return start, end


@lru_cache(maxsize=256)
def _dotted(oid: bytes) -> str:
    return asn1.decode_der(x509.ObjectIdentifier, oid).dotted_string


def make_request(digest: Digest, nonce: int) -> bytes:
    """Encode a TimeStampReq, DER, that asks for the certificate too."""
    return asn1.encode_der(
        Request(
            version=VERSION,
            imprint=imprint_of(digest),
            policy=None,
            nonce=nonce,
            certificates=True,
            extensions=None,
        )
    )


def check_response(response: bytes, digest: Digest, nonce: int, now: datetime) -> bytes:
    """Return the token of a TimeStampResp, DER, checked; raise TokenRefused."""
    if len(response) > MAX_RESPONSE_BYTES:
        raise TokenRefused(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")
    try:
        body = _Walk.into(response, x509_der.SEQUENCE)
        status = body.inside(x509_der.SEQUENCE).number()
        if status not in _GRANTED:
            raise TokenRefused(f"the authority refused with status {status}")
        token = body.whole(x509_der.SEQUENCE)
        body.finish()
    except (FieldInvalid, ValueError) as error:
        raise TokenRefused("the answer is not a TimeStampResp in DER") from error
    stamp = check_token(token, digest, nonce)
    if abs(stamp.time - now) > OFF_BY:
        raise TokenRefused("the authority's time is more than five minutes from ours")
    return token


def check_token(token: bytes, digest: Digest, nonce: int | None, certificates: Iterable[bytes] = ()) -> Stamp:
    """Check imprint, nonce, certificate and signature of a TimeStampToken, DER; raise TokenRefused.

    `certificates` are candidates besides those that the token holds itself.
    """
    try:
        return _check(token, digest, nonce, certificates)
    except (FieldInvalid, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TokenRefused("the time-stamp cannot be read") from error


def _check(token: bytes, digest: Digest, nonce: int | None, certificates: Iterable[bytes]) -> Stamp:
    info = _Walk.into(token, x509_der.SEQUENCE)
    _require(info.oid() == structures.ID_SIGNED_DATA.dotted_string, "the time-stamp is no SignedData")
    explicit = info.inside(_CONTEXT_0)
    info.finish()
    data = explicit.inside(x509_der.SEQUENCE)
    explicit.finish()
    data.number()
    data.inside(_SET)
    content = _content(data.inside(x509_der.SEQUENCE))
    held = data.optional(_CONTEXT_0)
    data.optional(_CONTEXT_1)
    signers = data.inside(_SET)
    data.finish()
    signer = signers.inside(x509_der.SEQUENCE)
    signers.finish()
    stated = _stated(content, digest, nonce)
    inside = [der for tag, der in held.rest() if tag == x509_der.SEQUENCE] if held is not None else []
    certificate = _signer(signer, content, [*inside, *certificates])
    unit = _unit(certificate)
    time = stated.time.as_datetime()
    _require(unit.not_before <= time <= unit.not_after, "its time is outside the validity of its certificate")
    return Stamp(stated.serial, time, stated.policy.dotted_string, certificate)


def _content(encapsulated: _Walk) -> bytes:
    _require(encapsulated.oid() == structures.ID_TST_INFO.dotted_string, "the signed content is no TSTInfo")
    explicit = encapsulated.inside(_CONTEXT_0)
    encapsulated.finish()
    content = explicit.contents(_OCTETS)
    explicit.finish()
    return content


def _stated(content: bytes, digest: Digest, nonce: int | None) -> TstInfo:
    stated = asn1.decode_der(TstInfo, content)
    _require(stated.version == VERSION, "the TSTInfo is of another version than 1")
    algorithm = IDENTIFIERS.get(asn1.encode_der(stated.imprint.algorithm))
    _require(
        algorithm is digest.algorithm and stated.imprint.value == digest.value,
        "it stamps another digest than the one that was sent",
    )
    _require(stated.nonce == nonce, "it answers another request: the nonce differs")
    return stated


def _signer(signer: _Walk, content: bytes, candidates: list[bytes]) -> bytes:
    """Check the one SignerInfo; return the certificate whose key signed."""
    signer.number()
    _, identifier = next(iter(signer.rest()), (0, b""))
    digest_oid = signer.inside(x509_der.SEQUENCE).oid()
    hashing = _HASHES.get(digest_oid)
    if hashing is None:
        raise TokenRefused("it is signed with a digest that is not strong enough, or not known here")
    stored = signer.whole(_CONTEXT_0)
    scheme = signer.inside(x509_der.SEQUENCE).oid()
    value = signer.contents(_OCTETS)
    signer.optional(_CONTEXT_1)
    signer.finish()
    attributes = _attributes(stored)
    kind = _Walk(attributes.get(structures.CONTENT_TYPE.dotted_string, b""))
    _require(kind.oid() == structures.ID_TST_INFO.dotted_string, "its signed content type is no TSTInfo")
    signed = _Walk(attributes.get(structures.MESSAGE_DIGEST.dotted_string, b"")).contents(_OCTETS)
    running = hashlib.new(hashing.name, content)
    _require(signed == running.digest(), "its signature is over another content")
    certificate = _certificate(attributes, candidates)
    unit = _unit(certificate)
    _require(identifier in unit.identifiers, "its signer is named otherwise than by its certificate")
    _verify(unit.key, scheme, hashing, value, b"\x31" + stored[1:])
    return certificate


def _attributes(stored: bytes) -> dict[str, bytes]:
    """Return the one value of each signed attribute by its type."""
    found: dict[str, bytes] = {}
    for _, der in _Walk.into(stored, _CONTEXT_0).rest():
        attribute = _Walk.into(der, x509_der.SEQUENCE)
        name = attribute.oid()
        values = [value for _, value in attribute.inside(_SET).rest()]
        attribute.finish()
        _require(name not in found and len(values) == 1, f"its signed attribute {name} is not there once")
        found[name] = values[0]
    return found


def _certificate(attributes: Mapping[str, bytes], candidates: list[bytes]) -> bytes:
    """Find the certificate that ESSCertIDv2 (RFC 5816), or else ESSCertID (RFC 3161), names first."""
    named = attributes.get(structures.SIGNING_CERTIFICATE_V2.dotted_string)
    if named is not None:
        first = _first_identifier(named)
        algorithm = first.optional(x509_der.SEQUENCE)
        hashing = _SHA256 if algorithm is None else _HASHES.get(algorithm.oid())
        name = "" if hashing is None else hashing.name
    else:
        named = attributes.get(structures.SIGNING_CERTIFICATE.dotted_string)
        if named is None:
            raise TokenRefused("it does not say which certificate it is signed with")
        first, name = _first_identifier(named), "sha1"
    wanted = first.contents(_OCTETS)
    for candidate in candidates:
        # With SHA-1 only the look-up is weak: the signature is verified with what is found.
        if name and hashlib.new(name, candidate, usedforsecurity=False).digest() == wanted:
            return candidate
    raise TokenRefused("it lacks the certificate that it is signed with")


def _first_identifier(attribute: bytes) -> _Walk:
    listed = _Walk.into(attribute, x509_der.SEQUENCE).inside(x509_der.SEQUENCE)
    return listed.inside(x509_der.SEQUENCE)


@lru_cache(maxsize=64)
def _unit(certificate: bytes) -> _UnitKey:
    """Read the certificate of a time-stamp unit: its one purpose must be time-stamping, critically (section 2.3)."""
    parsed = x509.load_der_x509_certificate(certificate)
    try:
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise TokenRefused("its certificate is not for time-stamping") from None
    _require(
        usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING],
        "its certificate is not for time-stamping alone",
    )
    key = parsed.public_key()
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        raise TokenRefused("its key is neither RSA nor EC")
    serial = asn1.encode_der(parsed.serial_number)
    identifiers = [x509_der.encode(x509_der.SEQUENCE, parsed.issuer.public_bytes() + serial)]
    try:
        own = parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        identifiers.append(x509_der.encode(_KEY_IDENTIFIER, own))
    except x509.ExtensionNotFound:
        pass
    return _UnitKey(key, parsed.not_valid_before_utc, parsed.not_valid_after_utc, frozenset(identifiers))


def _verify(
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    scheme: str,
    hashing: hashes.HashAlgorithm,
    value: bytes,
    signed: bytes,
) -> None:
    implied = _IMPLIED.get(scheme)
    _require(implied is None or implied.name == hashing.name, "its signature names two digests")
    _require(
        implied is not None or scheme in {_RSA_PLAIN, _RSA_PSS}, "its signature scheme is not known here"
    )
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, signed, ec.ECDSA(hashing))
        elif scheme == _RSA_PSS:
            key.verify(value, signed, padding.PSS(padding.MGF1(hashing), padding.PSS.AUTO), hashing)
        else:
            key.verify(value, signed, padding.PKCS1v15(), hashing)
    except InvalidSignature as error:
        raise TokenRefused("its signature does not verify with its certificate") from error


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise TokenRefused(text)
