"""Life of the process: preconditions, loops with heartbeats, and the orderly end. assembly.py builds the parts."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine

from trainingjob_operator.assembly import Process, assemble, build_listener, build_operator
from trainingjob_operator.building import Operator
from trainingjob_operator.gauges import Gauges
from trainingjob_operator.health import Heartbeats, serve_health, serve_metrics
from trainingjob_operator.kube.cluster_state import MAX_SILENCE
from trainingjob_operator.kube.events import EventRecorder
from trainingjob_operator.kube.leader import Elector
from trainingjob_operator.logic.objects.resource import Key
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
from trainingjob_operator.watcher import BACKOFF
from trainingjob_operator.work_queue import WorkQueue

log = logging.getLogger(__name__)

FINISH_SECONDS = 1.0
"""Grace period at shutdown for reconciles in flight, before the release of the Lease."""
GAUGE_SECONDS = 5.0
ELECTION_SECONDS = 30.0
"""Heartbeat limit of the elector."""
LISTEN_SECONDS = 120.0
"""Heartbeat limit of the event listener: half a minute of long polling plus a minute of back-off, with a margin."""
SURVEY_MAX_SECONDS = 300.0
"""Heartbeat limit of the survey: many namespaces, each call up to its timeout."""
SWEEP_SECONDS = 30.0
"""Heartbeat limit of the sweeper, which has further limits for each target."""
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


async def _operate(settings: Settings) -> None:
    """Await the preconditions, run all loops, and shut down in order; returns if a loop terminates unexpectedly."""
    process = assemble(settings)
    given = show_given(settings) or "default settings"
    log.info("Starting trainingjob-operator %s with %s", process.version, given)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(process.api.close)
        stack.callback(process.gateways.close)
        heartbeats = Heartbeats(process.runtime.clocks.monotonic)
        try:
            await stack.enter_async_context(serve_metrics(settings.metrics_addr, process.registry))
            await stack.enter_async_context(serve_health(settings.healthz_addr, heartbeats, process.readiness))
        except OSError as error:
            raise StartError(f"{error}: change --metrics-addr or --healthz-addr.") from error
        loops = _Loops()
        stack.push_async_callback(loops.stop)
        operator = await _prepare(process)
        _start_upkeep(process, loops, heartbeats)
        await _list(process, operator)
        _start_election(process, loops, heartbeats)
        _start_reconciling(process, operator, loops, heartbeats)
        try:
            await loops.until_one_ends()
        finally:
            await finish(process.runtime.queue, process.elector, process.recorder)


async def _prepare(process: Process) -> Operator:
    """Await the API server, the cluster ID and AWS, and build the operator for them."""
    settings, readiness, clocks = process.settings, process.readiness, process.runtime.clocks
    await await_coverage(process.coverage, lambda: process.api.url, readiness, clocks)
    cluster_id = await persist(
        CLUSTER,
        lambda: read_cluster_id(settings.cluster_id, process.cluster_state.cluster_id),
        readiness,
        clocks,
    )
    sts = name_sts(settings, os.environ)
    caller = await persist(AWS, lambda: identify(process.gateways, sts), readiness, clocks)
    where = {"region": settings.aws_region, "cluster_id": cluster_id}
    log.info("trainingjob-operator %s runs as %s", process.version, caller.arn, extra=where)
    return build_operator(process, caller, cluster_id)


def _start_upkeep(process: Process, loops: "_Loops", heartbeats: Heartbeats) -> None:
    """Start the loops that the first list needs."""
    heartbeats.follow("surroundings", MAX_SILENCE, lambda: process.cluster_state.heartbeat)
    loops.start("surroundings", process.cluster_state.run())
    loops.start("events", process.recorder.run())
    loops.start("survey", process.coverage.run(heartbeats.expect("survey", SURVEY_MAX_SECONDS).tick))


async def _list(process: Process, operator: Operator) -> None:
    """List all objects: neither leading nor readiness comes before."""
    selector, jobs = process.settings.watch_selectors, process.runtime.jobs
    await persist(
        FIRST_LIST,
        lambda: list_first(operator.watcher.list_all, selector),
        process.readiness,
        process.runtime.clocks,
    )
    selected = f" with labels {selector}" if selector else ""
    served = ", ".join(sorted(name or "all namespaces" for name in process.coverage.served))
    log.info("Ready: reconciling TrainingJobs%s in %s; %d found", selected, served, len(jobs))
    if operator.watcher.inherited:
        log.info("%d of them have a job recorded by another controller, such as ACK's", operator.watcher.inherited)


def _start_election(process: Process, loops: "_Loops", heartbeats: Heartbeats) -> None:
    """Start the election, after the first list: a replica without a complete cache must not become the leader."""
    elector = process.elector
    if elector is None:
        log.info("Leading without leader election")
        return
    heartbeats.follow("elector", ELECTION_SECONDS, lambda: elector.heartbeat)
    loops.start("leader election", elector.run())


def _start_reconciling(process: Process, operator: Operator, loops: "_Loops", heartbeats: Heartbeats) -> None:
    settings, watcher, sweeper = process.settings, operator.watcher, operator.sweeper
    for name, limit, beat in (
        ("watch", WATCH_SECONDS, watcher.heartbeat),
        ("sweep", SWEEP_SECONDS, sweeper.heartbeat),
    ):
        beat.tick()
        heartbeats.follow(name, limit, beat.last)
    tick = heartbeats.expect("queue", STUCK_SECONDS + settings.http_client_timeout).tick
    for number in range(settings.max_concurrent_reconciles):
        loops.start(f"worker {number}", operator.reconciler.work())
    loops.start("watch", watcher.watch())
    loops.start("relist", watcher.relist())
    loops.start("sweep", sweeper.run())
    if (listener := build_listener(process, operator)) is not None:
        heartbeats.follow("event queue", LISTEN_SECONDS, listener.heartbeat.last)
        loops.start("event queue", listener.run())
    loops.start("gauges", _show_gauges(process, operator, tick))
    loops.start("account", _show_account(process))


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


async def _show_gauges(process: Process, operator: Operator, tick: Callable[[], None]) -> None:
    """Update the gauges; `tick` the workers' heartbeat unless due keys make no progress."""
    runtime = process.runtime
    queue, leadership = runtime.queue, runtime.leadership
    gauges = Gauges(runtime, operator, process.budgets, max_jobs=process.settings.metrics_max_jobs)
    turnover = -1
    while True:
        if queue.depth == 0 or queue.turnover != turnover or not leadership.is_leading():
            tick()
        turnover = queue.turnover
        if taken_over := operator.reconciler.count_taken_over():
            log.info("Training jobs taken over: %d", taken_over)
        gauges.update()
        await asyncio.sleep(GAUGE_SECONDS)


async def _show_account(process: Process) -> None:
    """Add a readiness note while the credentials belong to another account than at startup."""
    while True:
        problem = process.gateways.account_problem
        process.readiness.note(AWS, [] if problem is None else [problem])
        await asyncio.sleep(GAUGE_SECONDS)
