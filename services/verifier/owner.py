"""Whether the signer is the owner of the dossier whom the caller names (verification rules, P-2.1 and section 9).

Identifiers are compared first, and names only where no identifier can be. A match never makes a signature pass: it only
counts for one that has passed, because anybody may write any name into a certificate of his own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from services.verifier.domain import (
    CertificateSummary,
    Code,
    DocumentReport,
    Indication,
    Notice,
    OwnerMatch,
    OwnerReason,
    OwnerResult,
    SignatureKind,
    SignatureReport,
)
from services.verifier.x509 import identifiers

MAX_NAME = 512
"""Characters of an owner's name."""
_OLD_ID_DIGITS = 9
_BRANCH_DIGITS = 10
"""Digits of a tax code that name the head office; three more name a branch."""

_RESULTS = {
    OwnerReason.SAME_IDENTIFIER: OwnerResult.MATCH,
    OwnerReason.SAME_NAME: OwnerResult.MATCH,
    OwnerReason.OTHER_IDENTIFIER: OwnerResult.MISMATCH,
    OwnerReason.OTHER_BRANCH: OwnerResult.MISMATCH,
    OwnerReason.OTHER_NAME: OwnerResult.MISMATCH,
    OwnerReason.ONLY_SAME_NAME: OwnerResult.NOT_COMPARABLE,
    OwnerReason.NEARLY_SAME_NAME: OwnerResult.NOT_COMPARABLE,
    OwnerReason.NOTHING_IN_COMMON: OwnerResult.NOT_COMPARABLE,
    OwnerReason.NOT_PROVEN: OwnerResult.NOT_COMPARABLE,
    OwnerReason.NO_SIGNER: OwnerResult.NOT_COMPARABLE,
}
_SENTENCES: dict[OwnerReason, tuple[str, str]] = {
    OwnerReason.SAME_IDENTIFIER: (
        "Chủ thể ký trùng với chủ hồ sơ (so theo mã số).",
        "The signer is the owner of the dossier (compared by identifier).",
    ),
    OwnerReason.SAME_NAME: (
        "Tên chủ thể ký trùng với tên chủ hồ sơ (chỉ so theo tên).",
        "The signer has the name of the dossier's owner (compared by name only).",
    ),
    OwnerReason.ONLY_SAME_NAME: (
        "Tên chủ thể ký trùng với tên chủ hồ sơ, nhưng chứng thư số không có mã số để so; cần người đối chiếu.",
        "The names are the same, but the certificate has no identifier to compare; a person has to look.",
    ),
    OwnerReason.OTHER_IDENTIFIER: (
        "Mã số của chủ thể ký khác mã số của chủ hồ sơ.",
        "The signer's identifier is not that of the dossier's owner.",
    ),
    OwnerReason.OTHER_BRANCH: (
        "Mã số thuế của chủ thể ký thuộc một đơn vị khác (trụ sở chính hoặc chi nhánh khác) của cùng tổ chức.",
        "The signer's tax code is that of another unit (head office or branch) of the same organisation.",
    ),
    OwnerReason.OTHER_NAME: (
        "Tên chủ thể ký khác tên chủ hồ sơ, và không có mã số nào để so.",
        "The signer's name is not that of the dossier's owner, and there is no identifier to compare.",
    ),
    OwnerReason.NEARLY_SAME_NAME: (
        "Tên chủ thể ký chỉ khác tên chủ hồ sơ về dấu; cần người đối chiếu.",
        "The names differ in diacritics only; a person has to compare them.",
    ),
    OwnerReason.NOTHING_IN_COMMON: (
        "Chứng thư số không có thông tin nào để so với chủ hồ sơ.",
        "The certificate holds nothing that could be compared with the dossier's owner.",
    ),
    OwnerReason.NOT_PROVEN: (
        "Chữ ký chưa được xác nhận hợp lệ nên không thể dùng để xác định chủ hồ sơ.",
        "The signature has not been found valid, so it cannot show who the owner is.",
    ),
    OwnerReason.NO_SIGNER: (
        "Không xác định được chủ thể ký.",
        "The signer could not be determined.",
    ),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a dossier as the caller knows it; make it with `of`. What is not known is empty.

    `code` is an organisation's identifier under another prefix, such as "MNS:1057402".
    """

    name: str = ""
    tax: str = ""
    citizen: str = ""
    old_id: str = ""
    passport: str = ""
    code: str = ""
    head_office_counts: bool = False

    @classmethod
    def of(cls, *, name: str = "", head_office_counts: bool = False, **numbers: str) -> Owner:
        """An owner from a caller's words. Raises ValueError that says which of them cannot be used.

        `numbers`: tax (10 digits, with 3 more for a branch, or 12), citizen (12 digits, or 9
        of an old identity card), old_id (9 digits), passport, code (PREFIX:VALUE). `head_office_counts`: a branch may sign for its head office and the other way round.
        """
        if len(name) > MAX_NAME:
            raise ValueError(f"name: at most {MAX_NAME} characters")
        given = {kind: value for kind, value in numbers.items() if value.strip()}
        if "citizen" in given and len(re.sub(r"\D", "", given["citizen"])) == _OLD_ID_DIGITS:
            given.setdefault("old_id", given.pop("citizen"))
        read = {kind: _number(kind, value) for kind, value in given.items()}
        owner = cls(name=name.strip(), head_office_counts=head_office_counts, **read)
        if not (name.strip() or read):
            raise ValueError("name the owner, or give an identifier of it")
        return owner


def match(owner: Owner, report: SignatureReport, *, trusted: bool = True) -> OwnerMatch:
    """Compare the owner with a signature's signer. `trusted`: trust was not left out of the report."""
    if report.signer is None:
        return _answer(OwnerReason.NO_SIGNER)
    reason = _compare(owner, report.signer)
    proven = trusted and report.indication is Indication.TOTAL_PASSED
    if _RESULTS[reason] is OwnerResult.MATCH and not proven:
        reason = OwnerReason.NOT_PROVEN
    return _answer(reason)


def apply(owner: Owner, report: DocumentReport) -> DocumentReport:
    """The report with the comparison in it. The verdict stays; without a match the document is not clean.

    One signature by the owner is enough: an agency's beside it is nobody's fault, and is told of as a warning only. Of
    documents inside it is told for each; they do not speak for the one that carries them.
    """
    trusted = not report.integrity_only
    judged = tuple(_with_match(owner, one, trusted=trusted) for one in report.signatures)
    found = [one.owner for one in judged if one.owner is not None]
    whole = _whole(found)
    told = () if whole.result is OwnerResult.MATCH else (_notice(whole),)
    return replace(
        report,
        signatures=judged,
        owner=whole,
        clean=report.clean and whole.result is OwnerResult.MATCH,
        inner=tuple(replace(one, report=apply(owner, one.report)) for one in report.inner),
        notices=(*report.notices, *told),
    )


def sentence(answer: OwnerMatch) -> tuple[str, str]:
    """Vietnamese and English sentence of a comparison."""
    return _SENTENCES[answer.reason]


def _answer(reason: OwnerReason) -> OwnerMatch:
    return OwnerMatch(_RESULTS[reason], reason)


def _with_match(owner: Owner, report: SignatureReport, *, trusted: bool) -> SignatureReport:
    if report.kind is not SignatureKind.SIGNATURE:
        return report
    answer = match(owner, report, trusted=trusted)
    told = () if answer.result is OwnerResult.MATCH else (_notice(answer),)
    return replace(report, owner=answer, notices=(*report.notices, *told))


def _notice(answer: OwnerMatch) -> Notice:
    mismatch = answer.result is OwnerResult.MISMATCH
    return Notice(
        Code.OWNER_MISMATCH if mismatch else Code.OWNER_NOT_COMPARABLE, _SENTENCES[answer.reason][1]
    )


def _whole(found: Iterable[OwnerMatch]) -> OwnerMatch:
    ranked = {result: place for place, result in enumerate(OwnerResult)}
    return min(found, key=lambda one: ranked[one.result], default=_answer(OwnerReason.NO_SIGNER))


def _compare(owner: Owner, signer: CertificateSummary) -> OwnerReason:
    reasons = set(_by_numbers(owner, signer))
    for decisive in (
        OwnerReason.OTHER_IDENTIFIER,
        OwnerReason.OTHER_BRANCH,
        OwnerReason.SAME_IDENTIFIER,
    ):
        if decisive in reasons:
            return decisive
    reason = _by_name(owner.name, (signer.common_name, signer.organization))
    numbered = owner.tax or owner.citizen or owner.old_id or owner.passport or owner.code
    # Many people share a name: where the caller knows a number, the name alone shows nobody.
    return OwnerReason.ONLY_SAME_NAME if numbered and reason is OwnerReason.SAME_NAME else reason


def _by_numbers(owner: Owner, signer: CertificateSummary) -> Iterator[OwnerReason]:
    """One reason for each kind of identifier that both have. Signers may have several of a kind: any of them will do."""
    wanted: dict[str, str] = {}
    for kind, value in (
        ("tax", owner.tax),
        ("citizen", owner.citizen),
        ("old_id", owner.old_id),
        ("passport", owner.passport),
        ("other", owner.code),
    ):
        if value:
            wanted[_kind(kind, value)] = value
    for kind, value in wanted.items():
        stated = {_value(i.kind, i.prefix, i.value) for i in signer.identifiers if i.well_formed}
        same_kind = {number for own, number in stated if own == kind}
        if kind == "other":
            # Codes under different prefixes have nothing to do with each other.
            same_kind = {one for one in same_kind if one.split(":")[0] == value.split(":")[0]}
        if not same_kind:
            continue
        if value in same_kind:
            yield OwnerReason.SAME_IDENTIFIER
        elif kind == "tax" and value[:_BRANCH_DIGITS] in {number[:_BRANCH_DIGITS] for number in same_kind}:
            yield OwnerReason.SAME_IDENTIFIER if owner.head_office_counts else OwnerReason.OTHER_BRANCH
        else:
            yield OwnerReason.OTHER_IDENTIFIER


def _kind(kind: str, value: str) -> str:
    """A personal tax code of 12 digits is the person's citizen number."""
    return "citizen" if kind == "tax" and len(value) == 12 else kind


def _value(kind: str, prefix: str, value: str) -> tuple[str, str]:
    if kind == "other":
        return kind, _code(prefix, value)
    return _kind(kind, value), value


def _code(prefix: str, value: str) -> str:
    return f"{prefix}:{''.join(value.split()).upper()}"


def _number(kind: str, value: str) -> str:
    if kind == "code":
        found = identifiers.parse(value, only_known=False)
        if found is None or found.kind != "other":
            raise ValueError(
                "code: write it as PREFIX:VALUE, with another prefix than MST, CCCD, CMND and HC"
            )
        return _code(found.prefix, found.value)
    prefix = {"tax": "MST", "citizen": "CCCD", "old_id": "CMND", "passport": "HC"}.get(kind)
    if prefix is None:
        raise ValueError(f"{kind}: no such identifier; there are tax, citizen, old_id, passport and code")
    found = identifiers.parse(value if ":" in value else f"{prefix}:{value}", only_known=True)
    if found is None or found.kind != kind or not found.well_formed:
        raise ValueError(f"{kind}: that is not a number of this kind")
    return found.value


def _by_name(owner: str, stated: Iterable[str]) -> OwnerReason:
    wanted = plain_name(owner)
    names = [plain for plain in map(plain_name, stated) if plain]
    if not wanted or not names:
        return OwnerReason.NOTHING_IN_COMMON
    if wanted in names:
        return OwnerReason.SAME_NAME
    if _without_marks(wanted) in map(_without_marks, names):
        return OwnerReason.NEARLY_SAME_NAME
    return OwnerReason.OTHER_NAME


_FORMS = {
    "cty": "công ty",
    "tnhh": "trách nhiệm hữu hạn",
    "mtv": "một thành viên",
    "dntn": "doanh nghiệp tư nhân",
    "htx": "hợp tác xã",
    "ubnd": "ủy ban nhân dân",
    "hđnd": "hội đồng nhân dân",
}
"""Abbreviations that mean one thing only. "CP" is none of them alone: it is both "cổ phần" and "chính phủ"."""
_STOCK_COMPANY = re.compile(r"\bcông ty cp\b|\bctcp\b")
_ONE_MEMBER = re.compile(r"\b1 thành viên\b|\b1tv\b")
_PUNCTUATION = re.compile(r"[\s.,;:'\"()\[\]«»“”‘’\-\u2010-\u2015_/]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OLD_TONES = {
    bare[0] + marked: toned + bare[1]
    for bare, old, new in (
        ("oa", "àáảãạ", "òóỏõọ"),
        ("oe", "èéẻẽẹ", "òóỏõọ"),
        ("uy", "ỳýỷỹỵ", "ùúủũụ"),
    )
    for marked, toned in zip(old, new, strict=True)
}
"""Both places of the tone mark are in use ("hoà", "hòa"); a name is the same in either."""


def plain_name(name: str) -> str:
    """A name for comparison: NFC, case folded, white space and punctuation as one space, abbreviations written out."""
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", name[:MAX_NAME])).casefold()
    text = unicodedata.normalize("NFC", text)
    for old, new in _OLD_TONES.items():
        text = text.replace(old, new)
    words = _PUNCTUATION.sub(" ", text).split()
    text = " ".join(_FORMS.get(word, word) for word in words)
    return _ONE_MEMBER.sub("một thành viên", _STOCK_COMPANY.sub("công ty cổ phần", text))


def _without_marks(text: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return bare.replace("đ", "d")
