"""The service: from a document's bytes to its report, by the procedure of ETSI EN 319 102-1 clause 5.

Validation is for a time that is an argument. A verdict starts INDETERMINATE and becomes TOTAL-PASSED at the last step
only. What is said of one signature is `procedure.signature`'s; here is what all signatures of a document share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.verifier.domain import (
    Code,
    DocumentReport,
    Indication,
    Notice,
    SignatureReport,
    Verdict,
    worst,
)
from services.verifier.formats import beside
from services.verifier.nesting import Nesting
from services.verifier.ports import Findings, SignatureFormat, SubmittedDocument, TrustMaterial
from services.verifier.procedure import building_blocks
from services.verifier.procedure.past import ChainJudge, Material
from services.verifier.procedure.poe import Proofs
from services.verifier.procedure.signature import Procedure
from services.verifier.procedure.timestamps import JudgedTimeStamp, TimeStampJudge
from services.verifier.x509.path_rules import PathRules

_COMPLETE = frozenset({"PDF", "ASiC"})
"""Formats that hold all that their signatures are over."""


@dataclass(frozen=True, slots=True)
class Examination:
    """A report, and what it was made from: for whoever wants the evidence or the documents that were signed."""

    report: DocumentReport
    findings: Findings
    stamps: Mapping[int, JudgedTimeStamp]
    """By the identity of the found time-stamp."""


class VerificationService:
    """Judges documents against one set of trust material. Keeps nothing of a document; safe to use again."""

    def __init__(
        self,
        formats: Sequence[SignatureFormat],
        trust: TrustMaterial,
        *,
        integrity_only: bool = False,
        rules: PathRules | None = None,
    ) -> None:
        """`integrity_only` leaves trust out: chain, status, key usage and algorithm policy are not asked for."""
        self._formats = formats
        self._integrity_only = integrity_only
        self._known = tuple(building_blocks.loadable((*trust.intermediates, *trust.anchors)))
        self._chains = ChainJudge(
            building_blocks.loadable(trust.anchors),
            self._known,
            trust.crls,
            rules or trust.rules(),
            trust.ocsps,
        )

    def verify(self, document: SubmittedDocument, at: datetime) -> DocumentReport:
        """Report on a document as of `at` (aware UTC). Raises nothing on account of the document."""
        return self.examine(document, at).report

    def examine(
        self, document: SubmittedDocument, at: datetime, valid_at: datetime | None = None
    ) -> Examination:
        """Report on a document as of `at`, now, or for the earlier time `valid_at` that the caller states.

        Signed documents that it carries are judged too. Raises nothing on account of the document.
        """
        whole = self._examined(document, at, valid_at)

        def judge(inner: SubmittedDocument) -> tuple[DocumentReport, Findings]:
            found = self._examined(inner, at, valid_at)
            return found.report, found.findings

        nesting = Nesting(judge, lambda data: any(one.recognises(data) for one in self._formats))
        return replace(whole, report=nesting.with_inner(whole.report, whole.findings))

    def _examined(self, document: SubmittedDocument, at: datetime, valid_at: datetime | None) -> Examination:
        """The document by itself."""
        findings = self._find(document)
        proofs = Proofs(at, valid_at)
        judged = self._judged_stamps(findings, proofs, at)
        chains = None if self._integrity_only else self._chains
        procedure = Procedure(chains, self._known, judged, proofs, at)
        reports = tuple(procedure.run(found) for found in findings.signatures)
        report = self._report(document, findings, reports, at)
        if proofs.stated is not None:
            report = replace(report, valid_at=proofs.stated, notices=(*report.notices, Notice(Code.NOT_NOW)))
        return Examination(report, findings, judged)

    def _report(
        self,
        document: SubmittedDocument,
        findings: Findings,
        reports: tuple[SignatureReport, ...],
        at: datetime,
    ) -> DocumentReport:
        verdict, notices = _document_verdict(findings, reports)
        # What failed and leaves the verdict valid is a time-stamp that has no say in it.
        holding = (one for one in reports if one.indication is not Indication.TOTAL_FAILED)
        return DocumentReport(
            verdict=verdict,
            clean=verdict is Verdict.VALID and all(report.clean for report in holding),
            signatures=reports,
            format=findings.format,
            size=len(document.data),
            sha256=hashlib.sha256(document.data).hexdigest(),
            checked_at=at,
            integrity_only=self._integrity_only,
            notices=(*notices, Notice(Code.TRUST_LEFT_OUT)) if self._integrity_only else notices,
        )

    def _judged_stamps(
        self, findings: Findings, proofs: Proofs, at: datetime
    ) -> Mapping[int, JudgedTimeStamp]:
        """Judge the document's time-stamps, whose proofs serve every signature of it."""
        stamps, certificates = [], list[bytes]()
        crls, ocsps = list[bytes](), list[bytes]()
        for found in findings.signatures:
            stamps.extend([*found.time_stamps, *([found.own_stamp] if found.own_stamp is not None else [])])
            certificates.extend(found.certificates)
            crls.extend(found.crls)
            ocsps.extend(found.ocsps)
        material = Material(
            tuple(building_blocks.loadable(dict.fromkeys(certificates))) if stamps else (),
            tuple(dict.fromkeys(crls)),
            tuple(dict.fromkeys(ocsps)),
        )
        judge = TimeStampJudge(
            self._chains, (*material.certificates, *self._known), integrity_only=self._integrity_only
        )
        return judge.judge_all(stamps, material, proofs, at)

    def _find(self, document: SubmittedDocument) -> Findings:
        for candidate in self._formats:
            if candidate.recognises(document.data):
                try:
                    found = candidate.find(document)
                    return beside.judged(found, document) if candidate.name in _COMPLETE else found
                except (RecursionError, MemoryError):
                    limit = Notice(
                        Code.LIMIT_REACHED, "the document needs more memory or depth than is allowed"
                    )
                    return Findings(candidate.name, obstacle=limit)
        supported = ", ".join(f.name for f in self._formats)
        detail = f"the content is none of the supported formats ({supported})"
        return Findings("unknown", obstacle=Notice(Code.FORMAT_UNSUPPORTED, detail))


def _document_verdict(
    findings: Findings, reports: tuple[SignatureReport, ...]
) -> tuple[Verdict, tuple[Notice, ...]]:
    if findings.obstacle is not None:
        damaged = findings.obstacle.code is Code.DOC_MALFORMED
        return (Verdict.MALFORMED if damaged else Verdict.INDETERMINATE), (findings.obstacle,)
    verdict = worst(reports, stamps_speak=findings.stamps_speak, stamps_apart=findings.stamps_apart)
    return verdict, (Notice(Code.NOT_SIGNED),) if verdict is Verdict.UNSIGNED else ()
