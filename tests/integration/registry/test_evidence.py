"""Evidence of verifications through the registry's own doors, on both databases: kept once, its agency's only, deleted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, select, update

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import (
    BodyTooLarge,
    CallerNotAllowed,
    DomainError,
    EvidenceLimit,
    FieldInvalid,
    NotFound,
    PartOrder,
    ScopeMissing,
    Unauthenticated,
)
from services.kernel.runtime.database import Database
from services.registry.main import MIGRATIONS
from services.registry.store import tables
from tests.integration.registry.conftest import Registry, Stand, client_of
from tests.support.nats_server import eventually

KINDS = registry_pb2.EvidenceFileKind
CRL, OCSP = KINDS.EVIDENCE_FILE_KIND_CRL, KINDS.EVIDENCE_FILE_KIND_OCSP_RESPONSE
REPORT = KINDS.EVIDENCE_FILE_KIND_REPORT
DOCUMENT = hashlib.sha256(b"document").digest()
FILES = ((REPORT, b'{"verdict":"valid"}'), (CRL, bytes(400_000)), (OCSP, b"good"))


def header(reference: str = "HS-1", **fields: Any) -> registry_pb2.KeepEvidenceHeader:
    validated_at = Timestamp()
    validated_at.FromDatetime(datetime(2026, 11, 22, tzinfo=UTC))
    asked: dict[str, Any] = {
        "document_sha256": DOCUMENT,
        "verdict": "valid",
        "validated_at": validated_at,
        "outcome_sha256": hashlib.sha256(b"passed").digest(),
        "reference": reference,
    }
    return registry_pb2.KeepEvidenceHeader(**(asked | fields))


def messages(
    files: Any = FILES, head: registry_pb2.KeepEvidenceHeader | None = None
) -> list[registry_pb2.KeepEvidenceRequest]:
    made = [registry_pb2.KeepEvidenceRequest(header=head or header())]
    for kind, data in files:
        file = registry_pb2.EvidenceFile(kind=kind, sha256=hashlib.sha256(data).digest(), size=len(data))
        made.append(registry_pb2.KeepEvidenceRequest(file=file))
        made += [
            registry_pb2.KeepEvidenceRequest(chunk=data[at : at + 200_000])
            for at in range(0, len(data), 200_000)
        ]
    return made


async def stream(
    parts: list[registry_pb2.KeepEvidenceRequest],
) -> AsyncIterator[registry_pb2.KeepEvidenceRequest]:
    for part in parts:
        yield part


@dataclass
class Keeping:
    """One client's way to the evidence of its agency: the verifier keeps for it, the gateway reads for it."""

    registry: Registry
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    async def keep(self, parts: list[registry_pb2.KeepEvidenceRequest] | None = None) -> Any:
        stub = self.registry.stub(registry_pb2_grpc.EvidenceServiceStub, "verifier")
        return await stub.KeepEvidence(stream(messages() if parts is None else parts), metadata=self.metadata)

    async def __call__(self, method: str, **fields: Any) -> Any:
        stub = self.registry.stub(registry_pb2_grpc.EvidenceServiceStub, "gateway")
        request = getattr(registry_pb2, f"{method}Request")(**fields)
        return await getattr(stub, method)(request, metadata=self.metadata)

    async def fetch(self, evidence_id: str, sha256: bytes) -> bytes:
        stub = self.registry.stub(registry_pb2_grpc.EvidenceServiceStub, "gateway")
        request = registry_pb2.FetchEvidenceFileRequest(id=evidence_id, sha256=sha256)
        data = b""
        async for part in stub.FetchEvidenceFile(request, metadata=self.metadata):
            data += part.chunk
        return data


async def keeping_of(registry: Registry, agency: str, scopes: list[str] | None = None) -> Keeping:
    operator = await registry.client()
    _, client = await client_of(registry, operator, agency, scopes or ["verify"])
    return Keeping(registry, client.token)


@pytest.fixture
async def keeping(registry: Registry) -> Keeping:
    operator = await registry.client()
    return await keeping_of(registry, await operator.agency("UBND xã A"))


async def count(registry: Registry, table: Any) -> int:
    opened = await Database.open(registry.settings.database, MIGRATIONS)
    try:
        async with opened.reading() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
    finally:
        await opened.close()


async def test_evidence_is_kept_once_read_and_deleted_for_good(registry: Registry, keeping: Keeping) -> None:
    kept = await keeping.keep()
    assert kept.id.startswith("evd_")
    assert (kept.verdict, kept.reference, kept.document_sha256) == ("valid", "HS-1", DOCUMENT)
    assert [(file.kind, file.size) for file in kept.files] == [(kind, len(data)) for kind, data in FILES]
    # Another verification of the same document by the same evidence: only the report's own bytes differ.
    later = await keeping.keep(messages(((REPORT, b'{"later":true}'), *FILES[:0:-1])))
    assert (later.id, later.kept_at) == (kept.id, kept.kept_at)
    assert await count(registry, tables.evidence) == 1
    for file, (_, data) in zip(kept.files, FILES, strict=True):
        assert await keeping.fetch(kept.id, file.sha256) == data
    assert (await keeping("GetEvidence", id=kept.id)) == kept
    (row,) = (await keeping("ListEvidence", document_sha256=DOCUMENT)).evidence
    assert (row.id, len(row.files)) == (kept.id, 0)
    assert not (await keeping("ListEvidence", reference="HS-2")).evidence
    await keeping("DeleteEvidence", id=kept.id)
    for call in (keeping("GetEvidence", id=kept.id), keeping("DeleteEvidence", id=kept.id)):
        with pytest.raises(NotFound):
            await call
    assert [
        await count(registry, t) for t in (tables.evidence, tables.evidence_file, tables.evidence_blob)
    ] == [0] * 3
    auditor = await registry.client()
    events = [e for e in (await auditor("ListAuditEvents", page_size=200)).events if ".evidence." in e.type]
    assert [event.type for event in events] == ["kyso.evidence.kept", "kyso.evidence.deleted"]
    assert DOCUMENT.hex() in events[1].data
    assert registry.metric("kyso_registry_evidence_total", what="kept") == 1
    assert registry.metric("kyso_registry_evidence_total", what="again") == 1
    assert registry.metric("kyso_registry_evidence_total", what="deleted") == 1
    assert (await keeping.keep()).id == kept.id, "deleted evidence can be kept anew"


async def test_what_differs_is_kept_apart_and_shares_its_bytes(registry: Registry, keeping: Keeping) -> None:
    first = await keeping.keep()
    others = [
        messages(head=header("HS-2")),
        messages(head=header(outcome_sha256=hashlib.sha256(b"failed").digest())),
        messages(head=header(document_sha256=hashlib.sha256(b"other").digest())),
        messages((*FILES, (CRL, b"one more"))),
    ]
    ids = {first.id, *[(await keeping.keep(one)).id for one in others]}
    assert len(ids) == 5
    assert await count(registry, tables.evidence_blob) == 4
    await keeping("DeleteEvidence", id=first.id)
    assert await keeping.fetch(next(iter(ids - {first.id})), first.files[1].sha256) == FILES[1][1]
    listed, token = [], ""
    while True:
        page = await keeping("ListEvidence", page_size=3, page_token=token)
        listed += [row.id for row in page.evidence]
        token = page.next_page_token
        if not token:
            break
    assert sorted(listed) == sorted(ids - {first.id})


async def test_nobody_but_the_own_agency_sees_it(registry: Registry) -> None:
    operator = await registry.client()
    province = await operator.agency("UBND tỉnh A")
    office = await operator.agency("Sở Nội vụ", parent=province)
    own = await keeping_of(registry, office)
    kept = await own.keep()
    colleague = await keeping_of(registry, office)
    assert (await colleague("GetEvidence", id=kept.id)).id == kept.id
    above = await keeping_of(registry, province)
    for stranger in (above, Keeping(registry, await registry.token())):
        assert not (await stranger("ListEvidence")).evidence
        for call in (
            stranger("GetEvidence", id=kept.id),
            stranger("DeleteEvidence", id=kept.id),
            stranger.fetch(kept.id, kept.files[0].sha256),
        ):
            with pytest.raises(NotFound):
                await call
    assert (await above.keep()).id != kept.id, "the same evidence of two agencies is kept twice"


async def test_who_may_keep_and_read(registry: Registry, keeping: Keeping) -> None:
    stub = registry.stub(registry_pb2_grpc.EvidenceServiceStub, "gateway")
    with pytest.raises(CallerNotAllowed):
        await stub.KeepEvidence(stream(messages()), metadata=keeping.metadata)
    with pytest.raises(Unauthenticated):
        await stub.ListEvidence(registry_pb2.ListEvidenceRequest())
    operator = await registry.client()
    other = await keeping_of(registry, await operator.agency("UBND xã B"), ["registry:read"])
    for call in (other.keep(), other("ListEvidence"), other("DeleteEvidence", id="evd_1")):
        with pytest.raises(ScopeMissing):
            await call


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], PartOrder),
        (messages()[1:], PartOrder),
        (messages()[:1], PartOrder),
        ([messages()[0], *messages()], PartOrder),
        (messages()[:-1], FieldInvalid),
        ([*messages()[:2], registry_pb2.KeepEvidenceRequest(chunk=b"other")], FieldInvalid),
        (messages(((0, b"x"),)), FieldInvalid),
        (messages(((CRL, b""),)), FieldInvalid),
        (messages(head=header(verdict="excellent")), FieldInvalid),
        (messages(head=header(document_sha256=b"short")), FieldInvalid),
        (messages(head=header("x" * 201)), FieldInvalid),
        (messages(head=header("a\nb")), FieldInvalid),
    ],
)
async def test_what_is_not_in_order_is_refused(
    keeping: Keeping, parts: list[registry_pb2.KeepEvidenceRequest], expected: type[DomainError]
) -> None:
    with pytest.raises(expected):
        await keeping.keep(parts)
    assert not (await keeping("ListEvidence")).evidence


async def test_limits_of_one_verification_and_of_an_agency(stand: Stand) -> None:
    limits = {"max_bytes": 500_000, "max_agency_bytes": 700_000}
    settings = stand.settings(evidence=limits)
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        await registry.ready()
        operator = await registry.client()
        keeping = await keeping_of(registry, await operator.agency("UBND xã A"))
        with pytest.raises(BodyTooLarge):
            await keeping.keep(messages(((CRL, bytes(500_001)),)))
        kept = await keeping.keep()
        with pytest.raises(EvidenceLimit):
            await keeping.keep(messages(((CRL, b"1" * 400_000),)))
        # What is kept already takes no more room.
        await keeping.keep(messages(head=header("HS-2")))
        await keeping("DeleteEvidence", id=kept.id)
        assert registry.metric("kyso_registry_evidence_total", what="refused") == 1


async def test_many_at_once_leave_one(registry: Registry, keeping: Keeping) -> None:
    kept = await asyncio.gather(*(keeping.keep() for _ in range(6)))
    assert len({one.id for one in kept}) == 1
    assert await count(registry, tables.evidence) == 1
    outcomes = await asyncio.gather(
        *(keeping("DeleteEvidence", id=kept[0].id) for _ in range(4)),
        *(keeping.keep(messages(head=header("HS-2"))) for _ in range(2)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, NotFound) for one in outcomes) == 3
    assert await count(registry, tables.evidence) == 1
    assert await count(registry, tables.evidence_blob) == 3


async def test_evidence_is_deleted_when_its_time_is_over(stand: Stand) -> None:
    settings = stand.settings(evidence={"keep_days": 1})
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        await registry.ready()
        operator = await registry.client()
        keeping = await keeping_of(registry, await operator.agency("UBND xã A"))
        old, new = await keeping.keep(), await keeping.keep(messages(head=header("HS-2")))
        opened = await Database.open(settings.database, MIGRATIONS)
        async with opened.transaction() as connection:
            past = datetime.now(UTC) - timedelta(days=2)
            await connection.execute(
                update(tables.evidence).where(tables.evidence.c.id == old.id).values(kept_at=past)
            )
        await opened.close()
    async with stand.running(settings) as registry:

        async def gone() -> bool:
            return await count(registry, tables.evidence) == 1

        await eventually(gone, what="the old evidence is deleted")
        keeping = Keeping(registry, keeping.token)
        assert [row.id for row in (await keeping("ListEvidence")).evidence] == [new.id]
        assert registry.metric("kyso_registry_evidence_total", what="expired") == 1
