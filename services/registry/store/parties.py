"""SQL over agencies, subscribers, clients and used assertions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.errors import Conflict
from services.registry.domain.paging import Page
from services.registry.domain.parties import Agency, Client, SecretHash, Subscriber
from services.registry.profiles import SubscriberKind
from services.registry.store import tables

_agency, _subscriber, _client, _assertion = (
    tables.agency,
    tables.subscriber,
    tables.client,
    tables.assertion,
)


def path_text(path: Sequence[str]) -> str:
    """Write a path as it is kept: "/ag_1/ag_2/"."""
    return "/" + "".join(f"{part}/" for part in path)


def path_of(text: str) -> tuple[str, ...]:
    """Read a kept path."""
    return tuple(part for part in text.split("/") if part)


def under(below: str) -> ColumnElement[bool]:
    """Return the condition that an agency is `below` or lies under it."""
    # "/" on both sides: one id can never be mistaken for a part of another. autoescape: "_" is a wildcard in LIKE.
    return _agency.c.path.contains(f"/{below}/", autoescape=True)


class SqlPartyRows:
    """Rows of agencies, subscribers and clients."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def add_agency(self, agency: Agency) -> None:
        """Insert; raise Conflict where the OrganId is taken."""
        values = {
            "id": agency.id,
            "parent_id": agency.parent_id,
            "name": agency.name,
            "organ_id": agency.organ_id,
            "path": path_text(agency.path),
            "created_at": agency.created_at,
        }
        try:
            await self._connection.execute(insert(_agency), values)
        except IntegrityError:
            raise Conflict(f"another agency has the OrganId {agency.organ_id}", field="organ_id") from None

    async def agency(self, agency_id: str) -> Agency | None:
        """Return one agency."""
        row = (await self._connection.execute(select(_agency).where(_agency.c.id == agency_id))).one_or_none()
        return None if row is None else _to_agency(row)

    async def root_agency(self) -> Agency | None:
        """Return the platform's own agency, the root of the tree."""
        found = select(_agency).where(_agency.c.parent_id.is_(None)).order_by(_agency.c.id).limit(1)
        row = (await self._connection.execute(found)).one_or_none()
        return None if row is None else _to_agency(row)

    async def agencies(self, agency_ids: Sequence[str]) -> Mapping[str, Agency]:
        """Return several agencies by id."""
        rows = await self._connection.execute(select(_agency).where(_agency.c.id.in_(agency_ids)))
        return {row.id: _to_agency(row) for row in rows}

    async def list_agencies(self, below: str, parent_id: str, page: Page) -> list[Agency]:
        """List agencies at or under `below`, where `parent_id` is given only those directly under that one."""
        wanted = select(_agency).where(under(below))
        if parent_id:
            wanted = wanted.where(_agency.c.parent_id == parent_id)
        return [_to_agency(row) for row in await self._page(wanted, _agency.c.id, page)]

    async def add_subscriber(self, subscriber: Subscriber) -> None:
        """Insert."""
        values = {
            "id": subscriber.id,
            "agency_id": subscriber.agency_id,
            "kind": subscriber.kind.value,
            "name": subscriber.name,
            "tax_code": subscriber.tax_code,
            "citizen_number": subscriber.citizen_number,
            "email": subscriber.email,
            "title": subscriber.title,
            "created_at": subscriber.created_at,
        }
        await self._connection.execute(insert(_subscriber), values)

    async def subscriber(self, subscriber_id: str) -> Subscriber | None:
        """Return one subscriber."""
        found = select(_subscriber).where(_subscriber.c.id == subscriber_id)
        row = (await self._connection.execute(found)).one_or_none()
        return None if row is None else _to_subscriber(row)

    async def list_subscribers(self, below: str, agency_id: str, page: Page) -> list[Subscriber]:
        """List subscribers of agencies at or under `below`."""
        wanted = (
            select(_subscriber).join(_agency, _agency.c.id == _subscriber.c.agency_id).where(under(below))
        )
        if agency_id:
            wanted = wanted.where(_subscriber.c.agency_id == agency_id)
        return [_to_subscriber(row) for row in await self._page(wanted, _subscriber.c.id, page)]

    async def add_client(self, client: Client) -> None:
        """Insert."""
        values = {
            "id": client.id,
            "agency_id": client.agency_id,
            "name": client.name,
            "scopes": json.dumps(client.scopes),
            "document_types": json.dumps(client.document_types),
            "label_required": client.label_required,
            "enabled": client.enabled,
            "secret_salt": client.secret.salt if client.secret else None,
            "secret_hash": client.secret.hash if client.secret else None,
            "jwks": client.jwks,
            "makers": json.dumps(client.makers),
            "created_at": client.created_at,
        }
        await self._connection.execute(insert(_client), values)

    async def client(self, client_id: str, *, keep: bool = False) -> Client | None:
        """Return one client; `keep`: others may read it, and change it only once this transaction has ended."""
        wanted = select(_client).where(_client.c.id == client_id)
        if keep:
            wanted = wanted.with_for_update(read=True)
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else _to_client(row)

    async def set_client_enabled(self, client_id: str, enabled: bool) -> None:
        """Switch a client on or off."""
        await self._connection.execute(
            update(_client).where(_client.c.id == client_id).values(enabled=enabled)
        )

    async def set_client_secret(self, client_id: str, secret: SecretHash) -> None:
        """Replace a client's secret."""
        await self._connection.execute(
            update(_client)
            .where(_client.c.id == client_id)
            .values(secret_salt=secret.salt, secret_hash=secret.hash)
        )

    async def list_clients(self, below: str, agency_id: str, page: Page) -> list[Client]:
        """List clients of agencies at or under `below`."""
        wanted = select(_client).join(_agency, _agency.c.id == _client.c.agency_id).where(under(below))
        if agency_id:
            wanted = wanted.where(_client.c.agency_id == agency_id)
        return [_to_client(row) for row in await self._page(wanted, _client.c.id, page)]

    async def use_assertion(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Remember an assertion as used; False where it was used before."""
        await self._connection.execute(delete(_assertion).where(_assertion.c.expires_at < now))
        try:
            # A savepoint: on PostgreSQL a failed statement would end the whole transaction.
            async with self._connection.begin_nested():
                await self._connection.execute(
                    insert(_assertion), {"client_id": client_id, "jti": jti, "expires_at": expires_at}
                )
        except IntegrityError:
            return False
        return True

    async def _page(self, wanted: Select[Any], key: ColumnElement[str], page: Page) -> list[Row[Any]]:
        # Ids begin with the time of making: their order is the order of making.
        if page.after:
            wanted = wanted.where(key > page.after)
        return list(await self._connection.execute(wanted.order_by(key).limit(page.size + 1)))


def _to_agency(row: Row[Any]) -> Agency:
    return Agency(
        id=row.id,
        parent_id=row.parent_id,
        name=row.name,
        organ_id=row.organ_id,
        path=path_of(row.path),
        created_at=row.created_at,
    )


def _to_subscriber(row: Row[Any]) -> Subscriber:
    return Subscriber(
        id=row.id,
        agency_id=row.agency_id,
        kind=SubscriberKind(row.kind),
        name=row.name,
        tax_code=row.tax_code,
        citizen_number=row.citizen_number,
        email=row.email,
        title=row.title,
        created_at=row.created_at,
    )


def _to_client(row: Row[Any]) -> Client:
    return Client(
        id=row.id,
        agency_id=row.agency_id,
        name=row.name,
        scopes=tuple(json.loads(row.scopes)),
        document_types=tuple(json.loads(row.document_types)),
        label_required=row.label_required,
        enabled=row.enabled,
        secret=None
        if row.secret_hash is None
        else SecretHash(bytes(row.secret_salt), bytes(row.secret_hash)),
        jwks=row.jwks,
        makers=tuple(json.loads(row.makers)),
        created_at=row.created_at,
    )
