"""PDF signatures: what passes, what fails, and that nothing that came later passes unseen."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter

from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    DocumentReport,
    Indication,
    Integrity,
    SubIndication,
    Verdict,
)
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument
from tests.support.pdfs import assemble, encrypted_pdf, one_page_pdf, page_objects
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify


def only(report: DocumentReport) -> tuple[Indication, SubIndication | None]:
    """Indication and sub-indication of the one signature."""
    (signature,) = report.signatures
    return signature.indication, signature.sub_indication


def byte_range(data: bytes) -> list[int]:
    """Numbers of the last ByteRange."""
    return [int(n) for n in re.findall(rb"/ByteRange\s*\[([\d\s]+)\]", data)[-1].split()]


def codes(report: DocumentReport) -> set[Code]:
    """Codes of all notices on signatures."""
    return {notice.code for signature in report.signatures for notice in signature.notices}


def updated(data: bytes, **catalog: generic.PdfObject) -> bytes:
    """The file with a further revision that sets entries of the catalog."""
    writer = IncrementalPdfFileWriter(BytesIO(data))
    for key, value in catalog.items():
        writer.root[generic.pdf_name("/" + key)] = value
    writer.update_root()  # type: ignore[no-untyped-call]
    out = BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def test_a_valid_signature_passes_and_says_who_signed(verify: Verify, signed_pdf: bytes) -> None:
    report = verify(signed_pdf)
    (signature,) = report.signatures
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert signature.indication is Indication.TOTAL_PASSED
    assert signature.sub_indication is None
    assert signature.format == "PAdES-B-B"
    assert signature.coverage.coverage is Coverage.WHOLE
    assert signature.integrity is Integrity.INTACT
    assert signature.signer is not None
    assert signature.signer.common_name == "Nguyễn Văn An"
    assert {(i.kind, i.value) for i in signature.signer.identifiers} == {
        ("tax", "0106793535"),
        ("citizen", "012345678901"),
    }
    assert signature.signer.issuer_name == "Issuing CA"
    assert [c.common_name for c in signature.path] == ["Nguyễn Văn An", "Issuing CA", "Root CA"]
    assert signature.signing_time.claimed is not None


def test_one_flipped_byte_of_the_signed_range_is_a_hash_failure(verify: Verify, signed_pdf: bytes) -> None:
    data = bytearray(signed_pdf)
    position = data.index(b"Kyso")
    data[position] ^= 1
    report = verify(bytes(data))
    assert report.verdict is Verdict.INVALID
    assert only(report) == (Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE)
    assert report.signatures[0].integrity is Integrity.BROKEN
    assert Code.DOC_MODIFIED in codes(report)


def test_a_flipped_bit_of_the_signature_value_is_a_crypto_failure(verify: Verify, signed_pdf: bytes) -> None:
    first, second = byte_range(signed_pdf)[1:3]
    contents = bytearray.fromhex(signed_pdf[first + 1 : second - 1].decode())
    end = len(bytes(contents).rstrip(b"\0"))
    contents[end - 1] ^= 1
    data = signed_pdf[: first + 1] + contents.hex().encode() + signed_pdf[second - 1 :]
    assert only(verify(data)) == (Indication.TOTAL_FAILED, SubIndication.SIG_CRYPTO_FAILURE)


@pytest.mark.parametrize(
    "tail",
    [b"\n", b" ", b"\0", b"junk", b"% comment\n", b"9 0 obj\n<</A 1>>\nendobj\n", b"\r\n%%EOF\n", b"%%EOF"],
)
def test_appended_bytes_are_never_clean(verify: Verify, signed_pdf: bytes, tail: bytes) -> None:
    report = verify(signed_pdf + tail, integrity_only=True)
    assert not report.clean
    assert report.verdict is not Verdict.VALID
    assert Code.UNOWNED_BYTES in codes(report) or report.verdict is Verdict.MALFORMED


def test_bytes_after_an_allowed_later_revision_are_not_clean(
    verify: Verify, signed_pdf: bytes, hierarchy: Hierarchy
) -> None:
    twice = hierarchy.signer.pdf(signed_pdf, "Signature2")
    assert verify(twice).clean
    report = verify(twice + b"8 0 obj\n<</Evil true>>\nendobj\n", integrity_only=True)
    assert not report.clean
    assert report.verdict is not Verdict.VALID


def _with_orphan(data: bytes, hidden: bytes) -> bytes:
    """The file with a further revision of one object that nothing uses, and before it bytes that nothing lists."""
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    offset = len(data) + len(hidden)
    listed = b"78 0 obj\n<</Spare true>>\nendobj\n"
    table = b"xref\n78 1\n%010d 00000 n \ntrailer\n<</Size 79 /Root 1 0 R /Prev %d>>\n" % (offset, previous)
    return data + hidden + listed + table + b"startxref\n%d\n%%%%EOF\n" % (offset + len(listed))


def test_an_object_that_no_cross_reference_lists_is_not_clean(verify: Verify, signed_pdf: bytes) -> None:
    assert verify(_with_orphan(signed_pdf, b"")).clean
    for hidden in (b"77 0 obj\n<</Type/Page>>\nendobj\n", b"% a comment\n", b"x\n"):
        report = verify(_with_orphan(signed_pdf, hidden), integrity_only=True)
        assert only(report) == (Indication.INDETERMINATE, SubIndication.SIG_CONSTRAINTS_FAILURE)
        assert Code.UNOWNED_BYTES in codes(report)


def test_two_signatures_each_over_its_own_revision(
    verify: Verify, signed_pdf: bytes, hierarchy: Hierarchy
) -> None:
    report = verify(hierarchy.signer.pdf(signed_pdf, "Signature2"))
    first, second = report.signatures
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert (first.coverage.coverage, first.coverage.revision) == (Coverage.REVISION, 2)
    assert second.coverage.coverage is Coverage.WHOLE
    assert [(c.kind, c.allowed) for c in first.coverage.later] == [(ChangeKind.SIGNATURE, True)]
    assert first.integrity is Integrity.EXTENDED


def test_one_list_may_serve_the_form_and_a_page(verify: Verify, hierarchy: Hierarchy) -> None:
    objects = page_objects(page=b"/Annots 10 0 R", catalog=b"/AcroForm <</Fields 10 0 R>>") | {10: b"[]"}
    once = hierarchy.signer.pdf(assemble(objects))
    assert verify(hierarchy.signer.pdf(once, "Signature2")).clean


def test_the_document_is_as_bad_as_its_worst_signature(verify: Verify, signed_pdf: bytes) -> None:
    stranger = Hierarchy.make()
    report = verify(stranger.signer.pdf(signed_pdf, "Signature2"))
    assert [s.indication for s in report.signatures] == [Indication.TOTAL_PASSED, Indication.INDETERMINATE]
    assert report.verdict is Verdict.INDETERMINATE


def test_a_changed_catalog_after_signing_is_not_valid(verify: Verify, signed_pdf: bytes) -> None:
    report = verify(updated(signed_pdf, PageMode=generic.pdf_name("/UseThumbs")))
    assert only(report) == (Indication.INDETERMINATE, SubIndication.SIG_CONSTRAINTS_FAILURE)
    assert Code.DOC_MODIFIED in codes(report)
    assert not report.clean


def _overriding(data: bytes, number: int, body: bytes) -> bytes:
    """The file with a further revision that writes one object anew."""
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    written = b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size 99 /Root 1 0 R /Prev %d>>\n"
    table %= (number, len(data), previous)
    return data + written + table + b"startxref\n%d\n%%%%EOF\n" % (len(data) + len(written))


def test_no_object_of_a_signed_document_may_become_another(verify: Verify, signed_pdf: bytes) -> None:
    numbers = {int(n) for n in re.findall(rb"[\r\n](\d+) 0 obj", signed_pdf)}
    assert len(numbers) > 5
    for number in numbers:
        report = verify(_overriding(signed_pdf, number, b"<</Type/Other>>"), integrity_only=True)
        assert not report.clean, number
        assert report.verdict is not Verdict.VALID, number


def test_title_and_author_may_not_change_but_software_may_say_that_it_was_there(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    info = b"<</Author (An) /Producer (A) /ModDate (D:20260101000000Z)>>"
    base = _overriding(one_page_pdf(), 50, info).replace(
        b"/Root 1 0 R /Prev", b"/Info 50 0 R /Root 1 0 R /Prev"
    )
    signed = hierarchy.signer.pdf(base)
    assert verify(signed).clean
    again = info.replace(b"(A)", b"(B)").replace(b"2026", b"2027")
    assert verify(_overriding(signed, 50, again)).clean
    report = verify(_overriding(signed, 50, info.replace(b"(An)", b"(Binh)")))
    assert report.verdict is Verdict.INDETERMINATE


def test_a_signature_that_allows_no_changes_is_not_followed_by_another(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    certified = hierarchy.signer.pdf(certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    assert verify(certified).clean
    report = verify(updated(certified, PageMode=generic.pdf_name("/UseThumbs")))
    assert report.verdict is Verdict.INDETERMINATE


def test_the_older_detached_encoding_is_read(verify: Verify, hierarchy: Hierarchy) -> None:
    report = verify(hierarchy.signer.pdf(subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED))
    assert report.verdict is Verdict.VALID
    assert report.signatures[0].format == "PDF (adbe.pkcs7.detached)"


def test_an_unknown_encoding_is_named_and_not_judged(verify: Verify, signed_pdf: bytes) -> None:
    data = signed_pdf.replace(b"/ETSI.CAdES.detached", b"/ETSI.OTHER.detached")
    assert only(verify(data)) == (Indication.INDETERMINATE, SubIndication.GENERIC)
    assert Code.FORMAT_UNSUPPORTED in codes(verify(data))


def test_a_pdf_without_signature_is_unsigned(verify: Verify) -> None:
    report = verify(one_page_pdf())
    assert report.verdict is Verdict.UNSIGNED
    assert not report.clean
    assert report.notices[0].code is Code.NOT_SIGNED


def test_an_encrypted_pdf_is_not_judged(verify: Verify) -> None:
    report = verify(encrypted_pdf())
    assert report.verdict is Verdict.INDETERMINATE
    assert report.notices[0].code is Code.DOC_ENCRYPTED


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"%PDF-1.7\nstartxref\n0\n%%EOF\n", b"%PDF-" + bytes(range(256)) * 40]
)
def test_a_damaged_pdf_is_malformed(verify: Verify, data: bytes) -> None:
    assert verify(data).verdict is Verdict.MALFORMED


@pytest.mark.parametrize("data", [b"", b"hello", b"\x30\x80", bytes(1000), b"PK\x03\x04" + bytes(100)])
def test_other_content_is_named_unsupported_or_malformed(verify: Verify, data: bytes) -> None:
    report = verify(data)
    assert report.verdict in (Verdict.INDETERMINATE, Verdict.MALFORMED)
    assert report.notices[0].code in (Code.FORMAT_UNSUPPORTED, Code.DOC_MALFORMED)


def _with_range(data: bytes, numbers: list[int]) -> bytes:
    """The file with another ByteRange of the same length."""
    match = list(re.finditer(rb"/ByteRange\s*\[([\d\s]+)\]", data))[-1]
    text = b" ".join(str(n).encode() for n in numbers)
    room = match.end(1) - match.start(1)
    return data[: match.start(1)] + text.ljust(room)[:room] + data[match.end(1) :]


@pytest.mark.parametrize("change", [(0, 1), (1, -1), (1, 1), (2, -1), (2, 1), (3, -1), (3, 1)])
def test_a_byte_range_off_by_one_is_a_format_failure(
    verify: Verify, signed_pdf: bytes, change: tuple[int, int]
) -> None:
    numbers = byte_range(signed_pdf)
    numbers[change[0]] += change[1]
    report = verify(_with_range(signed_pdf, numbers), integrity_only=True)
    assert report.verdict in (Verdict.MALFORMED, Verdict.INVALID, Verdict.INDETERMINATE)
    assert not report.clean


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_signed_bytes_passes(verify: Verify, signed_pdf: bytes, data: st.DataObject) -> None:
    first, second, rest = byte_range(signed_pdf)[1:]
    position = data.draw(st.integers(0, first + rest - 1))
    position = position if position < first else position - first + second
    flipped = bytearray(signed_pdf)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    report = verify(bytes(flipped), integrity_only=True)
    assert report.verdict is not Verdict.VALID
    assert not report.clean


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_the_byte_range_passes(verify: Verify, signed_pdf: bytes, data: st.DataObject) -> None:
    numbers = byte_range(signed_pdf)
    index = data.draw(st.integers(0, 3))
    drawn = data.draw(st.integers(0, 2 * len(signed_pdf)).filter(lambda n: n != numbers[index]))
    numbers[index] = drawn
    report = verify(_with_range(signed_pdf, numbers), integrity_only=True)
    assert report.verdict is not Verdict.VALID
    assert not report.clean


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=400))
def test_garbage_behind_a_pdf_header_raises_nothing(junk: bytes) -> None:
    findings = PdfFormat().find(SubmittedDocument(b"%PDF-1.7\n" + junk))
    assert findings.obstacle is not None or not findings.signatures
