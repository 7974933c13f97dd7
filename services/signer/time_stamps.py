"""Time-stamps for signatures: from our own authority in this process, from others through the verifier."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from services.kernel.errors import DomainError, TimeStampUnavailable
from services.kernel.runtime.database import Database
from services.kernel.runtime.process import Runtime
from services.kernel.values import Digest
from services.signer.config import TimeStampSettings
from services.signer.ports import Clock, KeyStore, Signer
from services.signer.store.serials import SqlSerialStore
from services.signer.tsa.authority import GRANTED, TimeStampAuthority, TsaParts
from services.signer.tsa.check import TokenRefused, check_response, make_request
from services.signer.tsa.metrics import TsaMetrics
from services.signer.tsa.serials import Serials
from services.signer.tsa.unit import FetchChain, UnitKeeper, UnitRule

NONCE_BITS = 64
OWN = ""
"""Names our own authority."""

AskOutside = Callable[[str, bytes], Awaitable[bytes]]
"""Sends a TimeStampReq, DER, to the authority of this name; returns the TimeStampResp as it came."""


class TimeStampService:
    """The TimeStamps port."""

    def __init__(
        self, own: TimeStampAuthority | None, outside: AskOutside | None, metrics: TsaMetrics, clock: Clock
    ) -> None:
        """Take our own authority and the way to others; None where the settings have none."""
        self._own, self._outside, self._metrics, self._clock = own, outside, metrics, clock

    async def respond(self, request: bytes) -> bytes:
        """Answer a TimeStampReq of anybody's; raise TimeStampUnavailable where we have no authority."""
        return await self._authority().respond(request)

    async def stamp(self, authority: str, digest: Digest) -> bytes:
        """Return a TimeStampToken (DER ContentInfo) over the digest, checked; "" is our own authority.

        Raises TimeStampUnavailable.
        """
        if authority == OWN:
            return await self._authority().token(digest.value, digest.algorithm)
        if self._outside is None:
            raise TimeStampUnavailable("this platform asks no other time-stamp authority: leave its name out")
        nonce = secrets.randbits(NONCE_BITS) | 1
        try:
            answer = await self._outside(authority, make_request(digest, nonce))
            token = check_response(answer, digest, nonce, self._clock())
        except TokenRefused as error:
            self._metrics.outside.labels("wrong").inc()
            raise TimeStampUnavailable(
                f"time-stamp authority {authority} gave no usable answer: {error}"
            ) from error
        except TimeStampUnavailable:
            self._metrics.outside.labels("unavailable").inc()
            raise
        except DomainError as error:
            self._metrics.outside.labels("unavailable").inc()
            raise TimeStampUnavailable(f"time-stamp authority {authority}: {error.message}") from error
        self._metrics.outside.labels(GRANTED).inc()
        return token

    def _authority(self) -> TimeStampAuthority:
        if self._own is None:
            raise TimeStampUnavailable("this platform has no time-stamp authority of its own")
        return self._own


@dataclass(frozen=True, slots=True)
class TimeStampGround:
    """What time-stamps stand on."""

    database: Database
    keys: KeyStore
    hsm: Signer
    fetch_chain: FetchChain
    outside: AskOutside | None
    clock: Clock


@asynccontextmanager
async def open_time_stamps(
    settings: TimeStampSettings | None, ground: TimeStampGround, runtime: Runtime
) -> AsyncIterator[TimeStampService]:
    """Open the authority that the settings name, if they name one; at the end its newest time is made durable.

    It stands in no check of readiness: documents are signed while no time-stamp can be made, and whoever asks for one
    is told why.
    """
    metrics = TsaMetrics.register(runtime.telemetry.registry)
    if settings is None:
        yield TimeStampService(None, ground.outside, metrics, ground.clock)
        return
    log, accuracy = runtime.telemetry.log, timedelta(milliseconds=settings.accuracy_milliseconds)
    rule = UnitRule(settings.key, settings.policy, accuracy)
    units = UnitKeeper(rule, ground.keys, ground.fetch_chain, ground.clock, metrics, log)
    store = SqlSerialStore(ground.database)
    serials = Serials(store, settings.key, settings.serial_block, accuracy, ground.clock)
    own = TimeStampAuthority(TsaParts(units, serials, ground.hsm, metrics, log))
    async with runtime.background("time-stamp-certificate", units.run()):
        try:
            yield TimeStampService(own, ground.outside, metrics, ground.clock)
        finally:
            try:
                await serials.settle()
            except DomainError as error:
                log.warning("newest_time_stamp_not_kept", code=error.code, message=error.message)
