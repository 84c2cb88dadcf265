"""Errors: transient ones are retried, permanent ones are reported at once, and neither ever creates a second job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.e2e.objects import recorded, training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared
    from tests.e2e.objects import Body

CREATE, DESCRIBE, LIST, STOP = "CreateTrainingJob", "DescribeTrainingJob", "ListTrainingJobs", "StopTrainingJob"
PASSING: dict[str, dict[str, Any]] = {
    "throttled": {"kind": "throttle"},
    "broken": {"kind": "error", "code": "InternalFailure", "status": 500},
    "unavailable": {"kind": "error", "code": "ServiceUnavailable", "status": 503},
    "dropped": {"kind": "drop"},
    "nonsense": {"kind": "garbage"},
    "dropped-late": {"kind": "drop", "after": True},
    "nonsense-late": {"kind": "garbage", "after": True},
    "broken-late": {"kind": "error", "code": "InternalFailure", "status": 500, "after": True},
}
"""Transient faults of any call, before its effect or (late) after it."""

INVALID = (
    "1 validation error detected: Value 'ml.x' at 'resourceConfig.instanceType' failed to satisfy constraint: "
    "Member must satisfy enum value set"
)


def warnings(shared: Shared, name: str) -> list[Body]:
    return [event for event in shared.jobs.events(name) if event["type"] == "Warning"]


def test_transient_faults_of_create_and_describe_are_retried_and_one_job_is_created(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    names = [f"{short}-{fault}" for short in ("create", "describe") for fault in PASSING]
    for fault, values in PASSING.items():
        sagemaker.fault(operation=CREATE, job=f"create-{fault}", count=2, **values)
        sagemaker.fault(operation=DESCRIBE, job=f"describe-{fault}", count=2, **values)
    sagemaker.plan("create-*", seconds=2)
    sagemaker.plan("describe-*", seconds=2)
    jobs.apply(*(training_job(name) for name in names))
    for name in names:
        jobs.wait_status(name, "Completed", seconds=40)
        assert len(sagemaker.effects(CREATE, job=name)) == 1
        assert not warnings(shared, name)
        assert jobs.condition(name, "ACK.Recoverable") == {}


def test_transient_faults_of_lists_are_retried(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("swept", phases="Starting:0.3,Training:4,Completed")
    for values in PASSING.values():
        sagemaker.fault(operation=LIST, count=1, **values)
    jobs.apply(training_job("swept"))
    jobs.wait_status("swept", "Completed", seconds=40)
    assert not [fault for fault in sagemaker.faults() if fault["operation"] == LIST]
    assert not warnings(shared, "swept")


def test_a_rejected_spec_is_reported_and_sent_again_only_after_an_edit(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    fault = sagemaker.fault("error", CREATE, job="refused", code="ValidationException", message=INVALID, status=400)
    sagemaker.plan("refused", seconds=1)
    jobs.apply(training_job("refused"))
    terminal = jobs.wait_condition("refused", "ACK.Terminal")
    assert (terminal["reason"], INVALID in terminal["message"]) == ("Refused", True)
    assert jobs.condition("refused", "Stalled")["status"] == "True"
    assert jobs.condition("refused", "Ready")["status"] == "False"
    [warning] = await_true("an Event", lambda: warnings(shared, "refused"))
    assert (warning["reason"], INVALID in warning["message"]) == ("Refused", True)
    body = jobs.get("refused")
    assert body is not None
    assert "finalizers" not in body["metadata"]

    jobs.kubectl("label", "trainingjob", "refused", "team=a")  # a change of the object outside its spec
    time.sleep(2)
    assert len(sagemaker.calls(CREATE, job="refused")) == 1

    sagemaker.clear_faults(fault)
    edit = '{"spec": {"resourceConfig": {"instanceType": "ml.m5.xlarge"}}}'
    jobs.kubectl("patch", "trainingjob", "refused", "--type=merge", "--patch", edit)
    jobs.wait_status("refused", "Completed")
    assert len(sagemaker.calls(CREATE, job="refused")) == 2
    jobs.wait("refused", "has no trace of it", lambda _: jobs.condition("refused", "ACK.Terminal") == {})
    assert jobs.condition("refused", "Stalled") == {}


def test_a_missing_role_image_or_data_is_reported_and_retried(
    shared: Shared, control_plane: Cluster, tmp_path: Path
) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    reasons = ("role", "data", "image")
    for reason in reasons:
        sagemaker.fault("refuse", CREATE, job=f"no-{reason}", reason=reason, count=3)
        sagemaker.plan(f"no-{reason}", seconds=1)
    with recorded(control_plane, shared.namespace, tmp_path / "versions") as versions:
        jobs.apply(*(training_job(f"no-{reason}") for reason in reasons))
        for reason in reasons:
            jobs.wait_status(f"no-{reason}", "Completed", seconds=40)
    for reason in reasons:
        conditions = [one for body in versions(f"no-{reason}") for one in body["status"].get("conditions", [])]
        assert {one["reason"] for one in conditions if one["type"] == "ACK.Recoverable"} == {"CreateFailing"}
        assert "Stalled" not in [one["type"] for one in conditions]  # Flux would give up
        assert len(sagemaker.calls(CREATE, job=f"no-{reason}")) == 4
        assert jobs.condition(f"no-{reason}", "ACK.Recoverable") == {}
        assert len(warnings(shared, f"no-{reason}")) == 1


def test_a_name_clash_is_reported_with_the_arn_and_the_other_job_is_unchanged(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("taken", outcome="Running", seconds=1)
    arn = sagemaker.create_job("taken")
    jobs.apply(training_job("taken"))
    terminal = jobs.wait_condition("taken", "ACK.Terminal")
    assert terminal["reason"] == "NameClash"
    assert arn in terminal["message"]
    assert "adopt" in terminal["message"]
    own = {"clashingJobARN", "conditions", "instanceType", "observedGeneration", "outcome", "phase"}
    assert jobs.status("taken").keys() == own, "no field of the other job"
    [warning] = await_true("an Event", lambda: warnings(shared, "taken"))
    assert (warning["reason"], arn in warning["message"]) == ("NameClash", True)
    jobs.kubectl("delete", "trainingjob", "taken", "--timeout=15s")
    job = sagemaker.job("taken")
    assert job is not None
    assert job["description"]["TrainingJobStatus"] == "InProgress"
    assert sagemaker.effects(job="taken") == []


def test_missing_rights_are_reported_with_action_and_role_and_retried_on_request(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    message = "User: arn:aws:sts::123456789012:assumed-role/operator/x is not authorized to perform: sagemaker:Create"
    fault = sagemaker.fault("error", CREATE, job="denied", code="AccessDeniedException", message=message, status=400)
    sagemaker.plan("denied", outcome="Running", seconds=1)
    jobs.apply(training_job("denied"))
    recoverable = jobs.wait_condition("denied", "ACK.Recoverable")
    assert recoverable["reason"] == "AccessDenied"
    assert message in recoverable["message"]
    assert (jobs.condition("denied", "ACK.ResourceSynced")["status"]) == "Unknown"
    assert jobs.condition("denied", "Stalled") == {}
    [warning] = await_true("an Event", lambda: warnings(shared, "denied"))
    assert (warning["reason"], message in warning["message"]) == ("AccessDenied", True)
    body = jobs.get("denied")
    assert body is not None
    assert "finalizers" not in body["metadata"]  # it can be deleted at any time

    sagemaker.clear_faults(fault)
    jobs.kubectl("annotate", "trainingjob", "denied", "reconcile.fluxcd.io/requestedAt=1")
    # Without the request the retry comes a quarter of a minute later.
    jobs.wait_status("denied", "InProgress", seconds=10)
    sagemaker.complete_job("denied")
    jobs.wait_status("denied", "Completed")
    assert jobs.status("denied")["lastHandledReconcileAt"] == "1"


def test_a_denied_stop_is_reported_and_retried(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("no-stop", outcome="Running", seconds=0.5, stop_seconds=0.5)
    fault = sagemaker.fault("error", STOP, job="no-stop", code="AccessDeniedException", message="no", status=400)
    jobs.apply(training_job("no-stop"))
    jobs.wait("no-stop", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    jobs.delete("no-stop")
    recoverable = jobs.wait_condition("no-stop", "ACK.Recoverable")
    assert "StopTrainingJob" in recoverable["message"]
    sagemaker.clear_faults(fault)
    jobs.kubectl("annotate", "trainingjob", "no-stop", "reconcile.fluxcd.io/requestedAt=1")
    jobs.wait_gone("no-stop")
    assert len(sagemaker.effects(STOP, job="no-stop")) == 1


def test_an_exhausted_quota_is_waiting_and_no_failure(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    message = (
        "The account-level service limit 'ml.m5.large for training job usage' is 4 Instances, with current utilization "
        "of 4 Instances and a request delta of 1 Instances."
    )
    sagemaker.fault("error", CREATE, job="waits", code="ResourceLimitExceeded", message=message, status=400)
    jobs.apply(training_job("waits"))
    recoverable = jobs.wait_condition("waits", "ACK.Recoverable")
    assert message in recoverable["message"]
    ready = jobs.condition("waits", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Waiting")
    assert jobs.condition("waits", "Stalled") == {}
    jobs.kubectl("delete", "trainingjob", "waits", "--timeout=15s")
    assert sagemaker.job("waits") is None


def test_a_job_stopped_in_the_console_is_reported_and_not_created_again(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("by-hand", outcome="Running", seconds=0.5, stop_seconds=0.5)
    jobs.apply(training_job("by-hand"))
    jobs.wait("by-hand", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    sagemaker.stop_job("by-hand")
    jobs.wait_status("by-hand", "Stopped")
    assert jobs.condition("by-hand", "Ready")["reason"] == "Stopped"
    assert len(sagemaker.calls(CREATE, job="by-hand")) == 1
