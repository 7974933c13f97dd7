"""Worker processes for documents: parsers of hostile input run there, never in the process that serves.

Each document gets one worker for itself until the answer or the deadline. A worker that is late is killed, one that
died is replaced; in both cases the document's verdict is indeterminate, with the limit named.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from services.kernel.errors import Overloaded, ServiceUnavailable
from services.kernel.runtime.confinement import require_confined
from services.verifier import examination
from services.verifier.config import LimitSettings
from services.verifier.examination import Answer
from services.verifier.inquiry import Inquiry
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports.files import ReportPrinter
from services.verifier.workers import wire

START_SECONDS = 60
"""Long enough to load the parsers on a machine that is busy with starting everything else."""


class _Lost(Exception):
    """The worker ended, or answered what is no answer."""


@dataclass(slots=True, eq=False)
class _Worker:
    process: asyncio.subprocess.Process
    trust: TrustMaterial | None = None
    documents: int = 0
    given_up: frozenset[str] = frozenset()
    """What it said it cannot reach any more; see `services.kernel.runtime.confinement`."""

    async def greeted(self) -> None:
        """Wait until it is ready. Raises _Lost."""
        self.given_up = frozenset((await self._answer())["given_up"])

    async def examine(
        self, document: SubmittedDocument, trust: TrustMaterial, inquiry: Inquiry, max_file_bytes: int
    ) -> Answer:
        """Feed one document and read the answer. Raises _Lost."""
        sink = self.process.stdin
        if sink is None:
            raise _Lost
        self.documents += 1
        try:
            if trust is not self.trust:
                sink.write(wire.trust(trust))
                self.trust = trust
            sink.write(wire.start(inquiry))
            for piece in wire.document(document):
                sink.write(piece)
                await sink.drain()
        except ConnectionError as error:
            raise _Lost from error
        head = await self._answer()
        try:
            return Answer(
                head["report"],
                [
                    replace(file, data=await self._read(size))
                    for size, file in wire.read_files(head, max_file_bytes)
                ],
                int(head["evidence_left_out"]),
                int(head["originals_left_out"]),
                tuple(map(base64.b64decode, head["wanted"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _Lost from error

    async def _answer(self) -> dict[str, Any]:
        size = int.from_bytes(await self._read(4), "big")
        if size > wire.MAX_REPORT_BYTES:
            raise _Lost
        try:
            answer: dict[str, Any] = json.loads(await self._read(size))
        except ValueError as error:
            raise _Lost from error
        return answer

    async def _read(self, size: int) -> bytes:
        source = self.process.stdout
        if source is None:
            raise _Lost
        try:
            return await source.readexactly(size)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise _Lost from error

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class WorkerPool:
    """A fixed number of worker processes. Knows nothing of gRPC; safe for many callers in one event loop."""

    def __init__(self, limits: LimitSettings, font_file: Path | None = None) -> None:
        """Start nothing yet: `open` does. Without a font there are no reports in PDF. Raises OSError."""
        self._limits = limits
        self._font_file = font_file
        self.printer = ReportPrinter.read(font_file)
        self._idle: asyncio.LifoQueue[_Worker | None] = asyncio.LifoQueue()
        self._workers: set[_Worker] = set()
        self._waiting = 0
        self.lost = 0
        """Workers that were killed at the deadline or died, since the start."""
        self.given_up: frozenset[str] = frozenset()
        """What the newest worker cannot reach any more."""

    @classmethod
    @asynccontextmanager
    async def open(cls, limits: LimitSettings, font_file: Path | None = None) -> AsyncIterator[WorkerPool]:
        """A pool with its first worker started; all workers are ended when the block ends.

        Raises OSError where the font cannot be read, Unconfined where confinement is required and this machine cannot confine a process.
        """
        pool = cls(limits, font_file)
        for _ in range(limits.workers - 1):
            # None is the right to start one: processes that are not needed yet are not there yet.
            pool._idle.put_nowait(None)
        try:
            pool._idle.put_nowait(await pool._start())
            yield pool
        finally:
            await asyncio.gather(*(worker.end() for worker in {*pool._workers}))

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        return tuple(worker.process.pid for worker in self._workers)

    async def judge(
        self, document: SubmittedDocument, trust: TrustMaterial, at: datetime, *, integrity_only: bool
    ) -> dict[str, Any]:
        """Report on a document in the shape of `rendering.document`; raises as `examine` does."""
        return (await self.examine(document, trust, Inquiry(at, integrity_only=integrity_only))).report

    async def examine(self, document: SubmittedDocument, trust: TrustMaterial, inquiry: Inquiry) -> Answer:
        """Judge a document and bring what is asked for beside the report.

        Raises Overloaded when too many wait, ServiceUnavailable when no worker can be started.
        """
        if self._waiting >= self._limits.max_waiting and self._idle.empty():
            raise Overloaded("too many documents are waiting to be verified; try again in a few seconds")
        self._waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self._waiting -= 1
        keep: _Worker | None = None
        try:
            worker = worker or await self._start_for_document()
            async with asyncio.timeout(self._limits.timeout_seconds):
                answer = await worker.examine(document, trust, inquiry, self._limits.max_answer_bytes)
            if worker.documents < self._limits.documents_per_worker:
                keep = worker
            return answer
        except (TimeoutError, _Lost):
            self.lost += 1
            # Nothing of the document is read for this: it can be done here.
            return await asyncio.to_thread(examination.undecided, document.data, inquiry, self.printer)
        finally:
            # Also on cancellation: a worker with half a document in it must not meet the next one.
            if keep is None and worker is not None:
                await asyncio.shield(self._discard(worker))
            self._idle.put_nowait(keep)

    async def _start_for_document(self) -> _Worker:
        try:
            return await self._start()
        except OSError as error:
            # That is this machine's trouble: nothing may be said of the document.
            raise ServiceUnavailable("no worker can be started to verify the document; try again") from error

    async def _start(self) -> _Worker:
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            # The libraries warn of what documents hold: nobody may read that in a log.
            "-W",
            "ignore",
            "-m",
            "services.verifier.workers.worker",
            str(self._limits.worker_memory_bytes),
            *(() if self._font_file is None else (str(self._font_file),)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        worker = _Worker(process)
        self._workers.add(worker)
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker.greeted()
            if self._limits.require_confinement:
                require_confined(worker.given_up)
        except (TimeoutError, _Lost) as error:
            await self._discard(worker)
            raise OSError("a document worker did not start") from error
        except BaseException:
            await asyncio.shield(self._discard(worker))
            raise
        self.given_up = worker.given_up
        return worker

    async def _discard(self, worker: _Worker) -> None:
        self._workers.discard(worker)
        await worker.end()
