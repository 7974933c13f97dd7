"""KeyInfo of XML signatures: hints that are passed over, keys that cannot be used, and a CA's certificate alone."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.domain import DocumentReport, Indication, SubIndication, Verdict
from services.verifier.formats import xml_keys
from services.verifier.formats.xml_algorithms import Method
from services.verifier.formats.xml_input import Source
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy, Signer
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, Target, signature

DS11 = "http://www.w3.org/2009/xmldsig11#"
BODY = "<don><ten>An</ten></don>"
WHOLE = Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY)


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With a signer whose key is RSA, which the signatures written by hand need."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def signed(signer: Signer, key_info: str, *, bare_key: bool = False) -> str:
    """The body with a signature; `{}` in the KeyInfo is what the signature came with."""
    mark = signature(signer, WHOLE, bare_key=bare_key)
    before, own, after = re.split("<ds:KeyInfo>|</ds:KeyInfo>", mark)
    mark = f"{before}<ds:KeyInfo>{key_info.replace('{}', own)}</ds:KeyInfo>{after}"
    return BODY.replace("</don>", f"{mark}</don>")


def verify(hierarchy: Hierarchy, document: str, *, integrity: bool = True) -> DocumentReport:
    service = VerificationService((XmlFormat(),), hierarchy.trust(), integrity_only=integrity)
    return service.verify(SubmittedDocument(document.encode()), NOW)


def certificate(content: str) -> str:
    return f"<ds:X509Data><ds:X509Certificate>{content}</ds:X509Certificate></ds:X509Data>"


UNUSABLE = [
    f'<ds:KeyValue><ECKeyValue xmlns="{DS11}"><NamedCurve URI="urn:oid:1.2.3"/><PublicKey>BAAA</PublicKey>'
    "</ECKeyValue></ds:KeyValue>",
    f'<ds:KeyValue><ECKeyValue xmlns="{DS11}"><ECParameters/><PublicKey>BAAA</PublicKey></ECKeyValue></ds:KeyValue>',
    f'<ds:KeyValue><ECKeyValue xmlns="{DS11}"><NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/>'
    "<PublicKey>BAAA</PublicKey></ECKeyValue></ds:KeyValue>",
    "<ds:KeyValue><ds:DSAKeyValue><ds:Y>AQAB</ds:Y></ds:DSAKeyValue></ds:KeyValue>",
    "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>Bg==</ds:Modulus><ds:Exponent>AQ==</ds:Exponent>"
    "</ds:RSAKeyValue></ds:KeyValue>",
    f'<DEREncodedKeyValue xmlns="{DS11}">MAA=</DEREncodedKeyValue>',
    "<ds:KeyValue><x/></ds:KeyValue>",
]
UNREADABLE = [
    certificate("%%%"),
    certificate("QQ"),
    certificate("QR=="),
    certificate("<x/>"),
    certificate("QUJD"),
    "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>%</ds:Modulus></ds:RSAKeyValue></ds:KeyValue>",
    f'<DEREncodedKeyValue xmlns="{DS11}">%</DEREncodedKeyValue>',
]


@pytest.mark.parametrize("spare", [*UNUSABLE, *UNREADABLE])
def test_what_cannot_be_read_beside_the_signers_certificate_is_passed_over(
    hierarchy: Hierarchy, spare: str
) -> None:
    for beside in (spare + "{}", "{}" + spare):
        document = signed(hierarchy.signer, beside)
        assert verify(hierarchy, document, integrity=False).clean
        changed = verify(hierarchy, document.replace(">An<", ">Bình<"))
        assert changed.verdict is Verdict.INVALID
    bare = verify(hierarchy, signed(hierarchy.signer, spare + "{}", bare_key=True))
    assert bare.verdict is Verdict.VALID


@pytest.mark.parametrize("alone", UNUSABLE)
def test_a_key_that_cannot_be_used_decides_nothing(hierarchy: Hierarchy, alone: str) -> None:
    (found,) = verify(hierarchy, signed(hierarchy.signer, alone)).signatures
    assert found.indication is Indication.INDETERMINATE
    assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


@pytest.mark.parametrize("alone", [one for one in UNREADABLE if "QUJD" not in one])
def test_what_cannot_be_read_alone_is_a_fault(hierarchy: Hierarchy, alone: str) -> None:
    (found,) = verify(hierarchy, signed(hierarchy.signer, alone)).signatures
    assert found.sub_indication is SubIndication.FORMAT_FAILURE


def test_a_key_on_the_curve_secp256k1_is_read() -> None:
    key = ec.generate_private_key(ec.SECP256K1()).public_key()
    point = base64.b64encode(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).decode()
    info = (
        f'<ds:KeyInfo xmlns:ds="{DS}"><ds:KeyName>A</ds:KeyName><ds:KeyValue><ECKeyValue xmlns="{DS11}">'
        f'<NamedCurve URI="urn:oid:1.3.132.0.10"/><PublicKey>{point}</PublicKey></ECKeyValue></ds:KeyValue></ds:KeyInfo>'
    )
    assert xml_keys.public_key(info.encode(), "A") == key
    source = Source.of(f'<ds:Signature xmlns:ds="{DS}">{info}</ds:Signature>'.encode())
    assert xml_keys.read(source, source.root).key == key


def authority_that_signs(hierarchy: Hierarchy, *, issued: bool) -> Signer:
    """A signer whose certificate says that it is a CA's: self-signed, or issued."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An")])
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    if issued:
        usage = (hierarchy.issuing.certificate.extensions.get_extension_for_class(x509.KeyUsage).value, True)
        return Signer(key, hierarchy.issuing.issue(name, key.public_key(), extensions=[ca, usage]))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    return Signer(key, builder.add_extension(*ca).sign(key, hashes.SHA256()))


@pytest.mark.parametrize("issued", [True, False])
def test_a_ca_certificate_that_stands_alone_and_has_signed_is_the_signers(
    hierarchy: Hierarchy, *, issued: bool
) -> None:
    """As tools make them that are asked for a certificate and nothing else; what it may sign is for trust to say."""
    signer = authority_that_signs(hierarchy, issued=issued)
    document = signed(signer, "{}")
    assert verify(hierarchy, document).clean
    assert verify(hierarchy, document.replace(">An<", ">Bình<")).verdict is Verdict.INVALID
    trusting = verify(hierarchy, document, integrity=False)
    assert trusting.verdict is Verdict.INDETERMINATE
    assert not trusting.clean


def test_a_ca_certificate_that_has_not_signed_or_is_not_alone_is_no_signers(hierarchy: Hierarchy) -> None:
    signer = authority_that_signs(hierarchy, issued=False)
    other = base64.b64encode(hierarchy.issuing.der).decode()
    for info in (certificate(other), "{}" + certificate(other), certificate(other) + "{}"):
        (found,) = verify(hierarchy, signed(signer, info)).signatures
        assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND, info


def side_by_side(key: ec.EllipticCurvePrivateKey, octets: bytes, length: int) -> bytes:
    """An ECDSA signature value as XML has it, each number in so many octets."""
    r, s = utils.decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


@pytest.mark.parametrize(
    ("curve", "length"), [(ec.SECP256R1(), 32), (ec.SECP384R1(), 48), (ec.SECP521R1(), 66)]
)
def test_zero_octets_before_both_numbers_of_a_signature_value_are_borne(
    curve: ec.EllipticCurve, length: int
) -> None:
    key = ec.generate_private_key(curve)
    scheme = SignatureAlgorithm("ECDSA", "SHA-256")
    for more in (0, 1, 8):
        value = side_by_side(key, b"octets", length + more)
        assert Method(scheme, b"octets", value).holds(key.public_key())
        assert not Method(scheme, b"others", value).holds(key.public_key())
    value = side_by_side(key, b"octets", length + 1)
    for at in (0, length + 1):
        other = value[:at] + b"\x01" + value[at + 1 :]
        with pytest.raises(AlgorithmError, match="two numbers"):
            Method(scheme, b"octets", other).holds(key.public_key())
    for wrong in (b"", value[1:]):
        with pytest.raises(AlgorithmError, match="two numbers"):
            Method(scheme, b"octets", wrong).holds(key.public_key())
