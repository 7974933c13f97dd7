"""SQL over the trust lists that were taken."""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.domain.anchors import ListHead
from services.registry.store import tables

_table = tables.trust_list


class SqlTrustListRows:
    """Rows of trust lists: which was the newest."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def newest(self, name: str) -> ListHead | None:
        """Return the list that was taken last under this name."""
        wanted = select(_table.c.operator, _table.c.sequence_number, _table.c.sha256)
        row = (await self._connection.execute(wanted.where(_table.c.name == name))).one_or_none()
        return None if row is None else ListHead(row.operator, row.sequence_number, row.sha256)

    async def put(self, name: str, head: ListHead) -> None:
        """Write that this one was taken. Only within `alone`."""
        await self._connection.execute(delete(_table).where(_table.c.name == name))
        values = {
            "name": name,
            "operator": head.operator,
            "sequence_number": head.sequence_number,
            "sha256": head.sha256,
        }
        await self._connection.execute(insert(_table), values)
