"""One object at a time: whole lives against a simulated service and API server, in virtual time."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.api_server import FakeApiServer
from tests.fakes.service import failed
from tests.fakes.stage import KEY, Stage, played
from tests.fakes.world import CONTEXT, FakeClusterState, FakeLeadership
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


def test_a_job_is_created_once_followed_and_let_go_at_its_end() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(2.0)
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        assert stage.object["metadata"]["finalizers"] == [FINALIZER]
        assert stage.object["metadata"]["annotations"][CREATE_PENDING] == str(WANTED)
        (job,) = stage.service.created
        assert job.tags.items() >= OWNER.tags().items()
        assert job.request["RoleArn"] == SPEC["roleARN"]
        await stage.wait(90.0)
        assert stage.condition("Complete")[0] == "True"
        told = [item["status"] for item in stage.object["status"]["secondaryStatusTransitions"]]
        assert told == ["Starting", "Downloading", "Training", "Completed"]
        assert stage.object["metadata"]["finalizers"] == []
        assert CREATE_PENDING not in stage.object["metadata"]["annotations"]
        assert stage.count("CreateTrainingJob") == 1
        assert stage.count("DescribeTrainingJob") <= 6
        calls, writes = len(stage.service.calls), len(stage.api.writes)
        await stage.wait(3600.0)
        assert (len(stage.service.calls), len(stage.api.writes)) == (calls, writes), "silence after the end"
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.gone
        assert len(stage.service.calls) == calls

    played(scene)


def test_a_failed_job_is_told_as_failed() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(90.0)
        assert stage.condition("Ready")[:2] == ("False", "JobFailed")
        assert stage.condition("Stalled")[0] == "True"

    played(scene, outcome="Failed")


def test_deletion_stops_a_running_job_once_and_waits_for_its_end() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        stage.api.delete(KEY)
        await stage.wait(5.0)
        assert KEY in stage.api.objects
        await stage.wait(20.0)
        assert stage.gone
        assert len(stage.service.stopped) == stage.count("StopTrainingJob") == 1

    played(scene, seconds=10_000.0)


@pytest.mark.parametrize("annotations", [{DELETION_POLICY: "retain"}, {DELETION_POLICY: "keep it"}, {READ_ONLY: "yes"}])
def test_a_retained_job_goes_on_when_its_object_goes(annotations: dict[str, str]) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        stage.api.annotate(KEY, **annotations)
        stage.api.delete(KEY)
        await stage.wait(2.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 0

    played(scene, seconds=10_000.0)


def test_nothing_is_done_in_a_namespace_that_may_not_be_read() -> None:
    async def scene(stage: Stage) -> None:
        stage.cluster_state.forbidden = True
        stage.api.apply(body())
        await stage.wait(60.0)
        assert stage.service.calls == []
        assert stage.condition("Ready")[:2] == ("False", "NamespaceUnreadable")
        assert 'cannot get resource "namespaces"' in stage.condition("ACK.Recoverable")[2]
        stage.cluster_state.forbidden = False
        await stage.wait(60.0)
        assert stage.condition("Ready")[1] == "Training"
        stage.cluster_state.forbidden = True
        stage.api.delete(KEY)
        await stage.wait(60.0)
        assert stage.count("StopTrainingJob") == 0, "the namespace may ask to retain it"
        stage.cluster_state.forbidden = False
        await stage.wait(60.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 1

    played(scene, seconds=10_000.0)


def test_a_lost_answer_to_create_makes_no_second_job() -> None:
    async def scene(stage: Stage) -> None:
        lost = [failed("CreateTrainingJob", "ReadTimeoutError", ErrorClass.RETRY, definite=False)]

        def lose(operation: str, before: bool) -> None:
            if operation == "CreateTrainingJob" and not before and lost:
                raise lost.pop()

        stage.service.fault = lose
        stage.api.apply(body())
        await stage.wait(20.0)
        assert len(stage.service.created) == 1
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        assert stage.condition("ACK.Terminal")[0] == ""

    played(scene)


def test_a_name_in_use_that_describe_does_not_find_is_shown_and_described_more_and_more_rarely() -> None:
    def hold(_request: Mapping[str, Any]) -> Any:
        return failed("CreateTrainingJob", "ResourceInUse", ErrorClass.IN_USE)

    async def scene(stage: Stage) -> None:
        stage.service.create_errors = hold
        stage.api.apply(body())
        await stage.wait(25.0)
        assert stage.condition("ACK.Recoverable")[0] == "", "one of the two answers may be stale"
        await stage.wait(15.0)
        status, reason, message = stage.condition("ACK.Recoverable")
        assert (status, reason) == ("True", "NameInUse")
        assert JOB in message
        assert "spec.trainingJobName" in message
        described = stage.count("DescribeTrainingJob")
        await stage.wait(7200.0)
        assert 20 <= stage.count("DescribeTrainingJob") - described <= 45
        assert (stage.count("CreateTrainingJob"), stage.count("StopTrainingJob")) == (1, 0)
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
        await stage.wait(310.0)
        assert stage.condition("ACK.Terminal")[1] == "NameClash", "Describe has found it at last"
        assert stage.condition("ACK.Recoverable")[0] == ""
        stage.service.create_errors = lambda _request: None
        stage.api.edit(KEY, trainingJobName="another-name")
        await stage.wait(5.0)
        assert stage.condition("Ready")[1] == "Starting"

    played(scene)


def test_an_absence_seen_before_the_create_does_not_hasten_the_report_of_a_name_in_use() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "SlowDown", ErrorClass.THROTTLED)
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}))
        await stage.wait(300.0)
        stage.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "ResourceInUse", ErrorClass.IN_USE)
        created = stage.count("CreateTrainingJob")
        while stage.count("CreateTrainingJob") == created:
            await stage.wait(1.0)
        await stage.wait(10.0)
        assert stage.condition("ACK.Recoverable")[1] != "NameInUse"
        await stage.wait(30.0)
        assert stage.condition("ACK.Recoverable")[1] == "NameInUse"

    played(scene)


SPOT = {
    **SPEC,
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
}
LATE = {"TrainingTimeInSeconds": 40, "BillableTimeInSeconds": 10}


def sample(stage: Stage, name: str, **labels: str) -> float | None:
    assert stage.life is not None
    return stage.life.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(("spec", "billable"), [(SPOT, 10), (SPEC, None)], ids=["spot", "neither spot nor rules"])
def test_a_minute_after_an_end_with_spot_the_job_is_described_once_more(
    spec: dict[str, Any], billable: int | None
) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(spec=spec))
        await stage.wait(5.0)
        stage.service.created[0].late = LATE
        await stage.wait(75.0)
        assert stage.condition("Finished")[0] == "True"
        assert "billableTimeInSeconds" not in stage.object["status"]
        calls = len(stage.service.calls)
        await stage.wait(3600.0)
        assert stage.service.calls[calls:] == [("DescribeTrainingJob", JOB)] * (billable is not None)
        assert stage.object["status"].get("billableTimeInSeconds") == billable
        assert sample(stage, "trainingjob_billable_seconds_total") == float(billable or 0)
        assert sample(stage, "trainingjob_ended_total", outcome="Completed") == 1.0
        await stage.start()
        await stage.wait(600.0)
        assert len(stage.service.calls) == calls + (billable is not None), "nor after a restart"

    played(scene)


def test_a_restart_in_that_minute_loses_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(spec=SPOT))
        await stage.wait(5.0)
        stage.service.created[0].late = LATE
        await stage.wait(75.0)
        calls = len(stage.service.calls)
        await stage.start()
        await stage.wait(600.0)
        assert stage.service.calls[calls:] == [("DescribeTrainingJob", JOB)]
        assert stage.object["status"]["billableTimeInSeconds"] == 10

    played(scene)


def test_an_end_that_another_writer_takes_back_is_counted_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(5.0)
        stage.service.created[0].late = LATE
        await stage.wait(200.0)
        stage.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
        await stage.wait(5.0)
        assert stage.object["status"]["billableTimeInSeconds"] == 10
        stage.api.write_status_as(
            "kubectl", KEY, trainingJobStatus="InProgress", billableTimeInSeconds=None, conditions=[]
        )
        await stage.wait(60.0)
        assert stage.condition("Finished")[0] == "True"
        assert sample(stage, "trainingjob_ended_total", outcome="Completed") == 1.0
        assert sample(stage, "trainingjob_billable_seconds_total") == 10.0

    played(scene)


def test_a_mark_that_was_given_up_is_not_known_as_the_process_own() -> None:
    """Else somebody's later mark of the same words would pass for it."""

    async def scene(stage: Stage) -> None:
        assert stage.life is not None
        stage.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "Invalid", ErrorClass.REFUSED)
        stage.api.apply(body())
        await stage.wait(5.0)
        assert stage.condition("ACK.Terminal")[1] == "Refused"
        tracked = stage.life.jobs.get(KEY)
        assert tracked is not None
        assert tracked.memory.marked is None

    played(scene)


ACKS_STATUS = frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus", "secondaryStatus", "creationTime"})
"""Some of the fields that ACK's CRD keeps."""


@pytest.mark.parametrize("keeps", [None, ACKS_STATUS], ids=["our CRD", "ACK's CRD"])
def test_a_name_that_somebody_else_has_is_refused_and_left_alone(keeps: frozenset[str] | None) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
        stage.api.apply(body())
        await stage.wait(30.0)
        status, reason, message = stage.condition("ACK.Terminal")
        assert (status, reason) == ("True", "NameClash")
        assert ARN in message
        assert "ackResourceMetadata" not in stage.object["status"]
        calls = len(stage.service.calls)
        await stage.start()
        await stage.wait(600.0)
        again = [] if keeps is None else ["DescribeTrainingJob", "ListTags"]  # ACK's CRD prunes the other job's ARN
        assert [operation for operation, _ in stage.service.calls[calls:]] == again, (
            "a restart is no reason to try again"
        )
        assert stage.condition("ACK.Terminal") == (status, reason, message)
        stage.api.delete(KEY)
        await stage.wait(2.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == stage.count("AddTags") == 0

    played(scene, seconds=10_000.0, keeps=keeps)


def test_two_objects_with_one_name_make_one_job() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        stage.api.apply(body(name="second", uid="2"))
        await stage.wait(30.0)
        assert len(stage.service.created) == 1
        arns = [one["status"].get("ackResourceMetadata") for one in stage.api.objects.values()]
        assert sum(arn is not None for arn in arns) == 1
        second = (NAMESPACE, "second")
        loser = second if stage.object["status"].get("ackResourceMetadata") else KEY
        assert stage.condition("ACK.Terminal", loser)[1] == "NameClash"
        stage.api.delete(loser)
        await stage.wait(5.0)
        assert loser not in stage.api.objects
        assert stage.count("StopTrainingJob") == 0

    played(scene, seconds=10_000.0)


def test_a_refused_spec_is_sent_once_and_again_when_it_changes() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "X", ErrorClass.REFUSED, "no good")
        stage.api.apply(body())
        await stage.wait(300.0)
        assert stage.count("CreateTrainingJob") == 1
        assert "no good" in stage.condition("ACK.Terminal")[2]
        assert stage.object["metadata"]["finalizers"] == []
        await stage.start()
        await stage.wait(300.0)
        assert stage.count("CreateTrainingJob") == 1
        del stage.service.refusals["CreateTrainingJob"]
        stage.api.edit(KEY, stoppingCondition={"maxRuntimeInSeconds": 60})
        await stage.wait(5.0)
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        assert stage.condition("ACK.Terminal")[0] == ""

    played(scene)


def test_what_may_heal_is_retried_for_two_minutes_and_seldom_after() -> None:
    async def scene(stage: Stage) -> None:
        doubt = failed("CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "role not assumable")
        stage.service.refusals["CreateTrainingJob"] = doubt
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "CreateFailing")
        await stage.wait(170.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "CreateFailed")
        tried = stage.count("CreateTrainingJob")
        await stage.wait(280.0)
        assert stage.count("CreateTrainingJob") <= tried + 1
        del stage.service.refusals["CreateTrainingJob"]
        stage.api.annotate(KEY, **{RECONCILE_REQUESTS[0]: "now"})
        await stage.wait(5.0)
        assert len(stage.service.created) == 1
        assert stage.object["status"]["lastHandledReconcileAt"] == "now"

    played(scene)


def test_an_edited_spec_has_its_own_two_minutes_to_heal_and_is_sent_at_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed(
            "CreateTrainingJob", "ValidationException", ErrorClass.DOUBTFUL, "Could not assume role"
        )
        stage.api.apply(body())
        await stage.wait(100.0)
        tried = stage.count("CreateTrainingJob")
        stage.api.edit(KEY, roleARN="arn:aws:iam::123456789012:role/other")
        await stage.wait(1.0)
        assert stage.count("CreateTrainingJob") == tried + 1, "what another spec met is no reason to wait"
        await stage.wait(90.0)
        assert stage.condition("ACK.Recoverable")[0] == "True"
        assert stage.condition("Stalled")[0] == "", "the time of the spec before does not count"
        await stage.wait(90.0)
        assert stage.condition("Stalled")[0] == "True"

    played(scene)


def test_a_denied_call_is_told_at_once_and_never_keeps_the_object() -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED, "role x may not")
        stage.service.refusals["CreateTrainingJob"] = denied
        stage.api.apply(body())
        await stage.wait(5.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.gone

    played(scene)


@pytest.mark.no_cover
@pytest.mark.parametrize("seconds", [20.0, 3600.0])
@pytest.mark.parametrize("operation", ["CreateTrainingJob", "StopTrainingJob"])
def test_a_right_that_one_object_is_found_to_have_again_is_used_by_all_at_once(operation: str, seconds: float) -> None:
    async def scene(stage: Stage) -> None:
        denied = failed(operation, "AccessDeniedException", ErrorClass.DENIED)
        names = [f"job-{number}" for number in range(20)]
        is_create = operation == "CreateTrainingJob"
        if is_create:
            stage.service.refusals[operation] = denied
        for name in names:
            stage.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
        if not is_create:
            await stage.wait(30.0)
            stage.service.refusals[operation] = denied
            for name in names:
                stage.api.delete((NAMESPACE, name))
        await stage.wait(seconds)
        del stage.service.refusals[operation]
        await stage.wait(min(DENIED_RETRY_SECONDS, max(PROBE_RETRY_FIRST, PROBE_SHARE * seconds)) + 2.0)
        done = stage.service.created if is_create else stage.service.stopped
        assert len(done) == len(names)

    played(scene, seconds=100_000.0)


@pytest.mark.no_cover
def test_those_that_are_allowed_a_call_again_wake_one_that_is_denied_for_good_once() -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
        everybody = [True]

        def deny(operation: str, before: bool) -> None:
            if before and operation == "CreateTrainingJob" and (everybody or stage.service.calls[-1][1] == "job-0"):
                raise denied

        stage.service.fault = deny
        for number in range(20):
            name = f"job-{number}"
            stage.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
        await stage.wait(3600.0)
        everybody.clear()
        tried = stage.service.calls.count(("CreateTrainingJob", "job-0"))
        await stage.wait(310.0)
        assert len(stage.service.created) == 19
        assert stage.service.calls.count(("CreateTrainingJob", "job-0")) <= tried + 4

    played(scene, seconds=100_000.0)


SCARCE = "ml.p4d.24xlarge"


def apply_in_order(stage: Stage, count: int, **config: Any) -> None:
    """Objects o0, o1, … of that resourceConfig, one second older each than the next."""
    for number in range(count):
        spec = {**SPEC, "trainingJobName": f"job-{number}", "resourceConfig": {**SPEC["resourceConfig"], **config}}
        one = body(name=f"o{number}", uid=str(number), spec=spec)
        one["metadata"]["creationTimestamp"] = f"2026-11-21T10:00:0{number}Z"
        stage.api.apply(one)


def created(stage: Stage) -> list[str]:
    return [job.identity.job_name for job in stage.service.created]


def test_capacity_is_waited_for_in_the_order_of_creation_without_alarm() -> None:
    async def scene(stage: Stage) -> None:
        apply_in_order(stage, 4)
        await stage.wait(50.0)
        assert len(stage.service.created) == 1
        last = (NAMESPACE, "o3")
        status, reason, message = stage.condition("ACK.Recoverable", last)
        waiting = stage.condition("Ready", last)
        assert (status, reason) == ("True", "ResourceLimitExceeded") or waiting[1] == "Waiting", message
        reasons = set()
        for _ in range(200):
            await stage.wait(2.0)
            reasons |= {stage.condition("ACK.Recoverable", key)[1] for key in stage.api.objects}
        assert reasons <= {"", "ResourceLimitExceeded"}, "waiting is no failure"
        assert created(stage) == [f"job-{number}" for number in range(4)]

    played(scene, capacity=1)


def test_an_object_that_waits_for_capacity_goes_at_once_and_holds_nobody_up() -> None:
    async def scene(stage: Stage) -> None:
        apply_in_order(stage, 3)
        await stage.wait(20.0)
        stage.api.delete((NAMESPACE, "o1"))
        await stage.wait(1.0)
        assert (NAMESPACE, "o1") not in stage.api.objects
        await stage.wait(200.0)
        assert created(stage) == ["job-0", "job-2"]

    played(scene, capacity=1)


def test_an_object_whose_annotations_turn_bad_while_it_waits_gives_its_place_up() -> None:
    async def scene(stage: Stage) -> None:
        apply_in_order(stage, 3)
        await stage.wait(20.0)
        stage.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "nowhere"})
        await stage.wait(300.0)
        assert created(stage) == ["job-0", "job-2"]
        assert stage.condition("ACK.Terminal", (NAMESPACE, "o1"))[1] == "InvalidAnnotation"

    played(scene, capacity=1)


def test_an_object_that_moves_to_another_region_leaves_the_line_of_the_old_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.lacking = {(REGION, SCARCE)}
        apply_in_order(stage, 3, instanceType=SCARCE)
        await stage.wait(30.0)
        stage.api.annotate((NAMESPACE, "o1"), **{REGION_KEY: "eu-central-1"})
        await stage.wait(30.0)
        assert created(stage) == ["job-1"]
        stage.api.delete((NAMESPACE, "o0"))
        stage.service.lacking.clear()
        await stage.wait(90.0)
        assert created(stage) == ["job-1", "job-2"]

    played(scene, seconds=1000.0)


def test_an_object_that_waits_for_capacity_goes_at_once_when_it_asks_for_another_instance_type() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.lacking = {(REGION, SCARCE)}
        apply_in_order(stage, 3, instanceType=SCARCE)
        await stage.wait(30.0)
        stage.api.edit((NAMESPACE, "o1"), resourceConfig=SPEC["resourceConfig"])
        await stage.wait(5.0)
        assert created(stage) == ["job-1"]
        stage.service.lacking.clear()
        await stage.wait(90.0)
        assert created(stage) == ["job-1", "job-0", "job-2"]

    played(scene, seconds=1000.0)


def test_an_object_that_may_not_be_written_does_not_hold_up_others_that_wait_for_the_same_capacity() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.lacking = {(REGION, SCARCE)}
        apply_in_order(stage, 3, instanceType=SCARCE)
        await stage.wait(1.0)
        stage.api.delete((NAMESPACE, "o0"))
        taken = stage.api.patch_metadata

        async def refuse(namespace: str, name: str, **change: Any) -> dict[str, Any]:
            if name == "o1":
                raise Forbidden("a policy of its namespace refuses it")
            return await taken(namespace, name, **change)

        stage.api.patch_metadata = refuse  # type: ignore[method-assign]
        stage.service.lacking.clear()
        await asyncio.sleep(90.0)
        assert created(stage) == ["job-2"]
        stage.api.patch_metadata = taken  # type: ignore[method-assign]
        await asyncio.sleep(150.0)  # the pauses have grown
        assert created(stage) == ["job-2", "job-1"]

    played(scene, seconds=1000.0)


@pytest.mark.parametrize("after", [0.5, 1.5], ids=["before it claimed the job", "before it stood in line"])
def test_an_object_that_is_deleted_while_it_is_looked_at_leaves_neither_claim_nor_place(after: float) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.lacking = {(REGION, SPEC["resourceConfig"]["instanceType"])}
        assert stage.life is not None
        create_queue = stage.life.create_queue
        apply_in_order(stage, 1)
        await stage.wait(2.0)
        stage.cluster_state.pauses = {NAMESPACE: 1.0, "selectors": 1.0}
        stage.api.apply(body())
        await stage.wait(after)
        stage.api.delete(KEY)
        await stage.wait(10.0)
        assert len(create_queue) <= 1, "nobody but the other waits"
        stage.service.lacking.clear()
        stage.cluster_state.pauses.clear()
        stage.api.apply(body(name="other", uid="other"))
        await stage.wait(90.0)
        assert created(stage) == ["job-0", JOB]

    played(scene)


def test_what_was_refused_in_an_earlier_life_is_tried_again_where_an_annotation_moves_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed(
            "CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "not here"
        )
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.condition("ACK.Terminal")[1] == "Refused"
        stage.service.refusals.clear()
        await stage.start()
        await stage.wait(60.0)
        assert stage.count("CreateTrainingJob") == 1, "a restart is no reason to send it again"
        stage.api.annotate(KEY, **{"example.com/note": "nothing that steers"})
        await stage.wait(10.0)
        assert stage.count("CreateTrainingJob") == 1
        stage.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
        await stage.wait(10.0)
        assert created(stage) == [JOB]

    played(scene)


def test_an_adopted_job_is_taken_over_and_nothing_is_created() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}, spec={"trainingJobName": JOB}))
        await stage.wait(10.0)
        assert stage.condition("ACK.Adopted")[0] == "True"
        assert stage.object["metadata"]["finalizers"] == [FINALIZER]
        assert stage.count("CreateTrainingJob") == 0
        stage.api.delete(KEY)
        await stage.wait(30.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 1

    played(scene, seconds=10_000.0)


@pytest.mark.parametrize("annotation", [{ADOPTION_POLICY: "adopt"}, {ADOPTED: "true"}, {READ_ONLY: "true"}])
def test_what_is_not_there_to_be_adopted_or_read_is_told_and_never_created(annotation: dict[str, str]) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(annotations=annotation))
        await stage.wait(120.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
        assert stage.count("CreateTrainingJob") == 0
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.gone

    played(scene)


def test_adopt_or_create_takes_what_is_there_or_creates_it_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}))
        await stage.wait(10.0)
        assert len(stage.service.created) == 1
        assert stage.condition("ACK.Adopted")[0] == ""
        other = Identity(ACCOUNT, REGION, "there")
        stage.service.put(other, {"TrainingJobName": "there"}, {})
        spec = {**SPEC, "trainingJobName": "there"}
        stage.api.apply(body(name="b", uid="b", annotations={ADOPTION_POLICY: "adopt-or-create"}, spec=spec))
        await stage.wait(10.0)
        assert len(stage.service.created) == 1
        assert stage.condition("ACK.Adopted", (NAMESPACE, "b"))[0] == "True"

    played(scene, seconds=10_000.0)


def test_a_job_that_adopt_or_create_has_made_before_a_crash_is_this_objects_own() -> None:
    async def scene(stage: Stage) -> None:
        def refuse_status(what: str, before: bool) -> None:
            if what == "status" and before:
                raise Unavailable("no connection")

        stage.api.hinder = refuse_status
        profiled = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt-or-create"}, spec=profiled))
        await asyncio.sleep(5.0)
        assert len(stage.service.created) == 1
        assert "ackResourceMetadata" not in stage.object.get("status", {})
        stage.api.hinder = lambda _what, _before: None
        await stage.start()
        await stage.wait(30.0)
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        assert stage.condition("ACK.Adopted")[0] == ""
        stage.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
        await stage.wait(30.0)
        assert stage.count("UpdateTrainingJob") == 1

    played(scene, seconds=10_000.0)


def test_a_read_only_object_shows_the_job_and_touches_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        stage.api.apply(body(annotations={READ_ONLY: "true"}, spec={"trainingJobName": JOB}))
        await stage.wait(70.0)
        assert stage.object["status"]["trainingJobStatus"] == "Completed"
        assert set(stage.api.writes) == {"status"}
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.gone
        assert {call for call, _ in stage.service.calls} <= {"DescribeTrainingJob", "ListTrainingJobs", "ListTags"}

    played(scene)


def test_an_object_that_is_gone_before_the_answer_to_its_status_write_comes_is_followed_no_more() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        written = stage.api.patch_status

        async def delete_too(*arguments: Any, **change: Any) -> dict[str, Any]:
            answer = await written(*arguments, **change)
            stage.api.delete(KEY)
            return answer

        stage.api.patch_status = delete_too  # type: ignore[method-assign]
        stage.api.apply(body(annotations={READ_ONLY: "true"}))
        await stage.wait(10.0)
        assert stage.gone
        assert stage.life is not None
        assert stage.life.jobs.live_targets() == []

    played(scene, seconds=1000.0)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_object_that_is_read_only_no_longer_has_to_prove_that_the_job_is_its_own(*, is_restarted: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        stage.api.apply(body(annotations={READ_ONLY: "true"}))
        await stage.wait(17.0)
        assert stage.object["status"]["secondaryStatus"] == "Downloading", "it is followed"
        if is_restarted:
            await stage.start()
            await stage.wait(2.0)
        stage.api.annotate(KEY, **{READ_ONLY: None})
        await stage.wait(10.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "NameClash")
        assert not stage.object["metadata"]["finalizers"]
        stage.api.delete(KEY)
        await stage.wait(30.0)
        assert stage.gone
        assert stage.service.stopped == []

    played(scene, seconds=1000.0)


@pytest.mark.parametrize("operation", ["DescribeTrainingJob", "ListTags"])
@pytest.mark.parametrize("told", ["Completed", "InProgress"])
def test_the_end_of_a_job_that_is_not_proved_to_be_its_own_is_not_the_objects(operation: str, told: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        await asyncio.sleep(20.0)  # it has ended
        stage.service.refusals[operation] = failed(operation, "AccessDenied", ErrorClass.DENIED, "role x may not")
        stage.api.apply(body(status=recorded(ARN, trainingJobStatus=told)))  # as ACK leaves an object on a name clash
        await stage.wait(60.0)
        assert stage.condition("Ready")[:2] == ("False", "AccessDenied")
        assert {stage.condition(kind)[0] for kind in ("Complete", "Finished", "Failed")} == {""}
        stage.service.refusals.clear()
        await stage.wait(600.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "NameClash")
        assert stage.condition("Complete")[0] == ""

    played(scene, seconds=10.0)


def test_a_taken_name_tells_nothing_of_its_job_while_nobody_knows_whose_it_is() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {})
        await asyncio.sleep(20.0)
        denied = failed("ListTags", "AccessDenied", ErrorClass.DENIED, "role x may not")
        stage.service.refusals["ListTags"] = denied
        stage.api.apply(body())
        await stage.wait(60.0)
        assert stage.condition("Ready")[:2] == ("False", "AccessDenied")
        assert "trainingJobStatus" not in stage.object["status"]
        stage.service.refusals.clear()
        await stage.wait(600.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "NameClash")

    played(scene, seconds=10.0)


def test_an_attempt_after_a_refusal_is_settled_although_the_process_dies_before_it_is_told() -> None:
    async def scene(stage: Stage) -> None:
        refused = failed("CreateTrainingJob", "InvalidParameterValue", ErrorClass.REFUSED, "not here")
        stage.service.refusals["CreateTrainingJob"] = refused
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.condition("ACK.Terminal")[1] == "Refused"
        stage.service.refusals.clear()

        stage.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
        await stage.wait(0.06)
        assert created(stage) == [JOB]
        assert stage.condition("ACK.Terminal")[0] == "True", "nothing was told yet"
        await stage.start()
        await stage.wait(60.0)
        assert stage.object["status"]["ackResourceMetadata"]["region"] == "eu-central-1"
        assert stage.condition("ACK.Terminal")[0] == ""
        assert created(stage) == [JOB]

    played(scene, seconds=1000.0)


def test_what_the_role_on_the_way_was_refused_is_not_the_specs_and_heals_without_an_edit() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed(
            "AssumeRole", "ValidationError", ErrorClass.REFUSED, "arn is invalid"
        )
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.condition("ACK.Terminal")[0] == ""
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "ValidationError")
        stage.service.refusals.clear()
        await stage.wait(40.0)
        assert created(stage) == [JOB]

    played(scene, seconds=1000.0)


def test_a_stop_that_somebody_else_asked_for_and_that_gets_stuck_is_told() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(5.0)
        (job,) = stage.service.created
        job.stopped = asyncio.get_running_loop().time()
        job.stopping_seconds = 10_000.0
        await stage.wait(15.0)
        assert stage.object["status"]["trainingJobStatus"] == "Stopping"
        stage.api.delete(KEY)
        await stage.wait(890.0)
        assert stage.condition("ACK.Advisory")[0] == ""
        await stage.wait(30.0)
        assert stage.condition("ACK.Advisory")[1] == "StopStuck"

    played(scene, seconds=100_000.0)


def test_a_job_that_vanishes_is_told_and_not_made_again() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(60.0)
        stage.service.jobs.clear()
        await stage.wait(900.0)
        assert stage.condition("ACK.Terminal")[:2] == ("True", "JobNotFound")
        assert stage.count("CreateTrainingJob") == 1
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.gone

    played(scene, seconds=10_000.0)


def test_a_stale_not_found_orphans_no_job_on_deletion_after_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(2.0)
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        await stage.start()
        stage.api.delete(KEY)
        await stage.wait(120.0)
        assert stage.gone
        assert len(stage.service.stopped) == 1

    played(scene, seconds=10_000.0, hidden_seconds=25.0)


def test_an_object_of_a_restored_backup_gets_its_running_job_back() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        restore = stage.api.back_up()
        await stage.wait(15.0)
        restore()
        await stage.wait(90.0)
        assert stage.condition("Complete")[0] == "True"
        assert len(stage.service.created) == 1

    played(scene)


def test_an_edited_region_leaves_the_job_where_it_is() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        stage.api.annotate(KEY, **{REGION_KEY: "eu-central-1"})
        await stage.wait(5.0)
        assert stage.condition("ACK.Advisory")[:2] == ("True", "IdentityDiffers")
        stage.api.delete(KEY)
        await stage.wait(30.0)
        assert stage.gone
        assert stage.service.stopped
        assert len(stage.service.created) == 1

    played(scene, seconds=10_000.0)


def test_a_recorded_job_is_looked_for_where_its_arn_says() -> None:
    async def scene(stage: Stage) -> None:
        stage.cluster_state.namespaces[NAMESPACE] = {DEFAULT_REGION: "eu-central-1"}
        stage.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
        stage.api.apply(body(status=recorded(trainingJobStatus="InProgress")))
        await stage.wait(60.0)
        assert stage.object["metadata"]["finalizers"] == [FINALIZER]
        assert stage.condition("ACK.Terminal")[0] == ""
        assert stage.count("CreateTrainingJob") == 0

    played(scene, seconds=10_000.0)


def test_a_region_that_is_not_known_is_a_warning_and_no_bound() -> None:
    async def scene(stage: Stage) -> None:
        await stage.start(context=replace(CONTEXT, knows_region=lambda region: region == REGION))
        stage.service.refusals["CreateTrainingJob"] = failed(
            "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED
        )
        stage.api.apply(body(annotations={REGION_KEY: "us-wset-2"}))
        await stage.wait(10.0)
        reason, message = stage.condition("ACK.Advisory")[1:]
        assert reason == "RegionUnknown"
        assert "us-wset-2" in message
        del stage.service.refusals["CreateTrainingJob"]
        await stage.wait(60.0)
        assert [job.identity.region for job in stage.service.created] == ["us-wset-2"]
        assert stage.condition("ACK.Advisory") == ("", "", "")

    played(scene)


def test_an_account_without_a_role_is_told_and_heals() -> None:
    async def scene(stage: Stage) -> None:
        stage.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: "999999999999"}
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
        assert stage.service.calls == []
        stage.cluster_state.roles = {"999999999999": "arn:aws:iam::999999999999:role/x"}
        await stage.wait(60.0)
        assert stage.object["status"]["ackResourceMetadata"]["ownerAccountID"] == "999999999999"

    played(scene)


def test_a_recorded_job_of_another_account_is_out_of_reach_while_other_accounts_are_switched_off() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = "999999999999"
        stage.cluster_state.roles = {elsewhere: f"arn:aws:iam::{elsewhere}:role/x"}
        await stage.start(context=replace(CONTEXT, defaults=replace(CONTEXT.defaults, carm_enabled=False)))
        arn = build_arn("aws", Identity(elsewhere, REGION, JOB))
        stage.api.apply(body(held=True, status=recorded(arn, trainingJobStatus="InProgress")))
        await stage.wait(30.0)
        status, reason, message = stage.condition("ACK.Recoverable")
        assert (status, reason) == ("True", "RoleUnavailable")
        assert "--enable-carm is false" in message
        assert stage.service.calls == []
        stage.api.annotate(KEY, **{DELETION_POLICY: "retain"})
        stage.api.delete(KEY)
        await stage.wait(2.0)
        assert stage.gone

    played(scene)


def test_another_role_for_the_account_is_tried_at_once_after_a_denied_call() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere, role = "999999999999", "arn:aws:iam::999999999999:role/"
        stage.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: elsewhere}
        stage.cluster_state.roles = {elsewhere: f"{role}wrong"}
        denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
        stage.service.refusals["DescribeTrainingJob"] = denied
        stage.api.apply(body())
        await stage.wait(100.0)
        stage.service.refusals.clear()
        before = stage.count("DescribeTrainingJob")
        stage.cluster_state.roles = {elsewhere: f"{role}right"}
        stage.api.annotate(KEY, note="1")
        await stage.wait(1.0)
        assert stage.count("DescribeTrainingJob") == before + 1

    played(scene, seconds=5000.0)


def test_an_attempt_in_an_account_that_lost_its_role_is_told_not_forgotten() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = Identity("999999999999", REGION, JOB)
        stage.cluster_state.namespaces[NAMESPACE] = {OWNER_ACCOUNT: elsewhere.account}
        stage.api.apply(body(held=True, pending=elsewhere))
        await stage.wait(10.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "RoleUnavailable")
        assert stage.object["metadata"]["finalizers"] == [FINALIZER]
        assert stage.service.calls == []

    played(scene)


def test_a_forged_mark_makes_no_call_in_an_account_that_the_namespace_does_not_map() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = Identity("999999999999", REGION, JOB)
        stage.cluster_state.roles = {elsewhere.account: "arn:aws:iam::999999999999:role/sagemaker"}
        stage.api.apply(body(held=True, pending=elsewhere))
        await stage.wait(10.0)
        status, reason, message = stage.condition("ACK.Recoverable")
        assert (status, reason) == ("True", "InvalidAnnotation")
        assert elsewhere.account in message
        assert stage.service.calls == []
        stage.api.annotate(KEY, **{CREATE_PENDING: None})
        await stage.wait(10.0)
        assert [job.identity.account for job in stage.service.created] == [ACCOUNT]

    played(scene)


def test_an_attempt_under_an_edited_identity_is_settled_before_another() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
        stage.service.put(elsewhere, {"TrainingJobName": JOB}, OWNER.tags())
        stage.api.apply(body(held=True, pending=elsewhere))
        await stage.wait(120.0)
        assert "eu-central-1" in stage.object["status"]["ackResourceMetadata"]["arn"]
        assert stage.count("CreateTrainingJob") == 0

    played(scene, seconds=10_000.0)


def test_a_mark_whose_attempt_made_nothing_is_taken_back_after_a_while() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = Identity(ACCOUNT, "eu-central-1", JOB)
        stage.api.apply(body(held=True, pending=elsewhere))
        await stage.wait(20.0)
        assert stage.count("CreateTrainingJob") == 0, "it may still be on its way"
        await stage.wait(60.0)
        assert [job.identity for job in stage.service.created] == [WANTED]

    played(scene)


def test_an_object_deleted_while_its_mark_is_open_waits_for_the_answer() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(held=True, pending=WANTED))
        stage.api.delete(KEY)
        await stage.wait(20.0)
        assert KEY in stage.api.objects
        await stage.wait(20.0)
        assert stage.gone
        stage.service.put(WANTED, {"TrainingJobName": JOB}, {**OWNER.tags(), TAG_UID: UID})
        stage.api.apply(body(held=True, pending=WANTED))
        stage.api.delete(KEY)
        await stage.wait(60.0)
        assert stage.gone
        assert len(stage.service.stopped) == 1

    played(scene, seconds=10_000.0)


def test_a_finalizer_taken_away_by_hand_is_put_back_while_the_job_runs() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        current = stage.object["metadata"]
        await stage.api.patch_metadata(*KEY, uid=UID, resource_version=current["resourceVersion"], finalizers=[])
        await stage.wait(5.0)
        assert stage.object["metadata"]["finalizers"] == [FINALIZER]

    played(scene, seconds=10_000.0)


def test_a_stop_that_is_denied_is_told_and_retain_lets_the_object_go() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        stage.service.refusals["StopTrainingJob"] = failed("StopTrainingJob", "AccessDenied", ErrorClass.DENIED)
        stage.api.delete(KEY)
        await stage.wait(10.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
        await stage.wait(1200.0)
        assert stage.condition("ACK.Advisory")[:2] == ("True", "StopStuck")
        stage.api.annotate(KEY, **{DELETION_POLICY: "retain"})
        await stage.wait(2.0)
        assert stage.gone

    played(scene, seconds=10_000.0)


def test_a_writer_that_comes_first_is_read_before_anything_is_tried_again() -> None:
    async def scene(stage: Stage) -> None:
        raced = [True]

        def race(what: str, before: bool) -> None:
            if before and what == "metadata" and raced:
                raced.clear()
                assert stage.life is not None
                stage.life.mishear()
                stage.api.annotate(KEY, somebody="else")

        stage.api.hinder = race
        stage.api.apply(body())
        await stage.wait(10.0)
        assert stage.object["metadata"]["annotations"]["somebody"] == "else"
        assert len(stage.service.created) == 1

    played(scene)


def test_an_api_server_that_is_away_for_a_minute_is_ridden_out() -> None:
    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        back = loop.time() + 60.0

        def be_away(_what: str, before: bool) -> None:
            if before and loop.time() < back:
                raise Unavailable("no connection")

        stage.api.hinder = be_away
        stage.api.apply(body())
        await asyncio.sleep(59.0)
        assert stage.service.created == []
        await asyncio.sleep(60.0)
        assert len(stage.service.created) == 1

    played(scene)


def test_who_does_not_lead_does_nothing_and_a_new_leader_trusts_no_memory() -> None:
    async def scene(stage: Stage) -> None:
        leadership = FakeLeadership()
        leadership.lead(False)
        await stage.start(leadership=leadership)
        stage.api.apply(body())
        await stage.wait(60.0)
        assert stage.service.calls == []
        leadership.lead(True)
        await stage.wait(5.0)
        assert len(stage.service.created) == 1

    played(scene)


def test_under_a_crd_that_drops_our_fields_nothing_is_written_for_ever() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(200.0)
        assert stage.condition("Complete")[0] == "True"
        writes = len(stage.api.writes)
        await stage.wait(3600.0)
        assert len(stage.api.writes) == writes
        await stage.start()
        await stage.wait(600.0)
        assert len(stage.api.writes) <= writes + 1
        assert stage.count("CreateTrainingJob") == 1

    acks = {"ackResourceMetadata", "conditions", "creationTime", "lastModifiedTime", "trainingJobStatus"}
    played(scene, keeps=frozenset(acks | {"secondaryStatus", "failureReason", "debugRuleEvaluationStatuses"}))


def test_nothing_of_environment_and_hyperparameters_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        secret = "s3cr3t"
        spec = {**SPEC, "environment": {"TOKEN": secret}, "hyperParameters": {"key": secret}}
        stage.api.apply(body(spec=spec))
        await stage.wait(90.0)
        assert stage.life is not None
        assert secret not in str(stage.object["status"])
        assert secret not in str(stage.life.recorder.events)
        assert secret not in caplog.text

    caplog.set_level("DEBUG", logger="trainingjob_operator")
    played(scene)


def test_an_object_that_another_controller_writes_is_left_to_it_until_it_is_quiet() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        assert stage.life is not None
        stage.api.write_status_as("controller", KEY, trainingJobStatus="InProgress")
        await stage.wait(1.0)
        assert stage.condition("ACK.Advisory")[:2] == ("True", "Passive")
        assert stage.life.reconciler.passive() == 1
        calls, writes = len(stage.service.calls), len(stage.api.writes)
        stage.api.write_status_as("controller", KEY, trainingJobStatus="Stopping")
        await stage.wait(500.0)
        assert (len(stage.service.calls), len(stage.api.writes)) == (calls, writes)
        await stage.wait(200.0)
        assert stage.object["status"]["trainingJobStatus"] == "InProgress", "it is followed again"
        assert stage.life.reconciler.passive() == 0

    played(scene, seconds=10_000.0)


@pytest.mark.parametrize("manager", ["controller", "dashboard"])
def test_the_job_of_an_object_that_another_controller_writes_is_stopped_on_deletion(manager: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        for failure in ("one", "two", "three"):
            stage.api.write_status_as(manager, KEY, failureReason=failure)
            await stage.wait(1.0)
        assert stage.condition("ACK.Advisory")[:2] == ("True", "Passive")
        assert f'"{manager}"' in stage.condition("ACK.Advisory")[2]
        stage.api.delete(KEY)
        await stage.wait(1.0)
        assert stage.count("StopTrainingJob") == 1
        await stage.wait(20.0)
        assert stage.gone
        assert stage.count("StopTrainingJob") == 1

    played(scene, seconds=10_000.0)


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
def test_a_single_write_of_the_status_by_others_is_overwritten(written: dict[str, Any], *, ended: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(100.0 if ended else 30.0)
        before = stage.object["status"]
        describes = stage.count("DescribeTrainingJob")
        stage.api.write_status_as("velero-server", KEY, **written)
        await stage.wait(2.0)
        after = stage.object["status"]
        times = {"lastTransitionTime": None}
        assert {**after, "conditions": [one | times for one in after["conditions"]]} == {
            **before,
            "conditions": [one | times for one in before["conditions"]],
        }
        assert stage.count("DescribeTrainingJob") == describes + 1
        await stage.wait(100.0)
        assert stage.condition("Complete")[0] == "True"

    played(scene, outcome="Completed", seconds=60.0)


def test_an_edit_that_meets_the_write_of_another_controller_is_applied_once_that_is_quiet() -> None:
    async def scene(stage: Stage) -> None:
        spec = {**SPEC, "profilerConfig": {"s3OutputPath": "s3://bucket/one"}}
        stage.api.apply(body(spec=spec))
        await stage.wait(30.0)
        stage.api.write_status_as("controller", KEY, failureReason="as ACK sees it")
        stage.api.edit(KEY, profilerConfig={"s3OutputPath": "s3://bucket/two"})
        await stage.wait(1.0)
        assert stage.condition("ACK.Advisory")[1] == "Passive"
        assert stage.object["status"]["observedGeneration"] == 1
        await stage.wait(700.0)
        assert stage.count("UpdateTrainingJob") == 1
        assert stage.object["status"]["observedGeneration"] == 2

    played(scene, seconds=10_000.0)


def test_a_controller_that_writes_the_object_of_an_ended_job_again_and_again_is_left_alone() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(100.0)
        for number in range(20):
            stage.api.write_status_as("dashboard", KEY, failureReason=str(number))
            await stage.wait(30.0)
        assert stage.object["status"]["failureReason"] == "19"
        assert stage.condition("ACK.Advisory")[:2] == ("True", "Passive")

    played(scene)


@pytest.mark.parametrize(
    ("namespace", "region"),
    [({DEFAULT_REGION: "eu-central-1"}, "eu-central-1"), ({ENDPOINT_URL: "https://sagemaker.example.org"}, REGION)],
    ids=["region", "endpoint"],
)
def test_what_one_region_or_endpoint_answered_does_not_hold_for_another(namespace: dict[str, str], region: str) -> None:
    async def scene(stage: Stage) -> None:
        there = Identity(ACCOUNT, region, JOB)
        defaults = replace(CONTEXT.defaults, allowed_endpoints=("https://sagemaker.example.org",))
        await stage.start(context=replace(CONTEXT, defaults=defaults))
        stage.service.put(there, {"TrainingJobName": JOB}, {})
        stage.service.refusals["DescribeTrainingJob"] = failed(
            "DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED
        )
        stage.api.apply(body(annotations={ADOPTION_POLICY: "adopt"}))
        await stage.wait(600.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "AccessDenied")
        del stage.service.refusals["DescribeTrainingJob"]
        stage.cluster_state.namespaces[NAMESPACE] = namespace
        stage.api.annotate(KEY, somebody="looks")
        await stage.wait(2.0)
        assert stage.condition("ACK.Recoverable")[0] == ""
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", there)

    played(scene, seconds=10_000.0)


def test_a_restart_under_another_default_region_says_nothing_of_jobs_that_have_ended() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(100.0)
        assert stage.condition("Complete")[0] == "True"
        writes, calls = len(stage.api.writes), len(stage.service.calls)
        moved = replace(CONTEXT, defaults=replace(CONTEXT.defaults, region="eu-central-1"))
        life = await stage.start(context=moved)
        await stage.wait(100.0)
        assert (len(stage.api.writes), len(stage.service.calls)) == (writes, calls)
        assert life.recorder.events == []

    played(scene)


def test_a_defect_is_logged_tried_again_and_keeps_nobody_else_waiting(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(FakeClusterState):
        async def account_roles(self) -> Mapping[str, str] | None:
            raise ValueError("odd")

    async def scene(stage: Stage) -> None:
        stage.cluster_state = Odd({NAMESPACE: {OWNER_ACCOUNT: ACCOUNT}})
        life = await stage.start()
        stage.api.apply(body())
        await asyncio.sleep(60.0)
        told = [record for record in caplog.records if "Unexpected error" in record.message]
        assert 2 <= len(told) <= 10
        assert life.registry.get_sample_value("trainingjob_reconcile_seconds_count", {"outcome": "error"}) == len(told)
        life.cluster_state.namespaces.clear()
        await asyncio.sleep(300.0)
        assert len(stage.service.created) == 1

    played(scene)


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
def test_a_spec_that_makes_no_request_is_refused_without_a_call(spec: dict[str, Any], words: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(spec=spec))
        await stage.wait(5.0)
        status, reason, message = stage.condition("ACK.Terminal")
        assert (status, reason) == ("True", "InvalidSpec")
        assert words in message
        assert stage.service.calls == []

    played(scene)


def test_an_object_that_a_role_selector_matches_is_not_served_by_another_role() -> None:
    async def scene(stage: Stage) -> None:
        stage.cluster_state.selectors = {"gpu": {"namespaceSelector": {"names": [NAMESPACE]}}}
        stage.api.apply(body())
        await stage.wait(5.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "RoleSelectorNotSupported")
        assert stage.service.calls == []
        stage.cluster_state.selectors = {"gpu": {"namespaceSelector": {"names": ["other"]}}}
        await stage.wait(40.0)
        assert len(stage.service.created) == 1

    played(scene)


@pytest.mark.parametrize("inherited", [False, True])
def test_what_is_known_is_not_held_back_for_the_budget(*, inherited: bool) -> None:
    async def scene(stage: Stage) -> None:
        assert stage.life is not None
        for other in range(1000):
            stage.life.budgets.of(ACCOUNT, REGION).describe.claim(other)
        if inherited:
            stage.service.put(WANTED, {"TrainingJobName": JOB}, OWNER.tags())
            stage.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress")))
        else:
            stage.api.apply(body())
        await stage.wait(1.0)
        assert stage.count("DescribeTrainingJob") == 0
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == ARN
        assert stage.condition("Ready")[0] == "False"

    played(scene, seconds=10_000.0)


@pytest.mark.parametrize("outcome", ["Failed", "Completed"])
@pytest.mark.parametrize(
    "hindered", ["budget", ErrorClass.THROTTLED, ErrorClass.DENIED, ErrorClass.CREDENTIALS, ErrorClass.RETRY]
)
def test_what_a_list_shows_is_reported_at_once_while_describe_has_to_wait(
    hindered: str | ErrorClass, outcome: str
) -> None:
    async def scene(stage: Stage) -> None:
        assert stage.life is not None
        budget = stage.life.budgets.of(ACCOUNT, REGION).describe
        stage.api.apply(body())
        await stage.wait(12.0)
        assert stage.object["status"]["secondaryStatus"] == "Downloading"
        if isinstance(hindered, ErrorClass):
            stage.service.refusals["DescribeTrainingJob"] = failed("DescribeTrainingJob", "No", hindered)
        else:
            for other in range(8_000):
                budget.claim(other)
        await stage.wait(15.0)
        assert stage.object["status"]["trainingJobStatus"] == "InProgress"
        assert stage.object["status"]["secondaryStatus"] == "Training"
        await stage.wait(40.0)
        assert stage.object["status"]["trainingJobStatus"] == outcome
        assert stage.condition("Complete" if outcome == "Completed" else "Failed")[0] == "True"
        assert [one["status"] for one in stage.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
        ]
        assert stage.object["metadata"]["finalizers"] == []
        calls = len(stage.service.calls)
        stage.service.refusals.clear()
        await stage.wait(400.0)
        assert [one["status"] for one in stage.object["status"]["secondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
            "Training",
            outcome,
        ], "completed by Describe"
        assert [call for call, _ in stage.service.calls[calls:]] == ["DescribeTrainingJob"]
        assert stage.life.registry.get_sample_value("trainingjob_ended_total", {"outcome": outcome}) == 1.0

    played(scene, outcome=outcome)


def test_an_end_that_only_a_list_has_shown_is_completed_after_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
        stage.service.refusals["DescribeTrainingJob"] = denied
        stage.api.apply(body())
        await stage.wait(2.0)
        status = stage.object["status"]
        assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
        await stage.wait(98.0)
        assert stage.condition("Complete")[0] == "True"
        assert "secondaryStatusTransitions" not in stage.object["status"]
        stage.service.refusals.clear()
        await stage.start()
        await stage.wait(5.0)
        assert stage.object["status"]["secondaryStatusTransitions"][-1]["status"] == "Completed"
        calls = len(stage.service.calls)
        await stage.start()
        await stage.wait(100.0)
        assert len(stage.service.calls) == calls

    played(scene)


def test_a_job_that_nobody_has_seen_yet_is_shown_as_starting_and_looked_at_after_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        for operation in ("DescribeTrainingJob", "ListTrainingJobs"):
            stage.service.refusals[operation] = failed(operation, "Throttling", ErrorClass.THROTTLED)
        stage.api.apply(body())
        await stage.wait(30.0)
        status = stage.object["status"]
        assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting")
        assert stage.condition("Ready")[:2] == ("False", "Created")
        stage.service.refusals = {"ListTrainingJobs": stage.service.refusals["ListTrainingJobs"]}
        await stage.start()
        await stage.wait(2.0)
        assert stage.object["status"]["secondaryStatus"] == "Training"

    played(scene, seconds=1000.0)


@pytest.mark.parametrize("lasts", [20.0, 200.0])
def test_a_describe_that_is_denied_just_after_create_is_reported_only_once_it_lasts(
    caplog: pytest.LogCaptureFixture, *, lasts: float
) -> None:
    async def scene(stage: Stage) -> None:
        denied = failed("DescribeTrainingJob", "AccessDeniedException", ErrorClass.DENIED)
        stage.service.refusals["DescribeTrainingJob"] = denied
        stage.api.apply(body())
        await stage.wait(min(lasts, 29.0))
        assert stage.life is not None
        assert stage.condition("ACK.Recoverable")[0] == ""
        assert "AccessDenied" not in str(stage.life.recorder.events) + caplog.text
        if lasts < 30.0:
            stage.service.refusals.clear()
        await stage.wait(25.0)
        assert stage.condition("ACK.Recoverable")[:2] == (("", "") if lasts < 30.0 else ("True", "AccessDenied"))
        assert ("AccessDenied" in caplog.text) is (lasts > 30.0)
        assert ("AccessDenied" in str(stage.life.recorder.events)) is (lasts > 30.0)

    caplog.set_level("INFO", logger="trainingjob_operator")
    played(scene, seconds=1000.0)


@pytest.mark.parametrize("ends", ["gone", "away"])
def test_after_a_conflict_the_object_may_be_gone_or_out_of_reach(ends: str) -> None:
    async def scene(stage: Stage) -> None:
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
                    stage.api.objects.pop(KEY, None)
                raise Conflict("the object has been modified")

        stage.api = Api()
        stage.api.hinder = race
        await stage.start()
        stage.api.apply(body())
        await stage.wait(60.0)
        assert len(stage.service.created) == (0 if ends == "gone" else 1)
        assert len(tries) < 20, "at growing intervals"

    played(scene)


@pytest.mark.parametrize("reads", ["found", "not found either"])
@pytest.mark.parametrize("what", ["status", "metadata"])
@pytest.mark.parametrize("moment", ["first", "last"])
def test_a_write_that_is_answered_with_not_found_is_sent_again(moment: str, what: str, reads: str) -> None:
    async def scene(stage: Stage) -> None:
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

        stage.api = Api()
        stage.api.hinder = miss
        await stage.start()
        stage.api.apply(body())
        await stage.wait(100.0)
        assert len(failures) == 1
        assert stage.object["status"]["trainingJobStatus"] == "Completed"
        assert stage.object["metadata"]["finalizers"] == []
        assert len(stage.service.created) == 1

    played(scene)


def test_what_is_gone_when_its_turn_comes_is_nobodys_business() -> None:
    async def scene(stage: Stage) -> None:
        def vanish(_what: str, _before: bool) -> None:
            stage.api.objects.pop(KEY, None)

        stage.api.hinder = vanish
        stage.api.apply(body())
        assert stage.life is not None
        stage.life.queue.add((NAMESPACE, "never-seen"))
        await stage.wait(60.0)
        assert stage.service.calls == []
        assert stage.api.writes == []

    played(scene)


@pytest.mark.no_cover
def test_objects_that_need_nothing_hold_up_nobody() -> None:
    async def scene(stage: Stage) -> None:
        life = await stage.start(workers=1)
        names = [f"job-{number}" for number in range(50)]
        for name in names:
            stage.api.apply(body(name=name, uid=name, spec={**SPEC, "trainingJobName": name}))
        await stage.wait(120.0)
        for name in names:
            life.queue.add((NAMESPACE, name))
        turns = 0
        while life.queue.depth:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= len(names), "the loop goes round between one object and the next"

    played(scene)


def test_an_object_whose_call_comes_too_near_the_end_of_leadership_waits_a_moment() -> None:
    async def scene(stage: Stage) -> None:
        refused: list[float] = []

        class EndingLeadership(FakeLeadership):
            def fence(self, seconds: float) -> None:
                if len(refused) < 1000:
                    refused.append(seconds)
                    raise NotLeading

        await stage.start(leadership=EndingLeadership())
        stage.api.apply(body())
        await stage.wait(5.0)
        assert 2 <= len(refused) <= 5.0 / FENCED_SECONDS + 1

    played(scene)


@pytest.mark.parametrize(
    "edit", [{"remoteDebugConfig": {"enableRemoteDebug": True}}, {"tags": [{"key": "a", "value": "b"}]}]
)
def test_an_edit_while_an_attempt_is_being_settled_reaches_the_job_that_it_made(edit: dict[str, Any]) -> None:
    async def scene(stage: Stage) -> None:
        lost, hidden = [True], [True]

        def fail(operation: str, before: bool) -> None:
            if operation == "CreateTrainingJob" and not before and lost:
                lost.clear()
                raise failed(operation, "ConnectionClosedError", ErrorClass.RETRY, definite=False)
            if operation == "ListTags" and before and hidden:
                raise failed(operation, "ConnectionClosedError", ErrorClass.RETRY)

        stage.service.fault = fail
        stage.api.apply(body())
        await stage.wait(15.0)
        stage.api.edit(KEY, **edit)
        await stage.wait(5.0)
        assert stage.object["status"]["observedGeneration"] == 1, "it is not dealt with yet"
        hidden.clear()
        await stage.wait(40.0)
        assert stage.count("UpdateTrainingJob") + stage.count("AddTags") == 1
        assert stage.object["status"]["observedGeneration"] == 2
        assert len(stage.service.created) == 1

    played(scene, seconds=10_000.0)


@pytest.mark.no_cover
@pytest.mark.parametrize("is_replaced", [False, True], ids=["no job", "another run"])
def test_a_job_is_missing_only_by_answers_of_the_right_account(is_replaced: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(60.0)
        jobs = dict(stage.service.jobs)
        stage.service.jobs.clear()
        if is_replaced:
            now = asyncio.get_running_loop().time()
            stage.service.jobs.update({slot: replace(job, created=now) for slot, job in jobs.items()})
        stage.service.misplaced = failed("GetCallerIdentity", "AccountChanged", ErrorClass.ACCOUNT, "of another")
        await stage.wait(900.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "AccountChanged")
        assert stage.object["status"]["trainingJobStatus"] == "InProgress"
        stage.service.jobs.update(jobs)
        stage.service.misplaced = None
        await stage.wait(60.0)
        assert "AccountChanged" not in str(stage.object["status"]["conditions"])
        assert stage.object["status"]["trainingJobStatus"] == "InProgress"

    played(scene, seconds=10_000.0)
