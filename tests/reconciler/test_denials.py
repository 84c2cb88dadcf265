"""Calls denied by AWS: reported, retried by one probe, no obstacle to deletion."""

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import NAMESPACE, SPEC, body
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import (
    DELETION_POLICY,
)
from trainingjob_operator.logic.state.outcomes import DENIED_RETRY_SECONDS, PROBE_RETRY_FIRST, PROBE_SHARE


@simulated()
async def test_a_denied_call_is_reported_at_once_and_never_blocks_deletion(simulation: Simulation) -> None:
    denied = failed("CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED, "role x may not")
    simulation.service.refusals["CreateTrainingJob"] = denied
    simulation.api.apply(body())
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone


@pytest.mark.no_cover
@pytest.mark.parametrize("seconds", [20.0, 3600.0])
@pytest.mark.parametrize("operation", ["CreateTrainingJob", "StopTrainingJob"])
@simulated(seconds=100_000.0)
async def test_a_right_restored_to_one_object_is_used_by_all_at_once(
    simulation: Simulation, operation: str, seconds: float
) -> None:
    denied = failed(operation, "AccessDeniedException", ErrorClass.DENIED)
    names = [f"job-{number}" for number in range(20)]
    is_create = operation == "CreateTrainingJob"
    if is_create:
        simulation.service.refusals[operation] = denied
    for name in names:
        simulation.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
    if not is_create:
        await simulation.wait(30.0)
        simulation.service.refusals[operation] = denied
        for name in names:
            simulation.api.delete((NAMESPACE, name))
    await simulation.wait(seconds)
    del simulation.service.refusals[operation]
    await simulation.wait(min(DENIED_RETRY_SECONDS, max(PROBE_RETRY_FIRST, PROBE_SHARE * seconds)) + 2.0)
    done = simulation.service.created if is_create else simulation.service.stopped
    assert len(done) == len(names)


@pytest.mark.no_cover
@simulated(seconds=100_000.0)
async def test_objects_with_a_restored_right_wake_a_denied_object_once(
    simulation: Simulation,
) -> None:
    denied = failed("CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
    everybody = [True]

    def deny(operation: str, before: bool) -> None:
        if before and operation == "CreateTrainingJob" and (everybody or simulation.service.calls[-1][1] == "job-0"):
            raise denied

    simulation.service.fault = deny
    for number in range(20):
        name = f"job-{number}"
        simulation.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
    await simulation.wait(3600.0)
    everybody.clear()
    tried = simulation.service.calls.count(("CreateTrainingJob", "job-0"))
    await simulation.wait(310.0)
    assert len(simulation.service.created) == 19
    assert simulation.service.calls.count(("CreateTrainingJob", "job-0")) <= tried + 4


@simulated(seconds=10_000.0)
async def test_a_denied_stop_is_reported_and_retain_removes_the_finalizer(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.service.refusals["StopTrainingJob"] = failed("StopTrainingJob", "AccessDenied", ErrorClass.DENIED)
    simulation.api.delete(KEY)
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
    await simulation.wait(1200.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "StopStuck")
    simulation.api.annotate(KEY, **{DELETION_POLICY: "retain"})
    await simulation.wait(2.0)
    assert simulation.gone


@pytest.mark.parametrize("lasts", [20.0, 200.0])
@in_virtual_time
async def test_a_describe_denied_just_after_create_is_reported_only_if_it_lasts(
    caplog: pytest.LogCaptureFixture, *, lasts: float
) -> None:
    caplog.set_level("INFO", logger="trainingjob_operator")
    async with simulate(seconds=1000.0) as simulation:
        denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
        simulation.service.refusals["DescribeTrainingJob"] = denied
        simulation.api.apply(body())
        await simulation.wait(min(lasts, 29.0))
        assert simulation.condition("ACK.Recoverable")[0] == ""
        assert "AccessDenied" not in str(simulation.operator.recorder.events) + caplog.text
        if lasts < 30.0:
            simulation.service.refusals.clear()
        await simulation.wait(25.0)
        assert simulation.condition("ACK.Recoverable")[:2] == (("", "") if lasts < 30.0 else ("True", "AccessDenied"))
        assert ("AccessDenied" in caplog.text) is (lasts > 30.0)
        assert ("AccessDenied" in str(simulation.operator.recorder.events)) is (lasts > 30.0)
