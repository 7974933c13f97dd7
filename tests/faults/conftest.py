"""How much the fault tests do: a short version in `make test`, the full counts in `make faults`."""

from __future__ import annotations

import os
import sys

import pytest

FULL = os.environ.get("KYSO_FAULTS") == "full"


@pytest.fixture
def full() -> bool:
    """Whether the full counts are asked for."""
    return FULL


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> object:
    """Print a line of counts past pytest's capture, so that the run shows what was done."""

    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")
            sys.stdout.flush()

    return say
