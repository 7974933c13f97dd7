"""Signed documents inside signed documents: in containers, in mail, in enveloping signatures.

Each document that a file carries is judged as if it had come alone, and so are those that it carries itself, down to
MAX_DEPTH. The outer verdict is on the outer signatures. What is inside takes `clean` away where one of its signatures
does not hold or was changed after it was signed, and where it was not looked at; that a signer inside is not known to
be trusted is for the inner report to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from services.verifier.domain import (
    Code,
    Coverage,
    DocumentReport,
    Indication,
    InnerReport,
    Notice,
    Verdict,
)
from services.verifier.ports import Content, Findings, SubmittedDocument

MAX_DEPTH = 3
"""How many documents round an innermost one: a PDF file in a container in a mail message in a container is judged."""
MAX_DOCUMENTS = 200
"""That are looked into, at all depths together."""
MAX_BYTES = 128 << 20
"""Of the documents that are looked into, at all depths together."""
MAX_SECONDS = 8.0
"""Of effort, which is this process' time and half of everybody's: about 5 s where nobody else computes, 16 s at most.

What has not been begun by then is left out, so that the outer verdict is not lost with it.
"""
_SIGNATURE_FILES = (".p7s", ".sig", ".p7m")

Judge = Callable[[SubmittedDocument], tuple[DocumentReport, Findings]]
Recognise = Callable[[bytes], bool]


def effort() -> float:
    """Seconds from some moment on: the process' own, and half of those that pass for everybody."""
    return time.process_time() + time.monotonic() / 2


@dataclass
class Nesting:
    """Judges what one document carries, within limits for all of it. `judge` gives a report, and what it was made from."""

    judge: Judge
    recognise: Recognise
    clock: Callable[[], float] = effort
    documents: int = 0
    octets: int = 0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        """Time runs from now on."""
        self.started = self.clock()

    def with_inner(self, report: DocumentReport, findings: Findings, depth: int = 1) -> DocumentReport:
        """The report with those of the signed documents among the contents that were found."""
        siblings = {content.name: content.data for content in findings.contents if content.name}
        found: list[InnerReport] = []
        left_out = False
        for content in findings.contents:
            if not self.recognise(content.data):
                continue
            if not self._allowed(content, depth):
                left_out = True
                continue
            inner, further = self.judge(_submitted(content, siblings))
            inner = self.with_inner(inner, further, depth + 1)
            if inner.signatures or inner.inner:
                found.append(InnerReport(content.name, inner))
            # Without a signature of its own, what it carries still counts for what is round it.
            left_out = left_out or _left_out(inner)
        whole = _stained(report, tuple(found), left_out=left_out)
        if findings.content_speaks and _is_stamped(report) and not left_out and len(found) == 1:
            return _spoken_for(whole, found[0].report)
        return whole

    def _allowed(self, content: Content, depth: int) -> bool:
        self.documents += 1
        self.octets += len(content.data)
        if self.clock() - self.started > MAX_SECONDS:
            return False
        return depth <= MAX_DEPTH and self.documents <= MAX_DOCUMENTS and self.octets <= MAX_BYTES


def _submitted(content: Content, siblings: Mapping[str, bytes]) -> SubmittedDocument:
    """A signature file beside the file that its name is made from is over that file."""
    stem, dot, ending = content.name.rpartition(".")
    detached = siblings.get(stem) if f"{dot}{ending}".casefold() in _SIGNATURE_FILES else None
    return SubmittedDocument(content.data, detached)


def _stained(report: DocumentReport, inner: tuple[InnerReport, ...], *, left_out: bool) -> DocumentReport:
    broken = [one.name for one in inner if _broken(one.report)]
    if not broken and not left_out:
        return replace(report, inner=inner) if inner else report
    notices = list(report.notices)
    if broken:
        names = ", ".join(f'"{name[:80]}"' for name in broken[:5])
        notices.append(Notice(Code.INNER_BROKEN, f"{len(broken)} inside: {names}"))
    if left_out:
        limits = (
            f"at most {MAX_DOCUMENTS} documents, {MAX_BYTES >> 20} MiB, {MAX_DEPTH} levels, a few seconds"
        )
        notices.append(Notice(Code.INNER_BROKEN, f"not all that is inside was looked at: {limits}"))
    return replace(report, inner=inner, clean=False, notices=tuple(notices))


def _spoken_for(report: DocumentReport, inner: DocumentReport) -> DocumentReport:
    """A time-stamped wrapping signs nothing and says nothing: its verdict is that of the document in it."""
    if report.verdict is not Verdict.UNSIGNED:
        return report
    notices = tuple(one for one in report.notices if one.code is not Code.NOT_SIGNED)
    return replace(report, verdict=inner.verdict, clean=inner.clean, notices=notices)


def _is_stamped(report: DocumentReport) -> bool:
    """True where a time-stamp over all of it was not found to fail: without one there is no wrapping, only a file."""
    return any(
        one.indication is not Indication.TOTAL_FAILED and one.coverage.coverage is Coverage.WHOLE
        for one in report.signatures
    )


def _broken(report: DocumentReport) -> bool:
    if report.clean:
        # What failed in it is then a time-stamp beside its signatures.
        return False
    if any(one.code is Code.INNER_BROKEN for one in report.notices):
        return True
    return any(
        signature.indication is Indication.TOTAL_FAILED or signature.stained
        for signature in report.signatures
    )


def _left_out(report: DocumentReport) -> bool:
    return not report.inner and any(one.code is Code.INNER_BROKEN for one in report.notices)
