"""The life of a process: read the settings, start in order, serve, drain, stop in the reverse order, or say why not.

Exit codes: 0 stopped as asked; 1 could not start, broke while serving, or hung while stopping; 2 wrong settings.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from services.kernel.errors import DomainError
from services.kernel.runtime.config import ConfigError, ProcessSettings, load
from services.kernel.runtime.ending import end
from services.kernel.runtime.health import Health
from services.kernel.runtime.telemetry import Telemetry

P = TypeVar("P", bound=ProcessSettings)

WATCHDOG_GRACE_SECONDS = 5.0
"""Beyond `stop_seconds`: then even an event loop that is blocked is cut off, with every thread's stack on stderr."""


class StartError(Exception):
    """The process cannot start; the text says in one line what is missing and what to do."""


class Runtime:
    """What the chassis gives a service while it runs."""

    def __init__(self, telemetry: Telemetry, health: Health) -> None:
        """Bind telemetry and health; `stopping` is set once a stop was asked for."""
        self.telemetry = telemetry
        self.health = health
        self.stopping = asyncio.Event()
        self._broken: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    @property
    def failure(self) -> BaseException | None:
        """What a background task died of; None while none did."""
        return self._broken.result() if self._broken.done() else None

    def stop(self, why: str) -> None:
        """Ask for an orderly stop."""
        if not self.stopping.is_set():
            self.telemetry.log.info("stopping", why=why)
            self.stopping.set()

    async def until_stopped(self) -> None:
        """Say that the start is complete, then wait for the stop. Raise what a background task died of."""
        await self.health.set_started()
        self.telemetry.log.info("started")
        waiting = asyncio.create_task(self.stopping.wait(), name="until-stopped")
        try:
            ends: set[asyncio.Future[Any]] = {waiting, self._broken}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self.failure is not None:
                raise self.failure
        finally:
            waiting.cancel()
            await self.health.set_stopping()

    @asynccontextmanager
    async def background(
        self, name: str, work: Coroutine[Any, Any, None]
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Run `work` until the block ends, then cancel it until it has ended (see `ending.end`).

        If it ends by itself before, the process stops with 1.
        """
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        try:
            yield task
        finally:
            task.remove_done_callback(self._ended)
            await end(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._broken.done():
            return
        error = task.exception() or StartError(f"background task {task.get_name()} ended by itself")
        self.telemetry.log.error("background_task_died", task=task.get_name(), exc_info=error)
        self._broken.set_result(error)
        self.stop(f"background task {task.get_name()} died")


Serve = Callable[[P, Runtime], Awaitable[None]]


def main(
    name: str,
    model: type[P],
    serve: Serve[P],
    *,
    migrate: Callable[[P], Awaitable[None]] | None = None,
    check: Callable[[P], object] | None = None,
) -> None:
    """Be the process `name`: parse the command line, check the settings, run `serve(settings, runtime)`, exit.

    `serve` builds everything inside an AsyncExitStack, awaits `runtime.until_stopped()` and unwinds. `migrate` brings
    the service's tables up to date; where it is given, `--migrate` does only that. `check` is what `--check-config`
    does beside checking the settings themselves: it raises ConfigError as `serve` would.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{name}" if name != "gateway" else "python -m gateway"
    )
    parser.add_argument("--config", type=Path, required=True, metavar="PATH", help="settings, a TOML file")
    parser.add_argument("--check-config", action="store_true", help="check the settings and exit")
    if migrate is not None:
        parser.add_argument(
            "--migrate", action="store_true", help="bring the database's tables up to date and exit"
        )
    arguments = parser.parse_args()
    try:
        settings = load(model, arguments.config)
        if arguments.check_config and check is not None:
            check(settings)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{name}: {problem}\n")
        raise SystemExit(2) from None
    if arguments.check_config:
        sys.stdout.write("configuration ok\n")
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if migrate is not None and arguments.migrate:
            code = runner.run(_migrate(name, settings, migrate))
        else:
            code = runner.run(run(name, settings, serve))
    raise SystemExit(code)


async def run(name: str, settings: P, serve: Serve[P]) -> int:
    """Run one service in the present event loop until SIGTERM or SIGINT; return the exit code."""
    telemetry = Telemetry(name, settings.telemetry)
    runtime = Runtime(telemetry, Health(telemetry))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop, number.name)
    try:
        async with runtime.health.serve(settings.telemetry.http_listen):
            return await _serve(name, settings, serve, runtime)
    except OSError as error:
        _say(name, f"cannot listen on {settings.telemetry.http_listen}", error)
        return 1


async def _serve(name: str, settings: P, serve: Serve[P], runtime: Runtime) -> int:
    serving = asyncio.ensure_future(serve(settings, runtime))
    stopping = asyncio.create_task(runtime.stopping.wait(), name="stop-asked")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        await _await_stop(name, serving, settings.stop_seconds, runtime)
    # A start that was given up because the stop was asked for is no failure; one given up for a dead task is.
    error = runtime.failure if serving.cancelled() else serving.exception()
    if error is None:
        runtime.telemetry.log.info("stopped")
        return 0
    _report(name, error, runtime)
    return 1


async def _await_stop(name: str, serving: asyncio.Future[None], seconds: float, runtime: Runtime) -> None:
    # If the event loop itself is blocked, nothing below runs: then this thread of the interpreter ends the process.
    faulthandler.dump_traceback_later(seconds + WATCHDOG_GRACE_SECONDS, exit=True)
    try:
        if "starting" in runtime.health.reasons:
            # Nothing is served yet, so nothing has to be drained: give up waiting for what the start waits for.
            serving.cancel()
        done, _ = await asyncio.wait({serving}, timeout=seconds)
    finally:
        faulthandler.cancel_dump_traceback_later()
    if not done:
        _give_up(name, seconds, runtime)


def _give_up(name: str, seconds: float, runtime: Runtime) -> None:
    hung = [_where(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    runtime.telemetry.log.error("stop_hung", after_seconds=seconds, tasks=hung)
    sys.stderr.write(f"{name}: did not stop within {seconds:g} s; still waiting: {'; '.join(hung)}\n")
    sys.stderr.flush()
    # Not sys.exit: that would run the very clean-up that hangs.
    os._exit(1)


def _where(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    place = f"{Path(frames[0].f_code.co_filename).name}:{frames[0].f_lineno}" if frames else "?"
    return f"{task.get_name()} at {place}"


def _report(name: str, error: BaseException, runtime: Runtime) -> None:
    started = "starting" not in runtime.health.reasons
    _say(name, "broke while serving" if started else "cannot start", error)
    if not isinstance(_first(error), (StartError, ConfigError, DomainError, OSError)):
        runtime.telemetry.log.error("unexpected_error", exc_info=error)


def _say(name: str, what: str, error: BaseException) -> None:
    leaf = _first(error)
    text = " ".join(str(leaf).split()) or type(leaf).__name__
    if not isinstance(leaf, (StartError, ConfigError, DomainError)):
        text = f"{type(leaf).__name__}: {text}"
    sys.stderr.write(f"{name}: {what}: {text}\n")
    sys.stderr.flush()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _migrate(name: str, settings: P, migrate: Callable[[P], Awaitable[None]]) -> int:
    telemetry = Telemetry(name, settings.telemetry)
    try:
        await migrate(settings)
    except Exception as error:
        # The outermost frame of a command: whatever went wrong becomes one line and exit code 1.
        _say(name, "cannot migrate", error)
        if not isinstance(error, (StartError, ConfigError, DomainError, OSError)):
            telemetry.log.exception("unexpected_error")
        return 1
    telemetry.log.info("migrated")
    return 0
