"""Adoption of an existing job, and read-only objects."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.claims import ABSENT_SECONDS, claim
from trainingjob_operator.logic.decide.refusals import refuse
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.state.steps import Describe, Step
from trainingjob_operator.logic.state.view import View


def adopt(view: View, wanted: Identity) -> Step | None:
    """Return the next step of an adoption; None without such a job, if the operator may create it."""
    if not view.policy.names_existing_job:
        return None
    return claim(view, wanted) or (_await_job(view, wanted) if view.policy.observes_only else None)


def _await_job(view: View, wanted: Identity) -> Step:
    """Report a missing job, and describe it again later."""
    described_at = view.job.described_at
    again_at = ABSENT_SECONDS + (view.now if described_at is None else described_at)
    if view.now >= again_at:
        return Describe(wanted)
    verb = "read" if view.policy.read_only else "adopt"
    message = f"There is no training job {wanted} to {verb}. Correct its name, region or account, or create it."
    return refuse(view, Finding(reasons.JOB_NOT_FOUND, message), again=again_at - view.now)
