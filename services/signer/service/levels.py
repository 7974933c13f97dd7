"""Levels above B-B: what a format needs for them is had here, step by step, until the level is reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Counter

from services.kernel.errors import (
    DomainError,
    EvidenceUnavailable,
    Internal,
    LevelNotReached,
    TimeStampUnavailable,
)
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.domain import ItemFailure
from services.signer.formats.format import TimeStampNeeded
from services.signer.formats.parameters import Level
from services.signer.ports import DocumentSession, EvidenceSource, TimeStamps

MAX_STEPS = 600
"""Steps of one document: each of up to 256 signatures of a container may need a time-stamp and values of its own."""

MAX_SECONDS = 300
"""After which nothing more is begun: each step may wait for others, and whoever asked may be gone."""


@dataclass(frozen=True, slots=True)
class LevelWanted:
    """What a caller asks for."""

    level: Level
    digest: DigestAlgorithm
    """Of new time-stamps."""
    may_be_lower: bool
    time_stamp_authority: str
    """Outside authority by its name; empty: our own."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Which level a document has now."""

    level: Level
    missed: ItemFailure | None = None
    """Why it is lower than asked; None: it is not."""
    warnings: tuple[str, ...] = ()
    """What was done although a rule advises against it, as "CODE: sentence"."""


class LevelRaising:
    """Raises a signed document to a level (EN 319 102-1 section 4.2: signature augmentation)."""

    def __init__(
        self,
        stamps: TimeStamps,
        evidence: EvidenceSource,
        levels: Counter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where time-stamps and evidence come from, what counts levels wanted and reached, and a clock."""
        self._stamps, self._evidence, self._levels = stamps, evidence, levels
        self._monotonic = monotonic

    async def raise_to(self, session: DocumentSession, wanted: LevelWanted) -> Reached:
        """Do what the format asks for; the session holds the result.

        Raises LevelNotReached where something could not be had and the caller wants no lower level, and what the
        format raises.
        """
        if wanted.level is Level.B_B:
            return Reached(Level.B_B)
        until = self._monotonic() + MAX_SECONDS
        try:
            for _ in range(MAX_STEPS):
                if self._monotonic() > until:
                    raise EvidenceUnavailable(f"after {MAX_SECONDS} seconds the document still asks for more")
                if not await self._step(session, wanted):
                    self._count(wanted, wanted.level)
                    return Reached(wanted.level)
        except (TimeStampUnavailable, EvidenceUnavailable) as error:
            return await self._stopped(session, wanted, error)
        raise Internal(f"the document still asks for more after {MAX_STEPS} time-stamps and values")

    async def _step(self, session: DocumentSession, wanted: LevelWanted) -> bool:
        """Have one thing and put it in; False where nothing is needed any more."""
        need = await session.next_need(wanted.level, wanted.digest)
        if need is None:
            return False
        if isinstance(need, TimeStampNeeded):
            imprint = Digest(wanted.digest, need.imprint)
            await session.add_time_stamp(need, await self._stamps.stamp(wanted.time_stamp_authority, imprint))
        else:
            await session.add_evidence(need, await self._evidence.collect(need.certificates))
        return True

    async def _stopped(self, session: DocumentSession, wanted: LevelWanted, error: DomainError) -> Reached:
        level = await self._reached(session, wanted)
        self._count(wanted, level)
        if not wanted.may_be_lower:
            raise LevelNotReached(
                f"level {wanted.level.value} was not reached, only {level.value}: {error.message}; ask again later, "
                'or allow a lower level with the level rule "lower"',
                reached=level.value,
                reason=error.code,
            ) from error
        return Reached(level, ItemFailure.of(error))

    def _count(self, wanted: LevelWanted, reached: Level) -> None:
        self._levels.labels(wanted.level.value, reached.value).inc()

    async def _reached(self, session: DocumentSession, wanted: LevelWanted) -> Level:
        lower = [level for level in Level if not level.includes(wanted.level)]
        for level in reversed(lower[1:]):
            # What a level needs may be what the document does not tell: then it was not reached either.
            with suppress(TimeStampUnavailable, EvidenceUnavailable):
                if await session.next_need(level, wanted.digest) is None:
                    return level
        return Level.B_B
