from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logic.answers import ARN, CREATED, NAME, after, answer, observed, rule, transition
from tests.logic.nonsense import answers, nonsense
from trainingjob_operator.logic.jobs.observation import MAX_ITEMS, MAX_TEXT, WARM_POOL_MARGIN, Observation

SUMMARY = {
    "TrainingJobName": NAME,
    "TrainingJobArn": ARN,
    "TrainingJobStatus": "InProgress",
    "SecondaryStatus": "Training",
    "CreationTime": CREATED,
    "LastModifiedTime": after(60),
}


def test_an_answer_of_describe_is_mapped_to_status_fields() -> None:
    seen = observed(
        SecondaryStatusTransitions=[transition("Starting", 0.5, 3, "Preparing the instances for training")],
        TuningJobArn="arn:aws:sagemaker:us-west-2:123456789012:hyper-parameter-tuning-job/t",
        TrainingTimeInSeconds=90,
        FinalMetricDataList=[{"MetricName": "loss", "Value": 0.25, "Timestamp": after(9)}],
        HyperParameters={"eta": "0.2"},
    )
    assert (seen.job_name, seen.arn, seen.whole) == (NAME, ARN, True)
    assert seen.fields == {
        "trainingJobStatus": "InProgress",
        "secondaryStatus": "Training",
        "creationTime": "2026-11-21T10:33:44.120Z",
        "lastModifiedTime": "2026-11-21T10:34:44.120Z",
        "modelArtifacts": {"s3ModelArtifacts": ""},
        "profilingStatus": "Disabled",
        "secondaryStatusTransitions": [
            {
                "status": "Starting",
                "startTime": "2026-11-21T10:33:44.620Z",
                "endTime": "2026-11-21T10:33:47.120Z",
                "statusMessage": "Preparing the instances for training",
            }
        ],
        "tuningJobARN": "arn:aws:sagemaker:us-west-2:123456789012:hyper-parameter-tuning-job/t",
        "trainingTimeInSeconds": 90,
        "finalMetricDataList": [{"metricName": "loss", "value": 0.25, "timestamp": "2026-11-21T10:33:53.120Z"}],
    }


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("TrainingTimeInSeconds", "90"),
        ("TrainingTimeInSeconds", True),
        ("TrainingTimeInSeconds", 1.5),
        ("TrainingTimeInSeconds", 2**63),
        ("TrainingTimeInSeconds", 1e300),
        ("TrainingTimeInSeconds", float("nan")),
        ("FailureReason", None),
        ("FailureReason", 7),
        ("TrainingEndTime", "soon"),
        ("TrainingEndTime", datetime(2026, 11, 21)),  # noqa: DTZ001  a time without a zone
        ("WarmPoolStatus", []),
        ("WarmPoolStatus", {"Status": 1}),
        ("DebugRuleEvaluationStatuses", "none"),
        ("DebugRuleEvaluationStatuses", [None, 3, {}]),
        ("SecondaryStatusTransitions", [{"Status": "Starting"}, {"StartTime": CREATED}]),
        ("FinalMetricDataList", [{"Value": float("inf")}]),
        ("NewInTheApi", {"anything": "at all"}),
    ],
)
def test_unusable_values_are_omitted_and_the_others_kept(member: str, value: Any) -> None:
    assert Observation.from_describe(answer(**{member: value})) == observed()


def test_whole_numbers_may_come_as_floats() -> None:
    assert observed(TrainingTimeInSeconds=90.0).fields["trainingTimeInSeconds"] == 90


def test_texts_and_lists_are_bounded_and_the_newest_items_stay() -> None:
    seen = observed(
        FailureReason="x" * 5_000_000,
        SecondaryStatusTransitions=[transition("Training", second) for second in range(MAX_ITEMS + 5)],
    )
    assert len(seen.failure_reason) == MAX_TEXT
    assert len(seen.transitions) == MAX_ITEMS
    assert seen.transitions[-1]["startTime"] == "2026-11-21T10:38:48.120Z"


def test_characters_invalid_in_json_are_replaced() -> None:
    assert observed(FailureReason="bad \ud800 text").failure_reason == "bad ? text"


@pytest.mark.parametrize(
    ("members", "savings"),
    [
        pytest.param({"TrainingTimeInSeconds": 200, "BillableTimeInSeconds": 60}, 70, id="most of it saved"),
        pytest.param({"TrainingTimeInSeconds": 3, "BillableTimeInSeconds": 1}, 67, id="rounded"),
        pytest.param({"TrainingTimeInSeconds": 60, "BillableTimeInSeconds": 60}, 0, id="nothing saved"),
        pytest.param({"TrainingTimeInSeconds": 60, "BillableTimeInSeconds": 90}, 0, id="more billed than trained"),
        pytest.param({"TrainingTimeInSeconds": 60, "BillableTimeInSeconds": 0}, 100, id="nothing billed"),
        pytest.param({"TrainingTimeInSeconds": 0, "BillableTimeInSeconds": 0}, None, id="no training"),
        pytest.param({"TrainingTimeInSeconds": -1, "BillableTimeInSeconds": 5}, None, id="nonsense"),
        pytest.param({"TrainingTimeInSeconds": 60}, None, id="not billed yet"),
        pytest.param({"BillableTimeInSeconds": 60}, None, id="not trained yet"),
    ],
)
def test_the_savings_of_a_spot_job_are_computed_from_its_times(members: dict[str, Any], savings: int | None) -> None:
    assert observed(EnableManagedSpotTraining=True, **members).fields.get("managedSpotTrainingSavings") == savings


@pytest.mark.parametrize("spot", [False, None, "true"])
def test_a_job_without_spot_has_no_savings(spot: object) -> None:
    seen = observed(EnableManagedSpotTraining=spot, TrainingTimeInSeconds=200, BillableTimeInSeconds=60)
    assert "managedSpotTrainingSavings" not in seen.fields


GROUPS = [
    {"InstanceGroupName": "data", "InstanceType": "ml.c5.xlarge", "InstanceCount": 3},
    {"InstanceGroupName": "more", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
    {"InstanceGroupName": "train", "InstanceType": "ml.p4d.24xlarge", "InstanceCount": 2},
]


@pytest.mark.parametrize(
    ("resources", "instances"),
    [
        pytest.param({"InstanceType": "ml.m5.large", "InstanceCount": 4}, {"ml.m5.large": 4}, id="one type"),
        pytest.param({"InstanceGroups": GROUPS}, {"ml.c5.xlarge": 4, "ml.p4d.24xlarge": 2}, id="instance groups"),
        pytest.param({"InstanceGroups": []}, {}, id="no group"),
        pytest.param({"InstanceGroups": ["x", {"InstanceType": "ml.m5.large"}]}, {}, id="unusable groups"),
        pytest.param(
            {"InstanceType": "a", "InstanceCount": 9, "SelectedInstanceType": "ml.b", "SelectedInstanceCount": 2},
            {"ml.b": 2},
            id="selected by SageMaker",
        ),
        pytest.param({"InstanceType": "ml.m5.large", "InstanceCount": 0}, {}, id="none"),
        pytest.param({"InstanceType": "ml.m5.large", "InstanceCount": True}, {}, id="no number"),
        pytest.param({"InstanceType": 5, "InstanceCount": 1}, {}, id="no type"),
        pytest.param(None, {}, id="serverless"),
    ],
)
def test_billable_instance_seconds_are_billable_seconds_times_all_instances(
    resources: object, instances: dict[str, int]
) -> None:
    seen = observed("Completed", "Completed", ResourceConfig=resources, BillableTimeInSeconds=60)
    assert seen.instances == instances
    assert seen.fields.get("billableInstanceSeconds") == (60 * sum(instances.values()) or None)


@pytest.mark.parametrize(("billable", "expected"), [(0, 0), (None, None), (-1, None), (2**62, None)])
def test_billable_instance_seconds_fit_the_field(billable: int | None, expected: int | None) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    seen = observed(ResourceConfig=resources, BillableTimeInSeconds=billable)
    assert seen.fields.get("billableInstanceSeconds") == expected


def test_a_summary_keeps_the_instances_of_the_last_describe() -> None:
    seen = observed(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2}, EnableManagedSpotTraining=True)
    later = seen.updated_by(Observation.from_summary({**SUMMARY, "LastModifiedTime": after(90)}))
    assert (later.instances, later.is_spot) == ({"ml.m5.large": 2}, True)


def test_an_observation_is_restored_from_the_status() -> None:
    seen = observed(
        "Completed",
        "Completed",
        EnableManagedSpotTraining=True,
        TrainingTimeInSeconds=200,
        BillableTimeInSeconds=60,
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2},
        WarmPoolStatus={"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 7},
        SecondaryStatusTransitions=[transition("Starting", 1)],
    )
    assert Observation.from_status({**seen.fields, "conditions": [], "observedGeneration": 2}).fields == seen.fields


def test_a_summary_has_the_fields_of_list_only() -> None:
    seen = Observation.from_summary({**SUMMARY, "WarmPoolStatus": {"Status": "InUse"}, "FailureReason": "no member"})
    assert (seen.job_name, seen.arn, seen.whole) == (NAME, ARN, False)
    assert seen.fields == observed(WarmPoolStatus={"Status": "InUse"}).summary().fields


@pytest.mark.parametrize("value", [None, 3, "text", [], b"", object()])
def test_an_invalid_answer_has_no_fields(value: object) -> None:
    for seen in (Observation.from_describe(value), Observation.from_summary(value), Observation.from_status(value)):
        assert seen.fields == {}
        assert not seen.is_ended()
        assert seen.end_time is None


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("InProgress", False),
        ("Stopping", False),
        ("Deleting", False),
        ("Hibernating", False),
        ("", False),
        ("Completed", True),
        ("Failed", True),
        ("Stopped", True),
    ],
)
def test_only_three_statuses_are_end_states(status: str, ended: bool) -> None:
    assert observed(status).is_ended() is ended


@pytest.mark.parametrize(
    ("members", "running"),
    [
        ({}, None),
        ({"DebugRuleEvaluationStatuses": [rule("NoIssuesFound"), rule("InProgress")]}, ("DebugRule", "InProgress")),
        ({"DebugRuleEvaluationStatuses": [rule("Stopping")]}, ("DebugRule", "Stopping")),
        ({"DebugRuleEvaluationStatuses": [rule("Pondering")]}, ("DebugRule", "Pondering")),
        ({"DebugRuleEvaluationStatuses": [rule(end) for end in ("IssuesFound", "Error", "Stopped")]}, None),
        ({"DebugRuleEvaluationStatuses": [{"RuleConfigurationName": "without a status"}]}, None),
        (
            {"ProfilerRuleEvaluationStatuses": [rule("InProgress")], "ProfilingStatus": "Enabled"},
            ("ProfilerRule", "InProgress"),
        ),
        ({"ProfilerRuleEvaluationStatuses": [rule("InProgress")], "ProfilingStatus": "Disabled"}, None),
    ],
)
def test_a_rule_runs_until_it_has_a_result(members: dict[str, Any], running: tuple[str, str] | None) -> None:
    seen = observed("Completed", "Completed", **members)
    assert seen.running_rule == running
    assert seen.rules_running() is (running is not None)
    assert seen.needs_following(after(60), None) is (running is not None)


END = after(100)
SOON, LATE = END + timedelta(seconds=600), END + timedelta(seconds=600) + WARM_POOL_MARGIN


@pytest.mark.parametrize(
    ("status", "pool", "keep_alive", "now", "alive"),
    [
        pytest.param("Completed", None, 600, SOON, True, id="not shown yet"),
        pytest.param("Completed", "Available", 600, SOON, True, id="available"),
        pytest.param("Completed", "InUse", 600, SOON, True, id="in use"),
        pytest.param("Completed", "Frozen", 600, SOON, True, id="in an unknown state"),
        pytest.param("Completed", "Available", 600, LATE, False, id="long past its keep-alive"),
        pytest.param("Completed", None, 600, LATE, False, id="never shown"),
        pytest.param("Completed", "Terminated", 600, SOON, False, id="terminated"),
        pytest.param("Completed", "Reused", 600, SOON, False, id="reused"),
        pytest.param("Completed", "Available", 0, SOON, False, id="keep-alive period set to 0"),
        pytest.param("Completed", None, None, SOON, False, id="without a keep-alive period"),
        pytest.param("Completed", None, -5, END, False, id="invalid keep-alive period"),
        pytest.param("Failed", None, 600, SOON, False, id="released by a failure"),
        pytest.param("Stopped", "Available", 600, SOON, True, id="shown in spite of a stop"),
        pytest.param("InProgress", "InUse", 600, SOON, False, id="not before the end"),
    ],
)
def test_a_warm_pool_exists_until_the_end_of_its_keep_alive_period(
    status: str, pool: str | None, keep_alive: int | None, now: datetime, alive: bool
) -> None:
    seen = observed(status, status, TrainingEndTime=END, WarmPoolStatus={"Status": pool})
    assert seen.warm_pool_alive(now, keep_alive) is alive
    assert seen.needs_following(now, keep_alive) is (alive or status == "InProgress")


def test_a_warm_pool_without_a_time_is_not_followed() -> None:
    seen = Observation.from_describe({"TrainingJobStatus": "Completed"})
    assert not seen.warm_pool_alive(SOON, 600)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        pytest.param(observed(LastModifiedTime=after(61)), observed(), id="by LastModifiedTime"),
        pytest.param(observed(), observed(LastModifiedTime=None), id="by the presence of LastModifiedTime"),
        pytest.param(observed("Failed", LastModifiedTime=after(1)), observed(), id="an end state of any time"),
        pytest.param(
            observed("Completed"), observed("Deleting", LastModifiedTime=after(99)), id="an end state over Deleting"
        ),
        pytest.param(observed(LastModifiedTime=after(60.001)), observed(), id="by a millisecond"),
    ],
)
def test_answers_are_ordered_by_the_last_modified_time(newer: Observation, older: Observation) -> None:
    assert newer.is_newer_than(older)
    assert not older.is_newer_than(newer)
    assert older.updated_by(newer).fields == newer.fields
    assert newer.updated_by(older) == newer


def test_of_answers_with_equal_times_the_later_received_one_is_kept() -> None:
    first, second = observed(), observed(secondary="Uploading")
    assert not first.is_newer_than(second)
    assert not second.is_newer_than(first)
    assert first.updated_by(second).secondary_status == "Uploading"


@pytest.mark.parametrize(
    ("seen", "summary", "changed"),
    [
        pytest.param(observed(), {}, False, id="nothing"),
        pytest.param(observed(), {"LastModifiedTime": after(61)}, True, id="a later change"),
        pytest.param(observed(), {"SecondaryStatus": "Uploading"}, True, id="another secondary status"),
        pytest.param(observed(), {"WarmPoolStatus": {"Status": "Available"}}, True, id="a warm pool"),
        pytest.param(observed(), {"TrainingJobStatus": "Completed"}, True, id="the end"),
        pytest.param(
            observed(), {"SecondaryStatus": "Starting", "LastModifiedTime": after(5)}, False, id="a stale summary"
        ),
        pytest.param(observed("Completed", "Completed"), {}, False, id="running, after the end was seen"),
        pytest.param(
            observed(TrainingEndTime=after(59)), {"TrainingEndTime": after(60)}, False, id="a detail without a status"
        ),
        pytest.param(Observation(), {}, True, id="a job never seen"),
        pytest.param(observed(), {"SecondaryStatus": None}, False, id="no secondary status"),
        pytest.param(
            observed(), {"SecondaryStatus": None, "LastModifiedTime": after(61)}, True, id="only a later time"
        ),
        pytest.param(observed(), {"LastModifiedTime": None}, False, id="no time"),
        pytest.param(
            observed(), {"LastModifiedTime": None, "SecondaryStatus": "Uploading"}, True, id="another status, no time"
        ),
        pytest.param(observed(LastModifiedTime=None), {}, False, id="a time missing in Describe"),
        pytest.param(observed(SecondaryStatus=None), {}, True, id="an unknown status"),
        pytest.param(observed(WarmPoolStatus={"Status": "InUse"}), {}, False, id="no warm pool"),
        pytest.param(observed(), {"TrainingJobStatus": None, "SecondaryStatus": None}, False, id="no status"),
    ],
)
def test_a_summary_shows_a_change_if_it_differs_from_the_observation(
    seen: Observation, summary: dict[str, Any], changed: bool
) -> None:
    assert Observation.from_summary({**SUMMARY, **summary}).shows_change_from(seen.summary()) is changed


def test_runs_of_one_name_are_distinguished_by_creation_time() -> None:
    first, second = observed(), observed("InProgress", "Starting", CreationTime=after(900), LastModifiedTime=after(900))
    assert not first.is_same_run_as(second)
    assert first.updated_by(second) == first
    recorded_by_ack = Observation.from_status({"creationTime": "2026-11-21T10:33:44Z"})
    assert first.is_same_run_as(recorded_by_ack)
    assert first.is_same_run_as(Observation())
    assert Observation().is_same_run_as(first)


def test_a_describe_replaces_and_a_summary_merges() -> None:
    seen = observed(FailureReason="an attempt failed", LastModifiedTime=after(10))
    assert seen.updated_by(observed()).failure_reason == ""
    updated = seen.updated_by(Observation.from_summary({**SUMMARY, "SecondaryStatus": "Restarting"}))
    assert (updated.failure_reason, updated.secondary_status) == ("an attempt failed", "Restarting")
    assert (updated.job_name, updated.arn, updated.whole) == (NAME, ARN, True)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("Completed", ("Completed", "Completed")),
        ("Stopping", ("Stopping", "Stopping")),
        ("InProgress", ("InProgress", "Training")),
        ("NewStatus", ("NewStatus", "Training")),
    ],
)
def test_a_status_without_a_secondary_status_drops_the_earlier_secondary_status(
    status: str, phase: tuple[str, str]
) -> None:
    seen = observed(SecondaryStatusTransitions=[transition("Training", 1)])
    summary = {"TrainingJobStatus": status, "LastModifiedTime": after(61)}
    updated = seen.updated_by(Observation.from_summary(summary))
    assert updated.phase == phase
    assert updated.is_from_list_only() is (phase[1] != "Training")


def test_transitions_are_merged_completely_and_in_order() -> None:
    before = observed(
        SecondaryStatusTransitions=[transition("Starting", 0, message="Launching"), transition("Downloading", 5)],
        LastModifiedTime=after(6),
    )
    later = observed(
        SecondaryStatusTransitions=[
            transition("Training", 5.5),
            transition("Uploading", 5.5),
            transition("Starting", 0, end=5, message="Preparing"),
        ]
    )
    joined = before.updated_by(later).transitions
    assert [item["status"] for item in joined] == ["Starting", "Downloading", "Training", "Uploading"]
    assert (joined[0]["statusMessage"], joined[0]["endTime"]) == ("Preparing", "2026-11-21T10:33:49.120Z")


def test_repeated_statuses_are_different_transitions() -> None:
    spot = [transition(status, second) for second, status in enumerate(["Training", "Interrupted", "Training"])]
    assert [item["status"] for item in observed(SecondaryStatusTransitions=spot).transitions] == [
        "Training",
        "Interrupted",
        "Training",
    ]


@given(value=nonsense | answers())
def test_parsing_accepts_any_answer(value: object) -> None:
    for seen in (Observation.from_describe(value), Observation.from_summary(value), Observation.from_status(value)):
        json.dumps(seen.fields, allow_nan=False).encode()
        assert Observation.from_status(seen.fields).fields == seen.fields
        now = datetime(2026, 11, 21, tzinfo=UTC)
        assert seen.needs_following(now, 600) or seen.is_ended()


@pytest.mark.no_cover
@given(sequence=st.lists(answers(), max_size=6))
def test_no_sequence_of_answers_reverts_an_end_state(sequence: list[dict[str, Any]]) -> None:
    known = Observation()
    for value in sequence:
        before, known = known, known.updated_by(Observation.from_describe(value))
        assert known.is_ended() or not before.is_ended()
        starts = [datetime.fromisoformat(item["startTime"]) for item in known.transitions]
        assert starts == sorted(starts)
