"""A real Prometheus scrapes a real operator: every rule and every panel is evaluated, and promtool tests the rules."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import choose_cluster
from tests.crds.installation import install_crd
from tests.e2e.operator_process import OperatorProcess, await_true
from tests.prometheus.queries import RULES, read_queries
from tests.prometheus.scene import TEAMS, is_over, prepare
from tests.prometheus.server import Prometheus
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.objects import Jobs

BILLABLE = "trainingjob_billable_instance_seconds_total"
WITHOUT_DATA = {"Calls that wait for a rate limit"}
"""Panels that are empty while nothing is wrong."""


@dataclass(frozen=True)
class Run:
    operator: OperatorProcess
    prometheus: Prometheus
    vision: Jobs
    nlp: Jobs


@pytest.fixture(scope="module")
def run(prometheus_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All jobs but one have ended while Prometheus scraped."""
    folder = tmp_path_factory.mktemp("prometheus")
    with choose_cluster(os.environ)() as cluster, StandIn() as sagemaker:
        install_crd(cluster)
        with OperatorProcess(cluster, sagemaker, folder, "--metrics-max-jobs=4") as operator:
            address = await_true("the address of the metrics", lambda: operator.address("metrics"))
            with Prometheus(prometheus_programs, folder, address) as prometheus:
                vision, nlp = teams = prepare(cluster, sagemaker)
                sagemaker.throttle("ListTrainingJobs", count=2)
                await_true("the jobs have ended", lambda: is_over(teams), 120.0)
                await_true("a wait for a quota", lambda: prometheus.query('trainingjob_waiting_jobs{quota!=""} == 1'))
                await_true("counters are scraped", lambda: len(prometheus.query(f"{BILLABLE} > 0")) == 5)
                time.sleep(2)  # two more scrapes: a rate needs two samples
                yield Run(operator, prometheus, vision, nlp)


def test_promtool_finds_nothing_to_improve(prometheus_programs: Path, run: Run) -> None:
    promtool = str(prometheus_programs / "promtool")
    text = run.operator.ask("metrics")[1]
    assert text.count("\ntrainingjob_") > 100
    checked = subprocess.run(
        [promtool, "check", "metrics", "--lint=all"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)], check=True)
    folder = Path(__file__).parent
    subprocess.run([promtool, "test", "rules", "rules.test.yaml"], cwd=folder, check=True)


def test_every_rule_is_evaluated(run: Run) -> None:
    rules = await_true(
        "each rule was evaluated", lambda: [rule for rule in run.prometheus.rules() if rule["lastEvaluation"]]
    )
    assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in rules} == {
        rule["name"]: ("ok", None) for rule in rules
    }
    assert len(rules) > 20
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing == set(), "nothing is wrong"


@pytest.mark.parametrize("query", read_queries(), ids=lambda query: f"{query.panel}-{query.legend}")
def test_every_query_of_the_dashboard_has_an_answer(run: Run, query) -> None:  # type: ignore[no-untyped-def]
    found = run.prometheus.query(query.fill())
    assert bool(found) or query.panel in WITHOUT_DATA


def test_the_cost_of_a_team_is_that_of_its_objects(run: Run) -> None:
    for team, names in ((run.vision, ("distributed", "groups", "broken")), (run.nlp, ("small",))):
        shown = run.prometheus.query(f'sum({BILLABLE}{{namespace="{team.namespace}"}})')
        expected = sum(team.status(name)["billableInstanceSeconds"] for name in names)
        assert list(shown.values()) == [expected]
        increase = run.prometheus.query(f'sum(increase({BILLABLE}{{namespace="{team.namespace}"}}[5m]))')
        assert sum(increase.values()) >= expected * 0.9, "no first value of a series is lost"
    spot = run.prometheus.query(f'{BILLABLE}{{spot="true"}}')
    [(labels, seconds)] = spot.items()
    assert '"instance_type": "ml.m5.large"' in labels
    assert seconds == run.vision.status("distributed")["billableTimeInSeconds"] * 4


def test_series_of_single_objects_are_bounded(run: Run) -> None:
    shown = run.prometheus.query("trainingjob_job_status")
    assert len(shown) == 4
    assert {team for team in TEAMS if any(f'"{team}"' in labels for labels in shown)} == set(TEAMS)
