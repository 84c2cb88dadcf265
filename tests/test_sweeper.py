"""All jobs at a time: one loop for each account and region with live jobs, through errors and losses of rights."""

import asyncio

import pytest

from tests.fakes.hanging import hang
from tests.fakes.service import failed
from tests.fakes.stage import Stage, played
from tests.fakes.virtual_time import run
from tests.fakes.world import FakeLeadership
from tests.logic.builders import ACCOUNT, JOB, NAME, NAMESPACE, SPEC, body
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import REGION
from trainingjob_operator.sweeper import INTAKE_SECONDS, STUCK_SECONDS


def test_without_live_jobs_nothing_is_listed() -> None:
    async def scene(stage: Stage) -> None:
        await stage.wait(600.0)
        assert stage.service.calls == []
        stage.api.apply(body())
        await stage.wait(100.0)
        listed = stage.count("ListTrainingJobs")
        assert listed > 0
        await stage.wait(600.0)
        assert stage.count("ListTrainingJobs") == listed

    played(scene)


def test_each_region_is_swept_for_itself() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        spec = {**SPEC, "trainingJobName": "there"}
        stage.api.apply(body(name="b", uid="b", spec=spec, annotations={REGION: "eu-central-1"}))
        await stage.wait(20.0)
        assert stage.life is not None
        targets = stage.life.jobs.live_targets()
        assert {(target.account, target.region) for target in targets} == {
            (ACCOUNT, "us-west-2"),
            (ACCOUNT, "eu-central-1"),
        }
        await stage.wait(80.0)
        ends = [one["status"]["trainingJobStatus"] for one in stage.api.objects.values()]
        assert ends == ["Completed", "Completed"]

    played(scene)


def test_where_lists_are_denied_every_job_is_looked_at_within_the_budget() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "AccessDenied", ErrorClass.DENIED)
        stage.api.apply(body())
        await stage.wait(200.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"
        assert stage.count("ListTrainingJobs") <= 5

    played(scene)


@pytest.mark.no_cover
def test_where_lists_are_denied_many_jobs_leave_half_of_the_budget_to_others() -> None:
    async def scene(stage: Stage) -> None:
        await stage.start(describe_tps=2.0, learns=False)
        for number in range(100):
            stage.api.apply(body(name=f"o{number}", uid=str(number), spec={**SPEC, "trainingJobName": f"job-{number}"}))
        await stage.wait(120.0)
        stage.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "AccessDenied", ErrorClass.DENIED)
        await stage.wait(120.0)
        before = stage.count("DescribeTrainingJob")
        await stage.wait(1000.0)
        assert 900 <= stage.count("DescribeTrainingJob") - before <= 1100

    played(scene, seconds=100_000.0)


def test_where_describe_is_denied_what_a_list_tells_is_told() -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("DescribeTrainingJob", "AccessDenied", ErrorClass.DENIED, "role x may not")
        stage.service.refusals["DescribeTrainingJob"] = denied
        stage.api.apply(body())
        await stage.wait(45.0)  # for 30 s after a Create a denied reading is no news
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
        await stage.wait(600.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"
        assert stage.object["status"]["ackResourceMetadata"]["arn"].endswith(JOB.lower())

    played(scene)


@pytest.mark.parametrize("lacking", ["", "SecondaryStatus", "LastModifiedTime", "CreationTime"])
def test_a_quiet_job_is_described_once_per_status_whatever_summaries_leave_out(lacking: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(590.0)
        assert stage.object["status"]["secondaryStatus"] == "Training"
        assert stage.count("DescribeTrainingJob") <= 5
        await stage.wait(100.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"

    played(scene, seconds=600.0, summaries_lack=frozenset({lacking}))


def test_a_storm_of_throttles_is_ridden_out_with_pauses() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(5.0)
        before = stage.count("ListTrainingJobs")
        throttled = failed("ListTrainingJobs", "ThrottlingException", ErrorClass.THROTTLED)
        stage.service.refusals["ListTrainingJobs"] = throttled
        await stage.wait(120.0)
        assert stage.count("ListTrainingJobs") - before <= 40
        assert stage.object["status"]["trainingJobStatus"] == "InProgress"
        del stage.service.refusals["ListTrainingJobs"]
        await stage.wait(20.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"

    played(scene)


def test_only_the_leader_sweeps_and_a_standby_ticks_all_the_same() -> None:
    async def scene(stage: Stage) -> None:
        leadership = FakeLeadership()
        life = await stage.start(leadership=leadership)
        stage.api.apply(body())
        await stage.wait(20.0)
        leadership.lead(leads=False)
        await stage.wait(2.0)
        calls, beat = len(stage.service.calls), life.sweeper.heartbeat.last()
        await stage.wait(60.0)
        assert len(stage.service.calls) == calls
        assert life.sweeper.heartbeat.last() > beat
        leadership.lead(leads=True)
        await stage.wait(90.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"

    played(scene)


def test_what_changed_while_nobody_led_is_told_by_the_first_page_once_somebody_leads_again() -> None:
    async def scene(stage: Stage) -> None:
        leadership = FakeLeadership()
        await stage.start(leadership=leadership)
        stage.api.apply(body())
        await stage.wait(8.0)
        leadership.lead(leads=False)
        await stage.wait(9.0)
        before = stage.count("ListTrainingJobs")

        def allow_one_page(operation: str, _: bool) -> None:
            if operation == "ListTrainingJobs" and stage.count(operation) > before + 1:
                raise failed(operation, "InternalFailure", ErrorClass.RETRY)

        stage.service.fault = allow_one_page
        leadership.lead(leads=True)
        await stage.wait(3.0)
        assert stage.object["status"]["secondaryStatus"] == "Downloading"

    played(scene)


@pytest.mark.parametrize(("intake", "begin"), [(15.0, 15.0), (100.0, INTAKE_SECONDS)])
def test_no_sweep_begins_until_every_object_was_looked_at_or_that_takes_too_long(intake: float, begin: float) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.seconds = 1000.0
        stage.api.apply(body())
        for name in ("held", "behind"):
            other = body(name=name, uid=name, spec={**SPEC, "trainingJobName": name})
            other["metadata"]["namespace"] = "slow"
            stage.api.apply(other)
        await stage.wait(20.0)
        stage.cluster_state.pauses["slow"] = intake
        listed = stage.count("ListTrainingJobs")
        life = await stage.start(workers=1)
        await stage.wait(begin - 1.0)
        assert life.jobs.live_targets()
        assert stage.count("ListTrainingJobs") == listed
        await stage.wait(2.0)
        assert stage.count("ListTrainingJobs") > listed

    played(scene)


def test_a_loop_that_hangs_ends_the_ticks() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(20.0)
        assert stage.life is not None
        [loop] = [task for task in asyncio.all_tasks() if task.get_name().startswith("sweep of")]
        beat = stage.life.sweeper.heartbeat.last()
        await stage.wait(5.0)
        assert stage.life.sweeper.heartbeat.last() > beat
        hang(loop)
        await stage.wait(STUCK_SECONDS + 30.0)  # and the longest call
        beat = stage.life.sweeper.heartbeat.last()
        await stage.wait(60.0)
        assert stage.life.sweeper.heartbeat.last() == beat

    played(scene)


def test_a_stopped_sweeper_leaves_no_loop_behind() -> None:
    async def main() -> None:
        stage = Stage(seconds=5000.0)
        life = await stage.start()
        stage.api.apply(body())
        await stage.wait(20.0)
        await life.end()
        await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if "sweep" in task.get_name()] == []

    run(main())


@pytest.mark.no_cover
def test_two_hundred_jobs_are_followed_with_shared_pages() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(200):
            spec = {**SPEC, "trainingJobName": f"job-{number}"}
            stage.api.apply(body(name=f"o{number}", uid=str(number), spec=spec))
        await stage.wait(150.0)
        ends = [one["status"]["trainingJobStatus"] for one in stage.api.objects.values()]
        assert ends == ["Completed"] * 200
        assert len(stage.service.calls) <= 9 * 200

    played(scene)


def test_a_change_is_told_while_hundreds_of_new_objects_wait_for_their_first_look() -> None:
    async def scene(stage: Stage) -> None:
        life = await stage.start(workers=1, create_tps=1000.0)
        stage.api.apply(body())
        await stage.wait(9.0)
        for number in range(400):  # at two calls of 0.04 s each they keep the one worker busy for half a minute
            stage.api.apply(body(name=f"o{number}", uid=str(number), spec={**SPEC, "trainingJobName": f"job-{number}"}))
        await stage.wait(8.0)
        assert life.queue.depth > 200
        assert stage.object["status"]["secondaryStatus"] == "Downloading"

    played(scene)


def test_an_end_that_only_a_list_has_told_is_looked_at_once_describe_is_allowed() -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("DescribeTrainingJob", "AccessDenied", ErrorClass.DENIED, "role x may not")
        stage.api.apply(body())
        await stage.wait(10.0)
        stage.service.refusals["DescribeTrainingJob"] = denied
        await stage.wait(600.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"
        assert stage.object["status"]["secondaryStatusTransitions"][-1]["status"] != "Completed"
        del stage.service.refusals["DescribeTrainingJob"]
        await stage.wait(400.0)
        assert stage.object["status"]["secondaryStatusTransitions"][-1]["status"] == "Completed"

    played(scene)


def test_when_the_service_answers_again_what_its_errors_put_off_is_done_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.seconds = 1000.0
        stage.api.apply(body())
        await stage.wait(5.0)
        for operation in ("ListTrainingJobs", "StopTrainingJob", "DescribeTrainingJob"):
            stage.service.refusals[operation] = failed(operation, "InternalFailure", ErrorClass.RETRY)
        stage.api.delete((NAMESPACE, NAME))
        await stage.wait(120.0)
        assert (NAMESPACE, NAME) in stage.api.objects
        stage.service.refusals.clear()
        await stage.wait(12.0)
        assert stage.service.stopped

    played(scene)
