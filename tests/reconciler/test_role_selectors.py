"""Objects with a role from an IAMRoleSelector: their account, and changes of the selectors at any time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.operator import CONTEXT
from tests.fakes.simulation import KEY, Simulation, simulated
from tests.logic.builders import ACCOUNT, JOB, NAME, NAMESPACE, WANTED, body, recorded
from trainingjob_operator.kube.errors import Forbidden, Invalid, KubeError, Unavailable
from trainingjob_operator.logic.naming import CREATE_PENDING, build_arn
from trainingjob_operator.logic.objects.annotations import DELETION_POLICY, OWNER_ACCOUNT

GOLD, LEAD = "111122223333", "444455556666"
GOLD_ROLE, LEAD_ROLE, OWN_ROLE = (f"arn:aws:iam::{account}:role/train" for account in (GOLD, LEAD, ACCOUNT))
HERE = {"namespaceSelector": {"names": [NAMESPACE]}}
SELECTED = "ACK.IAMRoleSelected"


def select(simulation: Simulation, **roles: str) -> None:
    """Replace the selectors: role by name, each for the namespace of the object."""
    simulation.cluster_state.selectors = {name: {"arn": role, **HERE} for name, role in roles.items()}


async def see(simulation: Simulation, seconds: float = 5.0) -> None:
    """Requeue every object as assembly.py does after a change of the selectors."""
    simulation.operator.queue.add(KEY)
    await simulation.wait(seconds)


def accounts(simulation: Simulation) -> list[str]:
    return [job.identity.account for job in simulation.service.created]


@simulated()
async def test_the_job_is_created_in_the_account_and_with_the_role_of_the_selector(simulation: Simulation) -> None:
    await simulation.start(context=replace(CONTEXT, external_id="x-1"))
    select(simulation, gold=GOLD_ROLE)
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: LEAD}
    simulation.api.apply(body())
    await simulation.wait(30.0)
    assert accounts(simulation) == [GOLD]
    assert simulation.service.roles == {(GOLD, GOLD_ROLE)}
    metadata = simulation.object["status"]["ackResourceMetadata"]
    assert metadata["ownerAccountID"] == GOLD
    message = f"roleARN: {GOLD_ROLE}, selectorName: gold, selectorResourceVersion: 7"
    assert simulation.condition(SELECTED) == ("True", "Selected", message)
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == 1
    assert simulation.service.roles == {(GOLD, GOLD_ROLE)}


@simulated()
async def test_a_role_in_the_account_of_the_operator_is_assumed(simulation: Simulation) -> None:
    select(simulation, own=OWN_ROLE)
    simulation.api.apply(body())
    await simulation.wait(90.0)
    assert simulation.condition("Ready")[:2] == ("True", "Completed")
    assert simulation.service.roles == {(ACCOUNT, OWN_ROLE)}


@simulated()
async def test_an_object_without_a_matching_selector_is_served_without_a_role(simulation: Simulation) -> None:
    simulation.cluster_state.selectors = {"gold": {"arn": GOLD_ROLE, "namespaceSelector": {"names": ["other"]}}}
    simulation.api.apply(body())
    await simulation.wait(30.0)
    assert accounts(simulation) == [ACCOUNT]
    assert simulation.service.roles == {(ACCOUNT, None)}
    assert simulation.condition(SELECTED) == ("", "", "")


@simulated()
async def test_selectors_match_labels_of_namespace_and_object(simulation: Simulation) -> None:
    simulation.cluster_state.selectors = {
        "team": {"arn": GOLD_ROLE, "namespaceSelector": {"names": [], "labelSelector": {"matchLabels": {"team": "a"}}}},
        "tier": {"arn": LEAD_ROLE, **HERE, "resourceLabelSelector": {"matchLabels": {"tier": "lead"}}},
    }
    simulation.cluster_state.namespace_labels[NAMESPACE] = {"team": "a"}
    simulation.api.apply(body())
    await simulation.wait(30.0)
    assert accounts(simulation) == [GOLD]


@simulated()
async def test_several_matches_are_named_and_cause_no_call(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE, lead=LEAD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(10.0)
    status, reason, message = simulation.condition("ACK.Recoverable")
    assert (status, reason) == ("True", "RoleSelectorsConflict")
    assert "gold, lead" in message
    assert simulation.condition("Ready")[:2] == ("False", "RoleSelectorsConflict")
    assert simulation.service.calls == []
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone, "an object without a job can be deleted"
    simulation.api.apply(body(uid="another"))
    select(simulation, lead=LEAD_ROLE)
    await simulation.wait(30.0)
    assert accounts(simulation) == [LEAD]
    assert simulation.condition("ACK.Recoverable") == ("", "", "")


@simulated()
async def test_an_object_in_conflict_claims_no_name_in_another_account(simulation: Simulation) -> None:
    """The account of the namespace differs from that of the object."""
    tiers = {"resourceLabelSelector": {"matchLabels": {"tier": "both"}}}
    simulation.cluster_state.selectors = {name: {"arn": GOLD_ROLE, **tiers} for name in ("a", "b")}
    conflicting = body(name="conflicting", uid="1")
    conflicting["metadata"]["labels"] = {"tier": "both"}
    simulation.api.apply(conflicting)
    await simulation.wait(5.0)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    assert accounts(simulation) == [ACCOUNT]
    assert simulation.condition("ACK.Recoverable", (NAMESPACE, "conflicting"))[1] == "RoleSelectorsConflict"


@simulated(seconds=10_000.0)
async def test_a_running_job_stays_in_its_account_under_another_selector(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    arn = simulation.object["status"]["ackResourceMetadata"]["arn"]
    select(simulation, lead=LEAD_ROLE)
    await see(simulation)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
    assert GOLD in simulation.condition("ACK.Recoverable")[2]
    reason, message = simulation.condition("ACK.Advisory")[1:]
    assert reason == "IdentityDiffers"
    assert f"The job stays in account {GOLD}" in message
    assert LEAD in message
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == arn
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert KEY in simulation.api.objects, "the job cannot be stopped"
    assert simulation.service.stopped == []
    simulation.cluster_state.roles = {GOLD: GOLD_ROLE}
    await simulation.wait(60.0)
    assert simulation.gone
    assert [name for name, _ in simulation.service.stopped] == [JOB]
    assert accounts(simulation) == [GOLD]


@simulated(seconds=10_000.0)
async def test_a_deletion_with_an_unreachable_job_ends_with_retain(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    select(simulation)
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert KEY in simulation.api.objects
    simulation.api.annotate(KEY, **{DELETION_POLICY: "retain"})
    await simulation.wait(2.0)
    assert simulation.gone
    assert simulation.service.stopped == []


@simulated(seconds=10_000.0)
async def test_a_running_job_is_followed_by_the_role_of_its_new_selector_in_the_same_account(
    simulation: Simulation,
) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.service.roles.clear()
    select(simulation, new=f"{GOLD_ROLE}-2")
    await see(simulation, 30.0)
    assert simulation.service.roles == {(GOLD, f"{GOLD_ROLE}-2")}
    assert "selectorName: new" in simulation.condition(SELECTED)[2]
    assert simulation.condition("Ready")[1] == "Training"
    select(simulation, new=f"{GOLD_ROLE}-2", gold=GOLD_ROLE)
    await see(simulation)
    assert simulation.condition("ACK.Recoverable")[1] == "RoleSelectorsConflict"
    assert simulation.condition(SELECTED)[:2] == ("False", "RoleSelectorsConflict")
    select(simulation)
    await see(simulation)
    assert simulation.condition("ACK.Recoverable")[1] == "RoleUnavailable"
    select(simulation, gold=GOLD_ROLE)
    await see(simulation, 20_000.0)
    assert simulation.condition("Ready")[:2] == ("True", "Completed")
    assert simulation.condition(SELECTED)[0] == "True"
    assert accounts(simulation) == [GOLD]


@simulated(capacity=0)
async def test_a_waiting_object_stays_out_of_the_operators_account_without_its_selector(
    simulation: Simulation,
) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Recoverable")[1] == "ResourceLimitExceeded"
    assert simulation.condition(SELECTED)[0] == "True"
    simulation.service.capacity = 10
    select(simulation)
    await simulation.start()
    await simulation.wait(300.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleSelectorGone")
    assert simulation.condition(SELECTED)[:2] == ("False", "RoleSelectorGone")
    assert simulation.service.created == []
    select(simulation, replacement=LEAD_ROLE)
    await see(simulation, 60.0)
    assert accounts(simulation) == [LEAD]
    assert simulation.condition("ACK.Recoverable") == ("", "", "")
    assert simulation.condition(SELECTED)[0] == "True"


@simulated()
async def test_a_finished_object_is_not_written_when_selectors_change(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(300.0)
    assert simulation.condition("Ready")[:2] == ("True", "Completed")
    before, calls = simulation.object, len(simulation.service.calls)
    for roles in ({}, {"gold": GOLD_ROLE, "lead": LEAD_ROLE}, {"lead": LEAD_ROLE}):
        select(simulation, **roles)
        await see(simulation, 100.0)
    assert simulation.object == before
    assert len(simulation.service.calls) == calls


@pytest.mark.parametrize(
    "error",
    [Forbidden("iamroleselectors is forbidden"), Unavailable("503 by a webhook"), Invalid("conversion failed")],
    ids=["forbidden", "unavailable", "invalid"],
)
@simulated(seconds=10_000.0)
async def test_unreadable_selectors_delay_new_objects_but_no_running_job_of_the_operators_account(
    simulation: Simulation, error: KubeError
) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.cluster_state.selectors_error = error
    await simulation.start()
    another = body(name="another", uid="2", spec={**body()["spec"], "trainingJobName": "another"})
    simulation.api.apply(another)
    await simulation.wait(60.0)
    status, reason, message = simulation.condition("ACK.Recoverable", (NAMESPACE, "another"))
    assert (status, reason) == ("True", "RoleSelectorsUnreadable")
    assert str(error) in message
    assert simulation.condition("ACK.Recoverable") == ("", "", "")
    assert simulation.count("ListTrainingJobs") > 0
    assert accounts(simulation) == [ACCOUNT]
    simulation.cluster_state.selectors_error = None
    await simulation.wait(60.0)
    assert accounts(simulation) == [ACCOUNT, ACCOUNT]


@simulated()
async def test_a_selected_object_with_a_job_waits_for_readable_selectors(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.api.apply(body())
    await simulation.wait(15.0)
    simulation.cluster_state.selectors_error = Unavailable("503")
    simulation.service.calls.clear()
    await simulation.start()
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    assert simulation.condition("ACK.Recoverable")[1] == "RoleSelectorsUnreadable"
    assert simulation.condition(SELECTED)[0] == "True"
    simulation.cluster_state.selectors_error = None
    await simulation.wait(60.0)
    assert simulation.condition("Ready")[:2] == ("True", "Completed")
    assert accounts(simulation) == [GOLD]


@simulated()
async def test_a_job_of_eks_managed_ack_is_owned_by_its_tags(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    identity = replace(WANTED, account=GOLD)
    tags = {
        "eks:kubernetes-api-group": "sagemaker.services.k8s.aws",
        "eks:kubernetes-namespace": NAMESPACE,
        "eks:kubernetes-resource-name": NAME,
    }
    simulation.service.put(identity, {"TrainingJobName": JOB}, tags)
    acks = recorded(build_arn("aws", identity), trainingJobStatus="InProgress")
    simulation.api.apply(body(held=True, status=acks))
    await simulation.wait(10.0)
    assert simulation.object["status"]["ownership"]["claim"] == "TakenOver"
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert [name for name, _ in simulation.service.stopped] == [JOB]


@simulated()
async def test_a_forged_attempt_causes_calls_in_the_selected_account_only(simulation: Simulation) -> None:
    select(simulation, gold=GOLD_ROLE)
    simulation.cluster_state.roles = {LEAD: LEAD_ROLE}
    simulation.api.apply(body(held=True, pending=replace(WANTED, account=LEAD)))
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    status, reason, message = simulation.condition("ACK.Recoverable")
    assert (status, reason) == ("True", "InvalidAnnotation")
    assert "the IAMRoleSelector gold selects account" in message
    simulation.api.annotate(KEY, **{CREATE_PENDING: None})
    await simulation.wait(120.0)
    assert accounts(simulation) == [GOLD]
