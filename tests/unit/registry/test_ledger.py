"""How ledger entries continue the audit log: any order, doubles, gaps, and chains that were tampered with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import FieldInvalid
from services.registry.domain.ledger import GENESIS, Entry, Facts, Head, Linked, continue_from, link
from services.registry.domain.records import entry_of, row_of

FACTS = Facts("completed", "ag_x", "cl_x", "cr_x", "op_x", datetime(2026, 11, 22, tzinfo=UTC))


def chain(length: int, *, stated: bool) -> list[Entry]:
    entries, previous = [], GENESIS
    for sequence in range(1, length + 1):
        data = f"entry {sequence}".encode()
        hash_ = link(previous, data)
        entry = Entry("l", sequence, f"ev_{sequence}", data, FACTS)
        entries.append(replace(entry, hash=hash_, previous_hash=previous) if stated else entry)
        previous = hash_
    return entries


@settings(deadline=None)
@given(st.permutations(list(range(12))), st.lists(st.integers(0, 11)), st.booleans())
def test_order_and_doubles_do_not_matter(order: list[int], doubles: list[int], stated: bool) -> None:
    entries = chain(12, stated=stated)
    batch = [entries[index] for index in [*order, *doubles]]
    result = continue_from(Head(), batch)
    assert [linked.entry.sequence for linked in result.linked] == list(range(1, 13))
    assert all(linked.intact for linked in result.linked)
    assert result.head == Head(12, chain(12, stated=True)[-1].hash)
    assert result.missing_from is None


@settings(deadline=None)
@given(st.integers(1, 12))
def test_a_gap_stops_just_before_itself_and_is_named(missing: int) -> None:
    entries = [entry for entry in chain(13, stated=True) if entry.sequence != missing]
    result = continue_from(Head(), entries)
    assert [linked.entry.sequence for linked in result.linked] == list(range(1, missing))
    assert (result.head.sequence, result.missing_from) == (missing - 1, missing)
    # What is missing, and all that waited, continue from there.
    rest = continue_from(result.head, chain(13, stated=True))
    assert (rest.head.sequence, rest.missing_from) == (13, None)
    assert all(linked.intact for linked in rest.linked)


@settings(deadline=None)
@given(st.integers(0, 9), st.sampled_from(["data", "hash", "previous_hash"]))
def test_whatever_is_altered_shows_at_that_place(index: int, field: str) -> None:
    entries = chain(10, stated=True)
    altered = b"\7" * 32
    changes: dict[str, Any] = {field: altered}
    entries[index] = replace(entries[index], **changes)
    broken = [linked.entry.sequence for linked in continue_from(Head(), entries).linked if not linked.intact]
    assert index + 1 in broken
    # An altered hash shows at the next entry too, and nothing shows anywhere else.
    assert set(broken) <= {index + 1, index + 2}


def test_what_the_log_holds_already_changes_nothing() -> None:
    entries = chain(5, stated=False)
    head = continue_from(Head(), entries).head
    again = continue_from(head, entries)
    assert (again.linked, again.head, again.missing_from) == ([], head, None)


def record(**changes: object) -> bytes:
    fields = {"ledger": "l", "sequence": "7", "outcome": "refused", "time": "2026-11-22T08:00:00Z", **changes}
    return json.dumps(fields).encode()


def test_a_record_is_read_with_its_number_as_text_or_number_and_empty_fields_left_out() -> None:
    for sequence in ("7", 7):
        entry = entry_of("ev_1", record(sequence=sequence))
        assert (entry.ledger, entry.sequence, entry.facts.agency_id) == ("l", 7, "")
    row = row_of(Linked(entry, b"\1" * 32, intact=True))
    assert (row.type, row.ledger_sequence, row.time.tzinfo) == ("kyso.signature.refused", 7, UTC)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_field_invalid(data: bytes) -> None:
    with pytest.raises(FieldInvalid):
        entry_of("ev_1", data)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["ledger", "sequence", "outcome", "time", "agency_id", "client_id"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=80)
        | st.lists(st.integers()),
        min_size=1,
    )
)
def test_no_fields_raise_anything_but_field_invalid(changes: dict[str, object]) -> None:
    try:
        entry = entry_of("ev_1", record(**changes))
    except FieldInvalid:
        return
    assert entry.sequence >= 1
    assert entry.facts.time.tzinfo is UTC
