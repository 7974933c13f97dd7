"""What a report for people says, in order: the conclusion first, then each signature, then what was not checked.

The items and their order are those of TT 15/2025 (verification rules, section 6); HTML and PDF only set them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.verifier import owner
from services.verifier.domain import (
    Code,
    DocumentReport,
    Indication,
    SignatureKind,
    SignatureReport,
    Verdict,
)
from services.verifier.reports import sentences, signature_part, words
from services.verifier.reports.signature_part import Part, Remark, Row, remarks
from services.verifier.reports.words import Phrase, Tone, moment, plain

MAX_SIGNATURES = 500
"""Signatures that a report tells one by one; of more, the number."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole report."""

    title: Phrase
    tone: Tone
    verdict: Phrase
    explanation: tuple[Phrase, ...]
    facts: tuple[Row, ...]
    remarks: tuple[Remark, ...]
    parts: tuple[Part, ...]
    limits: tuple[Phrase, ...]


def build(report: DocumentReport, document_name: str = "", *, full_identifiers: bool = False) -> Sheet:
    """The report's content. `full_identifiers`: show the numbers of persons whole, not only six characters of them."""
    every = list(_every(report))
    shown = every[:MAX_SIGNATURES]
    parts = tuple(
        signature_part.build(number, one, whole, full_identifiers, name)
        for number, (one, whole, name) in enumerate(shown, 1)
    )
    noted = remarks(report.notices)
    tones = {*(part.tone for part in parts), *(remark.tone for remark in noted)}
    warned = bool(tones & {Tone.CAUTION, Tone.BAD})
    tone, verdict = _verdict(report, warned=warned)
    return Sheet(
        title=words.TITLE,
        tone=tone,
        verdict=verdict,
        explanation=tuple(_explanation(report, tone)),
        facts=_facts(report, document_name),
        remarks=noted,
        parts=parts,
        limits=tuple(_limits(report, len(every) - len(shown))),
    )


def _verdict(report: DocumentReport, *, warned: bool) -> tuple[Tone, Phrase]:
    if report.verdict is Verdict.VALID:
        if report.integrity_only:
            return Tone.CAUTION, words.INTACT_ONLY
        if warned or not report.clean:
            return Tone.CAUTION, words.VALID_WITH_WARNINGS
    return words.TONES[report.verdict], words.VERDICTS[report.verdict]


def _explanation(report: DocumentReport, tone: Tone) -> Iterable[Phrase]:
    vi, en = sentences.of_document(report)
    yield Phrase(vi, en)
    counted = [s for s in report.signatures if s.kind is SignatureKind.SIGNATURE]
    stamps = len(report.signatures) - len(counted)
    if report.signatures:
        passed = sum(s.indication is Indication.TOTAL_PASSED for s in counted)
        failed = sum(s.indication is Indication.TOTAL_FAILED for s in counted)
        open_ = len(counted) - passed - failed
        good = Phrase("nguyên vẹn", "intact") if report.integrity_only else Phrase("hợp lệ", "valid")
        yield Phrase(
            f"Số chữ ký: {len(counted)} ({good.vi} {passed}, không hợp lệ {failed}, không đủ thông tin {open_}). "
            f"Số dấu thời gian trên tài liệu: {stamps}.",
            f"Signatures: {len(counted)} ({good.en} {passed}, not valid {failed}, undecided {open_}). "
            f"Document time-stamps: {stamps}.",
        )
    if report.owner is not None:
        yield Phrase(*owner.sentence(report.owner))
    if tone is Tone.CAUTION:
        yield Phrase(
            "Hãy đọc các cảnh báo bên dưới trước khi tiếp nhận tài liệu.",
            "Read the warnings below before you accept the document.",
        )


def _facts(report: DocumentReport, document_name: str) -> tuple[Row, ...]:
    rows = [
        Row(Phrase("Tên tệp", "File name"), (plain(document_name),)) if document_name else None,
        Row(Phrase("Định dạng", "Format"), (plain(report.format),)),
        Row(Phrase("Kích thước", "Size"), (f"{words.count(report.size)} bytes",)),
        Row(Phrase("Mã băm SHA-256", "SHA-256"), (plain(report.sha256),)),
        Row(Phrase("Thời điểm kiểm tra", "Time of the check"), (moment(report.checked_at),)),
        Row(Phrase("Xét cho thời điểm", "Judged for"), (moment(report.valid_at),))
        if report.valid_at
        else None,
    ]
    return tuple(row for row in rows if row is not None)


def _limits(report: DocumentReport, left_out: int) -> Iterable[Phrase]:
    if left_out:
        yield Phrase(
            f"Báo cáo chỉ liệt kê {MAX_SIGNATURES} chữ ký đầu; {left_out} chữ ký còn lại đã được kiểm tra và tính vào "
            "kết luận.",
            f"The report lists the first {MAX_SIGNATURES} signatures; the other {left_out} were checked and count for "
            "the conclusion.",
        )
    if report.integrity_only:
        yield Phrase(*sentences.of_code(Code.TRUST_LEFT_OUT))
    else:
        yield Phrase(
            "Độ tin cậy được xét theo danh sách tổ chức chứng thực và dữ liệu thu hồi có tại thời điểm kiểm tra; "
            "kiểm tra vào lúc khác có thể cho kết quả khác.",
            "Trust was judged by the authorities and revocation data at hand at the time of the check; a check at "
            "another time may come out differently.",
        )
    if report.valid_at is not None:
        yield Phrase(*sentences.of_code(Code.NOT_NOW))
    yield Phrase(
        "Kết quả không xác nhận nội dung tài liệu là đúng, cũng không xác nhận thẩm quyền của người ký; mức bảo đảm "
        "pháp lý của chứng thư số không được đánh giá.",
        "The result does not say that the document's content is true, nor that the signer had the authority to sign "
        "it; the legal quality of the certificate was not assessed.",
    )
    yield Phrase(
        "Báo cáo này không được ký số. Nó chỉ nói về tệp có mã băm SHA-256 ghi ở trên.",
        "This report is not signed itself. It is about the file with the SHA-256 above, and no other.",
    )


def _every(report: DocumentReport, name: str = "") -> Iterator[tuple[SignatureReport, DocumentReport, str]]:
    """Every signature with the document that carries it and, of a document inside another, the name of that."""
    for one in report.signatures:
        yield one, report, name
    for inner in report.inner:
        yield from _every(inner.report, inner.name or "?")
