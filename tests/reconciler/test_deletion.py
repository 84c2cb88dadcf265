"""Deletion of an object: the job is stopped or retained, and the finalizer removed."""

import pytest

from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ARN, UID, body
from trainingjob_operator.logic.naming import FINALIZER
from trainingjob_operator.logic.objects.annotations import (
    DELETION_POLICY,
    READ_ONLY,
)


@simulated(seconds=10_000.0)
async def test_deletion_stops_a_running_job_once_and_waits_for_its_end(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.delete(KEY)
    await simulation.wait(5.0)
    assert KEY in simulation.api.objects
    await simulation.wait(20.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == simulation.count("StopTrainingJob") == 1


@pytest.mark.parametrize("annotations", [{DELETION_POLICY: "retain"}, {DELETION_POLICY: "keep it"}, {READ_ONLY: "yes"}])
@simulated(seconds=10_000.0)
async def test_a_retained_job_keeps_running_after_the_deletion_of_its_object(
    simulation: Simulation, annotations: dict[str, str]
) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.annotate(KEY, **annotations)
    simulation.api.delete(KEY)
    await simulation.wait(2.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 0


@simulated(seconds=10_000.0, hidden_seconds=25.0)
async def test_a_stale_not_found_after_a_restart_orphans_no_job_on_deletion(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(2.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    await simulation.start()
    simulation.api.delete(KEY)
    await simulation.wait(120.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == 1


@simulated(seconds=10_000.0)
async def test_a_finalizer_removed_by_hand_is_added_again_while_the_job_runs(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    current = simulation.object["metadata"]
    await simulation.api.patch_metadata(*KEY, uid=UID, resource_version=current["resourceVersion"], finalizers=[])
    await simulation.wait(5.0)
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
