"""Our own time-stamp authority: a request in, an answer out (RFC 3161 section 2.4), each token checked before it leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from services.kernel.errors import DomainError, Internal, TimeStampUnavailable
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.ports import Signer
from services.signer.tsa import structures
from services.signer.tsa.check import TokenRefused, check_token
from services.signer.tsa.metrics import TsaMetrics
from services.signer.tsa.request import Query, read_request
from services.signer.tsa.serials import Serials
from services.signer.tsa.structures import FailInfo, Refusal
from services.signer.tsa.token import assemble, signed_attributes, tst_info
from services.signer.tsa.unit import UnitKeeper

GRANTED = "granted"
"""Outcome in the metrics, beside the names of FailInfo."""


@dataclass(frozen=True, slots=True)
class TsaParts:
    """What the authority stands on."""

    units: UnitKeeper
    serials: Serials
    hsm: Signer
    metrics: TsaMetrics
    log: FilteringBoundLogger


class TimeStampAuthority:
    """The use cases behind the RPC TimeStamp and behind our own signatures' time-stamps."""

    def __init__(self, parts: TsaParts) -> None:
        """Bind what it stands on."""
        self._units, self._serials, self._hsm = parts.units, parts.serials, parts.hsm
        self._metrics, self._log = parts.metrics, parts.log
        self._behind = False

    async def respond(self, request: bytes) -> bytes:
        """Answer a TimeStampReq, DER, with a TimeStampResp, DER; a refusal is an answer too."""
        try:
            return structures.granted(await self._counted(read_request(request, self._units.rule.policy)))
        except Refusal as refusal:
            self._metrics.stamps.labels(refusal.failure.label).inc()
            return structures.rejected(refusal)

    async def token(self, imprint: bytes, digest: DigestAlgorithm) -> bytes:
        """Return a TimeStampToken (ContentInfo, DER) over a digest of ours, our certificates inside.

        Raise TimeStampUnavailable.
        """
        stamped = Digest(digest, imprint)
        query = Query(stamped, structures.imprint_of(stamped), nonce=None, certificates=True)
        try:
            return await self._counted(query)
        except Refusal as refusal:
            self._metrics.stamps.labels(refusal.failure.label).inc()
            raise TimeStampUnavailable(f"our own time-stamp authority: {refusal.text}") from refusal

    async def _counted(self, query: Query) -> bytes:
        started = time.perf_counter()
        try:
            token = await self._issue(query)
        except Refusal:
            # Told once until it is over: everybody may ask, as often as the gateway lets them.
            if not self._behind:
                self._log.error("clock_ran_back", key=self._units.rule.key)
            self._behind = True
            raise
        except DomainError as error:
            self._log.warning("time_stamp_failed", code=error.code, message=error.message)
            # What is behind is not the public's to know.
            raise Refusal(FailInfo.SYSTEM_FAILURE, "no time-stamp can be made now; try again") from error
        self._behind = False
        self._metrics.stamps.labels(GRANTED).inc()
        self._metrics.seconds.observe(time.perf_counter() - started)
        return token

    async def _issue(self, query: Query) -> bytes:
        # 1. The key and its certificate.
        unit = await self._units.get()
        # 2. Serial number and time.
        moment = await self._serials.take()
        self._metrics.serials_left.set(self._serials.left)
        self._metrics.serial_blocks.set(self._serials.blocks)
        # 3. What the token says, signed in the HSM.
        content = tst_info(unit.parts, query, moment)
        attributes = signed_attributes(unit.parts, content, moment.time)
        digest = unit.algorithm.digest.digest(attributes)
        (outcome,) = await self._hsm.sign(unit.locator, unit.algorithm, [digest])
        if isinstance(outcome, DomainError):
            raise outcome
        # 4. Put together, and read back as any relying party would.
        token = assemble(unit.parts, content, attributes, outcome, certificates=query.certificates)
        try:
            stamp = check_token(token, query.digest, query.nonce, unit.chain)
        except TokenRefused as error:
            raise Internal(f"the time-stamp made does not hold: {error}") from error
        if (stamp.serial, stamp.time, stamp.certificate) != (moment.serial, moment.time, unit.chain[0]):
            raise Internal("the time-stamp made says something else than it should")
        return token
