"""The stores' contract: the same tests in memory, on SQLite and on PostgreSQL; then what only the real ones do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from services.kernel.errors import HsmUnavailable
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database
from services.kernel.values import KeyAlgorithm, new_id
from services.signer.domain import CertificateChain, ItemFailure, Key, Kind, State
from services.signer.ledger import GENESIS, Entry, Facts, Outcome, chained
from services.signer.main import MIGRATIONS
from services.signer.metrics import SignerMetrics
from services.signer.ports import Ending, Intent, KeyStore, SigningStore
from services.signer.store.committer import Committer
from services.signer.store.keys import SqlKeyStore
from services.signer.store.signings import SqlSigningStore
from services.signer.store.tables import outbox, signing
from tests.support.rpc import make_runtime
from tests.unit.signer.memory import MemoryKeys, MemoryStore

NOW = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)
CHAIN = CertificateChain((b"leaf", b"issuer"), b"c" * 32, "0a", b"s" * 32, "Tên", ())
BUSY = ItemFailure(HsmUnavailable.code, "no worker", retryable=True)


def intent(key: str = "", **changes: Any) -> Intent:
    facts = Facts(
        new_id("op"), "cl_1", "ag_1", "cr_1", "hashes", 2, "ab" * 32, label="none", reference="Số 1"
    )
    made = Intent(
        id=facts.operation_id,
        client_id="cl_1",
        idempotency_key=key or os.urandom(8).hex(),
        request_sha256=b"r" * 32,
        kind=Kind.HASHES,
        facts=facts,
        created_at=NOW,
        lease_until=NOW + timedelta(seconds=60),
    )
    return replace(made, **changes)


def ending(of: Intent, state: State = State.SIGNED, failure: ItemFailure | None = None) -> Ending:
    outcome = Outcome.COMPLETED if state is State.SIGNED else Outcome.FAILED
    entry = Entry(of.facts, outcome, NOW, new_id("ev"), 2 if failure is None else 0, "cd" * 32, failure)
    return Ending(entry, state, b"result", CHAIN, "ECDSA/SHA-256", NOW.replace(microsecond=0))


@dataclass
class Real:
    """The real store on one database, with its committer running."""

    database: Database
    store: SqlSigningStore
    keys: SqlKeyStore
    metrics: SignerMetrics
    telemetry: Any
    task: asyncio.Task[None]


@asynccontextmanager
async def opened(
    settings: DatabaseSettings, replica: str = "signer-1", patience_seconds: float = 90
) -> AsyncIterator[Real]:
    telemetry = make_runtime().telemetry
    database = await Database.open(settings, MIGRATIONS)
    metrics = SignerMetrics.register(telemetry.registry)
    committer = Committer(database, replica, telemetry, metrics, lambda: None, patience_seconds)
    task = asyncio.create_task(committer.run())
    store = SqlSigningStore(database, committer, replica)
    try:
        yield Real(database, store, SqlKeyStore(database), metrics, telemetry, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.close()


@pytest.fixture
async def real(database_settings: DatabaseSettings) -> AsyncIterator[Real]:
    async with opened(database_settings) as made:
        yield made


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[SigningStore]:
    async with _stores(request, tmp_path) as (signings, _):
        yield signings


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def keys(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[KeyStore]:
    async with _stores(request, tmp_path) as (_, kept):
        yield kept


@asynccontextmanager
async def _stores(
    request: pytest.FixtureRequest, tmp_path: Any
) -> AsyncIterator[tuple[SigningStore, KeyStore]]:
    if request.param == "memory":
        yield MemoryStore(), MemoryKeys()
        return
    if request.param == "sqlite":
        settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path / 'signer.db'}")
    else:
        settings = request.getfixturevalue("postgres_server").fresh_database()
    async with opened(settings) as made:
        yield made.store, made.keys


async def test_an_intent_is_recorded_once_for_client_and_key(store: SigningStore) -> None:
    first = intent("same")
    assert await store.begin(first) is None
    taken = await store.begin(intent("same"))
    assert taken is not None
    assert (taken.id, taken.state, taken.facts) == (first.id, State.BEGUN, first.facts)
    assert (taken.created_at, taken.lease_until) == (NOW, first.lease_until)
    assert await store.begin(intent("same", client_id="cl_2")) is None


async def test_an_outcome_is_kept_whole_and_only_once(store: SigningStore) -> None:
    begun = intent()
    await store.begin(begun)
    assert await store.end(ending(begun))
    assert not await store.end(ending(begun))
    kept = await store.find("cl_1", begun.idempotency_key)
    assert kept is not None
    assert kept == await store.operation(begun.id)
    assert (kept.state, kept.result, kept.algorithm) == (State.SIGNED, b"result", "ECDSA/SHA-256")
    assert (kept.ended_at, kept.signing_time) == (NOW, NOW.replace(microsecond=0))
    assert await store.chain(kept.chain_sha256 or b"") == (b"leaf", b"issuer")
    assert len(await store.ledger_entries("signer-1", 1, 10)) == 1


async def test_only_a_retryable_failure_is_taken_up_again(store: SigningStore) -> None:
    final, busy = intent(), intent()
    for begun, failure in ((final, replace(BUSY, retryable=False)), (busy, BUSY)):
        await store.begin(begun)
        await store.end(ending(begun, State.FAILED, failure))
    assert not await store.begin_again(final, State.FAILED)
    assert await store.begin_again(busy, State.FAILED)
    assert not await store.begin_again(busy, State.FAILED)
    assert await store.end(ending(busy))
    kept = await store.operation(busy.id)
    assert kept is not None
    assert (kept.state, kept.failure) == (State.SIGNED, None)


async def test_a_lease_is_renewed_as_long_as_the_operation_is_under_way(store: SigningStore) -> None:
    under_way, over = intent(), intent()
    for begun in (under_way, over):
        await store.begin(begun)
    await store.end(ending(over))
    later = NOW + timedelta(hours=1)
    await store.renew([under_way.id, over.id], later)
    leases = [found.lease_until for begun in (under_way, over) if (found := await store.operation(begun.id))]
    assert leases == [later, over.lease_until]


async def test_the_ledger_has_no_gap_and_each_entry_holds_the_hash_before(store: SigningStore) -> None:
    for number in range(5):
        begun = intent()
        await store.begin(begun)
        await store.end(ending(begun))
        if number % 2:
            await store.note(Entry(begun.facts, Outcome.REFUSED, NOW, new_id("ev"), failure=BUSY))
    entries = await store.ledger_entries("signer-1", 1, 100)
    assert [entry.sequence for entry in entries] == list(range(1, 8))
    before = GENESIS
    for entry in entries:
        assert entry.previous_hash == before
        assert entry.hash == chained(before, entry.data)
        record = json.loads(entry.data)
        assert record["sequence"] == entry.sequence
        assert (
            entry.data
            == json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        )
        before = entry.hash
    (head,) = await store.ledger_heads()
    assert (head.sequence, head.hash) == (7, before)
    assert [entry.sequence for entry in await store.ledger_entries("signer-1", 3, 2)] == [3, 4]


async def test_keys_belong_to_one_credential(keys: KeyStore) -> None:
    key = Key("key_1", "cr_1", KeyAlgorithm.ECDSA_P256, "documents", b"i" * 16, b"spki", b"")
    added = await keys.add_key(key, NOW)
    assert (await keys.add_key(replace(key, id="key_2"), NOW)).id == added.id == "key_1"
    found = await keys.key("key_1")
    assert found is not None
    assert (found.cka_id, found.spki, found.algorithm) == (b"i" * 16, b"spki", KeyAlgorithm.ECDSA_P256)
    assert await keys.key("key_2") is None


async def test_many_writes_share_transactions(real: Real) -> None:
    begun = [intent() for _ in range(100)]
    assert await asyncio.gather(*(real.store.begin(one) for one in begun)) == [None] * 100
    assert all(await asyncio.gather(*(real.store.end(ending(one)) for one in begun)))
    transactions = real.telemetry.registry.get_sample_value("kyso_signer_commit_seconds_count")
    assert transactions < 20
    assert len(await real.store.ledger_entries("signer-1", 1, 1000)) == 100
    async with real.database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(outbox))).scalar_one() == 100


async def test_one_key_under_many_callers_is_begun_once(real: Real) -> None:
    answers = await asyncio.gather(*(real.store.begin(intent("same")) for _ in range(50)))
    assert answers.count(None) == 1


async def test_an_outcome_that_another_replica_decided_is_not_replaced(
    database_settings: DatabaseSettings,
) -> None:
    async with opened(database_settings) as slow, opened(database_settings, "signer-2") as other:
        begun = intent()
        alive = intent(lease_until=NOW + timedelta(hours=1))
        await slow.store.begin(begun)
        await slow.store.begin(alive)
        (left,) = await other.store.take_over(NOW + timedelta(minutes=2), own=False, limit=10)
        assert left.id == begun.id
        assert not await slow.store.end(ending(begun))
        assert await other.store.end(ending(begun, State.OUTCOME_UNKNOWN, BUSY))
        # The other's outcome stands beside it in one transaction: each is judged by itself.
        answers = await asyncio.gather(slow.store.end(ending(begun)), slow.store.end(ending(alive)))
        assert list(answers) == [False, True]
        assert [len(await slow.store.ledger_entries(name, 1, 9)) for name in ("signer-1", "signer-2")] == [
            1,
            1,
        ]
        assert {head.ledger for head in await slow.store.ledger_heads()} == {"signer-1", "signer-2"}


async def test_a_restarted_replica_takes_its_own_and_goes_on_in_its_ledger(
    database_settings: DatabaseSettings,
) -> None:
    async with opened(database_settings) as before:
        ended, left = intent(), intent(lease_until=NOW + timedelta(hours=9))
        await before.store.begin(ended)
        await before.store.begin(left)
        await before.store.end(ending(ended))
    async with opened(database_settings) as after:
        (taken,) = await after.store.take_over(NOW, own=True, limit=10)
        assert taken.id == left.id
        assert await after.store.end(ending(left, State.OUTCOME_UNKNOWN, BUSY))
        entries = await after.store.ledger_entries("signer-1", 1, 10)
        assert [entry.sequence for entry in entries] == [1, 2]
        assert entries[1].previous_hash == entries[0].hash


async def test_a_ledger_that_somebody_else_wrote_is_read_anew(database_settings: DatabaseSettings) -> None:
    async with opened(database_settings) as one, opened(database_settings) as twin:
        first, second, third = intent(), intent(), intent()
        for begun in (first, second, third):
            await one.store.begin(begun)
        assert await one.store.end(ending(first))
        assert await twin.store.end(ending(second))
        # The place after the first is taken: this write fails, is made again by itself, and stands behind it.
        assert await one.store.end(ending(third))
        entries = await one.store.ledger_entries("signer-1", 1, 10)
        assert [entry.sequence for entry in entries] == [1, 2, 3]


async def test_ended_operations_are_forgotten_and_open_ones_are_not(real: Real) -> None:
    ended, still_open = intent(), intent()
    await real.store.begin(ended)
    await real.store.begin(still_open)
    await real.store.end(ending(ended))
    assert await real.store.purge("op_zzzz", NOW, 10) == 0
    assert await real.store.purge("op_zzzz", NOW + timedelta(microseconds=1), 10) == 1
    async with real.database.reading() as connection:
        left = (await connection.execute(select(signing.c.id))).scalars().all()
    assert left == [still_open.id]
    assert len(await real.store.ledger_entries("signer-1", 1, 10)) == 1
