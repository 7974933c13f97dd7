"""Certification paths and S/MIME messages that others made, answered by the command that reads records."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import default_policy
from services.verifier.commands import check
from services.verifier.domain import Code, SubIndication
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.path import PathResult, PathValidator
from services.verifier.x509.path_rules import GOVERNMENT_G1_LINKS, LegacyLinks, PathRules

CORPORA = Path(os.environ["CORPORA"]).resolve()
PKITS = CORPORA / "files/pkits"
PKITS_TRUST = (
    *("--anchor", str(PKITS / "certs/TrustAnchorRootCertificate.crt")),
    *("--intermediate", str(PKITS / "certs")),
    *("--crl", str(PKITS / "crls")),
)


def records(name: str) -> list[dict[str, Any]]:
    """The decided records of a collection, with their paths made absolute and their test cases put in."""
    found: list[dict[str, Any]] = json.loads((CORPORA / name).read_text("utf-8"))
    if name == "limbo_manifest.json":
        cases = json.loads((CORPORA / "limbo.json").read_text("utf-8"))["testcases"]
        by_id = {"limbo:" + case["id"]: case for case in cases}
        return [r | {"testcase": by_id[r["id"]]} for r in found if r["use_for_document_signing"]]
    return [absolute(r) for r in found if r["expected"] != "policy-dependent"]


def absolute(value: Any) -> Any:
    """The value with the paths in it made absolute."""
    if isinstance(value, str) and value.startswith("files/"):
        return str(CORPORA / value)
    if isinstance(value, list):
        return [absolute(v) for v in value]
    return {k: absolute(v) for k, v in value.items()} if isinstance(value, dict) else value


def answer(
    record: Mapping[str, Any],
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, Any]:
    """What the command answers to a record."""
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(record).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    check.main(["--record", *arguments])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


@pytest.mark.parametrize(
    ("name", "count", "arguments"),
    [("pkits.json", 246, ()), ("limbo_manifest.json", 61, ()), ("pkits_smime.json", 109, PKITS_TRUST)],
    ids=["pkits", "limbo", "pkits-smime"],
)
def test_every_record_gets_the_verdict_that_its_makers_state(
    name: str,
    count: int,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    decided = records(name)
    wrong = []
    for record in decided:
        said = answer(record, arguments, monkeypatch, capsys)
        if (said["verdict"] == "valid" and said["clean"]) != (record["expected"] == "valid"):
            wrong.append((record["id"], record["expected"], said))
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {len(decided) - len(wrong)} of {len(decided)}\n")
    assert wrong == []
    assert len(decided) >= count


def vietnamese(name: str) -> Certificate:
    """A certificate of the national collection."""
    return certificates.load_all((CORPORA / "vietnam" / name).read_bytes())[0]


def first_generation(rules: PathRules) -> PathResult:
    """The path of the first-generation organisation certificate, while it was valid."""
    subordinates = [vietnamese(p.name) for p in (CORPORA / "vietnam").glob("vgca-g1-*.pem")]
    validator = PathValidator([vietnamese("vgca-root-g1.pem")], subordinates, (), rules)
    return validator.validate(vietnamese("leaf-organisation-g1.pem"), (), datetime(2024, 1, 1, tzinfo=UTC))


def test_national_certificates_are_read_and_name_their_subjects() -> None:
    found = {p.name: vietnamese(p.name) for p in (CORPORA / "vietnam").glob("*.pem")}
    assert len(found) >= 17
    assert all(certificates.summary(c).subject for c in found.values())
    (tax,) = certificates.summary(found["leaf-organisation-g1.pem"]).identifiers
    assert (tax.prefix, tax.value, tax.well_formed) == ("MST", "0301519977-029", True)


def test_a_first_generation_path_holds_with_a_warning_under_the_legacy_policy_only() -> None:
    pinned = LegacyLinks(GOVERNMENT_G1_LINKS)
    result = first_generation(PathRules(check_status=False, legacy=pinned))
    assert result.failure is None
    assert [n.code for n in result.notices] == [Code.ALG_SHA1]
    dated = default_policy().with_digest("SHA-1", datetime(2012, 8, 1, tzinfo=UTC), set(Purpose))
    for rules in (
        PathRules(check_status=False),
        PathRules(check_status=False, algorithms=dated),
        PathRules(check_status=False, legacy=LegacyLinks(frozenset())),
    ):
        refused = first_generation(rules)
        assert refused.failure is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
        assert Code.ALG_SHA1 in {n.code for n in refused.notices}
