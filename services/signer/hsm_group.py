"""One token group: its queue, its workers, and what happens when one of them fails.

Nothing here blocks and nothing here is a thread: all of it runs on the event loop. The road of a digest is short: queue,
frame, answer. Large calls are cut into frames of a few milliseconds of token time and take turns with all others, so
that a single digest never waits behind a thousand.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.kernel.errors import DomainError, HsmOutcomeUnknown, HsmTimeout, HsmUnavailable, Overloaded
from services.signer import hsm_wire
from services.signer.hsm_metrics import GroupMetrics, failure_reason
from services.signer.hsm_process import WorkerProcess
from services.signer.hsm_types import GroupStatus, HsmKeyMismatch, HsmKeyMissing, HsmRefused, ItemOutcome
from services.signer.hsm_wire import FrameKind, Status

FRAME_SECONDS = 0.003
"""Token time that one frame is meant to take: enough to hide the way to the worker, too little to be in the way."""
FRAMES_AHEAD = 2
"""Frames that a session may have, the one at work included, so that it does not idle while the loop is busy."""
MAX_FRAME_ITEMS = 256
MAX_ESTIMATES = 10_000
FIRST_ESTIMATE = 0.002
"""Seconds that an operation is taken to need before one with the same key was measured."""
BACKOFF_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
REINITIALIZE_PAUSE = 0.1
PIN_REFUSED = "hsm: PIN refused"


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """How a group is to be run: the HELLO fields for its workers, and its numbers."""

    name: str
    hello: Mapping[str, Any]
    environment: Mapping[str, str]
    workers: int
    sessions: int
    timeout: float
    generate_timeout: float
    start_timeout: float
    queue_limit: int


@dataclass(slots=True, eq=False)
class Call:
    """The digests of one caller under one key. `head` is the packed key and algorithm."""

    head: bytes
    mechanism: str
    digests: Sequence[bytes]
    admit: Callable[[], None] | None
    done: asyncio.Future[None]
    waiting_since: float
    outcomes: list[ItemOutcome | None] = field(default_factory=list)
    next: int = 0
    unfinished: int = 0

    def settle(self, start: int, outcomes: Sequence[ItemOutcome]) -> None:
        """Note the outcomes of items start, start + 1, ...; wake the caller after the last."""
        self.outcomes[start : start + len(outcomes)] = outcomes
        self.unfinished -= len(outcomes)
        if self.unfinished == 0 and not self.done.done():
            self.done.set_result(None)

    def settle_rest(self, error: DomainError) -> None:
        """Give all items that were not handed over the same outcome."""
        start, self.next = self.next, len(self.digests)
        self.settle(start, [error] * (len(self.digests) - start))


@dataclass(slots=True, eq=False)
class Command:
    """Anything but signing. `alone`: nothing else may run in the worker meanwhile."""

    kind: FrameKind
    fields: dict[str, Any]
    alone: bool
    timeout: float
    done: asyncio.Future[dict[str, Any]]
    waiting_since: float


@dataclass(slots=True, eq=False)
class Sent:
    """A frame at a worker: (call, first item, items) of each job, or one command; and its deadline's length."""

    jobs: list[tuple[Call, int, int]]
    command: Command | None
    at: float
    timeout: float


class TokenGroup:
    """The door to one token. Does not know what a key is for: callers have checked that before."""

    def __init__(self, plan: GroupPlan, metrics: GroupMetrics, log: Any) -> None:
        """Take the plan; nothing starts before `open`."""
        self._plan, self._metrics, self._log = plan, metrics, log
        self._queue: deque[Call] = deque()
        self._commands: deque[Command] = deque()
        self._queued_items = 0
        self._workers: list[WorkerProcess] = []
        self._estimates: dict[bytes, float] = {}
        self._setbacks = 0
        """Failed starts and lost workers since the last signature."""
        self._start_failed = False
        self._reaping: set[asyncio.Task[int | None]] = set()
        self._not_before = 0.0
        self._reason: str | None = "hsm: starting"
        self._stopped = False
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._dispatching = False

    # --- life -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the workers, one after the other; return when all are up or one start has failed."""
        self._metrics.follow(self)
        self._keeper = asyncio.create_task(self._keep(), name=f"hsm-{self._plan.name}")
        self._schedule_watch()
        await self._settled.wait()

    async def close(self) -> None:
        """Refuse what waits, let the workers go, wait for their end."""
        self._stop("hsm: stopped")
        if self._watch is not None:
            self._watch.cancel()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        workers = list(self._workers)
        for worker in workers:
            self._abandon(worker, "stopped")
        await asyncio.gather(*(worker.ended(leave=True) for worker in workers), *self._reaping)
        self._workers.clear()

    @property
    def queue_length(self) -> int:
        """Digests that wait for a worker."""
        return self._queued_items

    @property
    def busy(self) -> int:
        """Sessions that have work."""
        return sum(min(len(worker.outstanding), self._plan.sessions) for worker in self._workers)

    @property
    def ready_workers(self) -> int:
        """Workers that are logged in and not in doubt."""
        return sum(worker.ready and not worker.doubtful for worker in self._workers)

    def status(self) -> GroupStatus:
        """Say how the group is."""
        ready = self.ready_workers
        reason = None if ready and not self._stopped else (self._reason or "hsm: no worker is ready")
        pids = tuple(worker.pid for worker in self._workers)
        return GroupStatus(self._plan.workers, ready, self._queued_items, reason, pids)

    # --- callers ----------------------------------------------------------------------------------------------

    async def sign(
        self, head: bytes, mechanism: str, digests: Sequence[bytes], admit: Callable[[], None] | None
    ) -> list[ItemOutcome]:
        """Sign digests under one key; one outcome for each, in order. A caller that is cancelled leaves the queue."""
        if (refusal := self._refusal(len(digests))) is not None:
            return [refusal] * len(digests)
        loop = asyncio.get_running_loop()
        call = Call(head, mechanism, digests, admit, loop.create_future(), loop.time())
        call.outcomes = [None] * len(digests)
        call.unfinished = len(digests)
        self._queue.append(call)
        self._queued_items += len(digests)
        self._dispatch_soon()
        await call.done
        return call.outcomes  # type: ignore[return-value]  # no None is left once `done` has a result

    async def command(
        self, kind: FrameKind, fields: dict[str, Any], *, alone: bool, timeout: float
    ) -> dict[str, Any]:
        """Have a worker do something else; return its answer. Raises DomainError."""
        if (refusal := self._refusal(1)) is not None:
            raise refusal
        loop = asyncio.get_running_loop()
        command = Command(kind, fields, alone, timeout, loop.create_future(), loop.time())
        self._commands.append(command)
        self._dispatch_soon()
        return await command.done

    def _refusal(self, items: int) -> DomainError | None:
        if self._stopped or (self._start_failed and not self._workers):
            return self._unavailable()
        if (
            self._queued_items + items > self._plan.queue_limit
            or len(self._commands) >= self._plan.queue_limit
        ):
            self._metrics.failed("queue_full", items)
            return Overloaded(
                f"too many digests wait for the token group {self._plan.name!r}: retry after a pause"
            )
        return None

    def _unavailable(self) -> HsmUnavailable:
        reason = self._reason or "hsm: no worker is ready"
        return HsmUnavailable(
            f"the token group {self._plan.name!r} cannot sign now ({reason}): nothing was signed, retry later",
            reason=reason,
        )

    # --- to the workers ---------------------------------------------------------------------------------------

    def _dispatch_soon(self) -> None:
        # Once for each turn of the loop: calls that arrive together are spread and packed together.
        if not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        now = asyncio.get_running_loop().time()
        while self._commands and self._dispatch_command(now):
            pass
        while self._queue:
            free, worker = 0, None
            for candidate in self._workers:
                room = self._room(candidate)
                free += room
                if room and (worker is None or len(candidate.outstanding) < len(worker.outstanding)):
                    worker = candidate
            if worker is None:
                return
            self._send_jobs(worker, -(-self._queued_items // free), now)

    def _room(self, worker: WorkerProcess) -> int:
        if not worker.ready or worker.doubtful or worker.reserved is not None:
            return 0
        return max(0, self._plan.sessions * FRAMES_AHEAD - len(worker.outstanding))

    def _dispatch_command(self, now: float) -> bool:
        command = self._commands[0]
        able = [
            worker
            for worker in self._workers
            if worker.ready and not worker.doubtful and worker.reserved is None
        ]
        # Key generation takes seconds: where there are several workers, one always goes on signing.
        if not able or (command.alone and len(able) < min(2, self._plan.workers)):
            return False
        worker = min(able, key=lambda candidate: len(candidate.outstanding))
        self._commands.popleft()
        if command.done.done():
            return True
        if command.alone:
            worker.reserved = command
            if worker.outstanding:
                return True
        self._send_command(worker, command, now)
        return True

    def _send_command(self, worker: WorkerProcess, command: Command, now: float) -> None:
        frame_id = worker.new_frame_id()
        worker.outstanding[frame_id] = Sent([], command, now, command.timeout)
        worker.send_command(frame_id, command.kind, command.fields)

    def _send_jobs(self, worker: WorkerProcess, share: int, now: float) -> None:
        """Fill one frame: at most `share` items, about FRAME_SECONDS of work, callers in turn."""
        jobs: list[tuple[Call, int, int]] = []
        parts: list[bytes] = []
        seconds, items = FRAME_SECONDS, min(share, MAX_FRAME_ITEMS)
        while self._queue and items > 0 and (seconds > 0 or not jobs):
            call = self._queue.popleft()
            left = len(call.digests) - call.next
            if call.done.done() or not self._admitted(call):
                self._queued_items -= left
                continue
            estimate = self._estimates.get(call.head, FIRST_ESTIMATE)
            count = min(left, items, max(1, int(seconds / estimate)))
            start = call.next
            call.next += count
            call.waiting_since = now
            parts += (call.head, hsm_wire.COUNT.pack(count), *call.digests[start : start + count])
            jobs.append((call, start, count))
            items -= count
            seconds -= count * estimate
            self._queued_items -= count
            if count < left:
                self._queue.append(call)
        if jobs:
            frame_id = worker.new_frame_id()
            worker.outstanding[frame_id] = Sent(jobs, None, now, self._plan.timeout)
            worker.write(hsm_wire.frame(frame_id, FrameKind.SIGN, b"".join(parts)))

    def _admitted(self, call: Call) -> bool:
        if call.admit is None:
            return True
        try:
            call.admit()
        except DomainError as error:
            call.settle_rest(error)
            return False
        except (
            Exception
        ) as error:  # A fault of the caller's own check: it is the caller's to see, not the queue's.
            call.next = len(call.digests)
            call.done.set_exception(error)
            return False
        return True

    # --- from the workers -------------------------------------------------------------------------------------

    def frame_received(self, worker: WorkerProcess, frame_id: int, kind: int, body: bytes) -> None:
        """Take an answer (WorkerProcess calls this)."""
        sent: Sent | None = worker.outstanding.pop(frame_id, None)
        if sent is None:
            raise hsm_wire.FrameError(f"answer to frame {frame_id}, which was not sent")
        worker.last_answer = asyncio.get_running_loop().time()
        try:
            if kind == FrameKind.SIGNED and sent.command is None:
                self._signed(worker, sent, body)
            elif kind == FrameKind.ANSWER and sent.command is not None:
                self._answered(worker, sent.command, hsm_wire.read_answer(body))
            else:
                raise hsm_wire.FrameError(f"frame kind {kind} is no answer to what was asked")
        except hsm_wire.FrameError:
            worker.outstanding[frame_id] = sent  # It is settled with the rest of what this worker had.
            raise
        if worker.doubtful and not worker.outstanding:
            self._wake.set()
        if isinstance(worker.reserved, Command) and not worker.outstanding and worker.ready:
            self._send_command(worker, worker.reserved, worker.last_answer)
        if self._queue or self._commands:
            self._dispatch()

    def _signed(self, worker: WorkerProcess, sent: Sent, body: bytes) -> None:
        doubtful, cpu_ns, items = hsm_wire.read_signed_body(body)
        if len(items) != sum(count for _, _, count in sent.jobs):
            raise hsm_wire.FrameError("an answer has not as many items as its question")
        self._metrics.token_seconds(cpu_ns / 1e9)
        position = 0
        pin_refused = False
        for call, start, count in sent.jobs:
            observe = self._metrics.operation("sign", call.mechanism)
            outcomes: list[ItemOutcome] = []
            micros_sum = 0
            for status, micros, result in items[position : position + count]:
                if status == Status.OK:
                    observe(micros / 1e6)
                    micros_sum += micros
                    outcomes.append(result)
                else:
                    pin_refused = pin_refused or status == Status.PIN
                    outcomes.append(self._failure(status, result.decode("ascii", "replace")))
            position += count
            if micros_sum:
                self._learn(call.head, micros_sum / 1e6 / count)
                worker.faults = self._setbacks = 0
            call.settle(start, outcomes)
        if pin_refused:
            self._refuse_pin()
        elif doubtful:
            self._doubt(worker)

    def _learn(self, head: bytes, seconds: float) -> None:
        known = self._estimates.get(head)
        if known is None and len(self._estimates) >= MAX_ESTIMATES:
            self._estimates.clear()
        self._estimates[head] = seconds if known is None else known + (seconds - known) / 8

    def _answered(self, worker: WorkerProcess, command: Command, answer: dict[str, Any]) -> None:
        if command is worker.reserved:
            worker.reserved = None
        status = Status(answer["status"])
        if not command.done.done():
            if status is Status.OK:
                command.done.set_result(answer)
            else:
                command.done.set_exception(self._failure(status, str(answer["reason"])))
        if status is Status.PIN:
            self._refuse_pin()
        elif answer["doubtful"]:
            self._doubt(worker)

    def _failure(self, status: Status, reason: str) -> DomainError:
        self._metrics.failed(failure_reason(status, reason), 1)
        name = self._plan.name
        match status:
            case Status.KEY_MISSING:
                return HsmKeyMissing(
                    f"the token group {name!r} does not hold this key once ({reason})", reason=reason
                )
            case Status.KEY_MISMATCH:
                return HsmKeyMismatch(
                    f"the key in token group {name!r} is not the one recorded: it is not used"
                )
            case Status.REFUSED:
                return HsmRefused(
                    f"the token group {name!r} refuses this operation ({reason})", reason=reason
                )
            case Status.UNKNOWN:
                return HsmOutcomeUnknown(
                    f"the token failed during the operation ({reason}): it may have signed, nothing was released",
                    reason=reason,
                )
            case Status.PIN:
                return HsmUnavailable(f"the token group {name!r} refused its PIN", reason=PIN_REFUSED)
            case _:
                return HsmUnavailable(
                    f"the token group {name!r} lost its token ({reason}): nothing was signed, retry",
                    reason=reason,
                )

    # --- when workers fail ------------------------------------------------------------------------------------

    def worker_lost(self, worker: WorkerProcess) -> None:
        """Settle what a dead worker had (WorkerProcess calls this)."""
        if worker in self._workers:
            self._workers.remove(worker)
            self._metrics.failed("worker_died", 1)
            self._log.warning("hsm_worker_lost", group=self._plan.name, pid=worker.pid)
            self._set_back()
            if not self._workers:
                self._reason = "hsm: workers are being replaced"
        self._abandon(worker, "worker died")
        reaping = asyncio.get_running_loop().create_task(worker.ended())
        self._reaping.add(reaping)
        reaping.add_done_callback(self._reaping.discard)
        self._wake.set()

    def _abandon(self, worker: WorkerProcess, reason: str) -> None:
        lost = list(worker.outstanding.values())
        worker.outstanding.clear()
        if isinstance(worker.reserved, Command) and all(sent.command is not worker.reserved for sent in lost):
            # It was only waiting for its turn: another worker can have it.
            self._commands.appendleft(worker.reserved)
        worker.reserved = None
        unknown = HsmOutcomeUnknown(
            f"the HSM worker failed after it had got this ({reason}): the token may have signed, nothing was released",
            reason=reason,
        )
        for sent in lost:
            for call, start, count in sent.jobs:
                self._metrics.failed("outcome_unknown", count)
                call.settle(start, [unknown] * count)
            if sent.command is not None and not sent.command.done.done():
                sent.command.done.set_exception(unknown)

    def _doubt(self, worker: WorkerProcess) -> None:
        if not worker.doubtful:
            worker.doubtful = True
            worker.faults += 1
            if not self.ready_workers:
                self._reason = "hsm: the token does not answer as it should"
            self._log.warning(
                "hsm_session_doubtful", group=self._plan.name, pid=worker.pid, faults=worker.faults
            )
        self._wake.set()

    def _refuse_pin(self) -> None:
        # Nothing may try this PIN again: every attempt brings the token nearer to locking itself.
        self._metrics.failed("pin", 1)
        self._log.error("hsm_pin_refused", group=self._plan.name)
        self._stop(PIN_REFUSED)
        for worker in list(self._workers):
            worker.kill()
        self._settled.set()

    def _stop(self, reason: str) -> None:
        if not self._stopped:
            self._stopped, self._reason = True, reason
        self._refuse_waiting()
        self._wake.set()

    def _refuse_waiting(self) -> None:
        error = self._unavailable()
        while self._queue:
            self._queue.popleft().settle_rest(error)
        self._queued_items = 0
        while self._commands:
            command = self._commands.popleft()
            if not command.done.done():
                command.done.set_exception(error)

    def _schedule_watch(self) -> None:
        interval = min(0.5, self._plan.timeout / 20)
        self._watch = asyncio.get_running_loop().call_later(interval, self._look_at_clock)

    def _look_at_clock(self) -> None:
        now = asyncio.get_running_loop().time()
        for worker in list(self._workers):
            if worker.outstanding:
                sent: Sent = next(iter(worker.outstanding.values()))
                # With one session the frames go one after the other: a frame's time begins with the last answer.
                since = max(sent.at, worker.last_answer) if self._plan.sessions == 1 else sent.at
                if now - since > sent.timeout:
                    self._metrics.failed("hang", 1)
                    self._log.warning("hsm_worker_hangs", group=self._plan.name, pid=worker.pid)
                    worker.kill()
        late = HsmTimeout(
            f"no HSM worker was free within {self._plan.timeout:g} s: nothing was signed, retry later"
        )
        for call in [call for call in self._queue if now - call.waiting_since > self._plan.timeout]:
            self._queue.remove(call)
            self._queued_items -= len(call.digests) - call.next
            self._metrics.failed("queue_timeout", len(call.digests) - call.next)
            call.settle_rest(late)
        for command in [item for item in self._commands if now - item.waiting_since > self._plan.timeout]:
            self._commands.remove(command)
            if not command.done.done():
                command.done.set_exception(late)
        self._schedule_watch()

    # --- keeping the workers ----------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Recover and replace workers, one login at a time, so that a refused PIN is refused once."""
        loop = asyncio.get_running_loop()
        while not self._stopped:
            doubtful = next((w for w in self._workers if w.doubtful and not w.outstanding), None)
            pause: float | None = None
            if doubtful is not None:
                await self._recover(doubtful)
                continue
            if len(self._workers) < self._plan.workers:
                pause = self._not_before - loop.time()
                if pause <= 0:
                    await self._start_worker()
                    continue
            else:
                self._settled.set()
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                pass

    async def _recover(self, worker: WorkerProcess) -> None:
        if worker.faults > 2:
            worker.kill()
            return
        initialize = worker.faults == 2
        if initialize:
            await asyncio.sleep(REINITIALIZE_PAUSE)
        if await self._ask(worker, FrameKind.RECOVER, {"initialize": initialize}, self._plan.start_timeout):
            worker.doubtful = False
            self._dispatch_soon()
        else:
            worker.faults += 1

    async def _start_worker(self) -> None:
        worker = WorkerProcess(self)
        started = time.perf_counter()
        try:
            await worker.start(self._plan.environment)
            good = await self._ask(worker, FrameKind.HELLO, dict(self._plan.hello), self._plan.start_timeout)
        except OSError as error:
            good, self._reason = False, f"hsm: worker cannot be started ({error.strerror})"
        except asyncio.CancelledError:
            await worker.ended()
            raise
        self._start_failed = not good
        if good:
            self._workers.append(worker)
            worker.ready = True
            self._reason = None
            milliseconds = round((time.perf_counter() - started) * 1000)
            self._log.info(
                "hsm_worker_ready", group=self._plan.name, pid=worker.pid, milliseconds=milliseconds
            )
            self._dispatch_soon()
            return
        self._metrics.failed("start", 1)
        self._log.warning("hsm_worker_not_started", group=self._plan.name, reason=self._reason)
        self._set_back()
        worker.kill()
        self._settled.set()
        if not self._workers:
            self._refuse_waiting()

    def _set_back(self) -> None:
        self._setbacks += 1
        pause = BACKOFF_SECONDS[min(self._setbacks, len(BACKOFF_SECONDS)) - 1]
        self._not_before = asyncio.get_running_loop().time() + pause

    async def _ask(
        self, worker: WorkerProcess, kind: FrameKind, fields: dict[str, Any], timeout: float
    ) -> bool:
        """Send a command of the keeper's own; return whether it was done, and note the reason where it was not."""
        loop = asyncio.get_running_loop()
        command = Command(kind, fields, True, timeout, loop.create_future(), loop.time())
        self._send_command(worker, command, loop.time())
        try:
            await asyncio.wait_for(command.done, timeout)
        except TimeoutError:
            self._reason = "hsm: the token does not answer"
            worker.kill()
            return False
        except DomainError as error:
            if not self._stopped:
                self._reason = f"hsm: {error.data.get('reason', 'worker failed')}"
            return False
        return True
