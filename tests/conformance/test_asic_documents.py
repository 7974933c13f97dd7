"""Containers that others signed: the verdict that each must get, and what is read of the evidence in them."""

from __future__ import annotations

import json
import os
import warnings
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.verifier.domain import Code, DocumentReport
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS

CORPORA = Path(os.environ["CORPORA"])
REFUSED = {
    "dss:ASiCSWithCAdESCounterSignatureTest": "the digest that was signed is not the content's (openssl says so too)",
    "dss:ASiCEMalformedValidationTest": "a second file in the container is in no manifest: nobody signed it",
}
"""Records that their source has as valid, and why they are not passed and clean here; none of tier A."""


@cache
def records() -> list[dict[str, Any]]:
    """The records of containers that do not depend on somebody's trust list or date."""
    every = json.loads((CORPORA / "manifest.json").read_text(encoding="utf-8"))
    return [one for one in every if one["kind"].startswith("asic") and one["layer"] != "policy"]


@cache
def judged(file: str) -> DocumentReport:
    """Integrity of a file."""
    document = SubmittedDocument((CORPORA / file).read_bytes())
    service = VerificationService(FORMATS, TrustMaterial(), integrity_only=True)
    with warnings.catch_warnings():
        # Certificates of these files have flaws that the library warns of; the verdict is what counts here.
        warnings.simplefilter("ignore")
        return service.verify(document, datetime.now(UTC))


@pytest.mark.parametrize("record", records(), ids=lambda record: str(record["id"]))
def test_every_container_gets_the_verdict_that_it_must_have(record: dict[str, Any]) -> None:
    report = judged(record["file"])
    passed = report.verdict.value == "valid" and report.clean
    details = [(one.name, one.indication, one.detail) for one in report.signatures]
    assert passed == (record["expected"] == "valid" and record["id"] not in REFUSED), details
    if record["expected"] == "unsigned":
        assert report.verdict.value != "invalid"


def test_what_is_refused_is_of_no_tier_that_must_pass() -> None:
    tiers = {record["id"]: record["tier"] for record in records()}
    assert {tiers[one] for one in REFUSED} <= {"B", "C"}


@pytest.mark.parametrize(
    "record", [r for r in records() if r.get("evidence_record")], ids=lambda r: str(r["id"])
)
def test_evidence_records_are_named_and_not_judged(record: dict[str, Any]) -> None:
    report = judged(record["file"])
    told = [n for one in report.signatures for n in one.notices if n.code is Code.TS_NOT_CHECKED]
    assert any("evidence record" in notice.detail for notice in told) or report.format == "ASiC-S"


def test_archive_manifests_of_others_are_over_what_we_compute() -> None:
    report = judged(next(r["file"] for r in records() if r["file"].endswith("/dss1421.asice")))
    assert report.clean
    signature, token = report.signatures
    assert (token.name, token.integrity.value) == ("META-INF/timestamp001.tst", "intact")
    assert signature.integrity.value == "intact"
    assert Code.TS_BAD not in {n.code for one in report.signatures for n in one.notices}
