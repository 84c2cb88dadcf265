"""Answers of SageMaker about one job, and reports about them, for the tests of logic/."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.status.report import Report

NAME = "Churn-2026"
ARN = "arn:aws:sagemaker:us-west-2:123456789012:training-job/churn-2026"
CREATED = datetime(2026, 11, 21, 10, 33, 44, 120_000, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, 0, 0, 987_654, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """Time after the creation of the job, in seconds."""
    return CREATED + timedelta(seconds=seconds)


def answer(status: str = "InProgress", secondary: str = "Training", **members: Any) -> dict[str, Any]:
    """Answer of DescribeTrainingJob in boto3's form."""
    return {
        "TrainingJobName": NAME,
        "TrainingJobArn": ARN,
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary,
        "CreationTime": CREATED,
        "LastModifiedTime": after(60),
        "ModelArtifacts": {"S3ModelArtifacts": ""},
        "ProfilingStatus": "Disabled",
        **members,
    }


def observed(status: str = "InProgress", secondary: str = "Training", **members: Any) -> Observation:
    return Observation.from_describe(answer(status, secondary, **members))


def transition(status: str, start: float, end: float | None = None, message: str = "") -> dict[str, Any]:
    """Entry of SecondaryStatusTransitions; times in seconds after creation."""
    times = {"StartTime": after(start)} | ({} if end is None else {"EndTime": after(end)})
    return {"Status": status, **times, "StatusMessage": message}


def rule(status: str) -> dict[str, Any]:
    return {"RuleConfigurationName": "LossNotDecreasing", "RuleEvaluationStatus": status}


def report(observation: Observation | None = None, **learned: Any) -> Report:
    """Report about an existing job; `arn=None` for an object without a job."""
    known = {"generation": 3, "arn": ARN, "job_name": NAME, "observation": observation}
    return Report(**{**known, **learned})
