"""One platform for each state: the lock that says so, and how a running one is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import platform
from deploy.local.console import PlatformError
from deploy.local.platform import running, stop
from deploy.local.settings import Settings, load
from deploy.local.tools import Tools

# Holds the lock of a state as a running platform does, until it is asked to stop.
HOLDER = """
import pathlib, signal, sys
from dataclasses import replace
from deploy.local import platform, settings
held = replace(settings.load("demo"), state=pathlib.Path(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
with platform._alone(held):
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return replace(load("demo"), state=tmp_path / "state", logs=tmp_path / "log")


@pytest.fixture
def holder(chosen: Settings) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(chosen.state)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "held\n"
    return process


async def test_a_second_platform_on_the_same_state_is_refused_and_says_which_process_holds_it(
    chosen: Settings, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(
        PlatformError, match=rf"it runs already \(process {holder.pid}\): `make stop` ends it"
    ):
        async with running(chosen, Tools(), None):
            pytest.fail("two platforms must not share a state")
    holder.send_signal(signal.SIGTERM)
    assert holder.wait(timeout=30) == 7


def test_stop_ends_a_running_platform_and_waits_for_it(
    chosen: Settings, holder: subprocess.Popen[str]
) -> None:
    assert stop(chosen)
    assert holder.wait(timeout=30) == 7
    assert not stop(chosen)


def test_stop_gives_up_after_its_limit_and_names_the_logs(
    chosen: Settings, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "STOP_SECONDS", 0.2)
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(PlatformError, match=r"did not end within .* its logs are in"):
        stop(chosen)
    holder.kill()
    assert holder.wait(timeout=30) == -signal.SIGKILL


def test_nothing_is_stopped_where_nothing_ever_ran(chosen: Settings) -> None:
    assert not stop(chosen)
