"""Argo CD's verdict on an object of every phase, by its own check of ACK's kinds and by the one of deploy/argocd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.installation import OURS
from tests.e2e.recorded import PHASES, read_object
from tests.gitops.lua import BUILT_IN, read_customization, run
from tests.logic.answers import NOW, observed, report
from tests.logic.status.test_conditions import TABLE
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.status.conditions import build_conditions

if TYPE_CHECKING:
    from trainingjob_operator.logic.status.report import Report

Body = dict[str, Any]

GOLDEN = Path(__file__).parents[1] / "data/golden"
OUTCOMES = {"Completed": "Healthy", "Failed": "Degraded", "Stopped": "Degraded"}
"""Health by trainingJobStatus; any other status is Progressing."""
CUSTOMIZATION = read_customization()
CHECKS = {"built-in": BUILT_IN.read_text(), "deploy/argocd": CUSTOMIZATION.health}
every_check = pytest.mark.parametrize("script", CHECKS.values(), ids=CHECKS)


def body(status: Body | None, generation: int = 3, **metadata: Any) -> Body:
    spec = {"trainingJobName": "churn", "roleARN": "arn:aws:iam::123456789012:role/training", "environment": {}}
    return {
        "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "churn", "namespace": "team-a", "generation": generation, **metadata},
        "spec": spec,
        **({} if status is None else {"status": status}),
    }


def status_of(report: Report) -> Body:
    return {"conditions": build_conditions([], report, report.observation or Observation(), NOW)}


COMPLETED = status_of(report(observed("Completed", "Completed")))
FAILED = status_of(report(observed("Failed", "Failed", FailureReason="AlgorithmError: exit code 1")))
RUNNING = status_of(report(observed()))


@every_check
@pytest.mark.parametrize("row", [pytest.param(row, id=row.situation) for row in TABLE])
def test_every_situation_has_its_health(script: str, row: Any) -> None:
    assert run(script, body(status_of(row.report)))["status"] == row.argo


@every_check
@pytest.mark.parametrize("path", [pytest.param(path, id=path.parent.name) for path in GOLDEN.glob("*/status.yaml")])
def test_every_recorded_status_has_its_health(script: str, path: Path) -> None:
    status = yaml.safe_load(path.read_text())
    assert run(script, body(status))["status"] == OUTCOMES.get(status["trainingJobStatus"], "Progressing")


@every_check
def test_an_object_without_a_status_is_progressing(script: str) -> None:
    schema = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    default = schema["properties"]["status"]["default"]
    statuses: list[Body | None] = [None, {}, {"conditions": []}, default]
    for status in statuses:
        answer = run(script, body(status))
        assert answer["status"] == "Progressing"
    assert answer["message"] in ("", "Waiting for the operator", "Waiting for resource to be ready")


def test_the_message_is_the_one_of_the_cause() -> None:
    assert run(CUSTOMIZATION.health, body(FAILED))["message"] == "AlgorithmError: exit code 1"
    noted = status_of(report(observed("Completed"), advisories=(Finding("EditNotPossible", "spec.roleARN is fixed."),)))
    assert run(CUSTOMIZATION.health, body(noted)) == {
        "status": "Healthy",
        "message": "TrainingJob is in Completed status. spec.roleARN is fixed.",
    }


def test_the_order_of_the_conditions_has_no_effect() -> None:
    for status, health in ((COMPLETED, "Healthy"), (FAILED, "Degraded"), (RUNNING, "Progressing")):
        turned = {"conditions": status["conditions"][::-1]}
        assert run(CUSTOMIZATION.health, body(turned))["status"] == health


def test_an_edit_does_not_inherit_the_end_of_the_earlier_spec() -> None:
    for status in (COMPLETED, FAILED):
        stale = {**status, "observedGeneration": 2}
        assert run(CUSTOMIZATION.health, body(stale))["status"] == "Progressing"
        assert run(CUSTOMIZATION.health, body({**status, "observedGeneration": 3}))["status"] != "Progressing"


def test_an_object_during_deletion_is_progressing() -> None:
    for status in (COMPLETED, FAILED, RUNNING):
        answer = run(CUSTOMIZATION.health, body(status, deletionTimestamp="2026-11-21T12:00:00Z"))
        assert answer["status"] == "Progressing"
        assert answer["message"].startswith("Deleting: ")


@pytest.mark.parametrize("name", PHASES)
def test_objects_of_ack_have_the_health_of_their_job(name: str) -> None:
    found = read_object(name)
    expected = OUTCOMES.get(found["status"].get("trainingJobStatus", ""), "Progressing")
    if name in ("illegal-edit", "name-clash"):  # ACK stopped following them
        expected = "Degraded"
    assert run(CUSTOMIZATION.health, found)["status"] == expected


def test_the_built_in_check_calls_a_failed_job_of_ack_healthy() -> None:
    assert run(BUILT_IN.read_text(), read_object("failed"))["status"] == "Healthy"


# Actions.


def actions_of(found: Body) -> set[str]:
    offered = run(CUSTOMIZATION.discovery, found)
    assert set(offered) == set(CUSTOMIZATION.actions)
    return {name for name, action in offered.items() if not action.get("disabled")}


def test_an_ended_job_can_run_again() -> None:
    for row in TABLE:
        status = status_of(row.report)
        held = {one["type"]: one["status"] for one in status["conditions"]}
        ended = "Finished" in held and not {"ACK.Adopted", "ACK.Observed"} & set(held)
        assert actions_of(body(status)) == ({"refresh", "rerun"} if ended else {"refresh"}), row.situation
    assert actions_of(body(None)) == {"refresh"}


@pytest.mark.parametrize("kind", ["adopted", "observed"])
def test_a_job_created_by_another_client_does_not_run_again(kind: str) -> None:
    status = status_of(report(observed("Completed", "Completed"), **{kind: True}))
    assert actions_of(body(status)) == {"refresh"}


def test_a_name_without_room_for_a_suffix_does_not_run_again() -> None:
    for length, offered in ((48, {"refresh", "rerun"}), (49, {"refresh"})):
        found = body(COMPLETED)
        found["spec"]["trainingJobName"] = "x" * length
        assert actions_of(found) == offered


def test_an_object_without_a_name_for_its_job_runs_again_under_its_own_name() -> None:
    found = body(COMPLETED)
    del found["spec"]["trainingJobName"]
    assert actions_of(found) == {"refresh", "rerun"}
    [impact] = run(CUSTOMIZATION.actions["rerun"], found)
    assert impact["resource"]["spec"]["trainingJobName"] == impact["resource"]["metadata"]["name"]
    found["metadata"]["name"] = "x" * 49
    assert actions_of(found) == {"refresh"}


def test_refresh_requests_a_reconcile_and_changes_nothing_else() -> None:
    found = body(RUNNING, annotations={"team": "a"})
    answer = run(CUSTOMIZATION.actions["refresh"], found)
    requested = answer["metadata"]["annotations"].pop("services.k8s.aws/reconcile-requested-at")
    assert requested.endswith("Z")
    found["spec"]["environment"] = []  # Argo CD restores the empty map
    assert answer == found


def test_rerun_creates_a_second_object_with_another_name_and_without_the_state_of_the_first() -> None:
    annotations = {
        "services.k8s.aws/region": "eu-west-1",
        "services.k8s.aws/job-arn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/churn",
        "argocd.argoproj.io/tracking-id": "app:sagemaker.services.k8s.aws/TrainingJob:team-a/churn",
    }
    found = body(COMPLETED, annotations=annotations, labels={"team": "a"}, uid="1", resourceVersion="7")
    [impact] = run(CUSTOMIZATION.actions["rerun"], found)
    assert impact["operation"] == "create"
    again = impact["resource"]
    suffix = again["metadata"]["name"].removeprefix("churn")
    assert len(suffix) == 15
    assert again == {
        "apiVersion": found["apiVersion"],
        "kind": "TrainingJob",
        "metadata": {
            "name": f"churn{suffix}",
            "namespace": "team-a",
            "labels": {"team": "a"},
            "annotations": {
                "services.k8s.aws/region": "eu-west-1",
                "argocd.argoproj.io/sync-options": "Prune=false",
                "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
            },
        },
        "spec": {"trainingJobName": f"churn{suffix}", "roleARN": found["spec"]["roleARN"]},
    }


def test_the_links_lead_to_fields_of_the_status() -> None:
    schema = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for link in CUSTOMIZATION.links:
        path = link["url"].removeprefix("{{.resource.").removesuffix("}}")
        assert link["if"] == f'resource.kind == "TrainingJob" && resource.{path.replace(".", "?.")} != nil'
        field = schema
        for name in path.split("."):
            field = field["properties"][name]
        assert field["type"] == "string"
