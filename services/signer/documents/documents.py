"""Documents in, signed documents out: spooling in the signer, parsing in spawned workers.

The signer keeps a document as an anonymous file and gives a worker a read-only descriptor of it for two short steps,
so a slow upload or a slow token holds no worker, and a worker that hangs or dies takes no other document along.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Gauge, Histogram

from services.kernel.errors import (
    AlgorithmMismatch,
    BodyTooLarge,
    DocumentDamaged,
    DocumentEncrypted,
    DocumentLocked,
    DocumentNotPdf,
    DomainError,
    EvidenceUnavailable,
    FieldInvalid,
    FontMissing,
    ImageInvalid,
    Internal,
    Overloaded,
    PlaceInvalid,
    SenderMismatch,
    TargetInvalid,
    TimeStampUnavailable,
    error_class,
)
from services.kernel.runtime.confinement import FILES, NETWORK, TCP, require_confined
from services.kernel.runtime.telemetry import LATENCY_BUCKETS
from services.signer.documents.process import Worker, WorkerDied
from services.signer.documents.session import DocumentSession
from services.signer.documents.spool import Spool
from services.signer.documents.wire import WireError, require_body
from services.signer.formats.errors import SelfCheckFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from services.kernel.runtime.telemetry import Telemetry

WORKER_MEMORY_BYTES = 1 << 30
"""Address space of one worker."""
_RESTART_PAUSE_SECONDS = 1.0
_ATTEMPTS = 3
"""A step signs nothing, so it may be done again: workers also die for reasons that are not the document's."""

READING_STEPS = frozenset({"prepare", "recognise", "next_need"})
"""What fails in these is the document's fault: nothing of ours was put in yet."""

_WORKER_ERRORS = (
    AlgorithmMismatch,
    BodyTooLarge,
    DocumentDamaged,
    DocumentEncrypted,
    DocumentLocked,
    DocumentNotPdf,
    EvidenceUnavailable,
    FieldInvalid,
    FontMissing,
    ImageInvalid,
    Internal,
    PlaceInvalid,
    SelfCheckFailed,
    SenderMismatch,
    TargetInvalid,
    TimeStampUnavailable,
)
"""What a worker may say: one that was taken over cannot pass off, say, a missing scope."""


_MAX_DATA = 16
"""Fields beside an error's text: they travel in a head of limited size."""


class DocumentMetrics:
    """What the document road shows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        self.confined = Gauge(
            "kyso_signer_document_workers_confined",
            "1 where the newest document worker gave up what the label names.",
            ["what"],
            registry=registry,
        )
        self.seconds = Histogram(
            "kyso_signer_document_seconds",
            "Time of one step in a document worker.",
            ["format", "step"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.replacements = Counter(
            "kyso_signer_document_worker_replacements_total",
            "Document workers that were killed or died, by reason.",
            ["reason"],
            registry=registry,
        )
        self.workers = Gauge(
            "kyso_signer_document_workers", "Document workers that are running.", registry=registry
        )


class DocumentWorkers:
    """The pool of document workers. Make it with `open`; it does not queue documents, it queues their steps."""

    def __init__(
        self,
        timeout_seconds: float,
        max_document_bytes: int,
        telemetry: Telemetry | None = None,
        *,
        require_confinement: bool = False,
        font_file: Path | None = None,
    ) -> None:
        """Keep the limits; `open` starts the workers."""
        self._require_confinement = require_confinement
        self._font_file = font_file
        self.timeout_seconds = timeout_seconds
        self.max_document_bytes = max_document_bytes
        self._metrics = DocumentMetrics(telemetry.registry) if telemetry is not None else None
        self._log = telemetry.log if telemetry is not None else None
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._running: set[Worker] = set()
        self._dying: set[Worker] = set()
        self._replacing: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        workers: int = 2,
        timeout_seconds: float = 60,
        max_document_bytes: int = 100 << 20,
        telemetry: Telemetry | None = None,
        *,
        require_confinement: bool = False,
        font_file: Path | None = None,
    ) -> AsyncIterator[DocumentWorkers]:
        """Start the workers; on leaving, end them. A step may wait for a worker, and take, `timeout_seconds` each.

        Without a font, visible signatures with text are refused (FontMissing).
        Raises Unconfined where confinement is required and this machine cannot confine a process.
        """
        pool = cls(
            timeout_seconds,
            max_document_bytes,
            telemetry,
            require_confinement=require_confinement,
            font_file=font_file,
        )
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(pool._add())
            yield pool
        finally:
            await pool._close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[DocumentSession]:
        """Take in one document; on leaving, it is forgotten."""
        spool = Spool()
        try:
            yield DocumentSession(self.run, self.max_document_bytes, spool)
        finally:
            spool.close()

    async def check(self) -> str | None:
        """For readiness: None while a worker runs, else the reason."""
        return None if self._running else "no document worker is running"

    async def run(self, meta: dict[str, Any], body: bytes, spool: Spool) -> tuple[dict[str, Any], bytes]:
        """Do one step in some worker; a step is done again where the worker died in it.

        Raises BodyTooLarge where `body` is more than a worker takes, and what the worker says.
        """
        require_body(len(body))
        started = time.monotonic()
        answer, result = await self._until_answered(meta, body, spool)
        if self._metrics is not None:
            self._metrics.seconds.labels(meta.get("format", ""), meta["step"]).observe(
                time.monotonic() - started
            )
        if "code" in answer:
            raise _raised(answer)
        return answer, result

    async def _until_answered(
        self, meta: dict[str, Any], body: bytes, spool: Spool
    ) -> tuple[dict[str, Any], bytes]:
        for _ in range(_ATTEMPTS):
            with suppress(WorkerDied):
                return await self._once(meta, body, spool)
        raise _stopped(meta["step"], "crash", "the document stops the program that reads it")

    async def _once(self, meta: dict[str, Any], body: bytes, spool: Spool) -> tuple[dict[str, Any], bytes]:
        worker = await self._take()
        reason = "cancelled"
        try:
            async with asyncio.timeout(self.timeout_seconds):
                with spool.read_only() as descriptor:
                    answer, result = await worker.ask(meta, body, descriptor.number)
            reason = "memory" if answer.get("retire") else ""
            return answer, result
        except TimeoutError as error:
            reason = "timeout"
            text = f"the document could not be read within {self.timeout_seconds:g} seconds"
            raise _stopped(meta["step"], "time", text) from error
        except WorkerDied:
            reason = "death"
            raise
        finally:
            # A worker that was left in the middle of a step, for whatever reason, is never used again.
            if reason:
                self._replace(worker, reason)
            else:
                self._idle.put_nowait(worker)

    async def _take(self) -> Worker:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                # One that died while it was idle says nothing about this document.
                while not (worker := await self._idle.get()).alive():
                    self._replace(worker, "death")
                return worker
        except TimeoutError as error:
            raise Overloaded("all document workers are busy: retry after a pause") from error

    async def _add(self) -> None:
        worker = await Worker.start(WORKER_MEMORY_BYTES, self._font_file)
        if self._require_confinement:
            try:
                require_confined(worker.given_up)
            except OSError:
                await worker.kill()
                raise
        self._running.add(worker)
        self._count()
        if self._metrics is not None:
            for what in (FILES, NETWORK, TCP):
                self._metrics.confined.labels(what).set(what in worker.given_up)
        self._idle.put_nowait(worker)

    def _replace(self, worker: Worker, reason: str) -> None:
        self._running.discard(worker)
        self._dying.add(worker)
        self._count()
        if self._metrics is not None:
            self._metrics.replacements.labels(reason).inc()
        if self._log is not None:
            self._log.warning("document_worker_replaced", reason=reason, pid=worker.process.pid)
        task = asyncio.create_task(self._replacement(worker))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replacement(self, worker: Worker) -> None:
        await worker.kill()
        self._dying.discard(worker)
        while True:
            try:
                await self._add()
            except (OSError, EOFError, TimeoutError, WireError):
                # No memory or no process slot now: the machine needs a pause, not a storm of attempts.
                await asyncio.sleep(_RESTART_PAUSE_SECONDS)
            else:
                return

    def _count(self) -> None:
        if self._metrics is not None:
            self._metrics.workers.set(len(self._running))

    async def _close(self) -> None:
        replacing = list(self._replacing)
        for task in replacing:
            task.cancel()
        await asyncio.gather(*replacing, return_exceptions=True)
        await asyncio.gather(*(worker.kill() for worker in self._running | self._dying))
        self._running.clear()
        self._count()


def _stopped(step: str, reason: str, text: str) -> DomainError:
    if step in READING_STEPS:
        return DocumentDamaged(text, reason=reason)
    return Internal(f"the signature could not be completed: {text}")


def _raised(answer: dict[str, Any]) -> DomainError:
    """Make the worker's error again; a code that no document can cause is an internal error."""
    known = error_class(str(answer["code"]))
    text, data = str(answer.get("message"))[:1000], answer.get("data")
    if known not in _WORKER_ERRORS or not isinstance(data, dict) or len(data) > _MAX_DATA:
        return Internal("a document worker failed")
    return known(
        text,
        **{str(key): value if isinstance(value, int) else str(value)[:200] for key, value in data.items()},
    )
