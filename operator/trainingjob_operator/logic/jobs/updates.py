"""Plan for an edited spec: the changes to send now, the changes for a later phase, and the impossible ones.

UpdateTrainingJob accepts the profiler, additional profiler rules, remote debugging and the keep-alive period of the
warm pool, each in some phases only; AddTags and DeleteTags accept tags at any time. Not here: the time of the call
(decide/).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import TAG_PREFIX
from trainingjob_operator.logic.objects.fields import UPDATABLE
from trainingjob_operator.logic.objects.resource import mapping

KEEP_ALIVE = "resourceConfig.keepAlivePeriodInSeconds"
PROFILER, RULES, REMOTE_DEBUG = "profilerConfig", "profilerRuleConfigurations", "remoteDebugConfig"

TOO_EARLY = frozenset({"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack"})
"""Secondary statuses in which SageMaker accepts no update yet."""

REMOTE_DEBUG_PHASES = frozenset({"Downloading", "Training"})

_NAMES = {PROFILER: "ProfilerConfig", RULES: "ProfilerRuleConfigurations", REMOTE_DEBUG: "RemoteDebugConfig"}


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Actions for the differences between an object and its job."""

    members: Mapping[str, Any] = field(default_factory=dict)
    """Members of UpdateTrainingJob, without the job's name; empty if there is nothing to send now."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Fields below spec that SageMaker accepts later, with the required phase."""
    impossible: Mapping[str, str] = field(default_factory=dict)
    """Fields below spec that SageMaker never accepts, with the reason."""
    pool_seconds: int | None = None
    """The job's own keep-alive period while an edit of it is pending; it determines the life of the warm pool."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """Tags to add to and remove from a job."""

    add: Mapping[str, str]
    remove: tuple[str, ...]


def applied_fields(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the updatable parts of a spec, to be recorded: a removed part leaves no trace in the spec."""
    return tuple(part for part in (PROFILER, RULES) if spec.get(part))


def plan_update(
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    phase: Observation,
    differences: Sequence[str],
    applied: Collection[str],
) -> UpdatePlan:
    """Return the plan for an edit.

    :param request: the spec as CreateTrainingJob's members
    :param answer: DescribeTrainingJob's
    :param phase: the job's state after that answer
    :param differences: fields below spec, set by the user, with another value in the answer
    :param applied: updatable parts applied to the job by this operator
    """
    members: dict[str, Any] = {}
    waiting: dict[str, str] = {}
    impossible = {path: "is fixed at creation" for path in differences if _part(path) is None}
    parts = {part for path in differences if (part := _part(path)) is not None}
    parts |= {part for part in applied if _NAMES[part] not in request and _is_profiled(answer)}
    for part in sorted(parts):
        change = _change(part, request, answer)
        later = _waits_for(part, phase)
        if change is None or later is None:
            reason = _explain_refusal(part, phase, is_possible=change is not None)
            impossible.update((path, reason) for path in differences if _part(path) == part)
        elif later:
            waiting[part] = later
        else:
            members.update(change)
    pool_seconds = _keep_alive(answer) if KEEP_ALIVE in waiting else None
    return UpdatePlan(members, waiting, impossible, pool_seconds)


def _explain_refusal(part: str, phase: Observation, *, is_possible: bool) -> str:
    """Return the reason why SageMaker cannot apply the edit of a part.

    :param is_possible: SageMaker accepts such an edit in another phase of the job
    """
    if part == KEEP_ALIVE:
        if not is_possible:
            return "requires a warm pool, but the job was created without one"
        if phase.warm_pool:
            return f"requires a warm pool, but the job's pool is {phase.warm_pool}"
        return "requires the warm pool of a Completed job"
    if part == RULES and not is_possible:
        return "accepts additional rules only"
    if part == REMOTE_DEBUG:
        return f"can change only while the job is {' or '.join(sorted(REMOTE_DEBUG_PHASES))}"
    return f"cannot change once the job is {phase.status}"


def _keep_alive(answer: Mapping[str, Any]) -> int | None:
    """Return the job's own KeepAlivePeriodInSeconds."""
    seconds = mapping(answer.get("ResourceConfig")).get("KeepAlivePeriodInSeconds")
    return seconds if isinstance(seconds, int) else None


def plan_tags(
    wanted: Sequence[tuple[str, str]], present: Mapping[str, str], applied: Collection[str]
) -> TagChange | None:
    """Plan the change to the desired tags; only keys applied by this operator are removed."""
    own = {key: value for key, value in wanted if not key.startswith(TAG_PREFIX)}
    add = {key: value for key, value in own.items() if present.get(key) != value}
    remove = tuple(sorted(key for key in applied if key not in own and key in present and _is_user_key(key)))
    return TagChange(add, remove) if add or remove else None


def _is_user_key(key: str) -> bool:
    return not key.startswith((TAG_PREFIX, "aws:"))


def _part(path: str) -> str | None:
    """Return the updatable part of a path."""
    return next((part for part in UPDATABLE if path == part or path.startswith((f"{part}.", f"{part}["))), None)


def _is_profiled(answer: Mapping[str, Any]) -> bool:
    return answer.get("ProfilingStatus") != "Disabled"


def _change(part: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the members to send for one part; None if SageMaker cannot apply the change."""
    if part == KEEP_ALIVE:
        if _keep_alive(answer) is None:  # a warm pool cannot be added after creation
            return None
        return {"ResourceConfig": {"KeepAlivePeriodInSeconds": request["ResourceConfig"]["KeepAlivePeriodInSeconds"]}}
    name = _NAMES[part]
    if part in (PROFILER, RULES) and name not in request:
        return {"ProfilerConfig": {"DisableProfiler": True}}
    if part != RULES:
        return {name: request[name]}
    present = answer.get(name)
    rules = [rule for rule in present if isinstance(rule, Mapping)] if isinstance(present, list) else []
    known = {str(rule.get("RuleConfigurationName")): rule for rule in rules}
    wanted = {rule.get("RuleConfigurationName"): rule for rule in request[name]}
    added = [rule for key, rule in wanted.items() if key not in known]
    kept = all(key in wanted and _holds(wanted[key], rule) for key, rule in known.items())
    return {name: added} if added and kept else None


def _holds(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return True if the running rule matches all members set by the user."""
    return all(known.get(member, value) == value for member, value in wanted.items())


def _waits_for(part: str, phase: Observation) -> str | None:
    """Return the phase required by the part; empty if none is, None if that phase has passed."""
    if not phase.is_ended() and phase.status != "Stopping" and phase.secondary_status in TOO_EARLY:
        return "the start of the job"
    if part == KEEP_ALIVE:
        if not phase.is_ended():
            return None if phase.status == "Stopping" else "the status Completed"
        if phase.status != "Completed":
            return None
        pool = phase.warm_pool
        if not pool:
            return "its warm pool"
        return "" if pool in ("Available", "InUse") else None
    if phase.is_ended() or phase.status == "Stopping":
        return None
    if part == REMOTE_DEBUG:
        return "" if phase.secondary_status in REMOTE_DEBUG_PHASES else None
    return ""
