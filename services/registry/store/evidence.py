"""SQL over kept evidence. A file that several verifications went by is kept once for each agency."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.domain.evidence import (
    Evidence,
    EvidenceFile,
    EvidenceFilter,
    EvidenceKind,
    NewEvidence,
)
from services.registry.domain.paging import Page
from services.registry.store import tables

_MAX_VARIABLES = 500
"""In one IN: SQLite takes 32,766 at most, older ones 999."""
_evidence, _file, _blob, _agency = (
    tables.evidence,
    tables.evidence_file,
    tables.evidence_blob,
    tables.agency,
)


class SqlEvidenceRows:
    """Rows of kept evidence."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def alone(self, agency_id: str) -> None:
        """Wait for every other transaction that changes this agency's evidence; keep later ones waiting."""
        # NO KEY UPDATE: rows that refer to the agency may still be written meanwhile.
        locked = select(_agency.c.id).where(_agency.c.id == agency_id).with_for_update(key_share=True)
        await self._connection.execute(locked)

    async def get(self, evidence_id: str) -> Evidence | None:
        """Return what is kept under an id."""
        wanted = select(_evidence).where(_evidence.c.id == evidence_id)
        row = (await self._connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        files = await self._connection.execute(
            select(_file).where(_file.c.evidence_id == evidence_id).order_by(_file.c.position)
        )
        return _to_evidence(
            row, tuple(EvidenceFile(EvidenceKind(f.kind), bytes(f.sha256), f.size) for f in files)
        )

    async def list_of(self, agency_id: str, wanted: EvidenceFilter, page: Page) -> list[Evidence]:
        """Return one row more than the page holds, where there is one."""
        rows = select(_evidence).where(_evidence.c.agency_id == agency_id)
        if wanted.document_sha256:
            rows = rows.where(_evidence.c.document_sha256 == wanted.document_sha256)
        if wanted.reference:
            rows = rows.where(_evidence.c.reference == wanted.reference)
        if page.after:
            rows = rows.where(_evidence.c.id > page.after)
        found = await self._connection.execute(rows.order_by(_evidence.c.id).limit(page.size + 1))
        return [_to_evidence(row) for row in found]

    async def bytes_of(self, agency_id: str) -> int:
        """Return how much an agency keeps."""
        total = select(func.coalesce(func.sum(_blob.c.size), 0)).where(_blob.c.agency_id == agency_id)
        return int((await self._connection.execute(total)).scalar_one())

    async def missing(self, agency_id: str, new: NewEvidence) -> dict[bytes, bytes]:
        """Return the files that are not kept for the agency yet, by SHA-256."""
        data = {file.sha256: content for file, content in new.files}
        digests = list(data)
        for start in range(0, len(digests), _MAX_VARIABLES):
            asked = digests[start : start + _MAX_VARIABLES]
            known = await self._connection.execute(
                select(_blob.c.sha256).where(_blob.c.agency_id == agency_id, _blob.c.sha256.in_(asked))
            )
            for row in known:
                del data[bytes(row.sha256)]
        return data

    async def add(self, evidence: Evidence, blobs: dict[bytes, bytes]) -> None:
        """Insert evidence and the bytes of those of its files that are not kept yet."""
        if blobs:
            await self._connection.execute(
                insert(_blob),
                [
                    {"agency_id": evidence.agency_id, "sha256": sha256, "size": len(data), "data": data}
                    for sha256, data in blobs.items()
                ],
            )
        await self._connection.execute(
            insert(_evidence),
            {
                "id": evidence.id,
                "agency_id": evidence.agency_id,
                "client_id": evidence.client_id,
                "document_sha256": evidence.document_sha256,
                "verdict": evidence.verdict,
                "validated_at": evidence.validated_at,
                "kept_at": evidence.kept_at,
                "reference": evidence.reference,
            },
        )
        await self._connection.execute(
            insert(_file),
            [
                {
                    "evidence_id": evidence.id,
                    "position": position,
                    "agency_id": evidence.agency_id,
                    "kind": file.kind.value,
                    "sha256": file.sha256,
                    "size": file.size,
                }
                for position, file in enumerate(evidence.files)
            ],
        )

    async def data(self, agency_id: str, sha256: bytes) -> bytes | None:
        """Return the bytes of a kept file."""
        wanted = select(_blob.c.data).where(_blob.c.agency_id == agency_id, _blob.c.sha256 == sha256)
        found = (await self._connection.execute(wanted)).scalar_one_or_none()
        return None if found is None else bytes(found)

    async def remove(self, evidence: Evidence) -> None:
        """Delete evidence, and the bytes that nothing else of the agency's refers to."""
        await self._connection.execute(delete(_file).where(_file.c.evidence_id == evidence.id))
        await self._connection.execute(delete(_evidence).where(_evidence.c.id == evidence.id))
        used = exists().where(_file.c.agency_id == _blob.c.agency_id, _file.c.sha256 == _blob.c.sha256)
        digests = [file.sha256 for file in evidence.files]
        for start in range(0, len(digests), _MAX_VARIABLES):
            own = _blob.c.sha256.in_(digests[start : start + _MAX_VARIABLES])
            await self._connection.execute(
                delete(_blob).where(_blob.c.agency_id == evidence.agency_id, own, ~used)
            )

    async def kept_before(self, moment: datetime, limit: int) -> list[tuple[str, str]]:
        """Return ids and agencies of the oldest evidence kept before a time."""
        wanted = (
            select(_evidence.c.id, _evidence.c.agency_id)
            .where(_evidence.c.kept_at < moment)
            .order_by(_evidence.c.kept_at)
            .limit(limit)
        )
        return [(row.id, row.agency_id) for row in await self._connection.execute(wanted)]


def _to_evidence(row: Row[Any], files: tuple[EvidenceFile, ...] = ()) -> Evidence:
    return Evidence(
        id=row.id,
        agency_id=row.agency_id,
        client_id=row.client_id,
        document_sha256=bytes(row.document_sha256),
        verdict=row.verdict,
        validated_at=row.validated_at,
        kept_at=row.kept_at,
        reference=row.reference,
        files=files,
    )
