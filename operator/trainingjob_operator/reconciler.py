"""Reconciler: observe, decide, act, report, for one object per reconcile.

Executes the steps of logic/decide/. Only this module writes the finalizer and, through the reporter, `.status`.
The work queue schedules reconciles; logic/ interprets responses.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.aws.lanes import Busy
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.denials import Denials
from trainingjob_operator.job_calls import JobCalls
from trainingjob_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic import operations
from trainingjob_operator.logic.decide import claims, deletion, following, phases, turns
from trainingjob_operator.logic.decide.responses import CallResult, Failure
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass, readable
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, Identity, Location
from trainingjob_operator.logic.objects.resource import Key, Resource
from trainingjob_operator.logic.state.memory import RETRY_SECONDS, JobState, Outcome, Refusal, Undeleted
from trainingjob_operator.logic.state.outcomes import (
    Attempted,
    AttemptListed,
    AttemptSettled,
    Dismissed,
    Failed,
    OnlyObserved,
    OwnerChecked,
    PlaceShown,
    Queued,
)
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Create,
    DeleteObject,
    Describe,
    FindOwner,
    Idle,
    JoinQueue,
    ReadTags,
    RecordIntent,
    RemoveFinalizer,
    Requeue,
    SetTags,
    Step,
    Stop,
    TakeOwnership,
    Update,
    WriteStatus,
)
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status import conditions
from trainingjob_operator.object_store import Live, StoredObject
from trainingjob_operator.observer import Observer
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.runtime import Runtime

log = logging.getLogger(__name__)

FENCED_SECONDS = 0.5
"""Requeue delay after a fenced call: about the time until the renewal or loss of leadership."""

MAX_STEPS = 20
"""Upper bound of steps per reconcile, beyond the longest path through logic/decide/; exceeded only by a loop."""


UNDELETED_SECONDS = 600.0
"""Pause between attempts to delete a finished object."""


class Objects(Protocol):
    """Reads and writes of TrainingJob objects (kube/objects.py)."""

    async def get(self, namespace: str, name: str) -> dict[str, Any]: ...

    async def delete_object(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None: ...

    async def patch_metadata(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str,
        finalizers: list[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> dict[str, Any]: ...


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

    @property
    def location(self) -> Location:
        return self.target.account, self.target.region

    def note(self, *outcomes: Outcome) -> None:
        """Replace the object's memory by that after these outcomes."""
        for outcome in outcomes:
            self.tracked.note(outcome)

    def refuse(self, finding: Finding, retry_at: float | None = None) -> None:
        """Refuse the spec until it or the annotations change, or until `retry_at`."""
        refusal = Refusal(self.view.resource.generation, self.view.policy, finding, retry_at)
        self.tracked.memory = replace(self.tracked.memory, refused=refusal)


class Reconciler:
    """Takes keys from the work queue and reconciles their objects with SageMaker."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        objects: Objects,
        observer: Observer,
        calls: JobCalls,
        create_queue: CreateQueue,
        reporter: Reporter,
    ) -> None:
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._leadership = runtime.leadership
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._objects = objects
        self._observer = observer
        self._calls = calls
        self._create_queue = create_queue
        self._reporter = reporter
        self._denials = Denials(runtime)
        self._term: int | None = None
        self._taken_over = 0

    async def work(self) -> None:
        """Reconcile keys from the queue; never returns. Several workers may run concurrently."""
        while True:
            await asyncio.sleep(0)  # yield to other tasks: a reconcile may complete without awaiting anything
            key = await self._queue.take()
            try:
                await self._leadership.until(leading=True)
                await self.reconcile(key)
            finally:
                self._queue.release(key)

    async def reconcile(self, key: Key) -> None:
        """Reconcile one object; requeues it after an error."""
        began, outcome = self._clocks.monotonic(), "done"
        try:
            await self._pass(key)
            self._queue.succeeded(key)
        except NotLeading:
            outcome = "not_leading"
            self._queue.add(key, FENCED_SECONDS)
        except Busy as busy:
            outcome = "busy"
            self._queue.retry(key, busy.seconds)
        except NotFound:
            outcome = "gone"
            if self._jobs.get(key) is not None:  # a single NotFound may be transient; the watch reports deletions
                self._create_queue.forget(key)
                await self._refresh(key)
        except Conflict:
            outcome = "conflict"
            await self._refresh(key)
        except KubeError as error:
            outcome = "kubernetes_error"
            self._create_queue.forget(key)  # the error may persist for this object only and must not block others
            delay = self._queue.retry(key, RETRY_SECONDS)
            log.warning("API server request failed: %s; retrying in %.1f s", error, delay, extra=name_in_log(*key))
        except Exception:
            outcome = "error"
            self._create_queue.forget(key)
            delay = self._queue.retry(key, 10 * RETRY_SECONDS)
            log.exception("Unexpected error in reconcile; retrying in %.1f s", delay, extra=name_in_log(*key))
        self._metrics.reconciled(outcome, self._clocks.monotonic() - began)

    def passive(self) -> int:
        """Return the number of objects left to another controller."""
        now = self._clocks.monotonic()
        return sum((tracked.memory.rival.passive_until or 0.0) > now for tracked in self._jobs)

    def count_taken_over(self) -> int:
        """Return the number of jobs taken over since the last call."""
        count, self._taken_over = self._taken_over, 0
        return count

    def forget(self, tracked: StoredObject) -> None:
        """Remove a deleted object from the work queue and the create queue."""
        self._queue.discard(tracked.key)
        self._create_queue.forget(tracked.key)
        self._denials.forget(tracked.key)

    # -- one pass -----------------------------------------------------------------------------------------------------

    async def _pass(self, key: Key) -> None:
        if self._term != self._leadership.term:
            self._term = self._leadership.term
            self._jobs.begin_term()
        packed = b""
        for _ in range(MAX_STEPS):
            tracked = self._jobs.get(key)
            if tracked is None:
                return
            if tracked.packed is not packed:  # most steps do not change the object
                packed, resource = tracked.packed, tracked.resource()
            view, target = await self._observer.observe(tracked, resource)
            step = phases.decide(view)
            if await self._carry_out(step, Work(tracked, view, target)):
                if turns.gives_up_turn(step, view):
                    self._create_queue.forget(key)
                return
        # the type only: a step may contain a request with environment and hyperparameters
        message = f"Reconcile exceeded {MAX_STEPS} steps; last step: {type(step).__name__}"
        raise RuntimeError(message)

    async def _carry_out(self, step: Step, work: Work) -> bool:  # noqa: C901, PLR0912  one arm per step
        """Execute one step; True if it ends the reconcile."""
        match step:
            case Idle(refused):
                if refused is not None:
                    work.refuse(refused)
                return True
            case Requeue(seconds):
                self._queue.add(work.key, seconds)
                return True
            case Describe(identity):
                result = await self._calls.describe(identity, work.view, work.target)
                if waits := self._record(result, work):
                    await self._report_meanwhile(result.wait, work)
                return waits
            case ReadTags(_, arn):
                if not self._record(await self._calls.read_tags(arn, work.view, work.target), work):
                    self._count_takeover(work)
                    return False
                if work.current_view.arn is not None and not work.view.resource.deleting:
                    await self._report(WriteStatus(unfinished=True), work)
                return True
            case FindOwner(key):
                work.note(OwnerChecked(await self._exists(key), self._clocks.monotonic()))
            case JoinQueue(identity):
                work.note(Queued(work.view.now))
                self._create_queue.join(
                    work.view.resource,
                    identity,
                    priority=work.view.policy.priority,
                    retries=turns.was_tried(work.view),
                )
            case RecordIntent(identity):
                await self._record_intent(identity, work)
            case Create(identity):
                return await self._create(identity, work)
            case TakeOwnership():
                await self._take_ownership(step, work)
            case Stop(identity):
                return self._record(await self._calls.stop(identity, work.view, work.target), work)
            case Update(identity, members):
                return self._record(await self._calls.update(identity, members, work.view, work.target), work)
            case SetTags(arn, change):
                return self._record(await self._calls.set_tags(arn, change, work.view, work.target), work)
            case ClearIntent(refusal):
                await self._clear_intent(work, refusal)
            case RemoveFinalizer():
                await self._remove_finalizer(work.view, WriteStatus(), work)
                return True
            case DeleteObject():
                return await self._delete_object(work)
            case WriteStatus():
                await self._report(step, work)
                if step.again is not None:
                    self._queue.add(work.key, step.again)
                return True
        return False

    # -- SageMaker ----------------------------------------------------------------------------------------------------

    async def _create(self, identity: Identity, work: Work) -> bool:
        """Create the job within the object's turn; True if the budget does not permit it yet."""
        resource, queue = work.view.resource, self._create_queue
        if (seconds := queue.claim(work.key, identity)) > 0:
            self._queue.add(work.key, seconds)
            return True
        work.note(Attempted(resource.generation, work.view.policy))
        created_jobs = queue.created_jobs(identity)
        try:
            result = await self._calls.create(identity, work.current_view, work.target, created_jobs)
        except NotLeading:
            queue.leave(work.key, identity)
            raise
        except Busy:
            queue.give_back(work.key, identity)
            raise
        if result.succeeded:
            queue.succeed(work.key, identity)
            if not resource.attempts:  # a later attempt waits for the earlier ones, too
                self._metrics.job_waited(resource.age_at(self._clocks.wall()))
        elif result.shortage is not None:
            queue.lack_capacity(resource, identity, result.shortage)
        else:
            queue.leave(work.key, identity)
        return self._record(result, work)

    def _record(self, result: CallResult, work: Work) -> bool:
        """Record the consequences of a call; True if the object waits for the budget."""
        if result.wait > 0:
            self._queue.add(work.key, result.wait)
            return True
        for operation in result.succeeded:
            has_news = work.job.has_news(operation)
            work.note(Dismissed(operation))
            if has_news:
                self._denials.lift(operation, work.location)
        work.note(*result.outcomes)
        if result.refusal is not None:
            work.refuse(result.refusal, result.retry_at)
        if result.failure is not None:
            self._record_failure(result.failure, work)
        return False

    def _record_failure(self, failure: Failure, work: Work) -> None:
        operation, error = failure.operation, failure.error
        known = work.job.troubles.get(operation)
        is_news = known is None or (known.error.sentence, known.error.kind) != (error.sentence, error.kind)
        is_denied = error.kind is ErrorClass.DENIED
        is_probe = is_denied and self._denials.is_probe(operation, work.tracked, work.location)
        spread = self._clocks.jitter.uniform(0.5, 1.0)
        is_lasting = operation == operations.CREATE
        failed = Failed(operation, error, self._clocks.monotonic(), spread, is_probe, is_lasting, failure.finding)
        work.note(failed)
        level = logging.WARNING if is_news and not failure.is_expected else logging.DEBUG
        log.log(level, "%s", error.sentence, extra=work.named)

    # -- Kubernetes ---------------------------------------------------------------------------------------------------

    async def _exists(self, key: Key) -> bool:
        """Check the existence of an object; an unreadable object counts as existing."""
        try:
            await self._objects.get(*key)
        except NotFound:
            return False
        except Forbidden:
            return True
        return True

    async def _take_ownership(self, step: TakeOwnership, work: Work) -> None:
        if step.finalizer and not work.view.resource.holds_finalizer:
            await self._patch_finalizer(work.view.resource, hold=True)
        work.note(claims.take_over(work.current_view, step.arn, step.claim))
        work.tracked.memory = replace(work.tracked.memory, refused=None)
        self._count_takeover(work)
        self._create_queue.leave(work.key, work.identity)
        if not work.view.policy.read_only:
            log.debug("Took ownership of training job %s", step.arn, extra=work.named)

    def _count_takeover(self, work: Work) -> None:
        """Count the first claim on a job created by others or for an earlier object."""
        claim = work.current_view.claim
        if work.view.claim is None and claim is not None and claim.is_takeover:
            self._taken_over += 1

    async def _record_intent(self, identity: Identity, work: Work) -> None:
        """Add the finalizer and record the pending Create; on failure, release the object's turn."""
        tracked, resource = work.tracked, work.view.resource
        tracked.memory = replace(tracked.memory, marked=identity)
        self._create_queue.begin(work.key, identity)
        try:
            await self._patch_finalizer(resource, hold=True, pending=str(identity))
        except (Conflict, NotFound):
            raise
        except KubeError as error:
            spread = self._clocks.jitter.uniform(0.5, 1.0)
            words, now = readable(str(error)), self._clocks.monotonic()
            unmarked = tracked.memory.refuse_mark(resource.writable_state, words, now, spread)
            tracked.memory = replace(tracked.memory, unmarked=unmarked)
            self._create_queue.leave(work.key, identity)
            message = "The API server rejected the finalizer: %s; retrying in %.1f s"
            log.warning(message, words, unmarked.retry_at - now, extra=work.named)
        else:
            tracked.memory = replace(tracked.memory, unmarked=None)

    async def _clear_intent(self, work: Work, refusal: Finding | None) -> None:
        await self._remove_finalizer(work.view, WriteStatus(terminal=refusal), work)
        if refusal is not None and work.tracked.memory.refused is None:
            work.refuse(refusal)
        work.note(AttemptSettled())

    async def _delete_object(self, work: Work) -> bool:
        """Delete the finished object; returns False for a rejected deletion, which the next report explains."""
        tracked, resource = work.tracked, work.view.resource
        self._leadership.fence(0.0)
        try:
            await self._objects.delete_object(
                resource.namespace, resource.name, uid=resource.uid, resource_version=resource.resource_version
            )
        except (Conflict, NotFound, Unavailable):
            raise
        except KubeError as error:
            undeleted = Undeleted(readable(str(error)), self._clocks.monotonic() + UNDELETED_SECONDS)
            tracked.memory = replace(tracked.memory, undeleted=undeleted)
            log.warning("The API server rejected the deletion: %s", undeleted.words, extra=work.named)
            return False
        log.info("Deleted the object %d s after the end of its job", work.view.policy.ttl_seconds, extra=work.named)
        return True

    async def _remove_finalizer(self, view: View, step: WriteStatus, work: Work) -> None:
        """Remove the finalizer. A persistent rejection by the API server is reported in the status, along with `step`.

        Raises the API server's error, for a retry with back-off.
        """
        tracked = work.tracked
        try:
            is_ended = view.observation.is_ended()
            await self._patch_finalizer(view.resource, hold=False, ended=view.arn if is_ended else None)
        except (Conflict, NotFound):
            raise
        except KubeError as error:
            if not isinstance(error, Unavailable) or error.reason == "InternalError":  # a failing webhook
                unreleased = deletion.explain_unreleased(str(error))
                tracked.memory = replace(tracked.memory, unreleased=unreleased)
                view = view.remembering(tracked.memory)
                await self._reporter.report(tracked, view, replace(step, hindrance=unreleased))
            raise
        was_refused = tracked.memory.unreleased is not None
        tracked.memory = replace(tracked.memory, marked=None, unreleased=None)
        if was_refused:
            self._queue.add(work.key, 0.0)  # clears the hindrance from the status

    async def _patch_finalizer(
        self, resource: Resource, *, hold: bool, pending: str | None = None, ended: str | None = None
    ) -> None:
        """Add or remove the finalizer, together with the create-pending annotation.

        :param ended: ARN of the ended job, if its end releases the object
        """
        self._leadership.fence(0.0)
        others = [name for name in resource.finalizers if name != FINALIZER]
        annotations: dict[str, str | None] = {}
        if pending is not None or (CREATE_PENDING in resource.annotations and not hold):
            annotations[CREATE_PENDING] = pending
        if ended is not None and not resource.deleting:
            annotations[JOB_ARN] = ended
        body = await self._objects.patch_metadata(
            resource.namespace,
            resource.name,
            uid=resource.uid,
            resource_version=resource.resource_version,
            finalizers=[*others, FINALIZER] if hold else others,
            annotations=annotations or None,
        )
        self._jobs.see_answer(body, self._clocks.monotonic())

    async def _report(self, step: WriteStatus, work: Work) -> None:
        """Write the status; release an object after the end of its job."""
        tracked = work.tracked
        if step.place is not None:
            work.note(PlaceShown(step.place, work.view.now))
        if step.passive:  # noted before the write: a failure shows that the other controller is active
            rival = replace(tracked.memory.rival, passive_shown=True)
            tracked.memory = replace(tracked.memory, rival=rival)
            log.warning('Leaving the object to field manager "%s"', rival.foreign_writer, extra=work.named)
        if step.release and tracked.memory.unreleased is not None:
            step = replace(step, hindrance=tracked.memory.unreleased)
        wanted = await self._reporter.report(tracked, work.current_view, step)
        self._observer.check_presence(work.tracked)
        if step.passive:
            self._jobs.watch(work.tracked, None)
            return
        if step.closes_attempt:
            self._jobs.watch(tracked, None)
            tracked.memory = tracked.memory.after_attempt()
            return
        if step.lists_attempt:
            work.note(AttemptListed())
        self._follow(work, wanted)
        if work.view.policy.read_only:
            work.note(OnlyObserved())
        if step.release and self._jobs.get(work.key) is tracked:
            await self._remove_finalizer(replace(work.current_view, resource=tracked.resource()), step, work)
        if step.again is None and not work.job.needs_describe and Observation(wanted).is_ended():
            tracked.memory = tracked.memory.after_end()

    async def _report_meanwhile(self, seconds: float, work: Work) -> None:
        """Report the known state while DescribeTrainingJob waits `seconds` for the budget."""
        view = work.current_view
        if work.job.arn is not None and view.resource.arn is None:
            await self._report(WriteStatus(), work)
        elif view.is_inherited and work.tracked.live is None:
            await self._report(WriteStatus(unfinished=True), work)
        elif work.job.hint is not None and seconds >= turns.WAITING_SHOWN_SECONDS and (identity := view.attached()):
            await self._report(following.report_meanwhile(view, identity), work)

    def _follow(self, work: Work, wanted: Mapping[str, Any]) -> None:
        """Register the job with the sweep until it ends."""
        identity, target = work.current_view.attached(), work.reached
        seen = Observation(wanted)
        ended = seen.is_ended() or conditions.recorded_vanishing(wanted.get("conditions")) is not None
        if identity is None or target is None or ended:
            self._jobs.watch(work.tracked, None)
        else:
            shared = replace(target, namespace=None)  # one sweep covers all namespaces
            self._jobs.watch(work.tracked, Live(shared, identity, seen.summary()))

    async def _refresh(self, key: Key) -> None:
        """Read the object anew after a conflict, and requeue it."""
        tracked = self._jobs.get(key)
        known = 0 if tracked is None else tracked.version
        try:
            body = await self._objects.get(*key)
        except KubeError:  # NotFound too: the retries end once the watch or the next list reports the deletion
            self._queue.retry(key, RETRY_SECONDS)
            return
        self._jobs.see_answer(body, self._clocks.monotonic(), known_before=known)
        self._queue.retry(key, RETRY_SECONDS)
