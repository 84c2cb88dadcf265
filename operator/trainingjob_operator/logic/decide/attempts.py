"""Attempts to create that may have made a job: settled before the object turns to anything else."""

from trainingjob_operator.logic.decide.evidence import UNCERTAIN_SECONDS, identify, inherit
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.state.memory import AttemptState
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    Requeue,
    Step,
    TakeOwnership,
)
from trainingjob_operator.logic.state.view import View


def settle_attempt(view: View, pending: Identity) -> Step:
    """Settle an attempt under an identity that spec and annotations no longer name."""
    if is_known_unborn(view.job.attempt):
        return ClearIntent()
    match find_attempt(view, pending):
        case Verdict.CREATED:
            return TakeOwnership(build_arn(view.partition, pending), finalizer=True, claim=Verdict.CREATED)
        case Verdict.EARLIER_RUN:
            # An object restored from a backup without status has a job under the recorded identity.
            return inherit(view, pending) or ClearIntent()
        case Verdict():
            return ClearIntent()
        case step:
            return step


def find_attempt(view: View, identity: Identity) -> Step | Verdict:
    """Return the outcome of an attempt, or the next step required for it."""
    found = identify(view, identity, by_tags=True)
    return _confirm_absence(view, identity) if found is Verdict.NOT_FOUND else found


def _confirm_absence(view: View, identity: Identity) -> Step | Verdict:
    """Return NOT_FOUND once it is certain: the service is eventually consistent."""
    now = view.now
    attempted_at = view.job.attempt.attempted_at
    certain_at = UNCERTAIN_SECONDS + (view.memory.first_seen if attempted_at is None else attempted_at)
    if view.job.described_at is not None and view.job.described_at >= certain_at:
        return Verdict.NOT_FOUND
    return Describe(identity) if now >= certain_at else Requeue(certain_at - now + 0.1)


def is_known_unborn(attempt: AttemptState) -> bool:
    """Return True if every attempt since the intent was recorded was definitely refused."""
    return attempt.attempted_at is not None and not attempt.unsettled and not attempt.name_taken
