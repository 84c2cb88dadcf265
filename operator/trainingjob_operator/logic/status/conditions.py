"""Conditions of a TrainingJob: types, reasons, and the table from situation to conditions.

Argo CD, Flux, kubectl and users read them. Not here: the observed state (observation.py), the other fields of `.status`
(contents.py) and Events (events.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.failure_reason import ALGORITHM_ERROR, CLASSES, classify_failure
from trainingjob_operator.logic.jobs.observation import COMPLETED, FAILED, MAX_ITEMS, STOPPED, Observation, RuleStatus
from trainingjob_operator.logic.timestamps import format_second, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from trainingjob_operator.logic.status.report import Report

# Condition types in list order: Argo CD walks the list and stops at ACK.Terminal or Ready.
TERMINAL = "ACK.Terminal"
RECOVERABLE = "ACK.Recoverable"
ADVISORY = "ACK.Advisory"
RESOURCE_SYNCED = "ACK.ResourceSynced"
READY = "Ready"
STALLED = "Stalled"
"""Never set for an error with a retry soon: Stalled=True ends a Flux rollout."""
COMPLETE = "Complete"
FAILURE = "Failed"
FINISHED = "Finished"
"""True at every end of a job: `kubectl wait` cannot wait for "Complete or Failed"."""
SETTLED = "Settled"
"""True once the object is Complete or Stalled: every object reaches it, with or without a job; an edit removes it."""
ADOPTED = "ACK.Adopted"
OBSERVED = "ACK.Observed"
"""The object is read-only. A CRD of ACK keeps this condition but prunes the recorded claim."""
ROLE_SELECTED = "ACK.IAMRoleSelected"
"""An IAMRoleSelector selects the object's role. Once written, the condition stays: it shows that one did."""
TYPES = (
    TERMINAL, RECOVERABLE, ADVISORY, RESOURCE_SYNCED, READY, STALLED, COMPLETE, FAILURE, FINISHED, SETTLED, ADOPTED,
    OBSERVED, ROLE_SELECTED,
)  # fmt: skip

FAILURES = {name: name for name in CLASSES - {ALGORITHM_ERROR}}
"""Reasons of failures outside the algorithm, by class of failureReason."""

OUTCOMES: Mapping[str, str] = {COMPLETED: "Succeeded", FAILED: "Failed", STOPPED: "Stopped"}
"""Outcomes of an ended job, by its status."""
LOST = "Lost"
"""Outcome of an object whose job no longer exists."""

STOP_CAUSES: Mapping[str, str] = {
    reasons.JOB_STOPPED: "The training job was stopped.",
    reasons.MAX_RUNTIME_EXCEEDED: "The training job was stopped: it ran longer than maxRuntimeInSeconds.",
    reasons.MAX_WAIT_TIME_EXCEEDED: "The training job was stopped: it waited longer than maxWaitTimeInSeconds.",
}

MAX_MESSAGE = 2000
"""Maximum length of a message in characters; the longest failureReason has 1,024."""
MAX_REASON = 128
"""Maximum length of a reason in characters; Kubernetes permits 1,024."""
_NO_REASON = re.compile(r"^[^A-Za-z]+|[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Cell:
    """Status, reason and message of one condition."""

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
    """Return the complete list: the operator's conditions in the order of TYPES, then those of other writers.

    `previous` is the list in the object, in any shape; `observation` is the merged state of the job. lastTransitionTime
    changes only with the condition's status. Other ACK.* conditions (LateInitialized, …) are dropped: they describe
    actions of a controller no longer in charge of the object.
    """
    before: dict[str, dict[str, Any]] = {}
    for condition in read_conditions(previous):
        before.setdefault(condition["type"], condition)  # keeps the order stable across writes
    cells = decide_cells(report, observation)
    selected = _show_selection(before.get(ROLE_SELECTED), report, observation)
    if selected is not None:
        cells[ROLE_SELECTED] = selected
    ours = [_render(name, cells[name], before.get(name), now) for name in TYPES if name in cells]
    others = [condition for name, condition in before.items() if name not in TYPES and not name.startswith("ACK.")]
    return ours + others[:MAX_ITEMS]


def decide_cells(report: Report, observation: Observation) -> dict[str, Cell]:
    """Return the conditions by type: the row for the job's state, then errors, edits and advisories on top."""
    cells = _row(report, observation)
    is_settled = STALLED in cells or COMPLETE in cells
    if is_settled:
        cells[SETTLED] = replace(cells[READY], status="True")
    advisories = list(report.advisories)
    if report.terminal and FINISHED in cells:
        advisories.append(report.terminal)  # the end state is final; a later refusal becomes an advisory
    if rule := observation.running_rule if observation.is_ended() else None:
        cells[RESOURCE_SYNCED] = Cell("False", reasons.RULES_RUNNING, f"{rule[0]} is in {rule[1]} status.")
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
        cells[OBSERVED] = Cell("True", reasons.READ_ONLY, "Read-only: the operator never changes the training job.")
    if report.adopted:
        cells[ADOPTED] = Cell("True", reasons.ADOPTED, "The training job existed before this object.")
    return cells


def _show_selection(recorded: Mapping[str, str] | None, report: Report, observation: Observation) -> Cell | None:
    """Return the condition about the selected role; None for an object that was never selected.

    The end of the job fixes it: no change of a selector causes a write of a finished object.
    """
    if not observation.is_ended() and report.selection is not None:
        return Cell("True", reasons.ROLE_SELECTED, report.selection.sentence)
    if recorded is None:
        return None
    if not observation.is_ended():
        hindrance = report.hindrance
        if hindrance is None:
            return Cell("False", reasons.ROLE_NOT_SELECTED, "No IAMRoleSelector matches this object any more.")
        if hindrance.reason in (reasons.ROLE_SELECTORS_CONFLICT, reasons.ROLE_SELECTOR_GONE):
            return Cell("False", hindrance.reason, hindrance.message)
    return Cell(recorded["status"], recorded.get("reason", ""), recorded.get("message", ""))


def _row(report: Report, observation: Observation) -> dict[str, Cell]:
    """Return the first row of the table for the state of the job; an end state has precedence."""
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
    """Return the progress of a job without an end state or a permanent error."""
    if observation.status:
        reason = reasons.DELETING if report.deleting else observation.secondary_status or observation.status
        return Finding(reason, _in_status(observation))
    if report.deleting:
        return Finding(reasons.DELETING, "The operator is verifying that no training job of this object is running.")
    if report.arn:
        return Finding(reasons.CREATED, "SageMaker accepted the training job; its status has not been read yet.")
    if report.waiting:
        return Finding(reasons.WAITING, report.waiting.message)
    if report.hindrance and report.hindrance.waiting:
        return Finding(reasons.WAITING, report.hindrance.message)
    if report.retrying:
        return report.retrying
    return Finding(reasons.PENDING, "The training job has not been created yet.")


def outcome_of(report: Report, observation: Observation) -> str | None:
    """Return the outcome of the object in one word; None while it is open.

    An object without a job is Refused, for any reason; an edit can reopen it.
    """
    if observation.is_ended():
        return OUTCOMES[observation.status]
    if report.vanished:
        return LOST
    return reasons.REFUSED if report.terminal else None


def end_of(observation: Observation) -> Finding:
    """Return the end state of the job and its cause."""
    if observation.status == COMPLETED:
        return Finding(reasons.JOB_COMPLETED, _in_status(observation))
    if observation.status == FAILED:
        text = observation.failure_reason
        return Finding(FAILURES.get(classify_failure(text), reasons.JOB_FAILED), text or _in_status(observation))
    cause = observation.secondary_status if observation.secondary_status in STOP_CAUSES else reasons.JOB_STOPPED
    message, words = STOP_CAUSES[cause], observation.last_message
    if words:
        message = f"{message} SageMaker's last status message: {words}"
    return Finding(cause, observation.failure_reason or message)


def describe_issues(rule: RuleStatus) -> Finding:
    """Return the finding for a rule with issues."""
    message = f"{rule.kind} {rule.name} is in {rule.status} status"
    return Finding(reasons.RULE_ISSUES_FOUND, f"{message}: {rule.details}" if rule.details else f"{message}.")


def _join(findings: Sequence[Finding]) -> str:
    """Join the messages, without repetitions: a message restored from `.status` may contain several others."""
    joined = ""
    for finding in findings:
        if finding.message not in joined:
            joined = f"{joined} {finding.message}".lstrip()
    return joined


def recorded_vanishing(previous: object) -> Finding | None:
    """Return the JobNotFound failure recorded in the object's conditions, if any."""
    for condition in read_conditions(previous):
        is_true = (condition["type"], condition["status"]) == (FAILURE, "True")
        if is_true and condition.get("reason") == reasons.JOB_NOT_FOUND:
            return Finding(reasons.JOB_NOT_FOUND, condition.get("message", ""))
    return None


def bound_message(message: str) -> str:
    """Limit the message to MAX_MESSAGE characters and to text that the API server stores unchanged."""
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    return message.encode(errors="replace").decode()


def bound_reason(reason: str) -> str:
    """Convert any text to a valid condition reason: one CamelCase word."""
    return _NO_REASON.sub("", reason)[:MAX_REASON] or reasons.UNKNOWN


def _in_status(observation: Observation) -> str:
    return f"TrainingJob is in {observation.status} status."  # ACK's sentence; scripts match it


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
    """Yield the valid conditions of a list, reduced to their string fields."""
    if not isinstance(conditions, Sequence):
        return
    for condition in conditions:
        if isinstance(condition, Mapping):
            texts = {key: value for key, value in condition.items() if isinstance(value, str)}
            if "type" in texts and "status" in texts:
                yield texts
