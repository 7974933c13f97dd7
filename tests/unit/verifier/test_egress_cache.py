"""What is kept of the world outside: for how long, how much, and fetched by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from services.verifier.egress.cache import FAILURE_SECONDS, Kept, ValueCache
from services.verifier.egress.hosts import EgressError, Reason


@dataclass
class World:
    """A cache with a clock that the test sets, and counts of what was fetched and found."""

    now: float = 100.0
    fetched: list[str] = field(default_factory=list)
    hits: int = 0
    failing: bool = False

    def __post_init__(self) -> None:
        self.cache: ValueCache[str] = ValueCache(3, 100, lambda: self.now)

    async def get(self, key: str, size: int = 10, seconds: float = 60) -> str:
        return await self.cache.get(key, self.fetch(key, size, seconds), self.hit)

    def hit(self) -> None:
        self.hits += 1

    def fetch(self, key: str, size: int, seconds: float) -> Callable[[], Awaitable[Kept[str]]]:
        async def fetch() -> Kept[str]:
            self.fetched.append(key)
            await asyncio.sleep(0)
            if self.failing:
                raise EgressError(Reason.UNREACHABLE, "down")
            return Kept(f"{key}{len(self.fetched)}", size, seconds)

        return fetch


@pytest.fixture
def world() -> World:
    return World()


async def test_a_value_is_kept_for_its_time(world: World) -> None:
    assert [await world.get("a"), await world.get("a")] == ["a1", "a1"]
    world.now += 59.9
    assert await world.get("a") == "a1"
    world.now += 0.1
    assert await world.get("a") == "a2"
    assert world.hits == 2


async def test_many_at_once_fetch_once(world: World) -> None:
    assert await asyncio.gather(*(world.get("a") for _ in range(50))) == ["a1"] * 50
    assert world.fetched == ["a"]
    assert world.hits == 49


async def test_a_failure_goes_to_all_who_wait_and_is_soon_forgotten(world: World) -> None:
    world.failing = True
    outcomes = await asyncio.gather(*(world.get("a") for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [EgressError] * 5
    assert world.fetched == ["a"]
    with pytest.raises(EgressError, match="down"):
        await world.get("a")
    world.failing = False
    world.now += FAILURE_SECONDS
    assert await world.get("a") == "a2"


async def test_the_one_used_longest_ago_goes_first(world: World) -> None:
    for key in "abc":
        await world.get(key)
    await world.get("a")
    await world.get("d")
    world.fetched.clear()
    for key in "acd":
        await world.get(key)
    assert world.fetched == []
    await world.get("b")
    assert world.fetched == ["b"]


async def test_bytes_are_bounded_too(world: World) -> None:
    await world.get("a", 60)
    await world.get("b", 60)
    assert world.cache.bytes == 60
    await world.get("huge", 101)
    assert world.cache.bytes == 60
    await world.get("b")
    assert world.fetched == ["a", "b", "huge"]


async def test_what_may_not_be_kept_is_not(world: World) -> None:
    for _ in range(2):
        await world.get("a", seconds=0)
    assert world.fetched == ["a", "a"]
    assert world.cache.bytes == 0


async def test_who_gives_up_does_not_take_it_from_the_others(world: World) -> None:
    first = asyncio.create_task(world.get("a"))
    second = asyncio.create_task(world.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "a1"
    assert first.cancelled()


async def test_what_is_being_fetched_ends_with_the_cache(world: World) -> None:
    never = asyncio.Event()

    async def wait() -> Kept[str]:
        await never.wait()
        return Kept("", 0, 0)

    task = asyncio.create_task(world.cache.get("a", wait, world.hit))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await world.cache.close()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
