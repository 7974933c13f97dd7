"""One document from beginning to end: its report, compared with the owner, and what was asked for beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.verifier import originals, owner
from services.verifier.domain import DocumentReport
from services.verifier.evidence import used, wanted
from services.verifier.inquiry import AnswerFile, Form, Inquiry
from services.verifier.ports import SignatureFormat, SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.reports.files import ReportPrinter
from services.verifier.service import VerificationService

_REPORTED_BYTES = 16 << 20
"""Of evidence in a report for other systems where evidence itself is not asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A report in the shape of `rendering.document`, the files that go with it, and how many had no room."""

    report: dict[str, Any]
    files: Sequence[AnswerFile] = ()
    evidence_left_out: int = 0
    originals_left_out: int = 0
    wanted: tuple[bytes, ...] = ()
    """Certificates, DER, that could not be judged for want of a status or an issuer."""


@dataclass(slots=True)
class _Files:
    files: list[AnswerFile] = field(default_factory=list)
    evidence: list[AnswerFile] = field(default_factory=list)
    evidence_left_out: int = 0
    originals_left_out: int = 0
    wanted: tuple[bytes, ...] = ()


def examine(
    formats: Sequence[SignatureFormat],
    trust: TrustMaterial,
    document: SubmittedDocument,
    inquiry: Inquiry,
    printer: ReportPrinter,
) -> Answer:
    """Judge a document and collect what is asked for. Raises nothing on account of the document."""
    service = VerificationService(formats, trust, integrity_only=inquiry.integrity_only)
    try:
        examination = service.examine(document, inquiry.at, inquiry.valid_at)
        report = examination.report
        more = _Files(wanted=wanted.of(examination))
        if inquiry.evidence or inquiry.form is Form.ETSI:
            limit = inquiry.evidence or _REPORTED_BYTES
            more.evidence, left_out = used.used(examination, trust, limit)
            if inquiry.evidence:
                more.evidence_left_out = left_out
                more.files += more.evidence
        if inquiry.originals:
            contents = originals.carried(document.data, examination.findings)
            found, more.originals_left_out = originals.signed(contents, report, inquiry.originals)
            more.files += found
    except (MemoryError, RecursionError):
        return undecided(document.data, inquiry, printer)
    return _answer(report, inquiry, printer, more)


def undecided(data: bytes, inquiry: Inquiry, printer: ReportPrinter) -> Answer:
    """The answer on a document whose check ran into a limit."""
    report = DocumentReport.undecided(data, inquiry.at, inquiry.integrity_only)
    return _answer(report, inquiry, printer, _Files())


def _answer(report: DocumentReport, inquiry: Inquiry, printer: ReportPrinter, more: _Files) -> Answer:
    if inquiry.owner is not None:
        report = owner.apply(inquiry.owner, report)
    printed = printer.file(report, inquiry, more.evidence)
    # First: whoever asked for it waits for nothing else.
    files = more.files if printed is None else [printed, *more.files]
    left_out = more.evidence_left_out, more.originals_left_out
    return Answer(rendering.document(report), files, *left_out, more.wanted)
