"""GitOps tools and one operator: the applied fields stay unchanged, and no kind of apply runs a job twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.objects import recorded, training_job
from tests.gitops.lua import BUILT_IN, read_customization, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared
    from tests.e2e.objects import Body, Jobs

pytestmark = pytest.mark.e2e

MANAGER = "argocd-controller"
CREATE, STOP = "CreateTrainingJob", "StopTrainingJob"
CUSTOMIZATION = read_customization()
CHECKS = (BUILT_IN.read_text(), CUSTOMIZATION.health)


def apply(jobs: Jobs, body: Body, *flags: str) -> Body:
    """Apply as Argo CD and Flux do."""
    server_side = ("--server-side", f"--field-manager={MANAGER}", "-o", "json")
    found: Body = json.loads(jobs.kubectl("apply", *server_side, *flags, "-f", "-", input=json.dumps(body)))
    return found


def without_managers(body: Body) -> Body:
    return {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


def is_released(body: Body) -> bool:
    return "finalizers" not in body["metadata"]


@pytest.mark.parametrize("outcome", ["Completed", "Failed"])
def test_live_equals_desired_after_a_whole_life_and_health_waits_for_the_end(
    shared: Shared, control_plane: Cluster, tmp_path: Path, outcome: str
) -> None:
    name = f"life-{outcome.lower()}"
    jobs, desired = shared.jobs, training_job(name, annotations={"team": "a"}, hyperParameters={"eta": "0.2"})
    desired["metadata"]["labels"] = {"app": "churn"}
    shared.sagemaker.plan(name, seconds=1, outcome=outcome)
    with recorded(control_plane, shared.namespace, tmp_path / "watch") as versions:
        apply(jobs, desired)
        jobs.wait_status(name, outcome)
        live = jobs.wait(name, "is released", is_released)
        seen = versions(name)
    assert without_managers(apply(jobs, desired, "--dry-run=server")) == without_managers(live)
    assert live["spec"] == desired["spec"]
    assert live["metadata"]["generation"] == 1
    for check in CHECKS:
        *before, last = [run(check, version)["status"] for version in seen]
        end = "Healthy" if outcome == "Completed" else "Degraded"
        ended = [status for status in (*before, last) if status != "Progressing"]
        assert before[0] == "Progressing"
        assert set(ended) == {end}
        assert all(status == end for status in (*before, last)[-len(ended) :])


def test_a_replacement_of_the_object_creates_no_second_job_and_loses_none(shared: Shared) -> None:
    jobs, desired = shared.jobs, training_job("replaced")
    shared.sagemaker.plan("replaced", outcome="Running", seconds=0.5, stop_seconds=0.5)
    jobs.apply(desired)
    jobs.wait_status("replaced", "InProgress")
    for _ in range(2):  # like the sync option Replace=true; it drops the finalizer
        jobs.kubectl("replace", "-f", "-", input=json.dumps(desired))
        jobs.wait("replaced", "holds its finalizer", lambda body: not is_released(body))
    jobs.delete("replaced")
    jobs.wait_gone("replaced")
    assert len(shared.sagemaker.effects(CREATE, job="replaced")) == 1
    assert len(shared.sagemaker.effects(STOP, job="replaced")) == 1


@pytest.mark.parametrize("outcome", ["Completed", "Failed"])
def test_a_recreated_object_shows_the_earlier_run(shared: Shared, outcome: str) -> None:
    name = f"again-{outcome.lower()}"
    jobs, desired = shared.jobs, training_job(name)
    shared.sagemaker.plan(name, seconds=0.5, outcome=outcome)
    jobs.apply(desired)
    jobs.wait_status(name, outcome)
    jobs.wait(name, "is released", is_released)
    jobs.delete(name)  # by a tenant, or by prune
    jobs.wait_gone(name)
    jobs.apply(desired)  # by self-heal
    body = jobs.wait_status(name, outcome)
    assert jobs.condition(name, "ACK.Advisory")["reason"] == "EarlierRun"
    assert len(shared.sagemaker.effects(CREATE, job=name)) == 1
    expected = "Healthy" if outcome == "Completed" else "Degraded"
    assert [run(check, body)["status"] for check in CHECKS] == [expected, expected]


@pytest.mark.parametrize(("suffix", "runs"), [("spec", 1), ("uid", 2)])
def test_a_suffix_of_the_uid_lets_self_heal_run_a_job_again(shared: Shared, suffix: str, runs: int) -> None:
    jobs, name = shared.jobs, f"suffixed-by-{suffix}"
    desired = training_job(name, annotations={"sagemaker.services.k8s.aws/job-name-suffix": suffix})
    shared.sagemaker.plan(f"{name}*", seconds=0.5)
    for _ in range(2):
        jobs.apply(desired)
        jobs.wait_status(name, "Completed")
        jobs.wait(name, "is released", is_released)
        jobs.delete(name)
        jobs.wait_gone(name)
    created = [call for call in shared.sagemaker.effects(CREATE) if str(call["job"]).startswith(name)]
    assert len(created) == runs


def test_deleting_and_recreating_the_object_of_a_running_job_stops_it_and_creates_none(shared: Shared) -> None:
    jobs, desired = shared.jobs, training_job("forced")
    shared.sagemaker.plan("forced", outcome="Running", seconds=0.5, stop_seconds=0.5)
    jobs.apply(desired)
    jobs.wait_status("forced", "InProgress")
    jobs.delete("forced")  # like Force=true and force: true
    jobs.wait_gone("forced")
    edited = training_job("forced", hyperParameters={"eta": "0.3"})
    jobs.apply(edited)
    jobs.wait_condition("forced", "Stalled")
    assert len(shared.sagemaker.effects(STOP, job="forced")) == 1
    assert len(shared.sagemaker.effects(CREATE, job="forced")) == 1


def test_the_actions_of_argo_cd_are_accepted_by_the_api_server(shared: Shared) -> None:
    jobs, name = shared.jobs, "acts"
    shared.sagemaker.plan("acts*", seconds=0.5)
    jobs.apply(training_job(name, environment={}, tags=[{"key": "team", "value": "a"}]))
    jobs.wait_status(name, "Completed")
    live = jobs.wait(name, "is released", is_released)

    refreshed: Any = run(CUSTOMIZATION.actions["refresh"], live)
    patch = {"metadata": {"annotations": refreshed["metadata"]["annotations"]}}
    jobs.kubectl("patch", "trainingjob", name, "--type=merge", "-p", json.dumps(patch))
    jobs.wait(name, "is reconciled", lambda body: "lastHandledReconcileAt" in body["status"])

    [impact] = run(CUSTOMIZATION.actions["rerun"], live)
    again = impact["resource"]
    jobs.kubectl("create", "-f", "-", input=json.dumps(again))
    jobs.wait_status(again["metadata"]["name"], "Completed")
    assert len(shared.sagemaker.effects(CREATE, job=name)) == 1
    assert len(shared.sagemaker.effects(CREATE, job=again["spec"]["trainingJobName"])) == 1
