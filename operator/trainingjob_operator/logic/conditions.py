"""The conditions of a TrainingJob: which hold in which situation, under which reason, in which order.

What Argo CD, Flux, kubectl and people read. Not here: what was observed (observation.py), the rest of `.status`
(status.py) and Events (events.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.failure_reason import ALGORITHM_ERROR, CLASSES, classify_failure
from trainingjob_operator.logic.observation import COMPLETED, FAILED, MAX_ITEMS, Observation, RuleStatus
from trainingjob_operator.logic.report import Finding
from trainingjob_operator.logic.timestamps import format_second, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from trainingjob_operator.logic.report import Report

# Types. Argo CD walks the list in order and stops at ACK.Terminal or Ready, so this is the order they are written.
TERMINAL = "ACK.Terminal"
RECOVERABLE = "ACK.Recoverable"
ADVISORY = "ACK.Advisory"
RESOURCE_SYNCED = "ACK.ResourceSynced"
READY = "Ready"
STALLED = "Stalled"
"""Never for what is retried soon: it ends a Flux rollout."""
COMPLETE = "Complete"
FAILURE = "Failed"
FINISHED = "Finished"
"""At every end of a job: `kubectl wait` cannot wait for Complete or Failed, whichever comes first."""
SETTLED = "Settled"
"""Complete or Stalled: the one condition that every object reaches, with or without a job; an edit removes it again."""
ADOPTED = "ACK.Adopted"
OBSERVED = "ACK.Observed"
"""The object reads a job only. ACK's CRD keeps conditions, where it drops the record of the claim."""
TYPES = (
    TERMINAL, RECOVERABLE, ADVISORY, RESOURCE_SYNCED, READY, STALLED, COMPLETE, FAILURE, FINISHED, SETTLED, ADOPTED,
    OBSERVED,
)  # fmt: skip

# Reasons. While a job runs, its secondary status is the reason.
PENDING = "Pending"
"""Seen by the operator; nothing has been done yet."""
WAITING = "Waiting"
"""For its turn, for quota or for capacity."""
CREATED = "Created"
"""SageMaker has taken the job; its status has not been read yet."""
DELETING = "Deleting"
"""The object is being deleted and waits for its job to end."""
JOB_COMPLETED = "Completed"
JOB_FAILED = "JobFailed"
"""The algorithm failed, or the class of the failure is unknown."""
JOB_STOPPED = "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
MAX_WAIT_TIME_EXCEEDED = "MaxWaitTimeExceeded"
JOB_NOT_FOUND = "JobNotFound"
"""The job is gone from SageMaker although it had not ended; it is never created again."""
RULES_RUNNING = "RulesRunning"
"""The job has ended; a debug or profiler rule evaluates on."""
RULE_ISSUES_FOUND = "RuleIssuesFound"
"""A debug or profiler rule has ended with IssuesFound."""
UNKNOWN = "Unknown"
"""There is a word for it, but none that can stand as a reason."""

FAILURES = {name: name for name in CLASSES - {ALGORITHM_ERROR}}
"""Reasons of failures that are not the algorithm's own, by the class of the failureReason."""

STOP_CAUSES: Mapping[str, str] = {
    JOB_STOPPED: "The training job was stopped.",
    MAX_RUNTIME_EXCEEDED: "The training job was stopped: it ran longer than maxRuntimeInSeconds.",
    MAX_WAIT_TIME_EXCEEDED: "The training job was stopped: it waited longer than maxWaitTimeInSeconds.",
}

MAX_MESSAGE = 2000
"""Characters of one message: room for the longest failureReason (1,024), none for a page of HTML."""
MAX_REASON = 128
"""Characters of one reason, far below Kubernetes' bound of 1,024."""
_NO_REASON = re.compile(r"^[^A-Za-z]+|[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Cell:
    """One condition of the table, without its type and time."""

    status: str
    reason: str
    message: str

    @classmethod
    def true(cls, finding: Finding) -> Cell:
        return cls("True", finding.reason, finding.message)

    @classmethod
    def false(cls, finding: Finding) -> Cell:
        return cls("False", finding.reason, finding.message)


def build_conditions(previous: object, report: Report, observation: Observation, now: datetime) -> list[dict[str, Any]]:
    """The whole list: ours in their order, then those of other writers.

    `previous` is the list in the object, whatever it holds; `observation` all that is known of the job. A time
    moves only when a condition's status flips. ACK's other conditions are dropped: they tell of its own doing
    (LateInitialized, IAMRoleSelected, …), which ended when it stopped serving the object.
    """
    before: dict[str, dict[str, Any]] = {}
    for condition in read_conditions(previous):
        before.setdefault(condition["type"], condition)  # in their order, or every write would turn it round
    cells = decide_cells(report, observation)
    ours = [_render(name, cells[name], before.get(name), now) for name in TYPES if name in cells]
    others = [condition for name, condition in before.items() if name not in TYPES and not name.startswith("ACK.")]
    return ours + others[:MAX_ITEMS]


def decide_cells(report: Report, observation: Observation) -> dict[str, Cell]:
    """The conditions that hold, by type: the row of the job, and over it what hinders or concerns it."""
    cells = _row(report, observation)
    is_settled = STALLED in cells or COMPLETE in cells
    if is_settled:
        cells[SETTLED] = replace(cells[READY], status="True")
    advisories = list(report.advisories)
    if report.terminal and FINISHED in cells:
        advisories.append(report.terminal)  # an end stays what it is; what was refused since is told beside it
    if rule := observation.running_rule if observation.is_ended() else None:
        cells[RESOURCE_SYNCED] = Cell("False", RULES_RUNNING, f"{rule[0]} is in {rule[1]} status.")
    if edit := report.pending_edit:
        advisories.append(edit)
        cells[RESOURCE_SYNCED] = Cell.false(edit)
    if hindrance := report.hindrance:
        finding = Finding(hindrance.reason, hindrance.message)
        cells[RECOVERABLE] = Cell.true(finding)
        cells[RESOURCE_SYNCED] = replace(Cell.true(finding), status="False" if hindrance.waiting else "Unknown")
        if not is_settled and not hindrance.waiting:
            cells[READY] = Cell.false(finding)
    advisories += [describe_issues(rule) for rule in observation.rule_issues]
    if advisories:
        cells[ADVISORY] = Cell("True", advisories[0].reason, _join(advisories))
    if report.observed:
        cells[OBSERVED] = Cell("True", "ReadOnly", "The object reads the training job only.")
    if report.adopted:
        cells[ADOPTED] = Cell("True", "Adopted", "The training job existed before this object.")
    return cells


def _row(report: Report, observation: Observation) -> dict[str, Cell]:
    """The row of the table for where the job is; the first that fits. An end comes before everything."""
    if observation.is_ended():
        end = end_of(observation)
        synced = {RESOURCE_SYNCED: Cell("True", end.reason, _in_status(observation))}
        if observation.status == COMPLETED:
            return synced | _cells("True", end, READY, COMPLETE, FINISHED)
        return synced | _cells("False", end, READY) | _cells("True", end, TERMINAL, STALLED, FAILURE, FINISHED)
    if gone := report.vanished:
        return _cells("False", gone, RESOURCE_SYNCED, READY) | _cells(
            "True", gone, TERMINAL, STALLED, FAILURE, FINISHED
        )
    if refused := report.terminal:
        return _cells("False", refused, RESOURCE_SYNCED, READY) | _cells("True", refused, TERMINAL, STALLED)
    return _cells("False", _progress(report, observation), RESOURCE_SYNCED, READY)


def _progress(report: Report, observation: Observation) -> Finding:
    """How far a job is that has neither ended nor been given up."""
    if observation.status:
        reason = DELETING if report.deleting else observation.secondary_status or observation.status
        return Finding(reason, _in_status(observation))
    if report.deleting:
        return Finding(DELETING, "The object goes once it is certain that no training job of it runs.")
    if report.arn:
        return Finding(CREATED, "SageMaker accepted the training job; its status has not been read yet.")
    if report.waiting:
        return Finding(WAITING, report.waiting.message)
    if report.hindrance and report.hindrance.waiting:
        return Finding(WAITING, report.hindrance.message)
    return Finding(PENDING, "The training job has not been created yet.")


def end_of(observation: Observation) -> Finding:
    """How an ended job ended, and why."""
    if observation.status == COMPLETED:
        return Finding(JOB_COMPLETED, _in_status(observation))
    if observation.status == FAILED:
        text = observation.failure_reason
        return Finding(FAILURES.get(classify_failure(text), JOB_FAILED), text or _in_status(observation))
    cause = observation.secondary_status if observation.secondary_status in STOP_CAUSES else JOB_STOPPED
    message, words = STOP_CAUSES[cause], observation.last_message
    if words:
        message = f"{message} SageMaker's last status message: {words}"
    return Finding(cause, observation.failure_reason or message)


def describe_issues(rule: RuleStatus) -> Finding:
    """The outcome of a rule that has found issues."""
    message = f"{rule.kind} {rule.name} is in {rule.status} status"
    return Finding(RULE_ISSUES_FOUND, f"{message}: {rule.details}" if rule.details else f"{message}.")


def _join(findings: Sequence[Finding]) -> str:
    """Their messages. One that repeats the message of the last process, joined as it was, adds nothing."""
    joined = ""
    for finding in findings:
        if finding.message not in joined:
            joined = f"{joined} {finding.message}".lstrip()
    return joined


def recorded_vanishing(previous: object) -> Finding | None:
    """What the object already says of a job that vanished before it ended."""
    for condition in read_conditions(previous):
        if (condition["type"], condition["status"], condition.get("reason")) == (FAILURE, "True", JOB_NOT_FOUND):
            return Finding(JOB_NOT_FOUND, condition.get("message", ""))
    return None


def bound_message(message: str) -> str:
    """At most MAX_MESSAGE characters, in a form that comes back from the API server unchanged."""
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    return message.encode(errors="replace").decode()


def bound_reason(reason: str) -> str:
    """The reason as Kubernetes wants them, one short word, whatever SageMaker or an error called it."""
    return _NO_REASON.sub("", reason)[:MAX_REASON] or UNKNOWN


def _in_status(observation: Observation) -> str:
    return f"TrainingJob is in {observation.status} status."  # ACK's words, which scripts match


def _cells(status: str, finding: Finding, *types: str) -> dict[str, Cell]:
    return dict.fromkeys(types, Cell(status, finding.reason, finding.message))


def _render(name: str, cell: Cell, before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    since = format_second(now)
    if before and before["status"] == cell.status and parse_time(before.get("lastTransitionTime")):
        since = before["lastTransitionTime"]
    return {
        "type": name,
        "status": cell.status,
        "lastTransitionTime": since,
        "reason": bound_reason(cell.reason),
        "message": bound_message(cell.message),
    }


def read_conditions(conditions: object) -> Iterator[dict[str, str]]:
    """Those entries that are conditions, with nothing but text in them."""
    if not isinstance(conditions, Sequence):
        return
    for condition in conditions:
        if isinstance(condition, Mapping):
            texts = {key: value for key, value in condition.items() if isinstance(value, str)}
            if "type" in texts and "status" in texts:
                yield texts
