"""Hold, release and revoke: what stops a credential, and when that may be believed (RG-40 to RG-48)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.kernel.errors import Conflict, FieldInvalid
from services.kernel.values import new_id
from services.registry.domain import parties
from services.registry.domain.access import Caller
from services.registry.domain.authority import ISSUING
from services.registry.domain.credentials import (
    Credential,
    CredentialStatus,
    Hold,
    HoldReason,
    IssuerKind,
    RevocationGround,
    require_independent,
    require_not_revoked,
    status_after_release,
)
from services.registry.ports import Store, Unit
from services.registry.service.admission import acting
from services.registry.service.chronicle import Chronicle, Clock
from services.registry.service.credentials import reached_credential
from services.registry.service.crls import CrlService
from services.registry.service.directory import DirectoryService, Stop

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A time reported by a person's clock may be this much ahead of ours."""


@dataclass(frozen=True, slots=True)
class HoldReport:
    """Why a credential is stopped (RG-42)."""

    reason: HoldReason
    suspected_since: datetime | None
    reporter: str


class HoldService:
    """Stops credentials, and lets them go on."""

    def __init__(
        self, store: Store, directory: DirectoryService, crls: CrlService, chronicle: Chronicle, clock: Clock
    ) -> None:
        """Bind the store, the directory that reaches the signers, and the CRLs."""
        self._store, self._directory, self._crls = store, directory, crls
        self._chronicle, self._clock = chronicle, clock

    async def hold(self, caller: Caller, credential_id: str, report: HoldReport) -> tuple[Credential, Stop]:
        """Hold a credential; return once no signature by it can start. A held one is confirmed anew."""
        caller.require("credentials:write")
        reporter = parties.text(report.reporter, "reporter")
        now = self._clock()
        if report.suspected_since is not None and report.suspected_since > now + CLOCK_TOLERANCE:
            raise FieldInvalid("suspected_since lies in the future", field="suspected_since")
        async with self._directory.watching(credential_id[:64]) as watch:
            async with acting(self._store, caller) as unit:
                credential = await reached_credential(unit, caller, credential_id, lock=True)
                require_not_revoked(credential)
                joined = await self._join(unit, caller, credential, replace(report, reporter=reporter))
                if credential.status is not CredentialStatus.HELD:
                    credential = await self._change(
                        unit, credential, CredentialStatus.HELD, "held", caller, report.reason.value
                    )
                elif joined:
                    await self._reported(unit, caller, credential, report.reason)
            return credential, await self._directory.stop(watch, credential)

    async def _join(self, unit: Unit, caller: Caller, credential: Credential, report: HoldReport) -> bool:
        """Keep one open report for each client, so that none of them can release; False where it has one."""
        present = await unit.credentials.open_holds(credential.id)
        if any(hold.client_id == caller.client_id for hold in present):
            return False
        hold = Hold(
            new_id("ho"),
            credential.id,
            caller.client_id,
            report.reason,
            report.suspected_since,
            report.reporter,
            self._clock(),
        )
        await unit.credentials.add_hold(hold)
        return True

    async def _reported(self, unit: Unit, caller: Caller, credential: Credential, reason: HoldReason) -> None:
        # Nothing changes for the signers: a line in the audit log, no event.
        await self._chronicle.record(
            unit,
            "kyso.credential.hold_joined",
            agency_id=credential.agency_id,
            client_id=caller.client_id,
            credential_id=credential.id,
            facts={"credential_id": credential.id, "client_id": caller.client_id, "reason": reason.value},
        )

    async def release(self, caller: Caller, credential_id: str, confirmation: str) -> Credential:
        """End a hold on a written confirmation (RG-43); a client independent of those that reported it must ask."""
        caller.require("credentials:write")
        confirmation = parties.text(confirmation, "confirmation")
        async with acting(self._store, caller) as unit:
            credential = await reached_credential(unit, caller, credential_id, lock=True)
            require_not_revoked(credential)
            holds = await unit.credentials.open_holds(credential.id)
            releaser = await unit.parties.client(caller.client_id)
            if credential.status is not CredentialStatus.HELD or not holds or releaser is None:
                raise Conflict("the credential is not held", id=credential.id)
            require_independent(releaser, holds, credential.id)
            await unit.credentials.end_holds(credential.id, caller.client_id, confirmation, self._clock())
            credential = await self._change(
                unit, credential, status_after_release(credential), "released", caller, confirmation
            )
        await self._directory.announce(credential)
        return credential

    async def revoke(
        self, caller: Caller, credential_id: str, ground: RevocationGround, reference: str
    ) -> tuple[Credential, Stop, int]:
        """Revoke for good; return credential, how the signers took it, and the CRL's number (0: an outside CA's).

        Asked again, it makes sure of both once more. Raise what the signer raises where the CRL cannot be signed now:
        the revocation stands, and the CRL follows by itself.
        """
        caller.require("credentials:write")
        reference = parties.text(reference, "request_reference")
        async with self._directory.watching(credential_id[:64]) as watch:
            async with acting(self._store, caller) as unit:
                credential = await reached_credential(unit, caller, credential_id, lock=True)
                if credential.status is not CredentialStatus.REVOKED:
                    credential = await self._revoke(unit, caller, credential, ground, reference)
            stop, number = await asyncio.gather(
                self._directory.stop(watch, credential), self._list(credential), return_exceptions=True
            )
        # The stop is the more urgent of the two, so its failure is told first; neither cancels the other.
        if isinstance(stop, BaseException):
            raise stop
        if isinstance(number, BaseException):
            raise number
        return credential, stop, number

    async def _revoke(
        self, unit: Unit, caller: Caller, credential: Credential, ground: RevocationGround, reference: str
    ) -> Credential:
        # All that it ever had, and one on its way too: the CA may have signed it already.
        await unit.credentials.revoke_certificates(credential.id, ground, reference, self._clock())
        return await self._change(
            unit, credential, CredentialStatus.REVOKED, "revoked", caller, ground.label, unfinished=False
        )

    async def _list(self, credential: Credential) -> int:
        if credential.issuer is IssuerKind.OUTSIDE_CA:
            return 0
        async with self._store.reading() as unit:
            # In this order: one that is finished meanwhile is no longer open, and is then the current one.
            opened = await unit.credentials.open_certificate(credential.id)
            present = await unit.credentials.get(credential.id)
        certificate = opened or (None if present is None else present.certificate)
        # The CA may have signed what is still open: it counts like one that is issued.
        return 0 if certificate is None else await self._crls.publish_with(ISSUING, certificate.serial_number)

    async def _change(
        self,
        unit: Unit,
        credential: Credential,
        status: CredentialStatus,
        verb: str,
        caller: Caller,
        reason: str,
        *,
        unfinished: bool | None = None,
    ) -> Credential:
        credential = replace(credential, status=status, version=await unit.next_version())
        await unit.credentials.update(credential, unfinished=unfinished)
        await self._chronicle.credential(unit, verb, credential, client_id=caller.client_id, reason=reason)
        return credential
