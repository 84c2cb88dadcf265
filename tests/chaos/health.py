"""Health endpoints: alive during any fault of AWS and the API server, unhealthy once a loop hangs."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from aiohttp import web

from tests.chaos.invariants import check, delete_everything
from tests.chaos.road import CutError
from tests.chaos.trials import Trial, apply, run_trials, start_running, wait_training
from tests.chaos.world import status_of, until
from trainingjob_operator.aws.credentials import READING_TIMEOUTS
from trainingjob_operator.kube.objects import PAGE_SIZE
from trainingjob_operator.process import STUCK_SECONDS, WATCH_SECONDS
from trainingjob_operator.sweeper import STUCK_SECONDS as SWEEP_STUCK_SECONDS

if TYPE_CHECKING:
    from tests.chaos.road import Passage
    from tests.chaos.world import Case, World

ALIVE = "/healthz stays 200, the status is true afterwards"
BEAT_SECONDS = 30.0
"""/healthz must fail after a loop was silent for this time."""
SLOW_LIST_SECONDS = 75.0
"""No loop completes a round within this time."""


async def run(world: World) -> None:
    await run_trials(world, "health", TRIALS)


async def _ask(case: Case, path: str) -> int:
    return (await asyncio.to_thread(case.operator.ask, path))[0]


async def _stays_alive(case: Case, seconds: float) -> list[str]:
    problems = []
    for _ in range(int(seconds)):
        if (status := await _ask(case, "healthz")) != 200:
            problems.append(f"/healthz answered {status}")
        if (status := await _ask(case, "readyz")) != 200:
            problems.append(f"/readyz answered {status}, although the first list was done")
        await asyncio.sleep(1)
    return sorted(set(problems))


async def _without(case: Case, road: str) -> list[str]:
    await start_running(case, "ends", "stays")

    async def before(passage: Passage) -> None:
        if passage.road == road:
            case.injected += 1
            raise CutError

    case.hooks.before = before
    if road == "kubernetes":
        case.hooks.read = lambda _request: _cut()
    await case.console("complete", case.job_name("ends"))
    problems = await _stays_alive(case, BEAT_SECONDS + 10)
    case.hooks.before = case.hooks.read = None
    await case.wait_status("ends", "Completed", 60)
    problems += await check(case, good=["ends", "stays"])
    return problems + await delete_everything(case)


async def _cut() -> web.Response:
    raise CutError


async def _without_aws(case: Case) -> list[str]:
    return await _without(case, "aws")


async def _without_api_server(case: Case) -> list[str]:
    return await _without(case, "kubernetes")


async def _forbid(case: Case, request: web.BaseRequest) -> web.Response | None:
    """Answer 403 to a watch of TrainingJobs."""
    if "watch=true" not in request.query_string or "trainingjobs" not in request.path:
        return None
    case.injected += 1
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
    return web.json_response(body, status=403)


async def _end_kopf(case: Case) -> list[str]:
    """A watch answered with 403 ends kopf.operator(): the operator restarts it and reports the missed changes to it."""
    await start_running(case, "old")

    case.hooks.read = functools.partial(_forbid, case)
    case.kube_road.cut()

    async def restarted() -> bool:
        return sum(case.operator.metric("trainingjob_watch_restarts_total").values()) >= 1

    await until("the watch was started again", restarted, 60 + case.world.room, 0.5)
    case.hooks.read = None
    await apply(case, "new")
    await wait_training(case, "new", 60)
    problems = await check(case, good=["old", "new"])
    return problems + await delete_everything(case)


async def _refuse_watch(case: Case) -> list[str]:
    """Kopf ends repeatedly and is restarted after growing delays, because a restart of the Pod would not help."""
    await start_running(case, "old")
    case.hooks.read = functools.partial(_forbid, case)
    case.kube_road.cut()
    problems = await _stays_alive(case, 90)
    case.hooks.read = None
    await apply(case, "new")
    await wait_training(case, "new", 60)
    return problems + await check(case, good=["old", "new"]) + await delete_everything(case)


async def _hang(case: Case, loop: str, title: str, seconds: float) -> list[str]:
    """One loop hangs; a restarted process continues its work."""
    await start_running(case, "old")
    problems = [] if await _is_good(case, "healthz") else ["/healthz was not 200 before"]
    case.operator.hang(loop)
    case.injected += 1
    for number in range(4):  # more than the number of workers
        await apply(case, f"new{number}")

    async def is_reported() -> bool:
        status, text = await asyncio.to_thread(case.operator.ask, "healthz")
        return status == 503 and text.startswith(f"Loop {title} ")

    await until(f"/healthz reports that the {title} hangs", is_reported, seconds + 30 + case.world.room, 1)
    if await _ask(case, "readyz") != 200:
        problems.append("/readyz was not 200")
    await case.restart()
    for number in range(4):
        await wait_training(case, f"new{number}")
    return problems + await check(case, good=["old", "new0", "new3"]) + await delete_everything(case)


async def _wait_for_the_first_list(case: Case) -> list[str]:
    """Not ready before the first list is done, but alive."""
    gate = asyncio.Event()

    async def hold(request: web.BaseRequest) -> web.Response | None:
        if (
            request.path.endswith("/trainingjobs")
            and f"limit={PAGE_SIZE}" in request.query_string
            and not gate.is_set()
        ):
            case.injected += 1
            await gate.wait()
        return None

    case.hooks.read = hold
    await apply(case, "job")
    case.operator.start(wait=False)
    await until("the first list hangs", lambda: _is_injected(case), 30 + case.world.room)
    await until("it lives", lambda: _is_good(case, "healthz"), 30 + case.world.room)
    problems = [] if await _ask(case, "readyz") == 503 else ["/readyz was 200 before the first list"]
    if not case.world.quick:
        await asyncio.sleep(SLOW_LIST_SECONDS)
        problems += [] if await _is_good(case, "healthz") else ["/healthz was not 200 before the first list"]
    gate.set()
    await case.ready()
    await case.wait("job", "has a job", lambda body: bool(status_of(body)))
    return problems + await delete_everything(case)


async def _is_injected(case: Case) -> bool:
    return case.injected > 0


async def _is_good(case: Case, path: str) -> bool:
    return await _ask(case, path) == 200


TRIALS = (
    Trial("AWS can't be reached for 40 s", ALIVE, _without_aws, jobs=2, idle=True),
    Trial("the API server can't be reached for 40 s", ALIVE, _without_api_server, jobs=2, idle=True),
    Trial("kopf.operator() ends", "started again; no change missed", _end_kopf, jobs=2),
    Trial("the watch is refused for 90 s", ALIVE, _refuse_watch, jobs=2, slow=True, idle=True),
    Trial("the first list hangs", "/readyz waits for it, /healthz does not", _wait_for_the_first_list, idle=True),
    *(
        Trial(
            f"a loop hangs: {loop}",
            "/healthz fails and names it; a restarted process continues",
            functools.partial(_hang, loop=loop, title=title, seconds=seconds),
            jobs=5,
            flags=("--enable-leader-election", "--max-concurrent-reconciles=2"),
            slow=True,
            idle=True,
        )
        for loop, title, seconds in (
            ("kopf", "watch", WATCH_SECONDS),
            ("sweep", "sweep", 30.0),
            ("sweep of *", "sweep", 30.0 + SWEEP_STUCK_SECONDS + READING_TIMEOUTS.read),
            ("worker *", "queue", STUCK_SECONDS + READING_TIMEOUTS.read),
            ("leader election", "elector", 30.0),
        )
    ),
)
