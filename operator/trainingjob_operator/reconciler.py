"""One object at a time: observe, decide, act, report.

Carries out the steps of logic/decision.py, and is the only writer of `.status` and of the finalizer. When an object's
turn to be looked at comes is the work queue's, what the answers mean is logic/'s.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.aws.lanes import Busy
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.create_line import CreateLine
from trainingjob_operator.job_calls import Access, JobCalls, Standing, Work, refuse
from trainingjob_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from trainingjob_operator.leadership import Leadership, NotLeading
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic import conditions, decision, validation
from trainingjob_operator.logic.accounts import await_namespace, find_role, find_selector, forbid_account
from trainingjob_operator.logic.annotations import read_request, resolve
from trainingjob_operator.logic.errors import readable
from trainingjob_operator.logic.memory import RETRY_SECONDS, Memory
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, Identity
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Key, Resource
from trainingjob_operator.logic.steps import (
    Create,
    FindOwner,
    Look,
    Mark,
    ReadTags,
    Release,
    Rest,
    Say,
    SetTags,
    Step,
    Stop,
    TakeOver,
    TakeTurn,
    Unmark,
    Update,
    Wait,
)
from trainingjob_operator.logic.updates import applied_fields
from trainingjob_operator.logic.view import View
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.tracked_jobs import Live, Tracked, TrackedJobs
from trainingjob_operator.work_queue import WorkQueue

log = logging.getLogger(__name__)

FENCED_SECONDS = 0.5
"""Time until the next try where leadership is too near its end for a call; a renewal, or its loss, comes about then."""

BUSY_SECONDS = 5.0
"""The longest pause where so many calls to a job's account and region are under way that it has to come later."""

MAX_STEPS = 20
"""More than the longest way through decision.py; one pass that takes more goes in a circle."""


class Objects(Protocol):
    """What is read from and written to the API server (kube/objects.py)."""

    async def get(self, namespace: str, name: str) -> dict[str, Any]: ...

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


class Surroundings(Protocol):
    """What is known beside the objects (kube/surroundings.py)."""

    async def annotations(self, namespace: str) -> Mapping[str, str]: ...

    async def labels(self, namespace: str) -> Mapping[str, str]: ...

    async def account_roles(self) -> Mapping[str, str] | None: ...

    async def role_selectors(self) -> Mapping[str, Mapping[str, Any]]: ...


class Reconciler:
    """Takes keys from the queue, and brings the object and its job closer to each other."""

    def __init__(
        self,
        *,
        standing: Standing,
        jobs: TrackedJobs,
        queue: WorkQueue[Key],
        objects: Objects,
        calls: JobCalls,
        line: CreateLine,
        surroundings: Surroundings,
        reporter: Reporter,
        leadership: Leadership,
        metrics: Metrics,
        clocks: Clocks,
    ) -> None:
        self._standing = standing
        self._jobs = jobs
        self._queue = queue
        self._objects = objects
        self._calls = calls
        self._line = line
        self._surroundings = surroundings
        self._reporter = reporter
        self._leadership = leadership
        self._metrics = metrics
        self._clocks = clocks
        self._term: int | None = None
        self._taken_over = 0

    async def work(self) -> None:
        """Reconcile one key after the other, for ever; several may run side by side."""
        while True:
            await asyncio.sleep(0)  # a pass may wait for nothing, and thousands of such must not hold up the rest
            key = await self._queue.take()
            try:
                await self._leadership.until(leading=True)
                await self.reconcile(key)
            finally:
                self._queue.release(key)

    async def reconcile(self, key: Key) -> None:
        """Look at one object and do what can be done for it now."""
        began, outcome = self._clocks.monotonic(), "done"
        try:
            await self._pass(key)
            self._queue.succeeded(key)
        except NotLeading:
            outcome = "not_leading"
            self._queue.add(key, FENCED_SECONDS)
        except Busy:
            outcome = "busy"
            self._queue.retry(key, BUSY_SECONDS)
        except NotFound:
            outcome = "gone"
            if self._jobs.get(key) is not None:  # the API server may answer so once; the watch tells what is deleted
                self._line.forget(key)
                await self._refresh(key)
        except Conflict:
            outcome = "conflict"
            await self._refresh(key)
        except KubeError as error:
            outcome = "kubernetes_error"
            self._line.forget(key)  # it may last for this object alone: others must not wait behind it
            delay = self._queue.retry(key, RETRY_SECONDS)
            log.warning(
                "The API server did not take it: %s; trying again in %.1f s", error, delay, extra=name_in_log(*key)
            )
        except Exception:
            outcome = "error"
            self._line.forget(key)
            delay = self._queue.retry(key, 10 * RETRY_SECONDS)
            log.exception("A defect; trying again in %.1f s", delay, extra=name_in_log(*key))
        self._metrics.reconciled(outcome, self._clocks.monotonic() - began)

    def passive(self) -> int:
        """How many objects are left to another controller."""
        now = self._clocks.monotonic()
        return sum((tracked.memory.passive_until or 0.0) > now for tracked in self._jobs)

    def count_taken_over(self) -> int:
        """How many jobs were taken over since this was asked last."""
        count, self._taken_over = self._taken_over, 0
        return count

    def forget(self, tracked: Tracked) -> None:
        """The object is gone: nobody waits for it any more."""
        self._queue.discard(tracked.key)
        self._line.forget(tracked.key)

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
            if tracked.packed is not packed:  # most steps leave the object as it is
                packed, resource = tracked.packed, tracked.resource()
            view, access = await self._observe(tracked, resource)
            step = decision.decide(view)
            if await self._carry_out(step, Work(tracked, view, access)):
                if _gives_up_turn(step, view):
                    self._line.forget(key)
                return
        message = f"{MAX_STEPS} steps without an end, the last {type(step).__name__}"  # a step may hold a request
        raise RuntimeError(message)

    async def _observe(self, tracked: Tracked, resource: Resource) -> "tuple[View, Access]":
        now = self._clocks.monotonic()
        if tracked.memory.term != self._leadership.term:
            tracked.memory = Memory(first_seen=now, term=self._leadership.term)
        memory = tracked.memory
        namespace, unread = await self._read_namespace(resource.namespace)
        self._still_there(tracked)
        policy = resolve(resource, namespace, self._standing.defaults)
        if (request := read_request(resource.annotations)) is not None:
            handled = (memory.handled_request, resource.status.get("lastHandledReconcileAt"))
            if request not in handled:
                memory.note_request(request)
        bare = View(
            resource=resource,
            policy=policy,
            memory=memory,
            now=now,
            wall=self._clocks.wall(),
            partition=resource.partition or self._standing.partition,
            is_region_known=self._standing.knows_region(policy.region),
            overrides_passive=self._standing.overrides_passive,
            namespace_unread=unread,
        )
        if unread is not None:
            return bare, Access(None, unread)
        if resource.deleting and memory.stopping_since is None and bare.observation.status == "Stopping":
            memory.stopping_since = now  # somebody else's Stop, or one of an earlier life of the process
        known = bare.observation
        if memory.ended_at is None and known.is_ended() and not known.rules_running():
            memory.ended_at = now
        identity = bare.concerned()
        self._jobs.claim(
            tracked,
            None if identity is None else identity.slot,
            is_owner=bare.is_owner and policy.namespace_endpoint is None,
        )
        if identity is None:
            return bare, Access(None, None)
        memory.turn_to(identity.slot, policy.namespace_endpoint)
        foreign_mark = resource.pending is not None and resource.pending != memory.marked
        if memory.attempted_at is None and memory.arn is None and foreign_mark:
            memory.unsettled = True
        access = await self._reach(bare, identity)
        if access.target is not None:
            memory.reach_by(access.target)
        self._still_there(tracked)
        rival = self._jobs.find_rival(tracked.key, identity.slot)
        own_turn, place = self._line.look_up(resource, identity)
        view = replace(
            bare,
            own_turn=own_turn,
            place=place,
            rival=None if rival is None else "/".join(rival),
            request_problem=None if bare.arn is not None else _find_request_problem(resource),
            no_access=access.problem,
        )
        return view, access

    async def _read_namespace(self, namespace: str) -> tuple[Mapping[str, str], Hindrance | None]:
        """The namespace's annotations, or why they are unknown."""
        try:
            return await self._surroundings.annotations(namespace), None
        except Forbidden as error:
            return {}, await_namespace(namespace, str(error))

    def _still_there(self, tracked: Tracked) -> None:
        """Raises NotFound when the object was deleted meanwhile: it must not claim a job or a turn any more."""
        if self._jobs.get(tracked.key) is not tracked:
            raise NotFound("deleted while it was looked at")

    async def _reach(self, view: View, identity: Identity) -> "Access":
        """How calls reach the job's account."""
        resource, policy = view.resource, view.policy
        if (problem := _find_wrong_target(view)) is not None:
            return Access(None, problem)
        selectors = await self._surroundings.role_selectors()
        if selectors:
            labels = await self._surroundings.labels(resource.namespace)
            if (selected := find_selector(selectors, resource, labels)) is not None:
                return Access(None, selected)
        role = None
        is_own = identity.account == self._standing.defaults.account
        if not is_own and not self._standing.defaults.carm_enabled:
            return Access(None, forbid_account(identity.account))
        if not is_own or (policy.names_account and policy.account == identity.account):
            found = find_role(identity.account, await self._surroundings.account_roles())
            if isinstance(found, Hindrance):
                return Access(None, found)
            role = found
        target = Target(
            account=identity.account,
            region=identity.region,
            role_arn=role,
            endpoint_url=policy.endpoint_url,
            external_id=None if role is None else self._standing.external_id,
            namespace=None if role is None else resource.namespace,
        )
        return Access(target, None)

    async def _carry_out(self, step: Step, work: Work) -> bool:  # noqa: C901, PLR0912  one arm per step
        """Do one step; True when the pass is over."""
        match step:
            case Rest(refused):
                if refused is not None:
                    work.view.memory.refused = refuse(work, refused)
                return True
            case Wait(seconds):
                self._queue.add(work.key, seconds)
                return True
            case Look(identity):
                seconds = await self._calls.look(identity, work)
                if seconds > 0:
                    await self._report_meanwhile(seconds, work)
                return seconds > 0
            case ReadTags(_, arn):
                if not await self._calls.read_tags(arn, work):
                    return False
                if work.view.arn is not None and not work.view.resource.deleting:
                    await self._report(Say(unfinished=True), work)
                return True
            case FindOwner(key):
                work.view.memory.named_owner = (await self._exists(key), self._clocks.monotonic())
            case TakeTurn(identity):
                if work.view.memory.waiting_since is None:
                    work.view.memory.waiting_since = work.view.now
                self._line.join(work.view.resource, identity, retries=decision.was_tried(work.view))
            case Mark(identity):
                await self._mark(identity, work)
            case Create(identity):
                return await self._calls.create(identity, work)
            case TakeOver():
                await self._take_over(step, work)
            case Stop(identity):
                return await self._calls.stop(identity, work)
            case Update(identity, members):
                return await self._calls.update(identity, members, work)
            case SetTags(arn, change):
                return await self._calls.set_tags(arn, change, work)
            case Unmark(refusal):
                await self._unmark(work, refusal)
            case Release():
                await self._release(work.view, Say(), work)
                return True
            case Say():
                await self._report(step, work)
                if step.again is not None:
                    self._queue.add(work.key, step.again)
                return True
        return False

    # -- Kubernetes ---------------------------------------------------------------------------------------------------

    async def _exists(self, key: Key) -> bool:
        """Whether an object exists; one that may not be read counts as existing."""
        try:
            await self._objects.get(*key)
        except NotFound:
            return False
        except Forbidden:
            return True
        return True

    async def _take_over(self, step: TakeOver, work: Work) -> None:
        memory = work.view.memory
        if step.finalizer and not work.view.resource.holds_finalizer:
            await self._patch_finalizer(work.view.resource, hold=True)
        memory.arn = step.arn
        memory.claim = step.claim or memory.claim
        if memory.tags is not None and memory.proof in (TagProof.SAME_OBJECT, TagProof.SAME_NAME):
            own = {key for key, _ in work.view.resource.user_tags()}
            memory.applied_tag_keys = tuple(key for key in memory.tags if key in own)
        if memory.proof is TagProof.SAME_OBJECT and work.view.resource.arn is None:  # an attempt without an answer
            memory.applied_fields = applied_fields(work.view.resource.spec)
        memory.in_use = memory.unsettled = False
        memory.refused = None
        self._line.leave(work.key, work.identity)
        if not work.view.policy.read_only:
            self._taken_over += 1
            log.debug("Took over the training job %s", step.arn, extra=work.named)

    async def _mark(self, identity: Identity, work: Work) -> None:
        """Take the finalizer and note the attempt; an object that can't be written gives its turn to another."""
        memory, resource = work.view.memory, work.view.resource
        memory.marked = identity
        try:
            await self._patch_finalizer(resource, hold=True, pending=str(identity))
        except (Conflict, NotFound):
            raise
        except KubeError as error:
            spread = self._clocks.jitter.uniform(0.5, 1.0)
            words, now = readable(str(error)), self._clocks.monotonic()
            delay = memory.note_unmarked(resource.writable_state, words, now, spread)
            self._line.leave(work.key, identity)
            log.warning(
                "The API server refused the finalizer: %s; the next try is in %.1f s", words, delay, extra=work.named
            )
        else:
            memory.unmarked = None

    async def _unmark(self, work: Work, refusal: Finding | None) -> None:
        await self._release(work.view, Say(terminal=refusal), work)
        if refusal is not None and work.view.memory.refused is None:
            work.view.memory.refused = refuse(work, refusal)
        work.view.memory.forget_attempt()

    async def _release(self, view: View, say: Say, work: Work) -> None:
        """Remove the finalizer. Where the API server refuses that for good, `say` is reported with its words.

        Raises what the API server answered, so that the pass is repeated with back-off.
        """
        memory = work.view.memory
        try:
            is_ended = view.observation.is_ended()
            await self._patch_finalizer(view.resource, hold=False, ended=view.arn if is_ended else None)
        except (Conflict, NotFound):
            raise
        except KubeError as error:
            if not isinstance(error, Unavailable) or error.reason == "InternalError":  # that of a webhook
                memory.unreleased = decision.explain_unreleased(str(error))
                await self._reporter.report(view, replace(say, hindrance=memory.unreleased))
            raise
        memory.marked = None
        if memory.unreleased is not None:
            memory.unreleased = None
            self._queue.add(work.key, 0.0)  # the status still reports it

    async def _patch_finalizer(
        self, resource: Resource, *, hold: bool, pending: str | None = None, ended: str | None = None
    ) -> None:
        """Add or remove the finalizer; the mark of an attempt goes with it.

        :param ended: ARN of the job whose end releases the object
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

    async def _report(self, say: Say, work: Work) -> None:
        """Say it in the status; and let go of an object whose job has ended."""
        view, memory = work.view, work.view.memory
        if say.place is not None and (memory.place_shown is None or memory.place_shown[0] != say.place):
            memory.place_shown = (say.place, view.now)
        if say.passive:
            memory.passive_shown = True  # before the write: if it fails, the other controller is at work anyway
            log.warning('Left to the field manager "%s"', memory.foreign_writer, extra=work.named)
        if say.release and memory.unreleased is not None:
            say = replace(say, hindrance=memory.unreleased)
        wanted = await self._reporter.report(view, say)
        self._still_there(work.tracked)
        if say.passive:
            self._jobs.watch(work.tracked, None)
            return
        self._follow(work, wanted)
        if view.policy.read_only:
            memory.arn = memory.claim = None  # reading a job proves nothing, should the object own jobs later
        tracked = self._jobs.get(work.key)
        if say.release and tracked is not None and tracked.uid == work.tracked.uid:
            await self._release(replace(view, resource=tracked.resource()), say, work)
        if say.again is None and not memory.look and Observation(wanted).is_ended():
            # The status tells all of it, and finished objects are the most in a cluster.
            work.tracked.memory = Memory(
                first_seen=memory.first_seen,
                term=memory.term,
                foreign_writes=memory.foreign_writes,
                slot=memory.slot,
                endpoint_url=memory.endpoint_url,
                looked_at=memory.looked_at,
                ended_at=memory.ended_at,
                counted=memory.counted,
            )

    async def _report_meanwhile(self, seconds: float, work: Work) -> None:
        """What is known is not held back while Describe has to wait that long for the budget."""
        view, memory = work.view, work.view.memory
        if memory.arn is not None and view.resource.arn is None:
            await self._report(Say(), work)
        elif view.is_inherited and work.tracked.live is None:
            await self._report(Say(unfinished=True), work)
        elif memory.told is not None and seconds >= decision.WAITING_SHOWN_SECONDS and (identity := view.attached()):
            await self._report(decision.report_meanwhile(view, identity), work)

    def _follow(self, work: Work, wanted: Mapping[str, Any]) -> None:
        """Let the sweep watch the job while it runs."""
        identity, target = work.view.attached(), work.access.target
        seen = Observation(wanted)
        ended = seen.is_ended() or conditions.recorded_vanishing(wanted.get("conditions")) is not None
        if identity is None or target is None or ended:
            self._jobs.watch(work.tracked, None)
        else:
            shared = replace(target, namespace=None)  # one sweep for all namespaces
            self._jobs.watch(work.tracked, Live(shared, identity, seen.summary()))

    async def _refresh(self, key: Key) -> None:
        """The write met another state of the object than the known one: read it, and reconcile it again."""
        tracked = self._jobs.get(key)
        known = 0 if tracked is None else tracked.version
        try:
            body = await self._objects.get(*key)
        except KubeError:  # NotFound too: a deletion ends the retries when the watch, or the next list, tells it
            self._queue.retry(key, RETRY_SECONDS)
            return
        self._jobs.see_answer(body, self._clocks.monotonic(), known_before=known)
        self._queue.retry(key, RETRY_SECONDS)


def _gives_up_turn(step: Step, view: View) -> bool:
    """Whether an object that ends its pass with this step stands in the way of those behind it."""
    if isinstance(step, Create):
        return False  # it has its mark, and waits for the budget
    is_waiting = isinstance(step, Wait) or (isinstance(step, Say) and step.place is not None)
    return view.own_turn or (view.place is not None and not is_waiting)


def _find_wrong_target(view: View) -> Hindrance | None:
    """The reason why no call may be made where the object's metadata leads."""
    policy, pending = view.policy, view.resource.pending
    if policy.endpoint_problem is not None:
        return Hindrance(decision.INVALID_ANNOTATION, policy.endpoint_problem.message)
    is_settling = view.arn is None and pending is not None and pending != view.memory.marked
    if is_settling and pending is not None and pending.account != policy.account:
        message = (
            f"Annotation {CREATE_PENDING} names account {pending.account}, and the namespace maps account "
            f"{policy.account}. Map that account again, or remove the annotation: then the operator does not follow a "
            "job that an attempt may have created there."
        )
        return Hindrance(decision.INVALID_ANNOTATION, message)
    ran = view.resource.ran if view.arn is None and view.resource.arn is None else None
    if ran is not None and ran.account != policy.account:
        message = (
            f"Annotation {JOB_ARN} names a job in account {ran.account}, and the namespace maps account "
            f"{policy.account}. Map that account again, or remove the annotation to run the job here."
        )
        return Hindrance(decision.INVALID_ANNOTATION, message)
    return None


def _find_request_problem(resource: Resource) -> Finding | None:
    problem = validation.find_problem(resource.spec)
    return None if problem is None else Finding(decision.INVALID_SPEC, problem)
