import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.console import PlatformError
from deploy.local.debian import DebianPackages
from deploy.local.tools import Program, Tools


def test_without_a_package_manager_the_message_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PlatformError, match="softhsm2 is missing and there is no apt-get"):
        DebianPackages(tmp_path).provide("softhsm2")


def test_a_part_that_stays_missing_after_fetching_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = DebianPackages(tmp_path)
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(packages, "provide", lambda *names: asked.append(names))
    with pytest.raises(PlatformError, match="no-such-program is not where it belongs"):
        Tools(packages).program("no-such-program", "some-package")
    assert asked == [("some-package",)]


def test_an_unpacked_program_starts_with_its_own_libraries(tmp_path: Path) -> None:
    packages = DebianPackages(tmp_path)
    unpacked = packages.root / "usr" / "bin" / "kyso-test-program"
    libraries = packages.root / "usr" / "lib" / "x86_64-linux-gnu"
    unpacked.parent.mkdir(parents=True)
    libraries.mkdir(parents=True)
    unpacked.write_bytes(b"")
    program = Tools(packages).program("kyso-test-program", "unused")
    assert program.path == unpacked
    assert program.environment()["LD_LIBRARY_PATH"] == str(libraries)


def test_a_launcher_brings_an_unpacked_programs_libraries_along(tmp_path: Path) -> None:
    program = tmp_path / "with space" / "say-libraries"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH:$1"\n', encoding="utf-8")
    program.chmod(0o755)
    tools = Tools(DebianPackages(tmp_path))
    launcher = tools.launcher(Program(program, "/some/lib"), tmp_path / "bin")
    said = subprocess.run(
        [str(launcher), "an argument"], check=True, capture_output=True, text=True, timeout=10
    )
    assert said.stdout == "/some/lib:an argument\n"
    assert tools.launcher(Program(program, ""), tmp_path / "bin") == program
    assert not launcher.exists()


def test_a_program_of_the_system_keeps_the_environment(tmp_path: Path) -> None:
    program = Tools(DebianPackages(tmp_path)).program("sh", "dash")
    assert program.environment().get("LD_LIBRARY_PATH") == os.environ.get("LD_LIBRARY_PATH")
