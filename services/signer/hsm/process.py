"""One PKCS#11 worker process as its parent sees it: start, frames in and out, end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from services.signer.hsm.wire import FrameError, FrameKind, FrameReader, command

_ROOT = Path(__file__).resolve().parents[3]
"""The directory that the package `services` is in."""
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "LD_LIBRARY_PATH")
_LEAVE_SECONDS = 2.0
"""How long a worker may take to give its sessions back once its socket is closed."""
_DEATH_SECONDS = 5.0
"""A process inside a driver call that cannot be interrupted survives SIGKILL: it is left to the system then."""
_REAP_SECONDS = 0.01


class Owner(Protocol):
    """Who a worker process reports to."""

    def frame_received(self, worker: WorkerProcess, frame_id: int, kind: int, body: bytes) -> None:
        """Take one frame."""

    def worker_lost(self, worker: WorkerProcess) -> None:
        """Learn, once, that nothing will come from this worker any more."""


class WorkerProcess(asyncio.Protocol):
    """Starts a worker, carries frames, and makes sure that it ends. Knows nothing about what the frames mean.

    Spawned with exec, never forked: a forked child cannot log in. The environment is a short list and what the group's
    settings add; the PIN is in neither: the worker reads its file itself.
    """

    def __init__(self, owner: Owner) -> None:
        """Make a worker that is not started yet."""
        self._owner = owner
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._next_id = 0
        self._lost = False
        # What the group notes about this worker.
        self.ready = False
        self.doubtful = False
        self.faults = 0
        """Doubtful answers since the last good one."""
        self.reserved: Any = None
        """The command that this worker is being emptied for, or is working on alone."""
        self.outstanding: dict[int, Any] = {}
        """Frame id -> what the group waits for, oldest first."""
        self.last_answer = 0.0

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start the process and connect to it. Raises OSError where the system cannot."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "services.signer.hsm.worker",
                        str(theirs.fileno()),
                        str(os.getpid()),
                    ],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_environment(environment),
                )
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id, 0 before the start."""
        return self._process.pid if self._process else 0

    def new_frame_id(self) -> int:
        """Return an id that no outstanding frame of this worker has."""
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        return self._next_id

    def write(self, data: bytes) -> None:
        """Send whole frames."""
        if self._transport is not None:
            self._transport.write(data)

    def send_command(self, frame_id: int, kind: FrameKind, fields: dict[str, Any]) -> None:
        """Send one JSON frame."""
        self.write(command(frame_id, kind, fields))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Cut frames and hand them on; a stream that is not frames costs the worker its life."""
        try:
            for frame_id, kind, body in self._reader.feed(data):
                self._owner.frame_received(self, frame_id, kind, body)
        except FrameError:
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The worker is gone or given up (asyncio calls this)."""
        self.kill()

    def kill(self) -> None:
        """Kill the process now and tell the owner; harmless when it is gone already."""
        self.ready = False
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()
        if not self._lost:
            self._lost = True
            self._owner.worker_lost(self)

    async def ended(self, *, leave: bool = False) -> int | None:
        """Wait until the process is gone and return its exit status, None where even SIGKILL has not ended it; with `leave` let it go by itself first."""
        self.ready = False
        if self._process is None:
            return 0
        loop = asyncio.get_running_loop()
        if leave and self._transport is not None:
            self._lost = True  # Asked for, so no news for the owner.
            self._transport.close()
            limit = loop.time() + _LEAVE_SECONDS
            while self._process.poll() is None and loop.time() < limit:  # noqa: ASYNC110  # no event says it
                await asyncio.sleep(_REAP_SECONDS)
        self.kill()
        limit = loop.time() + _DEATH_SECONDS
        while (status := self._process.poll()) is None and loop.time() < limit:  # noqa: ASYNC110  # the same
            await asyncio.sleep(_REAP_SECONDS)
        return status


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONPATH": str(_ROOT)} | dict(extra)
