"""Two controllers at once: the operator leaves an object to another controller that writes its status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

ACK = "controller"
"""The field manager of ACK's controllers."""


def write_as_ack(jobs: Jobs, name: str, failure: str) -> None:
    """Write the status as another controller."""
    patch = json.dumps({"status": {"failureReason": failure}})
    jobs.kubectl(
        "patch", "trainingjob", name, "--subresource=status", f"--field-manager={ACK}", "--type=merge", "-p", patch
    )


def start_training(jobs: Jobs, sagemaker: StandIn, *names: str) -> None:
    sagemaker.plan(outcome="Running", seconds=0.5)
    jobs.apply(*[training_job(name) for name in names])
    for name in names:
        jobs.wait(name, "trains", lambda body: body.get("status", {}).get("secondaryStatus") == "Training")


def test_an_object_written_by_another_controller_is_left_to_it_and_reported(
    new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn
) -> None:
    operator = new_operator()
    operator.start()
    start_training(jobs, sagemaker, "shared", "alone", "leaving")
    for name in ("shared", "leaving"):
        write_as_ack(jobs, name, "as ACK sees it")
        reported = jobs.wait_condition(name, "ACK.Advisory")
        assert reported["reason"] == "Passive"
        assert f'The field manager "{ACK}" of ACK\'s controllers writes the status' in reported["message"]
        await_true(
            "an Event",
            lambda name=name: [e for e in jobs.events(name) if e["reason"] == "Passive" and e["type"] == "Warning"],  # type: ignore[misc]
        )
    assert [line for line in operator.lines() if ACK in line.get("msg", "") and line.get("name") == "shared"]
    await_true("the metric", lambda: list(operator.metric("trainingjob_passive_objects").values()) == [2.0], 15.0)

    asked = len(sagemaker.calls(job="shared"))
    sagemaker.complete_job("shared")
    sagemaker.complete_job("alone")
    jobs.wait_condition("alone", "Complete")
    write_as_ack(jobs, "shared", "another word")
    # A deletion is never delayed, because the job costs money.
    jobs.delete("leaving")
    jobs.wait_gone("leaving")
    assert len(sagemaker.calls("StopTrainingJob", job="leaving")) == 1
    assert jobs.status("shared")["failureReason"] == "another word"
    assert jobs.status("shared")["trainingJobStatus"] == "InProgress"
    assert len(sagemaker.calls(job="shared")) == asked

    # Writes before the operator's own start do not count.
    operator.restart()
    jobs.wait_condition("shared", "Complete")
    assert jobs.condition("shared", "ACK.Advisory") == {}


def test_a_single_write_by_a_user_is_overwritten(new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn) -> None:
    new_operator().start()
    start_training(jobs, sagemaker, "patched")
    patch = json.dumps({"status": {"trainingJobStatus": "Completed", "failureReason": "by hand"}})
    jobs.kubectl("patch", "trainingjob", "patched", "--subresource=status", "--type=merge", "-p", patch)
    jobs.wait(
        "patched",
        "is corrected",
        lambda body: body["status"]["trainingJobStatus"] == "InProgress" and "failureReason" not in body["status"],
    )
    assert jobs.condition("patched", "ACK.Advisory") == {}


def test_the_flag_overrides_passivity(new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn) -> None:
    new_operator("--override-passive").start()
    start_training(jobs, sagemaker, "mine")
    write_as_ack(jobs, "mine", "as ACK sees it")
    jobs.wait("mine", "is corrected", lambda body: "failureReason" not in body["status"])
    sagemaker.complete_job("mine")
    jobs.wait_condition("mine", "Complete")
    assert jobs.condition("mine", "ACK.Advisory") == {}
