"""A register, a clock and the credential cache in front of it, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.kernel.errors import (
    CredentialNotFound,
    DomainError,
    ServiceUnavailable,
)
from services.signer.directory import Answer, CredentialDirectory, DirectoryLimits
from services.signer.domain import Credential, CredentialStatus

START = datetime(2026, 11, 22, tzinfo=UTC)


class World:
    """A register, a clock and a directory in front of it."""

    def __init__(self, entries: int = 100) -> None:
        self.time = 1000.0
        self.head = 1
        self.state = {"cr_1": self._credential("cr_1", 1), "cr_2": self._credential("cr_2", 1)}
        self.asked: list[str] = []
        self.confirmed: list[tuple[str, int]] = []
        self.away = False
        self.gate: Callable[[], Awaitable[None]] | None = None
        self.directory = CredentialDirectory(
            self._ask,
            self._confirm,
            self._probe,
            DirectoryLimits(heartbeat=3, entry=60, entries=entries),
            lambda: self.time,
        )
        self.directory._now = self.now

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    @staticmethod
    def _credential(credential_id: str, version: int) -> Credential:
        return Credential(
            credential_id,
            version,
            CredentialStatus.ACTIVE,
            "ag",
            ("ag",),
            frozenset(),
            "client",
            "key_1",
            None,
        )

    async def _ask(self, credential_id: str) -> Answer:
        self.asked.append(credential_id)
        if self.away:
            raise ServiceUnavailable("away")
        found = self.state.get(credential_id)
        if found is None:
            raise CredentialNotFound("no")
        answer = Answer(found, self.head)
        if self.gate is not None:
            await self.gate()
        return answer

    async def _probe(self) -> None:
        if self.away:
            raise ServiceUnavailable("away")

    async def _confirm(self, credential_id: str, version: int) -> None:
        self.confirmed.append((credential_id, version))

    def beat(self, delay: float = 0) -> None:
        self.directory.on_heartbeat(self.head, self.now() - timedelta(seconds=delay))

    def hold(self, credential_id: str = "cr_1", *, told: bool = True) -> None:
        self.head += 1
        held = replace(self.state[credential_id], version=self.head, status=CredentialStatus.HELD)
        self.state[credential_id] = held
        if told:
            self.directory.on_changed(credential_id, self.head, CredentialStatus.HELD)

    async def admits(self) -> bool:
        """Look up and go through the door; whether that led to a signature."""
        credential = await self.directory.resolve("cr_1")
        if credential.status is not CredentialStatus.ACTIVE:
            return False
        door = self.directory.door(credential)
        try:
            door.admit()
        except DomainError:
            return False
        finally:
            door.close()
        return True


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
