"""SQL over our CAs and their CRLs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.values import KeyAlgorithm
from services.registry.domain.authority import Authority, AuthorityState, Crl
from services.registry.store import tables

_authority, _crl = tables.authority, tables.crl
_UNSIGNED = b""


class SqlAuthorityRows:
    """Rows of CAs and CRLs."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def add(self, authority: Authority, at: datetime) -> bool:
        """Insert; False where it is there already."""
        values = {
            "name": authority.name,
            "algorithm": authority.algorithm.label,
            "issuer": authority.issuer,
            "state": authority.state.value,
            "serial_number": authority.serial_number,
            "not_before": authority.not_before,
            "not_after": authority.not_after,
            "tbs": authority.tbs,
            "certificate": authority.certificate,
            "created_at": at,
        }
        try:
            async with self._connection.begin_nested():
                await self._connection.execute(insert(_authority), values)
        except IntegrityError:
            return False
        return True

    async def get(self, name: str, *, lock: bool = False) -> Authority | None:
        """Return one; `lock` keeps other transactions from changing it or making its CRLs."""
        wanted = select(_authority).where(_authority.c.name == name)
        if lock:
            wanted = wanted.with_for_update()
        row = (await self._connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        return Authority(
            name=row.name,
            algorithm=KeyAlgorithm.parse(row.algorithm),
            issuer=row.issuer,
            state=AuthorityState(row.state),
            serial_number=row.serial_number,
            not_before=row.not_before,
            not_after=row.not_after,
            tbs=bytes(row.tbs),
            certificate=bytes(row.certificate),
        )

    async def set_certificate(self, name: str, certificate: bytes) -> bool:
        """Write the signed certificate; False where one is there already."""
        written = await self._connection.execute(
            update(_authority)
            .where(_authority.c.name == name, _authority.c.state == AuthorityState.TBS_STORED.value)
            .values(certificate=certificate, state=AuthorityState.ACTIVE.value)
        )
        return written.rowcount == 1

    async def newest_crl(self, name: str) -> Crl | None:
        """Return the newest signed CRL."""
        wanted = (
            select(_crl)
            .where(_crl.c.authority == name, _crl.c.der != _UNSIGNED)
            .order_by(_crl.c.number.desc())
            .limit(1)
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else _to_crl(row)

    async def unsigned_crl(self, name: str) -> Crl | None:
        """Return the oldest CRL whose to-be-signed bytes are kept and which is not signed yet."""
        wanted = (
            select(_crl)
            .where(_crl.c.authority == name, _crl.c.der == _UNSIGNED)
            .order_by(_crl.c.number)
            .limit(1)
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else _to_crl(row)

    async def last_crl_number(self, name: str) -> int:
        """Return the highest number given, signed or not; 0 where none was."""
        found = select(func.max(_crl.c.number)).where(_crl.c.authority == name)
        return (await self._connection.execute(found)).scalar_one() or 0

    async def add_crl(self, crl: Crl) -> None:
        """Insert."""
        values = {
            "authority": crl.authority,
            "number": crl.number,
            "this_update": crl.this_update,
            "next_update": crl.next_update,
            "entries": crl.entries,
            "tbs": crl.tbs,
            "der": crl.der,
        }
        await self._connection.execute(insert(_crl), values)

    async def finish_crl(self, name: str, number: int, der: bytes) -> bool:
        """Write the signed CRL; False where it is there already."""
        written = await self._connection.execute(
            update(_crl)
            .where(_crl.c.authority == name, _crl.c.number == number, _crl.c.der == _UNSIGNED)
            .values(der=der)
        )
        return written.rowcount == 1


def _to_crl(row: Row[Any]) -> Crl:
    return Crl(
        authority=row.authority,
        number=row.number,
        this_update=row.this_update,
        next_update=row.next_update,
        entries=row.entries,
        tbs=bytes(row.tbs),
        der=bytes(row.der),
    )
