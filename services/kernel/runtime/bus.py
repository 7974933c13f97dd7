"""The bus: one NATS connection for each process, and publication into JetStream.

The connection never gives up: it starts in the background, survives every loss of the server, and is made anew where
the client library closed it for good. While it is away, publishing raises ServiceUnavailable at once instead of
queueing in memory: what must not be lost goes through the outbox.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import Counter, Gauge

from services.kernel.errors import ServiceUnavailable
from services.kernel.events import Event
from services.kernel.runtime.config import BusSettings, read_secret
from services.kernel.runtime.ending import end
from services.kernel.runtime.jetstream import JetStream
from services.kernel.runtime.parting import part
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.streams import make_streams
from services.kernel.runtime.subscriptions import CoreHandler, CoreSubscriptions
from services.kernel.runtime.telemetry import request_id

FIRST_CONNECT_SECONDS = 5.0
"""How long `Bus.connect` waits before it goes on without the server."""
CONNECT_SECONDS = 2
PING_SECONDS = 2
PINGS_OUTSTANDING = 2
"""Together: a server that hangs is noticed after about six seconds; the library's defaults take four minutes."""
RECONNECT_SECONDS = 0.5
LOOK_SECONDS = 1.0
"""How often the connection is looked at without being told of a change."""


def headers_of(event: Event) -> dict[str, str]:
    """Return the headers of the CloudEvents 1.0 NATS binding (binary mode), and the id that JetStream knows."""
    headers = {
        "Nats-Msg-Id": event.id,
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-source": event.source,
        "ce-type": event.type,
        "ce-subject": event.subject,
        "ce-time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    headers.update((f"ce-{name}", value) for name, value in event.extensions)
    identifier = request_id.get()
    if identifier:
        headers["x-request-id"] = identifier
    return headers


class Bus:
    """One connection to NATS. Made by `connect`; `close` after use."""

    def __init__(self, settings: BusSettings, runtime: Runtime) -> None:
        """Bind the settings; nothing is opened yet."""
        self._settings = settings
        self.telemetry = runtime.telemetry
        self._log = runtime.telemetry.log
        self._client: Client | None = None
        self._jetstream: JetStream | None = None
        self._core = CoreSubscriptions(self._log)
        self._ready, self._changed, self._prepared = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._streams_wanted = False
        self._keeper: asyncio.Task[None] | None = None
        self._last_error = "no connection was made yet"
        registry = runtime.telemetry.registry
        self.consumer_lag = Gauge(
            "kyso_consumer_lag",
            "Messages that a consumer has not finished: waiting, or delivered and not acknowledged.",
            ["stream", "consumer"],
            registry=registry,
        )
        self.consumed = Counter(
            "kyso_consumer_messages_total",
            "Messages decided, by outcome: ack, retry, park.",
            ["stream", "consumer", "outcome"],
            registry=registry,
        )
        self._up = Gauge("kyso_bus_connected", "1 while connected to the bus.", registry=registry)

    @classmethod
    async def connect(cls, settings: BusSettings, runtime: Runtime) -> Bus:
        """Start connecting; return once connected, or after a few seconds without (it goes on in the background).

        Raise ConfigError where the password or CA file cannot be read.
        """
        bus = cls(settings, runtime)
        read_secret(settings.password_file)
        tls = ssl.create_default_context(cafile=str(settings.ca_file)) if settings.ca_file else None
        bus._keeper = asyncio.create_task(bus._keep(tls), name="bus-connection")
        try:
            async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                await bus._ready.wait()
        except TimeoutError:
            runtime.telemetry.log.warning(
                "bus_not_reached_yet", servers=settings.servers, error=bus._last_error
            )
        return bus

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: BusSettings, runtime: Runtime) -> AsyncIterator[Bus]:
        """Connect for the length of a block, with the streams there."""
        bus = await cls.connect(settings, runtime)
        try:
            await bus.ensure_streams()
            yield bus
        finally:
            await bus.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and self._client.is_connected

    async def check(self) -> str | None:
        """Return None while connected, else the reason (for Health.register)."""
        return None if self.connected else f"not connected to the bus: {self._last_error}"

    async def until_connected(self) -> JetStreamContext:
        """Wait for a connection and return its JetStream."""
        while self._jetstream is None or not self.connected:
            await self._ready.wait()
            if not self.connected:
                await asyncio.sleep(RECONNECT_SECONDS)
        return self._jetstream

    async def ensure_streams(self) -> None:
        """Make the four streams, or bring them up to these settings; without a connection, as soon as there is one.

        Return when it is done, or after a few seconds while it is still being tried.
        """
        self._streams_wanted = True
        self._prepared.clear()
        self._changed.set()
        try:
            async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                await self._prepared.wait()
        except TimeoutError:
            self._log.warning("streams_not_ensured_yet", error=self._last_error)

    async def publish(self, event: Event) -> None:
        """Publish one event and wait for JetStream's acknowledgement; raise ServiceUnavailable where it does not come.

        After the error the event may be stored nevertheless; publishing it again has no second effect within the
        duplicate window, nor later for consumers that are idempotent by event id.
        """
        failure = (await self.publish_many([event]))[0]
        if failure is not None:
            raise ServiceUnavailable("the bus did not acknowledge the event; try again shortly") from failure

    async def publish_many(self, events: Sequence[Event]) -> list[Exception | None]:
        """Publish in this order without waiting in between; return for each None once acknowledged, else the error."""
        jetstream = self._jetstream
        if jetstream is None or not self.connected:
            return [ConnectionError("not connected to the bus")] * len(events)
        outcomes: list[Exception | None] = [TimeoutError("no acknowledgement in time")] * len(events)
        futures: dict[asyncio.Future[None], int] = {}
        for index, event in enumerate(events):
            try:
                future = await jetstream.send(event.nats_subject, event.data, headers_of(event))
            except (nats.errors.Error, OSError) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # The library turns a cancellation into an error of its own; the process would not stop.
                    raise asyncio.CancelledError from error
                # The rest stays back, so that nothing overtakes this one.
                outcomes[index:] = [error] * (len(events) - index)
                break
            futures[future] = index
        if futures:
            await asyncio.wait(futures, timeout=self._settings.publish_timeout_seconds)
        for future, index in futures.items():
            if not future.done():
                future.cancel()
            else:
                failure = future.exception()
                outcomes[index] = failure if isinstance(failure, Exception) else None
        return outcomes

    async def publish_core(self, subject: str, data: bytes) -> None:
        """Publish a core message (nobody keeps it); raise ServiceUnavailable without a connection."""
        if self._client is None or not self.connected:
            raise ServiceUnavailable("not connected to the bus")
        try:
            await self._client.publish(subject, data)
        except (nats.errors.Error, OSError) as error:
            raise ServiceUnavailable("the connection to the bus was lost") from error

    async def subscribe_core(self, subject: str, handler: CoreHandler) -> Callable[[], Awaitable[None]]:
        """Call `handler(subject, data)` for each core message, one at a time, over reconnections too.

        What the handler raises is logged. Without a connection it begins as soon as there is one. Return a function
        that ends the subscription.
        """
        subscription = self._core.add(subject, handler)
        if self._client is not None:
            await self._renew(self._client)

        async def unsubscribe() -> None:
            await self._core.remove(subscription)

        return unsubscribe

    async def publish_raw(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Publish to a stream with headers of one's own; raise ServiceUnavailable where it is not acknowledged."""
        if self._jetstream is None or not self.connected:
            raise ServiceUnavailable("not connected to the bus")
        try:
            await self._jetstream.publish(
                subject, data, timeout=self._settings.publish_timeout_seconds, headers=dict(headers)
            )
        except (nats.errors.Error, OSError) as error:
            raise ServiceUnavailable("the bus did not acknowledge the message") from error

    async def close(self) -> None:
        """Send what is buffered and close the connection; a server that takes nothing any more is waited for briefly."""
        if self._keeper is not None:
            await end(self._keeper)
        if self._client is not None:
            await part(self._client, CONNECT_SECONDS, self._log)
        self._up.set(0)

    async def _keep(self, tls: ssl.SSLContext | None) -> None:
        """Have a connection for ever; the library closes its own for good after some errors of the server."""
        while True:
            client = self._client = Client()
            try:
                await self._hold(client, tls)
                self._log.error("bus_connection_closed", error=self._last_error)
            except Exception as error:  # noqa: BLE001
                # Whatever it was: without this task the process would stay deaf and look well.
                self._last_error = (str(error) or type(error).__name__)[:200]
                self._log.exception("bus_connection_failed")
            self._ready.clear()
            # The library asserts what it has not come to yet; this client is not used again whatever it says.
            with suppress(Exception):
                await part(client, CONNECT_SECONDS, self._log)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hold(self, client: Client, tls: ssl.SSLContext | None) -> None:
        """Connect, then see to subscriptions and streams at each change until the connection is closed for good."""
        await self._connect(client, tls)
        jetstream = self._jetstream = JetStream(client, timeout=self._settings.publish_timeout_seconds)
        await self._renew(client)
        self._ready.set()
        self._up.set(self.connected)
        self._log.info("bus_connected")
        self._changed.set()
        while not client.is_closed:
            with suppress(TimeoutError):
                # Not every end of a connection is told.
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            changed = self._changed.is_set()
            self._changed.clear()
            await self._renew(client)
            if changed and self._streams_wanted and not client.is_closed:
                await self._prepare(jetstream)

    async def _renew(self, client: Client) -> None:
        failure = await self._core.renew(client)
        if failure is not None:
            # The keeper tries again when it looks next, at the latest after LOOK_SECONDS.
            await self._on_error(failure)

    async def _prepare(self, jetstream: JetStreamContext) -> None:
        try:
            await make_streams(jetstream, self._settings, self._log)
            self._prepared.set()
        except (nats.errors.Error, OSError) as error:
            # JetStream comes up after the server's port does, and a cluster needs a leader first.
            await self._on_error(error)
            await asyncio.sleep(RECONNECT_SECONDS)
            self._changed.set()

    async def _connect(self, client: Client, tls: ssl.SSLContext | None) -> None:
        user = self._settings.user
        await client.connect(
            servers=list(self._settings.servers),
            name=self.telemetry.name,
            user=user,
            # Read at every attempt, so that a changed password needs no restart.
            password=lambda: read_secret(self._settings.password_file).get_secret_value(),
            tls=tls,
            # Of its own for each user: permissions can then keep others from listening to its answers.
            inbox_prefix=f"_INBOX.{user}",
            connect_timeout=CONNECT_SECONDS,
            max_reconnect_attempts=-1,
            # Typed as whole seconds; the library only ever sleeps for it.
            reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
            ping_interval=PING_SECONDS,
            max_outstanding_pings=PINGS_OUTSTANDING,
            # No buffer for times without a connection: stale messages must not come out later.
            pending_size=0,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )

    async def _on_error(self, error: Exception) -> None:
        # Library texts name subjects and servers, never payloads.
        self._last_error = (str(error) or type(error).__name__)[:200]
        self._log.warning("bus_error", error=self._last_error)

    async def _on_disconnected(self) -> None:
        self._up.set(0)
        self._log.warning("bus_disconnected")

    async def _on_reconnected(self) -> None:
        self._up.set(1)
        self._log.info("bus_reconnected")
        # It may be another server, or one that lost its store.
        self._changed.set()

    async def _on_closed(self) -> None:
        self._up.set(0)
        self._changed.set()
