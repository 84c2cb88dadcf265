"""Objects in the plugin's form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kubectl_trainingjob.logic.job import Job

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=10)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:training-job/churn"


def at(seconds: float) -> str:
    """Time after START, in seconds."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(0)}


def steps(*entries: tuple[str, float], end: float | None = None) -> list[dict[str, Any]]:
    """Transitions with their start in seconds; the last ends at `end`."""
    ends = [*(begin for _, begin in entries[1:]), end]
    return [
        {
            "status": status,
            "startTime": at(begin),
            "statusMessage": f"now {status}",
            **({} if until is None else {"endTime": at(until)}),
        }
        for (status, begin), until in zip(entries, ends, strict=True)
    ]


def job(*conditions: dict[str, str], spec: dict[str, Any] | None = None, has_job: bool = True, **status: Any) -> Job:
    """An object named churn."""
    metadata = {"name": "churn", "namespace": "team-a", "creationTimestamp": at(0)}
    fields = {"trainingJobName": "churn", **(spec or {})}
    known = {"ackResourceMetadata": {"arn": ARN}} if has_job else {}
    api = {"apiVersion": "sagemaker.services.k8s.aws/v1alpha1", "kind": "TrainingJob"}
    return Job(
        {**api, "metadata": metadata, "spec": fields, "status": {**known, "conditions": list(conditions), **status}}
    )
