"""A report written out in the form that was asked for. What writes it is loaded at the first report of its form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from services.verifier.domain import DocumentReport
from services.verifier.inquiry import AnswerFile, FileKind, Form, Inquiry

if TYPE_CHECKING:
    from services.kernel.typeface import Face

MAX_FONT_BYTES = 16 << 20


class ReportPrinter:
    """Writes reports. Without a font there are none in PDF."""

    def __init__(self, font: bytes | None = None) -> None:
        """`font` is a TrueType font with the Vietnamese letters."""
        self._font = font

    @classmethod
    def read(cls, font_file: Path | None) -> ReportPrinter:
        """Take the font from its file: later a worker reaches no file any more. Raises OSError."""
        if font_file is None:
            return cls()
        with font_file.open("rb") as file:
            return cls(file.read(MAX_FONT_BYTES))

    @cached_property
    def face(self) -> Face:
        """The font, read. Raises FontUnfit."""
        # Its library takes longer to load than most documents to check.
        from services.kernel.typeface import Face

        return Face(self._font or b"")

    def prints(self, form: Form | None) -> bool:
        """Whether it can write this form."""
        return form is not Form.PDF or self._font is not None

    def file(
        self, report: DocumentReport, inquiry: Inquiry, evidence: Sequence[AnswerFile] = ()
    ) -> AnswerFile | None:
        """The report as a file; None where no form was asked for, or it cannot be written.

        `evidence` goes into the report for other systems, in full.
        """
        if inquiry.form is None or not self.prints(inquiry.form):
            return None
        if inquiry.form is Form.ETSI:
            from services.verifier.reports import etsi_xml

            written = etsi_xml.render(report, inquiry.file_name, evidence)
            return AnswerFile(FileKind.REPORT, written, etsi_xml.MEDIA_TYPE)
        return AnswerFile(FileKind.REPORT, *self._for_people(inquiry.form, report, inquiry))

    def _for_people(self, form: Form, report: DocumentReport, inquiry: Inquiry) -> tuple[bytes, str]:
        language, name = inquiry.language, inquiry.file_name
        if form is Form.PDF:
            from services.verifier.reports import pdf

            return pdf.render(report, language, face=self.face, document_name=name), "application/pdf"
        from services.verifier.reports import html

        return html.render(report, language, document_name=name), html.MEDIA_TYPE
