"""The group commit where transactions fail: what the HSM made is written all the same, and once; intents go back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from services.kernel.errors import ServiceUnavailable
from services.kernel.events import Event
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database
from services.kernel.values import new_id
from services.signer.domain import State
from services.signer.ports import Intent
from services.signer.store.tables import outbox
from tests.integration.signer.test_store import BUSY, NOW, Real, ending, intent, opened
from tests.support.nats_server import eventually


@pytest.fixture
async def real(database_settings: DatabaseSettings) -> AsyncIterator[Real]:
    async with opened(database_settings) as made:
        yield made


def away(*_: Any) -> Any:
    raise ServiceUnavailable("the database is away")


class Faults:
    """Loses answers of the database, or the database itself, as often as a test says."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write, self._transaction = database.write, database.transaction
        self.lost_answers = self.lost_writes = self.tried = 0
        monkeypatch.setattr(database, "write", self.write)
        monkeypatch.setattr(database, "transaction", self.transaction)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        self.tried += 1
        if self.lost_writes:
            self.lost_writes -= 1
            away()
        answer = await self._write(work)
        self._lose()
        return answer

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._transaction() as connection:
            yield connection
        self._lose()

    def _lose(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            away()


@pytest.fixture
def faults(real: Real, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(real.database, monkeypatch)


async def told(real: Real) -> int:
    async with real.database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(outbox))).scalar_one())


async def state_of(real: Real, begun: Intent) -> tuple[State, bool]:
    found = await real.store.operation(begun.id)
    assert found is not None
    return found.state, bool(found.failure and found.failure.retryable)


async def test_the_same_keys_in_another_order_on_two_replicas_hinder_nobody(
    database_settings: DatabaseSettings,
) -> None:
    async with opened(database_settings) as one, opened(database_settings, "signer-2") as two:
        for _ in range(8):
            keys = [f"{new_id('k')}-{number}" for number in range(48)]
            under_way = [intent() for _ in range(8)]
            for begun in under_way:
                await one.store.begin(begun)
            answers = await asyncio.gather(
                *(one.store.begin(intent(key)) for key in keys),
                *(two.store.begin(intent(key)) for key in reversed(keys)),
            )
            assert answers.count(None) == len(keys)
            begins = [one.store.begin(intent(key + "-b")) for key in keys]
            begins += [two.store.begin(intent(key + "-b")) for key in reversed(keys)]
            ends = [one.store.end(ending(begun)) for begun in under_way]
            assert all((await asyncio.gather(*begins, *ends))[-len(ends) :])


async def test_an_ending_whose_commit_was_not_confirmed_is_written_once(real: Real, faults: Faults) -> None:
    begun, other = intent(), intent()
    await real.store.begin(begun)
    await real.store.begin(other)
    faults.lost_answers = 1
    assert all(await asyncio.gather(real.store.end(ending(begun)), real.store.end(ending(other))))
    entries = await real.store.ledger_entries("signer-1", 1, 10)
    assert [entry.sequence for entry in entries] == [1, 2]
    assert await told(real) == 2


async def test_an_ending_outlives_an_outage_and_the_intents_beside_it_do_not(
    real: Real, faults: Faults
) -> None:
    begun, new = intent(), intent()
    await real.store.begin(begun)
    faults.lost_writes = 3
    answers = await asyncio.gather(
        real.store.end(ending(begun)), real.store.begin(new), return_exceptions=True
    )
    assert answers[0] is True
    assert isinstance(answers[1], ServiceUnavailable)
    assert await state_of(real, begun) == (State.SIGNED, False)
    assert await real.store.operation(new.id) is None


async def test_an_ending_is_given_up_when_its_patience_is_over(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database_settings, patience_seconds=0.2) as real:
        begun = intent()
        await real.store.begin(begun)
        faults = Faults(real.database, monkeypatch)
        faults.lost_writes = 1000
        with pytest.raises(ServiceUnavailable):
            await real.store.end(ending(begun))
        assert faults.tried > 1


async def test_a_stop_ends_the_repeats(real: Real, faults: Faults) -> None:
    begun = intent()
    await real.store.begin(begun)
    faults.lost_writes = 1000
    waiting = asyncio.create_task(real.store.end(ending(begun)))
    await eventually(lambda: faults.tried >= 2, what="a second attempt")
    real.task.cancel()
    with pytest.raises(ServiceUnavailable):
        await waiting


async def test_an_ending_that_the_database_refuses_takes_no_other_along(real: Real) -> None:
    bad, good = intent(), intent()
    for begun in (bad, good):
        await real.store.begin(begun)
    huge = Event(new_id("ev"), "kyso.x", "kyso/x", "x", NOW, b"x" * 600_000, "kyso.event.x.x.x")
    answers = await asyncio.gather(
        real.store.end(replace(ending(bad), events=(huge,))),
        real.store.end(ending(good)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], ServiceUnavailable)
    assert answers[1] is True
    assert await state_of(real, bad) == (State.BEGUN, False)


async def test_an_intent_recorded_without_an_answer_fails_and_can_be_taken_up_again(
    real: Real, faults: Faults
) -> None:
    begun = intent()
    faults.lost_answers = 1
    with pytest.raises(ServiceUnavailable):
        await real.store.begin(begun)
    assert await state_of(real, begun) == (State.BEGUN, False)
    assert not await real.store.begin_again(begun, State.BEGUN)
    assert await real.store.settle_doubtful(NOW, 10) == 1
    assert await state_of(real, begun) == (State.FAILED, True)
    assert await real.store.settle_doubtful(NOW, 10) == 0
    assert await real.store.begin_again(begun, State.FAILED)
    # It is under way now, and no doubt is left that would end it.
    assert await real.store.settle_doubtful(NOW, 10) == 0
    assert await real.store.end(ending(begun))


async def test_an_intent_that_was_not_recorded_leaves_nothing_behind(real: Real, faults: Faults) -> None:
    begun = intent("same")
    faults.lost_writes = 1
    with pytest.raises(ServiceUnavailable):
        await real.store.begin(begun)
    assert await real.store.settle_doubtful(NOW, 10) == 0
    again = intent("same")
    assert await real.store.begin(again) is None
    assert await real.store.settle_doubtful(NOW, 10) == 0
    assert await state_of(real, again) == (State.BEGUN, False)


async def test_an_operation_begun_again_without_an_answer_goes_back(real: Real, faults: Faults) -> None:
    begun = intent()
    await real.store.begin(begun)
    await real.store.end(ending(begun, State.FAILED, BUSY))
    faults.lost_answers = 1
    with pytest.raises(ServiceUnavailable):
        await real.store.begin_again(begun, State.FAILED)
    assert await state_of(real, begun) == (State.BEGUN, False)
    assert await real.store.settle_doubtful(NOW + timedelta(seconds=1), 10) == 1
    assert await state_of(real, begun) == (State.FAILED, True)
