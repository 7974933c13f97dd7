"""docs/errors.md tells every code that the platform can answer, with the statuses that it really gets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gateway import problems
from services.kernel.errors import Kind, error_codes
from services.kernel.runtime import errormap

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (\d{3}) \| ([A-Z_]+) \| (yes|no) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = {row[1]: row for row in ROW.finditer(TEXT)}


def declared() -> dict[str, tuple[Kind, bool]]:
    """Return every code that a class in the sources declares: (kind, retryable). Read, not imported."""
    found: dict[str, tuple[Kind, bool]] = {}
    for path in [*(ROOT / "services").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef):
                row = _of_class(node)
                if row is not None:
                    found[row[0]] = row[1:]
    return found


def _of_class(node: ast.ClassDef) -> tuple[str, Kind, bool] | None:
    values: dict[str, ast.expr] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                pairs = zip(target.elts, statement.value.elts, strict=True)
                values.update({name.id: value for name, value in pairs if isinstance(name, ast.Name)})
            elif isinstance(target, ast.Name):
                values[target.id] = statement.value
    code, kind, retryable = values.get("code"), values.get("kind"), values.get("retryable")
    if not isinstance(code, ast.Constant) or not re.fullmatch(r"[A-Z][A-Z0-9_]+", str(code.value)):
        return None
    of_kind = Kind[kind.attr] if isinstance(kind, ast.Attribute) else Kind.INTERNAL
    return str(code.value), of_kind, isinstance(retryable, ast.Constant) and bool(retryable.value)


DECLARED = declared()


def test_the_document_lists_exactly_the_codes_that_exist() -> None:
    assert set(ROWS) == set(DECLARED)
    own = {
        code
        for code, error in error_codes().items()
        if error.__module__.startswith(("services.kernel", "gateway"))
    }
    assert own <= set(ROWS)
    assert len(ROW.findall(TEXT)) == len(ROWS), "a code stands in two rows"


@pytest.mark.parametrize("code", sorted(DECLARED))
def test_statuses_are_the_ones_that_are_sent(code: str) -> None:
    kind, retryable = DECLARED[code]
    row = ROWS[code]
    http = problems._STATUS_OF_CODE.get(code, problems.STATUS_OF_KIND[kind])
    assert (row[2], row[4]) == (str(http), "yes" if retryable else "no")
    assert row[3] == errormap._STATUS_OF_KIND[kind].name


def test_the_verifiers_messages_are_explained() -> None:
    source = ast.parse((ROOT / "services" / "verifier" / "domain.py").read_bytes())
    (messages,) = [node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Code"]
    codes = {
        statement.value.value
        for statement in messages.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
    }
    section = TEXT.partition("## Verification")[2]
    assert set(re.findall(r"^\| `([A-Z0-9_]+)` \| .+ \|$", section, re.MULTILINE)) == codes
