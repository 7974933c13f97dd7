"""Keeps the workers of one token group alive: starts, recovers, replaces and ends them.

One task does it all, one login at a time, so that a PIN which the token refuses has been tried once, not once for each
worker. A doubtful worker is first told to open its sessions again, then to initialise the module again; after that, or
when it dies or hangs, it is replaced, with back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Protocol

from services.kernel.errors import DomainError
from services.signer.hsm.calls import PIN_REFUSED, Command, GroupPlan, Sent, send_command
from services.signer.hsm.metrics import GroupMetrics
from services.signer.hsm.process import Owner, WorkerProcess
from services.signer.hsm.wire import FrameKind

BACKOFF_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pause before a worker is started, by the number of failed starts and lost workers since the last signature."""
REINITIALIZE_PAUSE = 0.1
_REOPEN, _REINITIALIZE = 1, 2
"""What is tried after so many doubtful answers without a good one between."""


class Group(Owner, Protocol):
    """What the keeper tells the group, besides being the owner of its worker processes."""

    def workers_changed(self) -> None:
        """A worker can take work."""

    def refuse_waiting(self) -> None:
        """Nothing can take work, and it is not known when something will."""

    def look_at_clock(self, now: float) -> None:
        """See what has waited too long."""


class Keeper:
    """The workers of one group, and why they cannot sign when they cannot."""

    def __init__(self, plan: GroupPlan, metrics: GroupMetrics, log: Any, group: Group) -> None:
        """Take the plan; nothing starts before `open`."""
        self._plan, self._metrics, self._log, self._group = plan, metrics, log, group
        self.workers: list[WorkerProcess] = []
        self.stopped = False
        self._reason = "hsm: starting"
        self._start_failed = False
        self._setbacks = 0
        self._not_before = 0.0
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._reaping: set[asyncio.Task[int | None]] = set()

    async def open(self) -> None:
        """Start the workers; return when all are up or one start has failed."""
        self._task = asyncio.create_task(self._keep(), name=f"hsm-{self._plan.name}")
        self._schedule_watch()
        await self._settled.wait()

    async def close(self) -> None:
        """Let the workers go and wait for their end. The group has settled what they had."""
        if self._watch is not None:
            self._watch.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        leaving = [worker.ended(leave=True) for worker in self.workers]
        await asyncio.gather(*leaving, *self._reaping)
        self.workers.clear()

    @property
    def ready_workers(self) -> int:
        """Workers that are logged in and not in doubt."""
        return sum(worker.ready and not worker.doubtful for worker in self.workers)

    @property
    def reason(self) -> str | None:
        """Why the group cannot sign now, None where it can."""
        return self._reason if self.stopped or not self.ready_workers else None

    @property
    def hopeless(self) -> bool:
        """True where waiting for a worker makes no sense: stopped, or none there and the last start failed."""
        return self.stopped or (self._start_failed and not self.workers)

    def wake(self) -> None:
        """Look again at what is to be done."""
        self._wake.set()

    def worked(self, worker: WorkerProcess) -> None:
        """Note that a worker has signed: all is well again."""
        worker.faults = self._setbacks = 0

    def doubt(self, worker: WorkerProcess) -> None:
        """Note that a worker needs recovery; it gets no more work until then."""
        if not worker.doubtful:
            worker.doubtful = True
            worker.faults += 1
            if not self.stopped:
                self._reason = "hsm: the token does not answer as it should"
            self._log.warning(
                "hsm_session_doubtful", group=self._plan.name, pid=worker.pid, faults=worker.faults
            )
        self._wake.set()

    def lost(self, worker: WorkerProcess) -> None:
        """Note that a worker is gone, and see to its remains."""
        if worker in self.workers:
            self.workers.remove(worker)
            self._metrics.failed("worker_died", 1)
            self._log.warning("hsm_worker_lost", group=self._plan.name, pid=worker.pid)
            if not self.stopped:
                self._reason = "hsm: workers are being replaced"
            self._set_back()
        reaping = asyncio.get_running_loop().create_task(worker.ended())
        self._reaping.add(reaping)
        reaping.add_done_callback(self._reaping.discard)
        self._wake.set()

    def refuse_pin(self) -> None:
        """Stop for good: every further attempt would bring the token nearer to locking itself."""
        self._metrics.failed("pin", 1)
        self._log.error("hsm_pin_refused", group=self._plan.name)
        self.stop(PIN_REFUSED)
        for worker in list(self.workers):
            worker.kill()
        self._settled.set()

    def stop(self, reason: str) -> None:
        """Start and recover nothing any more; the first reason given stands."""
        if not self.stopped:
            self.stopped, self._reason = True, reason
        self._group.refuse_waiting()
        self._wake.set()

    def _schedule_watch(self) -> None:
        interval = min(0.5, self._plan.timeout / 20)
        self._watch = asyncio.get_running_loop().call_later(interval, self._look_at_clock)

    def _look_at_clock(self) -> None:
        now = asyncio.get_running_loop().time()
        for worker in list(self.workers):
            if worker.outstanding:
                sent: Sent = next(iter(worker.outstanding.values()))
                # With one session the frames go one after the other: a frame's time begins with the last answer.
                since = max(sent.at, worker.last_answer) if self._plan.sessions == 1 else sent.at
                if now - since > sent.timeout:
                    self._metrics.failed("hang", 1)
                    self._log.warning("hsm_worker_hangs", group=self._plan.name, pid=worker.pid)
                    worker.kill()
        self._group.look_at_clock(now)
        self._schedule_watch()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.stopped:
            self._wake.clear()
            doubtful = next(
                (worker for worker in self.workers if worker.doubtful and not worker.outstanding), None
            )
            pause: float | None = None
            if doubtful is not None:
                await self._recover(doubtful)
                continue
            if len(self.workers) < self._plan.workers:
                pause = self._not_before - loop.time()
                if pause <= 0:
                    await self._start_worker()
                    continue
            else:
                self._settled.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _recover(self, worker: WorkerProcess) -> None:
        if worker.faults > _REINITIALIZE:
            worker.kill()
            return
        initialize = worker.faults > _REOPEN
        if initialize:
            await asyncio.sleep(REINITIALIZE_PAUSE)
        if await self._ask(worker, FrameKind.RECOVER, {"initialize": initialize}):
            worker.doubtful = False
            self._group.workers_changed()
        else:
            worker.faults += 1

    async def _start_worker(self) -> None:
        worker = WorkerProcess(self._group)
        started = time.perf_counter()
        try:
            await worker.start(self._plan.environment)
            good = await self._ask(worker, FrameKind.HELLO, dict(self._plan.hello))
        except OSError as error:
            good, self._reason = False, f"hsm: a worker cannot be started ({error.strerror})"
        except asyncio.CancelledError:
            await worker.ended()
            raise
        self._start_failed = not good
        if good:
            self.workers.append(worker)
            worker.ready = True
            milliseconds = round((time.perf_counter() - started) * 1000)
            self._log.info(
                "hsm_worker_ready", group=self._plan.name, pid=worker.pid, milliseconds=milliseconds
            )
            self._group.workers_changed()
            return
        self._metrics.failed("start", 1)
        self._log.warning("hsm_worker_not_started", group=self._plan.name, reason=self._reason)
        self._set_back()
        worker.kill()
        self._settled.set()
        if not self.workers:
            self._group.refuse_waiting()

    def _set_back(self) -> None:
        self._setbacks += 1
        pause = BACKOFF_SECONDS[min(self._setbacks, len(BACKOFF_SECONDS)) - 1]
        self._not_before = asyncio.get_running_loop().time() + pause

    async def _ask(self, worker: WorkerProcess, kind: FrameKind, fields: dict[str, Any]) -> bool:
        """Send a command of the keeper's own; return whether it was done, and keep the reason where it was not."""
        loop = asyncio.get_running_loop()
        limit = self._plan.start_timeout
        command = Command(
            kind, fields, alone=True, timeout=limit, done=loop.create_future(), waiting_since=loop.time()
        )
        send_command(worker, command, loop.time())
        try:
            await asyncio.wait_for(command.done, limit)
        except TimeoutError:
            if not self.stopped:
                self._reason = "hsm: the token does not answer"
            worker.kill()
            return False
        except DomainError as error:
            if not self.stopped:
                self._reason = f"hsm: {error.data.get('reason', 'the worker failed')}"
            return False
        return True
