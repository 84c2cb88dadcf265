"""Attempts of one object: the end of a job that another attempt follows, and the wait for that attempt.

Only an end caused by the service is followed by another attempt, and only that of a job created for this object or an
earlier one of its name. Until the last attempt has ended, the object shows no end: neither ACK.Terminal nor an outcome.

A passage to the next attempt survives a crash at any point: (1) `.status.attempts` lists the ended job; (2) the status
drops the job, which the list keeps; (3) the finalizer and the intent of the ended attempt are removed. From (2) on the
object is in the phase of creation, under the name of the next attempt. Not here: that name (annotations.py).
"""

from dataclasses import replace

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.decide.aftermath import await_transitions
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.failure_reason import CAPACITY_ERROR, INTERNAL_SERVER_ERROR, classify_failure
from trainingjob_operator.logic.jobs.observation import FAILED
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import MAX_ATTEMPTS_KEY
from trainingjob_operator.logic.objects.attempts import Attempt, order_attempts
from trainingjob_operator.logic.state.ownership import Verdict, has_recorded_end
from trainingjob_operator.logic.state.steps import Step, WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import end_of, recorded_vanishing
from trainingjob_operator.logic.timestamps import parse_time

OF_SERVICE = frozenset({CAPACITY_ERROR, INTERNAL_SERVER_ERROR})
"""Classes of failures that another attempt may not meet."""

PAUSE = Backoff(10.0, 600.0)
"""Seconds from the end of an attempt to the next one, by number."""


def close_attempt(view: View, identity: Identity) -> WriteStatus | None:
    """Return the next step from an ended job to the next attempt; None without one."""
    if not _is_followed(view):
        return None
    retrying = _announce(describe_attempt(view, identity), view)
    if not _is_listed(view):
        return WriteStatus(retrying=retrying, lists_attempt=True, again=0.0)
    return WriteStatus(retrying=retrying, closes_attempt=True, again=0.0)


def holds_end(view: View) -> bool:
    """Return True if the end of the job must not be reported: another attempt follows, or may follow."""
    return _is_followed(view) or _awaits_cause(view)


def _is_followed(view: View) -> bool:
    seen = view.observation
    return seen.status == FAILED and classify_failure(seen.failure_reason) in OF_SERVICE and _allows_another(view)


def _awaits_cause(view: View) -> bool:
    """Return True for a failure known from a list only: DescribeTrainingJob shows its cause."""
    seen = view.observation
    if seen.status != FAILED or seen.failure_reason or not _allows_another(view):
        return False
    return view.job.needs_describe or await_transitions(view) is not None


def _allows_another(view: View) -> bool:
    """Return True if the job is one of this object's attempts, and not its last one."""
    policy, resource, identity = view.policy, view.resource, view.attached()
    if policy.max_attempts == 1 or identity is None or _number(view, identity) >= policy.max_attempts:
        return False
    if resource.deleting or view.is_adopting or has_recorded_end(resource) or _is_pruned(view):
        return False
    return (view.claim or view.verdict) in (Verdict.CREATED, Verdict.INHERITED)


def _is_listed(view: View) -> bool:
    return any(attempt.arn == view.arn and attempt.is_ended for attempt in view.resource.attempts)


def _is_pruned(view: View) -> bool:
    """Return True if the installed CRD does not keep the list: nothing would limit the number of attempts."""
    return view.job.is_listed and not _is_listed(view)


def describe_pruned(view: View) -> Finding | None:
    """Report that the installed CRD permits one attempt only."""
    if not _is_pruned(view):
        return None
    message = (
        f"Annotation {MAX_ATTEMPTS_KEY} has no effect, because the CRD in the cluster has no field status.attempts. "
        "Apply the CRD of this version of the operator."
    )
    return Finding(reasons.INVALID_ANNOTATION, message)


def _number(view: View, identity: Identity) -> int:
    """Return the number of the attempt with that job: by its name, since a restored object may have lost its status."""
    return view.policy.number_of(identity.job_name) or view.policy.attempt


def describe_attempt(view: View, identity: Identity, *, is_vanished: bool = False) -> Attempt:
    """Return the attempt of the object's job."""
    seen = view.observation
    attempt = Attempt(_number(view, identity), identity.job_name, view.arn or "")
    if not seen.is_ended() or _awaits_cause(view):
        return replace(attempt, reason=reasons.JOB_NOT_FOUND) if is_vanished else attempt
    return replace(
        attempt,
        reason=end_of(seen).reason,
        failure_reason=seen.failure_reason or None,
        end_time=seen.fields.get("trainingEndTime") or seen.fields.get("lastModifiedTime"),
        training_seconds=seen.fields.get("trainingTimeInSeconds"),
        billable_seconds=seen.fields.get("billableTimeInSeconds"),
    )


def list_attempts(view: View, identity: Identity | None, *, is_vanished: bool = False) -> tuple[Attempt, ...]:
    """Return the attempts so far, with that of the present job; empty without the annotation.

    :param identity: the object's job
    :param is_vanished: SageMaker no longer has the job
    """
    known = view.resource.attempts
    if identity is None or view.is_adopting or (view.policy.max_attempts == 1 and not known):
        return known
    is_vanished |= recorded_vanishing(view.resource.status.get("conditions")) is not None
    return order_attempts((*known, describe_attempt(view, identity, is_vanished=is_vanished)))


def explain_next(view: View) -> Finding | None:
    """Explain an object between two attempts; None in any other phase."""
    attempts = view.resource.attempts
    if view.arn is not None or not attempts or view.policy.attempt <= attempts[-1].number:
        return None
    return _announce(attempts[-1], view)


def _announce(ended: Attempt, view: View) -> Finding:
    cause = (ended.failure_reason or ended.reason or "").rstrip(". ")
    message = (
        f"Attempt {ended.number} of {view.policy.max_attempts}, the training job {ended.job_name}, ended with {cause}. "
        f"Attempt {ended.number + 1} follows."
    )
    return Finding(reasons.RETRYING, message)


def await_pause(view: View, wanted: Identity) -> Step | None:
    """Wait before the next attempt: an error of the service may last."""
    retrying = explain_next(view)
    if retrying is None or view.resource.pending == wanted or view.own_turn or view.place is not None:
        return None
    last = view.resource.attempts[-1]
    ended_at, pause = parse_time(last.end_time), PAUSE.after(last.number)
    if ended_at is None:
        return None
    left = min(pause, pause - (view.wall - ended_at).total_seconds())
    return WriteStatus(retrying=retrying, again=left) if left > 0 else None


def find_last(view: View, wanted: Identity) -> Identity | None:
    """Return the wanted job if it is an ended attempt: the annotation permits no other one any more."""
    return wanted if any(attempt.is_job(wanted) for attempt in view.resource.attempts) else None
