"""The house rules that a reader relies on: sizes, doors, and nothing of one machine in what everyone gets."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_LINES = 400
FUNCTION_LINES = 50
CONSTRUCTOR_ARGUMENTS = 6
TEXT_LIMIT = 2 * 1024 * 1024

# A path below a person's or a build machine's own folders, or a scratch file that one run left.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|farm|root|home/[a-z][\w-]*)/[\w.]|/tmp/[a-z]+/")
# Hosts that packages come from: a lock or a script that names one works at one place only.
REGISTRY_HOST = re.compile(
    r"\b(?:files\.pythonhosted|pypi|registry\.npmjs|repo1\.maven|proxy\.golang|deb\.debian|static\.crates)\.(?:org|com)\b"
    r"|--(?:extra-)?index-url|--find-links\s+/",
    re.IGNORECASE,
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, timeout=30,
    ).stdout  # fmt: skip
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def sources() -> list[Path]:
    return [
        path for path in tracked() if path.suffix == ".py" and not path.is_relative_to(ROOT / "proto" / "gen")
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_longer_than_a_person_reads() -> None:
    long = {
        name_of(path): lines
        for path in sources()
        if (lines := len(path.read_bytes().splitlines())) > MODULE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{name_of(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_no_constructor_takes_more_than_six_arguments() -> None:
    wide = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs) - 1
                if count > CONSTRUCTOR_ARGUMENTS:
                    wide[f"{name_of(path)}:{node.lineno}"] = count
    assert wide == {}


def test_only_the_signers_token_worker_imports_pkcs11() -> None:
    importers = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Import(names=names) if any(each.name.split(".")[0] == "pkcs11" for each in names):
                    importers.add(name_of(path))
                case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "pkcs11":
                    importers.add(name_of(path))
                case _:
                    pass
    rooms = {name for name in importers if name.startswith(("services/", "gateway/", "clients/", "deploy/"))}
    assert rooms
    assert {name for name in rooms if not name.startswith("services/signer/hsm/")} == set()


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        pytest.param(MACHINE_PATH, "path of one machine", id="machine path"),
        pytest.param(REGISTRY_HOST, "package registry's address", id="registry address"),
    ],
)
def test_nothing_of_one_machine_is_in_what_everyone_gets(pattern: re.Pattern[str], what: str) -> None:
    found = []
    for path in tracked():
        if path == Path(__file__).resolve() or path.stat().st_size > TEXT_LIMIT:
            continue
        raw = path.read_bytes()
        if b"\0" in raw:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name_of(path)}:{number}: {what}: {line.strip()[:120]}")
    assert found == []


def test_every_package_has_its_init_file() -> None:
    missing = {
        name_of(path.parent)
        for root in ("services", "gateway", "clients/python/kyso_client", "deploy")
        for path in (ROOT / root).rglob("*.py")
        if "migrations" not in path.parts and not (path.parent / "__init__.py").exists()
    }
    assert missing == set()
