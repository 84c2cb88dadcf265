"""Refusals that need an edit by the user, reported as Terminal."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.conditions import TERMINAL
from trainingjob_operator.logic.decide.attempts import settle_attempt
from trainingjob_operator.logic.memory import Refusal
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.report import Finding
from trainingjob_operator.logic.steps import ClearIntent, Idle, Step, WriteStatus
from trainingjob_operator.logic.view import View


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
    resource, memory = view.resource, view.memory
    terminal, decided = resource.condition(TERMINAL), view.decided_generation
    is_tried = memory.asked or memory.attempted_at is not None or resource.pending is not None
    if is_tried or terminal.get("status") != "True":
        return None
    # Annotations do not change the generation and may have moved the object to another job since; the message of a
    # clash contains the ARN.
    reason, message = terminal.get("reason"), str(terminal.get("message"))
    is_same_clash = reason == reasons.NAME_CLASH and build_arn(view.partition, wanted) in message
    if is_same_clash and decided in (None, resource.generation):  # None: pruned by ACK's CRD
        return refuse(view, Finding(reasons.NAME_CLASH, message))
    is_same_spec = reason == reasons.REFUSED and decided == resource.generation
    return Idle(Finding(reasons.REFUSED, message)) if is_same_spec else None
