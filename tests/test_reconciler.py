"""One object at a time: whole lives against a simulated service and API server, in virtual time."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import CONTEXT, FakeClusterState, FakeLeadership
from tests.fakes.service import failed
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import ACCOUNT, ARN, JOB, NAMESPACE, OWNER, REGION, SPEC, UID, WANTED, body, recorded
from trainingjob_operator.kube.errors import Conflict, Forbidden, NotFound, Unavailable
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, TAG_UID, Identity, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPTED,
    ADOPTION_POLICY,
    DEFAULT_REGION,
    DELETION_POLICY,
    ENDPOINT_URL,
    OWNER_ACCOUNT,
    READ_ONLY,
    RECONCILE_REQUESTS,
)
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)
from trainingjob_operator.logic.state.outcomes import DENIED_RETRY_SECONDS, PROBE_RETRY_FIRST, PROBE_SHARE
from trainingjob_operator.reconciler import FENCED_SECONDS


@simulated()
async def test_a_job_is_created_once_followed_and_let_go_at_its_end(simulation: Simulation) -> None:
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
    told = [item["status"] for item in simulation.object["status"]["secondaryStatusTransitions"]]
    assert told == ["Starting", "Downloading", "Training", "Completed"]
    assert simulation.object["metadata"]["finalizers"] == []
    assert CREATE_PENDING not in simulation.object["metadata"]["annotations"]
    assert simulation.count("CreateTrainingJob") == 1
    assert simulation.count("DescribeTrainingJob") <= 6
    calls, writes = len(simulation.service.calls), len(simulation.api.writes)
    await simulation.wait(3600.0)
    assert (len(simulation.service.calls), len(simulation.api.writes)) == (calls, writes), "silence after the end"
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone
    assert len(simulation.service.calls) == calls


@simulated(outcome="Failed")
async def test_a_failed_job_is_told_as_failed(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(90.0)
    assert simulation.condition("Ready")[:2] == ("False", "JobFailed")
    assert simulation.condition("Stalled")[0] == "True"


@simulated(seconds=10_000.0)
async def test_deletion_stops_a_running_job_once_and_waits_for_its_end(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.delete(KEY)
    await simulation.wait(5.0)
    assert KEY in simulation.api.objects
    await simulation.wait(20.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == simulation.count("StopTrainingJob") == 1


@pytest.mark.parametrize("annotations", [{DELETION_POLICY: "retain"}, {DELETION_POLICY: "keep it"}, {READ_ONLY: "yes"}])
@simulated(seconds=10_000.0)
async def test_a_retained_job_goes_on_when_its_object_goes(simulation: Simulation, annotations: dict[str, str]) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.annotate(KEY, **annotations)
    simulation.api.delete(KEY)
    await simulation.wait(2.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 0


@simulated(seconds=10_000.0)
async def test_nothing_is_done_in_a_namespace_that_may_not_be_read(simulation: Simulation) -> None:
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
    assert simulation.count("StopTrainingJob") == 0, "the namespace may ask to retain it"
    simulation.cluster_state.forbidden = False
    await simulation.wait(60.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@simulated()
async def test_a_lost_answer_to_create_makes_no_second_job(simulation: Simulation) -> None:
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
async def test_a_name_in_use_that_describe_does_not_find_is_shown_and_described_more_and_more_rarely(
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
    await simulation.wait(7200.0)
    assert 20 <= simulation.count("DescribeTrainingJob") - described <= 45
    assert (simulation.count("CreateTrainingJob"), simulation.count("StopTrainingJob")) == (1, 0)
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
    await simulation.wait(310.0)
    assert simulation.condition("ACK.Terminal")[1] == "NameClash", "Describe has found it at last"
    assert simulation.condition("ACK.Recoverable")[0] == ""
    simulation.service.create_errors = lambda _request: None
    simulation.api.edit(KEY, trainingJobName="another-name")
    await simulation.wait(5.0)
    assert simulation.condition("Ready")[1] == "Starting"


@simulated()
async def test_an_absence_seen_before_the_create_does_not_hasten_the_report_of_a_name_in_use(
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


SPOT = {
    **SPEC,
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
}
LATE = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}


def sample(simulation: Simulation, name: str, **labels: str) -> float | None:
    return simulation.operator.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(("spec", "billable"), [(SPOT, 10), (SPEC, None)], ids=["spot", "neither spot nor rules"])
@simulated()
async def test_a_minute_after_an_end_with_spot_the_job_is_described_once_more(
    simulation: Simulation, spec: dict[str, Any], billable: int | None
) -> None:
    simulation.api.apply(body(spec=spec))
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(75.0)
    assert simulation.condition("Finished")[0] == "True"
    assert "billableTimeInSeconds" not in simulation.object["status"]
    calls = len(simulation.service.calls)
    await simulation.wait(3600.0)
    assert simulation.service.calls[calls:] == [("DescribeTrainingJob", JOB)] * (billable is not None)
    assert simulation.object["status"].get("billableTimeInSeconds") == billable
    assert sample(simulation, "trainingjob_billable_seconds_total") == float(billable or 0)
    assert sample(simulation, "trainingjob_ended_total", outcome="Completed") == 1.0
    await simulation.start()
    await simulation.wait(600.0)
    assert len(simulation.service.calls) == calls + (billable is not None), "nor after a restart"


@simulated()
async def test_a_restart_in_that_minute_loses_nothing(simulation: Simulation) -> None:
    simulation.api.apply(body(spec=SPOT))
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(75.0)
    calls = len(simulation.service.calls)
    await simulation.start()
    await simulation.wait(600.0)
    assert simulation.service.calls[calls:] == [("DescribeTrainingJob", JOB)]
    assert simulation.object["status"]["billableTimeInSeconds"] == 10


@simulated()
async def test_an_end_that_another_writer_takes_back_is_counted_once(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(5.0)
    simulation.service.created[0].late = LATE
    await simulation.wait(200.0)
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
    await simulation.wait(5.0)
    assert simulation.object["status"]["billableTimeInSeconds"] == 10
    simulation.api.write_status_as(
        "kubectl", KEY, trainingJobStatus="InProgress", billableTimeInSeconds=None, conditions=[]
    )
    await simulation.wait(60.0)
    assert simulation.condition("Finished")[0] == "True"
    assert sample(simulation, "trainingjob_ended_total", outcome="Completed") == 1.0
    assert sample(simulation, "trainingjob_billable_seconds_total") == 10.0


@simulated()
async def test_a_mark_that_was_given_up_is_not_known_as_the_process_own(simulation: Simulation) -> None:
    """Else somebody's later mark of the same words would pass for it."""
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "Invalid", ErrorClass.REFUSED)
    simulation.api.apply(body())
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Terminal")[1] == "Refused"
    tracked = simulation.operator.jobs.get(KEY)
    assert tracked is not None
    assert tracked.memory.marked is None


ACKS_STATUS = frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus", "secondaryStatus", "creationTime"})
"""Some of the fields that ACK's CRD keeps."""


@pytest.mark.parametrize("keeps", [None, ACKS_STATUS], ids=["our CRD", "ACK's CRD"])
@in_virtual_time
async def test_a_name_that_somebody_else_has_is_refused_and_left_alone(keeps: frozenset[str] | None) -> None:
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
            "a restart is no reason to try again"
        )
        assert simulation.condition("ACK.Terminal") == (status, reason, message)
        simulation.api.delete(KEY)
        await simulation.wait(2.0)
        assert simulation.gone
        assert simulation.count("StopTrainingJob") == simulation.count("AddTags") == 0


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


@simulated()
async def test_a_refused_spec_is_sent_once_and_again_when_it_changes(simulation: Simulation) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "X", ErrorClass.REFUSED, "no good")
    simulation.api.apply(body())
    await simulation.wait(300.0)
    assert simulation.count("CreateTrainingJob") == 1
    assert "no good" in simulation.condition("ACK.Terminal")[2]
    assert simulation.object["metadata"]["finalizers"] == []
    await simulation.start()
    await simulation.wait(300.0)
    assert simulation.count("CreateTrainingJob") == 1
    del simulation.service.refusals["CreateTrainingJob"]
    simulation.api.edit(KEY, stoppingCondition={"maxRuntimeInSeconds": 60})
    await simulation.wait(5.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("ACK.Terminal")[0] == ""


@simulated()
async def test_what_may_heal_is_retried_for_two_minutes_and_seldom_after(simulation: Simulation) -> None:
    doubt = failed("CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "role not assumable")
    simulation.service.refusals["CreateTrainingJob"] = doubt
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "CreateFailing")
    await simulation.wait(170.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "CreateFailed")
    tried = simulation.count("CreateTrainingJob")
    await simulation.wait(280.0)
    assert simulation.count("CreateTrainingJob") <= tried + 1
    del simulation.service.refusals["CreateTrainingJob"]
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
    await simulation.wait(5.0)
    assert len(simulation.service.created) == 1
    assert simulation.object["status"]["lastHandledReconcileAt"] == "now"


@simulated()
async def test_an_edited_spec_has_its_own_two_minutes_to_heal_and_is_sent_at_once(simulation: Simulation) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "Could not assume role"
    )
    simulation.api.apply(body())
    await simulation.wait(100.0)
    tried = simulation.count("CreateTrainingJob")
    simulation.api.edit(KEY, roleARN="arn:aws:iam::123456789012:role/other")
    await simulation.wait(1.0)
    assert simulation.count("CreateTrainingJob") == tried + 1, "what another spec met is no reason to wait"
    await simulation.wait(90.0)
    assert simulation.condition("ACK.Recoverable")[0] == "True"
    assert simulation.condition("Stalled")[0] == "", "the time of the spec before does not count"
    await simulation.wait(90.0)
    assert simulation.condition("Stalled")[0] == "True"


@simulated()
async def test_a_denied_call_is_told_at_once_and_never_keeps_the_object(simulation: Simulation) -> None:
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
async def test_a_right_that_one_object_is_found_to_have_again_is_used_by_all_at_once(
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
async def test_those_that_are_allowed_a_call_again_wake_one_that_is_denied_for_good_once(
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


SCARCE = "ml.p4d.24xlarge"


def apply_in_order(simulation: Simulation, count: int, **config: Any) -> None:
    """Objects o0, o1, … of that resourceConfig, one second older each than the next."""
    for number in range(count):
        spec = {**SPEC, "trainingJobName": f"job-{number}", "resourceConfig": {**SPEC["resourceConfig"], **config}}
        one = body(name=f"o{number}", uid=str(number), spec=spec)
        one["metadata"]["creationTimestamp"] = f"2026-11-21T10:00:0{number}Z"
        simulation.api.apply(one)


def created(simulation: Simulation) -> list[str]:
    return [job.identity.job_name for job in simulation.service.created]


@simulated(capacity=1)
async def test_capacity_is_waited_for_in_the_order_of_creation_without_alarm(simulation: Simulation) -> None:
    apply_in_order(simulation, 4)
    await simulation.wait(50.0)
    assert len(simulation.service.created) == 1
    last = (NAMESPACE, "o3")
    status, reason, message = simulation.condition("ACK.Recoverable", last)
    waiting = simulation.condition("Ready", last)
    assert (status, reason) == ("True", "ResourceLimitExceeded") or waiting[1] == "Waiting", message
    reasons = set()
    for _ in range(200):
        await simulation.wait(2.0)
        reasons |= {simulation.condition("ACK.Recoverable", key)[1] for key in simulation.api.objects}
    assert reasons <= {"", "ResourceLimitExceeded"}, "waiting is no failure"
    assert created(simulation) == [f"job-{number}" for number in range(4)]


@simulated(capacity=1)
async def test_an_object_that_waits_for_capacity_goes_at_once_and_holds_nobody_up(simulation: Simulation) -> None:
    apply_in_order(simulation, 3)
    await simulation.wait(20.0)
    simulation.api.delete((NAMESPACE, "o1"))
    await simulation.wait(1.0)
    assert (NAMESPACE, "o1") not in simulation.api.objects
    await simulation.wait(200.0)
    assert created(simulation) == ["job-0", "job-2"]


@simulated(capacity=1)
async def test_an_object_whose_annotations_turn_bad_while_it_waits_gives_its_place_up(simulation: Simulation) -> None:
    apply_in_order(simulation, 3)
    await simulation.wait(20.0)
    simulation.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "nowhere"})
    await simulation.wait(300.0)
    assert created(simulation) == ["job-0", "job-2"]
    assert simulation.condition("ACK.Terminal", (NAMESPACE, "o1"))[1] == "InvalidAnnotation"


@simulated(seconds=1000.0)
async def test_an_object_that_moves_to_another_region_leaves_the_line_of_the_old_one(simulation: Simulation) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(30.0)
    simulation.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "eu-central-1"})
    await simulation.wait(30.0)
    assert created(simulation) == ["job-1"]
    simulation.api.delete((NAMESPACE, "o0"))
    simulation.service.lacking.clear()
    await simulation.wait(90.0)
    assert created(simulation) == ["job-1", "job-2"]


@simulated(seconds=1000.0)
async def test_an_object_that_waits_for_capacity_goes_at_once_when_it_asks_for_another_instance_type(
    simulation: Simulation,
) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(30.0)
    simulation.api.edit((NAMESPACE, "o1"), resourceConfig=SPEC["resourceConfig"])
    await simulation.wait(5.0)
    assert created(simulation) == ["job-1"]
    simulation.service.lacking.clear()
    await simulation.wait(90.0)
    assert created(simulation) == ["job-1", "job-0", "job-2"]


@simulated(seconds=1000.0)
async def test_an_object_that_may_not_be_written_does_not_hold_up_others_that_wait_for_the_same_capacity(
    simulation: Simulation,
) -> None:
    simulation.service.lacking = {(REGION, SCARCE)}
    apply_in_order(simulation, 3, instanceType=SCARCE)
    await simulation.wait(1.0)
    simulation.api.delete((NAMESPACE, "o0"))
    taken = simulation.api.patch_metadata

    async def refuse(namespace: str, name: str, **change: Any) -> dict[str, Any]:
        if name == "o1":
            raise Forbidden("a policy of its namespace refuses it")
        return await taken(namespace, name, **change)

    simulation.api.patch_metadata = refuse  # type: ignore[method-assign]
    simulation.service.lacking.clear()
    await asyncio.sleep(90.0)
    assert created(simulation) == ["job-2"]
    simulation.api.patch_metadata = taken  # type: ignore[method-assign]
    await asyncio.sleep(150.0)  # the pauses have grown
    assert created(simulation) == ["job-2", "job-1"]


@pytest.mark.parametrize("after", [0.5, 1.5], ids=["before it claimed the job", "before it stood in line"])
@simulated()
async def test_an_object_that_is_deleted_while_it_is_looked_at_leaves_neither_claim_nor_place(
    simulation: Simulation, after: float
) -> None:
    simulation.service.lacking = {(REGION, SPEC["resourceConfig"]["instanceType"])}
    create_queue = simulation.operator.create_queue
    apply_in_order(simulation, 1)
    await simulation.wait(2.0)
    simulation.cluster_state.pauses = {NAMESPACE: 1.0, "selectors": 1.0}
    simulation.api.apply(body())
    await simulation.wait(after)
    simulation.api.delete(KEY)
    await simulation.wait(10.0)
    assert len(create_queue) <= 1, "nobody but the other waits"
    simulation.service.lacking.clear()
    simulation.cluster_state.pauses.clear()
    simulation.api.apply(body(name="other", uid="other"))
    await simulation.wait(90.0)
    assert created(simulation) == ["job-0", JOB]


@simulated()
async def test_what_was_refused_in_an_earlier_life_is_tried_again_where_an_annotation_moves_it(
    simulation: Simulation,
) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "not here"
    )
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[1] == "Refused"
    simulation.service.refusals.clear()
    await simulation.start()
    await simulation.wait(60.0)
    assert simulation.count("CreateTrainingJob") == 1, "a restart is no reason to send it again"
    simulation.api.annotate(KEY, **{"example.com/note": "nothing that steers"})
    await simulation.wait(10.0)
    assert simulation.count("CreateTrainingJob") == 1
    simulation.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
    await simulation.wait(10.0)
    assert created(simulation) == [JOB]


@simulated(seconds=10_000.0)
async def test_an_adopted_job_is_taken_over_and_nothing_is_created(simulation: Simulation) -> None:
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
async def test_what_is_not_there_to_be_adopted_or_read_is_told_and_never_created(
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
async def test_adopt_or_create_takes_what_is_there_or_creates_it_once(simulation: Simulation) -> None:
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
async def test_a_job_that_adopt_or_create_has_made_before_a_crash_is_this_objects_own(simulation: Simulation) -> None:
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
async def test_a_read_only_object_shows_the_job_and_touches_nothing(simulation: Simulation) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={READ_ONLY: "true"}, spec={"trainingJobName": JOB}))
    await simulation.wait(70.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert set(simulation.api.writes) == {"status"}
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone
    assert {call for call, _ in simulation.service.calls} <= {"DescribeTrainingJob", "ListTrainingJobs", "ListTags"}


@simulated(seconds=1000.0)
async def test_an_object_that_is_gone_before_the_answer_to_its_status_write_comes_is_followed_no_more(
    simulation: Simulation,
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    written = simulation.api.patch_status

    async def delete_too(*arguments: Any, **change: Any) -> dict[str, Any]:
        answer = await written(*arguments, **change)
        simulation.api.delete(KEY)
        return answer

    simulation.api.patch_status = delete_too  # type: ignore[method-assign]
    simulation.api.apply(body(annotations={READ_ONLY: "true"}))
    await simulation.wait(10.0)
    assert simulation.gone
    assert simulation.operator.jobs.live_targets() == []


@pytest.mark.parametrize("is_restarted", [False, True])
@simulated(seconds=1000.0)
async def test_an_object_that_is_read_only_no_longer_has_to_prove_that_the_job_is_its_own(
    simulation: Simulation, *, is_restarted: bool
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    simulation.api.apply(body(annotations={READ_ONLY: "true"}))
    await simulation.wait(17.0)
    assert simulation.object["status"]["secondaryStatus"] == "Downloading", "it is followed"
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
@pytest.mark.parametrize("told", ["Completed", "InProgress"])
@simulated(seconds=10.0)
async def test_the_end_of_a_job_that_is_not_proved_to_be_its_own_is_not_the_objects(
    simulation: Simulation, operation: str, told: str
) -> None:
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, {})
    await asyncio.sleep(20.0)  # it has ended
    simulation.service.refusals[operation] = failed(operation, "AccessDenied", ErrorClass.DENIED, "role x may not")
    simulation.api.apply(body(status=recorded(ARN, trainingJobStatus=told)))  # as ACK leaves an object on a name clash
    await simulation.wait(60.0)
    assert simulation.condition("Ready")[:2] == ("False", "AccessDenied")
    assert {simulation.condition(kind)[0] for kind in ("Complete", "Finished", "Failed")} == {""}
    simulation.service.refusals.clear()
    await simulation.wait(600.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "NameClash")
    assert simulation.condition("Complete")[0] == ""


@simulated(seconds=10.0)
async def test_a_taken_name_tells_nothing_of_its_job_while_nobody_knows_whose_it_is(simulation: Simulation) -> None:
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


@simulated(seconds=1000.0)
async def test_an_attempt_after_a_refusal_is_settled_although_the_process_dies_before_it_is_told(
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
    assert created(simulation) == [JOB]
    assert simulation.condition("ACK.Terminal")[0] == "True", "nothing was told yet"
    await simulation.start()
    await simulation.wait(60.0)
    assert simulation.object["status"]["ackResourceMetadata"]["region"] == "eu-central-1"
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert created(simulation) == [JOB]


@simulated(seconds=1000.0)
async def test_what_the_role_on_the_way_was_refused_is_not_the_specs_and_heals_without_an_edit(
    simulation: Simulation,
) -> None:
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "AssumeRole", "ValidationError", ErrorClass.REFUSED, "arn is invalid"
    )
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "ValidationError")
    simulation.service.refusals.clear()
    await simulation.wait(40.0)
    assert created(simulation) == [JOB]


@simulated(seconds=100_000.0)
async def test_a_stop_that_somebody_else_asked_for_and_that_gets_stuck_is_told(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(5.0)
    (job,) = simulation.service.created
    job.stopped = asyncio.get_running_loop().time()
    job.stopping_seconds = 10_000.0
    await simulation.wait(15.0)
    assert simulation.object["status"]["trainingJobStatus"] == "Stopping"
    simulation.api.delete(KEY)
    await simulation.wait(890.0)
    assert simulation.condition("ACK.Advisory")[0] == ""
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Advisory")[1] == "StopStuck"


@simulated(seconds=10_000.0)
async def test_a_job_that_vanishes_is_told_and_not_made_again(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(60.0)
    simulation.service.jobs.clear()
    await simulation.wait(900.0)
    assert simulation.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
    assert simulation.count("CreateTrainingJob") == 1
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.gone


@simulated(seconds=10_000.0, hidden_seconds=25.0)
async def test_a_stale_not_found_orphans_no_job_on_deletion_after_a_restart(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(2.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    await simulation.start()
    simulation.api.delete(KEY)
    await simulation.wait(120.0)
    assert simulation.gone
    assert len(simulation.service.stopped) == 1


@simulated()
async def test_an_object_of_a_restored_backup_gets_its_running_job_back(simulation: Simulation) -> None:
    simulation.api.apply(body())
    restore = simulation.api.back_up()
    await simulation.wait(15.0)
    restore()
    await simulation.wait(90.0)
    assert simulation.condition("Complete")[0] == "True"
    assert len(simulation.service.created) == 1


@simulated(seconds=10_000.0)
async def test_an_edited_region_leaves_the_job_where_it_is(simulation: Simulation) -> None:
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
async def test_a_recorded_job_is_looked_for_where_its_arn_says(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {DEFAULT_REGION: "eu-central-1"}
    simulation.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
    simulation.api.apply(body(status=recorded(trainingJobStatus="InProgress")))
    await simulation.wait(60.0)
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.condition("ACK.Terminal")[0] == ""
    assert simulation.count("CreateTrainingJob") == 0


@simulated()
async def test_a_region_that_is_not_known_is_a_warning_and_no_bound(simulation: Simulation) -> None:
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
async def test_an_account_without_a_role_is_told_and_heals(simulation: Simulation) -> None:
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: "999999999999"}
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
    assert simulation.service.calls == []
    simulation.cluster_state.roles = {"999999999999": "arn:aws:iam::999999999999:role/x"}
    await simulation.wait(60.0)
    assert simulation.object["status"]["ackResourceMetadata"]["ownerAccountID"] == "999999999999"


@simulated()
async def test_a_recorded_job_of_another_account_is_out_of_reach_while_other_accounts_are_switched_off(
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
async def test_another_role_for_the_account_is_tried_at_once_after_a_denied_call(simulation: Simulation) -> None:
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
async def test_an_attempt_in_an_account_that_lost_its_role_is_told_not_forgotten(simulation: Simulation) -> None:
    elsewhere = Identity("999999999999", REGION, JOB)
    simulation.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: elsewhere.account}
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(10.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]
    assert simulation.service.calls == []


@simulated()
async def test_a_forged_mark_makes_no_call_in_an_account_that_the_namespace_does_not_map(
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


@simulated(seconds=10_000.0)
async def test_an_attempt_under_an_edited_identity_is_settled_before_another(simulation: Simulation) -> None:
    elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
    simulation.service.put(elsewhere, {"TrainingJobName": JOB}, OWNER.tags())
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(120.0)
    assert "eu-central-1" in simulation.object["status"]["ackResourceMetadata"]["arn"]
    assert simulation.count("CreateTrainingJob") == 0


@simulated()
async def test_a_mark_whose_attempt_made_nothing_is_taken_back_after_a_while(simulation: Simulation) -> None:
    elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
    simulation.api.apply(body(held=True, pending=elsewhere))
    await simulation.wait(20.0)
    assert simulation.count("CreateTrainingJob") == 0, "it may still be on its way"
    await simulation.wait(60.0)
    assert [job.identity for job in simulation.service.created] == [WANTED]


@simulated(seconds=10_000.0)
async def test_an_object_deleted_while_its_mark_is_open_waits_for_the_answer(simulation: Simulation) -> None:
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


@simulated(seconds=10_000.0)
async def test_a_finalizer_taken_away_by_hand_is_put_back_while_the_job_runs(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    current = simulation.object["metadata"]
    await simulation.api.patch_metadata(*KEY, uid=UID, resource_version=current["resourceVersion"], finalizers=[])
    await simulation.wait(5.0)
    assert simulation.object["metadata"]["finalizers"] == [FINALIZER]


@simulated(seconds=10_000.0)
async def test_a_stop_that_is_denied_is_told_and_retain_lets_the_object_go(simulation: Simulation) -> None:
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


@simulated()
async def test_a_writer_that_comes_first_is_read_before_anything_is_tried_again(simulation: Simulation) -> None:
    raced = [True]

    def race(what: str, before: bool) -> None:
        if before and what == "metadata" and raced:
            raced.clear()
            simulation.operator.mishear()
            simulation.api.annotate(KEY, somebody="else")

    simulation.api.hinder = race
    simulation.api.apply(body())
    await simulation.wait(10.0)
    assert simulation.object["metadata"]["annotations"]["somebody"] == "else"
    assert len(simulation.service.created) == 1


@simulated()
async def test_an_api_server_that_is_away_for_a_minute_is_ridden_out(simulation: Simulation) -> None:
    loop = asyncio.get_running_loop()
    back = loop.time() + 60.0

    def be_away(_what: str, before: bool) -> None:
        if before and loop.time() < back:
            raise Unavailable("no connection")

    simulation.api.hinder = be_away
    simulation.api.apply(body())
    await asyncio.sleep(59.0)
    assert simulation.service.created == []
    await asyncio.sleep(60.0)
    assert len(simulation.service.created) == 1


@simulated()
async def test_who_does_not_lead_does_nothing_and_a_new_leader_trusts_no_memory(simulation: Simulation) -> None:
    leadership = FakeLeadership()
    leadership.lead(False)
    await simulation.start(leadership=leadership)
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    leadership.lead(True)
    await simulation.wait(5.0)
    assert len(simulation.service.created) == 1


@in_virtual_time
async def test_under_a_crd_that_drops_our_fields_nothing_is_written_for_ever() -> None:
    acks = {"ackResourceMetadata", "conditions", "creationTime", "lastModifiedTime", "trainingJobStatus"}
    async with simulate(
        keeps=frozenset(acks | {"secondaryStatus", "failureReason", "debugRuleEvaluationStatuses"})
    ) as simulation:
        simulation.api.apply(body())
        await simulation.wait(200.0)
        assert simulation.condition("Complete")[0] == "True"
        writes = len(simulation.api.writes)
        await simulation.wait(3600.0)
        assert len(simulation.api.writes) == writes
        await simulation.start()
        await simulation.wait(600.0)
        assert len(simulation.api.writes) <= writes + 1
        assert simulation.count("CreateTrainingJob") == 1


@in_virtual_time
async def test_nothing_of_environment_and_hyperparameters_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="trainingjob_operator")
    async with simulate() as simulation:
        secret = "s3cr3t"
        spec = {**SPEC, "environment": {"TOKEN": secret}, "hyperParameters": {"key": secret}}
        simulation.api.apply(body(spec=spec))
        await simulation.wait(90.0)
        assert secret not in str(simulation.object["status"])
        assert secret not in str(simulation.operator.recorder.events)
        assert secret not in caplog.text


@simulated(seconds=10_000.0)
async def test_an_object_that_another_controller_writes_is_left_to_it_until_it_is_quiet(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    simulation.api.write_status_as("controller", KEY, trainingJobStatus="InProgress")
    await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")
    assert simulation.operator.reconciler.passive() == 1
    calls, writes = len(simulation.service.calls), len(simulation.api.writes)
    simulation.api.write_status_as("controller", KEY, trainingJobStatus="Stopping")
    await simulation.wait(500.0)
    assert (len(simulation.service.calls), len(simulation.api.writes)) == (calls, writes)
    await simulation.wait(200.0)
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress", "it is followed again"
    assert simulation.operator.reconciler.passive() == 0


@pytest.mark.parametrize("manager", ["controller", "dashboard"])
@simulated(seconds=10_000.0)
async def test_the_job_of_an_object_that_another_controller_writes_is_stopped_on_deletion(
    simulation: Simulation, manager: str
) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    for failure in ("one", "two", "three"):
        simulation.api.write_status_as(manager, KEY, failureReason=failure)
        await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")
    assert f'"{manager}"' in simulation.condition("ACK.Advisory")[2]
    simulation.api.delete(KEY)
    await simulation.wait(1.0)
    assert simulation.count("StopTrainingJob") == 1
    await simulation.wait(20.0)
    assert simulation.gone
    assert simulation.count("StopTrainingJob") == 1


@pytest.mark.parametrize(
    "written",
    [
        {"failureReason": "as somebody thinks"},
        {"trainingJobStatus": "Completed", "secondaryStatus": "Completed"},
        {"lastModifiedTime": "2030-01-01T00:00:00Z", "secondaryStatus": "Uploading"},
        {"secondaryStatusTransitions": [{"status": "Uploading", "startTime": "2026-11-21T11:00:00Z"}]},
        {"conditions": [], "trainingJobStatus": None, "secondaryStatus": None},
    ],
    ids=lambda written: next(iter(written)),
)
@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its end"])
@simulated(outcome="Completed", seconds=60.0)
async def test_a_single_write_of_the_status_by_others_is_overwritten(
    simulation: Simulation, written: dict[str, Any], *, ended: bool
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0 if ended else 30.0)
    before = simulation.object["status"]
    describes = simulation.count("DescribeTrainingJob")
    simulation.api.write_status_as("velero-server", KEY, **written)
    await simulation.wait(2.0)
    after = simulation.object["status"]
    times = {"lastTransitionTime": None}
    assert {**after, "conditions": [one | times for one in after["conditions"]]} == {
        **before,
        "conditions": [one | times for one in before["conditions"]],
    }
    assert simulation.count("DescribeTrainingJob") == describes + 1
    await simulation.wait(100.0)
    assert simulation.condition("Complete")[0] == "True"


@simulated(seconds=10_000.0)
async def test_an_edit_that_meets_the_write_of_another_controller_is_applied_once_that_is_quiet(
    simulation: Simulation,
) -> None:
    spec = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
    simulation.api.apply(body(spec=spec))
    await simulation.wait(30.0)
    simulation.api.write_status_as("controller", KEY, failureReason="as ACK sees it")
    simulation.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
    await simulation.wait(1.0)
    assert simulation.condition("ACK.Advisory")[1] == "Passive"
    assert simulation.object["status"]["observedGeneration"] == 1
    await simulation.wait(700.0)
    assert simulation.count("UpdateTrainingJob") == 1
    assert simulation.object["status"]["observedGeneration"] == 2


@simulated()
async def test_a_controller_that_writes_the_object_of_an_ended_job_again_and_again_is_left_alone(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    for number in range(20):
        simulation.api.write_status_as("dashboard", KEY, failureReason=str(number))
        await simulation.wait(30.0)
    assert simulation.object["status"]["failureReason"] == "19"
    assert simulation.condition("ACK.Advisory")[:2] == ("True", "Passive")


@pytest.mark.parametrize(
    ("namespace", "region"),
    [({DEFAULT_REGION: "eu-central-1"}, "eu-central-1"), ({ENDPOINT_URL: "https://sagemaker.example.org"}, REGION)],
    ids=["region", "endpoint"],
)
@simulated(seconds=10_000.0)
async def test_what_one_region_or_endpoint_answered_does_not_hold_for_another(
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
    simulation.api.annotate(KEY, somebody="looks")
    await simulation.wait(2.0)
    assert simulation.condition("ACK.Recoverable")[0] == ""
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", there)


@simulated()
async def test_a_restart_under_another_default_region_says_nothing_of_jobs_that_have_ended(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body())
    await simulation.wait(100.0)
    assert simulation.condition("Complete")[0] == "True"
    writes, calls = len(simulation.api.writes), len(simulation.service.calls)
    moved = replace(CONTEXT, defaults=replace(CONTEXT.defaults, region="eu-central-1"))
    operator = await simulation.start(context=moved)
    await simulation.wait(100.0)
    assert (len(simulation.api.writes), len(simulation.service.calls)) == (writes, calls)
    assert operator.recorder.events == []


@simulated()
async def test_a_defect_is_logged_tried_again_and_keeps_nobody_else_waiting(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(FakeClusterState):
        async def account_roles(self) -> Mapping[str, str] | None:
            raise ValueError("odd")

    simulation.cluster_state = Odd({NAMESPACE: {OWNER_ACCOUNT: ACCOUNT}})
    operator = await simulation.start()
    simulation.api.apply(body())
    await asyncio.sleep(60.0)
    told = [record for record in caplog.records if "Unexpected error" in record.message]
    assert 2 <= len(told) <= 10
    assert operator.registry.get_sample_value("trainingjob_reconcile_seconds_count", {"outcome": "error"}) == len(told)
    operator.cluster_state.namespaces.clear()
    await asyncio.sleep(300.0)
    assert len(simulation.service.created) == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({name: value for name, value in SPEC.items() if name != "trainingJobName"}, "trainingJobName is missing"),
        (
            {**SPEC, "tags": [{"key": TAG_UID, "value": "forged"}]},
            f"(reserved for the ownership of the job) or aws: (reserved by AWS): {TAG_UID}",
        ),
        ({**SPEC, "stoppingCondition": "soon"}, "stoppingCondition must be an object"),
    ],
)
@simulated()
async def test_a_spec_that_makes_no_request_is_refused_without_a_call(
    simulation: Simulation, spec: dict[str, Any], words: str
) -> None:
    simulation.api.apply(body(spec=spec))
    await simulation.wait(5.0)
    status, reason, message = simulation.condition("ACK.Terminal")
    assert (status, reason) == ("True", "InvalidSpec")
    assert words in message
    assert simulation.service.calls == []


@simulated()
async def test_an_object_that_a_role_selector_matches_is_not_served_by_another_role(simulation: Simulation) -> None:
    simulation.cluster_state.selectors = {"gpu": {"namespaceSelector": {"names": [NAMESPACE]}}}
    simulation.api.apply(body())
    await simulation.wait(5.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "RoleSelectorNotSupported")
    assert simulation.service.calls == []
    simulation.cluster_state.selectors = {"gpu": {"namespaceSelector": {"names": ["other"]}}}
    await simulation.wait(40.0)
    assert len(simulation.service.created) == 1


@pytest.mark.parametrize("inherited", [False, True])
@simulated(seconds=10_000.0)
async def test_what_is_known_is_not_held_back_for_the_budget(simulation: Simulation, *, inherited: bool) -> None:
    for other in range(1000):
        simulation.operator.budgets.of(ACCOUNT, REGION).describe.claim(other)
    if inherited:
        simulation.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
        simulation.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress")))
    else:
        simulation.api.apply(body())
    await simulation.wait(1.0)
    assert simulation.count("DescribeTrainingJob") == 0
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == ARN
    assert simulation.condition("Ready")[0] == "False"


@pytest.mark.parametrize("outcome", ["Failed", "Completed"])
@pytest.mark.parametrize(
    "hindered", ["budget", ErrorClass.THROTTLED, ErrorClass.DENIED, ErrorClass.CREDENTIALS, ErrorClass.RETRY]
)
@in_virtual_time
async def test_what_a_list_shows_is_reported_at_once_while_describe_has_to_wait(
    hindered: str | ErrorClass, outcome: str
) -> None:
    async with simulate(outcome=outcome) as simulation:
        budget = simulation.operator.budgets.of(ACCOUNT, REGION).describe
        simulation.api.apply(body())
        await simulation.wait(12.0)
        assert simulation.object["status"]["secondaryStatus"] == "Downloading"
        if isinstance(hindered, ErrorClass):
            simulation.service.refusals["DescribeTrainingJob"] = failed("DescribeTrainingJob", "No", hindered)
        else:
            for other in range(8_000):
                budget.claim(other)
        await simulation.wait(15.0)
        assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
        assert simulation.object["status"]["secondaryStatus"] == "Training"
        await simulation.wait(40.0)
        assert simulation.object["status"]["trainingJobStatus"] == outcome
        assert simulation.condition("Complete" if outcome == "Completed" else "Failed")[0] == "True"
        assert [one["status"] for one in simulation.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
        ]
        assert simulation.object["metadata"]["finalizers"] == []
        calls = len(simulation.service.calls)
        simulation.service.refusals.clear()
        await simulation.wait(400.0)
        assert [one["status"] for one in simulation.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
            "Training",
            outcome,
        ], "completed by Describe"
        assert [call for call, _ in simulation.service.calls[calls:]] == ["DescribeTrainingJob"]
        assert simulation.operator.registry.get_sample_value("trainingjob_ended_total", {"outcome": outcome}) == 1.0


@simulated()
async def test_an_end_that_only_a_list_has_shown_is_completed_after_a_restart(simulation: Simulation) -> None:
    denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
    simulation.service.refusals["DescribeTrainingJob"] = denied
    simulation.api.apply(body())
    await simulation.wait(2.0)
    status = simulation.object["status"]
    assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
    await simulation.wait(98.0)
    assert simulation.condition("Complete")[0] == "True"
    assert "secondaryStatusTransitions" not in simulation.object["status"]
    simulation.service.refusals.clear()
    await simulation.start()
    await simulation.wait(5.0)
    assert simulation.object["status"]["secondaryStatusTransitions"][-1]["status"] == "Completed"
    calls = len(simulation.service.calls)
    await simulation.start()
    await simulation.wait(100.0)
    assert len(simulation.service.calls) == calls


@simulated(seconds=1000.0)
async def test_a_job_that_nobody_has_seen_yet_is_shown_as_starting_and_looked_at_after_a_restart(
    simulation: Simulation,
) -> None:
    for operation in ("DescribeTrainingJob", "ListTrainingJobs"):
        simulation.service.refusals[operation] = failed(operation, "Throttling", ErrorClass.THROTTLED)
    simulation.api.apply(body())
    await simulation.wait(30.0)
    status = simulation.object["status"]
    assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
    assert simulation.condition("Ready")[:2] == ("False", "Created")
    simulation.service.refusals = {"ListTrainingJobs": simulation.service.refusals["ListTrainingJobs"]}
    await simulation.start()
    await simulation.wait(2.0)
    assert simulation.object["status"]["secondaryStatus"] == "Training"


@pytest.mark.parametrize("lasts", [20.0, 200.0])
@in_virtual_time
async def test_a_describe_that_is_denied_just_after_create_is_reported_only_once_it_lasts(
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


@pytest.mark.parametrize("ends", ["gone", "away"])
@simulated()
async def test_after_a_conflict_the_object_may_be_gone_or_out_of_reach(simulation: Simulation, ends: str) -> None:
    loop = asyncio.get_running_loop()
    back = loop.time() + 20.0

    class Api(FakeApiServer):
        async def get(self, namespace: str, name: str) -> dict[str, Any]:
            if ends == "away" and loop.time() < back:
                raise Unavailable("no connection")
            return await super().get(namespace, name)

    tries: list[float] = []

    def race(what: str, before: bool) -> None:
        if before and what == "metadata":
            tries.append(loop.time())
        if before and what == "metadata" and loop.time() < back:
            if ends == "gone":
                simulation.api.objects.pop(KEY, None)
            raise Conflict("the object has been modified")

    simulation.api = Api()
    simulation.api.hinder = race
    await simulation.start()
    simulation.api.apply(body())
    await simulation.wait(60.0)
    assert len(simulation.service.created) == (0 if ends == "gone" else 1)
    assert len(tries) < 20, "at growing intervals"


@pytest.mark.parametrize("reads", ["found", "not found either"])
@pytest.mark.parametrize("what", ["status", "metadata"])
@pytest.mark.parametrize("moment", ["first", "last"])
@simulated()
async def test_a_write_that_is_answered_with_not_found_is_sent_again(
    simulation: Simulation, moment: str, what: str, reads: str
) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time() + (0.0 if moment == "first" else 55.0)  # the job ends after 60 s
    failures: list[float] = []

    def miss(operation: str, before: bool) -> None:
        if before and operation == what and loop.time() >= begin and not failures:
            failures.append(loop.time())
            raise NotFound("the server could not find the requested resource")

    class Api(FakeApiServer):
        async def get(self, namespace: str, name: str) -> dict[str, Any]:
            if reads == "not found either" and loop.time() < failures[0] + 5.0:
                raise NotFound("the server could not find the requested resource")
            return await super().get(namespace, name)

    simulation.api = Api()
    simulation.api.hinder = miss
    await simulation.start()
    simulation.api.apply(body())
    await simulation.wait(100.0)
    assert len(failures) == 1
    assert simulation.object["status"]["trainingJobStatus"] == "Completed"
    assert simulation.object["metadata"]["finalizers"] == []
    assert len(simulation.service.created) == 1


@simulated()
async def test_what_is_gone_when_its_turn_comes_is_nobodys_business(simulation: Simulation) -> None:
    def vanish(_what: str, _before: bool) -> None:
        simulation.api.objects.pop(KEY, None)

    simulation.api.hinder = vanish
    simulation.api.apply(body())
    simulation.operator.queue.add((NAMESPACE, "never-seen"))
    await simulation.wait(60.0)
    assert simulation.service.calls == []
    assert simulation.api.writes == []


@pytest.mark.no_cover
@simulated()
async def test_objects_that_need_nothing_hold_up_nobody(simulation: Simulation) -> None:
    operator = await simulation.start(workers=1)
    names = [f"job-{number}" for number in range(50)]
    for name in names:
        simulation.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
    await simulation.wait(120.0)
    for name in names:
        operator.queue.add((NAMESPACE, name))
    turns = 0
    while operator.queue.depth:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(names), "the loop goes round between one object and the next"


@simulated()
async def test_an_object_whose_call_comes_too_near_the_end_of_leadership_waits_a_moment(simulation: Simulation) -> None:
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
async def test_an_edit_while_an_attempt_is_being_settled_reaches_the_job_that_it_made(
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
    assert simulation.object["status"]["observedGeneration"] == 1, "it is not dealt with yet"
    hidden.clear()
    await simulation.wait(40.0)
    assert simulation.count("UpdateTrainingJob") + simulation.count("AddTags") == 1
    assert simulation.object["status"]["observedGeneration"] == 2
    assert len(simulation.service.created) == 1


@pytest.mark.no_cover
@pytest.mark.parametrize("is_replaced", [False, True], ids=["no job", "another run"])
@simulated(seconds=10_000.0)
async def test_a_job_is_missing_only_by_answers_of_the_right_account(simulation: Simulation, is_replaced: bool) -> None:
    simulation.api.apply(body())
    await simulation.wait(60.0)
    jobs = dict(simulation.service.jobs)
    simulation.service.jobs.clear()
    if is_replaced:
        now = asyncio.get_running_loop().time()
        simulation.service.jobs.update({slot: replace(job, created=now) for slot, job in jobs.items()})
    simulation.service.misplaced = failed("GetCallerIdentity", "AccountChanged", ErrorClass.ACCOUNT, "of another")
    await simulation.wait(900.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "AccountChanged")
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
    simulation.service.jobs.update(jobs)
    simulation.service.misplaced = None
    await simulation.wait(60.0)
    assert "AccountChanged" not in str(simulation.object["status"]["conditions"])
    assert simulation.object["status"]["trainingJobStatus"] == "InProgress"
