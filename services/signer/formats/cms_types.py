"""The ASN.1 types of what we write ourselves: CMS (RFC 5652) with the attributes of CAdES and PAdES baseline."""

from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1


@asn1.sequence
class Algorithm:
    """AlgorithmIdentifier without parameters: SHA-2 (RFC 5754 section 2) and ECDSA (RFC 5758 section 3.2)."""

    algorithm: x509.ObjectIdentifier


@asn1.sequence
class AlgorithmNull:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class MaskGeneration:
    algorithm: x509.ObjectIdentifier
    parameters: AlgorithmNull


@asn1.sequence
class PssParameters:
    """RSASSA-PSS-params of RFC 4055 section 3.1; trailerField keeps its default."""

    hash_algorithm: Annotated[AlgorithmNull, asn1.Explicit(0)]
    mask_generation: Annotated[MaskGeneration, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2)]


@asn1.sequence
class AlgorithmPss:
    algorithm: x509.ObjectIdentifier
    parameters: PssParameters


@asn1.sequence
class Attribute:
    type: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class DirectoryName:
    """GeneralNames holding one directoryName (RFC 5280 section 4.2.1.6): [4] is explicit because Name is a CHOICE."""

    name: Annotated[asn1.TLV, asn1.Explicit(4)]


@asn1.sequence
class IssuerSerial:
    issuer: DirectoryName
    serial: int


@asn1.sequence
class CertIdSha256:
    """ESSCertIDv2 of RFC 5035 section 4 where the hash is SHA-256: the default is left out, as DER demands."""

    certificate_hash: bytes
    issuer_serial: IssuerSerial


@asn1.sequence
class CertId:
    hash_algorithm: Algorithm
    certificate_hash: bytes
    issuer_serial: IssuerSerial


@asn1.sequence
class SigningCertificateV2:
    certificates: list[asn1.TLV]


@asn1.sequence
class AlgorithmProtection:
    """CMSAlgorithmProtection (RFC 6211): stops the exchange of one algorithm identifier for another."""

    digest_algorithm: Algorithm
    signature_algorithm: asn1.TLV


@asn1.sequence
class SignerInfo:
    """RFC 5652 section 5.3, as we write it: no unsigned attributes yet."""

    version: int
    signer: asn1.TLV
    digest_algorithm: Algorithm
    signed_attributes: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes


@asn1.sequence
class EncapsulatedContent:
    content_type: x509.ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class SignedData:
    version: int
    digest_algorithms: asn1.SetOf[Algorithm]
    content: EncapsulatedContent
    certificates: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]
    signers: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    content_type: x509.ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]
