"""Situation by situation, which step comes next: never two jobs, never somebody else's job, nothing without an end."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.objects import ACCOUNT, ARN, CLUSTER, JOB, REGION, SPEC, WANTED, claimed, recorded, resource
from trainingjob_operator.logic import decision, reasons
from trainingjob_operator.logic.annotations import (
    ADOPT_FROM_CLUSTER,
    ADOPTION_POLICY,
    ALLOWED_ROLES,
    DELETION_POLICY,
    NAMESPACE_DELETION_POLICY,
    READ_ONLY,
    Defaults,
    Policy,
    resolve,
)
from trainingjob_operator.logic.annotations import REGION as REGION_KEY
from trainingjob_operator.logic.create_order import Place
from trainingjob_operator.logic.decision import ADD_TAGS, CREATE, DESCRIBE, LIST_TAGS, STOP, UPDATE, decide
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.logic.memory import ACK_MANAGER, Memory, Refusal, Trouble, Unmarked
from trainingjob_operator.logic.naming import FINALIZER, JOB_ARN, Identity, Owner, build_arn
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof, Verdict
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.steps import (
    ClearIntent,
    Create,
    Describe,
    FindOwner,
    Idle,
    JoinQueue,
    ReadTags,
    RecordIntent,
    RemoveFinalizer,
    Requeue,
    SetTags,
    Step,
    Stop,
    TakeOwnership,
    Update,
    WriteStatus,
)
from trainingjob_operator.logic.updates import KEEP_ALIVE, TagChange, UpdatePlan
from trainingjob_operator.logic.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_NAME = "spec.trainingJobName is missing or invalid. Use 1 to 63 letters, digits and inner hyphens."
NOW = 1000.0
WALL = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEFAULTS = Defaults(ACCOUNT, REGION)

ELSEWHERE = Identity(ACCOUNT, "eu-central-1", JOB)
ARN_ELSEWHERE = build_arn("aws", ELSEWHERE)
RIVAL = "team-a/rival"


def job(status: str, **told: Any) -> Observation:
    return Observation({"trainingJobStatus": status, "secondaryStatus": status, **told})


RUNS, STOPPING, STOPPED = job("InProgress"), job("Stopping"), job("Stopped")
ENDED = job("Completed", profilingStatus="Disabled")
POOL: dict[str, Any] = {"trainingEndTime": "2026-11-21T11:59:00Z"}
POOLED = {**SPEC, "resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 600}}
HEARSAY = job("Completed", secondaryStatusTransitions=[{"status": "Training", "startTime": "2026-11-21T11:00:00Z"}])
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
    """The status of an object whose job was last reported so, when its generation was `of`."""
    told = {} if observed is None else observed.fields
    return recorded(arn, observedGeneration=of, ownership=claimed(arn), **told, **status)


def trouble(operation: str, kind: ErrorClass, *, again: float = 10.0, lasts: float = 5.0) -> dict[str, Trouble]:
    error = AwsError(operation, "Code", "words", kind, definite=True)
    return {operation: Trouble(error, NOW - lasts, 1, NOW + again)}


TOO_SMALL = {
    CREATE: replace(
        trouble(CREATE, ErrorClass.WAITING)[CREATE], finding=Finding(reasons.QUOTA_TOO_SMALL, "limit 0, in use 0")
    )
}


def look_at(
    object: Mapping[str, Any],  # noqa: A002  so that the rows below read well
    known: Mapping[str, Any],
    namespace: Mapping[str, str],
    view: Mapping[str, Any],
) -> View:
    """What is decided on. In `known`, `tried` is a generation and `refused` what Refusal takes but the policy."""
    seen = resource(**object)
    policy = resolve(seen, namespace, DEFAULTS)
    memory = Memory(first_seen=NOW - 100.0)
    for name, value in known.items():
        setattr(memory, name, _remember(name, value, policy))
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
    """A step as it is; of what is said the reasons, and what else is not as usual."""
    if not isinstance(step, WriteStatus):
        return step
    said = {field.name: getattr(step, field.name) for field in fields(WriteStatus)}
    usual = {field.name: field.default for field in fields(WriteStatus)}
    return {name: _reasons(value) for name, value in said.items() if value != usual[name]}


def _reasons(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(finding.reason for finding in value)
    if isinstance(value, float):
        return pytest.approx(value)
    return value.reason if isinstance(value, Finding | Hindrance) else value


def says(**members: Any) -> dict[str, Any]:
    return members


AWAITS = says(hindrance="NamespaceUnreadable", again=30.0, unfinished=True)


def when(
    sentence: str,
    step: Step | dict[str, Any],
    object: Mapping[str, Any] | None = None,  # noqa: A002  as above
    known: Mapping[str, Any] | None = None,
    namespace: Mapping[str, str] | None = None,
    **view: Any,
) -> Any:
    """A row: in this situation that step comes next."""
    return pytest.param(look_at(object or {}, known or {}, namespace or {}, view), step, id=sentence)


def of(**annotations: str) -> dict[str, str]:
    """Annotations, by the names that the tables use."""
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


def not_found(since: float, looked_at: float) -> dict[str, Any]:
    """Describe has found no job, the first time and the last time so many seconds ago."""
    return {"not_found": True, "not_found_since": NOW - since, "looked_at": NOW - looked_at}


FOUND_ABSENT = {"not_found": True, "not_found_since": NOW - 60, "looked_at": NOW - 10}
FOUND_FOREIGN = {"observation": RUNS, "looked_at": NOW, "proof": TagProof.NONE}
FOUND_OURS = {"observation": RUNS, "looked_at": NOW, "proof": TagProof.SAME_OBJECT}
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
COMPARED: dict[str, Any] = {"observation": RUNS, "looked_at": NOW, "compared_generation": 2, "tags_generation": 2}
PROVEN = {**COMPARED, "proof": TagProof.SAME_OBJECT}
UNREAD = {**COMPARED, "tags_generation": None}
TAGGED: dict[str, Any] = {"spec": {**SPEC, "tags": [{"key": "team", "value": "new"}]}}
TAGS_TOLD = condition("ACK.Advisory", "EditNotPossible", "spec.tags is not applied.")

PASSIVITY = [
    when(
        "another controller writes the object: report it once, and leave the object alone",
        says(advisories=("Passive",), passive=True, again=50.0, unfinished=True),
        known={"passive_until": NOW + 50, "foreign_writer": "dashboard"},
    ),
    when(
        "what is reported of an edit is kept meanwhile",
        says(advisories=("Passive", "EditPending"), passive=True, again=50.0, unfinished=True),
        {**EDITED, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        {"passive_until": NOW + 50, "foreign_writer": ACK_MANAGER},
    ),
    when("it was reported", Requeue(50.0), known={"passive_until": NOW + 50, "passive_shown": True}),
    when("the other one has been quiet for long enough", JoinQueue(WANTED), known={"passive_until": NOW}),
    when(
        "the operator was told to act all the same",
        JoinQueue(WANTED),
        known={"passive_until": NOW + 50},
        overrides_passive=True,
    ),
    when(
        "a job whose object is deleted is stopped all the same",
        Stop(WANTED),
        {"held": True, "deleting": True, "status": own()},
        {"passive_until": NOW + 50, "passive_shown": True, **PROVEN},
    ),
    when(
        "an object that was told to retain its job goes all the same",
        RemoveFinalizer(),
        {"held": True, "deleting": True, "status": own(), "annotations": of(deletion="retain")},
        {"passive_until": NOW + 50},
    ),
    when(
        "what another field manager has written of the job is not believed",
        Describe(WANTED),
        {"held": True, "deleting": True, "status": own(ENDED)},
        {"disputed": True, "needs_describe": True},
    ),
]

BIRTH = [
    when("a new object stands in line", JoinQueue(WANTED)),
    when("a turn that may come within a second is no news", Requeue(1.05), place=Place(3, None)),
    when("nor half a second later", Requeue(0.55), known={"waiting_since": NOW - 0.5}, place=Place(3, None)),
    when(
        "after that its place is told",
        says(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(3, None),
    ),
    when(
        "the first in line is told so",
        says(waiting="Waiting", place="it is next in the queue", again=60.0),
        known={"waiting_since": NOW - 2},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "a place is rewritten once a minute at most",
        says(waiting="Waiting", place="9 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 59)},
        place=Place(3, None),
    ),
    when(
        "after a minute it is",
        says(waiting="Waiting", place="3 objects ahead of it in the queue", again=60.0),
        known={"waiting_since": NOW - 90, "place_shown": ("9 objects ahead of it in the queue", NOW - 60)},
        place=Place(3, None),
    ),
    when(
        "what waits for capacity says so in the service's words",
        says(hindrance="Code", place="it is next in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        place=Place(0, "ml.p4d.24xlarge"),
    ),
    when(
        "what was refused and stands in line again says why it was refused",
        says(hindrance="AccessDenied", place="2 objects ahead of it in the queue", again=60.0),
        known={"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED, again=0.0)},
        place=Place(2, None),
    ),
    when(
        "a quota that is too small is no wait for capacity",
        says(hindrance="QuotaTooSmall", again=10.0),
        known={"tried": 1, "troubles": TOO_SMALL},
    ),
    when(
        "a mark that was refused is told, and no turn is taken",
        says(hindrance="MetadataNotWritten", again=20.0),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
    when(
        "until its time has come",
        JoinQueue(WANTED),
        known={"unmarked": Unmarked(resource().writable_state, "words", 3, NOW)},
    ),
    when(
        "or the object has changed",
        JoinQueue(WANTED),
        {"annotations": {"note": "short"}},
        {"unmarked": Unmarked(resource().writable_state, "words", 3, NOW + 20)},
    ),
    when("its turn has come: mark it before anything is sent", RecordIntent(WANTED), own_turn=True),
    when("a mark without the finalizer is none", RecordIntent(WANTED), {"pending": WANTED}, own_turn=True),
    when("a finalizer without the mark is none", RecordIntent(WANTED), {"held": True}, own_turn=True),
    when("it is marked", Create(WANTED), MARKED, own_turn=True),
    when(
        "a mark of an earlier life of the process stands in line like all",
        JoinQueue(WANTED),
        MARKED,
        {"unsettled": True},
    ),
    when("an unusable annotation", says(terminal="InvalidAnnotation", disowned=True), NOWHERE),
    when(
        "an unusable annotation on a marked object that was refused: let go first",
        ClearIntent(Finding("InvalidAnnotation", look_at(NOWHERE, {}, {}, {}).policy.problems[0].message)),
        {**MARKED, **NOWHERE},
        {"attempted_at": NOW - 1},
    ),
    when(
        "an unusable annotation while an attempt is open: settle it first",
        Describe(WANTED),
        {**MARKED, **NOWHERE},
        {"unsettled": True},
    ),
    when("no name", says(terminal="InvalidSpec", disowned=True), {"spec": NAMELESS}),
    when(
        "no name, and a finalizer",
        ClearIntent(Finding("InvalidSpec", NO_NAME)),
        {"spec": NAMELESS, "held": True},
    ),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), no_access=NO_ACCESS),
    when("a namespace that may not be read", AWAITS, namespace_unread=NO_NAMESPACE),
    when("a spec that makes no request", says(terminal="InvalidSpec", disowned=True), request_problem=BAD_SPEC),
    when(
        "a role that the namespace does not allow",
        says(terminal="RoleNotAllowed", disowned=True),
        namespace={ALLOWED_ROLES: "arn:aws:iam::123456789012:role/other"},
    ),
    when("a job that another object has proof of", says(terminal="NameClash", disowned=True), rival=RIVAL),
]

REFUSALS = [
    when(
        "a refused spec is not sent again",
        says(terminal="Refused", disowned=True),
        known={"refused": (1, REFUSED, None)},
    ),
    when(
        "one that may heal is, later",
        says(terminal="Refused", disowned=True, again=60.0),
        known={"refused": (1, REFUSED, NOW + 60)},
    ),
    when("its time has come", JoinQueue(WANTED), known={"refused": (1, REFUSED, NOW)}),
    when("it was edited", JoinQueue(WANTED), {"generation": 2}, {"refused": (1, REFUSED, None)}),
    when(
        "a refused object is let go, so that it can be deleted at any time",
        ClearIntent(REFUSED),
        MARKED,
        {"refused": (1, REFUSED, NOW + 60), "attempted_at": NOW - 1},
    ),
    when(
        "refused in an earlier life of the process",
        Idle(Finding("Refused", "Words.")),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "the name was taken in an earlier life of the process",
        says(terminal="NameClash", disowned=True),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
    ),
    when(
        "so under a CRD that does not keep the generation",
        says(terminal="NameClash", disowned=True),
        {"status": {"conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
    ),
    when(
        "there too, an edit may have healed it",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
        {"decided_generation": 1},
    ),
    when(
        "a refused spec under such a CRD may have been edited meanwhile",
        JoinQueue(WANTED),
        {"status": {"conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "the name was taken in another region, which an annotation has left meanwhile",
        JoinQueue(WANTED),
        {
            "status": {
                "observedGeneration": 1,
                "conditions": [condition("ACK.Terminal", "NameClash", f"{ARN_ELSEWHERE} exists.")],
            }
        },
    ),
    when(
        "refused in an earlier life, and edited since",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "refused in an earlier life, and somebody asks",
        JoinQueue(WANTED),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
        {"asked": True},
    ),
]

CREATE_FAILS = [
    when(
        "what usually passes is waited out in silence",
        says(again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED)},
    ),
    when(
        "what lasts is told",
        says(hindrance="Throttled", again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, lasts=60.0)},
    ),
    when(
        "its time has come",
        Create(WANTED),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, again=0.0)},
        own_turn=True,
    ),
    when(
        "what the spec before the edit met is no reason to wait",
        JoinQueue(WANTED),
        {"generation": 2},
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "a denied object is let go, so that it can be deleted at any time",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "a denied object that holds nothing says who must act",
        says(hindrance="AccessDenied", again=10.0),
        known={"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "an object that waits for capacity is let go too",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
    ),
    when(
        "a probe for capacity goes when its turn comes, not when the clock says so",
        Create(WANTED),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        own_turn=True,
    ),
]

IN_USE = [
    when("somebody has the name: who?", Describe(WANTED), MARKED, {"name_taken": True}),
    when(
        "a job is there: whose?",
        ReadTags(WANTED, ARN),
        MARKED,
        {"name_taken": True, "observation": RUNS},
    ),
    when(
        "the tags can't be read now",
        says(hindrance="AccessDenied", again=10.0),
        MARKED,
        {"name_taken": True, "observation": RUNS, "troubles": trouble(LIST_TAGS, ErrorClass.DENIED)},
    ),
    when(
        "taken and not shown: wait", Requeue(1.0), MARKED, {"name_taken": True, "not_found": True, "looked_at": NOW - 1}
    ),
    when(
        "taken and not shown: again",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, "not_found": True, "looked_at": NOW - 2},
    ),
    when("taken and not found for 29 s: again", Describe(WANTED), MARKED, {"name_taken": True, **not_found(31, 2)}),
    when(
        "taken and not found for 30 s",
        says(hindrance="NameInUse", again=5.5),
        MARKED,
        {"name_taken": True, **not_found(32, 2)},
    ),
    when(
        "taken and not found for a minute: again", Describe(WANTED), MARKED, {"name_taken": True, **not_found(75, 15)}
    ),
    when(
        "taken and not found for an hour",
        says(hindrance="NameInUse", again=290.0),
        MARKED,
        {"name_taken": True, **not_found(3600, 10)},
    ),
    when(
        "this object's own lost attempt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS},
    ),
    when(
        "its own lost attempt with the spec before an edit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS, "differences": ("roleARN",)},
    ),
    when(
        "somebody else's: what it holds is let go first",
        ClearIntent(
            Finding(
                "NameClash",
                f"The training job {ARN} exists already and was not created for this object. Use another "
                f"spec.trainingJobName, or adopt it with the annotation {ADOPTION_POLICY}: adopt.",
            )
        ),
        MARKED,
        {"name_taken": True, **FOUND_FOREIGN},
    ),
    when("somebody else's", says(terminal="NameClash", disowned=True), known={"name_taken": True, **FOUND_FOREIGN}),
    when(
        "of an earlier life, and the fields that are set equal it",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        known={"name_taken": True, **FOUND_FORMER},
    ),
    when(
        "ACK's tags name the namespace: that proves neither cluster nor object",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.ACK},
    ),
    when(
        "its tags name another object, and no adoption is asked for",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OTHERS},
    ),
    when(
        "of an earlier life, without a tag that the spec asks for",
        says(terminal="NameClash", disowned=True),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "old"}},
    ),
    when(
        "of an earlier life, with that tag and others",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "new", "cost": "1"}},
    ),
    when(
        "a run of an earlier object stays told as such",
        says(advisories=("EarlierRun",)),
        {"held": True, "status": {**own(), "ownership": claimed(claim="Inherited")}},
    ),
    when(
        "of an earlier life, with another spec",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("roleARN",)},
    ),
    *(
        when(
            f"of an earlier life, and {observed.status}",
            says(terminal="NameClash", disowned=True),
            known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "observation": observed},
        )
        for observed in (STOPPING, STOPPED)
    ),
]

ATTEMPTS = [
    when("an attempt elsewhere is settled first", Describe(ELSEWHERE), MARKED_ELSEWHERE),
    when("one of an object that only adopts by now too", Describe(WANTED), {**MARKED, **ADOPT}),
    when("it was definitely refused", ClearIntent(), MARKED_ELSEWHERE, {"attempted_at": NOW - 5}),
    when("it has made a job: whose?", ReadTags(ELSEWHERE, ARN_ELSEWHERE), MARKED_ELSEWHERE, {"observation": RUNS}),
    when("ours", TakeOwnership(ARN_ELSEWHERE, finalizer=True, claim=Verdict.CREATED), MARKED_ELSEWHERE, FOUND_OURS),
    when("not ours", ClearIntent(), MARKED_ELSEWHERE, FOUND_FOREIGN),
    when("it can't be reached", says(hindrance="RoleUnavailable", again=30.0), MARKED_ELSEWHERE, no_access=NO_ACCESS),
    when(
        "Describe does not answer",
        says(again=10.0),
        MARKED_ELSEWHERE,
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "NotFound soon after the last attempt means nothing",
        Requeue(20.1),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 10, "not_found": True, "looked_at": NOW - 1},
    ),
    when(
        "so look again when it does",
        Describe(ELSEWHERE),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 31, "not_found": True, "looked_at": NOW - 5},
    ),
    when(
        "then it is believed",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 40, "not_found": True, "looked_at": NOW - 10},
    ),
    when(
        "an attempt of an earlier life of the process may be as young as this one",
        Requeue(25.1),
        MARKED_ELSEWHERE,
        {"first_seen": NOW - 5, "unsettled": True, "not_found": True, "looked_at": NOW - 1},
    ),
]

ADOPTION = [
    when("a job to be adopted is looked for", Describe(WANTED), ADOPT),
    when("and again when something says so", Describe(WANTED), ADOPT, {**FOUND_FOREIGN, "needs_describe": True}),
    when(
        "Describe is denied",
        says(hindrance="AccessDenied", again=10.0),
        ADOPT,
        {"troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when("it runs", TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED), ADOPT, FOUND_FOREIGN),
    when(
        "it has ended: there is nothing to stop",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        ADOPT,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when(
        "a read-only object holds nothing",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
    ),
    when("whose is it?", ReadTags(WANTED, ARN), ADOPT, {"observation": RUNS, "looked_at": NOW}),
    when(
        "another object owns it",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when(
        "its tags name another object: does that exist?",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        FOUND_OTHERS,
    ),
    when(
        "it does: the job is never adopted",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 59)},
    ),
    when(
        "it did a minute ago",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 60)},
    ),
    when(
        "it does not",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (False, NOW)},
    ),
    when(
        "its tags name another cluster",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_ELSEWHERES,
    ),
    when(
        "and so does an annotation",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "other"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "an annotation that names a third cluster permits nothing",
        says(terminal="NameClash", disowned=True, again=60.0),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "third"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "and may be read all the same",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when("it is not there", says(terminal="JobNotFound", disowned=True, again=50.0), ADOPT, FOUND_ABSENT),
    when("it is not there to be read", says(terminal="JobNotFound", disowned=True, again=50.0), READS, FOUND_ABSENT),
    when("it is looked for once a minute", Describe(WANTED), ADOPT, {**FOUND_ABSENT, "looked_at": NOW - 60}),
    when(
        "it is not there, and the object holds a finalizer",
        ClearIntent(
            Finding(
                "JobNotFound",
                f"There is no training job {WANTED} to adopt. Correct its name, region or account, or create it.",
            )
        ),
        {**ADOPT, "held": True},
        FOUND_ABSENT,
    ),
    when("it is not there, and may be created", JoinQueue(WANTED), ADOPT_OR_CREATE, FOUND_ABSENT),
    when(
        "it is there after an attempt whose answer was lost: whose?",
        ReadTags(WANTED, ARN),
        {**MARKED, **ADOPT_OR_CREATE},
        {"observation": RUNS, "looked_at": NOW},
    ),
    when(
        "its own", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), {**MARKED, **ADOPT_OR_CREATE}, FOUND_OURS
    ),
    when(
        "somebody else's, to be adopted",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {**MARKED, **ADOPT_OR_CREATE},
        FOUND_FOREIGN,
    ),
]

RECORDED_WITHOUT_FINALIZER = [
    when("an ARN alone proves nothing, and is no reason to create", Describe(WANTED), RECORDED),
    when("it is looked for where the ARN says", Describe(ELSEWHERE), {"status": recorded(ARN_ELSEWHERE)}),
    when("whose is it?", ReadTags(WANTED, ARN), RECORDED, {"observation": RUNS}),
    when(
        "somebody else's, as ACK records it on a clash",
        says(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FOREIGN,
    ),
    when(
        "still so when the ARN is gone from the status", says(terminal="NameClash", disowned=True), known=FOUND_FOREIGN
    ),
    when("until somebody asks", JoinQueue(WANTED), known={**FOUND_FOREIGN, "asked": True}),
    when(
        "another object claims it, and the tags prove nothing",
        says(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FORMER,
        rival=RIVAL,
    ),
    when(
        "no claim of another object outweighs the tags",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        RECORDED,
        FOUND_OURS,
        rival=RIVAL,
    ),
    when("ours", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), RECORDED, FOUND_OURS),
    when(
        "ours, and over",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        RECORDED,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when("Describe does not answer", says(again=10.0), RECORDED, {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)}),
    when(
        "it is gone, and is not made again",
        says(vanished="JobNotFound"),
        RECORDED,
        {"not_found": True, "not_found_since": NOW - 30, "looked_at": NOW},
    ),
]

LIFE = [
    when("a job of which nothing is known yet", Describe(WANTED), {"held": True, "status": own(None)}),
    when("a job that this process has just created", Describe(WANTED), MARKED, {"arn": ARN, "needs_describe": True}),
    when("nothing new: nothing to do", says(), OWNED),
    when("something has changed", Describe(WANTED), OWNED, {"needs_describe": True}),
    when(
        "a job that ACK followed: was the spec edited since?",
        Describe(WANTED),
        {"held": True, "status": recorded(**RUNS.fields)},
    ),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), OWNED, no_access=NO_ACCESS),
    when("a namespace that may not be read", AWAITS, OWNED, namespace_unread=NO_NAMESPACE),
    when("it, and the job has ended", Idle(), {**OWNED, "status": own(ENDED)}, namespace_unread=NO_NAMESPACE),
    when(
        "what is told of an edit is kept while the account can't be reached",
        says(hindrance="RoleUnavailable", advisories=("EditPending",), again=30.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        no_access=NO_ACCESS,
    ),
    when(
        "Describe is denied, and an annotation is wrong",
        says(hindrance="AccessDenied", advisories=("InvalidAnnotation",), again=10.0),
        {**OWNED, **NOWHERE},
        {"needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "another region is asked for: it stays where it is",
        says(advisories=("IdentityDiffers",)),
        {**OWNED, "annotations": of(region="eu-central-1")},
    ),
    when(
        "it has ended: which region is asked for means nothing",
        says(release=True),
        {"held": True, "status": own(ENDED), "annotations": of(region="eu-central-1")},
    ),
    when("the finalizer was taken away by hand", TakeOwnership(ARN, finalizer=True), {"status": own()}, {"arn": ARN}),
    when("a read-only object needs none", says(), {"status": own(), **READS}),
    when("it has ended: report it, and let the object go", says(release=True), {"held": True, "status": own(ENDED)}),
    when(
        "it has ended, and everything was said",
        says(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
    ),
    when(
        "an end is an end, whatever can't be reached or found now",
        says(release=True),
        {"held": True, "status": own(ENDED)},
        {"not_found": True, "looked_at": NOW, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
        no_access=NO_ACCESS,
    ),
    when(
        "an end that only a list has told is looked at",
        Describe(WANTED),
        OWNED,
        {"observation": HEARSAY},
    ),
    when(
        "as soon as that is possible",
        says(release=True, again=10.0),
        OWNED,
        {"observation": HEARSAY, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "a warm pool is looked at",
        Describe(WANTED),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
    ),
    when(
        "every half minute",
        says(release=True, again=30.0),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
        {"looked_at": NOW - 10},
    ),
]

ABSENCE = [
    when(
        "NotFound once is not believed",
        says(again=25.1),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 5, "looked_at": NOW - 5},
    ),
    when(
        "and an edit meanwhile is not done",
        says(again=25.1, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "looked_at": NOW - 5},
    ),
    when(
        "nor while it can't be looked for",
        says(again=10.0, unfinished=True),
        EDITED,
        {"not_found": True, "not_found_since": NOW - 5, "troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "it is looked for again",
        Describe(WANTED),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "looked_at": NOW - 30},
    ),
    when(
        "twice, well apart, is",
        says(vanished="JobNotFound", release=True),
        OWNED,
        {"not_found": True, "not_found_since": NOW - 30, "looked_at": NOW},
    ),
    when(
        "NotFound for what was just created means nothing",
        says(again=1.1),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "looked_at": NOW - 1},
    ),
    when(
        "so it is looked for at once",
        Describe(WANTED),
        MARKED,
        {"arn": ARN, "created_at": NOW - 10, "not_found": True, "not_found_since": NOW - 9, "looked_at": NOW - 2},
    ),
    when(
        "the second look fails",
        says(again=10.0),
        OWNED,
        {
            "not_found": True,
            "not_found_since": NOW - 30,
            "looked_at": NOW - 30,
            "troubles": trouble(DESCRIBE, ErrorClass.RETRY),
        },
    ),
    when(
        "a job that was told to be gone stays so",
        says(vanished="JobNotFound", release=True),
        {"held": True, "status": own(conditions=[condition("Failed", "JobNotFound")])},
    ),
]

EDITS = [
    when("an edit is compared with what runs", Describe(WANTED), EDITED),
    when("and the tags", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "tags_generation": 1}),
    when(
        "tags are set",
        SetTags(ARN, TagChange({"team": "new"}, ("gone",))),
        {**EDITED, **TAGGED, "status": own(appliedTagKeys=["team", "gone"])},
        {**COMPARED, "tags": {"team": "old", "gone": "x"}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "tags of a job that it did not create are left, and that is said",
        says(advisories=("EditNotPossible",)),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "old"}, "proof": TagProof.ACK},
    ),
    when(
        "there is nothing to say when they are as the spec wants them",
        says(),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "new", "other": "x"}, "proof": TagProof.ACK},
    ),
    when("an adopted job's tags are compared too", ReadTags(WANTED, ARN), {**EDITED, **ADOPTED, **TAGGED}, UNREAD),
    when("unless the spec has none", says(), {**EDITED, **ADOPTED}, UNREAD),
    when("or the object is only read", says(), {**EDITED, **READS, **TAGGED}, UNREAD),
    when(
        "an adopted job keeps its tags, whosever they are",
        says(advisories=("EditNotPossible",)),
        {**EDITED, **ADOPTED, **TAGGED},
        {**COMPARED, "tags": {}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "a difference reported by a previous process may be one of tags",
        ReadTags(WANTED, ARN),
        {"held": True, **TAGGED, "status": {**own(conditions=[TAGS_TOLD]), "ownership": claimed(claim="TakenOver")}},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "but not of a job created by this operator",
        says(),
        {"held": True, **TAGGED, "status": own(conditions=[TAGS_TOLD])},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "nor without tags in the spec",
        says(),
        {"held": True, "status": {**own(conditions=[TAGS_TOLD]), "ownership": claimed(claim="TakenOver")}},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "but not after the end",
        says(advisories=("EditNotPossible",)),
        {**TAGGED, "status": own(ENDED, conditions=[condition("Complete", "Completed"), TAGS_TOLD])},
    ),
    when("whose job is it that is to be updated?", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "plan": TO_SEND}),
    when("an update is sent", Update(WANTED, MEMBERS), EDITED, {**PROVEN, "plan": TO_SEND}),
    when(
        "an update of a job that this process created",
        Update(WANTED, MEMBERS),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "nothing is sent to a job that nothing proves",
        says(advisories=("OwnershipUnproven",)),
        {**EDITED, "status": recorded(observedGeneration=1, **RUNS.fields)},
        {**COMPARED, "plan": TO_SEND, "proof": TagProof.NONE},
    ),
    when(
        "and not again because an answer does not show it yet",
        says(),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "updated": (MEMBERS, NOW - 29)},
    ),
    when(
        "unless it never does",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "updated": (MEMBERS, NOW - 30)},
    ),
    when("an edit waits for its phase", says(pending_edit="EditPending"), EDITED, {**COMPARED, "plan": TO_WAIT}),
    *(
        when(
            f"an edit of the keep-alive waits for the pool, {sentence}",
            step,
            {
                "generation": 2,
                "spec": {**SPEC, "resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 0}},
                "status": own(job("Completed", trainingEndTime=end)),
            },
            {"compared_generation": 2, "tags_generation": 2, "looked_at": NOW - 1, "plan": TO_SHOW},
        )
        for sentence, end, step in (
            ("which the job still keeps", "2026-11-21T11:59:00Z", says(pending_edit="EditPending", again=30.0)),
            ("which never showed", "2026-11-21T11:40:00Z", says(advisories=("EditNotPossible",))),
        )
    ),
    *(
        when(
            f"after an end {sentence}",
            step,
            {"spec": spec, "status": own(job("Completed", lastModifiedTime=changed, **told))},
            {"ended_at": NOW - since, "looked_at": NOW - looked},
            no_access=access,
        )
        for sentence, spec, changed, told, since, looked, step, access in (
            ("with spot", SPOT, FRESH, {}, 40, 40, says(again=20.0), None),
            ("with spot a minute ago", SPOT, FRESH, {}, 60, 60, Describe(WANTED), None),
            ("with spot, described since", SPOT, FRESH, {}, 70, 10, says(), None),
            ("with spot long ago", SPOT, STALE, {}, 60, 60, says(), None),
            ("with spot and no time", SPOT, "soon", {}, 60, 60, says(), None),
            ("with spot and no access", SPOT, FRESH, {}, 60, 60, says(), NO_ACCESS),
            ("with rules", SPEC, FRESH, {"debugRuleEvaluationStatuses": RULED}, 60, 60, Describe(WANTED), None),
            (
                "with a rule that ended later",
                SPEC,
                STALE,
                {"profilerRuleEvaluationStatuses": [{**RULED[0], "lastModifiedTime": FRESH}]},
                60,
                60,
                Describe(WANTED),
                None,
            ),
            ("without either", SPEC, FRESH, {}, 60, 60, says(), None),
        )
    ),
    when(
        "after an end with spot, while Describe is throttled",
        says(again=10.0),
        {"spec": SPOT, "status": own(job("Completed", lastModifiedTime=FRESH))},
        {"ended_at": NOW - 60, "looked_at": NOW - 60, "troubles": trouble(DESCRIBE, ErrorClass.THROTTLED)},
    ),
    when("an edit comes too late", says(advisories=("EditNotPossible",)), EDITED, {**COMPARED, "plan": NEVER}),
    when(
        "the service refused it",
        says(advisories=("EditNotPossible",)),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "edit_refused": (2, Finding("EditNotPossible", "no"))},
    ),
    when(
        "the service refused the one before it",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "edit_refused": (1, Finding("EditNotPossible", "no"))},
    ),
    *(
        when(
            f"{operation} is waited out, and the edit is not done",
            says(again=10.0, unfinished=True),
            EDITED,
            {**COMPARED, "troubles": trouble(operation, ErrorClass.THROTTLED)},
        )
        for operation in (UPDATE, ADD_TAGS)
    ),
    when(
        "an adopted job is never changed",
        says(advisories=("SpecDiffers",)),
        {**EDITED, **ADOPTED},
        {**COMPARED, "plan": TO_SEND, "differences": ("roleARN",)},
    ),
    when(
        "what an earlier life of the process told of an edit is looked into",
        Describe(WANTED),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
    ),
    when(
        "and stays as long as that is not possible",
        says(advisories=("EditNotPossible",), again=10.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "an advisory that nobody can have written so is none",
        says(),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible", 7)])},
    ),
    when(
        "after the end an edit that came too late is no reason to look",
        says(advisories=("EditNotPossible",)),
        {
            "status": own(
                ENDED,
                conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditNotPossible")],
            )
        },
    ),
    when(
        "after the end one that waited for it is",
        Describe(WANTED),
        {
            "status": own(
                ENDED, conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditPending")]
            )
        },
    ),
    when(
        "after the end the object holds no proof: whose is the job?",
        ReadTags(WANTED, ARN),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "looked_at": NOW, "observation": ENDED},
    ),
    when(
        "after the end, too, nothing is called without a way to the account",
        says(again=30.0, unfinished=True),
        {"generation": 2, "status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"needs_describe": True},
        no_access=NO_ACCESS,
    ),
    when(
        "ListTags found no job whose pool may live: nothing is read again and again",
        says(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"looked_at": NOW, "not_found": True, "not_found_since": NOW},
    ),
    when(
        "nor whose job it is, while its warm pool lives",
        says(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"looked_at": NOW},
        no_access=NO_ACCESS,
    ),
    when(
        "not ours: it is left",
        says(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "looked_at": NOW, "observation": ENDED, "proof": TagProof.OTHER_OBJECT},
    ),
]

DELETION = [
    when("nothing is held", Idle(), {"deleting": True, "status": own()}),
    when("the job is looked at before it is stopped", Describe(WANTED), DELETED),
    when("an old answer may be about another run", Describe(WANTED), DELETED, {**PROVEN, "looked_at": NOW - 60}),
    when("whose job is it that is to be stopped?", ReadTags(WANTED, ARN), DELETED, COMPARED),
    when("the job is stopped", Stop(WANTED), DELETED, PROVEN),
    when(
        "a job that this process created needs no tags",
        Stop(WANTED),
        DELETED,
        {**COMPARED, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "nor a right to describe",
        Stop(WANTED),
        DELETED,
        {"arn": ARN, "created_at": NOW - 100, "needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when("tags that name nobody leave the record in force", Stop(WANTED), DELETED, {**PROVEN, "proof": TagProof.NONE}),
    when(
        "an ARN and a finalizer without a record are no proof: the job runs on, and that is said",
        says(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "ACK's tags and its record together are",
        Stop(WANTED),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when(
        "tags that name another object outweigh the record",
        RemoveFinalizer(),
        DELETED,
        {**PROVEN, "proof": TagProof.OTHER_OBJECT},
    ),
    when(
        "a record of another object, as a backup has it, is none",
        says(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": {**own(), "ownership": claimed(objectUID="other")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "a record from an endpoint that a namespace named is none elsewhere",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(endpointURL="https://fake")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "a finalizer added by hand to what was read only proves nothing",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(claim="Observed")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "nor one on a clash that ACK recorded",
        RemoveFinalizer(),
        {
            **DELETED,
            "status": recorded(
                **RUNS.fields, conditions=[condition("ACK.Terminal", "Words", "Resource already exists")]
            ),
        },
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when("it is to be retained", RemoveFinalizer(), {**DELETED, "annotations": of(deletion="retain")}),
    when(
        "the namespace wants it retained", RemoveFinalizer(), DELETED, namespace={NAMESPACE_DELETION_POLICY: "retain"}
    ),
    when("it is only read", RemoveFinalizer(), {**DELETED, **READS}),
    *(
        when(
            f"a {name} that can't be understood never stops a job",
            says(advisories=("InvalidAnnotation",), release=True),
            {**DELETED, "annotations": of(**{name: "keep"})},
        )
        for name in ("deletion", "read_only")
    ),
    when("another unusable annotation does not save it", Stop(WANTED), {**DELETED, **NOWHERE}, PROVEN),
    when("it has ended and that was told", RemoveFinalizer(), {**DELETED, "status": own(ENDED)}),
    when("it has ended: tell it first", says(release=True), DELETED, {"observation": ENDED}),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), DELETED, no_access=NO_ACCESS),
    when("a namespace that may not be read may ask to retain the job", AWAITS, DELETED, namespace_unread=NO_NAMESPACE),
    when(
        "it, and the job has ended", RemoveFinalizer(), {**DELETED, "status": own(ENDED)}, namespace_unread=NO_NAMESPACE
    ),
    when("it, and nothing is held", Idle(), {**DELETED, "held": False}, namespace_unread=NO_NAMESPACE),
    when(
        "it, and the object itself asks to retain the job",
        RemoveFinalizer(),
        {**DELETED, "annotations": {DELETION_POLICY: "retain"}},
        namespace_unread=NO_NAMESPACE,
    ),
    when("an attempt may have made a job", Describe(WANTED), DELETED_EARLY),
    when("one elsewhere may", Describe(ELSEWHERE), {**DELETED_EARLY, **MARKED_ELSEWHERE}),
    when("a finalizer without ARN and mark: look", Describe(WANTED), {"held": True, "deleting": True}),
    when("nobody knows what to look for", RemoveFinalizer(), {"held": True, "deleting": True, **NOWHERE}),
    when("the attempt was definitely refused", RemoveFinalizer(), DELETED_EARLY, {"attempted_at": NOW - 1}),
    when("the attempt has made none", RemoveFinalizer(), DELETED_EARLY, FOUND_ABSENT),
    when("the job of that name is not ours", RemoveFinalizer(), DELETED_EARLY, FOUND_FOREIGN),
    when("it is ours", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), DELETED_EARLY, FOUND_OURS),
    when(
        "it is ours, of this attempt and another spec",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        DELETED_EARLY,
        FOUND_EDITED,
    ),
    when(
        "it is of an earlier life, as a backup tells it",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        DELETED_EARLY,
        FOUND_FORMER,
    ),
    when(
        "it is of an earlier life with another spec", RemoveFinalizer(), DELETED_EARLY, {**FOUND_EDITED, **FOUND_FORMER}
    ),
    when(
        "whether it has ended is looked at first when something says so",
        Describe(WANTED),
        DELETED,
        {"needs_describe": True},
    ),
    when(
        "the job is gone already: it is looked for twice",
        Describe(WANTED),
        DELETED,
        {"not_found": True, "not_found_since": NOW - 30, "looked_at": NOW - 30},
    ),
    when("somebody else stops it already", says(again=900.0), {**DELETED, "status": own(STOPPING)}),
    when(
        "it is stopped once",
        says(again=840.0),
        DELETED,
        {"stop_sent_at": NOW - 60, "stopping_since": NOW - 60},
    ),
    when(
        "it does not stop",
        says(advisories=("StopStuck",)),
        {**DELETED, "status": own(STOPPING)},
        {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900},
    ),
    when(
        "it may not be stopped",
        says(hindrance="AccessDenied", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
    when(
        "a quota keeps it from being stopped",
        says(hindrance="Code", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.WAITING)},
    ),
    when(
        "for long",
        says(hindrance="AccessDenied", advisories=("StopStuck",), again=10.0),
        DELETED,
        {"stopping_since": NOW - 900, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
]


@pytest.mark.parametrize(
    ("view", "step"),
    [
        *PASSIVITY,
        *BIRTH,
        *REFUSALS,
        *CREATE_FAILS,
        *IN_USE,
        *ATTEMPTS,
        *ADOPTION,
        *RECORDED_WITHOUT_FINALIZER,
        *LIFE,
        *ABSENCE,
        *EDITS,
        *DELETION,
    ],
)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


@pytest.mark.parametrize(
    ("kind", "at_once", "reason"),
    [
        (ErrorClass.DENIED, True, "AccessDenied"),
        (ErrorClass.DOUBTFUL, True, "CreateFailing"),
        (ErrorClass.THROTTLED, False, "Throttled"),
        (ErrorClass.CREDENTIALS, False, "CredentialsInvalid"),
        (ErrorClass.RETRY, False, "ServiceUnavailable"),
        (ErrorClass.CONFLICT, False, "Code"),
        (ErrorClass.REFUSED, True, "Code"),
    ],
)
def test_what_people_must_act_on_is_told_at_once_and_what_passes_when_it_lasts(
    kind: ErrorClass, *, at_once: bool, reason: str
) -> None:
    for lasts, is_told in ((0.0, at_once), (59.0, at_once), (60.0, True)):
        known = {"tried": 1, "troubles": trouble(CREATE, kind, lasts=lasts)}
        step = decide(look_at({}, known, {}, {}))
        assert shown(step) == (says(hindrance=reason, again=10.0) if is_told else says(again=10.0))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(3, None), "Waiting for its turn to create the training job: 3 objects ahead of it in the queue."),
        (
            Place(1, "capacity of ml.p5.48xlarge"),
            "Waiting for capacity of ml.p5.48xlarge: 1 object ahead of it in the queue.",
        ),
        (
            Place(2, "the quota 'x'", is_passing=True),
            "Waiting for the quota 'x': 2 objects ahead of it in the queue; smaller jobs may pass if they fit.",
        ),
        (
            Place(0, "the quota 'x'", is_reserved=True),
            (
                "Waiting for the quota 'x': it is next in the queue; freed capacity is reserved for the "
                "longest-waiting object."
            ),
        ),
    ],
)
def test_a_place_is_told_with_what_is_waited_for(place: Place, words: str) -> None:
    step = decide(look_at({}, {"waiting_since": NOW - 5}, {}, {"place": place}))
    assert isinstance(step, WriteStatus)
    assert step.waiting == Finding(reasons.WAITING, words)


def test_a_job_that_the_annotation_records_and_that_is_gone_is_not_created_again() -> None:
    step = decide(look_at({"annotations": {JOB_ARN: ARN}}, {**FOUND_ABSENT, "not_found_since": NOW - 600}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    assert step.terminal.reason == "JobNotFound"
    for words in (JOB_ARN, str(WANTED), "remove the annotation"):
        assert words in step.terminal.message


def test_a_finalizer_that_stays_is_reported_in_the_words_of_the_api_server() -> None:
    hindrance = decision.explain_unreleased("denied by a policy.")
    assert hindrance.reason == "FinalizerNotRemoved"
    for words in (FINALIZER, ": denied by a policy. ", "the operator retries"):
        assert words in hindrance.message


def test_a_clash_names_the_job_and_what_to_do() -> None:
    step = decide(
        look_at({}, {"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("a", "b")}, {}, {})
    )
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    for words in (ARN, "differs in spec.a, spec.b", "another spec.trainingJobName", f"{ADOPTION_POLICY}: adopt"):
        assert words in step.terminal.message


def test_an_edit_that_is_not_possible_names_each_reason_and_the_next_step() -> None:
    step = decide(look_at(EDITED, {**COMPARED, "plan": NEVER}, {}, {}))
    assert isinstance(step, WriteStatus)
    (told,) = step.advisories
    for words in (
        "spec.roleARN is fixed at creation; spec.stoppingCondition.maxRuntimeInSeconds is fixed at creation.",
        "another spec.trainingJobName",
        "revert the fields",
    ):
        assert words in told.message


def test_an_edit_that_waits_says_for_what() -> None:
    step = decide(look_at(EDITED, {**COMPARED, "plan": TO_WAIT}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.pending_edit is not None
    assert "spec.profilerConfig waits for the start of the job" in step.pending_edit.message


def test_a_job_that_does_not_stop_says_how_to_let_the_object_go() -> None:
    step = decide(look_at(DELETED, {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert f"{DELETION_POLICY}: retain" in step.advisories[0].message


def told_before(generation: int, kind: str, reason: str) -> dict[str, Any]:
    return {"status": {"observedGeneration": generation, "conditions": [condition(kind, reason)]}}


@pytest.mark.parametrize(
    ("seen", "known", "tried"),
    [
        ({}, {}, False),
        ({}, {"tried": 1}, True),
        ({"generation": 2}, {"tried": 1}, False),
        ({}, {"unmarked": Unmarked((1, 0), "words", 1, NOW)}, True),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Recoverable", "AccessDenied", "")]}},
            {},
            True,
        ),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "CreateFailed", "")]}},
            {},
            True,
        ),
        (
            {"status": {"observedGeneration": 2, "conditions": [condition("ACK.Terminal", "CreateFailed", "")]}},
            {},
            False,
        ),
        (
            {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Recoverable", "Throttled", "")]}},
            {},
            False,
        ),
    ],
)
def test_what_was_tried_before_is_known_after_a_restart_too(
    seen: dict[str, Any], known: dict[str, Any], tried: bool
) -> None:
    assert decision.was_tried(look_at(seen, known, {}, {})) == tried
