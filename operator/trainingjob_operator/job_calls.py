"""Steps that call AWS: one call each. The answer becomes an outcome (logic/state/outcomes.py) in the object's memory.

Not here: the choice of the step (logic/decide/) and the call itself (aws/gateway.py).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainingjob_operator.aws.budget import Budget, Budgets, OperationBudgets
from trainingjob_operator.aws.gateway import Accounts, Target
from trainingjob_operator.aws.lanes import Busy
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic import operations, reasons
from trainingjob_operator.logic.decide import edits, evidence, retries
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.answers import check_arn, is_another_run
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.quotas import is_not_offered, read_demand, read_shortage
from trainingjob_operator.logic.jobs.updates import TagChange, applied_fields, plan_update
from trainingjob_operator.logic.naming import Identity, Location, Owner
from trainingjob_operator.logic.objects import fields
from trainingjob_operator.logic.objects.create_request import build_request, build_tags
from trainingjob_operator.logic.objects.resource import Key, Resource
from trainingjob_operator.logic.state.memory import JobState, Outcome, Refusal
from trainingjob_operator.logic.state.outcomes import (
    Attempted,
    Claimed,
    Compared,
    Created,
    CreateFailed,
    Described,
    Dismissed,
    Doubted,
    DoubtEnded,
    EditRefused,
    Failed,
    JobMissing,
    NameTaken,
    Outdone,
    Seen,
    Stopping,
    StopSent,
    Suspected,
    TagsRead,
    TagsSet,
    Updated,
    Woken,
)
from trainingjob_operator.logic.state.ownership import read_proof
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.object_store import StoredObject
from trainingjob_operator.runtime import OperatorContext, Runtime

log = logging.getLogger(__name__)


_READING = (operations.DESCRIBE, operations.LIST_TAGS)


@dataclass(frozen=True, slots=True)
class Work:
    """The object of one step."""

    tracked: StoredObject
    view: View
    reached: Target | None
    """The target of calls about the job; None if no call is possible (`View.no_access`)."""

    @property
    def key(self) -> Key:
        return self.tracked.key

    @property
    def job(self) -> JobState:
        """The newest state of the job; `view` has the state at the decision."""
        return self.tracked.memory.job

    @property
    def current_view(self) -> View:
        """The view with the newest memory."""
        return self.view.remembering(self.tracked.memory)

    def note(self, outcome: Outcome) -> None:
        """Replace the object's memory by that after an outcome."""
        self.tracked.note(outcome)

    def refuse(self, finding: Finding, retry_at: float | None = None) -> None:
        """Refuse the spec until it or the annotations change, or until `retry_at`."""
        refusal = Refusal(self.view.resource.generation, self.view.policy, finding, retry_at)
        self.tracked.memory = replace(self.tracked.memory, refused=refusal)

    @property
    def named(self) -> dict[str, Any]:
        """Log fields with the name of the object."""
        return name_in_log(*self.key)

    @property
    def target(self) -> Target:
        if self.reached is None:  # decide() returns no call without access
            raise RuntimeError("a step requires a call, but the object has no target")
        return self.reached

    @property
    def identity(self) -> Identity:
        return Identity(self.target.account, self.target.region, self.view.policy.job_name or "")


class JobCalls:
    """Calls about single jobs.

    Each method returns True if the object must wait for the budget; describe() returns the seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        context: OperatorContext,
        accounts: Accounts,
        budgets: Budgets,
        create_queue: CreateQueue,
    ) -> None:
        self._context = context
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._accounts = accounts
        self._budgets = budgets
        self._create_queue = create_queue
        self._vanguard: dict[tuple[str, str, str], Key] = {}
        """By account, region and operation: the object that retries soon for all objects denied the call.

        Each entry is an existing object, without an entry of another account or region.
        """

    async def describe(self, identity: Identity, work: Work) -> float:
        if seconds := self._must_wait(lambda budgets: budgets.describe, identity, work):
            return seconds
        try:
            answer = await self._accounts.get(work.target).describe(identity.job_name)
        except AwsError as error:
            if error.kind is ErrorClass.NOT_FOUND:
                if not await self._is_confirmed(work):
                    return 0.0
                work.note(JobMissing(self._clocks.monotonic()))
                self._note_success(operations.DESCRIBE, work)
            else:
                self._note(error, work, operations.DESCRIBE)
            return 0.0
        self._note_success(operations.DESCRIBE, work)
        seen, now, view = Observation.from_describe(answer), self._clocks.monotonic(), work.current_view
        if view.arn is None:
            work.note(Described((work.job.observation or Observation()).updated_by(seen), now))
        elif is_another_run(seen, view.observation, identity):
            if await self._is_confirmed(work):
                work.note(JobMissing(now, is_replaced=True))
            return 0.0
        else:
            work.note(Described(view.observation.updated_by(seen), now))
        if edits.is_worth_comparing(work.current_view):
            self._compare(answer, work)
        work.note(Seen(view.resource.generation))
        return 0.0

    async def _is_confirmed(self, work: Work) -> bool:
        """Check the account before a second NotFound counts; True if the answer is from the right account."""
        if work.job.not_found_since is None or work.current_view.arn is None:
            return True
        try:
            await self._accounts.confirm(work.target)
        except AwsError as error:
            self._note(error, work, operations.DESCRIBE)
            return False
        return True

    def _compare(self, answer: Mapping[str, Any], work: Work) -> None:
        """Compare the spec with the job, and plan the edits."""
        resource, applied = work.view.resource, work.job.edit.applied_fields
        try:
            request = fields.to_request(resource.spec)
            differences = fields.differences(resource.spec, answer)
            if work.current_view.arn is None:  # a run of the object only if the whole spec matches
                differences += fields.left_out(resource.spec, answer)
        except fields.InvalidSpec as error:
            work.note(EditRefused(resource.generation, Finding(reasons.EDIT_NOT_POSSIBLE, str(error))))
            return
        applied = resource.recorded_names("appliedFields") if applied is None else applied
        work.note(Compared(differences, plan_update(request, answer, differences, applied)))

    async def read_tags(self, arn: str, work: Work) -> bool:
        if self._must_wait(lambda budgets: budgets.list_tags, work.identity, work):
            return True
        try:
            tags = await self._accounts.get(work.target).list_tags(arn)
        except AwsError as error:
            if error.kind is ErrorClass.NOT_FOUND:
                work.note(JobMissing(self._clocks.monotonic()))
            else:
                self._note(error, work, operations.LIST_TAGS)
            return False
        self._note_success(operations.LIST_TAGS, work)
        resource = work.view.resource
        work.note(TagsRead(tags, resource.generation, read_proof(tags, self._owner(resource))))
        # The claim may rest on the finalizer, removed at the end of the job. A job that the object does not have yet is
        # claimed by TakeOwnership only: the status may have the ARN of another one.
        if work.view.arn is not None and (verdict := work.current_view.verdict).may_change:
            work.note(Claimed(verdict))
        return False

    async def create(self, identity: Identity, work: Work) -> bool:
        resource = work.view.resource
        seconds = self._create_queue.claim(work.key, identity)
        if seconds > 0:
            self._queue.add(work.key, seconds)
            return True
        work.note(Attempted(resource.generation, work.view.policy))
        context = self._context
        tags = build_tags(resource, self._owner(resource), context.default_tags, context.version)
        request = build_request(resource, identity, tags)
        try:
            arn = check_arn(await self._accounts.get(work.target).create(request), identity)
        except AwsError as error:
            work.note(CreateFailed(error.definite, self._clocks.monotonic()))
            if error.kind is ErrorClass.WAITING:
                self._note_shortage(error, identity, work)
            else:
                self._create_queue.leave(work.key, identity)
                self._note_refusal(error, identity, work)
            return False
        except NotLeading:
            self._create_queue.leave(work.key, identity)
            raise
        except Busy:
            self._create_queue.give_back(work.key, identity)
            raise
        keys = tuple(key for key, _ in resource.user_tags())
        work.note(Created(arn, keys, applied_fields(resource.spec), self._clocks.monotonic()))
        self._note_success(operations.CREATE, work)
        self._create_queue.succeed(work.key, identity)
        self._metrics.job_waited(resource.age_at(self._clocks.wall()))
        log.info("Created the training job %s", identity.job_name, extra=work.named)
        return False

    def _note_shortage(self, error: AwsError, identity: Identity, work: Work) -> None:
        """Handle a quota or capacity in use: wait for it, unless no wait helps."""
        resource = work.view.resource
        shortage = read_shortage(error.message, read_demand(resource.spec))
        if not (is_not_offered(error.message) or shortage.is_hopeless):
            self._create_queue.lack_capacity(resource, identity, shortage)
            self._note(error, work, operations.CREATE)
            return
        self._create_queue.leave(work.key, identity)
        if is_not_offered(error.message):
            work.refuse(Finding(reasons.REFUSED, error.sentence))
        else:
            finding = Finding(reasons.QUOTA_TOO_SMALL, f"{shortage.advice} {error.sentence}")
            self._note(error, work, operations.CREATE, finding)

    def _note_refusal(self, error: AwsError, identity: Identity, work: Work) -> None:
        """Handle a failed CreateTrainingJob by the class of its error."""
        attempt, now = work.job.attempt, self._clocks.monotonic()
        match error.kind:
            case ErrorClass.DOUBTFUL | ErrorClass.REFUSED | ErrorClass.NOT_FOUND if is_not_offered(error.message):
                work.refuse(Finding(reasons.REFUSED, error.sentence))
            case ErrorClass.IN_USE:
                work.note(NameTaken())
            case ErrorClass.REFUSED if error.operation == operations.CREATE:  # not AssumeRole before it
                work.refuse(Finding(reasons.REFUSED, error.sentence))
            case ErrorClass.DOUBTFUL if now - (attempt.doubtful_since or now) >= retries.DOUBTFUL_SECONDS:
                repeats = retries.DOUBTFUL_REPEATS[attempt.doubtful_rounds :]
                work.note(DoubtEnded())
                work.refuse(Finding(reasons.CREATE_FAILED, error.sentence), now + repeats[0] if repeats else None)
            case ErrorClass.RETRY if self._is_outdone(error, identity, work):
                message = (
                    f"{error.sentence} SageMaker has answered this spec so for {_hours(now, work.job)} hours, while it "
                    "created other jobs. The operator gives up until the spec or the annotations change."
                )
                work.note(Dismissed(operations.CREATE))
                work.refuse(Finding(reasons.CREATE_FAILED, message))
            case _:
                if error.kind is ErrorClass.DOUBTFUL:
                    work.note(Doubted(now))
                self._note(error, work, operations.CREATE)

    def _is_outdone(self, error: AwsError, identity: Identity, work: Work) -> bool:
        """Return True if the service fails with this spec only: for long, while it creates other jobs."""
        work.note(Outdone(self._create_queue.created_jobs(identity)))
        trouble = work.job.troubles.get(operations.CREATE)
        return (
            error.operation == operations.CREATE
            and trouble is not None
            and work.job.attempt.outdone >= retries.OUTDONE_FAILURES
            and self._clocks.monotonic() - trouble.since >= retries.OUTDONE_SECONDS
        )

    async def stop(self, identity: Identity, work: Work) -> bool:
        if self._must_wait(lambda budgets: budgets.stop, identity, work):
            return True
        try:
            await self._accounts.get(work.target).stop(identity.job_name)
        except AwsError as error:
            now = self._clocks.monotonic()
            work.note(Stopping(now))
            if error.kind is ErrorClass.NOT_FOUND:
                work.note(JobMissing(now))
                return False
            if error.kind is ErrorClass.CONFLICT:  # the job has ended or is about to; Describe shows it
                work.note(Suspected())
            self._note(error, work, operations.STOP)
            return False
        self._note_success(operations.STOP, work)
        work.note(StopSent(self._clocks.monotonic()))
        log.info("SageMaker accepted the stop of the training job %s", identity.job_name, extra=work.named)
        return False

    async def update(self, identity: Identity, members: Mapping[str, Any], work: Work) -> bool:
        if self._must_wait(lambda budgets: budgets.update, identity, work):
            return True
        try:
            await self._accounts.get(work.target).update({"TrainingJobName": identity.job_name, **members})
        except AwsError as error:
            self._note_edit(error, work, operations.UPDATE)
            return False
        self._note_success(operations.UPDATE, work)
        work.note(Updated(members, applied_fields(work.view.resource.spec), self._clocks.monotonic()))
        log.info("Updated %s of the training job %s", ", ".join(members), identity.job_name, extra=work.named)
        return False

    async def set_tags(self, arn: str, change: TagChange, work: Work) -> bool:
        if self._must_wait(lambda budgets: budgets.add_tags, work.identity, work):
            return True
        gateway, operation = self._accounts.get(work.target), operations.ADD_TAGS
        try:
            if change.add:
                await gateway.add_tags(arn, change.add)
            operation = operations.DELETE_TAGS
            if change.remove:
                await gateway.delete_tags(arn, change.remove)
        except AwsError as error:
            self._note_edit(error, work, operation)
            return False
        self._note_success(operations.ADD_TAGS, work)
        self._note_success(operations.DELETE_TAGS, work)
        keys = tuple(key for key, _ in work.view.resource.user_tags())
        work.note(TagsSet(change.add, tuple(change.remove), keys))
        log.info("Set %d tags and removed %d", len(change.add), len(change.remove), extra=work.named)
        return False

    def _note_edit(self, error: AwsError, work: Work, operation: str) -> None:
        """Record an edit that the service refuses for good; retry after other errors."""
        if error.kind in (ErrorClass.REFUSED, ErrorClass.NOT_FOUND) and error.operation == operation:
            finding = Finding(reasons.EDIT_NOT_POSSIBLE, error.sentence)
            work.note(EditRefused(work.view.resource.generation, finding))
            return
        if error.kind is ErrorClass.CONFLICT:  # not possible in this phase; Describe shows the phase
            work.note(Suspected())
        self._note(error, work, operation)

    def _note(self, error: AwsError, work: Work, operation: str, finding: Finding | None = None) -> None:
        """Record an error for the intended operation; the error names a preliminary call that failed."""
        is_read_denied = error.kind is ErrorClass.DENIED and error.operation in _READING
        is_early = is_read_denied and evidence.is_newborn(work.current_view)
        if is_early:  # IAM knows the tags of a new job some seconds later
            error = AwsError(operation, error.code, error.message, ErrorClass.RETRY, definite=error.definite)
        known = work.job.troubles.get(operation)
        is_news = known is None or (known.error.sentence, known.error.kind) != (error.sentence, error.kind)
        is_vanguard = error.kind is ErrorClass.DENIED and self._goes_ahead(operation, work)
        spread = self._clocks.jitter.uniform(0.5, 1.0)
        is_lasting = operation == operations.CREATE
        work.note(Failed(operation, error, self._clocks.monotonic(), spread, is_vanguard, is_lasting, finding))
        log.log(logging.WARNING if is_news and not is_early else logging.DEBUG, "%s", error.sentence, extra=work.named)

    def _goes_ahead(self, operation: str, work: Work) -> bool:
        """Return True for the first object denied the call, while it is denied: it retries for the others."""
        if self._jobs.get(work.key) is not work.tracked:
            return False  # deleted during the call
        account, region = work.identity.account, work.identity.region
        ahead = self._vanguard.get((account, region, operation))
        tracked = None if ahead is None else self._jobs.get(ahead)
        if tracked is None or not tracked.memory.job.is_denied(operation):
            self._step_back(work.key, but_in=(account, region))
            self._vanguard[account, region, operation] = ahead = work.key
        return ahead == work.key

    def forget(self, key: Key) -> None:
        """Forget a deleted object: it retries for no others."""
        self._step_back(key)

    def _step_back(self, key: Key, *, but_in: Location | None = None) -> None:
        for place in [place for place, ahead in self._vanguard.items() if ahead == key and place[:2] != but_in]:
            del self._vanguard[place]

    def _note_success(self, operation: str, work: Work) -> None:
        """Record a success; objects denied the same call retry at once if this one was denied it before."""
        has_news = work.job.has_news(operation)
        work.note(Dismissed(operation))
        if not has_news:
            return
        self._vanguard.pop((work.identity.account, work.identity.region, operation), None)
        now = self._clocks.monotonic()
        for tracked in self._jobs.in_region(work.identity.account, work.identity.region):
            if tracked.memory.job.may_wake(operation, now):
                tracked.note(Woken(operation, now))
                self._queue.add(tracked.key)

    def _must_wait(self, which: Callable[[OperationBudgets], Budget], identity: Identity, work: Work) -> float:
        """Return the seconds until the budget permits this call; the object is queued for that time."""
        seconds = which(self._budgets.of(identity.account, identity.region)).claim(work.key)
        if seconds > 0:
            self._queue.add(work.key, seconds)
        return seconds

    def _owner(self, resource: Resource) -> Owner:
        return Owner(self._context.cluster_id, resource.namespace, resource.name, resource.uid)


def _hours(now: float, job: JobState) -> int:
    return int((now - job.troubles[operations.CREATE].since) // 3600)
