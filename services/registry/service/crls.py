"""CRLs: on schedule and on revocation; numbers rise, and no revoked certificate is ever lost from one to the next."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, Internal
from services.registry.domain import authority as rules
from services.registry.domain import chains
from services.registry.domain.authority import AUTHORITIES, Authority, AuthorityState, Crl
from services.registry.domain.credentials import Revoked
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Signer, Store
from services.registry.service.chronicle import Chronicle, Clock
from services.registry.x509 import RevokedEntry, build_crl_tbs


@dataclass(frozen=True, slots=True)
class CrlSchedule:
    """How often a CA publishes, and for how long each CRL is valid."""

    interval: timedelta
    validity: timedelta


class CrlService:
    """Publishes the CRLs of our CAs."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        schedules: Mapping[str, CrlSchedule],
        chronicle: Chronicle,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """Bind the store, the keys, and the schedule of each CA by name."""
        self._store, self._signer, self._schedules = store, signer, schedules
        self._chronicle, self._clock, self._log = chronicle, clock, log
        self._publishing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._newest: dict[str, Crl] = {}

    def measure(self, metrics: RegistryMetrics) -> None:
        """Let the age of each CA's newest CRL be seen."""
        for name in AUTHORITIES:
            metrics.crl_age.labels(name).set_function(partial(self._age, name))

    def _age(self, name: str) -> float:
        newest = self._newest.get(name)
        # Not a number before the first: a zero would look like a fresh CRL.
        return (self._clock() - newest.this_update).total_seconds() if newest else float("nan")

    async def publish_due(self) -> None:
        """Publish the CRL of each CA that is due, finish what a crash left unsigned, and list what waits for it."""
        for name in AUTHORITIES:
            # Looked at within the lock: what another publication has reserved is not left over.
            async with self._publishing[name]:
                await self._publish_due(name)

    async def _publish_due(self, name: str) -> None:
        # Twice at most: one that was begun before a revocation and not signed then does not list it.
        for _ in range(2):
            async with self._store.reading() as unit:
                authority = await unit.authorities.get(name)
                newest = await unit.authorities.newest_crl(name)
                unsigned = await unit.authorities.unsigned_crl(name)
                waiting = await unit.credentials.unlisted(name)
            if authority is None or authority.state is not AuthorityState.ACTIVE:
                return
            if newest is not None:
                self._newest[name] = newest
            due = rules.due(newest, self._clock(), self._schedules[name].interval)
            if unsigned is None and not waiting and not due:
                return
            await self._publish(authority)

    async def publish_with(self, name: str, serial_number: str) -> int:
        """Make sure that a CRL has listed the revoked serial number; return the newest one's number."""
        async with self._publishing[name]:
            # Twice at most: the first may be one that was begun before this revocation and never signed.
            for _ in range(3):
                async with self._store.reading() as unit:
                    authority = await unit.authorities.get(name)
                    newest = await unit.authorities.newest_crl(name)
                    waiting = await unit.credentials.unlisted(name)
                if authority is None:
                    raise Internal(
                        f"certificate {serial_number} was issued by a CA that is not in the register"
                    )
                if newest is not None and serial_number not in waiting:
                    return newest.number
                await self._publish(authority)
        raise Internal(f"two CRLs after its revocation the certificate {serial_number} is on neither")

    async def _publish(self, authority: Authority) -> Crl:
        # 1. The next number and the to-be-signed bytes, kept before anything is signed.
        crl = await self._reserve(authority)
        # 2. The signature.
        der = await self._signer.sign_crl(authority.name, crl.tbs)
        # 3. Checked against what was asked for and against the CRL before, then published.
        return await self._finish(authority, replace(crl, der=der))

    async def _reserve(self, authority: Authority) -> Crl:
        name, schedule = authority.name, self._schedules[authority.name]
        async with self._store.transaction() as unit:
            # One after the other, also between replicas: the number is the highest one and one more.
            await unit.authorities.get(name, lock=True)
            unsigned = await unit.authorities.unsigned_crl(name)
            if unsigned is not None:
                return unsigned
            number = await unit.authorities.last_crl_number(name) + 1
            previous = await unit.authorities.newest_crl(name)
            entries = rules.listed(await unit.credentials.revoked(name), previous)
            this_update = self._clock().replace(microsecond=0)
            crl = Crl(name, number, this_update, this_update + schedule.validity, len(entries), b"", b"")
            tbs = await asyncio.to_thread(_tbs, authority, crl, entries)
            crl = replace(crl, tbs=tbs)
            await unit.authorities.add_crl(crl)
        return crl

    async def _finish(self, authority: Authority, crl: Crl) -> Crl:
        await asyncio.to_thread(chains.require_signed_crl, crl.der, crl.tbs, authority.certificate)
        async with self._store.transaction() as unit:
            previous = await unit.authorities.newest_crl(authority.name)
            if previous is not None:
                revoked = await unit.credentials.revoked(authority.name)
                _require_nothing_lost(crl, previous, revoked)
            if await unit.authorities.finish_crl(authority.name, crl.number, crl.der):
                waiting = await unit.credentials.unlisted(authority.name)
                listed = waiting & chains.crl_serials(crl.der)
                await unit.credentials.mark_listed(authority.name, listed, crl.number)
                await self._chronicle.crl(unit, crl)
        self._newest[authority.name] = crl
        self._log.info("crl_published", ca=crl.authority, number=crl.number, entries=crl.entries)
        return crl

    async def run(self, every_seconds: float) -> None:
        """Publish what is due until cancelled; an absent signer is asked again."""
        while True:
            try:
                await self.publish_due()
            except DomainError as error:
                self._log.warning("crl_not_published", code=error.code, message=error.message)
            await asyncio.sleep(every_seconds)


def _tbs(authority: Authority, crl: Crl, entries: list[Revoked]) -> bytes:
    return build_crl_tbs(
        authority.certificate,
        authority.algorithm,
        crl.number,
        crl.this_update,
        crl.next_update,
        [RevokedEntry(int(entry.serial_number, 16), entry.at, entry.reason) for entry in entries],
    )


def _require_nothing_lost(crl: Crl, previous: Crl, revoked: list[Revoked]) -> None:
    """Raise Internal where the CRL steps back: a lower number, or a listed certificate that is gone too early."""
    if crl.number < previous.number:
        raise Internal(f"CRL {crl.number} of {crl.authority} is older than {previous.number}")
    ended = {entry.serial_number for entry in revoked if entry.not_after < previous.this_update}
    lost = chains.crl_serials(previous.der) - chains.crl_serials(crl.der) - ended
    if lost and crl.number > previous.number:
        raise Internal(
            f"CRL {crl.number} of {crl.authority} would lose {len(lost)} revoked certificates of {previous.number}"
        )
