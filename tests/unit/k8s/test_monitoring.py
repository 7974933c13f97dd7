"""Alert rules and dashboard: every expression is PromQL, and every name in it is one that the code exports."""

from __future__ import annotations

import re
from typing import Any

import promql_parser
import pytest

from tests.support import monitoring
from tests.support.manifests import ROOT, Manifest, of_kind

EXPRESSIONS = monitoring.expressions()
# What the scrape adds, and what a histogram has by itself.
TARGET_LABELS = {"job", "namespace", "pod", "instance", "le"}
SEVERITIES = {"critical", "warning"}
WHOLE_RULE = {"alert", "expr", "labels", "annotations"}


@pytest.mark.parametrize("where", sorted(EXPRESSIONS))
def test_an_expression_is_promql_about_our_series(where: str) -> None:
    named = monitoring.series(EXPRESSIONS[where])
    assert named
    for name in named:
        assert name.startswith("kyso_") or name in monitoring.PROCESS_OWN | monitoring.PROMETHEUS_OWN, name


def test_a_misspelt_expression_would_be_found() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        monitoring.series("sum(rate(kyso_rpc_requests_total[5m])")


def test_every_series_that_rules_and_dashboard_name_is_made_by_the_code() -> None:
    made = {name for metric in monitoring.metrics_of_the_code().values() for name in metric.series}
    unknown = set(monitoring.named_series()) - made - monitoring.PROCESS_OWN
    assert unknown == set()


def test_every_metric_of_the_code_is_shown_by_the_dashboard() -> None:
    shown = {name for text in monitoring.dashboard_expressions().values() for name in monitoring.series(text)}
    hidden = {
        metric.name
        for metric in monitoring.metrics_of_the_code().values()
        if not shown.intersection(metric.series)
    }
    assert hidden == set()


def labels_in(node: Any) -> set[str]:
    """Return every label by which an expression groups or matches."""
    modifier = getattr(node, "modifier", None)
    found = set(getattr(modifier, "labels", None) or ())
    matching = getattr(modifier, "matching", None)
    found |= set(getattr(matching, "labels", None) or ())
    for attribute in ("expr", "lhs", "rhs"):
        child = getattr(node, attribute, None)
        if isinstance(child, promql_parser.Expr):
            found |= labels_in(child)
    for child in getattr(node, "args", None) or ():
        found |= labels_in(child)
    return found


@pytest.mark.parametrize("where", sorted(EXPRESSIONS))
def test_an_expression_uses_labels_that_its_series_have(where: str) -> None:
    by_series = {
        name: metric for metric in monitoring.metrics_of_the_code().values() for name in metric.series
    }
    selected = monitoring.series(EXPRESSIONS[where])
    known = set(TARGET_LABELS)
    for name, labels in selected.items():
        own = set(by_series[name].labels) if name in by_series else set()
        assert labels <= own | TARGET_LABELS, name
        known |= own
    assert labels_in(promql_parser.parse(EXPRESSIONS[where])) <= known


def test_every_alert_is_whole_and_named_once() -> None:
    rules = monitoring.rules()
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    for rule in rules:
        assert WHOLE_RULE <= rule.keys() <= WHOLE_RULE | {"for"}, rule["alert"]
        assert re.fullmatch(r"Kyso[A-Z]\w+", rule["alert"])
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"].keys() == {"summary"}
        if "for" in rule:
            assert re.fullmatch(r"\d+[smh]", rule["for"])


def test_an_alert_speaks_of_labels_that_its_expression_leaves() -> None:
    for rule in monitoring.rules():
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        node = promql_parser.parse(rule["expr"])
        by_series = {
            name: metric for metric in monitoring.metrics_of_the_code().values() for name in metric.series
        }
        own = {
            label
            for name in monitoring.series(rule["expr"])
            if name in by_series
            for label in by_series[name].labels
        }
        aggregated = re.search(r"\b(sum|min|max)\b", rule["expr"]) is not None
        left = labels_in(node) if aggregated else own | TARGET_LABELS
        assert used <= left, rule["alert"]


def test_every_alert_has_its_place_in_the_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`(Kyso[A-Z]\w+)`", manual))
    assert described == {rule["alert"] for rule in monitoring.rules()}


def test_the_rules_reach_the_cluster_as_they_are(manifests: list[Manifest]) -> None:
    spec = of_kind(manifests, "PrometheusRule")["kyso"]["spec"]
    assert [rule for group in spec["groups"] for rule in group["rules"]] == monitoring.rules()
    assert len({group["name"] for group in spec["groups"]}) == len(spec["groups"])


def test_the_dashboard_is_one_that_grafana_takes(manifests: list[Manifest]) -> None:
    dashboard = monitoring.dashboard()
    assert {"uid", "title", "panels", "schemaVersion", "templating", "time"} <= dashboard.keys()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    (source,) = dashboard["templating"]["list"]
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie on each other"
    (shipped,) = [
        one for name, one in of_kind(manifests, "ConfigMap").items() if name.startswith("kyso-dashboard")
    ]
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(shipped["data"]) == {"kyso.json"}
