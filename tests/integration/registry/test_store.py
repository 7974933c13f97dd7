"""The tables as the revisions make them, and what the store promises on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from services.kernel.errors import Conflict
from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database, make_sync_engine
from services.kernel.values import KeyAlgorithm, new_id
from services.registry.domain.audit import AuditFilter, AuditRow
from services.registry.domain.credentials import (
    Activation,
    Certificate,
    CertificateState,
    CreationRequest,
    Credential,
    CredentialStatus,
    IssuerKind,
    RevocationGround,
    Unfinished,
)
from services.registry.domain.ledger import Head
from services.registry.domain.paging import Page
from services.registry.domain.parties import Agency, Subscriber
from services.registry.main import MIGRATIONS
from services.registry.profiles import SubscriberKind
from services.registry.store import tables
from services.registry.store.unit import SqlStore, SqlUnit

NOW = datetime(2026, 11, 22, 8, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    opened = await Database.open(database_settings, MIGRATIONS)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> SqlStore:
    return SqlStore(database)


async def test_the_revisions_make_exactly_the_tables_that_the_code_uses(
    database: Database, database_settings: DatabaseSettings
) -> None:
    engine = make_sync_engine(database_settings)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": False})
            differences = compare_metadata(context, tables.metadata)
    finally:
        engine.dispose()
    assert differences == []


def credential(agency: Agency, subscriber: Subscriber, key: str) -> Credential:
    return Credential(
        id=new_id("cr"),
        agency_id=agency.id,
        subscriber_id=subscriber.id,
        status=CredentialStatus.PENDING,
        version=1,
        key_algorithm=KeyAlgorithm.ECDSA_P256,
        key_id="",
        spki=b"",
        activation=Activation.CLIENT,
        client_ids=("cl_a", "cl_b"),
        issuer=IssuerKind.OWN_CA,
        profile="organization",
        validity_days=365,
        certificate=None,
        request=CreationRequest("cl_a", key, b"\1" * 32),
        created_at=NOW,
    )


async def party(unit: SqlUnit) -> tuple[Agency, Subscriber]:
    identifier = new_id("ag")
    agency = Agency(identifier, None, "Cơ quan", None, (identifier,), NOW)
    await unit.parties.add_agency(agency)
    subscriber = Subscriber(
        new_id("sub"), agency.id, SubscriberKind.ORGANIZATION, "Sở", "0106793535", "", "", "", NOW
    )
    await unit.parties.add_subscriber(subscriber)
    return agency, subscriber


async def test_what_is_written_is_read_again(store: SqlStore) -> None:
    async with store.transaction() as unit:
        agency, subscriber = await party(unit)
        made = credential(agency, subscriber, "k1")
        await unit.credentials.add(made)
    async with store.reading() as unit:
        assert await unit.parties.agency(agency.id) == agency
        assert await unit.parties.subscriber(subscriber.id) == subscriber
        assert await unit.credentials.get(made.id) == made
        assert await unit.credentials.made_by("cl_a", "k1") == made
        assert await unit.credentials.unfinished(NOW + timedelta(seconds=1), NOW, 10) == [
            Unfinished(made.id, 0)
        ]
        assert await unit.credentials.unfinished(NOW, NOW, 10) == []


async def test_a_certificate_goes_from_reserved_to_issued_to_revoked(store: SqlStore) -> None:
    async with store.transaction() as unit:
        agency, subscriber = await party(unit)
        made = credential(agency, subscriber, "k2")
        await unit.credentials.add(made)
        reserved = Certificate(
            id=new_id("ce"),
            credential_id=made.id,
            issuer_id="issuing",
            serial_number="7f",
            state=CertificateState.TBS_STORED,
            not_before=NOW,
            not_after=NOW + timedelta(days=1),
            tbs=b"tbs",
            chain=(),
        )
        await unit.credentials.add_certificate(reserved, NOW)
        assert await unit.credentials.open_certificate(made.id) == reserved
        issued = replace(reserved, state=CertificateState.ISSUED, chain=(b"leaf", b"issuing"))
        await unit.credentials.finish_certificate(issued, NOW)
        assert await unit.credentials.open_certificate(made.id) is None
        current = replace(made, certificate=issued, status=CredentialStatus.ACTIVE, version=2)
        await unit.credentials.update(current, unfinished=False)
    async with store.transaction() as unit:
        assert await unit.credentials.get(made.id, lock=True) == current
        resolved = await unit.credentials.resolve(made.id)
        assert resolved is not None
        assert (resolved.chain, resolved.agency_path, resolved.head) == (
            (b"leaf", b"issuing"),
            (agency.id,),
            0,
        )
        await unit.credentials.revoke_certificates(made.id, RevocationGround.POST_CHANGED, "05/TTr", NOW)
        later = NOW + timedelta(hours=1)
        await unit.credentials.revoke_certificates(made.id, RevocationGround.KEY_EXPOSED, "06/TTr", later)
        revoked = await unit.credentials.revoked("issuing")
    assert [(entry.serial_number, entry.at, entry.reason) for entry in revoked] == [
        ("7f", NOW, "affiliationChanged")
    ]


async def test_a_serial_number_is_given_once_by_an_issuer(store: SqlStore) -> None:
    async with store.transaction() as unit:
        agency, subscriber = await party(unit)
        made = credential(agency, subscriber, "k3")
        await unit.credentials.add(made)
        first = Certificate(
            new_id("ce"), made.id, "issuing", "7f", CertificateState.TBS_STORED, NOW, NOW, b"", ()
        )
        await unit.credentials.add_certificate(first, NOW)
        await unit.credentials.add_certificate(replace(first, id=new_id("ce"), issuer_id="outside:1"), NOW)
    with pytest.raises(Conflict):
        async with store.transaction() as unit:
            await unit.credentials.add_certificate(replace(first, id=new_id("ce")), NOW)


async def test_versions_and_positions_have_no_gap_even_where_transactions_fail(store: SqlStore) -> None:
    class Broken(Exception):
        """What this test breaks a transaction with."""

    def row() -> AuditRow:
        return AuditRow(new_id("ev"), "kyso.test", "ag_x", "", "", "", NOW, "{}")

    versions = []
    for number in range(6):
        try:
            async with store.transaction() as unit:
                versions.append(await unit.next_version())
                await unit.audit.append([row(), row()])
                if number % 2:
                    raise Broken
        except Broken:
            versions.pop()
    async with store.reading() as unit:
        found = await unit.audit.list_below(None, AuditFilter(), Page(50, ""))
        assert [event.position for event in found] == [1, 2, 3, 4, 5, 6]
        assert await unit.directory_head() == 3
    assert versions == [1, 2, 3]


async def test_readers_are_known_from_when_they_read_last(store: SqlStore) -> None:
    async with store.transaction() as unit:
        await unit.credentials.record_reader("cr_1", "signer-1", NOW)
        await unit.credentials.record_reader("cr_1", "signer-2", NOW)
        await unit.credentials.record_reader("cr_1", "signer-1", NOW + timedelta(seconds=30))
        assert await unit.credentials.readers("cr_1", NOW + timedelta(seconds=1)) == ["signer-1"]
        assert await unit.credentials.readers("cr_1", NOW) == ["signer-1", "signer-2"]
        await unit.credentials.forget_readers(NOW + timedelta(seconds=1))
        assert await unit.credentials.readers("cr_1", NOW - timedelta(days=1)) == ["signer-1"]


async def test_an_assertion_is_used_once_and_forgotten_after_its_end(store: SqlStore) -> None:
    ends = NOW + timedelta(minutes=5)
    async with store.transaction() as unit:
        assert await unit.parties.use_assertion("cl_a", "j", ends, NOW)
        assert not await unit.parties.use_assertion("cl_a", "j", ends, NOW)
        assert await unit.parties.use_assertion("cl_b", "j", ends, NOW)
        # The transaction goes on after the refusal, on PostgreSQL too.
        assert await unit.parties.use_assertion("cl_a", "k", ends, ends + timedelta(seconds=1))
    async with store.reading() as unit:
        left = (await unit._connection.execute(text("SELECT client_id, jti FROM assertion"))).all()
    assert [tuple(row) for row in left] == [("cl_a", "k")]


async def test_ledger_heads_start_at_nothing_and_move(store: SqlStore) -> None:
    async with store.transaction() as unit:
        assert await unit.audit.heads(["a", "b"], lock=True) == {"a": Head(), "b": Head()}
        await unit.audit.set_heads({"a": Head(5, b"\5" * 32)})
    async with store.reading() as unit:
        assert await unit.audit.heads(["a", "b", "c"]) == {"a": Head(5, b"\5" * 32), "b": Head(), "c": Head()}


async def test_a_subtree_is_found_by_whole_ids_only(store: SqlStore) -> None:
    async with store.transaction() as unit:
        # "_" is a wildcard of LIKE, and one id is the beginning of the other.
        for identifier, parent in (("ag_1", None), ("agX1", None), ("ag_12", None), ("ag_3", "ag_1")):
            path = (identifier,) if parent is None else (parent, identifier)
            await unit.parties.add_agency(Agency(identifier, parent, "Cơ quan", None, path, NOW))
        found = await unit.parties.list_agencies("ag_1", "", Page(50, ""))
    assert {agency.id for agency in found} == {"ag_1", "ag_3"}


async def test_times_without_zone_are_refused(store: SqlStore) -> None:
    naive = Agency("ag_1", None, "Cơ quan", None, ("ag_1",), NOW.replace(tzinfo=None))
    async with store.transaction() as unit:
        with pytest.raises(StatementError, match="zone"):
            await unit.parties.add_agency(naive)


async def test_what_failed_waits_its_turn_behind_the_others(store: SqlStore) -> None:
    async with store.transaction() as unit:
        agency, subscriber = await party(unit)
        rows = [credential(agency, subscriber, f"k{number}") for number in range(3)]
        for number, row in enumerate(rows):
            await unit.credentials.add(replace(row, created_at=NOW + timedelta(seconds=number)))
    later = NOW + timedelta(minutes=1)
    async with store.transaction() as unit:
        first = (await unit.credentials.unfinished(later, later, 1))[0]
        assert (first.credential_id, first.tries) == (rows[0].id, 0)
        await unit.credentials.put_off(first.credential_id, 1, later)
        await unit.credentials.put_off(rows[1].id, 4, later + timedelta(hours=1))
        left = await unit.credentials.unfinished(later, later, 10)
    assert [(row.credential_id, row.tries) for row in left] == [(rows[2].id, 0), (rows[0].id, 1)]
