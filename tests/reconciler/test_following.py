"""A job from Create to its end and after: status, Describe calls, restarts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.operator import CONTEXT
from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import ACCOUNT, ARN, JOB, NAMESPACE, OWNER, REGION, SPEC, WANTED, body, recorded
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import (
    RECONCILE_REQUESTS,
)

SPOT = {
    **SPEC,
    "resourceConfig": {"instanceType": "ml.m5.large", "instanceCount": 3, "volumeSizeInGB": 10},
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
}


PAID = {"namespace": NAMESPACE, "instance_type": "ml.m5.large"}
LATE = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}


@simulated(outcome="Failed")
async def test_a_failed_job_is_reported_as_failed(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(90.0)
    assert simulation.condition("Ready")[:2] == ("False", "JobFailed")
    assert simulation.condition("Stalled")[0] == "True"


@pytest.mark.parametrize(("spec", "billable"), [(SPOT, 10), (SPEC, None)], ids=["spot", "neither spot nor rules"])
@simulated()
async def test_a_minute_after_an_end_with_spot_the_job_is_described_once_more(
    simulation: Simulation, spec: dict[str, Any], billable: int | None
) -> None:
    simulation.api.apply(body(spec=spec))
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(75.0)
    assert simulation.condition("Finished")[0] == "True"
    assert "billableTimeInSeconds" not in simulation.object["status"]
    calls = len(simulation.service.calls)
    await simulation.wait(900.0)
    assert simulation.service.calls[calls:] == [("DescribeTrainingJob", JOB)] * (billable is not None)
    assert simulation.object["status"].get("billableTimeInSeconds") == billable
    assert simulation.object["status"].get("billableInstanceSeconds") == (billable and 30)
    spot = str(billable is not None).lower()
    expected = (0, 0) if billable is None else (40 * 3, 10 * 3)
    counters = ("trainingjob_training_instance_seconds_total", "trainingjob_billable_instance_seconds_total")
    assert tuple(simulation.sample(name, spot=spot, **PAID) for name in counters) == expected
    assert simulation.sample("trainingjob_ended_total", namespace=NAMESPACE, outcome="Succeeded") == 1.0
    await simulation.start()
    await simulation.wait(120.0)
    assert not simulation.sample("trainingjob_billable_instance_seconds_total", spot=spot, **PAID)
    assert not simulation.sample("trainingjob_ended_total", namespace=NAMESPACE, outcome="Succeeded")
    assert len(simulation.service.calls) == calls + (billable is not None), "no further call after a restart"


@simulated()
async def test_a_restart_within_a_minute_after_the_end_keeps_the_second_describe(simulation: Simulation) -> None:
    simulation.api.apply(body(spec=SPOT))
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(75.0)
    calls = len(simulation.service.calls)
    await simulation.start()
    await simulation.wait(120.0)
    assert simulation.service.calls[calls:] == [("DescribeTrainingJob", JOB)]
    assert simulation.object["status"]["billableTimeInSeconds"] == 10


@simulated()
async def test_an_end_reverted_by_another_writer_is_counted_once(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(200.0)
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
    await simulation.wait(5.0)
    assert simulation.object["status"]["billableTimeInSeconds"] == 10
    simulation.api.write_status_as(
        "kubectl", KEY, trainingJobStatus="InProgress", billableTimeInSeconds=None, conditions=[]
    )
    await simulation.wait(60.0)
    assert simulation.condition("Finished")[0] == "True"
    assert simulation.sample("trainingjob_ended_total", namespace=NAMESPACE, outcome="Succeeded") == 1.0
    assert simulation.sample("trainingjob_billable_instance_seconds_total", spot="false", **PAID) == 10.0


@simulated(seconds=100_000.0)
async def test_a_stuck_stop_by_another_client_is_reported(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(5.0)
    (job,) = simulation.service.created
    job.stopped = asyncio.get_running_loop().time()
    job.stopping_seconds = 10_000.0
    await simulation.wait(15.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Stopping"
    simulation.api.delete(KEY)
    await simulation.wait(890.0)
    assert simulation.condition("ACK.Advisory")[0] == ""
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Advisory")[1] == "StopStuck"


@simulated(seconds=10_000.0)
async def test_a_vanished_job_is_reported_and_not_created_again(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(60.0)
    simulation.service.jobs.clear()
    await simulation.wait(900.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
    assert simulation.count("CreateTrainingJob") == 1
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone


@in_virtual_time
async def test_environment_and_hyperparameters_are_neither_reported_nor_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="trainingjob_operator")
    async with simulate() as simulation:
        secret = "s3cr3t"
        spec = {**SPEC, "environment": {"TOKEN": secret}, "hyperParameters": {"key": secret}}
        simulation.api.apply(body(spec=spec))
        await simulation.wait(90.0)
        assert secret not in str(simulation.object["status"])
        assert secret not in str(simulation.operator.recorder.events)
        assert secret not in caplog.text


@simulated()
async def test_a_restart_with_another_default_region_reports_nothing_for_ended_jobs(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    assert simulation.condition("Complete")[0] == "True"
    writes, calls = len(simulation.api.writes), len(simulation.service.calls)
    moved = replace(CONTEXT, defaults=replace(CONTEXT.defaults, region="eu-central-1"))
    operator = await simulation.start(context=moved)
    await simulation.wait(100.0)
    assert (len(simulation.api.writes), len(simulation.service.calls)) == (writes, calls)
    assert operator.recorder.events == []


@pytest.mark.parametrize("inherited", [False, True])
@simulated(seconds=10_000.0)
async def test_a_known_arn_is_reported_while_describe_waits_for_its_budget(
    simulation: Simulation, *, inherited: bool
) -> None:
    for other in range(1000):
        simulation.operator.budgets.of(ACCOUNT, REGION).describe.claim(other)
    if inherited:
        simulation.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
        simulation.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress")))
    else:
        simulation.api.apply(body())
    await simulation.wait(1.0)
    assert simulation.count("DescribeTrainingJob") == 0
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("Ready")[0] == "False"


@pytest.mark.parametrize("outcome", ["Failed", "Completed"])
@pytest.mark.parametrize(
    "obstacle", ["budget", ErrorClass.THROTTLED, ErrorClass.DENIED, ErrorClass.CREDENTIALS, ErrorClass.RETRY]
)
@in_virtual_time
async def test_a_status_from_a_list_is_reported_at_once_during_a_delayed_describe(
    obstacle: str | ErrorClass, outcome: str
) -> None:
    async with simulate(outcome=outcome) as simulation:
        budget = simulation.operator.budgets.of(ACCOUNT, REGION).describe
        simulation.api.apply(body())
        await simulation.wait(12.0)
        assert simulation.object["status"]["secondaryStatus"] == "Downloading"
        if isinstance(obstacle, ErrorClass):
            simulation.service.refusals["DescribeTrainingJob"] = failed("DescribeTrainingJob", "No", obstacle)
        else:
            for other in range(8_000):
                budget.claim(other)
        await simulation.wait(15.0)
        assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
        assert simulation.object["status"]["secondaryStatus"] == "Training"
        await simulation.wait(40.0)
        assert simulation.object["status"]["trainingJobStatus"] == outcome
        assert simulation.condition("Complete" if outcome == "Completed" else "Failed")[0] == "True"
        assert [one["status"] for one in simulation.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
        ]
        assert simulation.object["metadata"]["finalizers"] == []
        calls = len(simulation.service.calls)
        simulation.service.refusals.clear()
        await simulation.wait(400.0)
        assert [one["status"] for one in simulation.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
            "Training",
            outcome,
        ], "completed by Describe"
        assert [call for call, _ in simulation.service.calls[calls:]] == ["DescribeTrainingJob"]
        counted = {"Completed": "Succeeded"}.get(outcome, outcome)
        assert simulation.sample("trainingjob_ended_total", namespace=NAMESPACE, outcome=counted) == 1.0


@simulated()
async def test_an_end_known_from_a_list_alone_is_completed_after_a_restart(simulation: Simulation) -> None:
    denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
    simulation.service.refusals["DescribeTrainingJob"] = denied
    simulation.api.apply(body())
    await simulation.wait(2.0)
    status = simulation.object["status"]
    assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
    await simulation.wait(98.0)
    assert simulation.condition("Complete")[0] == "True"
    assert "secondaryStatusTransitions" not in simulation.object["status"]
    simulation.service.refusals.clear()
    await simulation.start()
    await simulation.wait(5.0)
    assert simulation.object["status"]["secondaryStatusTransitions"][-1]["status"] == "Completed"
    calls = len(simulation.service.calls)
    await simulation.start()
    await simulation.wait(100.0)
    assert len(simulation.service.calls) == calls


@simulated(seconds=1000.0)
async def test_a_job_without_an_answer_is_shown_as_starting_and_described_after_a_restart(
    simulation: Simulation,
) -> None:
    for operation in ("DescribeTrainingJob", "ListTrainingJobs"):
        simulation.service.refusals[operation] = failed(operation, "Throttling", ErrorClass.THROTTLED)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    status = simulation.object["status"]
    assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
    assert simulation.condition("Ready")[:2] == ("False", "Created")
    simulation.service.refusals = {"ListTrainingJobs": simulation.service.refusals["ListTrainingJobs"]}
    await simulation.start()
    await simulation.wait(2.0)
    assert simulation.object["status"]["secondaryStatus"] == "Training"


@pytest.mark.no_cover
@simulated()
async def test_objects_without_work_delay_no_other(simulation: Simulation) -> None:
    operator = await simulation.start(workers=1)
    names = [f"job-{number}" for number in range(50)]
    for name in names:
        simulation.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
    await simulation.wait(120.0)
    for name in names:
        operator.queue.add((NAMESPACE, name))
    turns = 0
    while operator.queue.depth:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(names), "the event loop runs between two objects"


@pytest.mark.no_cover
@pytest.mark.parametrize("is_replaced", [False, True], ids=["no job", "another run"])
@simulated(seconds=10_000.0)
async def test_only_answers_of_the_right_account_make_a_job_missing(simulation: Simulation, is_replaced: bool) -> None:
    simulation.api.apply(body())
    await simulation.wait(60.0)
    jobs = dict(simulation.service.jobs)
    simulation.service.jobs.clear()
    if is_replaced:
        now = asyncio.get_running_loop().time()
        simulation.service.jobs.update({slot: replace(job, created=now) for slot, job in jobs.items()})
    simulation.service.misplaced = failed("GetCallerIdentity", "AccountChanged", ErrorClass.ACCOUNT, "of another")
    await simulation.wait(900.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccountChanged")
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
    simulation.service.jobs.update(jobs)
    simulation.service.misplaced = None
    await simulation.wait(60.0)
    assert "AccountChanged" not in str(simulation.object["status"]["conditions"])
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
