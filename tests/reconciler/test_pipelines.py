"""Status as read by the TrainingJob component of Kubeflow Pipelines, rebuilt from its behavior.

The component creates the object, waits three minutes for a status, and then polls every 30 s.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Object, Simulation, simulated
from tests.logic.builders import body
from trainingjob_operator.logic.jobs.errors import ErrorClass

ACKS_STATUS = frozenset({"ackResourceMetadata", "conditions", "failureReason", "secondaryStatus", "trainingJobStatus"})
"""Some fields of ACK's CRD, without a default status."""
RULE = {"RuleConfigurationName": "loss", "RuleEvaluationJobArn": "arn:rule"}


class ComponentError(Exception):
    """The step of the pipeline fails; the message is the reason."""


def read(status: dict[str, Any]) -> str | None:
    """Return the result of one poll: the end of the step, or None for another poll.

    Fields are indexed as the component does: a missing one raises KeyError.
    """
    for condition in status["conditions"]:
        if condition["status"] != "True":
            continue
        if condition["type"] == "ACK.Terminal":
            raise ComponentError(condition["message"])
        if condition["type"] == "ACK.Recoverable":
            if "ValidationException" in condition["message"] or "InvalidParameter" in condition["message"]:
                raise ComponentError(condition["message"])
            return None
    if (status.get("ackResourceMetadata") or {}).get("arn") is None:
        return None
    state = status["trainingJobStatus"]
    if state == "Failed":
        raise ComponentError(status["failureReason"])
    if state == "Stopped":
        raise ComponentError("stopped")
    rules = [
        rule["ruleEvaluationStatus"]
        for kind in ("debugRuleEvaluationStatuses", "profilerRuleEvaluationStatuses")
        for rule in status.get(kind, ())
    ]
    [synced] = [each["status"] for each in status["conditions"] if each["type"] == "ACK.ResourceSynced"] or [None]
    if state != "Completed" or synced != "True":
        return None
    if {"Error", "IssuesFound"} & set(rules):
        raise ComponentError("rules")
    return str(state)


async def run_component(simulation: Simulation, polls: int = 40) -> str:
    """Create the object and return the result of the step; every version of the object is read, too."""

    def check(_kind: str, written: Object) -> None:
        status = written.get("status") or {}
        if (status.get("ackResourceMetadata") or {}).get("arn") is not None:
            assert status["trainingJobStatus"]
            assert status["secondaryStatus"]
            assert status["conditions"]

    simulation.api.watchers.append(check)
    simulation.api.apply(body())
    for _ in range(12):
        if simulation.object.get("status"):
            break
        await simulation.wait(15.0)
    else:
        raise AssertionError("the component takes the controller for absent")
    for _ in range(polls):
        if (result := read(simulation.object["status"])) is not None:
            return result
        await simulation.wait(30.0)
    return "polls"


@pytest.mark.parametrize("keeps", [None, ACKS_STATUS], ids=["our CRD", "ACK's CRD"])
def test_a_step_ends_with_its_job(keeps: frozenset[str] | None) -> None:
    @simulated(keeps=keeps)
    async def main(simulation: Simulation) -> None:
        assert await run_component(simulation) == "Completed"

    main()


@pytest.mark.parametrize("outcome", ["Failed", "Stopped"])
def test_a_step_fails_with_its_job(outcome: str) -> None:
    @simulated(outcome=outcome)
    async def main(simulation: Simulation) -> None:
        with pytest.raises(ComponentError):
            await run_component(simulation)
        assert simulation.object["status"]["trainingJobStatus"] == outcome

    main()


@simulated()
async def test_a_step_fails_with_a_refused_spec(simulation: Simulation) -> None:
    refused = failed("CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "no such type")
    simulation.service.refusals["CreateTrainingJob"] = refused
    with pytest.raises(ComponentError, match="no such type"):
        await run_component(simulation)


@simulated(capacity=0)
async def test_a_step_waits_for_capacity_and_ends_with_its_job(simulation: Simulation) -> None:
    assert await run_component(simulation, polls=3) == "polls"
    assert simulation.condition("ACK.Recoverable")[1] == "ResourceLimitExceeded"
    simulation.service.capacity = 1
    assert await run_component(simulation) == "Completed"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorClass.DENIED, "AccessDeniedException"),
        (ErrorClass.THROTTLED, "ThrottlingException"),
        (ErrorClass.RETRY, "InternalFailure"),
    ],
)
def test_the_arn_comes_with_a_status_when_describe_fails(kind: ErrorClass, code: str) -> None:
    @simulated(seconds=120.0)
    async def main(simulation: Simulation) -> None:
        simulation.service.refusals["DescribeTrainingJob"] = failed("DescribeTrainingJob", code, kind)
        phases: list[tuple[str, str]] = []

        def note(_kind: str, written: Object) -> None:
            status = written["status"]
            if "ackResourceMetadata" in status:
                phases.append((status["trainingJobStatus"], status["secondaryStatus"]))

        simulation.api.watchers.append(note)
        assert await run_component(simulation, polls=2) == "polls"
        assert phases[0] == ("InProgress", "Starting")
        assert phases[-1] == ("InProgress", "Training"), "the list shows the job"
        simulation.service.refusals.clear()
        await simulation.wait(600.0)
        assert read(simulation.object["status"]) == "Completed"

    main()


@pytest.mark.parametrize(("end", "result"), [("NoIssuesFound", "Completed"), ("IssuesFound", "rules")])
def test_a_step_waits_for_the_rules_of_its_job(end: str, result: str) -> None:
    @simulated()
    async def main(simulation: Simulation) -> None:
        rule = {**RULE, "RuleEvaluationStatus": "InProgress"}

        def add_rule(*_: object) -> None:
            for job in simulation.service.created:
                job.request = {**job.request, "DebugRuleEvaluationStatuses": [rule]}

        simulation.api.watchers.append(add_rule)
        assert await run_component(simulation, polls=6) == "polls"
        assert simulation.object["status"]["trainingJobStatus"] == "Completed"
        rule["RuleEvaluationStatus"] = end
        await simulation.wait(60.0)
        if result == "rules":
            with pytest.raises(ComponentError, match="rules"):
                read(simulation.object["status"])
        else:
            assert read(simulation.object["status"]) == result

    main()


@simulated(seconds=5000.0)
async def test_the_deletion_by_a_terminated_step_stops_the_job(simulation: Simulation) -> None:
    assert await run_component(simulation, polls=3) == "polls"
    simulation.api.delete(KEY)
    await simulation.wait(30.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == 1
