"""Agencies and subscribers."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.errors import Conflict, FieldInvalid, NotFound
from services.kernel.values import new_id
from services.registry.domain import parties
from services.registry.domain.access import Caller, no_agency
from services.registry.domain.paging import Page, Rows
from services.registry.domain.parties import Agency, Subscriber
from services.registry.ports import Store, Unit
from services.registry.profiles import SubscriberKind
from services.registry.service.admission import acting, asking
from services.registry.service.chronicle import Chronicle, Clock


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """What a caller says of a subscriber; checked here."""

    agency_id: str
    kind: SubscriberKind
    name: str
    tax_code: str
    citizen_number: str
    email: str
    title: str


async def reached_agency(unit: Unit, caller: Caller, agency_id: str) -> Agency:
    """Return an agency that the caller reaches; raise NotFound for any other."""
    agency = await unit.parties.agency(agency_id[:64])
    if agency is None:
        raise no_agency(agency_id)
    caller.require_reach(agency.path, agency_id)
    return agency


async def reached_subscriber(unit: Unit, caller: Caller, subscriber_id: str) -> tuple[Subscriber, Agency]:
    """Return a subscriber of an agency that the caller reaches; raise NotFound for any other."""
    subscriber = await unit.parties.subscriber(subscriber_id[:64])
    agency = None if subscriber is None else await unit.parties.agency(subscriber.agency_id)
    if subscriber is None or agency is None or not caller.reaches(agency.path):
        raise NotFound("no such subscriber, or none that this client may see", id=subscriber_id[:64])
    return subscriber, agency


class PartyService:
    """Makes and shows agencies and subscribers within the caller's part of the tree."""

    def __init__(self, store: Store, chronicle: Chronicle, clock: Clock) -> None:
        """Bind the store and where changes are recorded."""
        self._store, self._chronicle, self._clock = store, chronicle, clock

    async def create_agency(self, caller: Caller, parent_id: str, name: str, organ_id: str) -> Agency:
        """Make an agency below one that the caller reaches."""
        caller.require("registry:write")
        name, checked_organ_id = parties.text(name, "name"), parties.organ_id(organ_id)
        async with acting(self._store, caller) as unit:
            parent = await self._parent(unit, caller, parent_id)
            if len(parent.path) >= parties.MAX_DEPTH:
                raise Conflict(f"the tree may have at most {parties.MAX_DEPTH} levels", field="parent_id")
            identifier = new_id("ag")
            agency = Agency(
                identifier, parent.id, name, checked_organ_id, (*parent.path, identifier), self._clock()
            )
            await unit.parties.add_agency(agency)
            await self._chronicle.record(
                unit,
                "kyso.agency.created",
                agency_id=agency.id,
                client_id=caller.client_id,
                facts={
                    "agency_id": agency.id,
                    "parent_id": parent.id,
                    "name": name,
                    "organ_id": organ_id,
                },
            )
        return agency

    async def _parent(self, unit: Unit, caller: Caller, parent_id: str) -> Agency:
        if parent_id:
            return await reached_agency(unit, caller, parent_id)
        own = await reached_agency(unit, caller, caller.agency_id)
        # Who sees the whole tree need not know what its root is called.
        if own.parent_id is not None:
            raise FieldInvalid("parent_id is required: name the agency above", field="parent_id")
        return own

    async def agency(self, caller: Caller, agency_id: str) -> Agency:
        """Return one agency."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            return await reached_agency(unit, caller, agency_id)

    async def agencies(self, caller: Caller, parent_id: str, page: Page) -> Rows[Agency]:
        """List agencies, where `parent_id` is given those directly below it."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            if parent_id:
                await reached_agency(unit, caller, parent_id)
            found = await unit.parties.list_agencies(caller.agency_id, parent_id, page)
        return Rows.cut(found, page, lambda agency: agency.id)

    async def create_subscriber(self, caller: Caller, new: NewSubscriber) -> Subscriber:
        """Make a subscriber of an agency that the caller reaches."""
        caller.require("registry:write")
        subscriber = Subscriber(
            id=new_id("sub"),
            agency_id=new.agency_id,
            kind=new.kind,
            name=parties.text(new.name, "name"),
            tax_code=parties.tax_code(new.tax_code),
            citizen_number=parties.citizen_number(new.citizen_number, new.kind),
            email=parties.email(new.email),
            title=parties.title(new.title, new.kind),
            created_at=self._clock(),
        )
        async with acting(self._store, caller) as unit:
            await reached_agency(unit, caller, new.agency_id)
            await unit.parties.add_subscriber(subscriber)
            await self._chronicle.record(
                unit,
                "kyso.subscriber.created",
                agency_id=subscriber.agency_id,
                client_id=caller.client_id,
                facts={
                    "subscriber_id": subscriber.id,
                    "agency_id": subscriber.agency_id,
                    "kind": subscriber.kind.value,
                    "name": subscriber.name,
                    "tax_code": subscriber.tax_code,
                    "citizen_number_masked": parties.masked(subscriber.citizen_number),
                },
            )
        return subscriber

    async def subscriber(self, caller: Caller, subscriber_id: str) -> Subscriber:
        """Return one subscriber."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            return (await reached_subscriber(unit, caller, subscriber_id))[0]

    async def subscribers(self, caller: Caller, agency_id: str, page: Page) -> Rows[Subscriber]:
        """List subscribers, where `agency_id` is given those of that agency."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            if agency_id:
                await reached_agency(unit, caller, agency_id)
            found = await unit.parties.list_subscribers(caller.agency_id, agency_id, page)
        return Rows.cut(found, page, lambda subscriber: subscriber.id)
