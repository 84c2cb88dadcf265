"""Restart: killed at any moment, the operator continues its work, with calls only for changed jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn

CREATE, DESCRIBE, LIST, STOP = "CreateTrainingJob", "DescribeTrainingJob", "ListTrainingJobs", "StopTrainingJob"


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_a_kill_during_create_leaves_one_job(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn, *, after: bool
) -> None:
    sagemaker.plan(seconds=2)
    held = sagemaker.fault("hold", CREATE, after=after)
    jobs.apply(training_job("cut"))
    await_true("the call is in progress", lambda: sagemaker.calls(CREATE))
    await_true("the call has the expected effect", lambda: len(sagemaker.effects(CREATE)) == after)
    operator.kill()
    sagemaker.command("release", number=held, drop=True)
    operator.start()
    jobs.wait_status("cut", "Completed")
    assert len(sagemaker.effects(CREATE)) == 1
    jobs.wait("cut", "has no finalizer", lambda body: "finalizers" not in body["metadata"])
    assert not [event for event in jobs.events("cut") if event["type"] == "Warning"]


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
def test_a_kill_during_stop_ends_with_a_stopped_job_and_a_removed_object(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn, *, after: bool
) -> None:
    sagemaker.plan(outcome="Running", seconds=0.5, stop_seconds=1)
    jobs.apply(training_job("cut"))
    jobs.wait("cut", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    held = sagemaker.fault("hold", STOP, after=after)
    jobs.delete("cut")
    await_true("the call is in progress", lambda: sagemaker.calls(STOP))
    operator.kill()
    sagemaker.command("release", number=held, drop=True)
    operator.start()
    jobs.wait_gone("cut")
    assert len(sagemaker.effects(STOP)) == 1
    assert _status(sagemaker, "cut") == "Stopped"


def _status(sagemaker: StandIn, name: str) -> str:
    job = sagemaker.job(name)
    assert job is not None
    return str(job["description"]["TrainingJobStatus"])


def test_changes_during_a_downtime_are_processed_after_it(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn
) -> None:
    sagemaker.plan("ended", outcome="Running", seconds=0.5)
    sagemaker.plan("deleted", outcome="Running", seconds=0.5, stop_seconds=0.5)
    sagemaker.plan("retained", outcome="Running", seconds=0.5)
    sagemaker.plan("born", seconds=1)
    sagemaker.plan("finished", seconds=0.5)
    jobs.apply(training_job("finished"))
    jobs.wait(
        "finished", "has no finalizer", lambda body: jobs.condition("finished", "Finished") and not _is_held(body)
    )
    jobs.apply(*(training_job(name) for name in ("ended", "deleted", "retained")))
    for name in ("ended", "deleted", "retained"):
        jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    operator.kill()

    jobs.kubectl("delete", "trainingjob", "finished", "--timeout=15s")  # needs no operator
    jobs.delete("deleted")
    jobs.kubectl("annotate", "trainingjob", "retained", "services.k8s.aws/deletion-policy=retain")
    jobs.delete("retained")
    jobs.apply(training_job("born"))
    sagemaker.enter("ended", "Uploading")
    sagemaker.complete_job("ended")
    assert jobs.status("ended")["trainingJobStatus"] == "InProgress"

    operator.start()
    jobs.wait_status("ended", "Completed")
    reported = [each["status"] for each in jobs.status("ended")["secondaryStatusTransitions"]]
    assert reported == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    jobs.wait_gone("deleted")
    jobs.wait_gone("retained")
    jobs.wait_status("born", "Completed")
    assert _status(sagemaker, "deleted") == "Stopped"
    assert _status(sagemaker, "retained") == "InProgress"
    assert all(len(sagemaker.effects(CREATE, job=name)) == 1 for name in ("ended", "deleted", "retained", "born"))


def _is_held(body: dict[str, Any]) -> bool:
    return "finalizers" in body["metadata"]


def test_a_rejected_spec_is_not_sent_again_after_a_restart(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn
) -> None:
    message = "1 validation error detected: Value 'x' at 'resourceConfig.instanceType' failed to satisfy constraint"
    sagemaker.fail(CREATE, "ValidationException", message)
    jobs.apply(training_job("refused"))
    jobs.wait_condition("refused", "ACK.Terminal")
    operator.restart()
    jobs.apply(training_job("another"))
    jobs.wait_condition("another", "ACK.Terminal")
    assert len(sagemaker.calls(CREATE, job="refused")) == 1


FINISHED, RUNNING = 30, 10


def test_a_restart_with_many_objects_lists_them_once_and_describes_none(
    jobs: Jobs, new_operator: NewOperator, sagemaker: StandIn
) -> None:
    finished = [f"finished-{number}" for number in range(FINISHED)]
    running = [f"running-{number}" for number in range(RUNNING)]
    sagemaker.plan("finished-*", seconds=0.5)
    sagemaker.plan("running-*", phases="Starting:0.2,Training:inf")
    operator = new_operator()
    operator.start()
    jobs.apply(*(training_job(name) for name in finished + running))
    jobs.kubectl("wait", "--for=condition=Finished", *(f"trainingjob/{name}" for name in finished), "--timeout=60s")
    for name in running:
        jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    await_true("the finished objects have no finalizer", lambda: len(_held(jobs)) == RUNNING)
    operator.kill()
    before, calls = _versions(jobs), sagemaker.total()

    operator.start()
    await_true("two further sweeps", lambda: len(sagemaker.calls(LIST, since=calls)) >= 4)
    assert _versions(jobs) == before
    assert not [
        call for call in sagemaker.calls(since=calls) if call["operation"] not in (LIST, "sts:GetCallerIdentity")
    ]
    [ready] = [line["msg"] for line in operator.lines() if line["msg"].startswith("Ready: ")]
    assert ready.endswith("; 40 found")

    sagemaker.complete_job("running-0")
    jobs.wait_status("running-0", "Completed")
    assert [call["job"] for call in sagemaker.calls(DESCRIBE, since=calls)] == ["running-0"]


def _held(jobs: Jobs) -> list[dict[str, Any]]:
    return [body for body in jobs.bodies() if _is_held(body)]


def _versions(jobs: Jobs) -> dict[str, str]:
    return {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in jobs.bodies()}
