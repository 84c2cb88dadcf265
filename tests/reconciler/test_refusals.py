"""Refusals of Create: reported, retried if transient, sent again after an edit."""

from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ARN, JOB, body
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import (
    RECONCILE_REQUESTS,
)
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)


@simulated()
async def test_a_refused_spec_is_sent_once_and_again_after_an_edit(simulation: Simulation) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "X", ErrorClass.REFUSED, "no good")
    simulation.api.apply(body())
    await simulation.wait(300.0)
    assert simulation.count("CreateTrainingJob") == 1
    assert "no good" in simulation.condition("ACK.Terminal")[2]
    assert simulation.object["metadata"]["finalizers"] == []
    await simulation.start()
    await simulation.wait(300.0)
    assert simulation.count("CreateTrainingJob") == 1
    del simulation.service.refusals["CreateTrainingJob"]
    simulation.api.edit(KEY, stoppingCondition={"maxRuntimeInSeconds": 60})
    await simulation.wait(5.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("ACK.Terminal")[0] == ""


@simulated()
async def test_a_doubtful_refusal_is_retried_for_two_minutes_and_rarely_afterwards(simulation: Simulation) -> None:
    doubt = failed("CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "role not assumable")
    simulation.service.refusals["CreateTrainingJob"] = doubt
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "CreateFailing")
    await simulation.wait(170.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "CreateFailed")
    tried = simulation.count("CreateTrainingJob")
    await simulation.wait(280.0)
    assert simulation.count("CreateTrainingJob") <= tried + 1
    del simulation.service.refusals["CreateTrainingJob"]
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
    await simulation.wait(5.0)
    assert len(simulation.service.created) == 1
    assert simulation.object["status"]["lastHandledReconcileAt"] == "now"


@simulated()
async def test_an_edited_spec_is_sent_at_once_and_retried_for_another_two_minutes(simulation: Simulation) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "Could not assume role"
    )
    simulation.api.apply(body())
    await simulation.wait(100.0)
    tried = simulation.count("CreateTrainingJob")
    simulation.api.edit(KEY, roleARN="arn:aws:iam::123456789012:role/other")
    await simulation.wait(1.0)
    assert simulation.count("CreateTrainingJob") == tried + 1, "the error of another spec causes no back-off"
    await simulation.wait(90.0)
    assert simulation.condition("ACK.Recoverable")[0] == "True"
    assert simulation.condition("Stalled")[0] == "", "the time of the former spec does not count"
    await simulation.wait(90.0)
    assert simulation.condition("Stalled")[0] == "True"


@simulated()
async def test_a_spec_refused_before_a_restart_is_sent_again_in_another_region(
    simulation: Simulation,
) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "not here"
    )
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[1] == "Refused"
    simulation.service.refusals.clear()
    await simulation.start()
    await simulation.wait(60.0)
    assert simulation.count("CreateTrainingJob") == 1, "a restart does not send it again"
    simulation.api.annotate(KEY, **{"example.com/note": "nothing that steers"})
    await simulation.wait(10.0)
    assert simulation.count("CreateTrainingJob") == 1
    simulation.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
    await simulation.wait(10.0)
    assert simulation.created_jobs == [JOB]


@simulated(seconds=1000.0)
async def test_a_refusal_by_assume_role_is_retried_without_an_edit(
    simulation: Simulation,
) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "AssumeRole", "ValidationError", ErrorClass.REFUSED, "arn is invalid"
    )
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "ValidationError")
    simulation.service.refusals.clear()
    await simulation.wait(40.0)
    assert simulation.created_jobs == [JOB]
