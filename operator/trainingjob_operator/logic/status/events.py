"""Drafts of Kubernetes Events, derived from the difference between two states of `.status`.

kube/events.py sends the drafts. The same change has the same key, so that a repetition after a crash is idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.jobs.failure_reason import hide_commands
from trainingjob_operator.logic.jobs.observation import COMPLETED, FAILED, STOPPED, Observation
from trainingjob_operator.logic.status import conditions
from trainingjob_operator.logic.timestamps import parse_time

if TYPE_CHECKING:
    from trainingjob_operator.logic.findings import Finding, Hindrance
    from trainingjob_operator.logic.status.report import Report

# A transition's reason is its secondary status; the reason of an error or a failed job is that of its condition.
ENDS = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})
"""Secondary statuses of an ended job, covered by the single Event for the end of the job."""
ALARMING = frozenset({"Interrupted"})
"""Other secondary statuses with an Event of type Warning."""

MAX_NOTE = 1000
"""Maximum size of a message in bytes; the API server permits 1,024."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One Event to send; `key` is unique among the Events of the object."""

    type: EventType
    reason: str
    message: str
    key: str
    order: str
    """Sort key (text): the position of the Event in the life of the job.

    It depends only on the content, so that a repetition after a crash has the same key. An Event of unknown time sorts
    behind the newest known transition.
    """


class _Rank(IntEnum):
    """Order of Events between two transitions; the first four precede all transitions."""

    WAITING = 0
    ERROR = 1
    REFUSAL = 2
    CREATION = 3
    TRANSITION = 4
    END = 5
    LATER = 6


def drafts(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> list[EventDraft]:
    """Return the Events for the change from the object's status to the desired one (unpruned), oldest first."""
    before, after = Observation.from_status(previous), Observation(wanted)
    return [
        *_turn(previous, wanted, report),
        *_retry(previous, wanted, report),
        *_creation(previous, wanted, report),
        *(() if report.is_past else _transitions(before, after)),
        *_rules(before, after),
        *(() if report.is_past and not before.status else _end(before, after)),
        *_errors(previous, wanted, report),
    ]


def _turn(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    """Report the wait for a turn once; a change of position is no Event."""
    waits = (conditions.READY, "False", reasons.WAITING)
    if report.waiting and waits in _kinds(wanted) and waits not in _kinds(previous):
        order = _order(_Rank.WAITING)
        yield _draft("Normal", reasons.WAITING, report.waiting.message, key=reasons.WAITING, order=order)


def _retry(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    """Report the end of an attempt that another one follows."""
    ended = _arn(previous)
    if report.retrying and ended and not _arn(wanted):
        order = _behind(Observation.from_status(previous), _Rank.END)
        yield _draft("Warning", report.retrying.reason, report.retrying.message, f"{reasons.RETRYING}/{ended}", order)


def _creation(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    arn = _arn(wanted)
    if arn and not _arn(previous) and (report.adopted or not report.is_past):
        reason = reasons.ADOPTED if report.adopted else reasons.CREATED
        message = (
            f"Adopted the training job {arn}." if report.adopted else f"SageMaker accepted the training job {arn}."
        )
        yield _draft("Normal", reason, message, key=f"{reason}/{arn}", order=_order(_Rank.CREATION))


def _transitions(before: Observation, after: Observation) -> Iterator[EventDraft]:
    known = {(item["status"], item["startTime"]) for item in before.transitions}
    # ACK's CRD prunes transitions. There, the operator has reported all transitions up to lastModifiedTime.
    known_until = None if known else before.last_modified_time
    for number, item in enumerate(after.transitions):
        status, start = item["status"], item["startTime"]
        began = parse_time(start)
        if status in ENDS or (status, start) in known or (known_until and began and began <= known_until):
            continue
        message = hide_commands(item.get("statusMessage", "")) or f"The training job is in secondary status {status}."
        kind: EventType = "Warning" if status in ALARMING else "Normal"
        yield _draft(kind, status, message, f"{status}@{start}", _order(_Rank.TRANSITION, began, number))


def _rules(before: Observation, after: Observation) -> Iterator[EventDraft]:
    known = {(rule.kind, rule.name) for rule in before.rule_issues}
    for rule in after.rule_issues:
        if (rule.kind, rule.name) not in known:
            finding = conditions.describe_issues(rule)
            key = f"{finding.reason}/{rule.kind}/{rule.name}"
            yield _draft("Warning", finding.reason, finding.message, key, _behind(after, _Rank.LATER))


def _end(before: Observation, after: Observation) -> Iterator[EventDraft]:
    if _is_end_known(after) and not _is_end_known(before):
        end = conditions.end_of(after)
        reason = {COMPLETED: reasons.COMPLETED_EVENT, STOPPED: reasons.STOPPED_EVENT}.get(after.status, end.reason)
        kind: EventType = "Normal" if after.status == COMPLETED else "Warning"
        yield _draft(kind, reason, end.message, f"End/{after.status}", _behind(after, _Rank.END))


def _is_end_known(observation: Observation) -> bool:
    """Return True for an ended job with a known failure reason: ListTrainingJobs returns no failure reason."""
    if observation.status != FAILED or observation.failure_reason:
        return observation.is_ended()
    return bool(observation.transitions) and not observation.is_from_list_only()


def _errors(previous: Mapping[str, Any], wanted: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    """Report each error message of the conditions once; a retry with the same error is no new Event."""
    known, new = _error_messages(previous), _error_messages(wanted)
    after = Observation(wanted) if _arn(wanted) else None
    news: list[tuple[EventType, _Rank, Finding | Hindrance]] = [
        ("Warning", _Rank.REFUSAL, error) for error in (report.terminal, report.vanished) if error
    ]
    if report.hindrance and not report.hindrance.waiting:
        news.append(("Warning", _Rank.ERROR, report.hindrance))
    news += [("Warning", _Rank.ERROR, advisory) for advisory in report.advisories]
    if edit := report.pending_edit:
        news.append(("Normal", _Rank.ERROR, edit))
    for kind, rank, error in news:
        shown = conditions.bound_message(error.message)
        if shown in new and shown not in known:
            order = _order(rank) if after is None else _behind(after, _Rank.LATER)
            yield _draft(kind, error.reason, shown, f"{error.reason}: {shown}", order)
    yield from _quota(previous, report)


def _quota(previous: Mapping[str, Any], report: Report) -> Iterator[EventDraft]:
    """Report the wait for quota or capacity once: the amounts in SageMaker's message change with each retry."""
    error = report.hindrance
    if error is None or not error.waiting:
        return
    if (conditions.RECOVERABLE, "True", conditions.bound_reason(error.reason)) not in _kinds(previous):
        yield _draft("Warning", error.reason, error.message, error.reason, _order(_Rank.WAITING))


def _kinds(status: Mapping[str, Any]) -> set[tuple[str, str, str | None]]:
    """Return type, status and reason of each condition."""
    found = conditions.read_conditions(status.get("conditions"))
    return {(condition["type"], condition["status"], condition.get("reason")) for condition in found}


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


def _behind(after: Observation, rank: _Rank) -> str:
    """Return a sort key behind all known transitions and the end of the job."""
    transitions = after.transitions
    began = parse_time(transitions[-1]["startTime"]) if transitions else None
    ended = after.end_time if after.is_ended() else None
    newest = max((moment for moment in (began, ended) if moment), default=None)
    return _order(rank, newest, len(transitions))


def _order(rank: _Rank, moment: datetime | None = None, number: int = 0) -> str:
    """Build the sort key; `number` separates transitions with the same start time."""
    milliseconds = max(0, (moment - _EPOCH) // timedelta(milliseconds=1)) if moment else 0
    return f"{milliseconds:012x}{number:03x}{rank:x}"


def _draft(kind: EventType, reason: str, message: str, key: str, order: str) -> EventDraft:
    note = message.encode(errors="replace")[:MAX_NOTE].decode(errors="ignore")
    return EventDraft(kind, conditions.bound_reason(reason), note, key, order)
