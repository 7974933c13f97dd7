"""The text of an XML signature (XMLDSig 1.1), with the qualifying properties of XAdES (ETSI EN 319 132-1) where asked.

SignedInfo and SignedProperties are written in their exclusive canonical form, every namespace declared where that form
declares it. So their bytes can be hashed and signed as they are, and mean the same wherever they are put.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.keys import PublicKey, signer_certificate
from services.signer.formats.xml_document import DS
from services.signer.formats.xml_references import DIGEST_URIS, EXCLUSIVE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

XADES = "http://uri.etsi.org/01903/v1.3.2#"
SIGNED_PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
OBJECT_TYPE = DS + "Object"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_MORE_2001 = "http://www.w3.org/2001/04/xmldsig-more#"
_MORE_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
METHODS: dict[SigningAlgorithm, str] = {
    SigningAlgorithm(scheme, digest): pattern.format(digest.hashlib_name)
    for scheme, pattern in (
        (SignatureScheme.RSA_PKCS1V15, _MORE_2001 + "rsa-{}"),
        # RFC 9231 section 2.3.10: MGF1 with the same digest, salt as long as it.
        (SignatureScheme.RSA_PSS, _MORE_2007 + "{}-rsa-MGF1"),
        (SignatureScheme.ECDSA, _MORE_2001 + "ecdsa-{}"),
    )
    for digest in DigestAlgorithm
}
EXCLUSIVE_TRANSFORM = f'<ds:Transform Algorithm="{EXCLUSIVE}"></ds:Transform>'


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a signature is over: its reference, and the format that XAdES names for it."""

    uri: str
    digest: bytes
    media_type: str = ""
    transforms: str = ""
    """ds:Transform elements in canonical form; none where the digest is over bytes."""
    type: str = ""


@dataclass(frozen=True, slots=True)
class XmlSigner:
    """What one certificate chain and one algorithm contribute to every signature made with them."""

    algorithm: SigningAlgorithm
    public_key: PublicKey
    certificate_digest: str
    key_info: str
    key_info_with_subject: str
    """As exchange formats in use here ask for: the subject's name beside the certificate."""


@lru_cache(maxsize=256)
def xml_signer(chain: tuple[bytes, ...], algorithm: SigningAlgorithm) -> XmlSigner:
    """Write the constant parts for a chain (DER, signer's first). Raises FieldInvalid, AlgorithmMismatch."""
    leaf, key = signer_certificate(chain, algorithm)
    certificates = "".join(
        f"<ds:X509Certificate>{_base64(certificate)}</ds:X509Certificate>" for certificate in chain
    )
    subject = escaped(leaf.subject.rfc4514_string())
    return XmlSigner(
        algorithm,
        key,
        _base64(algorithm.digest.digest(chain[0])),
        f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo>",
        f"<ds:KeyInfo><ds:X509Data><ds:X509SubjectName>{subject}</ds:X509SubjectName>{certificates}"
        "</ds:X509Data></ds:KeyInfo>",
    )


def new_identifier() -> str:
    """Make an Id for a signature that no document has yet: 128 random bits."""
    return f"sig-{secrets.token_hex(16)}"


def signed_properties(
    signer: XmlSigner, identifier: str, parts: Sequence[Part], signing_time: datetime
) -> str:
    """Write xades:SignedProperties for a signature's Id: time, certificate, formats (EN 319 132-1 section 6.3)."""
    time = signing_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    method = DIGEST_URIS[signer.algorithm.digest]
    formats = "".join(
        f'<xades:DataObjectFormat ObjectReference="#{identifier}-ref-{number}">'
        f"<xades:MimeType>{escaped(part.media_type or 'application/octet-stream')}</xades:MimeType>"
        "</xades:DataObjectFormat>"
        for number, part in enumerate(parts, 1)
    )
    return (
        f'<xades:SignedProperties xmlns:xades="{XADES}" Id="{identifier}-properties">'
        f"<xades:SignedSignatureProperties><xades:SigningTime>{time}</xades:SigningTime>"
        "<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>"
        f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{method}"></ds:DigestMethod>'
        f'<ds:DigestValue xmlns:ds="{DS}">{signer.certificate_digest}</ds:DigestValue>'
        "</xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>"
        f"<xades:SignedDataObjectProperties>{formats}</xades:SignedDataObjectProperties>"
        "</xades:SignedProperties>"
    )


def properties_part(signer: XmlSigner, identifier: str, properties: str) -> Part:
    """Make the part by which a signature covers its own signed properties."""
    digest = signer.algorithm.digest.digest(properties.encode())
    return Part(
        f"#{identifier}-properties",
        digest,
        transforms=EXCLUSIVE_TRANSFORM,
        type=SIGNED_PROPERTIES_TYPE,
    )


def signed_info(signer: XmlSigner, identifier: str, parts: Sequence[Part]) -> str:
    """Write ds:SignedInfo in canonical form: its UTF-8 bytes are what the key signs."""
    digest = DIGEST_URIS[signer.algorithm.digest]
    written = "".join(
        _reference(part, f"{identifier}-ref-{number}", digest) for number, part in enumerate(parts, 1)
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}">'
        f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{METHODS[signer.algorithm]}"></ds:SignatureMethod>'
        f"{written}</ds:SignedInfo>"
    )


def signature(identifier: str, info: str, value: bytes, key_info: str, objects: str) -> str:
    """Write ds:Signature around a SignedInfo and the value as XMLDSig carries it."""
    return (
        f'<ds:Signature xmlns:ds="{DS}" Id="{identifier}">{info}'
        f'<ds:SignatureValue Id="{identifier}-value">{_base64(value)}</ds:SignatureValue>'
        f"{key_info}{objects}</ds:Signature>"
    )


def qualifying_object(identifier: str, properties: str) -> str:
    """Write the ds:Object that holds the signed properties."""
    return (
        f'<ds:Object><xades:QualifyingProperties xmlns:xades="{XADES}" Target="#{identifier}">'
        f"{properties}</xades:QualifyingProperties></ds:Object>"
    )


def value_for_xml(key: PublicKey, signature_value: bytes) -> bytes:
    """Turn a value as CMS carries it into XMLDSig's: of ECDSA r and s side by side (XMLDSig 1.1 section 6.4.3)."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return signature_value
    try:
        numbers = decode_dss_signature(signature_value)
        return b"".join(number.to_bytes(_field_octets(key), "big") for number in numbers)
    except (ValueError, OverflowError) as error:
        raise SelfCheckFailed("the signature value is no ECDSA value of this key's curve") from error


def value_from_xml(key: PublicKey, value: bytes) -> bytes:
    """Turn a value as XMLDSig carries it into CMS's."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return value
    octets = _field_octets(key)
    if len(value) != 2 * octets:
        raise SelfCheckFailed("the signature value has not the length of this key's curve")
    return encode_dss_signature(int.from_bytes(value[:octets], "big"), int.from_bytes(value[octets:], "big"))


def escaped(text: str) -> str:
    """Write text as canonical XML writes the content of an element."""
    return text.translate(_IN_CONTENT)


_IN_CONTENT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_IN_ATTRIBUTE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
)


def _reference(part: Part, identifier: str, digest_uri: str) -> str:
    kind = f' Type="{part.type}"' if part.type else ""
    transforms = f"<ds:Transforms>{part.transforms}</ds:Transforms>" if part.transforms else ""
    return (
        f'<ds:Reference Id="{identifier}"{kind} URI="{part.uri.translate(_IN_ATTRIBUTE)}">{transforms}'
        f'<ds:DigestMethod Algorithm="{digest_uri}"></ds:DigestMethod>'
        f"<ds:DigestValue>{_base64(part.digest)}</ds:DigestValue></ds:Reference>"
    )


def _field_octets(key: ec.EllipticCurvePublicKey) -> int:
    return (key.key_size + 7) // 8


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
