"""The audit log: every entry of every ledger, once, in order, without a gap; a broken chain is seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.kernel.events import STREAM_PARKED, Event, event_subject
from services.kernel.runtime.bus import Bus
from services.kernel.values import new_id
from tests.integration.registry.conftest import Client, Registry, Stand
from tests.support.nats_server import eventually
from tests.support.rpc import make_runtime


def record(ledger: str, sequence: int, agency_id: str, /, **changes: Any) -> bytes:
    fields = {
        "ledger": ledger,
        "sequence": str(sequence),
        "outcome": "completed",
        "operation_id": f"op_{ledger}_{sequence}",
        "client_id": "cl_portal",
        "agency_id": agency_id,
        "credential_id": "cr_one",
        "time": "2026-11-22T08:00:00.000000Z",
        **changes,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class Ledger:
    """One ledger of the small signer, and the bus to publish its entries on."""

    def __init__(self, stand: Stand, bus: Bus, agency_id: str) -> None:
        self.stand, self.bus, self.agency_id = stand, bus, agency_id
        self.name = new_id("ledger")
        self.events: list[Event] = []

    def append(self, count: int = 1, **changes: Any) -> list[Event]:
        made = []
        for _ in range(count):
            data = record(self.name, len(self.events) + 1, self.agency_id, **changes)
            event = Event(
                id=new_id("ev"),
                type="kyso.signature.completed",
                source="kyso/signer/test",
                subject="op_x",
                time=datetime.now(UTC),
                data=data,
                nats_subject=event_subject("signature", "completed", self.agency_id),
            )
            self.stand.signer.append(self.name, event.id, data)
            self.events.append(event)
            made.append(event)
        return made

    async def publish(self, events: list[Event]) -> None:
        assert await self.bus.publish_many(events) == [None] * len(events)

    def held_up_to(self, registry: Registry) -> float:
        return registry.metric("kyso_registry_audit_ledger_sequence", ledger=self.name)


@pytest.fixture
async def operator(registry: Registry) -> Client:
    return await registry.client()


@pytest.fixture
async def ledger(stand: Stand, registry: Registry, operator: Client) -> Any:
    bus = await Bus.connect(stand.nats.settings(), make_runtime("signer"))
    yield Ledger(stand, bus, await operator.agency())
    await bus.close()


async def lines(operator: Client, ledger: Ledger) -> list[Any]:
    found, token = [], ""
    while True:
        answer = await operator("ListAuditEvents", page_size=200, page_token=token)
        found += [event for event in answer.events if event.ledger == ledger.name]
        token = answer.next_page_token
        if not token:
            return found


async def test_events_are_appended_once_and_in_order_whatever_the_bus_does(
    registry: Registry, operator: Client, ledger: Ledger
) -> None:
    made = ledger.append(30)
    # Reversed within the batch, and every one twice under another Nats-Msg-Id's protection.
    await ledger.publish(list(reversed(made)))
    await ledger.publish(made)
    await eventually(lambda: ledger.held_up_to(registry) == 30, what="thirty entries")
    kept = await lines(operator, ledger)
    assert [line.ledger_sequence for line in kept] == list(range(1, 31))
    assert [line.id for line in kept] == [event.id for event in made]
    assert kept[0].type == "kyso.signature.completed"
    assert json.loads(kept[4].data)["operation_id"] == kept[4].operation_id == f"op_{ledger.name}_5"
    assert registry.metric("kyso_registry_audit_chain_breaks_total") == 0


async def test_a_gap_is_fetched_from_the_signer(registry: Registry, operator: Client, ledger: Ledger) -> None:
    made = ledger.append(20)
    await ledger.publish(made[:5] + made[9:])
    await eventually(lambda: ledger.held_up_to(registry) == 20, what="all entries, four of them fetched")
    assert [line.id for line in await lines(operator, ledger)] == [event.id for event in made]
    assert registry.metric("kyso_registry_audit_gaps_total") >= 1


async def test_a_lost_tail_is_found_without_any_event(
    registry: Registry, operator: Client, ledger: Ledger
) -> None:
    made = ledger.append(1200)
    await eventually(lambda: ledger.held_up_to(registry) == 1200, what="the tail is fetched")
    assert [line.id for line in await lines(operator, ledger)] == [event.id for event in made]
    # Events that arrive after all change nothing.
    await ledger.publish(made[-10:])
    more = ledger.append(1)
    await ledger.publish(more)
    await eventually(lambda: ledger.held_up_to(registry) == 1201, what="the next entry")
    assert len(await lines(operator, ledger)) == 1201


async def test_a_broken_chain_is_kept_counted_and_does_not_stop_the_log(
    registry: Registry, stand: Stand, operator: Client, ledger: Ledger
) -> None:
    made = ledger.append(3)
    await ledger.publish(made)
    await eventually(lambda: ledger.held_up_to(registry) == 3, what="three entries")
    # Somebody alters what the ledger holds already: its hashes are not those of the log any more.
    stand.signer.ledgers[ledger.name][2].hash = b"\1" * 32
    await eventually(
        lambda: registry.metric("kyso_registry_audit_chain_breaks_total") == 1, what="the break is reported"
    )
    # What is fetched of the altered ledger does not continue the chain.
    ledger.append(2)
    await eventually(lambda: ledger.held_up_to(registry) == 5, what="the log goes on")
    assert registry.metric("kyso_registry_audit_chain_breaks_total") == 2


async def test_what_is_no_signing_record_is_parked_and_harms_nothing(
    registry: Registry, stand: Stand, operator: Client, ledger: Ledger
) -> None:
    made = ledger.append(2)
    good = made[1]
    wrong = [
        b"no json",
        b"[]",
        b"[" * 60_000,
        record(ledger.name, 0, "ag_x"),
        record(ledger.name, 1, "ag_x", sequence="1e3"),
        record(ledger.name, 1, "ag_x", sequence=True),
        record(ledger.name, 1, "ag_x", outcome="signed"),
        record(ledger.name, 1, "ag_x", time="yesterday"),
        record(ledger.name, 1, "ag_x", agency_id="'; DROP TABLE audit_event; --"),
        record("", 1, "ag_x"),
        b"\xff\xfe",
    ]
    parked_before = await parked(ledger.bus)
    await ledger.publish(
        [
            Event(new_id("ev"), good.type, good.source, good.subject, good.time, data, good.nats_subject)
            for data in wrong
        ]
    )
    await ledger.publish(made)
    await eventually(lambda: ledger.held_up_to(registry) == 2, what="the good entries")

    async def all_parked() -> bool:
        return await parked(ledger.bus) == parked_before + len(wrong)

    await eventually(all_parked, what="the bad ones are parked")
    assert [line.id for line in await lines(operator, ledger)] == [event.id for event in made]


async def parked(bus: Bus) -> int:
    jetstream = await bus.until_connected()
    return (await jetstream.stream_info(STREAM_PARKED)).state.messages


async def test_a_client_sees_the_lines_of_its_own_part_of_the_tree(
    registry: Registry, operator: Client, ledger: Ledger
) -> None:
    await ledger.publish(ledger.append(3))
    await eventually(lambda: ledger.held_up_to(registry) == 3, what="three entries")
    clients = {}
    for agency in (ledger.agency_id, await operator.agency("UBND tỉnh khác")):
        made = await operator("CreateClient", agency_id=agency, name="x", scopes=["audit:read"])
        clients[agency] = await registry.client(await registry.token(made.client.id, made.secret))
    seen = {
        agency: [event.ledger for event in (await client("ListAuditEvents", page_size=200)).events]
        for agency, client in clients.items()
    }
    mine, others = seen.values()
    assert mine.count(ledger.name) == 3
    assert ledger.name not in others
    everything = (await operator("ListAuditEvents", page_size=200)).events
    assert {"kyso.ca.created", "kyso.crl.published", "kyso.client.created"} <= {
        line.type for line in everything
    }
    assert [line.position for line in everything] == list(range(1, len(everything) + 1))
    found = await operator("ListAuditEvents", operation_id=f"op_{ledger.name}_2")
    assert [line.ledger_sequence for line in found.events] == [2]
    later = await operator(
        "ListAuditEvents", credential_id="cr_one", from_time=datetime(2026, 11, 22, 9, tzinfo=UTC)
    )
    assert not list(later.events)
