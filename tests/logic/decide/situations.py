"""Situations of one object: rows of the decision tables in this folder, and their shared data."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import (
    ACCOUNT,
    ARN,
    CLUSTER,
    JOB,
    REGION,
    SPEC,
    WANTED,
    claimed,
    recorded,
    remembered,
    resource,
)
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.updates import KEEP_ALIVE, UpdatePlan
from trainingjob_operator.logic.naming import Identity, Owner, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
    DELETION_POLICY,
    READ_ONLY,
    Defaults,
    Policy,
    resolve,
)
from trainingjob_operator.logic.objects.annotations import REGION as REGION_KEY
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.memory import Refusal, Trouble
from trainingjob_operator.logic.state.ownership import TagProof
from trainingjob_operator.logic.state.steps import Step, WriteStatus
from trainingjob_operator.logic.state.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping


NO_NAME = (
    "The job has no valid name. Set spec.trainingJobName, or use a metadata.name of 1 to 63 letters, digits and inner "
    "hyphens."
)
NOW = 1000.0
WALL = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEFAULTS = Defaults(ACCOUNT, REGION)

ELSEWHERE = Identity(ACCOUNT, "eu-central-1", JOB)
ARN_ELSEWHERE = build_arn("aws", ELSEWHERE)
RIVAL = "team-a/rival"


def job(status: str, **fields: Any) -> Observation:
    return Observation({"trainingJobStatus": status, "secondaryStatus": status, **fields})


RUNS, STOPPING, STOPPED = job("InProgress"), job("Stopping"), job("Stopped")
ENDED = job("Completed", profilingStatus="Disabled")
POOL: dict[str, Any] = {"trainingEndTime": "2026-11-21T11:59:00Z"}
POOLED = {**SPEC, "resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 600}}
LISTED_END = job("Completed", secondaryStatusTransitions=[{"status": "Training", "startTime": "2026-11-21T11:00:00Z"}])
FRESH, STALE = "2026-11-21T11:56:00Z", "2026-11-21T11:55:00Z"
NAMELESS = {name: value for name, value in SPEC.items() if name != "trainingJobName"}

MEMBERS = {"ProfilerConfig": {"DisableProfiler": True}}
TO_SEND = UpdatePlan(members=MEMBERS)
TO_WAIT = UpdatePlan(waiting={"profilerConfig": "the start of the job"})
NEVER = UpdatePlan(
    impossible={"stoppingCondition.maxRuntimeInSeconds": "is fixed at creation", "roleARN": "is fixed at creation"}
)
TO_SHOW = UpdatePlan(waiting={KEEP_ALIVE: "its warm pool"}, pool_seconds=600)
SPOT = {**SPEC, "enableManagedSpotTraining": True}
RULED = [{"ruleConfigurationName": "loss", "ruleEvaluationStatus": "NoIssuesFound"}]
NO_ACCESS = Hindrance("RoleUnavailable", "There is no role.")
NO_NAMESPACE = Hindrance("NamespaceUnreadable", "It can't be read.")
BAD_SPEC = Finding("InvalidSpec", "spec.tags is odd.")
REFUSED = Finding("Refused", "CreateTrainingJob failed with X.")
CLASH = Finding("NameClash", "It is there.")


def condition(kind: str, reason: str, message: object = "Words.") -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def own(observed: Observation | None = RUNS, *, of: int = 1, arn: str = ARN, **status: Any) -> dict[str, Any]:
    """Status of an object with its last reported observation; `of` is the observed generation."""
    members = {} if observed is None else observed.fields
    return recorded(arn, observedGeneration=of, ownership=claimed(arn), **members, **status)


def trouble(operation: str, kind: ErrorClass, *, again: float = 10.0, lasts: float = 5.0) -> dict[str, Trouble]:
    error = AwsError(operation, "Code", "words", kind, definite=True)
    return {operation: Trouble(error, NOW - lasts, 1, NOW + again)}


TOO_SMALL = {
    CREATE: replace(
        trouble(CREATE, ErrorClass.WAITING)[CREATE], finding=Finding(reasons.QUOTA_TOO_SMALL, "limit 0, in use 0")
    )
}


def view_of(
    object: Mapping[str, Any],  # noqa: A002  shortens the rows of the tables
    known: Mapping[str, Any],
    namespace: Mapping[str, str],
    view: Mapping[str, Any],
) -> View:
    """Input of a decision. In `known`, `tried` is a generation; `refused` is a Refusal without its policy."""
    seen = resource(**object)
    policy = resolve(seen, namespace, DEFAULTS)
    facts = {name: _remember(name, value, policy) for name, value in known.items()}
    memory = remembered(**{"first_seen": NOW - 100.0, **facts})
    return View(seen, policy, memory, NOW, WALL, "aws", **view)


def _remember(name: str, value: Any, policy: Policy) -> Any:
    match name:
        case "tried":
            return value, policy
        case "refused":
            generation, finding, retry_at = value
            return Refusal(generation, policy, finding, retry_at)
    return value


def shown(step: Step) -> Step | dict[str, Any]:
    """A step unchanged; for WriteStatus its fields with other values than the defaults, a finding as its reason."""
    if not isinstance(step, WriteStatus):
        return step
    members = {field.name: getattr(step, field.name) for field in fields(WriteStatus)}
    defaults = {field.name: field.default for field in fields(WriteStatus)}
    return {name: _reasons(value) for name, value in members.items() if value != defaults[name]}


def _reasons(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(finding.reason for finding in value)
    if isinstance(value, float):
        return pytest.approx(value)
    return value.reason if isinstance(value, Finding | Hindrance) else value


def reports(**members: Any) -> dict[str, Any]:
    return members


def decides(*tables: list[Any]) -> Any:
    """A test with one case for each row of the tables."""

    @pytest.mark.parametrize(("view", "step"), [row for table in tables for row in table])
    def check(view: View, step: Step | dict[str, Any]) -> None:
        assert shown(decide(view)) == step

    return check


AWAITS = reports(hindrance="NamespaceUnreadable", again=30.0, unfinished=True)


def when(
    sentence: str,
    step: Step | dict[str, Any],
    object: Mapping[str, Any] | None = None,  # noqa: A002  shortens the rows of the tables
    known: Mapping[str, Any] | None = None,
    namespace: Mapping[str, str] | None = None,
    **view: Any,
) -> Any:
    """A row of a table: the situation and the step that it leads to."""
    return pytest.param(view_of(object or {}, known or {}, namespace or {}, view), step, id=sentence)


def of(**annotations: str) -> dict[str, str]:
    """Annotations by their short names in the tables."""
    keys = {"region": REGION_KEY, "adoption": ADOPTION_POLICY, "read_only": READ_ONLY, "deletion": DELETION_POLICY}
    return {keys[name]: value for name, value in annotations.items()}


ADOPT, READS = {"annotations": of(adoption="adopt")}, {"annotations": of(read_only="true")}
ADOPT_OR_CREATE = {"annotations": of(adoption="adopt-or-create")}
NOWHERE = {"annotations": of(region="nowhere")}
MARKED = {"held": True, "pending": WANTED}
MARKED_ELSEWHERE = {"held": True, "pending": ELSEWHERE}
RECORDED = {"status": recorded()}
OWNED = {"held": True, "status": own()}
ADOPTED = {**ADOPT, "status": {**own(), "ownership": claimed(claim="Adopted")}}
EDITED = {**OWNED, "generation": 2}
DELETED = {**OWNED, "deleting": True}
DELETED_EARLY = {**MARKED, "deleting": True}


def not_found(since: float, described_at: float) -> dict[str, Any]:
    """Describe found no job, `since` seconds ago for the first and `described_at` seconds ago for the last time."""
    return {"not_found": True, "not_found_since": NOW - since, "described_at": NOW - described_at}


FOUND_ABSENT = {"not_found": True, "not_found_since": NOW - 60, "described_at": NOW - 10}
FOUND_FOREIGN = {"observation": RUNS, "described_at": NOW, "proof": TagProof.NONE}
FOUND_OURS = {"observation": RUNS, "described_at": NOW, "proof": TagProof.SAME_OBJECT}
FOUND_EDITED = {**FOUND_OURS, "differences": ("roleARN",)}
FOUND_OTHERS = {
    **FOUND_OURS,
    "proof": TagProof.OTHER_OBJECT,
    "tags": Owner(CLUSTER, "team-b", "theirs", "9").tags(),
}
FOUND_ELSEWHERES = {
    **FOUND_OURS,
    "proof": TagProof.OTHER_CLUSTER,
    "tags": Owner("other", "team-b", "theirs", "9").tags(),
}
FOUND_FORMER = {**FOUND_OURS, "proof": TagProof.SAME_NAME}
COMPARED: dict[str, Any] = {"observation": RUNS, "described_at": NOW, "compared_generation": 2, "tags_generation": 2}
PROVEN = {**COMPARED, "proof": TagProof.SAME_OBJECT}
UNREAD = {**COMPARED, "tags_generation": None}
TAGGED: dict[str, Any] = {"spec": {**SPEC, "tags": [{"key": "team", "value": "new"}]}}
TAGS_REPORTED = condition("ACK.Advisory", "EditNotPossible", "spec.tags is not applied.")
