"""Make `.venv` from the lock files, and only when they changed: `python -m deploy.local.install platform|tests`.

Runs under the system's own Python with the standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from deploy.local.console import PlatformError, say, step
from deploy.local.debian import DebianPackages

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "kyso-installed.json"
LOCKS = {
    "platform": ("requirements.lock", "requirements-local.lock"),
    "tests": ("requirements.lock", "requirements-local.lock", "requirements-dev.lock"),
}
PIP_SECONDS = 1800
TAIL_LINES = 25


def wanted(kind: str) -> dict[str, str]:
    """What `.venv` must hold for `kind`: each lock's and the project file's SHA-256 in hex."""
    names = (*LOCKS[kind], "pyproject.toml")
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in names}


def present() -> dict[str, str]:
    """What the last complete installation recorded; empty if there is none or Python itself is gone."""
    if not PYTHON.exists() or not STAMP.exists():
        return {}
    try:
        recorded = json.loads(STAMP.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}


def run(command: list[str], what: str) -> None:
    """Run one command quietly; when it fails, raise PlatformError with the end of what it said."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=False, text=True, timeout=PIP_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise PlatformError(
            f"{what} did not end within {PIP_SECONDS} s: is the package registry reachable?"
        ) from late
    if done.returncode != 0:
        words = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise PlatformError(f"{what} failed:\n{words}\nMend what it says and run the same command again.")


def make_environment() -> None:
    """Make an empty `.venv` that has pip, also where Debian's python3-venv is not installed."""
    if PYTHON.exists():
        return
    if importlib.util.find_spec("ensurepip") is not None:
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], "making .venv")
        return
    # Debian ships venv without ensurepip; pip's own wheel is a package that anyone may unpack.
    packages = DebianPackages(ROOT / "var" / "packages")
    pattern = "usr/share/python-wheels/pip-*.whl"
    wheel = packages.find(pattern)
    if wheel is None:
        packages.provide("python3-pip-whl")
        wheel = packages.find(pattern)
    if wheel is None:
        raise PlatformError(
            "this Python has no pip: as root, `apt-get install python3-venv`, then run the same command again"
        )
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)], "making .venv")
    run([str(PYTHON), f"{wheel}/pip", "install", "-q", "--no-index", str(wheel)], "putting pip into .venv")


def install(kind: str) -> None:
    """Bring `.venv` to what the locks of `kind` say; nothing is asked of a registry when it is so already."""
    need = wanted(kind)
    have = present()
    if need.items() <= have.items():
        return
    say(
        f"Installing what is missing into .venv ({sys.version.split()[0]}); the first time takes a minute or two"
    )
    with step("python environment"):
        make_environment()
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    STAMP.unlink(missing_ok=True)
    with step("packages") as current:
        locks = [argument for name in LOCKS[kind] for argument in ("-r", name)]
        run([*pip, "--require-hashes", "--only-binary=:all:", *locks], "installing the locked packages")
        current.note(" + ".join(LOCKS[kind]))
    with step("the project itself, editable"):
        run([*pip, "--no-deps", "--no-build-isolation", "--no-index", "-e", "."], "installing the project")
    STAMP.write_text(json.dumps(need), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Entry point; the exit code is 1 when something is missing that a person must bring."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        say("usage: python -m deploy.local.install platform|tests")
        return 2
    try:
        install(arguments[0])
    except PlatformError as wrong:
        say(f"\n{wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
