"""Reports for people: the conclusion first, every item that the law names, hostile texts harmless, both languages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import html as lxml_html

from services.verifier import owner
from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    CoverageReport,
    DocumentReport,
    Identifier,
    Indication,
    Integrity,
    LaterChange,
    Notice,
    SigningTime,
    StatusReport,
    StatusSource,
    SubIndication,
    TimeSource,
    Verdict,
)
from services.verifier.owner import Owner
from services.verifier.reports import html, sheet, words
from services.verifier.reports.words import Language, Tone
from tests.support.report_samples import AT, FOREVER, HOSTILE, certificate, document, hostile, many, signature

ITEMS = [
    "Cơ quan tạo lập, cấp, phát hành",
    "Chủ thể ký",
    "Đơn vị quản lý chứng thư",
    "Thời điểm ký (khai báo)",
    "Chữ ký chắc chắn đã có vào lúc",
    "Tính toàn vẹn",
    "Tính hợp lệ tại thời điểm ký",
    "Thời hạn hiệu lực của chứng thư",
    "Nguồn kiểm tra trạng thái thu hồi",
]
"""What TT 15/2025 wants to be shown of each signature, in its order."""


def page(report: DocumentReport, language: str = "both", **options: Any) -> lxml_html.HtmlElement:
    return lxml_html.document_fromstring(html.render(report, language, **options).decode("utf-8"))


def text(report: DocumentReport, language: str = "both", **options: Any) -> str:
    return " ".join(page(report, language, **options).find(".//main").text_content().split())


def test_the_conclusion_comes_before_everything_else() -> None:
    shown = page(document(), "vi")
    assert shown.find(".//section").get("class") == "main good"
    assert shown.find(".//main/section/p[@class='verdict']").text_content().endswith("Hợp lệ")


def test_every_item_that_the_law_names_is_there_in_its_order() -> None:
    labels = [row.label.vi for row in sheet.build(document()).parts[0].rows]
    assert [label for label in labels if label in ITEMS] == ITEMS
    assert {"Mã số thuế (MST)", "Số định danh cá nhân (CCCD)", "Phạm vi được ký"} <= set(labels)


@pytest.mark.parametrize("language", list(Language))
def test_a_language_is_shown_alone_or_both_are(language: Language) -> None:
    shown = page(document(), language)
    tags = {element.get("lang") for element in shown.iterfind(".//span[@lang]")}
    assert tags == ({"vi", "en"} if language is Language.BOTH else {language.value})
    assert shown.get("lang") == ("en" if language is Language.EN else "vi")
    told = text(document(), language)
    assert ("Chủ thể ký" in told) == (language is not Language.EN)
    assert ("Issuer" in told) == (language is not Language.VI)


def test_times_are_those_of_viet_nam_with_their_offset() -> None:
    assert words.moment(AT) == "2026-11-23 03:30:05 +07:00"
    assert words.moment(None) == "–"
    assert words.moment(FOREVER) == "9999-12-31 23:59:59 UTC"
    assert words.moment(AT.replace(year=1)) == "0001-11-23 03:30:05 +07:00"
    assert "2026-11-23 03:30:05 +07:00" in text(document())


@pytest.mark.parametrize(
    ("report", "tone", "verdict"),
    [
        (document(), Tone.GOOD, "Hợp lệ"),
        (document(clean=False), Tone.CAUTION, "Hợp lệ, có cảnh báo"),
        (document(signature(notices=(Notice(Code.PARTLY_SIGNED),))), Tone.CAUTION, "Hợp lệ, có cảnh báo"),
        (document(integrity_only=True), Tone.CAUTION, "Nguyên vẹn, chưa xét độ tin cậy"),
        (document(verdict=Verdict.INVALID), Tone.BAD, "Không hợp lệ"),
        (document(verdict=Verdict.INDETERMINATE), Tone.CAUTION, "Không đủ thông tin để kết luận"),
        (document(verdict=Verdict.UNSIGNED), Tone.NEUTRAL, "Tài liệu không có chữ ký số"),
    ],
)
def test_valid_without_a_word_of_warning_is_said_only_where_there_is_none(
    report: DocumentReport, tone: Tone, verdict: str
) -> None:
    content = sheet.build(report)
    assert (content.tone, content.verdict.vi) == (tone, verdict)


def test_a_status_that_could_not_be_checked_is_a_warning() -> None:
    unchecked = signature(
        indication=Indication.INDETERMINATE,
        sub_indication=SubIndication.TRY_LATER,
        status=StatusReport(),
        notices=(Notice(Code.STATUS_NOT_CHECKED),),
    )
    told = text(document(unchecked, verdict=Verdict.INDETERMINATE))
    assert "CẢNH BÁO: chưa kiểm tra được trạng thái thu hồi" in told
    assert "WARNING: the revocation status could not be checked" in told


def test_numbers_of_persons_are_shown_in_part_unless_asked_for() -> None:
    short = certificate(
        identifiers=(
            Identifier("citizen", "012345678901", "CCCD", True),
            Identifier("tax", "098765432109", "MST", True),
            Identifier("tax", "0106793535", "MST", True),
            Identifier("citizen", "0123456789", "CCCD", False),
        )
    )
    told = text(document(signature(signer=short)))
    assert "012******901" in told
    assert "098******109" in told
    assert "0106793535" in told
    assert "0123456789" not in told
    assert "012345678901" in text(document(signature(signer=short)), full_identifiers=True)


def test_what_came_after_is_told_and_cut_at_a_limit() -> None:
    later = tuple(LaterChange(n, ChangeKind.ANNOTATION, n < 4, "a note") for n in range(2, 60))
    one = signature(coverage=CoverageReport(Coverage.REVISION, 1, 2, 1, 59, later))
    told = text(document(one), "vi")
    assert "phiên bản 2: thêm chú thích, được phép [a note]" in told
    assert "phiên bản 4: thêm chú thích, KHÔNG được phép [a note]" in told
    assert "và 38 thay đổi nữa" in told


def test_the_owner_is_told_of() -> None:
    asked = Owner.of(citizen="012345678902")
    told = text(owner.apply(asked, document()))
    assert "Mã số của chủ thể ký khác mã số của chủ hồ sơ." in told
    assert "Đối chiếu chủ hồ sơ" in told


def test_a_name_that_nothing_confirms_is_told_as_such() -> None:
    doubt = "theo chứng thư số, chưa được xác nhận"
    assert doubt not in text(document())
    assert doubt in text(document(integrity_only=True))
    failed = signature(
        indication=Indication.INDETERMINATE, sub_indication=SubIndication.NO_CERTIFICATE_CHAIN_FOUND
    )
    assert doubt in text(document(failed, verdict=Verdict.INDETERMINATE))


def test_documents_inside_are_told_of_by_their_names() -> None:
    told = text(hostile(), "vi")
    assert told.count("Chữ ký ") >= 2
    assert "(trong " in told


def test_a_time_of_the_callers_choice_is_told() -> None:
    told = text(document(valid_at=AT.replace(year=2025)), "vi")
    assert "Xét cho thời điểm" in told
    assert "2025-11-23 03:30:05 +07:00" in told


def test_hostile_texts_stay_texts() -> None:
    raw = html.render(hostile(), document_name=HOSTILE).decode("utf-8")
    shown = page(hostile(), document_name=HOSTILE)
    tags = {str(element.tag) for element in shown.iter()}
    assert not tags & {"script", "img", "a", "link", "iframe", "object", "form", "base"}
    assert "alert('x')" in shown.text_content()
    assert "‹U+202E›" in shown.text_content()
    assert not set(raw) & set("\u202e\x00\x1b\u200b")
    for element in shown.iter():
        assert not {
            name for name in element.attrib if name.startswith("on") or name in {"href", "src", "style"}
        }


def test_the_page_forbids_itself_everything_but_its_style() -> None:
    shown = page(document())
    policy = str(shown.find(".//meta[@http-equiv='Content-Security-Policy']").get("content"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert html._STYLE_HASH in policy
    assert shown.find(".//style").text == html._STYLE
    assert "url(" not in html._STYLE
    assert "@import" not in html._STYLE


def test_the_page_can_be_read_by_its_structure() -> None:
    shown = page(document(signature(), signature()))
    names = [element.get("id") for element in shown.iterfind(".//*[@id]")]
    assert len(names) == len(set(names))
    for section in shown.iterfind(".//section"):
        assert section.get("aria-labelledby") in names
    assert all(cell.get("scope") == "row" for cell in shown.iterfind(".//th"))
    assert len(shown.findall(".//h1")) == 1
    assert all(sign.get("aria-label") for sign in shown.iterfind(".//span[@role='img']"))


def test_only_so_many_signatures_are_listed() -> None:
    content = sheet.build(many(sheet.MAX_SIGNATURES + 7))
    assert len(content.parts) == sheet.MAX_SIGNATURES
    assert "7 chữ ký còn lại" in content.limits[0].vi


def test_a_report_is_the_same_every_time() -> None:
    assert html.render(many(3)) == html.render(many(3))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\tb\r\n c", "a b c"),
        ("e\u0302\u0301", "ế"),
        ("a\u202eb", "a‹U+202E›b"),
        ("\ud800", "‹U+D800›"),
        ("\ufffe\U000e0001", "‹U+FFFE›‹U+E0001›"),
        ("x" * 400, "x" * 300 + "…"),
        ("", ""),
    ],
)
def test_data_is_one_line_of_visible_characters(given: str, shown: str) -> None:
    assert words.plain(given) == shown


def test_every_word_of_the_domain_has_its_words() -> None:
    assert set(words.VERDICTS) == set(words.TONES) == set(Verdict)
    assert set(words.COVERAGES) == set(Coverage)
    assert set(words.INTEGRITY) == set(Integrity)
    assert set(words.CHANGES) == set(ChangeKind)
    assert set(words.STATUS) == set(StatusSource)
    assert set(words.PROOFS) == {source.value for source in TimeSource}
    tables: list[dict[Any, words.Phrase]] = [
        words.VERDICTS, words.COVERAGES, words.INTEGRITY, words.CHANGES, words.STATUS, words.PROOFS, words.IDENTIFIERS,
    ]  # fmt: skip
    for table in tables:
        assert all(phrase.vi and phrase.en and phrase.vi != phrase.en for phrase in table.values())


@pytest.mark.parametrize("sub", list(SubIndication))
@pytest.mark.parametrize("source", list(TimeSource))
def test_every_outcome_can_be_written(sub: SubIndication, source: TimeSource) -> None:
    one = signature(
        indication=Indication.INDETERMINATE,
        sub_indication=sub,
        signing_time=SigningTime(None, AT, source),
        notices=tuple(map(Notice, Code)),
    )
    told = text(document(one, replace(one, signer=None), verdict=Verdict.INDETERMINATE))
    assert sub.value in told
