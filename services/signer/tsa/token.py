"""A time-stamp token: TSTInfo inside CMS SignedData (RFC 3161 section 2.4.2, RFC 5816, RFC 5652).

Everything that depends only on the unit's certificate is encoded once; a token then costs TSTInfo, three attributes and
one encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

from services.kernel.values import DigestAlgorithm, SigningAlgorithm
from services.signer import x509_der
from services.signer.tsa.request import Query
from services.signer.tsa.serials import Moment
from services.signer.tsa.structures import (
    CONTENT_TYPE,
    ID_SIGNED_DATA,
    ID_TST_INFO,
    MESSAGE_DIGEST,
    SIGNING_CERTIFICATE_V2,
    SIGNING_TIME,
    VERSION,
    Accuracy,
    TstInfo,
    tlv,
)

_SIGNED_DATA_VERSION = 3
"""RFC 5652 section 5.1: whatever is signed is no id-data."""
_SET, _STORED_SET = b"\x31", b"\xa0"


@asn1.sequence
class _Attribute:
    type: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _Algorithm:
    algorithm: x509.ObjectIdentifier


@asn1.sequence
class _DirectoryName:
    name: Annotated[asn1.TLV, asn1.Explicit(4)]


@asn1.sequence
class _IssuerSerial:
    issuer: _DirectoryName
    serial: int


@asn1.sequence
class _CertIdSha256:
    """ESSCertIDv2 (RFC 5035 section 4); SHA-256 is the default, which DER leaves out."""

    certificate_hash: bytes
    issuer_serial: _IssuerSerial


@asn1.sequence
class _SigningCertificateV2:
    certificates: list[_CertIdSha256]


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _Attributes:
    value: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]


@asn1.sequence
class _SignerInfo:
    version: int
    signer: _IssuerAndSerial
    digest_algorithm: asn1.TLV
    attributes: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes


@asn1.sequence
class _Content:
    type: x509.ObjectIdentifier
    value: Annotated[bytes, asn1.Explicit(0)]


@asn1.sequence
class _SignedData:
    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    content: _Content
    certificates: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(0)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class _ContentInfo:
    content_type: x509.ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


@dataclass(frozen=True, slots=True)
class TokenParts:
    """What a unit's certificate and key contribute to each of its tokens."""

    algorithm: SigningAlgorithm
    policy: x509.ObjectIdentifier
    accuracy: Accuracy
    constant_attributes: tuple[asn1.TLV, ...]
    certificates: asn1.SetOf[asn1.TLV]
    signer: _IssuerAndSerial
    digest_algorithm: asn1.TLV
    signature_algorithm: asn1.TLV


def token_parts(
    chain: tuple[bytes, ...], algorithm: SigningAlgorithm, policy: str, accuracy: timedelta
) -> TokenParts:
    """Encode the constant parts; `chain` is DER, the unit's certificate first. Raise ValueError where it is none."""
    unit = x509.load_der_x509_certificate(chain[0])
    issuer = tlv(unit.issuer.public_bytes())
    identifier = _CertIdSha256(
        certificate_hash=DigestAlgorithm.SHA256.digest(chain[0]),
        issuer_serial=_IssuerSerial(issuer=_DirectoryName(name=issuer), serial=unit.serial_number),
    )
    millis = accuracy // timedelta(milliseconds=1)
    digest_oid = x509.ObjectIdentifier(algorithm.digest.oid)
    return TokenParts(
        algorithm=algorithm,
        policy=x509.ObjectIdentifier(policy),
        accuracy=Accuracy(seconds=millis // 1000 or None, millis=millis % 1000 or None, micros=None),
        constant_attributes=(
            _attribute(CONTENT_TYPE, asn1.encode_der(ID_TST_INFO)),
            _attribute(
                SIGNING_CERTIFICATE_V2, asn1.encode_der(_SigningCertificateV2(certificates=[identifier]))
            ),
        ),
        certificates=asn1.SetOf([tlv(certificate) for certificate in chain]),
        signer=_IssuerAndSerial(issuer=issuer, serial=unit.serial_number),
        digest_algorithm=tlv(asn1.encode_der(_Algorithm(algorithm=digest_oid))),
        signature_algorithm=tlv(x509_der.ALGORITHMS[algorithm]),
    )


def tst_info(parts: TokenParts, query: Query, moment: Moment) -> bytes:
    """Encode what the token says."""
    return asn1.encode_der(
        TstInfo(
            version=VERSION,
            policy=parts.policy,
            imprint=query.imprint,
            serial=moment.serial,
            time=asn1.GeneralizedTime(moment.time),
            accuracy=parts.accuracy,
            ordering=False,
            nonce=query.nonce,
            tsa=None,
            extensions=None,
        )
    )


def signed_attributes(parts: TokenParts, content: bytes, moment: datetime) -> bytes:
    """Encode the signed attributes as the DER SET OF that is hashed and signed (RFC 5652 section 5.4)."""
    # RFC 5652 section 11.3: whole seconds; UTCTime until 2049.
    second = moment.astimezone(UTC).replace(microsecond=0)
    time = asn1.UTCTime(second) if second.year < 2050 else asn1.GeneralizedTime(second)
    attributes = [
        *parts.constant_attributes,
        _attribute(SIGNING_TIME, asn1.encode_der(time)),
        _attribute(MESSAGE_DIGEST, asn1.encode_der(parts.algorithm.digest.digest(content))),
    ]
    return asn1.encode_der(asn1.SetOf(attributes))


def assemble(
    parts: TokenParts, content: bytes, attributes: bytes, signature: bytes, *, certificates: bool
) -> bytes:
    """Encode the TimeStampToken (ContentInfo, DER); `certificates` says whether it holds ours."""
    # Stored under [0] IMPLICIT, signed as SET OF (RFC 5652 section 5.3); the decoder takes named types only.
    stored = x509_der.encode(x509_der.SEQUENCE, _STORED_SET + attributes[len(_SET) :])
    signer = _SignerInfo(
        version=1,
        signer=parts.signer,
        digest_algorithm=parts.digest_algorithm,
        attributes=asn1.decode_der(_Attributes, stored).value,
        signature_algorithm=parts.signature_algorithm,
        signature=signature,
    )
    data = _SignedData(
        version=_SIGNED_DATA_VERSION,
        digest_algorithms=asn1.SetOf([parts.digest_algorithm]),
        content=_Content(type=ID_TST_INFO, value=content),
        certificates=parts.certificates if certificates else None,
        signers=asn1.SetOf([signer]),
    )
    return asn1.encode_der(_ContentInfo(content_type=ID_SIGNED_DATA, content=data))


def _attribute(kind: x509.ObjectIdentifier, value: bytes) -> asn1.TLV:
    return tlv(asn1.encode_der(_Attribute(type=kind, values=asn1.SetOf([tlv(value)]))))
