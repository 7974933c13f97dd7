"""XML signatures from hostile hands: what is refused, what is found missing or moved, and what is never fetched."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.domain import (
    Code,
    Coverage,
    DocumentReport,
    Indication,
    SignatureReport,
    SubIndication,
    Verdict,
)
from services.verifier.formats import xml_keys
from services.verifier.formats.xml_algorithms import Method
from services.verifier.formats.xml_input import XmlError
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVE, EXCLUSIVELY, Target, signature

BODY = "<don><ten>An</ten></don>"
WHOLE = Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY)


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """As everywhere, with a signer whose key is RSA, which needs no numbers side by side."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def verify(
    hierarchy: Hierarchy, document: str | bytes, detached: bytes | None = None, *, integrity: bool = False
) -> DocumentReport:
    """Judge with the hierarchy's trust, or without any."""
    data = document.encode() if isinstance(document, str) else document
    service = VerificationService((XmlFormat(),), hierarchy.trust(), integrity_only=integrity)
    return service.verify(SubmittedDocument(data, detached), NOW)


def only(report: DocumentReport) -> SignatureReport:
    (signature,) = report.signatures
    return signature


def enveloped(mark: str) -> str:
    """The body with something before its end."""
    return BODY.replace("</don>", f"{mark}</don>")


def codes(report: DocumentReport) -> set[Code]:
    return {notice.code for one in report.signatures for notice in one.notices}


def test_a_signature_written_by_hand_passes(hierarchy: Hierarchy) -> None:
    report = verify(hierarchy, enveloped(signature(hierarchy.signer, WHOLE)))
    assert report.verdict is Verdict.VALID, only(report).detail
    assert report.clean
    assert only(report).format == "XMLDSig"


def test_a_document_without_signature_is_unsigned(hierarchy: Hierarchy) -> None:
    assert verify(hierarchy, BODY).verdict is Verdict.UNSIGNED


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]><a>&d;</a>', Verdict.MALFORMED),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>', Verdict.MALFORMED),
        (
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>',
            Verdict.MALFORMED,
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), Verdict.MALFORMED),
        (b'<?xml version="1.0" encoding="UTF-7"?><a/>', Verdict.MALFORMED),
        (b"<a><b></a>", Verdict.MALFORMED),
        (b"<a><x:b/></a>", Verdict.MALFORMED),
        (b"<a/><b/>", Verdict.MALFORMED),
        (b"<!-- only this -->", Verdict.MALFORMED),
        (b"<a>" * 5000, Verdict.INDETERMINATE),
        (b"<a>" + b"x" * 10_100_000 + b"</a>", Verdict.INDETERMINATE),
        (b"<a>" * 240 + b"</a>" * 240, Verdict.INDETERMINATE),
    ],
)
def test_hostile_xml_is_refused(hierarchy: Hierarchy, document: bytes, verdict: Verdict) -> None:
    report = verify(hierarchy, document)
    assert report.verdict is verdict
    assert not report.clean


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (
            '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"></ds:Transform>',
            "XSLT, which is never executed",
        ),
        (
            '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
            "<ds:XPath>count(//*) &gt; 3</ds:XPath></ds:Transform>",
            "count(//*) > 3",
        ),
        (
            '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2">'
            '<XPath xmlns="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">'
            "document('file:///etc/hostname')</XPath></ds:Transform>",
            "document(",
        ),
        ('<ds:Transform Algorithm="urn:new"></ds:Transform>', "urn:new"),
    ],
)
def test_a_transform_that_is_not_known_to_be_safe_decides_nothing(
    hierarchy: Hierarchy, transform: str, reason: str
) -> None:
    target = Target("", BODY.encode(), transform)
    found = only(verify(hierarchy, enveloped(signature(hierarchy.signer, target))))
    assert found.indication is Indication.INDETERMINATE
    assert found.sub_indication is SubIndication.GENERIC
    assert reason in found.detail


def test_too_many_transforms_and_no_references_are_refused(hierarchy: Hierarchy) -> None:
    many = Target("", BODY.encode(), EXCLUSIVELY * 11)
    for targets in ((many,), ()):
        found = only(verify(hierarchy, enveloped(signature(hierarchy.signer, *targets))))
        assert found.sub_indication is SubIndication.FORMAT_FAILURE


@pytest.mark.parametrize("method", [f"{DS}hmac-sha1", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"])
def test_a_keyed_hash_is_no_signature(hierarchy: Hierarchy, method: str) -> None:
    found = only(verify(hierarchy, enveloped(signature(hierarchy.signer, WHOLE, method=method))))
    assert found.indication is Indication.TOTAL_FAILED
    assert "HMAC" in found.detail


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9/x", "file:///etc/hostname", "ho-so.pdf", "#khong-co"])
def test_what_is_not_at_hand_is_never_fetched(hierarchy: Hierarchy, uri: str) -> None:
    found = only(verify(hierarchy, enveloped(signature(hierarchy.signer, Target(uri, b"x", "")))))
    assert found.indication is Indication.INDETERMINATE
    assert found.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND


def test_detached_content_is_taken_as_it_is_handed_in(hierarchy: Hierarchy) -> None:
    mark = signature(hierarchy.signer, Target("ho-so.pdf", b"%PDF-", ""))
    assert verify(hierarchy, mark, b"%PDF-").clean
    assert only(verify(hierarchy, mark, b"%PDF+")).sub_indication is SubIndication.HASH_FAILURE


_FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"


def _without(path: str) -> str:
    """A transform that leaves these elements out of what is signed."""
    expression = f'<dsf:XPath xmlns:dsf="{_FILTER}" Filter="subtract">{path}</dsf:XPath>'
    return f'<ds:Transform Algorithm="{_FILTER}">{expression}</ds:Transform>'


def test_detached_content_of_which_nothing_is_signed_is_not_signed(hierarchy: Hierarchy) -> None:
    mark = signature(hierarchy.signer, Target("don.xml", b"", _without("/")))
    for content in (BODY, BODY.replace("An", "Binh")):
        report = verify(hierarchy, mark, content.encode())
        assert only(report).sub_indication is SubIndication.FORMAT_FAILURE


def test_detached_content_of_which_a_part_is_signed_is_not_whole(hierarchy: Hierarchy) -> None:
    part = "<don><ten>An</ten></don>"
    content = part.replace("</don>", "<tien>5</tien></don>")
    report = verify(
        hierarchy,
        signature(hierarchy.signer, Target("don.xml", part.encode(), _without("//tien"))),
        content.encode(),
    )
    assert only(report).indication is Indication.TOTAL_PASSED
    assert only(report).coverage.coverage is Coverage.PARTIAL
    assert {Code.PARTLY_SIGNED} == {n.code for n in only(report).notices} - {Code.TS_NONE}


def test_an_id_that_two_elements_have_is_a_fault(hierarchy: Hierarchy) -> None:
    signed = '<ten Id="a">An</ten>'
    mark = signature(hierarchy.signer, Target("#a", signed.encode()))
    assert verify(hierarchy, f"<don>{signed}{mark}</don>").clean
    for fake in ('<ten Id="a">Binh</ten>', '<x id="a"/>', '<x xml:id="a"/>'):
        report = verify(hierarchy, f"<don>{fake}{signed}{mark}</don>")
        assert only(report).sub_indication is SubIndication.FORMAT_FAILURE
        assert "2 elements have the id" in only(report).detail


@pytest.mark.parametrize(
    "document",
    [
        "<don><ten>Binh</ten>{signed}{mark}</don>",
        "<don><ten Id='b'>Binh</ten><cu>{signed}</cu>{mark}</don>",
        "<don><cu>{signed}</cu>{mark}</don>",
        "<don><so>2</so>{within}</don>",
        "<don><ten><ho>Tran</ho></ten>{within}</don>",
    ],
)
def test_what_is_signed_and_put_out_of_sight_is_named_and_never_clean(
    hierarchy: Hierarchy, document: str
) -> None:
    signed = '<ten Id="a">An</ten>'
    target = Target("#a", signed.encode())
    holder = f"<ds:Object>{signed}</ds:Object>"
    parts = {
        "signed": signed,
        "mark": signature(hierarchy.signer, target),
        "within": signature(hierarchy.signer, target, inside=holder),
    }
    report = verify(hierarchy, document.format(**parts))
    assert not report.clean
    assert Code.WRAPPING in codes(report)


def test_a_signed_part_says_what_is_not_signed(hierarchy: Hierarchy) -> None:
    signed = '<ten Id="a">An</ten>'
    mark = signature(hierarchy.signer, Target("#a", signed.encode()))
    report = verify(hierarchy, f"<don><ghi-chu>them vao</ghi-chu>{signed}{mark}</don>")
    (notice,) = [one for one in only(report).notices if one.code is Code.PARTLY_SIGNED]
    assert notice.detail == "not signed: /don/ghi-chu"


def test_a_reference_said_to_be_to_an_object_must_be_to_one_of_the_signature(hierarchy: Hierarchy) -> None:
    signed = '<ten Id="a">An</ten>'
    target = Target("#a", signed.encode(), type=f"{DS}Object")
    report = verify(hierarchy, f"<don>{signed}{signature(hierarchy.signer, target)}</don>")
    assert only(report).sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE


def test_a_signature_over_nothing_of_the_document_fails(hierarchy: Hierarchy) -> None:
    text = '<XPath xmlns="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">/</XPath>'
    transform = f'<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2">{text}</ds:Transform>'
    target = Target("", b"", transform)
    found = only(verify(hierarchy, enveloped(signature(hierarchy.signer, target))))
    assert found.indication is Indication.TOTAL_FAILED
    assert "covers nothing" in found.detail


def test_a_comment_that_splits_signed_text_is_never_clean(hierarchy: Hierarchy) -> None:
    document = enveloped(signature(hierarchy.signer, WHOLE))
    report = verify(hierarchy, document.replace("<ten>An<", "<ten>A<!-- -->n<"))
    assert Code.WRAPPING in codes(report)
    assert not report.clean


COMMENTED = f'<ds:Transform Algorithm="{EXCLUSIVE}WithComments"></ds:Transform>'


def test_a_comment_that_splits_text_of_detached_content_is_never_clean(hierarchy: Hierarchy) -> None:
    """The canonical form leaves it out, so that anybody may put it in."""
    mark = signature(hierarchy.signer, Target("don.xml", BODY.encode()))
    assert verify(hierarchy, mark, BODY.encode()).clean
    assert verify(hierarchy, mark, BODY.replace("<ten>", "<!-- 1 --><ten>").encode()).clean
    split = BODY.replace(">An<", ">A<!-- -->n<")
    for octets in (split.encode(), split.encode("utf-16")):
        report = verify(hierarchy, mark, octets)
        assert (report.verdict, report.clean) == (Verdict.VALID, False)
        assert Code.WRAPPING in codes(report)
        assert only(report).coverage.coverage is Coverage.PARTIAL
    # A form with comments signs them.
    told = signature(hierarchy.signer, Target("don.xml", split.encode(), COMMENTED))
    assert verify(hierarchy, told, split.encode()).clean
    assert not verify(hierarchy, told, BODY.encode()).clean
    twice = signature(hierarchy.signer, Target("don.xml", BODY.encode(), COMMENTED + EXCLUSIVELY))
    assert not verify(hierarchy, twice, split.encode()).clean


def test_a_comment_in_xml_that_an_object_holds_encoded_is_none_of_the_document(hierarchy: Hierarchy) -> None:
    held = base64.b64encode(BODY.replace(">An<", ">A<!-- -->n<").encode()).decode()
    decoded = f'<ds:Transform Algorithm="{DS}base64"></ds:Transform>'
    for transforms, octets, clean in (
        (decoded, base64.b64decode(held), True),
        (decoded + EXCLUSIVELY, BODY.encode(), False),
    ):
        target = Target("#o", octets, transforms)
        inside = f'<ds:Object Id="o">{held}</ds:Object>'
        assert verify(hierarchy, signature(hierarchy.signer, target, inside=inside)).clean is clean


def test_a_comment_in_signed_info_and_bits_that_mean_nothing_are_refused(hierarchy: Hierarchy) -> None:
    document = enveloped(signature(hierarchy.signer, WHOLE))
    split = document.replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->")
    assert only(verify(hierarchy, split)).sub_indication is SubIndication.FORMAT_FAILURE
    # 256 octets end in "==": the character before carries four bits that decoding drops.
    end = document.index("==</ds:SignatureValue>")
    other = {"A": "B", "Q": "R", "g": "h", "w": "x"}[document[end - 1]]
    changed = document[: end - 1] + other + document[end:]
    assert only(verify(hierarchy, changed)).sub_indication is SubIndication.FORMAT_FAILURE


def test_a_bare_key_shows_integrity_and_no_signer(hierarchy: Hierarchy) -> None:
    document = enveloped(signature(hierarchy.signer, WHOLE, bare_key=True))
    assert verify(hierarchy, document, integrity=True).clean
    found = only(verify(hierarchy, document))
    assert found.indication is Indication.INDETERMINATE
    assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND
    broken = verify(hierarchy, document.replace(">An<", ">Binh<"), integrity=True)
    assert only(broken).sub_indication is SubIndication.HASH_FAILURE


def test_sha_1_is_named(hierarchy: Hierarchy) -> None:
    document = enveloped(signature(hierarchy.signer, WHOLE, method=f"{DS}rsa-sha1"))
    report = verify(hierarchy, document)
    assert report.verdict is Verdict.INDETERMINATE
    assert only(report).sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
    assert Code.ALG_SHA1 in codes(report)


def test_a_certificate_authoritys_certificate_alone_names_no_signer(hierarchy: Hierarchy) -> None:
    document = enveloped(signature(hierarchy.signer, WHOLE))
    start = document.index("<ds:X509Certificate>") + len("<ds:X509Certificate>")
    end = document.index("</ds:X509Certificate>")
    issuer = base64.b64encode(hierarchy.issuing.der).decode()
    found = only(verify(hierarchy, document[:start] + issuer + document[end:], integrity=True))
    assert found.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_a_part_below_an_xml_base_is_signed_with_it(hierarchy: Hierarchy) -> None:
    """C14N 1.1 2.4: the part takes along where it stands, and is another one under another."""
    form = '<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform>'
    octets = b'<ten Id="a" xml:base="http://vi.du/k/">An</ten>'
    mark = signature(hierarchy.signer, Target("#a", octets, form))
    document = f'<don xml:base="http://vi.du/k/"><ten Id="a">An</ten>{mark}</don>'
    assert verify(hierarchy, document).clean
    for old, new in (
        (">An<", ">Ân<"),
        ("http://vi.du/k/", "http://vi.du/"),
        ("<ten ", '<ten xml:base="l/" '),
    ):
        report = verify(hierarchy, document.replace(old, new, 1))
        assert report.verdict is Verdict.INVALID
    relative = verify(
        hierarchy, document.replace("http://vi.du/k/", "k/").replace("<ten ", '<ten xml:base="l/" ')
    )
    assert only(relative).sub_indication is SubIndication.GENERIC


def test_a_key_that_is_only_named_is_taken_from_whoever_asks(hierarchy: Hierarchy) -> None:
    """XMLDSig 4.5.1: the name alone shows nothing; with the key of that name it shows integrity, and no signer."""
    marked = signature(hierarchy.signer, WHOLE, bare_key=True)
    start, end = marked.index("<ds:KeyInfo>"), marked.index("</ds:KeyInfo>")
    named = marked[:start] + "<ds:KeyInfo><ds:KeyName> Khóa 1 </ds:KeyName>" + marked[end:]
    key, other = hierarchy.signer.key.public_key(), rsa.generate_private_key(65537, 2048).public_key()
    for keys, verdict in (
        ({}, Verdict.INDETERMINATE),
        ({"Khóa 2": key}, Verdict.INDETERMINATE),
        ({"Khóa 1": key}, Verdict.VALID),
        ({"Khóa 1": other}, Verdict.INVALID),
    ):
        format_, document = XmlFormat(keys), SubmittedDocument(enveloped(named).encode())
        service = VerificationService((format_,), hierarchy.trust(), integrity_only=True)
        assert service.verify(document, NOW).verdict is verdict, keys
        trusting = VerificationService((format_,), hierarchy.trust())
        assert trusting.verify(document, NOW).verdict is not Verdict.VALID


def test_public_keys_are_read_from_pem_der_and_xml(hierarchy: Hierarchy) -> None:
    key = hierarchy.signer.key.public_key()
    for encoding in (Encoding.PEM, Encoding.DER):
        data = key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        assert xml_keys.public_key(data, "any") == key
    text = signature(hierarchy.signer, WHOLE, bare_key=True)
    xml = text.replace("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>A</ds:KeyName>").encode()
    assert xml_keys.public_key(xml, "A") == key
    for data, name in ((xml, "B"), (b"no key", "A"), (b"<a", "A"), (b"-----BEGIN X-----", "A")):
        with pytest.raises(XmlError):
            xml_keys.public_key(data, name)


@pytest.mark.parametrize("size", [44, 65, 87])
def test_ml_dsa_holds_for_its_own_key_and_size_only(size: int) -> None:
    makers: dict[int, Any] = {
        44: mldsa.MLDSA44PrivateKey,
        65: mldsa.MLDSA65PrivateKey,
        87: mldsa.MLDSA87PrivateKey,
    }
    key = makers[size].generate()
    for named in makers:
        method = Method(SignatureAlgorithm(f"ML-DSA-{named}", ""), b"octets", key.sign(b"octets"))
        if named == size:
            assert method.holds(key.public_key())
            assert not replace(method, octets=b"others").holds(key.public_key())
        else:
            with pytest.raises(AlgorithmError):
                method.holds(key.public_key())
