"""The credential cache, one order of events at a time."""

from __future__ import annotations

import asyncio

import pytest

from services.kernel.errors import (
    CredentialHeld,
    CredentialStatusUnavailable,
)
from services.signer.domain import CredentialStatus
from tests.unit.signer.directory_world import World, settle


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
