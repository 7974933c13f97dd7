"""One token group: what waits for its token, and how it gets to the workers and back.

Nothing here blocks and nothing here is a thread: all of it runs on the event loop. The road of a digest is short: queue,
frame, answer. Large calls are cut into frames of a few milliseconds of token time and take turns with all others, so
that a single digest never waits behind a thousand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from services.kernel.errors import DomainError, HsmOutcomeUnknown, HsmTimeout, HsmUnavailable, Overloaded
from services.signer.hsm import wire
from services.signer.hsm.calls import Admit, Call, Command, GroupPlan, Sent, failure, send_command
from services.signer.hsm.keeper import Keeper
from services.signer.hsm.metrics import GroupMetrics, failure_reason
from services.signer.hsm.process import WorkerProcess
from services.signer.hsm.types import GroupStatus, ItemOutcome
from services.signer.hsm.wire import FrameKind, Status

FRAME_SECONDS = 0.003
"""Token time that one frame is meant to take: enough to hide the way to the worker, too little to be in the way."""
FRAMES_AHEAD = 2
"""Frames that a session may have, the one at work included, so that it does not idle while the loop is busy."""
MAX_FRAME_ITEMS = 256
MAX_ESTIMATES = 10_000
FIRST_ESTIMATE = 0.002
"""Seconds that an operation is taken to need before one with the same key was measured."""


class TokenGroup:
    """The door to one token. Does not know what a key is for: callers have checked that before."""

    def __init__(self, plan: GroupPlan, metrics: GroupMetrics, log: Any) -> None:
        """Take the plan; nothing starts before `open`."""
        self._plan, self._metrics = plan, metrics
        self._queue: deque[Call] = deque()
        self._commands: deque[Command] = deque()
        self._queued_items = 0
        self._estimates: dict[bytes, float] = {}
        self._dispatching = False
        self._keeper = Keeper(plan, metrics, log, self)

    # --- life -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the workers, one after the other; return when all are up or one start has failed."""
        self._metrics.follow(self)
        await self._keeper.open()

    async def close(self) -> None:
        """Refuse what waits, let the workers go, wait for their end."""
        self._keeper.stop("hsm: stopped")
        for worker in self._keeper.workers:
            self._abandon(worker, "stopped")
        self.refuse_waiting()
        await self._keeper.close()

    @property
    def queue_length(self) -> int:
        """Digests that wait for a worker."""
        return self._queued_items

    @property
    def busy(self) -> int:
        """Sessions that have work."""
        return sum(min(len(worker.outstanding), self._plan.sessions) for worker in self._keeper.workers)

    @property
    def ready_workers(self) -> int:
        """Workers that are logged in and not in doubt."""
        return self._keeper.ready_workers

    def status(self) -> GroupStatus:
        """Say how the group is."""
        keeper = self._keeper
        pids = tuple(worker.pid for worker in keeper.workers)
        return GroupStatus(self._plan.workers, keeper.ready_workers, self._queued_items, keeper.reason, pids)

    # --- callers ----------------------------------------------------------------------------------------------

    async def sign(
        self, head: bytes, mechanism: str, digests: Sequence[bytes], admit: Admit | None
    ) -> list[ItemOutcome]:
        """Sign digests under one key; one outcome for each, in order. A caller that is cancelled leaves the queue."""
        outcomes, late = await self._called(head, mechanism, digests, admit)
        if late:
            # A worker was slower than their deadline allows: the door is asked again, once, and they wait again.
            left = [digests[index] for index in late]
            again, _ = await self._called(head, mechanism, left, admit)
            for index, outcome in zip(late, again, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _called(
        self, head: bytes, mechanism: str, digests: Sequence[bytes], admit: Admit | None
    ) -> tuple[list[ItemOutcome], list[int]]:
        """Wait in the queue; return the outcomes, and which items came back late."""
        if (refusal := self._refusal(len(digests))) is not None:
            return [refusal] * len(digests), []
        loop = asyncio.get_running_loop()
        call = Call(head, mechanism, digests, admit, loop.create_future(), loop.time())
        call.outcomes = [None] * len(digests)
        call.unfinished = len(digests)
        self._queue.append(call)
        self._queued_items += len(digests)
        self.workers_changed()
        await call.done
        return call.outcomes, call.late  # type: ignore[return-value]  # no None is left once `done` has a result

    async def command(self, kind: FrameKind, fields: dict[str, Any], *, alone: bool) -> dict[str, Any]:
        """Have a worker do something else; return its answer. Raises DomainError."""
        if (refusal := self._refusal(1)) is not None:
            raise refusal
        loop = asyncio.get_running_loop()
        # Making a key, or going through all of them, takes longer than one look-up or signature.
        timeout = self._plan.timeout if kind is FrameKind.FIND else self._plan.generate_timeout
        command = Command(kind, fields, alone, timeout, loop.create_future(), loop.time())
        self._commands.append(command)
        self.workers_changed()
        return await command.done

    def _refusal(self, items: int) -> DomainError | None:
        if self._keeper.hopeless:
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
        reason = self._keeper.reason or "hsm: no worker is ready"
        return HsmUnavailable(
            f"the token group {self._plan.name!r} cannot sign now ({reason}): nothing was signed, retry later",
            reason=reason,
        )

    # --- to the workers ---------------------------------------------------------------------------------------

    def workers_changed(self) -> None:
        """Hand out work in this turn of the loop; the keeper calls this too."""
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
            for candidate in self._keeper.workers:
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
            for worker in self._keeper.workers
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
        send_command(worker, command, now)
        return True

    def _send_jobs(self, worker: WorkerProcess, share: int, now: float) -> None:
        """Fill one frame: at most `share` items, about FRAME_SECONDS of work, callers in turn."""
        jobs: list[tuple[Call, int, int]] = []
        parts: list[bytes] = []
        seconds, items = FRAME_SECONDS, min(share, MAX_FRAME_ITEMS)
        while self._queue and items > 0 and (seconds > 0 or not jobs):
            call = self._queue.popleft()
            left = len(call.digests) - call.next
            deadline = None if call.done.done() else self._admitted(call)
            if deadline is None:
                self._queued_items -= left
                continue
            estimate = self._estimates.get(call.head, FIRST_ESTIMATE)
            count = min(left, items, max(1, int(seconds / estimate)))
            start = call.next
            call.next += count
            call.waiting_since = now
            parts += (call.head, wire.JOB.pack(count, deadline), *call.digests[start : start + count])
            jobs.append((call, start, count))
            items -= count
            seconds -= count * estimate
            self._queued_items -= count
            if count < left:
                self._queue.append(call)
        if jobs:
            frame_id = worker.new_frame_id()
            worker.outstanding[frame_id] = Sent(jobs, None, now, self._plan.timeout)
            worker.write(wire.frame(frame_id, FrameKind.SIGN, b"".join(parts)))

    def _admitted(self, call: Call) -> int | None:
        """Ask the door; return the deadline for what is handed over now, None where nothing may be."""
        if call.admit is None:
            return wire.NO_DEADLINE
        try:
            return wire.deadline_ns(call.admit())
        except DomainError as error:
            call.settle_rest(error)
        except Exception as error:  # noqa: BLE001  # the caller's own fault: it is the caller's to see, not the queue's
            call.next = len(call.digests)
            call.done.set_exception(error)
        return None

    # --- from the workers -------------------------------------------------------------------------------------

    def frame_received(self, worker: WorkerProcess, frame_id: int, kind: int, body: bytes) -> None:
        """Take an answer (WorkerProcess calls this)."""
        sent: Sent | None = worker.outstanding.pop(frame_id, None)
        if sent is None:
            raise wire.FrameError(f"answer to frame {frame_id}, which was not sent")
        worker.last_answer = asyncio.get_running_loop().time()
        try:
            if kind == FrameKind.SIGNED and sent.command is None:
                self._signed(worker, sent, body)
            elif kind == FrameKind.ANSWER and sent.command is not None:
                self._answered(worker, sent.command, wire.read_answer(body))
            else:
                raise wire.FrameError(f"frame kind {kind} is no answer to what was asked")
        except wire.FrameError:
            worker.outstanding[frame_id] = sent  # It is settled with the rest of what this worker had.
            raise
        if worker.doubtful and not worker.outstanding:
            self._keeper.wake()
        if worker.reserved is not None and not worker.outstanding and worker.ready:
            if worker.reserved.done.done():
                # Its caller has gone while the worker was being emptied: a key made now would be nobody's.
                worker.reserved = None
            else:
                send_command(worker, worker.reserved, worker.last_answer)
        if self._queue or self._commands:
            self._dispatch()

    def _signed(self, worker: WorkerProcess, sent: Sent, body: bytes) -> None:
        doubtful, cpu_ns, items = wire.read_signed_body(body)
        if len(items) != sum(count for _, _, count in sent.jobs):
            raise wire.FrameError("an answer has not as many items as its question")
        self._metrics.token_seconds(cpu_ns / 1e9)
        position = 0
        pin_refused = False
        for call, start, count in sent.jobs:
            observe = self._metrics.operation("sign", call.mechanism)
            outcomes: list[ItemOutcome] = []
            micros_sum, good = 0, count
            for status, micros, result in items[position : position + count]:
                if status == Status.OK:
                    observe(micros / 1e6)
                    micros_sum += micros
                    outcomes.append(result)
                else:
                    good -= 1
                    pin_refused = pin_refused or status == Status.PIN
                    if status == Status.LATE:
                        call.late.append(start + len(outcomes))
                    outcomes.append(self._failure(status, result.decode("ascii", "replace")))
            position += count
            if micros_sum:
                self._learn(call.head, micros_sum / 1e6 / good)
                self._keeper.worked(worker)
            call.settle(start, outcomes)
        if pin_refused:
            self._keeper.refuse_pin()
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
            self._keeper.refuse_pin()
        elif answer["doubtful"]:
            self._doubt(worker)

    def _failure(self, status: Status, reason: str) -> DomainError:
        self._metrics.failed(failure_reason(status, reason), 1)
        return failure(self._plan.name, status, reason)

    # --- when workers fail ------------------------------------------------------------------------------------

    def worker_lost(self, worker: WorkerProcess) -> None:
        """Settle what a dead worker had (WorkerProcess calls this)."""
        self._abandon(worker, "worker died")
        self._keeper.lost(worker)
        if self._keeper.hopeless:
            self.refuse_waiting()

    def _abandon(self, worker: WorkerProcess, reason: str) -> None:
        self._take_back(worker)
        lost = list(worker.outstanding.values())
        worker.outstanding.clear()
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

    def _take_back(self, worker: WorkerProcess) -> None:
        command, worker.reserved = worker.reserved, None
        if command is not None and all(sent.command is not command for sent in worker.outstanding.values()):
            # It was only waiting for its turn: another worker can have it.
            self._commands.appendleft(command)

    def _doubt(self, worker: WorkerProcess) -> None:
        self._take_back(worker)
        self._keeper.doubt(worker)

    def refuse_waiting(self) -> None:
        """Refuse all that waits, because no worker will take it soon (the keeper calls this)."""
        error = self._unavailable()
        while self._queue:
            self._queue.popleft().settle_rest(error)
        self._queued_items = 0
        while self._commands:
            command = self._commands.popleft()
            if not command.done.done():
                command.done.set_exception(error)

    def look_at_clock(self, now: float) -> None:
        """Give up what has waited too long (the keeper calls this)."""
        late = HsmTimeout("no HSM worker was free in time: nothing was handed to the token, retry later")
        for call in [call for call in self._queue if now - call.waiting_since > self._plan.timeout]:
            self._queue.remove(call)
            self._queued_items -= len(call.digests) - call.next
            self._metrics.failed("queue_timeout", len(call.digests) - call.next)
            call.settle_rest(late)
        for command in [item for item in self._commands if now - item.waiting_since > item.timeout]:
            self._commands.remove(command)
            if not command.done.done():
                command.done.set_exception(late)
