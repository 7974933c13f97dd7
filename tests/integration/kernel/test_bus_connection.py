"""What the bus makes good by itself: subscriptions that are missing, connections that failed or ended unseen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from services.kernel.events import event_subject
from services.kernel.runtime.bus import Bus
from services.kernel.values import new_id
from tests.support.bus import event
from tests.support.nats_server import NatsServer, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.opened(nats_server.settings(), make_runtime()) as opened:
        yield opened


async def heard(bus: Bus, subject: str, got: list[bytes]) -> None:
    """Publish until something comes back; fail where nothing does."""

    async def comes() -> bool:
        if bus.connected:
            await bus.publish_core(subject, b"beat")
        return bool(got)

    await eventually(comes, what="a core message is heard")


async def test_what_is_subscribed_while_the_connection_is_away_is_heard_afterwards(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats").start()
    got: list[bytes] = []
    ended: list[bytes] = []

    async def hear(_subject: str, data: bytes) -> None:
        got.append(data)

    async def hear_no_more(_subject: str, data: bytes) -> None:
        ended.append(data)

    subject = "kyso.directory.heartbeat"
    try:
        async with Bus.opened(server.settings(), make_runtime()) as bus:
            client = bus._client
            unsubscribe = await bus.subscribe_core(subject, hear_no_more)
            server.kill()
            await eventually(lambda: not bus.connected)
            await bus.subscribe_core(subject, hear)
            await unsubscribe()
            server.start()
            await heard(bus, subject, got)
            assert bus._client is client, "the library was to reconnect by itself"
            # Once each, whoever made the subscription.
            got.clear()
            for number in range(5):
                await bus.publish_core(subject, str(number).encode())
            await eventually(lambda: b"4" in got)
            assert [data for data in got if data != b"beat"] == [b"0", b"1", b"2", b"3", b"4"]
            assert ended == []
    finally:
        server.stop()


@pytest.mark.parametrize("failure", [nats.errors.Error("refused"), OSError("broken pipe")])
async def test_a_subscription_that_fails_is_made_again_and_the_others_are_made(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    subjects = [f"kyso.directory.test.{new_id('x')}" for _ in range(2)]
    got: dict[str, list[bytes]] = {subject: [] for subject in subjects}
    subscribe, failures = Client.subscribe, [failure] * 2

    async def fail_at_first(self: Client, subject: str, *args: Any, **options: Any) -> Any:
        if subject == subjects[0] and failures:
            raise failures.pop()
        return await subscribe(self, subject, *args, **options)

    async def hear(subject: str, data: bytes) -> None:
        got[subject].append(data)

    monkeypatch.setattr(Client, "subscribe", fail_at_first)
    for subject in subjects:
        await bus.subscribe_core(subject, hear)
    for subject in reversed(subjects):
        await heard(bus, subject, got[subject])
    assert not failures


async def test_whatever_goes_wrong_while_connecting_is_logged_and_tried_again(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    connect, failures = Client.connect, [ZeroDivisionError("of the library")]

    async def fail_at_first(self: Client, *args: Any, **options: Any) -> None:
        await connect(self, *args, **options)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Client, "connect", fail_at_first)
    got: list[bytes] = []

    async def hear(_subject: str, data: bytes) -> None:
        got.append(data)

    subject = f"kyso.directory.test.{new_id('x')}"
    async with Bus.opened(nats_server.settings(), make_runtime()) as bus:
        assert not failures
        await bus.subscribe_core(subject, hear)
        await heard(bus, subject, got)
        await bus.publish(event(event_subject("signature", "completed", "ag_1")))
    assert "bus_connection_failed" in "".join(capfd.readouterr())


async def test_closing_ends_also_where_a_cancellation_was_lost(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, lost = asyncio.Event(), asyncio.Event()

    async def lose_one(*_: object) -> None:
        began.set()
        if not lost.is_set():
            # As `asyncio.wait_for` of Python 3.11 does where the answer comes in the same turn of the loop.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            lost.set()

    monkeypatch.setattr("services.kernel.runtime.bus.make_streams", lose_one)
    bus = await Bus.connect(nats_server.settings(), make_runtime())
    ensuring = asyncio.create_task(bus.ensure_streams())
    await began.wait()
    await bus.close()
    assert lost.is_set()
    assert not bus.connected
    await ensuring


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("unsent", [0, 40], ids=["all sent", "much unsent"])
async def test_closing_ends_also_where_the_server_takes_nothing_any_more(
    tmp_path: Path, mesh_ca: MeshCa, *, encrypted: bool, unsent: int
) -> None:
    server = NatsServer(tmp_path / "nats", tls=mesh_ca.tls("nats") if encrypted else None).start()
    try:
        bus = await Bus.connect(server.settings(), make_runtime())
        assert bus.connected
        server.freeze()
        for _ in range(unsent):
            # More than the buffers of both ends take.
            await bus.publish_core("kyso.directory.test", bytes(512 * 1024))
        # The library alone waits for ever for what is unsent, and half a minute for the end of TLS.
        async with asyncio.timeout(20):
            await bus.close()
        assert not bus.connected
    finally:
        server.kill()


async def test_an_end_of_the_connection_that_nobody_told_is_noticed(bus: Bus) -> None:
    first = bus._client
    assert first is not None
    # As the library does where the server refuses it in the middle of a reconnection.
    await first._close(Client.CLOSED, do_cbs=False)
    await eventually(lambda: bus.connected and bus._client is not first)
