"""Delete: a running job is stopped once and its object waits for the end; an ended job needs no call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.e2e.conftest import Shared

POLICY = "services.k8s.aws/deletion-policy"


def start_training(shared: Shared, name: str, annotations: dict[str, str] | None = None, **plan: float) -> None:
    """Create a job that trains until it is stopped, and wait until its status shows that."""
    shared.sagemaker.plan(name, outcome="Running", seconds=0.5, **plan)
    shared.jobs.apply(training_job(name, annotations=annotations))
    shared.jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")


def status_at_sagemaker(shared: Shared, name: str) -> str:
    job = shared.sagemaker.job(name)
    assert job is not None
    return str(job["description"]["TrainingJobStatus"])


def stops(shared: Shared, name: str) -> int:
    return len(shared.sagemaker.calls("StopTrainingJob", job=name))


def test_a_running_job_is_stopped_once_and_the_object_is_removed_after_its_stop(shared: Shared) -> None:
    start_training(shared, "running", stop_seconds=float("inf"))
    shared.jobs.delete("running")
    body = shared.jobs.wait_status("running", "Stopping")
    ready = shared.jobs.condition("running", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Deleting")
    assert "finalizers" in body["metadata"]
    shared.sagemaker.enter("running", "Stopped")
    shared.jobs.wait_gone("running")
    assert status_at_sagemaker(shared, "running") == "Stopped"
    assert stops(shared, "running") == 1


def test_kubectl_delete_returns_after_the_job_stopped(shared: Shared) -> None:
    start_training(shared, "waited-for", stop_seconds=0.5)
    shared.jobs.kubectl("delete", "trainingjob", "waited-for", "--timeout=20s")
    assert status_at_sagemaker(shared, "waited-for") == "Stopped"


def test_retain_keeps_the_job_running_and_removes_the_object_at_once(shared: Shared) -> None:
    start_training(shared, "retained", {POLICY: "retain"})
    shared.jobs.kubectl("delete", "trainingjob", "retained", "--timeout=15s")
    assert status_at_sagemaker(shared, "retained") == "InProgress"
    assert stops(shared, "retained") == 0


def test_an_invalid_policy_counts_as_retain_and_is_reported(shared: Shared) -> None:
    start_training(shared, "typo")
    shared.jobs.kubectl("annotate", "trainingjob", "typo", f"{POLICY}=Delete")
    advisory = shared.jobs.wait_condition("typo", "ACK.Advisory")
    assert "'Delete'" in advisory["message"]
    assert "delete or retain" in advisory["message"]
    warned = await_true("an Event", lambda: [e for e in shared.jobs.events("typo") if e["type"] == "Warning"])
    assert [event["message"] for event in warned] == [advisory["message"]]
    shared.jobs.kubectl("delete", "trainingjob", "typo", "--timeout=15s")
    assert status_at_sagemaker(shared, "typo") == "InProgress"


def test_the_object_of_a_finished_job_is_deleted_without_a_call(shared: Shared) -> None:
    shared.sagemaker.plan("finished", seconds=1)
    shared.jobs.apply(training_job("finished"))
    shared.jobs.wait_condition("finished", "Finished")
    shared.jobs.wait("finished", "has no finalizer", lambda body: "finalizers" not in body["metadata"])
    calls = len(shared.sagemaker.calls(job="finished"))
    shared.jobs.kubectl("delete", "trainingjob", "finished", "--timeout=15s")
    assert len(shared.sagemaker.calls(job="finished")) == calls


def test_a_stopping_job_is_not_stopped_again(shared: Shared) -> None:
    start_training(shared, "by-hand", stop_seconds=float("inf"))
    shared.sagemaker.stop_job("by-hand")
    shared.jobs.wait_status("by-hand", "Stopping")
    shared.jobs.delete("by-hand")
    shared.jobs.wait(
        "by-hand",
        "has the reason Deleting",
        lambda _: shared.jobs.condition("by-hand", "Ready").get("reason") == "Deleting",
    )
    shared.sagemaker.enter("by-hand", "Stopped")
    shared.jobs.wait_gone("by-hand")
    assert stops(shared, "by-hand") == 0


def test_retain_releases_the_object_of_a_job_that_never_stops(shared: Shared) -> None:
    start_training(shared, "stuck", stop_seconds=float("inf"))
    shared.jobs.delete("stuck")
    shared.jobs.wait_status("stuck", "Stopping")
    shared.jobs.kubectl("annotate", "trainingjob", "stuck", f"{POLICY}=retain")
    shared.jobs.wait_gone("stuck")
    assert stops(shared, "stuck") == 1


def test_a_deletion_during_a_create_call_stops_the_created_job(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("overtaken", outcome="Running", seconds=0.5, stop_seconds=0.5)
    held = sagemaker.fault("hold", "CreateTrainingJob", job="overtaken", after=True)
    jobs.apply(training_job("overtaken"))
    await_true("the job is created", lambda: sagemaker.effects("CreateTrainingJob", job="overtaken"))
    jobs.delete("overtaken")
    sagemaker.command("release", number=held)
    jobs.wait_gone("overtaken")
    assert status_at_sagemaker(shared, "overtaken") == "Stopped"
    assert stops(shared, "overtaken") == 1


def test_a_lost_answer_of_stop_causes_no_second_effect(shared: Shared) -> None:
    start_training(shared, "stop-lost", stop_seconds=1)
    shared.sagemaker.fault("drop", "StopTrainingJob", job="stop-lost", count=1, after=True)
    shared.jobs.delete("stop-lost")
    shared.jobs.wait_gone("stop-lost")
    assert status_at_sagemaker(shared, "stop-lost") == "Stopped"
    assert len(shared.sagemaker.effects("StopTrainingJob", job="stop-lost")) == 1
