"""The report as one HTML page: no script, nothing loaded from elsewhere, fit for screen readers and for printing on A4.

Every text is escaped, whoever it comes from; the page forbids itself everything but its own style (CSP by its hash).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from services.verifier.domain import DocumentReport
from services.verifier.reports import sheet, words
from services.verifier.reports.signature_part import Part, Remark, Row, Value
from services.verifier.reports.words import Language, Phrase, Tone

MEDIA_TYPE = "text/html; charset=utf-8"
_STYLE = """
:root{color-scheme:light;--good:#176332;--caution:#7a4b00;--bad:#a3161d;--neutral:#3f4a56}
*{box-sizing:border-box}
body{margin:0;overflow-wrap:anywhere;background:#f3f4f6;color:#16191d;font:16px/1.5 "Noto Sans","Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif}
main{max-width:54rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.35rem;margin:0 0 1rem}
h2{font-size:1.1rem;margin:0 0 .5rem}
h3{font-size:1rem;margin:.9rem 0 .3rem}
p{margin:.4rem 0}
section{background:#fff;border:1px solid #d5d9de;border-left:.4rem solid var(--tone);border-radius:.35rem;
margin:0 0 1rem;padding:1rem 1.1rem}
.good{--tone:var(--good)}.caution{--tone:var(--caution)}.bad{--tone:var(--bad)}.neutral{--tone:var(--neutral)}
.verdict{color:var(--tone);font-weight:700;margin:.1rem 0 .4rem}
.main .verdict{font-size:1.7rem;line-height:1.25}
.sign{display:inline-block;width:1.5em;height:1.5em;line-height:1.5em;margin-right:.5em;border-radius:50%;
background:var(--tone);color:#fff;text-align:center;font-weight:700;font-size:.85em}
.verdict span[lang=en]:not(:only-of-type),h1 span[lang=en],h2 span[lang=en]{font-weight:600}
span[lang]{display:block}
[lang=vi]+[lang=en]{color:#4a545f;font-size:.92em}
.verdict [lang=vi]+[lang=en]{color:inherit;font-size:.72em}
.verdict .said{display:inline-block;vertical-align:top;max-width:calc(100% - 2.6em)}
table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{border-top:1px solid #e4e7eb;padding:.35rem .6rem .35rem 0;text-align:left;vertical-align:top;
overflow-wrap:anywhere}
th{width:34%;font-weight:600}
ul{margin:.3rem 0;padding:0;list-style:none}
li{margin:.35rem 0;padding-left:.7rem;border-left:.25rem solid var(--tone)}
code{font:.85em/1.4 "DejaVu Sans Mono","Liberation Mono",Consolas,monospace;color:#4a545f;overflow-wrap:anywhere}
.parts>section{break-inside:auto}
@media(max-width:36rem){th,td{display:block;width:auto;border-top:0;padding:.1rem 0}tr{display:block;
border-top:1px solid #e4e7eb;padding:.3rem 0}}
@page{size:A4;margin:14mm 14mm 16mm}
@media print{body{background:#fff;font-size:9.5pt;line-height:1.32}main{max-width:none;padding:0}
h1{font-size:13pt;margin-bottom:2mm}h2{font-size:11pt;margin-bottom:1mm}h3{font-size:9.5pt;margin:1.5mm 0 .5mm}
.main .verdict{font-size:15pt}p,.verdict{margin:.6mm 0}ul{margin:.5mm 0}li{margin:.6mm 0}code{font-size:7.5pt}
section{border-radius:0;margin-bottom:2.5mm;padding:2mm 3mm}th,td{padding-top:.6mm;padding-bottom:.6mm}
tr,li,h2,h3,.verdict{break-inside:avoid}h2,h3,.verdict{break-after:avoid}
section,.sign{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""".strip()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode("utf-8")).digest()).decode("ascii")
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
_TONES = {
    Tone.GOOD: Phrase("Đạt", "Good"),
    Tone.CAUTION: Phrase("Cảnh báo", "Warning"),
    Tone.BAD: Phrase("Không đạt", "Failed"),
    Tone.NEUTRAL: Phrase("Ghi chú", "Note"),
}
_DOCUMENT = Phrase("Tài liệu", "Document")
_REMARKS = Phrase("Cảnh báo và ghi chú", "Warnings and notes")
_LIMITS = Phrase("Giới hạn của kết quả", "What this result does not say")


def render(
    report: DocumentReport,
    language: str = Language.BOTH,
    *,
    document_name: str = "",
    full_identifiers: bool = False,
) -> bytes:
    """The page in UTF-8; `language` is vi, en or both. `full_identifiers`: show the numbers of persons whole, not only six characters of them."""
    content = sheet.build(report, document_name, full_identifiers=full_identifiers)
    page = _Page(Language(language))
    title = " / ".join(text for _, text in content.title.said(language))
    own = Language.EN if language == Language.EN else Language.VI
    head = [
        f'<!DOCTYPE html>\n<html lang="{own.value}">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
    ]
    body = [
        f"<h1>{page.said(content.title)}</h1>",
        f'<section class="main {content.tone.value}" aria-labelledby="verdict">',
        page.verdict(content.tone, content.verdict, "verdict"),
        *(f"<p>{page.said(phrase)}</p>" for phrase in content.explanation),
        page.remarks(content.remarks),
        "</section>",
        '<section class="neutral" aria-labelledby="document">',
        f'<h2 id="document">{page.said(_DOCUMENT)}</h2>{page.table(content.facts)}</section>',
        '<div class="parts">',
        *(page.part(number, part) for number, part in enumerate(content.parts, 1)),
        "</div>",
        '<section class="neutral" aria-labelledby="limits">',
        f'<h2 id="limits">{page.said(_LIMITS)}</h2>',
        *(f"<p>{page.said(phrase)}</p>" for phrase in content.limits),
        "</section>\n</main>\n</body>\n</html>\n",
    ]
    return "\n".join([*head, *body]).encode("utf-8")


class _Page:
    """Sets phrases and rows in one language, or in both."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def said(self, phrase: Phrase) -> str:
        """A phrase, each language in an element that names it."""
        return "".join(
            f'<span lang="{tag}">{escape(text)}</span>' for tag, text in phrase.said(self._language)
        )

    def value(self, value: Value) -> str:
        """A phrase, or data between marks that keep its direction to itself."""
        return self.said(value) if isinstance(value, Phrase) else f"<bdi>{escape(value)}</bdi>"

    def verdict(self, tone: Tone, phrase: Phrase, name: str) -> str:
        """A conclusion with its sign."""
        word = " / ".join(text for _, text in _TONES[tone].said(self._language))
        sign = f'<span class="sign" role="img" aria-label="{escape(word)}">{words.SIGNS[tone]}</span>'
        return f'<p class="verdict" id="{name}">{sign}<span class="said">{self.said(phrase)}</span></p>'

    def table(self, rows: Iterable[Row]) -> str:
        """Labels and values."""
        return "".join(
            [
                "<table>",
                *(
                    f'<tr><th scope="row">{self.said(row.label)}</th>'
                    f"<td>{''.join(f'<div>{self.value(value)}</div>' for value in row.values)}</td></tr>\n"
                    for row in rows
                ),
                "</table>",
            ]
        )

    def remarks(self, remarks: Iterable[Remark]) -> str:
        """Warnings and notes; empty where there are none."""
        items = "".join(
            f'<li class="{remark.tone.value}">{self.said(remark.said)}'
            f"<code>{escape(remark.code)}{': ' + escape(remark.detail) if remark.detail else ''}</code></li>\n"
            for remark in remarks
        )
        return f"<h3>{self.said(_REMARKS)}</h3>\n<ul>{items}</ul>" if items else ""

    def part(self, number: int, part: Part) -> str:
        """One signature."""
        name = f"signature-{number}"
        return "\n".join(
            [
                f'<section class="{part.tone.value}" aria-labelledby="{name}">',
                f'<h2 id="{name}">{self.said(part.title)}</h2>',
                self.verdict(part.tone, part.verdict, f"{name}-verdict"),
                self.remarks(part.remarks),
                self.table(part.rows),
                "</section>",
            ]
        )
