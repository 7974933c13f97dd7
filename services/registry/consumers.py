"""What comes in from the bus: signing events for the audit log, and the signers' confirmations."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from services.kernel import events
from services.kernel.errors import DomainError, FieldInvalid
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.consumer import Disposition, Message, Park, Verdict
from services.kernel.runtime.outbox import Relay
from services.registry.domain.audit import stamp
from services.registry.domain.ledger import Entry
from services.registry.domain.records import entry_of
from services.registry.service.audit import AuditService, above

SIGNATURE_EVENTS = "kyso.event.signature.>"
DURABLE = "registry-audit"


class AuditConsumer:
    """Handles batches of signing events: one transaction for a batch, however many ledgers it holds."""

    def __init__(
        self, audit: AuditService, batch: int, gather_seconds: float, log: FilteringBoundLogger
    ) -> None:
        """Bind the audit log; batches smaller than `batch` are `gather_seconds` apart at least."""
        self._audit, self._log = audit, log
        self._batch, self._gather = batch, gather_seconds
        self._next_at = float("-inf")

    async def _pace(self, count: int) -> None:
        # While this waits, the next batch grows.
        if count < self._batch:
            await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + self._gather

    async def handle(self, messages: Sequence[Message]) -> Sequence[Verdict]:
        """Decide each message: done, again (something before it is missing), or parked (no signing record)."""
        await self._pace(len(messages))
        entries = [_entry(message) for message in messages]
        good = [entry for entry in entries if isinstance(entry, Entry)]
        if not good:
            return [entry for entry in entries if isinstance(entry, Park)]
        reached = dict(await self._audit.take(good))
        waiting = above(reached, good)
        if waiting:
            # At first another message may only have overtaken; who comes again has waited long enough.
            again = {
                entry.ledger
                for entry, message in zip(entries, messages, strict=True)
                if isinstance(entry, Entry) and message.deliveries > 1
            }
            for ledger in sorted(waiting.keys() & again):
                reached[ledger] = await self._fetch(ledger, waiting[ledger], reached[ledger])
        return [_verdict(entry, reached) for entry in entries]

    async def _fetch(self, ledger: str, up_to: int, reached: int) -> int:
        try:
            return await self._audit.fetch(ledger, up_to)
        except DomainError as error:
            # The signer is away: the messages come again, and so does this.
            self._log.warning("audit_gap_stays", ledger=ledger, after=reached, code=error.code)
            return reached


def _entry(message: Message) -> Entry | Park:
    try:
        return entry_of(message.id, message.data)
    except FieldInvalid as error:
        return Park(f"{error.code}: {error.message}")


def _verdict(entry: Entry | Park, reached: dict[str, int]) -> Verdict:
    if isinstance(entry, Park):
        return entry
    return Disposition.ACK if entry.sequence <= reached[entry.ledger] else Disposition.RETRY


class BusDirectory:
    """The Directory port on NATS core messages."""

    def __init__(self, bus: Bus, relay: Relay) -> None:
        """Bind the bus, and the relay that a change wakes."""
        self._bus, self._relay = bus, relay

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._bus.connected

    async def announce_change(self, credential_id: str, version: int, status: str) -> None:
        """Publish kyso.directory.changed, and wake the relay."""
        self._relay.notify()
        await self._send(
            events.DIRECTORY_CHANGED,
            {"credential_id": credential_id, "version": str(version), "status": status},
        )

    async def announce_head(self, head: int, sent_at: datetime) -> None:
        """Publish kyso.directory.heartbeat."""
        await self._send(events.DIRECTORY_HEARTBEAT, {"head": str(head), "sent_at": stamp(sent_at)})

    async def _send(self, subject: str, fields: dict[str, str]) -> None:
        # int64 is text in the JSON mapping of proto3.
        await self._bus.publish_core(subject, json.dumps(fields, separators=(",", ":")).encode())
