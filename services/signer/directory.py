"""Credentials as the register holds them, never older than signing may rely on.

What is promised to the registry (its side is `:hold`): once this replica has confirmed a change, or heartbeat_limit has
passed since the change without a confirmation, no signature by the state before the change starts here. So:

- An entry may be used while its last proof is younger than `heartbeat_limit`. A proof is the reading itself (counted
  from before the question was sent) or a heartbeat: "at this time the directory stood at this head, and you have seen
  every change up to it".
- A change sets a floor: states below it are neither kept nor used, also when a slow answer brings them afterwards.
- A heartbeat that tells of changes never seen drops everything read before.
- The door is asked again just before each part of a signing is handed to the HSM, and a change is confirmed only when
  what went through the door before it has come back.

Every question is put with `cacheable`: an answer is relied on for as long as the signing takes, so the registry must
know this replica as a reader even where the answer is used once.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.kernel.errors import CredentialNotFound, CredentialStatusUnavailable, DomainError
from services.signer.domain import Credential, CredentialStatus, status_error

FLOORS_SECONDS = 120.0
"""A floor outlives every question that was under way when it was set."""
MAX_AHEAD = 1000
"""Changes seen out of their order that are remembered while earlier ones are missing."""
ASK_ATTEMPTS = 3
MAX_AHEAD_SECONDS = 0.5
"""A heartbeat sent further in this clock's future proves nothing: by such a clock a late one would look fresh."""
BEATS_BEHIND = 5
"""So many heartbeats in a row below the known head: the register was restored, and all that is known is void."""


@dataclass(frozen=True, slots=True)
class DirectoryLimits:
    """How long what is relied on. Seconds."""

    heartbeat: float = 3.0
    entry: float = 60.0
    """Less than the time for which the registry counts a reader."""
    entries: int = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry answered."""

    credential: Credential
    head: int
    """Head of the directory when it was read."""


Ask = Callable[[str], Awaitable[Answer]]
"""Asks the registry for one credential, cacheable; CredentialNotFound, other DomainErrors where it cannot be had."""
Confirm = Callable[[str, int], Awaitable[None]]
"""Publishes that this replica acted on a credential's version; a DomainError where the bus is away."""
Probe = Callable[[], Awaitable[None]]
"""Asks the registry anything; a DomainError where it does not answer."""


@dataclass(frozen=True, slots=True)
class _Entry:
    credential: Credential
    head: int
    read_at: float
    """Monotonic, from before the question was sent."""


@dataclass(frozen=True, slots=True)
class _Floor:
    version: int
    status: CredentialStatus | None
    set_at: float


class SigningDoor:
    """The last check of one signing. Made by `CredentialDirectory.door`."""

    __slots__ = ("_directory", "closed", "entry", "passed")

    def __init__(self, directory: CredentialDirectory, entry: _Entry) -> None:
        """Bind what was looked up."""
        self._directory, self.entry = directory, entry
        self.passed = False
        self.closed: asyncio.Event | None = None

    def admit(self) -> float:
        """Raise why the credential may not be used any more; else count this signing as past the door.

        Return the `time.monotonic()` until which it may begin: later it must not, even where it was handed over.
        """
        return self._directory.admit(self)

    def close(self) -> None:
        """Say that nothing of this signing is in the HSM any more."""
        self._directory.leave(self)


@dataclass(slots=True)
class _State:
    head: int | None = None
    """Every change up to here was seen, since the first heartbeat."""
    ahead: set[int] = field(default_factory=set)
    dropped_at: int = 0
    """States read at a head below this are not used: changes up to it were missed."""
    proof_at: float = float("-inf")
    beats_behind: int = 0


class CredentialDirectory:
    """The Directory port: a bounded cache in front of the registry's RPC."""

    def __init__(
        self,
        ask: Ask,
        confirm: Confirm,
        probe: Probe,
        limits: DirectoryLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`ask` is the registry's RPC, `confirm` the core message back; the clocks are for tests."""
        self._ask, self._confirm, self._probe = ask, confirm, probe
        self._limits = limits or DirectoryLimits()
        self._monotonic, self._now = monotonic, now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._floors: OrderedDict[str, _Floor] = OrderedDict()
        self._doors: dict[str, set[SigningDoor]] = {}
        self._asking: dict[str, asyncio.Task[_Entry]] = {}
        self._confirming: set[asyncio.Task[None]] = set()
        self._state = _State()

    # --- what signing asks ---

    async def resolve(self, credential_id: str) -> Credential:
        """Return the credential's present state; CredentialNotFound, CredentialStatusUnavailable."""
        return (await self._entry(credential_id)).credential

    def door(self, credential: Credential) -> SigningDoor:
        """Open the last check for one signing with what `resolve` returned just before."""
        entry = self._entries.get(credential.id)
        # By value: another caller may have read the same state again meanwhile.
        if entry is None or entry.credential != credential:
            # Dropped between look-up and door: a door that admits nobody, so that it is looked up again.
            entry = _Entry(credential, -1, float("-inf"))
        return SigningDoor(self, entry)

    async def _entry(self, credential_id: str) -> _Entry:
        entry = self._entries.get(credential_id)
        if entry is not None and self._is_fresh() and self._refusal(entry) is None:
            self._entries.move_to_end(credential_id)
            return entry
        for _ in range(ASK_ATTEMPTS):
            entry = await self._asked(credential_id)
            if self._refusal(entry) is None:
                return entry
        raise _unavailable(credential_id, "it changes faster than it can be read")

    async def _asked(self, credential_id: str) -> _Entry:
        task = self._asking.get(credential_id)
        if task is None:
            # In a context of its own: the question serves whoever waits, not only the caller whose deadline came first.
            question = self._question(credential_id)
            task = asyncio.get_running_loop().create_task(question, context=contextvars.Context())
            self._asking[credential_id] = task
            task.add_done_callback(lambda _: self._asking.pop(credential_id, None))
        return await asyncio.shield(task)

    async def _question(self, credential_id: str) -> _Entry:
        read_at = self._monotonic()
        try:
            answer = await self._ask(credential_id)
        except CredentialNotFound:
            self._entries.pop(credential_id, None)
            raise
        except DomainError as error:
            raise _unavailable(credential_id, "the registry does not answer") from error
        entry = _Entry(answer.credential, answer.head, read_at)
        if self._refusal(entry) is None:
            self._entries[credential_id] = entry
            self._entries.move_to_end(credential_id)
            if len(self._entries) > self._limits.entries:
                self._entries.popitem(last=False)
        return entry

    # --- the door ---

    def admit(self, door: SigningDoor) -> float:
        """Raise why this door admits nobody any more; else return until when (monotonic)."""
        refusal = self._refusal(door.entry)
        if refusal is not None:
            raise refusal
        if not door.passed:
            door.passed = True
            self._doors.setdefault(door.entry.credential.id, set()).add(door)
        return min(
            door.entry.read_at + self._limits.entry, self._proved_at(door.entry) + self._limits.heartbeat
        )

    def _proved_at(self, entry: _Entry) -> float:
        return max(entry.read_at, self._state.proof_at)

    def leave(self, door: SigningDoor) -> None:
        """Forget a door that was closed; confirmations may wait for it."""
        if door.closed is not None:
            door.closed.set()
        if door.passed:
            credential_id = door.entry.credential.id
            doors = self._doors[credential_id]
            doors.discard(door)
            if not doors:
                del self._doors[credential_id]

    def _refusal(self, entry: _Entry) -> DomainError | None:
        credential = entry.credential
        floor = self._floors.get(credential.id)
        if floor is not None and credential.version < floor.version:
            known = status_error(credential.id, floor.status) if floor.status is not None else None
            return known or _unavailable(credential.id, "it has just changed")
        if entry.head < self._state.dropped_at:
            return _unavailable(credential.id, "changes of the register were missed")
        now = self._monotonic()
        if now - entry.read_at >= self._limits.entry:
            return _unavailable(credential.id, "its state was read too long ago")
        if now - self._proved_at(entry) >= self._limits.heartbeat:
            return _unavailable(credential.id, "nothing was heard from the registry for too long")
        return None

    # --- what the registry tells ---

    def on_heartbeat(self, head: int, sent_at: datetime) -> None:
        """Take the registry's word that its directory stood at `head` at `sent_at`."""
        delay = (self._now() - sent_at).total_seconds()
        state = self._state
        if self._was_restored(head):
            self._entries.clear()
            self._floors.clear()
            state = self._state = _State()
        if state.head is None or (head > state.head and not self._seen_up_to(head)):
            # The first heartbeat, or changes that were never told: nothing read before is known to be good.
            state.head, state.dropped_at = head, head
            state.ahead = {version for version in state.ahead if version > head}
            self._entries = OrderedDict(
                (key, entry) for key, entry in self._entries.items() if entry.head >= head
            )
        if delay > -MAX_AHEAD_SECONDS:
            state.proof_at = max(state.proof_at, self._monotonic() - max(0.0, delay))

    def _was_restored(self, head: int) -> bool:
        state = self._state
        state.beats_behind = state.beats_behind + 1 if state.head is not None and head < state.head else 0
        return state.beats_behind >= BEATS_BEHIND

    def on_changed(self, credential_id: str, version: int, status: CredentialStatus | None) -> None:
        """Take the word that a credential changed; confirm once nothing of the state before is in the HSM."""
        now = self._monotonic()
        before = self._floors.pop(credential_id, None)
        if before is None or before.version <= version:
            before = _Floor(version, status, now)
        self._floors[credential_id] = before
        while self._floors and now - next(iter(self._floors.values())).set_at > FLOORS_SECONDS:
            self._floors.popitem(last=False)
        entry = self._entries.get(credential_id)
        if entry is not None and entry.credential.version < before.version:
            del self._entries[credential_id]
        self._note_seen(version)
        waiting = [
            _closing(door)
            for door in self._doors.get(credential_id, ())
            if door.entry.credential.version < version
        ]
        task = asyncio.get_running_loop().create_task(self._confirm_after(credential_id, version, waiting))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def _confirm_after(self, credential_id: str, version: int, closings: list[asyncio.Event]) -> None:
        for closed in closings:
            await closed.wait()
        # Where the bus is away the registry waits out the heartbeat limit instead, which is as good as this word.
        with suppress(DomainError):
            await self._confirm(credential_id, version)

    def _note_seen(self, version: int) -> None:
        state = self._state
        if state.head is None or version <= state.head:
            return
        state.ahead.add(version)
        self._advance()
        if len(state.ahead) > MAX_AHEAD:
            # So much is missing that the next heartbeat will drop everything anyway.
            state.ahead.clear()

    def _seen_up_to(self, head: int) -> bool:
        self._advance()
        return self._state.head is not None and self._state.head >= head

    def _advance(self) -> None:
        state = self._state
        while state.head is not None and state.head + 1 in state.ahead:
            state.head += 1
            state.ahead.discard(state.head)

    # --- how it is ---

    @property
    def age(self) -> float:
        """Seconds since the newest proof that the directory is unchanged."""
        return self._monotonic() - self._state.proof_at

    def __len__(self) -> int:
        """How many credentials are kept."""
        return len(self._entries)

    def _is_fresh(self) -> bool:
        return self.age < self._limits.heartbeat

    async def check(self) -> str | None:
        """For readiness: None while heartbeats come or the registry answers by RPC."""
        if self._is_fresh():
            return None
        try:
            await self._probe()
        except DomainError:
            return (
                "no heartbeat of the registry's directory, and the registry does not answer: signing refuses"
            )
        return None

    async def close(self) -> None:
        """Give up confirmations that still wait."""
        tasks = [*self._confirming, *self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _closing(door: SigningDoor) -> asyncio.Event:
    # Made while the doors are counted: one that closes before anybody waits must still be seen.
    if door.closed is None:
        door.closed = asyncio.Event()
    return door.closed


def _unavailable(credential_id: str, why: str) -> CredentialStatusUnavailable:
    return CredentialStatusUnavailable(
        f"the present status of credential {credential_id} cannot be had ({why}); try again shortly",
        credential_id=credential_id,
    )
