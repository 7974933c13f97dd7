"""The vocabulary of the reports for people, in Vietnamese and English, and how data of a document is written out.

Everything that a document or a certificate says is hostile: `plain` makes it one line of visible characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    Integrity,
    StatusSource,
    TimeSource,
    Verdict,
)

VIETNAM = timezone(timedelta(hours=7))
"""Offset of the times that people read, UTC+07:00; the country has no summer time."""
MAX_TEXT = 300
"""Characters of one value out of a document; what is longer is cut, with an ellipsis."""
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that show nothing, or turn the direction of what follows."""


class Language(StrEnum):
    """Of a report for people; both: Vietnamese first, English below it."""

    VI = "vi"
    EN = "en"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text of this project in both languages."""

    vi: str
    en: str

    def said(self, language: str) -> Iterator[tuple[str, str]]:
        """Language code and text, in the order in which they are shown."""
        if language != Language.EN:
            yield "vi", self.vi
        if language != Language.VI:
            yield "en", self.en


class Tone(StrEnum):
    """How a statement is marked, by a word and a sign as well as by colour."""

    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    NEUTRAL = "neutral"


SIGNS = {Tone.GOOD: "✓", Tone.CAUTION: "!", Tone.BAD: "×", Tone.NEUTRAL: "–"}
TITLE = Phrase("Kết quả kiểm tra chữ ký số", "Digital signature verification report")
VERDICTS = {
    Verdict.VALID: Phrase("Hợp lệ", "Valid"),
    Verdict.INVALID: Phrase("Không hợp lệ", "Not valid"),
    Verdict.MALFORMED: Phrase(
        "Không hợp lệ (tệp hoặc chữ ký sai định dạng)", "Not valid (the file or a signature is malformed)"
    ),
    Verdict.INDETERMINATE: Phrase("Không đủ thông tin để kết luận", "Not enough information to conclude"),
    Verdict.UNSIGNED: Phrase("Tài liệu không có chữ ký số", "The document carries no digital signature"),
}
VALID_WITH_WARNINGS = Phrase("Hợp lệ, có cảnh báo", "Valid, with warnings")
INTACT_ONLY = Phrase("Nguyên vẹn, chưa xét độ tin cậy", "Intact; trust was not examined")
TONES = {
    Verdict.VALID: Tone.GOOD,
    Verdict.INVALID: Tone.BAD,
    Verdict.MALFORMED: Tone.BAD,
    Verdict.INDETERMINATE: Tone.CAUTION,
    Verdict.UNSIGNED: Tone.NEUTRAL,
}
GOOD_CODES = frozenset({Code.SIG_VALID, Code.DOC_INTACT, Code.TS_OK})
NEUTRAL_CODES = frozenset({Code.TS_NONE, Code.NOT_SIGNED, Code.CERT_EXPIRED_LATER})
BAD_CODES = frozenset(
    {
        Code.SIG_INVALID,
        Code.DOC_MODIFIED,
        Code.DOC_MALFORMED,
        Code.CERT_REVOKED,
        Code.CA_REVOKED,
        Code.WRAPPING,
        Code.OWNER_MISMATCH,
    }
)

IDENTIFIERS = {
    "tax": Phrase("Mã số thuế (MST)", "Tax code (MST)"),
    "citizen": Phrase("Số định danh cá nhân (CCCD)", "Citizen number (CCCD)"),
    "old_id": Phrase("Số chứng minh nhân dân (CMND)", "Old identity card number (CMND)"),
    "passport": Phrase("Số hộ chiếu", "Passport number"),
    "other": Phrase("Mã số khác", "Other identifier"),
}
PERSONAL = frozenset({"citizen", "old_id", "passport"})
"""Kinds of identifiers of which people see the first and last three characters only (section 9, step 8)."""
COVERAGES = {
    Coverage.WHOLE: Phrase("Toàn bộ tệp", "The whole file"),
    Coverage.REVISION: Phrase(
        "Một phiên bản trước của tệp; sau đó tệp được bổ sung",
        "An earlier revision of the file; more was added to it later",
    ),
    Coverage.PARTIAL: Phrase("Chỉ một phần của tệp", "Only a part of the file"),
    Coverage.UNKNOWN: Phrase("Không xác định được", "Could not be determined"),
}
INTEGRITY = {
    Integrity.INTACT: Phrase("Nguyên vẹn, chưa bị thay đổi", "Intact, not changed"),
    Integrity.EXTENDED: Phrase(
        "Phần đã ký nguyên vẹn; có bổ sung sau khi ký", "What was signed is intact; more was added afterwards"
    ),
    Integrity.BROKEN: Phrase("Đã bị thay đổi sau khi ký", "Changed after it was signed"),
    Integrity.UNKNOWN: Phrase("Chưa xác định được", "Not determined"),
}
CHANGES = {
    ChangeKind.SIGNATURE: Phrase("thêm chữ ký", "a signature"),
    ChangeKind.TIMESTAMP: Phrase("thêm dấu thời gian", "a time-stamp"),
    ChangeKind.VALIDATION_DATA: Phrase("thêm dữ liệu kiểm tra", "validation data"),
    ChangeKind.FORM_FILLING: Phrase("điền biểu mẫu", "form data"),
    ChangeKind.ANNOTATION: Phrase("thêm chú thích", "comments"),
    ChangeKind.OTHER: Phrase("thay đổi khác", "other changes"),
    ChangeKind.UNOWNED_BYTES: Phrase("dữ liệu không thuộc phiên bản nào", "bytes that belong to no revision"),
}
ALLOWED = Phrase("được phép", "allowed")
NOT_ALLOWED = Phrase("KHÔNG được phép", "NOT allowed")
PROOFS = {
    TimeSource.CHECKING.value: Phrase(
        "không có bằng chứng nào; xét theo thời điểm kiểm tra",
        "nothing proves it; judged as of the time of the check",
    ),
    "stated_by_caller": Phrase(
        "theo thời điểm do người yêu cầu kiểm tra nêu, không có bằng chứng",
        "as of the time that the requester stated; nothing proves it",
    ),
    TimeSource.CONTENT.value: Phrase("dấu thời gian trên nội dung", "a time-stamp over the content"),
    TimeSource.SIGNATURE.value: Phrase("dấu thời gian trên chữ ký", "a time-stamp over the signature"),
    "references_time_stamp": Phrase(
        "dấu thời gian trên chữ ký và các tham chiếu", "a time-stamp over the signature and its references"
    ),
    TimeSource.ARCHIVE.value: Phrase("dấu thời gian lưu trữ", "an archive time-stamp"),
    TimeSource.DOCUMENT.value: Phrase("dấu thời gian trên tài liệu", "a time-stamp over the document"),
}
"""What proves the signing time, by `TimeSource`."""
STATUS = {
    StatusSource.NONE: Phrase(
        "CẢNH BÁO: chưa kiểm tra được trạng thái thu hồi (không có OCSP, không có CRL)",
        "WARNING: the revocation status could not be checked (neither OCSP nor CRL)",
    ),
    StatusSource.CRL: Phrase("Danh sách thu hồi (CRL)", "Revocation list (CRL)"),
    StatusSource.OCSP: Phrase("Trả lời trực tuyến (OCSP)", "Online answer (OCSP)"),
}
STATUS_LEFT_OUT = Phrase("Không xét (chỉ kiểm tra tính toàn vẹn)", "Not examined (integrity only)")


def plain(value: str, limit: int = MAX_TEXT) -> str:
    """One line of visible characters in NFC; invisible ones, and those that turn directions, come as ‹U+202E›."""
    cut = value[: limit + 1]
    shown = "".join(map(_visible, unicodedata.normalize("NFC", cut)))
    text = " ".join(shown.split())
    return text[:limit] + "…" if len(value) > limit or len(text) > limit else text


def _visible(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else (" " if character in "\t\n\r" else _named(character))
    return _named(character) if unicodedata.category(character) in _INVISIBLE else character


def _named(character: str) -> str:
    return f"‹U+{ord(character):04X}›"


def moment(when: datetime | None) -> str:
    """A time in ISO 8601 with +07:00, to the second; a hyphen where there is none."""
    if when is None:
        return "–"
    try:
        local = when.astimezone(VIETNAM)
    except OverflowError:
        # The last hours of the year 9999, by which certificates say that they never end (RFC 5280 4.1.2.5).
        local = when.astimezone(UTC)
    text = local.strftime("%Y-%m-%d %H:%M:%S ")
    return f"{text.rjust(20, '0')}{'+07:00' if local.tzinfo is VIETNAM else 'UTC'}"


def count(number: int) -> str:
    """A number of bytes with thin groups: 1 234 567."""
    return f"{number:,}".replace(",", "\u00a0")
