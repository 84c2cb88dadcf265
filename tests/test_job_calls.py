"""Calls about one job and their effects: edits, tags, stops, and waiting for the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.operator import FakeLeadership
from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ACCOUNT, JOB, NAMESPACE, OWNER, REGION, SPEC, WANTED, body, recorded
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import ADOPTION_POLICY
from trainingjob_operator.logic.objects.fields import to_request

if TYPE_CHECKING:
    from trainingjob_operator.aws.budget import Budget

PROFILED = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
TAGGED = {**SPEC, "tags": [{"key": "team", "value": "red"}, {"key": "old", "value": "x"}]}
RUNNING: dict[str, Any] = {"seconds": 10_000.0}


def drain(budget: Budget) -> None:
    """Let other callers use a budget completely, and part of its refill."""
    others = 0
    while budget.claim(f"other-{others}") <= 0:
        others += 1


async def run_for(simulation: Simulation, seconds: float, **spec: Any) -> None:
    """Apply the object and run its job for this time."""
    simulation.api.apply(body(spec={**SPEC, **spec}))
    await simulation.wait(seconds)
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"


@simulated(**RUNNING)
async def test_an_accepted_edit_is_sent_once_in_its_phase(simulation: Simulation) -> None:
    await run_for(simulation, 5.0, **PROFILED)
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(2.0)
    assert simulation.count("UpdateTrainingJob") == 0
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "EditPending")
    await simulation.wait(60.0)
    assert simulation.count("UpdateTrainingJob") == 1
    (job,) = simulation.service.created
    assert job.request["ProfilerConfig"] == {"S3OutputPath": "s3://bucket/two"}
    assert simulation.condition("ACK.Advisory")[0] == ""
    assert simulation.object["status"]["observedGeneration"] == 2
    calls = len(simulation.service.calls)
    await simulation.wait(1.0)
    assert len(simulation.service.calls) <= calls + 1, "only the sweep continues"


POOLED = {"resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 600}}
UNPOOLED = {"resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 0}}


@simulated()
async def test_a_keep_alive_period_of_zero_is_sent_when_the_warm_pool_appears(simulation: Simulation) -> None:
    await run_for(simulation, 25.0, **POOLED)
    simulation.service.created[0].late = {"WarmPoolStatus": {"Status": "Available"}}
    simulation.api.edit(KEY, **UNPOOLED)
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Advisory")[1] == "EditPending"
    await simulation.wait(120.0)
    assert simulation.count("UpdateTrainingJob") == 1
    assert simulation.service.created[0].request["ResourceConfig"] == {"KeepAlivePeriodInSeconds": 0}


@pytest.mark.parametrize("restarted", [False, True])
@simulated()
async def test_a_keep_alive_period_of_zero_does_not_stay_pending_without_a_warm_pool(
    simulation: Simulation, *, restarted: bool
) -> None:
    await run_for(simulation, 25.0, **POOLED)
    simulation.api.edit(KEY, **UNPOOLED)
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Advisory")[1] == "EditPending"
    if restarted:
        await simulation.start()
    await simulation.wait(1200.0)
    reason, message = simulation.condition("ACK.Advisory")[1:]
    assert reason == "EditNotPossible"
    assert "spec.resourceConfig.keepAlivePeriodInSeconds required its warm pool" in message
    assert simulation.count("UpdateTrainingJob") == 0
    calls = len(simulation.service.calls)
    await simulation.start()
    await simulation.wait(600.0)
    assert len(simulation.service.calls) == calls, "no call afterwards"
    assert simulation.condition("ACK.Advisory")[1] == "EditNotPossible"


@simulated(**RUNNING)
async def test_an_edit_refused_by_sagemaker_is_reported_and_not_sent_again(simulation: Simulation) -> None:
    await run_for(simulation, 30.0, **PROFILED)
    simulation.service.refusals["UpdateTrainingJob"] = failed(
        "UpdateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "no such bucket"
    )
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(60.0)
    status, reason, message = simulation.condition("ACK.Advisory")
    assert (status, reason) == ("True", "EditNotPossible")
    assert "no such bucket" in message
    assert simulation.count("UpdateTrainingJob") == 1


@simulated(**RUNNING)
async def test_an_edit_sent_in_another_phase_is_compared_again(simulation: Simulation) -> None:
    await run_for(simulation, 30.0, **PROFILED)
    simulation.service.refusals["UpdateTrainingJob"] = failed(
        "UpdateTrainingJob", "ValidationException", ErrorClass.CONFLICT, "not in this status"
    )
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    describes = simulation.count("DescribeTrainingJob")
    await simulation.wait(1.0)
    assert simulation.count("DescribeTrainingJob") >= describes + 2, "one for the edit and one after the conflict"
    del simulation.service.refusals["UpdateTrainingJob"]
    await simulation.wait(30.0)
    (job,) = simulation.service.created
    assert job.request["ProfilerConfig"] == {"S3OutputPath": "s3://bucket/two"}


@pytest.mark.parametrize("ends", [False, True])
@simulated(**RUNNING)
async def test_an_edit_is_kept_while_the_job_cannot_be_read(simulation: Simulation, *, ends: bool) -> None:
    await run_for(simulation, 30.0, **TAGGED)
    (job,) = simulation.service.created
    if ends:
        job.seconds = 40.0
        await simulation.wait(60.0)
        assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    simulation.service.refusals["DescribeTrainingJob"] = failed(
        "DescribeTrainingJob", "ConnectionClosedError", ErrorClass.RETRY
    )
    simulation.api.edit(KEY, tags=[{"key": "team", "value": "blue"}])
    await simulation.wait(20.0)
    assert simulation.object["status"]["observedGeneration"] == 1
    del simulation.service.refusals["DescribeTrainingJob"]
    await simulation.wait(40.0)
    assert job.tags["team"] == "blue"
    assert simulation.object["status"]["observedGeneration"] == 2


@simulated(**RUNNING)
async def test_tags_follow_the_spec_and_other_tags_are_kept(simulation: Simulation) -> None:
    await run_for(simulation, 30.0, **TAGGED)
    (job,) = simulation.service.created
    job.tags["theirs"] = "1"
    simulation.api.edit(KEY, tags=[{"key": "team", "value": "blue"}, {"key": "new", "value": "y"}])
    await simulation.wait(5.0)
    user = {key: value for key, value in job.tags.items() if "k8s.aws" not in key}
    assert user == {"team": "blue", "new": "y", "theirs": "1"}
    assert job.tags.items() >= OWNER.tags().items()
    assert [simulation.count(name) for name in ("AddTags", "DeleteTags")] == [1, 1]
    assert simulation.object["status"]["observedGeneration"] == 2


ACKS_TAGS = {"services.k8s.aws/controller-version": "sagemaker-1.9.1", "services.k8s.aws/namespace": NAMESPACE}


@pytest.mark.parametrize("annotations", [{}, {ADOPTION_POLICY: "adopt"}], ids=["made by ACK", "adopted"])
@simulated(**RUNNING)
async def test_tags_of_a_foreign_job_are_kept_and_the_condition_survives_a_restart(
    simulation: Simulation,
    annotations: dict[str, str],
) -> None:
    job = simulation.service.put(WANTED, to_request(SPEC), {**ACKS_TAGS, "team": "old"})
    simulation.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress"), annotations=annotations))
    await simulation.wait(30.0)
    assert simulation.count("ListTags") == 1, "proof of ownership for a job of an earlier process"
    simulation.api.edit(KEY, tags=[{"key": "team", "value": "new"}])
    await simulation.wait(5.0)
    for _ in range(2):
        status, reason, message = simulation.condition("ACK.Advisory")
        assert (status, reason) == ("True", "EditNotPossible")
        assert message.endswith("spec.tags is not applied and differs in team.")
        await simulation.start()
        await simulation.wait(30.0)
    assert job.tags["team"] == "old"
    simulation.api.edit(KEY, tags=[{"key": "team", "value": "old"}])
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Advisory")[0] == ""
    assert simulation.count("AddTags") == simulation.count("DeleteTags") == 0


@pytest.mark.parametrize(
    ("tags", "operation"),
    [([*TAGGED["tags"], {"key": "new", "value": "y"}], "AddTags"), ([], "DeleteTags"), ([], "ListTags")],
)
@simulated(**RUNNING)
async def test_failed_tag_calls_are_retried(simulation: Simulation, tags: list[dict[str, str]], operation: str) -> None:
    await run_for(simulation, 30.0, **TAGGED)
    simulation.service.refusals[operation] = failed(operation, "InternalFailure", ErrorClass.RETRY)
    simulation.api.edit(KEY, tags=tags)
    await simulation.wait(5.0)
    assert simulation.object["status"]["observedGeneration"] == 1, "the edit is unfinished"
    del simulation.service.refusals[operation]
    await simulation.wait(30.0)
    (job,) = simulation.service.created
    assert {key: value for key, value in job.tags.items() if "k8s.aws" not in key} == {
        tag["key"]: tag["value"] for tag in tags
    }
    assert simulation.object["status"]["observedGeneration"] == 2


@simulated(**RUNNING)
async def test_a_job_that_vanishes_before_its_tags_are_read_is_reported_as_missing(simulation: Simulation) -> None:
    await run_for(simulation, 30.0, **TAGGED)

    def lose(operation: str, before: bool) -> None:
        if operation == "ListTags" and before:
            simulation.service.jobs.clear()

    simulation.service.fault = lose
    simulation.api.edit(KEY, tags=[])
    await simulation.wait(90.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
    assert simulation.count("CreateTrainingJob") == 1


@simulated(**RUNNING)
async def test_every_call_waits_for_its_budget_and_is_sent(simulation: Simulation) -> None:
    await run_for(simulation, 30.0, **TAGGED, profilerConfig={"s3OutputPath": "s3://bucket/one"})
    budgets = simulation.operator.budgets.of(ACCOUNT, REGION)

    def take_all(operation: str, before: bool) -> None:
        if operation == "ListTags" and before:
            drain(budgets.add_tags)
        if operation == "DeleteTags" and before:
            drain(budgets.update)

    simulation.service.fault = take_all
    drain(budgets.describe)
    drain(budgets.list_tags)
    simulation.api.edit(KEY, tags=[], profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(0.05)
    assert [simulation.count(name) for name in ("ListTags", "DeleteTags", "UpdateTrainingJob")] == [0, 0, 0]
    await simulation.wait(60.0)
    assert [simulation.count(name) for name in ("ListTags", "DeleteTags", "UpdateTrainingJob")] == [1, 1, 1]
    drain(budgets.stop)
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.count("StopTrainingJob") == 1
    assert simulation.gone


@simulated()
async def test_a_repeated_error_is_logged_once(simulation: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    for words in ("role x may not", "role y may not", "role x may not"):
        simulation.service.refusals["CreateTrainingJob"] = failed(
            "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED, words
        )
        if not simulation.api.objects:
            simulation.api.apply(body())
        await simulation.wait(1000.0)
    assert simulation.count("CreateTrainingJob") > 6
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    words = "CreateTrainingJob failed with AccessDeniedException: role {} may not"
    assert logged == [words.format(role) for role in "xyx"]


@simulated(**RUNNING)
async def test_a_job_that_ends_before_its_stop_releases_its_object(simulation: Simulation) -> None:
    await run_for(simulation, 58.0)

    def end(operation: str, before: bool) -> None:
        if operation == "StopTrainingJob" and before:
            simulation.service.created[0].seconds = 1.0

    simulation.service.fault = end
    simulation.api.delete(KEY)
    await simulation.wait(20.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@simulated(**RUNNING)
async def test_a_job_that_vanishes_before_its_stop_is_described_twice(simulation: Simulation) -> None:
    await run_for(simulation, 40.0)
    simulation.service.jobs.clear()
    simulation.api.delete(KEY)
    await simulation.wait(20.0)
    assert KEY in simulation.api.objects
    await simulation.wait(20.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 0, "the name may belong to another run"


@simulated(**RUNNING)
async def test_a_job_that_vanishes_between_describe_and_stop_is_described_twice(simulation: Simulation) -> None:
    await run_for(simulation, 40.0)

    def vanish(operation: str, before: bool) -> None:
        if operation == "StopTrainingJob" and before:
            simulation.service.jobs.clear()

    simulation.service.fault = vanish
    simulation.api.delete(KEY)
    await simulation.wait(20.0)
    assert KEY in simulation.api.objects
    await simulation.wait(20.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@simulated()
async def test_a_create_stopped_by_lost_leadership_is_not_an_attempt(simulation: Simulation) -> None:
    leadership = FakeLeadership()

    def lose(operation: str, before: bool) -> None:
        if operation == "CreateTrainingJob" and before and leadership.term == 0:
            leadership.lead(False)
            raise NotLeading

    simulation.service.fault = lose
    await simulation.start(leadership=leadership)
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert simulation.service.created == []
    assert simulation.count("CreateTrainingJob") == 1
    leadership.lead(True)
    await simulation.wait(5.0)
    assert [job.identity for job in simulation.service.created] == [WANTED]


@simulated(**RUNNING)
async def test_an_adopting_object_without_a_valid_request_reports_it_and_follows_the_job(
    simulation: Simulation,
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}, spec={**SPEC, "stoppingCondition": "soon"}))
    await simulation.wait(5.0)
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
    status, reason, message = simulation.condition("ACK.Advisory")
    assert (status, reason) == ("True", "EditNotPossible")
    assert "stoppingCondition" in message


@simulated()
async def test_an_unreadable_creation_time_does_not_block_the_creation_of_a_job(simulation: Simulation) -> None:
    odd = body()
    odd["metadata"]["creationTimestamp"] = "long ago"
    simulation.api.apply(odd)
    await simulation.wait(5.0)
    assert len(simulation.service.created) == 1
