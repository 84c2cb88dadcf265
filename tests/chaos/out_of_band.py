"""Actions of others on a job: in the console and with the API, before and after the operator's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.chaos.invariants import check, delete_everything
from tests.chaos.trials import FOREVER, Trial, apply, count, plan, run_trials, start_running, wait_training
from tests.chaos.world import condition_of, status_of, until

if TYPE_CHECKING:
    from tests.chaos.world import Body, Case, World

MISSED_SECONDS = 420.0
"""Longer than two intervals of the Describe of a job that scans no longer show."""
WHOLE = "not created again, not adopted without a request, reported; deletable"


async def run(world: World) -> None:
    await run_trials(world, "out_of_band", TRIALS)


def _terminal(body: Body, reason: str) -> bool:
    condition = condition_of(body, "ACK.Terminal")
    return condition.get("status") == "True" and condition.get("reason") == reason


async def _once(case: Case, name: str, times: int = 1) -> list[str]:
    found = await count(case, name, "CreateTrainingJob", effect=True)
    return [] if found == times else [f"CreateTrainingJob took effect {found} times for {name}, not {times}"]


async def _stopped(case: Case) -> list[str]:
    await start_running(case, "job")
    await case.console("stop", case.job_name("job"))
    case.injected += 1
    await case.wait_status("job", "Stopped")
    problems = await _once(case, "job")
    problems += await check(case, good=["job"], stopped=[case.job_name("job")])
    return problems + await delete_everything(case)


async def _failed(case: Case) -> list[str]:
    await start_running(case, "job")
    await case.console("fail", case.job_name("job"), reason="somebody else's")
    case.injected += 1
    body = await case.wait_status("job", "Failed")
    problems = (
        []
        if "somebody else's" in str(body["status"].get("failureReason"))
        else ["the failureReason is missing in the status"]
    )
    return problems + await check(case, good=["job"]) + await delete_everything(case)


async def _vanished(case: Case) -> list[str]:
    """The job ended and was deleted while the operator was down."""
    await start_running(case, "job")
    await asyncio.to_thread(case.operator.kill)
    await case.console("complete", case.job_name("job"))
    await case.console("delete", case.job_name("job"))
    case.injected += 1
    case.operator.start(wait=False)
    await case.wait("job", "has the reason JobNotFound", lambda body: _terminal(body, "JobNotFound"), MISSED_SECONDS)
    return await _once(case, "job") + await delete_everything(case, seconds=10)


async def _deleted_after_its_end(case: Case) -> list[str]:
    """Neither a deleted job nor a new job of that name changes the end state in the status."""
    await start_running(case, "job")
    name = case.job_name("job")
    await case.console("complete", name)
    await case.wait("job", "has no finalizer", lambda body: not body["metadata"].get("finalizers"))
    await case.console("delete", name)
    await case.console("create", name)
    case.injected += 1
    await case.patch("job", {"metadata": {"annotations": {"services.k8s.aws/reconcile-requested-at": "now"}}})
    await case.restart()
    await apply(case, "other")
    await wait_training(case, "other")
    problems = [] if status_of(await case.get("job")) == "Completed" else ["the status lost its end state"]
    await case.delete("job")
    await case.wait_gone("job", 10)
    job = await case.job(name)
    if job is None or job["description"]["TrainingJobStatus"] != "InProgress":
        problems.append("another client's job of that name was changed")
    return problems + await delete_everything(case, retained=[name])


async def _untagged(case: Case) -> list[str]:
    """Finalizer and ARN together are sufficient proof."""
    await start_running(case, "job")
    await case.console("untag", case.job_name("job"))
    case.injected += 1
    await case.restart()
    problems = await check(case, good=["job"])
    problems += await delete_everything(case)
    job = await case.job(case.job_name("job"))
    ended = job is not None and job["description"]["TrainingJobStatus"] == "Stopped"
    return problems + ([] if ended else ["the job was not stopped with its object"])


async def _foreign_first(case: Case) -> list[str]:
    """A job of another client has the name: reported, unchanged, and deletable at once."""
    await plan(case, phases=FOREVER)
    name = case.job_name("job")
    await case.console("create", name)
    case.injected += 1
    await apply(case, "job")
    case.operator.start(wait=False)
    body = await case.wait("job", "has the reason NameClash", lambda body: _terminal(body, "NameClash"))
    problems = ["the status shows the other's job"] if status_of(body) else []
    problems += await delete_everything(case, seconds=10, retained=[name])
    calls = await case.calls(name)
    touched = [call["operation"] for call in calls if call["effect"] and call["operation"] != "CreateTrainingJob"]
    return problems + ([f"the other's job was changed: {touched}"] if touched else []) + await _once(case, "job", 0)


async def _edited_elsewhere(case: Case) -> list[str]:
    """Tags of another client stay; the tags of the spec are restored with the next edit only."""
    await start_running(case, "job", tags=[{"key": "team", "value": "red"}])
    name = case.job_name("job")
    await case.console("tag", name, tags={"cost": "7"})
    case.injected += 1
    await case.patch("job", {"spec": {"tags": [{"key": "team", "value": "blue"}]}})

    async def applied(_: Body | None = None) -> bool:
        job = await case.job(name)
        return job is not None and job["tags"].get("team") == "blue" and job["tags"].get("cost") == "7"

    await until("the edit and the other client's tag are both present", applied, 30 + case.world.room)
    return await check(case, good=["job"]) + await delete_everything(case)


TRIALS = (
    Trial("stopped in the console", WHOLE, _stopped),
    Trial("failed by the service", WHOLE, _failed),
    Trial("gone while nobody looked", WHOLE, _vanished, slow=True, idle=True),
    Trial("deleted after its end, the name used again", WHOLE, _deleted_after_its_end, jobs=2),
    Trial("all tags removed", "the deletion stops the job all the same", _untagged),
    Trial("a foreign job of that name first", WHOLE, _foreign_first),
    Trial("tags added by somebody else", "both stay", _edited_elsewhere),
)
