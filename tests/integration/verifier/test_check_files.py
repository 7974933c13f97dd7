"""The command that works alone: another time, the dossier's owner, and the files that it writes and never replaces."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local.tools import Tools
from tests.support.verifier_world import FRESH, NOW, present_hierarchy
from tests.unit.verifier.authority import Hierarchy

FONT = "LiberationSerif-Regular.ttf"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """A hierarchy that is valid now: the command has no other clock."""
    return present_hierarchy()


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, hierarchy: Hierarchy) -> list[str]:
    """The options that make the signer trusted."""
    folder = tmp_path_factory.mktemp("trust")
    (folder / "root.der").write_bytes(hierarchy.root.der)
    (folder / "ca.der").write_bytes(hierarchy.issuing.der)
    (folder / "root.crl").write_bytes(hierarchy.root.crl(**FRESH))
    (folder / "ca.crl").write_bytes(hierarchy.issuing.crl(**FRESH))
    options = [("anchor", "root.der"), ("intermediate", "ca.der"), ("crl", "root.crl"), ("crl", "ca.crl")]
    return [text for name, file in options for text in (f"--{name}", str(folder / file))]


@pytest.fixture
def signed(tmp_path: Path, hierarchy: Hierarchy) -> Path:
    """A CMS file with its content inside."""
    file = tmp_path / "thư.p7m"
    file.write_bytes(hierarchy.signer.cms(b"%PDF-1.4 content"))
    return file


def check(*arguments: str | Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "services.verifier", "check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def answered(*arguments: str | Path) -> dict[str, Any]:
    status, out, err = check(*arguments, "--json")
    assert out, (status, err)
    document: dict[str, Any] = json.loads(out)
    return document


def test_signers_are_compared_with_the_owner(signed: Path, trust: list[str]) -> None:
    same = answered(signed, *trust, "--owner-citizen", "012345678901", "--owner-name", "Nguyễn Văn An")
    assert (same["verdict"], same["owner"]["result"], same["clean"]) == ("valid", "match", True)
    other = answered(signed, *trust, "--owner-tax", "0100109106")
    assert (other["verdict"], other["owner"]["result"], other["clean"]) == ("valid", "mismatch", False)
    status, out, err = check(signed, "--owner-tax", "12")
    assert (status, out) == (66, "")
    assert "tax" in err


def test_a_document_is_judged_for_another_time(signed: Path, trust: list[str]) -> None:
    earlier = answered(signed, *trust, "--at", (NOW - timedelta(hours=3)).isoformat())
    assert earlier["verdict"] == "valid"
    assert [warning["code"] for warning in earlier["warnings"]] == ["NOT_NOW"]
    assert earlier["signatures"][0]["signing_time"]["source"] == "stated_by_caller"
    assert answered(signed, *trust, "--at", "2001-01-01")["verdict"] == "indeterminate"
    for wrong in ((NOW + timedelta(hours=1)).isoformat(), "tomorrow"):
        assert check(signed, *trust, "--at", wrong)[0] == 66


@pytest.mark.parametrize(
    ("form", "start"), [("html", b"<!DOCTYPE html>"), ("pdf", b"%PDF-"), ("etsi", b"<?xml")]
)
def test_a_report_is_written_and_replaces_nothing(
    signed: Path, trust: list[str], tmp_path: Path, form: str, start: bytes
) -> None:
    report = tmp_path / "report"
    options: list[str | Path] = [
        signed,
        *trust,
        "--report",
        form,
        "-o",
        report,
        "--font",
        Tools().serif_fonts() / FONT,
    ]
    assert check(*options)[0] == 0
    assert report.read_bytes().startswith(start)
    before = report.read_bytes()
    status, out, err = check(*options)
    assert (status, out) == (73, "")
    assert "report" in err
    assert report.read_bytes() == before


def test_a_report_needs_what_it_needs(signed: Path, tmp_path: Path) -> None:
    for options in (["--report", "html"], ["-o", tmp_path / "x"], ["--report", "pdf", "-o", tmp_path / "x"]):
        status, _, err = check(signed, *options)
        assert status == 66
        assert "--report" in err


def test_originals_and_evidence_are_written(signed: Path, trust: list[str], tmp_path: Path) -> None:
    originals, used = tmp_path / "originals", tmp_path / "used"
    assert check(signed, *trust, "--extract", originals, "--evidence", used)[0] == 0
    assert {file.name: file.read_bytes() for file in originals.iterdir()} == {
        "original-1.pdf": b"%PDF-1.4 content"
    }
    names = sorted(file.name for file in used.iterdir())
    assert [name.split("-")[1] for name in names] == ["certificate.cer"] * 3 + ["crl.crl"] * 2
    kept = {hashlib.sha256(file.read_bytes()).hexdigest() for file in used.iterdir()}
    report = answered(signed, *trust)
    assert {certificate["sha256"] for certificate in report["signatures"][0]["path"]} <= kept
    assert check(signed, *trust, "--extract", originals)[0] == 73


def test_what_was_tampered_with_gives_no_originals(signed: Path, trust: list[str], tmp_path: Path) -> None:
    signed.write_bytes(signed.read_bytes().replace(b"content", b"contemt"))
    assert check(signed, *trust, "--extract", tmp_path / "originals")[0] == 1
    assert not (tmp_path / "originals").exists()
