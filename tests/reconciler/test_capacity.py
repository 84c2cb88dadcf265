"""Objects in the create queue for capacity or a quota."""

import asyncio
from typing import Any

import pytest

from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import JOB, NAMESPACE, REGION, SPEC, body
from trainingjob_operator.kube.errors import Forbidden
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)

SCARCE = "ml.p4d.24xlarge"


def apply_in_order(simulation: Simulation, count: int, **config: Any) -> None:
    """Apply objects o0, o1, … with this resourceConfig, each one second older than the next."""
    for number in range(count):
        spec = {**SPEC, "trainingJobName": f"job-{number}", "resourceConfig": {**SPEC["resourceConfig"], **config}}
        one = body(name=f"o{number}", uid=str(number), spec=spec)
        one["metadata"]["creationTimestamp"] = f"2026-11-21T10:00:0{number}Z"
        simulation.api.apply(one)


@simulated(capacity=1)
async def test_objects_wait_for_capacity_in_order_of_creation_without_a_warning(simulation: Simulation) -> None:
    apply_in_order(simulation, 4)
    await simulation.wait(50.0)
    assert len(simulation.service.created) == 1
    last = (NAMESPACE, "o3")
    status, reason, message = simulation.condition("ACK.Recoverable", last)
    waiting = simulation.condition("Ready", last)
    assert (status, reason) == ("True", "ResourceLimitExceeded") or waiting[1] == "Waiting", message
    reasons = set()
    for _ in range(200):
        await simulation.wait(2.0)
        reasons |= {simulation.condition("ACK.Recoverable", key)[1] for key in simulation.api.objects}
    assert reasons <= {"", "ResourceLimitExceeded"}, "waiting is not a failure"
    assert simulation.created_jobs == [f"job-{number}" for number in range(4)]


@simulated(capacity=1)
async def test_an_object_waiting_for_capacity_can_be_deleted_at_once(simulation: Simulation) -> None:
    apply_in_order(simulation, 3)
    await simulation.wait(20.0)
    simulation.api.delete((NAMESPACE, "o1"))
    await simulation.wait(1.0)
    assert (NAMESPACE, "o1") not in simulation.api.objects
    await simulation.wait(200.0)
    assert simulation.created_jobs == ["job-0", "job-2"]


@simulated(capacity=1)
async def test_an_object_with_invalid_annotations_leaves_the_create_queue(simulation: Simulation) -> None:
    apply_in_order(simulation, 3)
    await simulation.wait(20.0)
    simulation.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "nowhere"})
    await simulation.wait(300.0)
    assert simulation.created_jobs == ["job-0", "job-2"]
    assert simulation.condition("ACK.Terminal", (NAMESPACE, "o1"))[1] == "InvalidAnnotation"


@simulated(seconds=1000.0)
async def test_an_object_with_an_edited_region_leaves_the_create_queue_of_the_former_region(
    simulation: Simulation,
) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(30.0)
    simulation.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "eu-central-1"})
    await simulation.wait(30.0)
    assert simulation.created_jobs == ["job-1"]
    simulation.api.delete((NAMESPACE, "o0"))
    simulation.service.lacking.clear()
    await simulation.wait(90.0)
    assert simulation.created_jobs == ["job-1", "job-2"]


@simulated(seconds=1000.0)
async def test_an_edit_of_the_instance_type_creates_a_job_waiting_for_capacity_at_once(
    simulation: Simulation,
) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(30.0)
    simulation.api.edit((NAMESPACE, "o1"), resourceConfig=SPEC["resourceConfig"])
    await simulation.wait(5.0)
    assert simulation.created_jobs == ["job-1"]
    simulation.service.lacking.clear()
    await simulation.wait(90.0)
    assert simulation.created_jobs == ["job-1", "job-0", "job-2"]


@simulated(seconds=1000.0)
async def test_an_unwritable_object_does_not_delay_others_waiting_for_the_same_capacity(
    simulation: Simulation,
) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(1.0)
    simulation.api.delete((NAMESPACE, "o0"))
    patch_metadata = simulation.api.patch_metadata

    async def refuse(namespace: str, name: str, **change: Any) -> dict[str, Any]:
        if name == "o1":
            raise Forbidden("a policy of its namespace refuses it")
        return await patch_metadata(namespace, name, **change)

    simulation.api.patch_metadata = refuse  # type: ignore[method-assign]
    simulation.service.lacking.clear()
    await asyncio.sleep(90.0)
    assert simulation.created_jobs == ["job-2"]
    simulation.api.patch_metadata = patch_metadata  # type: ignore[method-assign]
    await asyncio.sleep(150.0)  # after growth of the back-off
    assert simulation.created_jobs == ["job-2", "job-1"]


@pytest.mark.parametrize("after", [0.5, 1.5], ids=["before it claimed the job", "before it stood in line"])
@simulated()
async def test_an_object_deleted_during_its_reconcile_leaves_no_claim_and_no_position(
    simulation: Simulation, after: float
) -> None:
    simulation.service.lacking = {(REGION, SPEC["resourceConfig"]["instanceType"])}
    create_queue = simulation.operator.create_queue
    apply_in_order(simulation, 1)
    await simulation.wait(2.0)
    simulation.cluster_state.pauses = {NAMESPACE: 1.0, "selectors": 1.0}
    simulation.api.apply(body())
    await simulation.wait(after)
    simulation.api.delete(KEY)
    await simulation.wait(10.0)
    assert len(create_queue) <= 1, "only the other object waits"
    simulation.service.lacking.clear()
    simulation.cluster_state.pauses.clear()
    simulation.api.apply(body(name="other", uid="other"))
    await simulation.wait(90.0)
    assert simulation.created_jobs == ["job-0", JOB]
