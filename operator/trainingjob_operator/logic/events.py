"""Drafts of Kubernetes Events: what became known between two states of `.status`.

Drafts only: kube/events.py sends them. The same news gives the same key, so that a repeat after a crash is seen
to be one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trainingjob_operator.logic import conditions
from trainingjob_operator.logic.observation import COMPLETED, FAILED, STOPPED, Observation
from trainingjob_operator.logic.timestamps import parse_time

if TYPE_CHECKING:
    from trainingjob_operator.logic.report import Report

# Reasons. A transition's reason is its secondary status; an error's is that of its condition.
CREATED = "Created"
"""SageMaker has taken the job."""
ADOPTED = "Adopted"
"""The object has taken up a job that existed before it."""
END_REASONS: Mapping[str, str] = {COMPLETED: "JobCompleted", FAILED: "JobFailed", STOPPED: "JobStopped"}
"""By trainingJobStatus. A transition of nearly the same name comes with SageMaker's words, this with the outcome."""

ALARMING = frozenset({"Failed", "Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})
"""Secondary statuses that deserve a Warning."""

MAX_NOTE = 1000
"""Bytes of one message; the API server takes 1,024."""

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One Event to be; `key` tells it from every other of the same object."""

    type: EventType
    reason: str
    message: str
    key: str


def drafts(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> list[EventDraft]:
    """The news between the status in the object and the whole wanted one (nothing pruned), oldest first."""
    before, after = Observation.from_status(previous), Observation(wanted)
    return [
        *_creation(previous, wanted, report),
        *_transitions(before, after),
        *_end(before, after),
        *_errors(previous, wanted, report),
    ]


def _creation(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    arn = _arn(wanted)
    if arn and not _arn(previous):
        if report.adopted:
            yield _draft("Normal", ADOPTED, f"Adopted the training job {arn}.", key=f"{ADOPTED}/{arn}")
        else:
            yield _draft("Normal", CREATED, f"SageMaker has taken the training job {arn}.", key=f"{CREATED}/{arn}")


def _transitions(before: Observation, after: Observation) -> Iterator[EventDraft]:
    told = {(item["status"], item["startTime"]) for item in before.transitions}
    # ACK's CRD keeps no transitions. There, whatever began before the last change that was seen has been told.
    told_until = None if told else before.last_modified_time
    for item in after.transitions:
        status, start = item["status"], item["startTime"]
        began = parse_time(start)
        if (status, start) in told or (told_until and began and began <= told_until):
            continue
        message = item.get("statusMessage") or f"The training job is in secondary status {status}."
        yield _draft("Warning" if status in ALARMING else "Normal", status, message, key=f"{status}@{start}")


def _end(before: Observation, after: Observation) -> Iterator[EventDraft]:
    if after.is_ended() and not before.is_ended():
        reason = END_REASONS[after.status]
        end = conditions.end_of(after)
        yield _draft("Normal" if after.status == COMPLETED else "Warning", reason, end.message, key=reason)


def _errors(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    """What the conditions say for the first time; a retry that ends alike says nothing new."""
    told, tell = _error_messages(previous), _error_messages(wanted)
    errors = (report.terminal, report.vanished, report.hindrance, *report.advisories)
    news: list[tuple[EventType, str, str]] = [("Warning", error.reason, error.message) for error in errors if error]
    if edit := report.pending_edit:
        news.append(("Normal", edit.reason, edit.message))
    for kind, reason, message in news:
        shown = conditions.bound_message(message)
        if shown in tell and shown not in told:
            yield _draft(kind, reason, shown, key=f"{reason}: {shown}")


def _error_messages(status: Mapping[str, Any]) -> str:
    return "\n".join(
        condition.get("message", "")
        for condition in conditions.read_conditions(status.get("conditions"))
        if condition["status"] == "True"
        and condition["type"] in (conditions.TERMINAL, conditions.RECOVERABLE, conditions.ADVISORY)
    )


def _arn(status: Mapping[str, Any]) -> object:
    metadata = status.get("ackResourceMetadata")
    return metadata.get("arn") if isinstance(metadata, Mapping) else None


def _draft(kind: EventType, reason: str, message: str, key: str) -> EventDraft:
    note = message.encode(errors="replace")[:MAX_NOTE].decode(errors="ignore")
    return EventDraft(kind, conditions.bound_reason(reason), note, key)
