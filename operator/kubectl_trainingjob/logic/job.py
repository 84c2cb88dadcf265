"""What a person wants to know of a TrainingJob object, read from its metadata, spec and status.

Works with the project's CRD and with ACK's, which keeps only a part of the status. Every value may be missing or have
another type: the object may be written by any controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.jobs.observation import COMPLETED, FAILED, STOPPED
from trainingjob_operator.logic.naming import parse_arn
from trainingjob_operator.logic.status.conditions import (
    ADVISORY,
    COMPLETE,
    FAILURE,
    LOST,
    OBSERVED,
    OUTCOMES,
    READY,
    RECOVERABLE,
    STALLED,
    STOP_CAUSES,
    TERMINAL,
    read_conditions,
)
from trainingjob_operator.logic.status.contents import LOG_GROUP
from trainingjob_operator.logic.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from trainingjob_operator.logic.naming import Identity

RESOURCE = "trainingjobs.sagemaker.services.k8s.aws"
KIND = "trainingjob.sagemaker.services.k8s.aws"
"""Prefix of `-o name`, as kubectl writes it."""


class Outcome(Enum):
    """Situation of an object in one word."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    REFUSED = "refused"
    """The operator stopped trying, and no job ended."""
    LOST = "lost"
    """SageMaker no longer has the job, which had not ended."""
    RUNNING = "running"
    WAITING = "waiting"
    """There is no job yet."""

    @property
    def is_final(self) -> bool:
        return self not in (Outcome.RUNNING, Outcome.WAITING)


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of status.conditions; texts are empty if missing."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One secondary status of the job."""

    status: str
    start: datetime
    end: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A TrainingJob object."""

    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return as_text(self._metadata.get("name"))

    @property
    def namespace(self) -> str:
        return as_text(self._metadata.get("namespace"))

    @property
    def created(self) -> datetime | None:
        """Creation of the object."""
        return parse_time(self._metadata.get("creationTimestamp"))

    @property
    def is_deleting(self) -> bool:
        return bool(self._metadata.get("deletionTimestamp"))

    @property
    def annotations(self) -> Mapping[str, Any]:
        return as_mapping(self._metadata.get("annotations"))

    @property
    def spec(self) -> Mapping[str, Any]:
        return as_mapping(self.body.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        return as_mapping(self.body.get("status"))

    @property
    def job_name(self) -> str:
        """Name of the job in SageMaker; empty if nothing names it.

        With an ARN never another job's name: a CRD other than the project's permits edits of spec.trainingJobName.
        """
        names = [self.text("trainingJobName"), as_text(self.spec.get("trainingJobName")), self.name]
        identity = self.identity
        if identity is None:
            return names[0] or names[1]
        return next((name for name in names if name.lower() == identity.job_name), identity.job_name)

    @property
    def arn(self) -> str:
        return as_text(as_mapping(self.status.get("ackResourceMetadata")).get("arn"))

    @property
    def identity(self) -> Identity | None:
        """Account, region and lower-case name of the job; None without a job."""
        return parse_arn(self.arn)

    @property
    def conditions(self) -> list[Condition]:
        return [
            Condition(
                type=each["type"],
                status=each["status"],
                reason=each.get("reason", ""),
                message=each.get("message", ""),
                since=parse_time(each.get("lastTransitionTime")),
            )
            for each in read_conditions(self.status.get("conditions"))
        ]

    def true_condition(self, kind: str) -> Condition | None:
        """Return the condition of this type if it is True."""
        return next((each for each in self.conditions if (each.type, each.status) == (kind, "True")), None)

    @property
    def ready(self) -> Condition | None:
        return next((each for each in self.conditions if each.type == READY), None)

    @property
    def terminal(self) -> Condition | None:
        return self.true_condition(TERMINAL)

    @property
    def recoverable(self) -> Condition | None:
        return self.true_condition(RECOVERABLE)

    @property
    def advisory(self) -> Condition | None:
        return self.true_condition(ADVISORY)

    @property
    def is_read_only(self) -> bool:
        return self.true_condition(OBSERVED) is not None

    @property
    def is_unproven(self) -> bool:
        """Nothing proves that the job was created for this object."""
        return self.advisory is not None and self.advisory.reason == reasons.OWNERSHIP_UNPROVEN

    @property
    def phase(self) -> str:
        """The phase as the operator writes it; SageMaker's status under ACK's CRD, which drops the phase."""
        return self.text("phase") or self.text("trainingJobStatus") or (self.ready.reason if self.ready else "")

    @property
    def secondary_status(self) -> str:
        return self.text("secondaryStatus")

    @property
    def outcome(self) -> Outcome:
        """The outcome as the operator writes it, else by the conditions: ACK's CRD drops the field."""
        return _WORDS.get(self.text("outcome")) or self._outcome_of_conditions

    @property
    def _outcome_of_conditions(self) -> Outcome:
        if self.true_condition(COMPLETE):
            return Outcome.SUCCEEDED
        if failure := self.true_condition(FAILURE):
            if failure.reason == reasons.JOB_NOT_FOUND:
                return Outcome.LOST
            return Outcome.STOPPED if failure.reason in STOP_CAUSES else Outcome.FAILED
        if self.true_condition(STALLED):
            return Outcome.REFUSED
        return _OUTCOMES.get(self.phase) or (Outcome.RUNNING if self.arn else Outcome.WAITING)

    @property
    def instance(self) -> str:
        """Number and type of the instances, such as 2 x ml.p3.2xlarge; empty if unknown."""
        config = as_mapping(self.status.get("resourceConfig")) or as_mapping(self.spec.get("resourceConfig"))
        groups = [group for group in as_list(config.get("instanceGroups")) if isinstance(group, Mapping)]
        shown = [_count(group) for group in groups or [config]]
        return " + ".join(filter(None, shown)) or self.text("instanceType")

    @property
    def instance_count(self) -> int:
        """Number of instances; 1 if unknown."""
        config = as_mapping(self.status.get("resourceConfig")) or as_mapping(self.spec.get("resourceConfig"))
        groups = [group for group in as_list(config.get("instanceGroups")) if isinstance(group, Mapping)]
        counts = [group.get("instanceCount") for group in groups or [config]]
        return sum(count for count in counts if isinstance(count, int)) or 1

    @property
    def billable_instance_seconds(self) -> int | None:
        """Billable time of all instances in seconds; None if it is unknown."""
        product, one = self.number("billableInstanceSeconds"), self.number("billableTimeInSeconds")
        return product if product is not None or one is None else one * self.instance_count

    @property
    def transitions(self) -> list[Transition]:
        return list(self._transitions())

    def _transitions(self) -> Iterator[Transition]:
        for each in as_list(self.status.get("secondaryStatusTransitions")):
            entry = as_mapping(each)
            start = parse_time(entry.get("startTime"))
            if start is not None and isinstance(entry.get("status"), str):
                end = parse_time(entry.get("endTime"))
                yield Transition(entry["status"], start, end, as_text(entry.get("statusMessage")))

    @property
    def status_message(self) -> str:
        """Message of the last transition; empty without one."""
        transitions = self.transitions
        return transitions[-1].message if transitions else ""

    @property
    def failure_reason(self) -> str:
        return self.text("failureReason")

    @property
    def log_group(self) -> str:
        return as_text(as_mapping(self.status.get("logs")).get("group")) or LOG_GROUP

    @property
    def log_prefix(self) -> str:
        """Prefix of the job's log streams; ACK's CRD drops it."""
        return as_text(as_mapping(self.status.get("logs")).get("streamPrefix")) or f"{self.job_name}/"

    @property
    def metric_definitions(self) -> list[tuple[str, str]]:
        """Name and regular expression of each metric in spec.algorithmSpecification.metricDefinitions."""
        algorithm = as_mapping(self.spec.get("algorithmSpecification"))
        entries = map(as_mapping, as_list(algorithm.get("metricDefinitions")))
        return [(as_text(each.get("name")), as_text(each.get("regex"))) for each in entries]

    @property
    def final_metrics(self) -> list[tuple[str, float, datetime | None]]:
        """Name, last value and time of each metric."""
        entries = map(as_mapping, as_list(self.status.get("finalMetricDataList")))
        return [
            (as_text(each.get("metricName")), float(each["value"]), parse_time(each.get("timestamp")))
            for each in entries
            if isinstance(each.get("value"), int | float)
        ]

    def text(self, field: str) -> str:
        """Return a text of the status; empty if it is missing."""
        return as_text(self.status.get(field))

    def number(self, field: str) -> int | None:
        """Return an integer of the status; None if it is missing."""
        value = self.status.get(field)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def time(self, field: str) -> datetime | None:
        """Return a time of the status; None if it is missing."""
        return parse_time(self.status.get(field))

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return as_mapping(self.body.get("metadata"))


_OUTCOMES = {COMPLETED: Outcome.SUCCEEDED, FAILED: Outcome.FAILED, STOPPED: Outcome.STOPPED}
"""By status of the job."""
_WORDS = {
    **{OUTCOMES[status]: outcome for status, outcome in _OUTCOMES.items()},
    LOST: Outcome.LOST,
    reasons.REFUSED: Outcome.REFUSED,
}
"""By the words of status.outcome."""


def _count(config: Mapping[str, Any]) -> str:
    count, kind = config.get("instanceCount"), as_text(config.get("instanceType"))
    return f"{count} x {kind}" if kind and isinstance(count, int) and count > 1 else kind


def as_text(value: object) -> str:
    """Return a text; empty for any other value."""
    return value if isinstance(value, str) else ""


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping; empty for any other value."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> Sequence[Any]:
    """Return a list; empty for any other value."""
    return value if isinstance(value, list) else ()
