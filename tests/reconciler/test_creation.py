"""Creation of a job: one Create for each object in spite of lost answers and restarts."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes.operator import FakeLeadership
from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ACCOUNT, ARN, JOB, NAMESPACE, OWNER, SPEC, UID, WANTED, body
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, TAG_UID, Identity
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
)
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)
from trainingjob_operator.reconciler import FENCED_SECONDS


@simulated()
async def test_a_job_is_created_once_followed_and_loses_its_finalizer_at_the_end(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(2.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.object["metadata"]["annotations"][CREATE_PENDING] == str(WANTED)
    (job,) = simulation.service.created
    assert job.tags.items() >= OWNER.tags().items()
    assert job.request["RoleArn"] == SPEC["roleARN"]
    await simulation.wait(90.0)
    assert simulation.condition("Complete")[0] == "True"
    shown = [item["status"] for item in simulation.object["status"]["secondaryStatusTransitions"]]
    assert shown == ["Starting", "Downloading", "Training", "Completed"]
    assert simulation.object["metadata"]["finalizers"] == []
    assert CREATE_PENDING not in simulation.object["metadata"]["annotations"]
    assert simulation.count("CreateTrainingJob") == 1
    assert simulation.count("DescribeTrainingJob") <= 6
    calls, writes = len(simulation.service.calls), len(simulation.api.writes)
    await simulation.wait(3600.0)
    assert (len(simulation.service.calls), len(simulation.api.writes)) == (calls, writes), "no call after the end"
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone
    assert len(simulation.service.calls) == calls


@simulated()
async def test_a_lost_answer_to_create_causes_no_second_job(simulation: Simulation) -> None:
    lost = [failed("CreateTrainingJob", "ReadTimeoutError", ErrorClass.RETRY, definite=False)]

    def lose(operation: str, before: bool) -> None:
        if operation == "CreateTrainingJob" and not before and lost:
            raise lost.pop()

    simulation.service.fault = lose
    simulation.api.apply(body())
    await simulation.wait(20.0)
    assert len(simulation.service.created) == 1
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("ACK.Terminal")[0] == ""


@simulated()
async def test_a_name_in_use_without_a_described_job_is_reported_and_described_with_back_off(
    simulation: Simulation,
) -> None:
    def hold(_request: Mapping[str, Any]) -> Any:
        return failed("CreateTrainingJob", "ResourceInUse", ErrorClass.IN_USE)

    simulation.service.create_errors = hold
    simulation.api.apply(body())
    await simulation.wait(25.0)
    assert simulation.condition("ACK.Recoverable")[0] == "", "one of the two answers may be stale"
    await simulation.wait(15.0)
    status, reason, message = simulation.condition("ACK.Recoverable")
    assert (status, reason) == ("True", "NameInUse")
    assert JOB in message
    assert "spec.trainingJobName" in message
    described = simulation.count("DescribeTrainingJob")
    await simulation.wait(3600.0)
    assert 15 <= simulation.count("DescribeTrainingJob") - described <= 30
    assert (simulation.count("CreateTrainingJob"), simulation.count("StopTrainingJob")) == (1, 0)
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
    await simulation.wait(310.0)
    assert simulation.condition("ACK.Terminal")[1] == "NameClash", "Describe found the job"
    assert simulation.condition("ACK.Recoverable")[0] == ""
    simulation.service.create_errors = lambda _request: None
    simulation.api.edit(KEY, trainingJobName="another-name")
    await simulation.wait(5.0)
    assert simulation.condition("Ready")[1] == "Starting"


@simulated()
async def test_a_not_found_before_create_does_not_advance_the_report_of_a_name_in_use(
    simulation: Simulation,
) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "SlowDown", ErrorClass.THROTTLED)
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}))
    await simulation.wait(300.0)
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "ResourceInUse", ErrorClass.IN_USE)
    created = simulation.count("CreateTrainingJob")
    while simulation.count("CreateTrainingJob") == created:
        await simulation.wait(1.0)
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[1] != "NameInUse"
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Recoverable")[1] == "NameInUse"


@simulated()
async def test_a_cleared_intent_does_not_count_as_recorded_by_this_process(simulation: Simulation) -> None:
    """Otherwise a later intent with the same value by another writer would count as own."""
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "Invalid", ErrorClass.REFUSED)
    simulation.api.apply(body())
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Terminal")[1] == "Refused"
    tracked = simulation.operator.jobs.get(KEY)
    assert tracked is not None
    assert tracked.memory.marked is None


@simulated(seconds=10_000.0)
async def test_two_objects_with_one_name_make_one_job(simulation: Simulation) -> None:
    simulation.api.apply(body())
    simulation.api.apply(body(name="second", uid="2"))
    await simulation.wait(30.0)
    assert len(simulation.service.created) == 1
    arns = [one["status"].get("ackResourceMetadata") for one in simulation.api.objects.values()]
    assert sum(arn is not None for arn in arns) == 1
    second = (NAMESPACE, "second")
    loser = second if simulation.object["status"].get("ackResourceMetadata") else KEY
    assert simulation.condition("ACK.Terminal", loser)[1] == "NameClash"
    simulation.api.delete(loser)
    await simulation.wait(5.0)
    assert loser not in simulation.api.objects
    assert simulation.count("StopTrainingJob") == 0


@simulated(seconds=1000.0)
async def test_an_attempt_after_a_refusal_is_settled_after_a_crash_before_the_report(
    simulation: Simulation,
) -> None:
    refused = failed("CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "not here")
    simulation.service.refusals["CreateTrainingJob"] = refused
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[1] == "Refused"
    simulation.service.refusals.clear()

    simulation.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
    await simulation.wait(0.06)
    assert simulation.created_jobs == [JOB]
    assert simulation.condition("ACK.Terminal")[0] == "True", "not reported yet"
    await simulation.start()
    await simulation.wait(60.0)
    assert simulation.object["status"]["ackResourceMetadata"]["region"] == "eu-central-1"
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.created_jobs == [JOB]


@simulated(seconds=10_000.0)
async def test_an_attempt_under_an_edited_identity_is_settled_before_another(simulation: Simulation) -> None:
    elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
    simulation.service.put(elsewhere, {"TrainingJobName": JOB}, OWNER.tags())
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(120.0)
    assert "eu-central-1" in simulation.object["status"]["ackResourceMetadata"]["arn"]
    assert simulation.count("CreateTrainingJob") == 0


@simulated()
async def test_an_intent_without_a_job_is_cleared_after_a_while(simulation: Simulation) -> None:
    elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(20.0)
    assert simulation.count("CreateTrainingJob") == 0, "the request may still be in flight"
    await simulation.wait(60.0)
    assert [job.identity for job in simulation.service.created] == [WANTED]


@simulated(seconds=10_000.0)
async def test_an_object_deleted_while_its_intent_is_open_waits_for_the_answer(simulation: Simulation) -> None:
    simulation.api.apply(body(held=True, pending=WANTED))
    simulation.api.delete(KEY)
    await simulation.wait(20.0)
    assert KEY in simulation.api.objects
    await simulation.wait(20.0)
    assert simulation.gone
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {**OWNER.tags(), TAG_UID: UID})
    simulation.api.apply(body(held=True, pending=WANTED))
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({**SPEC, "trainingJobName": "a.b"}, "Set spec.trainingJobName"),
        (
            {**SPEC, "tags": [{"key": TAG_UID, "value": "forged"}]},
            f"(reserved for the ownership of the job) or aws: (reserved by AWS): {TAG_UID}",
        ),
        ({**SPEC, "stoppingCondition": "soon"}, "stoppingCondition must be an object"),
    ],
)
@simulated()
async def test_a_spec_without_a_valid_request_is_refused_without_a_call(
    simulation: Simulation, spec: dict[str, Any], words: str
) -> None:
    simulation.api.apply(body(spec=spec))
    await simulation.wait(5.0)
    status, reason, message = simulation.condition("ACK.Terminal")
    assert (status, reason) == ("True", "InvalidSpec")
    assert words in message
    assert simulation.service.calls == []


@simulated()
async def test_a_call_close_to_the_end_of_leadership_is_delayed(simulation: Simulation) -> None:
    refused: list[float] = []

    class EndingLeadership(FakeLeadership):
        def fence(self, seconds: float) -> None:
            if len(refused) < 1000:
                refused.append(seconds)
                raise NotLeading

    await simulation.start(leadership=EndingLeadership())
    simulation.api.apply(body())
    await simulation.wait(5.0)
    assert 2 <= len(refused) <= 5.0 / FENCED_SECONDS + 1


@pytest.mark.parametrize(
    "edit", [{"remoteDebugConfig": {"enableRemoteDebug": True}}, {"tags": [{"key": "a", "value": "b"}]}]
)
@simulated(seconds=10_000.0)
async def test_an_edit_during_an_unsettled_attempt_reaches_the_created_job(
    simulation: Simulation, edit: dict[str, Any]
) -> None:
    lost, hidden = [True], [True]

    def fail(operation: str, before: bool) -> None:
        if operation == "CreateTrainingJob" and not before and lost:
            lost.clear()
            raise failed(operation, "ConnectionClosedError", ErrorClass.RETRY, definite=False)
        if operation == "ListTags" and before and hidden:
            raise failed(operation, "ConnectionClosedError", ErrorClass.RETRY)

    simulation.service.fault = fail
    simulation.api.apply(body())
    await simulation.wait(15.0)
    simulation.api.edit(KEY, **edit)
    await simulation.wait(5.0)
    assert simulation.object["status"]["observedGeneration"] == 1, "the edit is not reconciled yet"
    hidden.clear()
    await simulation.wait(40.0)
    assert simulation.count("UpdateTrainingJob") + simulation.count("AddTags") == 1
    assert simulation.object["status"]["observedGeneration"] == 2
    assert len(simulation.service.created) == 1
