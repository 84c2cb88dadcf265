"""Advisories about the job of an object."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.edits import is_refused, name_impossible, name_kept_tags, recorded_difference
from trainingjob_operator.logic.decide.expiry import describe_undeleted
from trainingjob_operator.logic.decide.succession import describe_pruned
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
    DEFAULT_REGION,
    DELETION_POLICY,
    JOB_NAME_SUFFIX,
    REGION,
)
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.view import View

STUCK_SECONDS = 900.0
"""Time in Stopping, or without a successful Stop, before the operator raises a Warning."""


def advise(view: View, identity: Identity) -> tuple[Finding, ...]:
    """Return the advisories for the object's job, in order of importance."""
    invalid = [Finding(reasons.INVALID_ANNOTATION, problem.message) for problem in view.policy.problems]
    found = (
        _describe_move(view, identity),
        _describe_differences(view),
        _describe_refused_edit(view),
        describe_unproven(identity) if view.verdict is Verdict.UNPROVEN else None,
        _describe_inherited(view) if view.claim is Verdict.INHERITED else None,
        name_kept_tags(view),
        describe_undeleted(view),
        describe_pruned(view),
        _keep_recorded(view),
    )
    return (*invalid, *(finding for finding in found if finding is not None))


def _describe_move(view: View, identity: Identity) -> Finding | None:
    policy = view.policy
    is_moved = (policy.account, policy.region) != (identity.account, identity.region)
    if not is_moved or policy.problems or view.observation.is_ended():
        return None
    message = (
        f"The job stays in account {identity.account}, region {identity.region}: an existing job cannot move to "
        f"account {policy.account}, region {policy.region}, the current setting of this object."
    )
    return Finding(reasons.IDENTITY_DIFFERS, message)


def _describe_differences(view: View) -> Finding | None:
    if view.is_adopting and view.job.edit.differences:
        fields = ", ".join(f"spec.{path}" for path in view.job.edit.differences)
        return Finding(reasons.ADOPTED_SPEC_DIFFERS, f"The training job differs from the object in {fields}.")
    return name_impossible(view)


def _describe_refused_edit(view: View) -> Finding | None:
    refused = view.job.edit.edit_refused
    return refused[1] if refused is not None and is_refused(view) else None


def _keep_recorded(view: View) -> Finding | None:
    """Return an advisory recorded by a previous process and still valid."""
    if view.job.edit.compared_generation is not None or view.is_edited:
        return None
    return recorded_difference(view.resource)


def _describe_inherited(view: View) -> Finding:
    created = view.observation.fields.get("creationTime", "unknown time")
    message = (
        f"This is an earlier run, created at {created}, of an object with this name; the operator created no training "
        "job for this object. To run it again, delete the object and apply it with another spec.trainingJobName, or "
        f"with the annotation {JOB_NAME_SUFFIX}: uid."
    )
    return Finding(reasons.EARLIER_RUN, message)


def describe_unproven(identity: Identity) -> Finding:
    """Report a job without evidence of ownership."""
    message = (
        f"No tag or record proves that the training job {identity.job_name} was created for this object. The operator "
        "follows it, but neither changes it nor stops it on deletion. To permit both, annotate the object with "
        f"{ADOPTION_POLICY}: adopt."
    )
    return Finding(reasons.OWNERSHIP_UNPROVEN, message)


def note_stuck(view: View) -> tuple[Finding, ...]:
    """Report a job that does not stop."""
    since = view.job.stop.stopping_since
    if since is None or view.now - since < STUCK_SECONDS:
        return ()
    message = (
        f"The job has not stopped in {STUCK_SECONDS / 60:.0f} minutes. To remove the object without waiting for "
        f"the job, annotate the object with {DELETION_POLICY}: retain."
    )
    return (Finding(reasons.STOP_STUCK, message),)


def doubt_region(view: View) -> Finding | None:
    """Return a warning for an unknown region without a job; no error, as the region may be newer than the data."""
    if view.is_region_known or view.arn is not None:
        return None
    message = (
        f"Region {view.policy.region} is not in the operator's data of AWS regions. If it is misspelt, correct the "
        f"annotation {REGION} of the object, {DEFAULT_REGION} of the namespace, or --aws-region."
    )
    return Finding(reasons.REGION_UNKNOWN, message)
