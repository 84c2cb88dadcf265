"""ResourceLimitExceeded means waiting: in a queue, with one probe at a time; edits and deletions stay possible."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

from tests.chaos.invariants import check, delete_everything
from tests.chaos.trials import FOREVER, Trial, apply, count, plan, run_trials, wait_training
from tests.chaos.world import arn_of, condition_of, until
from tests.e2e.operator_process import QUICK
from tests.sagemaker import quotas

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.world import Body, Case, World

TYPE = "ml.m5.large"
LARGE, OTHER, ABSENT = "ml.g4dn.xlarge", "ml.c5.xlarge", "ml.p3.2xlarge"
SPOT = {"enableManagedSpotTraining": True, "stoppingCondition": {"maxRuntimeInSeconds": 60, "maxWaitTimeInSeconds": 60}}
PROBE_SECONDS = 60.0
GOOD_SECONDS = 10.0
"""Limit for a valid object: some turns at one Create a second."""
STORM_SIZE = 30
WHOLE = "created in order when capacity frees; deleted at once; edits accepted; one probe at a time"


async def run(world: World) -> None:
    await run_trials(world, "capacity", TRIALS)


async def _lack(case: Case, waiting: int) -> list[str]:
    """Capacity for two; the others wait, in order of their creation."""
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
        await case.wait(name, "waits in the queue, without a finalizer", _waits_in_queue, 5)
    case.injected += waiting
    return names


def _is_refused(body: Body) -> bool:
    return bool(condition_of(body, "ACK.Recoverable").get("reason") == "ResourceLimitExceeded")


def _waits_in_queue(body: Body) -> bool:
    """It waits and can be deleted at once: the operator removes the finalizer after a rejected probe."""
    return condition_of(body, "Ready").get("reason") == "Waiting" and not body["metadata"].get("finalizers")


async def _wait_in_order(case: Case) -> list[str]:
    names = await _lack(case, 4)
    problems = []
    # The second in the queue is deleted at once, because its deletion has nothing to wait for.
    began = time.monotonic()
    await case.delete("job3")
    await case.wait_gone("job3", 3)
    case.world.ledger.announce(f"{case.name}: deletion while waiting took {time.monotonic() - began:.2f} s")
    await case.patch("job4", {"spec": {"hyperParameters": {"epochs": "9"}}})
    for free, served in (("job0", "job2"), ("job1", "job4"), ("job2", "job5")):
        await case.console("complete", case.job_name(free))
        await case.wait(served, "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
        later = [name for name in names[names.index(served) + 1 :] if arn_of(await case.get(name))]
        problems += [f"{name} came before {served}" for name in later]
    job = await case.job(case.job_name("job4"))
    if job is None or job["request"].get("HyperParameters") != {"epochs": "9"}:
        problems.append("the edit of a waiting object had no effect")
    problems += await _count_probes(case, names)
    problems += await check(case, good=["job0", "job1", "job2", "job4", "job5"])
    return problems + await delete_everything(case)


async def _count_probes(case: Case, names: list[str]) -> list[str]:
    """Rejected creates come one at a time, at least some seconds apart."""
    refused = []
    for name in names:
        refused += [call["at"] for call in await case.calls(case.job_name(name), "CreateTrainingJob") if call["error"]]
    refused.sort()
    first = refused[0] if refused else 0.0
    # Creates concurrent with the first one are no probes.
    probes = [at for at in refused if at > first + 2.0 + case.world.room]
    close = [later - earlier for earlier, later in itertools.pairwise(probes) if later - earlier < 2.0]
    return [f"{len(close)} probes within two seconds of another"] if close else []


async def _crash_while_waiting(case: Case) -> list[str]:
    """The queue is in memory only: after a kill the operator rebuilds it in the same order."""
    names = await _lack(case, 2)
    await asyncio.to_thread(case.operator.kill)
    case.injected += 1
    refused = await count(case, names[2], "CreateTrainingJob")
    case.operator.start(wait=False)

    async def tried_again() -> bool:
        return await count(case, names[2], "CreateTrainingJob") > refused

    async def is_queued_again() -> bool:
        waiting = await asyncio.to_thread(case.operator.metric, "trainingjob_waiting_jobs")
        return sum(waiting.values()) == 2  # no attempt is in progress that might precede

    # A kill in the middle of a probe leaves an attempt; the operator settles it first.
    await until("the first in the queue retried", tried_again, PROBE_SECONDS + case.world.room)
    await until("both wait in the queue", is_queued_again, PROBE_SECONDS + case.world.room, 0.5)
    await case.console("complete", case.job_name("job0"))
    await case.wait("job2", "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
    problems = ["job3 has its job too"] if arn_of(await case.get("job3")) else []
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
    """A whole namespace of waiting objects is deleted without a call to AWS."""
    names = await _lack(case, 3)
    for name in names[2:]:
        await case.delete(name)

    async def gone() -> bool:
        return len(await case.objects()) == 2

    await until("all waiting objects are gone", gone, 5 + case.world.room)
    problems = [f"{name} was stopped" for name in names[2:] if await count(case, name, "StopTrainingJob")]
    return problems + await delete_everything(case)


async def _serve_mixed_quotas(case: Case) -> list[str]:
    """Jobs that can never fit come first; each quota has its own queue, and a job that fits waits for none of the
    others.
    """
    limits = {quotas.training(TYPE): 2, quotas.spot(TYPE): 0, quotas.training(LARGE): 4, quotas.INSTANCES: 6}
    await case.world.command("settings", quotas=limits, unavailable_types=[ABSENT])
    await plan(case, phases=FOREVER)
    case.operator.start(wait=False)
    never: dict[str, tuple[str, int, Body]] = {
        "spot": (TYPE, 1, SPOT),
        "many": (LARGE, 8, {}),
        "all": (OTHER, 7, {}),
        "absent": (ABSENT, 1, {}),
    }
    for name, (kind, instances, more) in never.items():
        await apply(case, name, resourceConfig=_resources(kind, instances), **more)
    reasons = {"absent": "Refused"}
    for name in never:
        reason = reasons.get(name, "QuotaTooSmall")
        await case.wait(name, reason, _has_reason(reason))
    case.injected += len(never)
    for name, kind in (("a0", TYPE), ("a1", TYPE), ("b0", LARGE), ("b1", LARGE)):
        await apply(case, name, resourceConfig=_resources(kind))
        await wait_training(case, name, GOOD_SECONDS + case.world.room)
    await apply(case, "a2", resourceConfig=_resources(TYPE))
    await case.wait("a2", "is refused for lack of capacity", _is_refused)
    for name, kind in (("b2", LARGE), ("c0", OTHER)):
        await apply(case, name, resourceConfig=_resources(kind))
        await wait_training(case, name, GOOD_SECONDS + case.world.room)
    await case.console("complete", case.job_name("a0"))
    await case.wait("a2", "has its job", lambda body: bool(arn_of(body)), PROBE_SECONDS + 15)
    problems = [f"{name} has a job" for name in never if arn_of(await case.get(name))]
    problems += await check(case, good=["a0", "a1", "a2", "b0", "b1", "b2", "c0"])
    return problems + await delete_everything(case)


def _has_reason(reason: str) -> Callable[[Body], bool]:
    return lambda body: bool(condition_of(body, "Ready").get("reason") == reason)


def _resources(kind: str, instances: int = 1) -> Body:
    return {"instanceType": kind, "instanceCount": instances, "volumeSizeInGB": 5}


def _storm(fault: Body) -> Trial:
    """Every Create of many objects gets this answer, and a valid object is created within seconds."""

    async def act(case: Case) -> list[str]:
        glob = case.job_name("bad")
        number = await case.world.command("fault", operation="CreateTrainingJob", job=f"{glob}*", **fault)
        await plan(case, phases=FOREVER)
        case.operator.start(wait=False)
        bad = [f"bad{n}" for n in range(STORM_SIZE)]
        await apply(case, *bad)

        async def each_was_tried() -> bool:
            return bool(await case.world.command("hits", number=number) >= STORM_SIZE)

        await until("each was tried", each_was_tried, 90 + case.world.room, 0.5)
        good = [f"good{n}" for n in range(3)]
        for name in good:
            began = time.monotonic()
            await apply(case, name)
            await case.wait(name, "has its job", lambda body: bool(arn_of(body)), GOOD_SECONDS + case.world.room)
            case.world.ledger.announce(f"{case.name}: created after {time.monotonic() - began:.2f} s")
        case.injected += await case.world.command("hits", number=number)
        await case.world.command("clear_faults", number=number)
        problems = await check(case, good=good)
        return problems + await delete_everything(case)

    title = f"a storm of {fault.get('reason') or fault['code']} answers to Create"
    flags = ("--create-tps=1",)
    return Trial(title, "a good object is created within seconds", act, STORM_SIZE + 3, pace=(*QUICK, *flags))


TRIALS = (
    Trial("instance quota used up", WHOLE, _wait_in_order, jobs=6, own_service=True),
    Trial(
        "kill -9 while some wait for capacity",
        "the queue has the same order",
        _crash_while_waiting,
        4,
        own_service=True,
    ),
    Trial(
        "mixed quotas",
        "each quota is served; an object that never fits blocks no other",
        _serve_mixed_quotas,
        11,
        own_service=True,
    ),
    _storm({"kind": "refuse", "reason": "data"}),
    _storm({"kind": "error", "code": "AccessDeniedException", "status": 400, "message": "The storm denies it."}),
    _storm({"kind": "error", "code": "InternalFailure", "status": 500}),
    Trial("waiting objects deleted", "removed at once, without a call", _delete_all_waiting, jobs=5, own_service=True),
)
