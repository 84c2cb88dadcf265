from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.logic.answers import ARN, NAME, NOW, after, answer, observed, report, transition
from tests.logic.nonsense import answers, nonsense
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.status.contents import build_status, difference, pruned_paths, without
from trainingjob_operator.logic.status.report import Report
from trainingjob_operator.logic.timestamps import parse_time

CRD = Path(__file__).parents[3] / "crds" / "sagemaker.services.k8s.aws_trainingjobs.yaml"
WHERE = {"arn": ARN, "ownerAccountID": "123456789012", "partition": "aws", "region": "us-west-2"}
REFUSED = Finding("Refused", "1 validation error detected: roleArn")
GONE = Finding("JobNotFound", "The job is gone.")
DENIED = Hindrance("AccessDenied", "The role may not call sagemaker:DescribeTrainingJob.")


def build(previous: dict[str, Any], learned: Report, seconds: int = 0) -> dict[str, Any]:
    return build_status(previous, learned, NOW + timedelta(seconds=seconds))


def held(status: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


def messages(status: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["message"] for condition in status["conditions"]}


def test_the_first_status_contains_the_arn_console_url_and_log_group() -> None:
    status = build({}, report())
    assert status["ackResourceMetadata"] == WHERE
    assert status["observedGeneration"] == 3
    assert status["consoleURL"].endswith(f"#/jobs/{NAME}")
    assert status["logs"]["streamPrefix"] == f"{NAME}/"
    assert status["trainingJobName"] == NAME
    assert (status["trainingJobStatus"], status["secondaryStatus"]) == ("InProgress", "Starting"), (
        "clients read these members without a check"
    )
    assert [one["reason"] for one in status["conditions"] if one["type"] == "Ready"] == ["Created"]
    assert difference(status, build(status, report(), seconds=60)) is None


def test_without_a_job_the_status_has_no_location() -> None:
    status = build({}, Report(generation=1, account="123456789012", region="us-west-2", partition="aws"))
    assert status.keys() == {"conditions", "observedGeneration", "phase"}


def test_account_and_region_recorded_by_ack_without_a_job_are_removed() -> None:
    refused_by_ack = {"ackResourceMetadata": {"ownerAccountID": "1", "region": "us-west-2", "partition": "aws"}}
    assert "ackResourceMetadata" not in build(refused_by_ack, Report(generation=1, terminal=REFUSED))


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso"])
def test_the_location_of_a_job_is_taken_from_its_arn(partition: str) -> None:
    arn = f"arn:{partition}:sagemaker:x-north-1:999999999999:training-job/j"
    status = build({"ackResourceMetadata": {**WHERE, "arn": arn}}, report(arn=None, region="elsewhere", account="1"))
    assert status["ackResourceMetadata"] == {
        "arn": arn,
        "ownerAccountID": "999999999999",
        "partition": partition,
        "region": "x-north-1",
    }
    assert ("consoleURL" in status) is (partition != "aws-iso")
    assert status["logs"]["group"] == "/aws/sagemaker/TrainingJobs"


@pytest.mark.parametrize(
    ("learned", "recorded", "expected"),
    [
        ({"account": "1", "region": "r", "partition": "aws"}, {}, ("1", "r", "aws")),
        ({}, {"ownerAccountID": "2", "region": "s", "partition": "aws-cn"}, ("2", "s", "aws-cn")),
        ({}, {}, ("", "", "")),
    ],
)
def test_an_arn_of_another_form_has_the_members_required_by_the_schema(
    learned: dict[str, Any], recorded: dict[str, str], expected: tuple[str, str, str]
) -> None:
    status = build({"ackResourceMetadata": recorded}, report(arn="odd", **learned))
    metadata = status["ackResourceMetadata"]
    assert (metadata["ownerAccountID"], metadata["region"], metadata["partition"]) == expected


def test_members_missing_in_a_report_are_kept() -> None:
    first = build(
        {},
        report(
            observed(SecondaryStatusTransitions=[transition("Training", 9)]),
            handled_request="2026-11-21T11:00:00Z",
            applied_tag_keys=("team", "cost"),
        ),
    )
    assert first["appliedTagKeys"] == ["cost", "team"]
    assert build(first, Report(generation=3), seconds=3600) == first


def test_new_applied_tags_and_handled_requests_replace_the_previous_ones() -> None:
    first = build({}, report(handled_request="one", applied_tag_keys=("team",)))
    second = build(first, report(handled_request="two", applied_tag_keys=()))
    assert second["lastHandledReconcileAt"] == "two"
    assert "appliedTagKeys" not in second


def test_a_stale_answer_does_not_move_the_status_backwards() -> None:
    ended = build({}, report(observed("Completed", "Completed", LastModifiedTime=after(100))))
    for stale in (observed(), observed("Deleting", LastModifiedTime=after(200)), observed("Completed", "Uploading")):
        assert build(ended, report(stale), seconds=60) == ended


def test_an_end_state_is_kept_after_later_errors() -> None:
    for end in ("Completed", "Failed", "Stopped"):
        status = build({}, report(observed(end, end)))
        later = status
        for trouble in ({"vanished": GONE}, {"terminal": REFUSED}, {"hindrance": DENIED}, {"deleting": True}):
            later = build(later, report(arn=None, **trouble), seconds=600)
            for name in ("Ready", "Complete", "Failed", "Finished", "Stalled"):
                assert held(later).get(name) == held(status).get(name)
                assert messages(later).get(name) == messages(status).get(name)
        recovered = build(later, report(), seconds=900)
        assert (held(recovered), messages(recovered)) == (held(status), messages(status))


def test_a_vanished_job_stays_vanished_after_restarts_and_errors() -> None:
    running = build({}, report(observed()))
    vanished = build(running, report(vanished=GONE))
    assert (held(vanished)["Failed"], messages(vanished)["Failed"]) == ("True", GONE.message)
    assert vanished["trainingJobStatus"] == "InProgress"
    assert build(vanished, report(), seconds=60) == vanished
    assert build(vanished, report(observed()), seconds=60) == vanished
    assert held(build(vanished, report(hindrance=DENIED)))["Failed"] == "True"


def test_a_job_with_a_later_change_has_not_vanished() -> None:
    vanished = build({}, report(observed(), vanished=GONE))
    assert "Failed" not in held(build(vanished, report(observed(LastModifiedTime=after(99)))))


def test_a_job_found_again_by_describe_has_not_vanished() -> None:
    vanished = build(build({}, report(observed())), report(vanished=GONE))
    assert held(vanished)["Failed"] == "True"
    assert "Failed" not in held(build(vanished, report(observed(), is_found=True)))


def test_a_later_run_of_the_same_name_does_not_restore_a_vanished_job() -> None:
    vanished = build(build({}, report(observed())), report(vanished=GONE))
    other = observed(CreationTime=after(900), LastModifiedTime=after(900))
    assert build(vanished, report(other), seconds=60) == vanished


def test_a_foreign_job_leaves_no_fields_in_the_status() -> None:
    recorded_by_ack = build({}, report(observed("Completed", "Completed"), handled_request="one"))
    clash = Finding("NameClash", f"The training job {ARN} exists already.", ARN)
    status = build(recorded_by_ack, Report(generation=3, terminal=clash, disowned=True))
    assert status.keys() == {
        "clashingJobARN",
        "conditions",
        "observedGeneration",
        "lastHandledReconcileAt",
        "outcome",
        "phase",
    }
    assert held(status) == {
        "ACK.Terminal": "True",
        "ACK.ResourceSynced": "False",
        "Ready": "False",
        "Stalled": "True",
        "Settled": "True",
    }


@pytest.mark.parametrize(
    ("learned", "phase"),
    [
        (Report(generation=1), "Pending"),
        (Report(generation=1, waiting=Finding("Waiting", "It is next.")), "Waiting"),
        (Report(generation=1, hindrance=DENIED), "AccessDenied"),
        (Report(generation=1, terminal=REFUSED), "Refused"),
        (Report(generation=1, terminal=Finding("NameClash", "It exists."), disowned=True), "NameClash"),
        (Report(generation=1, deleting=True), "Deleting"),
        (report(), "Created"),
        (report(observed()), "InProgress"),
        (report(observed(), hindrance=DENIED), "InProgress"),
        (report(observed(), vanished=GONE), "JobNotFound"),
        (report(observed("Stopping", "Stopping"), deleting=True), "Deleting"),
        (report(observed("Stopped", "Stopped"), deleting=True), "Stopped"),
        (report(observed("Completed"), vanished=GONE), "Completed"),
        (report(observed("OfTomorrow")), "OfTomorrow"),
    ],
)
def test_the_phase_summarizes_the_report(learned: Report, phase: str) -> None:
    assert build({}, learned)["phase"] == phase


@pytest.mark.parametrize(
    ("learned", "outcome"),
    [
        (report(observed("Completed", "Completed")), "Succeeded"),
        (report(observed("Completed", "Completed"), hindrance=DENIED), "Succeeded"),
        (report(observed("Completed"), vanished=GONE), "Succeeded"),
        (report(observed("Failed", "Failed")), "Failed"),
        (report(observed("Stopped", "MaxRuntimeExceeded")), "Stopped"),
        (report(observed(), vanished=GONE), "Lost"),
        (Report(generation=1, terminal=REFUSED), "Refused"),
        (Report(generation=1, terminal=Finding("NameClash", "It exists."), disowned=True), "Refused"),
        (Report(generation=1), None),
        (Report(generation=1, hindrance=DENIED), None),
        (report(observed()), None),
        (report(observed("Stopping", "Stopping")), None),
        (report(observed("OfTomorrow")), None),
    ],
)
def test_the_outcome_is_set_only_for_a_settled_object(learned: Report, outcome: str | None) -> None:
    assert build({}, learned).get("outcome") == outcome


def test_an_edit_that_reopens_a_refused_object_removes_its_outcome() -> None:
    refused = build({}, Report(generation=1, terminal=REFUSED))
    assert "outcome" not in build(refused, Report(generation=2))
    lost = build({}, report(observed(), vanished=GONE))
    assert build(lost, Report(generation=1))["outcome"] == "Lost"


@pytest.mark.parametrize(
    ("status", "seconds", "shown"),
    [
        ("Completed", 59, "59s"),
        ("Failed", 60, "1m0s"),
        ("Stopped", 90061, "25h1m1s"),
        ("Completed", 0, "0s"),
        ("Completed", -1, None),
        ("Completed", None, None),
        ("InProgress", 59, None),
    ],
)
def test_the_duration_is_set_after_the_end_of_the_training(status: str, seconds: int | None, shown: str | None) -> None:
    status_ = build({}, report(observed(status, status, TrainingTimeInSeconds=seconds)))
    assert status_.get("duration") == shown
    assert build(status_, report(), 60).get("duration") == shown


@pytest.mark.parametrize(
    ("resources", "shown"),
    [
        ({"InstanceType": "ml.m5.large"}, "ml.m5.large"),
        ({"InstanceGroups": [{"InstanceType": "ml.c5.large"}, {"InstanceType": "ml.p5.48xlarge"}]}, "ml.c5.large"),
        ({"InstancePreferences": [], "SelectedInstanceType": "ml.p5.48xlarge"}, "ml.p5.48xlarge"),
        ({"InstanceGroups": ["odd"]}, "ml.of-spec"),
        (None, "ml.of-spec"),
    ],
)
def test_the_instance_type_is_taken_from_the_job_or_the_spec(resources: Any, shown: str) -> None:
    learned = report(observed(ResourceConfig=resources), instance_type="ml.of-spec")
    status = build({}, learned)
    assert status["instanceType"] == shown
    assert build(status, report(instance_type="ml.edited"), 60)["instanceType"] == shown


def test_without_a_job_the_instance_type_follows_the_spec() -> None:
    status = build({}, Report(generation=1, instance_type="ml.m5.large"))
    assert build(status, Report(generation=2, instance_type="ml.m5.xlarge"))["instanceType"] == "ml.m5.xlarge"


WRITTEN_BY_ACK = {
    "creationTime": "2026-11-21T10:33:44Z",
    "lastModifiedTime": "2026-11-21T10:33:48Z",
    "modelArtifacts": {"s3ModelArtifacts": ""},
    "profilingStatus": "Disabled",
    "ackResourceMetadata": WHERE,
    "conditions": [
        {"type": "ACK.ResourceSynced", "status": "True", "lastTransitionTime": "2026-11-21T10:34:14Z"},
        {"type": "ACK.LateInitialized", "status": "True", "lastTransitionTime": "2026-11-21T10:34:14Z"},
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:34:14Z"},
        {"type": "ACK.Recoverable", "status": "True", "message": "TrainingJob is Stopping."},
    ],
}


@pytest.mark.parametrize(
    ("observed_by_ack", "ready", "terminal"),
    [
        ({"trainingJobStatus": "Failed", "failureReason": "AlgorithmError: exit code 1"}, "False", "True"),
        ({"trainingJobStatus": "Stopped", "secondaryStatus": "MaxRuntimeExceeded"}, "False", "True"),
        ({"trainingJobStatus": "Completed"}, "True", None),
        ({"trainingJobStatus": "Stopping"}, "False", None),
    ],
)
def test_a_status_of_ack_gets_the_conditions_without_a_call(
    observed_by_ack: dict[str, str], ready: str, terminal: str | None
) -> None:
    status = build({**WRITTEN_BY_ACK, **observed_by_ack}, report(job_name=NAME))
    assert (held(status)["Ready"], held(status).get("ACK.Terminal")) == (ready, terminal)
    assert "ACK.LateInitialized" not in held(status)
    assert {name: status[name] for name in observed_by_ack} == observed_by_ack
    assert status["creationTime"] == "2026-11-21T10:33:44Z"
    if ready == "True":
        assert status["conditions"][1]["lastTransitionTime"] == "2026-11-21T10:34:14Z"


@pytest.mark.parametrize(
    ("current", "wanted", "patch"),
    [
        pytest.param({}, {}, None, id="empty"),
        pytest.param({"a": 1, "b": [1.0]}, {"a": 1, "b": [1]}, None, id="equal"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="changed"),
        pytest.param({"a": 1}, {}, {"a": None}, id="gone"),
        pytest.param({}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="new"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}, id="changed inside"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}, id="removed inside"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 1}}, None, id="equal inside"),
        pytest.param({"a": [1, 2]}, {"a": [2]}, {"a": [2]}, id="lists are replaced"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="another type"),
        pytest.param({"a": None}, {}, {"a": None}, id="an explicit null"),
    ],
)
def test_the_difference_is_a_merge_patch(
    current: dict[str, Any], wanted: dict[str, Any], patch: dict[str, Any] | None
) -> None:
    assert difference(current, wanted) == patch


def test_fields_pruned_by_the_api_server_are_not_sent_again() -> None:
    wanted = build({}, report(observed(SecondaryStatusTransitions=[transition("Training", 9, message="now")])))
    stored = {name: value for name, value in wanted.items() if name not in ("logs", "consoleURL")}
    stored["ackResourceMetadata"] = {name: value for name, value in WHERE.items() if name != "partition"}
    stored["secondaryStatusTransitions"] = [{"status": "Training", "startTime": "2026-11-21T10:33:53.120Z"}]
    pruned = pruned_paths(wanted, stored)
    assert pruned == {
        "logs",
        "consoleURL",
        "ackResourceMetadata.partition",
        "secondaryStatusTransitions[].statusMessage",
    }
    assert without(wanted, pruned) == stored
    assert difference(stored, without(wanted, pruned)) is None


def test_only_exact_pruned_paths_are_removed() -> None:
    wanted = {"logs": {"url": 1}, "logsURL": 2, "list": [1], "plain": 3}
    assert without(wanted, {"logs.group", "list[].a", "list.b", "logs[]", "plain.x", "other"}) == wanted
    assert pruned_paths(wanted, wanted) == frozenset()


@given(status=nonsense, pruned=st.sets(st.sampled_from(["x", "x.x", "x[].x", "x[][]", "x.trainingJobStatus[]"])))
def test_pruning_accepts_any_status(status: object, pruned: set[str]) -> None:
    cut = without({"x": status}, pruned)
    assert pruned_paths({"x": status}, cut) <= pruned


reports = st.builds(
    Report,
    generation=st.integers(0, 2**31),
    arn=st.none() | st.just(ARN) | st.text(max_size=10),
    job_name=st.none() | st.just(NAME),
    observation=st.none()
    | (nonsense | answers()).map(Observation.from_describe)
    | answers().map(Observation.from_summary),
    terminal=st.none() | st.builds(Finding, st.text(), st.text()),
    vanished=st.none() | st.just(GONE),
    hindrance=st.none() | st.builds(Hindrance, st.text(), st.text(), st.booleans()),
    waiting=st.none() | st.builds(Finding, st.text(), st.text()),
    advisories=st.lists(st.builds(Finding, st.text(), st.text()), max_size=2).map(tuple),
    pending_edit=st.none() | st.builds(Finding, st.text(), st.text()),
    adopted=st.booleans(),
    handled_request=st.none() | st.text(max_size=5),
    applied_tag_keys=st.none() | st.lists(st.text(max_size=3), max_size=2).map(tuple),
    deleting=st.booleans(),
    disowned=st.booleans(),
)
statuses = st.dictionaries(
    st.sampled_from(["conditions", "ackResourceMetadata", "logs", "appliedTagKeys", "lastModifiedTime"]) | st.text(),
    nonsense,
    max_size=4,
)


@example(
    previous={}, learned=Report(generation=0, arn=ARN, observation=Observation({"secondaryStatus": ""}, whole=False))
)
@given(previous=statuses, learned=reports)
def test_any_report_on_any_status_is_idempotent(previous: dict[str, Any], learned: Report) -> None:
    wanted = build(previous, learned)
    patch = difference(previous, wanted)
    stored = as_stored(merge(previous, patch or {}))
    assert stored == as_stored(wanted)
    assert conforms(STATUS_SCHEMA, stored) == []
    assert difference(stored, build(stored, learned, seconds=3600)) is None


def merge(current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Result of a JSON merge patch (RFC 7386)."""
    merged = dict(current)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            present = merged.get(name)
            merged[name] = merge(present if isinstance(present, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def as_stored(status: dict[str, Any]) -> dict[str, Any]:
    """Status after a round trip through JSON in UTF-8."""
    text = json.dumps(status, allow_nan=False, ensure_ascii=False).encode()
    stored: dict[str, Any] = json.loads(text)
    return stored


STATUS_SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
    "status"
]
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def conforms(schema: dict[str, Any], value: Any, path: str = "status") -> list[str]:
    """Paths of a value that violate a structural schema."""
    if not isinstance(value, TYPES[schema["type"]]):
        return [f"{path} is no {schema['type']}"]
    if isinstance(value, list):
        return [fault for item in value for fault in conforms(schema["items"], item, f"{path}[]")]
    if isinstance(value, dict):
        known = schema["properties"]
        return [
            *(f"{path}.{name} is unknown" for name in value.keys() - known.keys()),
            *(f"{path}.{name} is missing" for name in set(schema.get("required", [])) - value.keys()),
            *(
                fault
                for name in known.keys() & value.keys()
                for fault in conforms(known[name], value[name], f"{path}.{name}")
            ),
        ]
    if schema.get("format") == "date-time" and parse_time(value) is None:
        return [f"{path} is no point in time"]
    return []


def test_the_status_of_a_complete_answer_conforms_to_the_crd() -> None:
    everything = build({}, report(Observation.from_describe(answer()), handled_request="x", applied_tag_keys=("k",)))
    assert conforms(STATUS_SCHEMA, everything) == []
    assert conforms(STATUS_SCHEMA, {"trainingJobStatus": 1, "novel": 2}) == [
        "status.novel is unknown",
        "status.trainingJobStatus is no string",
    ]
