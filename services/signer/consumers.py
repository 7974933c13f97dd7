"""What the signer hears on the bus: the registry's directory (core messages)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from services.kernel.events import DIRECTORY_CHANGED, DIRECTORY_CONFIRMED, DIRECTORY_HEARTBEAT
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.telemetry import Telemetry
from services.signer.directory import CredentialDirectory
from services.signer.domain import CredentialStatus

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
