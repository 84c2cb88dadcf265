"""Overload and denial with hundreds of jobs: throttling, errors, expired credentials, missing rights.

One population of jobs passes through one storm after the other. In each, some jobs end, some objects are deleted and
some are new; after it, every status must be true again within two sweeps.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from typing import TYPE_CHECKING, Any

from tests.chaos.invariants import ENDED, check, delete_everything
from tests.chaos.world import arn_of, condition_of, status_of, until
from tests.e2e.objects import training_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.world import Body, Case, World

OPERATIONS = ("CreateTrainingJob", "DescribeTrainingJob", "ListTrainingJobs", "StopTrainingJob")
WHOLE = "no job lost, doubled or stopped; calls within budget; true within two sweeps after"
SLACK = 10.0
"""Seconds for delays of the machine, the API server and the harness."""
ERROR_PAUSE = 10.0
"""Longest pause of a sweep after errors, in seconds."""
ACCESS_DENIED = ("AccessDeniedException", 400)


@dataclasses.dataclass(frozen=True, slots=True)
class Storm:
    """Behaviour of the service for a limited time."""

    title: str
    seconds: float
    quota: float | None = None
    """Permitted calls a second of each of the operations."""
    operations: tuple[str, ...] = OPERATIONS
    error: tuple[str, int] | None = None
    """Code and HTTP status of every answer to them."""

    @property
    def is_denial(self) -> bool:
        return self.error == ACCESS_DENIED

    @property
    def pause(self) -> float:
        """Longest pause of a sweep after the end of the storm, in seconds."""
        return 0.0 if self.error is None or self.is_denial else ERROR_PAUSE

    def budget(self, seconds: float) -> float:
        """Permitted number of calls to one of the operations in this time, after the operator adapted to the quota."""
        return 12 + 3 * (self.quota or 0) * seconds


def _storms(quick: bool) -> Iterator[list[Storm]]:
    """The storms of one list share the same jobs."""
    short = 8.0 if quick else 20.0
    denied = [
        Storm(f"{operation} denied", 6 if quick else short, operations=(operation,), error=ACCESS_DENIED)
        for operation in OPERATIONS
    ]
    errors = [
        Storm("5xx", 10 if quick else 60, error=("InternalFailure", 500)),
        Storm("credentials expired", 5 if quick else short, error=("ExpiredTokenException", 400)),
    ]
    if quick:
        listing = Storm("List throttled at 1/s", short, 1, ("ListTrainingJobs",))
        yield [listing, Storm("everything throttled at 2/s", short, 2), *errors]
        yield denied[:2]
        yield denied[2:]
        return
    for rate in (1, 2, 10):
        each = [
            Storm(f"{operation.removesuffix('TrainingJob')} throttled at {rate}/s", short, rate, (operation,))
            for operation in OPERATIONS
        ]
        together = Storm(f"everything throttled at {rate}/s", short, rate)
        yield [*each, together, *(errors if rate == 10 else [])]
    yield denied


class Population:
    """Objects and their jobs, and those still available for a storm."""

    def __init__(self, case: Case, size: int) -> None:
        self._case = case
        self.size = size
        self._numbers = itertools.count()
        self.alive: list[str] = []
        self.deleted: set[str] = set()

    async def grow(self, count: int) -> list[str]:
        """Apply this number of further objects; returns their names."""
        names = [f"j{next(self._numbers)}" for _ in range(count)]
        gate = asyncio.Semaphore(20)

        async def apply(name: str) -> None:
            async with gate:
                body = training_job(self._case.job_name(name)) | {"metadata": {"name": name}}
                await self._case.create(body)

        await asyncio.gather(*map(apply, names))
        self.alive += names
        return names

    def take(self, count: int) -> list[str]:
        """Names of the oldest running ones."""
        taken, self.alive = self.alive[:count], self.alive[count:]
        return taken

    async def backlog(self) -> list[str]:
        """Names of objects and jobs whose status is not yet true."""
        jobs = {job["TrainingJobArn"]: job for job in await self._case.jobs()}
        behind = []
        for body in await self._case.objects():
            name, arn = body["metadata"]["name"], arn_of(body)
            if (
                not arn
                or arn not in jobs
                or jobs[arn]["TrainingJobStatus"] != status_of(body)
                or "deletionTimestamp" in body["metadata"]
            ):
                behind.append(name)
            jobs.pop(arn, None)
        return behind + [name for name, job in jobs.items() if job["TrainingJobStatus"] not in ENDED]


async def run(world: World) -> None:
    """All storms, or those with `world.only` in their title; each list of them has its own jobs and service."""
    async with asyncio.TaskGroup() as group:
        for number, storms in enumerate(_storms(world.quick), 1):
            chosen = [storm for storm in storms if world.only.lower() in storm.title.lower()]
            if chosen:
                group.create_task(_live_through(world, number, chosen))


async def _live_through(world: World, number: int, storms: list[Storm]) -> None:
    async with world.with_own_service() as own:
        await _live_there(own, number, storms)


async def _live_there(world: World, number: int, storms: list[Storm]) -> None:
    sweep = 1.0 if world.quick else 5.0
    pace = (f"--sweep-seconds={sweep}", "--create-tps=50", "--describe-tps=50", "--list-tps=5")
    size = 40 if world.quick else 500
    async with world.case(f"storms {number}", pace=pace) as case:
        await world.command("plan", name="*", phases="Starting:0.2,Training:inf")
        people = Population(case, size)
        await people.grow(size)
        case.operator.start(wait=False)
        await until("all jobs run", lambda: _none_behind(people), 240, 3.0)
        for storm in storms:
            await _weather(world, case, people, storm, sweep)
        problems = await check(case, good=people.alive, stopped={case.job_name(name) for name in people.deleted})
        problems += await delete_everything(case, seconds=180)
        title = f"after storms {number}: {len(storms)} of them over the same jobs"
        invariant = "one job each, status true, deletable"
        world.ledger.enter(title, invariant, injected=len(storms), jobs=size, problems=problems)


async def _none_behind(people: Population) -> bool:
    return not await people.backlog()


async def _weather(world: World, case: Case, people: Population, storm: Storm, sweep: float) -> None:
    few, many = max(2, people.size // 50), max(2, people.size // 20)
    counted = await world.command("counts")
    faults = await _begin(world, storm)
    ended, deleted = people.take(few), people.take(few)
    for name in ended:
        await case.console("complete", case.job_name(name))
    for name in deleted:
        await case.delete(name)
    people.deleted.update(deleted)
    await people.grow(many)
    await asyncio.sleep(storm.seconds / 2)
    half, halftime = await world.command("counts"), time.monotonic()
    await asyncio.sleep(storm.seconds / 2)
    problems = await _check_within(case, storm, ended, deleted)
    whole, budget = await world.command("counts"), storm.budget(time.monotonic() - halftime)
    await _end(world, storm, faults)
    began, behind = time.monotonic(), len(await people.backlog())
    limit = 2 * sweep + storm.pause + SLACK + world.room
    try:
        await until("every status is true", lambda: _none_behind(people), 400, 0.5)
    except TimeoutError:
        problems.append(f"still behind: {(await people.backlog())[:10]}")
    took = time.monotonic() - began
    if took > limit:
        problems.append(f"{behind} objects were behind, and it took {took:.0f} s to catch up, not {limit:.0f} s")
    late = {op: whole["operations"].get(op, 0) - half["operations"].get(op, 0) for op in storm.operations}
    problems += [
        f"{count} calls of {operation} in the second half of a storm of {storm.seconds:.0f} s"
        for operation, count in late.items()
        if storm.quota is not None and count > budget
    ]
    hits = sum(whole["errors"].values()) - sum(counted["errors"].values())
    world.ledger.announce(
        f"{storm.title}: {behind} behind, caught up in {took:.1f} s, calls in its second half: {late}"
    )
    invariant = f"{WHOLE} ({took:.0f} s)"
    problems = [f"    {problem}" for problem in problems]
    if problems:
        problems = ["\n".join([f"  storms:{storm.title}", *problems, case.report().splitlines()[-1]])]
    # A quota that the operator does not exhaust is no fault; the row counts without an injection.
    world.ledger.enter(
        storm.title, invariant, injected=hits, jobs=people.size, problems=problems, needed=storm.quota is None
    )


async def _begin(world: World, storm: Storm) -> list[int]:
    if storm.error is not None:
        code, status = storm.error
        every = ("*",) if storm.operations == OPERATIONS else storm.operations
        fault: dict[str, Any] = {"kind": "error", "code": code, "status": status, "message": "The storm denies it."}
        return [await world.command("fault", operation=operation, **fault) for operation in every]
    for operation in storm.operations:
        await world.command("quota", operation=operation, rate=storm.quota, burst=storm.quota)
    return []


async def _end(world: World, storm: Storm, faults: list[int]) -> None:
    for number in faults:
        await world.command("clear_faults", number=number)
    for operation in storm.operations if storm.quota is not None else ():
        await world.command("quota", operation=operation, rate=None)


async def _check_within(case: Case, storm: Storm, ended: list[str], deleted: list[str]) -> list[str]:
    """Check the status that users need during a denial."""
    if not storm.is_denial:
        return []
    deadline = time.monotonic() + case.world.room
    while (unreported := await _find_unreported(case, storm, ended, deleted)) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return unreported


async def _find_unreported(case: Case, storm: Storm, ended: list[str], deleted: list[str]) -> list[str]:
    match storm.operations:
        case ("ListTrainingJobs",) | ("DescribeTrainingJob",):
            unreported = [name for name in ended if status_of(await case.get(name)) != "Completed"]
            return [f"{name} has completed and its status differs, while {storm.title}" for name in unreported]
        case ("StopTrainingJob",):
            conditions = [condition_of(await case.get(name), "ACK.Recoverable") for name in deleted]
        case _:
            conditions = [condition_of(await case.get(name), "ACK.Recoverable") for name in await _uncreated(case)]
    if not conditions or any(_is_silent(condition) for condition in conditions):
        return [f"no condition reports that {storm.title}: {conditions}"]
    return []


async def _uncreated(case: Case) -> list[str]:
    return [body["metadata"]["name"] for body in await case.objects() if not arn_of(body)]


def _is_silent(condition: Body) -> bool:
    return condition.get("status") != "True" or condition.get("reason") != "AccessDenied"
