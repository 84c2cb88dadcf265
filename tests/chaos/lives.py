"""Lives of a job for trials of faults, actions of users in between, and the checks at the end.

A simulated user takes a job from apply to its end through the API server and the console alone; a plan (plans.py) sets
the fault of a life, and a scenario the number of lives.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.chaos.invariants import check, check_calls, delete_everything
from tests.chaos.world import FINALIZER, Refused, status_of, until
from tests.e2e.objects import training_job
from trainingjob_operator.logic.objects.annotations import TTL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.chaos.world import Body, Case

    Act = Callable[[Case], Coroutine[Any, Any, None]]

NAME = "job"
OTHER_REGION = "eu-west-1"
SECONDS = 240.0
"""For a step of a life: after each kill the operator waits 30 s again until NotFound settles an attempt."""
WHOLE = "one job per object, none lost, doubled, orphaned or stopped; status true; deletable"


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a job; `live` holds the actions of its user from apply on."""

    name: str
    live: Act
    prepare: Act
    creates: bool = True
    """The operator creates the job: exactly once."""
    stops: bool = False
    """The object is deleted while the job runs."""
    expires: bool = False
    """The object is deleted at the end, and the job ended by itself."""
    foreign: bool = False
    """Another client created the job."""


async def _apply(case: Case, annotations: dict[str, str] | None = None, **plan: Any) -> None:
    name = case.job_name(NAME)
    await case.world.command("plan", name=f"{case.namespace}-*", **plan)
    tags = [{"key": "team", "value": "red"}]
    await case.create(training_job(name, tags=tags) | {"metadata": {"name": NAME, "annotations": annotations or {}}})


async def _ended(case: Case, status: str) -> None:
    body = await case.wait(NAME, status, lambda body: status_of(body) == status or _is_moot(body), SECONDS)
    if not _is_moot(body):
        await case.wait(NAME, "the finalizer is gone", lambda body: not body["metadata"].get("finalizers"), SECONDS)


def _is_moot(body: Body) -> bool:
    """An action while the operator was down changed the course of the life."""
    return "deletionTimestamp" in body["metadata"]


async def _complete(case: Case) -> None:
    await _ended(case, "Completed")


async def _fail(case: Case) -> None:
    await _ended(case, "Failed")


async def _delete(case: Case) -> None:
    await case.wait_status(NAME, "InProgress", SECONDS)
    await case.delete(NAME)
    await case.wait_gone(NAME, SECONDS)


async def _edit(case: Case) -> None:
    name = case.job_name(NAME)
    await case.wait(NAME, "Training", lambda body: body.get("status", {}).get("secondaryStatus") == "Training", SECONDS)
    await case.patch(NAME, {"spec": {"tags": [{"key": "team", "value": "blue"}, {"key": "more", "value": "1"}]}})
    await case.patch(NAME, {"spec": {"remoteDebugConfig": {"enableRemoteDebug": True}}})

    async def applied() -> bool:
        job = await case.job(name)
        assert job is not None
        debug = job["description"].get("RemoteDebugConfig", {}).get("EnableRemoteDebug")
        return bool(debug and job["tags"].get("team") == "blue" and job["tags"].get("more") == "1")

    await until("the job has the edit", applied, SECONDS)
    await case.console("complete", name)
    await _ended(case, "Completed")


async def _expire(case: Case) -> None:
    """The time to live deletes the object after the end; the job remains."""
    await case.wait_gone(NAME, SECONDS)
    job = await case.job(case.job_name(NAME))
    if case.kills == 0:  # the user may have deleted the object of the running job while the operator was down
        assert job is not None
        assert job["description"]["TrainingJobStatus"] == "Completed"


async def _apply_expiring(case: Case) -> None:
    await _apply(case, annotations={TTL: "1"}, seconds=1.5)


async def _apply_running(case: Case) -> None:
    await _apply(case, phases="Starting:0.2,Training:inf")


async def _apply_completing(case: Case) -> None:
    await _apply(case, seconds=1.5)


async def _apply_failing(case: Case) -> None:
    await _apply(case, seconds=1.5, outcome="Failed")


async def _prepare_takeover(case: Case) -> None:
    """Object and job of ACK's controller: the finalizer, the ARN, its two tags."""
    name = case.job_name(NAME)
    await case.world.command("plan", name=f"{case.namespace}-*", phases="Starting:0.2,Training:inf")
    tags = {"services.k8s.aws/controller-version": "sagemaker-1.2.16", "services.k8s.aws/namespace": case.namespace}
    arn = await case.console("create", name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    await case.create(training_job(name) | {"metadata": {"name": NAME, "finalizers": [FINALIZER]}})
    metadata = {"arn": arn, "ownerAccountID": case.account, "region": case.world.sagemaker.region}
    synced = {"type": "ACK.ResourceSynced", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"ackResourceMetadata": metadata, "trainingJobStatus": "InProgress", "secondaryStatus": "Starting"}
    await case.patch(NAME, {"status": status | {"conditions": [synced]}}, status=True)


async def _prepare_adoption(case: Case) -> None:
    name = case.job_name(NAME)
    await case.world.command("plan", name=f"{case.namespace}-*", phases="Starting:0.2,Training:inf")
    await case.console("create", name)
    annotations = {"services.k8s.aws/adoption-policy": "adopt"}
    await case.create(training_job(name) | {"metadata": {"name": NAME, "annotations": annotations}})


async def _follow(case: Case) -> None:
    """Follow an existing job to its end."""
    await case.wait(NAME, "Training", lambda body: body.get("status", {}).get("secondaryStatus") == "Training", SECONDS)
    await case.console("complete", case.job_name(NAME))
    await _ended(case, "Completed")


LIVES = (
    Life("complete", _complete, _apply_completing),
    Life("fail", _fail, _apply_failing),
    Life("delete", _delete, _apply_running, stops=True),
    Life("edit", _edit, _apply_running),
    Life("expire", _expire, _apply_expiring, expires=True),
    Life("takeover", _follow, _prepare_takeover, creates=False, foreign=True),
    Life("adoption", _follow, _prepare_adoption, creates=False, foreign=True),
)


# -- actions of users while the operator is down ----------------------------------------------------------------------


async def _do_nothing(case: Case) -> None:
    """A crash without other actions."""


async def _edit_spec(case: Case) -> None:
    try:
        await case.patch(NAME, {"spec": {"hyperParameters": {"epochs": "7"}}})
    except Refused as error:  # it has an ARN, or it was deleted
        if error.status not in (404, 422):
            raise


async def _edit_region(case: Case) -> None:
    await _patch_existing(case, {"metadata": {"annotations": {"services.k8s.aws/region": OTHER_REGION}}})


async def _edit_name(case: Case) -> None:
    """Only ACK's CRD accepts this edit."""
    await _patch_existing(case, {"spec": {"trainingJobName": case.job_name("renamed")}})


async def _delete_object(case: Case) -> None:
    await case.delete(NAME)


async def _patch_existing(case: Case, patch: Body) -> None:
    try:
        await case.patch(NAME, patch)
    except Refused as error:
        if error.status != 404:
            raise


MEANWHILE: dict[str, Act] = {
    "nothing": _do_nothing,
    "spec": _edit_spec,
    "region": _edit_region,
    "name": _edit_name,
    "delete": _delete_object,
}


# -- running a life ---------------------------------------------------------------------------------------------------


async def live(life: Life, case: Case, meanwhile: str = "nothing") -> list[str]:
    """Run a life and return its problems. `meanwhile` runs after each kill."""
    await life.prepare(case)
    case.supervise(lambda: MEANWHILE[meanwhile](case))
    problems = []
    try:
        await _live(life, case, meanwhile)
    except (TimeoutError, Refused, AssertionError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    deleted = life.stops or (meanwhile == "delete" and case.kills > 0)
    names = {case.job_name(NAME), case.job_name("renamed")}
    good = {NAME} if life.creates and not (deleted or life.expires) else set()
    loose = meanwhile == "name"
    problems += await check(case, good=good, stopped=names if deleted else (), loose=loose)
    problems += await delete_everything(case)
    problems += await check_calls(case, stopped=names)
    return problems


async def _live(life: Life, case: Case, meanwhile: str) -> None:
    """The actions of the user, up to a deletion of the object in between."""
    living: asyncio.Task[None] = asyncio.create_task(life.live(case))
    while not living.done():
        await asyncio.wait([living], timeout=0.3)
        if meanwhile == "delete" and case.kills and await case.get(NAME) is None:
            living.cancel()
            await asyncio.wait([living])
    if not living.cancelled():
        living.result()
