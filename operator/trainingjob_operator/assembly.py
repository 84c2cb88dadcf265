"""Composition root: builds every object and supplies the real clock, environment and randomness."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata

from prometheus_client import CollectorRegistry

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.credentials import READING_TIMEOUTS, Timeouts
from trainingjob_operator.aws.gateway import CallTimeouts, Gateways
from trainingjob_operator.aws.identities import CallerIdentity
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.coverage import Coverage
from trainingjob_operator.create_queue import CreateQueue
from trainingjob_operator.event_listener import EventListener
from trainingjob_operator.health import Heartbeat, Heartbeats, Readiness, serve_health, serve_metrics
from trainingjob_operator.job_calls import JobCalls, OperatorContext
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.cluster_state import MAX_SILENCE, ClusterState
from trainingjob_operator.kube.discovery import (
    Discovery,
    Right,
    right_to_account_map,
    right_to_cluster_id,
    rights_to_lead,
)
from trainingjob_operator.kube.events import EventRecorder
from trainingjob_operator.kube.leader import Elector
from trainingjob_operator.kube.objects import FIELD_MANAGER, TrainingJobObjects
from trainingjob_operator.leadership import AlwaysLeading, Leadership
from trainingjob_operator.logic.jobs.event_flow import EventFlow
from trainingjob_operator.logic.objects.annotations import Defaults, Deletion
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import ObjectStore
from trainingjob_operator.reconciler import Reconciler
from trainingjob_operator.reporter import Reporter
from trainingjob_operator.settings import Settings, show_given
from trainingjob_operator.start_up import (
    AWS,
    CLUSTER,
    FIRST_LIST,
    await_coverage,
    identify,
    list_first,
    name_sts,
    persist,
    read_cluster_id,
)
from trainingjob_operator.sweeper import Sweeper
from trainingjob_operator.watcher import BACKOFF, Watcher
from trainingjob_operator.work_queue import WorkQueue

log = logging.getLogger(__name__)

FINISH_SECONDS = 1.0
"""Grace period at shutdown for reconciles in flight, before the release of the Lease."""
GAUGE_SECONDS = 5.0
LISTEN_SECONDS = 120.0
"""Heartbeat limit of the event listener: half a minute of long polling plus a minute of back-off, with a margin."""
SURVEY_MAX_SECONDS = 300.0
"""Heartbeat limit of the survey: many namespaces, each call up to its timeout."""
WATCH_SECONDS = BACKOFF.limit + 30.0
"""Heartbeat limit of the watch: beyond its back-off, since a restart would not help against the API server."""
STUCK_SECONDS = 120.0
"""Heartbeat limit of the workers without progress on due keys; one AWS call may take half a minute."""


class StartError(Exception):
    """The operator cannot run with these flags; the message is one sentence with the required change."""


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT and return the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    operator, stopped = asyncio.create_task(_operate(settings)), asyncio.create_task(stop.wait())
    await asyncio.wait((operator, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not operator.done():
        log.info("Stopping")
        operator.cancel()
    stopped.cancel()
    try:
        await operator
    except asyncio.CancelledError:
        return 0
    except StartError as error:
        log.error("%s", error)  # noqa: TRY400  a traceback adds nothing to the message
    return 1


async def _operate(settings: Settings) -> None:  # noqa: PLR0915  a list of parts
    """Check preconditions, start all loops, and shut down in order; returns if a loop terminates unexpectedly."""
    version = metadata.version("trainingjob-operator")
    log.info("Starting trainingjob-operator %s with %s", version, show_given(settings) or "default settings")
    clocks = Clocks(_elapsed, lambda: datetime.now(UTC), random.Random())  # noqa: S311  jitter is no secret
    registry = CollectorRegistry()
    metrics = Metrics(registry, version, clocks.monotonic)
    heartbeats, readiness = Heartbeats(clocks.monotonic), Readiness(FIRST_LIST)
    watch_beat, sweep_beat = Heartbeat(clocks.monotonic), Heartbeat(clocks.monotonic)
    login = Login(os.environ)
    api = ApiServer(login)
    queue: WorkQueue[Key] = WorkQueue(jitter=clocks.jitter)
    jobs = ObjectStore(FIELD_MANAGER)
    budgets = Budgets(
        clocks.monotonic,
        create_tps=settings.create_tps,
        list_tps=settings.list_tps,
        describe_tps=settings.describe_tps,
    )

    def look_again(namespace: str | None) -> None:
        for tracked in jobs:
            if namespace is None or tracked.key[0] == namespace:
                queue.add(tracked.key)

    cluster_state = ClusterState(
        api,
        system_namespace=settings.system_namespace,
        changed=look_again,
        clock=clocks.monotonic,
        jitter=clocks.jitter,
    )
    coverage = Coverage(
        namespaces=settings.watch_namespace,
        beside=_rights_beside(settings),
        discovery=Discovery(api),
        exists=cluster_state.exists,
        readiness=readiness,
        metrics=metrics,
        clock=clocks.monotonic,
    )
    elector = _elector(settings, api, clocks, coverage.can_list)
    leadership: Leadership = AlwaysLeading() if elector is None else elector
    gateways = Gateways(
        region=settings.aws_region,
        version=version,
        budgets=budgets,
        fence=leadership.fence,
        observe=metrics.aws_call_ended,
        workers=settings.max_concurrent_reconciles,
        identity_endpoint_url=settings.aws_identity_endpoint_url or None,
        timeouts=CallTimeouts(reading=Timeouts(READING_TIMEOUTS.connect, settings.http_client_timeout)),
        clock=clocks.monotonic,
    )

    recorder = EventRecorder(
        api,
        clock=clocks.monotonic,
        now=clocks.wall,
        jitter=clocks.jitter,
        dropped=metrics.event_dropped,
        is_busy=lambda: queue.depth > settings.max_concurrent_reconciles,
        instance=socket.gethostname(),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(api.close)
        stack.callback(gateways.close)
        try:
            await stack.enter_async_context(serve_metrics(settings.metrics_addr, registry))
            await stack.enter_async_context(serve_health(settings.healthz_addr, heartbeats, readiness))
        except OSError as error:
            raise StartError(f"{error}: change --metrics-addr or --healthz-addr.") from error
        loops = _Loops()
        stack.push_async_callback(loops.stop)

        await await_coverage(coverage, lambda: api.url, readiness, clocks)
        cluster_id = await persist(
            CLUSTER, lambda: read_cluster_id(settings.cluster_id, cluster_state.cluster_id), readiness, clocks
        )
        sts = name_sts(settings, os.environ)
        caller = await persist(AWS, lambda: identify(gateways, sts), readiness, clocks)
        where = {"region": settings.aws_region, "cluster_id": cluster_id}
        log.info("trainingjob-operator %s runs as %s", version, caller.arn, extra=where)

        objects = TrainingJobObjects(api)
        reporter = Reporter(objects=objects, jobs=jobs, recorder=recorder, leadership=leadership, metrics=metrics)
        context = replace(_context(settings, caller, cluster_id, version), knows_region=gateways.knows_region)
        create_queue = CreateQueue(
            budgets=budgets, queue=queue, clocks=clocks, workers=settings.max_concurrent_reconciles
        )
        calls = JobCalls(
            context=context,
            jobs=jobs,
            accounts=gateways,
            budgets=budgets,
            create_queue=create_queue,
            queue=queue,
            metrics=metrics,
            clocks=clocks,
        )
        reconciler = Reconciler(
            context=context,
            jobs=jobs,
            queue=queue,
            objects=objects,
            calls=calls,
            create_queue=create_queue,
            cluster_state=cluster_state,
            reporter=reporter,
            leadership=leadership,
            metrics=metrics,
            clocks=clocks,
        )
        watcher = Watcher(
            login=login,
            lists=objects,
            coverage=coverage,
            label_selector=settings.watch_selectors,
            jobs=jobs,
            queue=queue,
            reconciler=reconciler,
            metrics=metrics,
            clocks=clocks,
            tick=watch_beat.tick,
        )
        flow = EventFlow()
        sweeper = Sweeper(
            seconds=settings.sweep_seconds,
            call_seconds=settings.http_client_timeout,
            jobs=jobs,
            queue=queue,
            accounts=gateways,
            budgets=budgets,
            flow=flow,
            leadership=leadership,
            metrics=metrics,
            clocks=clocks,
            tick=sweep_beat.tick,
        )

        heartbeats.follow("surroundings", MAX_SILENCE, lambda: cluster_state.heartbeat)
        loops.start("surroundings", cluster_state.run())
        loops.start("events", recorder.run())
        loops.start("survey", coverage.run(heartbeats.expect("survey", SURVEY_MAX_SECONDS).tick))
        await persist(FIRST_LIST, lambda: list_first(watcher.list_all, settings.watch_selectors), readiness, clocks)
        selected = f" with labels {settings.watch_selectors}" if settings.watch_selectors else ""
        served = ", ".join(sorted(name or "all namespaces" for name in coverage.served))
        log.info("Ready: reconciling TrainingJobs%s in %s; %d found", selected, served, len(jobs))
        if watcher.inherited:
            log.info("%d of them have a job recorded by another controller, such as ACK's", watcher.inherited)
        if elector is None:
            log.info("Leading without leader election")
        else:  # after the first list: a replica without a complete cache must not become the leader
            heartbeats.follow("elector", 30.0, lambda: elector.heartbeat)
            loops.start("leader election", elector.run())
        watch_beat.tick()
        heartbeats.follow("watch", WATCH_SECONDS, watch_beat.last)
        sweep_beat.tick()
        heartbeats.follow("sweep", 30.0, sweep_beat.last)
        beat = heartbeats.expect("queue", STUCK_SECONDS + settings.http_client_timeout)
        for number in range(settings.max_concurrent_reconciles):
            loops.start(f"worker {number}", reconciler.work())
        loops.start("watch", watcher.watch())
        loops.start("relist", watcher.relist())
        loops.start("sweep", sweeper.run())
        if settings.event_queue_url:
            listener = EventListener(
                events=gateways.event_queue(settings.event_queue_url),
                jobs=jobs,
                queue=queue,
                flow=flow,
                leadership=leadership,
                metrics=metrics,
                clocks=clocks,
                tick=heartbeats.expect("event queue", LISTEN_SECONDS).tick,
                url=settings.event_queue_url,
            )
            loops.start("event queue", listener.run())
        loops.start("gauges", _show_gauges(jobs, queue, create_queue, leadership, reconciler, metrics, beat.tick))
        loops.start("account", _show_account(gateways, readiness))
        try:
            await loops.until_one_ends()
        finally:
            await finish(queue, elector, recorder)


async def finish(queue: WorkQueue[Key], elector: Elector | None, recorder: EventRecorder) -> None:
    """Drain reconciles in flight, then release the Lease, so that no call overlaps with the next leader."""
    await queue.drain(FINISH_SECONDS)
    if elector is not None:
        await elector.release()
    await recorder.flush(FINISH_SECONDS)


class _Loops:
    """The background tasks of the process; none returns."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, loop: Coroutine[None, None, None]) -> None:
        self.tasks.append(asyncio.create_task(loop, name=name))

    async def until_one_ends(self) -> None:
        """Wait for the first terminated loop; that is a bug, and the process exits for a restart."""
        done, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            log.error("Loop %s terminated unexpectedly", task.get_name(), exc_info=task.exception())

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def _rights_beside(settings: Settings) -> tuple[Right, ...]:
    """Return the required rights on other kinds than TrainingJob."""
    return (
        *(rights_to_lead(settings.lease_namespace) if settings.enable_leader_election else ()),
        *(() if settings.cluster_id else (right_to_cluster_id(),)),
        *((right_to_account_map(settings.system_namespace),) if settings.enable_carm else ()),
    )


def _context(settings: Settings, caller: CallerIdentity, cluster_id: str, version: str) -> OperatorContext:
    return OperatorContext(
        defaults=Defaults(
            account=caller.account,
            region=settings.aws_region,
            endpoint_url=settings.aws_endpoint_url or None,
            deletion=Deletion(settings.deletion_policy),
            allow_unsafe_endpoints=settings.allow_unsafe_aws_endpoint_urls,
            carm_enabled=settings.enable_carm,
            adoption_namespaces=settings.adoption_namespaces,
            allowed_endpoints=settings.allowed_endpoint_urls,
        ),
        partition=caller.partition,
        cluster_id=cluster_id,
        default_tags=dict(settings.resource_tags),
        version=version,
        external_id=settings.assume_role_external_id or None,
        overrides_passive=settings.override_passive,
    )


def _elapsed() -> float:
    """Return monotonic seconds including suspend; a leader resumed from suspend must not trust an expired Lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _elector(settings: Settings, api: ApiServer, clocks: Clocks, may_lead: Callable[[], bool]) -> Elector | None:
    if not settings.enable_leader_election:
        return None
    return Elector(
        api,
        namespace=settings.lease_namespace,
        identity=f"{socket.gethostname()}_{uuid.uuid4()}",
        clock=clocks.monotonic,
        now=clocks.wall,
        jitter=clocks.jitter,
        may_lead=may_lead,
    )


async def _show_gauges(
    jobs: ObjectStore,
    queue: WorkQueue[Key],
    create_queue: CreateQueue,
    leadership: Leadership,
    reconciler: Reconciler,
    metrics: Metrics,
    tick: Callable[[], None],
) -> None:
    """Update the gauges; `tick` the workers' heartbeat unless due keys make no progress."""
    turnover = -1
    while True:
        if queue.depth == 0 or queue.turnover != turnover or not leadership.is_leading():
            tick()
        turnover = queue.turnover
        counts: dict[str, int] = {}
        for tracked in jobs:
            if tracked.live is not None:
                counts[tracked.live.seen.status] = counts.get(tracked.live.seen.status, 0) + 1
        if taken_over := reconciler.count_taken_over():
            log.info("Training jobs taken over: %d", taken_over)
        metrics.jobs_are(counts)
        metrics.jobs_wait(len(create_queue))
        metrics.objects_are_passive(reconciler.passive())
        metrics.queue_is(queue.depth)
        metrics.leading(leadership.is_leading())
        await asyncio.sleep(GAUGE_SECONDS)


async def _show_account(gateways: Gateways, readiness: Readiness) -> None:
    """Add a readiness note while the credentials belong to another account than at startup."""
    while True:
        problem = gateways.account_problem
        readiness.note(AWS, [] if problem is None else [problem])
        await asyncio.sleep(GAUGE_SECONDS)
