"""Observed state of one training job.

Contains the conversion of DescribeTrainingJob's and ListTrainingJobs' answers to the observed part of `.status`, and
the order of answers. Not here: conditions (conditions.py), fields derived from the job's location, the desired state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.jobs.failure_reason import hide_commands
from trainingjob_operator.logic.objects.field_table import STATUS
from trainingjob_operator.logic.timestamps import normalize_time, parse_time

if TYPE_CHECKING:
    from trainingjob_operator.logic.objects.field_table import Members, Shape

COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
ENDED = frozenset({COMPLETED, FAILED, STOPPED})
"""Final TrainingJobStatus values; any other value, known or not, counts as running."""

_OWN_PHASES = ENDED | {"Stopping"}
"""TrainingJobStatus values that are secondary statuses, too."""

ISSUES_FOUND = "IssuesFound"
RULE_ENDED = frozenset({"NoIssuesFound", ISSUES_FOUND, "Error", "Stopped"})
"""Final RuleEvaluationStatus values."""
_RULES = {"DebugRule": "debugRuleEvaluationStatuses", "ProfilerRule": "profilerRuleEvaluationStatuses"}

WARM_POOL_GONE = frozenset({"Terminated", "Reused"})
WARM_POOL_MARGIN = timedelta(minutes=5)
"""Maximum time after its keep-alive period that SageMaker shows a warm pool as Available."""

MAX_TEXT = 2048
"""Maximum length of a text in characters; the longest bound of the API, so that only invalid text is cut."""
MAX_ITEMS = 300
"""Maximum number of items of a list, the newest: the object must stay far below etcd's 1.5 MiB."""

_TRANSITIONS = "secondaryStatusTransitions"


class _Side(Enum):
    """The naming side of a mapping: API or object."""

    API = "SageMaker's"
    STATUS = "ours"


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    # The API server would return a lone surrogate changed, and cause an endless write loop.
    return value[:MAX_TEXT].encode(errors="replace").decode()


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON cannot express the others
    return value if -(2**63) <= value < 2**63 else None


def _integer(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) and abs(number) < 2**63 else None


_SCALARS: Mapping[str, Callable[[object], Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _text,
    "timestamp": normalize_time,
}
_SUMMARY: Members = {
    name: STATUS[name]
    for name in (
        "creationTime",
        "lastModifiedTime",
        "secondaryStatus",
        "trainingEndTime",
        "trainingJobStatus",
        "warmPoolStatus",
    )
}
"""Fields of a ListTrainingJobs summary."""
UNSEEN: Mapping[str, Any] = {"trainingJobStatus": "InProgress", "secondaryStatus": "Starting"}
"""`.status` of a job accepted by SageMaker and not described yet; it has no creationTime."""
_RECORDED: Members = {
    **STATUS,
    "billableInstanceSeconds": ("", "integer"),
    "duration": ("", "string"),
    "managedSpotTrainingSavings": ("", "integer"),
}


def _read(shape: Shape, value: object, side: _Side) -> Any:
    """Return the value in the form of `.status`, or None if no part of it is usable."""
    if isinstance(shape, dict):
        return _read_members(shape, value, side) or None
    if isinstance(shape, list):
        if not isinstance(value, list | tuple):
            return None
        items = (_read(shape[0], item, side) for item in value[-MAX_ITEMS:])
        return [item for item in items if item is not None] or None
    return _SCALARS[shape](value)


def _read_members(members: Members, value: object, side: _Side) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    ours = side is _Side.STATUS
    return {
        name: item
        for name, (member, shape) in members.items()
        if (told := value.get(name if ours else member)) is not None and (item := _read(shape, told, side)) is not None
    }


def _read_fields(members: Members, value: object, side: _Side) -> dict[str, Any]:
    """Return the observed part of `.status`; transitions without status or start time are dropped."""
    fields = _read_members(members, value, side)
    usable = [item for item in fields.pop(_TRANSITIONS, ()) if "status" in item and "startTime" in item]
    return {**fields, _TRANSITIONS: usable} if usable else fields


def _savings(answer: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, int]:
    """Return the savings of managed spot training in percent: (1 − billable ÷ training) × 100."""
    training, billable = observed.get("trainingTimeInSeconds"), observed.get("billableTimeInSeconds")
    if answer.get("EnableManagedSpotTraining") is not True or billable is None or not training or training < 0:
        return {}
    return {"managedSpotTrainingSavings": min(max(round((1 - billable / training) * 100), 0), 100)}


def _duration(observed: Mapping[str, Any]) -> dict[str, str]:
    """Return the training time of an ended job; for a running job it would be outdated at once."""
    seconds = observed.get("trainingTimeInSeconds")
    if observed.get("trainingJobStatus") not in ENDED or seconds is None or seconds < 0:
        return {}
    hours, minutes = seconds // 3600, seconds // 60 % 60
    parts = [(hours, f"{hours}h"), (hours or minutes, f"{minutes}m"), (True, f"{seconds % 60}s")]
    return {"duration": "".join(text for is_shown, text in parts if is_shown)}


def _instances(answer: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of billed instances by type, over all groups; empty for a serverless job."""
    resources = answer.get("ResourceConfig")
    if not isinstance(resources, Mapping):
        return {}
    groups = resources.get("InstanceGroups")
    members = [group for group in groups if isinstance(group, Mapping)] if isinstance(groups, list) else []
    found = [(group.get("InstanceType"), group.get("InstanceCount")) for group in members or [resources]]
    if "SelectedInstanceType" in resources:
        found = [(resources["SelectedInstanceType"], resources.get("SelectedInstanceCount"))]
    counts: dict[str, int] = {}
    for kind, number in found:
        name, count = _text(kind), _integer(number)
        if name and count is not None and count > 0:
            counts[name] = counts.get(name, 0) + count
    return counts


def _billable_instance_seconds(instances: Mapping[str, int], observed: Mapping[str, Any]) -> dict[str, int]:
    """Return the billable seconds of all instances: SageMaker's billable time is that of one."""
    billable, count = observed.get("billableTimeInSeconds"), sum(instances.values())
    seconds = None if billable is None or billable < 0 or count == 0 else _integer(billable * count)
    return {} if seconds is None else {"billableInstanceSeconds": seconds}


def _instance_type(answer: Mapping[str, Any]) -> str | None:
    """Return the type chosen by SageMaker, or the requested one; for a heterogeneous cluster, the first one."""
    resources = answer.get("ResourceConfig")
    if not isinstance(resources, Mapping):
        return None
    groups = resources.get("InstanceGroups")
    first = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], Mapping) else {}
    found = (resources.get("SelectedInstanceType"), resources.get("InstanceType"), first.get("InstanceType"))
    return next((text for value in found if (text := _text(value))), None)


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """Evaluation of one debug or profiler rule."""

    kind: str
    """DebugRule or ProfilerRule."""
    name: str
    status: str
    details: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of SageMaker about one job, in the form of `.status`, without unusable values."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """The observed part of `.status`, under its names, JSON values only."""
    job_name: str | None = None
    arn: str | None = None
    instance_type: str | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    """Number of instances by type, from DescribeTrainingJob."""
    is_spot: bool = False
    """Managed spot training, from DescribeTrainingJob."""
    whole: bool = True
    """True for a complete answer: a missing field is one that SageMaker does not return."""

    @classmethod
    def from_describe(cls, answer: object) -> Observation:
        """Convert DescribeTrainingJob's answer from boto3 (aware datetimes); accepts any value."""
        if not isinstance(answer, Mapping):
            return cls(whole=False)
        observed, instances = _read_fields(STATUS, answer, _Side.API), _instances(answer)
        billable = _billable_instance_seconds(instances, observed)
        return cls(
            fields={**observed, **_savings(answer, observed), **_duration(observed), **billable},
            job_name=_text(answer.get("TrainingJobName")),
            arn=_text(answer.get("TrainingJobArn")),
            instance_type=_instance_type(answer),
            instances=instances,
            is_spot=answer.get("EnableManagedSpotTraining") is True,
            whole="trainingJobStatus" in observed,
        )

    @classmethod
    def from_summary(cls, summary: object) -> Observation:
        """Convert one of ListTrainingJobs' TrainingJobSummaries; accepts any value."""
        if not isinstance(summary, Mapping):
            return cls(whole=False)
        return cls(
            fields=_read_fields(_SUMMARY, summary, _Side.API),
            job_name=_text(summary.get("TrainingJobName")),
            arn=_text(summary.get("TrainingJobArn")),
            whole=False,
        )

    @classmethod
    def from_status(cls, status: object) -> Observation:
        """Restore the last observation from an object's `.status`, this operator's or ACK's; accepts any value."""
        fields = _read_fields(_RECORDED, status, _Side.STATUS)
        is_unseen = "creationTime" not in fields and fields.items() >= UNSEEN.items()
        return cls({name: value for name, value in fields.items() if name not in UNSEEN} if is_unseen else fields)

    def summary(self) -> Observation:
        """The fields of a ListTrainingJobs summary: sufficient for a sweep."""
        kept = {name: self.fields[name] for name in _SUMMARY if name in self.fields}
        return Observation(kept, self.job_name, self.arn, whole=False)

    @property
    def status(self) -> str:
        """TrainingJobStatus; empty if never observed."""
        return str(self.fields.get("trainingJobStatus", ""))

    @property
    def secondary_status(self) -> str:
        return str(self.fields.get("secondaryStatus", ""))

    @property
    def phase(self) -> tuple[str, str]:
        """Both statuses; every state change of a job changes one of them."""
        return self.status, self.secondary_status

    @property
    def failure_reason(self) -> str:
        """SageMaker's failureReason without the quoted command lines."""
        return hide_commands(str(self.fields.get("failureReason", "")))

    @property
    def last_message(self) -> str:
        """SageMaker's last status message without command lines; empty for a state known from a list only."""
        messages = [item["statusMessage"] for item in self.transitions if item.get("statusMessage")]
        return hide_commands(messages[-1]) if messages and not self.is_from_list_only() else ""

    @property
    def creation_time(self) -> datetime | None:
        return parse_time(self.fields.get("creationTime"))

    @property
    def last_modified_time(self) -> datetime | None:
        return parse_time(self.fields.get("lastModifiedTime"))

    @property
    def end_time(self) -> datetime | None:
        """End of the job, or its latest known time."""
        return parse_time(self.fields.get("trainingEndTime")) or self.last_modified_time or self.creation_time

    @property
    def transitions(self) -> list[dict[str, Any]]:
        """The secondary statuses in order: status, startTime, optionally endTime and statusMessage."""
        return list(self.fields.get(_TRANSITIONS, ()))

    @property
    def warm_pool(self) -> str | None:
        """WarmPoolStatus.Status; None without one."""
        pool: str | None = self.fields.get("warmPoolStatus", {}).get("status")
        return pool

    @property
    def running_rule(self) -> tuple[str, str] | None:
        """The first running rule: DebugRule or ProfilerRule, and its status."""
        is_profiling = self.fields.get("profilingStatus") != "Disabled"
        running = (rule for rule in self._rules() if rule.status not in RULE_ENDED)
        return next(((rule.kind, rule.status) for rule in running if is_profiling or rule.kind == "DebugRule"), None)

    @property
    def rule_issues(self) -> list[RuleStatus]:
        """The rules with IssuesFound."""
        return [rule for rule in self._rules() if rule.status == ISSUES_FOUND]

    def _rules(self) -> Iterator[RuleStatus]:
        for kind, field_name in _RULES.items():
            for rule in self.fields.get(field_name, ()):
                name, details = rule.get("ruleConfigurationName", ""), hide_commands(rule.get("statusDetails", ""))
                yield RuleStatus(kind, name, rule.get("ruleEvaluationStatus", "Error"), details)

    def is_ended(self) -> bool:
        return self.status in ENDED

    def is_from_list_only(self) -> bool:
        """True if the newest state comes from a list only, without transitions."""
        transitions = self.transitions
        if not transitions:
            return self.fields.keys() <= _SUMMARY.keys()
        return bool(transitions[-1]["status"] != self.secondary_status)

    def rules_running(self) -> bool:
        return self.running_rule is not None

    def warm_pool_alive(self, now: datetime, keep_alive_seconds: int | None) -> bool:
        """Return True if instances are, or soon will be, kept for the next job.

        A warm pool may appear after the job's end, but only after a success: otherwise SageMaker releases the
        instances.
        """
        pool, end = self.warm_pool, self.end_time
        if not self.is_ended() or not keep_alive_seconds or keep_alive_seconds < 0 or end is None:
            return False
        if pool in WARM_POOL_GONE or (pool is None and self.status != COMPLETED):
            return False
        return now - end < timedelta(seconds=keep_alive_seconds) + WARM_POOL_MARGIN

    @property
    def has_rules(self) -> bool:
        return any(True for _ in self._rules())

    @property
    def last_news_time(self) -> datetime | None:
        """The latest change of the job or one of its rules."""
        told = (rule.get("lastModifiedTime") for kind in _RULES.values() for rule in self.fields.get(kind, ()))
        times = (self.last_modified_time, *(parse_time(time) for time in told))
        return max((time for time in times if time is not None), default=None)

    def needs_following(self, now: datetime, keep_alive_seconds: int | None) -> bool:
        """Return True while SageMaker may still update this job."""
        return not self.is_ended() or self.rules_running() or self.warm_pool_alive(now, keep_alive_seconds)

    def is_same_run_as(self, other: Observation) -> bool:
        """Return True if both may belong to one run: a name is free again after DeleteTrainingJob.

        Compares whole seconds, the precision of ACK's record.
        """
        ours, theirs = self.creation_time, other.creation_time
        return ours is None or theirs is None or ours.replace(microsecond=0) == theirs.replace(microsecond=0)

    def is_newer_than(self, other: Observation) -> bool:
        """Return True if this answer is certainly newer: an end is newer than any other state."""
        if self.is_ended() != other.is_ended():
            return self.is_ended()
        ours, theirs = self.last_modified_time, other.last_modified_time
        return ours is not None and (theirs is None or ours > theirs)

    def shows_change_from(self, seen: Observation) -> bool:
        """Return True if this summary shows a change that requires a Describe.

        A field missing from either is unknown, not changed.
        """
        if self.is_ended() != seen.is_ended():
            return self.is_ended()
        ours, theirs = self.last_modified_time, seen.last_modified_time
        if ours is not None and theirs is not None and ours != theirs:
            return ours > theirs
        return self.has_other_phase_than(seen) or self.warm_pool not in (None, seen.warm_pool)

    def has_other_phase_than(self, seen: Observation) -> bool:
        """Return True if this answer has a status that differs from the known one."""
        return any(told and told != known for told, known in zip(self.phase, seen.phase, strict=True))

    def updated_by(self, answer: Observation) -> Observation:
        """Merge another answer; a stale one, or one about another run, changes nothing."""
        before = self if self.status else Observation(job_name=self.job_name, arn=self.arn)  # without a known run
        if before.is_newer_than(answer) or not answer.is_same_run_as(before):
            return self
        known = dict(answer.fields) if answer.whole else {**before.fields, **answer.fields}
        if answer.status in _OWN_PHASES and not answer.secondary_status:
            known["secondaryStatus"] = answer.status  # the known value belongs to an earlier status
        if transitions := _joined(before.transitions, answer.transitions):
            known[_TRANSITIONS] = transitions
        return Observation(
            known,
            answer.job_name or self.job_name,
            answer.arn or self.arn,
            answer.instance_type or self.instance_type,
            answer.instances or self.instances,
            answer.is_spot or self.is_spot,
        )


def _joined(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge transitions in order of their start; for duplicates the later one is kept."""
    latest = {(item["status"], item["startTime"]): item for item in (*before, *after)}
    # Texts with and without milliseconds do not sort as text. The sort is stable: ties keep SageMaker's order.
    return sorted(latest.values(), key=lambda item: datetime.fromisoformat(item["startTime"]))[-MAX_ITEMS:]
