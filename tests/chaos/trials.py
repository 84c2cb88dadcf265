"""One fault, one case, one row: how the scenarios that are no enumeration are run."""

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
    """What is done to a case, and what must hold; `act` returns what does not."""

    title: str
    invariant: str
    act: Act
    jobs: int = 1
    flags: tuple[str, ...] = ()
    pace: tuple[str, ...] = QUICK
    own_service: bool = False
    """The fault is one of the whole stand-in."""
    slow: bool = False
    """Not in a quick run."""
    idle: bool = False
    """Mostly waits, and so takes no lane from others."""


async def run_trials(world: World, scenario: str, trials: Iterable[Trial], *, one_by_one: bool = False) -> None:
    """All of them, or those whose title contains `world.only`, side by side unless they disturb each other."""
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
        except Exception as error:  # noqa: BLE001  whatever it is, it is this trial's, and the others go on
            problems = ["".join(traceback.format_exception(error))]
        problems += [problem for operator in case.others for problem in operator.complaints()]
        if problems:
            lines = [f"  {scenario}:{trial.title}", *(f"    {problem}" for problem in problems), case.report()]
            problems = ["\n".join(lines)]
        world.ledger.enter(trial.title, trial.invariant, injected=case.injected, jobs=trial.jobs, problems=problems)


async def plan(case: Case, **how: Any) -> None:
    """How the jobs of this case live."""
    await case.world.command("plan", name=f"{case.namespace}-*", **how)


async def apply(case: Case, *names: str, annotations: dict[str, str] | None = None, **spec: Any) -> None:
    """An object of each name, its job called after the case too."""
    for name in names:
        body: Body = training_job(case.job_name(name), annotations=annotations, **spec)
        body["metadata"]["name"] = name
        await case.create(body)


async def start_running(case: Case, *names: str, **spec: Any) -> None:
    """Objects whose jobs train until told otherwise, and the operator that knows them."""
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
    """Calls that concern the job of the object `name`."""
    return len(await case.calls(case.job_name(name), operation, effect=effect))
