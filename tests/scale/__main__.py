"""`python -m tests.scale`: cost and speed of the operator, compared with targets.

Without arguments: 1,000 jobs of one or two minutes. `--full`: 10,000 long jobs, and the 1,000 again with late filters
and with events; `--growth`: only the growth of the cost with the number of jobs; `--fairness`: the effect of a long
create queue on other objects; `--soak MINUTES`: 1,000 jobs with a constant turnover. Prints a table, and writes
bench.json and bench.svg (or bench-full.…, and so on) into the folder build. Exit code 1: a missed target.
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.scale import scenarios
from tests.scale.chart import draw
from tests.scale.comparison import checked_out, compare, compose_comparison
from tests.scale.fairness import FLAGS, fairness
from tests.scale.figures import Figure, compose_table
from tests.scale.processes import memory_gigabytes
from tests.scale.quirks import QUIRKS
from tests.scale.scenarios import Result
from tests.scale.soak import soak
from tests.scale.world import Parameters, open_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.scale.world import World

    Step = Callable[[World], Awaitable[Result]]

BEHIND, PUSHED_BEHIND = 8.0, 1.5
"""Highest delay of the status in seconds for 99 of 100 changes, without events and with them."""

BUILD = Path(__file__).parents[2] / "build"
PROGRESS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Run:
    """One world and its measurements, one step after the other."""

    title: str
    parameters: Parameters
    steps: Sequence[Step]
    quirk: str | None = None


def plan_runs(options: argparse.Namespace) -> tuple[str, list[Run]]:
    """The runs of the options, and the name of their result files."""
    if options.soak:
        parameters = read_parameters(options, jobs=1000)
        return "bench-soak", [Run("soak", parameters, [partial(soak, minutes=options.soak)])]
    if options.growth:
        return "bench-growth", [Run("growth", read_parameters(options, jobs=10_000), [scenarios.growth])]
    if options.fairness:
        parameters = read_parameters(options, jobs=5000)
        parameters = dataclasses.replace(parameters, flags=(*parameters.flags, *FLAGS))
        return "bench-fairness", [Run("fairness", parameters, [fairness])]
    churning = read_parameters(options, jobs=1000)
    if options.full:
        living = read_parameters(options, jobs=10_000)
        churning = dataclasses.replace(churning, jobs=min(1000, living.jobs))
        steps = [scenarios.growth, scenarios.after_paging, scenarios.restart, scenarios.rest, scenarios.deletion]
        late = "filters-after-paging"
        return "bench-full", [
            Run("jobs that live long", living, steps),
            Run("filters after paging", churning, [churn_under(late)], late),
            Run("events", dataclasses.replace(churning, push=True), [churn_with_events]),
        ]
    variants = ["push" if options.push else "", options.quirk or ""]
    step = churn_with_events if options.push else churn_under(options.quirk)
    return "-".join(["bench", *filter(None, variants)]), [Run("churn", churning, [step], options.quirk)]


def churn_under(quirk: str | None) -> Step:
    return partial(scenarios.churn, behind=QUIRKS[quirk].behind if quirk else BEHIND)


churn_with_events = partial(scenarios.churn, behind=PUSHED_BEHIND)


async def measure(run: Run) -> Result:
    whole = Result()
    report("Starting the control plane, the stand-in and the controller …")
    async with open_world(run.parameters) as world, asyncio.TaskGroup() as tasks:
        progress = tasks.create_task(report_progress(world))
        world.make_like_aws()
        if run.quirk is not None:
            QUIRKS[run.quirk].apply(world.sagemaker)
        for step in run.steps:
            result = await step(world)
            print("", *compose_table(result.figures), sep="\n", flush=True)
            whole.figures += result.figures
            whole.panels += result.panels
        progress.cancel()
        whole.figures += scenarios.measure_loads(world)
        whole.figures += await scenarios.measure_stand_in(world)
    return whole


async def report_progress(world: World) -> None:
    """Print a line at intervals, and fail if a part ended."""
    began, follower = time.monotonic(), world.follower
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        world.check()
        parts = [
            f"{time.monotonic() - began:4.0f} s",
            f"{len(follower.seen):,} objects",
            f"{follower.count(lambda sight: sight.arn):,} with an ARN",
            f"{follower.count(lambda sight: sight.ended):,} ended",
            f"{follower.count(lambda sight: sight.gone):,} gone",
        ]
        shares = ", ".join(f"{part} {share:.0%}" for part, share in world.shares.items())
        report(f"{', '.join(parts)}; of a core: {shares}")


def report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write(name: str, results: Sequence[tuple[Run, Result]]) -> None:
    """Write the JSON file and the plot."""
    BUILD.mkdir(exist_ok=True)
    document: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "memory_gb": round(memory_gigabytes())},
        "runs": [
            {
                "title": run.title,
                "parameters": dataclasses.asdict(run.parameters),
                "quirk": run.quirk,
                "figures": [dataclasses.asdict(figure) | {"met": figure.is_met} for figure in result.figures],
                "series": [{"title": panel.title, "series": panel.series} for panel in result.panels],
            }
            for run, result in results
        ],
    }
    (BUILD / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    panels = [
        dataclasses.replace(panel, title=f"{panel.title}: {run.title}") if len(results) > 1 else panel
        for run, result in results
        for panel in result.panels
    ]
    (BUILD / f"{name}.svg").write_text(draw(panels))


def read_parameters(options: argparse.Namespace, jobs: int) -> Parameters:
    """:param jobs: default number of jobs"""
    return Parameters(
        jobs=options.jobs or jobs,
        seconds=options.seconds,
        latency=options.latency,
        list_rate=options.list_rate,
        controller=options.controller,
        flags=tuple(options.flag),
        push=options.push,
        window=options.window,
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--full", action="store_true", help="10,000 long jobs, and 1,000 under two conditions")
    mode.add_argument("--growth", action="store_true", help="cost of 100, 300, … 10,000 live jobs")
    mode.add_argument("--fairness", action="store_true", help="effect of 5,000 waiting objects on others")
    mode.add_argument("--soak", type=float, metavar="MINUTES", help="growth of memory and descriptors over time")
    parser.add_argument("--jobs", type=int, help="number of jobs (default 1000; 10000 long ones)")
    parser.add_argument("--seconds", default="60-120", metavar="FROM-TO", help="duration of a job (default 60-120)")
    parser.add_argument("--latency", type=float, default=0.04, help="seconds of each AWS call (default 0.04)")
    parser.add_argument(
        "--list-rate", type=float, default=2.0, help="List calls a second permitted by SageMaker (default 2)"
    )
    parser.add_argument(
        "--window", type=float, default=30.0, help="seconds of each measurement of a steady state (default 30)"
    )
    parser.add_argument("--controller", default="", metavar="CMD", help="command of another controller to measure")
    parser.add_argument("--against", metavar="REF", help="measure a git ref in turn with this tree, and show ratios")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of --against (default 2)")
    parser.add_argument("--flag", action="append", default=[], help="a further flag of the operator, --flag=--x=y")
    parser.add_argument("--push", action="store_true", help="give the operator an event queue")
    parser.add_argument("--quirk", choices=QUIRKS, help="a deviation of the real service, see quirks.py")
    return parser.parse_args()


def compare_with(options: argparse.Namespace, name: str, runs: Sequence[Run]) -> int:
    """Measure both versions in turn; the order alternates between rounds."""
    code = 0
    with checked_out(options.against, BUILD / "against") as tree:
        for run in runs:
            figures: dict[str, list[list[Figure]]] = {"": [], str(tree): []}
            for number in range(options.rounds):
                for source in sorted(figures, reverse=number % 2 == 0):
                    report(f"Round {number + 1} of {options.rounds}: {options.against if source else 'this tree'}")
                    parameters = dataclasses.replace(run.parameters, source=source)
                    result = asyncio.run(measure(dataclasses.replace(run, parameters=parameters)))
                    figures[source].append(result.figures)
            ratios = compare(figures[""], figures[str(tree)])
            print("", f"{run.title}:", *compose_comparison(ratios, options.against), sep="\n")
            document = [dataclasses.asdict(ratio) | {"met": ratio.is_met} for ratio in ratios]
            (BUILD / f"{name}-against.json").write_text(json.dumps(document, indent=1) + "\n")
            code |= any(ratio.is_met is False for ratio in ratios)
    return code


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    options = read_options()
    name, runs = plan_runs(options)
    if options.against:
        return compare_with(options, name, runs)
    results = []
    for run in runs:
        began = time.monotonic()
        result = asyncio.run(measure(run))
        result.figures.append(Figure("Duration of the run", time.monotonic() - began, "s"))
        results.append((run, result))
        write(name, results)  # partial results, in case a later run fails
    for run, result in results:
        print("", f"{run.title}:", *compose_table(result.figures), sep="\n")
    print("", f"Results: build/{name}.json and build/{name}.svg", sep="\n")
    return 1 if any(figure.is_met is False for _, result in results for figure in result.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
