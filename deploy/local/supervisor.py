"""Starts the platform's processes in order, each when the one before is ready; restarts what dies; stops in reverse.

A child that dies is started again after a pause that doubles up to a limit. When the supervisor itself dies, the kernel
asks its children to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local.console import PlatformError, say, step

READY_SECONDS = 90.0
POLL_SECONDS = 0.05
STOP_SECONDS = 40.0
RESTART_FIRST_SECONDS = 0.5
RESTART_LIMIT_SECONDS = 15.0
STEADY_SECONDS = 30.0
"""A process that ran this long has recovered: its next pause is the first one again."""
LOG_TAIL = 15
LOG_LIMIT = 20 * 1024 * 1024
"""A log larger than this is put aside as `.1` when its process starts."""
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One process: its command, what it adds to the environment, and the address that says when it is ready."""

    name: str
    command: tuple[str, ...]
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A part that runs: started, watched, restarted and stopped here."""

    def __init__(self, part: Part, logs: Path) -> None:
        """Bind the part to its log file below `logs`."""
        self.part = part
        self.log = logs / f"{part.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it; `until_ready` waits for what it needs."""
        self._rotate()
        await self._spawn()

    async def stop(self) -> None:
        """Ask it to drain and end; kill it only when it does not within the limit."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            say(
                f"  {self.part.name} did not end within {STOP_SECONDS:.0f} s and is killed; its log is {self.log}"
            )
            process.kill()
            await process.wait()

    def reload(self) -> None:
        """Ask it to read its configuration again (SIGHUP)."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    def _rotate(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.part.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.part.environment}, preexec_fn=_die_with_parent,
                # A group of its own: Ctrl-C is for the supervisor, which then stops everything in order.
                process_group=0,
            )  # fmt: skip

    async def until_ready(self) -> None:
        """Wait until it is ready, then watch over it; raise PlatformError with the end of its log when it is not."""
        await self._poll_readiness()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.part.name}")

    async def _poll_readiness(self) -> None:
        process = self._process
        deadline = time.monotonic() + READY_SECONDS
        reason = "it does not answer"
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while process is not None and process.returncode is None and time.monotonic() < deadline:
                try:
                    answer = await client.get(self.part.ready_url)
                    if answer.is_success:
                        return
                    reason = answer.text.strip()[:300]
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(POLL_SECONDS)
        if process is not None and process.returncode is not None:
            reason = f"it ended with exit code {process.returncode}"
        raise PlatformError(f"{self.part.name} did not become ready: {reason}\n{self.tail()}")

    async def _keep(self) -> None:
        pause = RESTART_FIRST_SECONDS
        while self._process is not None:
            born = time.monotonic()
            code = await self._process.wait()
            if self._stopping:
                return
            if time.monotonic() - born > STEADY_SECONDS:
                pause = RESTART_FIRST_SECONDS
            say(
                f"  {self.part.name} ended with exit code {code}; it starts again in {pause:.1f} s (log: {self.log})"
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, RESTART_LIMIT_SECONDS)
            await self._spawn()

    def tail(self) -> str:
        """The last lines of its log, for a message to a person."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]
        return "\n".join([f"The end of {self.log}:", *(f"  {line[:400]}" for line in lines)])


class Supervisor:
    """The running children, in the order of their start."""

    def __init__(self, logs: Path) -> None:
        """`logs` is the folder with one log file for each part."""
        self._logs = logs
        self.children: dict[str, Child] = {}

    async def start(self, *parts: Part) -> None:
        """Start `parts` together, for they may need each other, and wait until all are ready.

        Raises PlatformError as soon as one of them cannot become ready.
        """
        with step(f"start {' and '.join(part.name for part in parts)}"):
            for part in parts:
                self.children[part.name] = Child(part, self._logs)
                await self.children[part.name].start()
            waits = [asyncio.create_task(self.children[part.name].until_ready()) for part in parts]
            try:
                await asyncio.gather(*waits)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    async def stop(self) -> None:
        """Stop everything in the reverse order of its start."""
        while self.children:
            _, child = self.children.popitem()
            await child.stop()


@asynccontextmanager
async def supervise(logs: Path) -> AsyncIterator[Supervisor]:
    """A supervisor whose children are stopped when the block ends, however it ends."""
    supervisor = Supervisor(logs)
    try:
        yield supervisor
    finally:
        with step("stop everything"):
            await _whatever_happens(supervisor.stop())


async def _whatever_happens(work: Coroutine[None, None, None]) -> None:
    """Await `work` to its end, also when this task is cancelled again and again; then be cancelled."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    await task
    if cancelled:
        raise asyncio.CancelledError


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """Have the kernel send SIGTERM to this child when the supervisor dies, even by SIGKILL. Runs between fork and exec."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
