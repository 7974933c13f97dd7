"""Signed documents inside signed documents: each with a report of its own, and what is broken inside stains what is round it."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.signer.formats.asic import Asic
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.format import Document
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.smime import SmimeMessage
from services.verifier import nesting
from services.verifier.domain import Code, DocumentReport, Indication, Verdict
from services.verifier.formats import mime
from services.verifier.ports import Content, Findings, SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering, sentences
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS
from tests.support import mail, stamping
from tests.support.containers import listing, members, packed, signature_file
from tests.support.document_signers import authority, signed, signer
from tests.support.pdfs import one_page_pdf

NOW = datetime.now(UTC)


@cache
def pdf() -> bytes:
    """A signed PDF file."""
    who, document = signer(), one_page_pdf()
    return document + signed(PadesBaseline(), document, who, who.parameters())


def broken_pdf() -> bytes:
    """The same with another letter in what is signed."""
    at = pdf().index(b"%PDF") + 9
    return pdf()[:at] + bytes([pdf()[at] ^ 1]) + pdf()[at + 1 :]


def container(files: Mapping[str, bytes]) -> bytes:
    """An ASiC-E container of these files, signed."""
    first, *others = (Document(io.BytesIO(d), len(d), name=n, media_type="a/b") for n, d in files.items())
    document = Document(first.stream, first.size, name=first.name, media_type="a/b", others=tuple(others))
    asic, who = Asic("ASIC_E"), signer()
    parameters = who.parameters(form="ASIC_E", asic_signature="CADES", packaging="DETACHED")
    prepared = asic.prepare(document, parameters)
    return asic.complete(
        document, parameters, prepared.state, who.sign(prepared.digest, parameters.algorithm)
    )


def cms(content: bytes) -> bytes:
    """A CMS message with its content."""
    who = signer()
    return signed(CadesBaseline(), content, who, who.parameters(form="CADES", packaging="ENVELOPING"))


def letter(*attachments: tuple[str, bytes], headers: str = "") -> bytes:
    """An unsigned message with attachments."""
    parts = b"".join(
        b'--x1\r\nContent-Type: application/octet-stream; name="%b"\r\nContent-Transfer-Encoding: base64\r\n'
        b"Content-Disposition: attachment; filename*=utf-8''%b\r\n\r\n%b"
        % (b"tep", quote(name).encode(), base64.encodebytes(data).replace(b"\n", b"\r\n"))
        for name, data in attachments
    )
    return (
        f"From: {mail.SENDER}\r\nTo: a@thu.gov.vn\r\nMIME-Version: 1.0\r\n{headers}"
        'Content-Type: multipart/mixed; boundary="x1"\r\n\r\n--x1\r\nContent-Type: text/plain\r\n\r\nKinh gui\r\n'
    ).encode() + parts + b"--x1--\r\n"  # fmt: skip


def signed_mail(message: bytes, packaging: str = "DETACHED") -> bytes:
    """The same, signed."""
    who = mail.sender()
    parameters = who.parameters(form="SMIME", packaging=packaging)
    return signed(SmimeMessage(), message, who, parameters)


def verify(data: bytes) -> DocumentReport:
    """With trust."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), (stamping.crl(NOW),))
    return VerificationService(FORMATS, trust).verify(SubmittedDocument(data), NOW)


CARRIERS: dict[str, Callable[[bytes], bytes]] = {
    "container": lambda data: container({"don.pdf": data, "ghi-chu.txt": b"x"}),
    "cms": cms,
    "mail": lambda data: signed_mail(letter(("don.pdf", data))),
    "opaque mail": lambda data: signed_mail(letter(("don.pdf", data)), "ENVELOPING"),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_signed_file_inside_has_a_report_of_its_own(carrier: str) -> None:
    report = verify(CARRIERS[carrier](pdf()))
    assert (report.verdict, report.clean) == (Verdict.VALID, True), report.signatures[0].detail
    (inner,) = report.inner
    assert inner.name == ("" if carrier == "cms" else "don.pdf")
    assert (inner.report.format, inner.report.verdict, inner.report.clean) == ("PDF", Verdict.VALID, True)
    (shown,) = rendering.document(report)["inner"]
    assert shown["report"]["signatures"][0]["indication"] == "TOTAL-PASSED"


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_broken_file_inside_stains_and_leaves_the_verdict(carrier: str) -> None:
    report = verify(CARRIERS[carrier](broken_pdf()))
    assert (report.verdict, report.clean) == (Verdict.VALID, False)
    assert report.signatures[0].indication is Indication.TOTAL_PASSED
    assert report.inner[0].report.verdict is Verdict.INVALID
    assert [n.code for n in report.notices] == [Code.INNER_BROKEN]
    assert sentences.of_code(Code.INNER_BROKEN)[0] in sentences.of_document(report)[0]


def test_an_inner_signer_whom_nobody_trusts_stains_nothing() -> None:
    data = container({"don.pdf": pdf()})
    trust = TrustMaterial((), (), (stamping.crl(NOW),))
    report = VerificationService(FORMATS, trust).verify(SubmittedDocument(data), NOW)
    assert report.inner[0].report.verdict is Verdict.INDETERMINATE
    assert report.notices == ()


def test_mail_in_mail_and_what_it_carries() -> None:
    inner = signed_mail(letter(("don.pdf", pdf())))
    forwarded = (
        b'From: van.thu@phuong-thu.gov.vn\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="y"\r\n\r\n'
        b"--y\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--y--\r\n"
    )
    report = verify(signed_mail(forwarded))
    assert report.clean, report.signatures[0].detail
    (message,) = report.inner
    assert message.report.format == "S/MIME"
    assert [(one.name, one.report.format) for one in message.report.inner] == [("don.pdf", "PDF")]


def test_an_unsigned_archive_shows_what_is_signed_inside() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mot.pdf", pdf())
        archive.writestr("hai.p7m", cms(b"noi dung"))
        archive.writestr("ba.xml", b"<a/>")
    report = verify(out.getvalue())
    assert (report.verdict, report.clean) == (Verdict.UNSIGNED, False)
    assert [one.name for one in report.inner] == ["mot.pdf", "hai.p7m"]


def test_the_verdict_on_a_time_stamped_wrapping_is_that_of_what_is_in_it() -> None:
    def wrapped(data: bytes, **more: bytes) -> bytes:
        token = stamping.token(hashlib.sha256(data).digest(), DigestAlgorithm.SHA256)
        files = {
            "mimetype": b"application/vnd.etsi.asic-s+zip",
            "don.pdf": data,
            "META-INF/timestamp.tst": token,
        }
        return packed({**files, **more})

    report = verify(wrapped(pdf()))
    assert (report.verdict, report.clean, report.notices) == (Verdict.VALID, True, ())
    assert verify(wrapped(container({"don.pdf": pdf()}))).clean
    broken = verify(wrapped(broken_pdf()))
    assert (broken.verdict, broken.clean) == (Verdict.INVALID, False)
    assert verify(wrapped(one_page_pdf())).verdict is Verdict.UNSIGNED
    # Where the time-stamp does not hold it wraps nothing, and what is in it has no say.
    for changed in (pdf() + b"\n", container({"don.pdf": pdf()})):
        other = verify(wrapped(pdf(), **{"don.pdf": changed}))
        assert (other.verdict, other.clean) == (Verdict.UNSIGNED, False)
        assert other.inner[0].report.signatures
    rubbish = verify(wrapped(pdf(), **{"META-INF/timestamp.tst": b"x"}))
    assert (rubbish.verdict, rubbish.clean) == (Verdict.MALFORMED, False)
    assert verify(wrapped(pdf(), them=b"x")).verdict is Verdict.MALFORMED


def test_a_broken_archive_token_inside_is_told_inside() -> None:
    """It takes nothing from the signature beside it, and so nothing from what is round both."""
    files = members(container({"don.txt": b"noi dung"}))
    manifest = listing("META-INF/timestamp001.tst", {signature_file(files): files[signature_file(files)]})
    token = stamping.token(hashlib.sha256(b"else").digest(), DigestAlgorithm.SHA256)
    files |= {"META-INF/ASiCArchiveManifest.xml": manifest, "META-INF/timestamp001.tst": token}
    report = verify(cms(packed(files)))
    assert (report.verdict, report.clean, report.notices) == (Verdict.VALID, True, ())
    assert report.inner[0].report.signatures[1].indication is Indication.TOTAL_FAILED
    changed = verify(cms(packed({**files, "don.txt": b"khac"})))
    assert (changed.verdict, changed.clean) == (Verdict.VALID, False)
    assert [notice.code for notice in changed.notices] == [Code.INNER_BROKEN]


def test_a_detached_signature_is_over_the_file_beside_it() -> None:
    who, content = signer(), b"noi dung"
    value = signed(CadesBaseline(), content, who, who.parameters(form="CADES", packaging="DETACHED"))
    files = {"don.txt": content, "don.txt.p7s": value, "khac.txt.p7s": value}
    verdicts = {one.name: one.report.verdict for one in verify(container(files)).inner}
    assert verdicts == {"don.txt.p7s": Verdict.VALID, "khac.txt.p7s": Verdict.INDETERMINATE}


def test_the_depth_is_bounded_and_what_lies_deeper_is_not_overlooked() -> None:
    data = pdf()
    for _ in range(nesting.MAX_DEPTH):
        data = cms(data)
    report = verify(data)
    assert report.clean
    for _ in range(nesting.MAX_DEPTH):
        report = report.inner[0].report
    assert report.format == "PDF"
    deeper = verify(cms(data))
    assert (deeper.verdict, deeper.clean) == (Verdict.VALID, False)
    assert Code.INNER_BROKEN in {notice.code for notice in deeper.notices}


def test_the_number_of_documents_is_bounded() -> None:
    looked_at = []

    def judge(document: SubmittedDocument) -> tuple[DocumentReport, Findings]:
        looked_at.append(document)
        return DocumentReport.undecided(document.data, NOW, False), Findings("x")

    whole = DocumentReport.undecided(b"", NOW, False)
    contents = [Content(str(number), b"x") for number in range(nesting.MAX_DOCUMENTS + 50)]
    report = nesting.Nesting(judge, lambda _: True).with_inner(whole, Findings("x", contents=contents))
    assert len(looked_at) == nesting.MAX_DOCUMENTS
    assert Code.INNER_BROKEN in {notice.code for notice in report.notices}


def test_the_time_for_what_is_inside_is_bounded() -> None:
    times = iter((0.0, 1.0, nesting.MAX_SECONDS + 1, nesting.MAX_SECONDS + 2))
    looked_at = []

    def judge(document: SubmittedDocument) -> tuple[DocumentReport, Findings]:
        looked_at.append(document.data)
        return DocumentReport.undecided(document.data, NOW, False), Findings("x")

    whole = DocumentReport.undecided(b"", NOW, False)
    contents = [Content("", b"1"), Content("", b"2"), Content("", b"3")]
    report = nesting.Nesting(judge, lambda _: True, lambda: next(times)).with_inner(
        whole, Findings("x", contents=contents)
    )
    assert looked_at == [b"1"]
    assert Code.INNER_BROKEN in {notice.code for notice in report.notices}


def test_a_zip_that_holds_itself_many_times_ends() -> None:
    data = b"x"
    for _ in range(6):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(9):
                archive.writestr(f"{number}.zip", data)
        data = out.getvalue()
    report = verify(data)
    assert report.verdict is Verdict.UNSIGNED
    assert Code.INNER_BROKEN in {notice.code for notice in report.notices}


def test_documents_of_a_message_are_its_leaves() -> None:
    entity = letter(("đơn.pdf", b"%PDF"), ("hai", b"2"))
    assert mime.documents(entity) == [("", b"Kinh gui"), ("đơn.pdf", b"%PDF"), ("hai", b"2")]
    quoted = b'Content-Type: text/plain; name="=?utf-8?b?xJHGoW4=?="\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db'
    assert mime.documents(quoted) == [("đơn", b"a=b")]
    for damaged in (
        b"",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: a/b\r\nContent-Type: a/c\r\n\r\nx",
    ):
        assert mime.documents(damaged) == [("", damaged)]
    deep = b"x"
    for level in range(60):
        deep = (
            b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (level, level)
            + deep
            + b"\r\n--%d--" % level
        )
    assert len(mime.documents(deep)) == 1


def test_what_a_file_holds_does_not_say_what_it_is() -> None:
    """A PDF file within the first kilobyte makes no PDF file of what is round it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.pdf", pdf())
    binary = letter().replace(b"Kinh gui", b"%PDF-1.7 la mot dinh dang")
    kinds = {"ZIP": out.getvalue(), "CMS": cms(pdf()), "S/MIME": signed_mail(binary)}
    assert {name: verify(data).format for name, data in kinds.items()} == {name: name for name in kinds}


def test_contents_name_the_signatures_over_them() -> None:
    found: Findings = FORMATS[0].find(SubmittedDocument(container({"a": b"1", "b": b"2"})))
    assert [(one.name, one.data) for one in found.contents] == [("a", b"1"), ("b", b"2")]
    assert {one.signed_by for one in found.contents} == {("META-INF/signature001.p7s",)}
