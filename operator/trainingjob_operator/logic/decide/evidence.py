"""Whose job has a name: the reads required for the verdict (ownership.py)."""

from trainingjob_operator.logic.decide.retries import wait_out
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.ownership import Verdict, read_named_owner
from trainingjob_operator.logic.steps import Describe, FindOwner, ReadTags, Step, TakeOwnership
from trainingjob_operator.logic.view import View

UNCERTAIN_SECONDS = 30.0
"""After a call of CreateTrainingJob, NotFound proves nothing for this time: the service is eventually consistent."""


def examine(view: View, identity: Identity) -> Step | None:
    """Return the next step towards the verdict on an existing job; None with a verdict, or if Describe found no job."""
    memory = view.memory
    waited = wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if memory.needs_describe or (memory.observation is None and not memory.not_found):
        return Describe(identity)
    return None if memory.not_found else collect_evidence(view, identity)


def collect_evidence(view: View, identity: Identity) -> Step | None:
    """Return the next read call required for the verdict; None with a verdict, or without a job."""
    if view.verdict is not Verdict.UNKNOWN or view.memory.not_found:
        return None
    named = read_named_owner(view.memory.tags or {})
    return ReadTags(identity, build_arn(view.partition, identity)) if named is None else FindOwner(named)


def is_newborn(view: View) -> bool:
    """Return True shortly after this process created the job: the service is eventually consistent."""
    created_at = view.memory.created_at
    return created_at is not None and view.now < created_at + UNCERTAIN_SECONDS


def inherit(view: View, identity: Identity) -> TakeOwnership | None:
    """Take over an earlier run as this object's run; None if the job is no such run."""
    if view.verdict is not Verdict.EARLIER_RUN or differs_from_earlier_run(view) is not None:
        return None
    return TakeOwnership(build_arn(view.partition, identity), finalizer=not is_ended(view), claim=Verdict.INHERITED)


def is_ended(view: View) -> bool:
    """Return True if the last Describe of this process found the job ended."""
    observation = view.memory.observation
    return observation is not None and observation.is_ended()


def differs_from_earlier_run(view: View) -> str | None:
    """Return the difference that disqualifies an earlier run as this object's run, if any."""
    memory = view.memory
    if memory.observation is not None and memory.observation.status in ("Stopping", "Stopped"):
        return "was stopped"
    differences = [*memory.differences, *_name_missing_tags(view)]
    return "differs in " + ", ".join(f"spec.{path}" for path in differences) if differences else None


def _name_missing_tags(view: View) -> tuple[str, ...]:
    """Return ("tags",) if the job lacks one of spec.tags; other tags of the job are ignored."""
    tags = view.memory.tags or {}
    return () if all(tags.get(key) == value for key, value in view.resource.user_tags()) else ("tags",)
