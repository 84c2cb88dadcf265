"""kill -9 before and after every AWS call and every Kubernetes write in the life of a job, found by counting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.chaos.lives import LIVES, WHOLE, Life, live
from tests.chaos.plans import AFTER, BEFORE, Dice, Plan, carry_out, carry_out_each, read_plan

if TYPE_CHECKING:
    from tests.chaos.world import World

SCENARIO = "crash_points"
MOST = 100
"""More passages than any life has."""
SUFFIXES = {
    "nothing": "",
    "spec": ", spec edited while down",
    "region": ", region edited while down",
    "name": ", name edited while down (ACK's CRD)",
    "delete": ", deleted while down",
}
SAMPLE = 1
"""Samples of each life and side in a quick run."""


async def run(world: World) -> None:
    """Every life by itself, and the first one with actions of users while the operator is down."""
    if world.only:
        await _repeat(world)
        return
    async with asyncio.TaskGroup() as group:
        for life in LIVES:
            for when in _sides(world, life.name):
                group.create_task(_enumerate(world, life, when, "nothing"))
        for meanwhile in ("spec", "region", "delete"):
            for when in _sides(world, meanwhile):
                group.create_task(_enumerate(world, LIVES[0], when, meanwhile))


async def run_under_acks_crd(world: World) -> None:
    """With ACK's CRD, which drops the operator's own status fields and accepts another name."""
    async with asyncio.TaskGroup() as group:
        for when in _sides(world, "name"):
            group.create_task(_enumerate(world, LIVES[0], when, "name"))


def _sides(world: World, label: str) -> tuple[str, ...]:
    """Before and after the passages; one of the two in a quick run."""
    return (world.chance("side", label).choice([BEFORE, AFTER]),) if world.quick else (BEFORE, AFTER)


async def _enumerate(world: World, life: Life, when: str, meanwhile: str) -> None:
    numbers = list(range(1, MOST))
    if world.quick:
        numbers = sorted(world.chance(life.name, when, meanwhile).sample(range(1, 10), SAMPLE))
    plans = [Plan(life, "kill", when, number, meanwhile) for number in numbers]
    scenario = "acks_crd" if meanwhile == "name" else SCENARIO
    injected, lived, problems = await carry_out_each(world, scenario, plans, until_missed=not world.quick)
    fault = f"kill -9 {when} each call: {life.name}{SUFFIXES[meanwhile]}"
    world.ledger.enter(fault, WHOLE, injected=injected, jobs=lived, problems=problems)


async def _repeat(world: World) -> None:
    plan = read_plan(world.only, LIVES)
    outcome = await carry_out(world, SCENARIO, plan)
    world.ledger.enter(str(plan), WHOLE, injected=outcome.injected, jobs=1, problems=outcome.problems)


async def run_random(world: World) -> None:
    """Lives with several faults each, at passages and of kinds drawn from the seed."""
    names = [world.only] if world.only else [str(number) for number in range(2 if world.quick else 150)]
    injected, problems = 0, []

    async def one(name: str) -> None:
        nonlocal injected
        chance = world.chance("random", name)
        life, meanwhile = chance.choice(LIVES), chance.choice(["nothing", "nothing", "spec", "region", "delete"])
        if not life.creates:
            meanwhile = "nothing"
        async with world.slots, world.case(f"{name}: {life.name}, {meanwhile}") as case:
            Dice(case, chance).arm()
            found = await live(life, case, meanwhile)
            injected += case.injected
            if found:
                problems.append(
                    "\n".join([f"  random:{name}", *(f"    {problem}" for problem in found), case.report()])
                )

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    world.ledger.enter("kills, cuts and delays by chance", WHOLE, injected=injected, jobs=len(names), problems=problems)
