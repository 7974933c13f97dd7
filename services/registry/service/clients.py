"""API clients, and the operator that is there from the first start on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.kernel.errors import Conflict, Forbidden, Internal, NotFound
from services.kernel.values import new_id
from services.registry.domain import access, clientkeys, parties, secrets
from services.registry.domain.access import ANY_DOCUMENT_TYPE, SCOPES, Caller
from services.registry.domain.paging import Page, Rows
from services.registry.domain.parties import Agency, Client
from services.registry.ports import Store, Unit
from services.registry.service.admission import acting, asking
from services.registry.service.chronicle import Chronicle, Clock
from services.registry.service.parties import reached_agency


@dataclass(frozen=True, slots=True)
class NewClient:
    """What a caller says of a client; checked here. `jwks` empty: a secret is made."""

    agency_id: str
    name: str
    scopes: Sequence[str]
    document_types: Sequence[str]
    label_required: bool
    jwks: str


class ClientService:
    """Makes, shows and switches clients within the caller's part of the tree."""

    def __init__(self, store: Store, chronicle: Chronicle, clock: Clock) -> None:
        """Bind the store and where changes are recorded."""
        self._store, self._chronicle, self._clock = store, chronicle, clock

    async def create(self, caller: Caller, new: NewClient) -> tuple[Client, str]:
        """Make a client; return it and its secret (empty where it brought keys), which is kept nowhere."""
        caller.require("registry:write")
        secret = "" if new.jwks else secrets.make()
        client = Client(
            id=new_id("cl"),
            agency_id=new.agency_id,
            name=parties.text(new.name, "name"),
            scopes=access.scopes(new.scopes, caller.scopes),
            document_types=access.document_types(new.document_types),
            label_required=new.label_required,
            enabled=True,
            secret=secrets.keep(secret) if secret else None,
            jwks=clientkeys.parse(new.jwks) if new.jwks else "",
            makers=(),
            created_at=self._clock(),
        )
        async with acting(self._store, caller) as unit:
            await reached_agency(unit, caller, new.agency_id)
            client = await _given(unit, caller, client)
            await unit.parties.add_client(client)
            await self._record(unit, "kyso.client.created", client, caller.client_id)
        return client, secret

    async def get(self, caller: Caller, client_id: str) -> Client:
        """Return one client."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            return await self._reached(unit, caller, client_id)

    async def list_below(self, caller: Caller, agency_id: str, page: Page) -> Rows[Client]:
        """List clients, where `agency_id` is given those of that agency."""
        caller.require("registry:read")
        async with asking(self._store, caller) as unit:
            if agency_id:
                await reached_agency(unit, caller, agency_id)
            found = await unit.parties.list_clients(caller.agency_id, agency_id, page)
        return Rows.cut(found, page, lambda client: client.id)

    async def set_enabled(self, caller: Caller, client_id: str, enabled: bool) -> Client:
        """Switch a client off or on again; its tokens no longer open the register, elsewhere they live to their end."""
        caller.require("registry:write")
        if enabled and client_id == caller.client_id:
            raise Forbidden("a client cannot switch itself on: another one must", id=caller.client_id)
        async with acting(self._store, caller) as unit:
            client = await self._reached(unit, caller, client_id)
            if client.enabled is enabled:
                return client
            await unit.parties.set_client_enabled(client.id, enabled)
            changed = replace(client, enabled=enabled)
            verb = "enabled" if enabled else "disabled"
            await self._record(unit, f"kyso.client.{verb}", changed, caller.client_id)
        return changed

    async def ensure_operator(self, client_id: str, secret: str, agency_name: str) -> None:
        """Make the platform's agency and the operator where they are not there; take over a changed secret."""
        if not secrets.MIN_GIVEN_CHARACTERS <= len(secret) <= secrets.MAX_CHARACTERS:
            raise Conflict(
                f"the operator's secret must have {secrets.MIN_GIVEN_CHARACTERS} to {secrets.MAX_CHARACTERS} "
                "characters: write a longer one into client_secret_file"
            )
        async with self._store.transaction() as unit:
            # Replicas that start together must make one root, not two.
            await unit.alone()
            root = await unit.parties.root_agency() or await self._make_root(unit, agency_name)
            present = await unit.parties.client(client_id)
            if present is None:
                operator = Client(
                    id=client_id,
                    agency_id=root.id,
                    name=agency_name,
                    scopes=SCOPES,
                    document_types=(ANY_DOCUMENT_TYPE,),
                    label_required=False,
                    enabled=True,
                    secret=secrets.keep(secret),
                    jwks="",
                    makers=(),
                    created_at=self._clock(),
                )
                await unit.parties.add_client(operator)
                await self._record(unit, "kyso.client.created", operator, "")
            elif not secrets.matches(secret, present.secret):
                await unit.parties.set_client_secret(client_id, secrets.keep(secret))
                await self._record(unit, "kyso.client.secret_changed", present, "")

    async def _make_root(self, unit: Unit, name: str) -> Agency:
        identifier = new_id("ag")
        root = Agency(identifier, None, name, None, (identifier,), self._clock())
        await unit.parties.add_agency(root)
        await self._chronicle.record(
            unit,
            "kyso.agency.created",
            agency_id=root.id,
            facts={"agency_id": root.id, "parent_id": "", "name": name, "organ_id": ""},
        )
        return root

    async def _reached(self, unit: Unit, caller: Caller, client_id: str) -> Client:
        client = await unit.parties.client(client_id[:64])
        agency = None if client is None else await unit.parties.agency(client.agency_id)
        if client is None or agency is None or not caller.reaches(agency.path):
            raise NotFound("no such client, or none that this client may see", id=client_id[:64])
        return client

    async def _record(self, unit: Unit, type_: str, client: Client, by: str) -> None:
        await self._chronicle.record(
            unit,
            type_,
            agency_id=client.agency_id,
            client_id=by,
            facts={
                "client_id": client.id,
                "agency_id": client.agency_id,
                "name": client.name,
                "scopes": list(client.scopes),
                "document_types": list(client.document_types),
                "label_required": client.label_required,
                "enabled": client.enabled,
                "created_by": client.makers[-1] if client.makers else "",
            },
        )


async def _given(unit: Unit, caller: Caller, new: Client) -> Client:
    """Return the client as its giver may make it; raise DocumentTypeNotAllowed for a type that the giver does not hold."""
    giver = await unit.parties.client(caller.client_id)
    agency = None if giver is None else await unit.parties.agency(giver.agency_id)
    if giver is None or agency is None:
        raise Internal(f"client {caller.client_id} was let in and is not in the register")
    access.require_document_types(new.document_types, giver.document_types)
    # Only the platform's own agency lifts the duty to label, which a client below would otherwise shed for itself.
    bound = giver.label_required and agency.parent_id is not None
    makers = (*giver.makers, giver.id)
    if len(makers) > parties.MAX_MAKERS:
        raise Conflict(
            f"clients that make clients may stand {parties.MAX_MAKERS} deep: let one nearer to the operator make it",
            id=giver.id,
        )
    return replace(new, label_required=new.label_required or bound, makers=makers)
