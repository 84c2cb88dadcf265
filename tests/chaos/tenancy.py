"""Isolation: no namespace affects another's jobs, and secrets of a spec stay in the request.

One operator serves both namespaces of a case.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

from tests.chaos.invariants import check, delete_everything
from tests.chaos.trials import FOREVER, Trial, apply, count, plan, run_trials, wait_training
from tests.chaos.world import Refused, condition_of
from tests.e2e.objects import training_job

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator

    from tests.chaos.world import Body, Case, World

UNTOUCHED = "the other namespace's job is never stopped, changed or shown"
ADOPT = {"services.k8s.aws/adoption-policy": "adopt"}
ALLOWED_ROLES = "sagemaker.services.k8s.aws/allowed-role-arns"
READING = {"CreateTrainingJob", "DescribeTrainingJob", "ListTags"}
SECRET = "hunter2-in-the-clear"
FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
FORGERIES = 36
"""Moves of one tenant."""


async def run(world: World) -> None:
    await run_trials(world, "tenancy", TRIALS)


async def run_under_acks_crd(world: World) -> None:
    """Requests that only ACK's looser CRD accepts."""
    await run_trials(world, "acks_crd", UNDER_ACKS_CRD)


@contextlib.asynccontextmanager
async def _neighbour(case: Case, *flags: str) -> AsyncIterator[Case]:
    """A second namespace in the same account; the case's operator, not yet started, serves both."""
    other = copy.copy(case)
    other.namespace = f"{case.namespace}-neighbour"
    await case.world.api("POST", "/api/v1/namespaces", {"metadata": {"name": other.namespace}})
    case.operator = other.operator = case.new_operator(f"--watch-namespace={case.namespace},{other.namespace}", *flags)
    try:
        yield other
    finally:
        await other.close()


async def _apply_beside(other: Case, job: str, annotations: dict[str, str] | None = None, **spec: Any) -> None:
    body = training_job(job, annotations=annotations, **spec)
    body["metadata"]["name"] = "beside"
    await other.create(body)


def _is_refused(body: Body) -> bool:
    return bool(condition_of(body, "ACK.Terminal").get("status") == "True")


async def _claim(case: Case, annotations: dict[str, str], reason: str, *flags: str) -> list[str]:
    """An object of another namespace names the job: it is rejected, also after a restart, after edits, and at its
    deletion.
    """
    async with _neighbour(case, *flags) as other:
        await plan(case, phases=FOREVER)
        case.operator.start(wait=False)
        await apply(case, "job")
        await wait_training(case, "job")
        name = case.job_name("job")
        await _apply_beside(other, name, annotations)
        case.injected += 1
        problems = []
        for tags in ([], [{"key": "mine", "value": "now"}]):
            body = await other.wait("beside", "is refused", _is_refused)
            condition = condition_of(body, "ACK.Terminal")
            if condition["reason"] != reason:
                problems.append(f"the condition is {condition}")
            if (body.get("status") or {}).get("trainingJobStatus"):
                problems.append("the status shows the other's job")
            await case.restart()
            await other.patch("beside", {"spec": {"tags": tags}})
            await asyncio.sleep(2)
        await other.delete("beside")
        await other.wait_gone("beside", 15)
        touched = {call["operation"] for call in await case.calls(name)} - READING
        problems += [f"{operation} was called" for operation in sorted(touched)]
        if await count(case, "job", "CreateTrainingJob") != 1:
            problems.append("it was created again")
        return problems + await check(case, good=["job"]) + await delete_everything(case)


async def _same_name(case: Case) -> list[str]:
    return await _claim(case, {}, "NameClash")


async def _adopt(case: Case) -> list[str]:
    return await _claim(case, ADOPT, "NameClash")


async def _adopt_where_none_may(case: Case) -> list[str]:
    return await _claim(case, ADOPT, "InvalidAnnotation", "--adoption-namespaces=elsewhere")


async def _forge(case: Case, *, leaders: int) -> list[str]:
    """A tenant forges any metadata within its rights, at any moment of the lives of others' jobs.

    The victims: the job of an object, a job of ACK for a namespace of the tenant's name in another cluster, and a job
    without tags. Operators are killed in between; with several `leaders`, one of them.
    """
    luck = case.world.chance(case.name)
    election = ("--enable-leader-election", f"--leader-election-namespace={case.namespace}") if leaders > 1 else ()
    async with _neighbour(case, "--adoption-namespaces=elsewhere", *election) as other:
        await plan(case, phases=FOREVER)
        acks = {"controller-version": "sagemaker-v1.9.1", "namespace": other.namespace}
        tags = [{"Key": f"services.k8s.aws/{key}", "Value": value} for key, value in acks.items()]
        foreign = [case.job_name(name) for name in ("acks", "nobodys")]
        await case.console("create", foreign[0], Tags=tags)
        await case.console("create", foreign[1])
        operators = [case.operator]
        flags = (f"--watch-namespace={case.namespace},{other.namespace}", "--adoption-namespaces=elsewhere", *election)
        operators += [case.new_operator(*flags) for _ in range(leaders - 1)]
        for operator in operators:
            operator.start(wait=False)
        await apply(case, "job", tags=[{"key": "team", "value": "red"}])
        await wait_training(case, "job")
        for step in range(FORGERIES):
            await _forge_once(other, luck.choice([case.job_name("job"), *foreign]), luck)
            case.injected += 1
            await asyncio.sleep(luck.choice([0.0, 0.05, 0.3, 1.0]))
            if step % 6 == 5:
                operator = luck.choice(operators)
                await asyncio.to_thread(operator.kill)
                operator.start(wait=False)
                case.kills += 1
        with contextlib.suppress(Refused):
            await other.delete("thief")
        await other.wait_gone("thief", 60)
        problems = []
        for name in (case.job_name("job"), *foreign):
            touched = {call["operation"] for call in await case.calls(name)} - READING
            problems += [f"{name}: {operation} was called" for operation in sorted(touched)]
        return (
            problems
            + await check(case, good=["job"], foreign=foreign)
            + await delete_everything(case, retained=foreign)
        )


async def _forge_once(other: Case, job: str, luck: random.Random) -> None:
    """One move of the tenant; a move rejected by the API server has no effect."""
    annotations: dict[str, list[str | None]] = {
        "services.k8s.aws/read-only": ["true", None],
        "services.k8s.aws/adoption-policy": ["adopt", "adopt-or-create", None],
        "services.k8s.aws/adopted": ["true", None],
        "services.k8s.aws/create-pending": [f"{other.account}/us-east-1/{job}", None],
        "services.k8s.aws/reconcile-requested-at": [str(luck.random())],
    }
    move = luck.choice(["create", "create", "annotate", "annotate", "hold", "delete"])
    with contextlib.suppress(Refused):
        if move == "create":
            body = training_job(job)
            chosen = luck.sample(sorted(annotations), luck.randrange(3))
            body["metadata"]["annotations"] = {name: annotations[name][0] for name in chosen}
            body["metadata"] |= {"name": "thief", "finalizers": [FINALIZER] if luck.random() < 0.5 else []}
            await other.create(body)
        elif move == "annotate":
            name = luck.choice(sorted(annotations))
            await other.patch("thief", {"metadata": {"annotations": {name: luck.choice(annotations[name])}}})
        elif move == "hold":
            await other.patch("thief", {"metadata": {"finalizers": luck.choice([[FINALIZER], []])}})
        else:
            await other.delete("thief")


async def _forge_and_restart(case: Case) -> list[str]:
    return await _forge(case, leaders=1)


async def _forge_and_fail_over(case: Case) -> list[str]:
    return await _forge(case, leaders=2)


async def _forge_tags(case: Case) -> list[str]:
    """No spec can set tags that would prove ownership."""
    await plan(case, phases=FOREVER)
    case.operator.start(wait=False)
    problems = []
    for number, key in enumerate(("services.k8s.aws/object-uid", "services.k8s.aws/namespace", "services.k8s.aws/x")):
        case.injected += 1
        try:
            await apply(case, f"forged{number}", tags=[{"key": key, "value": "somebody-else"}])
        except Refused as error:
            problems += [] if error.status == 422 else [str(error)]
        else:
            problems.append(f"a tag {key} was accepted")
    await apply(case, "honest", tags=[{"key": "team", "value": "red"}])
    await wait_training(case, "honest")
    return problems + await check(case, good=["honest"]) + await delete_everything(case)


async def _forge_tags_past_the_crd(case: Case) -> list[str]:
    """ACK's CRD accepts them; the operator rejects them."""
    await plan(case, phases=FOREVER)
    case.operator.start(wait=False)
    await apply(case, "forged", tags=[{"key": "services.k8s.aws/object-uid", "value": "somebody-else"}])
    case.injected += 1
    await case.wait("forged", "is refused", _is_refused)
    await asyncio.sleep(2)
    calls = await count(case, "forged", "CreateTrainingJob")
    problems = [f"CreateTrainingJob was called {calls} times"] if calls else []
    return problems + await delete_everything(case)


async def _foreign_role(case: Case) -> list[str]:
    """A namespace with allowed roles gets no job under another role, before and after an edit."""
    role = "arn:aws:iam::123456789012:role/{}"
    await case.world.api(
        "PATCH",
        f"/api/v1/namespaces/{case.namespace}",
        {"metadata": {"annotations": {ALLOWED_ROLES: role.format("team-*")}}},
        "application/merge-patch+json",
    )
    await plan(case, phases=FOREVER)
    case.operator.start(wait=False)
    await apply(case, "job", roleARN=role.format("admin"))
    case.injected += 1
    problems = []
    for _ in range(2):
        body = await case.wait("job", "is refused", _is_refused)
        if condition_of(body, "ACK.Terminal")["reason"] != "RoleNotAllowed":
            problems.append(f"the condition is {condition_of(body, 'ACK.Terminal')}")
        await case.patch("job", {"spec": {"roleARN": role.format("admin2")}})
        await asyncio.sleep(1)
    if await count(case, "job", "CreateTrainingJob"):
        problems.append("a job was requested under a role that is not allowed")
    await case.patch("job", {"spec": {"roleARN": role.format("team-a")}})
    await wait_training(case, "job")
    return problems + await check(case, good=["job"]) + await delete_everything(case)


async def _search_secrets(case: Case) -> list[str]:
    """Environment and hyperparameters appear in the request and nowhere else, during any fault of the calls."""
    quoted = (
        f"1 validation error detected: Value '{{PASSWORD={SECRET}}}' at 'environment' failed to satisfy constraint: "
        "Map value must satisfy constraint"
    )
    faults: list[Body] = [
        {"kind": "throttle"},
        {"kind": "garbage"},
        {"kind": "error", "code": "InternalFailure", "status": 500},
        {"kind": "drop", "after": True},
    ]
    numbers = [
        await case.fault(operation="CreateTrainingJob", job=case.job_name("job"), count=1, **fault) for fault in faults
    ]
    refusal: Body = {"kind": "error", "code": "ValidationException", "message": quoted, "status": 400}
    numbers.append(await case.fault(operation="CreateTrainingJob", job=case.job_name("refused"), **refusal))
    await plan(case, seconds=2)
    secrets = {"environment": {"PASSWORD": SECRET}, "hyperParameters": {"token": SECRET}}
    await apply(case, "job", "refused", **secrets)
    case.operator.start(wait=False)
    await case.wait("refused", "is refused", _is_refused)
    await case.wait_status("job", "Completed")
    await case.patch("job", {"metadata": {"annotations": {"services.k8s.aws/reconcile-requested-at": "now"}}})
    await asyncio.sleep(2)
    metrics = await asyncio.to_thread(case.operator.ask, "metrics")
    events = await case.world.api("GET", f"/api/v1/namespaces/{case.namespace}/events")
    sent = await case.calls(case.job_name("job"), "CreateTrainingJob", effect=True)
    for number in numbers:
        case.injected += await case.world.command("hits", number=number)
    texts = {
        "the log": "".join(log.read_text() for log in case.operator.logs),
        "Events": json.dumps(events),
        "metrics": metrics[1],
        "statuses": json.dumps([body.get("status") for body in await case.objects()]),
        "annotations": json.dumps([body["metadata"] for body in await case.objects()]),
    }
    problems = [f"the secret is in {where}" for where, text in texts.items() if SECRET in text]
    problems += [f"{where} is empty, which proves nothing" for where, text in texts.items() if len(text) < 3]
    problems += [] if SECRET in json.dumps(sent) else ["the job lacks the secret"]
    return problems + await delete_everything(case)


TRIALS = (
    Trial("a tenant forges all metadata, with restarts", UNTOUCHED, _forge_and_restart, jobs=4),
    Trial("a tenant forges all metadata, with failovers", UNTOUCHED, _forge_and_fail_over, jobs=4, slow=True),
    Trial("another namespace's object of that job's name", UNTOUCHED, _same_name, jobs=2),
    Trial("another namespace adopts the job", UNTOUCHED, _adopt, jobs=2),
    Trial("adoption where it is not allowed", UNTOUCHED, _adopt_where_none_may, jobs=2),
    Trial("proofs of ownership asked for as tags", "refused by the CRD", _forge_tags, jobs=4),
    Trial("a role that the namespace does not allow", "refused until it is one that is allowed", _foreign_role),
    Trial("secrets in environment and hyperparameters", "in the request and nowhere else", _search_secrets, jobs=2),
)
UNDER_ACKS_CRD = (
    Trial("proofs of ownership asked for as tags (ACK's CRD)", "refused by the operator", _forge_tags_past_the_crd),
)
