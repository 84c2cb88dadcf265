"""Edits of a running job: UpdateTrainingJob sends supported ones in their phase, the others are reported."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.crds.installation import ACKS, install_crd
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator, Shared
    from tests.e2e.objects import Body, Jobs
    from tests.sagemaker.stand_in import StandIn

RESOURCES = {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGB": 5}
PROFILER = {"s3OutputPath": "s3://bucket/profile", "profilingIntervalInMilliseconds": 500}
SENT_PROFILER = {"S3OutputPath": "s3://bucket/profile", "ProfilingIntervalInMilliseconds": 500}


def rule(name: str) -> Body:
    return {"ruleConfigurationName": name, "ruleEvaluatorImage": "rules", "ruleParameters": {"rule_to_invoke": name}}


def sent_rule(name: str) -> Body:
    return {"RuleConfigurationName": name, "RuleEvaluatorImage": "rules", "RuleParameters": {"rule_to_invoke": name}}


def start(shared: Shared, name: str, phases: str = "Starting:0.3,Training:inf", **spec: Any) -> None:
    """Create a job, and wait for the last of its phases."""
    shared.sagemaker.plan(name, phases=phases)
    shared.jobs.apply(training_job(name, **spec))
    last = phases.rpartition(",")[2].partition(":")[0]
    shared.jobs.wait(name, last, lambda body: body["status"].get("secondaryStatus") == last)


def edit(jobs: Jobs, name: str, **spec: Any) -> None:
    """Merge into the spec; None removes."""
    jobs.kubectl("patch", "trainingjob", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def updates(sagemaker: StandIn, name: str) -> list[Body]:
    """The members of every update sent for the job, without its name."""
    requests = [call["request"] for call in sagemaker.calls("UpdateTrainingJob", job=name)]
    return [{key: value for key, value in request.items() if key != "TrainingJobName"} for request in requests]


def wait_sent(shared: Shared, name: str, *expected: Body) -> None:
    """Wait until exactly these updates were sent, no advisory remains, and no update follows."""
    await_true(f"{name}: {len(expected)} updates", lambda: len(updates(shared.sagemaker, name)) >= len(expected))
    shared.jobs.wait(
        name,
        "the edit is handled",
        lambda body: (
            body["status"]["observedGeneration"] == body["metadata"]["generation"]
            and "ACK.Advisory" not in [one["type"] for one in body["status"]["conditions"]]
        ),
    )
    time.sleep(1.5)  # time for sweeps, if there are any
    assert updates(shared.sagemaker, name) == list(expected)


def wait_advised(jobs: Jobs, name: str, reason: str, *texts: str) -> Body:
    jobs.wait(name, reason, lambda _: jobs.condition(name, "ACK.Advisory").get("reason") == reason)
    reported = jobs.condition(name, "ACK.Advisory")
    assert [text for text in texts if text not in reported["message"]] == [], reported["message"]
    return reported


def test_an_edited_keep_alive_is_sent_after_the_end(shared: Shared) -> None:
    start(shared, "keep-alive", resourceConfig={**RESOURCES, "keepAlivePeriodInSeconds": 600})
    edit(shared.jobs, "keep-alive", resourceConfig={"keepAlivePeriodInSeconds": 900})
    wait_advised(shared.jobs, "keep-alive", "EditPending", "resourceConfig.keepAlivePeriodInSeconds", "Completed")
    assert shared.jobs.condition("keep-alive", "ACK.ResourceSynced")["status"] == "False"
    assert shared.jobs.condition("keep-alive", "Ready")["reason"] == "Training"
    shared.operator.restart()  # only the status survives the restart
    shared.jobs.wait("keep-alive", "still so", lambda _: shared.jobs.condition("keep-alive", "ACK.Advisory"))
    assert updates(shared.sagemaker, "keep-alive") == []
    shared.sagemaker.complete_job("keep-alive")
    wait_sent(shared, "keep-alive", {"ResourceConfig": {"KeepAlivePeriodInSeconds": 900}})
    assert shared.jobs.condition("keep-alive", "Complete")["status"] == "True"


def test_an_early_edit_waits_for_its_phase_and_is_sent_once(shared: Shared) -> None:
    start(shared, "early", "Starting:inf")
    edit(shared.jobs, "early", profilerConfig=PROFILER)
    wait_advised(shared.jobs, "early", "EditPending", "profilerConfig", "the start of the job")
    shared.sagemaker.enter("early", "Training")
    wait_sent(shared, "early", {"ProfilerConfig": SENT_PROFILER})


def test_the_profiler_can_be_changed_and_its_removal_disables_it(shared: Shared) -> None:
    start(shared, "profiled", profilerConfig=PROFILER)
    edit(shared.jobs, "profiled", profilerConfig={"profilingIntervalInMilliseconds": 1000})
    changed = {**SENT_PROFILER, "ProfilingIntervalInMilliseconds": 1000}
    wait_sent(shared, "profiled", {"ProfilerConfig": changed})
    edit(shared.jobs, "profiled", profilerConfig=None)
    wait_sent(shared, "profiled", {"ProfilerConfig": changed}, {"ProfilerConfig": {"DisableProfiler": True}})


def test_only_added_profiler_rules_are_sent(shared: Shared) -> None:
    start(shared, "rules", profilerConfig=PROFILER, profilerRuleConfigurations=[rule("one")])
    edit(shared.jobs, "rules", profilerRuleConfigurations=[rule("one"), rule("two")])
    wait_sent(shared, "rules", {"ProfilerRuleConfigurations": [sent_rule("two")]})
    edit(shared.jobs, "rules", profilerRuleConfigurations=[rule("two")])
    wait_advised(shared.jobs, "rules", "EditNotPossible", "profilerRuleConfigurations")
    edit(shared.jobs, "rules", profilerRuleConfigurations=[rule("one"), rule("two")])
    wait_sent(shared, "rules", {"ProfilerRuleConfigurations": [sent_rule("two")]})


def test_remote_debugging_can_be_changed_during_training_only(shared: Shared) -> None:
    start(shared, "debugged", "Downloading:0.3,Training:inf")
    edit(shared.jobs, "debugged", remoteDebugConfig={"enableRemoteDebug": True})
    wait_sent(shared, "debugged", {"RemoteDebugConfig": {"EnableRemoteDebug": True}})
    shared.sagemaker.enter("debugged", "Uploading")
    edit(shared.jobs, "debugged", remoteDebugConfig={"enableRemoteDebug": False})
    wait_advised(shared.jobs, "debugged", "EditNotPossible", "remoteDebugConfig")
    shared.sagemaker.complete_job("debugged")
    shared.jobs.wait_condition("debugged", "Complete")
    assert len(updates(shared.sagemaker, "debugged")) == 1


def test_profiler_and_warm_pool_may_be_edited_together(shared: Shared) -> None:
    start(shared, "together", resourceConfig={**RESOURCES, "keepAlivePeriodInSeconds": 600})
    edit(shared.jobs, "together", profilerConfig=PROFILER, resourceConfig={"keepAlivePeriodInSeconds": 1200})
    wait_advised(shared.jobs, "together", "EditPending", "keepAlivePeriodInSeconds")
    profiler, pool = {"ProfilerConfig": SENT_PROFILER}, {"ResourceConfig": {"KeepAlivePeriodInSeconds": 1200}}
    await_true("the profiler", lambda: updates(shared.sagemaker, "together") == [profiler])
    shared.sagemaker.complete_job("together")
    wait_sent(shared, "together", profiler, pool)


def test_an_impossible_edit_is_reported_and_the_status_continues(shared: Shared) -> None:
    start(shared, "no-pool", "Starting:0.3,Downloading:inf")
    edit(shared.jobs, "no-pool", resourceConfig={"keepAlivePeriodInSeconds": 600})
    wait_advised(shared.jobs, "no-pool", "EditNotPossible", "spec.resourceConfig.keepAlivePeriodInSeconds")
    shared.sagemaker.enter("no-pool", "Training")
    shared.jobs.wait("no-pool", "continues", lambda body: body["status"]["secondaryStatus"] == "Training")
    assert shared.jobs.condition("no-pool", "ACK.Advisory")["reason"] == "EditNotPossible"
    assert shared.jobs.condition("no-pool", "ACK.Terminal") == {}
    edit(shared.jobs, "no-pool", resourceConfig={"keepAlivePeriodInSeconds": None})
    wait_sent(shared, "no-pool")


def test_a_rejected_edit_is_reported_with_the_message_of_sagemaker_and_not_sent_again(shared: Shared) -> None:
    start(shared, "refused")
    words = "1 validation error detected: Value at 'profilerConfig.s3OutputPath' failed to satisfy constraint"
    shared.sagemaker.fail("UpdateTrainingJob", "ValidationException", words, job="refused")
    edit(shared.jobs, "refused", profilerConfig=PROFILER)
    wait_advised(shared.jobs, "refused", "EditNotPossible", words)
    shared.sagemaker.enter("refused", "Uploading")
    shared.jobs.wait("refused", "continues", lambda body: body["status"]["secondaryStatus"] == "Uploading")
    assert len(shared.sagemaker.calls("UpdateTrainingJob", job="refused")) == 1


def test_fields_absent_from_the_spec_are_never_compared(shared: Shared) -> None:
    shown = {
        "ProfilerConfig": {"S3OutputPath": "s3://default", "ProfilingIntervalInMilliseconds": 500},
        "ProfilingStatus": "Enabled",
        "RemoteDebugConfig": {"EnableRemoteDebug": False},
        "RetryStrategy": {"MaximumRetryAttempts": 1},
    }
    shared.sagemaker.fault("answer", "DescribeTrainingJob", job="unset", patch=shown)
    start(shared, "unset", resourceConfig={**RESOURCES, "keepAlivePeriodInSeconds": 600})
    edit(shared.jobs, "unset", tags=[{"key": "team", "value": "ml"}])
    await_true("the tag", lambda: (shared.sagemaker.job("unset") or {})["tags"].get("team") == "ml")
    shared.sagemaker.complete_job("unset")
    shared.jobs.wait_condition("unset", "Complete")
    assert shared.jobs.condition("unset", "ACK.Advisory") == {}
    assert updates(shared.sagemaker, "unset") == []


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_after_the_end_a_profiler_edit_is_impossible(shared: Shared, status: str) -> None:
    name = f"late-{status.lower()}"
    start(shared, name)
    shared.sagemaker.enter(name, status)
    shared.jobs.wait_condition(name, "Finished")
    edit(shared.jobs, name, profilerConfig=PROFILER)
    wait_advised(shared.jobs, name, "EditNotPossible", "spec.profilerConfig")
    assert shared.jobs.condition(name, "Ready")["status"] == ("True" if status == "Completed" else "False")
    assert updates(shared.sagemaker, name) == []


def test_under_acks_crd_an_edit_of_a_fixed_field_is_reported_and_an_update_is_sent(
    new_operator: NewOperator, jobs: Jobs, control_plane: Cluster, sagemaker: StandIn
) -> None:
    install_crd(control_plane, ACKS)
    try:
        new_operator().start()
        sagemaker.plan(phases="Starting:0.3,Training:inf")
        jobs.apply(training_job("loose", hyperParameters={"eta": "0.2"}))
        jobs.wait("loose", "trains", lambda body: body.get("status", {}).get("secondaryStatus") == "Training")
        edit(jobs, "loose", hyperParameters={"eta": "0.3"}, profilerConfig=PROFILER)
        wait_advised(jobs, "loose", "EditNotPossible", "spec.hyperParameters")
        await_true("the profiler", lambda: updates(sagemaker, "loose") == [{"ProfilerConfig": SENT_PROFILER}])
        sagemaker.complete_job("loose")
        jobs.wait_condition("loose", "Complete")
        assert len(sagemaker.effects("CreateTrainingJob")) == 1
    finally:
        install_crd(control_plane)
