"""Cause and action of each reason of a condition: the rows of docs/troubleshooting.md, which a test compares.

Backticks mark what a person types, as on that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainingjob_operator.logic import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping


class Advice(NamedTuple):
    """Why a condition has its reason, and what to do."""

    cause: str
    action: str


ADVICE: Mapping[str, Advice] = {
    # The operator stopped trying.
    reasons.REFUSED: Advice(
        "SageMaker rejected the request; a retry cannot succeed. The message quotes its answer",
        "Correct the spec",
    ),
    reasons.CREATE_FAILED: Advice(
        (
            "A role, data, an image or a subnet did not become available in 2 minutes, or this spec alone got "
            "server errors for 2 hours"
        ),
        (
            "Create the missing part. After the 2 minutes the operator retries after 5, 15 and 60 minutes; "
            "after server errors it does not"
        ),
    ),
    reasons.INVALID_SPEC: Advice(
        "The spec does not make a valid request",
        "Correct the field that the message names",
    ),
    reasons.INVALID_ANNOTATION: Advice(
        (
            "An annotation of the object or its namespace has an invalid value. `ACK.Recoverable` where it "
            "decides the account or the endpoint; `ACK.Advisory` if there is a job"
        ),
        "Use a value that the message lists",
    ),
    reasons.ROLE_NOT_ALLOWED: Advice(
        "`sagemaker.services.k8s.aws/allowed-role-arns` of the namespace does not contain spec.roleARN",
        "Use an allowed role, or extend the annotation",
    ),
    reasons.NAME_CLASH: Advice(
        "Another object, cluster or user owns the job of this name; the message has its ARN",
        "Use another `spec.trainingJobName`, or adopt the job if the message offers it",
    ),
    reasons.JOB_NOT_FOUND: Advice(
        "The job disappeared from SageMaker before its end, or there is no job to adopt or to read",
        (
            "The operator never creates the job again: apply a new object. For adoption, correct name, region "
            "or account; the operator checks every minute"
        ),
    ),
    # The operator retries.
    "ResourceLimitExceeded": Advice(
        "An account quota is used up; `Ready` has the reason `Waiting` and the position in the queue",
        "Raise the quota, or wait",
    ),
    reasons.QUOTA_TOO_SMALL: Advice(
        ("The quota is smaller than the request, even if nothing else uses it; the message has limit, use and request"),
        "Raise the quota, or request less. Retried at intervals of up to an hour",
    ),
    reasons.CREATE_FAILING: Advice(
        "SageMaker does not find a role, data, an image or a subnet",
        (
            "Create the missing part, or correct the spec. The operator retries for 2 minutes, then after 5, 15 and "
            "60 minutes"
        ),
    ),
    reasons.NAME_IN_USE: Advice(
        "CreateTrainingJob reports the name as in use, Describe finds no such job for 30 s",
        "Use another `spec.trainingJobName`; another case of the letters may not be enough",
    ),
    reasons.ACCESS_DENIED: Advice(
        "The operator's role lacks a permission; the message names action and role",
        (
            "Allow the action (`deploy/iam-policy.json`). Retried after 15 s, later every 5 minutes, by one "
            "object for all"
        ),
    ),
    reasons.CREDENTIALS_INVALID: Advice(
        "AWS rejects the operator's credentials for over 60 s",
        "Correct the credentials; files and tokens are read again",
    ),
    "AccountChanged": Advice(
        "The credentials belong to another account than at the start",
        "Restore the credentials, or restart the operator",
    ),
    "RegionNotFound": Advice(
        "The region does not exist",
        "Correct `services.k8s.aws/region`",
    ),
    "RegionNotEnabled": Advice(
        "The account has not enabled the region",
        "Enable the region",
    ),
    reasons.THROTTLED: Advice(
        "AWS throttles calls for over 60 s; the operator lowers its rate",
        "None; raise the quota if it lasts",
    ),
    reasons.SERVICE_UNAVAILABLE: Advice(
        "Server errors, timeouts, DNS or TLS errors, or a wrong clock, for over 60 s",
        "None, or correct what the message names",
    ),
    reasons.ROLE_UNAVAILABLE: Advice(
        "`ack-role-account-map` has no usable role for the account, `--enable-carm` is off, or the matching "
        "IAMRoleSelector is invalid",
        "Correct what the message names",
    ),
    reasons.ROLE_SELECTORS_CONFLICT: Advice(
        "Several IAMRoleSelectors match the object",
        "Narrow those that the message names, so that one matches",
    ),
    reasons.ROLE_SELECTOR_GONE: Advice(
        "An IAMRoleSelector selected the role of the object, which has no job yet, and none does now",
        "Create an IAMRoleSelector for it, or delete the object and apply it again",
    ),
    reasons.ROLE_SELECTORS_UNREADABLE: Advice(
        "The operator cannot list IAMRoleSelectors",
        "Allow `list` and `watch` on them, or set `--feature-gates=IAMRoleSelector=false`",
    ),
    reasons.NAMESPACE_UNREADABLE: Advice(
        "The operator may not read the namespace and its annotations",
        "Allow `get` on the namespace",
    ),
    reasons.METADATA_NOT_WRITTEN: Advice(
        "The API server refuses the finalizer or annotation before Create; no call was made",
        "Correct the webhook, policy or role that the message names. Retried at intervals of up to 5 minutes",
    ),
    reasons.FINALIZER_NOT_REMOVED: Advice(
        "The API server refuses to remove the finalizer",
        "Correct the webhook, policy or role that the message names",
    ),
    # The job continues, and something needs attention.
    reasons.EDIT_NOT_POSSIBLE: Advice(
        "SageMaker cannot change these fields of the job; the job keeps its values",
        "Restore the fields, or apply another object with another name",
    ),
    reasons.EDIT_PENDING: Advice(
        "The edit is valid and waits for a phase of the job that the message names",
        "None",
    ),
    reasons.ADOPTED_SPEC_DIFFERS: Advice(
        "The adopted job differs from the spec",
        "Align the spec if it matters",
    ),
    reasons.IDENTITY_DIFFERS: Advice(
        "Annotations or an IAMRoleSelector now name another account or region than the job's",
        "Restore them; the job stays in its place",
    ),
    reasons.REGION_UNKNOWN: Advice(
        "The operator's data of AWS regions do not contain the region",
        "Check the spelling; a new region works",
    ),
    reasons.OWNERSHIP_UNPROVEN: Advice(
        "No evidence that the job was created for the object: it is neither changed nor stopped",
        "Set `services.k8s.aws/adoption-policy: adopt` to permit both",
    ),
    reasons.EARLIER_RUN: Advice(
        "The job is a run of an earlier object of this name; nothing was created",
        "Apply the object with another `spec.trainingJobName` to run it again",
    ),
    reasons.STOP_STUCK: Advice(
        "The job has not stopped in 15 minutes",
        "Wait, or set `services.k8s.aws/deletion-policy: retain` to release the object",
    ),
    reasons.PASSIVE: Advice(
        (
            "Another controller writes the same object; this operator leaves it alone for 10 minutes after the "
            "last such write"
        ),
        "Run one controller for the object, or separate them by `--watch-selectors`",
    ),
    reasons.EXPIRY_DENIED: Advice(
        "The operator may not delete the finished object after its time to live",
        (
            "Set the chart's `rbac.deleteFinishedObjects: true`, or remove "
            "`sagemaker.services.k8s.aws/ttl-seconds-after-finished`"
        ),
    ),
    reasons.RULE_ISSUES_FOUND: Advice(
        "A Debugger or profiler rule ended with IssuesFound",
        "Read the rule's output",
    ),
}
"""By reason; any other reason of ACK.Recoverable is an error code of AWS."""
