"""Outcomes and fields of objects, written by this operator or by ACK."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kubectl_trainingjob.logic.job import Job, Outcome
from kubectl_trainingjob.logic.outcomes import exit_code, select
from tests.kubectl_plugin.objects import ARN, START, condition, job, steps


@pytest.mark.parametrize(
    ("subject", "outcome"),
    [
        (job(condition("Complete"), phase="Completed"), Outcome.SUCCEEDED),
        (job(condition("Failed", reason="JobFailed"), condition("Stalled")), Outcome.FAILED),
        (job(condition("Failed", reason="JobNotFound")), Outcome.LOST),
        (job(condition("Failed", reason="MaxRuntimeExceeded")), Outcome.STOPPED),
        (job(condition("Stalled"), has_job=False), Outcome.REFUSED),
        (job(phase="InProgress", trainingJobStatus="InProgress"), Outcome.RUNNING),
        (job(phase="Waiting", has_job=False), Outcome.WAITING),
        (job(has_job=False), Outcome.WAITING),
        # as written by the operator, with any conditions
        (job(outcome="Succeeded", trainingJobStatus="InProgress"), Outcome.SUCCEEDED),
        (job(condition("Failed", reason="JobFailed"), outcome="Stopped"), Outcome.STOPPED),
        (job(outcome="Failed"), Outcome.FAILED),
        (job(outcome="Refused", has_job=False), Outcome.REFUSED),
        (job(outcome="Lost"), Outcome.LOST),
        (job(condition("Complete"), outcome="OfTomorrow"), Outcome.SUCCEEDED),
        # as written by ACK's controller
        (job(condition("ACK.ResourceSynced"), trainingJobStatus="Failed"), Outcome.FAILED),
        (job(condition("ACK.ResourceSynced"), trainingJobStatus="Stopped"), Outcome.STOPPED),
        # the end of a job without proof of ownership is no outcome of the object
        (job(phase="Pending", trainingJobStatus="Completed"), Outcome.RUNNING),
    ],
)
def test_the_outcome_is_read_from_its_field_then_conditions_then_the_status(subject: Job, outcome: Outcome) -> None:
    assert subject.outcome is outcome
    assert outcome.is_final == (outcome not in (Outcome.RUNNING, Outcome.WAITING))


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], {"a": 1}])
def test_parsing_accepts_any_object(nonsense: Any) -> None:
    for body in (
        {"metadata": nonsense, "spec": nonsense, "status": nonsense},
        {
            "metadata": {"name": nonsense, "creationTimestamp": nonsense, "annotations": nonsense},
            "spec": {"resourceConfig": nonsense, "algorithmSpecification": {"metricDefinitions": [nonsense]}},
            "status": {
                "conditions": nonsense,
                "secondaryStatusTransitions": nonsense,
                "finalMetricDataList": [nonsense, {"value": nonsense}],
                "logs": nonsense,
                "ackResourceMetadata": nonsense,
            },
        },
    ):
        subject = Job(body)
        names = [name for name in vars(Job) if isinstance(vars(Job)[name], property)]
        assert [getattr(subject, name) for name in names]


def test_instances_of_groups_are_added_up() -> None:
    groups = [
        {"instanceType": "ml.p4d.24xlarge", "instanceCount": 2, "instanceGroupName": "a"},
        {"instanceType": "ml.c5.xlarge", "instanceCount": 1, "instanceGroupName": "b"},
    ]
    subject = job(spec={"resourceConfig": {"instanceGroups": groups}})
    assert subject.instance == "2 x ml.p4d.24xlarge + ml.c5.xlarge"
    assert subject.instance_count == 3
    assert job(instanceType="ml.m5.large").instance == "ml.m5.large"


def test_log_group_and_prefix_have_defaults_under_the_crd_of_ack() -> None:
    assert (job().log_group, job().log_prefix) == ("/aws/sagemaker/TrainingJobs", "churn/")
    given = job(logs={"group": "g", "streamPrefix": "Churn/"})
    assert (given.log_group, given.log_prefix) == ("g", "Churn/")


def test_the_name_of_the_job_equals_that_of_the_arn() -> None:
    assert job(spec={"trainingJobName": "Churn"}).job_name == "Churn"
    assert job(spec={"trainingJobName": "victim"}).job_name == "churn"
    assert job(spec={"trainingJobName": "wanted"}, has_job=False).job_name == "wanted"
    assert job(spec={"trainingJobName": None}).job_name == "churn"
    assert job(trainingJobName="CHURN").job_name == "CHURN"


def test_identity_and_message_are_read_from_the_status() -> None:
    subject = job(secondaryStatusTransitions=steps(("Starting", 0), ("Training", 5)))
    assert subject.identity is not None
    assert (subject.identity.account, subject.identity.region, subject.arn) == ("123456789012", "us-east-1", ARN)
    assert subject.status_message == "now Training"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome.SUCCEEDED], 0),
        ([Outcome.SUCCEEDED, Outcome.STOPPED], 2),
        ([Outcome.STOPPED, Outcome.FAILED], 1),
        ([Outcome.REFUSED], 1),
        ([Outcome.STOPPED, Outcome.LOST], 1),
        ([Outcome.FAILED, Outcome.RUNNING], 3),
        ([Outcome.WAITING], 3),
    ],
)
def test_the_worst_outcome_selects_the_exit_code(outcomes: list[Outcome], code: int) -> None:
    assert exit_code(outcomes) == code


def test_jobs_are_selected_by_outcome_and_age_in_order_of_age() -> None:
    running = job(phase="InProgress")
    failed = job(condition("Failed"))
    assert select([running, failed], ["failed"], None) == [failed]
    assert select([running, failed], [], START) == [running, failed]
    assert select([running, failed], [], START + timedelta(seconds=1)) == []
