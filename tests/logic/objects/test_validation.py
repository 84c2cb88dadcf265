"""Validation of a spec under a CRD without rules; tests/crds/test_validation.py compares it with the CRD."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.crds.conftest import EVERY_FIELD
from tests.crds.paths import put, take_out
from tests.logic.builders import SPEC
from trainingjob_operator.logic.naming import MAX_USER_TAGS
from trainingjob_operator.logic.objects.validation import MAX_PROBLEMS, check_request, find_problem

ABSENT = object()
STOPPING, ALGORITHM, RESOURCES = "stoppingCondition", "algorithmSpecification", "resourceConfig"

PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"roleARN": 1}, "spec.roleARN must be a string, not an integer"),
    ({"roleARN": ABSENT}, "spec.roleARN is required."),
    ({"roleARN": "short"}, "spec.roleARN must have at least 20 characters."),
    ({"trainingJobName": "a_b"}, "spec.trainingJobName must match ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$."),
    ({f"{ALGORITHM}.trainingInputMode": "Stream"}, f"spec.{ALGORITHM}.trainingInputMode must be one of "),
    ({f"{ALGORITHM}.metricDefinitions[0].regex": ABSENT}, f"spec.{ALGORITHM}.metricDefinitions[0].regex is required."),
    ({"inputDataConfig[0].channelName": ABSENT}, "spec.inputDataConfig[0].channelName is required."),
    ({"inputDataConfig": []}, "spec.inputDataConfig must have at least 1 items."),
    ({f"{RESOURCES}.keepAlivePeriodInSeconds": 21601}, f"spec.{RESOURCES}.keepAlivePeriodInSeconds must be at most 21"),
    ({f"{STOPPING}.maxRuntimeInSeconds": 0}, f"spec.{STOPPING}.maxRuntimeInSeconds must be at least 1."),
    ({"environment": {"A-B": "secret"}}, "a key of spec.environment must match ^[a-zA-Z_][a-zA-Z0-9_]*$."),
    ({"environment": {"A": "secret" * 100}}, "a value of spec.environment must have at most 512 characters."),
    ({"environment": {f"A{n}": "" for n in range(101)}}, "spec.environment must have at most 100 entries."),
    ({"tags[0].key": ABSENT}, "spec.tags[0].key is required."),
    ({"tags[1].key": "cost centre/Größe"}, "spec.tags[1].key repeats spec.tags[0].key."),
    (
        {"tags": [{"key": f"{n}"} for n in range(MAX_USER_TAGS + 1)]},
        f"spec.tags must have at most {MAX_USER_TAGS} items.",
    ),
    ({"tags[0].key": "services.k8s.aws/namespace"}, "(reserved by AWS): services.k8s.aws/namespace."),
    ({"tags[0].key": "AWS:team"}, "(reserved by AWS): AWS:team."),
    ({f"{STOPPING}.maxWaitTimeInSeconds": ABSENT}, "spec.enableManagedSpotTraining requires stoppingCondition.maxWait"),
    ({"enableManagedSpotTraining": False}, "maxWaitTimeInSeconds requires enableManagedSpotTraining: true."),
    ({f"{STOPPING}.maxWaitTimeInSeconds": 3599}, "maxWaitTimeInSeconds must not be less than"),
    ({f"{ALGORITHM}.trainingImage": "image"}, "takes either trainingImage or algorithmName, not both."),
    ({f"{ALGORITHM}.algorithmName": ABSENT, "serverlessJobConfig": ABSENT}, "requires trainingImage or algorithmName."),
    ({f"{RESOURCES}.instanceCount": 0, f"{RESOURCES}.instanceGroups": ABSENT}, "instanceCount must be at least 1."),
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Example with every field, after these changes."""
    spec: dict[str, Any] = copy.deepcopy(EVERY_FIELD["spec"])
    for path, value in changes.items():
        if value is ABSENT:
            take_out(spec, path)
        else:
            put(spec, path, value)
    return spec


@pytest.mark.parametrize(("changes", "problem"), PROBLEMS, ids=[problem for _, problem in PROBLEMS])
def test_an_error_is_reported_with_the_path_in_the_spec(changes: dict[str, Any], problem: str) -> None:
    assert problem in str(find_problem(changed(changes)))


def test_a_message_contains_no_value() -> None:
    spec = changed({"environment": {"A-B": "secret" * 100}, "hyperParameters": {"secret" * 100: "secret" * 1000}})
    assert "secret" not in str(find_problem(spec))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tags[0].value": ABSENT},
        {f"{RESOURCES}.instanceCount": 0},
        {f"{RESOURCES}.volumeSizeInGB": 0},
        {"enableManagedSpotTraining": ABSENT, f"{STOPPING}.maxWaitTimeInSeconds": ABSENT},
    ],
)
def test_values_accepted_by_the_api_are_valid(changes: dict[str, Any]) -> None:
    assert find_problem(changed(changes)) is None


def test_a_message_about_many_errors_contains_their_number() -> None:
    many: dict[str, Any] = {"tags": [{}] * (MAX_PROBLEMS + 2)}
    assert str(find_problem({**SPEC, **many})).endswith("is required; and 2 more.")
    assert str(find_problem({**SPEC, **many})).count(" is required") == MAX_PROBLEMS


def test_an_invalid_request_is_reported_as_a_finding() -> None:
    assert check_request(SPEC) is None
    found = check_request({**SPEC, "stoppingCondition": {"maxRuntimeInSeconds": 0}})
    assert found is not None
    assert found.reason == "InvalidSpec"
    assert "maxRuntimeInSeconds" in found.message
