"""Owner of the job with a name: the calls required for the verdict (ownership.py)."""

from trainingjob_operator.logic.decide.retries import await_access, wait_out
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.state.ownership import Evidence, Verdict, judge, read_named_owner
from trainingjob_operator.logic.state.steps import Describe, FindOwner, ReadTags, Step, TakeOwnership
from trainingjob_operator.logic.state.view import View

UNCERTAIN_SECONDS = 30.0
"""After a call of CreateTrainingJob, NotFound proves nothing for this time: the service is eventually consistent."""


def identify(view: View, identity: Identity, *, by_tags: bool = False) -> Step | Verdict:
    """Return the verdict on the job with that name, or the next step required for it.

    :param by_tags: judge the job by its tags alone; annotations and records of the object do not count
    """
    job = view.job
    waited = await_access(view) or wait_out(view, DESCRIBE, LIST_TAGS)
    if waited is not None:
        return waited
    if job.needs_describe or (job.observation is None and not job.not_found):
        return Describe(identity)
    if job.not_found:
        return Verdict.NOT_FOUND
    verdict = judge(Evidence(proof=job.owner.proof, has_rival=view.rival is not None)) if by_tags else view.verdict
    return _read_evidence(view, identity) if verdict is Verdict.UNKNOWN else verdict


def collect_evidence(view: View, identity: Identity) -> Step | None:
    """Return the next read call required for the verdict on the object's job; None with a verdict, or without a job."""
    if view.verdict is not Verdict.UNKNOWN or view.job.not_found:
        return None
    return _read_evidence(view, identity)


def _read_evidence(view: View, identity: Identity) -> Step:
    """Read the job's tags, then the object that they name."""
    job = view.job
    named = None if job.owner.proof is None else read_named_owner(job.owner.tags or {})
    return ReadTags(identity, build_arn(view.partition, identity)) if named is None else FindOwner(named)


def is_newborn(view: View) -> bool:
    """Return True shortly after this process created the job: the service is eventually consistent."""
    created_at = view.job.attempt.created_at
    return created_at is not None and view.now < created_at + UNCERTAIN_SECONDS


def inherit(view: View, identity: Identity) -> TakeOwnership | None:
    """Take over an earlier run as this object's run; None if the job is no such run."""
    if view.verdict is not Verdict.EARLIER_RUN or differs_from_earlier_run(view) is not None:
        return None
    return TakeOwnership(build_arn(view.partition, identity), finalizer=not is_ended(view), claim=Verdict.INHERITED)


def is_ended(view: View) -> bool:
    """Return True if the last Describe of this process found the job ended."""
    observation = view.job.observation
    return observation is not None and observation.is_ended()


def differs_from_earlier_run(view: View) -> str | None:
    """Return the difference that disqualifies an earlier run as this object's run, if any."""
    job = view.job
    if job.observation is not None and job.observation.status in ("Stopping", "Stopped"):
        return "was stopped"
    differences = [*job.edit.differences, *_name_missing_tags(view)]
    return "differs in " + ", ".join(f"spec.{path}" for path in differences) if differences else None


def _name_missing_tags(view: View) -> tuple[str, ...]:
    """Return ("tags",) if the job lacks one of spec.tags; other tags of the job are ignored."""
    tags = view.job.owner.tags or {}
    return () if all(tags.get(key) == value for key, value in view.resource.user_tags()) else ("tags",)
