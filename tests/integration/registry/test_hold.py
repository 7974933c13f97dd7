"""Holds: from the answer on no signature by the credential can start, whatever the bus and the signers do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from services.kernel import events
from services.kernel.errors import (
    Conflict,
    CredentialNotFound,
    FieldInvalid,
    Forbidden,
    ServiceUnavailable,
)
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import DatabaseSettings
from tests.integration.registry.conftest import Client, Registry, Stand
from tests.support.nats_server import NatsServer, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

LIMIT_MS = 2000
"""heartbeat_limit_seconds of the stand (1) and the margin (1)."""
REASON = registry_pb2.HOLD_REASON_KEY_SUSPECTED


@dataclass
class Replica:
    """The bus side of one signer replica: it confirms each change, or not."""

    name: str
    bus: Bus
    confirms: bool = True
    changes: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: list[dict[str, Any]] = field(default_factory=list)

    async def on_change(self, _subject: str, data: bytes) -> None:
        change = json.loads(data)
        self.changes.append(change)
        if self.confirms:
            word = {
                "credential_id": change["credential_id"],
                "version": change["version"],
                "replica": self.name,
            }
            await self.bus.publish_core(events.DIRECTORY_CONFIRMED, json.dumps(word).encode())

    async def on_heartbeat(self, _subject: str, data: bytes) -> None:
        self.heartbeats.append(json.loads(data))


@asynccontextmanager
async def replica(nats: NatsServer, name: str, *, confirms: bool = True) -> AsyncIterator[Replica]:
    """Listen as a signer replica does for the length of a block."""
    bus = await Bus.connect(nats.settings(), make_runtime(name))
    made = Replica(name, bus, confirms)
    await bus.subscribe_core(events.DIRECTORY_CHANGED, made.on_change)
    await bus.subscribe_core(events.DIRECTORY_HEARTBEAT, made.on_heartbeat)
    try:
        # A heartbeat through the server: the subscriptions are there.
        await eventually(lambda: made.heartbeats, what="the first heartbeat")
        yield made
    finally:
        await bus.close()


async def resolve(registry: Registry, credential_id: str, name: str, *, cacheable: bool = True) -> Any:
    stub = registry.stub(registry_pb2_grpc.DirectoryServiceStub, "signer")
    return await stub.ResolveCredential(
        registry_pb2.ResolveCredentialRequest(credential_id=credential_id, replica=name, cacheable=cacheable)
    )


async def second_client(operator: Client, registry: Registry) -> Client:
    """Make another client with the same reach."""
    own = (await operator("GetClient", id="operator")).agency_id
    made = await operator(
        "CreateClient", agency_id=own, name="Trực an ninh", scopes=["credentials:write", "credentials:read"]
    )
    return await registry.client(await registry.token(made.client.id, made.secret))


async def test_resolution_tells_the_signer_all_that_it_must_know(registry: Registry) -> None:
    operator = await registry.client()
    province = await operator.agency()
    office = await operator.agency("Sở Nội vụ", parent=province)
    credential = await operator.credential(await operator.organization(office), "resolve-1")
    told = await resolve(registry, credential.id, "signer-1")
    assert list(told.agency_path)[:2] == [office, province]
    assert len(told.agency_path) == 3
    assert told.status == common_pb2.CREDENTIAL_STATUS_ACTIVE
    assert (told.version, told.head) == (credential.version, credential.version)
    assert list(told.certificate_chain) == list(credential.certificate_chain)
    assert told.key_id.startswith("key_")
    with pytest.raises(CredentialNotFound):
        await resolve(registry, "cr_unknown", "signer-1")
    with pytest.raises(FieldInvalid):
        await resolve(registry, credential.id, "")


async def test_a_hold_answers_as_soon_as_every_reader_has_confirmed(registry: Registry, stand: Stand) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("hold-1")
    async with replica(stand.nats, "signer-1") as one, replica(stand.nats, "signer-2"):
        for name in ("signer-1", "signer-2"):
            await resolve(registry, credential.id, name)
        answer = await operator(
            "HoldCredential", credential_id=credential.id, reason=REASON, reporter="Nguyễn Văn An"
        )
        assert {item.replica for item in answer.confirmations} == {"signer-1", "signer-2"}
        assert list(answer.unconfirmed) == []
        assert max(item.milliseconds for item in answer.confirmations) <= answer.milliseconds < LIMIT_MS
        assert answer.credential.status == common_pb2.CREDENTIAL_STATUS_HELD
        assert [int(change["version"]) for change in one.changes] == [answer.credential.version]
        told = await resolve(registry, credential.id, "signer-1")
        assert told.status == common_pb2.CREDENTIAL_STATUS_HELD
    assert registry.metric("kyso_registry_hold_seconds_count") == 1


async def test_a_silent_reader_is_waited_out_and_named(registry: Registry, stand: Stand) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("hold-2")
    async with replica(stand.nats, "signer-1"), replica(stand.nats, "signer-2", confirms=False):
        await resolve(registry, credential.id, "signer-1")
        # A reader counts whether it keeps the answer or not: its signature may be on its way.
        await resolve(registry, credential.id, "signer-2", cacheable=False)
        answer = await operator("HoldCredential", credential_id=credential.id, reason=REASON, reporter="An")
        assert [item.replica for item in answer.confirmations] == ["signer-1"]
        assert list(answer.unconfirmed) == ["signer-2"]
        assert answer.milliseconds >= LIMIT_MS


async def test_a_confirmation_of_an_older_version_does_not_count(registry: Registry, stand: Stand) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("hold-3")
    async with replica(stand.nats, "signer-1", confirms=False) as one:
        await resolve(registry, credential.id, "signer-1")
        holding = asyncio.create_task(
            operator("HoldCredential", credential_id=credential.id, reason=REASON, reporter="An")
        )
        await eventually(lambda: one.changes, what="the change")
        for word in (
            {"credential_id": credential.id, "version": credential.version, "replica": "signer-1"},
            {"credential_id": "cr_other", "version": 10**6, "replica": "signer-1"},
            {"credential_id": credential.id, "version": "many", "replica": "signer-1"},
            ["nonsense"],
        ):
            await one.bus.publish_core(events.DIRECTORY_CONFIRMED, json.dumps(word).encode())
        await one.bus.publish_core(events.DIRECTORY_CONFIRMED, b"\xff" * 2000)
        answer = await holding
        assert list(answer.unconfirmed) == ["signer-1"]


async def test_who_placed_a_hold_cannot_release_it_and_another_client_can(registry: Registry) -> None:
    operator = await registry.client()
    other, third = await second_client(operator, registry), await second_client(operator, registry)
    credential = await operator.made_credential("release-1")
    with pytest.raises(Conflict, match="not held"):
        await other("ReleaseCredential", credential_id=credential.id, confirmation="01/CV")
    since = datetime.now(UTC) - timedelta(hours=3)
    asked: dict[str, Any] = {"credential_id": credential.id, "reason": REASON, "reporter": "An"}
    held = await operator("HoldCredential", **asked, suspected_since=since)
    # Stopping twice is no mistake, and changes nothing.
    again = await other("HoldCredential", **asked)
    assert again.credential.version == held.credential.version
    # Whoever reported it, first or later, releases nothing.
    for reporter in (operator, other):
        with pytest.raises(Forbidden, match="another"):
            await reporter("ReleaseCredential", credential_id=credential.id, confirmation="01/CV")
    with pytest.raises(FieldInvalid, match="confirmation"):
        await third("ReleaseCredential", credential_id=credential.id, confirmation="")
    released = await third(
        "ReleaseCredential", credential_id=credential.id, confirmation="15/CV-SNV 22/11/2026"
    )
    assert released.status == common_pb2.CREDENTIAL_STATUS_ACTIVE
    assert released.version > held.credential.version
    lines = (await operator("ListAuditEvents", credential_id=credential.id)).events
    verbs = [line.type.rpartition(".")[2] for line in lines]
    assert verbs == ["created", "certified", "held", "hold_joined", "released"]
    assert [line.position for line in lines] == sorted(line.position for line in lines)
    for wrong in (
        {**asked, "reason": 0},
        {**asked, "reporter": " "},
        {**asked, "suspected_since": datetime.now(UTC) + timedelta(days=1)},
    ):
        with pytest.raises(FieldInvalid):
            await operator("HoldCredential", **wrong)


async def test_a_client_of_the_holders_making_or_made_since_the_hold_releases_nothing(
    registry: Registry,
) -> None:
    operator = await registry.client()
    own = (await operator("GetClient", id="operator")).agency_id
    holder, elsewhere = await maker(operator, registry, own), await second_client(operator, registry)
    puppet = await maker(holder, registry, own)
    grandchild = await maker(puppet, registry, own)
    credential = await operator.made_credential("puppet-1")
    await holder("HoldCredential", credential_id=credential.id, reason=REASON, reporter="An")
    late = await second_client(operator, registry)
    for client, reason in (
        (puppet, "made this one"),
        (grandchild, "made this one"),
        (late, "after the hold"),
    ):
        with pytest.raises(Forbidden, match=reason):
            await client("ReleaseCredential", credential_id=credential.id, confirmation="01/CV")
    await elsewhere("ReleaseCredential", credential_id=credential.id, confirmation="01/CV")
    # The next hold starts anew: who reported the last one may release this one.
    await elsewhere("HoldCredential", credential_id=credential.id, reason=REASON, reporter="An")
    await holder("ReleaseCredential", credential_id=credential.id, confirmation="02/CV")


async def maker(of: Client, registry: Registry, agency_id: str) -> Client:
    """Let a client make another that can make clients too."""
    scopes = ["credentials:write", "credentials:read", "registry:write"]
    made = await of("CreateClient", agency_id=agency_id, name="Quản trị", scopes=scopes)
    return await registry.client(await registry.token(made.client.id, made.secret))


async def test_a_hold_before_the_certificate_came_is_not_lifted_by_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.registry.service.issuing.LEFT_ALONE", timedelta(hours=1))
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        subscriber = await operator.organization(await operator.agency())
        stand.signer.refuse = {"SignAuthority"}
        with pytest.raises(ServiceUnavailable):
            await operator.credential(subscriber, "early-1")
        pending = (await operator("ListCredentials")).credentials[0]
        await operator("HoldCredential", credential_id=pending.id, reason=REASON, reporter="An")
        stand.signer.refuse = set()
        certified = await operator.credential(subscriber, "early-1")
        assert certified.status == common_pb2.CREDENTIAL_STATUS_HELD
        assert certified.certificate_chain


async def test_heartbeats_come_while_nothing_changes_and_tell_the_head(
    registry: Registry, stand: Stand
) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("beat-1")
    async with replica(stand.nats, "signer-1") as one:
        count = len(one.heartbeats)
        await eventually(lambda: len(one.heartbeats) >= count + 3, what="three heartbeats")
        assert int(one.heartbeats[-1]["head"]) == credential.version
        sent_at = datetime.fromisoformat(one.heartbeats[-1]["sent_at"])
        assert sent_at.tzinfo is not None
        assert abs(datetime.now(UTC) - sent_at) < timedelta(seconds=30)
    assert registry.metric("kyso_registry_directory_head") == credential.version


@pytest.fixture
def own_stand(
    stand: Stand, tmp_path: Any, mesh_ca: MeshCa, database_settings: DatabaseSettings
) -> AsyncIterator[Stand] | Any:
    """A stand with a bus of its own, to be killed; not to be started again: forking beside gRPC may hang."""
    server = NatsServer(tmp_path / "own-nats", tls=mesh_ca.tls("nats")).start()
    yield Stand(tmp_path, mesh_ca, server, database_settings)
    server.kill()


async def test_with_the_bus_gone_a_hold_still_answers_after_the_limit(own_stand: Stand) -> None:
    stand = own_stand
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        credential = await operator.made_credential("gone-1")
        await resolve(registry, credential.id, "signer-1")
        stand.nats.kill()
        begun = time.monotonic()
        answer = await operator("HoldCredential", credential_id=credential.id, reason=REASON, reporter="An")
        assert time.monotonic() - begun >= LIMIT_MS / 1000
        assert (list(answer.confirmations), list(answer.unconfirmed)) == ([], ["signer-1"])
        told = await resolve(registry, credential.id, "signer-1", cacheable=False)
        assert told.status == common_pb2.CREDENTIAL_STATUS_HELD
        # Signers look up by RPC now: the registry must stay ready for them.
        assert await registry.runtime.health.refresh(force=True) == {}


async def test_two_registries_share_readers_and_confirmations(stand: Stand) -> None:
    if stand.database.url.startswith("sqlite"):
        # One process writes an SQLite file; replicas are PostgreSQL's. The same is then shown by one.
        settings = [stand.settings()]
    else:
        settings = [stand.settings("registry-1"), stand.settings("registry-2")]
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings[0]) as first:
        await first.ready()
        credential = await (await first.client()).made_credential("two-1")
        async with running_other(stand, settings) as second:
            async with replica(stand.nats, "signer-1"):
                await resolve(first, credential.id, "signer-1")
                holder = await (second or first).client(await first.token())
                answer = await holder(
                    "HoldCredential", credential_id=credential.id, reason=REASON, reporter="An"
                )
            assert [item.replica for item in answer.confirmations] == ["signer-1"]
            told = await resolve(first, credential.id, "signer-1")
            assert told.status == common_pb2.CREDENTIAL_STATUS_HELD


@asynccontextmanager
async def running_other(stand: Stand, settings: list[Any]) -> AsyncIterator[Registry | None]:
    if len(settings) == 1:
        yield None
        return
    async with stand.running(settings[1]) as second:
        await second.ready()
        yield second


async def test_between_reading_and_holding_there_is_no_moment_unseen(
    registry: Registry, stand: Stand
) -> None:
    """Racing look-ups and holds: whoever was told ACTIVE is among those that the hold waited for."""
    operator = await registry.client()
    other = await second_client(operator, registry)
    credential = await operator.made_credential("race-1")
    hold: Callable[[], Awaitable[Any]] = lambda: operator(  # noqa: E731
        "HoldCredential", credential_id=credential.id, reason=REASON, reporter="An"
    )
    async with replica(stand.nats, "confirms-all") as one:
        seen: set[str] = set()

        async def confirm_for_all(_subject: str, data: bytes) -> None:
            change = json.loads(data)
            # Every replica of this round confirms at once, through one connection.
            for name in list(seen):
                word = {**change, "replica": name}
                await one.bus.publish_core(events.DIRECTORY_CONFIRMED, json.dumps(word).encode())

        await one.bus.subscribe_core(events.DIRECTORY_CHANGED, confirm_for_all)
        for round_ in range(10):
            names = [f"signer-{round_}-{number}" for number in range(4)]
            seen.update(names)
            answers = await asyncio.gather(
                hold(), *(resolve(registry, credential.id, name) for name in names)
            )
            held, told = answers[0], dict(zip(names, answers[1:], strict=True))
            known = {item.replica for item in held.confirmations} | set(held.unconfirmed)
            active = {
                name for name, state in told.items() if state.status == common_pb2.CREDENTIAL_STATUS_ACTIVE
            }
            assert active <= known
            await other("ReleaseCredential", credential_id=credential.id, confirmation="x")
