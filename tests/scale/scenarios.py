"""Scenarios: each drives a world and returns figures."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from tests.scale.chart import Panel
from tests.scale.figures import Figure, percentile
from tests.scale.follower import count_missing
from tests.scale.quirks import filter_after_paging, filter_before_paging
from tests.scale.world import STAND_IN, STRANGERS, OwnOperator, World, probe
from trainingjob_operator.logic.reasons import WAITING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.scale.follower import Moment, Sight

LINEAR = 1.05
"""Highest power of linear growth: both ends are measured once, and the noise of the machine differs."""
PAGE_SIZE = 100
PATIENCE = 600.0
"""Seconds to wait for a condition; after them the figures show the state as it is."""
SETTLING = 5.0
"""Seconds without a new Event after which no more are expected."""
REST = 10.0
"""Seconds of observation of an idle state."""
EVENTS_PER_JOB = 7
"""Created, one for each of five transitions, and the end; some objects also report that they wait for their turn."""
SIZES = (100, 300, 1000, 3000, 10_000)
"""Numbers of live jobs at which the growth is measured."""
REST_WINDOWS = 11
"""Finished objects are observed for this number of windows, by default for longer than the five minutes between the
operator's lists of all of them.
"""
LATER = (
    "Restarting", "Updating", "Uploading", "Downloading", "Pending", "LaunchingMLInstances", "PreparingTrainingStack",
    "DownloadingTrainingImage",
)  # fmt: skip
"""Statuses for running jobs, each used once, so that its first appearance dates the change."""


@dataclass
class Result:
    """Figures and panels of a scenario."""

    figures: list[Figure] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)


async def measure_stand_in(world: World) -> list[Figure]:
    """Share of the stand-in itself in the figures; runs last, because it removes latency and quota of AWS."""
    world.make_quick()
    world.sagemaker.create_foreign_jobs(200, prefix="probe", oldest=3600)
    figures = []
    for operation, request in (
        ("DescribeTrainingJob", {"TrainingJobName": "probe-000000"}),
        ("ListTrainingJobs", {"MaxResults": 100}),
    ):
        speed = await probe(world, operation, request)
        figures.append(Figure(f"The stand-in serves {operation}", speed.per_second, "calls/s"))
        figures.append(Figure(f"  CPU of the stand-in for a {operation}", speed.cpu * 1000, "ms"))
    return figures


def measure_loads(world: World) -> list[Figure]:
    """Load of the machine by part: the stand-in must be far from its limit."""
    return [
        Figure(f"Busiest seconds of {part}", share * 100, "% of a core", 80 if part == STAND_IN else None)
        for part, share in sorted(world.busiest.items())
    ] + [Figure(f"CPU of {STRANGERS} in that time", 100 * fmean(world.strangers or [0.0]), "% of a core")]


# -- churn ------------------------------------------------------------------------------------------------------------


async def churn(world: World, behind: float = 8.0) -> Result:
    """Jobs of a minute or two, applied at once, each through six secondary statuses to its end.

    :param behind: target of the delay of the status, in seconds, for 99 of 100 changes
    """
    follower, count = world.follower, world.parameters.jobs
    names = [f"job-{number:05d}" for number in range(count)]
    empty = await world.read_storage(compacted=True)
    begin = await world.mark()
    await world.create(names)
    applied = time.time()
    await follower.until(lambda: follower.count(lambda sight: sight.arn) == count, PATIENCE)
    await follower.until(lambda: follower.count(lambda sight: sight.ended) == count, PATIENCE)
    await settle(world)
    end = await world.mark()
    rest = await watch_rest(world)
    lives = await world.read_moments(names)
    lags = read_lags(follower.seen, lives)
    ends = read_lags(follower.seen, lives, first=-1)
    arns = [sight.arn - sight.created for sight in follower.seen.values() if sight.arn]
    missing = [count_missing(follower.seen[name], lives.get(name, ())) for name in names]
    calls = end.calls_since(begin)
    figures = [
        Figure("Objects with an ARN", len(arns)),
        Figure("CR to ARN, p50", percentile(arns, 0.5), "s", 3),
        Figure("CR to ARN, p99", percentile(arns, 0.99), "s", 6),
        Figure("Status behind SageMaker, p50", percentile(lags, 0.5), "s", 3 if behind == 8 else None),
        Figure("Status behind SageMaker, p99", percentile(lags, 0.99), "s", behind),
        Figure("  the end alone, p50", percentile(ends, 0.5), "s"),
        Figure("  the end alone, p99", percentile(ends, 0.99), "s"),
        Figure("Secondary statuses in SageMaker", sum(map(len, lives.values()))),
        Figure("  missing from secondaryStatusTransitions at the end", sum(first for first, _ in missing), "", 0),
        Figure("  never shown in any way", sum(second for _, second in missing)),
        Figure("AWS calls a job", sum(calls.values()) / count, "", 9),
        *(Figure(f"  of {name}", number / count) for name, number in sorted(calls.items())),
        Figure("AWS calls after the end", sum(rest.calls.values()), "", 0),
        Figure("Writes of objects after the end", rest.writes, "", 0),
        Figure("CPU a job", end.cpu_since(begin) / count * 1000, "ms", 18),
        Figure("CPU at rest", rest.cores * 100, "% of a core", 1),
        Figure("Resident memory, at most", world.peak / 1e6, "MB", 125 if count <= 1000 else 250),
        Figure("Writes of objects a job", end.writes / count),
        *(await count_events(world, EVENTS_PER_JOB * count)),
        *(await count_bytes(world, empty)),
        Figure("Applied within", applied - begin.at, "s"),
        *(Figure(f"CPU of {part}, a job", cpu / count * 1000, "ms") for part, cpu in end.others_since(begin).items()),
    ]
    panels = [
        Panel("CR to ARN", "seconds", "share of jobs, %", {"jobs": distribution(arns)}),
        Panel(
            "Status behind SageMaker",
            "seconds",
            "share of changes, %",
            {"every change": distribution(lags), "the end": distribution(ends)},
        ),
    ]
    return Result(figures, panels)


# -- ten thousand long jobs -------------------------------------------------------------------------------------------


async def growth(world: World) -> Result:
    """From a hundred live jobs to all: cost of a new one, cost of all at rest, and delay of reported changes."""
    world.sagemaker.plan(phases="Starting:2,Training:1000000")
    result = Result()
    cpu: dict[int, float] = {}
    memory: dict[int, float] = {}
    calls: dict[int, float] = {}
    quiet: dict[int, float] = {}
    live = 0
    for count in [size for size in SIZES if size < world.parameters.jobs] + [world.parameters.jobs]:
        # Scans come every 30 seconds; the target needs more than one of them in the window.
        window = world.parameters.window * (2 if count == 1000 else 1)
        names = [f"long-{number:05d}" for number in range(live, count)]
        begin = await world.mark()
        await world.create(names)
        await _until_training(world, count)
        created = await world.mark()
        await settle(world)
        rest = await watch_rest(world, window)
        cpu[count] = cpu.get(live, 0.0) + created.cpu_since(begin)
        calls[count] = calls.get(live, 0.0) + sum(created.calls_since(begin).values())
        memory[count] = rest.resident / 1e6
        quiet[count] = rest.cores * 100
        calls_an_hour = sum(rest.calls.values()) / rest.seconds * 3600 / count
        at = f"at {count:,} live jobs"
        result.figures += [
            Figure(f"CPU of a new job, {at}", created.cpu_since(begin) / (count - live) * 1000, "ms"),
            Figure("  all began to train within", created.at - begin.at, "s"),
            Figure("  calls per job and hour without a change", calls_an_hour, "", 4 if count == 1000 else None),
            Figure("  CPU without a change", rest.cores * 100, "% of a core"),
            Figure("  resident memory", memory[count], "MB", 250 if count > 1000 else 125),
            Figure("  Events posted", await world.count_events()),
            *count_dropped(world),
        ]
        live = count
        if count in {1000, 10_000}:
            lags = await change_some(world, live, window)
            result.figures += summarize_lags(f"Status behind SageMaker, {at}", lags, 20 if count > 1000 else 8)
    result.figures += [
        Figure(f"{label} grow with the power of the number of jobs", power, "", LINEAR)
        for label, curve in (("CPU seconds", cpu), ("Bytes of memory", memory), ("AWS calls", calls))
        if (power := measure_power(curve)) is not None
    ]
    result.panels = [
        _panel("CPU until all jobs train", "seconds", cpu, is_proportional=True),
        _panel("AWS calls until all jobs train", "calls", calls, is_proportional=True),
        _panel("Resident memory", "MB", memory),
        _panel("CPU without a change", "% of a core", quiet),
    ]
    return result


def _panel(title: str, up: str, curve: Mapping[int, float], *, is_proportional: bool = False) -> Panel:
    points = [(float(count), max(0.01, value)) for count, value in curve.items()]
    series = {"measured": points}
    if is_proportional:
        (first, value), (last, _) = points[0], points[-1]
        series["in proportion"] = [(first, value), (last, value * last / first)]
    return Panel(title, "live jobs", up, series, is_logarithmic=True)


def measure_power(curve: Mapping[int, float]) -> float | None:
    """The power of the number of jobs by which a cost grows, from the first number to the last; 1 is linear."""
    (first, least), (last, most) = min(curve.items()), max(curve.items())
    if first == last or not least or not most:
        return None
    return math.log(most / least) / math.log(last / first)


async def change_some(world: World, live: int, seconds: float, patience: float = 60.0) -> list[float]:
    """Change the status of one of a thousand jobs each second, at least of one; returns the delays of the reports in
    seconds.

    A change without a report within `patience` seconds after the last one counts as that late.
    """
    follower, per_second = world.follower, max(1.0, live / 1000)
    names = [f"long-{number * 7919 % live:05d}" for number in range(min(round(seconds * per_second), live))]
    status = next(each for each in LATER if not any(each in sight.shown for sight in follower.seen.values()))
    began = time.time()
    for index, name in enumerate(names):
        await asyncio.sleep(max(0.0, began + index / per_second - time.time()))
        await asyncio.to_thread(world.sagemaker.enter, name, status)
    await follower.until(lambda: all(status in follower.seen[name].shown for name in names), patience)
    lags = read_lags(follower.seen, await world.read_moments(names), first=-1)
    return lags + [patience] * (len(names) - len(lags))


async def after_paging(world: World) -> Result:
    """The same changes with a service that applies its time filter after paging."""
    live = world.parameters.jobs
    filter_after_paging(world.sagemaker)
    begin = await world.mark()
    lags = await change_some(world, live, world.parameters.window, patience=PATIENCE / 2)
    end = await world.mark()
    filter_before_paging(world.sagemaker)
    pages = end.calls_since(begin).get("ListTrainingJobs", 0)
    scan = live / PAGE_SIZE * (end.at - begin.at) / pages if pages else 0.0
    label = f"Status behind SageMaker, filters after paging, at {live:,} live jobs"
    return Result([*summarize_lags(label, lags, scan + 10), Figure("  one full scan takes", scan, "s")])


async def restart(world: World) -> Result:
    """Four fifths of the jobs end, later another one changes, the controller is killed, a tenth of the rest changes.

    Without that other one the last reports of the objects would be thousands of ends within the same seconds.
    """
    follower, count = world.follower, world.parameters.jobs
    names = [f"long-{number:05d}" for number in range(count)]
    ending, running = names[count // 5 :], names[: count // 5]
    before = await world.mark()
    await world.command(ending, world.sagemaker.complete_job)
    await follower.until(lambda: all(follower.seen[name].ended for name in ending), PATIENCE)
    ended = await world.mark()
    await settle(world)
    other, changing = running[1], running[::10]
    await asyncio.to_thread(world.sagemaker.enter, other, "Interrupted")
    await follower.until(lambda: "Interrupted" in follower.seen[other].shown, PATIENCE)
    world.controller.kill()
    await world.command(changing, lambda name: world.sagemaker.enter(name, "Interrupted"))
    calls, began = await asyncio.to_thread(world.sagemaker.counts), time.time()
    await asyncio.to_thread(world.controller.start)
    await follower.until(lambda: all("Interrupted" in follower.seen[name].shown for name in changing), PATIENCE)
    in_step = time.time() - began
    await asyncio.sleep(REST)
    end = await world.mark()
    described = end.calls.get("DescribeTrainingJob", 0) - calls.get("DescribeTrainingJob", 0)
    label = f"Restart with {count:,} objects, {len(running):,} running, {len(changing):,} changed meanwhile"
    return Result(
        [
            Figure(f"{len(ending):,} jobs that end at once are reported within", ended.at - before.at, "s"),
            Figure("  CPU of each", ended.cpu_since(before) / len(ending) * 1000, "ms"),
            Figure(f"{label}: in step within", in_step, "s", 60),
            Figure("  Describe calls for each job that changed", described / len(changing), "", 1),
            Figure("  CPU of the controller until then", end.usage.cpu, "s"),
            Figure("  resident memory then", end.usage.resident / 1e6, "MB", 250),
        ]
    )


async def rest(world: World) -> Result:
    """All jobs have ended: no object may cause calls, writes or noticeable CPU."""
    follower = world.follower
    names = [name for name, sight in follower.seen.items() if not sight.ended]
    await world.command(names, world.sagemaker.complete_job)
    await follower.until(lambda: follower.count(lambda sight: not sight.ended) == 0, PATIENCE)
    await settle(world)
    quiet = await watch_rest(world, REST_WINDOWS * world.parameters.window)
    label = f"{len(follower.seen):,} finished objects at rest"
    return Result(
        [
            Figure(f"{label}: AWS calls", sum(quiet.calls.values()), "", 0),
            Figure("  writes", quiet.writes, "", 0),
            Figure("  CPU", quiet.cores * 100, "% of a core", 1),
            Figure("  resident memory", quiet.resident / 1e6, "MB", 250),
        ]
    )


async def deletion(world: World) -> Result:
    """A thousand running jobs, all deleted at once."""
    follower, count = world.follower, min(1000, world.parameters.jobs)
    names = [f"doomed-{number:05d}" for number in range(count)]
    world.sagemaker.plan("doomed-*", phases="Starting:2,Training:1000000")
    await world.create(names)
    await follower.until(lambda: all(is_training(follower.seen.get(name)) for name in names), PATIENCE)
    began = time.time()
    await world.delete(names)
    await follower.until(lambda: all(follower.seen[name].gone for name in names), PATIENCE)
    lives = await world.read_moments(names)
    stopped = max(moments[-1][1] / 1000 for moments in lives.values())
    gone = max((follower.seen[name].gone or time.time()) for name in names)
    return Result(
        [
            Figure(f"{count:,} running jobs deleted: all gone after the last has stopped", gone - stopped, "s", 15),
            Figure("  after the first was deleted", gone - began, "s"),
        ]
    )


# -- shared ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quiet:
    """Cost of an idle period."""

    calls: Mapping[str, int]
    writes: int
    seconds: float
    cores: float
    resident: int


async def settle(world: World) -> None:
    """Wait until no Event arrives: the operator posts them in the background, for minutes after many changes."""
    before, count = -1, 0
    deadline = time.monotonic() + PATIENCE
    while count != before and time.monotonic() < deadline:
        await asyncio.sleep(SETTLING)
        before, count = count, await world.count_events()


async def watch_rest(world: World, seconds: float = REST) -> Quiet:
    begin = await world.mark()
    await asyncio.sleep(seconds)
    end = await world.mark()
    took = end.at - begin.at
    cores = end.cpu_since(begin) / took
    return Quiet(end.calls_since(begin), end.writes - begin.writes, took, cores, end.usage.resident)


def summarize_lags(label: str, lags: Sequence[float], target: float) -> list[Figure]:
    return [
        Figure(f"{label}, p50", percentile(lags, 0.5), "s"),
        Figure(f"{label}, p99", percentile(lags, 0.99), "s", target),
    ]


def read_lags(seen: Mapping[str, Sight], lives: Mapping[str, Sequence[Moment]], first: int = 0) -> list[float]:
    """Delay of the report of each moment of each life, from the `first` on, without moments never reported."""
    return [
        lag
        for name, moments in lives.items()
        for index in range(len(moments))[first:]
        if (lag := seen[name].lag(moments, index)) is not None
    ]


async def count_events(world: World, expected: int) -> list[Figure]:
    reasons = await world.count_reasons()
    waiting = reasons.pop(WAITING, 0)
    count = reasons.total()
    return [
        Figure("Events posted", count + waiting),
        Figure(f"  of reason {WAITING}", waiting),
        Figure("  missing", expected - count, "", 0),
        *count_dropped(world),
    ]


def count_dropped(world: World) -> list[Figure]:
    """Events dropped at a full queue since the controller's start; other controllers do not report them."""
    if not isinstance(world.controller, OwnOperator):
        return []
    return [Figure("  dropped", world.controller.dropped_events, "", 0)]


async def count_bytes(world: World, empty: int | None) -> list[Figure]:
    """Size of the objects in etcd; `empty` is the size of its database before."""
    if world.control_plane is None or empty is None:
        return []
    figures = []
    for label, resource in (("object", "sagemaker.services.k8s.aws/trainingjobs"), ("Event", "events")):
        _, size = await asyncio.to_thread(world.control_plane.stored_bytes, resource)
        figures.append(Figure(f"Bytes of an {label} in etcd", size / 1e3, "kB"))
    for label, compacted in (("with all history", False), ("after compaction", True)):
        database = await world.read_storage(compacted=compacted)
        if database is not None:
            figures.append(
                Figure(f"  of its database a job, {label}", (database - empty) / world.parameters.jobs / 1e3, "kB")
            )
    return figures


def distribution(values: Sequence[float]) -> list[tuple[float, float]]:
    """Share of the values in percent up to each value, at a hundred points."""
    return [(percentile(values, share / 100) or 0.0, share) for share in range(1, 101)] if values else []


async def _until_training(world: World, count: int) -> None:
    await world.follower.until(lambda: world.follower.count(is_training) >= count, PATIENCE)


def is_training(sight: Sight | None) -> bool:
    return sight is not None and "Training" in sight.shown
