"""What the signer hears on the bus: the registry's directory (core messages), and jobs (the work queue)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.kernel.errors import DomainError
from services.kernel.events import (
    DIRECTORY_CHANGED,
    DIRECTORY_CONFIRMED,
    DIRECTORY_HEARTBEAT,
    STREAM_JOBS,
    client_of_job,
)
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.consumer import ConsumerLimits, Disposition, Message, Park, PullConsumer, Verdict
from services.kernel.runtime.interceptors import REQUEST_ID, REQUEST_ID_HEADER
from services.kernel.runtime.telemetry import Telemetry, request_id
from services.kernel.values import new_id
from services.signer.directory import CredentialDirectory
from services.signer.domain import CredentialStatus
from services.signer.service.jobs import JobSigning, Next
from services.signer.service.requests import read_job

MAX_CORE_BYTES = 4096
"""The directory's messages are a few hundred bytes."""


class DirectoryFeed:
    """Moves the registry's core messages into the directory, and confirmations back."""

    def __init__(self, bus: Bus, replica: str, telemetry: Telemetry) -> None:
        """Bind the bus; `follow` subscribes."""
        self._bus, self._replica, self._log = bus, replica, telemetry.log
        self._directory: CredentialDirectory | None = None

    async def follow(self, directory: CredentialDirectory) -> None:
        """Subscribe; from now on changes and heartbeats reach the directory, over every loss of the bus."""
        self._directory = directory
        await self._bus.subscribe_core(DIRECTORY_CHANGED, self._changed)
        await self._bus.subscribe_core(DIRECTORY_HEARTBEAT, self._heartbeat)

    async def confirm(self, credential_id: str, version: int) -> None:
        """Tell the registries that nothing signs by this credential's former state here; ServiceUnavailable."""
        word = {"credential_id": credential_id, "version": version, "replica": self._replica}
        await self._bus.publish_core(DIRECTORY_CONFIRMED, json.dumps(word).encode())

    async def _changed(self, _subject: str, data: bytes) -> None:
        message = self._read(data)
        try:
            credential_id, version = str(message["credential_id"]), int(message["version"])
        except (KeyError, ValueError, TypeError):
            self._log.warning("directory_message_malformed", subject=DIRECTORY_CHANGED)
            return
        try:
            status = CredentialStatus(str(message.get("status", "")))
        except ValueError:
            status = None
        if self._directory is not None:
            self._directory.on_changed(credential_id, version, status)

    async def _heartbeat(self, _subject: str, data: bytes) -> None:
        message = self._read(data)
        try:
            head, sent_at = int(message["head"]), datetime.fromisoformat(str(message["sent_at"]))
        except (KeyError, ValueError, TypeError):
            self._log.warning("directory_message_malformed", subject=DIRECTORY_HEARTBEAT)
            return
        if self._directory is not None and sent_at.tzinfo is not None:
            self._directory.on_heartbeat(head, sent_at)

    @staticmethod
    def _read(data: bytes) -> dict[str, Any]:
        if len(data) > MAX_CORE_BYTES:
            return {}
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}


PRIORITIES = ("high", "normal", "low")
"""One consumer each, so that a long queue of one does not stand before another."""
JOB_ATTEMPTS = 10
JOBS_AT_A_TIME = 8


class JobFeed:
    """Moves jobs from the work queue into the use case, and decides each message."""

    def __init__(self, jobs: JobSigning, telemetry: Telemetry) -> None:
        """Bind the use case."""
        self._jobs, self._log = jobs, telemetry.log

    def consumers(self, bus: Bus) -> list[PullConsumer]:
        """Make a durable consumer for each priority; all replicas share them."""
        secret = frozenset({"access_token"})
        limits = ConsumerLimits(batch=JOBS_AT_A_TIME, attempts=JOB_ATTEMPTS, secret_fields=secret)
        return [
            PullConsumer(
                bus, STREAM_JOBS, f"signer-{priority}", f"kyso.job.*.sign.{priority}", self.handle, limits
            )
            for priority in PRIORITIES
        ]

    async def handle(self, messages: Sequence[Message]) -> list[Verdict]:
        """Do the jobs of a batch side by side; one that goes wrong decides about its own message only."""
        return await asyncio.gather(*(self._one(message) for message in messages))

    async def _one(self, message: Message) -> Verdict:
        try:
            return await self._judged(message)
        except Exception as error:  # noqa: BLE001
            # A mistake of ours, or a job that nobody foresaw. Passed on, it would make the others of its batch run twice.
            self._log.error("job_broke", error=type(error).__name__, exc_info=error)
            if message.deliveries < JOB_ATTEMPTS:
                return Disposition.RETRY
            return Park(f"failed {message.deliveries} times, at last with {type(error).__name__}")

    async def _judged(self, message: Message) -> Verdict:
        sent = message.headers.get(REQUEST_ID_HEADER, "")
        identifier = sent if REQUEST_ID.fullmatch(sent) else new_id("req")
        request_id.set(identifier)
        try:
            client_id, job = client_of_job(message.subject), read_job(message.data)
        except DomainError as error:
            return Park(error.code)
        last = message.deliveries >= JOB_ATTEMPTS
        try:
            verdict = await self._jobs.take(job, client_id, identifier, last=last)
        except DomainError as error:
            # What the use case itself could not settle: the database, or the ledger.
            self._log.warning("job_failed", code=error.code, deliveries=message.deliveries)
            return Disposition.RETRY if error.retryable and not last else Park(error.code)
        if isinstance(verdict, Next):
            return Disposition.ACK if verdict is Next.DONE else Disposition.RETRY
        self._log.warning("job_parked", reason=verdict.reason, client_id=client_id)
        return Park(verdict.reason)
