"""Alerts and dashboard as files: documented, tested, and about metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.prometheus.queries import DASHBOARD, RULES, name_metrics, read_panels, read_queries, read_rules
from trainingjob_operator.metrics import Metrics

ROOT = Path(__file__).parents[2]
ALERTS = {rule["alert"]: rule for rule in read_rules() if "alert" in rule}


def known_metrics() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry, "0", lambda: 0.0)
    return {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()}


@pytest.mark.parametrize(
    "expression", [rule["expr"] for rule in read_rules()] + [query.expression for query in read_queries()]
)
def test_each_query_is_about_metrics_that_exist(expression: str) -> None:
    assert set(name_metrics(expression)) <= known_metrics()
    recorded = {rule["record"] for rule in read_rules() if "record" in rule}
    assert set(re.findall(r"\w+:trainingjob_\w+:\w+", expression)) <= recorded


def test_each_alert_is_documented_and_tested() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    sections = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert [line.removeprefix("### ") for line in sections.splitlines() if line.startswith("### ")] == list(ALERTS)
    tests = yaml.safe_load(Path(__file__).with_name("rules.test.yaml").read_text())["tests"]
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["runbook_url"] == f"docs/metrics.md#{name.lower()}"
        [cases] = [case["alert_rule_test"] for case in tests if case["name"] == name]
        assert {bool(case["exp_alerts"]) for case in cases} == {True, False}, f"{name} must be quiet once and fire once"


def test_the_files_of_the_chart_are_those_for_users_without_it() -> None:
    assert (ROOT / "deploy/prometheus/rules.yaml").resolve() == RULES.resolve()
    assert (ROOT / "deploy/grafana/dashboard.json").resolve() == DASHBOARD.resolve()


def test_panels_have_titles_descriptions_and_places_of_their_own() -> None:
    panels = read_panels()
    everything = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
