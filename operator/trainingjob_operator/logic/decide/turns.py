"""Waits of an object for its turn to create: before the create queue and in it."""

from dataclasses import replace

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.retries import explain
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.create_order import Place
from trainingjob_operator.logic.naming import CREATE_PENDING, Identity
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.memory import Trouble
from trainingjob_operator.logic.state.steps import Create, JoinQueue, Requeue, Step, WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import RECOVERABLE, TERMINAL

WAITING_SHOWN_SECONDS = 1.0
"""A shorter wait for a turn is not reported."""

PLACE_SECONDS = 60.0
"""Minimum interval between status writes for a new position in the queue."""

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


def find_trouble(view: View) -> Trouble | None:
    """Return the failure of the last attempt with the current spec and policy."""
    job = view.job
    trouble = job.troubles.get(CREATE)
    return trouble if trouble is not None and job.attempt.tried == (view.resource.generation, view.policy) else None


def was_tried(view: View) -> bool:
    """Return True after an attempt with the current spec and policy: such an object queues behind first attempts."""
    resource, memory = view.resource, view.memory
    if memory.unmarked is not None or view.job.attempt.tried is not None:
        return memory.unmarked is not None or view.job.attempt.tried == (resource.generation, view.policy)
    if view.decided_generation != resource.generation:
        return False
    shown = [resource.condition(kind).get("reason") for kind in (RECOVERABLE, TERMINAL) if resource.has_condition(kind)]
    return not _TRIED.isdisjoint(shown)


def await_retry(view: View, _wanted: Identity) -> Step | None:
    """Wait for the back-off of the last attempt; the queue decides the next attempt of one that needs capacity."""
    trouble = find_trouble(view)
    if trouble is None or trouble.retry_at <= view.now or trouble.waits_for_capacity:
        return None
    return explain(trouble, view)


def await_intent(view: View, _wanted: Identity) -> Step | None:
    """Wait after a refused write of the intent: no AWS call and no turn until the next try."""
    unmarked = view.memory.unmarked
    if unmarked is None or is_intent_recorded(view):
        return None
    if unmarked.state != view.resource.writable_state or unmarked.retry_at <= view.now:
        return None
    message = (
        f"The API server refused the write of the finalizer and the annotation {CREATE_PENDING}, required before "
        f"CreateTrainingJob: {unmarked.words}"
    )
    return WriteStatus(hindrance=Hindrance(reasons.METADATA_NOT_WRITTEN, message), again=unmarked.retry_at - view.now)


def is_intent_recorded(view: View) -> bool:
    return view.resource.pending is not None and view.resource.holds_finalizer


def await_turn(view: View, wanted: Identity) -> Step | None:
    """Join the create queue, and report the position in it."""
    if view.own_turn:
        return None
    return JoinQueue(wanted) if view.place is None else _report_place(view, view.place, find_trouble(view))


def _report_place(view: View, place: Place, trouble: Trouble | None) -> Step:
    job, now = view.job, view.now
    since = now if job.attempt.waiting_since is None else job.attempt.waiting_since
    if now - since < WAITING_SHOWN_SECONDS and trouble is None:
        return Requeue(WAITING_SHOWN_SECONDS - (now - since) + 0.05)
    text = _describe_place(place)
    if job.attempt.place_shown is not None and now - job.attempt.place_shown[1] < PLACE_SECONDS:
        text = job.attempt.place_shown[0]
    if trouble is not None and not trouble.waits_for_capacity:
        return replace(explain(trouble, view), place=text, again=PLACE_SECONDS)
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


def gives_up_turn(step: Step, view: View) -> bool:
    """Return True if an object must leave the create queue after a reconcile that ends with this step."""
    if isinstance(step, Create):
        return False  # its intent is recorded; it waits for the budget
    is_waiting = isinstance(step, Requeue) or (isinstance(step, WriteStatus) and step.place is not None)
    return view.own_turn or (view.place is not None and not is_waiting)
