"""ExamineDocument: reports in other forms, evidence, originals, owner, another time, several contents, what is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from deploy.local.tools import Tools
from kyso.v1 import registry_pb2, verifier_pb2
from services.kernel.errors import (
    BodyTooLarge,
    DomainError,
    EvidenceLimit,
    EvidenceNotKept,
    FieldInvalid,
    FontMissing,
    PartOrder,
    ServiceUnavailable,
    Unauthenticated,
)
from tests.support.pki import MeshCa
from tests.support.verifier_world import FRESH, NOW, Platform, messages, present_hierarchy, running
from tests.unit.verifier.authority import Hierarchy

KIND = verifier_pb2.ExaminationFileKind
FONT = "LiberationSerif-Regular.ttf"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """A hierarchy that is valid now."""
    return present_hierarchy()


@pytest.fixture(scope="module")
def signed_pdf(hierarchy: Hierarchy) -> bytes:
    """A signed PDF; made outside the event loop, because the library that makes it runs its own."""
    return hierarchy.signer.pdf()


@pytest.fixture
async def platform(mesh_ca: MeshCa, hierarchy: Hierarchy) -> AsyncIterator[Platform]:
    """A verifier with one worker and a font."""
    font: Path = Tools().serif_fonts() / FONT
    async with running(mesh_ca, hierarchy, outside={"reports": {"font_file": font}}) as platform:
        yield platform


async def test_evidence_comes_back_whole_and_once(
    platform: Platform, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    report, files = await platform.examine(signed_pdf, include_evidence=True)
    assert report.verdict == verifier_pb2.VERDICT_VALID
    found = [(file.kind, data) for file, data in files]
    leaf = hierarchy.signer.certificate.public_bytes(Encoding.DER)
    chain = [leaf, hierarchy.issuing.der, hierarchy.root.der]
    assert [data for kind, data in found if kind == KIND.EXAMINATION_FILE_KIND_CERTIFICATE] == chain
    assert {data for kind, data in found if kind == KIND.EXAMINATION_FILE_KIND_CRL} == set(
        platform.registry.crls
    )
    for file, data in files:
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).digest())
    assert report.evidence_left_out == 0
    plain, none = await platform.examine(signed_pdf)
    assert (plain.evidence_id, none) == ("", [])


async def test_evidence_beyond_the_limit_is_counted(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    content = b"content"
    container = hierarchy.signer.cms(content, detached=True)
    async with running(mesh_ca, hierarchy, max_evidence_bytes=65536) as platform:
        padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(70_000))
        platform.registry.crls[1] = hierarchy.issuing.crl(extensions=[(padding, False)], **FRESH)
        report, files = await platform.examine(container, {"": content}, include_evidence=True)
    sizes = [(file.kind, file.size) for file, _ in files]
    assert report.evidence_left_out == 1, sizes
    assert KIND.EXAMINATION_FILE_KIND_CERTIFICATE in {file.kind for file, _ in files}


async def test_reports_are_written_in_every_form(platform: Platform, signed_pdf: bytes) -> None:
    for form, media_type, start in (
        (verifier_pb2.REPORT_FORM_HTML, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        (verifier_pb2.REPORT_FORM_PDF, "application/pdf", b"%PDF-"),
        (verifier_pb2.REPORT_FORM_ETSI, "application/xml", b"<?xml"),
    ):
        report, ((file, data),) = await platform.examine(signed_pdf, report_form=form, file_name="thư.pdf")
        assert (report.verdict, file.kind) == (verifier_pb2.VERDICT_VALID, KIND.EXAMINATION_FILE_KIND_REPORT)
        assert (file.media_type, data[: len(start)]) == (media_type, start)
    assert etree.fromstring(data).tag.endswith("ValidationReport")


async def test_a_report_speaks_the_language_that_is_asked_for(platform: Platform, signed_pdf: bytes) -> None:
    html = verifier_pb2.REPORT_FORM_HTML
    pages = {
        language: (await platform.examine(signed_pdf, report_form=html, report_language=language))[1][0][1]
        for language in (verifier_pb2.REPORT_LANGUAGE_VI, verifier_pb2.REPORT_LANGUAGE_EN)
    }
    assert b'<html lang="vi">' in pages[verifier_pb2.REPORT_LANGUAGE_VI]
    assert b'<html lang="en">' in pages[verifier_pb2.REPORT_LANGUAGE_EN]


async def test_without_a_font_a_pdf_report_is_refused(
    mesh_ca: MeshCa, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    async with running(mesh_ca, hierarchy) as platform:
        with pytest.raises(FontMissing, match="html"):
            await platform.examine(signed_pdf, report_form=verifier_pb2.REPORT_FORM_PDF)


async def test_a_document_that_ran_into_a_limit_has_its_report_too(
    mesh_ca: MeshCa, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    async with running(mesh_ca, hierarchy, timeout_seconds=0.001) as platform:
        report, ((file, data),) = await platform.examine(
            signed_pdf, report_form=verifier_pb2.REPORT_FORM_HTML
        )
    assert report.verdict == verifier_pb2.VERDICT_INDETERMINATE
    assert [warning.code for warning in report.warnings] == ["LIMIT_REACHED"]
    assert data.startswith(b"<!DOCTYPE html>")
    assert file.kind == KIND.EXAMINATION_FILE_KIND_REPORT


async def test_originals_are_what_an_intact_signature_is_over(
    platform: Platform, hierarchy: Hierarchy
) -> None:
    content = b"%PDF-1.4 the original"
    container = hierarchy.signer.cms(content)
    report, ((file, data),) = await platform.examine(container, include_originals=True)
    assert (report.originals, file.kind, data) == (1, KIND.EXAMINATION_FILE_KIND_ORIGINAL, content)
    assert (file.name, file.media_type) == ("original-1.pdf", "application/pdf")
    broken = container.replace(content, content[:-1] + b"!")
    report, files = await platform.examine(broken, include_originals=True)
    assert report.verdict == verifier_pb2.VERDICT_INVALID
    assert (report.originals, files) == (0, [])


async def test_the_revision_that_was_signed_is_a_pdf_files_original(
    platform: Platform, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    twice = await asyncio.to_thread(hierarchy.signer.pdf, signed_pdf, "Second")
    _, files = await platform.examine(twice, include_originals=True)
    assert signed_pdf in [data for _, data in files]
    assert all(twice.startswith(data) for _, data in files)


async def test_originals_that_are_too_large_are_refused(mesh_ca: MeshCa, hierarchy: Hierarchy) -> None:
    container = hierarchy.signer.cms(bytes(5000))
    async with running(mesh_ca, hierarchy, max_originals_bytes=4096) as platform:
        with pytest.raises(BodyTooLarge):
            await platform.examine(container, include_originals=True)


async def test_signers_are_compared_with_the_owner(platform: Platform, signed_pdf: bytes) -> None:
    owner = verifier_pb2.DossierOwner(name="Nguyễn Văn An", citizen_id="012345678901")
    report, _ = await platform.examine(signed_pdf, owner=owner)
    assert (report.owner.result, report.signatures[0].owner.reason) == ("match", "same_identifier")
    assert report.owner.vi
    assert report.clean
    other = verifier_pb2.DossierOwner(tax_code="0100109106")
    report = await platform.verify(signed_pdf, owner=other)
    assert (report.verdict, report.owner.result) == (verifier_pb2.VERDICT_VALID, "mismatch")
    assert not report.clean
    assert "OWNER_MISMATCH" in [warning.code for warning in report.warnings]
    for wrong in (verifier_pb2.DossierOwner(), verifier_pb2.DossierOwner(citizen_id="12")):
        with pytest.raises(FieldInvalid, match="owner"):
            await platform.examine(signed_pdf, owner=wrong)


def _revoked(hierarchy: Hierarchy, at: datetime) -> bytes:
    entry = x509.RevokedCertificateBuilder(hierarchy.signer.certificate.serial_number, at).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(hierarchy.issuing.name)
    builder = builder.last_update(FRESH["this_update"]).next_update(FRESH["next_update"])
    builder = builder.add_revoked_certificate(entry)
    return builder.sign(hierarchy.issuing.key, hashes.SHA256()).public_bytes(Encoding.DER)


async def test_a_document_is_judged_for_another_time(
    platform: Platform, hierarchy: Hierarchy, signed_pdf: bytes
) -> None:
    revoked_at = NOW - timedelta(hours=2)
    platform.registry.crls[1] = _revoked(hierarchy, revoked_at.replace(microsecond=0))
    now, _ = await platform.examine(signed_pdf)
    assert now.signatures[0].sub_indication == "REVOKED_NO_POE"
    assert not now.HasField("valid_at")
    earlier = revoked_at - timedelta(hours=1)
    report, _ = await platform.examine(signed_pdf, valid_at=earlier)
    (signature,) = report.signatures
    assert signature.indication == verifier_pb2.INDICATION_TOTAL_PASSED, signature
    assert signature.signing_time_source == "stated_by_caller"
    assert signature.best_signing_time.ToJsonString()[:16] == f"{earlier:%Y-%m-%dT%H:%M}"
    assert "CERT_REVOKED_LATER" in [warning.code for warning in signature.warnings]
    assert [warning.code for warning in report.warnings] == ["NOT_NOW"]
    assert report.valid_at.ToJsonString()[:16] == f"{earlier:%Y-%m-%dT%H:%M}"
    after, _ = await platform.examine(signed_pdf, valid_at=revoked_at + timedelta(hours=1))
    assert after.signatures[0].sub_indication == "REVOKED_NO_POE"
    too_early, _ = await platform.examine(signed_pdf, valid_at=NOW - timedelta(days=30))
    assert too_early.signatures[0].indication != verifier_pb2.INDICATION_TOTAL_PASSED


async def test_another_time_never_lies_in_the_future(platform: Platform, signed_pdf: bytes) -> None:
    soon, _ = await platform.examine(signed_pdf, valid_at=datetime.now(NOW.tzinfo) + timedelta(seconds=20))
    assert soon.verdict == verifier_pb2.VERDICT_VALID
    assert not soon.HasField("valid_at")
    with pytest.raises(FieldInvalid, match="future"):
        await platform.examine(signed_pdf, valid_at=datetime.now(NOW.tzinfo) + timedelta(minutes=5))


async def test_several_contents_are_told_apart_by_name(platform: Platform, hierarchy: Hierarchy) -> None:
    content = bytes(range(256)) * 1000
    container = hierarchy.signer.cms(content, detached=True)
    report, _ = await platform.examine(container, {"một.txt": content})
    assert report.verdict == verifier_pb2.VERDICT_VALID
    report, _ = await platform.examine(container, {"một.txt": content, "hai.txt": b"2"})
    assert report.verdict == verifier_pb2.VERDICT_INDETERMINATE
    request = verifier_pb2.VerifyDocumentRequest
    begin = request(content=verifier_pb2.DetachedContent(name="a"))
    header = request(header=verifier_pb2.VerifyDocumentHeader())
    chunk = request(chunk=b"x")
    rows: list[tuple[type[DomainError], list[Any]]] = [
        (PartOrder, [header, begin]),
        (PartOrder, [header, chunk, begin, chunk]),
        (FieldInvalid, [header, chunk, begin, begin]),
        (FieldInvalid, [header, chunk, request(content=verifier_pb2.DetachedContent(name="x" * 256))]),
        (FieldInvalid, [header, chunk, *_many(201)]),
    ]
    for expected, parts in rows:
        with pytest.raises(expected):
            async for _ in platform.stub.ExamineDocument(messages(*parts)):
                pass


def _many(count: int) -> list[verifier_pb2.VerifyDocumentRequest]:
    return [
        verifier_pb2.VerifyDocumentRequest(content=verifier_pb2.DetachedContent(name=str(number)))
        for number in range(count)
    ]


async def test_evidence_is_kept_with_the_callers_own_token(platform: Platform, signed_pdf: bytes) -> None:
    report, files = await platform.examine(
        signed_pdf, token="t", keep_evidence=True, evidence_reference="HS-1"
    )
    assert (report.evidence_id, files) == ("evd_1", [])
    keeper = platform.keeper
    assert keeper.authorization == "Bearer t"
    assert keeper.header is not None
    assert (keeper.header.verdict, keeper.header.reference) == ("valid", "HS-1")
    assert keeper.header.document_sha256 == hashlib.sha256(signed_pdf).digest()
    kept = registry_pb2.EvidenceFileKind
    assert [kind for kind, _ in keeper.files] == [
        kept.EVIDENCE_FILE_KIND_REPORT,
        *[kept.EVIDENCE_FILE_KIND_CERTIFICATE] * 3,
        *[kept.EVIDENCE_FILE_KIND_CRL] * 2,
    ]
    assert json.loads(keeper.files[0][1])["verdict"] == "valid"
    outcome = keeper.header.outcome_sha256
    await platform.examine(signed_pdf, token="t", keep_evidence=True)
    assert keeper.header.outcome_sha256 == outcome
    assert platform.metrics()["kyso_verifier_evidence_kept_total{kept}"] == 2


async def test_no_report_where_the_evidence_was_not_kept(platform: Platform, signed_pdf: bytes) -> None:
    with pytest.raises(Unauthenticated):
        await platform.examine(signed_pdf, keep_evidence=True)
    with pytest.raises(FieldInvalid, match="evidence_reference"):
        await platform.examine(signed_pdf, token="t", keep_evidence=True, evidence_reference="x" * 201)
    platform.keeper.failure = ServiceUnavailable("away")
    with pytest.raises(EvidenceNotKept):
        await platform.examine(signed_pdf, token="t", keep_evidence=True)
    platform.keeper.failure = EvidenceLimit("full", limit=5)
    with pytest.raises(EvidenceLimit):
        await platform.examine(signed_pdf, token="t", keep_evidence=True)
    assert platform.metrics()["kyso_verifier_evidence_kept_total{evidence_limit}"] == 1
