"""Signed properties of XAdES written by hand: the reference to the signer's certificate, and content time-stamps."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kernel.values import DigestAlgorithm
from services.verifier.domain import Code, DocumentReport, Indication, SubIndication, Verdict
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.unit.verifier.authority import NOW, Hierarchy, Signer
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVE, EXCLUSIVELY, Target, signature

XADES = "http://uri.etsi.org/01903/v1.3.2#"
SIGNED = "http://uri.etsi.org/01903#SignedProperties"
BODY = "<don><ten>An</ten></don>"
WHOLE = Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY)
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """As everywhere, with a signer whose key is RSA."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def reference(signer: Signer, algorithm: str, digest: bytes) -> str:
    """SigningCertificateV2 with this digest, and the issuer and number of the signer's certificate."""
    certificate = asn1_x509.Certificate.load(signer.certificate.public_bytes(Encoding.DER))
    names = [asn1_x509.GeneralName("directory_name", certificate.issuer)]
    issuer = tsp.IssuerSerial({"issuer": names, "serial_number": certificate.serial_number})
    method = f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{algorithm}"></ds:DigestMethod>'
    value = f'<ds:DigestValue xmlns:ds="{DS}">{base64.b64encode(digest).decode()}</ds:DigestValue>'
    serial = base64.b64encode(issuer.dump()).decode()
    return (
        f"<x:SigningCertificateV2><x:Cert><x:CertDigest>{method}{value}</x:CertDigest>"
        f"<x:IssuerSerialV2>{serial}</x:IssuerSerialV2></x:Cert></x:SigningCertificateV2>"
    )


def document(signer: Signer, of_signature: str, of_data: str = "", *, name: str = "") -> bytes:
    """The body with a signature over it and over these properties; the first reference bears this id."""
    held = f"<x:SignedDataObjectProperties>{of_data}</x:SignedDataObjectProperties>" if of_data else ""
    properties = (
        f'<x:SignedProperties xmlns:x="{XADES}" Id="p"><x:SignedSignatureProperties>{of_signature}'
        f"</x:SignedSignatureProperties>{held}</x:SignedProperties>"
    )
    around = f'<ds:Object><x:QualifyingProperties xmlns:x="{XADES}">{properties}</x:QualifyingProperties></ds:Object>'
    own = Target("#p", properties.encode(), EXCLUSIVELY, SIGNED)
    made = signature(signer, _Named(WHOLE, name) if name else WHOLE, own, inside=around)
    return BODY.replace("</don>", f"{made}</don>").encode()


class _Named(Target):
    """A target whose reference bears an id."""

    def __init__(self, target: Target, name: str) -> None:
        super().__init__(target.uri, target.octets, target.transforms, target.type)
        object.__setattr__(self, "name", name)

    def text(self) -> str:
        return super().text().replace("<ds:Reference ", f'<ds:Reference Id="{vars(self)["name"]}" ', 1)


def verify(hierarchy: Hierarchy, data: bytes, *, integrity: bool = False) -> DocumentReport:
    """Judge with the hierarchy's trust, or without any."""
    service = VerificationService((XmlFormat(),), hierarchy.trust(), integrity_only=integrity)
    return service.verify(SubmittedDocument(data), NOW)


@pytest.mark.parametrize("integrity", [True, False])
def test_a_reference_with_a_digest_of_another_length_names_nobody(
    hierarchy: Hierarchy, integrity: bool
) -> None:
    """Integrity does not depend on who signed; a verdict on the signer does."""
    data = document(hierarchy.signer, reference(hierarchy.signer, SHA512, bytes(32)))
    (found,) = verify(hierarchy, data, integrity=integrity).signatures
    if integrity:
        assert found.indication is Indication.TOTAL_PASSED, found.detail
        assert any(n.code is Code.TRUST_LEFT_OUT for n in found.notices)
    else:
        assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


@pytest.mark.parametrize("integrity", [True, False])
def test_a_reference_to_another_certificate_is_one_in_any_case(hierarchy: Hierarchy, integrity: bool) -> None:
    der = hierarchy.signer.certificate.public_bytes(Encoding.DER)
    for digest, passed in (
        (hashlib.sha256(der).digest(), True),
        (hashlib.sha256(der + b"x").digest(), False),
    ):
        data = document(hierarchy.signer, reference(hierarchy.signer, SHA256, digest))
        (found,) = verify(hierarchy, data, integrity=integrity).signatures
        assert (found.indication is Indication.TOTAL_PASSED) is passed, found.detail


@pytest.mark.parametrize("integrity", [True, False])
@pytest.mark.parametrize(
    ("algorithm", "value"),
    [(SHA256, "..."), (SHA256, ""), ("http://www.w3.org/2001/04/xmlenc#ripemd160", ""), ("", "AAAA")],
)
def test_a_digest_that_can_be_no_certificates_names_nobody(
    hierarchy: Hierarchy, algorithm: str, value: str, integrity: bool
) -> None:
    """Its signer wrote it, and it binds nobody: the document is what was signed, and it is not known by whom."""
    whole = reference(hierarchy.signer, algorithm, b"x").replace(base64.b64encode(b"x").decode(), value)
    data = document(hierarchy.signer, whole)
    (found,) = verify(hierarchy, data, integrity=integrity).signatures
    if integrity:
        assert found.indication is Indication.TOTAL_PASSED, found.detail
        changed = verify(hierarchy, data.replace(b"An", b"Ba"), integrity=True)
        assert changed.signatures[0].sub_indication is SubIndication.HASH_FAILURE
        filled = data.replace(f">{value}</ds:DigestValue></x:".encode(), b">QQ==</ds:DigestValue></x:")
        assert filled != data
        assert (
            verify(hierarchy, filled, integrity=True).signatures[0].sub_indication
            is SubIndication.HASH_FAILURE
        )
    else:
        assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


@pytest.mark.parametrize("times", [0, 2])
def test_a_reference_without_one_digest_is_malformed(hierarchy: Hierarchy, times: int) -> None:
    whole = reference(hierarchy.signer, SHA256, b"")
    for part in ("DigestMethod", "DigestValue"):
        start, end = whole.index(f"<ds:{part}"), whole.index(f"</ds:{part}>") + len(f"</ds:{part}>")
        data = document(hierarchy.signer, whole[:start] + whole[start:end] * times + whole[end:])
        assert verify(hierarchy, data, integrity=True).verdict is Verdict.MALFORMED


def oldest(signer: Signer, digest: bytes) -> bytes:
    """A document signed as XAdES 1.1.1 has it: the digest's members are of its own namespace, as in DDOC."""
    own, der = "http://uri.etsi.org/01903/v1.1.1#", base64.b64encode(digest).decode()
    whole = (
        f'<x:SigningCertificate><x:Cert><x:CertDigest><x:DigestMethod Algorithm="{SHA256}"></x:DigestMethod>'
        f"<x:DigestValue>{der}</x:DigestValue></x:CertDigest></x:Cert></x:SigningCertificate>"
    )
    properties = (
        f'<x:SignedProperties xmlns:x="{own}" Id="p"><x:SignedSignatureProperties>{whole}'
        "</x:SignedSignatureProperties></x:SignedProperties>"
    )
    around = f'<ds:Object><x:QualifyingProperties xmlns:x="{own}">{properties}</x:QualifyingProperties></ds:Object>'
    signed = Target("#p", properties.encode(), EXCLUSIVELY, f"{own}SignedProperties")
    made = signature(signer, WHOLE, signed, inside=around)
    return BODY.replace("</don>", f"{made}</don>").encode()


def test_the_digest_of_a_certificate_in_the_first_namespace_of_xades(hierarchy: Hierarchy) -> None:
    der = hierarchy.signer.certificate.public_bytes(Encoding.DER)
    data = oldest(hierarchy.signer, hashlib.sha256(der).digest())
    report = verify(hierarchy, data)
    assert (report.verdict, report.clean) == (Verdict.VALID, True), report.signatures[0].detail
    other = oldest(hierarchy.signer, hashlib.sha256(der + b"x").digest())
    assert subs(verify(hierarchy, other)) == [SubIndication.NO_SIGNING_CERTIFICATE_FOUND]
    assert subs(verify(hierarchy, data.replace(b"An", b"Ba"))) == [SubIndication.HASH_FAILURE]
    assert subs(verify(hierarchy, data.replace(b"<x:CertDigest>", b"<x:CertDigest> "))) == [
        SubIndication.HASH_FAILURE
    ]
    twice = b'<x:CertDigest><ds:DigestMethod Algorithm="urn:x"></ds:DigestMethod>'
    assert verify(hierarchy, data.replace(b"<x:CertDigest>", twice)).verdict is Verdict.MALFORMED


def subs(report: DocumentReport) -> list[SubIndication | None]:
    return [one.sub_indication for one in report.signatures]


def content_stamp(octets: bytes, name: str, inside: str = "") -> str:
    """A content time-stamp over these octets, in canonical form, without white space."""
    token = stamping.token(stamping.imprint(octets), DigestAlgorithm.SHA256)
    encoded = base64.b64encode(token).decode()
    method = (
        f'<ds:CanonicalizationMethod xmlns:ds="{DS}" Algorithm="{EXCLUSIVE}"></ds:CanonicalizationMethod>'
    )
    return (
        f"<x:{name}>{inside}{method}<x:EncapsulatedTimeStamp>{encoded}</x:EncapsulatedTimeStamp></x:{name}>"
    )


INCLUDED = '<x:Include URI="#r" referencedData="true"></x:Include>'


@pytest.mark.parametrize(
    ("octets", "name", "inside", "code"),
    [
        (BODY.encode(), "AllDataObjectsTimeStamp", "", Code.TS_UNDECIDED),
        (b"else", "AllDataObjectsTimeStamp", "", Code.TS_BAD),
        (BODY.encode(), "IndividualDataObjectsTimeStamp", INCLUDED, Code.TS_UNDECIDED),
        (b"else", "IndividualDataObjectsTimeStamp", INCLUDED, Code.TS_BAD),
        (BODY.encode(), "IndividualDataObjectsTimeStamp", "", Code.TS_BAD),
        (
            BODY.encode(),
            "IndividualDataObjectsTimeStamp",
            INCLUDED.replace("#r", "#elsewhere"),
            Code.TS_BAD,
        ),
        (
            BODY.encode(),
            "IndividualDataObjectsTimeStamp",
            INCLUDED.replace("true", "false"),
            Code.TS_BAD,
        ),
    ],
)
def test_a_content_time_stamp_is_over_what_the_references_name(
    hierarchy: Hierarchy, octets: bytes, name: str, inside: str, code: Code
) -> None:
    """EN 319 132-1 5.2.8. Nobody trusts the authority here: a stamp over the right octets is undecided, not bad."""
    certificate = hierarchy.signer.certificate.public_bytes(Encoding.DER)
    named = reference(hierarchy.signer, SHA256, hashlib.sha256(certificate).digest())
    data = document(hierarchy.signer, named, content_stamp(octets, name, inside), name="r")
    (found,) = verify(hierarchy, data).signatures
    assert found.indication is Indication.TOTAL_PASSED, found.detail
    assert [n.code for n in found.notices if n.code.value.startswith("TS_")] == [code]
    assert found.format == "XAdES"


@pytest.mark.parametrize("integrity", [True, False])
def test_a_signature_without_a_digest_is_judged_like_any(hierarchy: Hierarchy, integrity: bool) -> None:
    """EdDSA signs the octets of SignedInfo themselves (RFC 9231 2.3.12)."""
    key = ed25519.Ed25519PrivateKey.generate()
    marked = signature(hierarchy.signer, WHOLE, method="http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519")
    info = marked[marked.index("<ds:SignedInfo") : marked.index("</ds:SignedInfo>") + len("</ds:SignedInfo>")]
    value = base64.b64encode(key.sign(info.encode())).decode()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bare = (
        f'<k:DEREncodedKeyValue xmlns:k="http://www.w3.org/2009/xmldsig11#">{base64.b64encode(der).decode()}'
    )
    whole = (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f"<ds:KeyInfo>{bare}</k:DEREncodedKeyValue></ds:KeyInfo></ds:Signature>"
    )
    data = BODY.replace("</don>", f"{whole}</don>").encode()
    (found,) = verify(hierarchy, data, integrity=integrity).signatures
    if integrity:
        assert found.indication is Indication.TOTAL_PASSED, found.detail
        assert found.signed_digest == b""
    else:
        assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND
