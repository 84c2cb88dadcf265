"""Names of jobs: the object's name, and suffixes by spec or UID."""

import asyncio

import pytest

from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import NAME, SPEC, body
from trainingjob_operator.kube.errors import Unavailable
from trainingjob_operator.logic.naming import CREATE_PENDING, JOB_ARN
from trainingjob_operator.logic.objects.annotations import JOB_NAME_SUFFIX

BY_SPEC, BY_UID = {JOB_NAME_SUFFIX: "spec"}, {JOB_NAME_SUFFIX: "uid"}
NAMELESS = {name: value for name, value in SPEC.items() if name != "trainingJobName"}
ANOTHER = {**SPEC, "hyperParameters": {"rate": "2"}}


def names(simulation: Simulation) -> list[str]:
    """Names of the created jobs, in order."""
    return [job.request["TrainingJobName"] for job in simulation.service.created]


async def apply_again(simulation: Simulation, uid: str, **members: object) -> None:
    """Delete the object, and apply it again with another UID."""
    simulation.api.delete(KEY)
    await simulation.wait(5.0)
    assert simulation.gone
    simulation.api.apply(body(uid=uid, **members))  # type: ignore[arg-type]
    await simulation.wait(100.0)


@simulated()
async def test_a_job_without_a_name_in_spec_has_the_name_of_the_object(simulation: Simulation) -> None:
    simulation.api.apply(body(spec=NAMELESS))
    await simulation.wait(100.0)
    assert names(simulation) == [NAME]
    status = simulation.object["status"]
    assert (status["trainingJobName"], status["outcome"]) == (NAME, "Succeeded")


@simulated()
async def test_with_a_suffix_of_the_spec_each_spec_runs_once(simulation: Simulation) -> None:
    simulation.api.apply(body(annotations=BY_SPEC))
    await simulation.wait(100.0)
    [name] = names(simulation)
    assert name.startswith(f"{SPEC['trainingJobName']}-")
    assert simulation.condition("ACK.Advisory")[0] == "", "the suffix of the name is not drift"
    await apply_again(simulation, "second", annotations=BY_SPEC)
    assert names(simulation) == [name]
    assert simulation.condition("ACK.Advisory")[1] == "EarlierRun"
    await apply_again(simulation, "third", annotations=BY_SPEC, spec=ANOTHER)
    assert len(set(names(simulation))) == 2
    assert simulation.condition("Complete")[0] == "True"


@simulated()
async def test_with_a_suffix_of_the_uid_each_object_runs(simulation: Simulation) -> None:
    simulation.api.apply(body(annotations=BY_UID))
    await simulation.wait(100.0)
    await apply_again(simulation, "second", annotations=BY_UID)
    assert len(set(names(simulation))) == 2


@simulated(seconds=10_000.0)
async def test_a_restored_object_with_a_uid_suffix_does_not_run_again(simulation: Simulation) -> None:
    simulation.service.seconds = 5.0
    simulation.api.apply(body(annotations=BY_UID))
    await simulation.wait(100.0)
    kept = dict(simulation.object["metadata"]["annotations"])
    assert JOB_ARN in kept
    await apply_again(simulation, "restored", annotations=kept)
    assert len(names(simulation)) == 1
    assert simulation.condition("Complete")[0] == "True"


@pytest.mark.parametrize("by", [BY_SPEC, BY_UID])
@simulated(seconds=10_000.0)
async def test_an_attempt_under_the_former_name_is_settled_before_a_changed_suffix(
    simulation: Simulation, by: dict[str, str]
) -> None:
    def refuse_status(what: str, before: bool) -> None:
        if what == "status" and before:
            raise Unavailable("no connection")

    simulation.api.hinder = refuse_status
    simulation.api.apply(body(annotations=by))
    await asyncio.sleep(5.0)
    [name] = names(simulation)
    assert CREATE_PENDING in simulation.object["metadata"]["annotations"]
    simulation.api.annotate(KEY, **{JOB_NAME_SUFFIX: None})
    simulation.api.hinder = lambda _what, _before: None
    await simulation.start()
    await simulation.wait(60.0)
    assert names(simulation) == [name]
    assert simulation.object["status"]["trainingJobName"] == name
