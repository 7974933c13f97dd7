"""One platform on one machine: provide what is missing, start every process in order, stop them in reverse."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from deploy.local.bus import OUTSIDE, SERVICES, provide_bus
from deploy.local.console import PlatformError, say, step
from deploy.local.pki import provide_mesh
from deploy.local.processes import Provisions, public_url, waves
from deploy.local.settings import HOST, Settings
from deploy.local.supervisor import Supervisor, supervise
from deploy.local.token import provide_tokens
from deploy.local.tools import FONT_FILE, Tools

STOP_SECONDS = 120.0
POLL_SECONDS = 0.1


class Platform:
    """A platform that runs."""

    def __init__(self, settings: Settings, provisions: Provisions, supervisor: Supervisor) -> None:
        """Bind what was provided to the processes that run."""
        self.settings = settings
        self.url = public_url(settings.ports)
        self._provisions = provisions
        self._supervisor = supervisor

    async def metrics(self) -> dict[str, str]:
        """What /metrics of each service says now."""
        ports = self.settings.ports
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            return {
                name: (await client.get(f"http://{HOST}:{getattr(ports, f'{name}_metrics')}/metrics")).text
                for name in SERVICES
            }

    @property
    def bus_ca_file(self) -> Path:
        """CA of the bus's certificate, PEM."""
        return self._provisions.mesh["nats"].ca

    @property
    def outside_password_file(self) -> Path:
        """Password of the outside system's bus user."""
        return self._provisions.bus.passwords[OUTSIDE]

    def admit_outside_system(self, client_id: str) -> None:
        """Let the outside system's bus user act for `client_id` and no other."""
        folder = self._provisions.bus.configuration.parent
        provide_bus(folder, self._provisions.mesh["nats"], self.settings.ports, client_id)
        self._supervisor.children["nats"].reload()


@asynccontextmanager
async def running(settings: Settings, tools: Tools, outside_client: str | None) -> AsyncIterator[Platform]:
    """Provide, start and yield the platform; stop everything when the block ends."""
    with _alone(settings):
        settings.ports.require_free()
        provisions = _provide(settings, tools, outside_client)
        async with supervise(settings.logs) as supervisor:
            try:
                for parts in waves(settings, provisions):
                    await supervisor.start(*parts)
            except PlatformError as wrong:
                raise PlatformError(
                    f"{wrong}\nIf {settings.state} was made by another version of the code, `make clean` begins anew."
                ) from wrong
            yield Platform(settings, provisions, supervisor)


def _provide(settings: Settings, tools: Tools, outside_client: str | None) -> Provisions:
    state = settings.state
    with step("PKCS#11 tokens") as current:
        tokens = provide_tokens(tools, state / "hsm")
        current.note(f"{', '.join(tokens.pins)} in {tokens.module}")
    with step("certificates of the mesh") as current:
        mesh = provide_mesh(state / "mesh")
        current.note(", ".join(mesh))
    with step("bus configuration"):
        bus = provide_bus(state / "bus", mesh["nats"], settings.ports, outside_client)
    return Provisions(tools.nats_server(), tokens, mesh, bus, tools.serif_fonts() / FONT_FILE)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the lock of this state: two platforms on the same databases and tokens would ruin both."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock_file(settings).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise PlatformError(
                f"it runs already (process {lock.read().strip()}): `make stop` ends it"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def _lock_file(settings: Settings) -> Path:
    return settings.state / "lock"


def stop(settings: Settings) -> bool:
    """Ask the platform of `settings` to end and wait until it has; False if none runs."""
    path = _lock_file(settings)
    if not path.exists():
        return False
    deadline = time.monotonic() + STOP_SECONDS
    asked = False
    with path.open("a+", encoding="ascii") as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                # Empty for a moment after the lock was taken.
                if not asked and (process := lock.read().strip()):
                    os.kill(int(process), signal.SIGTERM)
                    asked = True
                time.sleep(POLL_SECONDS)
                continue
            return asked
    raise PlatformError(f"it did not end within {STOP_SECONDS:.0f} s; its logs are in {settings.logs}")


async def until_asked_to_stop() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
    say("Stopping")
