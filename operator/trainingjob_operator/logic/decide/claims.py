"""Claim on an existing job with the wanted name, or the name clash."""

from dataclasses import replace

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.evidence import (
    UNCERTAIN_SECONDS,
    differs_from_earlier_run,
    identify,
    inherit,
    is_ended,
)
from trainingjob_operator.logic.decide.refusals import recorded_refusal, refuse
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.updates import applied_fields
from trainingjob_operator.logic.naming import TAG_CLUSTER, Identity, build_arn
from trainingjob_operator.logic.objects.annotations import ADOPT_FROM_CLUSTER, ADOPTION_POLICY, JOB_NAME_SUFFIX
from trainingjob_operator.logic.state.outcomes import TakenOver
from trainingjob_operator.logic.state.ownership import TagProof, Verdict, read_named_owner
from trainingjob_operator.logic.state.steps import Describe, Requeue, Step, TakeOwnership, WriteStatus
from trainingjob_operator.logic.state.view import View

ABSENT_SECONDS = 60.0
"""Interval between Describe calls for a missing job to adopt or read."""

NAME_RETRY_FIRST, NAME_RETRY_SECONDS = 2.0, 300.0
"""Back-off between Describe calls for a name in use that Describe does not find."""


def claim(view: View, identity: Identity) -> Step | None:
    """Take over the job with that name if the verdict permits it, or report a name clash; None without such a job."""
    match identify(view, identity):
        case Verdict.NOT_FOUND:
            return None
        case Verdict() as verdict:
            return _claim_found(view, identity, verdict)
        case step:
            return step


def _claim_found(view: View, identity: Identity, verdict: Verdict) -> Step:
    if verdict.is_recorded:
        arn = build_arn(view.partition, identity)
        return TakeOwnership(arn, finalizer=verdict.may_change and not is_ended(view), claim=verdict)
    # The deletion of the other object makes an adoption possible.
    again = ABSENT_SECONDS if view.policy.asks_adoption else None
    return inherit(view, identity) or refuse(view, describe_clash(view, identity), again=again)


def refuse_rival(view: View, wanted: Identity) -> Step | None:
    """Refuse a job with another object's claim."""
    return None if view.rival is None else refuse(view, describe_clash(view, wanted))


def resolve_taken_name(view: View, wanted: Identity) -> Step | None:
    """Find the owner of a name in use: a lost attempt of this object, an earlier object, or another owner."""
    return claim(view, wanted) or _await_name(view, wanted) if view.job.attempt.name_taken else None


def verify_recorded_clash(view: View, wanted: Identity) -> Step | None:
    """Examine a name clash recorded under ACK's CRD, which prunes the ARN of the job; until then the clash stays."""
    finding = recorded_refusal(view)
    if finding is None or finding.reason != reasons.NAME_CLASH or finding.job_arn is not None:
        return None
    step = claim(view, wanted)
    if isinstance(step, WriteStatus) and step.terminal is None:
        return replace(step, terminal=finding, disowned=True)
    return step


def _await_name(view: View, wanted: Identity) -> Step:
    """Wait for a name in use according to Create but unknown to Describe; a single answer may be stale."""
    job = view.job
    described_at = view.now if job.described_at is None else job.described_at
    since = described_at if job.not_found_since is None else job.not_found_since
    lasted = described_at - since
    if lasted < UNCERTAIN_SECONDS:
        again = described_at + NAME_RETRY_FIRST - view.now
        return Requeue(again) if again > 0 else Describe(wanted)
    again = described_at + min(NAME_RETRY_SECONDS, lasted / 4) - view.now
    if again <= 0:
        return Describe(wanted)
    message = (
        f'CreateTrainingJob reports the name "{wanted.job_name}" as in use, but DescribeTrainingJob finds no such job '
        f"in account {wanted.account}, region {wanted.region}. A job with the same name in another upper and lower "
        f"case may exist. {_explain_renaming(view)}."
    )
    return WriteStatus(hindrance=Hindrance(reasons.NAME_IN_USE, message), again=again)


def _explain_renaming(view: View) -> str:
    is_named = "trainingJobName" in view.resource.spec
    return "Use another spec.trainingJobName" if is_named else "Set spec.trainingJobName"


def describe_clash(view: View, identity: Identity) -> Finding:
    """Describe the name clash: the owner of the job and the possible corrections."""
    arn, tags = build_arn(view.partition, identity), view.job.owner.tags or {}
    rename = _explain_renaming(view)
    adopt = f"adopt it with the annotation {ADOPTION_POLICY}: adopt"
    named = "/".join(read_named_owner(tags) or ("unknown",))
    match view.job.owner.proof:
        case _ if view.rival is not None:
            why, advice = f"belongs to the object {view.rival}", f"{rename}."
        case TagProof.OTHER_OBJECT if view.job.owner.exists(view.now):
            why, advice = f"was created for the object {named}", f"{rename}."
        case TagProof.OTHER_OBJECT:
            why = f"was created for the object {named}"
            advice = f"{rename}, or, once that object is gone, {adopt}."
        case TagProof.OTHER_CLUSTER:
            cluster = tags[TAG_CLUSTER]
            why = f"was created for the object {named} of the cluster with ID {cluster}"
            advice = (
                f"{rename}, or {adopt} and {ADOPT_FROM_CLUSTER}: {cluster}. If this cluster replaces that one, run "
                f"the operator with --cluster-id={cluster} instead."
            )
        case TagProof.ACK:
            why = "was created by ACK's controller for an unknown object"
            advice = f"{rename}, or {adopt}."
        case TagProof.SAME_NAME:
            why = f"is an earlier run of this object and {differs_from_earlier_run(view)}"
            advice = f"{rename} or annotate it with {JOB_NAME_SUFFIX}: spec to run the object, or {adopt}."
        case _:
            why, advice = "was not created for this object", f"{rename}, or {adopt}."
    return Finding(reasons.NAME_CLASH, f"The training job {arn} exists already and {why}. {advice}", arn)


def take_over(view: View, arn: str, claim: Verdict | None) -> TakenOver:
    """Return the outcome of taking over a job: its tags, and a lost answer to Create, show what the object applied."""
    resource, owner = view.resource, view.job.owner
    keys = applied = None
    if owner.tags is not None and owner.proof in (TagProof.SAME_OBJECT, TagProof.SAME_NAME):
        own = {key for key, _ in resource.user_tags()}
        keys = tuple(key for key in owner.tags if key in own)
    if owner.proof is TagProof.SAME_OBJECT and resource.arn is None:  # a Create without a response
        applied = applied_fields(resource.spec)
    return TakenOver(arn, claim, keys, applied)
