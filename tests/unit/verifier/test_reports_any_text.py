"""Whatever text a document brings, every report is written, well-formed, and shows none of its control characters."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html

from services.kernel.typeface import Face
from services.verifier.domain import Code, DocumentReport, Identifier, InnerReport, Notice
from services.verifier.reports import etsi_xml, html, pdf
from services.verifier.reports.words import plain
from tests.support.etsi_report_schema import parsed
from tests.support.pictures import font_file
from tests.support.report_samples import certificate, document, signature

FACE = Face.read(font_file())
TEXT = st.text(st.characters(codec=None), max_size=80) | st.sampled_from(
    [
        "]]>",
        "<!--",
        "&#0;",
        "\\",
        "(",
        ")",
        "%%EOF",
        "endstream",
        "\u202e",
        "\u2066x",
        "\udfff",
        "e\u0301" * 40,
    ]
)


def about(text: str) -> DocumentReport:
    """A report in which this text stands wherever a document's own word can."""
    who = certificate(
        text,
        issuer_name=text,
        organization=text,
        title=text,
        identifiers=(Identifier("other", text, text, True),),
    )
    one = signature(name=text, signer=who, path=(who, who), detail=text, notices=(Notice(Code.SCOPE, text),))
    whole = document(one, format=text)
    return replace(whole, inner=(InnerReport(text, document(one)),))


@settings(max_examples=60, deadline=None)
@given(text=TEXT)
def test_every_form_is_written(text: str) -> None:
    report = about(text)
    page = html.render(report, document_name=text).decode("utf-8")
    shown = lxml_html.document_fromstring(page)
    assert len(shown.findall(".//section")) == 5
    assert not [c for c in page if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"}]
    parsed(etsi_xml.render(report, text))
    file = pypdfium2.PdfDocument(pdf.render(report, face=FACE, document_name=text))
    assert len(file) >= 1
    file.close()


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(codec=None), max_size=400))
def test_data_is_one_short_line(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= 301
    assert not re.search(r"[\r\n\t\x00-\x1f]", shown)
    shown.encode("utf-8")


@pytest.mark.parametrize("number", [0, 1, 2, 17])
def test_sections_are_as_many_as_signatures(number: int) -> None:
    report = replace(document(), signatures=(signature(),) * number)
    shown = lxml_html.document_fromstring(html.render(report).decode("utf-8"))
    assert len(shown.findall(".//section")) == 3 + number
