"""Which metrics the alert rules and the dashboard name, and which metrics and log events the code makes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "k8s" / "base" / "monitoring"
ROOMS = ("services", "gateway")

PROMETHEUS_OWN = frozenset({"up"})
"""Series that Prometheus makes about its own scraping."""
PROCESS_OWN = frozenset({"process_start_time_seconds", "process_cpu_seconds_total"})
"""Series that prometheus_client makes about any process."""
_SUFFIXES = {"Counter": ("",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}


def rules() -> list[dict[str, Any]]:
    """Return every alert rule."""
    manifest = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Return the Grafana dashboard."""
    text = (MONITORING / "dashboards" / "kyso.json").read_text(encoding="utf-8")
    model: dict[str, Any] = json.loads(text)
    return model


def dashboard_expressions() -> dict[str, str]:
    """Return each query of the dashboard by "panel title, legend", with Grafana's variables filled in."""
    return {
        f"{panel['title']}, {target['legendFormat']}": target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    }


def expressions() -> dict[str, str]:
    """Return every PromQL text of rules and dashboard by where it stands."""
    alerts = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    return alerts | {f"panel {where}": text for where, text in dashboard_expressions().items()}


def series(expression: str) -> dict[str, set[str]]:
    """Return the names of the series that a PromQL expression reads, each with the labels it selects by.

    Raises ValueError where it is no PromQL.
    """
    found: dict[str, set[str]] = {}
    for node in _nodes(promql_parser.parse(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in node.matchers.matchers}
            found.setdefault(str(node.name), set()).update(labels)
    return found


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for attribute in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(node, attribute, None)
        if isinstance(child, promql_parser.Expr):
            yield from _nodes(child)
    for child in getattr(node, "args", None) or ():
        yield from _nodes(child)


def named_series() -> dict[str, set[str]]:
    """Return every series that rules and dashboard name, with the labels they select by; Prometheus' own left out."""
    found: dict[str, set[str]] = {}
    for expression in expressions().values():
        for name, labels in series(expression).items():
            if name not in PROMETHEUS_OWN:
                found.setdefault(name, set()).update(labels)
    return found


class Metric:
    """One metric as the code makes it."""

    def __init__(self, call: ast.Call, kind: str, module: ast.Module) -> None:
        """Read the call of Counter, Gauge or Histogram in a module."""
        name = call.args[0]
        assert isinstance(name, ast.Constant)
        self.name, self.kind = str(name.value), kind
        self.labels = _labels(call, module)

    @property
    def series(self) -> list[str]:
        """The names under which it is stored."""
        return [self.name + suffix for suffix in _SUFFIXES[self.kind]]


def _labels(call: ast.Call, module: ast.Module) -> list[str]:
    """Return the third argument where it is a list of texts, or a name for one; buckets are numbers."""
    given = call.args[2] if len(call.args) > 2 else None
    if isinstance(given, ast.Name):
        name = given.id
        given = next(
            (
                node.value
                for node in ast.walk(module)
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
            ),
            None,
        )
    texts = [item.value for item in getattr(given, "elts", ()) if isinstance(item, ast.Constant)]
    return [text for text in texts if isinstance(text, str)]


def sources() -> list[Path]:
    """Return every source file of what is deployed."""
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@cache
def metrics_of_the_code() -> dict[str, Metric]:
    """Return every metric of ours that the deployed code makes, by name."""
    found: dict[str, Metric] = {}
    for file in sources():
        module = ast.parse(file.read_bytes())
        for node in ast.walk(module):
            # Either the class itself, or a short function of its name that fills in the registry.
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                kind = node.func.id.capitalize()
                first = node.args[0] if node.args else None
                if (
                    kind in _SUFFIXES
                    and isinstance(first, ast.Constant)
                    and re.match(r"kyso_", str(first.value))
                ):
                    metric = Metric(node, kind, module)
                    found[metric.name] = metric
    return found


_LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
# What structlog takes for itself.
_NO_FIELDS = {"exc_info"}


def log_events_of_the_code() -> dict[str, tuple[set[str], set[str]]]:
    """Return every log event of the deployed code: its name, the levels it has and the fields it is given.

    Raises AssertionError where an event's name is no constant.
    """
    found: dict[str, tuple[set[str], set[str]]] = {}
    for file in sources():
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and _is_logging(node.func):
                name = node.args[0]
                assert isinstance(name, ast.Constant), (
                    f"{file}:{node.lineno}: the name of an event is a constant"
                )
                levels, fields = found.setdefault(str(name.value), (set(), set()))
                assert isinstance(node.func, ast.Attribute)
                levels.add("error" if node.func.attr == "exception" else node.func.attr)
                fields |= {keyword.arg for keyword in node.keywords if keyword.arg} - _NO_FIELDS
    return found


def _is_logging(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or function.attr not in _LEVELS:
        return False
    owner = function.value
    return (isinstance(owner, ast.Name) and owner.id in {"log", "_log"}) or (
        isinstance(owner, ast.Attribute) and owner.attr in {"log", "_log"}
    )
