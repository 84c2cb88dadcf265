"""Refusals that need an edit by the user, reported as Terminal."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.attempts import settle_attempt
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.objects.resource import string
from trainingjob_operator.logic.state.memory import Refusal
from trainingjob_operator.logic.state.steps import ClearIntent, Idle, Step, WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import TERMINAL


def refuse(view: View, finding: Finding, *, again: float | None = None) -> Step:
    """Report the refusal until an edit. The finalizer is released first: the object must stay deletable at any time.

    :param again: seconds until the next decision
    """
    resource = view.resource
    if not resource.holds_finalizer:
        return WriteStatus(terminal=finding, disowned=True, again=again)
    attempt = resource.pending or view.wanted()
    if attempt is None:
        return ClearIntent(finding)
    step = settle_attempt(view, attempt)
    return ClearIntent(finding) if isinstance(step, ClearIntent) else step


def uphold_refusal(view: View, wanted: Identity) -> Step | None:
    """Return a refusal that still holds, because its inputs are unchanged."""
    refusal = view.memory.refused
    return _uphold_recorded(view, wanted) if refusal is None else _uphold_own(view, refusal)


def _uphold_own(view: View, refusal: Refusal) -> Step | None:
    """Repeat a refusal of this process."""
    if (refusal.generation, refusal.policy) != (view.resource.generation, view.policy):
        return None
    if refusal.retry_at is None:
        return refuse(view, refusal.finding)
    return refuse(view, refusal.finding, again=refusal.retry_at - view.now) if view.now < refusal.retry_at else None


def _uphold_recorded(view: View, wanted: Identity) -> Step | None:
    """Repeat a refusal by a previous process: a restart does not repeat the call."""
    finding = recorded_refusal(view)
    if finding is None or view.decided_generation != view.resource.generation:
        return None
    # Annotations do not change the generation and may have moved the object to another job since.
    if finding.reason == reasons.NAME_CLASH and finding.job_arn == build_arn(view.partition, wanted):
        return refuse(view, finding)
    return Idle(finding) if finding.reason == reasons.REFUSED else None


def recorded_refusal(view: View) -> Finding | None:
    """Return the refusal recorded by a previous process, unless an attempt or a reconcile request has followed."""
    resource, memory = view.resource, view.memory
    terminal = resource.condition(TERMINAL)
    is_tried = memory.asked or view.job.attempt.attempted_at is not None or resource.pending is not None
    if is_tried or terminal.get("status") != "True":
        return None
    job_arn = string(resource.status.get("clashingJobARN"))
    return Finding(str(terminal.get("reason")), str(terminal.get("message")), job_arn)
