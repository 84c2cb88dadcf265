"""Faults of the API server, its clients and its users."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.chaos.invariants import check, delete_everything
from tests.chaos.lives import LIVES, live
from tests.chaos.road import KUBERNETES
from tests.chaos.trials import Trial, apply, count, run_trials, start_running, wait_training
from tests.chaos.world import Refused, condition_of, until
from tests.crds.installation import NAME as CRD
from tests.crds.installation import install_crd

if TYPE_CHECKING:
    from tests.chaos.road import Passage
    from tests.chaos.world import Body, Case, World

WHOLE = "one job per object, none lost, doubled, orphaned or stopped; status true; deletable"
RELIST_SECONDS = 360.0
"""The operator lists all objects again within this time."""


async def run(world: World) -> None:
    """Faults of one operator alone."""
    await run_trials(world, "kubernetes", ALONE)


async def run_without_api_server(world: World) -> None:
    """Faults of the API server, or of the kind, for all cases: one after the other, with no other case beside them."""
    await run_trials(world, "api_server", TOGETHER, one_by_one=True)


# -- with the shared API server ---------------------------------------------------------------------------------------


async def _lose_apiserver(case: Case, seconds: float) -> list[str]:
    running, new = [f"old{n}" for n in range(4)], [f"new{n}" for n in range(4)]
    await start_running(case, *running)
    await apply(case, *new)
    cluster = case.world.cluster
    await asyncio.to_thread(cluster.kill_apiserver)
    case.injected += 1
    await case.console("complete", case.job_name("old0"))
    await case.console("stop", case.job_name("old1"))
    await asyncio.sleep(seconds)
    problems = await _is_alive(case)
    await asyncio.to_thread(cluster.restart_apiserver)
    await case.wait_status("old0", "Completed", 60)
    await case.wait_status("old1", "Stopped", 60)
    for name in new:
        await wait_training(case, name)
    await apply(case, "last")
    await wait_training(case, "last")
    return problems + await _finish(case, good=[*running, *new, "last"], stopped=["old1"])


async def _is_alive(case: Case) -> list[str]:
    """The process stays alive, because a restart would help nothing."""
    status, text = await asyncio.to_thread(case.operator.ask, "healthz")
    return [] if status == 200 else [f"/healthz answered {status} {text!r}"]


async def _lose_apiserver_shortly(case: Case) -> list[str]:
    return await _lose_apiserver(case, 1.0)


async def _lose_apiserver_long(case: Case) -> list[str]:
    return await _lose_apiserver(case, 5.0 if case.world.quick else 60.0)


async def _compact(case: Case) -> list[str]:
    """History is compacted while the operator has no watch: it cannot continue at its last version."""
    await start_running(case, "old")
    cluster = case.world.cluster
    with case.operator.paused():
        await apply(case, "new")
        await asyncio.to_thread(cluster.compact)
        await asyncio.to_thread(cluster.restart_apiserver)
        await apply(case, "newer")
        await asyncio.to_thread(cluster.compact)
    case.injected += 2
    await wait_training(case, "new", 90)
    await wait_training(case, "newer", 90)
    return await _finish(case, good=["old", "new", "newer"])


async def _lose_crd(case: Case) -> list[str]:
    """The kind is deleted with all objects, and a backup is applied, as new objects."""
    await start_running(case, "done", "runs")
    await case.console("complete", case.job_name("done"))
    await case.wait("done", "has no finalizer", lambda body: not body["metadata"].get("finalizers"))
    backup = [_backup(body) for body in await case.objects()]
    cluster = case.world.cluster
    await asyncio.to_thread(cluster.kubectl, "delete", "crd", CRD, "--wait=true", timeout=120)
    case.injected += 1
    await asyncio.to_thread(install_crd, cluster)
    for body in backup:
        await case.create(body)
    await case.wait_status("done", "Completed", 120)
    await case.wait("runs", "has a condition with the cause", _is_refused, 120)
    problems = [
        f"CreateTrainingJob took effect {times} times for {name}"
        for name in ("done", "runs")
        if (times := await count(case, name, "CreateTrainingJob", effect=True)) != 1
    ]
    return problems + await delete_everything(case)


def _backup(body: Body) -> Body:
    kept = {key: body[key] for key in ("apiVersion", "kind", "spec")}
    return kept | {"metadata": {"name": body["metadata"]["name"]}}


def _is_refused(body: Body) -> bool:
    return bool(condition_of(body, "ACK.Terminal").get("status") == "True")


# -- with one operator's own road -------------------------------------------------------------------------------------


async def _idle_watch(case: Case) -> list[str]:
    """The connection is open and no event arrives: only a list finds changes."""
    await start_running(case, "old")
    case.kube_road.swallow()
    case.injected += 1
    await apply(case, "unheard")
    if case.world.quick:
        await asyncio.sleep(3)
        case.kube_road.resume()
    await wait_training(case, "unheard", RELIST_SECONDS)
    case.kube_road.resume()
    return await _finish(case, good=["old", "unheard"])


async def _refuse_writes(case: Case, status: int, reason: str) -> list[str]:
    chance = case.world.chance(case.name)

    async def before(passage: Passage) -> web.Response | None:
        if passage.road != KUBERNETES or chance.random() > 0.4:
            return None
        case.injected += 1
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
        return web.json_response(body, status=status, headers={"Retry-After": "1"})

    case.hooks.before = before
    return await live(LIVES[2], case)


async def _conflicts(case: Case) -> list[str]:
    return await _refuse_writes(case, 409, "Conflict")


async def _too_many(case: Case) -> list[str]:
    return await _refuse_writes(case, 429, "TooManyRequests")


async def _unavailable(case: Case) -> list[str]:
    return await _refuse_writes(case, 503, "ServiceUnavailable")


async def _reapply(case: Case) -> list[str]:
    """kubectl replace --force: the job of the first object is still stopping, and keeps its name after the stop."""
    return await _replace(case)


async def _force(case: Case) -> list[str]:
    """Flux with force: a rejected edit deletes the object and creates a new one."""
    await start_running(case, "job")
    refused = False
    try:
        await case.patch("job", {"spec": {"hyperParameters": {"epochs": "7"}}})
    except Refused as error:
        refused = error.status == 422
    problems = [] if refused else ["an edit that SageMaker cannot apply was accepted"]
    return problems + await _replace(case, hyperParameters={"epochs": "7"}, started=True)


async def _replace(case: Case, *, started: bool = False, **spec: Any) -> list[str]:
    if not started:
        await start_running(case, "job")
    await case.delete("job")
    case.injected += 1

    async def applied() -> bool:
        try:
            await apply(case, "job", **spec)
        except Refused as error:
            if error.status != 409:
                raise
            return False
        return True

    await until("a new object is accepted", applied, 60 + case.world.room, 0.05)
    body = await case.wait("job", "has a condition with the cause", _is_refused)
    message = condition_of(body, "ACK.Terminal")["message"]
    problems = [] if "another spec.trainingJobName" in message else [f"the message names no remedy: {message}"]
    if (times := await count(case, "job", "CreateTrainingJob", effect=True)) != 1:
        problems.append(f"CreateTrainingJob took effect {times} times")
    return problems + await delete_everything(case, seconds=10)


async def _strip_finalizer(case: Case) -> list[str]:
    """A user removes it while the job runs; a deletion still stops the job."""
    await start_running(case, "job")
    await case.patch("job", {"metadata": {"finalizers": []}})
    case.injected += 1
    await case.wait("job", "holds the finalizer again", lambda body: bool(body["metadata"].get("finalizers")))
    return await _finish(case, good=["job"])


async def _delete_namespace(case: Case) -> list[str]:
    names = [f"job{n}" for n in range(4)]
    await start_running(case, *names)
    await case.world.api("DELETE", f"/api/v1/namespaces/{case.namespace}")
    case.injected += 1

    async def gone() -> bool:
        with contextlib.suppress(Refused):
            await case.world.api("GET", f"/api/v1/namespaces/{case.namespace}")
            return False
        return True

    await until("the namespace is gone", gone, 90 + case.world.room, 0.5)
    states = {job["TrainingJobName"]: job["TrainingJobStatus"] for job in await case.jobs()}
    return [f"{name} is {state}" for name, state in states.items() if state != "Stopped"]


async def _stand_still(case: Case) -> list[str]:
    """SIGSTOP: the clocks of the process jump."""
    await start_running(case, "old", "ends")
    with case.operator.paused():
        case.injected += 1
        await apply(case, "new")
        await case.console("complete", case.job_name("ends"))
        await asyncio.sleep(5.0 if case.world.quick else 40.0)
    await case.wait_status("ends", "Completed")
    await wait_training(case, "new")
    return await _finish(case, good=["old", "ends", "new"])


async def _other_clock(case: Case) -> list[str]:
    """SageMaker's clock is an hour ahead of the operator's."""
    await case.world.command("advance", seconds=3600)
    case.injected += 1
    return await live(LIVES[0], case)


async def _slow_clock(case: Case) -> list[str]:
    """SageMaker's clock is an hour behind."""
    await case.world.command("advance", seconds=-3600)
    case.injected += 1
    return await live(LIVES[0], case)


async def _finish(case: Case, *, good: list[str], stopped: list[str] | None = None) -> list[str]:
    """Check the remaining objects, and delete all of them."""
    problems = await check(case, good=good, stopped={case.job_name(name) for name in stopped or ()})
    return problems + await delete_everything(case)


ALONE = (
    Trial("watch silently idle", WHOLE, _idle_watch, jobs=2, idle=True),
    Trial("409 on 4 of 10 writes", WHOLE, _conflicts),
    Trial("429 on 4 of 10 writes", WHOLE, _too_many),
    Trial("503 on 4 of 10 writes", WHOLE, _unavailable),
    Trial("deleted and applied again at once", "one job; a condition of the new object has the cause", _reapply),
    Trial("Flux force after a refused edit", "one job; a condition of the new object has the cause", _force),
    Trial("finalizer removed by hand", WHOLE, _strip_finalizer),
    Trial("namespace deleted with live jobs", "every job stopped, the namespace gone", _delete_namespace, jobs=4),
    Trial("SIGSTOP", WHOLE, _stand_still, jobs=3, idle=True),
    Trial("service's clock an hour ahead", WHOLE, _other_clock, own_service=True),
    Trial("service's clock an hour behind", WHOLE, _slow_clock, own_service=True),
)
TOGETHER = (
    Trial("kube-apiserver killed for 1 s", WHOLE, _lose_apiserver_shortly, jobs=9, slow=True),
    Trial("kube-apiserver killed for 60 s (quick: 5 s)", WHOLE, _lose_apiserver_long, jobs=9),
    Trial("etcd compacted (410)", WHOLE, _compact, jobs=3),
    Trial("CRD deleted, backup applied", "no job runs again", _lose_crd, jobs=2),
)
