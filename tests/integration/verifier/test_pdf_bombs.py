"""PDF bombs: refused or answered in time and memory, with an outcome that names why."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.pdf_bombs import BOMBS

SECONDS = 10
MEBIBYTES = 1024
HARMLESS = {
    "two thousand revisions",
    "deep arrays",
    "comments",
    "white space",
    "fields round in a circle",
    "streams in streams",
}
"""Read to their end, or not looked into where it would hurt: they hold no signature."""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    """What came of each bomb, in a process of their own."""
    command = [sys.executable, "-m", "tests.support.pdf_bombs"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["name"]: answer for answer in answers}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_or_answered_in_time_and_memory(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    outcome = outcomes[name]
    assert outcome["seconds"] < SECONDS
    assert outcome["peak_mib"] < MEBIBYTES
    if name in HARMLESS:
        assert outcome["verdict"] == "unsigned"
    else:
        assert outcome["verdict"] in ("indeterminate", "malformed")
        assert set(outcome["codes"]) & {"LIMIT_REACHED", "DOC_MALFORMED"}
