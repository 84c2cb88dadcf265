"""Calls about one job and what their outcomes lead to: edits, tags, stops, and waiting for the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.service import failed
from tests.fakes.stage import KEY, Stage, played
from tests.fakes.world import FakeLeadership
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
    """Others take all there is of a budget, and some of what comes."""
    others = 0
    while budget.claim(f"other-{others}") <= 0:
        others += 1


async def run_for(stage: Stage, seconds: float, **spec: Any) -> None:
    """Apply the object and let its job run that long."""
    stage.api.apply(body(spec={**SPEC, **spec}))
    await stage.wait(seconds)
    assert stage.object["status"]["trainingJobStatus"] == "InProgress"


def test_an_edit_that_the_service_takes_is_sent_once_when_its_phase_has_come() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 5.0, **PROFILED)
        stage.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
        await stage.wait(2.0)
        assert stage.count("UpdateTrainingJob") == 0
        assert stage.condition("ACK.Advisory")[:2] == ("True", "EditPending")
        await stage.wait(60.0)
        assert stage.count("UpdateTrainingJob") == 1
        (job,) = stage.service.created
        assert job.request["ProfilerConfig"] == {"S3OutputPath": "s3://bucket/two"}
        assert stage.condition("ACK.Advisory")[0] == ""
        assert stage.object["status"]["observedGeneration"] == 2
        calls = len(stage.service.calls)
        await stage.wait(1.0)
        assert len(stage.service.calls) <= calls + 1, "only the sweep goes on"

    played(scene, **RUNNING)


POOLED = {"resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 600}}
UNPOOLED = {"resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 0}}


def test_a_keep_alive_of_zero_waits_for_the_warm_pool_and_is_sent_when_it_shows() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 25.0, **POOLED)
        stage.service.created[0].late = {"WarmPoolStatus": {"Status": "Available"}}
        stage.api.edit(KEY, **UNPOOLED)
        await stage.wait(5.0)
        assert stage.condition("ACK.Advisory")[1] == "EditPending"
        await stage.wait(120.0)
        assert stage.count("UpdateTrainingJob") == 1
        assert stage.service.created[0].request["ResourceConfig"] == {"KeepAlivePeriodInSeconds": 0}

    played(scene)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_keep_alive_of_zero_does_not_stay_pending_where_no_warm_pool_shows(*, restarted: bool) -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 25.0, **POOLED)
        stage.api.edit(KEY, **UNPOOLED)
        await stage.wait(120.0)
        assert stage.condition("ACK.Advisory")[1] == "EditPending"
        if restarted:
            await stage.start()
        await stage.wait(1200.0)
        reason, message = stage.condition("ACK.Advisory")[1:]
        assert reason == "EditNotPossible"
        assert "spec.resourceConfig.keepAlivePeriodInSeconds required its warm pool" in message
        assert stage.count("UpdateTrainingJob") == 0
        calls = len(stage.service.calls)
        await stage.start()
        await stage.wait(600.0)
        assert len(stage.service.calls) == calls, "silence after that"
        assert stage.condition("ACK.Advisory")[1] == "EditNotPossible"

    played(scene)


def test_an_edit_that_the_service_refuses_is_told_and_not_sent_again() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **PROFILED)
        stage.service.refusals["UpdateTrainingJob"] = failed(
            "UpdateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "no such bucket"
        )
        stage.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
        await stage.wait(60.0)
        status, reason, message = stage.condition("ACK.Advisory")
        assert (status, reason) == ("True", "EditNotPossible")
        assert "no such bucket" in message
        assert stage.count("UpdateTrainingJob") == 1

    played(scene, **RUNNING)


def test_an_edit_that_meets_another_phase_is_weighed_anew() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **PROFILED)
        stage.service.refusals["UpdateTrainingJob"] = failed(
            "UpdateTrainingJob", "ValidationException", ErrorClass.CONFLICT, "not in this status"
        )
        stage.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
        looked = stage.count("DescribeTrainingJob")
        await stage.wait(1.0)
        assert stage.count("DescribeTrainingJob") >= looked + 2, "for the edit, and for what the refusal means"
        del stage.service.refusals["UpdateTrainingJob"]
        await stage.wait(30.0)
        (job,) = stage.service.created
        assert job.request["ProfilerConfig"] == {"S3OutputPath": "s3://bucket/two"}

    played(scene, **RUNNING)


@pytest.mark.parametrize("ends", [False, True])
def test_an_edit_is_kept_while_the_job_cannot_be_read(*, ends: bool) -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **TAGGED)
        (job,) = stage.service.created
        if ends:
            job.seconds = 40.0
            await stage.wait(60.0)
            assert stage.object["status"]["trainingJobStatus"] == "Completed"
        stage.service.refusals["DescribeTrainingJob"] = failed(
            "DescribeTrainingJob", "ConnectionClosedError", ErrorClass.RETRY
        )
        stage.api.edit(KEY, tags=[{"key": "team", "value": "blue"}])
        await stage.wait(20.0)
        assert stage.object["status"]["observedGeneration"] == 1
        del stage.service.refusals["DescribeTrainingJob"]
        await stage.wait(40.0)
        assert job.tags["team"] == "blue"
        assert stage.object["status"]["observedGeneration"] == 2

    played(scene, **RUNNING)


def test_tags_follow_the_spec_and_no_others_are_touched() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **TAGGED)
        (job,) = stage.service.created
        job.tags["theirs"] = "1"
        stage.api.edit(KEY, tags=[{"key": "team", "value": "blue"}, {"key": "new", "value": "y"}])
        await stage.wait(5.0)
        user = {key: value for key, value in job.tags.items() if "k8s.aws" not in key}
        assert user == {"team": "blue", "new": "y", "theirs": "1"}
        assert job.tags.items() >= OWNER.tags().items()
        assert [stage.count(name) for name in ("AddTags", "DeleteTags")] == [1, 1]
        assert stage.object["status"]["observedGeneration"] == 2

    played(scene, **RUNNING)


ACKS_TAGS = {"services.k8s.aws/controller-version": "sagemaker-1.9.1", "services.k8s.aws/namespace": NAMESPACE}


@pytest.mark.parametrize("annotations", [{}, {ADOPTION_POLICY: "adopt"}], ids=["made by ACK", "adopted"])
def test_tags_of_a_job_that_somebody_else_made_are_left_which_is_told_and_outlives_a_restart(
    annotations: dict[str, str],
) -> None:
    async def scene(stage: Stage) -> None:
        job = stage.service.put(WANTED, to_request(SPEC), {**ACKS_TAGS, "team": "old"})
        stage.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress"), annotations=annotations))
        await stage.wait(30.0)
        assert stage.count("ListTags") == 1, "the proof of a job that this process did not create"
        stage.api.edit(KEY, tags=[{"key": "team", "value": "new"}])
        await stage.wait(5.0)
        for _ in range(2):
            status, reason, message = stage.condition("ACK.Advisory")
            assert (status, reason) == ("True", "EditNotPossible")
            assert message.endswith("spec.tags is not applied and differs in team.")
            await stage.start()
            await stage.wait(30.0)
        assert job.tags["team"] == "old"
        stage.api.edit(KEY, tags=[{"key": "team", "value": "old"}])
        await stage.wait(5.0)
        assert stage.condition("ACK.Advisory")[0] == ""
        assert stage.count("AddTags") == stage.count("DeleteTags") == 0

    played(scene, **RUNNING)


@pytest.mark.parametrize(
    ("tags", "operation"),
    [([*TAGGED["tags"], {"key": "new", "value": "y"}], "AddTags"), ([], "DeleteTags"), ([], "ListTags")],
)
def test_tags_that_can_t_be_set_now_are_set_later(tags: list[dict[str, str]], operation: str) -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **TAGGED)
        stage.service.refusals[operation] = failed(operation, "InternalFailure", ErrorClass.RETRY)
        stage.api.edit(KEY, tags=tags)
        await stage.wait(5.0)
        assert stage.object["status"]["observedGeneration"] == 1, "the edit is not dealt with"
        del stage.service.refusals[operation]
        await stage.wait(30.0)
        (job,) = stage.service.created
        assert {key: value for key, value in job.tags.items() if "k8s.aws" not in key} == {
            tag["key"]: tag["value"] for tag in tags
        }
        assert stage.object["status"]["observedGeneration"] == 2

    played(scene, **RUNNING)


def test_a_job_that_is_gone_when_its_tags_are_read_is_told_as_gone() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **TAGGED)

        def lose(operation: str, before: bool) -> None:
            if operation == "ListTags" and before:
                stage.service.jobs.clear()

        stage.service.fault = lose
        stage.api.edit(KEY, tags=[])
        await stage.wait(90.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
        assert stage.count("CreateTrainingJob") == 1

    played(scene, **RUNNING)


def test_every_call_waits_for_its_budget_and_comes() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 30.0, **TAGGED, profilerConfig={"s3OutputPath": "s3://bucket/one"})
        assert stage.life is not None
        budgets = stage.life.budgets.of(ACCOUNT, REGION)

        def take_all(operation: str, before: bool) -> None:
            if operation == "ListTags" and before:
                drain(budgets.add_tags)
            if operation == "DeleteTags" and before:
                drain(budgets.update)

        stage.service.fault = take_all
        drain(budgets.describe)
        drain(budgets.list_tags)
        stage.api.edit(KEY, tags=[], profilerConfig={"s3OutputPath": "s3://bucket/two"})
        await stage.wait(0.05)
        assert [stage.count(name) for name in ("ListTags", "DeleteTags", "UpdateTrainingJob")] == [0, 0, 0]
        await stage.wait(60.0)
        assert [stage.count(name) for name in ("ListTags", "DeleteTags", "UpdateTrainingJob")] == [1, 1, 1]
        drain(budgets.stop)
        stage.api.delete(KEY)
        await stage.wait(60.0)
        assert stage.count("StopTrainingJob") == 1
        assert stage.gone

    played(scene, **RUNNING)


def test_an_error_is_one_line_in_the_log_however_often_it_is_met(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        for words in ("role x may not", "role y may not", "role x may not"):
            stage.service.refusals["CreateTrainingJob"] = failed(
                "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED, words
            )
            if not stage.api.objects:
                stage.api.apply(body())
            await stage.wait(1000.0)
        assert stage.count("CreateTrainingJob") > 6
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        words = "CreateTrainingJob failed with AccessDeniedException: role {} may not"
        assert told == [words.format(role) for role in "xyx"]

    played(scene)


def test_a_job_that_ends_while_it_is_to_be_stopped_is_let_go() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 58.0)

        def end(operation: str, before: bool) -> None:
            if operation == "StopTrainingJob" and before:
                stage.service.created[0].seconds = 1.0

        stage.service.fault = end
        stage.api.delete(KEY)
        await stage.wait(20.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 1

    played(scene, **RUNNING)


def test_a_job_that_is_gone_when_it_is_to_be_stopped_is_looked_for_twice() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 40.0)
        stage.service.jobs.clear()
        stage.api.delete(KEY)
        await stage.wait(20.0)
        assert KEY in stage.api.objects
        await stage.wait(20.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 0, "the name may be another run's by now"

    played(scene, **RUNNING)


def test_a_job_that_goes_between_its_last_look_and_its_stop_is_looked_for_twice() -> None:
    async def scene(stage: Stage) -> None:
        await run_for(stage, 40.0)

        def vanish(operation: str, before: bool) -> None:
            if operation == "StopTrainingJob" and before:
                stage.service.jobs.clear()

        stage.service.fault = vanish
        stage.api.delete(KEY)
        await stage.wait(20.0)
        assert KEY in stage.api.objects
        await stage.wait(20.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 1

    played(scene, **RUNNING)


def test_a_create_that_leadership_forbids_at_the_last_moment_is_no_attempt() -> None:
    async def scene(stage: Stage) -> None:
        leadership = FakeLeadership()

        def lose(operation: str, before: bool) -> None:
            if operation == "CreateTrainingJob" and before and leadership.term == 0:
                leadership.lead(False)
                raise NotLeading

        stage.service.fault = lose
        await stage.start(leadership=leadership)
        stage.api.apply(body())
        await stage.wait(60.0)
        assert stage.service.created == []
        assert stage.count("CreateTrainingJob") == 1
        leadership.lead(True)
        await stage.wait(5.0)
        assert [job.identity for job in stage.service.created] == [WANTED]

    played(scene)


def test_an_adopting_object_whose_spec_makes_no_request_says_so_and_follows_the_job() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}, spec={**SPEC, "stoppingCondition": "soon"}))
        await stage.wait(5.0)
        assert stage.object["status"]["trainingJobStatus"] == "InProgress"
        status, reason, message = stage.condition("ACK.Advisory")
        assert (status, reason) == ("True", "EditNotPossible")
        assert "stoppingCondition" in message

    played(scene, **RUNNING)


def test_a_creation_time_that_nobody_can_read_keeps_no_job_from_its_creation() -> None:
    async def scene(stage: Stage) -> None:
        odd = body()
        odd["metadata"]["creationTimestamp"] = "long ago"
        stage.api.apply(odd)
        await stage.wait(5.0)
        assert len(stage.service.created) == 1

    played(scene)
