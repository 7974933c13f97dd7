"""One document worker as the signer sees it: a spawned process behind a socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from services.signer.documents.wire import HEAD, WireError, pack, unpack_head

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60
"""Long enough to load the parsers on a machine that is busy with starting everything else."""


class WorkerDied(Exception):
    """The worker's process ended, or talked nonsense, in the middle of a step."""


class Worker:
    """One spawned process and our end of its socket; serves one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self.process = process
        self.given_up: frozenset[str] = frozenset()
        """What the worker said it cannot reach any more; see `services.kernel.runtime.confinement`."""
        self._connection = connection

    @classmethod
    async def start(cls, memory_bytes: int, font_file: Path | None = None) -> Worker:
        """Spawn a worker and wait until it has loaded its parsers.

        It gets our import path and nothing else of our environment.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            try:
                process = await _spawn(theirs.fileno(), memory_bytes, font_file)
            except BaseException:
                ours.close()
                raise
        worker = cls(process, ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                greeting, _ = await worker._receive()
            if "unfit" in greeting:
                raise OSError(str(greeting["unfit"])[:500])
            worker.given_up = frozenset(greeting["given_up"])
        except EOFError as error:
            await worker.kill()
            raise OSError(f"a document worker ended while starting, status {process.returncode}") from error
        except BaseException:
            await worker.kill()
            raise
        return worker

    def alive(self) -> bool:
        """Say whether the process still holds its end of the socket; only between requests."""
        try:
            self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # The end of the stream, or an answer that nobody asked for.
        return False

    async def ask(self, meta: dict[str, Any], body: bytes, descriptor: int) -> tuple[dict[str, Any], bytes]:
        """Send one request with the document's descriptor and wait for the answer."""
        loop = asyncio.get_running_loop()
        message = pack(json.dumps(meta).encode(), body)
        try:
            # The socket is empty between requests, so these few bytes never wait.
            socket.send_fds(self._connection, [message[: HEAD.size]], [descriptor])
            await loop.sock_sendall(self._connection, message[HEAD.size :])
            return await self._receive()
        except (OSError, EOFError, WireError, ValueError) as error:
            raise WorkerDied(type(error).__name__) from error

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        meta_length, body_length = unpack_head(await self._exactly(HEAD.size))
        payload = await self._exactly(meta_length + body_length)
        meta = json.loads(payload[:meta_length])
        if not isinstance(meta, dict):
            raise WireError("the answer is not an object")
        return meta, payload[meta_length:]

    async def _exactly(self, length: int) -> bytes:
        loop = asyncio.get_running_loop()
        buffer = bytearray(length)
        with memoryview(buffer) as view:
            done = 0
            while done < length:
                count = await loop.sock_recv_into(self._connection, view[done:])
                if not count:
                    raise EOFError
                done += count
        return bytes(buffer)

    async def kill(self) -> None:
        """End the process and reap it."""
        self._connection.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def _spawn(descriptor: int, memory_bytes: int, font_file: Path | None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "services.signer.documents.worker",
        str(descriptor),
        str(memory_bytes),
        *(() if font_file is None else (str(font_file),)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "LC_ALL": "C.UTF-8"},
    )
