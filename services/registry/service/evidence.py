"""Evidence of verifications: kept where a client asks, shown to its agency only, deleted on request or when its time is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import EvidenceLimit, FieldInvalid, NotFound
from services.registry.domain import evidence as rules
from services.registry.domain.access import Caller
from services.registry.domain.audit import stamp
from services.registry.domain.evidence import Evidence, EvidenceFile, EvidenceFilter, NewEvidence
from services.registry.domain.paging import Page, Rows
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Store, Unit
from services.registry.service.admission import acting, asking
from services.registry.service.chronicle import Chronicle, Clock

SCOPE = "verify"
EXPIRED_AT_ONCE = 100
"""Deleted by one round of housekeeping."""


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """How much an agency may keep, in bytes, and for how long; None: until somebody deletes it."""

    agency_bytes: int
    lifetime: timedelta | None


class EvidenceService:
    """Keeps, shows and deletes evidence. Agencies above do not see that of those below: it names citizens."""

    def __init__(
        self,
        store: Store,
        chronicle: Chronicle,
        clock: Clock,
        policy: EvidencePolicy,
        telling: tuple[RegistryMetrics, FilteringBoundLogger],
    ) -> None:
        """Bind the store, where changes are recorded, and what is counted and logged."""
        self._store, self._chronicle, self._clock, self._policy = store, chronicle, clock, policy
        self._metrics, self._log = telling

    async def keep(self, caller: Caller, new: NewEvidence) -> Evidence:
        """Keep it, once however often it comes; raise EvidenceLimit where the agency has no room left."""
        caller.require(SCOPE)
        new = rules.checked(new)
        identifier = rules.identifier(caller.agency_id, new)
        async with acting(self._store, caller) as unit:
            await unit.evidence.alone(caller.agency_id)
            known = await unit.evidence.get(identifier)
            if known is not None:
                self._metrics.evidence.labels("again").inc()
                return known
            blobs = await unit.evidence.missing(caller.agency_id, new)
            await self._require_room(unit, caller.agency_id, sum(map(len, blobs.values())))
            kept = Evidence(
                id=identifier,
                agency_id=caller.agency_id,
                client_id=caller.client_id,
                document_sha256=new.document_sha256,
                verdict=new.verdict,
                validated_at=new.validated_at,
                kept_at=self._clock(),
                reference=new.reference,
                files=tuple(file for file, _ in new.files),
            )
            await unit.evidence.add(kept, blobs)
            await self._record(unit, "kept", kept, caller.client_id)
        self._metrics.evidence.labels("kept").inc()
        return kept

    async def _require_room(self, unit: Unit, agency_id: str, more: int) -> None:
        limit = self._policy.agency_bytes
        if await unit.evidence.bytes_of(agency_id) + more > limit:
            self._metrics.evidence.labels("refused").inc()
            self._log.warning("evidence_limit_reached", agency_id=agency_id, limit=limit)
            raise EvidenceLimit(
                f"the agency keeps as much evidence as it may ({limit} bytes): delete what is not needed any more",
                limit=limit,
            )

    async def get(self, caller: Caller, evidence_id: str) -> Evidence:
        """Return what is kept; NotFound for what another agency keeps."""
        caller.require(SCOPE)
        async with asking(self._store, caller) as unit:
            return await _own(unit, caller, evidence_id)

    async def list_own(self, caller: Caller, wanted: EvidenceFilter, page: Page) -> Rows[Evidence]:
        """List what the caller's agency keeps."""
        caller.require(SCOPE)
        if wanted.document_sha256 and len(wanted.document_sha256) != rules.DIGEST_BYTES:
            raise FieldInvalid("document_sha256 must have 32 bytes", field="document_sha256")
        async with asking(self._store, caller) as unit:
            found = await unit.evidence.list_of(caller.agency_id, wanted, page)
        return Rows.cut(found, page, lambda one: one.id)

    async def file(self, caller: Caller, evidence_id: str, sha256: bytes) -> tuple[EvidenceFile, bytes]:
        """Return one file and its bytes."""
        caller.require(SCOPE)
        async with asking(self._store, caller) as unit:
            evidence = await _own(unit, caller, evidence_id)
            file = next((one for one in evidence.files if one.sha256 == sha256), None)
            data = None if file is None else await unit.evidence.data(caller.agency_id, sha256)
        if file is None or data is None:
            raise NotFound("no such file among this evidence; the evidence itself lists its files")
        return file, data

    async def delete(self, caller: Caller, evidence_id: str) -> None:
        """Delete it for good; the audit log keeps that it was there, and who deleted it."""
        caller.require(SCOPE)
        async with acting(self._store, caller) as unit:
            await unit.evidence.alone(caller.agency_id)
            evidence = await _own(unit, caller, evidence_id)
            await unit.evidence.remove(evidence)
            await self._record(unit, "deleted", evidence, caller.client_id)
        self._metrics.evidence.labels("deleted").inc()

    async def forget_expired(self) -> None:
        """Delete what is older than it may be; does nothing where it may be of any age."""
        if self._policy.lifetime is None:
            return
        before = self._clock() - self._policy.lifetime
        async with self._store.reading() as unit:
            old = await unit.evidence.kept_before(before, EXPIRED_AT_ONCE)
        for identifier, agency_id in old:
            async with self._store.transaction() as unit:
                await unit.evidence.alone(agency_id)
                evidence = await unit.evidence.get(identifier)
                if evidence is not None and evidence.kept_at < before:
                    await unit.evidence.remove(evidence)
                    await self._record(unit, "expired", evidence, "")
                    self._metrics.evidence.labels("expired").inc()

    async def _record(self, unit: Unit, verb: str, evidence: Evidence, client_id: str) -> None:
        await self._chronicle.record(
            unit,
            f"kyso.evidence.{verb}",
            agency_id=evidence.agency_id,
            client_id=client_id,
            facts={
                "evidence_id": evidence.id,
                "document_sha256": evidence.document_sha256.hex(),
                "verdict": evidence.verdict,
                "reference": evidence.reference,
                "files": len(evidence.files),
                "validated_at": stamp(evidence.validated_at),
            },
        )


async def _own(unit: Unit, caller: Caller, evidence_id: str) -> Evidence:
    evidence = await unit.evidence.get(evidence_id[:64])
    if evidence is None or evidence.agency_id != caller.agency_id:
        raise NotFound("no such evidence, or none that this client may see", id=evidence_id[:64])
    return evidence
