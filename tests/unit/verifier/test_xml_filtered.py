"""References to the whole document of which a filter leaves one element: judged as references to that element."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.domain import Code, DocumentReport, SubIndication, Verdict
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, SHA256, Target, signature

XADES = "http://uri.etsi.org/01903/v1.3.2#"
FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"
BODY = "<don><ten>An</ten></don>"
WHOLE = Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY)
PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With an RSA signer."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def verify(hierarchy: Hierarchy, data: str) -> DocumentReport:
    """With trust."""
    service = VerificationService((XmlFormat(),), hierarchy.trust())
    return service.verify(SubmittedDocument(data.encode()), NOW)


def left(path: str, octets: str, kind: str) -> Target:
    """A reference to the whole document, of which only these elements are left."""
    expression = f'<dsf:XPath xmlns:dsf="{FILTER}" Filter="intersect">{path}</dsf:XPath>'
    transform = f'<ds:Transform Algorithm="{FILTER}">{expression}</ds:Transform>'
    return Target("", octets.encode(), transform + EXCLUSIVELY, kind)


def properties(hierarchy: Hierarchy) -> str:
    """SignedProperties with the reference to the signer's certificate."""
    digest = hashlib.sha256(hierarchy.signer.certificate.public_bytes(Encoding.DER)).digest()
    value = f'<ds:DigestValue xmlns:ds="{DS}">{base64.b64encode(digest).decode()}</ds:DigestValue>'
    method = f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{SHA256}"></ds:DigestMethod>'
    return (
        f'<x:SignedProperties xmlns:x="{XADES}"><x:SignedSignatureProperties><x:SigningCertificate><x:Cert>'
        f"<x:CertDigest>{method}{value}</x:CertDigest></x:Cert></x:SigningCertificate></x:SignedSignatureProperties>"
        "</x:SignedProperties>"
    )


def around(inside: str) -> str:
    return (
        f'<ds:Object><x:QualifyingProperties xmlns:x="{XADES}">{inside}</x:QualifyingProperties></ds:Object>'
    )


def enveloped(mark: str, more: str = "") -> str:
    """The body with the signature in it; the prefix that filters use is declared on top."""
    return BODY.replace("<don>", f'<don xmlns:x="{XADES}">').replace("</don>", f"{more}{mark}</don>")


def test_signed_properties_may_be_found_by_a_filter(hierarchy: Hierarchy) -> None:
    signed = properties(hierarchy)
    own = left("//x:SignedProperties", signed, PROPERTIES)
    document = enveloped(signature(hierarchy.signer, WHOLE, own, inside=around(signed)))
    report = verify(hierarchy, document)
    assert (report.verdict, report.clean) == (Verdict.VALID, True), report.signatures[0].detail
    assert report.signatures[0].format == "XAdES"
    for changed in (
        document.replace("<x:Cert>", "<x:Cert> "),
        # One more of the name is taken by the filter too.
        document.replace("</ds:Signature>", f"<ds:Object>{signed}</ds:Object></ds:Signature>"),
        document.replace(">An<", ">Binh<"),
    ):
        assert changed != document
        assert verify(hierarchy, changed).signatures[0].sub_indication is SubIndication.HASH_FAILURE


@pytest.mark.parametrize("place", ["document", "another object"])
def test_signed_properties_elsewhere_are_not_the_signatures_own(hierarchy: Hierarchy, place: str) -> None:
    signed = properties(hierarchy)
    body = BODY.replace("</don>", f"{signed}</don>") if place == "document" else BODY
    whole = Target("", body.encode(), ENVELOPED + EXCLUSIVELY)
    own = left("//x:SignedProperties", signed, PROPERTIES)
    inside = around("") + (f"<ds:Object>{signed}</ds:Object>" if place != "document" else "")
    mark = signature(hierarchy.signer, whole, own, inside=inside)
    report = verify(hierarchy, enveloped(mark, signed if place == "document" else ""))
    assert report.signatures[0].sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE
    assert Code.WRAPPING in {notice.code for notice in report.signatures[0].notices}
    assert not report.clean


def test_an_object_may_be_found_by_a_filter_and_what_is_none_may_not(hierarchy: Hierarchy) -> None:
    held = f'<ds:Object xmlns:ds="{DS}"><so>1</so></ds:Object>'
    inside = held.replace(f' xmlns:ds="{DS}"', "")
    mark = signature(hierarchy.signer, left("//ds:Object", held, f"{DS}Object"), inside=inside)
    assert verify(hierarchy, mark).clean
    for changed in (mark.replace("<so>1", "<so>2"), mark.replace(inside, inside * 2)):
        assert not verify(hierarchy, changed).clean
    stray = signature(hierarchy.signer, left("//ten", "<ten>An</ten>", f"{DS}Object"))
    found = verify(hierarchy, enveloped(stray)).signatures[0]
    assert found.sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE


def test_what_a_manifest_lists_is_looked_at_where_a_filter_finds_it(hierarchy: Hierarchy) -> None:
    data = f'<ds:Object xmlns:ds="{DS}" Id="o">1</ds:Object>'
    for octets, holds in ((data, True), (data.replace(">1<", ">2<"), False)):
        manifest = f'<ds:Manifest xmlns:ds="{DS}">{Target("#o", octets.encode()).text()}</ds:Manifest>'
        inside = f"<ds:Object>{manifest}</ds:Object>{data}".replace(f' xmlns:ds="{DS}"', "")
        mark = signature(hierarchy.signer, left("//ds:Manifest", manifest, f"{DS}Manifest"), inside=inside)
        report = verify(hierarchy, mark)
        assert report.clean is holds, report.signatures[0].detail
        if not holds:
            assert report.signatures[0].sub_indication is SubIndication.HASH_FAILURE


def test_a_filter_that_leaves_only_the_signature_itself_leaves_nothing_signed(hierarchy: Hierarchy) -> None:
    signed = properties(hierarchy)
    own = left("//x:SignedProperties", signed, PROPERTIES)
    report = verify(hierarchy, enveloped(signature(hierarchy.signer, own, inside=around(signed))))
    assert report.signatures[0].sub_indication is SubIndication.FORMAT_FAILURE
    unnamed = replace(own, type="")
    report = verify(hierarchy, enveloped(signature(hierarchy.signer, unnamed, inside=around(signed))))
    assert report.signatures[0].sub_indication is SubIndication.FORMAT_FAILURE
