"""SQL over the certificates of our time-stamp unit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.domain.time_stamps import UnitCertificate, UnitState
from services.registry.store import tables

_table = tables.time_stamp_certificate


class SqlTimeStampRows:
    """Rows of time-stamp units' certificates."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def newest(self, key: str, state: UnitState) -> UnitCertificate | None:
        """Return the certificate of a key that ends last among those in this state."""
        wanted = (
            select(_table)
            .where(_table.c.key == key, _table.c.state == state.value)
            .order_by(_table.c.not_after.desc(), _table.c.reserved_at.desc())
            .limit(1)
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else _to_certificate(row)

    async def add(self, reserved: UnitCertificate) -> None:
        """Insert what is about to be signed."""
        values = {
            "serial_number": reserved.serial_number,
            "key": reserved.key,
            "state": reserved.state.value,
            "not_before": reserved.not_before,
            "not_after": reserved.not_after,
            "tbs": reserved.tbs,
            "certificate": reserved.certificate,
            "reserved_at": reserved.reserved_at,
        }
        await self._connection.execute(insert(_table), values)

    async def finish(self, serial_number: str, certificate: bytes, at: datetime) -> bool:
        """Write the signed certificate; False where it is there already."""
        written = await self._connection.execute(
            update(_table)
            .where(_table.c.serial_number == serial_number, _table.c.state == UnitState.TBS_STORED.value)
            .values(certificate=certificate, state=UnitState.ISSUED.value, issued_at=at)
        )
        return written.rowcount == 1


def _to_certificate(row: Row[Any]) -> UnitCertificate:
    return UnitCertificate(
        key=row.key,
        serial_number=row.serial_number,
        state=UnitState(row.state),
        not_before=row.not_before,
        not_after=row.not_after,
        tbs=bytes(row.tbs),
        certificate=bytes(row.certificate),
        reserved_at=row.reserved_at,
    )
