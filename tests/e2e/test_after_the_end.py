"""After a job's end: its warm pool and its rules are followed until their end, then no further call is made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.deploy.test_manifests import the
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true
from trainingjob_operator.logic.objects.annotations import TTL

if TYPE_CHECKING:
    from tests.e2e.conftest import Account, Shared

RESOURCES = {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGB": 5, "keepAlivePeriodInSeconds": 600}
RULE = {"ruleConfigurationName": "Watch", "ruleEvaluatorImage": "rules", "ruleParameters": {"rule_to_invoke": "Watch"}}
FOLLOW = 30.0
"""Interval of the Describe calls for an ended job in seconds."""
ROOM = 20.0
"""Allowance for a slow machine in seconds."""


def total(shared: Shared) -> int:
    """Number of all calls so far except STS calls."""
    return sum(count for name, count in shared.sagemaker.counts().items() if not name.startswith("sts:"))


def test_warm_pool_and_rules_are_followed_to_their_end_and_cause_no_calls_afterwards(shared: Shared) -> None:
    shared.sagemaker.plan("pool", seconds=1)
    shared.sagemaker.plan("rules", seconds=1, rule_seconds=12)
    shared.sagemaker.plan("plain", seconds=1)
    shared.jobs.apply(
        training_job("pool", resourceConfig=RESOURCES),
        training_job("rules", debugRuleConfigurations=[RULE]),
        training_job("plain"),
    )
    pool = shared.jobs.wait(
        "pool", "is kept", lambda body: body.get("status", {}).get("warmPoolStatus", {}).get("status") == "Available"
    )
    rules = shared.jobs.wait("rules", "run on", lambda _: shared.jobs.condition("rules", "Finished"))
    shared.jobs.wait_condition("plain", "Complete")
    for body in (pool, rules):
        name = body["metadata"]["name"]
        assert shared.jobs.condition(name, "Ready")["status"] == "True"
        shared.jobs.wait(name, "has no finalizer", lambda body: "finalizers" not in body["metadata"])
    synced = shared.jobs.condition("rules", "ACK.ResourceSynced")
    assert (synced["status"], synced["reason"]) == ("False", "RulesRunning")
    assert synced["message"] == "DebugRule is in InProgress status."
    assert shared.jobs.condition("pool", "ACK.ResourceSynced")["status"] == "True"

    # A job of another client takes the pool; the rule ends by itself.
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5, "KeepAlivePeriodInSeconds": 60}
    shared.sagemaker.create_job("next", ResourceConfig=resources)
    shared.jobs.wait(
        "pool", "is reused", lambda body: body["status"]["warmPoolStatus"]["status"] == "Reused", FOLLOW + ROOM
    )
    assert shared.jobs.status("pool")["warmPoolStatus"]["reusedByJob"] == "next"
    synced = shared.jobs.wait_condition("rules", "ACK.ResourceSynced", seconds=FOLLOW + ROOM)
    assert synced["message"] == "TrainingJob is in Completed status."
    assert shared.jobs.status("rules")["debugRuleEvaluationStatuses"][0]["ruleEvaluationStatus"] == "NoIssuesFound"

    calls = total(shared)
    time.sleep(FOLLOW + 2)
    assert total(shared) == calls


def test_the_deletion_of_an_object_leaves_its_warm_pool_to_the_keep_alive(shared: Shared) -> None:
    shared.sagemaker.plan("left", seconds=1)
    shared.jobs.apply(training_job("left", resourceConfig=RESOURCES))
    shared.jobs.wait_condition("left", "Complete")
    calls = len(shared.sagemaker.calls(job="left"))
    shared.jobs.kubectl("delete", "trainingjob", "left", "--timeout=10s")
    assert len(shared.sagemaker.calls(job="left")) == calls
    job = shared.sagemaker.job("left")
    assert job is not None
    assert job["description"]["WarmPoolStatus"]["Status"] == "Available"


def test_a_warm_pool_that_appears_late_is_shown(shared: Shared) -> None:
    shared.sagemaker.plan("late", seconds=1, pool_delay=3)
    shared.jobs.apply(training_job("late", resourceConfig=RESOURCES))
    shared.jobs.wait_condition("late", "Complete")
    await_true(
        "the pool is shown",
        lambda: shared.jobs.status("late").get("warmPoolStatus", {}).get("status") == "Available",
        FOLLOW + ROOM,
    )


def test_issues_of_a_rule_are_a_condition_and_a_warning(shared: Shared) -> None:
    shared.sagemaker.plan("issues", seconds=1, rule_seconds=2, rule_outcome="IssuesFound")
    shared.jobs.apply(training_job("issues", debugRuleConfigurations=[RULE]))
    advisory = shared.jobs.wait_condition("issues", "ACK.Advisory", seconds=FOLLOW + ROOM)
    assert advisory["reason"] == "RuleIssuesFound"
    assert advisory["message"].startswith("DebugRule Watch is in IssuesFound status")
    assert shared.jobs.condition("issues", "Ready")["status"] == "True"
    [warning] = await_true(
        "an Event", lambda: [event for event in shared.jobs.events("issues") if event["type"] == "Warning"]
    )
    assert (warning["reason"], warning["message"]) == ("RuleIssuesFound", advisory["message"])


def test_a_finished_object_is_deleted_after_its_ttl_once_the_operator_has_the_right(
    shared: Shared, account: Account
) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("brief", seconds=0.5)
    jobs.apply(training_job("brief", annotations={TTL: "0"}))
    jobs.wait_condition("brief", "Complete")
    denied = jobs.wait_condition("brief", "ACK.Advisory")
    assert denied["reason"] == "ExpiryDenied"
    assert 'cannot delete resource "trainingjobs"' in denied["message"]

    subject = the("ServiceAccount", account.installation.objects)["metadata"]
    rules = ("--verb=delete", "--resource=trainingjobs.sagemaker.services.k8s.aws")
    jobs.kubectl("create", "role", "expiry", *rules)
    bound = f"--serviceaccount={subject['namespace']}:{subject['name']}"
    jobs.kubectl("create", "rolebinding", "expiry", "--role=expiry", bound)
    jobs.kubectl("annotate", "trainingjob", "brief", "reconcile.fluxcd.io/requestedAt=now")

    jobs.wait_gone("brief")
    job = sagemaker.job("brief")
    assert job is not None
    assert job["description"]["TrainingJobStatus"] == "Completed"
    assert not sagemaker.calls("StopTrainingJob", job="brief")
