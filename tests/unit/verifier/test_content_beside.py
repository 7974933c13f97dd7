"""Content that is handed in beside a file must not look signed where the file's signatures are over something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.verifier.domain import Code, Coverage, Indication, SignatureReport, SubIndication
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.formats.smime import SmimeFormat
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.test_smime import PART, clear_signed
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, Target, signature

OTHER = "Hợp đồng khác".encode()
CONTENT = "Hợp đồng".encode()
BODY = "<don><ten>An</ten></don>"
FORMATS = (PdfFormat(), CmsFormat(), SmimeFormat(), XmlFormat())


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With an RSA signer."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def _enveloped(hierarchy: Hierarchy) -> bytes:
    mark = signature(hierarchy.signer, Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY))
    return BODY.replace("</don>", f"{mark}</don>").encode()


def _enveloping(hierarchy: Hierarchy) -> bytes:
    held = f'<ds:Object xmlns:ds="{DS}" Id="o">{CONTENT.decode()}</ds:Object>'
    inside = held.replace(f' xmlns:ds="{DS}"', "")
    return signature(hierarchy.signer, Target("#o", held.encode()), inside=inside).encode()


FILES: dict[str, Callable[[Hierarchy], bytes]] = {
    "PDF": lambda hierarchy: hierarchy.signer.pdf(),
    "enveloped XML": _enveloped,
    "enveloping XML": _enveloping,
    "multipart/signed": lambda hierarchy: clear_signed(hierarchy.signer.cms(PART, detached=True)),
    "CMS with its content": lambda hierarchy: hierarchy.signer.cms(CONTENT),
}


def judged(
    hierarchy: Hierarchy, data: bytes, detached: bytes | None, named: Mapping[str, bytes] | None = None
) -> SignatureReport:
    """The report on the one signature."""
    document = SubmittedDocument(data, detached, named or {})
    return VerificationService(FORMATS, hierarchy.trust()).verify(document, NOW).signatures[0]


@pytest.mark.parametrize("name", FILES)
def test_a_signature_does_not_pass_for_one_over_what_comes_beside_it(hierarchy: Hierarchy, name: str) -> None:
    data = FILES[name](hierarchy)
    assert judged(hierarchy, data, None).indication is Indication.TOTAL_PASSED
    for named in ({}, {"hop-dong.pdf": OTHER}):
        report = judged(hierarchy, data, OTHER, named)
        if name in ("enveloped XML", "enveloping XML"):
            # They hold for what is in the file, and it is told that they are not over the content.
            assert report.coverage.coverage is Coverage.PARTIAL
            assert {Code.PARTLY_SIGNED} == {n.code for n in report.notices} - {Code.TS_NONE}
            continue
        assert report.indication is not Indication.TOTAL_PASSED
        assert report.sub_indication in (SubIndication.SIGNED_DATA_NOT_FOUND, SubIndication.HASH_FAILURE)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("enveloping XML", CONTENT),
        ("CMS with its content", CONTENT),
        ("multipart/signed", PART),
        ("multipart/signed", b"Hello\r\n"),
    ],
)
def test_what_the_file_carries_signed_may_come_beside_it(
    hierarchy: Hierarchy, name: str, content: bytes
) -> None:
    assert judged(hierarchy, FILES[name](hierarchy), content).indication is Indication.TOTAL_PASSED


def test_a_detached_signature_is_over_one_content_alone(hierarchy: Hierarchy) -> None:
    data = hierarchy.signer.cms(CONTENT, detached=True)
    assert judged(hierarchy, data, CONTENT, {"a": CONTENT}).indication is Indication.TOTAL_PASSED
    report = judged(hierarchy, data, CONTENT, {"a": CONTENT, "b": OTHER})
    assert (report.indication, report.sub_indication) == (
        Indication.INDETERMINATE,
        SubIndication.SIGNED_DATA_NOT_FOUND,
    )
    carried = judged(hierarchy, hierarchy.signer.cms(CONTENT), CONTENT, {"a": CONTENT, "b": OTHER})
    assert carried.sub_indication is SubIndication.HASH_FAILURE


def test_one_of_several_contents_leaves_the_others_to_be_found(hierarchy: Hierarchy) -> None:
    """None is taken for another, which it is not: that would be a changed document."""
    both = (Target("mot%20hai.txt", CONTENT, ""), Target("thu/ba.txt", OTHER, ""))
    data = signature(hierarchy.signer, *both).encode()
    assert judged(hierarchy, data, CONTENT, {"mot hai.txt": CONTENT, "ba.txt": OTHER}).sub_indication is None
    for name, content, other in (("mot hai.txt", CONTENT, OTHER), ("ba.txt", OTHER, CONTENT)):
        found = judged(hierarchy, data, content, {name: content})
        assert found.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
        assert judged(hierarchy, data, other, {name: other}).sub_indication is SubIndication.HASH_FAILURE


def test_a_single_content_may_have_been_renamed(hierarchy: Hierarchy) -> None:
    for target in (Target("hop-dong.txt", CONTENT, ""), Target("hop-dong.txt", CONTENT, EXCLUSIVELY)):
        octets = CONTENT if not target.transforms else BODY.encode()
        data = signature(hierarchy.signer, replace(target, octets=octets)).encode()
        for name in ("hop-dong.txt", "khac.txt"):
            assert judged(hierarchy, data, octets, {name: octets}).indication is Indication.TOTAL_PASSED
            changed = judged(hierarchy, data, octets, {name: octets.replace(b"n", b"m")})
            assert changed.sub_indication is SubIndication.HASH_FAILURE


def test_what_a_manifest_lists_and_is_not_handed_in_went_its_own_way(hierarchy: Hierarchy) -> None:
    listed = "".join(Target(name, octets, "").text() for name, octets in (("a", CONTENT), ("b", OTHER)))
    manifest = f'<ds:Manifest xmlns:ds="{DS}" Id="m">{listed}</ds:Manifest>'
    inside = f"<ds:Object>{manifest}</ds:Object>".replace(f' xmlns:ds="{DS}"', "")
    target = Target("#m", manifest.encode(), EXCLUSIVELY, f"{DS}Manifest")
    data = signature(hierarchy.signer, target, inside=inside).encode()
    assert judged(hierarchy, data, CONTENT, {"a": CONTENT}).indication is Indication.TOTAL_PASSED
    assert judged(hierarchy, data, OTHER, {"a": OTHER}).sub_indication is SubIndication.HASH_FAILURE
