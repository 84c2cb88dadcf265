"""Two replicas and a Lease: leadership, takeover, and a former leader without effects."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from tests.chaos.invariants import check, delete_everything
from tests.chaos.trials import Trial, apply, plan, run_trials
from tests.chaos.world import Refused, until

if TYPE_CHECKING:
    from tests.chaos.world import Case, HarassedOperator, World

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/trainingjob-operator.sagemaker.services.k8s.aws"
TAKEOVER_SECONDS = 20.0
HANDOVER_SECONDS = 2.0
WAKE_SECONDS = 1.0
LOAD = 20
WHOLE = "one job per object, none lost, doubled, orphaned or stopped; status true; deletable"


async def run(world: World) -> None:
    await run_trials(world, "availability", TRIALS)


async def _holder(case: Case) -> str:
    try:
        lease = await case.world.api("GET", LEASES.format(case.namespace))
    except Refused:
        return ""
    return str(lease["spec"].get("holderIdentity") or "")


async def _start_two(case: Case) -> tuple[HarassedOperator, HarassedOperator, str]:
    """Start the leader on the case's roads, the standby beside them."""
    flags = ("--enable-leader-election", f"--leader-election-namespace={case.namespace}")
    leader, standby = case.operator, case.new_operator(*flags, roads=False)
    await asyncio.to_thread(leader.start)
    holder: str = await until("a replica leads", lambda: _holder(case), 20 + case.world.room)
    await asyncio.to_thread(standby.start)  # returns once it is ready: a standby is
    return leader, standby, holder


async def _time_takeover(case: Case, old: str, limit: float) -> tuple[float, list[str]]:
    began = time.monotonic()

    async def taken() -> bool:
        holder = await _holder(case)
        return bool(holder) and holder != old

    limit += case.world.room
    await until("another replica leads", taken, limit + 20, 0.05)
    took = time.monotonic() - began
    case.world.ledger.announce(f"{case.name}: another replica led after {took:.1f} s")
    return took, [] if took <= limit else [f"the takeover took {took:.1f} s, not {limit:.0f} s"]


async def _load(case: Case) -> list[str]:
    names = [f"job{n}" for n in range(LOAD)]
    await plan(case, phases="Starting:0.2,Training:6,Completed")
    await apply(case, *names)
    return names


async def _finish(case: Case, names: list[str], problems: list[str]) -> list[str]:
    for name in names:
        await case.wait_status(name, "Completed", 90)
    problems += await check(case, good=names)
    return problems + await delete_everything(case)


async def _kill_leader(case: Case) -> list[str]:
    leader, _, holder = await _start_two(case)
    names = await _load(case)
    await asyncio.sleep(0.4)
    leader.process.kill()
    case.injected += 1
    _, problems = await _time_takeover(case, holder, TAKEOVER_SECONDS)
    return await _finish(case, names, problems)


async def _end_leader(case: Case) -> list[str]:
    leader, _, holder = await _start_two(case)
    names = await _load(case)
    await asyncio.sleep(0.4)
    leader.process.send_signal(signal.SIGTERM)
    case.injected += 1
    _, problems = await _time_takeover(case, holder, HANDOVER_SECONDS)
    return await _finish(case, names, problems)


async def _freeze_leader(case: Case) -> list[str]:
    """SIGSTOP for longer than the Lease lasts: the process must not act after it resumes."""
    leader, _, holder = await _start_two(case)
    names = await _load(case)
    await asyncio.sleep(0.4)
    os.kill(leader.process.pid, signal.SIGSTOP)
    case.injected += 1
    _, problems = await _time_takeover(case, holder, TAKEOVER_SECONDS)
    seen = len(case.trace.lines)
    os.kill(leader.process.pid, signal.SIGCONT)
    problems += await _watch_former_leader(case, leader, seen)
    return await _finish(case, names, problems)


async def _watch_former_leader(case: Case, old: HarassedOperator, seen: int) -> list[str]:
    """Watch the roads of the case: from now on only the former leader uses them.

    A patch in progress at the time of the stop leaves after SIGCONT: its resourceVersion lets the API server reject it
    if the new leader wrote since.
    """

    async def is_awake() -> bool:
        return set((await asyncio.to_thread(old.metric, "trainingjob_leading")).values()) == {0.0}

    await until("the former leader reports that it lost leadership", is_awake, 10 * WAKE_SECONDS + case.world.room)
    await asyncio.sleep(WAKE_SECONDS)
    awake = len(case.trace.lines)
    await asyncio.sleep(5)
    harmless = ("leases", "events", "ListTrainingJobs", "DescribeTrainingJob", "ListTags")
    acts = [line for line in case.trace.lines[seen:] if not any(name in line for name in harmless)]
    late = [line for line in case.trace.lines[awake:] if line in acts]
    return [f"the former leader continued: {act.strip()}" for act in acts if act in late or "PATCH" not in act]


async def _rotate(case: Case) -> list[str]:
    """Kill leader after leader while jobs are applied."""
    leader, standby, holder = await _start_two(case)
    names, problems = [], []
    await plan(case, phases="Starting:0.2,Training:6,Completed")
    for round_ in range(1 if case.world.quick else 3):
        more = [f"job{round_}-{n}" for n in range(5)]
        await apply(case, *more)
        names += more
        await asyncio.sleep(case.world.chance(case.name, round_).uniform(0.0, 1.0))
        leader.process.kill()
        case.injected += 1
        _, late = await _time_takeover(case, holder, TAKEOVER_SECONDS)
        problems += late
        holder = await _holder(case)
        await asyncio.to_thread(leader.start)
        leader, standby = standby, leader
    return await _finish(case, names, problems)


TRIALS = tuple(
    Trial(title, f"{invariant}; {WHOLE}", act, jobs=LOAD, flags=("--enable-leader-election",))
    for title, act, invariant in (
        ("kill -9 of the leader under load", _kill_leader, "takeover within 20 s"),
        ("SIGTERM of the leader under load", _end_leader, "takeover within 2 s"),
        ("SIGSTOP of the leader for longer than its Lease", _freeze_leader, "the former leader stops acting"),
        ("leader after leader killed", _rotate, "takeover within 20 s"),
    )
)
