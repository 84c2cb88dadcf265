"""`python -m tests.scale`: what the operator costs and how quick it is, beside the targets.

Without arguments a thousand jobs of one or two minutes; `--full` ten thousand that live long. Writes a table to stdout,
and bench.json and bench.svg (or bench-full.…, bench-<quirk>.…) into the folder build. Exit code 1: a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.scale import scenarios
from tests.scale.chart import draw
from tests.scale.figures import Figure, compose_table
from tests.scale.processes import memory_gigabytes
from tests.scale.quirks import QUIRKS, Quirk
from tests.scale.scenarios import Result
from tests.scale.world import Parameters, open_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.scale.world import World

PUSHED_BEHIND = 1.5
"""Seconds that the status may be behind with events, for 99 of 100 changes."""

BUILD = Path(__file__).parents[2] / "build"
PROGRESS_SECONDS = 15.0


async def measure(
    parameters: Parameters, steps: Sequence[Callable[[World], Awaitable[Result]]], quirk: Quirk | None
) -> Result:
    """All steps in one world, one after the other."""
    whole = Result()
    print("Starting the control plane, the stand-in and the controller …", file=sys.stderr, flush=True)
    async with open_world(parameters) as world, asyncio.TaskGroup() as tasks:
        progress = tasks.create_task(tell_progress(world))
        whole.figures += await scenarios.measure_stand_in(world)
        world.make_like_aws()
        if quirk is not None:
            quirk.apply(world.sagemaker)
        for step in steps:
            result = await step(world)
            print("", *compose_table(result.figures), sep="\n", flush=True)
            whole.figures += result.figures
            whole.panels += result.panels
        progress.cancel()
    return whole


async def tell_progress(world: World) -> None:
    """A line on stderr every now and then."""
    began, sights = time.monotonic(), world.follower.seen
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        parts = [
            f"{time.monotonic() - began:4.0f} s",
            f"{len(sights):,} objects",
            f"{world.follower.count(lambda sight: sight.arn):,} with an ARN",
            f"{world.follower.count(lambda sight: sight.ended):,} ended",
            f"{world.follower.count(lambda sight: sight.gone):,} gone",
        ]
        print(", ".join(parts), file=sys.stderr, flush=True)


def write(name: str, parameters: Parameters, result: Result) -> None:
    """The JSON and the plot."""
    BUILD.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "memory_gb": round(memory_gigabytes())}
    document: dict[str, Any] = {
        "machine": machine,
        "parameters": dataclasses.asdict(parameters),
        "figures": [dataclasses.asdict(figure) | {"met": figure.is_met} for figure in result.figures],
        "series": [{"title": panel.title, "series": panel.series} for panel in result.panels],
    }
    (BUILD / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (BUILD / f"{name}.svg").write_text(draw(result.panels))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--full", action="store_true", help="many jobs that live long: growth, restart, rest, deletion")
    parser.add_argument("--jobs", type=int, help="how many (default 1000, with --full 10000)")
    parser.add_argument("--seconds", default="60-120", metavar="FROM-TO", help="how long a job lives (default 60-120)")
    parser.add_argument("--latency", type=float, default=0.04, help="seconds that each AWS call takes (default 0.04)")
    parser.add_argument("--list-rate", type=float, default=2.0, help="List calls a second let through (default 2)")
    parser.add_argument("--window", type=float, default=60.0, help="seconds for which what lasts is watched")
    parser.add_argument("--controller", default="", metavar="CMD", help="another controller to measure")
    parser.add_argument("--flag", action="append", default=[], help="a further flag of the operator, --flag=--x=y")
    parser.add_argument("--push", action="store_true", help="give the operator an event queue")
    parser.add_argument("--quirk", choices=QUIRKS, help="one of the real service's habits, see quirks.py")
    return parser.parse_args()


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    parameters = Parameters(
        jobs=options.jobs or (10_000 if options.full else 1000),
        seconds=options.seconds,
        latency=options.latency,
        list_rate=options.list_rate,
        controller=options.controller,
        flags=tuple(options.flag),
        push=options.push,
        window=options.window,
    )
    quirk = QUIRKS.get(options.quirk)
    behind = quirk.behind if quirk else PUSHED_BEHIND if options.push else 8.0
    steps: list[Callable[[World], Awaitable[Result]]] = [lambda world: scenarios.churn(world, behind)]
    if options.full:
        steps = [scenarios.growth, scenarios.restart, scenarios.rest, scenarios.deletion]
    began = time.monotonic()
    result = asyncio.run(measure(parameters, steps, quirk))
    result.figures.append(Figure("All of it took", time.monotonic() - began, "s"))
    variants = ["full" if options.full else "", "push" if options.push else "", options.quirk or ""]
    name = "-".join(["bench", *filter(None, variants)])
    write(name, parameters, result)
    print("", *compose_table(result.figures), "", f"build/{name}.json and build/{name}.svg hold it.", sep="\n")
    return 1 if any(figure.is_met is False for figure in result.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
