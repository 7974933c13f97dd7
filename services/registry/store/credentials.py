"""SQL over credentials, their certificates, holds and readers."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.errors import Conflict, OperationInProgress
from services.registry.domain.credentials import (
    Activation,
    Certificate,
    CertificateState,
    Credential,
    CredentialStatus,
    Hold,
    HoldReason,
    Resolution,
    RevocationGround,
    Revoked,
    Unfinished,
)
from services.registry.domain.paging import Page
from services.registry.store import tables
from services.registry.store.parties import path_of, under
from services.registry.store.rows import (
    CERTIFICATE_COLUMNS,
    chain_of,
    chain_text,
    to_certificate,
    to_credential,
)

_credential, _certificate, _hold, _reader = (
    tables.credential,
    tables.certificate,
    tables.credential_hold,
    tables.credential_reader,
)


def _with_certificate() -> Select[Any]:
    columns = [_certificate.c[name].label(f"certificate_{name}") for name in CERTIFICATE_COLUMNS]
    # certificate_id is a column of the credential itself: the certificate's own is the same value.
    joined = _credential.outerjoin(_certificate, _certificate.c.id == _credential.c.certificate_id)
    return select(_credential, *columns[1:]).select_from(joined)


class SqlCredentialRows:
    """Rows of credentials and what hangs on them."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Bind the transaction's connection."""
        self._connection = connection

    async def add(self, credential: Credential) -> None:
        """Insert; raise OperationInProgress where the same request is making one at this moment."""
        values = {
            "id": credential.id,
            "agency_id": credential.agency_id,
            "subscriber_id": credential.subscriber_id,
            "status": credential.status.value,
            "version": credential.version,
            "key_algorithm": credential.key_algorithm.label,
            "key_id": credential.key_id,
            "spki": credential.spki,
            "activation": credential.activation.value,
            "client_ids": json.dumps(credential.client_ids),
            "issuer": credential.issuer.value,
            "profile": credential.profile,
            "validity_days": credential.validity_days,
            "certificate_id": None,
            "unfinished": True,
            "tries": 0,
            "next_try_at": credential.created_at,
            "request_client_id": credential.request.client_id,
            "idempotency_key": credential.request.idempotency_key,
            "request_sha256": credential.request.sha256,
            "created_at": credential.created_at,
        }
        try:
            await self._connection.execute(insert(_credential), values)
        except IntegrityError:
            raise OperationInProgress(
                "the same request is being worked on: send it again shortly", field="idempotency_key"
            ) from None

    async def get(self, credential_id: str, *, lock: bool = False) -> Credential | None:
        """Return one; `lock` keeps other transactions from changing it (on SQLite the whole database is locked)."""
        wanted = _with_certificate().where(_credential.c.id == credential_id)
        if lock:
            wanted = wanted.with_for_update(of=_credential)
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else to_credential(row)

    async def made_by(self, client_id: str, idempotency_key: str) -> Credential | None:
        """Return what a request made before."""
        wanted = _with_certificate().where(
            _credential.c.request_client_id == client_id, _credential.c.idempotency_key == idempotency_key
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else to_credential(row)

    async def list_below(self, below: str, agency_id: str, page: Page) -> list[Credential]:
        """List credentials of agencies at or under `below`."""
        wanted = (
            _with_certificate()
            .join(tables.agency, tables.agency.c.id == _credential.c.agency_id)
            .where(under(below))
        )
        if agency_id:
            wanted = wanted.where(_credential.c.agency_id == agency_id)
        if page.after:
            wanted = wanted.where(_credential.c.id > page.after)
        rows = await self._connection.execute(wanted.order_by(_credential.c.id).limit(page.size + 1))
        return [to_credential(row) for row in rows]

    async def unfinished(self, before: datetime, at: datetime, limit: int) -> list[Unfinished]:
        """Return credentials made before that moment whose making may be tried again at `at`, longest waiting first."""
        columns = _credential.c
        wanted = (
            select(columns.id, columns.tries)
            .where(columns.unfinished.is_(True), columns.created_at < before, columns.next_try_at <= at)
            .order_by(columns.next_try_at, columns.id)
            .limit(limit)
        )
        return [Unfinished(row.id, row.tries) for row in await self._connection.execute(wanted)]

    async def put_off(self, credential_id: str, tries: int, until: datetime) -> None:
        """Write how often the making of a credential failed, and until when it waits."""
        await self._connection.execute(
            update(_credential)
            .where(_credential.c.id == credential_id)
            .values(tries=tries, next_try_at=until)
        )

    async def update(self, credential: Credential, *, unfinished: bool | None = None) -> None:
        """Write status, version, key and current certificate."""
        values: dict[str, Any] = {
            "status": credential.status.value,
            "version": credential.version,
            "key_id": credential.key_id,
            "spki": credential.spki,
            "certificate_id": None if credential.certificate is None else credential.certificate.id,
        }
        if unfinished is not None:
            values["unfinished"] = unfinished
        await self._connection.execute(
            update(_credential).where(_credential.c.id == credential.id).values(values)
        )

    async def open_certificate(self, credential_id: str) -> Certificate | None:
        """Return the certificate whose to-be-signed bytes are kept and which is not issued yet."""
        wanted = (
            select(*(_certificate.c[name].label(f"certificate_{name}") for name in CERTIFICATE_COLUMNS))
            .where(
                _certificate.c.credential_id == credential_id,
                _certificate.c.state == CertificateState.TBS_STORED.value,
            )
            .order_by(_certificate.c.id)
            .limit(1)
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        return None if row is None else to_certificate(row)

    async def add_certificate(self, certificate: Certificate, at: datetime) -> None:
        """Insert; raise Conflict where the issuer has given the serial number before."""
        values = {
            "id": certificate.id,
            "credential_id": certificate.credential_id,
            "issuer_id": certificate.issuer_id,
            "serial_number": certificate.serial_number,
            "state": certificate.state.value,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "tbs": certificate.tbs,
            "chain": chain_text(certificate.chain),
            "reserved_at": at,
            "issued_at": at if certificate.state is CertificateState.ISSUED else None,
        }
        try:
            await self._connection.execute(insert(_certificate), values)
        except IntegrityError:
            raise Conflict("this certificate is in the register already", field="certificate_chain") from None

    async def finish_certificate(self, certificate: Certificate, at: datetime) -> None:
        """Write state and chain of an issued certificate."""
        await self._connection.execute(
            update(_certificate)
            .where(_certificate.c.id == certificate.id)
            .values(state=certificate.state.value, chain=chain_text(certificate.chain), issued_at=at)
        )

    async def revoke_certificates(
        self, credential_id: str, ground: RevocationGround, reference: str, at: datetime
    ) -> None:
        """Write when and why all certificates of a credential were revoked; what was written first stands."""
        await self._connection.execute(
            update(_certificate)
            .where(_certificate.c.credential_id == credential_id, _certificate.c.revoked_at.is_(None))
            .values(revoked_at=at, revocation_ground=ground.label, revocation_reference=reference)
        )

    async def revoked(self, issuer_id: str) -> list[Revoked]:
        """Return what a CA of ours has revoked, oldest first."""
        columns = (
            _certificate.c.serial_number,
            _certificate.c.revoked_at,
            _certificate.c.revocation_ground,
            _certificate.c.not_after,
            _certificate.c.listed_in,
        )
        wanted = (
            select(*columns)
            .where(_certificate.c.issuer_id == issuer_id, _certificate.c.revoked_at.is_not(None))
            .order_by(_certificate.c.revoked_at, _certificate.c.id)
        )
        return [
            Revoked(
                row.serial_number,
                row.revoked_at,
                RevocationGround.parse(row.revocation_ground).crl_reason,
                row.not_after,
                row.listed_in is not None,
            )
            for row in await self._connection.execute(wanted)
        ]

    async def unlisted(self, issuer_id: str) -> frozenset[str]:
        """Return the serial numbers that a CA of ours has revoked and no published CRL has listed."""
        wanted = select(_certificate.c.serial_number).where(
            _certificate.c.issuer_id == issuer_id,
            _certificate.c.listed_in.is_(None),
            _certificate.c.revoked_at.is_not(None),
        )
        return frozenset((await self._connection.execute(wanted)).scalars())

    async def mark_listed(self, issuer_id: str, serial_numbers: Collection[str], number: int) -> None:
        """Write the number of the first published CRL that lists these."""
        if not serial_numbers:
            return
        await self._connection.execute(
            update(_certificate)
            .where(
                _certificate.c.issuer_id == issuer_id,
                _certificate.c.serial_number == bindparam("serial"),
                _certificate.c.listed_in.is_(None),
            )
            .values(listed_in=number),
            [{"serial": serial} for serial in sorted(serial_numbers)],
        )

    async def add_hold(self, hold: Hold) -> None:
        """Insert."""
        values = {
            "id": hold.id,
            "credential_id": hold.credential_id,
            "client_id": hold.client_id,
            "reason": hold.reason.value,
            "suspected_since": hold.suspected_since,
            "reporter": hold.reporter,
            "held_at": hold.held_at,
        }
        await self._connection.execute(insert(_hold), values)

    async def open_holds(self, credential_id: str) -> list[Hold]:
        """Return the reports that hold it now, oldest first."""
        wanted = (
            select(_hold)
            .where(_hold.c.credential_id == credential_id, _hold.c.released_at.is_(None))
            .order_by(_hold.c.held_at, _hold.c.id)
        )
        return [
            Hold(
                row.id,
                row.credential_id,
                row.client_id,
                HoldReason(row.reason),
                row.suspected_since,
                row.reporter,
                row.held_at,
            )
            for row in await self._connection.execute(wanted)
        ]

    async def end_holds(self, credential_id: str, client_id: str, confirmation: str, at: datetime) -> None:
        """Write who released it, when and by which confirmation, to every report that is open."""
        await self._connection.execute(
            update(_hold)
            .where(_hold.c.credential_id == credential_id, _hold.c.released_at.is_(None))
            .values(released_at=at, released_by=client_id, confirmation=confirmation)
        )

    async def record_reader(self, credential_id: str, replica: str, at: datetime) -> None:
        """Write that a signer replica reads a credential's state now."""
        values = {"credential_id": credential_id, "replica": replica, "read_at": at}
        # Both dialects have the same clause under two names.
        make = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = make(_reader).values(values)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["credential_id", "replica"], set_={"read_at": statement.excluded.read_at}
            )
        )

    async def readers(self, credential_id: str, since: datetime) -> list[str]:
        """Return the replicas that have read a credential's state since."""
        wanted = (
            select(_reader.c.replica)
            .where(_reader.c.credential_id == credential_id, _reader.c.read_at >= since)
            .order_by(_reader.c.replica)
        )
        return list((await self._connection.execute(wanted)).scalars())

    async def forget_readers(self, before: datetime) -> None:
        """Delete what no hold asks for any more."""
        await self._connection.execute(delete(_reader).where(_reader.c.read_at < before))

    async def resolve(self, credential_id: str) -> Resolution | None:
        """Read state, path and head in one statement, so that they fit one another."""
        agency, counter = tables.agency, tables.counter
        head = select(counter.c.value).where(counter.c.name == "directory").scalar_subquery()
        joined = _credential.join(agency, agency.c.id == _credential.c.agency_id).outerjoin(
            _certificate, _certificate.c.id == _credential.c.certificate_id
        )
        wanted = (
            select(_credential, agency.c.path, _certificate.c.chain, head.label("head"))
            .select_from(joined)
            .where(_credential.c.id == credential_id)
        )
        row = (await self._connection.execute(wanted)).one_or_none()
        if row is None:
            return None
        return Resolution(
            credential_id=row.id,
            version=row.version,
            head=row.head,
            status=CredentialStatus(row.status),
            agency_id=row.agency_id,
            agency_path=tuple(reversed(path_of(row.path))),
            client_ids=tuple(json.loads(row.client_ids)),
            activation=Activation(row.activation),
            key_id=row.key_id,
            chain=chain_of(row.chain or ""),
        )
