"""The verifier's own JSON: what is answered fits the schema that is published, and the schema says what there is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from services.verifier import domain, owner
from services.verifier.domain import DocumentReport
from services.verifier.owner import Owner
from services.verifier.reports import rendering
from tests.support.report_json_schema import complaints, schema
from tests.support.report_samples import AT, FOREVER, document, hostile, many, signature

ENUMS: list[tuple[str, str, type[StrEnum]]] = [
    ("report", "verdict", domain.Verdict),
    ("signature", "indication", domain.Indication),
    ("signature", "kind", domain.SignatureKind),
    ("signature", "integrity", domain.Integrity),
    ("signing_time", "source", domain.TimeSource),
    ("coverage", "kind", domain.Coverage),
    ("change", "kind", domain.ChangeKind),
    ("status", "source", domain.StatusSource),
    ("warning", "code", domain.Code),
    ("owner", "result", domain.OwnerResult),
    ("owner", "reason", domain.OwnerReason),
]


@pytest.mark.parametrize(
    "report",
    [
        document(),
        document(signature(signer=None, path=()), integrity_only=True),
        owner.apply(Owner.of(citizen="012345678901"), document()),
        DocumentReport.undecided(b"x", AT.replace(year=1), integrity_only=False),
        document(valid_at=FOREVER),
        many(20),
        hostile(),
    ],
)
def test_reports_fit_the_schema(report: DocumentReport) -> None:
    assert complaints(rendering.document(report)) == []


@pytest.mark.parametrize(("part", "name", "values"), ENUMS)
def test_the_schema_names_every_value(part: str, name: str, values: type[StrEnum]) -> None:
    assert schema()["$defs"][part]["properties"][name]["enum"] == [one.value for one in values]


def test_the_schema_names_every_sub_indication() -> None:
    named = schema()["$defs"]["signature"]["properties"]["sub_indication"]["enum"]
    assert named == [None, *(sub.value for sub in domain.SubIndication)]


def _without(report: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != key}


def test_the_schema_refuses() -> None:
    told = rendering.document(document())
    assert complaints({**told, "verdict": "fine"})
    assert complaints({**told, "more": 1})
    assert all(complaints(_without(told, key)) for key in told)
    one = told["signatures"][0]
    assert all(complaints({**told, "signatures": [_without(one, key)]}) for key in one)
