"""Deletion of finished objects after their time to live; jobs are never deleted."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.objects.annotations import TTL
from trainingjob_operator.logic.state.steps import DeleteObject
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import FINISHED
from trainingjob_operator.logic.timestamps import parse_time


def expire(view: View) -> DeleteObject | None:
    """Return the deletion of an object whose time to live is over."""
    return DeleteObject() if expires_in(view) == 0.0 else None


def expires_in(view: View) -> float | None:
    """Return the seconds until the deletion of the object, or until the next attempt; None without one.

    The time counts from the transition of condition Finished, never from the end of the job: a GitOps tool may apply
    the object again, and the operator then reports the earlier run as finished anew.
    """
    ttl, resource = view.policy.ttl_seconds, view.resource
    if ttl is None or resource.deleting or not view.observation.is_ended():
        return None
    finished = resource.condition(FINISHED)
    finished_at = parse_time(finished.get("lastTransitionTime"))
    if finished_at is None or finished.get("status") != "True":  # this reconcile writes it
        return max(1.0, ttl)
    left = max(0.0, ttl - (view.wall - finished_at).total_seconds())
    undeleted = view.memory.undeleted
    return left if undeleted is None else max(left, undeleted.retry_at - view.now)


def describe_undeleted(view: View) -> Finding | None:
    """Report the error of the last attempt to delete the object."""
    undeleted = view.memory.undeleted
    if undeleted is None:
        return None
    message = (
        f"The API server rejected the deletion of this finished object: {undeleted.words} Grant the operator the verb "
        f"delete on trainingjobs, or remove the annotation {TTL}."
    )
    return Finding(reasons.EXPIRY_DENIED, message)
