"""Consequences of the answers from AWS. Not here: the calls (job_calls.py), and changes of the memory (outcomes.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainingjob_operator.logic import operations, reasons
from trainingjob_operator.logic.decide import edits, evidence, retries
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.answers import is_another_run
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.quotas import Shortage, is_not_offered, read_demand, read_shortage
from trainingjob_operator.logic.jobs.updates import plan_update
from trainingjob_operator.logic.naming import Identity, Owner
from trainingjob_operator.logic.objects import fields
from trainingjob_operator.logic.state.memory import Outcome
from trainingjob_operator.logic.state.outcomes import (
    Claimed,
    Compared,
    CreateFailed,
    Described,
    Dismissed,
    Doubted,
    DoubtEnded,
    EditRefused,
    JobMissing,
    NameTaken,
    Outdone,
    Seen,
    Stopping,
    Suspected,
    TagsRead,
)
from trainingjob_operator.logic.state.ownership import read_proof
from trainingjob_operator.logic.state.view import View

_READING = (operations.DESCRIBE, operations.LIST_TAGS)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call; it is repeated with back-off."""

    operation: str
    """The intended call; the error names a preliminary call that failed, such as AssumeRole."""
    error: AwsError
    finding: Finding | None = None
    """Reported in place of the error while the call is repeated."""
    is_expected: bool = False
    """The error is normal soon after a Create."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """Consequences of one call about a job."""

    outcomes: tuple[Outcome, ...] = ()
    succeeded: tuple[str, ...] = ()
    """Operations that SageMaker accepted."""
    failure: Failure | None = None
    refusal: Finding | None = None
    """The spec is refused: it is not sent again until it or the annotations change."""
    retry_at: float | None = None
    """End of the refusal."""
    shortage: Shortage | None = None
    """The object waits in the create queue for this quota or capacity."""
    wait: float = 0.0
    """Seconds until the budget permits the call; above zero, no call was made."""


def fail(view: View, operation: str, error: AwsError, *outcomes: Outcome, finding: Finding | None = None) -> CallResult:
    """Return the consequences of a failed call that is repeated."""
    is_read_denied = error.kind is ErrorClass.DENIED and error.operation in _READING
    is_expected = is_read_denied and evidence.is_newborn(view)
    if is_expected:  # IAM knows the tags of a new job some seconds later
        error = AwsError(operation, error.code, error.message, ErrorClass.RETRY, definite=error.definite)
    return CallResult(outcomes, failure=Failure(operation, error, finding, is_expected))


def read_description(view: View, identity: Identity, answer: Mapping[str, Any], now: float) -> tuple[Outcome, ...]:
    """Return the outcomes of an answer to DescribeTrainingJob; JobMissing if it is about another run."""
    seen = Observation.from_describe(answer)
    if view.arn is not None and is_another_run(seen, view.observation, identity):
        return (JobMissing(now, is_replaced=True),)
    described = Described(seen, now, Observation() if view.arn is None else view.observation)
    after = view.after(described)
    compared = (_compare(after, answer),) if edits.is_worth_comparing(after) else ()
    return (described, *compared, Seen(view.resource.generation))


def _compare(view: View, answer: Mapping[str, Any]) -> Outcome:
    """Compare the spec with the job, and plan the edits."""
    resource, applied = view.resource, view.job.edit.applied_fields
    spec = resource.spec
    is_later_attempt = (view.policy.number_of(str(answer.get("TrainingJobName"))) or 1) > 1
    if view.policy.suffix is not None or is_later_attempt:  # the job has another name than spec
        spec = {name: value for name, value in spec.items() if name != "trainingJobName"}
    try:
        request = fields.to_request(spec)
        differences = fields.differences(spec, answer)
        if view.arn is None:  # a run of the object only if the whole spec matches
            differences += fields.left_out(spec, answer)
    except fields.InvalidSpec as error:
        return EditRefused(resource.generation, Finding(reasons.EDIT_NOT_POSSIBLE, str(error)))
    applied = resource.recorded_names("appliedFields") if applied is None else applied
    return Compared(differences, plan_update(request, answer, view.observation, differences, applied))


def read_tags(view: View, tags: Mapping[str, str], owner: Owner) -> tuple[Outcome, ...]:
    """Return the outcomes of an answer to ListTags."""
    read = TagsRead(tags, view.resource.generation, read_proof(tags, owner))
    verdict = view.after(read).verdict
    # The claim may rest on the finalizer, removed at the end of the job. A job that the object does not have yet is
    # claimed by TakeOwnership only: the status may have the ARN of another one.
    return (read, Claimed(verdict)) if view.arn is not None and verdict.may_change else (read,)


def react_to_create(view: View, error: AwsError, now: float, created_jobs: int) -> CallResult:
    """React to a failed CreateTrainingJob.

    :param created_jobs: the number of jobs that this process created in the account and region
    """
    failed = CreateFailed(error.definite, now)
    if error.kind is ErrorClass.WAITING:
        result = _react_to_shortage(view, error)
    else:
        result = _react_to_refusal(view, error, now, created_jobs)
    return replace(result, outcomes=(failed, *result.outcomes))


def _react_to_shortage(view: View, error: AwsError) -> CallResult:
    """React to a quota or capacity in use: the object waits for it, unless no wait helps."""
    if is_not_offered(error.message):
        return CallResult(refusal=Finding(reasons.REFUSED, error.sentence))
    shortage = read_shortage(error.message, read_demand(view.resource.spec))
    if shortage.is_hopeless:
        finding = Finding(reasons.QUOTA_TOO_SMALL, f"{shortage.advice} {error.sentence}")
        return fail(view, operations.CREATE, error, finding=finding)
    return replace(fail(view, operations.CREATE, error), shortage=shortage)


def _react_to_refusal(view: View, error: AwsError, now: float, created_jobs: int) -> CallResult:
    attempt = view.job.attempt
    is_refused = error.kind is ErrorClass.REFUSED and error.operation == operations.CREATE  # not AssumeRole before it
    match error.kind:
        case ErrorClass.DOUBTFUL | ErrorClass.REFUSED | ErrorClass.NOT_FOUND if is_not_offered(error.message):
            return CallResult(refusal=Finding(reasons.REFUSED, error.sentence))
        case ErrorClass.IN_USE:
            return CallResult((NameTaken(),))
        case _ if is_refused:
            return CallResult(refusal=Finding(reasons.REFUSED, error.sentence))
        case ErrorClass.DOUBTFUL if now - (attempt.doubtful_since or now) >= retries.DOUBTFUL_SECONDS:
            repeats = retries.DOUBTFUL_REPEATS[attempt.doubtful_rounds :]
            finding = Finding(reasons.CREATE_FAILED, error.sentence)
            return CallResult((DoubtEnded(),), refusal=finding, retry_at=now + repeats[0] if repeats else None)
        case ErrorClass.DOUBTFUL:
            return fail(view, operations.CREATE, error, Doubted(now))
        case ErrorClass.RETRY:
            return _react_to_failure(view, error, now, Outdone(created_jobs))
    return fail(view, operations.CREATE, error)


def _react_to_failure(view: View, error: AwsError, now: float, outdone: Outdone) -> CallResult:
    """Give up if the service fails with this spec only: for long, while it creates other jobs."""
    trouble = view.job.troubles.get(operations.CREATE)
    lasted = 0.0 if trouble is None else now - trouble.since
    failures = view.after(outdone).job.attempt.outdone
    is_lasting = failures >= retries.OUTDONE_FAILURES and lasted >= retries.OUTDONE_SECONDS
    if error.operation != operations.CREATE or not is_lasting:
        return fail(view, operations.CREATE, error, outdone)
    message = (
        f"{error.sentence} SageMaker has answered this spec so for {int(lasted // 3600)} hours, while it created other "
        "jobs. The operator gives up until the spec or the annotations change."
    )
    finding = Finding(reasons.CREATE_FAILED, message)
    return CallResult((outdone, Dismissed(operations.CREATE)), refusal=finding)


def react_to_stop(view: View, error: AwsError, now: float) -> CallResult:
    """React to a failed StopTrainingJob."""
    match error.kind:
        case ErrorClass.NOT_FOUND:
            return CallResult((Stopping(now), JobMissing(now)))
        case ErrorClass.CONFLICT:  # the job has ended or is about to; Describe shows it
            return fail(view, operations.STOP, error, Stopping(now), Suspected())
    return fail(view, operations.STOP, error, Stopping(now))


def react_to_edit(view: View, error: AwsError, operation: str) -> CallResult:
    """React to a failed edit: it is given up only if the service refuses it for good."""
    if error.kind in (ErrorClass.REFUSED, ErrorClass.NOT_FOUND) and error.operation == operation:
        finding = Finding(reasons.EDIT_NOT_POSSIBLE, error.sentence)
        return CallResult((EditRefused(view.resource.generation, finding),))
    # Not possible in this phase: Describe shows the phase.
    outcomes = (Suspected(),) if error.kind is ErrorClass.CONFLICT else ()
    return fail(view, operation, error, *outcomes)
