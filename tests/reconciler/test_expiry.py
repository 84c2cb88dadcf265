"""Finished objects with a time to live: deleted in time, without their jobs."""

from dataclasses import replace

import pytest

from tests.fakes.operator import CONTEXT
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import NAMESPACE, body
from trainingjob_operator.kube.errors import Forbidden
from trainingjob_operator.logic.objects.annotations import TTL

FLAG = replace(CONTEXT, defaults=replace(CONTEXT.defaults, ttl_seconds=600))
CHANGES = {"StopTrainingJob", "UpdateTrainingJob", "AddTags", "DeleteTags"}


def finished(simulation: Simulation) -> bool:
    return simulation.condition("Finished")[0] == "True"


@pytest.mark.parametrize("where", ["object", "namespace", "flag"])
@in_virtual_time
async def test_a_finished_object_is_deleted_after_its_time_and_its_job_remains(where: str) -> None:
    async with simulate() as simulation:
        if where == "namespace":
            simulation.cluster_state.namespaces[NAMESPACE] = {TTL: "600"}
        await simulation.start(context=FLAG if where == "flag" else CONTEXT)
        simulation.api.apply(body(annotations={TTL: "600"} if where == "object" else None))
        await simulation.wait(100.0)
        assert finished(simulation)
        await simulation.wait(480.0)
        assert KEY in simulation.api.objects
        await simulation.wait(130.0)
        assert simulation.gone
        assert not CHANGES & {operation for operation, _ in simulation.service.calls}


@simulated()
async def test_an_object_overrides_its_namespace(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {TTL: "0"}
    simulation.api.apply(body(annotations={TTL: "999999999"}))
    await simulation.wait(1000.0)
    assert not simulation.gone


@simulated()
async def test_an_invalid_time_to_live_deletes_no_object(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {TTL: "0"}
    simulation.api.apply(body())
    await simulation.wait(10.0)
    simulation.api.annotate(KEY, **{TTL: "-1"})
    await simulation.wait(1000.0)
    assert finished(simulation)
    assert "Use a number of seconds" in simulation.condition("ACK.Advisory")[2]


@simulated()
async def test_a_time_to_live_set_later_counts_from_the_end_of_the_job(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(1000.0)
    simulation.api.annotate(KEY, **{TTL: "600"})
    await simulation.wait(5.0)
    assert simulation.gone


@simulated()
async def test_a_running_job_and_a_refused_object_have_no_time_to_live(simulation: Simulation) -> None:
    simulation.service.seconds = 5000.0
    simulation.api.apply(body(annotations={TTL: "0"}))
    refused = body(name="refused", uid="refused", spec={"trainingJobName": "refused"}, annotations={TTL: "0"})
    simulation.api.apply(refused)
    await simulation.wait(1000.0)
    assert KEY in simulation.api.objects
    assert (NAMESPACE, "refused") in simulation.api.objects


@simulated()
async def test_a_restart_does_not_prolong_the_time_to_live(simulation: Simulation) -> None:
    simulation.api.apply(body(annotations={TTL: "600"}))
    await simulation.wait(400.0)
    await simulation.start()
    await simulation.wait(310.0)
    assert simulation.gone


@simulated()
async def test_an_object_applied_again_runs_no_job_and_expires_again(simulation: Simulation) -> None:
    simulation.api.apply(body(annotations={TTL: "600"}))
    await simulation.wait(700.0)
    assert simulation.gone
    simulation.api.apply(body(uid="again", annotations={TTL: "600"}))
    await simulation.wait(500.0)
    assert finished(simulation)
    await simulation.wait(200.0)
    assert simulation.gone
    assert len(simulation.service.created) == 1


@simulated()
async def test_a_missing_right_is_reported_and_the_deletion_follows_its_grant(simulation: Simulation) -> None:
    def forbid(what: str, _before: bool) -> None:
        if what == "delete":
            raise Forbidden('cannot delete resource "trainingjobs"')

    simulation.api.hinder = forbid
    simulation.api.apply(body(annotations={TTL: "60"}))
    await simulation.wait(200.0)
    reason, message = simulation.condition("ACK.Advisory")[1:]
    assert reason == "ExpiryDenied"
    assert 'cannot delete resource "trainingjobs"' in message
    assert simulation.condition("Ready")[0] == "True"
    simulation.api.hinder = lambda _what, _before: None
    await simulation.wait(700.0)
    assert simulation.gone
