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
from trainingjob_operator.logic import operations
from trainingjob_operator.logic.decide import evidence, responses
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.answers import check_arn
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.quotas import read_demand, read_shortage
from trainingjob_operator.logic.jobs.updates import TagChange, applied_fields
from trainingjob_operator.logic.naming import Identity, Location, Owner
from trainingjob_operator.logic.objects.create_request import build_request, build_tags
from trainingjob_operator.logic.objects.resource import Key, Resource
from trainingjob_operator.logic.state.memory import JobState, Outcome, Refusal
from trainingjob_operator.logic.state.outcomes import (
    Attempted,
    Created,
    CreateFailed,
    Dismissed,
    Failed,
    JobMissing,
    StopSent,
    TagsSet,
    Updated,
    Woken,
)
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

    def note(self, *outcomes: Outcome) -> None:
        """Replace the object's memory by that after these outcomes."""
        for outcome in outcomes:
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
        return Identity(self.target.account, self.target.region, self.view.policy.job_name)


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
        self._probes: dict[tuple[str, str, str], Key] = {}
        """By account, region and operation: the object that retries soon for all objects denied the call.

        Each probe is an existing object, without an entry of another account or region.
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
        outcomes = responses.read_description(work.current_view, identity, answer, self._clocks.monotonic())
        if not isinstance(outcomes[0], JobMissing) or await self._is_confirmed(work):
            work.note(*outcomes)
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
        work.note(*responses.read_tags(work.current_view, tags, self._owner(work.view.resource)))
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
            self._react_to_create(error, identity, work)
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

    def _react_to_create(self, error: AwsError, identity: Identity, work: Work) -> None:
        """Leave the create queue, or wait in it for a quota or capacity in use."""
        resource = work.view.resource
        if error.kind is not ErrorClass.WAITING:
            self._create_queue.leave(work.key, identity)
            created_jobs = self._create_queue.created_jobs(identity)
            reaction = responses.react_to_refusal(work.current_view, error, self._clocks.monotonic(), created_jobs)
        else:
            shortage = read_shortage(error.message, read_demand(resource.spec))
            reaction = responses.react_to_shortage(shortage, error)
            if reaction.is_retried and reaction.finding is None:
                self._create_queue.lack_capacity(resource, identity, shortage)
            else:
                self._create_queue.leave(work.key, identity)
        self._react(reaction, error, work, operations.CREATE)

    async def stop(self, identity: Identity, work: Work) -> bool:
        if self._must_wait(lambda budgets: budgets.stop, identity, work):
            return True
        try:
            await self._accounts.get(work.target).stop(identity.job_name)
        except AwsError as error:
            self._react(responses.react_to_stop(error, self._clocks.monotonic()), error, work, operations.STOP)
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
            self._react(responses.react_to_edit(work.view, error, operations.UPDATE), error, work, operations.UPDATE)
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
            self._react(responses.react_to_edit(work.view, error, operation), error, work, operation)
            return False
        self._note_success(operations.ADD_TAGS, work)
        self._note_success(operations.DELETE_TAGS, work)
        keys = tuple(key for key, _ in work.view.resource.user_tags())
        work.note(TagsSet(change.add, tuple(change.remove), keys))
        log.info("Set %d tags and removed %d", len(change.add), len(change.remove), extra=work.named)
        return False

    def _react(self, reaction: responses.Reaction, error: AwsError, work: Work, operation: str) -> None:
        work.note(*reaction.outcomes)
        if reaction.refusal is not None:
            work.refuse(reaction.refusal, reaction.retry_at)
        if reaction.is_retried:
            self._note(error, work, operation, reaction.finding)

    def _note(self, error: AwsError, work: Work, operation: str, finding: Finding | None = None) -> None:
        """Record an error for the intended operation; the error names a preliminary call that failed."""
        is_read_denied = error.kind is ErrorClass.DENIED and error.operation in _READING
        is_early = is_read_denied and evidence.is_newborn(work.current_view)
        if is_early:  # IAM knows the tags of a new job some seconds later
            error = AwsError(operation, error.code, error.message, ErrorClass.RETRY, definite=error.definite)
        known = work.job.troubles.get(operation)
        is_news = known is None or (known.error.sentence, known.error.kind) != (error.sentence, error.kind)
        is_probe = error.kind is ErrorClass.DENIED and self._is_probe(operation, work)
        spread = self._clocks.jitter.uniform(0.5, 1.0)
        is_lasting = operation == operations.CREATE
        work.note(Failed(operation, error, self._clocks.monotonic(), spread, is_probe, is_lasting, finding))
        log.log(logging.WARNING if is_news and not is_early else logging.DEBUG, "%s", error.sentence, extra=work.named)

    def _is_probe(self, operation: str, work: Work) -> bool:
        """Return True for the first object denied the call, while it is denied: it retries for the others."""
        if self._jobs.get(work.key) is not work.tracked:
            return False  # deleted during the call
        account, region = work.identity.account, work.identity.region
        probe = self._probes.get((account, region, operation))
        tracked = None if probe is None else self._jobs.get(probe)
        if tracked is None or not tracked.memory.job.is_denied(operation):
            self._drop_probe(work.key, but_in=(account, region))
            self._probes[account, region, operation] = probe = work.key
        return probe == work.key

    def forget(self, key: Key) -> None:
        """Forget a deleted object: it retries for no others."""
        self._drop_probe(key)

    def _drop_probe(self, key: Key, *, but_in: Location | None = None) -> None:
        for place in [place for place, probe in self._probes.items() if probe == key and place[:2] != but_in]:
            del self._probes[place]

    def _note_success(self, operation: str, work: Work) -> None:
        """Record a success; objects denied the same call retry at once if this one was denied it before."""
        has_news = work.job.has_news(operation)
        work.note(Dismissed(operation))
        if not has_news:
            return
        self._probes.pop((work.identity.account, work.identity.region, operation), None)
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
