"""Reconciler: observe, decide, act, report, for one object per reconcile.

Executes the steps of logic/decide/. Only this module writes the finalizer and, through the reporter, `.status`.
The work queue schedules reconciles; logic/ interprets responses.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.aws.lanes import Busy
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.job_calls import JobCalls, Work
from trainingjob_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic.decide import claims, deletion, following, phases, turns
from trainingjob_operator.logic.decide.accounts import (
    await_namespace,
    find_role,
    find_selector,
    find_wrong_target,
    forbid_account,
)
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.errors import readable
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, Identity
from trainingjob_operator.logic.objects.annotations import read_request, resolve
from trainingjob_operator.logic.objects.resource import Key, Resource
from trainingjob_operator.logic.state.memory import RETRY_SECONDS, Memory, Undeleted
from trainingjob_operator.logic.state.outcomes import (
    AttemptSettled,
    Ended,
    OnlyObserved,
    OwnerChecked,
    PlaceShown,
    Queued,
    Stopping,
    Unsettled,
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
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.runtime import OperatorContext, Runtime

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


class ClusterState(Protocol):
    """State of the cluster besides the objects (kube/cluster_state.py)."""

    async def annotations(self, namespace: str) -> Mapping[str, str]: ...

    async def labels(self, namespace: str) -> Mapping[str, str]: ...

    async def account_roles(self) -> Mapping[str, str] | None: ...

    async def role_selectors(self) -> Mapping[str, Mapping[str, Any]]: ...


class Reconciler:
    """Takes keys from the work queue and reconciles their objects with SageMaker."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        context: OperatorContext,
        objects: Objects,
        calls: JobCalls,
        create_queue: CreateQueue,
        cluster_state: ClusterState,
        reporter: Reporter,
    ) -> None:
        self._context = context
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._leadership = runtime.leadership
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._objects = objects
        self._calls = calls
        self._create_queue = create_queue
        self._cluster_state = cluster_state
        self._reporter = reporter
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
        self._calls.forget(tracked.key)

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
            view, target = await self._observe(tracked, resource)
            step = phases.decide(view)
            if await self._carry_out(step, Work(tracked, view, target)):
                if turns.gives_up_turn(step, view):
                    self._create_queue.forget(key)
                return
        # the type only: a step may contain a request with environment and hyperparameters
        message = f"Reconcile exceeded {MAX_STEPS} steps; last step: {type(step).__name__}"
        raise RuntimeError(message)

    async def _observe(self, tracked: StoredObject, resource: Resource) -> tuple[View, Target | None]:
        now = self._clocks.monotonic()
        if tracked.memory.term != self._leadership.term:
            tracked.memory = Memory(first_seen=now, term=self._leadership.term)
        namespace, unread = await self._read_namespace(resource.namespace)
        self._still_there(tracked)
        policy = resolve(resource, namespace, self._context.defaults)
        if (request := read_request(resource.annotations)) is not None:
            handled = (tracked.memory.handled_request, resource.status.get("lastHandledReconcileAt"))
            if request not in handled:
                tracked.memory = tracked.memory.after_request(request)
        bare = View(
            resource=resource,
            policy=policy,
            memory=tracked.memory,
            now=now,
            wall=self._clocks.wall(),
            partition=self._context.partition,
            is_region_known=self._context.knows_region(policy.region),
            overrides_passive=self._context.overrides_passive,
            namespace_unread=unread,
        )
        if unread is not None:
            return bare, None
        if resource.deleting and bare.observation.status == "Stopping":
            tracked.note(Stopping(now))  # another actor's Stop, or one from before a restart
        known = bare.observation
        if tracked.memory.job.ended_at is None and known.is_ended() and not known.rules_running():
            tracked.note(Ended(now))
        identity = bare.concerned()
        self._jobs.claim(
            tracked,
            None if identity is None else identity.slot,
            is_owner=bare.is_owner and policy.namespace_endpoint is None,
        )
        if identity is None:
            return bare, None
        tracked.memory = tracked.memory.turned_to(identity.slot, policy.namespace_endpoint)
        foreign_mark = resource.pending is not None and resource.pending != tracked.memory.marked
        if tracked.memory.job.attempt.attempted_at is None and tracked.memory.job.arn is None and foreign_mark:
            tracked.note(Unsettled())
        bare = bare.remembering(tracked.memory)
        reached = await self._reach(bare, identity)
        target, no_access = (None, reached) if isinstance(reached, Hindrance) else (reached, None)
        if target is not None:
            tracked.memory = tracked.memory.reached_by(target)
        self._still_there(tracked)
        rival = self._jobs.find_rival(tracked.key, identity.slot)
        own_turn, place = self._create_queue.look_up(resource, identity, priority=policy.priority)
        view = replace(
            bare,
            memory=tracked.memory,
            own_turn=own_turn,
            place=place,
            rival=None if rival is None else "/".join(rival),
            request_problem=None if bare.arn is not None else tracked.check(resource),
            no_access=no_access,
        )
        return view, target

    async def _read_namespace(self, namespace: str) -> tuple[Mapping[str, str], Hindrance | None]:
        """Return the namespace's annotations, or a hindrance if they are unreadable."""
        try:
            return await self._cluster_state.annotations(namespace), None
        except Forbidden as error:
            return {}, await_namespace(namespace, str(error))

    def _still_there(self, tracked: StoredObject) -> None:
        """Raise NotFound after a concurrent deletion; the object must not claim a job or a turn any more."""
        if self._jobs.get(tracked.key) is not tracked:
            raise NotFound("the object was deleted during its reconcile")

    async def _reach(self, view: View, identity: Identity) -> Target | Hindrance:
        """Resolve the target of calls about the job: account, region, role, endpoint; or the hindrance."""
        resource, policy = view.resource, view.policy
        if (problem := find_wrong_target(view)) is not None:
            return problem
        selectors = await self._cluster_state.role_selectors()
        if selectors:
            labels = await self._cluster_state.labels(resource.namespace)
            if (selected := find_selector(selectors, resource, labels)) is not None:
                return selected
        role = None
        is_own = identity.account == self._context.defaults.account
        if not is_own and not self._context.defaults.carm_enabled:
            return forbid_account(identity.account)
        if not is_own or (policy.names_account and policy.account == identity.account):
            found = find_role(identity.account, await self._cluster_state.account_roles())
            if isinstance(found, Hindrance):
                return found
            role = found
        return Target(
            account=identity.account,
            region=identity.region,
            role_arn=role,
            endpoint_url=policy.endpoint_url,
            external_id=None if role is None else self._context.external_id,
            namespace=None if role is None else resource.namespace,
        )

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
                seconds = await self._calls.describe(identity, work)
                if seconds > 0:
                    await self._report_meanwhile(seconds, work)
                return seconds > 0
            case ReadTags(_, arn):
                if not await self._calls.read_tags(arn, work):
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
                return await self._calls.create(identity, work)
            case TakeOwnership():
                await self._take_ownership(step, work)
            case Stop(identity):
                return await self._calls.stop(identity, work)
            case Update(identity, members):
                return await self._calls.update(identity, members, work)
            case SetTags(arn, change):
                return await self._calls.set_tags(arn, change, work)
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
        self._still_there(work.tracked)
        if step.passive:
            self._jobs.watch(work.tracked, None)
            return
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
