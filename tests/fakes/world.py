"""The operator's own parts, put together on fakes: what assembly.py does, without processes, sockets and real time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from tests.fakes.api_server import FakeApiServer
from tests.fakes.service import FakeService, wall
from tests.logic.objects import ACCOUNT, CLUSTER, REGION
from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.create_line import CreateLine
from trainingjob_operator.job_calls import JobCalls, Standing
from trainingjob_operator.kube.errors import Forbidden
from trainingjob_operator.kube.events import Subject
from trainingjob_operator.kube.objects import FIELD_MANAGER
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.annotations import Defaults
from trainingjob_operator.logic.event_flow import EventFlow
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.reconciler import Reconciler
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.sweeper import Sweeper
from trainingjob_operator.tracked_jobs import TrackedJobs
from trainingjob_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from trainingjob_operator.logic.resource import Key

STANDING = Standing(
    defaults=Defaults(account=ACCOUNT, region=REGION),
    partition="aws",
    cluster_id=CLUSTER,
    default_tags={"services.k8s.aws/controller-version": "sagemaker-%CONTROLLER_VERSION%"},
    version="0.0.1",
)


class FakeLeadership:
    """Leads until told otherwise."""

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


@dataclass
class FakeSurroundings:
    namespace: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] | None = None
    selectors: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    pauses: dict[str, float] = field(default_factory=dict)
    """Seconds that an answer takes, by the namespace that it is about; under `selectors` those of role selectors."""

    forbidden: bool = False
    """No namespace may be read."""

    async def labels(self, namespace: str) -> Mapping[str, str]:
        return {}

    async def role_selectors(self) -> Mapping[str, Mapping[str, Any]]:
        await self._pause("selectors")
        return self.selectors

    async def annotations(self, namespace: str) -> Mapping[str, str]:
        await self._pause(namespace)
        if self.forbidden:
            raise Forbidden('cannot get resource "namespaces"')
        return self.namespace

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


class Life:
    """One life of the operator's process, from its start to its end or its sudden death."""

    def __init__(
        self,
        api: FakeApiServer,
        service: FakeService,
        *,
        surroundings: FakeSurroundings | None = None,
        standing: Standing = STANDING,
        leadership: FakeLeadership | None = None,
        workers: int = 3,
        create_tps: float = 50.0,
        describe_tps: float = 100.0,
        seed: int = 7,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._api = api
        clocks = Clocks(loop.time, wall, random.Random(seed))
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry, "0.0.1", loop.time)
        self.recorder = FakeRecorder()
        self.surroundings = surroundings or FakeSurroundings()
        self.leadership = leadership or FakeLeadership()
        self.jobs = TrackedJobs(FIELD_MANAGER)
        self.queue: WorkQueue[Key] = WorkQueue(jitter=clocks.jitter)
        self.budgets = Budgets(loop.time, create_tps=create_tps, list_tps=10.0, describe_tps=describe_tps)
        self.line = CreateLine(budgets=self.budgets, queue=self.queue, clocks=clocks)
        self.reporter = Reporter(
            objects=api, jobs=self.jobs, recorder=self.recorder, leadership=self.leadership, metrics=metrics
        )
        self.reconciler = Reconciler(
            standing=standing,
            jobs=self.jobs,
            queue=self.queue,
            objects=api,
            calls=JobCalls(
                standing=standing,
                jobs=self.jobs,
                accounts=service,
                budgets=self.budgets,
                line=self.line,
                queue=self.queue,
                metrics=metrics,
                clocks=clocks,
            ),
            line=self.line,
            surroundings=self.surroundings,
            reporter=self.reporter,
            leadership=self.leadership,
            metrics=metrics,
            clocks=clocks,
        )
        self.ticks = 0
        self.sweeper = Sweeper(
            seconds=5.0,
            call_seconds=0.0,
            jobs=self.jobs,
            queue=self.queue,
            accounts=service,
            budgets=self.budgets,
            leadership=self.leadership,
            metrics=metrics,
            clocks=clocks,
            flow=EventFlow(),
            tick=self._tick,
        )
        api.watchers.append(self.take)
        for body in list(api.objects.values()):
            self.take("ADDED", body)
        bodies: list[Callable[[], Awaitable[None]]] = [self.sweeper.run, *[self.reconciler.work] * workers]
        self.tasks = [asyncio.ensure_future(body()) for body in bodies]

    def _tick(self) -> None:
        self.ticks += 1

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """What the watch does."""
        now = asyncio.get_running_loop().time()
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if kind != "DELETED":
            if self.jobs.see(body, now) is not None:
                self.queue.add(key)
            return
        tracked = self.jobs.get(key)
        if tracked is not None and self.jobs.forget(key, body["metadata"]["uid"]):
            self.reconciler.forget(tracked)

    async def settle(self, seconds: float) -> None:
        """Let it work that long; a defect that it swallowed is none the less one."""
        await asyncio.sleep(seconds)
        for outcome in ("error", "kubernetes_error"):
            count = self.registry.get_sample_value("trainingjob_reconcile_seconds_count", {"outcome": outcome})
            assert not count, f"{count} passes ended with {outcome}"
        for task in self.tasks:
            assert not task.done(), task

    async def end(self) -> None:
        """kill -9: nothing is said, nothing is finished."""
        if self.take in self._api.watchers:
            self._api.watchers.remove(self.take)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
