"""ResourceLimitExceeded is waiting: in line, one probe at a time, and free to be edited or deleted meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

from tests.chaos.invariants import check, delete_everything
from tests.chaos.trials import FOREVER, Trial, apply, count, plan, run_trials, wait_training
from tests.chaos.world import arn_of, condition_of, until
from tests.sagemaker import quotas

if TYPE_CHECKING:
    from tests.chaos.world import Body, Case, World

TYPE = "ml.m5.large"
PROBE_SECONDS = 60.0
WHOLE = "created in order when capacity frees; deleted at once; edits taken; one probe at a time"


async def run(world: World) -> None:
    await run_trials(world, "capacity", TRIALS)


async def _lack(case: Case, waiting: int) -> list[str]:
    """Room for two; the others wait, in order of their creation."""
    await case.world.command("settings", quotas={quotas.training(TYPE): 2})
    await plan(case, phases=FOREVER)
    names = [f"job{n}" for n in range(2 + waiting)]
    case.operator.start(wait=False)
    for name in names:
        await apply(case, name)
        if name in names[:2]:
            await wait_training(case, name)
        await asyncio.sleep(1.05)  # creation times are whole seconds
    await case.wait(names[2], "is refused for lack of capacity", _is_refused)
    for name in names[2:]:
        await case.wait(name, "stands in line, without a finalizer", _stands_in_line, 5)
    case.injected += waiting
    return names


def _is_refused(body: Body) -> bool:
    return bool(condition_of(body, "ACK.Recoverable").get("reason") == "ResourceLimitExceeded")


def _stands_in_line(body: Body) -> bool:
    """It waits and can go at once: the finalizer that a probe takes is given up when the probe was refused."""
    return condition_of(body, "Ready").get("reason") == "Waiting" and not body["metadata"].get("finalizers")


async def _wait_in_order(case: Case) -> list[str]:
    names = await _lack(case, 4)
    problems = []
    # The second in line goes at once, though there is nothing for it to wait for.
    began = time.monotonic()
    await case.delete("job3")
    await case.wait_gone("job3", 3)
    case.world.ledger.say(f"{case.name}: deletion while waiting took {time.monotonic() - began:.2f} s")
    await case.patch("job4", {"spec": {"hyperParameters": {"epochs": "9"}}})
    for free, served in (("job0", "job2"), ("job1", "job4"), ("job2", "job5")):
        await case.console("complete", case.job_name(free))
        await case.wait(served, "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
        later = [name for name in names[names.index(served) + 1 :] if arn_of(await case.get(name))]
        problems += [f"{name} came before {served}" for name in later]
    job = await case.job(case.job_name("job4"))
    if job is None or job["request"].get("HyperParameters") != {"epochs": "9"}:
        problems.append("the edit of a waiting object was not taken")
    problems += await _count_probes(case, names)
    problems += await check(case, good=["job0", "job1", "job2", "job4", "job5"])
    return problems + await delete_everything(case)


async def _count_probes(case: Case, names: list[str]) -> list[str]:
    """Refused creates come alone, at least some seconds apart."""
    refused = []
    for name in names:
        refused += [call["at"] for call in await case.calls(case.job_name(name), "CreateTrainingJob") if call["error"]]
    refused.sort()
    first = refused[0] if refused else 0.0
    probes = [
        at for at in refused if at > first + 2.0 + case.world.room
    ]  # what was under way with the first is no probe
    close = [later - earlier for earlier, later in itertools.pairwise(probes) if later - earlier < 2.0]
    return [f"{len(close)} probes within two seconds of another"] if close else []


async def _crash_while_waiting(case: Case) -> list[str]:
    """The line is in memory alone: after a kill it stands again, in the same order."""
    names = await _lack(case, 2)
    await asyncio.to_thread(case.operator.kill)
    case.injected += 1
    refused = await count(case, names[2], "CreateTrainingJob")
    case.operator.start(wait=False)

    async def tried_again() -> bool:
        return await count(case, names[2], "CreateTrainingJob") > refused

    async def stands_again() -> bool:
        waiting = await asyncio.to_thread(case.operator.metric, "trainingjob_waiting_jobs")
        return sum(waiting.values()) == 2  # nobody's attempt is under way, which might come first

    # A kill in the middle of a probe leaves an attempt that has to be settled first.
    await until("the first in line has tried again", tried_again, PROBE_SECONDS + case.world.room)
    await until("both stand in line", stands_again, PROBE_SECONDS + case.world.room, 0.5)
    await case.console("complete", case.job_name("job0"))
    await case.wait("job2", "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
    problems = ["job3 has one too"] if arn_of(await case.get("job3")) else []
    await case.world.command("settings", quotas={})
    await case.wait("job3", "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
    problems += [
        f"{name} was created {times} times"
        for name in names
        if (times := await count(case, name, "CreateTrainingJob", effect=True)) != 1
    ]
    problems += await check(case, good=names)
    return problems + await delete_everything(case)


async def _delete_all_waiting(case: Case) -> list[str]:
    """A whole namespace of waiting objects goes without a call to AWS."""
    names = await _lack(case, 3)
    for name in names[2:]:
        await case.delete(name)

    async def gone() -> bool:
        return len(await case.objects()) == 2

    await until("all that waited are gone", gone, 5 + case.world.room)
    problems = [f"{name} was stopped" for name in names[2:] if await count(case, name, "StopTrainingJob")]
    return problems + await delete_everything(case)


TRIALS = (
    Trial("instance quota used up", WHOLE, _wait_in_order, jobs=6, own_service=True),
    Trial("kill -9 while some wait for capacity", "the line stands again", _crash_while_waiting, 4, own_service=True),
    Trial("waiting objects deleted", "gone at once, no call", _delete_all_waiting, jobs=5, own_service=True),
)
