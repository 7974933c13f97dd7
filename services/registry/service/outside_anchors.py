"""What is trusted of others: what the settings name for good, and trust lists, which change while the registry runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from prometheus_client import Gauge
from structlog.typing import FilteringBoundLogger

from services.registry.domain.anchors import FOREIGN, SIGNATURE, Anchor, TrustList
from services.registry.domain.audit import PLATFORM
from services.registry.outside import OutsideTrust
from services.registry.ports import Store
from services.registry.service.chronicle import Chronicle, Clock

ReadList = Callable[[], TrustList]
"""Reads one list from where the operator put it; raises ValueError that says what is wrong with it."""


class OutsideAnchors:
    """Anchors of others. A list that is older than one taken before is refused, also after a restart."""

    def __init__(
        self, anchors: tuple[Anchor, ...], intermediates: tuple[bytes, ...], lists: Mapping[str, ReadList]
    ) -> None:
        """`anchors` and `intermediates` stand in the settings; `lists` are by name."""
        self._fixed, self.intermediates = anchors, intermediates
        self._readers = dict(lists)
        self._lists: dict[str, TrustList] = {}
        self._refusals: dict[str, str] = {}
        self._seen: dict[str, TrustList] = {}
        """What each file held last, taken or refused: the database is asked about news only."""

    @property
    def named(self) -> bool:
        """True where the settings name any list."""
        return bool(self._readers)

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """All anchors on all their terms."""
        listed = (anchor for one in self.lists for anchor in one.anchors)
        return (*self._fixed, *listed)

    @property
    def lists(self) -> tuple[TrustList, ...]:
        """The lists in use, by name."""
        return tuple(self._lists[name] for name in sorted(self._lists))

    def for_signatures(self, at: datetime) -> OutsideTrust:
        """What a certificate for a key of ours may lead to at that time: foreign authorities are for verifying alone."""
        known = (one for one in self.anchors if one.scope != FOREIGN)
        trusted = (one.certificate for one in known if one.is_trusted(SIGNATURE, at))
        return OutsideTrust(tuple(dict.fromkeys(trusted)), self.intermediates)

    async def refresh(self, store: Store, chronicle: Chronicle, log: FilteringBoundLogger) -> None:
        """Take the lists that are newer; one that cannot be taken leaves the one in use, and says why."""
        for name, read in self._readers.items():
            try:
                found = await asyncio.to_thread(read)
            except ValueError as error:
                self._refuse(name, str(error), log)
                self._seen.pop(name, None)
                continue
            if found == self._seen.get(name):
                continue
            refusal = await self._taken(found, store, chronicle)
            self._seen[name] = found
            if refusal:
                self._refuse(name, refusal, log)
                continue
            self._refusals.pop(name, None)
            self._lists[name] = found
            log.info(
                "trust_list_taken", list=name, number=found.head.sequence_number, anchors=len(found.anchors)
            )

    async def _taken(self, found: TrustList, store: Store, chronicle: Chronicle) -> str:
        """Keep which list it is, for the time after a restart too; return why it is refused, or ""."""
        async with store.transaction() as unit:
            await unit.alone()
            before = await unit.trust_lists.newest(found.name)
            refusal = before.refusal_of(found.head) if before is not None else ""
            if refusal or before == found.head:
                return refusal
            await unit.trust_lists.put(found.name, found.head)
            await chronicle.record(
                unit,
                "kyso.trust_list.taken",
                agency_id=PLATFORM,
                facts={
                    "list": found.name,
                    "operator": found.head.operator,
                    "sequence_number": found.head.sequence_number,
                    "sha256": found.head.sha256,
                },
            )
        return ""

    def _refuse(self, name: str, why: str, log: FilteringBoundLogger) -> None:
        if self._refusals.get(name) != why:
            self._refusals[name] = why
            log.warning("trust_list_refused", list=name, reason=why)

    async def reason(self) -> str | None:
        """Health check: None when every list that the settings name is in use."""
        missing = [name for name in self._readers if name not in self._lists]
        if not missing:
            return None
        why = (f"{name} ({self._refusals.get(name, 'not read yet')})" for name in missing)
        return f"trust lists are not in use: {', '.join(why)}"

    def measure(self, gauge: Gauge, clock: Clock) -> None:
        """Let it be seen how long each list is good for; `gauge` has the label list."""
        for name in self._readers:
            gauge.labels(name).set_function(partial(self._remaining, name, clock))

    def _remaining(self, name: str, clock: Clock) -> float:
        found = self._lists.get(name)
        if found is None:
            return float("nan")
        return float("inf") if found.next_update is None else (found.next_update - clock()).total_seconds()
