"""Mapping of spec to request and of Describe to status, and drift: tables, and properties over every valid spec."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.crds.conftest import EVERY_FIELD
from tests.crds.installation import OURS, REPOSITORY
from tests.crds.paths import put, take_out
from trainingjob_operator.logic.objects.field_table import SPEC
from trainingjob_operator.logic.objects.fields import (
    UPDATABLE,
    InvalidSpec,
    differences,
    to_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
ALL: dict[str, Any] = EVERY_FIELD["spec"]
GOLDEN = REPOSITORY / "tests/data/every-field.request.json"


@cache
def operation(name: str) -> Any:
    """botocore's model of an operation of SageMaker."""
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker").operation_model(name)


def complaints(request: dict[str, Any]) -> list[str]:
    """Validation errors of botocore, except for missing members: SageMaker decides about required members."""
    report: str = ParamValidator().validate(request, operation("CreateTrainingJob").input_shape).generate_report()
    return [line for line in report.splitlines() if not line.startswith("Missing required parameter")]


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """Answer of DescribeTrainingJob for a job of this request, with SageMaker's additions."""
    members = copy.deepcopy({name: value for name, value in request.items() if name in DESCRIBED})
    algorithm = members.setdefault("AlgorithmSpecification", {})
    algorithm["MetricDefinitions"] = [{"Name": "built-in", "Regex": "x"}, *algorithm.get("MetricDefinitions", [])]
    members.setdefault("OutputDataConfig", {}).setdefault("KmsKeyId", "")
    for group in members.get("VpcConfig", {}).values():
        group.reverse()
    return {
        "EnableNetworkIsolation": False,
        "EnableManagedSpotTraining": False,
        "ProfilingStatus": "Disabled",
        "TrainingJobArn": "arn:aws:sagemaker:us-west-2:123456789012:training-job/x",
        **members,
    }


DESCRIBED = operation("DescribeTrainingJob").output_shape.members.keys()
"""Members in the answer of DescribeTrainingJob."""


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Every value valid under a schema."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(st.text(min_size=1, max_size=5), values(schema["additionalProperties"]), max_size=3)
        case "object":
            parts = {name: values(part) for name, part in schema["properties"].items()}
            required = {name: parts.pop(name) for name in schema.get("required", ())}
            return st.fixed_dictionaries(required, optional=parts)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
        case "boolean":
            return st.booleans()
    if (pattern := schema.get("pattern", "^.*$")) in {"^.*$", "^.+$"}:
        return st.text(st.characters(exclude_characters="\n"), min_size=schema.get("minLength", 0), max_size=20)
    # Python has no \p{...}; characters beyond ASCII do not matter for the mapping
    ascii_pattern = re.sub(r"\\p\{L\}", "a-zA-Z", pattern).replace(r"\p{Z}", " ").replace(r"\p{N}", "0-9")
    low, high = schema.get("minLength", 0), schema["maxLength"]
    return st.from_regex(re.compile(ascii_pattern, re.ASCII), fullmatch=True).filter(
        lambda text: low <= len(text) <= high
    )


def leaves(value: Any) -> Iterator[Any]:
    """Every scalar in order."""
    match value:
        case dict():
            for part in value.values():
                yield from leaves(part)
        case list():
            for part in value:
                yield from leaves(part)
        case _:
            yield value


SPECS = values(SCHEMA)
SLOWLY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.no_cover
@SLOWLY
@given(spec=SPECS)
def test_every_valid_spec_becomes_a_request_accepted_by_botocore(spec: dict[str, Any]) -> None:
    assert complaints(to_request(spec)) == []


@pytest.mark.no_cover
@SLOWLY
@given(spec=SPECS)
def test_a_job_created_from_a_spec_has_no_drift(spec: dict[str, Any]) -> None:
    assert differences(spec, describe(to_request(spec))) == ()


@pytest.mark.no_cover
@SLOWLY
@given(spec=SPECS)
def test_a_request_has_every_value_of_the_spec_in_order(spec: dict[str, Any]) -> None:
    assert list(leaves(to_request(spec))) == list(leaves(spec))


def test_every_field_is_mapped_to_its_member_alone() -> None:
    assert to_request(ALL) == json.loads(GOLDEN.read_text())


def test_an_empty_spec_has_an_empty_request() -> None:
    assert to_request({}) == {}


MISTAKES: list[tuple[str, Any, str]] = [
    ("roleARN", 1, "spec.roleARN must be a string, not an integer"),
    ("roleARN", None, "spec.roleARN must be a string, not null"),
    ("resourceConfig.instanceCount", "2", "spec.resourceConfig.instanceCount must be an integer, not a string"),
    ("resourceConfig.instanceCount", True, "spec.resourceConfig.instanceCount must be an integer, not a boolean"),
    ("resourceConfig.instanceCount", 1.5, "spec.resourceConfig.instanceCount must be an integer, not a number"),
    ("enableNetworkIsolation", "true", "spec.enableNetworkIsolation must be true or false, not a string"),
    ("resourceConfig", [], "spec.resourceConfig must be an object, not a list"),
    ("vpcConfig.subnets", {}, "spec.vpcConfig.subnets must be a list, not an object"),
    ("vpcConfig.subnets[1]", 7, "spec.vpcConfig.subnets[1] must be a string, not an integer"),
    ("environment", "A=b", "spec.environment must be a map, not a string"),
    (
        "inputDataConfig[0].secret",
        "x",
        ("spec.inputDataConfig[0] has fields unknown to CreateTrainingJob: secret; correct their names or remove them"),
    ),
    (
        "resourceConfig.selectedInstanceType",
        "ml.m5.large",
        (
            "spec.resourceConfig has fields unknown to CreateTrainingJob: selectedInstanceType; "
            "correct their names or remove them"
        ),
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES, ids=[path for path, _, _ in MISTAKES])
def test_invalid_values_are_reported_with_path_and_remedy(path: str, value: Any, message: str) -> None:
    spec = copy.deepcopy(ALL)
    put(spec, path, value)

    with pytest.raises(InvalidSpec) as refusal:
        to_request(spec)

    assert str(refusal.value) == message


@pytest.mark.parametrize("value", [{"PASSWORD": 1234}, {1234: "PASSWORD"}, {"PASSWORD": None}])
def test_an_invalid_environment_is_reported_without_its_values(value: Any) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        to_request({"environment": value})

    assert str(refusal.value) == "spec.environment maps strings to strings; put its numbers and booleans in quotes"


def test_a_spec_of_another_type_than_object_is_reported() -> None:
    with pytest.raises(InvalidSpec, match="spec must be an object, not a list"):
        differences([], {})  # type: ignore[arg-type]  # possible under a CRD without a schema


CHANGES: list[tuple[str, Any]] = [
    ("trainingJobName", "another"),
    ("resourceConfig.instanceType", "ml.m5.large"),
    ("resourceConfig.instanceCount", 0),
    ("enableNetworkIsolation", False),
    ("outputDataConfig.kmsKeyID", ""),
    ("outputDataConfig.compressionType", "GZIP"),
    ("hyperParameters", {"eta": "0.2"}),
    ("environment", {}),
    ("inputDataConfig[0].contentType", "text/plain"),
    ("inputDataConfig[0].dataSource.s3DataSource.attributeNames", ["another"]),
    ("inputDataConfig", []),
    ("inputDataConfig", [{}, {}]),
    ("algorithmSpecification.metricDefinitions", [{"name": "a", "regex": "b"}]),
    ("algorithmSpecification.containerArguments", ["3", "--epochs"]),
    ("vpcConfig.subnets", ["subnet-0123456789abcdef0"]),
    ("profilerRuleConfigurations[0].volumeSizeInGB", 11),
]


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{path} {value}" for path, value in CHANGES])
def test_drift_is_reported_by_path(path: str, value: Any) -> None:
    spec = copy.deepcopy(ALL)
    put(spec, path, value)

    assert differences(spec, describe(to_request(ALL))) == (path,)


def test_several_drifts_are_reported_in_order() -> None:
    spec = {**ALL, "roleARN": "another", "environment": {"A": "b"}}

    assert differences(spec, describe(to_request(ALL))) == ("environment", "roleARN")


@pytest.mark.parametrize("name", ALL)
def test_fields_missing_in_the_spec_are_not_compared(name: str) -> None:
    spec = copy.deepcopy(ALL)
    take_out(spec, name)

    assert differences(spec, describe(to_request(ALL))) == ()


SAYS_NOTHING = [
    ("outputDataConfig.kmsKeyID", ""),
    ("outputDataConfig.compressionType", "GZIP"),
    ("enableManagedSpotTraining", False),
    ("algorithmSpecification.enableSageMakerMetricsTimeSeries", False),
    ("resourceConfig.instanceCount", 0),
    ("resourceConfig.instanceGroups", []),
    ("inputDataConfig", []),
    ("environment", {}),
    ("vpcConfig", {}),
    ("debugRuleConfigurations[0].volumeSizeInGB", 0),
    ("inputDataConfig[0].recordWrapperType", "None"),
    ("inputDataConfig[0].compressionType", "None"),
    ("inputDataConfig[0].dataSource.s3DataSource.s3DataDistributionType", "FullyReplicated"),
]


@pytest.mark.parametrize(("path", "value"), SAYS_NOTHING, ids=[path for path, _ in SAYS_NOTHING])
def test_an_explicit_default_equals_a_member_missing_in_describe(path: str, value: Any) -> None:
    spec, without = copy.deepcopy(ALL), copy.deepcopy(ALL)
    put(spec, path, value)
    take_out(without, path)

    assert differences(spec, to_request(without)) == ()


@pytest.mark.parametrize("path", ["roleARN", "inputDataConfig", "environment", "inputDataConfig[0].recordWrapperType"])
def test_a_value_missing_in_describe_is_drift(path: str) -> None:
    without = copy.deepcopy(ALL)
    take_out(without, path)

    assert differences(ALL, to_request(without)) == (path,)


def test_tags_are_never_compared() -> None:
    assert differences({"tags": [{"key": "a", "value": "b"}]}, {"Tags": []}) == ()


def test_updatable_fields_are_the_members_of_update_training_job() -> None:
    taken = operation("UpdateTrainingJob").input_shape.members
    names = {name: member for name, (member, _) in SPEC.items()}

    tops = {names[path.partition(".")[0]] for path in UPDATABLE}

    assert tops == taken.keys() - {"TrainingJobName"}
    assert list(taken["ResourceConfig"].members) == ["KeepAlivePeriodInSeconds"]
