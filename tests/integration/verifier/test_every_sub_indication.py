"""Every sub-indication and every message that the verifier can give has a test document and a sentence in both languages."""

from __future__ import annotations

import pytest

from services.verifier.domain import Code, DocumentReport, Indication, SubIndication
from services.verifier.reports import etsi_xml, html, rendering, sentences
from tests.support import timed_documents, verdict_documents
from tests.support.etsi_report_schema import parsed
from tests.support.report_json_schema import complaints
from tests.support.verdict_documents import Case

CASES: dict[str, Case] = {**verdict_documents.CASES, **timed_documents.CASES}
_OF_SIGNATURES = {
    Indication.TOTAL_PASSED: Code.SIG_VALID,
    Indication.TOTAL_FAILED: Code.SIG_INVALID,
    Indication.INDETERMINATE: Code.SIG_INDETERMINATE,
}


def codes(report: DocumentReport) -> set[Code]:
    """What is told of the document and its signatures; the sentence on a signature begins with a code too."""
    notices = [*report.notices, *(n for one in report.signatures for n in one.notices)]
    return {n.code for n in notices} | {_OF_SIGNATURES[one.indication] for one in report.signatures}


@pytest.mark.parametrize("name", CASES)
def test_the_document_gives_what_it_was_made_for(name: str) -> None:
    wanted = CASES[name]
    report = wanted.judge()
    subs = {one.sub_indication for one in report.signatures}
    details = [one.detail for one in report.signatures]
    assert wanted.subs <= subs, details
    assert wanted.codes <= codes(report), details
    for one in report.signatures:
        # A reason is there where, and only where, a signature did not pass.
        assert (one.sub_indication is None) == (one.indication is Indication.TOTAL_PASSED)
        told = sentences.of_signature(one, integrity_only=report.integrity_only)
        assert all(sentence.endswith(".") for sentence in told)
    shown = html.render(report).decode("utf-8")
    assert all(sub is None or sub.value in shown for sub in subs)
    assert complaints(rendering.document(report)) == []
    parsed(etsi_xml.render(report, name))


def test_no_sub_indication_is_without_a_document() -> None:
    assert {sub for one in CASES.values() for sub in one.subs} == set(SubIndication)


def test_no_message_is_without_a_document() -> None:
    assert {code for one in CASES.values() for code in one.codes} == set(Code)


@pytest.mark.parametrize("sub", list(SubIndication))
def test_a_sub_indication_has_a_reason_of_its_own_in_both_languages(sub: SubIndication) -> None:
    said = sentences.reason(sub)
    assert all(said)
    assert all(said.count(one) == 1 for one in said)
    others = [sentences.reason(other) for other in SubIndication if other is not sub]
    assert all(said[0] != vi and said[1] != en for vi, en in others)


@pytest.mark.parametrize("code", list(Code))
def test_a_message_has_a_sentence_of_its_own_in_both_languages(code: Code) -> None:
    said = sentences.of_code(code)
    assert all(sentence.endswith(".") for sentence in said)
    assert said[0] != said[1]
    # "Changed" and "not signed" are said of documents and of signatures alike; nothing else is said twice.
    others = [sentences.of_code(other) for other in Code if other is not code]
    assert said not in others
