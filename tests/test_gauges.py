"""Gauges and counters of a running operator, in virtual time."""

from typing import Any

import pytest

from tests.fakes.operator import SimulatedOperator
from tests.fakes.service import failed
from tests.fakes.simulation import Simulation, simulated
from tests.logic.builders import ACCOUNT, JOB, NAME, NAMESPACE, REGION, SPEC, body, recorded
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import OWNER_ACCOUNT, READ_ONLY

PLACE = {"account": ACCOUNT, "region": REGION}
REQUEST = {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}}
ENDED, AGE = "trainingjob_ended_total", "trainingjob_sweep_age_seconds"
BILLABLE = "trainingjob_billable_instance_seconds_total"


def one(name: str, namespace: str = NAMESPACE, **members: Any) -> dict[str, Any]:
    """Object with a job of the same name."""
    subject = body(name=name, uid=f"{namespace}-{name}", spec={**SPEC, "trainingJobName": name}, **members)
    subject["metadata"]["namespace"] = namespace
    return subject


def series(operator: SimulatedOperator, family: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for metric in operator.registry.collect()
        if metric.name == family
        for sample in metric.samples
    }


@simulated()
async def test_objects_are_counted_by_namespace_and_phase(simulation: Simulation) -> None:
    simulation.api.apply(one("a"))
    simulation.api.apply(one("b", "team-b"))
    await simulation.wait(30.0)
    simulation.operator.gauges.update()
    assert series(simulation.operator, "trainingjob_jobs") == {
        (NAMESPACE, "InProgress"): 1,
        ("team-b", "InProgress"): 1,
    }
    assert series(simulation.operator, "trainingjob_job_status") == {}, "off by default"
    await simulation.wait(60.0)
    simulation.operator.gauges.update()
    assert series(simulation.operator, "trainingjob_jobs") == {
        (NAMESPACE, "Completed"): 1,
        ("team-b", "Completed"): 1,
    }


@simulated()
async def test_series_of_single_objects_are_shared_among_namespaces_and_prefer_unfinished_jobs(
    simulation: Simulation,
) -> None:
    simulation.api.apply(one("ended"))
    await simulation.wait(90.0)
    operator = await simulation.start(max_jobs=4)
    simulation.api.apply(one("open"))
    for number in range(20):
        simulation.api.apply(one(f"many-{number}", "team-b"))
    await simulation.wait(10.0)
    operator.gauges.update()
    shown = series(operator, "trainingjob_job_status")
    assert {labels for labels in shown if labels[0] == NAMESPACE} == {
        (NAMESPACE, "open", "InProgress"),
        (NAMESPACE, "ended", "Completed"),
    }
    assert len(shown) == 4
    operator = await simulation.start(max_jobs=2)
    operator.gauges.update()
    assert [labels[0] for labels in series(operator, "trainingjob_job_status")] == [NAMESPACE, "team-b"]


@simulated()
async def test_waiting_objects_are_counted_by_quota(simulation: Simulation) -> None:
    simulation.service.quotas = {"ml.m5.large for training job usage": 1.0}
    for number in range(3):
        simulation.api.apply(one(f"o{number}"))
    await simulation.wait(20.0)
    simulation.operator.gauges.update()
    assert series(simulation.operator, "trainingjob_waiting_jobs") == {("",): 0, ("training/ml.m5.large",): 2}


@simulated(seconds=5000.0)
async def test_budgets_show_a_throttled_operation(simulation: Simulation) -> None:
    simulation.api.apply(one("a"))
    await simulation.wait(10.0)
    simulation.operator.gauges.update()
    rate = "trainingjob_budget_calls_per_second"
    before = simulation.sample(rate, operation="ListTrainingJobs", **PLACE)
    throttled = failed("ListTrainingJobs", "ThrottlingException", ErrorClass.THROTTLED)
    simulation.service.refusals["ListTrainingJobs"] = throttled
    await simulation.wait(20.0)
    simulation.operator.gauges.update()
    after = simulation.sample(rate, operation="ListTrainingJobs", **PLACE)
    assert before is not None
    assert after is not None
    assert after < before
    assert simulation.sample("trainingjob_budget_waiting_calls", operation="ListTrainingJobs", **PLACE) is not None


@simulated()
async def test_a_read_only_object_adds_no_cost(simulation: Simulation) -> None:
    simulation.api.apply(one("a"))
    simulation.api.apply(one("a", "team-b", annotations={READ_ONLY: "true"}))
    await simulation.wait(5.0)
    simulation.service.created[0].late = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}
    await simulation.wait(200.0)
    phases = [subject["status"]["phase"] for subject in simulation.api.objects.values()]
    assert phases == ["Completed", "Completed"]
    assert simulation.sample(ENDED, namespace=NAMESPACE, outcome="Succeeded") == 1
    assert not simulation.sample(ENDED, namespace="team-b", outcome="Succeeded")


@simulated()
async def test_a_forged_record_of_a_job_is_no_outcome_of_the_object(simulation: Simulation) -> None:
    job = simulation.service.put(Identity(ACCOUNT, REGION, JOB), {**REQUEST, "TrainingJobName": JOB}, {})
    job.late = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}
    simulation.api.apply(body(status=recorded(trainingJobStatus="InProgress", secondaryStatus="Training")))
    await simulation.wait(200.0)
    outcomes = series(simulation.operator, "trainingjob_ended")
    assert sum(outcomes.values()) == outcomes.get((NAMESPACE, "Refused"), 0)
    assert sum(series(simulation.operator, "trainingjob_billable_instance_seconds").values()) == 0


@simulated()
async def test_a_refused_object_is_an_outcome_and_an_error_with_its_reason(simulation: Simulation) -> None:
    refused = failed("CreateTrainingJob", "ValidationException", ErrorClass.REFUSED, "no")
    simulation.service.refusals["CreateTrainingJob"] = refused
    simulation.api.apply(one("a"))
    await simulation.wait(30.0)
    assert simulation.sample(ENDED, namespace=NAMESPACE, outcome="Refused") == 1
    assert simulation.sample("trainingjob_errors_total", condition="ACK.Terminal", reason="Refused") == 1
    await simulation.wait(600.0)
    assert simulation.sample(ENDED, namespace=NAMESPACE, outcome="Refused") == 1
    await simulation.start()
    await simulation.wait(30.0)
    assert not simulation.sample(ENDED, namespace=NAMESPACE, outcome="Refused"), "counted before the restart"


@simulated()
async def test_the_lag_of_a_status_is_that_of_the_sweep(simulation: Simulation) -> None:
    simulation.api.apply(one("a"))
    await simulation.wait(90.0)
    count = simulation.sample("trainingjob_status_lag_seconds_count")
    assert count is not None
    assert count >= 3
    assert simulation.sample("trainingjob_status_lag_seconds_bucket", le="10.0") == count


@simulated(seconds=5000.0)
async def test_a_region_keeps_its_age_while_another_role_is_swept_there(simulation: Simulation) -> None:
    simulation.cluster_state.roles = {ACCOUNT: f"arn:aws:iam::{ACCOUNT}:role/x"}
    simulation.cluster_state.namespaces["team-b"] = {OWNER_ACCOUNT: ACCOUNT}
    simulation.api.apply(one("a"))
    simulation.api.apply(one("b", "team-b"))
    await simulation.wait(20.0)
    assert len({target.role_arn for target in simulation.operator.jobs.live_targets()}) == 2
    assert simulation.sample(AGE, **PLACE) is not None
    simulation.api.delete((NAMESPACE, "a"))
    await simulation.wait(30.0)
    assert len(simulation.operator.jobs.live_targets()) == 1
    age = simulation.sample(AGE, **PLACE)
    assert age is not None
    assert age < 15
    assert simulation.sample("trainingjob_sweep_interval_seconds", **PLACE) is not None


@simulated(seconds=5000.0)
async def test_a_failed_sweep_ages_and_a_denied_one_does_not(simulation: Simulation) -> None:
    simulation.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "InternalFailure", ErrorClass.RETRY)
    simulation.api.apply(one("a"))
    await simulation.wait(100.0)
    age = simulation.sample(AGE, **PLACE)
    assert age is not None
    assert age > 60, "without any successful sweep"
    simulation.service.refusals["ListTrainingJobs"] = failed("ListTrainingJobs", "AccessDenied", ErrorClass.DENIED)
    await simulation.wait(30.0)
    age = simulation.sample(AGE, **PLACE)
    assert age is not None
    assert age < 15, "Describe calls replace the sweep"


@simulated()
async def test_the_age_of_the_watch_counts_from_its_last_change_or_list(simulation: Simulation) -> None:
    await simulation.wait(200.0)
    simulation.operator.gauges.update()
    assert simulation.sample("trainingjob_watch_age_seconds") == pytest.approx(200.0)
    await simulation.wait(200.0)
    simulation.operator.gauges.update()
    age = simulation.sample("trainingjob_watch_age_seconds")
    assert age is not None
    assert age < 200.0, "a list succeeded"
    simulation.api.apply(one(NAME))
    simulation.operator.gauges.update()
    assert simulation.sample("trainingjob_watch_age_seconds") == 0.0
