"""The phase that an object is in."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.creation import create
from trainingjob_operator.logic.decide.deletion import delete
from trainingjob_operator.logic.decide.edits import recorded_difference
from trainingjob_operator.logic.decide.expiry import expire
from trainingjob_operator.logic.decide.following import follow
from trainingjob_operator.logic.decide.rules import Rule, first
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.objects.annotations import DELETION_POLICY, Deletion
from trainingjob_operator.logic.state.memory import ACK_MANAGER, PASSIVE_SECONDS, RETRY_SECONDS
from trainingjob_operator.logic.state.steps import Idle, RemoveFinalizer, Requeue, Step, WriteStatus
from trainingjob_operator.logic.state.view import View


def decide(view: View) -> Step:
    """Return the next step for the object."""
    return first(phase(view) for phase in PHASES) or create(view)


def _await_namespace(view: View) -> Step | None:
    """Return a step that no annotation of the unread namespace can affect."""
    resource, unread = view.resource, view.namespace_unread
    if unread is None:
        return None
    ended = Observation.from_status(resource.status).is_ended()
    retained = view.policy.deletion is Deletion.RETAIN and DELETION_POLICY in resource.annotations
    if resource.deleting and resource.holds_finalizer and (ended or retained):
        return RemoveFinalizer()
    if ended or (resource.deleting and not resource.holds_finalizer):
        return Idle()
    return WriteStatus(hindrance=unread, again=RETRY_SECONDS, unfinished=True)


def _delete(view: View) -> Step | None:
    """Delete even a passive object: its job costs money, and a second Stop is idempotent."""
    return delete(view) if view.resource.deleting else None


def _stay_passive(view: View) -> Step | None:
    """Report the conflict once and do nothing else: the other controller overwrites the status."""
    memory = view.memory
    if not view.is_passive:
        return None
    quiet_in = (memory.rival.passive_until or view.now) - view.now
    if memory.rival.passive_shown:
        return Requeue(quiet_in)
    if memory.rival.foreign_writer == ACK_MANAGER:
        rival = f'The field manager "{ACK_MANAGER}" of ACK\'s controllers writes'
    else:
        rival = f'The field manager "{memory.rival.foreign_writer}" repeatedly writes'
    message = (
        f"{rival} the status of this object. The operator pauses for this object until no other field manager has "
        f"written its status for {PASSIVE_SECONDS / 60:.0f} minutes; only a deletion is still carried out. Run one "
        "controller for the object, or separate the controllers with --watch-selectors."
    )
    kept = recorded_difference(view.resource)  # the condition is its only record
    advisories = (Finding(reasons.PASSIVE, message), *(() if kept is None else (kept,)))
    return WriteStatus(advisories=advisories, passive=True, again=quiet_in, unfinished=True)


def _follow(view: View) -> Step | None:
    identity = view.attached()
    return None if identity is None else follow(view, identity)


PHASES: tuple[Rule, ...] = (_await_namespace, _delete, _stay_passive, expire, _follow)
"""All other objects are in the phase of creation."""
