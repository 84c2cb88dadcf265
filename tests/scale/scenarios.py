"""What is measured: each scenario drives a world and tells figures."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.scale.chart import Panel
from tests.scale.figures import Figure, percentile
from tests.scale.follower import count_missing
from tests.scale.processes import read_usage
from tests.scale.world import OwnOperator, World, probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.scale.follower import Moment, Sight

PATIENCE = 600.0
"""Seconds for something that has to come true; what has not by then is told as it is."""
SETTLING = 2.0
"""Seconds for what follows the last status: the finalizer that is taken away."""
REST = 10.0
"""Seconds of watching that nothing happens any more."""
EVENTS_PER_JOB = 8
"""Created, one for each of six transitions, and the end."""


@dataclass
class Result:
    """What a scenario found."""

    figures: list[Figure] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)


async def measure_stand_in(world: World) -> list[Figure]:
    """How much of what is measured later could be the stand-in's own."""
    world.sagemaker.create_foreign_jobs(200, prefix="probe", oldest=3600)
    figures = []
    for operation, request in (
        ("DescribeTrainingJob", {"TrainingJobName": "probe-000000"}),
        ("ListTrainingJobs", {"MaxResults": 100}),
    ):
        speed = await probe(world, operation, request)
        figures.append(Figure(f"The stand-in serves {operation}", speed.per_second, "calls/s"))
        figures.append(Figure(f"  of its own CPU a {operation}", speed.cpu * 1000, "ms"))
    for number in range(200):
        world.sagemaker.delete_job(f"probe-{number:06d}")
    return figures


# -- churn ------------------------------------------------------------------------------------------------------------


async def churn(world: World, behind: float = 8.0) -> Result:
    """Jobs of a minute or two, applied at once, each through six secondary statuses to its end.

    `behind`: the target for how late the status may be, in seconds, for 99 of 100 changes.
    """
    follower, count = world.follower, world.parameters.jobs
    names = [f"job-{number:05d}" for number in range(count)]
    begin, driver = await world.mark(), read_driver()
    await world.create(names)
    applied = time.time()
    await follower.until(lambda: follower.count(lambda sight: sight.arn) == count, PATIENCE)
    await follower.until(lambda: follower.count(lambda sight: sight.ended) == count, PATIENCE)
    await asyncio.sleep(SETTLING)
    end = await world.mark()
    driver = read_driver() - driver
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
        Figure("Applied within", applied - begin.at, "s"),
        Figure("CPU of the driver, a job", driver / count * 1000, "ms"),
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


# -- ten thousand that live long --------------------------------------------------------------------------------------


async def growth(world: World) -> Result:
    """From a hundred live jobs to all: what a new job costs, what many cost at rest, and how late changes are told."""
    world.sagemaker.plan(phases="Starting:2,Training:1000000")
    result = Result()
    curves: dict[str, list[tuple[float, float]]] = {"cpu": [], "memory": [], "quiet": [], "calls": []}
    live = 0
    for count in [size for size in (100, 1000, 10_000) if size < world.parameters.jobs] + [world.parameters.jobs]:
        names = [f"long-{number:05d}" for number in range(live, count)]
        added, live = count - live, count
        begin = await world.mark()
        await world.create(names)
        await _until_training(world, count)
        created = await world.mark()
        await asyncio.sleep(REST)
        quiet = await watch_rest(world, world.parameters.window)
        calls_an_hour = sum(quiet.calls.values()) / world.parameters.window * 3600 / count
        lags = await change_some(world, live, per_second=max(1.0, count / 1000))
        memory = read_usage(world.controller.pid).resident / 1e6
        curves["cpu"].append((count, created.cpu_since(begin) / added * 1000))
        curves["memory"].append((count, memory))
        curves["quiet"].append((count, max(0.01, quiet.cores * 100)))
        curves["calls"].append((count, max(0.01, calls_an_hour)))
        at = f"at {count:,} live jobs"
        result.figures += [
            Figure(f"CPU of a new job, {at}", curves["cpu"][-1][1], "ms"),
            Figure(f"All had begun to train, {at}", created.at - begin.at, "s"),
            Figure(f"Calls per job and hour without a change, {at}", calls_an_hour, "", 4 if count == 1000 else None),
            Figure(f"CPU without a change, {at}", quiet.cores * 100, "% of a core"),
            Figure(f"Status behind SageMaker, p50, {at}", percentile(lags, 0.5), "s"),
            Figure(f"Status behind SageMaker, p99, {at}", percentile(lags, 0.99), "s", 20 if count == 10_000 else 8),
            Figure(f"Resident memory, {at}", memory, "MB", 250 if count == 10_000 else 125),
        ]
    axes = {
        "cpu": ("CPU of a new job", "ms"),
        "memory": ("Resident memory", "MB"),
        "quiet": ("CPU without a change", "% of a core"),
        "calls": ("AWS calls without a change", "per job and hour"),
    }
    result.panels = [
        Panel(title, "live jobs", up, {"measured": curves[name]}, is_logarithmic=True)
        for name, (title, up) in axes.items()
    ]
    return result


async def change_some(world: World, live: int, per_second: float) -> list[float]:
    """Let so many jobs a second go to another status; how late the status of each was, in seconds."""
    seconds, follower = world.parameters.window, world.follower
    # Each job in turn, each time to a status that it has not been in, so that what is shown tells when it changed.
    count = round(seconds * per_second)
    names = [f"long-{number * 7919 % live:05d}" for number in range(min(count, live))]
    status = next(each for each in ("Restarting", "Updating", "Uploading") if not _has_shown(follower.seen, each))
    begin = time.time()
    for index, name in enumerate(names):
        await asyncio.sleep(max(0.0, begin + index / per_second - time.time()))
        await asyncio.to_thread(world.sagemaker.enter, name, status)
    await follower.until(lambda: all(status in follower.seen[name].shown for name in names), 2 * REST + seconds)
    lives = await world.read_moments(names)
    return read_lags(follower.seen, lives, first=-1)


async def restart(world: World) -> Result:
    """Four fifths of the jobs end, then the controller is killed, a tenth of the others changes, and it comes back."""
    follower, count = world.follower, world.parameters.jobs
    names = [f"long-{number:05d}" for number in range(count)]
    ending, running = names[count // 5 :], names[: count // 5]
    before = await world.mark()
    await world.command(ending, world.sagemaker.complete_job)
    await follower.until(lambda: all(follower.seen[name].ended for name in ending), PATIENCE)
    ended = await world.mark()
    await asyncio.sleep(REST)
    world.controller.kill()
    changing = running[::10]
    await world.command(changing, lambda name: world.sagemaker.enter(name, "Interrupted"))
    calls, began = await asyncio.to_thread(world.sagemaker.counts), time.time()
    await asyncio.to_thread(world.controller.start)
    await follower.until(lambda: all("Interrupted" in follower.seen[name].shown for name in changing), PATIENCE)
    in_step = time.time() - began
    await asyncio.sleep(REST)
    end = await world.mark()
    described = end.calls.get("DescribeTrainingJob", 0) - calls.get("DescribeTrainingJob", 0)
    what = f"Restart with {count:,} objects, {len(running):,} running, {len(changing):,} changed meanwhile"
    return Result(
        [
            Figure(f"{len(ending):,} jobs that end at once are told within", ended.at - before.at, "s"),
            Figure("  CPU of each", ended.cpu_since(before) / len(ending) * 1000, "ms"),
            Figure(f"{what}: in step within", in_step, "s", 60),
            Figure("  Describe calls for each job that changed", described / len(changing), "", 1),
            Figure("  CPU until then", end.usage.cpu, "s"),
            Figure("  resident memory then", end.usage.resident / 1e6, "MB", 250),
        ]
    )


async def rest(world: World) -> Result:
    """Everything has ended: nothing may cost anything any more."""
    follower = world.follower
    names = [name for name, sight in follower.seen.items() if not sight.ended]
    await world.command(names, world.sagemaker.complete_job)
    await follower.until(lambda: follower.count(lambda sight: not sight.ended) == 0, PATIENCE)
    await asyncio.sleep(2 * REST)
    quiet = await watch_rest(world, world.parameters.window)
    what = f"{len(follower.seen):,} finished objects at rest"
    return Result(
        [
            Figure(f"{what}: AWS calls", sum(quiet.calls.values()), "", 0),
            Figure("  writes", quiet.writes, "", 0),
            Figure("  CPU", quiet.cores * 100, "% of a core", 1),
            Figure("  resident memory", read_usage(world.controller.pid).resident / 1e6, "MB", 250),
        ]
    )


async def deletion(world: World) -> Result:
    """A thousand running jobs, all deleted at once."""
    follower, count = world.follower, min(1000, world.parameters.jobs)
    names = [f"doomed-{number:05d}" for number in range(count)]
    world.sagemaker.plan("doomed-*", phases="Starting:2,Training:1000000")
    await world.create(names)
    await follower.until(lambda: all(_is_training(follower.seen.get(name)) for name in names), PATIENCE)
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


# -- what they share --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quiet:
    """What was spent while nothing happened."""

    calls: Mapping[str, int]
    writes: int
    cores: float


async def watch_rest(world: World, seconds: float = REST) -> Quiet:
    begin = await world.mark()
    await asyncio.sleep(seconds)
    end = await world.mark()
    return Quiet(end.calls_since(begin), end.writes - begin.writes, end.cpu_since(begin) / (end.at - begin.at))


def read_lags(seen: Mapping[str, Sight], lives: Mapping[str, Sequence[Moment]], first: int = 0) -> list[float]:
    """How late each moment of each life was told, from the `first` on; those never told are left out."""
    return [
        lag
        for name, moments in lives.items()
        for index in range(len(moments))[first:]
        if (lag := seen[name].lag(moments, index)) is not None
    ]


async def count_events(world: World, expected: int) -> list[Figure]:
    """Events are posted in the background: they may take a while longer."""
    count, deadline = 0, time.monotonic() + PATIENCE
    while count < expected and time.monotonic() < deadline:
        before, count = count, await world.count_events()
        if count == before:
            break
        await asyncio.sleep(5)
    figures = [Figure("Events posted", count), Figure("  missing", expected - count, "", 0)]
    if isinstance(world.controller, OwnOperator):
        figures.append(Figure("  dropped", world.controller.dropped_events, "", 0))
    return figures


def distribution(values: Sequence[float]) -> list[tuple[float, float]]:
    """Which share in percent of the values each value does not exceed, at a hundred places."""
    return [(percentile(values, share / 100) or 0.0, share) for share in range(1, 101)] if values else []


def read_driver() -> float:
    """CPU seconds of this process alone."""
    return sum(os.times()[:2])


async def _until_training(world: World, count: int) -> None:
    await world.follower.until(lambda: world.follower.count(_is_training) >= count, PATIENCE)


def _is_training(sight: Sight | None) -> bool:
    return sight is not None and "Training" in sight.shown


def _has_shown(seen: Mapping[str, Sight], status: str) -> bool:
    return any(status in sight.shown for sight in seen.values())
