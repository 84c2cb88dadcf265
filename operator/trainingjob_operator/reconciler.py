"""One object at a time: observe, decide, act, report.

Carries out the steps of logic/decision.py, and is the only writer of `.status` and of the finalizer. When an object's
turn to be looked at comes is the work queue's, what the answers mean is logic/'s.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from trainingjob_operator.aws.budget import Budget, Budgets
from trainingjob_operator.aws.gateway import Accounts, Target
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.kube.errors import Conflict, KubeError, NotFound
from trainingjob_operator.leadership import Leadership, NotLeading
from trainingjob_operator.logic import conditions, decision, fields
from trainingjob_operator.logic.annotations import Defaults, Policy, read_request, resolve
from trainingjob_operator.logic.decision import (
    Create,
    Look,
    Mark,
    ReadTags,
    Release,
    Rest,
    Say,
    SetTags,
    Stop,
    TakeOver,
    TakeTurn,
    Unmark,
    Update,
    View,
    Wait,
)
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.logic.memory import RETRY_SECONDS, Memory, Refusal
from trainingjob_operator.logic.naming import (
    CREATE_PENDING,
    FINALIZER,
    TAG_PREFIX,
    Identity,
    Owner,
    Ownership,
    compose_tags,
    expand_tag_format,
    prove_ownership,
)
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Key, Resource, mapping, string
from trainingjob_operator.logic.turns import Turns
from trainingjob_operator.logic.updates import TagChange, UpdatePlan, applied_fields, plan_update
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.tracked_jobs import Live, Tracked, TrackedJobs
from trainingjob_operator.work_queue import WorkQueue

log = logging.getLogger(__name__)

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

    async def account_roles(self) -> Mapping[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for all objects: who the operator is, and what it was told."""

    defaults: Defaults
    partition: str
    cluster_id: str
    default_tags: Mapping[str, str]
    version: str
    external_id: str | None = None
    overrides_passive: bool = False


class Reconciler:
    """Takes keys from the queue, and brings the object and its job closer to each other."""

    def __init__(
        self,
        *,
        standing: Standing,
        jobs: TrackedJobs,
        queue: WorkQueue[Key],
        objects: Objects,
        accounts: Accounts,
        budgets: Budgets,
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
        self._accounts = accounts
        self._budgets = budgets
        self._surroundings = surroundings
        self._reporter = reporter
        self._leadership = leadership
        self._metrics = metrics
        self._clocks = clocks
        self._turns: dict[tuple[str, str], Turns[Key]] = {}

    async def work(self) -> None:
        """Reconcile one key after the other, for ever; several may run side by side."""
        while True:
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
            self._queue.add(key)
        except NotFound:
            outcome = "gone"  # the watch will say so too
        except Conflict:
            outcome = "conflict"
            await self._refresh(key)
        except KubeError as error:
            outcome = "kubernetes_error"
            delay = self._queue.retry(key, RETRY_SECONDS)
            log.warning("The API server did not take it: %s; trying again in %.1f s", error, delay, extra=_named(key))
        except Exception:
            outcome = "error"
            delay = self._queue.retry(key, 10 * RETRY_SECONDS)
            log.exception("A defect; trying again in %.1f s", delay, extra=_named(key))
        self._metrics.reconciled(outcome, self._clocks.monotonic() - began)

    def waiting(self) -> int:
        """How many objects stand in line."""
        return sum(len(turns) for turns in self._turns.values())

    def passive(self) -> int:
        """How many objects are left to another controller."""
        now = self._clocks.monotonic()
        return sum((tracked.memory.passive_until or 0.0) > now for tracked in self._jobs)

    def forget(self, tracked: Tracked) -> None:
        """The object is gone: nobody waits for it any more."""
        self._queue.discard(tracked.key)
        for (account, region), turns in self._turns.items():
            turns.leave(tracked.key)
            self._pump(Identity(account, region, ""))

    # -- one pass -----------------------------------------------------------------------------------------------------

    async def _pass(self, key: Key) -> None:
        for _ in range(MAX_STEPS):
            tracked = self._jobs.get(key)
            if tracked is None:
                return
            view, access = await self._observe(tracked)
            step = decision.decide(view)
            if await self._carry_out(step, _Work(tracked, view, access)):
                return
        message = f"{MAX_STEPS} steps without an end, the last {step}"
        raise RuntimeError(message)

    async def _observe(self, tracked: Tracked) -> "tuple[View, Access]":
        resource = tracked.resource()
        now = self._clocks.monotonic()
        if tracked.memory.term != self._leadership.term:
            tracked.memory = Memory(first_seen=now, term=self._leadership.term)
        memory = tracked.memory
        if memory.attempted_at is None and memory.arn is None and resource.pending is not None:
            memory.unsettled = True
        policy = resolve(resource, await self._surroundings.annotations(resource.namespace), self._standing.defaults)
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
            overrides_passive=self._standing.overrides_passive,
        )
        identity = bare.attached() or resource.pending or bare.wanted()
        self._jobs.claim(
            tracked,
            None if identity is None else identity.slot,
            is_owner=bare.arn is not None and not policy.read_only,
        )
        if identity is None:
            return bare, Access(None, None)
        memory.turn_to(identity.slot)
        access = await self._reach(identity, policy)
        rival = self._jobs.find_rival(tracked.key, identity.slot)
        turns = self._turns.get((identity.account, identity.region))
        if turns is not None and turns.is_waiting(tracked.key):
            self._pump(identity)
        view = replace(
            bare,
            own_turn=turns is not None and turns.is_granted(tracked.key),
            place=None if turns is None else turns.place(tracked.key),
            rival=None if rival is None else "/".join(rival),
            request_problem=None if bare.arn is not None else _find_request_problem(resource),
            no_access=access.problem,
        )
        return view, access

    async def _reach(self, identity: Identity, policy: Policy) -> "Access":
        """How calls reach the job's account."""
        own = identity.account == self._standing.defaults.account
        role = None
        if not own:
            roles = await self._surroundings.account_roles() or {}
            role = roles.get(identity.account)
            if not role:
                message = (
                    f"No role is known for account {identity.account}. Add it to the ConfigMap ack-role-account-map as "
                    f'"{identity.account}": "<role ARN>".'
                )
                return Access(None, Hindrance("RoleUnavailable", message, waiting=False))
        target = Target(
            account=identity.account,
            region=identity.region,
            role_arn=role,
            endpoint_url=policy.endpoint_url,
            external_id=None if role is None else self._standing.external_id,
        )
        return Access(target, None)

    async def _carry_out(self, step: decision.Step, work: "_Work") -> bool:  # noqa: C901, PLR0912  one arm per step
        """Do one step; True when the pass is over."""
        match step:
            case Rest():
                return True
            case Wait(seconds):
                self._queue.add(work.key, seconds)
                return True
            case Look(identity):
                return await self._look(identity, work)
            case ReadTags(_, arn):
                return await self._read_tags(arn, work)
            case TakeTurn(identity):
                self._take_turn(identity, work)
            case Mark(identity):
                await self._patch_finalizer(work.view.resource, hold=True, pending=str(identity))
            case Create(identity):
                await self._create(identity, work)
            case TakeOver(arn, finalizer):
                await self._take_over(arn, work, finalizer=finalizer)
            case Stop(identity):
                return await self._stop(identity, work)
            case Update(identity, members):
                return await self._update(identity, members, work)
            case SetTags(arn, change):
                return await self._set_tags(arn, change, work)
            case Unmark(refusal):
                await self._unmark(work, refusal)
            case Release():
                await self._patch_finalizer(work.view.resource, hold=False)
                return True
            case Say():
                await self._report(step, work)
                if step.again is not None:
                    self._queue.add(work.key, step.again)
                return True
        return False

    # -- AWS ----------------------------------------------------------------------------------------------------------

    async def _look(self, identity: Identity, work: "_Work") -> bool:
        memory, view = work.view.memory, work.view
        if await self._must_wait(lambda budgets: budgets.describe, identity, work):
            return True
        try:
            answer = await self._accounts.get(work.target).describe(identity.job_name)
        except AwsError as error:
            if error.kind is ErrorClass.NOT_FOUND:
                memory.note_absent(self._clocks.monotonic())
                memory.troubles.pop(decision.DESCRIBE, None)
            else:
                self._note(error, work, decision.DESCRIBE)
                if memory.told is not None and error.kind is ErrorClass.DENIED:
                    memory.observation = view.observation.updated_by(memory.told)
            return False
        memory.troubles.pop(decision.DESCRIBE, None)
        memory.note_found(view.observation.updated_by(Observation.from_describe(answer)), self._clocks.monotonic())
        if _is_worth_comparing(view):
            self._compare(answer, work)
        memory.compared_generation = view.resource.generation
        return False

    def _compare(self, answer: Mapping[str, Any], work: "_Work") -> None:
        """What of the spec is not what runs, and what can be done about it."""
        memory, resource = work.view.memory, work.view.resource
        try:
            request = fields.to_request(resource.spec)
            memory.differences = fields.differences(resource.spec, answer)
        except fields.InvalidSpec as error:
            memory.edit_refused = (resource.generation, Finding(decision.EDIT_NOT_POSSIBLE, str(error)))
            return
        applied = memory.applied_fields
        plan = plan_update(
            request,
            answer,
            memory.differences,
            resource.recorded_names("appliedFields") if applied is None else applied,
        )
        memory.plan = plan if plan != UpdatePlan() else None

    async def _read_tags(self, arn: str, work: "_Work") -> bool:
        memory = work.view.memory
        if await self._must_wait(lambda budgets: budgets.list_tags, work.identity, work):
            return True
        try:
            tags = await self._accounts.get(work.target).list_tags(arn)
        except AwsError as error:
            if error.kind is ErrorClass.NOT_FOUND:
                memory.note_absent(self._clocks.monotonic())
            else:
                self._note(error, work, decision.LIST_TAGS)
            return False
        memory.troubles.pop(decision.LIST_TAGS, None)
        memory.tags, memory.tags_generation = tags, work.view.resource.generation
        memory.ownership = prove_ownership(tags, self._owner(work.view.resource))
        return False

    async def _create(self, identity: Identity, work: "_Work") -> None:
        memory, resource = work.view.memory, work.view.resource
        request = fields.to_request(resource.spec)
        request["TrainingJobName"] = identity.job_name
        request["Tags"] = self._tags(resource)
        turns, lane = self._turns_of(identity), _lane(resource)
        try:
            arn = await self._accounts.get(work.target).create(request)
        except AwsError as error:
            memory.attempted_at = self._clocks.monotonic()
            memory.unsettled = memory.unsettled or not error.definite
            if error.kind is ErrorClass.WAITING:
                turns.refused_for_capacity(work.key, lane, memory.attempted_at)
            else:
                turns.leave(work.key)
            self._note_refusal(error, work)
            return
        except NotLeading:
            turns.leave(work.key)
            raise
        memory.attempted_at = memory.created_at = self._clocks.monotonic()
        memory.arn, memory.look = arn, True
        memory.applied_tag_keys = tuple(key for key, _ in resource.user_tags())
        memory.applied_fields = applied_fields(resource.spec)
        memory.unsettled = memory.in_use = False
        memory.observation = memory.doubtful_since = None
        memory.troubles.pop(decision.CREATE, None)
        turns.created(work.key, lane)
        self._pump(identity)
        self._metrics.job_waited(_age(resource, self._clocks.wall()))
        log.info("Created the training job %s", identity.job_name, extra=_named(work.key))

    def _note_refusal(self, error: AwsError, work: "_Work") -> None:
        """What an unsuccessful create leads to."""
        memory, now = work.view.memory, self._clocks.monotonic()
        match error.kind:
            case ErrorClass.IN_USE:
                memory.in_use, memory.look = True, False
                memory.observation = memory.ownership = memory.looked_at = None
                memory.absent = False
            case ErrorClass.REFUSED:
                memory.refused = self._refusal(work, Finding(decision.REFUSED, _words(error)))
            case ErrorClass.DOUBTFUL if now - (memory.doubtful_since or now) >= decision.DOUBTFUL_SECONDS:
                repeats = decision.DOUBTFUL_REPEATS[memory.doubtful_rounds :]
                memory.doubtful_rounds += 1
                retry_at = now + repeats[0] if repeats else None
                memory.refused = self._refusal(work, Finding(decision.CREATE_FAILED, _words(error)), retry_at)
                memory.troubles.pop(decision.CREATE, None)
            case _:
                if error.kind is ErrorClass.DOUBTFUL and memory.doubtful_since is None:
                    memory.doubtful_since = now
                self._note(error, work, decision.CREATE)

    async def _stop(self, identity: Identity, work: "_Work") -> bool:
        memory = work.view.memory
        if await self._must_wait(lambda budgets: budgets.stop, identity, work):
            return True
        try:
            await self._accounts.get(work.target).stop(identity.job_name)
        except AwsError as error:
            now = self._clocks.monotonic()
            memory.stopping_since = memory.stopping_since or now
            if error.kind is ErrorClass.NOT_FOUND:
                memory.note_absent(now)
                return False
            if error.kind is ErrorClass.CONFLICT:  # it has ended, or is about to: its status tells
                memory.look = True
            self._note(error, work, decision.STOP)
            return False
        memory.troubles.pop(decision.STOP, None)
        memory.stop_sent_at = memory.stopping_since = self._clocks.monotonic()
        memory.look = True
        log.info("Stopped the training job %s", identity.job_name, extra=_named(work.key))
        return False

    async def _update(self, identity: Identity, members: Mapping[str, Any], work: "_Work") -> bool:
        memory, resource = work.view.memory, work.view.resource
        if await self._must_wait(lambda budgets: budgets.update, identity, work):
            return True
        try:
            await self._accounts.get(work.target).update({"TrainingJobName": identity.job_name, **members})
        except AwsError as error:
            self._note_edit(error, work, decision.UPDATE)
            return False
        memory.troubles.pop(decision.UPDATE, None)
        memory.updated = (members, self._clocks.monotonic())
        memory.applied_fields = applied_fields(resource.spec)
        memory.look = True
        log.info("Updated %s of the training job %s", ", ".join(members), identity.job_name, extra=_named(work.key))
        return False

    async def _set_tags(self, arn: str, change: TagChange, work: "_Work") -> bool:
        memory, resource = work.view.memory, work.view.resource
        if await self._must_wait(lambda budgets: budgets.add_tags, work.identity, work):
            return True
        gateway, operation = self._accounts.get(work.target), decision.ADD_TAGS
        try:
            if change.add:
                await gateway.add_tags(arn, change.add)
            operation = decision.DELETE_TAGS
            if change.remove:
                await gateway.delete_tags(arn, change.remove)
        except AwsError as error:
            self._note_edit(error, work, operation)
            return False
        memory.troubles.pop(decision.ADD_TAGS, None)
        memory.troubles.pop(decision.DELETE_TAGS, None)
        kept = {key: value for key, value in (memory.tags or {}).items() if key not in change.remove}
        memory.tags = {**kept, **change.add}
        memory.applied_tag_keys = tuple(key for key, _ in resource.user_tags())
        log.info("Set %d tags and removed %d", len(change.add), len(change.remove), extra=_named(work.key))
        return False

    def _note_edit(self, error: AwsError, work: "_Work", operation: str) -> None:
        """An edit that the service refuses for good is told; others are tried again."""
        memory = work.view.memory
        if error.kind in (ErrorClass.REFUSED, ErrorClass.NOT_FOUND):
            finding = Finding(decision.EDIT_NOT_POSSIBLE, _words(error))
            memory.edit_refused = (work.view.resource.generation, finding)
            return
        if error.kind is ErrorClass.CONFLICT:  # not in this phase: what the phase is now tells what can be done
            memory.look = True
        self._note(error, work, operation)

    def _note(self, error: AwsError, work: "_Work", operation: str) -> None:
        """Remember an error under the operation that was wanted; what failed on the way to it is in the error."""
        memory = work.view.memory
        memory.note_trouble(operation, error, self._clocks.monotonic(), self._clocks.jitter.uniform(0.5, 1.0))
        log.warning("%s failed with %s: %s", error.operation, error.code, error.message, extra=_named(work.key))

    async def _must_wait(self, which: "Callable[[Any], Budget]", identity: Identity, work: "_Work") -> bool:
        """Whether the budget makes the object wait; what is known already is not held back for it."""
        seconds = which(self._budgets.of(identity.account, identity.region)).claim(work.key)
        if seconds <= 0:
            return False
        self._queue.add(work.key, seconds)
        if work.view.memory.arn is not None and work.view.resource.arn is None:
            await self._report(Say(), work)
        return True

    # -- turns --------------------------------------------------------------------------------------------------------

    def _turns_of(self, identity: Identity) -> Turns[Key]:
        return self._turns.setdefault((identity.account, identity.region), Turns())

    def _take_turn(self, identity: Identity, work: "_Work") -> None:
        resource, memory = work.view.resource, work.view.memory
        if memory.waiting_since is None:
            memory.waiting_since = self._clocks.monotonic()
        turns = self._turns_of(identity)
        turns.join(work.key, lane=_lane(resource), created=resource.created, uid=resource.uid)
        self._pump(identity)

    def _pump(self, identity: Identity) -> None:
        """Give turns while the budget lasts, and see to it that the next ones are not forgotten."""
        turns = self._turns_of(identity)
        budget = self._budgets.of(identity.account, identity.region).create
        granted = turns.grant(self._clocks.monotonic(), lambda: budget.claim(turns))
        for key in granted.keys:
            self._queue.add(key)
        if granted.next is not None:
            self._queue.add(*granted.next)

    # -- Kubernetes ---------------------------------------------------------------------------------------------------

    async def _take_over(self, arn: str, work: "_Work", *, finalizer: bool) -> None:
        memory = work.view.memory
        if finalizer and not work.view.resource.holds_finalizer:
            await self._patch_finalizer(work.view.resource, hold=True)
        memory.arn = arn
        if memory.tags is not None and memory.ownership in (Ownership.SAME_OBJECT, Ownership.SAME_NAME):
            own = {key for key, _ in work.view.resource.user_tags()}
            memory.applied_tag_keys = tuple(key for key in memory.tags if key in own)
        memory.in_use = memory.unsettled = False
        memory.refused = None
        self._turns_of(work.identity).leave(work.key)

    async def _unmark(self, work: "_Work", refusal: Finding | None) -> None:
        await self._patch_finalizer(work.view.resource, hold=False)
        if refusal is not None and work.view.memory.refused is None:
            work.view.memory.refused = self._refusal(work, refusal)
        work.view.memory.forget_attempt()

    async def _patch_finalizer(self, resource: Resource, *, hold: bool, pending: str | None = None) -> None:
        """Take or give up the finalizer; the mark of an attempt goes with it."""
        self._leadership.fence(0.0)
        others = [name for name in resource.finalizers if name != FINALIZER]
        marked = CREATE_PENDING in resource.annotations
        body = await self._objects.patch_metadata(
            resource.namespace,
            resource.name,
            uid=resource.uid,
            resource_version=resource.resource_version,
            finalizers=[*others, FINALIZER] if hold else others,
            annotations={CREATE_PENDING: pending} if pending is not None or (marked and not hold) else None,
        )
        self._jobs.see(body, self._clocks.monotonic())

    async def _report(self, say: Say, work: "_Work") -> None:
        """Say it in the status; and let go of an object whose job has ended."""
        view, memory = work.view, work.view.memory
        if say.place is not None and (memory.place_shown is None or memory.place_shown[0] != say.place):
            memory.place_shown = (say.place, view.now)
        if say.passive:
            memory.passive_shown = True  # before the write: if it fails, the other controller is at work anyway
            log.warning("Left to another controller, %s", memory.foreign_writer, extra=_named(work.key))
        wanted = await self._reporter.report(view, say)
        if say.passive:
            self._jobs.watch(work.tracked, None)
            return
        self._follow(work, wanted)
        tracked = self._jobs.get(work.key)
        if say.release and tracked is not None and tracked.uid == work.tracked.uid:
            await self._patch_finalizer(tracked.resource(), hold=False)

    def _follow(self, work: "_Work", wanted: Mapping[str, Any]) -> None:
        """Let the sweep watch the job while it runs."""
        identity, target = work.view.attached(), work.access.target
        seen = Observation(wanted)
        ended = seen.is_ended() or conditions.recorded_vanishing(wanted.get("conditions")) is not None
        if identity is None or target is None or ended:
            self._jobs.watch(work.tracked, None)
        else:
            self._jobs.watch(work.tracked, Live(target, identity, seen.summary()))

    async def _refresh(self, key: Key) -> None:
        """Somebody else has written the object: read it and look again."""
        try:
            body = await self._objects.get(*key)
        except NotFound:
            return
        except KubeError:
            self._queue.retry(key, RETRY_SECONDS)
            return
        self._jobs.see(body, self._clocks.monotonic())
        self._queue.retry(key, RETRY_SECONDS)

    # -- words --------------------------------------------------------------------------------------------------------

    def _owner(self, resource: Resource) -> Owner:
        return Owner(self._standing.cluster_id, resource.namespace, resource.name, resource.uid)

    def _tags(self, resource: Resource) -> list[dict[str, str]]:
        substitutions = {
            "CONTROLLER_SERVICE": "sagemaker",
            "CONTROLLER_VERSION": self._standing.version,
            "K8S_NAMESPACE": resource.namespace,
            "K8S_RESOURCE_NAME": resource.name,
            "K8S_RESOURCE_KIND": "TrainingJob",
            "MANAGED_BY": resource.labels.get("app.kubernetes.io/managed-by", ""),
            "KRO_VERSION": resource.labels.get("kro.run/kro-version", ""),
        }
        defaults = {k: expand_tag_format(v, substitutions) for k, v in self._standing.default_tags.items()}
        return list(compose_tags(resource.user_tags(), defaults, self._owner(resource)))

    def _refusal(self, work: "_Work", finding: Finding, retry_at: float | None = None) -> Refusal:
        return Refusal(work.view.resource.generation, work.view.policy, finding, retry_at)


@dataclass(frozen=True, slots=True)
class Access:
    """The way to a job's account, or why there is none."""

    target: Target | None
    problem: Hindrance | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What one step is carried out on."""

    tracked: Tracked
    view: View
    access: Access

    @property
    def key(self) -> Key:
        return self.tracked.key

    @property
    def target(self) -> Target:
        if self.access.target is None:  # decide() asks for no call without access
            raise RuntimeError("a call was decided on without a way to the account")
        return self.access.target

    @property
    def identity(self) -> Identity:
        return Identity(self.target.account, self.target.region, self.view.policy.job_name or "")


def _find_request_problem(resource: Resource) -> Finding | None:
    reserved = [key for key, _ in resource.user_tags() if key.startswith(TAG_PREFIX)]
    if reserved:
        message = f"spec.tags must not use keys under {TAG_PREFIX}, which prove whose job it is: {', '.join(reserved)}."
        return Finding(decision.INVALID_SPEC, message)
    try:
        fields.to_request(resource.spec)
    except fields.InvalidSpec as error:
        return Finding(decision.INVALID_SPEC, str(error))
    return None


def _is_worth_comparing(view: View) -> bool:
    """Spec and job are compared only where they may differ: the service spells some values its own way."""
    resource, policy, memory = view.resource, view.policy, view.memory
    shown = resource.condition(conditions.ADVISORY).get("reason")
    return (
        policy.adoption is not None
        or policy.observes_only
        or memory.in_use
        or memory.unsettled
        or view.is_edited
        or memory.plan is not None
        or shown in (decision.EDIT_NOT_POSSIBLE, decision.EDIT_PENDING, decision.ADOPTED_SPEC_DIFFERS)
    )


def _lane(resource: Resource) -> str:
    """Capacity is refused per instance type."""
    config = mapping(resource.spec.get("resourceConfig"))
    groups = config.get("instanceGroups")
    kinds = [string(mapping(group).get("instanceType")) for group in groups] if isinstance(groups, list) else []
    return string(config.get("instanceType")) or ",".join(sorted({kind for kind in kinds if kind})) or "unknown"


def _age(resource: Resource, now: datetime) -> float:
    try:
        return max(0.0, (now - datetime.fromisoformat(resource.created)).total_seconds())
    except ValueError:
        return 0.0


def _words(error: AwsError) -> str:
    return f"{error.operation} was answered with {error.code}: {error.message}"


def _named(key: Key) -> dict[str, Any]:
    """What makes a log line name the object (see log_format.py)."""
    return {"k8s_ref": {"namespace": key[0], "name": key[1]}}
