"""Durable pull consumers: fetch, handle, and decide for each message whether it is done, tried again, or parked.

A consumer sees every message at least once: it is idempotent by event id in its own database. A message is parked
(published to `kyso.parked.<stream>.<durable>` with the reason, then ended) when its handler says so, when it failed
with an error that a retry cannot cure, or when its attempts are used up. No message is dropped.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js import api as js
from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, ServiceUnavailable
from services.kernel.events import parked_subject
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.ending import end

FETCH_SECONDS = 2.0
"""A fetch without messages ends after this and is made again: a long silent one may have been forgotten."""
MAX_RETRY_SECONDS = 60.0
LAG_SECONDS = 5.0
MAX_REASON_CHARACTERS = 300
SERVER_EXTRA_DELIVERIES = 1000
"""The server's own limit lies far beyond ours: it drops out silently, where we park and say why."""


class Disposition(Enum):
    """What becomes of a message."""

    ACK = "ack"
    """Done; it never comes again."""
    RETRY = "retry"
    """It comes again after a pause that doubles each time."""
    PARK = "park"
    """It goes to the parked stream, for a person to look at."""


@dataclass(frozen=True, slots=True)
class Park:
    """PARK with its reason: an error code or a few words, no payload."""

    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    deliveries: int
    """1 at the first delivery."""
    sequence: int
    """Position in the stream."""
    raw: Msg = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The event id by which handlers are idempotent; for foreign messages without one, their place."""
        return self.headers.get("ce-id") or self.headers.get("Nats-Msg-Id") or f"seq-{self.sequence}"


Verdict = Disposition | Park
HandleBatch = Callable[[Sequence[Message]], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """How a consumer works."""

    batch: int = 50
    """Messages handled at a time."""
    ack_wait_seconds: float = 30.0
    """The server delivers again after this much silence; a working handler breaks the silence by itself."""
    attempts: int = 10
    """Deliveries until a message is parked."""
    secret_fields: frozenset[str] = frozenset()
    """Fields of the message's JSON object that hold secrets: blank in what is parked, whoever parks it."""


class PullConsumer:
    """One durable consumer; several replicas may run it and share the messages."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        durable: str,
        filter_subject: str,
        handle_batch: HandleBatch,
        limits: ConsumerLimits | None = None,
    ) -> None:
        """Bind a handler of batches to the messages of `stream` on `filter_subject`; `durable` names the consumer."""
        self._bus, self._handle = bus, handle_batch
        self._stream, self._durable, self._filter = stream, durable, filter_subject
        self._limits = limits or ConsumerLimits()
        self._log: FilteringBoundLogger = bus.telemetry.log.bind(stream=self._stream, consumer=self._durable)
        self._lag = bus.consumer_lag.labels(self._stream, self._durable)
        self._lag_read_at = float("-inf")

    async def run(self) -> None:
        """Consume until cancelled, over every loss of the bus."""
        failures = 0
        while True:
            jetstream = await self._bus.until_connected()
            try:
                subscription = await self._bind(jetstream)
                failures = 0
                try:
                    await self._consume(jetstream, subscription)
                finally:
                    await _unsubscribe(subscription)
            except (nats.errors.Error, ServiceUnavailable, OSError) as error:
                failures += 1
                self._log.warning("consumer_interrupted", error=repr(error)[:200], failures=failures)
                await asyncio.sleep(min(0.1 * 2 ** min(failures, 10), 5.0))

    async def _bind(self, jetstream: JetStreamContext) -> JetStreamContext.PullSubscription:
        config = js.ConsumerConfig(
            name=self._durable,
            durable_name=self._durable,
            filter_subject=self._filter,
            ack_policy=js.AckPolicy.EXPLICIT,
            ack_wait=self._limits.ack_wait_seconds,
            max_deliver=self._limits.attempts + SERVER_EXTRA_DELIVERIES,
            max_ack_pending=max(1000, self._limits.batch),
        )
        await jetstream.add_consumer(self._stream, config)
        return await jetstream.pull_subscribe_bind(consumer=self._durable, stream=self._stream)

    async def _consume(
        self, jetstream: JetStreamContext, subscription: JetStreamContext.PullSubscription
    ) -> None:
        while True:
            await self._measure(jetstream)
            try:
                raw = await subscription.fetch(self._limits.batch, timeout=FETCH_SECONDS)
            except TimeoutError:
                if not self._bus.connected:
                    raise ServiceUnavailable("the bus is away") from None
                continue
            await self._work([_message(item) for item in raw])

    async def _work(self, messages: list[Message]) -> None:
        async with self._progress(messages):
            exhausted = [message for message in messages if message.deliveries > self._limits.attempts]
            fresh = [message for message in messages if message.deliveries <= self._limits.attempts]
            verdicts = await self._judge(fresh)
        for message in exhausted:
            await self._settle(message, Park(f"not finished in {self._limits.attempts} deliveries"))
        for message, verdict in zip(fresh, verdicts, strict=True):
            await self._settle(message, verdict)

    async def _judge(self, messages: list[Message]) -> list[Verdict]:
        if not messages:
            return []
        try:
            verdicts = list(await self._handle(messages))
        except Exception as error:  # noqa: BLE001
            # Whatever a handler raises decides about messages; it must not end the consumer.
            if len(messages) == 1:
                return [self._verdict(error, messages[0])]
            # One of them is at fault: each alone, so that it does not take the others along.
            return [verdict for message in messages for verdict in await self._judge([message])]
        if len(verdicts) != len(messages):
            raise RuntimeError(
                f"the handler of {self._durable} answered {len(verdicts)} of {len(messages)} messages"
            )
        return verdicts

    def _verdict(self, error: Exception, message: Message) -> Verdict:
        if isinstance(error, DomainError) and not error.retryable:
            return Park(f"{error.code}: {error.message}")
        self._log.warning(
            "message_failed",
            id=message.id,
            deliveries=message.deliveries,
            error=type(error).__name__,
            exc_info=error,
        )
        if message.deliveries >= self._limits.attempts:
            return Park(f"failed {message.deliveries} times, at last with {type(error).__name__}")
        return Disposition.RETRY

    async def _settle(self, message: Message, verdict: Verdict) -> None:
        if verdict is Disposition.RETRY and message.deliveries >= self._limits.attempts:
            verdict = Park(f"not done after {message.deliveries} deliveries")
        if verdict is Disposition.PARK:
            verdict = Park("parked by its handler")
        if isinstance(verdict, Park):
            await self._park(message, verdict.reason)
            outcome = Disposition.PARK
        elif verdict is Disposition.RETRY:
            await message.raw.nak(delay=min(2.0 ** min(message.deliveries - 1, 10), MAX_RETRY_SECONDS))
            outcome = Disposition.RETRY
        else:
            await message.raw.ack()
            outcome = Disposition.ACK
        self._bus.consumed.labels(self._stream, self._durable, outcome.value).inc()

    async def _park(self, message: Message, reason: str) -> None:
        text = " ".join(reason.split())[:MAX_REASON_CHARACTERS]
        headers = {name: value for name, value in message.headers.items() if not name.startswith("Nats-")}
        headers |= {
            # Parking twice (the end below was lost) keeps one copy.
            "Nats-Msg-Id": f"parked-{self._stream}-{self._durable}-{message.sequence}",
            "kyso-reason": text,
            "kyso-subject": message.subject,
        }
        data = without_secrets(message.data, self._limits.secret_fields)
        await self._bus.publish_raw(parked_subject(self._stream, self._durable), data, headers)
        await message.raw.term()
        self._log.error("message_parked", id=message.id, reason=text, deliveries=message.deliveries)

    @asynccontextmanager
    async def _progress(self, messages: list[Message]) -> AsyncIterator[None]:
        """Tell the server that these messages are being worked on, as long as the block lasts."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(self._limits.ack_wait_seconds / 3)
                for message in messages:
                    try:
                        await message.raw.in_progress()
                    except (nats.errors.Error, OSError):
                        # The bus is away: the message comes again, and the handler knows it by its id.
                        break

        task = asyncio.create_task(tell(), name=f"progress-{self._durable}")
        try:
            yield
        finally:
            await end(task)

    async def _measure(self, jetstream: JetStreamContext) -> None:
        if time.monotonic() - self._lag_read_at < LAG_SECONDS:
            return
        self._lag_read_at = time.monotonic()
        info = await jetstream.consumer_info(self._stream, self._durable)
        self._lag.set((info.num_pending or 0) + (info.num_ack_pending or 0))


def without_secrets(data: bytes, fields: frozenset[str]) -> bytes:
    """Return a JSON object with these fields blank. What is no JSON object might hold them anywhere: nothing is left of it."""
    if not fields:
        return data
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return b""
    if not isinstance(document, dict):
        return b""
    if not fields & document.keys():
        return data
    # Written anew, so that no second field of the same name stays behind; half a surrogate pair becomes "?".
    blank = {name: "" if name in fields else value for name, value in document.items()}
    return json.dumps(blank, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _message(raw: Msg) -> Message:
    metadata = raw.metadata
    return Message(
        subject=raw.subject,
        data=raw.data,
        headers=dict(raw.headers or {}),
        deliveries=metadata.num_delivered,
        sequence=metadata.sequence.stream,
        raw=raw,
    )


async def _unsubscribe(subscription: Any) -> None:
    # Without a connection there is nothing left to end.
    with suppress(nats.errors.Error, OSError):
        await subscription.unsubscribe()
