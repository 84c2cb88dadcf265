"""Plain words about an object: what it waits for or why it ended, and what to do.

From the reasons of conditions, the secondary status, and the words of the service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubectl_trainingjob.logic.advice import ADVICE
from kubectl_trainingjob.logic.durations import format_age
from kubectl_trainingjob.logic.job import Condition, Job, Outcome
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.jobs.failure_reason import (
    CAPACITY_ERROR,
    CLIENT_ERROR,
    INTERNAL_SERVER_ERROR,
    classify_failure,
    hide_commands,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

UNSEEN_SECONDS = 10.0
"""A running operator writes the first status within seconds."""

_FIND_OPERATOR = (
    "Check that the operator runs and watches this namespace: `kubectl get pods -A -l app.kubernetes.io/name="
    "trainingjob-operator`"
)
_READ_ITS_LOG = (
    "If it is not ready, its log names what is missing: `kubectl logs -n trainingjob-operator "
    "deployment/trainingjob-operator`"
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One finding about an object."""

    headline: str
    """Situation in a few words."""
    cause: str = ""
    words: str = ""
    """The message of SageMaker or of the operator, unchanged apart from command lines."""
    actions: tuple[str, ...] = ()


STEPS: Mapping[str, str] = {
    "Starting": "SageMaker starts the job and requests its instances.",
    "Pending": "SageMaker waits for instances, or prepares them.",
    "LaunchingMLInstances": "SageMaker launches the instances.",
    "PreparingTrainingStack": "SageMaker prepares the instances.",
    "Downloading": "The instances download the input data.",
    "DownloadingTrainingImage": "The instances download the training image.",
    "Training": "The training container runs.",
    "Interrupted": "Spot capacity was reclaimed; SageMaker waits for new capacity and continues from the checkpoints.",
    "Restarting": "SageMaker starts the job again after a failure; spec.retryStrategy allows it.",
    "Updating": "SageMaker applies an edit to the running job.",
    "Uploading": "The instances upload the model.",
    "Stopping": "The job stops; it may save a model for up to two minutes.",
}
"""By secondary status."""

STOPS: Mapping[str, tuple[str, str]] = {
    reasons.JOB_STOPPED: (
        "A person or a program called StopTrainingJob, or the object was deleted.",
        "Run it again: `{plugin} retry {name}`",
    ),
    reasons.MAX_RUNTIME_EXCEEDED: (
        "The job ran longer than spec.stoppingCondition.maxRuntimeInSeconds.",
        "Raise maxRuntimeInSeconds in the file, with another trainingJobName, and apply it",
    ),
    reasons.MAX_WAIT_TIME_EXCEEDED: (
        "The wait for spot capacity and the training took longer than maxWaitTimeInSeconds.",
        "Raise maxWaitTimeInSeconds or turn managed spot training off, with another trainingJobName, and apply it",
    ),
}
"""Cause and action of each way to stop, by reason."""

FAILURES: Mapping[str, tuple[str, str]] = {
    CAPACITY_ERROR: (
        "AWS had no capacity for the instances.",
        "Run it again later or with another instance type: `{plugin} retry {name}`",
    ),
    CLIENT_ERROR: (
        "SageMaker could not use something that the spec names: data, image, role, network or a limit.",
        "Correct what the message names, with another trainingJobName, and apply it",
    ),
    INTERNAL_SERVER_ERROR: ("SageMaker itself failed.", "Run it again: `{plugin} retry {name}`"),
}
"""Cause and action by class of failureReason; any other failure is the algorithm's."""

_ALGORITHM = ("The training container ended with an error.", "Read its last lines: `{plugin} logs {name} --tail 50`")

HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"exit code:? 137|out ?of ?memory|OutOfMemory|MemoryError|Killed\b|SIGKILL", re.IGNORECASE),
        "The container ran out of memory: use an instance type with more, or a smaller batch",
    ),
    (
        re.compile(r"No space left on device", re.IGNORECASE),
        "The volume is full: raise spec.resourceConfig.volumeSizeInGB",
    ),
    (
        re.compile(r"NoSuchBucket|NoSuchKey|no objects|Please ensure that .*S3|404.*Not Found", re.IGNORECASE),
        "Data is missing: check the S3 URIs of spec.inputDataConfig and the region of the bucket",
    ),
    (
        re.compile(r"AccessDenied|not authorized|403.*Forbidden|Access Denied", re.IGNORECASE),
        "The role of spec.roleARN lacks a permission: allow the action that the message names",
    ),
    (
        re.compile(r"ModuleNotFoundError|ImportError", re.IGNORECASE),
        "A Python package is missing in the image: add it to requirements.txt of the source, or to the image",
    ),
    (
        re.compile(
            r"CannotPullContainer|manifest (?:for|unknown)|image .*not found|does not exist.*ECR", re.IGNORECASE
        ),
        "The image cannot be pulled: check trainingImage, its region, and ecr:BatchGetImage of the role",
    ),
)
"""Frequent texts of failureReason and what to do."""


CREATE_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"Cannot find the requested image", re.IGNORECASE),
        "Correct spec.algorithmSpecification.trainingImage, or push the image to its repository",
    ),
    (
        re.compile(r"No S3 objects found", re.IGNORECASE),
        "Correct the S3 URI in spec.inputDataConfig, or put the data there",
    ),
    (
        re.compile(r"Could not assume role", re.IGNORECASE),
        "Correct spec.roleARN, or create the role with a trust policy for sagemaker.amazonaws.com",
    ),
    (
        re.compile(r"perform: iam:PassRole", re.IGNORECASE),
        "Correct spec.roleARN, or add the role to `ExecutionRoles` in the policy of the operator's role",
    ),
)
"""Frequent texts of a refused CreateTrainingJob and what to do."""

_REFUSALS = frozenset({reasons.REFUSED, reasons.CREATE_FAILING, reasons.CREATE_FAILED, reasons.ACCESS_DENIED})


def explain(job: Job, now: datetime, plugin: str = "kubectl trainingjob") -> list[Explanation]:
    """Return the explanation of the situation, then of the advisory if there is one. `plugin` precedes commands."""
    found = [_explain_situation(job, now)]
    if advisory := job.advisory:
        found.append(_explain_condition("Needs attention", advisory))
    fill = {"plugin": plugin, "name": job.name}
    return [
        Explanation(
            each.headline,
            each.cause,
            hide_commands(each.words),
            tuple(
                action.replace("{plugin}", fill["plugin"]).replace("{name}", fill["name"]) for action in each.actions
            ),
        )
        for each in found
    ]


def _explain_situation(job: Job, now: datetime) -> Explanation:
    match job.outcome:
        case Outcome.SUCCEEDED:
            return Explanation("Completed", "The job completed.")
        case Outcome.FAILED:
            return _explain_failure(job)
        case Outcome.STOPPED:
            return _explain_stop(job)
        case Outcome.REFUSED:
            return _explain_condition("The operator stopped trying", job.terminal)
        case Outcome.LOST:
            return _explain_condition("The job is lost", job.terminal)
    if job.is_deleting:
        return _explain_deletion(job)
    if job.recoverable:
        return _explain_condition("The operator retries", job.recoverable, job.ready)
    if job.outcome is Outcome.RUNNING:
        return _explain_progress(job, now)
    return _explain_wait(job, now)


def _explain_failure(job: Job) -> Explanation:
    terminal = job.terminal
    words = job.failure_reason or (terminal.message if terminal else "")
    cause, action = FAILURES.get(classify_failure(words), _ALGORITHM)
    hints = tuple(hint for pattern, hint in HINTS if pattern.search(words))
    return Explanation("Failed", cause, words, (*hints, action))


def _explain_stop(job: Job) -> Explanation:
    reason = job.terminal.reason if job.terminal else job.secondary_status
    cause, action = STOPS.get(reason, STOPS[reasons.JOB_STOPPED])
    return Explanation("Stopped", cause, job.failure_reason, (action,))


def _explain_deletion(job: Job) -> Explanation:
    return Explanation(
        "Is being deleted",
        "The operator stops the job and removes the object after its end.",
        (job.ready.message if job.ready else "") or job.status_message,
        (_FIND_OPERATOR, "To release the object and keep the job: set `services.k8s.aws/deletion-policy: retain`"),
    )


def _explain_progress(job: Job, now: datetime) -> Explanation:
    step = job.secondary_status or job.phase
    transitions = job.transitions
    since = f" for {format_age((now - transitions[-1].start).total_seconds())}" if transitions else ""
    cause = STEPS.get(step, "SageMaker runs the job.")
    action = "None: wait for its end with `{plugin} wait {name}`, or read its log with `{plugin} logs -f {name}`"
    return Explanation(f"Runs: {step}{since}", cause, job.status_message, (action,))


def _explain_wait(job: Job, now: datetime) -> Explanation:
    ready = job.ready
    if ready is None or (ready.status, ready.reason) == ("Unknown", reasons.PENDING):
        age = (now - job.created).total_seconds() if job.created else 0.0
        if age > UNSEEN_SECONDS:
            cause = f"The object exists for {format_age(age)} and has no status: no operator has processed it."
            return Explanation("Waits for the operator", cause, "", (_FIND_OPERATOR, _READ_ITS_LOG))
        return Explanation("Waits for the operator", "The object is new.", "", ("None: ask again in a few seconds",))
    cause = "The object waits for its turn to call CreateTrainingJob, for a quota or for capacity."
    if ready.reason != reasons.WAITING:
        cause = "The operator prepares the call of CreateTrainingJob, or waits for the first answer about the job."
    return Explanation("Waits", cause, ready.message, ("None: the operator continues by itself",))


def _explain_condition(headline: str, condition: Condition | None, ready: Condition | None = None) -> Explanation:
    if condition is None:  # Stalled without ACK.Terminal: another controller writes the conditions
        return Explanation(headline, "", "", ("Read the conditions: `{plugin} describe {name}`",))
    advice = ADVICE.get(condition.reason)
    words = condition.message
    if ready and ready.reason == reasons.WAITING and ready.message not in words:
        words = f"{words} {ready.message}".strip()
    if advice is None:
        cause = f"AWS answered {condition.reason}."
        return Explanation(f"{headline}: {condition.reason}", cause, words, ("Correct what the message names",))
    hints = (hint for pattern, hint in CREATE_HINTS if condition.reason in _REFUSALS and pattern.search(words))
    return Explanation(f"{headline}: {condition.reason}", f"{advice.cause}.", words, (*hints, advice.action))
