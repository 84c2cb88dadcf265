"""Report of one reconcile, composed of the view and the step that ends it.

Not here: the status and the conditions of a report (logic/status/).
"""

from dataclasses import replace

from trainingjob_operator.logic.decide import succession
from trainingjob_operator.logic.decide.advisories import doubt_region
from trainingjob_operator.logic.state.steps import WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.report import Report


def compose(view: View, step: WriteStatus) -> Report:
    """Return the report of one reconcile: the step's result with the known state of the job."""
    memory, policy, identity = view.memory, view.policy, view.attached()
    doubt = doubt_region(view)
    is_unseen = view.job.observation is None and view.job.hint is None
    is_hidden = step.disowned or view.arn is None or is_unseen or succession.holds_end(view)
    observation = None if is_hidden else view.observation
    report = Report(
        generation=_decided_generation(view, step),
        account=None if identity is None else identity.account,
        region=None if identity is None else identity.region,
        partition=None if identity is None else view.partition,
        arn=view.arn,
        job_name=None if identity is None else identity.job_name,
        instance_type=view.resource.instance_type,
        is_found=view.job.described_at is not None and not view.job.not_found,
        observation=observation,
        overrules=memory.rival.disputed and observation is not None,
        terminal=step.terminal,
        vanished=step.vanished,
        hindrance=step.hindrance,
        waiting=step.waiting,
        retrying=step.retrying or succession.explain_next(view),
        attempts=succession.list_attempts(view, identity, is_vanished=step.vanished is not None),
        advisories=step.advisories if doubt is None else (*step.advisories, doubt),
        pending_edit=step.pending_edit,
        is_past=memory.decided_generation is None and view.is_past,
        ownership=None if step.disowned else view.ownership(),
        adopted=view.is_adopting and identity is not None and not policy.read_only,
        selection=view.selection,
        observed=policy.reads_only and identity is not None,
        handled_request=memory.handled_request,
        applied_tag_keys=view.job.edit.applied_tag_keys,
        applied_fields=view.job.edit.applied_fields,
        deleting=view.resource.deleting,
        disowned=step.disowned,
        unproved=view.arn is None and view.resource.arn is not None,
    )
    return _drop_job(report) if step.closes_attempt else report


def _drop_job(report: Report) -> Report:
    """Return the report of an object that leaves its ended job for the next attempt."""
    return replace(
        report,
        account=None,
        region=None,
        partition=None,
        arn=None,
        job_name=None,
        is_found=False,
        ownership=None,
        applied_tag_keys=None,
        applied_fields=None,
        disowned=True,
    )


def _decided_generation(view: View, step: WriteStatus) -> int:
    """Return the generation for observedGeneration: an old one while an edit is pending, so that it is found again."""
    job, generation = view.job, view.resource.generation
    is_attempt_older = job.attempt.unsettled and view.arn is None and job.attempt.open_generation != generation
    return view.decided_generation or 0 if step.unfinished or is_attempt_older else generation
