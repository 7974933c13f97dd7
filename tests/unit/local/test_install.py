import importlib.util
import json
from pathlib import Path

import pytest

from deploy.local import install
from deploy.local.console import PlatformError
from deploy.local.debian import DebianPackages


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that an installation into an empty folder runs; none is really run."""
    ran: list[list[str]] = []
    venv = tmp_path / ".venv"

    def run(command: list[str], what: str) -> None:
        assert what
        ran.append(command)
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        (venv / "bin" / "python").touch()

    # Whether this machine's Python has it or not; one test takes it away.
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: venv)
    monkeypatch.setattr(install, "VENV", venv)
    monkeypatch.setattr(install, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(install, "STAMP", venv / "kyso-installed.json")
    monkeypatch.setattr(install, "run", run)
    return ran


def test_every_package_is_installed_by_hash_and_the_project_without_a_registry(
    commands: list[list[str]],
) -> None:
    install.install("platform")
    venv, packages, project = commands
    assert venv[1:3] == ["-m", "venv"]
    assert "--require-hashes" in packages
    assert packages[-4:] == ["-r", "requirements.lock", "-r", "requirements-local.lock"]
    assert {"--no-deps", "--no-build-isolation", "--no-index"} <= set(project)


def test_nothing_is_done_while_the_locks_are_the_same(commands: list[list[str]]) -> None:
    install.install("tests")
    first = len(commands)
    install.install("tests")
    install.install("platform")
    assert len(commands) == first


def test_a_changed_lock_or_a_damaged_stamp_installs_again(commands: list[list[str]]) -> None:
    install.install("tests")
    for damage in (json.dumps({"requirements.lock": "other"}), "not json", "[]"):
        before = len(commands)
        install.STAMP.write_text(damage, encoding="utf-8")
        install.install("tests")
        assert len(commands) == before + 2


def test_an_installation_that_failed_is_not_taken_for_done(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(command: list[str], what: str) -> None:
        del command, what
        raise PlatformError("no network")

    install.install("platform")
    install.STAMP.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(install, "run", broken)
    with pytest.raises(PlatformError, match="no network"):
        install.install("platform")
    assert install.present() == {}
    assert commands


def test_where_debian_left_ensurepip_out_pip_comes_from_its_own_wheel(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "pip-1-py3-none-any.whl"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(DebianPackages, "find", lambda *_: wheel)
    install.make_environment()
    venv, pip = commands
    assert "--without-pip" in venv
    assert pip[1:] == [f"{wheel}/pip", "install", "-q", "--no-index", str(wheel)]


def test_what_a_failed_command_said_is_shown() -> None:
    with pytest.raises(PlatformError, match=r"trying failed:\nit went wrong\nMend what it says"):
        install.run(["sh", "-c", "echo it went wrong; exit 3"], "trying")
