"""Other writers of `.status`, and a CRD with pruned fields."""

from typing import Any

import pytest

from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import SPEC, body


@in_virtual_time
async def test_pruned_status_fields_cause_no_repeated_writes() -> None:
    acks = {"ackResourceMetadata", "conditions", "creationTime", "lastModifiedTime", "trainingJobStatus"}
    async with simulate(
        keeps=frozenset(acks | {"secondaryStatus", "failureReason", "debugRuleEvaluationStatuses"})
    ) as simulation:
        simulation.api.apply(body())
        await simulation.wait(200.0)
        assert simulation.condition("Complete")[0] == "True"
        writes = len(simulation.api.writes)
        await simulation.wait(900.0)
        assert len(simulation.api.writes) == writes
        await simulation.start()
        await simulation.wait(120.0)
        assert len(simulation.api.writes) <= writes + 1
        assert simulation.count("CreateTrainingJob") == 1


@simulated(seconds=10_000.0)
async def test_an_object_is_passive_while_another_controller_writes_it(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.write_status_as("controller", KEY, trainingJobStatus="InProgress")
    await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")
    assert simulation.operator.reconciler.passive() == 1
    calls, writes = len(simulation.service.calls), len(simulation.api.writes)
    simulation.api.write_status_as("controller", KEY, trainingJobStatus="Stopping")
    await simulation.wait(500.0)
    assert (len(simulation.service.calls), len(simulation.api.writes)) == (calls, writes)
    await simulation.wait(200.0)
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress", "the operator follows the job again"
    assert simulation.operator.reconciler.passive() == 0


@pytest.mark.parametrize("manager", ["controller", "dashboard"])
@simulated(seconds=10_000.0)
async def test_the_job_of_a_passive_object_is_stopped_on_deletion(simulation: Simulation, manager: str) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    for failure in ("one", "two", "three"):
        simulation.api.write_status_as(manager, KEY, failureReason=failure)
        await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")
    assert f'"{manager}"' in simulation.condition("ACK.Advisory")[2]
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.count("StopTrainingJob") == 1
    await simulation.wait(20.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@pytest.mark.parametrize(
    "written",
    [
        {"failureReason": "by another writer"},
        {"trainingJobStatus": "Completed", "secondaryStatus": "Completed"},
        {"lastModifiedTime": "2030-01-01T00:00:00Z", "secondaryStatus": "Uploading"},
        {"secondaryStatusTransitions": [{"status": "Uploading", "startTime": "2026-11-21T11:00:00Z"}]},
        {"conditions": [], "trainingJobStatus": None, "secondaryStatus": None},
    ],
    ids=lambda written: next(iter(written)),
)
@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its end"])
@simulated(outcome="Completed", seconds=60.0)
async def test_a_single_write_of_the_status_by_others_is_overwritten(
    simulation: Simulation, written: dict[str, Any], *, ended: bool
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0 if ended else 30.0)
    before = simulation.object["status"]
    describes = simulation.count("DescribeTrainingJob")
    simulation.api.write_status_as("velero-server", KEY, **written)
    await simulation.wait(2.0)
    after = simulation.object["status"]
    times = {"lastTransitionTime": None}
    assert {**after, "conditions": [one | times for one in after["conditions"]]} == {
        **before,
        "conditions": [one | times for one in before["conditions"]],
    }
    assert simulation.count("DescribeTrainingJob") == describes + 1
    await simulation.wait(100.0)
    assert simulation.condition("Complete")[0] == "True"


@simulated(seconds=10_000.0)
async def test_an_edit_during_writes_of_another_controller_is_applied_after_them(
    simulation: Simulation,
) -> None:
    spec = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
    simulation.api.apply(body(spec=spec))
    await simulation.wait(30.0)
    simulation.api.write_status_as("controller", KEY, failureReason="as ACK sees it")
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[1] == "Passive"
    assert simulation.object["status"]["observedGeneration"] == 1
    await simulation.wait(700.0)
    assert simulation.count("UpdateTrainingJob") == 1
    assert simulation.object["status"]["observedGeneration"] == 2


@simulated()
async def test_repeated_writes_to_the_object_of_an_ended_job_cause_no_write(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    for number in range(20):
        simulation.api.write_status_as("dashboard", KEY, failureReason=str(number))
        await simulation.wait(30.0)
    assert simulation.object["status"]["failureReason"] == "19"
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")
