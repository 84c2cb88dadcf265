"""Observation of one object before a decision: namespace, policy, claim on the job, access to its account, position.

Reads the cluster, never AWS. Not here: the decision (logic/decide/), and answers of AWS (job_calls.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.kube.errors import Forbidden, KubeError, NotFound
from trainingjob_operator.logic.decide.accounts import (
    await_namespace,
    await_selectors,
    choose_role,
    find_role,
    find_wrong_target,
    forbid_account,
)
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import Policy, read_request, resolve
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.objects.role_selectors import RoleSelection, RoleSelector
from trainingjob_operator.logic.state.memory import Memory
from trainingjob_operator.logic.state.outcomes import Ended, Stopping, Unsettled
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.object_store import StoredObject
from trainingjob_operator.runtime import OperatorContext, Runtime


class ClusterState(Protocol):
    """State of the cluster besides the objects (kube/cluster_state.py)."""

    async def annotations(self, namespace: str) -> Mapping[str, str]: ...

    async def labels(self, namespace: str) -> Mapping[str, str]: ...

    async def account_roles(self) -> Mapping[str, str] | None: ...

    async def role_selectors(self) -> Mapping[str, RoleSelector]: ...


class Observer:
    """Builds the view of one object for each decision."""

    def __init__(
        self, runtime: Runtime, *, context: OperatorContext, create_queue: CreateQueue, cluster_state: ClusterState
    ) -> None:
        self._context = context
        self._jobs = runtime.jobs
        self._leadership = runtime.leadership
        self._clocks = runtime.clocks
        self._create_queue = create_queue
        self._cluster_state = cluster_state

    async def observe(self, tracked: StoredObject, resource: Resource) -> tuple[View, Target | None]:
        """Return the input of the next decision, and the target of calls about the job; None without access.

        Raises NotFound for an object deleted meanwhile, KubeError for an unreadable namespace.
        """
        if tracked.memory.term != self._leadership.term:
            tracked.memory = Memory(first_seen=self._clocks.monotonic(), term=self._leadership.term)
        namespace, unread = await self._read_namespace(resource.namespace)
        selection = await self._select_role(resource)
        self.check_presence(tracked)
        policy = resolve(resource, namespace, self._context.defaults)
        if isinstance(selection, RoleSelection):
            policy = policy.served_in(selection.account)
        bare = self._read_object(tracked, resource, policy, unread)
        if unread is not None:
            return bare, None
        if isinstance(selection, Hindrance):  # the account is unknown, except that of an existing job
            bare = replace(bare, no_access=selection)
            identity = bare.attached()
        else:
            bare = replace(bare, selection=selection)
            identity = bare.concerned()
        self._claim(tracked, bare, identity)
        if identity is None:
            return bare, None
        bare = bare.remembering(tracked.memory)
        reached = await self._reach(bare, identity)
        target, no_access = (None, reached) if isinstance(reached, Hindrance) else (reached, None)
        if target is not None:
            tracked.memory = tracked.memory.reached_by(target)
        self.check_presence(tracked)
        rival = self._jobs.find_rival(tracked.key, identity.slot)
        own_turn, place = self._create_queue.look_up(resource, identity, priority=bare.policy.priority)
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

    def _read_object(self, tracked: StoredObject, resource: Resource, policy: Policy, unread: Hindrance | None) -> View:
        """Return the view of the object alone, and note its news: a reconcile request, a Stop, an end."""
        now = self._clocks.monotonic()
        if (request := read_request(resource.annotations)) is not None:
            handled = (tracked.memory.handled_request, resource.status.get("lastHandledReconcileAt"))
            if request not in handled:
                tracked.memory = tracked.memory.after_request(request)
        view = View(
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
            return view
        known = view.observation
        if resource.deleting and known.status == "Stopping":
            tracked.note(Stopping(now))  # another actor's Stop, or one from before a restart
        if tracked.memory.job.ended_at is None and known.is_ended() and not known.rules_running():
            tracked.note(Ended(now))
        return view

    def _claim(self, tracked: StoredObject, view: View, identity: Identity | None) -> None:
        """Claim the job for the object in the store, and turn its memory to that job."""
        resource, endpoint = view.resource, view.policy.namespace_endpoint
        slot = None if identity is None else identity.slot
        self._jobs.claim(tracked, slot, is_owner=view.is_owner and endpoint is None)
        if slot is None:
            return
        tracked.memory = tracked.memory.turned_to(slot, endpoint)
        job = tracked.memory.job
        is_foreign_mark = resource.pending is not None and resource.pending != tracked.memory.marked
        if job.attempt.attempted_at is None and job.arn is None and is_foreign_mark:
            tracked.note(Unsettled())

    async def _read_namespace(self, namespace: str) -> tuple[Mapping[str, str], Hindrance | None]:
        """Return the namespace's annotations, or a hindrance if they are unreadable."""
        try:
            return await self._cluster_state.annotations(namespace), None
        except Forbidden as error:
            return {}, await_namespace(namespace, str(error))

    async def _select_role(self, resource: Resource) -> RoleSelection | Hindrance | None:
        """Return the role that an IAMRoleSelector gives to the object, or a hindrance."""
        try:
            selectors = await self._cluster_state.role_selectors()
            labels = await self._cluster_state.labels(resource.namespace) if selectors else {}
        except KubeError as error:
            return await_selectors(resource, str(error))
        return choose_role(selectors, resource, labels)

    def check_presence(self, tracked: StoredObject) -> None:
        """Raise NotFound after a concurrent deletion; the object must not claim a job or a turn any more."""
        if self._jobs.get(tracked.key) is not tracked:
            raise NotFound("the object was deleted during its reconcile")

    async def _reach(self, view: View, identity: Identity) -> Target | Hindrance:
        """Resolve the target of calls about the job: account, region, role, endpoint; or the hindrance."""
        policy = view.policy
        if (problem := find_wrong_target(view)) is not None:
            return problem
        if view.no_access is not None:
            return view.no_access
        if view.selection is not None and view.selection.account == identity.account:
            return self._target(view, identity, view.selection.role_arn)
        role = None
        is_own = identity.account == self._context.defaults.account
        if not is_own and not self._context.defaults.carm_enabled:
            return forbid_account(identity.account)
        if not is_own or (policy.names_account and policy.account == identity.account):
            found = find_role(identity.account, await self._cluster_state.account_roles())
            if isinstance(found, Hindrance):
                return found
            role = found
        return self._target(view, identity, role)

    def _target(self, view: View, identity: Identity, role: str | None) -> Target:
        return Target(
            account=identity.account,
            region=identity.region,
            role_arn=role,
            endpoint_url=view.policy.endpoint_url,
            external_id=None if role is None else self._context.external_id,
            namespace=None if role is None else view.resource.namespace,
        )
