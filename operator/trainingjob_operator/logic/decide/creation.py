"""Objects without a job of their own: from the first reconcile to CreateTrainingJob."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.absence import decide_absence
from trainingjob_operator.logic.decide.adoption import adopt
from trainingjob_operator.logic.decide.attempts import settle_attempt
from trainingjob_operator.logic.decide.claims import claim, refuse_rival, resolve_taken_name, verify_recorded_clash
from trainingjob_operator.logic.decide.refusals import refuse, uphold_refusal
from trainingjob_operator.logic.decide.retries import await_access
from trainingjob_operator.logic.decide.rules import JobRule, Rule, first
from trainingjob_operator.logic.decide.succession import await_pause, find_last
from trainingjob_operator.logic.decide.turns import (
    await_intent,
    await_retry,
    await_turn,
    find_trouble,
    is_intent_recorded,
)
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import JOB_ARN, Identity
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import ClearIntent, Create, RecordIntent, Step, WriteStatus
from trainingjob_operator.logic.state.view import View

_TEMPORARY = frozenset({ErrorClass.DENIED, ErrorClass.WAITING, ErrorClass.REGION})
"""Refusals that hold for now: the object must stay deletable at any time."""


def create(view: View) -> Step:
    """Return the next step towards a job of the object."""
    step = first(rule(view) for rule in RULES)
    if step is not None:
        return step
    wanted = view.wanted()
    if wanted is None:
        message = (
            "The job has no valid name. Set spec.trainingJobName, or use a metadata.name of 1 to 63 letters, digits "
            "and inner hyphens."
        )
        return refuse(view, Finding(reasons.INVALID_SPEC, message))
    return first(rule(view, wanted) for rule in JOB_RULES) or _send(view, wanted)


def _clear_closed_intent(view: View) -> Step | None:
    """Remove the finalizer of an attempt that has ended and been left: there is nothing to stop."""
    return ClearIntent() if view.resource.holds_closed_intent else None


def _settle_former_attempt(view: View) -> Step | None:
    """Settle an attempt for another job first, or one of an object that no longer creates."""
    pending = view.resource.pending
    if pending is None or (pending == view.wanted() and not view.policy.observes_only):
        return None
    return settle_attempt(view, pending)


def _refuse_annotations(view: View) -> Step | None:
    problems = view.policy.problems
    if not problems:
        return None
    return refuse(view, Finding(reasons.INVALID_ANNOTATION, " ".join(problem.message for problem in problems)))


def _prove_recorded(view: View, wanted: Identity) -> Step | None:
    """Verify a recorded ARN without a claim: ACK writes the ARN of a foreign job into an object with a name clash.

    The operator never creates such a job: the recorded job may have run.
    """
    resource = view.resource
    if view.policy.names_existing_job:
        return None
    last = find_last(view, wanted)
    recorded = resource.recorded or view.ran or last or (wanted if _is_known_foreign(view) else None)
    if recorded is None:
        return None
    step = claim(view, recorded) or decide_absence(view, recorded)
    is_gone = isinstance(step, WriteStatus) and step.vanished is not None
    source = JOB_ARN if last is None else None
    return refuse(view, _report_run(recorded, source)) if is_gone and resource.arn is None else step


def _is_known_foreign(view: View) -> bool:
    """Return True for a name known to belong to another object's job; the status no longer has its ARN."""
    job = view.job
    return view.verdict is Verdict.FOREIGN and not (job.attempt.name_taken or job.not_found or view.memory.asked)


def _report_run(identity: Identity, annotation: str | None) -> Finding:
    """:param annotation: that records the run; None for an ended attempt in the status"""
    record = f"Annotation {annotation}" if annotation else "Field status.attempts"
    advice = "remove the annotation" if annotation else "apply a new object"
    message = (
        f"{record} records the run {identity} of this object, but SageMaker no longer has that job. The operator does "
        f"not create it again: to run it once more, {advice}."
    )
    return Finding(reasons.JOB_NOT_FOUND, message)


def _refuse_request(view: View, _wanted: Identity) -> Step | None:
    return None if view.request_problem is None else refuse(view, view.request_problem)


def _refuse_role(view: View, _wanted: Identity) -> Step | None:
    policy = view.policy
    if policy.allows_role(view.resource.spec.get("roleARN")):
        return None
    message = "The namespace does not allow spec.roleARN. Allowed: " + ", ".join(policy.allowed_roles)
    return refuse(view, Finding(reasons.ROLE_NOT_ALLOWED, message))


def _clear_refused_intent(view: View, _wanted: Identity) -> Step | None:
    """Settle a temporarily refused attempt, so that the object holds no finalizer while it waits."""
    pending, trouble = view.resource.pending, find_trouble(view)
    if trouble is None or trouble.error.kind not in _TEMPORARY or pending is None or view.own_turn:
        return None
    return settle_attempt(view, pending)


def _send(view: View, wanted: Identity) -> Step:
    return Create(wanted) if is_intent_recorded(view) else RecordIntent(wanted)


RULES: tuple[Rule, ...] = (_clear_closed_intent, _settle_former_attempt, _refuse_annotations)
"""Rules that need no valid job name."""

JOB_RULES: tuple[JobRule, ...] = (
    await_access,
    adopt,
    _prove_recorded,
    uphold_refusal,
    verify_recorded_clash,
    _refuse_request,
    _refuse_role,
    refuse_rival,
    resolve_taken_name,
    _clear_refused_intent,
    await_pause,
    await_retry,
    await_intent,
    await_turn,
)
