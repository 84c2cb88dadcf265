"""Sweeper: one loop for each account and region with live jobs, during errors and missing rights."""

import asyncio

import pytest

from tests.fakes.hanging import hang
from tests.fakes.operator import FakeLeadership
from tests.fakes.service import failed
from tests.fakes.simulation import Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time, run
from tests.logic.builders import ACCOUNT, JOB, NAME, NAMESPACE, SPEC, body
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import REGION
from trainingjob_operator.sweeper import INTAKE_SECONDS, STUCK_SECONDS


@simulated()
async def test_without_live_jobs_no_list_is_sent(simulation: Simulation) -> None:
    await simulation.wait(600.0)
    assert simulation.service.calls == []
    simulation.api.apply(body())
    await simulation.wait(100.0)
    listed = simulation.count("ListTrainingJobs")
    assert listed > 0
    await simulation.wait(600.0)
    assert simulation.count("ListTrainingJobs") == listed


@simulated()
async def test_each_region_has_its_own_sweep(simulation: Simulation) -> None:
    simulation.api.apply(body())
    spec = {**SPEC, "trainingJobName": "there"}
    simulation.api.apply(body(name="b", uid="b", spec=spec, annotations={REGION: "eu-central-1"}))
    await simulation.wait(20.0)
    targets = simulation.operator.jobs.live_targets()
    assert {(target.account, target.region) for target in targets} == {
        (ACCOUNT, "us-west-2"),
        (ACCOUNT, "eu-central-1"),
    }
    await simulation.wait(80.0)
    ends = [one["status"]["trainingJobStatus"] for one in simulation.api.objects.values()]
    assert ends == ["Completed", "Completed"]


@simulated()
async def test_with_denied_lists_every_job_is_described_within_the_budget(simulation: Simulation) -> None:
    simulation.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "AccessDenied", ErrorClass.DENIED)
    simulation.api.apply(body())
    await simulation.wait(200.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert simulation.count("ListTrainingJobs") <= 5


@pytest.mark.no_cover
@simulated(seconds=100_000.0)
async def test_with_denied_lists_many_jobs_leave_half_of_the_budget_to_others(simulation: Simulation) -> None:
    await simulation.start(describe_tps=2.0, learns=False)
    for number in range(100):
        simulation.api.apply(
            body(name=f"o{number}", uid=str(number), spec={**SPEC, "trainingJobName": f"job-{number}"})
        )
    await simulation.wait(120.0)
    simulation.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "AccessDenied", ErrorClass.DENIED)
    await simulation.wait(120.0)
    before = simulation.count("DescribeTrainingJob")
    await simulation.wait(1000.0)
    assert 900 <= simulation.count("DescribeTrainingJob") - before <= 1100


@simulated()
async def test_with_a_denied_describe_the_status_of_a_list_is_reported(simulation: Simulation) -> None:
    denied = failed("DescribeTrainingJob", "AccessDenied", ErrorClass.DENIED, "role x may not")
    simulation.service.refusals["DescribeTrainingJob"] = denied
    simulation.api.apply(body())
    await simulation.wait(45.0)  # a denied read within 30 s after a Create is not reported
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
    await simulation.wait(600.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert simulation.object["status"]["ackResourceMetadata"]["arn"].endswith(JOB.lower())


@pytest.mark.parametrize("lacking", ["", "SecondaryStatus", "LastModifiedTime", "CreationTime"])
@in_virtual_time
async def test_missing_members_of_summaries_cause_no_repeated_describe(lacking: str) -> None:
    async with simulate(seconds=600.0, summaries_lack=frozenset({lacking})) as simulation:
        simulation.api.apply(body())
        await simulation.wait(590.0)
        assert simulation.object["status"]["secondaryStatus"] == "Training"
        assert simulation.count("DescribeTrainingJob") <= 5
        await simulation.wait(100.0)
        assert simulation.object["status"]["trainingJobStatus"] == "Completed"


@simulated()
async def test_the_sweep_continues_after_throttles(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(5.0)
    before = simulation.count("ListTrainingJobs")
    throttled = failed("ListTrainingJobs", "ThrottlingException", ErrorClass.THROTTLED)
    simulation.service.refusals["ListTrainingJobs"] = throttled
    await simulation.wait(120.0)
    assert simulation.count("ListTrainingJobs") - before <= 40
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
    del simulation.service.refusals["ListTrainingJobs"]
    await simulation.wait(20.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"


@simulated()
async def test_only_the_leader_sweeps_and_a_standby_stays_alive(simulation: Simulation) -> None:
    leadership = FakeLeadership()
    operator = await simulation.start(leadership=leadership)
    simulation.api.apply(body())
    await simulation.wait(20.0)
    leadership.lead(leads=False)
    await simulation.wait(2.0)
    calls, beat = len(simulation.service.calls), operator.sweeper.heartbeat.last()
    await simulation.wait(60.0)
    assert len(simulation.service.calls) == calls
    assert operator.sweeper.heartbeat.last() > beat
    leadership.lead(leads=True)
    await simulation.wait(90.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"


@simulated()
async def test_a_change_without_a_leader_is_in_the_first_page_of_the_next_leader(
    simulation: Simulation,
) -> None:
    leadership = FakeLeadership()
    await simulation.start(leadership=leadership)
    simulation.api.apply(body())
    await simulation.wait(8.0)
    leadership.lead(leads=False)
    await simulation.wait(9.0)
    before = simulation.count("ListTrainingJobs")

    def allow_one_page(operation: str, _: bool) -> None:
        if operation == "ListTrainingJobs" and simulation.count(operation) > before + 1:
            raise failed(operation, "InternalFailure", ErrorClass.RETRY)

    simulation.service.fault = allow_one_page
    leadership.lead(leads=True)
    await simulation.wait(3.0)
    assert simulation.object["status"]["secondaryStatus"] == "Downloading"


@pytest.mark.parametrize(("intake", "begin"), [(15.0, 15.0), (100.0, INTAKE_SECONDS)])
@simulated()
async def test_the_first_sweep_waits_for_the_first_reconciles_up_to_a_limit(
    simulation: Simulation, intake: float, begin: float
) -> None:
    simulation.service.seconds = 1000.0
    simulation.api.apply(body())
    for name in ("held", "behind"):
        other = body(name=name, uid=name, spec={**SPEC, "trainingJobName": name})
        other["metadata"]["namespace"] = "slow"
        simulation.api.apply(other)
    await simulation.wait(20.0)
    simulation.cluster_state.pauses["slow"] = intake
    listed = simulation.count("ListTrainingJobs")
    operator = await simulation.start(workers=1)
    await simulation.wait(begin - 1.0)
    assert operator.jobs.live_targets()
    assert simulation.count("ListTrainingJobs") == listed
    await simulation.wait(2.0)
    assert simulation.count("ListTrainingJobs") > listed


@simulated()
async def test_a_blocked_loop_ends_the_ticks(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(20.0)
    [loop] = [task for task in asyncio.all_tasks() if task.get_name().startswith("sweep of")]
    beat = simulation.operator.sweeper.heartbeat.last()
    await simulation.wait(5.0)
    assert simulation.operator.sweeper.heartbeat.last() > beat
    hang(loop)
    await simulation.wait(STUCK_SECONDS + 30.0)  # and the longest call
    beat = simulation.operator.sweeper.heartbeat.last()
    await simulation.wait(60.0)
    assert simulation.operator.sweeper.heartbeat.last() == beat


def test_a_stopped_sweeper_has_no_running_loop() -> None:
    async def main() -> None:
        simulation = Simulation(seconds=5000.0)
        operator = await simulation.start()
        simulation.api.apply(body())
        await simulation.wait(20.0)
        await operator.end()
        await asyncio.sleep(0)
        assert [task for task in asyncio.all_tasks() if "sweep" in task.get_name()] == []

    run(main())


@pytest.mark.no_cover
@simulated()
async def test_two_hundred_jobs_are_followed_with_shared_pages(simulation: Simulation) -> None:
    for number in range(200):
        spec = {**SPEC, "trainingJobName": f"job-{number}"}
        simulation.api.apply(body(name=f"o{number}", uid=str(number), spec=spec))
    await simulation.wait(150.0)
    ends = [one["status"]["trainingJobStatus"] for one in simulation.api.objects.values()]
    assert ends == ["Completed"] * 200
    assert len(simulation.service.calls) <= 9 * 200


@pytest.mark.no_cover
@simulated()
async def test_a_change_is_reported_while_hundreds_of_new_objects_are_queued(
    simulation: Simulation,
) -> None:
    operator = await simulation.start(workers=1, create_tps=1000.0)
    simulation.api.apply(body())
    await simulation.wait(9.0)
    for number in range(400):  # at two calls of 0.04 s each, they occupy the one worker for half a minute
        simulation.api.apply(
            body(name=f"o{number}", uid=str(number), spec={**SPEC, "trainingJobName": f"job-{number}"})
        )
    await simulation.wait(8.0)
    assert operator.queue.depth > 200
    assert simulation.object["status"]["secondaryStatus"] == "Downloading"


@simulated()
async def test_an_end_known_from_a_list_alone_is_described_after_the_denial(simulation: Simulation) -> None:
    denied = failed("DescribeTrainingJob", "AccessDenied", ErrorClass.DENIED, "role x may not")
    simulation.api.apply(body())
    await simulation.wait(10.0)
    simulation.service.refusals["DescribeTrainingJob"] = denied
    await simulation.wait(600.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert simulation.object["status"]["secondaryStatusTransitions"][-1]["status"] != "Completed"
    del simulation.service.refusals["DescribeTrainingJob"]
    await simulation.wait(400.0)
    assert simulation.object["status"]["secondaryStatusTransitions"][-1]["status"] == "Completed"


@simulated()
async def test_a_recovered_service_ends_the_back_off_of_its_errors_at_once(simulation: Simulation) -> None:
    simulation.service.seconds = 1000.0
    simulation.api.apply(body())
    await simulation.wait(5.0)
    for operation in ("ListTrainingJobs", "StopTrainingJob", "DescribeTrainingJob"):
        simulation.service.refusals[operation] = failed(operation, "InternalFailure", ErrorClass.RETRY)
    simulation.api.delete((NAMESPACE, NAME))
    await simulation.wait(120.0)
    assert (NAMESPACE, NAME) in simulation.api.objects
    simulation.service.refusals.clear()
    await simulation.wait(12.0)
    assert simulation.service.stopped
