"""The bus against a real nats-server: order, losses of the server, permissions."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.kernel.errors import ServiceUnavailable
from services.kernel.events import (
    STREAM_EVENTS,
    Event,
    event_subject,
    job_subject,
)
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import BusSettings, ConfigError
from services.kernel.runtime.consumer import Disposition, Message, Verdict
from services.kernel.values import new_id
from tests.support.bus import consuming, event, event_from
from tests.support.nats_server import NatsServer, NatsUser, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with Bus.opened(nats_server.settings(), make_runtime()) as opened:
        yield opened


async def test_an_event_published_twice_is_stored_once(bus: Bus) -> None:
    agency = new_id("ag")
    got: list[Event] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(event_from(message) for message in messages)
        return [Disposition.ACK] * len(messages)

    subject = event_subject("signature", "completed", agency)
    first, last = event(subject), event(subject, "op_2")
    for item in (first, first, last):
        await bus.publish(item)
    async with consuming(bus, STREAM_EVENTS, agency, subject, handle):
        await eventually(lambda: last in got)
    assert got == [first, last]


async def test_a_batch_is_published_in_order(bus: Bus) -> None:
    agency = new_id("ag")
    got: list[str] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(event_from(message).subject for message in messages)
        return [Disposition.ACK] * len(messages)

    subject = event_subject("signature", "completed", agency)
    numbers = [f"op_{number}" for number in range(500)]
    assert await bus.publish_many([event(subject, number) for number in numbers]) == [None] * 500
    async with consuming(bus, STREAM_EVENTS, agency, subject, handle):
        await eventually(lambda: len(got) == 500)
    assert got == numbers


async def test_core_messages_come_in_order_and_a_failing_handler_hears_the_next(bus: Bus) -> None:
    subject = f"kyso.directory.test.{new_id('x')}"
    got: list[tuple[str, bytes]] = []

    async def handle(name: str, data: bytes) -> None:
        got.append((name, data))
        if data == b"0":
            raise ZeroDivisionError

    unsubscribe = await bus.subscribe_core(subject, handle)
    for number in range(5):
        await bus.publish_core(subject, str(number).encode())
    await eventually(lambda: len(got) == 5)
    assert got == [(subject, str(number).encode()) for number in range(5)]
    await unsubscribe()


async def test_a_killed_server_is_found_again_and_work_goes_on(tmp_path: Path, mesh_ca: MeshCa) -> None:
    server = NatsServer(tmp_path / "nats", tls=mesh_ca.tls("nats")).start()
    got: list[str] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(event_from(message).subject for message in messages)
        return [Disposition.ACK] * len(messages)

    async def hear(_subject: str, data: bytes) -> None:
        got.append(data.decode())

    subject = event_subject("signature", "completed", "ag_1")
    try:
        async with (
            Bus.opened(server.settings(), make_runtime()) as bus,
            consuming(bus, STREAM_EVENTS, "audit", subject, handle),
        ):
            await bus.subscribe_core("kyso.directory.heartbeat", hear)
            await bus.publish(event(subject, "before"))
            await eventually(lambda: "before" in got)
            server.kill()
            await eventually(lambda: not bus.connected)
            assert "not connected to the bus" in str(await bus.check())
            with pytest.raises(ServiceUnavailable):
                await bus.publish(event(subject, "during"))
            with pytest.raises(ServiceUnavailable):
                await bus.publish_core("kyso.directory.heartbeat", b"during")
            server.start()
            await eventually(lambda: bus.connected)
            await bus.publish(event(subject, "after"))
            await bus.publish_core("kyso.directory.heartbeat", b"beat")
            await eventually(lambda: {"after", "beat"} <= set(got))
            assert "during" not in got
    finally:
        server.stop()


async def test_a_server_that_hangs_is_noticed_and_used_again(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats").start()
    try:
        async with Bus.opened(server.settings(), make_runtime()) as bus:
            server.freeze()
            await eventually(lambda: not bus.connected, seconds=20)
            server.thaw()
            await eventually(lambda: bus.connected)
            await bus.publish(event(event_subject("signature", "completed", "ag_1")))
    finally:
        server.stop()


async def test_a_service_starts_without_its_bus_and_uses_it_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kernel.runtime.bus.FIRST_CONNECT_SECONDS", 0.1)
    server = NatsServer(tmp_path / "nats")
    got: list[Message] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(messages)
        return [Disposition.ACK] * len(messages)

    subject = event_subject("signature", "completed", "ag_1")
    try:
        async with (
            Bus.opened(server.settings(), make_runtime()) as bus,
            consuming(bus, STREAM_EVENTS, "audit", subject, handle),
        ):
            assert not bus.connected
            server.start()
            await eventually(lambda: bus.connected)

            async def published() -> bool:
                return (await bus.publish_many([event(subject)]))[0] is None

            await eventually(published)
            await eventually(lambda: len(got) >= 1)
    finally:
        server.stop()


async def test_an_outside_user_can_neither_publish_nor_read_for_others(
    tmp_path: Path, mesh_ca: MeshCa
) -> None:
    outside = NatsUser(
        "portal",
        publish=("kyso.job.cl_own.>",),
        subscribe=("_INBOX.portal.>",),
    )
    server = NatsServer(tmp_path / "nats", tls=mesh_ca.tls("nats"), users=(NatsUser("kyso"), outside)).start()
    try:
        async with Bus.opened(server.settings(), make_runtime()):
            portal = await Bus.connect(server.settings("portal"), make_runtime())
            try:
                await portal.publish(event(job_subject("cl_own")))
                with pytest.raises(ServiceUnavailable):
                    await portal.publish(event(job_subject("cl_other")))
                await eventually(lambda: "permissions violation" in portal._last_error.lower())
            finally:
                await portal.close()
    finally:
        server.stop()


async def test_a_wrong_password_connects_nobody_and_is_not_shown(
    nats_server: NatsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("services.kernel.runtime.bus.FIRST_CONNECT_SECONDS", 1)
    wrong = tmp_path / "password"
    wrong.write_text("hunter2\n", encoding="utf-8")
    bus = await Bus.connect(
        nats_server.settings().model_copy(update={"password_file": wrong}), make_runtime()
    )
    try:
        assert not bus.connected
        await eventually(lambda: "authorization violation" in bus._last_error.lower())
        assert "not connected to the bus" in str(await bus.check())
    finally:
        await bus.close()
    assert "hunter2" not in capfd.readouterr().err


async def test_a_missing_password_file_is_a_wrong_setting(tmp_path: Path) -> None:
    settings = BusSettings(servers=("nats://127.0.0.1:1",), user="kyso", password_file=tmp_path / "none")
    with pytest.raises(ConfigError, match="secret file"):
        await Bus.connect(settings, make_runtime())


async def test_a_server_that_lost_its_store_gets_its_streams_again(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats").start()
    subject = event_subject("signature", "completed", "ag_1")
    try:
        async with Bus.opened(server.settings(), make_runtime()) as bus:
            await bus.publish(event(subject))
            server.kill()
            await eventually(lambda: not bus.connected)
            shutil.rmtree(tmp_path / "nats" / "jetstream")
            server.start()

            async def published() -> bool:
                return (await bus.publish_many([event(subject)]))[0] is None

            await eventually(published)
    finally:
        server.stop()


async def test_a_connection_closed_for_good_is_made_anew(bus: Bus) -> None:
    got: list[bytes] = []

    async def hear(_subject: str, data: bytes) -> None:
        got.append(data)

    subject = f"kyso.directory.test.{new_id('x')}"
    await bus.subscribe_core(subject, hear)
    first = bus._client
    assert first is not None
    # The same as the library does after an error of the server that it does not know.
    await first.close()
    await eventually(lambda: bus.connected and bus._client is not first)

    async def heard() -> bool:
        await bus.publish_core(subject, b"again")
        return bool(got)

    await eventually(heard)
    await bus.publish(event(event_subject("signature", "completed", "ag_1")))


async def test_a_consumer_without_permission_keeps_trying_and_harms_nobody(tmp_path: Path) -> None:
    outside = NatsUser("portal", publish=("kyso.job.cl_own.>",), subscribe=("_INBOX.portal.>",))
    server = NatsServer(tmp_path / "nats", users=(NatsUser("kyso"), outside)).start()
    got: list[Message] = []

    async def handle(messages: Sequence[Message]) -> list[Verdict]:
        got.extend(messages)
        return [Disposition.ACK] * len(messages)

    try:
        async with Bus.opened(server.settings(), make_runtime()) as platform:
            subject = event_subject("signature", "completed", "ag_1")
            await platform.publish(event(subject))
            portal = await Bus.connect(server.settings("portal"), make_runtime())
            try:
                async with consuming(portal, STREAM_EVENTS, "spy", subject, handle):
                    await eventually(lambda: "permissions violation" in portal._last_error.lower())
                    assert got == []
            finally:
                await portal.close()
    finally:
        server.stop()
