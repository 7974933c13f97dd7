"""The directory: what signers may rely on, how they hear of a change, and how a hold knows that they did.

A hold is complete when no signature by its credential can start any more. Every signer that may know the credential
as active has left its name in `credential_reader` before it read. After the commit each of them either confirms, or
is waited out: without a heartbeat a signer stops trusting what it knows, and a heartbeat tells that the head moved.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError
from services.registry.domain.credentials import Credential, Resolution, no_credential
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Directory, Store
from services.registry.service.chronicle import Clock

READER_AGE_SECONDS = 5.0
"""A reader is written anew only after this time; readers of that much longer count as present."""
CLOCK_MARGIN_SECONDS = 5.0
"""Between the clocks of registry replicas, which date readers and holds."""
WAIT_MARGIN_SECONDS = 1.0
MAX_REMEMBERED_READERS = 50_000
MAX_CONFIRMATION_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """The times that registry and signers agree on, in seconds."""

    heartbeat_interval: float
    heartbeat_limit: float
    cache: float


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One signer's word that it has no signature by the credential under way and starts none."""

    replica: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Stop:
    """How a stop reached the signers. `unconfirmed` were waited out."""

    confirmations: list[Confirmation]
    unconfirmed: list[str]
    milliseconds: int


@dataclass(eq=False)
class Watch:
    """Collects confirmations for one credential while a stop is under way."""

    credential_id: str
    heard: list[tuple[str, int, float]] = field(default_factory=list)
    """Replica, version that it acted on, and `time.monotonic()` of its word."""
    news: asyncio.Event = field(default_factory=asyncio.Event)


class DirectoryService:
    """Answers signers, sends heartbeats and changes, and waits for confirmations."""

    def __init__(
        self,
        store: Store,
        bus: Directory,
        pace: Pace,
        clock: Clock,
        metrics: RegistryMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        """Bind the store (the truth), the bus (its echo) and the times agreed on."""
        self._store, self._bus, self._pace = store, bus, pace
        self._clock, self._metrics, self._log = clock, metrics, log
        self._watches: dict[str, set[Watch]] = {}
        self._recorded: dict[tuple[str, str], float] = {}

    async def resolve(self, credential_id: str, replica: str) -> Resolution:
        """Answer a credential's state; the asking replica is on record, committed, before the state is read.

        It is recorded also where it will not keep the answer: between its question and its signature a hold may come,
        and must know of it.
        """
        # 1. Record the reader.
        await self._record_reader(credential_id, replica)
        # 2. Only then read: a hold that commits in between finds the reader, one before is what is read.
        async with self._store.reading() as unit:
            found = await unit.credentials.resolve(credential_id)
        if found is None:
            raise no_credential(credential_id)
        return found

    async def _record_reader(self, credential_id: str, replica: str) -> None:
        now, key = time.monotonic(), (credential_id, replica)
        if now - self._recorded.get(key, float("-inf")) < READER_AGE_SECONDS:
            return
        async with self._store.transaction() as unit:
            if await unit.credentials.get(credential_id) is None:
                # Ids come from clients: unknown ones must not fill the table.
                raise no_credential(credential_id)
            await unit.credentials.record_reader(credential_id, replica, self._clock())
        if len(self._recorded) >= MAX_REMEMBERED_READERS:
            self._recorded.clear()
        self._recorded[key] = now

    async def announce(self, credential: Credential) -> None:
        """Tell signers of a committed change at once; the outbox brings it again to those who missed it."""
        try:
            await self._bus.announce_change(credential.id, credential.version, credential.status.value)
        except DomainError as error:
            # The change stands; signers without a heartbeat ask, and the outbox has the event.
            self._log.warning("directory_change_not_sent", credential_id=credential.id, code=error.code)

    async def beat(self) -> None:
        """Send heartbeats until cancelled, also while nothing changes; without the database none is sent."""
        silent = False
        while True:
            started = time.monotonic()
            try:
                # The time before the reading: a head that is old by the time it arrives must look old.
                sent_at = self._clock()
                async with self._store.reading() as unit:
                    head = await unit.directory_head()
                self._metrics.directory_head.set(head)
                await self._bus.announce_head(head, sent_at)
                silent = False
            except DomainError as error:
                if not silent:
                    self._log.warning("heartbeat_not_sent", code=error.code, message=error.message)
                silent = True
            await asyncio.sleep(max(0.0, self._pace.heartbeat_interval - (time.monotonic() - started)))

    async def forget_readers(self) -> None:
        """Delete readers that no hold asks for any more."""
        async with self._store.transaction() as unit:
            await unit.credentials.forget_readers(self._clock() - 2 * self._reader_window())

    async def confirmed(self, _subject: str, data: bytes) -> None:
        """Take a DirectoryConfirmed message; whatever is no such message is ignored."""
        try:
            fields = json.loads(data) if len(data) <= MAX_CONFIRMATION_BYTES else {}
            credential_id, version = str(fields["credential_id"]), int(fields["version"])
            replica = str(fields["replica"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self._log.warning("confirmation_unreadable", size=len(data))
            return
        for watch in self._watches.get(credential_id, ()):
            watch.heard.append((replica, version, time.monotonic()))
            watch.news.set()

    @asynccontextmanager
    async def watching(self, credential_id: str) -> AsyncIterator[Watch]:
        """Listen for confirmations of one credential from before the change is committed."""
        watch = Watch(credential_id)
        self._watches.setdefault(credential_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[credential_id].discard(watch)
            if not self._watches[credential_id]:
                del self._watches[credential_id]

    async def stop(self, watch: Watch, credential: Credential) -> Stop:
        """Announce a committed stop, and return once no signature by the credential can start any more."""
        committed = time.monotonic()
        limit = self._pace.heartbeat_limit + WAIT_MARGIN_SECONDS
        await self.announce(credential)
        # Read after the commit: who is not among them reads the new state.
        async with self._store.reading() as unit:
            since = self._clock() - self._reader_window()
            readers = set(await unit.credentials.readers(credential.id, since))
        try:
            async with asyncio.timeout(max(0.0, committed + limit - time.monotonic())):
                while not readers <= _confirmed(watch, credential.version).keys():
                    watch.news.clear()
                    await watch.news.wait()
        except TimeoutError:
            # By now a signer that has not confirmed must ask before it signs.
            pass
        heard = _confirmed(watch, credential.version)
        ended = time.monotonic()
        self._metrics.hold_seconds.observe(ended - committed)
        return Stop(
            confirmations=[
                Confirmation(replica, _milliseconds(at - committed))
                for replica, at in sorted(heard.items(), key=lambda item: item[1])
            ],
            unconfirmed=sorted(readers - heard.keys()),
            milliseconds=_milliseconds(ended - committed),
        )

    def _reader_window(self) -> timedelta:
        return timedelta(seconds=self._pace.cache + READER_AGE_SECONDS + CLOCK_MARGIN_SECONDS)


def _confirmed(watch: Watch, version: int) -> dict[str, float]:
    """Return the first word of each replica on this version or a later one."""
    first: dict[str, float] = {}
    for replica, acted_on, at in watch.heard:
        if acted_on >= version:
            first.setdefault(replica, at)
    return first


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
