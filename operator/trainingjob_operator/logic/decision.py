"""Next step for one object: a pure function from its known state to one step.

The reconciler executes the step, records the outcome in `Memory` and calls decide() again until it returns
`WriteStatus` or `Idle`. Not here: the execution of a step (reconciler) and the conversion of `WriteStatus` to
conditions (status.py).

    deleting ── finalizer? ── retain / ended / not ours ──► RemoveFinalizer
       │            └─ a running job ──► Stop once, keep the finalizer until the job has ended
       │
    no ARN of ours yet ── invalid annotation, invalid spec ──► WriteStatus (Terminal)
       │            ├─ adopt, read-only ──► Describe ──► TakeOwnership
       │            ├─ an unsettled attempt elsewhere ──► Describe ──► TakeOwnership or ClearIntent
       │            └─ JoinQueue ──► RecordIntent ──► Create
       │                  └─ name in use? Describe, ReadTags ──► TakeOwnership or WriteStatus (Terminal)
       │
    an ARN of ours ── something changed ──► Describe ──► WriteStatus; ended ──► RemoveFinalizer
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.annotations import (
    ADOPT_FROM_CLUSTER,
    ADOPTION_POLICY,
    DEFAULT_REGION,
    DELETION_POLICY,
    REGION,
    SPARING_KEYS,
    Deletion,
)
from trainingjob_operator.logic.conditions import ADVISORY, RECOVERABLE, TERMINAL, recorded_vanishing
from trainingjob_operator.logic.create_order import Place
from trainingjob_operator.logic.errors import ErrorClass
from trainingjob_operator.logic.memory import (
    ACK_MANAGER,
    PASSING,
    PASSIVE_SECONDS,
    RETRY_SECONDS,
    Memory,
    Trouble,
)
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, TAG_CLUSTER, Identity, build_arn
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof, Verdict, read_named_owner
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Resource, mapping
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
from trainingjob_operator.logic.updates import TagChange, plan_tags
from trainingjob_operator.logic.view import View

UNCERTAIN_SECONDS = 30.0
"""After a call of CreateTrainingJob, NotFound proves nothing for this time: the service is eventually consistent."""

LASTING_SECONDS = 60.0
"""Transient errors appear in conditions after this time."""

DOUBTFUL_SECONDS = 120.0
"""A possibly transient validation error is retried for this time before it counts as refused."""

DOUBTFUL_REPEATS = (300.0, 900.0, 3600.0)
"""Seconds between later retries of a spec refused with such an error."""

FRESH_SECONDS = 5.0
"""Maximum age of the Describe answer required for a Stop: another run may have taken the name since."""

STUCK_SECONDS = 900.0
"""Time in Stopping, or without a successful Stop, before the operator raises a Warning."""

NAME_RETRY_FIRST, NAME_RETRY_SECONDS = 2.0, 300.0
"""Back-off between Describe calls for a name in use that Describe does not find."""

ABSENT_SECONDS = 60.0
"""Interval between Describe calls for a missing job to adopt or read."""

FOLLOW_SECONDS = 30.0
"""Interval between Describe calls for an ended job with a live warm pool or running rules."""

LATE_NEWS_SECONDS, LATE_NEWS_LIMIT = 60.0, 300.0
"""Time from the end of a job with spot instances or rules to one more Describe, unless its last change is older than
the limit: the service updates such jobs after the end, for example the billable seconds."""

OUTDONE_SECONDS, OUTDONE_FAILURES = 7200.0, 10
"""A spec counts as refused after server errors for this time and this number of failures, each with successful
creates of other objects in between.
"""

WAITING_SHOWN_SECONDS = 1.0
"""A shorter wait for a turn is not reported."""

PLACE_SECONDS = 60.0
"""Minimum interval between status writes for a new position in the queue."""

CREATE, DESCRIBE, STOP, UPDATE = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"
LIST_TAGS, ADD_TAGS, DELETE_TAGS = "ListTags", "AddTags", "DeleteTags"

_REASONS = {
    ErrorClass.DENIED: reasons.ACCESS_DENIED,
    ErrorClass.DOUBTFUL: reasons.CREATE_FAILING,
    ErrorClass.THROTTLED: reasons.THROTTLED,
    ErrorClass.CREDENTIALS: reasons.CREDENTIALS_INVALID,
    ErrorClass.RETRY: reasons.SERVICE_UNAVAILABLE,
}
"""For other classes the reason is the error code."""

_TRIED = frozenset(
    {
        reasons.ACCESS_DENIED,
        reasons.CREATE_FAILING,
        reasons.CREATE_FAILED,
        reasons.NAME_IN_USE,
        reasons.QUOTA_TOO_SMALL,
        reasons.METADATA_NOT_WRITTEN,
    }
)
"""Condition reasons in `.status` that prove an attempt by a previous process."""

_SHOWN_LATE = (PASSING - {ErrorClass.REGION, ErrorClass.ACCOUNT}) | {ErrorClass.CONFLICT}
"""Transient errors, reported only if they persist."""


def decide(view: View) -> Step:
    """Return the next step for the object."""
    if view.namespace_unread is not None:
        return _await_namespace(view, view.namespace_unread)
    if view.resource.deleting:  # at any time: the job costs money, and a second Stop is idempotent
        return _decide_deletion(view)
    if view.is_passive:
        return _stay_passive(view)
    identity = view.attached()
    if identity is not None:
        return _decide_life(view, identity)
    return _decide_birth(view)


def _await_namespace(view: View, unread: Hindrance) -> Step:
    """Return a step that no annotation of the namespace can affect."""
    resource = view.resource
    ended = Observation.from_status(resource.status).is_ended()
    retained = view.policy.deletion is Deletion.RETAIN and DELETION_POLICY in resource.annotations
    if resource.deleting and resource.holds_finalizer and (ended or retained):
        return RemoveFinalizer()
    if ended or (resource.deleting and not resource.holds_finalizer):
        return Idle()
    return WriteStatus(hindrance=unread, again=RETRY_SECONDS, unfinished=True)


def _stay_passive(view: View) -> Step:
    """Report the conflict once and do nothing else: the other controller overwrites the status."""
    memory = view.memory
    quiet_in = (memory.passive_until or view.now) - view.now
    if memory.passive_shown:
        return Requeue(quiet_in)
    if memory.foreign_writer == ACK_MANAGER:
        rival = f'The field manager "{ACK_MANAGER}" of ACK\'s controllers writes'
    else:
        rival = f'The field manager "{memory.foreign_writer}" repeatedly writes'
    message = (
        f"{rival} the status of this object. The operator pauses for this object until no other field manager has "
        f"written its status for {PASSIVE_SECONDS / 60:.0f} minutes; only a deletion is still carried out. Run one "
        "controller for the object, or separate the controllers with --watch-selectors."
    )
    kept = told_difference(view.resource)  # the condition is its only record
    advisories = (Finding(reasons.PASSIVE, message), *(() if kept is None else (kept,)))
    return WriteStatus(advisories=advisories, passive=True, again=quiet_in, unfinished=True)


# -- before there is a job --------------------------------------------------------------------------------------------


def _decide_birth(view: View) -> Step:
    resource, policy, wanted = view.resource, view.policy, view.wanted()
    pending = resource.pending
    if pending is not None and (pending != wanted or policy.observes_only):
        return _settle_attempt(view, pending)
    if policy.problems:
        return _refuse(
            view, Finding(reasons.INVALID_ANNOTATION, " ".join(problem.message for problem in policy.problems))
        )
    if wanted is None:
        message = "spec.trainingJobName is missing or invalid. Use 1 to 63 letters, digits and inner hyphens."
        return _refuse(view, Finding(reasons.INVALID_SPEC, message))
    if view.no_access is not None:
        return WriteStatus(hindrance=view.no_access, again=RETRY_SECONDS)
    if policy.observes_only or policy.adoption is not None:
        step = _decide_adoption(view, wanted)
        if step is not None:
            return step
    else:
        recorded = resource.recorded or resource.ran or (wanted if _is_known_foreign(view) else None)
        if recorded is not None:
            return _prove_recorded(view, recorded)
    return _decide_creation(view, wanted)


def _is_known_foreign(view: View) -> bool:
    """Return True for a name known to belong to another object's job; the status no longer has its ARN."""
    memory = view.memory
    return view.verdict is Verdict.FOREIGN and not (memory.name_taken or memory.not_found or memory.asked)


def _decide_creation(view: View, wanted: Identity) -> Step:
    resource, policy, memory = view.resource, view.policy, view.memory
    standing = _standing_refusal(view, wanted)
    if standing is not None:
        return standing
    if view.request_problem is not None:
        return _refuse(view, view.request_problem)
    if not policy.allows_role(resource.spec.get("roleARN")):
        message = "The namespace does not allow spec.roleARN. Allowed: " + ", ".join(policy.allowed_roles)
        return _refuse(view, Finding(reasons.ROLE_NOT_ALLOWED, message))
    if view.rival is not None:
        return _refuse(view, _clash(view, wanted))
    if memory.name_taken:
        return _decide_in_use(view, wanted)
    trouble = memory.troubles.get(CREATE) if memory.tried == (resource.generation, policy) else None
    if trouble is not None:
        # An object with a temporary refusal must stay deletable at any time.
        refused_for_now = trouble.error.kind in (ErrorClass.DENIED, ErrorClass.WAITING, ErrorClass.REGION)
        if refused_for_now and resource.pending is not None and not view.own_turn:
            return _settle_attempt(view, resource.pending)
        if trouble.retry_at > view.now and not trouble.waits_for_capacity:
            return _explain(trouble, view)
    is_marked = resource.pending is not None and resource.holds_finalizer
    if not is_marked and (unmarked := _wait_to_mark(view)) is not None:
        return unmarked
    if not view.own_turn:
        return JoinQueue(wanted) if view.place is None else _wait_in_line(view, view.place, trouble)
    return Create(wanted) if is_marked else RecordIntent(wanted)


def _wait_to_mark(view: View) -> WriteStatus | None:
    """Return the wait after a refused write of the intent: no AWS call and no turn until the next try."""
    unmarked = view.memory.unmarked
    if unmarked is None or unmarked.state != view.resource.writable_state or unmarked.retry_at <= view.now:
        return None
    message = (
        f"The API server refused the write of the finalizer and the annotation {CREATE_PENDING}, required before "
        f"CreateTrainingJob: {unmarked.words}"
    )
    return WriteStatus(hindrance=Hindrance(reasons.METADATA_NOT_WRITTEN, message), again=unmarked.retry_at - view.now)


def was_tried(view: View) -> bool:
    """Return True after an attempt with the current spec and policy: such an object queues behind first attempts."""
    resource, memory = view.resource, view.memory
    if memory.unmarked is not None or memory.tried is not None:
        return memory.unmarked is not None or memory.tried == (resource.generation, view.policy)
    if view.decided_generation != resource.generation:
        return False
    told = [resource.condition(kind).get("reason") for kind in (RECOVERABLE, TERMINAL) if resource.has_condition(kind)]
    return not _TRIED.isdisjoint(told)


def _wait_in_line(view: View, place: Place, trouble: Trouble | None) -> Step:
    memory, now = view.memory, view.now
    since = now if memory.waiting_since is None else memory.waiting_since
    if now - since < WAITING_SHOWN_SECONDS and trouble is None:
        return Requeue(WAITING_SHOWN_SECONDS - (now - since) + 0.05)
    text = _describe_place(place)
    if memory.place_shown is not None and now - memory.place_shown[1] < PLACE_SECONDS:
        text = memory.place_shown[0]
    if trouble is not None and not trouble.waits_for_capacity:
        return replace(_explain(trouble, view), place=text, again=PLACE_SECONDS)
    if trouble is not None:
        # The service's message names the limit.
        message = f"{trouble.error.sentence} Waiting for {place.capacity or 'its turn to retry'}: {text}."
        hindrance = Hindrance(trouble.error.code, message, waiting=True)
        return WriteStatus(hindrance=hindrance, place=text, again=PLACE_SECONDS)
    aim = place.capacity or "its turn to create the training job"
    return WriteStatus(waiting=Finding(reasons.WAITING, f"Waiting for {aim}: {text}."), place=text, again=PLACE_SECONDS)


def _describe_place(place: Place) -> str:
    objects = "1 object" if place.ahead == 1 else f"{place.ahead} objects"
    text = f"{objects} ahead of it in the queue" if place.ahead else "it is next in the queue"
    if place.is_reserved:
        return f"{text}; freed capacity is reserved for the longest-waiting object"
    return f"{text}; smaller jobs may pass if they fit" if place.is_passing else text


def _prove_recorded(view: View, recorded: Identity) -> Step:
    """Verify a recorded ARN without a claim: ACK writes the ARN of a foreign job into an object with a name clash.

    The operator never creates such a job: the recorded job may have run.
    """
    memory = view.memory
    if not memory.not_found:
        return _examine(view, recorded) or _claim_found(view, recorded)
    step = _decide_absence(view, recorded)
    is_gone = isinstance(step, WriteStatus) and step.vanished is not None
    return _refuse(view, _ran(recorded)) if is_gone and view.resource.arn is None else step


def _ran(identity: Identity) -> Finding:
    message = (
        f"Annotation {JOB_ARN} records the run {identity} of this object, but SageMaker no longer has that job. The "
        "operator does not create it again: to run it once more, remove the annotation."
    )
    return Finding(reasons.JOB_NOT_FOUND, message)


def _examine(view: View, identity: Identity) -> Step | None:
    """Return the next step towards the verdict on an existing job; None with a verdict, or if Describe found no job."""
    memory = view.memory
    waited = _wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.needs_describe or (memory.observation is None and not memory.not_found):
        return Describe(identity)
    return None if memory.not_found else _collect_evidence(view, identity)


def _collect_evidence(view: View, identity: Identity) -> Step | None:
    """Return the next read call required for the verdict; None with a verdict, or without a job."""
    if view.verdict is not Verdict.UNKNOWN or view.memory.not_found:
        return None
    named = read_named_owner(view.memory.tags or {})
    return ReadTags(identity, build_arn(view.partition, identity)) if named is None else FindOwner(named)


def _claim_found(view: View, identity: Identity) -> Step:
    """Take over the job with that name if the verdict permits it; otherwise report a name clash."""
    memory, verdict = view.memory, view.verdict
    arn = build_arn(view.partition, identity)
    is_ended = memory.observation is not None and memory.observation.is_ended()
    if verdict.is_recorded:
        return TakeOwnership(arn, finalizer=verdict.may_change and not is_ended, claim=verdict)
    if verdict is not Verdict.EARLIER_RUN or _differs_from_earlier_run(view) is not None:
        step = _refuse(view, _clash(view, identity))
        # The deletion of the other object makes an adoption possible.
        return (
            replace(step, again=ABSENT_SECONDS) if isinstance(step, WriteStatus) and view.policy.asks_adoption else step
        )
    return TakeOwnership(arn, finalizer=not is_ended, claim=Verdict.INHERITED)


def _differs_from_earlier_run(view: View) -> str | None:
    """Return the difference that disqualifies an earlier run as this object's run, if any."""
    memory = view.memory
    if memory.observation is not None and memory.observation.status in ("Stopping", "Stopped"):
        return "was stopped"
    differences = [*memory.differences, *_name_missing_tags(view)]
    return "differs in " + ", ".join(f"spec.{path}" for path in differences) if differences else None


def _name_missing_tags(view: View) -> tuple[str, ...]:
    """Return ("tags",) if the job lacks one of spec.tags; other tags of the job are ignored."""
    tags = view.memory.tags or {}
    return () if all(tags.get(key) == value for key, value in view.resource.user_tags()) else ("tags",)


def _settle_attempt(view: View, pending: Identity) -> Step:
    """Settle an attempt under an identity that spec and annotations no longer name."""
    memory = view.memory
    if _is_known_unborn(memory):
        return ClearIntent()
    found = _find_attempt(view, pending)
    if found is not None:
        return found
    if memory.not_found:
        return ClearIntent()
    if memory.proof is TagProof.SAME_OBJECT:
        return TakeOwnership(build_arn(view.partition, pending), finalizer=True, claim=Verdict.CREATED)
    # An object restored from a backup without status has a job under the recorded identity.
    is_run = view.verdict is Verdict.EARLIER_RUN and _differs_from_earlier_run(view) is None
    return _claim_found(view, pending) if is_run else ClearIntent()


def _find_attempt(view: View, identity: Identity) -> Step | None:
    """Return the next step towards the outcome of an attempt; None once `absent` or `proof` determines it."""
    memory, now = view.memory, view.now
    if view.no_access is not None:
        return WriteStatus(hindrance=view.no_access, again=RETRY_SECONDS)
    waited = _wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.not_found:
        certain_at = UNCERTAIN_SECONDS + (memory.first_seen if memory.attempted_at is None else memory.attempted_at)
        if memory.looked_at is not None and memory.looked_at >= certain_at:
            return None
        return Describe(identity) if now >= certain_at else Requeue(certain_at - now + 0.1)
    if memory.observation is None:
        return Describe(identity)
    if memory.proof is None:
        return ReadTags(identity, build_arn(view.partition, identity))
    return None


def doubt_region(view: View) -> Finding | None:
    """Return a warning for an unknown region without a job; no error, as the region may be newer than the data."""
    if view.is_region_known or view.arn is not None:
        return None
    message = (
        f"Region {view.policy.region} is not in the operator's data of AWS regions. If it is misspelt, correct the "
        f"annotation {REGION} of the object, {DEFAULT_REGION} of the namespace, or --aws-region."
    )
    return Finding(reasons.REGION_UNKNOWN, message)


def _is_known_unborn(memory: Memory) -> bool:
    """Return True if every attempt since the intent was recorded was definitely refused."""
    return memory.attempted_at is not None and not memory.unsettled and not memory.name_taken


def _decide_adoption(view: View, wanted: Identity) -> Step | None:
    """Return the next step of an adoption; None without such a job, if the operator may create it."""
    memory, policy = view.memory, view.policy
    waited = _wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.looked_at is None or memory.needs_describe:
        return Describe(wanted)
    if memory.not_found:
        if not policy.observes_only:
            return None
        verb = "read" if policy.read_only else "adopt"
        message = f"There is no training job {wanted} to {verb}. Correct its name, region or account, or create it."
        again_at = memory.looked_at + ABSENT_SECONDS
        if view.now >= again_at:
            return Describe(wanted)
        step = _refuse(view, Finding(reasons.JOB_NOT_FOUND, message))
        return replace(step, again=again_at - view.now) if isinstance(step, WriteStatus) else step
    return _examine(view, wanted) or _claim_found(view, wanted)


def _decide_in_use(view: View, wanted: Identity) -> Step:
    """Find the holder of a name in use: a lost attempt of this object, an earlier object, or another owner."""
    memory = view.memory
    waited = _wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.not_found and memory.looked_at is not None:
        return _await_name(view, wanted, memory.looked_at)
    return _examine(view, wanted) or _claim_found(view, wanted)


def _await_name(view: View, wanted: Identity, looked_at: float) -> Step:
    """Wait for a name in use according to Create but unknown to Describe; a single answer may be stale."""
    since = looked_at if view.memory.not_found_since is None else view.memory.not_found_since
    lasted = looked_at - since
    if lasted < UNCERTAIN_SECONDS:
        again = looked_at + NAME_RETRY_FIRST - view.now
        return Requeue(again) if again > 0 else Describe(wanted)
    again = looked_at + min(NAME_RETRY_SECONDS, lasted / 4) - view.now
    if again <= 0:
        return Describe(wanted)
    message = (
        f'CreateTrainingJob reports the name "{wanted.job_name}" as in use, but DescribeTrainingJob finds no such job '
        f"in account {wanted.account}, region {wanted.region}. A job with the same name in another upper and lower "
        "case may exist. Use another spec.trainingJobName."
    )
    return WriteStatus(hindrance=Hindrance(reasons.NAME_IN_USE, message), again=again)


def _standing_refusal(view: View, wanted: Identity) -> Step | None:
    """Return a refusal that still holds, because its inputs are unchanged."""
    resource, memory = view.resource, view.memory
    refusal = memory.refused
    if refusal is not None:
        if (refusal.generation, refusal.policy) != (resource.generation, view.policy):
            return None
        if refusal.retry_at is not None and view.now >= refusal.retry_at:
            return None
        step = _refuse(view, refusal.finding)
        if isinstance(step, WriteStatus) and refusal.retry_at is not None:
            return replace(step, again=refusal.retry_at - view.now)
        return step
    if memory.asked or memory.attempted_at is not None or resource.pending is not None:
        return None
    # Refused under a previous process: a restart does not repeat the call. Annotations do not change the generation and
    # may have moved the object to another job since; the message of a clash contains the ARN.
    terminal, decided = resource.condition(TERMINAL), view.decided_generation
    if terminal.get("status") != "True":
        return None
    reason, message = terminal.get("reason"), str(terminal.get("message"))
    is_same_clash = reason == reasons.NAME_CLASH and build_arn(view.partition, wanted) in message
    if is_same_clash and decided in (None, resource.generation):  # None: pruned by ACK's CRD
        return _refuse(view, Finding(reasons.NAME_CLASH, message))
    return (
        Idle(Finding(reasons.REFUSED, message))
        if reason == reasons.REFUSED and decided == resource.generation
        else None
    )


def _refuse(view: View, finding: Finding) -> Step:
    """Report the refusal until an edit. The finalizer is released first: the object must stay deletable at any time."""
    resource = view.resource
    if not resource.holds_finalizer:
        return WriteStatus(terminal=finding, disowned=True)
    attempt = resource.pending or view.wanted()
    if attempt is None:
        return ClearIntent(finding)
    step = _settle_attempt(view, attempt)
    return ClearIntent(finding) if isinstance(step, ClearIntent) else step


def _clash(view: View, identity: Identity) -> Finding:
    """Describe the name clash: the owner of the job and the possible corrections."""
    arn, tags = build_arn(view.partition, identity), view.memory.tags or {}
    rename = "Use another spec.trainingJobName"
    adopt = f"adopt it with the annotation {ADOPTION_POLICY}: adopt"
    named = "/".join(read_named_owner(tags) or ("unknown",))
    match view.memory.proof:
        case _ if view.rival is not None:
            why, advice = f"belongs to the object {view.rival}", f"{rename}."
        case TagProof.OTHER_OBJECT if view.memory.owner_exists(view.now):
            why, advice = f"was created for the object {named}", f"{rename}."
        case TagProof.OTHER_OBJECT:
            why = f"was created for the object {named}"
            advice = f"{rename}, or, once that object is gone, {adopt}."
        case TagProof.OTHER_CLUSTER:
            cluster = tags[TAG_CLUSTER]
            why = f"was created for the object {named} of the cluster with ID {cluster}"
            advice = (
                f"{rename}, or {adopt} and {ADOPT_FROM_CLUSTER}: {cluster}. If this cluster replaces that one, run "
                f"the operator with --cluster-id={cluster} instead."
            )
        case TagProof.ACK:
            why = "was created by ACK's controller for an unknown object"
            advice = f"{rename}, or {adopt}."
        case TagProof.SAME_NAME:
            why = f"is an earlier run of this object and {_differs_from_earlier_run(view)}"
            advice = f"{rename} to run the object, or {adopt}."
        case _:
            why, advice = "was not created for this object", f"{rename}, or {adopt}."
    return Finding(reasons.NAME_CLASH, f"The training job {arn} exists already and {why}. {advice}")


# -- while there is a job ---------------------------------------------------------------------------------------------


def _decide_life(view: View, identity: Identity) -> Step:
    resource, memory, known = view.resource, view.memory, view.observation
    ended = known.is_ended()
    gone = recorded_vanishing(resource.status.get("conditions"))
    if gone is not None and not memory.needs_describe and (memory.not_found or memory.observation is None):
        return WriteStatus(vanished=gone, release=resource.holds_finalizer)
    uncompared = memory.compared_generation != resource.generation and _may_differ(view, ended=ended)
    unseen = uncompared and not memory.not_found
    if not ended and view.no_access is not None:
        advisories = _advise(view, identity)
        return WriteStatus(hindrance=view.no_access, advisories=advisories, again=RETRY_SECONDS, unfinished=unseen)
    if not ended and memory.not_found:
        return _decide_absence(view, identity, unfinished=uncompared)
    unreachable = None if view.no_access is None else WriteStatus(again=RETRY_SECONDS)
    waited = unreachable or _wait_out(view, DESCRIBE)
    if waited is not None and not ended:
        return replace(waited, advisories=_advise(view, identity), unfinished=unseen)
    following = ended and _is_followed(view)
    late_in = _await_late_news(view) if ended else None
    due = following and (memory.looked_at is None or view.now >= memory.looked_at + FOLLOW_SECONDS)
    untold = ended and known.is_hearsay() and memory.looked_at is None
    unknown = not known.status and memory.observation is None
    if waited is None and (memory.needs_describe or unknown or unseen or due or untold or late_in == 0.0):
        return Describe(identity)
    evidence = None if (ended and not following) or view.claim is not None else _collect_evidence(view, identity)
    unread = None if evidence is None else unreachable or _wait_out(view, LIST_TAGS)
    if evidence is not None and unread is None:
        return evidence
    if view.is_owner and not (ended or resource.holds_finalizer):
        return TakeOwnership(view.arn or "", finalizer=True)  # removed by a user
    edit = unread or _decide_edit(view, identity)
    if edit is not None and not isinstance(edit, WriteStatus):
        return edit
    said = edit or WriteStatus()
    return replace(
        said,
        advisories=_advise(view, identity),
        pending_edit=_name_pending(view),
        release=ended and resource.holds_finalizer,
        unfinished=unseen or said.unfinished,
        again=_look_later(view, waited, untold=untold or unseen or late_in == 0.0)
        or (FOLLOW_SECONDS if following else late_in or (None if edit is None else edit.again)),
    )


def _is_followed(view: View) -> bool:
    """Return True while rules or the warm pool of an ended job may still change."""
    plan = view.memory.plan
    own = None if plan is None else plan.pool_seconds
    seconds = max(keep_alive_seconds(view.resource) or 0, own or 0)
    return view.observation.needs_following(view.wall, seconds)


def _await_late_news(view: View) -> float | None:
    """Return the seconds until the late Describe of an ended job; None if done or not required."""
    memory, spec, known = view.memory, view.resource.spec, view.observation
    has_late_news = spec.get("enableManagedSpotTraining") is True or known.has_rules
    changed = known.last_news_time
    if not has_late_news or memory.ended_at is None or changed is None or view.no_access is not None:
        return None
    due_at = memory.ended_at + LATE_NEWS_SECONDS
    is_done = memory.looked_at is not None and memory.looked_at >= due_at
    if is_done or (view.wall - changed).total_seconds() >= LATE_NEWS_LIMIT:
        return None
    return max(0.0, due_at - view.now)


def report_meanwhile(view: View, identity: Identity) -> WriteStatus:
    """Report the known state of the object's job while its Describe has to wait."""
    return WriteStatus(
        advisories=_note_stuck(view) if view.resource.deleting else _advise(view, identity),
        pending_edit=_name_pending(view),
        release=view.observation.is_ended() and view.resource.holds_finalizer,
        unfinished=view.is_edited or view.is_inherited,
    )


def _look_later(view: View, waited: WriteStatus | None, *, untold: bool) -> float | None:
    """Return the delay of an overdue Describe: for an end known from a list only, or for an edit of an ended job."""
    return waited.again if waited is not None and (view.memory.needs_describe or untold) else None


def told_difference(resource: Resource) -> Finding | None:
    """Return the recorded advisory about a difference between spec and job, if any."""
    told = resource.condition(ADVISORY)
    reason, message = told.get("reason"), told.get("message")
    if reason in (reasons.ADOPTED_SPEC_DIFFERS, reasons.EDIT_NOT_POSSIBLE, reasons.EDIT_PENDING) and isinstance(
        message, str
    ):
        return Finding(str(reason), message)
    return None


def _may_differ(view: View, *, ended: bool) -> bool:
    """Return True if spec and job must be compared; memory does not survive a restart."""
    told = told_difference(view.resource)
    if ended:  # only an edit that waits for the end is still possible
        return view.is_edited or (told is not None and told.reason == reasons.EDIT_PENDING)
    return view.is_edited or view.is_inherited or told is not None


def _decide_edit(view: View, identity: Identity) -> Step | None:
    """Return the next step to apply an edit to the job; None without one."""
    resource, memory = view.resource, view.memory
    refused = memory.edit_refused is not None and memory.edit_refused[0] == resource.generation
    tags_unread = _must_know_tags(view) and memory.tags_generation != resource.generation
    if view.policy.read_only or refused or memory.not_found or not (view.is_edited or memory.plan or tags_unread):
        return None
    waited = _wait_out(view, UPDATE, LIST_TAGS, ADD_TAGS, DELETE_TAGS)
    if view.no_access is not None or waited is not None:
        return replace(waited or WriteStatus(again=RETRY_SECONDS), unfinished=True)
    arn = view.arn or ""
    if tags_unread:
        return ReadTags(identity, arn)
    if view.is_adopting:
        return None
    change = _plan_tags(view)
    if change is not None:
        return SetTags(arn, change)
    members = memory.plan.members if memory.plan is not None else {}
    if not members or _was_just_sent(memory, members, view.now):
        return None
    evidence = _collect_evidence(view, identity)
    if evidence is not None:
        return evidence
    return Update(identity, members) if view.verdict.may_change else None


def _must_know_tags(view: View) -> bool:
    """Return True if the edit may concern tags: Describe returns no tags."""
    told = told_difference(view.resource)
    if view.is_edited:
        return bool(view.resource.user_tags()) or not view.is_adopting
    may_be_kept = view.claim not in (Verdict.CREATED, Verdict.INHERITED) and bool(view.resource.user_tags())
    is_reported = told is not None and told.reason in (reasons.ADOPTED_SPEC_DIFFERS, reasons.EDIT_NOT_POSSIBLE)
    return may_be_kept and is_reported and not view.observation.is_ended()


def _sets_tags(view: View) -> bool:
    """Return True for a job created by this operator according to its tags; only such jobs get tag changes."""
    return not view.is_adopting and view.memory.proof in (TagProof.SAME_OBJECT, TagProof.SAME_NAME)


def _plan_tags(view: View) -> TagChange | None:
    """Plan the tag change. Only recorded keys are removed; under a CRD that prunes the record, tags are only added."""
    resource, memory = view.resource, view.memory
    if memory.tags is None or not _sets_tags(view):
        return None
    return plan_tags(resource.user_tags(), memory.tags, resource.recorded_names("appliedTagKeys"))


def _name_kept_tags(view: View) -> Finding | None:
    """Report spec.tags that the operator does not apply, because it did not create the job."""
    resource, memory = view.resource, view.memory
    if memory.tags is None or memory.tags_generation != resource.generation or _sets_tags(view):
        return None
    change = plan_tags(resource.user_tags(), memory.tags, ())
    if change is None:
        return None
    return Finding(
        reasons.EDIT_NOT_POSSIBLE,
        "The job keeps its tags, because this operator did not create it: spec.tags is not applied and differs in "
        f"{', '.join(change.add)}.",
    )


def _was_just_sent(memory: Memory, members: Mapping[str, Any], now: float) -> bool:
    return memory.updated is not None and memory.updated[0] == members and now < memory.updated[1] + UNCERTAIN_SECONDS


def _name_pending(view: View) -> Finding | None:
    plan = view.memory.plan
    if plan is None or not plan.waiting or _is_overdue(view):
        return None
    told = ", ".join(f"spec.{path} waits for {what}" for path, what in sorted(plan.waiting.items()))
    return Finding(reasons.EDIT_PENDING, f"The edit is valid, but SageMaker cannot apply it yet: {told}.")


def _is_overdue(view: View) -> bool:
    """Return True if the phase required by a pending edit can no longer come."""
    return view.observation.is_ended() and not _is_followed(view)


def _name_impossible(view: View) -> Finding | None:
    """Report the fields that SageMaker cannot change, each with its reason."""
    plan = view.memory.plan
    if plan is None:
        return None
    overdue = {path: f"required {what}, but the job ended without it" for path, what in plan.waiting.items()}
    causes = {**plan.impossible, **(overdue if _is_overdue(view) else {})}
    if not causes:
        return None
    told = "; ".join(f"spec.{path} {cause}" for path, cause in sorted(causes.items()))
    message = (
        f"SageMaker cannot apply this edit, and the job keeps its values: {told}. To run the edited spec, apply it as "
        "another object with another spec.trainingJobName; to remove this message, revert the fields."
    )
    return Finding(reasons.EDIT_NOT_POSSIBLE, message)


def keep_alive_seconds(resource: Resource) -> int | None:
    """Return the warm pool's keep-alive period in seconds, from the spec."""
    value = mapping(resource.spec.get("resourceConfig")).get("keepAlivePeriodInSeconds")
    return value if isinstance(value, int) else None


def _decide_absence(view: View, identity: Identity, *, unfinished: bool = False) -> Step:
    """Handle NotFound for an existing job: only a second NotFound after UNCERTAIN_SECONDS confirms it."""
    memory, now = view.memory, view.now
    waited = _wait_out(view, DESCRIBE)
    if waited is not None:
        return replace(waited, advisories=_advise(view, identity), unfinished=unfinished)
    since = now if memory.not_found_since is None else memory.not_found_since
    looked_at = now if memory.looked_at is None else memory.looked_at
    newborn = is_newborn(view)
    if looked_at - since >= UNCERTAIN_SECONDS and not newborn:
        return WriteStatus(vanished=_vanished(view, identity), release=view.resource.holds_finalizer)
    retry_at = looked_at + 2.0 if newborn else since + UNCERTAIN_SECONDS
    if now >= retry_at:
        return Describe(identity)
    return WriteStatus(advisories=_advise(view, identity), again=retry_at - now + 0.1, unfinished=unfinished)


def is_newborn(view: View) -> bool:
    """Return True shortly after this process created the job: the service is eventually consistent."""
    created_at = view.memory.created_at
    return created_at is not None and view.now < created_at + UNCERTAIN_SECONDS


def _vanished(view: View, identity: Identity) -> Finding:
    cause = "; another run has its name now" if view.memory.is_replaced else ""
    message = (
        f"The training job {identity.job_name} no longer exists in account {identity.account}, region "
        f"{identity.region}{cause}. The operator does not create it again: to run it once more, apply a new object."
    )
    return Finding(reasons.JOB_NOT_FOUND, message)


def _advise(view: View, identity: Identity) -> tuple[Finding, ...]:
    """Return the advisories for the object's job."""
    policy, memory = view.policy, view.memory
    found = [Finding(reasons.INVALID_ANNOTATION, problem.message) for problem in policy.problems]
    moved = (policy.account, policy.region) != (identity.account, identity.region)
    if moved and not policy.problems and not view.observation.is_ended():
        message = (
            f"The job stays in account {identity.account}, region {identity.region}: an existing job cannot move to "
            f"account {policy.account}, region {policy.region}, the current setting of this object."
        )
        found.append(Finding(reasons.IDENTITY_DIFFERS, message))
    if view.is_adopting and memory.differences:
        fields = ", ".join(f"spec.{path}" for path in memory.differences)
        found.append(Finding(reasons.ADOPTED_SPEC_DIFFERS, f"The training job differs from the object in {fields}."))
    elif (impossible := _name_impossible(view)) is not None:
        found.append(impossible)
    if memory.edit_refused is not None and memory.edit_refused[0] == view.resource.generation:
        found.append(memory.edit_refused[1])
    if view.verdict is Verdict.UNPROVEN:
        found.append(_unproven(identity))
    if view.claim is Verdict.INHERITED:
        found.append(_inherited(view))
    kept_tags = _name_kept_tags(view)
    if kept_tags is not None:
        found.append(kept_tags)
    told = told_difference(view.resource)
    if told is not None and memory.compared_generation is None and not view.is_edited:
        found.append(told)  # recorded by a previous process and still valid
    return tuple(found)


# -- deletion ---------------------------------------------------------------------------------------------------------


def _decide_deletion(view: View) -> Step:
    resource, policy = view.resource, view.policy
    if not resource.holds_finalizer:
        return Idle()
    unclear = tuple(
        Finding(reasons.INVALID_ANNOTATION, p.message) for p in policy.problems if p.annotation in SPARING_KEYS
    )
    if unclear:  # an invalid value never stops a job; the operator reports it
        return WriteStatus(advisories=unclear, release=True)
    if policy.deletion is Deletion.RETAIN or policy.read_only:
        return RemoveFinalizer()
    identity = view.attached()
    if identity is not None and view.observation.is_ended():
        told = Observation.from_status(resource.status).is_ended()
        return RemoveFinalizer() if told else WriteStatus(release=True)
    if view.no_access is not None:
        return WriteStatus(hindrance=view.no_access, again=RETRY_SECONDS)
    return _delete_attempt(view) if identity is None else _stop(view, identity)


def _delete_attempt(view: View) -> Step:
    """Settle a deletion with a finalizer but no ARN: an earlier attempt may have created a job."""
    memory = view.memory
    identity = view.resource.pending or (None if view.policy.problems else view.wanted())
    if identity is None or _is_known_unborn(memory):
        return RemoveFinalizer()
    found = _find_attempt(view, identity)
    if found is not None:
        return found
    if memory.not_found or memory.proof not in (TagProof.SAME_OBJECT, TagProof.SAME_NAME):
        return RemoveFinalizer()
    if memory.proof is TagProof.SAME_NAME and memory.differences:
        return RemoveFinalizer()  # a run of an earlier object with this name, perhaps left running on purpose
    claim = Verdict.CREATED if memory.proof is TagProof.SAME_OBJECT else Verdict.INHERITED
    return TakeOwnership(build_arn(view.partition, identity), finalizer=True, claim=claim)


def _stop(view: View, identity: Identity) -> Step:
    memory, now = view.memory, view.now
    stuck = _note_stuck(view)
    if memory.not_found:
        return _decide_absence(view, identity)
    # The object's own job may be stopped without Describe: a missing permission must not keep it running.
    is_blind = view.verdict is Verdict.CREATED and memory.is_denied(DESCRIBE)
    waited = _wait_out(view, STOP, LIST_TAGS, *(() if is_blind else (DESCRIBE,)))
    if waited is not None:
        return replace(waited, advisories=stuck)
    if memory.needs_describe and not is_blind:
        return Describe(identity)
    if view.observation.status in ("Stopping", "Deleting") or memory.stop_sent_at is not None:
        since = now if memory.stopping_since is None else memory.stopping_since
        return WriteStatus(advisories=stuck, again=None if stuck else max(1.0, since + STUCK_SECONDS - now))
    is_fresh = memory.looked_at is not None and now < memory.looked_at + FRESH_SECONDS
    if not (is_fresh or is_blind):
        return Describe(identity)
    evidence = _collect_evidence(view, identity)
    if evidence is not None:
        return evidence
    if not view.verdict.may_change:
        return WriteStatus(advisories=(_unproven(identity),), release=True)
    return Stop(identity)


def _inherited(view: View) -> Finding:
    created = view.observation.fields.get("creationTime", "unknown time")
    message = (
        f"This is an earlier run, created at {created}, of an object with this name; the operator created no training "
        "job for this object. To run it again, delete the object and apply it with another spec.trainingJobName."
    )
    return Finding(reasons.EARLIER_RUN, message)


def _unproven(identity: Identity) -> Finding:
    message = (
        f"No tag or record proves that the training job {identity.job_name} was created for this object. The operator "
        "follows it, but neither changes it nor stops it on deletion. To permit both, annotate the object with "
        f"{ADOPTION_POLICY}: adopt."
    )
    return Finding(reasons.OWNERSHIP_UNPROVEN, message)


def _note_stuck(view: View) -> tuple[Finding, ...]:
    since = view.memory.stopping_since
    if since is None or view.now - since < STUCK_SECONDS:
        return ()
    message = (
        f"The job has not stopped in {STUCK_SECONDS / 60:.0f} minutes. To remove the object without waiting for "
        f"the job, annotate the object with {DELETION_POLICY}: retain."
    )
    return (Finding(reasons.STOP_STUCK, message),)


def explain_unreleased(words: str) -> Hindrance:
    """Return the hindrance for a finalizer that the API server refuses to remove; `words` is its error."""
    message = (
        f"The API server refused the removal of the finalizer {FINALIZER}, no longer needed by the operator: "
        f"{words.rstrip('.')}. Correct the policy, webhook or role behind the refusal; the operator retries."
    )
    return Hindrance(reasons.FINALIZER_NOT_REMOVED, message)


# -- errors -----------------------------------------------------------------------------------------------------------


def _wait_out(view: View, *operations: str) -> WriteStatus | None:
    """Return the wait for the back-off of these operations; None once a retry is due."""
    for operation in operations:
        trouble = view.memory.troubles.get(operation)
        if trouble is not None and trouble.retry_at > view.now:
            return _explain(trouble, view)
    return None


def _explain(trouble: Trouble, view: View) -> WriteStatus:
    """Report an error at once if it needs an action by the user; a transient one only if it persists."""
    error, again = trouble.error, trouble.retry_at - view.now
    if error.kind in _SHOWN_LATE and view.now - trouble.since < LASTING_SECONDS:
        return WriteStatus(again=again)
    found = trouble.finding or Finding(_REASONS.get(error.kind, error.code), error.sentence)
    return WriteStatus(hindrance=Hindrance(found.reason, found.message, trouble.waits_for_capacity), again=again)
