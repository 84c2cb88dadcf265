"""Place of a fault in a life: at one passage found by counting, or at random passages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.lives import live
from tests.chaos.road import AWS, CutError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from tests.chaos.lives import Life
    from tests.chaos.road import Passage
    from tests.chaos.world import Case, World

    Strike = Callable[[Case], Coroutine[Any, Any, None]]

BEFORE, AFTER = "before", "after"
READ_TIMEOUT, WRITE_TIMEOUT = 16.0, 9.0
"""Longer than the operator's time-outs of reading and changing calls."""


async def kill(case: Case) -> None:
    """kill -9; the call stops here, or its answer is lost."""
    case.kill()
    raise CutError


async def cut(case: Case) -> None:
    """Close the connection."""
    case.injected += 1
    case.trace.note("cut")
    raise CutError


async def stall(case: Case) -> None:
    """Give no answer until the operator's time-out."""
    case.injected += 1
    case.trace.note("stalled")
    await asyncio.sleep(READ_TIMEOUT)
    raise CutError


STRIKES: dict[str, Strike] = {"kill": kill, "cut": cut, "stall": stall}


@dataclass(frozen=True, slots=True)
class Plan:
    """One case: its life, its fault, the passage before or after it, and the action while the operator is down."""

    life: Life
    strike: str
    when: str
    number: int
    meanwhile: str = "nothing"

    def __str__(self) -> str:
        return f"{self.life.name}/{self.strike}/{self.when}/{self.number}/{self.meanwhile}"

    def arm(self, case: Case) -> None:
        async def act(passage: Passage) -> None:
            if passage.number == self.number:
                await STRIKES[self.strike](case)

        if self.when == BEFORE:
            case.hooks.before = act
        else:
            case.hooks.after = act


def read_plan(text: str, lives: Iterable[Life]) -> Plan:
    """The plan from the text of `str`."""
    name, strike, when, number, meanwhile = text.split("/")
    return Plan(next(life for life in lives if life.name == name), strike, when, int(number), meanwhile)


@dataclass(slots=True)
class Outcome:
    injected: int
    problems: list[str]


async def carry_out(world: World, scenario: str, plan: Plan, *flags: str) -> Outcome:
    """Run one life under one plan."""
    async with world.case(str(plan), *flags) as case:
        plan.arm(case)
        problems = await live(plan.life, case, plan.meanwhile)
        if problems:
            problems = ["\n".join([f"  {scenario}:{plan}", *(f"    {problem}" for problem in problems), case.report()])]
        return Outcome(case.injected, problems)


async def carry_out_each(
    world: World, scenario: str, plans: Iterable[Plan], *, until_missed: bool = False
) -> tuple[int, int, list[str]]:
    """Run many concurrently; returns the number of injected faults, the number of lives, and the problems.

    With `until_missed` the plans come in order of their passages, and the first life that ends before its passage is
    the last.
    """
    injected, lived = 0, 0
    problems: list[str] = []
    missed = False

    async def one(plan: Plan) -> None:
        nonlocal injected, lived, missed
        try:
            outcome = await carry_out(world, scenario, plan)
        finally:
            world.slots.release()
        injected, lived = injected + outcome.injected, lived + 1
        problems.extend(outcome.problems)
        missed = missed or not outcome.injected

    async with asyncio.TaskGroup() as group:
        for plan in plans:
            await world.slots.acquire()
            if missed and until_missed:
                world.slots.release()
                break
            group.create_task(one(plan))
    return injected, lived, problems


class Dice:
    """A random schedule: kills, cuts and errors at passages chosen by the seed, with a maximum in a life."""

    def __init__(self, case: Case, chance: random.Random, most: int = 4) -> None:
        self._case = case
        self._chance = chance
        self._left = most

    def arm(self) -> None:
        self._case.hooks.before = self._before
        self._case.hooks.after = self._after

    async def _before(self, passage: Passage) -> None:
        await self._throw(passage)

    async def _after(self, passage: Passage) -> None:
        await self._throw(passage)

    async def _throw(self, passage: Passage) -> None:
        if self._left <= 0 or self._chance.random() > 0.12:
            return
        self._left -= 1
        strike = self._chance.choice(["kill", "kill", "cut", "cut", "pause"])
        if strike == "pause" or (passage.road != AWS and strike == "stall"):
            self._case.injected += 1
            self._case.trace.note("late")
            await asyncio.sleep(self._chance.uniform(0.1, 2.0))
            return
        await STRIKES[strike](self._case)
