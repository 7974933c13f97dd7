"""Verification that fetches what it lacks: judged once from what is at hand, and where that lacks a status once more.

The workers that read documents reach no network. What they could not judge for want of a CRL, an OCSP response or an
issuer they name; it is fetched here, by `evidence`, from hosts on the list only, and the document is judged again. Where
nothing can be had the first verdict stands: INDETERMINATE, with the warning that P-1.2 demands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter

from services.kernel.errors import DomainError
from services.verifier.evidence.collector import Collected, EvidenceCollector
from services.verifier.examination import Answer
from services.verifier.inquiry import Inquiry
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.workers.pool import WorkerPool


def second_passes(registry: CollectorRegistry) -> Counter:
    """Make the counter of documents that were judged again."""
    return Counter(
        "kyso_verifier_second_passes_total",
        "Documents that lacked a status or an issuer, by what came of asking: decided, undecided, or nothing to be had.",
        ["outcome"],
        registry=registry,
    )


class OnlineExaminer:
    """Judges documents with the workers and fetches what they lack. Keeps nothing of a document."""

    def __init__(
        self,
        pool: WorkerPool,
        evidence: EvidenceCollector,
        seconds: float,
        passes: Counter,
        clock: Callable[[], datetime],
    ) -> None:
        """`seconds` bounds the fetching for one document, 0: nothing is fetched. `clock` answers aware UTC."""
        self._pool, self._evidence, self._seconds = pool, evidence, seconds
        self._passes, self._clock = passes, clock

    async def examine(self, document: SubmittedDocument, trust: TrustMaterial, inquiry: Inquiry) -> Answer:
        """Judge a document; raises as `WorkerPool.examine` does."""
        first = await self._pool.examine(document, trust, inquiry)
        if inquiry.integrity_only or not first.wanted or not self._seconds:
            return first
        more = await self._fetched(first.wanted, trust)
        if more is None:
            self._passes.labels("nothing").inc()
            return first
        # What was fetched was made after the first pass began: it says nothing of a time before it.
        second = await self._pool.examine(document, more, replace(inquiry, at=self._clock()))
        self._passes.labels("undecided" if second.wanted else "decided").inc()
        return second

    async def _fetched(self, wanted: Sequence[bytes], trust: TrustMaterial) -> TrustMaterial | None:
        """The material with what could be fetched; None where that is nothing new."""
        try:
            found = await self._evidence.collect(wanted, self._seconds)
        except DomainError:
            # Without trust of its own the collector finds nothing; the first verdict was made with some.
            return None
        return _with(trust, found)


def _with(trust: TrustMaterial, found: Collected) -> TrustMaterial | None:
    certificates = tuple(one.der for one in found.certificates)
    more = replace(
        trust,
        intermediates=tuple(dict.fromkeys((*trust.intermediates, *certificates))),
        crls=tuple(dict.fromkeys((*trust.crls, *found.crls))),
        ocsps=tuple(dict.fromkeys((*trust.ocsps, *found.ocsp_responses))),
    )
    news = len(more.crls) > len(trust.crls) or len(more.ocsps) > len(trust.ocsps)
    # Issuers that came by their address may be all that was missing.
    return more if news or _has_issuers(found, trust) else None


def _has_issuers(found: Collected, trust: TrustMaterial) -> bool:
    known = {*trust.anchors, *trust.intermediates}
    issuers = {one.subject_key for one in found.certificates if one.der not in known}
    return any(one.issuer_key in issuers and not one.self_issued for one in found.certificates)
