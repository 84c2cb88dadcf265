"""Attempts after failures of the service: another job under another name, never two at once, and no end in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.fakes.virtual_time import run
from tests.logic.builders import ACCOUNT, JOB, REGION, body
from tests.test_survival import Trials
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, TAG_UID, Identity, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
    JOB_NAME_SUFFIX,
    MAX_ATTEMPTS_KEY,
    READ_ONLY,
    RECONCILE_REQUESTS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.service import Job

INTERNAL = "InternalServerError: We encountered an internal error. Please try again."
CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."
SECONDS = 12.0
"""The time of each job where an operator is killed."""
SECOND, THIRD = f"{JOB}-r2", f"{JOB}-r3"


def fail(simulation: Simulation | Trials, **causes: str) -> None:
    """Jobs of the numbers in `causes` (j1, j2, …) fail so, in order of creation; the others complete."""
    put = simulation.service.put

    def put_failing(identity: Identity, request: Any, tags: Any) -> Job:
        job = put(identity, request, tags)
        number = 1 + sum(one.identity.job_name.startswith(JOB) for one in simulation.service.created)
        if (cause := causes.get(f"j{number}")) is not None:
            job.outcome, job.failure_reason = "Failed", cause
        return job

    simulation.service.put = put_failing  # type: ignore[method-assign]


def attempted(**annotations: str) -> dict[str, Any]:
    return body(annotations={MAX_ATTEMPTS_KEY: "3", **annotations})


def names(simulation: Simulation) -> list[str]:
    return [item["trainingJobName"] for item in simulation.object["status"].get("attempts", ())]


@simulated(seconds=40.0)
async def test_a_failure_of_the_service_is_followed_by_another_job_and_no_end_is_shown_before(
    simulation: Simulation,
) -> None:
    ends: list[Any] = []

    def watch(_kind: str, shown: dict[str, Any]) -> None:
        status = shown.get("status", {})
        kinds = {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}
        ends.append((len(simulation.service.created), status.get("outcome"), kinds & {"ACK.Terminal", "Stalled"}))
        assert "arn" not in status.get("ackResourceMetadata", {}) or status["trainingJobStatus"]

    fail(simulation, j1=INTERNAL, j2=CAPACITY)
    simulation.api.watchers.append(watch)
    simulation.api.apply(attempted())
    await simulation.wait(42.0)
    status = simulation.object["status"]
    assert simulation.created_jobs == [JOB]
    assert simulation.condition("Ready")[:2] == ("False", "Retrying")
    assert f"Attempt 1 of 3, the training job {JOB}, ended with InternalServerError" in simulation.condition("Ready")[2]
    assert "ackResourceMetadata" not in status
    assert (status["trainingJobStatus"], status["phase"]) == ("InProgress", "Retrying")
    assert simulation.object["metadata"]["finalizers"] == [], "there is nothing to stop"
    assert CREATE_PENDING not in simulation.object["metadata"]["annotations"]
    await simulation.wait(15.0)
    assert simulation.created_jobs == [JOB, SECOND]
    assert simulation.object["status"]["ackResourceMetadata"]["arn"].endswith(SECOND.lower())
    assert simulation.object["metadata"]["annotations"][CREATE_PENDING].endswith(SECOND)
    await simulation.wait(150.0)
    assert simulation.created_jobs == [JOB, SECOND, THIRD]
    assert len({job.tags[TAG_UID] for job in simulation.service.created}) == 1
    status = simulation.object["status"]
    assert status["outcome"] == "Succeeded"
    assert simulation.condition("Complete")[0] == "True"
    assert status["trainingJobName"] == THIRD
    assert [(item["number"], item["trainingJobName"], item["reason"]) for item in status["attempts"]] == [
        (1, JOB, "InternalServerError"),
        (2, SECOND, "CapacityError"),
        (3, THIRD, "Completed"),
    ]
    assert simulation.object["metadata"]["annotations"][JOB_ARN].endswith(THIRD.lower())
    assert all(not kinds and (not outcome or jobs == 3) for jobs, outcome, kinds in ends)
    retries = [message for _, reason, message in simulation.operator.recorder.events if reason == "Retrying"]
    assert [message[:9] for message in retries] == ["Attempt 1", "Attempt 2"]
    assert simulation.count("CreateTrainingJob") == 3
    assert simulation.sample("trainingjob_turn_wait_seconds_count") == 1.0, "later attempts do not count as waits"
    calls, writes = len(simulation.service.calls), len(simulation.api.writes)
    await simulation.start()
    await simulation.wait(600.0)
    assert (len(simulation.service.calls), len(simulation.api.writes)) == (calls, writes), "silence after the end"


@pytest.mark.parametrize(
    ("cause", "reason", "created"),
    [
        (INTERNAL, "InternalServerError", [JOB, SECOND, THIRD]),
        ("AlgorithmError: exit code 1", "JobFailed", [JOB]),
        ("ClientError: no such channel", "ClientError", [JOB]),
        ("Unknown", "JobFailed", [JOB]),
    ],
)
@simulated(seconds=40.0)
async def test_the_last_attempt_and_failures_of_the_user_are_the_end(
    simulation: Simulation, *, cause: str, reason: str, created: list[str]
) -> None:
    fail(simulation, j1=cause, j2=cause, j3=cause)
    simulation.api.apply(attempted())
    await simulation.wait(400.0)
    assert simulation.created_jobs == names(simulation) == created
    assert simulation.condition("Failed")[:2] == ("True", reason)
    assert simulation.object["status"]["outcome"] == "Failed"
    assert simulation.object["metadata"]["finalizers"] == []


@pytest.mark.parametrize("annotations", [{}, {MAX_ATTEMPTS_KEY: "1"}])
@simulated(seconds=40.0)
async def test_without_the_annotation_there_is_one_attempt(
    simulation: Simulation, *, annotations: dict[str, str]
) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(body(annotations=annotations))
    await simulation.wait(400.0)
    assert simulation.created_jobs == [JOB]
    assert simulation.condition("Failed")[:2] == ("True", "InternalServerError")
    assert "attempts" not in simulation.object["status"]
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: "3"})
    await simulation.wait(60.0)
    assert simulation.created_jobs == [JOB], "a recorded end is final"


@simulated(seconds=40.0)
async def test_a_failure_known_from_a_list_is_no_end_before_its_cause_is_known(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(35.0)
    simulation.service.refusals["DescribeTrainingJob"] = failed(
        "DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED
    )
    await simulation.wait(60.0)
    assert "outcome" not in simulation.object["status"]
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    del simulation.service.refusals["DescribeTrainingJob"]
    await simulation.wait(400.0)
    assert simulation.created_jobs == [JOB, SECOND]
    assert simulation.object["status"]["outcome"] == "Succeeded"


@simulated(seconds=40.0)
async def test_a_missing_job_of_the_last_attempt_is_listed_as_such(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(60.0)
    simulation.service.jobs.clear()
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "now"})
    await simulation.wait(60.0)
    assert [item["reason"] for item in simulation.object["status"]["attempts"]] == [
        "InternalServerError",
        "JobNotFound",
    ]
    assert simulation.object["status"]["outcome"] == "Lost"


@simulated(seconds=40.0)
async def test_an_ended_attempt_that_sagemaker_has_lost_is_not_run_again(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(42.0)
    simulation.service.jobs.clear()
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: "1"})
    await simulation.wait(120.0)
    assert simulation.created_jobs == [JOB]
    assert simulation.condition("ACK.Terminal")[1] == "JobNotFound"
    assert "Field status.attempts records the run" in simulation.condition("ACK.Terminal")[2]


@simulated(seconds=400.0)
async def test_a_stop_by_a_person_is_the_end(simulation: Simulation) -> None:
    simulation.api.apply(attempted())
    await simulation.wait(10.0)
    simulation.service.created[0].stopped = asyncio.get_running_loop().time()
    await simulation.wait(120.0)
    assert simulation.created_jobs == [JOB]
    assert simulation.object["status"]["outcome"] == "Stopped"


@pytest.mark.parametrize("seconds", [30.0, 41.5, 45.0, 52.0, 60.0])
@simulated(seconds=40.0)
async def test_a_deletion_stops_the_running_attempt_and_no_other_follows(
    simulation: Simulation, *, seconds: float
) -> None:
    fail(simulation, j1=INTERNAL, j2=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(seconds)
    running = [job.identity.job_name for job in simulation.service.running()]
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.gone
    assert [name for name, _ in simulation.service.stopped] == running
    assert len(simulation.created_jobs) == (1 if seconds < 50.0 else 2)


@simulated(seconds=40.0)
async def test_fewer_permitted_attempts_end_the_object_with_the_last_one(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(42.0)
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: None})
    await simulation.wait(60.0)
    assert simulation.created_jobs == [JOB]
    assert simulation.object["status"]["outcome"] == "Failed"
    assert simulation.condition("Failed")[1] == "InternalServerError"
    assert simulation.object["status"]["ackResourceMetadata"]["arn"].endswith(JOB.lower())


@simulated(seconds=40.0)
async def test_an_invalid_limit_between_two_attempts_is_named_and_corrected_without_a_loss(
    simulation: Simulation,
) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(42.0)
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: "many"})
    await simulation.wait(60.0)
    assert "'many'. Use an integer from 1 to 10." in simulation.condition("ACK.Terminal")[2]
    assert simulation.created_jobs == [JOB]
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: "2"})
    await simulation.wait(60.0)
    assert simulation.created_jobs == [JOB, SECOND]
    assert simulation.condition("Complete")[0] == "True"


@simulated(seconds=40.0)
async def test_the_name_of_an_attempt_that_belongs_to_others_is_a_clash_and_stays_untouched(
    simulation: Simulation,
) -> None:
    theirs = Identity(ACCOUNT, REGION, SECOND)
    simulation.service.put(theirs, {"TrainingJobName": SECOND, "ResourceConfig": {}}, {"team": "other"})
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Terminal")[1] == "NameClash"
    assert simulation.object["status"]["clashingJobARN"] == build_arn("aws", theirs)
    assert names(simulation) == [JOB]
    assert simulation.service.jobs[theirs.slot].changes == []
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.gone
    assert simulation.service.stopped == []


@simulated(seconds=40.0)
async def test_an_object_that_is_applied_again_shows_its_last_attempt(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(120.0)
    assert simulation.object["status"]["outcome"] == "Succeeded"
    simulation.api.delete(KEY)
    await simulation.wait(5.0)
    assert simulation.gone
    again = attempted()
    again["metadata"]["uid"] = "another"
    simulation.api.apply(again)
    await simulation.wait(120.0)
    assert simulation.created_jobs == [JOB, SECOND]
    assert simulation.object["status"]["outcome"] == "Succeeded"
    assert names(simulation) == [JOB, SECOND]


@pytest.mark.parametrize("suffix", [None, "uid", "spec"])
@pytest.mark.parametrize("length", [len(JOB), 63])
@simulated(seconds=40.0)
async def test_a_backup_without_status_shows_its_last_attempt_and_runs_no_other(
    simulation: Simulation, *, suffix: str | None, length: int
) -> None:
    fail(simulation, j1=INTERNAL)
    made = attempted(**({} if suffix is None else {JOB_NAME_SUFFIX: suffix}))
    made["spec"] = {**made["spec"], "trainingJobName": JOB.ljust(length, "x")}
    simulation.api.apply(made)
    await simulation.wait(120.0)
    created = simulation.created_jobs
    assert len(created) == 2
    assert created[1].endswith("-r2")
    assert len(created[1]) <= 63
    backup = simulation.object
    simulation.api.delete(KEY)
    await simulation.wait(5.0)
    restored = {**backup, "metadata": {**backup["metadata"], "uid": "another"}, "status": {}}
    simulation.api.apply(restored)
    await simulation.wait(120.0)
    assert simulation.created_jobs == created
    assert simulation.object["status"]["outcome"] == "Succeeded"
    shown = simulation.object["status"]["trainingJobName"]
    assert shown.lower() == created[1].lower()
    assert suffix == "uid" or shown == created[1], "another UID, and the annotation has no upper case"


@simulated(seconds=40.0, keeps=frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus", "failureReason"}))
async def test_a_crd_that_prunes_the_list_permits_one_attempt(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(300.0)
    assert simulation.created_jobs == [JOB]
    assert simulation.count("CreateTrainingJob") == 1
    assert simulation.condition("Failed")[:2] == ("True", "InternalServerError")
    assert "has no field status.attempts" in simulation.condition("ACK.Advisory")[2]


@simulated(seconds=40.0)
async def test_a_list_deleted_between_two_attempts_runs_nothing_twice(simulation: Simulation) -> None:
    fail(simulation, j1=INTERNAL)
    simulation.api.apply(attempted())
    await simulation.wait(42.0)
    lost = simulation.object
    del lost["status"]["attempts"]
    simulation.api._store(KEY, lost)
    await simulation.wait(120.0)
    assert simulation.created_jobs == [JOB, SECOND]
    assert simulation.object["status"]["outcome"] == "Succeeded"


@pytest.mark.parametrize("key", [ADOPTION_POLICY, READ_ONLY])
@simulated(seconds=40.0)
async def test_an_object_that_adopts_or_reads_a_job_has_no_attempts(simulation: Simulation, *, key: str) -> None:
    simulation.service.put(Identity(ACCOUNT, REGION, JOB), {"TrainingJobName": JOB, "ResourceConfig": {}}, {})
    value = "true" if key == READ_ONLY else "adopt"
    simulation.api.apply(attempted(**{key: value}))
    await simulation.wait(20.0)
    assert f"Annotation {MAX_ATTEMPTS_KEY} is not permitted" in str(simulation.object["status"]["conditions"])
    simulation.api.annotate(KEY, **{MAX_ATTEMPTS_KEY: None})
    simulation.cluster_state.namespaces[KEY[0]] = {MAX_ATTEMPTS_KEY: "3"}
    await simulation.wait(120.0)
    assert simulation.created_jobs == []
    assert "attempts" not in simulation.object["status"]


class Attempts(Trials):
    """An object whose first job fails and whose second one completes."""

    running: list[Job]
    """The jobs that run in the end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.times: list[float] = []

    def _pass_by(self, what: str, before: bool) -> None:
        if not self._dead.is_set():
            self.times.append(asyncio.get_running_loop().time())
        super()._pass_by(what, before)

    async def play(self, script: Callable[[int], None], *, steps: int, pause: float, dead_seconds: float = 3.0) -> None:
        """Shorter than in general: no wait beyond the second attempt."""
        operator = await self.run_steps(script, steps=steps, pause=pause, dead_seconds=dead_seconds)
        self.running = self.service.running()
        await operator.end()

    def first_point(self, since: float) -> int:
        """The number of the first call or write that long after the first Create; that of all where there is none."""
        return sum(at < self.service.created[0].created + since for at in self.times)


def _play(kill_at: int | None, delete_at: int | None) -> Attempts:
    async def main() -> Attempts:
        trials = Attempts(kill_at=kill_at, seconds=SECONDS)
        fail(trials, j1=INTERNAL)

        def script(step: int) -> None:
            if step == 0:
                trials.api.apply(attempted())
            if step == delete_at:
                trials.delete()

        await trials.play(script, steps=14, pause=4.0)
        return trials

    return run(main())


@pytest.mark.no_cover
def test_a_death_at_any_call_or_write_between_two_attempts_loses_and_doubles_none() -> None:
    plain = _play(None, None)
    first = plain.first_point(SECONDS)
    assert {point.split()[1] for point in plain.points[first:]} >= {"status", "metadata", "CreateTrainingJob"}
    for kill_at in range(first, len(plain.points)):
        killed = f"killed {plain.points[kill_at]} ({kill_at})"
        trials = _play(kill_at, None)
        first_job, second_job = trials.service.created
        assert (first_job.identity.job_name, second_job.identity.job_name) == (JOB, SECOND), killed
        assert second_job.created >= first_job.created + SECONDS, "one at a time"
        status = trials.api.objects[KEY]["status"]
        assert (status["outcome"], len(status["attempts"])) == ("Succeeded", 2), killed
        assert FINALIZER not in trials.api.objects[KEY]["metadata"]["finalizers"], killed


@pytest.mark.no_cover
@pytest.mark.parametrize("delete_at", [4, 6], ids=["in the pause", "in the second attempt"])
def test_a_death_around_a_deletion_leaves_no_attempt_running(*, delete_at: int) -> None:
    plain = _play(None, delete_at)
    for kill_at in range(plain.first_point(4.0 * (delete_at - 1)), plain.first_point(4.0 * (delete_at + 1))):
        trials = _play(kill_at, delete_at)
        assert trials.running == [], f"killed {plain.points[kill_at]} ({kill_at})"
        assert KEY not in trials.api.objects, f"killed {plain.points[kill_at]} ({kill_at})"
