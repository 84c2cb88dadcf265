"""Invariants that hold after every fault."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.chaos.world import Refused, arn_of, condition_of, status_of, until

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.chaos.world import Body, Case

ENDED = ("Completed", "Failed", "Stopped")
UID_TAG = "services.k8s.aws/object-uid"
SETTLE_SECONDS = 75.0
"""Twice the time until NotFound settles an attempt, and a margin."""


async def check(
    case: Case,
    *,
    good: Collection[str] = (),
    stopped: Collection[str] = (),
    foreign: Collection[str] = (),
    loose: bool = False,
) -> list[str]:
    """Violations in sentences.

    :param good: names of objects with a valid spec that still exist: exactly one job each
    :param stopped: names of jobs that may have been stopped, because their object was deleted
    :param foreign: names of jobs of others: they may run without an object
    :param loose: the CRD is ACK's, which drops the transitions
    """
    problems = []
    try:
        limit = SETTLE_SECONDS + case.world.room
        await until("jobs and objects agree", lambda: _agree(case, foreign, loose), limit, 0.3)
    except TimeoutError:
        problems += await _disagreements(case, foreign, loose)
    problems += await check_calls(case, good=good, stopped=stopped)
    problems += case.operator.complaints()
    if case.supervisor_error is not None:
        problems.append(f"the harness failed while the operator was down: {case.supervisor_error!r}")
    return problems


async def check_calls(case: Case, *, good: Collection[str] = (), stopped: Collection[str] = ()) -> list[str]:
    """No double creation, and no stop without a deletion."""
    problems = []
    creates: Counter[str] = Counter()
    for job in await case.jobs():
        name = job["TrainingJobName"]
        for call in await case.calls(name, "CreateTrainingJob", effect=True):
            tags = {tag["Key"]: tag["Value"] for tag in call["request"].get("Tags", [])}
            if UID_TAG in tags and call["region"] == job["Region"]:
                creates[tags[UID_TAG]] += 1
        stops = await case.calls(name, "StopTrainingJob")
        if stops and name not in stopped:
            problems.append(f"{name} was stopped without a deletion")
    problems += [f"CreateTrainingJob took effect {n} times for the object {uid}" for uid, n in creates.items() if n > 1]
    for body in await case.objects():
        if body["metadata"]["name"] in good and creates[body["metadata"]["uid"]] != 1:
            found = creates[body["metadata"]["uid"]]
            problems.append(
                f"CreateTrainingJob took effect {found} times for the good object {body['metadata']['name']}"
            )
    return problems


async def delete_everything(
    case: Case, *, retained: Collection[str] = (), seconds: float = SETTLE_SECONDS
) -> list[str]:
    """Every object can be deleted, and leaves no running job."""
    problems = []
    for body in await case.objects():
        await case.delete(body["metadata"]["name"])

    async def gone() -> bool:
        return not await case.objects()

    try:
        await until("all objects are gone", gone, seconds + case.world.room)
    except TimeoutError:
        problems += [f"{body['metadata']['name']} can't be deleted" for body in await case.objects()]
    running = [job["TrainingJobName"] for job in await case.jobs() if job["TrainingJobStatus"] not in ENDED]
    problems += [f"{name} still runs after the deletion of its object" for name in running if name not in retained]
    return problems


async def _agree(case: Case, foreign: Collection[str], loose: bool = False) -> bool:
    return not await _disagreements(case, foreign, loose)


async def _disagreements(case: Case, foreign: Collection[str], loose: bool = False) -> list[str]:
    problems = []
    try:
        objects = await case.objects()
    except Refused as error:
        return [str(error)]
    known = {arn_of(body) for body in objects if not _is_disowned(body)}
    for job in await case.jobs():
        name = job["TrainingJobName"]
        if job["TrainingJobStatus"] not in ENDED and name not in foreign and job["TrainingJobArn"] not in known:
            problems.append(f"{name} in {job['Region']} is {job['TrainingJobStatus']} and no object has its ARN")
    for body in objects:
        problems += await _untruths(case, body, loose)
    return problems


async def _untruths(case: Case, body: Body, loose: bool) -> list[str]:
    """Differences between the status and SageMaker."""
    name, arn = body["metadata"]["name"], arn_of(body)
    if not arn or _is_disowned(body):
        return []
    region, job_name = arn.split(":")[3], arn.rpartition("/")[2]
    job = await case.job(job_name, region)
    if job is None:
        vanished = condition_of(body, "ACK.Terminal").get("reason") == "JobNotFound" or status_of(body) in ENDED
        return [] if vanished else [f"{name} has the ARN {arn} of a missing job"]
    shown, truth = body["status"], job["description"]
    pairs: list[tuple[str, Any, Any]] = [
        ("trainingJobStatus", shown.get("trainingJobStatus"), truth["TrainingJobStatus"]),
        ("secondaryStatus", shown.get("secondaryStatus"), truth["SecondaryStatus"]),
        ("failureReason", shown.get("failureReason"), truth.get("FailureReason")),
        (
            "secondaryStatusTransitions",
            [transition["status"] for transition in shown.get("secondaryStatusTransitions") or []],
            [transition["Status"] for transition in truth["SecondaryStatusTransitions"]],
        ),
    ]
    if loose:
        del pairs[-1]
    return [f"{name}: {field} is {shown!r}, SageMaker has {truth!r}" for field, shown, truth in pairs if shown != truth]


def _is_disowned(body: Body) -> bool:
    """Its condition states that the job belongs to another owner."""
    return condition_of(body, "ACK.Terminal").get("reason") == "NameClash"
