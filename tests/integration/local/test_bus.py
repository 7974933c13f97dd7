"""The bus as the platform configures it, on a real nats-server: who may do what."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from deploy.local import settings
from deploy.local.bus import OUTSIDE, PRIORITIES, Bus, permissions, provide_bus
from deploy.local.pki import Identity, provide_mesh
from deploy.local.settings import HOST, Ports
from deploy.local.tools import Tools
from services.signer.consumers import PRIORITIES as JOB_PRIORITIES
from tests.support.rpc import free_port

CLIENT, OTHER = "cl_own", "cl_other"
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class RunningBus:
    bus: Bus
    ports: Ports
    identity: Identity


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    folder = tmp_path_factory.mktemp("bus")
    ports = replace(settings.load("demo").ports, bus=free_port(), bus_monitor=free_port())
    identity = provide_mesh(folder / "mesh")["nats"]
    bus = provide_bus(folder, identity, ports, CLIENT)
    command = [str(Tools().nats_server()), "--config", str(bus.configuration)]
    log = (folder / "nats.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        asyncio.run(until_healthy(ports))
        yield RunningBus(bus, ports, identity)
        process.terminate()


async def until_healthy(ports: Ports) -> None:
    async with asyncio.timeout(WAIT_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"http://{HOST}:{ports.bus_monitor}/healthz")).is_success:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.02)


class Refusals:
    """Collects what the server says about forbidden subjects."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._more = asyncio.Event()

    async def take(self, error: Exception) -> None:
        self.said.append(str(error).lower())
        self._more.set()

    async def until_said(self, text: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not any(text.lower() in line for line in self.said):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def connected(running: RunningBus, user: str, refusals: Refusals) -> AsyncIterator[Client]:
    client = await nats.connect(
        f"tls://{HOST}:{running.ports.bus}",
        user=user,
        password=running.bus.passwords[user].read_text(encoding="utf-8").strip(),
        tls=ssl.create_default_context(cafile=str(running.identity.ca)),
        inbox_prefix=f"_INBOX.{user}",
        error_cb=refusals.take,
    )
    try:
        yield client
    finally:
        await client.close()


async def test_the_outside_system_publishes_its_own_jobs_and_reads_its_own_results(
    running: RunningBus,
) -> None:
    refusals = Refusals()
    async with (
        connected(running, OUTSIDE, refusals) as outside,
        connected(running, "signer", refusals) as signer,
    ):
        jetstream = signer.jetstream()
        await jetstream.add_stream(StreamConfig(name="KYSO_JOBS", subjects=["kyso.job.>"]))
        await jetstream.add_stream(StreamConfig(name="KYSO_RESULTS", subjects=["kyso.result.>"]))
        results = await outside.subscribe(f"kyso.result.{CLIENT}.>")
        await outside.flush()
        for priority in JOB_PRIORITIES:
            acknowledged = await outside.jetstream().publish(f"kyso.job.{CLIENT}.sign.{priority}", b"{}")
            assert acknowledged.stream == "KYSO_JOBS"
        await jetstream.publish(f"kyso.result.{CLIENT}.op_1", b"signed")
        assert (await results.next_msg(timeout=WAIT_SECONDS)).data == b"signed"
        assert refusals.said == []


async def test_a_reply_subject_carries_an_acknowledgement_without_headers_and_commands_nothing(
    running: RunningBus,
) -> None:
    refusals = Refusals()
    async with (
        connected(running, OUTSIDE, refusals) as outside,
        connected(running, "signer", refusals) as signer,
    ):
        jetstream = signer.jetstream()
        await jetstream.add_stream(StreamConfig(name="KYSO_JOBS", subjects=["kyso.job.>"]))
        await jetstream.add_stream(StreamConfig(name="KYSO_RESULTS", subjects=["kyso.result.>"]))
        before = (await jetstream.stream_info("KYSO_JOBS")).state.messages
        results = await outside.subscribe(f"kyso.result.{CLIENT}.>")
        forged = f"kyso.result.{CLIENT}.forged"
        for reply in ("$JS.API.STREAM.PURGE.KYSO_JOBS", "$JS.API.STREAM.DELETE.KYSO_RESULTS", forged):
            await outside.publish(
                f"kyso.job.{CLIENT}.sign.normal", b"{}", reply=reply, headers={"ce-id": "ev_1"}
            )
        # It comes after the others had their effect, if they had one.
        said = await results.next_msg(timeout=WAIT_SECONDS)
        assert (said.subject, said.headers) == (forged, None)
        assert json.loads(said.data)["stream"] == "KYSO_JOBS"
        assert (await jetstream.stream_info("KYSO_JOBS")).state.messages == before + 3
        assert (await jetstream.stream_info("KYSO_RESULTS")).config.name == "KYSO_RESULTS"


@pytest.mark.parametrize(
    "subject",
    [f"kyso.job.{OTHER}.sign.normal", f"kyso.job.{CLIENT}.sign.nobody", f"kyso.job.{CLIENT}.other.normal", f"kyso.result.{CLIENT}.op_1", "kyso.event.signature.completed.ag_1",
     "kyso.directory.changed", "kyso.directory.heartbeat", "$JS.API.STREAM.DELETE.KYSO_JOBS",
     "$JS.API.STREAM.MSG.GET.KYSO_RESULTS", "_INBOX.signer.answer"],
)  # fmt: skip
async def test_the_outside_system_may_not_publish(running: RunningBus, subject: str) -> None:
    refusals = Refusals()
    async with connected(running, OUTSIDE, refusals) as outside:
        await outside.publish(subject, b"{}")
        await refusals.until_said(f'permissions violation for publish to "{subject}"')


@pytest.mark.parametrize(
    "subject",
    [
        f"kyso.result.{OTHER}.>",
        "kyso.result.>",
        "kyso.job.>",
        "kyso.event.>",
        "_INBOX.>",
        "_INBOX.signer.>",
        ">",
    ],
)
async def test_the_outside_system_may_not_read(running: RunningBus, subject: str) -> None:
    refusals = Refusals()
    async with connected(running, OUTSIDE, refusals) as outside:
        await outside.subscribe(subject)
        await refusals.until_said(f'permissions violation for subscription to "{subject}"')


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("registry", "kyso.result.cl_1.op_1"), ("registry", "kyso.event.signature.completed.ag_1"),
        ("registry", "kyso.directory.confirmed"), ("signer", "kyso.directory.changed"),
        ("signer", "kyso.directory.heartbeat"), ("signer", "kyso.event.credential.held.ag_1"),
        ("signer", "$JS.API.STREAM.PURGE.KYSO_EVENTS"), ("signer", "$JS.API.STREAM.UPDATE.KYSO_EVENTS"),
        ("signer", "$JS.API.STREAM.UPDATE.KYSO_PARKED"), ("registry", "$JS.API.STREAM.UPDATE.KYSO_JOBS"),
        ("registry", "$JS.API.STREAM.CREATE.KYSO_RESULTS"), ("gateway", "kyso.job.cl_own.sign.normal"),
        ("verifier", "kyso.directory.changed"),
    ],
)  # fmt: skip
async def test_no_service_speaks_for_another(running: RunningBus, user: str, subject: str) -> None:
    refusals = Refusals()
    async with connected(running, user, refusals) as client:
        await client.publish(subject, b"{}")
        await refusals.until_said(f'permissions violation for publish to "{subject}"')


async def test_a_wrong_password_and_a_plain_connection_are_refused(running: RunningBus) -> None:
    async def quiet(_: Exception) -> None:
        pass

    client = Client()
    try:
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
            await client.connect(
                f"tls://{HOST}:{running.ports.bus}",
                user="signer",
                password="wrong",
                tls=ssl.create_default_context(cafile=str(running.identity.ca)),
                allow_reconnect=False,
                error_cb=quiet,
            )
    finally:
        # The library leaves the refused connection open.
        await client.close()


def test_the_outside_system_may_use_the_priorities_that_somebody_takes_out() -> None:
    assert set(PRIORITIES) == set(JOB_PRIORITIES)


def test_before_its_client_is_known_the_outside_system_may_do_nothing() -> None:
    for what in permissions(OUTSIDE, None).values():
        assert what == {"allow": ["kyso.nothing"]}
