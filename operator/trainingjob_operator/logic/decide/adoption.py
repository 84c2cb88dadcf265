"""Adoption of an existing job, and read-only objects."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.claims import ABSENT_SECONDS, claim_found
from trainingjob_operator.logic.decide.evidence import examine
from trainingjob_operator.logic.decide.refusals import refuse
from trainingjob_operator.logic.decide.retries import wait_out
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.report import Finding
from trainingjob_operator.logic.steps import Describe, Step
from trainingjob_operator.logic.view import View


def adopt(view: View, wanted: Identity) -> Step | None:
    """Return the next step of an adoption; None without such a job, if the operator may create it."""
    memory, policy = view.memory, view.policy
    if not requests_adoption(view):
        return None
    waited = wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.looked_at is None or memory.needs_describe:
        return Describe(wanted)
    if not memory.not_found:
        return examine(view, wanted) or claim_found(view, wanted)
    return _await_job(view, wanted, memory.looked_at + ABSENT_SECONDS) if policy.observes_only else None


def requests_adoption(view: View) -> bool:
    """Return True if an annotation requests an existing job: to adopt it or to read it."""
    return view.policy.observes_only or view.policy.adoption is not None


def _await_job(view: View, wanted: Identity, again_at: float) -> Step:
    """Report a missing job, and describe it again later."""
    if view.now >= again_at:
        return Describe(wanted)
    verb = "read" if view.policy.read_only else "adopt"
    message = f"There is no training job {wanted} to {verb}. Correct its name, region or account, or create it."
    return refuse(view, Finding(reasons.JOB_NOT_FOUND, message), again=again_at - view.now)
