"""What a report for people says, in order: the conclusion first, then each signature, then what was not checked.

The items and their order are those of TT 15/2025 (verification rules, section 6); HTML and PDF only set them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.verifier import identifiers, owner, sentences
from services.verifier.domain import (
    CertificateSummary,
    Code,
    DocumentReport,
    Indication,
    LaterChange,
    Notice,
    SignatureKind,
    SignatureReport,
    StatusSource,
    SubIndication,
    TimeSource,
    Verdict,
    verdict_of,
)
from services.verifier.reports import words
from services.verifier.reports.words import Phrase, Tone, moment, plain

MAX_SIGNATURES = 500
"""Signatures that a report tells one by one; of more, the number."""
MAX_LISTED = 20
"""Later changes, warnings or identifiers told of one signature."""
_BEFORE_THE_CERTIFICATE = frozenset(
    {
        SubIndication.FORMAT_FAILURE,
        SubIndication.HASH_FAILURE,
        SubIndication.SIG_CRYPTO_FAILURE,
        SubIndication.SIG_CONSTRAINTS_FAILURE,
        SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
        SubIndication.SIGNED_DATA_NOT_FOUND,
        SubIndication.GENERIC,
    }
)
"""Outcomes of the steps that come before the certificate is looked at."""

Value = Phrase | str
"""A text of ours in both languages, or data, which is the same in both."""


@dataclass(frozen=True, slots=True)
class Row:
    """A label and one or more lines beside it."""

    label: Phrase
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning or note; `detail` is English, for engineers."""

    tone: Tone
    code: str
    said: Phrase
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One signature."""

    title: Phrase
    tone: Tone
    verdict: Phrase
    rows: tuple[Row, ...]
    remarks: tuple[Remark, ...]


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
    shown = report.signatures[:MAX_SIGNATURES]
    parts = tuple(_part(number, one, report, full_identifiers) for number, one in enumerate(shown, 1))
    remarks = _remarks(report.notices)
    warned = any(
        r.tone in (Tone.CAUTION, Tone.BAD) for p in (*parts, None) for r in (p.remarks if p else remarks)
    )
    tone, verdict = _verdict(report, warned=warned)
    return Sheet(
        title=words.TITLE,
        tone=tone,
        verdict=verdict,
        explanation=tuple(_explanation(report, tone)),
        facts=_facts(report, document_name),
        remarks=remarks,
        parts=parts,
        limits=tuple(_limits(report, len(report.signatures) - len(shown))),
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


def _part(number: int, report: SignatureReport, whole: DocumentReport, full: bool) -> Part:
    stamp = report.kind is SignatureKind.DOCUMENT_TIMESTAMP
    title = (
        Phrase(f"Dấu thời gian {number}", f"Time-stamp {number}")
        if stamp
        else Phrase(f"Chữ ký {number}", f"Signature {number}")
    )
    remarks = _remarks(report.notices)
    tone = words.TONES[verdict_of(report)]
    if tone is Tone.GOOD and (
        whole.integrity_only or any(r.tone in (Tone.CAUTION, Tone.BAD) for r in remarks)
    ):
        tone = Tone.CAUTION
    said = sentences.of_signature(report, integrity_only=whole.integrity_only)
    rows = [
        Row(Phrase("Cơ quan tạo lập, cấp, phát hành", "Issuer"), _issuer(report.signer)),
        *_signer(report.signer, full, stamp=stamp),
        *_times(report, stamp=stamp),
        Row(Phrase("Tính toàn vẹn", "Integrity"), (words.INTEGRITY[report.integrity],)),
        Row(Phrase("Phạm vi được ký", "What is signed"), _coverage(report)),
        Row(Phrase("Thay đổi sau khi ký", "Changes after signing"), tuple(_later(report))),
        Row(Phrase("Tính hợp lệ tại thời điểm ký", "Validity at signing"), (_at_signing(report, whole),)),
        *_certificate(report, whole),
        Row(Phrase("Kỹ thuật", "Technical"), tuple(_technical(report))),
    ]
    if report.owner is not None:
        rows.insert(
            2, Row(Phrase("Đối chiếu chủ hồ sơ", "Dossier's owner"), (Phrase(*owner.sentence(report.owner)),))
        )
    return Part(title, tone, _plainly(said), tuple(r for r in rows if r.values), remarks)


def _plainly(said: tuple[str, str]) -> Phrase:
    """A sentence that may hold the signer's name."""
    return Phrase(plain(said[0], 600), plain(said[1], 600))


def _remarks(notices: Iterable[Notice]) -> tuple[Remark, ...]:
    found = [
        Remark(_tone(n.code), n.code.value, Phrase(*sentences.of_code(n.code)), plain(n.detail))
        for n in notices
    ]
    rank = {Tone.BAD: 0, Tone.CAUTION: 1, Tone.NEUTRAL: 2, Tone.GOOD: 3}
    return tuple(sorted(found, key=lambda remark: rank[remark.tone])[:MAX_LISTED])


def _tone(code: Code) -> Tone:
    if code in words.GOOD_CODES:
        return Tone.GOOD
    if code in words.NEUTRAL_CODES:
        return Tone.NEUTRAL
    return Tone.BAD if code in words.BAD_CODES else Tone.CAUTION


_UNKNOWN = Phrase("Không xác định được", "Could not be determined")


def _issuer(signer: CertificateSummary | None) -> tuple[Value, ...]:
    return (_UNKNOWN,) if signer is None else (plain(signer.issuer_name or signer.issuer),)


def _signer(signer: CertificateSummary | None, full: bool, *, stamp: bool) -> Iterable[Row]:
    label = Phrase("Đơn vị cấp dấu thời gian", "Time-stamp unit") if stamp else Phrase("Chủ thể ký", "Signer")
    if signer is None:
        yield Row(label, (_UNKNOWN,))
        return
    yield Row(
        label, tuple(v for v in (plain(signer.common_name or signer.subject), plain(signer.title)) if v)
    )
    for identifier in signer.identifiers[:MAX_LISTED]:
        personal = identifier.kind in words.PERSONAL or (
            identifier.kind == "tax" and len(identifier.value) == 12
        )
        hidden = not full and (personal or not identifier.well_formed)
        value = plain(identifiers.masked(identifier.value) if hidden else identifier.value)
        if identifier.kind == "other":
            value = f"{plain(identifier.prefix)}: {value}"
        wrong = () if identifier.well_formed else (Phrase("(sai định dạng)", "(malformed)"),)
        yield Row(words.IDENTIFIERS.get(identifier.kind, words.IDENTIFIERS["other"]), (value, *wrong))
    if signer.email:
        yield Row(Phrase("Thư điện tử", "E-mail"), (plain(signer.email),))
    unit = tuple(plain(v) for v in dict.fromkeys((signer.organization, signer.organizational_unit)) if v)
    yield Row(Phrase("Đơn vị quản lý chứng thư", "Managing unit"), unit)


def _times(report: SignatureReport, *, stamp: bool) -> Iterable[Row]:
    time = report.signing_time
    if stamp:
        yield Row(Phrase("Thời điểm của dấu thời gian", "Time in the time-stamp"), (moment(time.best),))
        return
    if time.claimed is not None:
        unproved = Phrase(
            "theo lời người ký, chưa phải bằng chứng", "the signer's own word, which proves nothing"
        )
        yield Row(
            Phrase("Thời điểm ký (khai báo)", "Signing time (claimed)"), (moment(time.claimed), unproved)
        )
    proof = words.PROOFS[time.source.value]
    if time.authority:
        unit = plain(time.authority)
        proof = Phrase(f"{proof.vi}, do {unit} cấp", f"{proof.en}, by {unit}")
    if time.source is TimeSource.CHECKING:
        yield Row(Phrase("Bằng chứng về thời điểm ký", "Proof of the signing time"), (proof,))
        return
    yield Row(
        Phrase("Chữ ký chắc chắn đã có vào lúc", "Signature surely existed by"),
        (moment(time.best), proof),
    )


def _coverage(report: SignatureReport) -> tuple[Value, ...]:
    coverage = report.coverage
    said: list[Value] = [words.COVERAGES[coverage.coverage]]
    if coverage.revision:
        number, last = coverage.revision, max(coverage.revisions, coverage.revision)
        said.append(Phrase(f"phiên bản {number} trên {last}", f"revision {number} of {last}"))
    if coverage.total_bytes:
        said.append(f"{words.count(coverage.covered_bytes)} / {words.count(coverage.total_bytes)} bytes")
    return tuple(said)


def _later(report: SignatureReport) -> Iterable[Value]:
    later = report.coverage.later
    if not later:
        return
    for change in later[:MAX_LISTED]:
        yield _change(change)
    if len(later) > MAX_LISTED:
        more = len(later) - MAX_LISTED
        yield Phrase(f"và {more} thay đổi nữa", f"and {more} more")


def _change(change: LaterChange) -> Phrase:
    kind = words.CHANGES[change.kind]
    may = words.ALLOWED if change.allowed else words.NOT_ALLOWED
    where = Phrase(f"phiên bản {change.number}", f"revision {change.number}") if change.number else None
    touched = f" [{plain(change.touches, 120)}]" if change.touches else ""
    return Phrase(
        f"{where.vi + ': ' if where else ''}{kind.vi}, {may.vi}{touched}",
        f"{where.en + ': ' if where else ''}{kind.en}, {may.en}{touched}",
    )


def _at_signing(report: SignatureReport, whole: DocumentReport) -> Phrase:
    if whole.integrity_only:
        return words.STATUS_LEFT_OUT
    if report.sub_indication is None:
        when = moment(report.signing_time.best)
        return Phrase(
            f"Chứng thư số có hiệu lực và chưa bị thu hồi, xét vào lúc {when}",
            f"The certificate was valid and not revoked, judged for {when}",
        )
    vi, en = sentences.reason(report.sub_indication)
    if report.sub_indication in _BEFORE_THE_CERTIFICATE:
        return Phrase(f"Chưa xét đến: {vi}", f"Not reached: {en}")
    return Phrase(f"Không xác nhận được: {vi}", f"Not confirmed: {en}")


def _certificate(report: SignatureReport, whole: DocumentReport) -> Iterable[Row]:
    signer, status = report.signer, report.status
    if signer is None:
        return
    period = Phrase(
        f"từ {moment(signer.not_before)} đến {moment(signer.not_after)}",
        f"from {moment(signer.not_before)} to {moment(signer.not_after)}",
    )
    yield Row(Phrase("Thời hạn hiệu lực của chứng thư", "Certificate validity"), (period,))
    if whole.integrity_only:
        yield Row(_STATUS_LABEL, (words.STATUS_LEFT_OUT,))
        return
    said: list[Value] = [words.STATUS[status.source]]
    if status.source is not StatusSource.NONE and status.produced_at is not None:
        when = moment(status.produced_at)
        said.append(Phrase(f"phát hành lúc {when}", f"issued {when}"))
    if status.revoked_at is not None:
        when, why = moment(status.revoked_at), plain(status.reason) or "–"
        said.append(Phrase(f"THU HỒI lúc {when}, lý do: {why}", f"REVOKED {when}, reason: {why}"))
    yield Row(_STATUS_LABEL, tuple(said))


_STATUS_LABEL = Phrase("Nguồn kiểm tra trạng thái thu hồi", "Source of the revocation status")


def _technical(report: SignatureReport) -> Iterable[Value]:
    sub = f" / {report.sub_indication.value}" if report.sub_indication is not None else ""
    yield f"{report.indication.value}{sub}"
    algorithms = ", ".join(plain(a, 80) for a in (report.signature_algorithm, report.digest_algorithm) if a)
    yield ", ".join(v for v in (plain(report.format, 80), plain(report.name, 120), algorithms) if v)
    if report.signer is not None:
        serial, path = (
            plain(report.signer.serial, 80),
            [plain(c.common_name or c.subject, 80) for c in report.path],
        )
        yield Phrase(f"Số hiệu chứng thư: {serial}", f"Certificate serial number: {serial}")
        if path:
            chain = " ← ".join(path[:8])
            yield Phrase(f"Chuỗi chứng thực: {chain}", f"Certification path: {chain}")
    if report.detail:
        yield plain(report.detail)
