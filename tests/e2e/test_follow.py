"""Follow: each secondary status in status and Events, and conditions for kubectl, Argo CD and Flux."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.objects import recorded, training_job
from tests.e2e.operator_process import await_true
from tests.logic.verdicts import judge_as_argo_cd, judge_as_kstatus
from tests.sagemaker.timeline import EARLY_MESSAGES, MESSAGES
from trainingjob_operator.logic.jobs.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared
    from tests.e2e.objects import Body

ROOT = Path(__file__).parents[2]
SPOT_PHASES = (
    "Starting:0.6,Pending:0.6,Downloading:0.6,Training:1,Interrupted:0.6,Starting:0.1,Downloading:0.1,"
    "Training:1,Uploading:0.6,Completed"
)
SPOT: dict[str, Any] = {
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
    "checkpointConfig": {"s3URI": "s3://bucket/checkpoints"},
}


def conditions_of(body: Body) -> dict[str, str]:
    """`status reason` by type, in order."""
    return {each["type"]: f"{each['status']} {each['reason']}" for each in body["status"]["conditions"]}


def test_a_spot_job_shows_each_status_and_its_savings_at_the_end(
    shared: Shared, control_plane: Cluster, tmp_path: Path
) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("spot", phases=SPOT_PHASES, billable=0.3)
    with recorded(control_plane, shared.namespace, tmp_path / "versions") as versions:
        jobs.apply(training_job("spot", **SPOT))
        jobs.kubectl("wait", "--for=condition=Complete", "trainingjob/spot", "--timeout=30s")
        await_true("the finalizer is gone", lambda: "finalizers" not in versions("spot")[-1]["metadata"])
    body = jobs.get("spot")
    assert body is not None
    description = sagemaker.client().describe_training_job(TrainingJobName="spot")

    reported = [(each["status"], each["statusMessage"]) for each in body["status"]["secondaryStatusTransitions"]]
    shown = [(each["Status"], each["StatusMessage"]) for each in description["SecondaryStatusTransitions"]]
    assert reported == shown
    assert [status for status, _ in reported] == [part.partition(":")[0] for part in SPOT_PHASES.split(",")]
    assert Observation.from_status(body["status"]).fields == Observation.from_describe(description).fields
    trained, billed = (body["status"][f"{kind}TimeInSeconds"] for kind in ("training", "billable"))
    assert body["status"]["managedSpotTrainingSavings"] == pytest.approx(100 * (1 - billed / trained), abs=1)

    expect_events(shared, "spot", [status for status, _ in reported], end=("Normal", "JobCompleted"))
    assert conditions_of(body) == {
        "ACK.ResourceSynced": "True Completed",
        "Ready": "True Completed",
        "Complete": "True Completed",
        "Finished": "True Completed",
        "Settled": "True Completed",
    }
    expect_correct_health(versions("spot"), argo_cd="Healthy", kstatus="Current")
    page = (ROOT / "docs/pipelines.md").read_text().partition("## kubectl")[2].partition("##")[0]
    commands = [
        shlex.split(line.replace("NAME", "spot")) for line in page.splitlines() if line.startswith("    kubectl")
    ]
    answers = [shared.jobs.kubectl(*command[1:]) for command in commands]
    assert [answer.split()[-1] for answer in answers] == ["met", "Succeeded", "met"]


def expect_events(shared: Shared, name: str, statuses: Sequence[str], end: tuple[str, str]) -> None:
    """The creation, each transition with SageMaker's message at that moment, the end: each once, in this order."""
    expected = ["Created", *statuses[:-1], end[1]]

    def events_of_the_job() -> list[Body]:
        return [event for event in shared.jobs.events(name) if event["reason"] != "Waiting"]  # on a slow machine

    await_true("the Events", lambda: len(events_of_the_job()) >= len(expected))
    events = events_of_the_job()
    assert [event["reason"] for event in events] == expected
    assert (events[-1]["type"], events[-1]["reason"]) == end
    for event in events[1:-1]:
        assert event["message"] in (MESSAGES[event["reason"]], EARLY_MESSAGES.get(event["reason"]))


def expect_correct_health(versions: list[Body], argo_cd: str, kstatus: str) -> None:
    """Argo CD and Flux judge the object as progressing until the job ended, and by its outcome afterwards."""
    assert len(versions) > 3
    for body in versions:
        has_ended = body["status"].get("trainingJobStatus") in ("Completed", "Failed", "Stopped")
        assert judge_as_argo_cd(body) == (argo_cd if has_ended else "Progressing")
        assert judge_as_kstatus(body) == (kstatus if has_ended else "InProgress")
        assert body["status"].get("observedGeneration", 1) == 1


SCRIPT_FAILED = 'AlgorithmError: ExecuteUserScriptError:\nCommand "/usr/bin/python3 train.py --token hunter2"'
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."

ENDS = {
    "failed": ({"outcome": "Failed", "failure_reason": SCRIPT_FAILED}, "JobFailed", "JobFailed"),
    "starved": ({"outcome": "Failed", "failure_reason": NO_CAPACITY}, "CapacityError", "CapacityError"),
    "stopped": ({"outcome": "Stopped"}, "Stopped", "JobStopped"),
    "too-long": ({"outcome": "MaxRuntimeExceeded"}, "MaxRuntimeExceeded", "JobStopped"),
    "too-late": ({"outcome": "MaxWaitTimeExceeded"}, "MaxWaitTimeExceeded", "JobStopped"),
}
"""Name to plan, reason of the conditions, reason of the Event."""


def test_every_other_end_is_a_failure_with_its_own_reason(
    shared: Shared, control_plane: Cluster, tmp_path: Path
) -> None:
    jobs = shared.jobs
    for name, (plan, _, _) in ENDS.items():
        shared.sagemaker.plan(name, seconds=2, **plan)
    with recorded(control_plane, shared.namespace, tmp_path / "versions") as versions:
        jobs.apply(*(training_job(name) for name in ENDS))
        for name in ENDS:
            jobs.kubectl("wait", "--for=condition=Finished", f"trainingjob/{name}", "--timeout=30s")
            jobs.kubectl("wait", "--for=condition=Failed", f"trainingjob/{name}", "--timeout=10s")
            await_true("the finalizer is gone", lambda: "finalizers" not in versions(name)[-1]["metadata"])  # noqa: B023  called at once
    for name, (_, reason, event) in ENDS.items():
        body = jobs.get(name)
        assert body is not None
        assert conditions_of(body) == {
            "ACK.Terminal": f"True {reason}",
            "ACK.ResourceSynced": f"True {reason}",
            "Ready": f"False {reason}",
            "Stalled": f"True {reason}",
            "Failed": f"True {reason}",
            "Finished": f"True {reason}",
            "Settled": f"True {reason}",
        }
        expect_correct_health(versions(name), argo_cd="Degraded", kstatus="Failed")
        await_true("the Event of the end", lambda: ("Warning", event) in event_kinds(shared, name))  # noqa: B023  called at once
    assert jobs.condition("failed", "ACK.Terminal")["message"] == SCRIPT_FAILED.partition("/")[0] + "…"
    assert jobs.status("failed")["failureReason"] == SCRIPT_FAILED
    assert "hunter2" not in str(jobs.events("failed"))
    assert "hunter2" not in str(jobs.status("failed")["conditions"])


def event_kinds(shared: Shared, name: str) -> list[tuple[str, str]]:
    return [(event["type"], event["reason"]) for event in shared.jobs.events(name)]


def test_transitions_faster_than_the_sweep_are_complete(shared: Shared) -> None:
    shared.sagemaker.plan("fast", phases="Starting:0.02,Pending:0.02,Downloading:0.02,Training:0.02,Completed")
    shared.jobs.apply(training_job("fast"))
    body = shared.jobs.wait_status("fast", "Completed")
    reported = [each["status"] for each in body["status"]["secondaryStatusTransitions"]]
    assert reported == ["Starting", "Pending", "Downloading", "Training", "Completed"]


def test_an_unknown_status_is_shown_and_counts_as_running(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("unheard-of", outcome="Running", seconds=1)
    sagemaker.fault(
        "answer",
        "DescribeTrainingJob",
        job="unheard-of",
        patch={"TrainingJobStatus": "Hibernating", "SecondaryStatus": "Deep Sleep"},
    )
    jobs.apply(training_job("unheard-of"))
    body = jobs.wait_status("unheard-of", "Hibernating")
    assert body["status"]["secondaryStatus"] == "Deep Sleep"
    assert conditions_of(body) == {"ACK.ResourceSynced": "False DeepSleep", "Ready": "False DeepSleep"}
    assert "finalizers" in body["metadata"]


def test_a_job_without_changes_causes_no_write_and_no_describe(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("quiet", phases="Starting:0.1,Training:inf")
    jobs.apply(training_job("quiet"))
    version = jobs.wait("quiet", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    described = len(sagemaker.calls("DescribeTrainingJob", job="quiet"))
    lists = sagemaker.counts().get("ListTrainingJobs", 0)
    await_true("six more sweeps", lambda: sagemaker.counts().get("ListTrainingJobs", 0) >= lists + 6)
    assert len(sagemaker.calls("DescribeTrainingJob", job="quiet")) == described
    body = jobs.get("quiet")
    assert body is not None
    assert body["metadata"]["resourceVersion"] == version["metadata"]["resourceVersion"]


def test_a_finished_job_causes_no_further_call(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("done", seconds=1)
    jobs.apply(training_job("done"))
    body = jobs.wait("done", "has no finalizer", lambda body: jobs.condition("done", "Finished") and not held(body))
    calls = len(sagemaker.calls(job="done"))
    time.sleep(1.5)
    assert len(sagemaker.calls(job="done")) == calls
    after = jobs.get("done")
    assert after is not None
    assert after["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]


def held(body: Body) -> bool:
    return "finalizers" in body["metadata"]


@pytest.mark.parametrize("annotation", ["reconcile.fluxcd.io/requestedAt", "services.k8s.aws/reconcile-requested-at"])
def test_a_reconcile_request_triggers_one_describe(shared: Shared, annotation: str) -> None:
    jobs, sagemaker, name = shared.jobs, shared.sagemaker, f"asked-{annotation[0]}"
    sagemaker.plan(name, phases="Starting:0.1,Training:inf")
    jobs.apply(training_job(name))
    jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    described = len(sagemaker.calls("DescribeTrainingJob", job=name))
    jobs.kubectl("annotate", "trainingjob", name, f"{annotation}=now")
    jobs.wait(name, "handled", lambda body: body["status"].get("lastHandledReconcileAt") == "now")
    assert len(sagemaker.calls("DescribeTrainingJob", job=name)) == described + 1


def test_the_columns_of_kubectl_show_status_duration_instance_and_reason(shared: Shared) -> None:
    shared.sagemaker.plan("columns", seconds=2, outcome="Failed", failure_reason="AlgorithmError: no data")
    shared.jobs.apply(training_job("columns"))
    body = shared.jobs.wait_status("columns", "Failed")
    head, row = shared.jobs.kubectl("get", "tj", "columns", "--output=wide").splitlines()
    assert head.split() == [
        *("NAME", "SECONDARY-STATUS", "STATUS", "STARTED", "DURATION", "AGE", "INSTANCE", "BILLABLE", "SAVINGS"),
        *("READY", "OUTCOME", "REASON"),
    ]
    assert row.split()[:3] == ["columns", "Failed", "Failed"]
    for shown in ("ml.m5.large", body["status"]["duration"], "False", "JobFailed"):
        assert shown in row
