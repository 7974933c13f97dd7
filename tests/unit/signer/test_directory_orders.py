"""The promise behind a hold, under every order of events: drawn at random, and the orders that would break it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import (
    DomainError,
)
from services.signer.directory import SigningDoor
from services.signer.domain import CredentialStatus
from tests.unit.signer.directory_world import World, settle


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
