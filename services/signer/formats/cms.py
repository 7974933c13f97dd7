"""CMS SignedData with one signer and no content inside (RFC 5652), as CAdES and PAdES baseline signatures use it.

Everything that depends only on the certificate chain and the algorithm is encoded once and cached; a signature then
costs one digest attribute, one sort and one encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from services.kernel.errors import AlgorithmMismatch, FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.errors import SelfCheckFailed

_ID_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.1")
_ID_SIGNED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.2")
_CONTENT_TYPE = x509.ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = x509.ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_TIME = x509.ObjectIdentifier("1.2.840.113549.1.9.5")
_ALGORITHM_PROTECTION = x509.ObjectIdentifier("1.2.840.113549.1.9.52")
_SIGNING_CERTIFICATE_V2 = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
_RSASSA_PSS = x509.ObjectIdentifier("1.2.840.113549.1.1.10")
_MGF1 = x509.ObjectIdentifier("1.2.840.113549.1.1.8")

_HASHES: dict[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}
_RSA_WITH = {
    DigestAlgorithm.SHA256: x509.ObjectIdentifier("1.2.840.113549.1.1.11"),
    DigestAlgorithm.SHA384: x509.ObjectIdentifier("1.2.840.113549.1.1.12"),
    DigestAlgorithm.SHA512: x509.ObjectIdentifier("1.2.840.113549.1.1.13"),
}
_ECDSA_WITH = {
    DigestAlgorithm.SHA256: x509.ObjectIdentifier("1.2.840.10045.4.3.2"),
    DigestAlgorithm.SHA384: x509.ObjectIdentifier("1.2.840.10045.4.3.3"),
    DigestAlgorithm.SHA512: x509.ObjectIdentifier("1.2.840.10045.4.3.4"),
}

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@asn1.sequence
class _Algorithm:
    """AlgorithmIdentifier without parameters: SHA-2 (RFC 5754 section 2) and ECDSA (RFC 5758 section 3.2)."""

    algorithm: x509.ObjectIdentifier


@asn1.sequence
class _AlgorithmNull:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class _MaskGeneration:
    algorithm: x509.ObjectIdentifier
    parameters: _AlgorithmNull


@asn1.sequence
class _PssParameters:
    """RSASSA-PSS-params of RFC 4055 section 3.1; trailerField keeps its default."""

    hash_algorithm: Annotated[_AlgorithmNull, asn1.Explicit(0)]
    mask_generation: Annotated[_MaskGeneration, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2)]


@asn1.sequence
class _AlgorithmPss:
    algorithm: x509.ObjectIdentifier
    parameters: _PssParameters


@asn1.sequence
class _Attribute:
    type: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _DirectoryName:
    """GeneralNames holding one directoryName (RFC 5280 section 4.2.1.6): [4] is explicit because Name is a CHOICE."""

    name: Annotated[asn1.TLV, asn1.Explicit(4)]


@asn1.sequence
class _IssuerSerial:
    issuer: _DirectoryName
    serial: int


@asn1.sequence
class _CertIdSha256:
    """ESSCertIDv2 of RFC 5035 section 4 where the hash is SHA-256: the default is left out, as DER demands."""

    certificate_hash: bytes
    issuer_serial: _IssuerSerial


@asn1.sequence
class _CertId:
    hash_algorithm: _Algorithm
    certificate_hash: bytes
    issuer_serial: _IssuerSerial


@asn1.sequence
class _SigningCertificateV2:
    certificates: list[asn1.TLV]


@asn1.sequence
class _AlgorithmProtection:
    """CMSAlgorithmProtection (RFC 6211): stops the exchange of one algorithm identifier for another."""

    digest_algorithm: _Algorithm
    signature_algorithm: asn1.TLV


@asn1.sequence
class _Wrapped:
    value: asn1.TLV


@asn1.sequence
class _WrappedAttributes:
    value: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]


@asn1.sequence
class _SignerInfo:
    version: int
    signer: _IssuerAndSerial
    digest_algorithm: _Algorithm
    signed_attributes: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes


@asn1.sequence
class _Detached:
    content_type: x509.ObjectIdentifier


@asn1.sequence
class _SignedData:
    version: int
    digest_algorithms: asn1.SetOf[_Algorithm]
    content: _Detached
    certificates: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class _ContentInfo:
    content_type: x509.ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


@dataclass(frozen=True, slots=True)
class SignerParts:
    """What one certificate chain and one algorithm contribute to every CMS made with them."""

    algorithm: SigningAlgorithm
    public_key: PublicKey
    constant_attributes: tuple[asn1.TLV, ...]
    certificates: tuple[asn1.TLV, ...]
    signer: _IssuerAndSerial
    digest_algorithm: _Algorithm
    signature_algorithm: asn1.TLV
    fixed_bytes: int
    """Size of a finished CMS without its signed attributes and signature value, lengths and tags included."""

    @property
    def max_signature_bytes(self) -> int:
        """The longest signature value of this key; ECDSA values vary by some bytes."""
        if isinstance(self.public_key, rsa.RSAPublicKey):
            return (self.public_key.key_size + 7) // 8
        return 2 * ((self.public_key.key_size + 7) // 8 + 3) + 3


@lru_cache(maxsize=256)
def signer_parts(chain: tuple[bytes, ...], algorithm: SigningAlgorithm) -> SignerParts:
    """Encode the constant parts for a chain (DER, signer's certificate first) and an algorithm.

    Raises FieldInvalid where the first certificate cannot be read, AlgorithmMismatch where its key cannot sign so.
    """
    try:
        leaf = x509.load_der_x509_certificate(chain[0])
        key = leaf.public_key()
        certificates = tuple(_tlv(certificate) for certificate in chain)
        issuer = _tlv(leaf.issuer.public_bytes())
    except (ValueError, TypeError) as error:
        raise FieldInvalid(
            "the signer's certificate chain is not DER X.509", field="certificate_chain"
        ) from error
    if not isinstance(key, PublicKey) or not _fits(key, algorithm.scheme):
        raise AlgorithmMismatch(
            f"{algorithm.label} does not fit the key in the signer's certificate", field="signature_scheme"
        )
    digest_algorithm = _Algorithm(algorithm=x509.ObjectIdentifier(algorithm.digest.oid))
    signature_algorithm = _tlv(_signature_algorithm(algorithm))
    attributes = (
        _attribute(_CONTENT_TYPE, asn1.encode_der(_ID_DATA)),
        _attribute(
            _SIGNING_CERTIFICATE_V2,
            _signing_certificate(chain[0], leaf.serial_number, issuer, algorithm.digest),
        ),
        _attribute(
            _ALGORITHM_PROTECTION, _protection(digest_algorithm, asn1.encode_der(signature_algorithm))
        ),
    )
    return SignerParts(
        algorithm=algorithm,
        public_key=key,
        constant_attributes=attributes,
        certificates=certificates,
        signer=_IssuerAndSerial(issuer=issuer, serial=leaf.serial_number),
        digest_algorithm=digest_algorithm,
        signature_algorithm=signature_algorithm,
        fixed_bytes=sum(map(len, chain)) + len(leaf.issuer.public_bytes()) + 256,
    )


def signed_attributes(parts: SignerParts, message_digest: bytes, signing_time: datetime | None) -> bytes:
    """Encode the signed attributes as the DER SET OF that is hashed and signed (RFC 5652 section 5.4).

    `signing_time` is None for PAdES, where /M carries the time and the attribute is forbidden
    (EN 319 142-1 section 6.3, table 1); CAdES demands it (EN 319 122-1 section 6.3, table 1).
    """
    attributes = [*parts.constant_attributes, _attribute(_MESSAGE_DIGEST, asn1.encode_der(message_digest))]
    if signing_time is not None:
        attributes.append(_attribute(_SIGNING_TIME, _time(signing_time)))
    return asn1.encode_der(asn1.SetOf(attributes))


def max_bytes(parts: SignerParts, attributes: bytes) -> int:
    """Return an upper bound of the size of the finished CMS, at most some hundred bytes too high."""
    return parts.fixed_bytes + len(attributes) + parts.max_signature_bytes


def assemble(parts: SignerParts, attributes: bytes, signature: bytes) -> bytes:
    """Encode the CMS around signed attributes (as `signed_attributes` gave them) and their signature value."""
    signer = _SignerInfo(
        version=1,
        signer=parts.signer,
        digest_algorithm=parts.digest_algorithm,
        signed_attributes=_as_stored(attributes),
        signature_algorithm=parts.signature_algorithm,
        signature=signature,
    )
    data = _SignedData(
        version=1,
        digest_algorithms=asn1.SetOf([parts.digest_algorithm]),
        content=_Detached(content_type=_ID_DATA),
        certificates=asn1.SetOf(list(parts.certificates)),
        signers=asn1.SetOf([signer]),
    )
    return asn1.encode_der(_ContentInfo(content_type=_ID_SIGNED_DATA, content=data))


def check(container: bytes, parts: SignerParts, message_digest: bytes) -> None:
    """Read a finished CMS back and verify it over a digest that the caller computed anew.

    Raises SelfCheckFailed where the digest is not the signed one or the certificate's key did not sign.
    """
    try:
        signer = asn1.decode_der(_ContentInfo, container).content.signers.as_list()[0]
        attributes = signer.signed_attributes.as_list()
        found = [
            value
            for value in (value.parse(_Attribute) for value in attributes)
            if value.type == _MESSAGE_DIGEST
        ]
        signed_digest = found[0].values.as_list()[0].parse(bytes)
        # RFC 5652 section 5.4: the signature covers the SET OF encoding, not the [0] tag that is stored.
        verify(parts, asn1.encode_der(signer.signed_attributes), signer.signature)
    except (ValueError, IndexError) as error:
        raise SelfCheckFailed("the finished signature container cannot be read back") from error
    if len(found) != 1 or signed_digest != message_digest:
        raise SelfCheckFailed("the finished signature is over another digest than the document's")


def verify(parts: SignerParts, attributes: bytes, signature: bytes) -> None:
    """Verify a signature value over DER signed attributes with the certificate's key, or raise SelfCheckFailed."""
    algorithm = _HASHES[parts.algorithm.digest]
    key = parts.public_key
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, attributes, ec.ECDSA(algorithm))
        elif parts.algorithm.scheme is SignatureScheme.RSA_PSS:
            salt = parts.algorithm.digest.size
            key.verify(signature, attributes, padding.PSS(padding.MGF1(algorithm), salt), algorithm)
        else:
            key.verify(signature, attributes, padding.PKCS1v15(), algorithm)
    except InvalidSignature as error:
        raise SelfCheckFailed(
            "the signature value does not verify with the key in the signer's certificate"
        ) from error


def _as_stored(attributes: bytes) -> asn1.SetOf[asn1.TLV]:
    # RFC 5652 section 5.3: stored under [0] IMPLICIT, signed as SET OF. The decoder takes only named types,
    # hence the SEQUENCE round it.
    wrapped = asn1.encode_der(_Wrapped(value=_tlv(b"\xa0" + attributes[1:])))
    return asn1.decode_der(_WrappedAttributes, wrapped).value


def _fits(key: PublicKey, scheme: SignatureScheme) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey if scheme is SignatureScheme.ECDSA else rsa.RSAPublicKey)


def _tlv(der: bytes) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, der)


def _attribute(kind: x509.ObjectIdentifier, value: bytes) -> asn1.TLV:
    return _tlv(asn1.encode_der(_Attribute(type=kind, values=asn1.SetOf([_tlv(value)]))))


def _signature_algorithm(algorithm: SigningAlgorithm) -> bytes:
    if algorithm.scheme is SignatureScheme.ECDSA:
        return asn1.encode_der(_Algorithm(algorithm=_ECDSA_WITH[algorithm.digest]))
    if algorithm.scheme is SignatureScheme.RSA_PKCS1V15:
        # RFC 5754 section 3.2: the parameters of these identifiers MUST be NULL.
        return asn1.encode_der(_AlgorithmNull(algorithm=_RSA_WITH[algorithm.digest], parameters=asn1.Null()))
    hash_algorithm = _AlgorithmNull(
        algorithm=x509.ObjectIdentifier(algorithm.digest.oid), parameters=asn1.Null()
    )
    parameters = _PssParameters(
        hash_algorithm=hash_algorithm,
        mask_generation=_MaskGeneration(algorithm=_MGF1, parameters=hash_algorithm),
        salt_length=algorithm.digest.size,
    )
    return asn1.encode_der(_AlgorithmPss(algorithm=_RSASSA_PSS, parameters=parameters))


def _signing_certificate(certificate: bytes, serial: int, issuer: asn1.TLV, digest: DigestAlgorithm) -> bytes:
    issuer_serial = _IssuerSerial(issuer=_DirectoryName(name=issuer), serial=serial)
    fingerprint = digest.digest(certificate)
    if digest is DigestAlgorithm.SHA256:
        identifier = asn1.encode_der(_CertIdSha256(certificate_hash=fingerprint, issuer_serial=issuer_serial))
    else:
        algorithm = _Algorithm(algorithm=x509.ObjectIdentifier(digest.oid))
        identifier = asn1.encode_der(
            _CertId(hash_algorithm=algorithm, certificate_hash=fingerprint, issuer_serial=issuer_serial)
        )
    return asn1.encode_der(_SigningCertificateV2(certificates=[_tlv(identifier)]))


def _protection(digest_algorithm: _Algorithm, signature_algorithm: bytes) -> bytes:
    # RFC 6211 section 2: signatureAlgorithm is [1] IMPLICIT, so only the tag of its SEQUENCE changes.
    tagged = _tlv(b"\xa1" + signature_algorithm[1:])
    return asn1.encode_der(
        _AlgorithmProtection(digest_algorithm=digest_algorithm, signature_algorithm=tagged)
    )


def _time(moment: datetime) -> bytes:
    """RFC 5652 section 11.3: UTCTime for 1950 to 2049, else GeneralizedTime; whole seconds."""
    moment = moment.astimezone(UTC).replace(microsecond=0)
    return asn1.encode_der(
        asn1.UTCTime(moment) if 1950 <= moment.year < 2050 else asn1.GeneralizedTime(moment)
    )
