"""Output of `why`: every reason has the advice of the documentation."""

from __future__ import annotations

import pytest

from kubectl_trainingjob.logic.advice import ADVICE
from kubectl_trainingjob.logic.explanation import FAILURES, STEPS, STOPS, explain
from kubectl_trainingjob.logic.job import Job
from tests.kubectl_plugin.objects import NOW, at, condition, job, steps
from tests.test_docs import rows
from trainingjob_operator.logic.status.conditions import FAILURES as FAILURE_CLASSES
from trainingjob_operator.logic.status.conditions import STOP_CAUSES

SECTIONS = (
    "The operator stopped trying",
    "The operator retries",
    "The job continues, and something needs attention",
)


def test_the_advice_equals_the_documentation() -> None:
    page = [row for section in SECTIONS for row in rows("docs/troubleshooting.md", section)]
    assert page == [
        [reason, advice.cause.replace("`", ""), advice.action.replace("`", "")] for reason, advice in ADVICE.items()
    ]


def test_every_failure_class_and_every_stop_cause_has_an_explanation() -> None:
    assert FAILURES.keys() == FAILURE_CLASSES.keys()
    assert STOPS.keys() == STOP_CAUSES.keys()


def waiting(reason: str, message: str, status: str = "False") -> Job:
    return job(condition("Ready", status, reason, message), has_job=False)


@pytest.mark.parametrize(
    ("subject", "headline", "cause", "words", "action"),
    [
        (job(condition("Complete")), "Completed", "completed", "", ""),
        (
            job(condition("Failed", reason="JobFailed"), failureReason="AlgorithmError: No space left on device"),
            "Failed",
            "container ended",
            "No space left on device",
            "volumeSizeInGB",
        ),
        (
            job(condition("Failed", reason="CapacityError"), failureReason="CapacityError: none left"),
            "Failed",
            "no capacity",
            "none left",
            "kubectl trainingjob retry churn",
        ),
        (
            job(
                condition("Failed", reason="JobNotFound"),
                condition("ACK.Terminal", reason="JobNotFound", message="gone"),
            ),
            "The job is lost: JobNotFound",
            "disappeared",
            "gone",
            "never creates the job again",
        ),
        (
            job(
                condition("Failed", reason="MaxRuntimeExceeded"), condition("ACK.Terminal", reason="MaxRuntimeExceeded")
            ),
            "Stopped",
            "maxRuntimeInSeconds",
            "",
            "Raise maxRuntimeInSeconds",
        ),
        (
            job(condition("Stalled"), condition("ACK.Terminal", reason="InvalidSpec", message="bad"), has_job=False),
            "The operator stopped trying: InvalidSpec",
            "not make a valid request",
            "bad",
            "Correct the field",
        ),
        (job(condition("Stalled"), has_job=False), "The operator stopped trying", "", "", "describe churn"),
        (
            job(
                condition("ACK.Recoverable", reason="ResourceLimitExceeded", message="limit 0"),
                condition("Ready", "False", "Waiting", "Position 2"),
                has_job=False,
            ),
            "The operator retries: ResourceLimitExceeded",
            "quota is used up",
            "limit 0 Position 2",
            "Raise the quota",
        ),
        (
            job(condition("ACK.Recoverable", reason="BrandNewException", message="new")),
            "The operator retries: BrandNewException",
            "AWS answered BrandNewException",
            "new",
            "names",
        ),
        (waiting("Waiting", "Position 3"), "Waits", "turn", "Position 3", "None"),
        (waiting("Pending", "not created yet"), "Waits", "prepares", "not created yet", "None"),
        (
            waiting("Pending", "Waiting for the operator", "Unknown"),
            "Waits for the operator",
            "no operator has processed it",
            "",
            "kubectl get pods",
        ),
        (
            job(phase="InProgress", secondaryStatus="Training", secondaryStatusTransitions=steps(("Training", 480))),
            "Runs: Training for 2m",
            "container runs",
            "now Training",
            "logs -f churn",
        ),
        (job(phase="InProgress", secondaryStatus="Dreaming"), "Runs: Dreaming", "runs the job", "", "None"),
    ],
)
def test_each_situation_has_cause_message_and_action(
    subject: Job, headline: str, cause: str, words: str, action: str
) -> None:
    [found] = explain(subject, NOW)
    assert found.headline == headline
    assert cause in found.cause
    assert words in found.words
    assert action in " ".join(found.actions)


def test_a_new_object_without_status_is_not_reported_as_missing() -> None:
    fresh = Job({"metadata": {"name": "churn", "creationTimestamp": at(595)}})
    assert "is new" in explain(fresh, NOW)[0].cause


def test_a_pending_deletion_names_the_remedy() -> None:
    body = job(phase="InProgress").body
    deleting = Job({**body, "metadata": {**body["metadata"], "deletionTimestamp": at(0)}})
    assert "deletion-policy: retain" in " ".join(explain(deleting, NOW)[0].actions)


def test_an_advisory_is_a_second_finding() -> None:
    found = explain(job(condition("Complete"), condition("ACK.Advisory", reason="EarlierRun", message="earlier")), NOW)
    assert [each.headline for each in found] == ["Completed", "Needs attention: EarlierRun"]


def test_messages_of_sagemaker_are_shown_without_command_lines() -> None:
    reason = 'AlgorithmError: ExecuteUserScriptError:\nCommand "/usr/bin/python3 train.py --password hunter2"'
    [found] = explain(job(condition("Failed"), failureReason=reason), NOW)
    assert "hunter2" not in found.words
    assert "ExecuteUserScriptError" in found.words


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("AlgorithmError: exit code: 137", "out of memory"),
        ("AlgorithmError: RuntimeError: CUDA out of memory", "out of memory"),
        ("ClientError: Data download failed: NoSuchKey", "Data is missing"),
        ("ClientError: AccessDenied for s3:GetObject", "role of spec.roleARN"),
        ("AlgorithmError: ModuleNotFoundError: No module named 'x'", "package is missing"),
        ("ClientError: CannotPullContainerError: manifest unknown", "image cannot be pulled"),
    ],
)
def test_frequent_failures_have_a_hint(reason: str, hint: str) -> None:
    [found] = explain(job(condition("Failed"), failureReason=reason), NOW)
    assert hint in found.actions[0]


def test_every_step_of_the_documentation_of_sagemaker_is_explained() -> None:
    assert {"Starting", "Pending", "Downloading", "Training", "Interrupted", "Uploading", "Stopping"} <= STEPS.keys()
