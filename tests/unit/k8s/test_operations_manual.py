"""docs/operations.md and the code say the same: every log event, metric and reason of readiness, and no other."""

from __future__ import annotations

import ast
import re

from services.kernel.runtime import health
from tests.support import monitoring

ROOT = monitoring.ROOT
MANUAL = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# What health.py itself adds to the checks that services register.
PHASES = {"starting", "stopping"}
NONE = "–"


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading by their first cell, without its backquotes."""
    section = MANUAL.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
            name = first.strip("`| ")
            assert name not in rows, f"{heading}: {name} stands there twice"
            rows[name] = rest
    return rows


def names(cell: str) -> set[str]:
    return set() if cell == NONE else set(re.findall(r"`(\w+)`", cell))


def listed(texts: set[str]) -> str:
    return ", ".join(f"`{text}`" for text in sorted(texts)) or NONE


def test_every_log_event_is_in_the_manual_with_its_levels_and_fields() -> None:
    described = {
        name: f"| `{name}` | {row[0]} | {listed(names(row[1]))} |"
        for name, row in table("Log events").items()
    }
    logged = {
        name: f"| `{name}` | {', '.join(sorted(levels))} | {listed(fields)} |"
        for name, (levels, fields) in monitoring.log_events_of_the_code().items()
    }
    # Rows to write, each with a last cell of one's own; and rows to delete.
    assert sorted(set(logged.values()) - set(described.values())) == []
    assert sorted(described.keys() - logged.keys()) == []


def test_every_metric_is_in_the_manual_with_its_kind_and_labels() -> None:
    described = {
        name: f"| `{name}` | {row[0]} | {listed(names(row[1]))} |" for name, row in table("Metrics").items()
    }
    made = {
        name: f"| `{name}` | {metric.kind.lower()} | {listed(set(metric.labels))} |"
        for name, metric in monitoring.metrics_of_the_code().items()
    }
    assert sorted(set(made.values()) - set(described.values())) == []
    assert sorted(described.keys() - made.keys()) == []


def test_every_reason_of_readiness_is_in_the_manual() -> None:
    registered = {
        str(node.args[0].value)
        for file in monitoring.sources()
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "register"
        and ast.unparse(node.func.value).endswith("health")
        and isinstance(node.args[0], ast.Constant)
    }
    source = ast.unparse(ast.parse(health.__spec__.loader.get_source(health.__name__)))  # type: ignore[union-attr]
    assert all(f"'{phase}'" in source for phase in PHASES)
    assert set(table("Readiness")) == registered | PHASES


def test_every_row_says_something() -> None:
    for heading in ("Log events", "Metrics", "Alerts", "Readiness", "Before the first start"):
        for name, row in table(heading).items():
            assert all(len(cell.strip(" |")) > 0 for cell in row), name
            assert len(row[-1].strip(" |")) > 3, name


def test_the_manual_speaks_of_log_events_and_metrics_that_exist() -> None:
    known = set(monitoring.log_events_of_the_code()) | set(monitoring.metrics_of_the_code())
    failures = MANUAL.split("\n## What can go wrong\n")[1].split("\n## ")[0]
    for row in failures.splitlines():
        cells = row.split(" | ")
        if len(cells) < 4 or cells[0].startswith(("| what", "|---")):
            continue
        for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", cells[1]):
            assert word in known | {"token_keys"}, word


def test_severities_are_those_of_the_rules() -> None:
    described = {name: row[0] for name, row in table("Alerts").items()}
    assert described == {rule["alert"]: rule["labels"]["severity"] for rule in monitoring.rules()}


def test_links_within_the_manual_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in MANUAL.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", MANUAL)) <= headings
