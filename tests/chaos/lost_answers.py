"""Answers that are lost, duplicate, late or out of order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.chaos.invariants import ENDED
from tests.chaos.lives import LIVES, NAME, WHOLE, Life, live
from tests.chaos.plans import AFTER, BEFORE, Plan, carry_out, carry_out_each, read_plan
from tests.chaos.world import status_of

if TYPE_CHECKING:
    from tests.chaos.world import Case, World

SCENARIO = "lost_answers"
MOST = 100
STALE_SECONDS = 30.0

SERVICE_FAULTS: dict[str, tuple[dict[str, object], ...]] = {
    "an error after the call took effect": tuple(
        {"kind": "error", "operation": operation, "after": True, "count": 1}
        for operation in ("CreateTrainingJob", "StopTrainingJob", "UpdateTrainingJob", "AddTags", "DescribeTrainingJob")
    ),
    "nonsense after the call took effect": tuple(
        {"kind": "garbage", "operation": operation, "after": True, "count": 1}
        for operation in ("CreateTrainingJob", "StopTrainingJob", "UpdateTrainingJob", "AddTags", "DescribeTrainingJob")
    ),
    "the call was carried out twice": (
        {"kind": "duplicate", "operation": "CreateTrainingJob"},
        {"kind": "duplicate", "operation": "StopTrainingJob"},
        {"kind": "duplicate", "operation": "UpdateTrainingJob"},
    ),
    "throttled after the call took effect": (
        {"kind": "throttle", "operation": "CreateTrainingJob", "after": True, "count": 1},
        {"kind": "throttle", "operation": "StopTrainingJob", "after": True, "count": 1},
    ),
    "NotFound right after Create": ({"kind": "hidden", "operation": "DescribeTrainingJob", "amount": 5.0},),
    "List and Describe stale": (
        {"kind": "stale", "operation": "DescribeTrainingJob", "amount": STALE_SECONDS},
        {"kind": "stale", "operation": "ListTrainingJobs", "amount": STALE_SECONDS},
    ),
    "answers out of order": (
        {"kind": "stale", "operation": "DescribeTrainingJob", "amount": 2.0, "rate": 0.5},
        {"kind": "stale", "operation": "DescribeTrainingJob", "amount": 5.0, "rate": 0.2},
        {"kind": "stale", "operation": "ListTrainingJobs", "amount": 3.0, "rate": 0.5},
    ),
}


async def run(world: World) -> None:
    """Cut the connection before and after each call, delay answers past the time-out, and add faults of the service."""
    by_name = {life.name: life for life in LIVES}
    if world.only in SERVICE_FAULTS:
        lives = [by_name[name] for name in ("complete", "delete", "edit")]
        await _let_the_service_err(world, world.only, SERVICE_FAULTS[world.only], lives)
        return
    if world.only:
        plan = read_plan(world.only, LIVES)
        outcome = await carry_out(world, SCENARIO, plan)
        world.ledger.enter(str(plan), WHOLE, injected=outcome.injected, jobs=1, problems=outcome.problems)
        return
    async with asyncio.TaskGroup() as group:
        for life in LIVES if not world.quick else (by_name["delete"], by_name["edit"]):
            for when in (BEFORE, AFTER):
                group.create_task(_enumerate(world, life, "cut", when))
        for life in (
            (by_name["complete"],) if world.quick else (by_name["complete"], by_name["delete"], by_name["edit"])
        ):
            group.create_task(_enumerate(world, life, "stall", AFTER))
        for title, faults in SERVICE_FAULTS.items():
            lives = [by_name[name] for name in ("complete", "delete", "edit")]
            lives = [world.chance(title).choice(lives)] if world.quick else lives
            group.create_task(_let_the_service_err(world, title, faults, lives))


async def _enumerate(world: World, life: Life, strike: str, when: str) -> None:
    numbers = list(range(1, MOST))
    if world.quick:
        numbers = sorted(world.chance(life.name, strike, when).sample(range(1, 8), 1))
    plans = [Plan(life, strike, when, number) for number in numbers]
    injected, lived, problems = await carry_out_each(world, SCENARIO, plans, until_missed=not world.quick)
    cause = "connection cut" if strike == "cut" else "no answer in time"
    world.ledger.enter(
        f"{cause} {when} each call: {life.name}", WHOLE, injected=injected, jobs=lived, problems=problems
    )


async def _let_the_service_err(
    world: World, title: str, faults: tuple[dict[str, object], ...], lives: list[Life]
) -> None:
    injected, jobs, problems = 0, 0, []

    async def one(life: Life) -> None:
        nonlocal injected, jobs
        async with world.slots, world.case(f"{title}: {life.name}") as case:
            numbers = [await case.fault(**fault) for fault in faults]  # type: ignore[arg-type]
            watching = asyncio.create_task(_watch_for_relapse(case))
            found = await live(life, case)
            watching.cancel()
            found += [] if watching.cancelled() or not watching.done() else watching.result()
            for number in numbers:
                injected += await world.command("hits", number=number)
            jobs += 1
            if found:
                problems.append(
                    "\n".join([f"  {SCENARIO}:{title} ({life.name})", *(f"    {p}" for p in found), case.report()])
                )

    async with asyncio.TaskGroup() as group:
        for life in lives:
            group.create_task(one(life))
    world.ledger.enter(title, WHOLE, injected=injected, jobs=jobs, problems=problems)


async def _watch_for_relapse(case: Case) -> list[str]:
    """Fail if the status leaves an end state."""
    ended = ""
    while True:
        body = await case.get(NAME)
        status = status_of(body)
        if ended and status and status != ended:
            return [f"the status went from {ended} back to {status}"]
        if status in ENDED:
            ended = status
        await asyncio.sleep(0.1)
