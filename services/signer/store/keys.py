"""Document keys and authority keys in the database: where the token holds them, and their public halves."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.exc import IntegrityError

from services.kernel.runtime.database import Database
from services.kernel.values import KeyAlgorithm
from services.signer.domain import Key
from services.signer.ports import AuthorityKey
from services.signer.store.tables import authority_key, key, micros


class SqlKeyStore:
    """The KeyStore port. Keys never change, so they are kept in memory once read (bounded)."""

    MAX_KEPT = 20_000

    def __init__(self, database: Database) -> None:
        """Read from and write to the signer's own database."""
        self._database = database
        self._kept: dict[str, Key] = {}

    async def key(self, key_id: str) -> Key | None:
        """Return a document key."""
        kept = self._kept.get(key_id)
        if kept is not None:
            return kept
        found = await self._key(key.c.id == key_id)
        if found is not None:
            if len(self._kept) >= self.MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key_id] = found
        return found

    async def key_of_credential(self, credential_id: str) -> Key | None:
        """Return the document key made for a credential."""
        return await self._key(key.c.credential_id == credential_id)

    async def add_key(self, new: Key, at: datetime) -> Key:
        """Add a document key; where the credential has one already, return that one."""
        row = {
            "id": new.id,
            "credential_id": new.credential_id,
            "algorithm": new.algorithm.label,
            "token_group": new.token_group,
            "cka_id": new.cka_id,
            "spki": new.spki,
            "created_at": micros(at),
        }
        try:
            async with self._database.transaction() as connection:
                await connection.execute(key.insert(), row)
        except IntegrityError:
            there = await self.key_of_credential(new.credential_id)
            if there is None:
                raise
            return there
        return new

    async def authority_key(self, name: str) -> AuthorityKey | None:
        """Return an authority key."""
        async with self._database.reading() as connection:
            row = (
                await connection.execute(select(authority_key).where(authority_key.c.name == name))
            ).first()
        if row is None:
            return None
        subject = None if row.subject is None else bytes(row.subject)
        spki = bytes(row.spki)
        algorithm = KeyAlgorithm.parse(row.algorithm)
        digest = hashlib.sha256(spki).digest()
        return AuthorityKey(row.name, algorithm, row.token_group, bytes(row.cka_id), spki, digest, subject)

    async def add_authority_key(self, new: AuthorityKey, at: datetime) -> AuthorityKey:
        """Add an authority key; where the name has one already, return that one."""
        row = {
            "name": new.name,
            "algorithm": new.algorithm.label,
            "token_group": new.token_group,
            "cka_id": new.cka_id,
            "spki": new.spki,
            "subject": new.subject,
            "created_at": micros(at),
        }
        try:
            async with self._database.transaction() as connection:
                await connection.execute(authority_key.insert(), row)
        except IntegrityError:
            there = await self.authority_key(new.name)
            if there is None:
                raise
            return there
        return new

    async def set_authority_subject(self, name: str, subject: bytes) -> bytes:
        """Record the CA's subject (DER Name) unless one is there; return the one that is there now."""
        change = update(authority_key).where(authority_key.c.name == name, authority_key.c.subject.is_(None))
        async with self._database.transaction() as connection:
            await connection.execute(change.values(subject=subject))
            query = select(authority_key.c.subject).where(authority_key.c.name == name)
            return bytes((await connection.execute(query)).scalar_one())

    async def _key(self, which: ColumnElement[bool]) -> Key | None:
        async with self._database.reading() as connection:
            row: Row[Any] | None = (await connection.execute(select(key).where(which))).first()
        if row is None:
            return None
        spki = bytes(row.spki)
        return Key(
            id=row.id,
            credential_id=row.credential_id,
            algorithm=KeyAlgorithm.parse(row.algorithm),
            token_group=row.token_group,
            cka_id=bytes(row.cka_id),
            spki=spki,
            spki_sha256=hashlib.sha256(spki).digest(),
        )
