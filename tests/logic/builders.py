"""TrainingJob objects in the form of the API server's answers, and memory about them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, Identity, Owner
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.state.memory import (
    AttemptState,
    EditState,
    JobState,
    Memory,
    OwnerState,
    RivalState,
    StopState,
)

ACCOUNT, REGION, CLUSTER = "123456789012", "us-west-2", "c1u5te4"
NAMESPACE, NAME, UID = "team-a", "churn", "11111111-2222-3333-4444-555555555555"
JOB = "Churn-2026"
WANTED = Identity(ACCOUNT, REGION, JOB)
ARN = "arn:aws:sagemaker:us-west-2:123456789012:training-job/churn-2026"
OWNER = Owner(CLUSTER, NAMESPACE, NAME, UID)

SPEC: dict[str, Any] = {
    "trainingJobName": JOB,
    "roleARN": "arn:aws:iam::123456789012:role/train",
    "algorithmSpecification": {"trainingImage": "image", "trainingInputMode": "File"},
    "outputDataConfig": {"s3OutputPath": "s3://bucket/out"},
    "resourceConfig": {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGB": 10},
    "stoppingCondition": {"maxRuntimeInSeconds": 3600},
}


def body(
    *,
    name: str = NAME,
    uid: str = UID,
    version: int = 1,
    generation: int = 1,
    held: bool = False,
    pending: Identity | None = None,
    deleting: bool = False,
    annotations: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One object; `held`: with the finalizer, `pending`: job of the recorded intent."""
    marks = {} if pending is None else {CREATE_PENDING: str(pending)}
    metadata: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "generation": generation,
        "creationTimestamp": "2026-11-21T10:33:40Z",
        "annotations": {**(annotations or {}), **marks},
        "finalizers": [FINALIZER] if held else [],
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-21T10:40:00Z"
    return {"metadata": metadata, "spec": SPEC if spec is None else spec, "status": status or {}}


def resource(**members: Any) -> Resource:
    return Resource.from_body(body(**members))


def recorded(arn: str = ARN, **fields: Any) -> dict[str, Any]:
    """Status with the ARN of a job."""
    metadata = {"arn": arn, "ownerAccountID": ACCOUNT, "region": REGION}
    return {"ackResourceMetadata": metadata, **fields}


def claimed(arn: str = ARN, claim: str = "Created", **fields: str) -> dict[str, str]:
    """Ownership record of an object on a job."""
    return {"claim": claim, "evidence": "Words.", "jobARN": arn, "objectUID": UID, **fields}


PARTS = {"owner": OwnerState, "edit": EditState, "attempt": AttemptState, "stop": StopState}


def remembered(first_seen: float = 0.0, **known: Any) -> Memory:
    """Memory with these fields; each field belongs to the part that declares it."""

    def take(part: type[Any]) -> dict[str, Any]:
        return {field.name: known.pop(field.name) for field in fields(part) if field.name in known}

    parts = {name: part(**take(part)) for name, part in PARTS.items()}
    job = JobState(**take(JobState), **parts)
    return Memory(first_seen=first_seen, job=job, rival=RivalState(**take(RivalState)), **known)
