"""The parts of the operator, built on fakes as assembly.py builds them, without processes, sockets and real time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CollectorRegistry

from tests.fakes.api_server import FakeApiServer
from tests.fakes.discovery import FakeDiscovery, make_coverage
from tests.fakes.service import FakeService, wall
from tests.logic.builders import ACCOUNT, CLUSTER, REGION
from trainingjob_operator.aws.budget import Budgets, OperationBudgets
from trainingjob_operator.aws.gateway import Gateway, Target
from trainingjob_operator.building import Outside, build
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.gauges import Gauges
from trainingjob_operator.kube.client import Login
from trainingjob_operator.kube.errors import Forbidden, KubeError
from trainingjob_operator.kube.events import Subject
from trainingjob_operator.kube.objects import FIELD_MANAGER
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.objects.annotations import Defaults
from trainingjob_operator.logic.objects.role_selectors import RoleSelector
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import ObjectStore
from trainingjob_operator.runtime import OperatorContext, Runtime
from trainingjob_operator.settings import Settings
from trainingjob_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from trainingjob_operator.logic.objects.resource import Key

CONTEXT = OperatorContext(
    defaults=Defaults(account=ACCOUNT, region=REGION),
    partition="aws",
    cluster_id=CLUSTER,
    default_tags={"services.k8s.aws/controller-version": "sagemaker-%CONTROLLER_VERSION%"},
    version="0.0.1",
)


class FakeLeadership:
    """Leads until a test changes it."""

    def __init__(self) -> None:
        self.term = 0
        self.leads = True
        self._changed = asyncio.Event()

    def lead(self, leads: bool) -> None:
        self.term += leads and not self.leads
        self.leads = leads
        self._changed.set()

    def is_leading(self) -> bool:
        return self.leads

    def fence(self, seconds: float) -> None:
        if not self.leads:
            raise NotLeading

    async def until(self, leading: bool) -> None:
        while self.leads is not leading:
            self._changed.clear()
            await self._changed.wait()


@dataclass(slots=True)
class FakeClusterState:
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    """Annotations of each namespace with annotations."""
    roles: dict[str, str] | None = None
    selectors: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Specs of the IAMRoleSelectors by name."""
    namespace_labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    pauses: dict[str, float] = field(default_factory=dict)
    """Delay of an answer in seconds, by namespace; `selectors` is the key for role selectors."""

    forbidden: bool = False
    """All reads of namespaces are forbidden."""
    selectors_error: KubeError | None = None
    """Answer to a list of role selectors."""

    async def labels(self, namespace: str) -> Mapping[str, str]:
        return self.namespace_labels.get(namespace, {})

    async def role_selectors(self) -> Mapping[str, RoleSelector]:
        await self._pause("selectors")
        if self.selectors_error is not None:
            raise self.selectors_error
        return {name: RoleSelector(spec, "7") for name, spec in self.selectors.items()}

    async def annotations(self, namespace: str) -> Mapping[str, str]:
        await self._pause(namespace)
        if self.forbidden:
            raise Forbidden('cannot get resource "namespaces"')
        return self.namespaces.get(namespace, {})

    async def _pause(self, about: str) -> None:
        if about in self.pauses:
            await asyncio.sleep(self.pauses[about])

    async def account_roles(self) -> Mapping[str, str] | None:
        return self.roles


@dataclass
class FakeRecorder:
    """Every Event, as (type, reason, message)."""

    events: list[tuple[str, str, str]] = field(default_factory=list)

    def record(self, subject: Subject, kind: str, reason: str, message: str, key: str, order: str = "") -> None:
        self.events.append((kind, reason, message))


class LearningGateway:
    """A gateway that reports each answer to the budgets of its target, as aws/gateway.py does."""

    def __init__(self, gateway: Gateway, budgets: OperationBudgets) -> None:
        self._gateway = gateway
        self._budgets = budgets

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method, budget = getattr(self._gateway, name), getattr(self._budgets, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            try:
                answer = await method(*arguments, **named)
            except AwsError as failure:
                if failure.kind is ErrorClass.THROTTLED:
                    budget.throttled()
                raise
            budget.succeeded()
            return answer

        return call


@dataclass(frozen=True, slots=True)
class LearningAccounts:
    """The gateways of one process."""

    service: FakeService
    budgets: Budgets

    async def confirm(self, target: Target) -> None:
        await self.service.confirm(target)

    def get(self, target: Target) -> Gateway:
        budgets = self.budgets.of(target.account, target.region)
        return cast("Gateway", LearningGateway(self.service.get(target), budgets))


class SimulatedOperator:
    """The operator's process from start to end or crash."""

    def __init__(
        self,
        api: FakeApiServer,
        service: FakeService,
        *,
        cluster_state: FakeClusterState | None = None,
        context: OperatorContext = CONTEXT,
        leadership: FakeLeadership | None = None,
        workers: int = 3,
        create_tps: float = 50.0,
        describe_tps: float = 100.0,
        learns: bool = True,
        max_jobs: int = 0,
        seed: int = 7,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._api = api
        clocks = Clocks(loop.time, wall, random.Random(seed))
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry, "0.0.1", loop.time)
        self.recorder = FakeRecorder()
        self.cluster_state = cluster_state or FakeClusterState()
        self.leadership = leadership or FakeLeadership()
        self.jobs = ObjectStore(FIELD_MANAGER)
        self.queue: WorkQueue[Key] = WorkQueue(jitter=clocks.jitter)
        self.budgets = Budgets(loop.time, create_tps=create_tps, list_tps=10.0, describe_tps=describe_tps)
        self.runtime = Runtime(self.jobs, self.queue, self.leadership, metrics, clocks)
        self.outside = Outside(
            accounts=LearningAccounts(service, self.budgets) if learns else service,
            budgets=self.budgets,
            objects=api,
            recorder=self.recorder,
            cluster_state=self.cluster_state,
            coverage=make_coverage(FakeDiscovery(), clock=loop.time),
            login=Login.__new__(Login),  # for Kopf's thread alone; this process has none
        )
        settings = Settings(aws_region=REGION, max_concurrent_reconciles=workers)
        parts = build(self.runtime, context, self.outside, settings)
        self.create_queue, self.reconciler, self.flow = parts.create_queue, parts.reconciler, parts.flow
        self.sweeper, self.watcher = parts.sweeper, parts.watcher
        self.gauges = Gauges(self.runtime, parts, self.budgets, max_jobs=max_jobs)
        self.connect_watch()
        bodies: list[Callable[[], Awaitable[None]]] = [
            self.sweeper.run,
            self.watcher.relist,
            partial(self.outside.coverage.run, lambda: None),
        ]
        self.tasks = [asyncio.ensure_future(body()) for body in [*bodies, *[self.reconciler.work] * workers]]

    def connect_watch(self) -> None:
        """Start the watch with a list of existing objects; it omits earlier deletions."""
        self._api.watchers.append(self.watcher.take)
        for body in list(self._api.objects.values()):
            self.watcher.take(None, body)

    def interrupt_watch(self) -> None:
        """Interrupt the watch: no change is reported until `connect_watch`."""
        if self.watcher.take in self._api.watchers:
            self._api.watchers.remove(self.watcher.take)

    async def settle(self, seconds: float) -> None:
        """Let the operator work for some seconds. Fails for an unexpected error, also for one that the operator
        handled.
        """
        await asyncio.sleep(seconds)
        for outcome in ("error", "kubernetes_error"):
            count = self.registry.get_sample_value("trainingjob_reconcile_seconds_count", {"outcome": outcome})
            assert not count, f"{count} passes ended with {outcome}"
        for task in self.tasks:
            assert not task.done(), task

    async def end(self) -> None:
        """Crash as by kill -9, without a report or clean-up."""
        self.interrupt_watch()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
