"""Jobs older than their object: adopted, observed, or refused."""

import asyncio

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import ACCOUNT, ARN, JOB, NAMESPACE, REGION, SPEC, WANTED, body, recorded
from trainingjob_operator.kube.errors import Unavailable
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import FINALIZER, Identity
from trainingjob_operator.logic.objects.annotations import (
    ADOPTED,
    ADOPTION_POLICY,
    READ_ONLY,
)

ACKS_STATUS = frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus", "secondaryStatus", "creationTime"})
"""Some of the fields of ACK's CRD."""


@pytest.mark.parametrize("keeps", [None, ACKS_STATUS], ids=["our CRD", "ACK's CRD"])
@in_virtual_time
async def test_the_name_of_a_foreign_job_is_refused_and_the_job_stays_unchanged(keeps: frozenset[str] | None) -> None:
    async with simulate(seconds=10_000.0, keeps=keeps) as simulation:
        simulation.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
        simulation.api.apply(body())
        await simulation.wait(30.0)
        status, reason, message = simulation.condition("ACK.Terminal")
        assert (status, reason) == ("True", "NameClash")
        assert ARN in message
        assert "ackResourceMetadata" not in simulation.object["status"]
        calls = len(simulation.service.calls)
        await simulation.start()
        await simulation.wait(600.0)
        again = [] if keeps is None else ["DescribeTrainingJob", "ListTags"]  # ACK's CRD prunes the other job's ARN
        assert [operation for operation, _ in simulation.service.calls[calls:]] == again, (
            "a restart triggers no new attempt"
        )
        assert simulation.condition("ACK.Terminal") == (status, reason, message)
        simulation.api.delete(KEY)
        await simulation.wait(2.0)
        assert simulation.gone
        assert simulation.count("StopTrainingJob") == simulation.count("AddTags") == 0


@simulated(seconds=10_000.0)
async def test_an_adopted_job_is_followed_without_a_create(simulation: Simulation) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}, spec={"trainingJobName": JOB}))
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Adopted")[0] == "True"
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.count("CreateTrainingJob") == 0
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@pytest.mark.parametrize("annotation", [{ADOPTION_POLICY: "adopt"}, {ADOPTED: "true"}, {READ_ONLY: "true"}])
@simulated()
async def test_a_missing_job_to_adopt_or_read_is_reported_and_never_created(
    simulation: Simulation, annotation: dict[str, str]
) -> None:
    simulation.api.apply(body(annotations=annotation))
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
    assert simulation.count("CreateTrainingJob") == 0
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone


@simulated(seconds=10_000.0)
async def test_adopt_or_create_adopts_an_existing_job_or_creates_one(simulation: Simulation) -> None:
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}))
    await simulation.wait(10.0)
    assert len(simulation.service.created) == 1
    assert simulation.condition("ACK.Adopted")[0] == ""
    other = Identity(ACCOUNT, REGION, "there")
    simulation.service.put(other, {"TrainingJobName": "there"}, {})
    spec = {**SPEC, "trainingJobName": "there"}
    simulation.api.apply(body(name="b", uid="b", annotations={ADOPTION_POLICY: "adopt-or-create"}, spec=spec))
    await simulation.wait(10.0)
    assert len(simulation.service.created) == 1
    assert simulation.condition("ACK.Adopted", (NAMESPACE, "b"))[0] == "True"


@simulated(seconds=10_000.0)
async def test_a_job_created_by_adopt_or_create_before_a_crash_belongs_to_its_object(simulation: Simulation) -> None:
    def refuse_status(what: str, before: bool) -> None:
        if what == "status" and before:
            raise Unavailable("no connection")

    simulation.api.hinder = refuse_status
    profiled = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}, spec=profiled))
    await asyncio.sleep(5.0)
    assert len(simulation.service.created) == 1
    assert "ackResourceMetadata" not in simulation.object.get("status", {})
    simulation.api.hinder = lambda _what, _before: None
    await simulation.start()
    await simulation.wait(30.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("ACK.Adopted")[0] == ""
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(30.0)
    assert simulation.count("UpdateTrainingJob") == 1


@simulated()
async def test_a_read_only_object_shows_the_job_without_mutating_calls(simulation: Simulation) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={READ_ONLY: "true"}, spec={"trainingJobName": JOB}))
    await simulation.wait(70.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert set(simulation.api.writes) == {"status"}
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone
    assert {call for call, _ in simulation.service.calls} <= {"DescribeTrainingJob", "ListTrainingJobs", "ListTags"}


@pytest.mark.parametrize("is_restarted", [False, True])
@simulated(seconds=1000.0)
async def test_an_object_changed_from_read_only_requires_proof_of_ownership(
    simulation: Simulation, *, is_restarted: bool
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={READ_ONLY: "true"}))
    await simulation.wait(17.0)
    assert simulation.object["status"]["secondaryStatus"] == "Downloading", "the operator follows the job"
    if is_restarted:
        await simulation.start()
        await simulation.wait(2.0)
    simulation.api.annotate(KEY, **{READ_ONLY: None})
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "NameClash")
    assert not simulation.object["metadata"]["finalizers"]
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert simulation.service.stopped == []


@pytest.mark.parametrize("operation", ["DescribeTrainingJob", "ListTags"])
@pytest.mark.parametrize("shown", ["Completed", "InProgress"])
@simulated(seconds=10.0)
async def test_an_object_without_proof_of_ownership_does_not_show_the_end_of_the_job(
    simulation: Simulation, operation: str, shown: str
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    await asyncio.sleep(20.0)  # the job has ended
    simulation.service.refusals[operation] = failed(operation, "AccessDenied", ErrorClass.DENIED, "role x may not")
    simulation.api.apply(body(status=recorded(ARN, trainingJobStatus=shown)))  # as written by ACK on a name clash
    await simulation.wait(60.0)
    assert simulation.condition("Ready")[:2] == ("False", "AccessDenied")
    assert {simulation.condition(kind)[0] for kind in ("Complete", "Finished", "Failed")} == {""}
    simulation.service.refusals.clear()
    await simulation.wait(600.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "NameClash")
    assert simulation.condition("Complete")[0] == ""


@simulated(seconds=10.0)
async def test_no_field_of_a_job_is_shown_before_its_tags_are_read(simulation: Simulation) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    await asyncio.sleep(20.0)
    denied = failed("ListTags", "AccessDenied", ErrorClass.DENIED, "role x may not")
    simulation.service.refusals["ListTags"] = denied
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert simulation.condition("Ready")[:2] == ("False", "AccessDenied")
    assert "trainingJobStatus" not in simulation.object["status"]
    simulation.service.refusals.clear()
    await simulation.wait(600.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "NameClash")


@simulated()
async def test_a_restored_object_owns_its_running_job_again(simulation: Simulation) -> None:
    simulation.api.apply(body())
    restore = simulation.api.back_up()
    await simulation.wait(15.0)
    restore()
    await simulation.wait(90.0)
    assert simulation.condition("Complete")[0] == "True"
    assert len(simulation.service.created) == 1
