"""Reporter: writes changes of `.status`, emits each Event once, and never writes without leadership."""

import asyncio

import pytest

from tests.fakes.operator import FakeLeadership
from tests.fakes.service import failed
from tests.fakes.simulation import Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import body
from trainingjob_operator.kube.errors import Conflict, KubeError, Unavailable
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import RECONCILE_REQUESTS
from trainingjob_operator.reporter import PRUNED_SECONDS


@simulated()
async def test_each_change_has_one_event(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    reasons = [reason for _, reason, _ in simulation.operator.recorder.events]
    assert reasons == ["Created", "Starting", "Downloading", "Training", "JobCompleted"]


@pytest.mark.parametrize(
    ("error", "outcome"), [(Conflict("somebody wrote first"), "conflict"), (Unavailable("no connection"), "failed")]
)
@simulated()
async def test_each_write_is_counted_by_result(simulation: Simulation, error: KubeError, outcome: str) -> None:
    errors = [error]

    def hinder(what: str, before: bool) -> None:
        if what == "status" and before and errors:
            raise errors.pop()

    simulation.api.hinder = hinder
    simulation.api.apply(body())
    await asyncio.sleep(100.0)
    counts = {
        result: simulation.operator.registry.get_sample_value("trainingjob_status_writes_total", {"outcome": result})
        for result in ("conflict", "failed", "written")
    }
    assert counts == {"conflict": None, "failed": None, outcome: 1.0, "written": simulation.api.writes.count("status")}


@simulated()
async def test_a_refused_spec_is_logged_once(simulation: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "X", ErrorClass.REFUSED, "no good")
    simulation.api.apply(body())
    await simulation.wait(30.0)
    await simulation.start()
    await simulation.wait(30.0)
    (line,) = [record for record in caplog.records if "no good" in record.getMessage()]
    assert (line.levelname, line.getMessage()) == (
        "WARNING",
        "Refused: CreateTrainingJob failed with X: no good",
    )
    assert vars(line)["k8s_ref"] == {"namespace": "team-a", "name": "churn"}


@simulated(outcome="Failed")
async def test_the_end_of_a_job_is_counted_once_with_its_outcome(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    assert simulation.sample("trainingjob_ended_total", namespace="team-a", outcome="Failed") == 1.0
    assert simulation.sample("trainingjob_errors_total", condition="ACK.Terminal", reason="JobFailed") == 1.0


@simulated(seconds=5000.0)
async def test_a_describe_without_news_writes_only_the_handled_request(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(40.0)
    writes = len(simulation.api.writes)
    simulation.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "1"})
    await simulation.wait(5.0)
    assert len(simulation.api.writes) == writes + 1


@simulated(seconds=5000.0)
async def test_a_status_is_not_written_without_leadership(simulation: Simulation) -> None:
    leadership = FakeLeadership()
    await simulation.start(leadership=leadership)
    lost: list[int] = []

    def lose(operation: str, before: bool) -> None:
        if operation == "CreateTrainingJob" and not before:
            leadership.lead(leads=False)
            lost.append(len(simulation.api.writes))

    simulation.service.fault = lose
    simulation.api.apply(body())
    await simulation.wait(20.0)
    assert lost == [len(simulation.api.writes)]
    leadership.lead(leads=True)
    await simulation.wait(50.0)
    assert len(simulation.service.created) == 1
    assert simulation.object["status"]["ackResourceMetadata"]["arn"]


@in_virtual_time
async def test_fields_pruned_by_the_former_crd_are_written_under_the_new_one() -> None:
    known = {"ackResourceMetadata", "conditions", "trainingJobStatus", "secondaryStatus", "creationTime"}
    async with simulate(seconds=5000.0, keeps=frozenset(known)) as simulation:
        simulation.api.apply(body())
        await simulation.wait(40.0)
        assert "logs" not in simulation.object["status"]
        simulation.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "1"})
        await simulation.wait(1.0)
        assert "logs" not in simulation.object["status"]
        simulation.api.keeps = None
        await simulation.wait(PRUNED_SECONDS)
        simulation.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "2"})
        await simulation.wait(5.0)
        assert simulation.object["status"]["logs"]["streamPrefix"] == "Churn-2026/"
