"""The credential cache: tables of event orders, and a state machine that checks the promise behind a hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import (
    CredentialHeld,
    CredentialNotFound,
    CredentialStatusUnavailable,
    DomainError,
    ServiceUnavailable,
)
from services.signer.directory import Answer, CredentialDirectory, DirectoryLimits, SigningDoor
from services.signer.domain import Credential, CredentialStatus

START = datetime(2026, 11, 22, tzinfo=UTC)


class World:
    """A register, a clock and a directory in front of it."""

    def __init__(self, entries: int = 100) -> None:
        self.time = 1000.0
        self.head = 1
        self.state = {"cr_1": self._credential("cr_1", 1), "cr_2": self._credential("cr_2", 1)}
        self.asked: list[str] = []
        self.confirmed: list[tuple[str, int]] = []
        self.away = False
        self.gate: Callable[[], Awaitable[None]] | None = None
        self.directory = CredentialDirectory(
            self._ask,
            self._confirm,
            self._probe,
            DirectoryLimits(heartbeat=3, entry=60, entries=entries),
            lambda: self.time,
        )
        self.directory._now = self.now

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    @staticmethod
    def _credential(credential_id: str, version: int) -> Credential:
        return Credential(
            credential_id,
            version,
            CredentialStatus.ACTIVE,
            "ag",
            ("ag",),
            frozenset(),
            "client",
            "key_1",
            None,
        )

    async def _ask(self, credential_id: str) -> Answer:
        self.asked.append(credential_id)
        if self.away:
            raise ServiceUnavailable("away")
        found = self.state.get(credential_id)
        if found is None:
            raise CredentialNotFound("no")
        answer = Answer(found, self.head)
        if self.gate is not None:
            await self.gate()
        return answer

    async def _probe(self) -> None:
        if self.away:
            raise ServiceUnavailable("away")

    async def _confirm(self, credential_id: str, version: int) -> None:
        self.confirmed.append((credential_id, version))

    def beat(self, delay: float = 0) -> None:
        self.directory.on_heartbeat(self.head, self.now() - timedelta(seconds=delay))

    def hold(self, credential_id: str = "cr_1", *, told: bool = True) -> None:
        self.head += 1
        held = replace(self.state[credential_id], version=self.head, status=CredentialStatus.HELD)
        self.state[credential_id] = held
        if told:
            self.directory.on_changed(credential_id, self.head, CredentialStatus.HELD)

    async def admits(self) -> bool:
        """Look up and go through the door; whether that led to a signature."""
        credential = await self.directory.resolve("cr_1")
        if credential.status is not CredentialStatus.ACTIVE:
            return False
        door = self.directory.door(credential)
        try:
            door.admit()
        except DomainError:
            return False
        finally:
            door.close()
        return True


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_while_heartbeats_come_the_registry_is_asked_once() -> None:
    world = World()
    world.beat()
    for _ in range(10):
        world.time += 1
        world.beat()
        await world.directory.resolve("cr_1")
    assert world.asked == ["cr_1"]


async def test_without_heartbeats_every_signature_asks() -> None:
    world = World()
    for _ in range(3):
        assert await world.admits()
    assert world.asked == ["cr_1"] * 3


async def test_after_the_heartbeat_limit_every_signature_asks_and_without_registry_none_is_made() -> None:
    world = World()
    world.beat()
    assert await world.admits()
    world.time += 3
    assert await world.admits()
    assert world.asked == ["cr_1"] * 2
    world.away = True
    with pytest.raises(CredentialStatusUnavailable):
        await world.directory.resolve("cr_1")
    assert await world.directory.check() is not None
    world.beat()
    assert await world.directory.check() is None


async def test_a_heartbeat_that_was_long_on_its_way_counts_from_its_sending() -> None:
    world = World()
    world.beat()
    await world.directory.resolve("cr_1")
    world.time += 4
    world.beat(delay=3.5)
    await world.directory.resolve("cr_1")
    assert len(world.asked) == 2


async def test_an_entry_is_asked_for_again_after_its_time() -> None:
    world = World()
    world.beat()
    await world.directory.resolve("cr_1")
    world.time += 60
    world.beat()
    await world.directory.resolve("cr_1")
    assert len(world.asked) == 2


async def test_a_change_drops_the_entry_and_is_confirmed() -> None:
    world = World()
    world.beat()
    await world.directory.resolve("cr_1")
    world.hold()
    await settle()
    assert world.confirmed == [("cr_1", 2)]
    assert (await world.directory.resolve("cr_1")).status is CredentialStatus.HELD


async def test_a_door_that_was_opened_before_the_change_admits_nobody_after_it() -> None:
    world = World()
    world.beat()
    door = world.directory.door(await world.directory.resolve("cr_1"))
    world.hold()
    with pytest.raises(CredentialHeld):
        door.admit()


async def test_a_change_is_confirmed_only_when_what_is_past_the_door_has_come_back() -> None:
    world = World()
    world.beat()
    credential = await world.directory.resolve("cr_1")
    first, second = world.directory.door(credential), world.directory.door(credential)
    first.admit()
    second.admit()
    world.hold()
    await settle()
    assert world.confirmed == []
    with pytest.raises(CredentialHeld):
        first.admit()
    first.close()
    await settle()
    assert world.confirmed == []
    second.close()
    await settle()
    assert world.confirmed == [("cr_1", 2)]


async def test_a_door_that_closes_as_the_change_arrives_is_not_waited_for_for_ever() -> None:
    world = World()
    world.beat()
    door = world.directory.door(await world.directory.resolve("cr_1"))
    door.admit()
    world.hold()
    door.close()  # before the task that confirms had its first turn
    await settle()
    assert world.confirmed == [("cr_1", world.head)]


async def test_a_door_says_until_when_what_it_admits_may_begin() -> None:
    world = World()
    world.beat()
    credential = await world.directory.resolve("cr_1")
    world.time += 2
    world.beat()
    world.time += 1
    assert world.directory.door(credential).admit() == world.time - 1 + 3


async def test_another_callers_reading_of_the_same_state_does_not_close_the_door() -> None:
    world = World()
    mine = await world.directory.resolve("cr_1")
    world.time += 1
    again = await world.directory.resolve("cr_1")
    assert again == mine
    world.directory.door(mine).admit()


async def test_a_heartbeat_from_the_future_proves_nothing() -> None:
    world = World()
    world.beat(delay=-2)
    await world.directory.resolve("cr_1")
    await world.directory.resolve("cr_1")
    assert world.asked == ["cr_1", "cr_1"]


async def test_a_register_that_was_restored_is_believed_after_a_few_heartbeats() -> None:
    world = World()
    world.head = 50
    world.beat()
    await world.directory.resolve("cr_1")
    world.head = 7
    for _ in range(5):
        world.time += 1
        world.beat()
    world.directory.door(await world.directory.resolve("cr_1")).admit()


async def test_a_slow_answer_from_before_the_change_is_not_used() -> None:
    world = World()
    world.beat()
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    world.gate = wait
    asking = asyncio.create_task(world.directory.resolve("cr_1"))
    await settle()
    world.hold()
    world.gate = None
    gate.set()
    assert (await asking).status is CredentialStatus.HELD
    assert len(world.asked) == 2


async def test_a_heartbeat_that_tells_of_a_missed_change_drops_everything() -> None:
    world = World()
    world.beat()
    await world.directory.resolve("cr_1")
    await world.directory.resolve("cr_2")
    door = world.directory.door(await world.directory.resolve("cr_2"))
    world.hold(told=False)
    world.beat()
    with pytest.raises(CredentialStatusUnavailable):
        door.admit()
    assert (await world.directory.resolve("cr_1")).status is CredentialStatus.HELD
    assert len(world.asked) == 3


async def test_changes_out_of_order_are_no_gap_once_all_have_come() -> None:
    world = World()
    world.beat()
    await world.directory.resolve("cr_1")
    world.head = 3
    world.directory.on_changed("cr_9", 3, None)
    world.directory.on_changed("cr_8", 2, None)
    world.beat()
    await world.directory.resolve("cr_1")
    assert world.asked == ["cr_1"]


async def test_a_slow_answer_from_before_a_missed_change_is_not_used() -> None:
    world = World()
    world.beat()
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    world.gate = wait
    asking = asyncio.create_task(world.directory.resolve("cr_1"))
    await settle()
    world.hold(told=False)
    world.beat()
    world.gate = None
    gate.set()
    assert (await asking).status is CredentialStatus.HELD


async def test_callers_share_one_question() -> None:
    world = World()
    await asyncio.gather(*(world.directory.resolve("cr_1") for _ in range(20)))
    assert len(world.asked) == 1


async def test_the_cache_is_bounded() -> None:
    world = World(entries=1)
    world.beat()
    await world.directory.resolve("cr_1")
    await world.directory.resolve("cr_2")
    assert len(world.directory) == 1


class Play:
    """Plays events in any order; a signature that starts after a hold was answered is a broken promise."""

    def __init__(self) -> None:
        self.world = World()
        self.has_bus = True
        self.held_at: float | None = None
        self.doors: list[SigningDoor] = []

    async def beat(self) -> None:
        if self.has_bus:
            self.world.beat()

    async def hold(self) -> None:
        if self.held_at is None:
            self.held_at = self.world.time
        self.world.hold(told=self.has_bus)

    async def release(self) -> None:
        self.world.head += 1
        active = replace(self.world.state["cr_1"], version=self.world.head, status=CredentialStatus.ACTIVE)
        self.world.state["cr_1"], self.held_at = active, None
        if self.has_bus:
            self.world.directory.on_changed("cr_1", self.world.head, CredentialStatus.ACTIVE)

    async def look_up(self) -> None:
        credential = await self.world.directory.resolve("cr_1")
        if credential.status is CredentialStatus.ACTIVE:
            self.doors.append(self.world.directory.door(credential))

    async def start(self) -> None:
        if not self.doors:
            return
        door = self.doors.pop(0)
        version = self.world.state["cr_1"].version
        # Answered: this replica confirmed the newest change, or the heartbeat limit and a second passed.
        confirmed = ("cr_1", version) in self.world.confirmed
        waited_out = self.held_at is not None and self.world.time - self.held_at >= 4
        try:
            door.admit()
        except DomainError:
            return
        finally:
            door.close()
        assert self.held_at is None or not (confirmed or waited_out)

    async def pause(self) -> None:
        self.world.time += 1

    async def long_pause(self) -> None:
        self.world.time += 4

    async def lose_bus(self) -> None:
        self.has_bus = not self.has_bus

    async def run(self, actions: list[str]) -> None:
        for action in actions:
            await getattr(self, action)()
            await settle()
        await self.world.directory.close()


_ACTIONS = ["beat", "hold", "release", "look_up", "start", "pause", "long_pause", "lose_bus"]


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(_ACTIONS), min_size=4, max_size=12))
def test_no_signature_starts_after_a_hold_was_answered(actions: list[str]) -> None:
    asyncio.run(Play().run(actions))


@pytest.mark.parametrize(
    "actions",
    [
        ["look_up", "lose_bus", "hold", "long_pause", "start"],
        ["beat", "look_up", "lose_bus", "hold", "long_pause", "start"],
        ["beat", "look_up", "hold", "start"],
        ["look_up", "hold", "start"],
        ["look_up", "hold", "release", "hold", "start"],
        ["beat", "look_up", "lose_bus", "hold", "lose_bus", "beat", "long_pause", "beat", "start"],
    ],
)
async def test_orders_of_events_that_would_break_the_promise(actions: list[str]) -> None:
    await Play().run(actions)
