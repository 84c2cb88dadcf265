"""No object delays the Create of another: many refusals, quotas, namespaces, unwritable metadata.

The rate is one Create a second, as in production, in virtual time.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import SPEC, body
from trainingjob_operator.aws.lanes import LONG_PAUSE, Busy
from trainingjob_operator.kube.errors import Forbidden, Invalid, KubeError, Unavailable
from trainingjob_operator.logic.jobs.errors import ErrorClass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainingjob_operator.logic.jobs.errors import AwsError

pytestmark = pytest.mark.no_cover
SECONDS = 8.0
"""Limit for a valid object with any others: some turns at one Create a second."""

CREATE = "CreateTrainingJob"
STORMS = {
    "doubtful": failed(CREATE, "ValidationException", ErrorClass.DOUBTFUL, "No S3 objects found under s3://b/p"),
    "denied": failed(CREATE, "AccessDeniedException", ErrorClass.DENIED, "not authorized to perform: iam:PassRole"),
    "500": failed(CREATE, "500", ErrorClass.RETRY, "Internal Server Error", definite=False),
    "quota": failed(
        CREATE,
        "ResourceLimitExceeded",
        ErrorClass.WAITING,
        "The account-level service limit 'ml.p3.2xlarge for training job usage' is 0 Instances, with current "
        "utilization of 0 Instances and a request delta of 1 Instances.",
    ),
}


def job_object(name: str, number: int = 0, namespace: str = "ml", **spec: Any) -> dict[str, Any]:
    """Object with this second as its creation time."""
    made = body(name=name, uid=f"{namespace}-{name}", spec={**copy.deepcopy(SPEC), "trainingJobName": name, **spec})
    made["metadata"]["namespace"] = namespace
    made["metadata"]["creationTimestamp"] = f"2026-11-21T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    return made


def resources(count: int = 1, kind: str = "ml.m5.large", **more: Any) -> dict[str, Any]:
    return {"resourceConfig": {"instanceType": kind, "instanceCount": count, "volumeSizeInGB": 10, **more}}


def is_bad(request: Mapping[str, Any]) -> bool:
    return str(request["TrainingJobName"]).startswith("bad")


def count_marked(simulation: Simulation, namespace: str) -> int:
    return sum(
        key[0] == namespace and bool(one["metadata"].get("finalizers")) for key, one in simulation.api.objects.items()
    )


async def await_created(simulation: Simulation, *names: str, within: float) -> float:
    """Wait for jobs with these names; return the seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not set(names) <= set(simulation.created_jobs):
        await asyncio.sleep(0.1)
        assert loop.time() - began < within, f"{set(names) - set(simulation.created_jobs)} are not created"
    return loop.time() - began


@pytest.mark.parametrize(("kind", "count"), [("doubtful", 50), ("denied", 100), ("500", 50), ("quota", 50)])
@simulated()
async def test_a_valid_object_is_created_within_seconds_behind_many_refused_ones(
    simulation: Simulation, kind: str, count: int
) -> None:
    simulation.service.create_errors = lambda request: STORMS[kind] if is_bad(request) else None
    await simulation.start(create_tps=1.0, workers=20)
    for number in range(count):
        simulation.api.apply(job_object(f"bad-{number}", number))
    await simulation.wait(1.4 * count)  # after one attempt of each
    for number in range(3):
        simulation.api.apply(job_object(f"good-{number}", 5000 + number))
        await await_created(simulation, f"good-{number}", within=SECONDS)
        await simulation.wait(100.0)


@pytest.mark.parametrize("kind", ["doubtful", "denied", "500"])
@simulated()
async def test_an_object_of_another_namespace_is_created_within_seconds_during_first_attempts(
    simulation: Simulation, kind: str
) -> None:
    simulation.service.create_errors = lambda request: STORMS[kind] if is_bad(request) else None
    await simulation.start(create_tps=1.0, workers=20)
    for number in range(60):
        simulation.api.apply(job_object(f"bad-{number}", number))
    await simulation.wait(15.0)
    simulation.api.apply(job_object("good", 5000, namespace="other"))
    await await_created(simulation, "good", within=SECONDS)


@simulated(seconds=100_000.0)
async def test_hundreds_of_objects_of_one_namespace_do_not_delay_ten_of_another(simulation: Simulation) -> None:
    await simulation.start(create_tps=1.0, workers=20)
    for number in range(300):
        simulation.api.apply(job_object(f"many-{number}", number))
    await simulation.wait(20.0)
    few = [f"few-{number}" for number in range(10)]
    for number, name in enumerate(few):
        simulation.api.apply(job_object(name, 2000 + number, namespace="other"))
    await await_created(simulation, *few, within=25.0)
    order = [name for name in simulation.created_jobs if name in few]
    assert order == few, "in order of creation within a namespace"


@simulated(seconds=100_000.0)
async def test_retries_continue_during_a_stream_of_new_objects(simulation: Simulation) -> None:
    refused = {"bad": STORMS["doubtful"]}
    simulation.service.create_errors = lambda request: refused.get(request["TrainingJobName"])
    await simulation.start(create_tps=1.0, workers=20)
    simulation.api.apply(job_object("bad"))
    for number in range(200):
        simulation.api.apply(job_object(f"new-{number}", 1 + number))
    await simulation.wait(30.0)
    refused.clear()
    await await_created(simulation, "bad", within=60.0)
    assert len(simulation.created_jobs) < 150, "before the end of the stream"


@simulated()
async def test_a_spec_with_status_500_unlike_others_is_refused_after_hours(simulation: Simulation) -> None:
    simulation.service.create_errors = lambda request: STORMS["500"] if is_bad(request) else None
    await simulation.start(create_tps=1.0)
    simulation.api.apply(job_object("bad"))
    for number in range(40):
        simulation.api.apply(job_object(f"good-{number}", 1 + number))
        await simulation.wait(300.0)
        if number < 20:
            assert simulation.condition("Stalled", ("ml", "bad"))[0] == "", "not before two hours"
    assert simulation.condition("ACK.Terminal", ("ml", "bad"))[:2] == ("True", "CreateFailed")
    calls = simulation.service.calls.count((CREATE, "bad"))
    await simulation.wait(20_000.0)
    assert simulation.service.calls.count((CREATE, "bad")) == calls


@simulated()
async def test_a_long_outage_of_sagemaker_refuses_no_object(simulation: Simulation) -> None:
    simulation.service.refusals[CREATE] = STORMS["500"]
    await simulation.start(create_tps=1.0)
    for number in range(20):
        simulation.api.apply(job_object(f"job-{number}", number))
    await simulation.wait(6 * 3600.0)
    assert not any(simulation.condition("Stalled", key)[0] for key in simulation.api.objects)
    del simulation.service.refusals[CREATE]
    await await_created(simulation, *(f"job-{number}" for number in range(20)), within=900.0)


@pytest.mark.parametrize("is_full", [False, True], ids=["first attempts", "waiting for a quota"])
@simulated(seconds=60_000.0)
async def test_objects_with_delayed_calls_use_no_token_and_delay_no_other(
    simulation: Simulation, *, is_full: bool
) -> None:
    held: set[str] = set() if is_full else {"busy"}

    def fault(_operation: str, _before: bool) -> None:
        operation, name = simulation.service.calls[-1]
        if operation == CREATE and name.partition("-")[0] in held:
            raise Busy(LONG_PAUSE)

    await simulation.start(create_tps=1.0, workers=20)
    simulation.service.fault = fault
    if is_full:
        simulation.service.quotas["ml.m5.large for training job usage"] = 1
        simulation.api.apply(job_object("early"))
        await simulation.wait(2.0)
    busy = [f"busy-{number}" for number in range(40)]
    for number, name in enumerate(busy):
        simulation.api.apply(job_object(name, 10 + number, namespace="slow"))
    await simulation.wait(3.0)
    held.add("busy")
    await simulation.wait(30.0)
    marked = count_marked(simulation, "slow")
    await simulation.wait(90.0)
    assert count_marked(simulation, "slow") == marked < 20, "the other objects of the namespace have no turn meanwhile"
    good = [f"good-{number}" for number in range(8)]
    for number, name in enumerate(good):
        simulation.api.apply(job_object(name, 3600 + number))
    simulation.service.quotas.clear()
    await await_created(simulation, *good, within=70.0 if is_full else SECONDS)
    held.clear()
    await await_created(simulation, *busy, within=90.0)


# -- quotas -----------------------------------------------------------------------------------------------------------

P3 = "ml.p3.2xlarge"
QUOTA = "ml.m5.large for training job usage"
SPOT = {"enableManagedSpotTraining": True, "stoppingCondition": {"maxRuntimeInSeconds": 60, "maxWaitTimeInSeconds": 60}}


@pytest.mark.parametrize(
    ("quotas", "first", "words"),
    [
        ({f"{P3} for training job usage": 4}, resources(8, P3), "limit 4, in use 0, requested 8 Instances"),
        ({f"{P3} for spot training job usage": 0}, {**resources(1, P3), **SPOT}, "limit 0, in use 0, requested 1"),
        (
            {f"{P3} for training warm pool usage": 0},
            resources(1, P3, keepAlivePeriodInSeconds=60),
            "limit 0, in use 0, requested 1 Instances",
        ),
        ({"Number of instances across all training jobs": 5}, resources(6, P3), "limit 5, in use 0, requested 6"),
    ],
    ids=["more than the limit", "spot", "warm pool", "all training jobs"],
)
@in_virtual_time
async def test_a_quota_too_small_for_the_job_is_reported_and_delays_no_other_object(
    quotas: dict[str, float], first: dict[str, Any], words: str
) -> None:
    async with simulate(quotas=quotas, seconds=60.0) as simulation:
        await simulation.start(create_tps=1.0)
        simulation.api.apply(job_object("first", 0, **first))
        await simulation.wait(30.0)
        for number in (1, 2):
            simulation.api.apply(job_object(f"good-{number}", number, **resources(1, P3)))
        await await_created(simulation, "good-1", "good-2", within=SECONDS)
        key = ("ml", "first")
        assert simulation.condition("Ready", key)[:2] == ("False", "QuotaTooSmall")
        status, reason, message = simulation.condition("ACK.Recoverable", key)
        assert (status, reason) == ("True", "QuotaTooSmall")
        assert words in message
        assert "Raise the quota in Service Quotas, or request less" in message
        assert simulation.condition("Stalled", key)[0] == ""
        await simulation.wait(4 * 3600.0)
        assert 5 <= simulation.service.calls.count((CREATE, "first")) <= 12, "with a long back-off"
        simulation.service.quotas.clear()
        await await_created(simulation, "first", within=3700.0)


@simulated()
async def test_an_unsupported_instance_type_is_refused_at_once(simulation: Simulation) -> None:
    words = "The requested resource training-job/ml.p2.xlarge is not available in this region"
    error = failed(CREATE, "ResourceLimitExceeded", ErrorClass.WAITING, words)
    simulation.service.create_errors = lambda request: error if is_bad(request) else None
    simulation.api.apply(job_object("bad", 0))
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Terminal", ("ml", "bad"))[:2] == ("True", "Refused")
    simulation.api.apply(job_object("good", 1))
    await await_created(simulation, "good", within=SECONDS)
    assert simulation.service.calls.count((CREATE, "bad")) == 1


@simulated(quotas={f"{P3} for training job usage": 2}, seconds=1000.0)
async def test_each_quota_has_its_own_queue(simulation: Simulation) -> None:
    await simulation.start(create_tps=1.0)
    simulation.api.apply(job_object("holder", 0, **resources(2, P3)))
    await simulation.wait(2.0)
    for number in range(1, 6):
        simulation.api.apply(job_object(f"waits-{number}", number, **resources(1, P3)))
        await simulation.wait(2.0)
    await simulation.wait(20.0)
    assert simulation.created_jobs == ["holder"]
    tries = simulation.count(CREATE)
    simulation.api.apply(job_object("spot", 10, **{**resources(2, P3), **SPOT}))
    simulation.api.apply(job_object("other", 11, **resources(2)))
    await await_created(simulation, "spot", "other", within=SECONDS)
    message = simulation.condition("Ready", ("ml", "waits-3"))[2]
    assert message == f"Waiting for the quota '{P3} for training job usage': 2 objects ahead of it in the queue."
    assert simulation.count(CREATE) <= tries + 4, "waiting objects send no request"


@simulated(quotas={QUOTA: 1}, seconds=30.0)
async def test_a_priority_orders_objects_of_a_namespace_waiting_for_a_quota(simulation: Simulation) -> None:
    key = "sagemaker.services.k8s.aws/priority"
    simulation.api.apply(job_object("running"))
    await await_created(simulation, "running", within=SECONDS)
    for number, namespace in enumerate(("ml", "ml", "other")):
        simulation.api.apply(job_object(f"job-{number}", 1 + number, namespace=namespace))
    urgent = job_object("urgent", 3600)
    urgent["metadata"]["annotations"] = {key: "high"}
    simulation.api.apply(urgent)
    await simulation.wait(2.0)
    status, reason, message = simulation.condition("ACK.Terminal", ("ml", "urgent"))
    assert (status, reason) == ("True", "InvalidAnnotation")
    assert f"Annotation {key} is 'high'. Use an integer" in message
    simulation.api.apply(urgent | {"metadata": urgent["metadata"] | {"annotations": {key: "61"}}})
    await await_created(simulation, "job-0", "job-1", "job-2", "urgent", within=200.0)
    assert simulation.created_jobs.index("urgent") < simulation.created_jobs.index("job-0"), "61 minutes of head start"
    assert simulation.created_jobs.index("job-2") <= 2, "another namespace takes turns with it"


@simulated(quotas={f"{P3} for training job usage": 10}, seconds=60.0)
async def test_a_large_job_is_created_in_spite_of_a_stream_of_small_ones(
    simulation: Simulation,
) -> None:
    """Small jobs of a minute use 4 of 10 instances at any time; the large job needs 8."""
    await simulation.start(create_tps=1.0)
    for number in range(4):
        simulation.api.apply(job_object(f"early-{number}", number, **resources(1, P3)))
    await simulation.wait(10.0)
    simulation.api.apply(job_object("large", 50, **resources(8, P3)))
    await simulation.wait(5.0)
    small = [f"small-{number}" for number in range(30)]
    for number, name in enumerate(small):
        simulation.api.apply(job_object(name, 100 + number, **resources(1, P3)))
    await simulation.wait(15.0)
    assert len(simulation.created_jobs) == 10, "small jobs use the free quota"
    assert "large" not in simulation.created_jobs
    await await_created(simulation, "large", within=600.0)
    assert len(simulation.created_jobs) < 30, "before some of the small jobs"
    await await_created(simulation, *small, within=1200.0)


@simulated(quotas={f"{P3} for training job usage": 4}, seconds=60.0)
async def test_a_large_job_that_never_fits_does_not_block_small_ones(simulation: Simulation) -> None:
    """Another user holds one of four instances permanently."""
    await simulation.start(create_tps=1.0)
    simulation.api.apply(job_object("holder", 0, **resources(1, P3)))
    await simulation.wait(5.0)
    simulation.service.created[0].seconds = 1e9
    simulation.api.apply(job_object("large", 1, **resources(4, P3)))
    await simulation.wait(5.0)
    small = [f"small-{number}" for number in range(15)]
    for number, name in enumerate(small):
        simulation.api.apply(job_object(name, 10 + number, **resources(1, P3)))
    await await_created(simulation, "small-0", "small-1", within=SECONDS)
    await simulation.wait(300.0)
    assert simulation.condition("Ready", ("ml", "large"))[2].endswith(
        "it is next in the queue; freed capacity is reserved for the longest-waiting object."
    )
    await await_created(simulation, *small, within=3600.0)
    assert "large" not in simulation.created_jobs


@simulated(quotas={QUOTA: 2}, seconds=100.0)
async def test_slow_writes_preserve_single_probes_and_their_order(simulation: Simulation) -> None:
    slow_down(simulation, 2.5)
    await simulation.start(create_tps=1.0, workers=20)
    for number in range(2):
        simulation.api.apply(job_object(f"runs-{number}", number))
    await simulation.wait(15.0)
    for job in simulation.service.created:
        job.seconds = 1e9
    names = [f"waits-{number}" for number in range(6)]
    for number, name in enumerate(names):
        simulation.api.apply(job_object(name, 10 + number))
    await simulation.wait(60.0)
    tried = simulation.count(CREATE)
    await simulation.wait(600.0)
    assert 10 <= simulation.count(CREATE) - tried <= 12
    for number, name in enumerate(names):
        simulation.service.created[number].seconds = 1.0
        await await_created(simulation, name, within=75.0)
        simulation.service.created[-1].seconds = 1e9
        assert len(simulation.service.created) == 3 + number


@simulated(seconds=1e9)
async def test_a_busy_api_server_does_not_leave_workers_idle(simulation: Simulation) -> None:
    """One namespace, a large budget, and writes of half a second: each worker creates one job a second."""
    slow_down(simulation, 0.5)
    await simulation.start(create_tps=1000.0, workers=20)
    names = [f"job-{number}" for number in range(200)]
    for number, name in enumerate(names):
        simulation.api.apply(job_object(name, number))
    await await_created(simulation, *names, within=10.0)


def slow_down(simulation: Simulation, seconds: float) -> None:
    """Delay each write of metadata."""
    taken = simulation.api.patch_metadata

    async def patch(namespace: str, name: str, **change: Any) -> dict[str, Any]:
        await asyncio.sleep(seconds)
        return await taken(namespace, name, **change)

    simulation.api.patch_metadata = patch  # type: ignore[method-assign]


# -- unwritable metadata ----------------------------------------------------------------------------------------------

ANNOTATIONS = "metadata.annotations: Too long: may not be more than 262144 bytes"
REFUSALS: dict[str, Callable[[], KubeError]] = {
    "a policy": lambda: Forbidden('admission webhook "validate.kyverno" denied the request: frozen namespace'),
    "annotations without room": lambda: Invalid(ANNOTATIONS),
    "a role without patch": lambda: Forbidden('User "operator" cannot patch resource "trainingjobs"'),
    "a webhook that fails": lambda: Unavailable('failed calling webhook "x": connection refused'),
}


def hinder(simulation: Simulation, refusal: Callable[[], KubeError], *, slow: float = 0.0) -> Callable[[], None]:
    """Reject writes of metadata in namespace `frozen`; return a function to end this."""
    taken = simulation.api.patch_metadata

    async def refuse(namespace: str, name: str, **change: Any) -> dict[str, Any]:
        if namespace == "frozen":
            await asyncio.sleep(slow)
            raise refusal()
        return await taken(namespace, name, **change)

    def end() -> None:
        simulation.api.patch_metadata = taken  # type: ignore[method-assign]

    simulation.api.patch_metadata = refuse  # type: ignore[method-assign]
    return end


@pytest.mark.parametrize("cause", REFUSALS)
@simulated(seconds=100_000.0)
async def test_objects_with_unwritable_metadata_use_no_turn_and_report_the_cause(
    simulation: Simulation, cause: str
) -> None:
    await simulation.start(create_tps=1.0, workers=20)
    end = hinder(simulation, REFUSALS[cause])
    for number in range(40):
        simulation.api.apply(job_object(f"stuck-{number}", number, namespace="frozen"))
    await simulation.wait(3.0)
    for time in range(3):
        good = [f"good-{time}-{number}" for number in range(5)]
        for number, name in enumerate(good):
            simulation.api.apply(job_object(name, 3600 + time * 60 + number))
        await await_created(simulation, *good, within=SECONDS)
        await simulation.wait(200.0)
    key = ("frozen", "stuck-7")
    status, reason, message = simulation.condition("ACK.Recoverable", key)
    assert (status, reason) == ("True", "MetadataNotWritten")
    assert message.endswith(str(REFUSALS[cause]()))
    assert simulation.condition("Ready", key)[:2] == ("False", "MetadataNotWritten")
    assert ("Warning", "MetadataNotWritten", message) in simulation.operator.recorder.events
    assert len(simulation.operator.create_queue) == 0, "no object waits for a turn without use for it"
    end()
    await await_created(simulation, *(f"stuck-{number}" for number in range(40)), within=450.0)


@simulated()
async def test_a_rejected_write_of_metadata_is_retried_with_back_off(simulation: Simulation) -> None:
    tries: list[float] = []

    def refuse() -> KubeError:
        tries.append(asyncio.get_running_loop().time())
        return REFUSALS["a policy"]()

    hinder(simulation, refuse)
    simulation.api.apply(job_object("stuck", namespace="frozen"))
    await simulation.wait(4 * 3600.0)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[0] < 3.0
    assert min(pauses[9:]) > 140.0
    assert max(pauses) < 302.0


@simulated()
async def test_an_object_with_space_for_annotations_again_is_retried_at_once(simulation: Simulation) -> None:
    end = hinder(simulation, REFUSALS["annotations without room"])
    simulation.api.apply(job_object("stuck", namespace="frozen"))
    await simulation.wait(3600.0)
    end()
    simulation.api.annotate(("frozen", "stuck"), note="short")
    await await_created(simulation, "stuck", within=3.0)


@simulated(seconds=100_000.0)
async def test_a_webhook_that_times_out_delays_other_namespaces_by_seconds(simulation: Simulation) -> None:
    await simulation.start(create_tps=1.0, workers=20)
    hinder(simulation, lambda: Unavailable("context deadline exceeded"), slow=10.0)
    for number in range(40):
        simulation.api.apply(job_object(f"stuck-{number}", number, namespace="frozen"))
    await simulation.wait(3.0)
    for hour in range(3):
        simulation.api.apply(job_object(f"good-{hour}", 3600 + hour))
        await await_created(simulation, f"good-{hour}", within=SECONDS)
        await simulation.wait(60.0)


@simulated()
async def test_a_refused_object_stays_behind_new_ones_after_a_restart(simulation: Simulation) -> None:
    error: dict[str, AwsError] = {"bad": STORMS["denied"]}
    simulation.service.create_errors = lambda request: error["bad"] if is_bad(request) else None
    await simulation.start(create_tps=1.0, workers=20)
    for number in range(100):
        simulation.api.apply(job_object(f"bad-{number}", number))
    await simulation.wait(300.0)
    await simulation.start(create_tps=1.0, workers=20)
    simulation.api.apply(job_object("good", 5000))
    await await_created(simulation, "good", within=SECONDS)
