"""Account, region, role and endpoint of the calls for one object."""

from dataclasses import replace

import pytest

from tests.fakes.operator import CONTEXT
from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ACCOUNT, JOB, NAMESPACE, OWNER, REGION, WANTED, body, recorded
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, Identity, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
    DEFAULT_REGION,
    DELETION_POLICY,
    ENDPOINT_URL,
    OWNER_ACCOUNT,
)
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)


@simulated(seconds=10_000.0)
async def test_no_call_is_made_for_a_namespace_without_the_right_to_read_it(simulation: Simulation) -> None:
    simulation.cluster_state.forbidden = True
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    assert simulation.condition("Ready")[:2] == ("False", "NamespaceUnreadable")
    assert 'cannot get resource "namespaces"' in simulation.condition("ACK.Recoverable")[2]
    simulation.cluster_state.forbidden = False
    await simulation.wait(60.0)
    assert simulation.condition("Ready")[1] == "Training"
    simulation.cluster_state.forbidden = True
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.count("StopTrainingJob") == 0, "the namespace may have the deletion policy retain"
    simulation.cluster_state.forbidden = False
    await simulation.wait(60.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@simulated(seconds=10_000.0)
async def test_an_edited_region_does_not_move_the_job(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "IdentityDiffers")
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert simulation.service.stopped
    assert len(simulation.service.created) == 1


@simulated(seconds=10_000.0)
async def test_a_recorded_job_is_described_in_the_region_of_its_arn(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {DEFAULT_REGION: "eu-central-1"}
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
    simulation.api.apply(body(status=recorded(trainingJobStatus="InProgress")))
    await simulation.wait(60.0)
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.count("CreateTrainingJob") == 0


@simulated()
async def test_an_unknown_region_is_an_advisory_and_calls_are_made(simulation: Simulation) -> None:
    await simulation.start(context=replace(CONTEXT, knows_region=lambda region: region == REGION))
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED
    )
    simulation.api.apply(body(annotations={REGION_KEY: "us-wset-2"}))
    await simulation.wait(10.0)
    reason, message = simulation.condition("ACK.Advisory")[1:]
    assert reason == "RegionUnknown"
    assert "us-wset-2" in message
    del simulation.service.refusals["CreateTrainingJob"]
    await simulation.wait(60.0)
    assert [job.identity.region for job in simulation.service.created] == ["us-wset-2"]
    assert simulation.condition("ACK.Advisory") == ("", "", "")


@simulated()
async def test_an_account_without_a_role_is_reported_until_the_map_has_one(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: "999999999999"}
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
    assert simulation.service.calls == []
    simulation.cluster_state.roles = {"999999999999": "arn:aws:iam::999999999999:role/x"}
    await simulation.wait(60.0)
    assert simulation.object["status"]["ackResourceMetadata"]["ownerAccountID"] == "999999999999"


@simulated()
async def test_a_recorded_job_of_another_account_is_not_called_without_carm(
    simulation: Simulation,
) -> None:
    elsewhere = "999999999999"
    simulation.cluster_state.roles = {elsewhere: f"arn:aws:iam::{elsewhere}:role/x"}
    await simulation.start(context=replace(CONTEXT, defaults=replace(CONTEXT.defaults, carm_enabled=False)))
    arn = build_arn("aws", Identity(elsewhere, REGION, JOB))
    simulation.api.apply(body(held=True, status=recorded(arn, trainingJobStatus="InProgress")))
    await simulation.wait(30.0)
    status, reason, message = simulation.condition("ACK.Recoverable")
    assert (status, reason) == ("True", "RoleUnavailable")
    assert "--enable-carm is false" in message
    assert simulation.service.calls == []
    simulation.api.annotate(KEY, **{DELETION_POLICY: "retain"})
    simulation.api.delete(KEY)
    await simulation.wait(2.0)
    assert simulation.gone


@simulated(seconds=5000.0)
async def test_another_role_for_the_account_is_used_at_once_after_a_denied_call(simulation: Simulation) -> None:
    elsewhere, role = "999999999999", "arn:aws:iam::999999999999:role/"
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: elsewhere}
    simulation.cluster_state.roles = {elsewhere: f"{role}wrong"}
    denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
    simulation.service.refusals["DescribeTrainingJob"] = denied
    simulation.api.apply(body())
    await simulation.wait(100.0)
    simulation.service.refusals.clear()
    before = simulation.count("DescribeTrainingJob")
    simulation.cluster_state.roles = {elsewhere: f"{role}right"}
    simulation.api.annotate(KEY, note="1")
    await simulation.wait(1.0)
    assert simulation.count("DescribeTrainingJob") == before + 1


@simulated()
async def test_an_attempt_in_an_account_without_its_former_role_is_reported_and_kept(simulation: Simulation) -> None:
    elsewhere = Identity("999999999999", REGION, JOB)
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: elsewhere.account}
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.service.calls == []


@simulated()
async def test_a_forged_intent_causes_no_call_in_an_account_unmapped_by_the_namespace(
    simulation: Simulation,
) -> None:
    elsewhere = Identity("999999999999", REGION, JOB)
    simulation.cluster_state.roles = {elsewhere.account: "arn:aws:iam::999999999999:role/sagemaker"}
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(10.0)
    status, reason, message = simulation.condition("ACK.Recoverable")
    assert (status, reason) == ("True", "InvalidAnnotation")
    assert elsewhere.account in message
    assert simulation.service.calls == []
    simulation.api.annotate(KEY, **{CREATE_PENDING: None})
    await simulation.wait(10.0)
    assert [job.identity.account for job in simulation.service.created] == [ACCOUNT]


@pytest.mark.parametrize(
    ("namespace", "region"),
    [({DEFAULT_REGION: "eu-central-1"}, "eu-central-1"), ({ENDPOINT_URL: "https://sagemaker.example.org"}, REGION)],
    ids=["region", "endpoint"],
)
@simulated(seconds=10_000.0)
async def test_an_answer_of_one_region_or_endpoint_does_not_apply_to_another(
    simulation: Simulation, namespace: dict[str, str], region: str
) -> None:
    there = Identity(ACCOUNT, region, JOB)
    defaults = replace(CONTEXT.defaults, allowed_endpoints=("https://sagemaker.example.org",))
    await simulation.start(context=replace(CONTEXT, defaults=defaults))
    simulation.service.put(there, {"TrainingJobName": JOB}, {})
    simulation.service.refusals["DescribeTrainingJob"] = failed(
        "DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED
    )
    simulation.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}))
    await simulation.wait(600.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
    del simulation.service.refusals["DescribeTrainingJob"]
    simulation.cluster_state.namespaces[NAMESPACE] = namespace
    simulation.api.annotate(KEY, note="1")
    await simulation.wait(2.0)
    assert simulation.condition("ACK.Recoverable")[0] == ""
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", there)
