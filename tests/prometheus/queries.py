"""The alerts, recording rules and panels that the chart ships, and the metrics that they name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.helm.program import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = CHART / "files/prometheus-rules.yaml"
DASHBOARD = CHART / "files/grafana-dashboard.json"

VARIABLES = {"$namespace": ".*", "$__rate_interval": "5m", "$__range": "1h"}
"""Grafana's variables in queries, as a test sets them."""


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    panel: str
    expression: str
    legend: str

    def fill(self, **variables: str) -> str:
        """The expression with values of Grafana's variables."""
        text = self.expression
        for name, value in {**VARIABLES, **{f"${name}": value for name, value in variables.items()}}.items():
            text = text.replace(name, value)
        return text


def read_rules() -> list[dict[str, Any]]:
    """All rules: those with `alert` and those with `record`."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def read_panels() -> list[dict[str, Any]]:
    """All panels but the titles of rows."""
    return [panel for panel, _ in read_layout() if panel["type"] != "row"]


def read_queries() -> list[Query]:
    return [query for _, queries in read_layout() for query in queries]


def read_layout() -> list[tuple[dict[str, Any], list[Query]]]:
    """All panels, titles of rows included, each with its queries."""
    return [
        (panel, [Query(panel["title"], target["expr"], target["legendFormat"]) for target in panel.get("targets", ())])
        for panel in json.loads(DASHBOARD.read_text())["panels"]
    ]


def name_metrics(expression: str) -> Iterator[str]:
    """The metrics of the operator in an expression, without the suffixes of histograms."""
    for name in re.findall(r"(?<![\w:])(?:trainingjob|ack)_\w+", expression):
        yield re.sub(r"_(bucket|count|sum)$", "", name)
