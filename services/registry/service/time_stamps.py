"""The certificate of our own time-stamp unit: issued by the issuing CA, and anew before it ends, with the same key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, NotFound
from services.registry.domain import chains, time_stamps
from services.registry.domain.audit import PLATFORM
from services.registry.domain.authority import ISSUING, Authority, AuthorityState
from services.registry.domain.time_stamps import UnitCertificate, UnitState
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Signer, Store
from services.registry.service.authorities import AuthorityService
from services.registry.service.chronicle import Chronicle
from services.registry.x509 import CaName, build_time_stamp_tbs, random_serial

BACKDATED = timedelta(seconds=60)
"""A certificate's validity begins this long before it is made: whoever checks may have a clock that is behind."""
PROFILE = "time_stamp"


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What the settings say of our time-stamp unit."""

    key: str
    """Name of its key in the signer's settings."""
    name: CaName
    validity: timedelta
    renew_before: timedelta


class TimeStampCertificates:
    """Issues what GetTimeStampCertificate answers; does nothing where there is no plan."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        authorities: AuthorityService,
        chronicle: Chronicle,
        plan: UnitPlan | None,
        seen: tuple[RegistryMetrics, FilteringBoundLogger],
    ) -> None:
        """Bind the store, the keys, the CA and the plan."""
        self._store, self._signer, self._authorities = store, signer, authorities
        self._chronicle, self._plan, self._clock = chronicle, plan, authorities.clock
        self._metrics, self._log = seen
        self._waits = ""

    async def chain(self, key: str) -> list[bytes]:
        """Return the present certificate and its CA's, DER; raise NotFound until it is issued."""
        async with self._store.reading() as unit:
            issued = await unit.time_stamps.newest(key, UnitState.ISSUED)
            authority = await unit.authorities.get(ISSUING)
        if issued is None or authority is None:
            raise NotFound("no certificate for time-stamping has been issued for this key yet", id=key[:64])
        return [issued.certificate, authority.certificate]

    async def ensure(self) -> None:
        """Issue a certificate where one is due; what cannot be done now is told once and tried at the next call."""
        if self._plan is None:
            return
        try:
            await self._ensure(self._plan)
        except DomainError as error:
            if error.message != self._waits:
                self._log.warning("time_stamp_certificate_waits", code=error.code, message=error.message)
            self._waits = error.message
        else:
            self._waits = ""

    async def _ensure(self, plan: UnitPlan) -> None:
        async with self._store.reading() as unit:
            authority = await unit.authorities.get(ISSUING)
            newest = await unit.time_stamps.newest(plan.key, UnitState.ISSUED)
        # While the CA is not made yet there is nothing to tell: its own making tells it.
        if authority is None or authority.state is not AuthorityState.ACTIVE:
            return
        if not self._is_due(plan, newest, authority):
            return
        # 1. Serial number and to-be-signed bytes, kept before anything is signed.
        reserved = await self._reserve(plan, authority)
        if reserved is None:
            return
        # 2. The signature.
        certificate = await self._signer.sign_certificate(ISSUING, reserved.tbs)
        # 3. The certificate.
        await self._finish(reserved, certificate, authority)

    def _is_due(self, plan: UnitPlan, newest: UnitCertificate | None, authority: Authority) -> bool:
        now = self._clock()
        end = min(now + plan.validity, authority.not_after)
        return time_stamps.due(newest, now, plan.renew_before, end)

    async def _reserve(self, plan: UnitPlan, authority: Authority) -> UnitCertificate | None:
        # The signer makes the key once and answers the same one ever after.
        key = await self._signer.authority_key(plan.key)
        now = self._clock()
        not_before = now.replace(microsecond=0) - BACKDATED
        serial, not_after = random_serial(), min(not_before + plan.validity, authority.not_after)
        tbs = await asyncio.to_thread(
            build_time_stamp_tbs,
            plan.name,
            key.spki,
            authority.certificate,
            authority.algorithm,
            self._authorities.plan.links(ISSUING),
            serial,
            (not_before, not_after),
        )
        async with self._store.transaction() as unit:
            # One replica after the other: what one has reserved or issued, the next one finds.
            await unit.alone()
            if not self._is_due(plan, await unit.time_stamps.newest(plan.key, UnitState.ISSUED), authority):
                return None
            left = await unit.time_stamps.newest(plan.key, UnitState.TBS_STORED)
            if left is not None and time_stamps.resumable(left, now):
                return left
            reserved = _reserved(plan.key, serial, (not_before, not_after), tbs, now)
            await unit.time_stamps.add(reserved)
        return reserved

    async def _finish(self, reserved: UnitCertificate, certificate: bytes, authority: Authority) -> None:
        chains.require_signed_certificate(certificate, reserved.tbs, authority.certificate)
        async with self._store.transaction() as unit:
            if not await unit.time_stamps.finish(reserved.serial_number, certificate, self._clock()):
                return
            await self._chronicle.record(
                unit,
                "kyso.time_stamp_unit.certified",
                agency_id=PLATFORM,
                facts={
                    "key": reserved.key,
                    "serial_number": reserved.serial_number,
                    "sha256": chains.fingerprint(certificate),
                    "not_after": reserved.not_after.isoformat(),
                },
            )
        self._metrics.certificates_issued.labels(PROFILE).inc()
        self._log.info(
            "time_stamp_certificate_issued",
            key=reserved.key,
            serial_number=reserved.serial_number,
            not_after=reserved.not_after.isoformat(),
        )


def _reserved(
    key: str, serial: int, validity: tuple[datetime, datetime], tbs: bytes, at: datetime
) -> UnitCertificate:
    return UnitCertificate(
        key=key,
        serial_number=f"{serial:x}",
        state=UnitState.TBS_STORED,
        not_before=validity[0],
        not_after=validity[1],
        tbs=tbs,
        certificate=b"",
        reserved_at=at,
    )
