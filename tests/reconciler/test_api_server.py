"""Reconciles during conflicts, deletions, outages of the API server and changes of the leader."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import FakeClusterState, FakeLeadership
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ACCOUNT, JOB, NAMESPACE, WANTED, body
from trainingjob_operator.kube.errors import Conflict, NotFound, Unavailable
from trainingjob_operator.logic.objects.annotations import (
    OWNER_ACCOUNT,
    READ_ONLY,
)


@simulated(seconds=1000.0)
async def test_an_object_deleted_during_its_status_write_is_no_longer_followed(
    simulation: Simulation,
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    written = simulation.api.patch_status

    async def delete_too(*arguments: Any, **change: Any) -> dict[str, Any]:
        answer = await written(*arguments, **change)
        simulation.api.delete(KEY)
        return answer

    simulation.api.patch_status = delete_too  # type: ignore[method-assign]
    simulation.api.apply(body(annotations={READ_ONLY: "true"}))
    await simulation.wait(10.0)
    assert simulation.gone
    assert simulation.operator.jobs.live_targets() == []


@simulated()
async def test_an_object_is_read_again_after_a_conflict_before_any_call(simulation: Simulation) -> None:
    raced = [True]

    def race(what: str, before: bool) -> None:
        if before and what == "metadata" and raced:
            raced.clear()
            simulation.operator.interrupt_watch()
            simulation.api.annotate(KEY, note="another writer")

    simulation.api.hinder = race
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.object["metadata"]["annotations"]["note"] == "another writer"
    assert len(simulation.service.created) == 1


@simulated()
async def test_an_outage_of_the_api_server_of_a_minute_loses_no_change(simulation: Simulation) -> None:
    loop = asyncio.get_running_loop()
    back = loop.time() + 60.0

    def be_unavailable(_what: str, before: bool) -> None:
        if before and loop.time() < back:
            raise Unavailable("no connection")

    simulation.api.hinder = be_unavailable
    simulation.api.apply(body())
    await asyncio.sleep(59.0)
    assert simulation.service.created == []
    await asyncio.sleep(60.0)
    assert len(simulation.service.created) == 1


@simulated()
async def test_a_standby_makes_no_call_and_a_new_leader_creates_each_job_once(simulation: Simulation) -> None:
    leadership = FakeLeadership()
    leadership.lead(False)
    await simulation.start(leadership=leadership)
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    leadership.lead(True)
    await simulation.wait(5.0)
    assert len(simulation.service.created) == 1


@simulated()
async def test_an_unexpected_error_is_logged_and_retried_without_delay_of_other_objects(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(FakeClusterState):
        async def account_roles(self) -> Mapping[str, str] | None:
            raise ValueError("odd")

    simulation.cluster_state = Odd({NAMESPACE: {OWNER_ACCOUNT: ACCOUNT}})
    operator = await simulation.start()
    simulation.api.apply(body())
    await asyncio.sleep(60.0)
    logged = [record for record in caplog.records if "Unexpected error" in record.message]
    assert 2 <= len(logged) <= 10
    assert operator.registry.get_sample_value("trainingjob_reconcile_seconds_count", {"outcome": "error"}) == len(
        logged
    )
    operator.cluster_state.namespaces.clear()
    await asyncio.sleep(300.0)
    assert len(simulation.service.created) == 1


@pytest.mark.parametrize("ends", ["gone", "away"])
@simulated()
async def test_an_object_deleted_or_unreadable_after_a_conflict_is_handled(simulation: Simulation, ends: str) -> None:
    loop = asyncio.get_running_loop()
    back = loop.time() + 20.0

    class Api(FakeApiServer):
        async def get(self, namespace: str, name: str) -> dict[str, Any]:
            if ends == "away" and loop.time() < back:
                raise Unavailable("no connection")
            return await super().get(namespace, name)

    tries: list[float] = []

    def race(what: str, before: bool) -> None:
        if before and what == "metadata":
            tries.append(loop.time())
        if before and what == "metadata" and loop.time() < back:
            if ends == "gone":
                simulation.api.objects.pop(KEY, None)
            raise Conflict("the object has been modified")

    simulation.api = Api()
    simulation.api.hinder = race
    await simulation.start()
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert len(simulation.service.created) == (0 if ends == "gone" else 1)
    assert len(tries) < 20, "at growing intervals"


@pytest.mark.parametrize("reads", ["found", "not found either"])
@pytest.mark.parametrize("what", ["status", "metadata"])
@pytest.mark.parametrize("moment", ["first", "last"])
@simulated()
async def test_a_write_answered_with_not_found_is_sent_again(
    simulation: Simulation, moment: str, what: str, reads: str
) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time() + (0.0 if moment == "first" else 55.0)  # the job ends after 60 s
    failures: list[float] = []

    def miss(operation: str, before: bool) -> None:
        if before and operation == what and loop.time() >= begin and not failures:
            failures.append(loop.time())
            raise NotFound("the server could not find the requested resource")

    class Api(FakeApiServer):
        async def get(self, namespace: str, name: str) -> dict[str, Any]:
            if reads == "not found either" and loop.time() < failures[0] + 5.0:
                raise NotFound("the server could not find the requested resource")
            return await super().get(namespace, name)

    simulation.api = Api()
    simulation.api.hinder = miss
    await simulation.start()
    simulation.api.apply(body())
    await simulation.wait(100.0)
    assert len(failures) == 1
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert simulation.object["metadata"]["finalizers"] == []
    assert len(simulation.service.created) == 1


@simulated()
async def test_a_reconcile_of_a_deleted_object_makes_no_call(simulation: Simulation) -> None:
    def vanish(_what: str, _before: bool) -> None:
        simulation.api.objects.pop(KEY, None)

    simulation.api.hinder = vanish
    simulation.api.apply(body())
    simulation.operator.queue.add((NAMESPACE, "never-seen"))
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    assert simulation.api.writes == []
