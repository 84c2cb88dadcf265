"""One fault, one case, one row: the runner of scenarios without enumeration."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import traceback
from typing import TYPE_CHECKING, Any

from tests.e2e.objects import training_job
from tests.e2e.operator_process import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from tests.chaos.world import Body, Case, World

    Act = Callable[[Case], Coroutine[Any, Any, list[str]]]

FOREVER = "Starting:0.2,Training:inf"


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """Actions on a case, and its invariant; `act` returns violations."""

    title: str
    invariant: str
    act: Act
    jobs: int = 1
    flags: tuple[str, ...] = ()
    pace: tuple[str, ...] = QUICK
    own_service: bool = False
    """The fault affects the whole stand-in."""
    slow: bool = False
    """Not in a quick run."""
    idle: bool = False
    """Mostly waits, and so occupies no lane."""


async def run_trials(world: World, scenario: str, trials: Iterable[Trial], *, one_by_one: bool = False) -> None:
    """Run all of them, or those with `world.only` in their title, concurrently except for conflicting ones."""
    chosen = [
        trial
        for trial in trials
        if (world.only.lower() in trial.title.lower() if world.only else not (world.quick and trial.slow))
    ]
    if one_by_one:
        for trial in chosen:
            await _run(world, scenario, trial)
        return
    async with asyncio.TaskGroup() as group:
        for trial in chosen:
            group.create_task(_run_in_turn(world, scenario, trial))


async def _run_in_turn(world: World, scenario: str, trial: Trial) -> None:
    async with contextlib.nullcontext() if trial.idle else world.slots:
        await _run(world, scenario, trial)


async def _run(world: World, scenario: str, trial: Trial) -> None:
    if not trial.own_service:
        await _carry_out(world, scenario, trial)
        return
    async with world.with_own_service() as own:
        await _carry_out(own, scenario, trial)


async def _carry_out(world: World, scenario: str, trial: Trial) -> None:
    async with world.case(trial.title, *trial.flags, pace=trial.pace) as case:
        try:
            problems = await trial.act(case)
        except Exception as error:  # noqa: BLE001  any exception belongs to this trial, and the others continue
            problems = ["".join(traceback.format_exception(error))]
        problems += [problem for operator in case.others for problem in operator.complaints()]
        if problems:
            lines = [f"  {scenario}:{trial.title}", *(f"    {problem}" for problem in problems), case.report()]
            problems = ["\n".join(lines)]
        world.ledger.enter(trial.title, trial.invariant, injected=case.injected, jobs=trial.jobs, problems=problems)


async def plan(case: Case, **how: Any) -> None:
    """Set the plan of the jobs of this case."""
    await case.world.command("plan", name=f"{case.namespace}-*", **how)


async def apply(case: Case, *names: str, annotations: dict[str, str] | None = None, **spec: Any) -> None:
    """Create an object for each name, with a job name that includes the case."""
    for name in names:
        body: Body = training_job(case.job_name(name), annotations=annotations, **spec)
        body["metadata"]["name"] = name
        await case.create(body)


async def start_running(case: Case, *names: str, **spec: Any) -> None:
    """Create objects with jobs that train until stopped, and start the operator; returns once they train."""
    await plan(case, phases=FOREVER)
    await apply(case, *names, **spec)
    case.operator.start(wait=False)
    for name in names:
        await wait_training(case, name)


async def wait_training(case: Case, name: str, seconds: float = 60.0) -> Body:
    return await case.wait(name, "Training", lambda body: _secondary(body) == "Training", seconds)


def _secondary(body: Body) -> object:
    return (body.get("status") or {}).get("secondaryStatus")


async def count(case: Case, name: str, operation: str, *, effect: bool | None = None) -> int:
    """Number of calls for the job of the object `name`."""
    return len(await case.calls(case.job_name(name), operation, effect=effect))
