"""CMS SignedData as CAdES and PAdES baseline signatures use it (RFC 5652): made here, with one signer.

Everything that depends only on the certificate chain and the algorithm is encoded once and cached; a signature then
costs one digest attribute, one sort and one concatenation. Containers that exist already are `cms_container`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import rsa

from services.kernel.errors import FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import ber, cms_types, keys
from services.signer.formats.cms_container import (
    ID_SIGNED_DATA,
    embedded_certificates,
    signature_value,
    with_unsigned_attribute,
)
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.keys import PublicKey

__all__ = [
    "ID_DATA",
    "PublicKey",
    "SignerParts",
    "assemble",
    "assembled",
    "check",
    "check_signer",
    "embedded_certificates",
    "max_bytes",
    "signature_value",
    "signed_attributes",
    "signer_info",
    "signer_parts",
    "verify",
    "with_unsigned_attribute",
]

ID_DATA = "1.2.840.113549.1.7.1"
_CONTENT_TYPE = x509.ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = x509.ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_TIME = x509.ObjectIdentifier("1.2.840.113549.1.9.5")
_ALGORITHM_PROTECTION = x509.ObjectIdentifier("1.2.840.113549.1.9.52")
_SIGNING_CERTIFICATE_V2 = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
_RSASSA_PSS = x509.ObjectIdentifier("1.2.840.113549.1.1.10")
_MGF1 = x509.ObjectIdentifier("1.2.840.113549.1.1.8")
_ID_DATA = ber.oid(ID_DATA)
_VERSION_1 = ber.integer(1)

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


@dataclass(frozen=True, slots=True)
class SignerParts:
    """What one certificate chain and one algorithm contribute to every CMS made with them."""

    algorithm: SigningAlgorithm
    public_key: PublicKey
    constant_attributes: tuple[asn1.TLV, ...]
    """Without the content type, which counter-signatures do not carry."""
    certificates: tuple[bytes, ...]
    """DER, in the order that DER asks of a SET OF."""
    signer: bytes
    """IssuerAndSerialNumber in DER."""
    digest_algorithm: bytes
    signature_algorithm: bytes
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
    leaf, key = keys.signer_certificate(chain, algorithm)
    try:
        for certificate in chain:
            _tlv(certificate)
        issuer = leaf.issuer.public_bytes()
    except (ValueError, TypeError) as error:
        raise FieldInvalid(
            "the signer's certificate chain is not DER X.509", field="certificate_chain"
        ) from error
    digest_algorithm = cms_types.Algorithm(algorithm=x509.ObjectIdentifier(algorithm.digest.oid))
    signature_algorithm = _signature_algorithm(algorithm)
    attributes = (
        _attribute(
            _SIGNING_CERTIFICATE_V2,
            _signing_certificate(chain[0], leaf.serial_number, _tlv(issuer), algorithm.digest),
        ),
        _attribute(_ALGORITHM_PROTECTION, _protection(digest_algorithm, signature_algorithm)),
    )
    return SignerParts(
        algorithm=algorithm,
        public_key=key,
        constant_attributes=attributes,
        certificates=tuple(sorted(set(chain))),
        signer=asn1.encode_der(cms_types.IssuerAndSerial(issuer=_tlv(issuer), serial=leaf.serial_number)),
        digest_algorithm=asn1.encode_der(digest_algorithm),
        signature_algorithm=signature_algorithm,
        fixed_bytes=sum(map(len, chain)) + len(issuer) + 256,
    )


def signed_attributes(
    parts: SignerParts,
    message_digest: bytes,
    signing_time: datetime | None,
    content_type: str | None = ID_DATA,
) -> bytes:
    """Encode the signed attributes as the DER SET OF that is hashed and signed (RFC 5652 section 5.4).

    `signing_time` is None for PAdES, where /M carries the time and the attribute is forbidden
    (EN 319 142-1 section 6.3, table 1); CAdES demands it (EN 319 122-1 section 6.3, table 1).
    `content_type` is a dotted OBJECT IDENTIFIER; None for counter-signatures (RFC 5652 section 11.4).
    """
    attributes = [*parts.constant_attributes, _attribute(_MESSAGE_DIGEST, asn1.encode_der(message_digest))]
    if content_type is not None:
        attributes.append(_content_type(content_type))
    if signing_time is not None:
        attributes.append(_attribute(_SIGNING_TIME, _time(signing_time)))
    return asn1.encode_der(asn1.SetOf(attributes))


def max_bytes(parts: SignerParts, attributes: bytes) -> int:
    """Return an upper bound of the size of the finished CMS, at most some hundred bytes too high."""
    return parts.fixed_bytes + len(attributes) + parts.max_signature_bytes


def signer_info(parts: SignerParts, attributes: bytes, signature: bytes) -> bytes:
    """Encode a SignerInfo around signed attributes (as `signed_attributes` gave them) and their signature value."""
    return ber.encode(
        ber.SEQUENCE,
        _VERSION_1,
        parts.signer,
        parts.digest_algorithm,
        # RFC 5652 section 5.3: stored under [0] IMPLICIT, signed as SET OF.
        b"\xa0",
        attributes[1:],
        parts.signature_algorithm,
        ber.encode(ber.OCTET_STRING, signature),
    )


def assemble(parts: SignerParts, attributes: bytes, signature: bytes, content: bytes | None = None) -> bytes:
    """Encode the CMS around a signature; the content is inside only where it is given."""
    return assembled(parts, signer_info(parts, attributes, signature), content)


def assembled(parts: SignerParts, signer: bytes, content: bytes | None = None) -> bytes:
    """Encode the CMS round a SignerInfo."""
    held = () if content is None else (ber.encode(ber.CONTEXT_0, ber.encode(ber.OCTET_STRING, content)),)
    data = ber.encode(
        ber.SEQUENCE,
        _VERSION_1,
        ber.encode(ber.SET, parts.digest_algorithm),
        ber.encode(ber.SEQUENCE, _ID_DATA, *held),
        ber.encode(ber.CONTEXT_0, *parts.certificates),
        ber.encode(ber.SET, signer),
    )
    return ber.encode(ber.SEQUENCE, ID_SIGNED_DATA, ber.encode(ber.CONTEXT_0, data))


def check(container: bytes, parts: SignerParts, message_digest: bytes) -> None:
    """Read a finished CMS of one signer back and verify it over a digest that the caller computed anew.

    Raises SelfCheckFailed where the digest is not the signed one or the certificate's key did not sign.
    """
    try:
        signers = asn1.decode_der(cms_types.ContentInfo, container).content.signers.as_list()
        (signer,) = signers
    except ValueError as error:
        raise SelfCheckFailed("the finished signature container cannot be read back") from error
    _check(signer, parts, message_digest)


def check_signer(signer: bytes, parts: SignerParts, message_digest: bytes) -> None:
    """Verify one finished SignerInfo as `check` does a container."""
    try:
        info = asn1.decode_der(cms_types.SignerInfo, signer)
    except ValueError as error:
        raise SelfCheckFailed("the finished signature cannot be read back") from error
    _check(info, parts, message_digest)


def _check(info: cms_types.SignerInfo, parts: SignerParts, message_digest: bytes) -> None:
    try:
        attributes = info.signed_attributes.as_list()
        found = [
            value
            for value in (value.parse(cms_types.Attribute) for value in attributes)
            if value.type == _MESSAGE_DIGEST
        ]
        signed_digest = found[0].values.as_list()[0].parse(bytes)
        # RFC 5652 section 5.4: the signature covers the SET OF encoding, not the [0] tag that is stored.
        verify(parts, asn1.encode_der(info.signed_attributes), info.signature)
    except (ValueError, IndexError) as error:
        raise SelfCheckFailed("the finished signature container cannot be read back") from error
    if len(found) != 1 or signed_digest != message_digest:
        raise SelfCheckFailed("the finished signature is over another digest than the document's")


def verify(parts: SignerParts, attributes: bytes, signature: bytes) -> None:
    """Verify a signature value over DER signed attributes with the certificate's key, or raise SelfCheckFailed."""
    keys.verify_value(parts.public_key, parts.algorithm, attributes, signature)


@lru_cache(maxsize=16)
def _content_type(dotted: str) -> asn1.TLV:
    return _attribute(_CONTENT_TYPE, asn1.encode_der(x509.ObjectIdentifier(dotted)))


def _tlv(der: bytes) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, der)


def _attribute(kind: x509.ObjectIdentifier, value: bytes) -> asn1.TLV:
    return _tlv(asn1.encode_der(cms_types.Attribute(type=kind, values=asn1.SetOf([_tlv(value)]))))


def _signature_algorithm(algorithm: SigningAlgorithm) -> bytes:
    if algorithm.scheme is SignatureScheme.ECDSA:
        return asn1.encode_der(cms_types.Algorithm(algorithm=_ECDSA_WITH[algorithm.digest]))
    if algorithm.scheme is SignatureScheme.RSA_PKCS1V15:
        # RFC 5754 section 3.2: the parameters of these identifiers MUST be NULL.
        return asn1.encode_der(
            cms_types.AlgorithmNull(algorithm=_RSA_WITH[algorithm.digest], parameters=asn1.Null())
        )
    hash_algorithm = cms_types.AlgorithmNull(
        algorithm=x509.ObjectIdentifier(algorithm.digest.oid), parameters=asn1.Null()
    )
    parameters = cms_types.PssParameters(
        hash_algorithm=hash_algorithm,
        mask_generation=cms_types.MaskGeneration(algorithm=_MGF1, parameters=hash_algorithm),
        salt_length=algorithm.digest.size,
    )
    return asn1.encode_der(cms_types.AlgorithmPss(algorithm=_RSASSA_PSS, parameters=parameters))


def _signing_certificate(certificate: bytes, serial: int, issuer: asn1.TLV, digest: DigestAlgorithm) -> bytes:
    issuer_serial = cms_types.IssuerSerial(issuer=cms_types.DirectoryName(name=issuer), serial=serial)
    fingerprint = digest.digest(certificate)
    if digest is DigestAlgorithm.SHA256:
        identifier = asn1.encode_der(
            cms_types.CertIdSha256(certificate_hash=fingerprint, issuer_serial=issuer_serial)
        )
    else:
        algorithm = cms_types.Algorithm(algorithm=x509.ObjectIdentifier(digest.oid))
        identifier = asn1.encode_der(
            cms_types.CertId(
                hash_algorithm=algorithm, certificate_hash=fingerprint, issuer_serial=issuer_serial
            )
        )
    return asn1.encode_der(cms_types.SigningCertificateV2(certificates=[_tlv(identifier)]))


def _protection(digest_algorithm: cms_types.Algorithm, signature_algorithm: bytes) -> bytes:
    # RFC 6211 section 2: signatureAlgorithm is [1] IMPLICIT, so only the tag of its SEQUENCE changes.
    tagged = _tlv(b"\xa1" + signature_algorithm[1:])
    return asn1.encode_der(
        cms_types.AlgorithmProtection(digest_algorithm=digest_algorithm, signature_algorithm=tagged)
    )


def _time(moment: datetime) -> bytes:
    """RFC 5652 section 11.3: UTCTime for 1950 to 2049, else GeneralizedTime; whole seconds."""
    moment = moment.astimezone(UTC).replace(microsecond=0)
    return asn1.encode_der(
        asn1.UTCTime(moment) if 1950 <= moment.year < 2050 else asn1.GeneralizedTime(moment)
    )
