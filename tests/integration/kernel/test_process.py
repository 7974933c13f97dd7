"""The life of a real process: settings, start, signals, hangs, and what it says about each."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.nats_server import eventually
from tests.support.rpc import free_port

SERVICE = """
import asyncio
import sys
import time

from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime.config import ProcessSettings
from services.kernel.runtime.process import StartError, main


class DemoSettings(ProcessSettings):
    behaviour: str = "serve"


async def die(runtime):
    await asyncio.sleep(0)
    raise ZeroDivisionError("the reason")


async def serve(settings, runtime):
    match settings.behaviour:
        case "start-error":
            raise StartError("no token library; install softhsm2")
        case "group":
            raise ExceptionGroup("many", [ServiceUnavailable("the database is away")])
        case "unexpected":
            raise ZeroDivisionError("what")
        case "never-starts":
            print("waiting", flush=True)
            await asyncio.Event().wait()
        case "background-dies":
            async with runtime.background("relay", die(runtime)):
                await runtime.until_stopped()
    print("opened", flush=True)
    try:
        await runtime.until_stopped()
    finally:
        print("draining", flush=True)
        if settings.behaviour == "hangs":
            await asyncio.create_task(asyncio.Event().wait(), name="hsm-close")
        if settings.behaviour == "blocks":
            time.sleep(3600)
        print("closed", flush=True)


async def migrate(settings):
    if settings.behaviour == "start-error":
        raise StartError("the database is not there")
    print("tables are up to date", flush=True)


if __name__ == "__main__":
    main("demo", DemoSettings, serve, migrate=migrate)
"""


class Demo:
    """A process of the service above."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.program = folder / "demo.py"
        self.program.write_text(SERVICE, encoding="utf-8")
        self.settings = folder / "demo.toml"

    async def start(self, behaviour: str, *options: str, extra: str = "") -> asyncio.subprocess.Process:
        """Start it with settings for this behaviour."""
        self.settings.write_text(
            f'behaviour = "{behaviour}"\nstop_seconds = 1\n{extra}[telemetry]\nhttp_listen = "127.0.0.1:{self.port}"\n',
            encoding="utf-8",
        )
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(self.program),
            "--config",
            str(self.settings),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, behaviour: str, *options: str, extra: str = "") -> tuple[int, str, str]:
        """Run it to its end; return exit code, stdout and stderr."""
        process = await self.start(behaviour, *options, extra=extra)
        return await ended(process)

    async def readyz(self) -> tuple[int, dict[str, object]]:
        """Ask for readiness; (0, {}) while nobody listens."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return 0, {}
        writer.write(b"GET /readyz HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split()[1]), json.loads(body)) if body else (0, {})


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def events(stderr: str) -> list[str]:
    """Return the names of the logged events; lines that are no JSON are for people."""
    return [json.loads(line)["event"] for line in stderr.splitlines() if line.startswith("{")]


@pytest.fixture
async def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


@asynccontextmanager
async def serving(demo: Demo, behaviour: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await demo.start(behaviour)
    try:

        async def ready() -> bool:
            return (await demo.readyz())[0] == 200

        await eventually(ready, seconds=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_good_settings_are_said_to_be_good_and_nothing_is_opened(demo: Demo) -> None:
    assert await demo.run("start-error", "--check-config") == (0, "configuration ok\n", "")


async def test_wrong_settings_are_named_key_by_key(demo: Demo) -> None:
    code, out, err = await demo.run("serve", extra='surprise = 1\npassword = "hunter2"\n')
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "demo: surprise: Extra inputs are not permitted",
        "demo: password: Extra inputs are not permitted",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_leads_to_an_orderly_stop(demo: Demo, number: signal.Signals) -> None:
    async with serving(demo, "serve") as process:
        process.send_signal(number)
        code, out, err = await ended(process)
    assert (code, out) == (0, "opened\ndraining\nclosed\n")
    assert events(err) == ["ready", "started", "stopping", "not_ready", "stopped"]


@pytest.mark.parametrize(
    ("behaviour", "line"),
    [
        ("start-error", "demo: cannot start: no token library; install softhsm2"),
        ("group", "demo: cannot start: the database is away"),
    ],
)
async def test_a_start_that_fails_says_why_in_one_line(demo: Demo, behaviour: str, line: str) -> None:
    assert await demo.run(behaviour) == (1, "", line + "\n")


async def test_an_unexpected_failure_of_the_start_leaves_its_trace_in_the_log(demo: Demo) -> None:
    code, _, err = await demo.run("unexpected")
    assert code == 1
    assert err.splitlines()[0] == "demo: cannot start: ZeroDivisionError: what"
    assert events(err) == ["unexpected_error"]
    assert "Traceback" in json.loads(err.splitlines()[1])["exception"]


async def test_a_taken_port_is_told_by_its_number(demo: Demo) -> None:
    async with serving(demo, "serve"):
        second = Demo(demo.folder)
        second.port = demo.port
        code, _, err = await second.run("serve")
    assert code == 1
    assert f"demo: cannot listen on 127.0.0.1:{demo.port}" in err


async def test_a_start_that_waits_is_given_up_when_asked(demo: Demo) -> None:
    process = await demo.start("never-starts")
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"waiting\n"
    assert await demo.readyz() == (503, {"ready": False, "reasons": {"starting": "the service is starting"}})
    process.terminate()
    code, _, _ = await ended(process)
    assert code == 0


async def test_a_background_task_that_dies_takes_the_process_along(demo: Demo) -> None:
    code, _, err = await demo.run("background-dies")
    assert code == 1
    assert "demo: broke while serving: ZeroDivisionError: the reason" in err
    assert "background_task_died" in events(err)


async def test_a_stop_that_hangs_is_cut_off_and_names_what_hung(demo: Demo) -> None:
    async with serving(demo, "hangs") as process:
        process.terminate()
        code, out, err = await ended(process)
    assert (code, out) == (1, "opened\ndraining\n")
    assert "demo: did not stop within 1 s; still waiting:" in err
    assert "hsm-close" in err
    assert "stop_hung" in events(err)


async def test_even_a_blocked_event_loop_is_cut_off(demo: Demo) -> None:
    async with serving(demo, "blocks") as process:
        process.terminate()
        code, out, err = await ended(process)
    assert (code, out) == (1, "opened\ndraining\n")
    assert "demo.py" in err


async def test_tables_are_migrated_on_demand(demo: Demo) -> None:
    code, out, _ = await demo.run("serve", "--migrate")
    assert (code, out) == (0, "tables are up to date\n")
    code, out, err = await demo.run("start-error", "--migrate")
    assert (code, out, err) == (1, "", "demo: cannot migrate: the database is not there\n")
