"""Writes each change of the register where it must be found later: the audit log, and the outbox for the bus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from services.kernel.events import Event, event_subject
from services.kernel.values import new_id
from services.registry.domain.audit import PLATFORM, AuditRow, canonical, stamp
from services.registry.domain.authority import Crl
from services.registry.domain.credentials import Credential
from services.registry.ports import Unit

Clock = Callable[[], datetime]


class Chronicle:
    """Records changes within the transaction that makes them true."""

    def __init__(self, replica: str, clock: Clock) -> None:
        """Bind this replica's name (the events' source) and the clock."""
        self._source = f"kyso/registry/{replica}"
        self._clock = clock

    async def record(
        self,
        unit: Unit,
        type_: str,
        *,
        agency_id: str,
        client_id: str = "",
        credential_id: str = "",
        facts: dict[str, object],
    ) -> str:
        """Append one line to the audit log; return its id. `facts` hold no secret and no whole citizen number."""
        identifier = new_id("ev")
        row = AuditRow(
            id=identifier,
            type=type_,
            agency_id=agency_id,
            client_id=client_id,
            credential_id=credential_id,
            operation_id="",
            time=self._clock(),
            data=canonical(facts),
        )
        await unit.audit.append([row])
        return identifier

    async def credential(
        self, unit: Unit, verb: str, credential: Credential, *, client_id: str = "", reason: str = ""
    ) -> None:
        """Record a change of a credential, and publish it as kyso.event.credential.<verb>.<agency>."""
        now = self._clock()
        facts: dict[str, object] = {
            "credential_id": credential.id,
            "version": credential.version,
            "status": credential.status.value,
            "subscriber_id": credential.subscriber_id,
            "agency_id": credential.agency_id,
            "client_id": client_id,
            "reason": reason,
            "time": stamp(now),
        }
        type_ = f"kyso.credential.{verb}"
        identifier = await self.record(
            unit,
            type_,
            agency_id=credential.agency_id,
            client_id=client_id,
            credential_id=credential.id,
            facts=facts,
        )
        await unit.publish(
            Event(
                id=identifier,
                type=type_,
                source=self._source,
                subject=credential.id,
                time=now,
                # int64 is text in the JSON mapping of proto3.
                data=canonical({**facts, "version": str(credential.version)}).encode(),
                nats_subject=event_subject("credential", verb, credential.agency_id),
            )
        )

    async def crl(self, unit: Unit, crl: Crl) -> None:
        """Record a published CRL, and publish that it is there."""
        now = self._clock()
        facts: dict[str, object] = {
            "ca": crl.authority,
            "number": crl.number,
            "entries": crl.entries,
            "this_update": stamp(crl.this_update),
            "next_update": stamp(crl.next_update),
        }
        type_ = "kyso.crl.published"
        identifier = await self.record(unit, type_, agency_id=PLATFORM, facts=facts)
        await unit.publish(
            Event(
                id=identifier,
                type=type_,
                source=self._source,
                subject=crl.authority,
                time=now,
                data=canonical({**facts, "number": str(crl.number)}).encode(),
                nats_subject=event_subject("crl", "published", PLATFORM),
            )
        )
