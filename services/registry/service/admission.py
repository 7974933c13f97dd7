"""The door of every use case: a token outlives the switching off of its client, so the register asks each time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kernel.errors import Unauthenticated
from services.registry.domain.access import Caller
from services.registry.domain.parties import Client
from services.registry.ports import Store, Unit


@asynccontextmanager
async def acting(store: Store, caller: Caller) -> AsyncIterator[Unit]:
    """Open a transaction in which the caller changes something; raise Unauthenticated where it is switched off.

    Whoever switches the client off meanwhile waits for the end: nothing of it is committed afterwards.
    """
    async with store.transaction() as unit:
        _require_enabled(await unit.parties.client(caller.client_id, keep=True))
        yield unit


@asynccontextmanager
async def asking(store: Store, caller: Caller) -> AsyncIterator[Unit]:
    """Open a transaction in which the caller reads; raise Unauthenticated where it is switched off."""
    async with store.reading() as unit:
        _require_enabled(await unit.parties.client(caller.client_id))
        yield unit


def _require_enabled(client: Client | None) -> None:
    if client is None or not client.enabled:
        raise Unauthenticated("this client is switched off: who manages it can switch it on again")
