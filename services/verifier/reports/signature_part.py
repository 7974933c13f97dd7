"""One signature's part of a report for people: the items of TT 15/2025 (verification rules, section 6) in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.verifier import owner
from services.verifier.domain import (
    CertificateSummary,
    Code,
    Coverage,
    DocumentReport,
    LaterChange,
    Notice,
    SignatureKind,
    SignatureReport,
    StatusSource,
    SubIndication,
    TimeSource,
    verdict_of,
)
from services.verifier.reports import sentences, words
from services.verifier.reports.words import Phrase, Tone, moment, plain
from services.verifier.x509 import identifiers

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


def build(number: int, report: SignatureReport, whole: DocumentReport, full: bool, inside: str = "") -> Part:
    """The part. `inside` names the document that carries the signature where that is not the one handed in."""
    stamp = report.kind is SignatureKind.DOCUMENT_TIMESTAMP
    title = (
        Phrase(f"Dấu thời gian {number}", f"Time-stamp {number}")
        if stamp
        else Phrase(f"Chữ ký {number}", f"Signature {number}")
    )
    if inside:
        title = Phrase(f"{title.vi} (trong {plain(inside)})", f"{title.en} (inside {plain(inside)})")
    noted = remarks(report.notices)
    tone = words.TONES[verdict_of(report)]
    if tone is Tone.GOOD and (whole.integrity_only or any(r.tone in (Tone.CAUTION, Tone.BAD) for r in noted)):
        tone = Tone.CAUTION
    said = sentences.of_signature(report, integrity_only=whole.integrity_only)
    rows = [
        Row(Phrase("Cơ quan tạo lập, cấp, phát hành", "Issuer"), _issuer(report.signer)),
        *_signer(report, full, confirmed=not whole.integrity_only and report.sub_indication is None),
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
    return Part(title, tone, _plainly(said), tuple(r for r in rows if r.values), noted)


def _plainly(said: tuple[str, str]) -> Phrase:
    """A sentence that may hold the signer's name."""
    return Phrase(plain(said[0], 600), plain(said[1], 600))


def remarks(notices: Iterable[Notice]) -> tuple[Remark, ...]:
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


_NOT_CONFIRMED = Phrase("theo chứng thư số, chưa được xác nhận", "as the certificate says; not confirmed")
_UNKNOWN = Phrase("Không xác định được", "Could not be determined")


def _issuer(signer: CertificateSummary | None) -> tuple[Value, ...]:
    return (_UNKNOWN,) if signer is None else (plain(signer.issuer_name or signer.issuer),)


def _signer(report: SignatureReport, full: bool, *, confirmed: bool) -> Iterable[Row]:
    signer, stamp = report.signer, report.kind is SignatureKind.DOCUMENT_TIMESTAMP
    label = Phrase("Đơn vị cấp dấu thời gian", "Time-stamp unit") if stamp else Phrase("Chủ thể ký", "Signer")
    if signer is None:
        yield Row(label, (_UNKNOWN,))
        return
    # Anybody may write any name into a certificate of his own.
    doubt = () if confirmed else (_NOT_CONFIRMED,)
    name, title = plain(signer.common_name or signer.subject), plain(signer.title)
    yield Row(label, (name, *([title] if title else []), *doubt))
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
    if coverage.total_bytes and coverage.coverage is not Coverage.WHOLE:
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
