"""Contents of which only digests are handed in: what they prove, and what they must not be taken to prove."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import Code, Coverage, DocumentReport, Indication, SubIndication
from services.verifier.formats.asic import AsicFormat
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.jades import JadesFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.formats.smime import SmimeFormat
from services.verifier.formats.time_stamp_file import TimeStampFileFormat
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import ContentDigest, SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier import test_time_stamp_file as stamping
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.jws_signing import entry, flattened, url
from tests.unit.verifier.test_cms import openssl_cms
from tests.unit.verifier.test_jades_content import described
from tests.unit.verifier.test_smime import PART, clear_signed
from tests.unit.verifier.xml_signing import EXCLUSIVELY, Target, signature

CONTENT = "Hợp đồng số 7".encode()
OTHER = "Hợp đồng số 8".encode()
FORMATS = (
    AsicFormat(),
    TimeStampFileFormat(),
    CmsFormat(),
    SmimeFormat(),
    PdfFormat(),
    XmlFormat(),
    JadesFormat(),
)
MISSING = SubIndication.SIGNED_DATA_NOT_FOUND
CHANGED = SubIndication.HASH_FAILURE


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With an RSA signer."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def of(content: bytes, label: str = "SHA-256") -> ContentDigest:
    return ContentDigest(label, algorithms.digest(label, content))


def judged(data: bytes, *digests: ContentDigest, detached: bytes | None = None) -> DocumentReport:
    """Without trust, which has no part in this."""
    document = SubmittedDocument(data, detached, digests=digests)
    trust = Hierarchy.make().trust()
    return VerificationService(FORMATS, trust, integrity_only=True).verify(document, NOW)


def refused(report: DocumentReport) -> SubIndication | None:
    """Why the one signature does not pass."""
    (signature_,) = report.signatures
    assert signature_.indication is not Indication.TOTAL_PASSED
    assert not report.clean
    return signature_.sub_indication


def detached_xml(hierarchy: Hierarchy, *names: str, transforms: str = "") -> bytes:
    contents = (CONTENT, OTHER)
    targets = [Target(name, data, transforms) for name, data in zip(names, contents, strict=False)]
    return signature(hierarchy.signer, *targets).encode()


def detached_json(hierarchy: Hierarchy, *names: str) -> bytes:
    contents = dict(zip(names, (CONTENT, OTHER), strict=False))
    return json.dumps(entry(hierarchy.signer, "", alg="RS256", **described(contents))).encode()


@pytest.mark.parametrize("form", ["CMS", "XML", "JSON"])
def test_the_digest_of_the_content_is_enough(hierarchy: Hierarchy, form: str) -> None:
    data = {
        "CMS": hierarchy.signer.cms(CONTENT, detached=True),
        "XML": detached_xml(hierarchy, "hop-dong.txt"),
        "JSON": detached_json(hierarchy, "hop-dong.txt"),
    }[form]
    report = judged(data, of(CONTENT))
    assert report.clean, report.signatures
    assert report.signatures[0].coverage.coverage is Coverage.WHOLE
    assert Code.DOC_INTACT in {notice.code for notice in report.signatures[0].notices}
    assert refused(judged(data, of(OTHER))) is CHANGED
    assert refused(judged(data)) is MISSING
    assert refused(judged(data, of(CONTENT, "SHA-512"))) is MISSING
    # Of two contents one is signed by nobody.
    assert refused(judged(data, of(CONTENT), of(OTHER))) is MISSING
    assert refused(judged(data, of(OTHER), detached=CONTENT)) is MISSING


def test_a_changed_signature_over_a_digest_fails(hierarchy: Hierarchy) -> None:
    data = hierarchy.signer.cms(CONTENT, detached=True)
    stated = of(CONTENT).value
    assert data.count(stated) == 1
    forged = data.replace(stated, of(OTHER).value)
    assert refused(judged(forged, of(OTHER))) is SubIndication.SIG_CRYPTO_FAILURE


def test_several_digests_of_one_content_serve_cms(hierarchy: Hierarchy) -> None:
    data = hierarchy.signer.cms(CONTENT, detached=True)
    assert judged(data, of(CONTENT, "SHA-512"), of(CONTENT)).clean
    assert judged(data, of(CONTENT, "SHA-512"), detached=CONTENT).clean


def test_without_signed_attributes_a_digest_says_nothing(hierarchy: Hierarchy, tmp_path: Path) -> None:
    """The content could be the attributes of another message, and its digest would fit."""
    plain = openssl_cms(tmp_path, hierarchy.signer, CONTENT, "-noattr")
    assert judged(plain, detached=CONTENT).clean
    assert refused(judged(plain, of(CONTENT))) is MISSING
    signed = hierarchy.signer.cms(CONTENT, detached=True)
    (found,) = CmsFormat().find(SubmittedDocument(signed)).signatures
    assert found.signer is not None
    lifted = found.signer.signed_octets
    (forged,) = CmsFormat().find(SubmittedDocument(plain, digests=(of(lifted),))).signatures
    assert forged.digest is None


@pytest.mark.parametrize("form", ["XML", "JSON"])
def test_contents_without_names_are_found_by_their_digests(hierarchy: Hierarchy, form: str) -> None:
    make = detached_xml if form == "XML" else detached_json
    data = make(hierarchy, "a.txt", "b.txt")
    assert judged(data, of(CONTENT), of(OTHER)).clean
    assert refused(judged(data, of(CONTENT), of(b"khac"))) is MISSING
    assert refused(judged(data, of(CONTENT), of(OTHER), of(b"khac"))) is MISSING
    assert refused(judged(data, of(CONTENT))) is CHANGED


def test_a_digest_says_nothing_of_what_is_transformed(hierarchy: Hierarchy) -> None:
    document = b"<don><ten>An</ten></don>"
    data = signature(hierarchy.signer, Target("don.xml", document, EXCLUSIVELY)).encode()
    assert judged(data, detached=document).clean
    assert refused(judged(data, of(document))) is MISSING


def test_a_digest_says_nothing_of_a_reference_into_the_document(hierarchy: Hierarchy) -> None:
    data = signature(hierarchy.signer, Target("#o", CONTENT, "")).encode()
    assert refused(judged(data, of(CONTENT))) is MISSING


def test_a_digest_says_nothing_of_what_is_signed_as_text(hierarchy: Hierarchy) -> None:
    """A payload of JWS goes whole into the signature; base64url text has a digest of its own."""
    file = flattened(hierarchy.signer, CONTENT, alg="RS256")
    del file["payload"]
    data = json.dumps(file).encode()
    assert judged(data, detached=CONTENT).clean
    assert refused(judged(data, of(CONTENT))) is MISSING
    members = described({"a.txt": url(CONTENT).encode()}) | {"b64": None, "crit": ["sigD"]}
    encoded = json.dumps(entry(hierarchy.signer, "", alg="RS256", **members)).encode()
    assert judged(encoded, detached=CONTENT).clean
    for content in (CONTENT, url(CONTENT).encode()):
        assert refused(judged(encoded, of(content))) is MISSING


def test_a_time_stamp_over_a_digest_passes() -> None:
    data = stamping.token(CONTENT)
    assert judged(data, of(CONTENT)).clean
    assert judged(data, of(CONTENT, "SHA-512"), detached=CONTENT).clean
    for digests, why in (((of(OTHER),), CHANGED), ((of(CONTENT, "SHA-512"),), MISSING)):
        report = judged(data, *digests)
        assert (report.signatures[0].sub_indication, report.clean) == (why, False)
    assert judged(data, of(OTHER), detached=CONTENT).signatures[0].sub_indication is MISSING


@pytest.mark.parametrize("form", ["PDF", "CMS", "S/MIME", "JSON"])
def test_a_digest_beside_a_file_is_of_what_the_file_carries(hierarchy: Hierarchy, form: str) -> None:
    data, content = {
        "PDF": (hierarchy.signer.pdf(), b""),
        "CMS": (hierarchy.signer.cms(CONTENT), CONTENT),
        "S/MIME": (clear_signed(hierarchy.signer.cms(PART, detached=True)), b"Hello\r\n"),
        "JSON": (json.dumps(flattened(hierarchy.signer, CONTENT, alg="RS256")).encode(), CONTENT),
    }[form]
    assert judged(data).clean
    assert not content or judged(data, of(content)).clean
    assert refused(judged(data, of(OTHER))) in (MISSING, CHANGED)


def test_digests_are_written_as_names_and_base64() -> None:
    value = hashlib.sha256(CONTENT).digest()
    stated = "WbSr1L5tF2VjnhiTwyYXI2Sv1Rj93Fnz3zFYjqXsWgU="
    for name in ("SHA-256", "sha256", "SHA256"):
        label, octets = algorithms.stated_digest(f"{name}:{stated}")
        assert (label, len(octets)) == ("SHA-256", len(value))
    for wrong in (
        "SHA-256",
        f"SHA-512:{stated}",
        f"CRC-32:{stated}",
        "SHA-256:*",
        f"SHA-256:{stated}{stated}",
    ):
        with pytest.raises(AlgorithmError):
            algorithms.stated_digest(wrong)
