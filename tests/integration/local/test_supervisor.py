"""The supervisor with real processes: order, readiness, restart, and the end of everything."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.console import PlatformError
from deploy.local.supervisor import Part, supervise
from tests.support.rpc import free_port

WAIT_SECONDS = 30.0
# Answers 200 on every path and writes its start and its orderly end into a journal that all parts share.
SERVER = """
import http.server, os, signal, sys
name, port, journal = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def note(what):
    with open(journal, "a") as file:
        file.write(f"{what} {name} {os.getpid()}\\n")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", port), Answer)
def stop(*_):
    note("stop"); os._exit(0)
signal.signal(signal.SIGTERM, stop)
note("start")
server.serve_forever()
"""


def part(name: str, port: int, journal: Path) -> Part:
    return Part(
        name, (sys.executable, "-c", SERVER, name, str(port), str(journal)), f"http://127.0.0.1:{port}/readyz"
    )


def entries(journal: Path) -> list[tuple[str, str, int]]:
    if not journal.exists():
        return []
    lines = [line.split() for line in journal.read_text(encoding="utf-8").splitlines()]
    return [(what, name, int(pid)) for what, name, pid in lines]


async def answers(port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/")).is_success
        except httpx.HTTPError:
            return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # the other process has no way to set an Event here
            await asyncio.sleep(0.02)


async def test_parts_start_in_order_when_the_one_before_is_ready_and_stop_in_reverse(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with supervise(tmp_path / "log") as supervisor:
        for name in ("one", "two", "three"):
            port = free_port()
            await supervisor.start(part(name, port, journal))
            assert await answers(port)
    assert [(what, name) for what, name, _ in entries(journal)] == [
        ("start", "one"), ("start", "two"), ("start", "three"),
        ("stop", "three"), ("stop", "two"), ("stop", "one"),
    ]  # fmt: skip


async def test_a_part_that_is_killed_comes_back(tmp_path: Path) -> None:
    journal, port = tmp_path / "journal", free_port()
    async with supervise(tmp_path / "log") as supervisor:
        await supervisor.start(part("one", port, journal))
        (_, _, first) = entries(journal)[0]
        os.kill(first, signal.SIGKILL)
        await until(lambda: [what for what, _, _ in entries(journal)] == ["start", "start"])
        (_, _, second) = entries(journal)[1]
        assert second != first
    assert entries(journal)[-1] == ("stop", "one", second)


async def test_a_part_that_cannot_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Part(
        "broken",
        (sys.executable, "-c", "import sys; sys.exit('the database is on fire')"),
        f"http://127.0.0.1:{free_port()}/",
    )
    async with supervise(tmp_path / "log") as supervisor:
        with pytest.raises(
            PlatformError, match=r"broken did not become ready: it ended with exit code 1(.|\n)*on fire"
        ):
            await supervisor.start(broken)


async def test_parts_that_start_together_are_given_up_as_soon_as_one_of_them_ends(tmp_path: Path) -> None:
    waiting = Part(
        "waiting",
        (sys.executable, "-c", "import signal; signal.pause()"),
        f"http://127.0.0.1:{free_port()}/",
    )
    broken = Part("broken", (sys.executable, "-c", "raise SystemExit(3)"), f"http://127.0.0.1:{free_port()}/")
    async with asyncio.timeout(WAIT_SECONDS), supervise(tmp_path / "log") as supervisor:
        with pytest.raises(PlatformError, match="broken did not become ready: it ended with exit code 3"):
            await supervisor.start(waiting, broken)


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    journal, port = tmp_path / "journal", free_port()
    program = (
        "import asyncio, pathlib, sys\n"
        "from deploy.local.supervisor import supervise\n"
        "from tests.integration.local.test_supervisor import part\n"
        "async def main():\n"
        f"    async with supervise(pathlib.Path({str(tmp_path / 'log')!r})) as supervisor:\n"
        f"        await supervisor.start(part('one', {port}, pathlib.Path({str(journal)!r})))\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        for line in supervisor.stdout:
            if line.strip() == "ready":
                break
        (_, _, child) = entries(journal)[0]
        supervisor.kill()
    deadline = time.monotonic() + WAIT_SECONDS
    psutil.wait_procs(
        [psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=deadline - time.monotonic()
    )
    assert entries(journal)[-1] == ("stop", "one", child)
