"""Attempts to create that may have made a job: settled before the object turns to anything else."""

from trainingjob_operator.logic.decide.evidence import UNCERTAIN_SECONDS, inherit
from trainingjob_operator.logic.decide.retries import wait_out
from trainingjob_operator.logic.memory import RETRY_SECONDS, Memory
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.ownership import TagProof, Verdict
from trainingjob_operator.logic.steps import (
    ClearIntent,
    Describe,
    ReadTags,
    Requeue,
    Step,
    TakeOwnership,
    WriteStatus,
)
from trainingjob_operator.logic.view import View


def settle_attempt(view: View, pending: Identity) -> Step:
    """Settle an attempt under an identity that spec and annotations no longer name."""
    memory = view.memory
    if is_known_unborn(memory):
        return ClearIntent()
    found = find_attempt(view, pending)
    if found is not None:
        return found
    if memory.not_found:
        return ClearIntent()
    if memory.proof is TagProof.SAME_OBJECT:
        return TakeOwnership(build_arn(view.partition, pending), finalizer=True, claim=Verdict.CREATED)
    # An object restored from a backup without status has a job under the recorded identity.
    return inherit(view, pending) or ClearIntent()


def find_attempt(view: View, identity: Identity) -> Step | None:
    """Return the next step towards the outcome of an attempt; None once NotFound or the job's tags determine it."""
    memory, now = view.memory, view.now
    if view.no_access is not None:
        return WriteStatus(hindrance=view.no_access, again=RETRY_SECONDS)
    waited = wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.not_found:
        certain_at = UNCERTAIN_SECONDS + (memory.first_seen if memory.attempted_at is None else memory.attempted_at)
        if memory.looked_at is not None and memory.looked_at >= certain_at:
            return None
        return Describe(identity) if now >= certain_at else Requeue(certain_at - now + 0.1)
    if memory.observation is None:
        return Describe(identity)
    if memory.proof is None:
        return ReadTags(identity, build_arn(view.partition, identity))
    return None


def is_known_unborn(memory: Memory) -> bool:
    """Return True if every attempt since the intent was recorded was definitely refused."""
    return memory.attempted_at is not None and not memory.unsettled and not memory.name_taken
