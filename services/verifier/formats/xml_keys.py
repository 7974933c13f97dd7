"""KeyInfo: the certificates and bare keys that come with an XML signature. Nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from lxml import etree

from services.verifier.formats.xml_algorithms import number_of, octets_of, plain_text
from services.verifier.formats.xml_input import DS, Source, XmlError, children, looks_like
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate, CertificateError

_DS11 = "{http://www.w3.org/2009/xmldsig11#}"
MAX_CERTIFICATES = 200
_Found = TypeVar("_Found")
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "urn:oid:1.2.840.10045.3.1.1": ec.SECP192R1,
    "urn:oid:1.3.132.0.33": ec.SECP224R1,
    "urn:oid:1.3.132.0.10": ec.SECP256K1,
    "urn:oid:1.2.840.10045.3.1.7": ec.SECP256R1,
    "urn:oid:1.3.132.0.34": ec.SECP384R1,
    "urn:oid:1.3.132.0.35": ec.SECP521R1,
    "urn:oid:1.3.36.3.3.2.8.1.1.7": ec.BrainpoolP256R1,
    "urn:oid:1.3.36.3.3.2.8.1.1.11": ec.BrainpoolP384R1,
    "urn:oid:1.3.36.3.3.2.8.1.1.13": ec.BrainpoolP512R1,
}


@dataclass(frozen=True, slots=True)
class Keys:
    """What KeyInfo gives: certificates in the order written, and the first bare key."""

    certificates: tuple[bytes, ...] = ()
    key: PublicKeyTypes | None = None


def read(
    source: Source, signature: etree._Element, named: Mapping[str, PublicKeyTypes] | None = None
) -> Keys:
    """Keys of a signature's KeyInfo, and of one that it points to in the same document.

    KeyInfo is a hint (XMLDSig 4.5): what cannot be read in it matters only where nothing else can be, and then raises
    XmlError; a bare key of a kind or curve that is not known is no key. `named` are keys that the caller knows by name: one is taken where KeyInfo does nothing but name it.
    """
    info = signature.find(f"{DS}KeyInfo")
    if info is None:
        return Keys()
    infos = [info, *_referred(source, info)]
    places = [one for place in infos for one in _x509(place)]
    if len(places) > MAX_CERTIFICATES:
        raise XmlError(f"more than {MAX_CERTIFICATES} certificates in KeyInfo")
    faults: list[XmlError] = []
    ders = [der for one in places if (der := _readable(_certificate, one, faults)) is not None]
    keys = (_readable(_bare, child, faults) for place in infos for child in place)
    bare = next((key for key in keys if key is not None), None)
    if faults and not ders and bare is None:
        raise faults[0]
    if named and all(child.tag == f"{DS}KeyName" for child in children(info)):
        names = [plain_text(one) for one in children(info)]
        bare = next((named[name] for name in names if name in named), None)
    return Keys(tuple(dict.fromkeys(ders)), bare)


def _readable(
    read_one: Callable[[etree._Element], _Found], element: etree._Element, faults: list[XmlError]
) -> _Found | None:
    try:
        return read_one(element)
    except XmlError as error:
        faults.append(error)
        return None


def _certificate(element: etree._Element) -> bytes:
    return octets_of(element, "X509Certificate")


def public_key(data: bytes, name: str) -> PublicKeyTypes:
    """A public key from its file: PEM, DER, or XML in which one KeyInfo holds this name beside the key. Raises XmlError."""
    try:
        if looks_like(data):
            source = Source.of(data)
            for info in source.root.iter(f"{DS}KeyInfo"):
                stated = [plain_text(one) for one in info.findall(f"{DS}KeyName")]
                key = next((found for child in info if (found := _bare(child)) is not None), None)
                if name in stated and key is not None:
                    return key
            raise XmlError(f'no KeyInfo holds a key beside the name "{name[:80]}"')
        return load_pem_public_key(data) if data.lstrip()[:5] == b"-----" else load_der_public_key(data)
    except (UnsupportedAlgorithm, ValueError) as error:
        if isinstance(error, XmlError):
            raise
        raise XmlError("the file holds no public key in PEM or DER") from error


def _referred(source: Source, info: etree._Element) -> Iterator[etree._Element]:
    """KeyInfoReference (XMLDSig 1.1 4.5.10), one step far. RetrievalMethod is not followed: it fetches and transforms."""
    for reference in info.findall(f"{_DS11}KeyInfoReference"):
        uri = reference.get("URI", "")
        named = source.ids.get(uri[1:], []) if uri.startswith("#") else []
        if len(named) == 1 and named[0].tag == f"{DS}KeyInfo" and named[0] is not info:
            yield named[0]


def _x509(info: etree._Element) -> Iterator[etree._Element]:
    for data in info.findall(f"{DS}X509Data"):
        yield from data.findall(f"{DS}X509Certificate")


def _bare(child: etree._Element) -> PublicKeyTypes | None:
    """The key in a KeyValue or DEREncodedKeyValue; None where it cannot be used. Raises XmlError for what is no base64."""
    try:
        if child.tag == f"{_DS11}DEREncodedKeyValue":
            return load_der_public_key(octets_of(child, "DEREncodedKeyValue"))
        if child.tag == f"{DS}KeyValue":
            return _value(child)
    except (UnsupportedAlgorithm, ValueError) as error:
        if isinstance(error, XmlError):
            raise
    return None


def _value(value: etree._Element) -> PublicKeyTypes | None:
    modern = value.find(f"{DS}RSAKeyValue")
    if modern is not None:
        exponent = number_of(modern.find(f"{DS}Exponent"), "Exponent")
        modulus = number_of(modern.find(f"{DS}Modulus"), "Modulus")
        if modulus.bit_length() > 16384 or exponent.bit_length() > 64:
            return None
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    curve = value.find(f"{_DS11}ECKeyValue")
    if curve is not None:
        named = curve.find(f"{_DS11}NamedCurve")
        known = _CURVES.get(named.get("URI", "")) if named is not None else None
        if known is None:
            return None
        point = octets_of(curve.find(f"{_DS11}PublicKey"), "PublicKey")
        return ec.EllipticCurvePublicKey.from_encoded_point(known(), point)
    old = value.find(f"{DS}DSAKeyValue")
    if old is not None:
        numbers = [old.find(f"{DS}{name}") for name in "PQGY"]
        if None in numbers:
            # The schema lets the parameters be known from elsewhere, which they are not here.
            return None
        p, q, g, y = (number_of(one, "DSAKeyValue") for one in numbers)
        if p.bit_length() > 4096:
            return None
        return dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
    return None


def lone_authority(ders: tuple[bytes, ...]) -> Certificate | None:
    """The only certificate, where it is a CA's: whoever has its key can sign with it, and nobody else can be meant."""
    certificate = certificates.readable(ders[0]) if len(ders) == 1 else None
    return certificate if certificate is not None and _is_authority(certificate) else None


def end_entities(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """Those of the certificates that can be a signer's where no signed property says which: no CA, issuer of no other.

    A certificate that cannot be read is nobody's; a lone one that does not say whether it is a CA's will do.
    """
    readable = []
    for der in ders:
        try:
            readable.append(certificates.load(der))
        except CertificateError:
            continue
    issuers = {one.issuer_key for one in readable if not one.self_issued}
    return tuple(one for one in readable if not _is_authority(one) and one.subject_key not in issuers)


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificates.is_authority(certificate)
    except CertificateError:
        return False
