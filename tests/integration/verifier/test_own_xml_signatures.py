"""Every XML signature that the signer makes comes back passed and clean; and no mutation of what it protects does."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer.formats.parameters import FormatName
from services.signer.formats.xades import XmlSignature
from services.verifier.domain import Code, Coverage, DocumentReport, Indication, Verdict
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from tests.support.document_signers import ALGORITHMS, authority, signed, signer
from tests.support.xml_tools import DECLARATION, DS

NOW = datetime.now(UTC)
MUTATIONS = 2000
PACKAGINGS = ("ENVELOPED", "ENVELOPING", "DETACHED")


def trust() -> TrustMaterial:
    """The authority of the test run with a fresh CRL of its own."""
    key, certificate = authority()
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    return TrustMaterial((certificate.public_bytes(Encoding.DER),), (), (crl.public_bytes(Encoding.DER),))


@pytest.fixture(scope="module")
def service() -> VerificationService:
    """One service with trust and status for all the documents."""
    return VerificationService((XmlFormat(),), trust())


def sign(
    document: bytes,
    packaging: str,
    *,
    qualified: bool = True,
    algorithm: tuple[KeyAlgorithm, SigningAlgorithm] = ALGORITHMS[0],
    **options: Any,
) -> bytes:
    """One more signature by the signer of that key type."""
    who = signer(algorithm[0])
    form: FormatName = "XADES" if qualified else "XMLDSIG"
    parameters = who.parameters(algorithm[1], form=form, packaging=packaging, **options)
    return signed(XmlSignature(qualified=qualified), document, who, parameters)


def verify(service: VerificationService, data: bytes, packaging: str) -> DocumentReport:
    """The detached packaging is handed in with its content."""
    return service.verify(SubmittedDocument(data, DECLARATION if packaging == "DETACHED" else None), NOW)


@pytest.mark.parametrize("packaging", PACKAGINGS)
@pytest.mark.parametrize("qualified", [True, False])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_packaging_and_algorithm_of_the_signer_passes(
    service: VerificationService,
    algorithm: tuple[KeyAlgorithm, SigningAlgorithm],
    qualified: bool,
    packaging: str,
) -> None:
    out = sign(DECLARATION, packaging, qualified=qualified, algorithm=algorithm)
    report = verify(service, out, packaging)
    assert report.verdict is Verdict.VALID, report.signatures[0].detail
    assert report.clean
    (signature,) = report.signatures
    assert signature.indication is Indication.TOTAL_PASSED
    assert signature.format == ("XAdES-B-B" if qualified else "XMLDSig")
    assert signature.coverage.coverage is Coverage.WHOLE
    assert (signature.signing_time.claimed is not None) is qualified


def test_a_signed_element_beside_others_is_intact_and_said_to_be_a_part(
    service: VerificationService,
) -> None:
    out = sign(DECLARATION, "ENVELOPED", xml_target_id="ID_1")
    report = verify(service, out, "ENVELOPED")
    assert report.clean
    (intact,) = [n for n in report.signatures[0].notices if n.code is Code.DOC_INTACT]
    assert intact.detail == "/HSoThueDTu/HSoKhaiThue"


def test_two_signatures_one_after_the_other_pass(service: VerificationService) -> None:
    once = sign(DECLARATION, "ENVELOPED")
    twice = sign(once, "ENVELOPED", algorithm=ALGORITHMS[-1])
    indications = [one.indication for one in verify(service, twice, "ENVELOPED").signatures]
    assert len(indications) == 2
    # The second signature is inside what the first one covers, unless both leave all signatures out.
    assert indications[1] is Indication.TOTAL_PASSED


def protected(data: bytes, packaging: str) -> list[tuple[int, int]]:
    """Octets that a signature protects: SignedInfo, the value, the signed properties, the signer's certificate, and
    for an enveloped signature the document around it; comments and the XML declaration are nobody's.
    """
    patterns = [
        rb"<ds:SignedInfo.*?</ds:SignedInfo>",
        rb"(?<=-value\">)[^<]+(?=</ds:SignatureValue>)",
        rb"<xades:SignedProperties.*?</xades:SignedProperties>",
        rb"(?<=<ds:X509Certificate>)[^<]+",
    ]
    spans = [match.span() for one in patterns if (match := re.search(one, data, re.DOTALL))]
    if packaging == "ENVELOPED":
        start, end = data.index(b"<HSoThueDTu"), data.index(b"<ds:Signature")
        comments = [match.span() for match in re.finditer(rb"<!--.*?-->", data, re.DOTALL)]
        spans += [
            (position, position + 1)
            for position in range(start, end)
            if not any(first <= position < last for first, last in comments)
        ]
    return spans


def same_to_everybody(data: bytes, other: bytes) -> bool:
    """True for documents with one canonical form, comments left out: they differ in white space within tags or in the
    base64 of the value and the certificate, and in declarations of prefixes that nothing uses.
    """
    try:
        return _plain_form(data) == _plain_form(other)
    except (etree.LxmlError, ValueError):
        return False


def _plain_form(data: bytes) -> bytes:
    root = etree.fromstring(data)
    for name in ("SignatureValue", "X509Certificate"):
        for element in root.iter(f"{{{DS}}}{name}"):
            element.text = "".join((element.text or "").split())
    tree = root.getroottree()
    return bytes(etree.tostring(tree, method="c14n", exclusive=True, with_comments=False))


# A mutated certificate may have flaws that the library warns of before it is refused.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_mutation_of_protected_octets_comes_out_passed_and_clean(service: VerificationService) -> None:
    """Bits flipped, octets put in, taken out and overwritten in what is protected; 2,000 of them, seeded."""
    dice = random.Random(20261122)  # noqa: S311 - the same mutations in every run
    documents = [
        (sign(DECLARATION, packaging, qualified=qualified, algorithm=algorithm), packaging)
        for packaging in PACKAGINGS
        for qualified in (True, False)
        for algorithm in (ALGORITHMS[0], ALGORITHMS[-1])
    ]
    places = [protected(*document) for document in documents]
    neutral = 0
    for _ in range(MUTATIONS):
        index = dice.randrange(len(documents))
        data, packaging = documents[index]
        start, end = dice.choice(places[index])
        position = dice.randrange(start, end)
        mutated = bytearray(data)
        match dice.randrange(4):
            case 0 | 1:
                mutated[position] ^= 1 << dice.randrange(8)
            case 2:
                mutated[position:position] = dice.randbytes(dice.randrange(1, 4))
            case _:
                del mutated[position : min(end, position + dice.randrange(1, 4))]
        report = verify(service, bytes(mutated), packaging)
        if report.clean:
            assert same_to_everybody(data, bytes(mutated)), bytes(mutated)[position - 40 : position + 40]
            neutral += 1
    assert neutral < MUTATIONS // 20


def _parts(data: bytes) -> tuple[etree._Element, list[etree._Element]]:
    root = etree.fromstring(data)
    return root, [one for one in root.iter("*") if one is not root]


def test_no_moved_or_doubled_element_comes_out_passed_and_clean(service: VerificationService) -> None:
    """Every element of a signed declaration doubled in place and moved to every other parent near it."""
    for target in (None, "ID_1"):
        data = sign(DECLARATION, "ENVELOPED", xml_target_id=target)
        count = len(_parts(data)[1])
        for number in range(count):
            for action in ("double", "lift", "first"):
                root, elements = _parts(data)
                element = elements[number]
                parent = element.getparent()
                assert parent is not None
                # What is signed by its id may stand anywhere directly below the root: its place is not signed.
                by_id = target is not None and element.get("id") == target and action != "double"
                if by_id or _is_neutral(element):
                    continue
                _rearrange(root, parent, element, action)
                changed = etree.tostring(root.getroottree())
                if not same_to_everybody(data, changed):
                    assert not verify(service, changed, "ENVELOPED").clean, (target, element.tag, action)


def _is_neutral(element: etree._Element) -> bool:
    """Unsigned properties, spare certificates and what else KeyInfo says, and the container of signatures."""
    names = {str(one.tag).rpartition("}")[2] for one in (element, *element.iterancestors())}
    if names & {"KeyInfo", "UnsignedProperties", "CKyDTu"} and "Object" not in names:
        return True
    return str(element.tag).rpartition("}")[2] in ("Object", "QualifyingProperties", "Signature")


def _rearrange(root: etree._Element, parent: etree._Element, element: etree._Element, action: str) -> None:
    match action:
        case "double":
            parent.append(etree.fromstring(etree.tostring(element, with_tail=False)))
        case "lift":
            root.append(element)
        case _:
            parent.insert(0, element)


@pytest.mark.parametrize("qualified", [True, False])
def test_what_an_enveloping_signature_carries_is_handed_over(qualified: bool) -> None:
    """XML as it is signed, anything else octet by octet; with properties or without."""
    for content in (DECLARATION, b"%PDF-1.7 \x00 not XML"):
        out = sign(content, "ENVELOPING", qualified=qualified)
        findings = XmlFormat().find(SubmittedDocument(out))
        (carried,) = findings.contents
        assert carried.signed_by == (findings.signatures[0].name,)
        if content is DECLARATION:
            root = etree.fromstring(content)
            written = etree.tostring(root, method="c14n", exclusive=True, with_comments=False)
            assert carried.data == written
        else:
            assert carried.data == content
    broken = sign(DECLARATION, "ENVELOPING", qualified=qualified).replace(b"1.000.000", b"9.000.000")
    assert XmlFormat().find(SubmittedDocument(broken)).contents == []
    for packaging in ("ENVELOPED", "DETACHED"):
        out = sign(DECLARATION, packaging, qualified=qualified)
        assert XmlFormat().find(SubmittedDocument(out, DECLARATION)).contents == []


def test_a_signed_document_that_is_signed_once_more_is_judged_as_the_document_it_was(
    service: VerificationService,
) -> None:
    """Inside the new signature, "the whole document" would mean another one."""
    plain = re.sub(rb"<\?to-khai.*?\?>", b"", DECLARATION)
    for packaging, target in (("ENVELOPED", ""), ("ENVELOPED", "ID_1"), ("ENVELOPING", "")):
        once = sign(plain, packaging, xml_target_id=target)
        twice = sign(once, "ENVELOPING", algorithm=ALGORITHMS[-1])
        report = verify(service, twice, "ENVELOPING")
        assert report.clean, (packaging, report.notices)
        assert len(report.signatures) == 1
        (inner,) = report.inner
        assert inner.report.clean
        assert inner.report.signatures[0].coverage.coverage is Coverage.WHOLE
        (carried,) = XmlFormat().find(SubmittedDocument(twice)).contents
        assert carried.data in once
        # Where the new signature does not hold, nothing inside it is left out of the verdict.
        broken = twice.replace(b"1.000.000", b"9.000.000")
        if b"1.000.000" in twice:
            assert len(verify(service, broken, "ENVELOPING").signatures) == 2


def test_a_broken_signature_inside_takes_clean_away(service: VerificationService) -> None:
    once = sign(DECLARATION, "ENVELOPED", xml_target_id="ID_1").replace(b"1.000.000", b"9.000.000")
    report = verify(service, sign(once, "ENVELOPING", algorithm=ALGORITHMS[-1]), "ENVELOPING")
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert not report.clean


def test_a_second_copy_of_a_signature_is_told(service: VerificationService) -> None:
    """A signature that leaves all signatures out of what it signs holds wherever a copy of it stands."""
    data = sign(DECLARATION, "ENVELOPED", qualified=False)
    (mark,) = re.findall(rb"<ds:Signature .*</ds:Signature>", data, re.DOTALL)
    named = re.sub(rb' Id="[^"]*"', b"", mark)
    doubled = data.replace(b"</HSoThueDTu>", named + b"</HSoThueDTu>")
    report = verify(service, doubled, "ENVELOPED")
    assert len(report.signatures) == 2
    assert not report.clean
    assert all(Code.WRAPPING in {n.code for n in one.notices} for one in report.signatures)
