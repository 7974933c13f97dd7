"""The report as PDF 1.7: plain pages in A4, one embedded subset of a font, text that can be searched and read aloud.

The same report gives the same bytes. Nothing of a document gets into the file but as glyphs of that font.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.kernel.typeface import Face
from services.verifier.domain import DocumentReport
from services.verifier.reports import sheet
from services.verifier.reports.pdf_file import PdfFile
from services.verifier.reports.pdf_pages import POINTS_A_MM, Pages, Style
from services.verifier.reports.signature_part import Part, Remark, Row, Value
from services.verifier.reports.words import Language, Phrase, Tone

MEDIA_TYPE = "application/pdf"
_COLOURS = {
    Tone.GOOD: (0.09, 0.39, 0.20),
    Tone.CAUTION: (0.48, 0.29, 0.00),
    Tone.BAD: (0.64, 0.09, 0.11),
    Tone.NEUTRAL: (0.25, 0.29, 0.34),
}
_WORDS = {
    Tone.GOOD: Phrase("ĐẠT", "GOOD"),
    Tone.CAUTION: Phrase("CẢNH BÁO", "WARNING"),
    Tone.BAD: Phrase("KHÔNG ĐẠT", "FAILED"),
    Tone.NEUTRAL: Phrase("GHI CHÚ", "NOTE"),
}
_GREY = (0.32, 0.36, 0.41)
_TITLE = Style(13, bold=True)
_HEADING = Style(11, bold=True)
_BODY = Style(9.5)
_LABEL = Style(9.5, bold=True)
_SMALL = Style(8, colour=_GREY)
_LABELS_MM = 52
"""Width of the column of labels."""


def render(
    report: DocumentReport,
    language: str = Language.BOTH,
    *,
    face: Face,
    document_name: str = "",
    full_identifiers: bool = False,
) -> bytes:
    """The file; `language` is vi, en or both. What the font has no glyph for is told by its number.

    `full_identifiers`: show the numbers of persons whole, not only six characters of them.
    """
    content = sheet.build(report, document_name, full_identifiers=full_identifiers)
    writer = _Writer(Pages(face), Language(language))
    writer.conclusion(content)
    for part in content.parts:
        writer.part(part)
    writer.limits(content.limits)
    title = " / ".join(text for _, text in content.title.said(writer.language))
    tag = "en" if writer.language is Language.EN else "vi"
    footer = f"{title} · SHA-256 {report.sha256[:16]}…"
    return PdfFile(face, title, tag, report.checked_at).write(writer.pages.finished(footer))


class _Writer:
    """Sets the sheet on pages, in one language or both."""

    def __init__(self, pages: Pages, language: Language) -> None:
        self.pages, self.language = pages, language

    def conclusion(self, content: sheet.Sheet) -> None:
        """Title, verdict, what it means, the document."""
        self._phrase(content.title, _TITLE)
        self.pages.skip(4)
        self.pages.bar(_COLOURS[content.tone])
        self._verdict(content.tone, content.verdict, 16)
        for phrase in content.explanation:
            self._phrase(phrase, _BODY)
        self.pages.skip(2)
        self._remarks(content.remarks)
        self._rows(content.facts)

    def part(self, part: Part) -> None:
        """One signature."""
        self.pages.skip(8)
        self.pages.keep(70)
        self.pages.bar(_COLOURS[part.tone])
        self._phrase(part.title, _HEADING)
        self._verdict(part.tone, part.verdict, 10.5)
        self._remarks(part.remarks)
        self._rows(part.rows)

    def limits(self, limits: Iterable[Phrase]) -> None:
        """What was not checked."""
        self.pages.skip(8)
        self.pages.keep(60)
        self.pages.bar(_COLOURS[Tone.NEUTRAL])
        self._phrase(Phrase("Giới hạn của kết quả", "What this result does not say"), _HEADING)
        for phrase in limits:
            self._phrase(phrase, _SMALL)

    def _phrase(self, phrase: Phrase, style: Style) -> None:
        for number, (_, text) in enumerate(phrase.said(self.language)):
            self.pages.text(text, style if not number else style.quieter(_GREY))

    def _verdict(self, tone: Tone, phrase: Phrase, size: float) -> None:
        style = Style(size, bold=True, colour=_COLOURS[tone])
        for number, (_, text) in enumerate(phrase.said(self.language)):
            self.pages.text(
                text, style if not number else Style(size * 0.75, bold=True, colour=_COLOURS[tone])
            )

    def _remarks(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            mark = dict(_WORDS[remark.tone].said(self.language))
            style = Style(9, colour=_COLOURS[remark.tone])
            for tag, text in remark.said.said(self.language):
                self.pages.text(f"[{mark[tag]}] {text}", style, indent=6)
            detail = f"{remark.code}: {remark.detail}" if remark.detail else remark.code
            self.pages.text(detail, _SMALL, indent=6)
        self.pages.skip(3)

    def _rows(self, rows: Iterable[Row]) -> None:
        for row in rows:
            labels = [text for _, text in row.label.said(self.language)]
            values = [text for value in row.values for text in self._texts(value)]
            self.pages.row(
                [(text, _LABEL if not number else _SMALL) for number, text in enumerate(labels)],
                [(text, _SMALL if quiet else _BODY) for text, quiet in values],
                POINTS_A_MM * _LABELS_MM,
            )

    def _texts(self, value: Value) -> list[tuple[str, bool]]:
        if isinstance(value, str):
            return [(value, False)]
        return [(text, bool(number)) for number, (_, text) in enumerate(value.said(self.language))]
