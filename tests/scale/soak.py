"""A long constant load: the number of live jobs is constant, while some end, are deleted, and are replaced.

It measures the growth of the controller's memory and descriptors.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.scale.chart import Panel
from tests.scale.figures import Figure
from tests.scale.processes import count_descriptors, read_usage
from tests.scale.scenarios import PATIENCE, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.scale.world import World

CHANGES_A_SECOND = 2.0
"""Rate of ends and of new jobs: low enough for a mostly idle machine."""
EARLY_SECONDS = 5
"""Interval of deletions of a running job."""
SAMPLE_SECONDS = 5.0
WARM_SHARE = 1 / 3
"""Share of the time for warming up: caches fill, and the allocator reaches its size."""
MOST_GROWTH = 3.0
"""Permitted growth of memory after that in percent, on the straight line through all samples."""
MOST_DESCRIPTORS = 4.0
"""The same for descriptors, as a number: connections open and close."""

Points = list[tuple[float, float]]
"""Minutes since full load, and a value."""


async def soak(world: World, *, minutes: float) -> Result:
    """Run at full load for these minutes."""
    live, life = world.parameters.jobs, world.parameters.jobs / CHANGES_A_SECOND
    first = [f"soak-{number:06d}" for number in range(live)]
    # The first jobs end evenly over one life, as if they had been created one after the other.
    world.sagemaker.settings(seconds_from=5.0, seconds_to=life)
    await world.create(first)
    await world.follower.until(lambda: all(sight.arn for sight in world.follower.seen.values()), PATIENCE)
    world.sagemaker.settings(seconds_from=0.9 * life, seconds_to=1.1 * life)
    turnover = Turnover(world, set(first))
    memory: Points = []
    descriptors: Points = []
    begin = await world.mark()
    async with asyncio.TaskGroup() as tasks:
        churning = tasks.create_task(turnover.run())
        while (passed := (time.time() - begin.at) / 60) < minutes:
            memory.append((passed, read_usage(world.controller.pid).resident / 1e6))
            descriptors.append((passed, float(count_descriptors(world.controller.pid))))
            await asyncio.sleep(SAMPLE_SECONDS)
        churning.cancel()
    end = await world.mark()
    late_memory, late_descriptors = ([point for point in curve if point[0] >= minutes * WARM_SHARE]
                                     for curve in (memory, descriptors))  # fmt: skip
    slope, window = fit_slope(late_memory), minutes * (1 - WARM_SHARE)
    calls = sum(end.calls_since(begin).values())
    figures = [
        Figure("Minutes at full load", minutes),
        Figure("Objects at any time", live),
        Figure("  created during the load", turnover.created),
        Figure("  deleted during the load", turnover.deleted),
        Figure("Resident memory, after warming up", late_memory[0][1], "MB"),
        Figure("  at the end", late_memory[-1][1], "MB"),
        Figure("  slope", slope * 60, "MB an hour"),
        Figure(
            "  growth on the line through all samples",
            100 * slope * window / late_memory[0][1],
            "%",
            MOST_GROWTH,
        ),
        Figure("Descriptors, after warming up", late_descriptors[0][1]),
        Figure("  at the end", late_descriptors[-1][1]),
        Figure("  growth on that line", fit_slope(late_descriptors) * window, "", MOST_DESCRIPTORS),
        Figure("CPU", end.cpu_since(begin) / (end.at - begin.at) * 100, "% of a core"),
        Figure("AWS calls a second", calls / (end.at - begin.at)),
    ]
    panels = [
        Panel("Resident memory", "minutes", "MB", {"measured": memory}),
        Panel("Open descriptors", "minutes", "", {"measured": descriptors}),
    ]
    return Result(figures, panels)


@dataclass
class Turnover:
    """Keeps the number of objects constant: it deletes ended ones, at intervals a running one, and creates new ones."""

    world: World
    present: set[str]
    created: int = 0
    deleted: int = 0

    async def run(self) -> None:
        """Run a round each second until cancelled."""
        seen, live, leaving = self.world.follower.seen, len(self.present), set[str]()
        for second in count(1):
            await asyncio.sleep(1.0)
            for name in [name for name, sight in seen.items() if sight.gone]:
                del seen[name]
                self.present.remove(name)
                leaving.remove(name)
                self.deleted += 1
            going = {name for name, sight in seen.items() if sight.ended} - leaving
            running = [name for name, sight in seen.items() if sight.arn and not sight.ended and name not in leaving]
            if second % EARLY_SECONDS == 0:
                going.update(running[:1])
            leaving |= going
            await self.world.delete(going)
            fresh = [f"soak-{live + self.created + number:06d}" for number in range(live - len(self.present))]
            self.created += len(fresh)
            self.present.update(fresh)
            await self.world.create(fresh)


def fit_slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the straight line with the least squares; 0 for a single point."""
    across = [x - sum(x for x, _ in points) / len(points) for x, _ in points]
    spread = sum(x * x for x in across)
    return sum(x * y for x, (_, y) in zip(across, points, strict=True)) / spread if spread else 0.0
