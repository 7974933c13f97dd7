"""JSON files that others signed: the verdict that each must get, and the level that its time-stamps carry it to."""

from __future__ import annotations

import json
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.verifier.domain import Code, DocumentReport
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService

CORPORA = Path(os.environ["CORPORA"])
REFUSED = {"dss:JAdESWithWrongCritEntryType"}
"""`crit` holds an array where a name belongs: what must be understood cannot be (RFC 7515 4.1.11). DSS looks past it."""
STAMPED = {
    "jades-lta.json": 0,
    "jades-lta-with-etsiU-whitespaces.json": 0,
    "jades-with-sigAndRefsTst-with-dot.json": 0,
    "jades-double-sig-different-etsiU.json": 0,
    "jades-lta-broken-arcTst.json": 1,
    "jades-lta-copied-arctst.json": 1,
    "jades-flattened-BpT-broken-sigTst.json": 1,
}
"""Files with time-stamps, and how many of these are over something else: made so."""


def records() -> list[dict[str, Any]]:
    """The records of JSON files."""
    every = json.loads((CORPORA / "manifest.json").read_text(encoding="utf-8"))
    return [record for record in every if record["kind"] == "jades"]


def judged(record: dict[str, Any]) -> DocumentReport:
    """Integrity of a record's file, with the contents beside it."""
    beside = [CORPORA / name for name in record.get("detached", [])]
    named = {path.name: path.read_bytes() for path in beside}
    document = SubmittedDocument(
        (CORPORA / record["file"]).read_bytes(), next(iter(named.values()), None), named
    )
    service = VerificationService((JadesFormat(),), TrustMaterial(), integrity_only=True)
    with warnings.catch_warnings():
        # Certificates of these files have flaws that the library warns of; the verdict is what counts here.
        warnings.simplefilter("ignore")
        return service.verify(document, datetime.now(UTC))


@pytest.mark.parametrize("record", records(), ids=lambda record: record["id"])
def test_every_file_gets_the_verdict_that_it_must_have(record: dict[str, Any]) -> None:
    report = judged(record)
    passed = report.verdict.value == "valid" and report.clean
    assert passed == (record["expected"] == "valid" and record["id"] not in REFUSED), [
        (one.indication, one.detail) for one in report.signatures
    ]


@pytest.mark.parametrize("name", STAMPED)
def test_the_time_stamps_of_others_are_over_what_we_compute(name: str) -> None:
    report = judged(next(record for record in records() if record["file"].endswith(f"/{name}")))
    notices = [notice.code for one in report.signatures for notice in one.notices]
    assert notices.count(Code.TS_BAD) == STAMPED[name]
    assert Code.TS_NONE not in notices
    assert Code.TS_NOT_CHECKED not in notices
