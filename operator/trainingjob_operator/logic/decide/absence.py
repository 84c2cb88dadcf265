"""NotFound for a job that existed."""

from dataclasses import replace

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.advisories import advise
from trainingjob_operator.logic.decide.evidence import UNCERTAIN_SECONDS, is_newborn
from trainingjob_operator.logic.decide.retries import wait_out
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import Describe, Step, WriteStatus
from trainingjob_operator.logic.state.view import View


def decide_absence(view: View, identity: Identity, *, unfinished: bool = False) -> Step:
    """Handle NotFound for an existing job: only a second NotFound after UNCERTAIN_SECONDS confirms it."""
    job, now = view.job, view.now
    waited = wait_out(view, DESCRIBE)
    if waited is not None:
        return replace(waited, advisories=advise(view, identity), unfinished=unfinished)
    since = now if job.not_found_since is None else job.not_found_since
    described_at = now if job.described_at is None else job.described_at
    newborn = is_newborn(view)
    if described_at - since >= UNCERTAIN_SECONDS and not newborn:
        return WriteStatus(vanished=_vanished(view, identity), release=view.resource.holds_finalizer)
    retry_at = described_at + 2.0 if newborn else since + UNCERTAIN_SECONDS
    if now >= retry_at:
        return Describe(identity)
    return WriteStatus(advisories=advise(view, identity), again=retry_at - now + 0.1, unfinished=unfinished)


def _vanished(view: View, identity: Identity) -> Finding:
    cause = "; another run has its name now" if view.job.is_replaced else ""
    message = (
        f"The training job {identity.job_name} no longer exists in account {identity.account}, region "
        f"{identity.region}{cause}. The operator does not create it again: to run it once more, apply a new object."
    )
    return Finding(reasons.JOB_NOT_FOUND, message)
