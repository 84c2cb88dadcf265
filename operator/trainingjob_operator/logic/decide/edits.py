"""Edits of an object with a job: what SageMaker can apply, and the advisories about the rest."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.aftermath import is_overdue
from trainingjob_operator.logic.decide.evidence import UNCERTAIN_SECONDS, collect_evidence
from trainingjob_operator.logic.decide.retries import wait_out
from trainingjob_operator.logic.decide.rules import JobRule, first
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.updates import TagChange, plan_tags
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.operations import ADD_TAGS, DELETE_TAGS, LIST_TAGS, UPDATE
from trainingjob_operator.logic.state.memory import RETRY_SECONDS
from trainingjob_operator.logic.state.ownership import TagProof, Verdict
from trainingjob_operator.logic.state.steps import ReadTags, SetTags, Step, Update, WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import ADVISORY


def apply_edit(view: View, identity: Identity) -> Step | None:
    """Return the next step to apply an edit to the job; None without one."""
    job = view.job
    if view.policy.read_only or is_refused(view) or job.not_found:
        return None
    if not (view.is_edited or job.edit.plan or _lacks_tags(view)):
        return None
    return first(rule(view, identity) for rule in RULES)


def is_refused(view: View) -> bool:
    """Return True if SageMaker refused this generation's edit."""
    refused = view.job.edit.edit_refused
    return refused is not None and refused[0] == view.resource.generation


def _await_calls(view: View, _identity: Identity) -> Step | None:
    waited = wait_out(view, UPDATE, LIST_TAGS, ADD_TAGS, DELETE_TAGS)
    if view.no_access is None and waited is None:
        return None
    return replace(waited or WriteStatus(again=RETRY_SECONDS), unfinished=True)


def _read_tags(view: View, identity: Identity) -> Step | None:
    return ReadTags(identity, view.arn or "") if _lacks_tags(view) else None


def _set_tags(view: View, _identity: Identity) -> Step | None:
    change = _plan_tags(view)
    return None if change is None else SetTags(view.arn or "", change)


def _update(view: View, identity: Identity) -> Step | None:
    plan = view.job.edit.plan
    members = plan.members if plan is not None else {}
    if not members or view.is_adopting or _was_just_sent(view, members):
        return None
    evidence = collect_evidence(view, identity)
    if evidence is not None:
        return evidence
    return Update(identity, members) if view.verdict.may_change else None


RULES: tuple[JobRule, ...] = (_await_calls, _read_tags, _set_tags, _update)


def recorded_difference(resource: Resource) -> Finding | None:
    """Return the recorded advisory about a difference between spec and job, if any."""
    recorded = resource.condition(ADVISORY)
    reason, message = recorded.get("reason"), recorded.get("message")
    if reason in (reasons.ADOPTED_SPEC_DIFFERS, reasons.EDIT_NOT_POSSIBLE, reasons.EDIT_PENDING) and isinstance(
        message, str
    ):
        return Finding(str(reason), message)
    return None


def is_uncompared(view: View, *, ended: bool) -> bool:
    """Return True if spec and job must be compared; memory does not survive a restart."""
    if view.job.edit.compared_generation == view.resource.generation:
        return False
    recorded = recorded_difference(view.resource)
    if ended:  # only an edit that waits for the end is still possible
        return view.is_edited or (recorded is not None and recorded.reason == reasons.EDIT_PENDING)
    return view.is_edited or view.is_inherited or recorded is not None


def is_worth_comparing(view: View) -> bool:
    """Return True if spec and job may differ; equal values may seem to differ, because SageMaker normalizes some."""
    resource, job = view.resource, view.job
    return (
        view.policy.names_existing_job
        or view.arn is None
        or job.attempt.name_taken
        or job.attempt.unsettled
        or view.is_edited
        or view.is_inherited
        or job.edit.plan is not None
        or recorded_difference(resource) is not None
    )


def _lacks_tags(view: View) -> bool:
    return _must_know_tags(view) and view.job.owner.tags_generation != view.resource.generation


def _must_know_tags(view: View) -> bool:
    """Return True if the edit may concern tags: Describe returns no tags."""
    recorded = recorded_difference(view.resource)
    if view.is_edited:
        return bool(view.resource.user_tags()) or not view.is_adopting
    may_be_kept = view.claim not in (Verdict.CREATED, Verdict.INHERITED) and bool(view.resource.user_tags())
    is_reported = recorded is not None and recorded.reason in (reasons.ADOPTED_SPEC_DIFFERS, reasons.EDIT_NOT_POSSIBLE)
    return may_be_kept and is_reported and not view.observation.is_ended()


def _sets_tags(view: View) -> bool:
    """Return True for a job created by this operator according to its tags; only such jobs get tag changes."""
    return not view.is_adopting and view.job.owner.proof in (TagProof.SAME_OBJECT, TagProof.SAME_NAME)


def _plan_tags(view: View) -> TagChange | None:
    """Plan the tag change. Only recorded keys are removed; under a CRD that prunes the record, tags are only added."""
    resource, job = view.resource, view.job
    if job.owner.tags is None or not _sets_tags(view):
        return None
    return plan_tags(resource.user_tags(), job.owner.tags, resource.recorded_names("appliedTagKeys"))


def name_kept_tags(view: View) -> Finding | None:
    """Report spec.tags that the operator does not apply, because it did not create the job."""
    resource, job = view.resource, view.job
    if job.owner.tags is None or job.owner.tags_generation != resource.generation or _sets_tags(view):
        return None
    change = plan_tags(resource.user_tags(), job.owner.tags, ())
    if change is None:
        return None
    return Finding(
        reasons.EDIT_NOT_POSSIBLE,
        "The job keeps its tags, because this operator did not create it: spec.tags is not applied and differs in "
        f"{', '.join(change.add)}.",
    )


def _was_just_sent(view: View, members: Mapping[str, Any]) -> bool:
    updated = view.job.edit.updated
    return updated is not None and updated[0] == members and view.now < updated[1] + UNCERTAIN_SECONDS


def name_pending(view: View) -> Finding | None:
    """Report the fields of a valid edit that SageMaker cannot apply yet, each with the phase that it waits for."""
    plan = view.job.edit.plan
    if plan is None or not plan.waiting or is_overdue(view):
        return None
    causes = ", ".join(f"spec.{path} waits for {what}" for path, what in sorted(plan.waiting.items()))
    return Finding(reasons.EDIT_PENDING, f"The edit is valid, but SageMaker cannot apply it yet: {causes}.")


def name_impossible(view: View) -> Finding | None:
    """Report the fields that SageMaker cannot change, each with its reason."""
    plan = view.job.edit.plan
    if plan is None:
        return None
    overdue = {path: f"required {what}, but the job ended without it" for path, what in plan.waiting.items()}
    causes = {**plan.impossible, **(overdue if is_overdue(view) else {})}
    if not causes:
        return None
    listed = "; ".join(f"spec.{path} {cause}" for path, cause in sorted(causes.items()))
    message = (
        f"SageMaker cannot apply this edit, and the job keeps its values: {listed}. To run the edited spec, apply it "
        "as another object with another spec.trainingJobName; to remove this message, revert the fields."
    )
    return Finding(reasons.EDIT_NOT_POSSIBLE, message)
