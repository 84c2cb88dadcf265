"""Validation of a new spec by the API server: every bound, pattern, enum and type, and the rules on keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.conftest import EVERY_FIELD, RefusedError, TrainingJobs
from tests.crds.installation import OURS
from tests.crds.paths import put, take_out, value_at
from trainingjob_operator.logic.naming import MAX_TAGS, Owner, compose_tags
from trainingjob_operator.logic.objects.validation import find_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC: dict[str, Any] = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
    "properties"
]["spec"]
WRONG_TYPES = {"string": 1, "integer": "1", "boolean": "true", "object": "text", "array": {}}

Violation = tuple[Callable[[Any, Any], Any], str]

VIOLATIONS: dict[str, Violation] = {
    "type": (lambda _, kind: WRONG_TYPES[kind], "must be of type"),
    "enum": (lambda _, __: "Unheard-of", "Unsupported value"),
    "pattern": (lambda value, _: f"{value}\n", "should match"),
    "minLength": (lambda _, low: "a" * (low - 1), "should be at least"),
    "maxLength": (lambda _, high: "a" * (high + 1), "Too long"),
    "minimum": (lambda _, low: low - 1, "should be greater than or equal to"),
    "maximum": (lambda _, high: high + 1, "should be less than or equal to"),
    "minItems": (lambda _, __: [], "should have at least"),
    "maxItems": (lambda value, high: [value[0]] * (high + 1), "Too many"),
    "minProperties": (lambda _, __: {}, "should have at least"),
    "maxProperties": (lambda value, high: {f"key{n}": next(iter(value.values())) for n in range(high + 1)}, "Too many"),
}
"""By keyword: an invalid value from the example's value and the bound, and the API server's message."""


def constraints(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str, Any]]:
    """Every keyword with a constraint, as (path in the example, keyword, bound)."""
    yield from ((path, keyword, schema[keyword]) for keyword in VIOLATIONS if keyword in schema)
    for name, part in schema.get("properties", {}).items():
        yield from constraints(part, f"{path}.{name}")
    if "items" in schema:
        yield from constraints(schema["items"], f"{path}[0]")
    if "additionalProperties" in schema:
        yield from constraints(schema["additionalProperties"], f"{path}.{next(iter(value_at(EVERY_FIELD, path)))}")


CONSTRAINTS = list(constraints(SPEC, "spec"))


def test_an_object_with_every_field_is_accepted(dry_jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    taken = dry_jobs.create(every_field, dry_run=True)

    assert taken["spec"] == every_field["spec"], "no field is pruned or defaulted"


@pytest.mark.parametrize(
    ("path", "keyword", "bound"), CONSTRAINTS, ids=[f"{path} {keyword}" for path, keyword, _ in CONSTRAINTS]
)
def test_a_value_outside_a_constraint_is_rejected_with_its_path(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], path: str, keyword: str, bound: Any
) -> None:
    break_it, complaint = VIOLATIONS[keyword]
    put(every_field, path, break_it(value_at(every_field, path), bound))

    with pytest.raises(RefusedError) as refusal:
        dry_jobs.create(every_field, dry_run=True)

    assert path in str(refusal.value)
    assert complaint in str(refusal.value)
    assert path.rpartition(".")[0] in str(find_problem(every_field["spec"])), "also under ACK's CRD"


def numbered(item: Any, number: int) -> Any:
    """Copy of a list item with unique values in the keys of the list."""
    names = ("key", "channelName", "ruleConfigurationName", "instanceType")
    return {**item, **{name: f"{number}" for name in names if name in item}} if isinstance(item, dict) else item


@pytest.mark.parametrize("keywords", [("minimum", "minItems"), ("maximum", "maxItems")])
def test_values_at_their_bounds_are_accepted(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], keywords: tuple[str, str]
) -> None:
    number, length = keywords
    for path, keyword, bound in CONSTRAINTS:
        if keyword == number:
            put(every_field, path, bound)
    for path, keyword, bound in reversed(CONSTRAINTS):  # inner lists first, as parts of the outer ones
        if keyword == length:
            put(every_field, path, [numbered(value_at(every_field, path)[0], n) for n in range(bound)])

    assert dry_jobs.create(every_field, dry_run=True)["spec"] == every_field["spec"]
    assert find_problem(every_field["spec"]) is None


def required(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Every required field, as its path in the example."""
    yield from (f"{path}.{name}" for name in schema.get("required", ()))
    for name, part in schema.get("properties", {}).items():
        yield from required(part, f"{path}.{name}")
    if "items" in schema:
        yield from required(schema["items"], f"{path}[0]")


@pytest.mark.parametrize("path", list(required(SPEC, "spec")))
def test_a_spec_without_a_required_field_is_rejected(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], path: str
) -> None:
    take_out(every_field, path)

    with pytest.raises(RefusedError, match=rf"{re.escape(path)}: Required value"):
        dry_jobs.create(every_field, dry_run=True)
    assert f"{path} is required" in str(find_problem(every_field["spec"]))


LISTS = ["tags", "inputDataConfig", "debugRuleConfigurations", "profilerRuleConfigurations"]
LISTS += ["resourceConfig.instancePreferences"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_rejects_duplicate_names(dry_jobs: TrainingJobs, every_field: dict[str, Any], name: str) -> None:
    path = f"spec.{name}"
    item = value_at(every_field, path)[0]
    put(every_field, path, [item, numbered(item, 2)])
    dry_jobs.create(every_field, dry_run=True)
    assert find_problem(every_field["spec"]) is None

    put(every_field, path, [item, numbered(item, 2), item])
    with pytest.raises(RefusedError, match=rf"{re.escape(path)}: Forbidden: each \w+ may appear only once"):
        dry_jobs.create(every_field, dry_run=True)
    assert f"{path}[2]." in str(find_problem(every_field["spec"]))


STOPPING, ALGORITHM, RESOURCES = "spec.stoppingCondition", "spec.algorithmSpecification", "spec.resourceConfig"
WAIT, SPOT = f"{STOPPING}.maxWaitTimeInSeconds", "spec.enableManagedSpotTraining"
ABSENT = object()

CONFLICTS: list[tuple[dict[str, Any], str | None]] = [
    ({WAIT: ABSENT}, f"{SPOT[5:]} requires {WAIT[5:]}"),
    ({SPOT: ABSENT}, f"{WAIT[5:]} requires {SPOT[5:]}: true"),
    ({SPOT: False}, f"{WAIT[5:]} requires {SPOT[5:]}: true"),
    ({SPOT: False, WAIT: ABSENT}, None),
    ({SPOT: ABSENT, WAIT: ABSENT}, None),
    ({STOPPING: {}, SPOT: ABSENT}, None),
    ({WAIT: 3599}, f"{WAIT[5:]} must not be less than stoppingCondition.maxRuntimeInSeconds"),
    ({WAIT: 3600}, None),
    ({f"{STOPPING}.maxRuntimeInSeconds": ABSENT, WAIT: 1}, None),
    ({f"{ALGORITHM}.trainingImage": "image"}, "either trainingImage or algorithmName, not both"),
    ({f"{ALGORITHM}.trainingImage": "image", f"{ALGORITHM}.algorithmName": ABSENT}, None),
    ({f"{ALGORITHM}.trainingImage": ABSENT}, None),
    ({f"{ALGORITHM}.algorithmName": ABSENT}, None),
    (
        {f"{ALGORITHM}.algorithmName": ABSENT, "spec.serverlessJobConfig": ABSENT},
        "requires trainingImage or algorithmName",
    ),
    (
        {f"{RESOURCES}.instanceCount": 0, f"{RESOURCES}.instanceGroups": ABSENT},
        "resourceConfig.instanceCount must be at least 1",
    ),
    ({f"{RESOURCES}.instanceCount": 0}, None),
    ({RESOURCES: {}}, None),
]
"""Changes of the example, and the message about them."""


@pytest.mark.parametrize(("changes", "complaint"), CONFLICTS)
def test_rules_between_fields_reject_conflicting_values(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], changes: dict[str, Any], complaint: str | None
) -> None:
    for path, value in changes.items():
        if value is ABSENT:
            take_out(every_field, path)
        else:
            put(every_field, path, value)

    if complaint is None:
        dry_jobs.create(every_field, dry_run=True)
        assert find_problem(every_field["spec"]) is None
    else:
        with pytest.raises(RefusedError, match=re.escape(complaint)) as refusal:
            dry_jobs.create(every_field, dry_run=True)
        assert "spec: Forbidden: " in str(refusal.value)
        assert complaint in str(find_problem(every_field["spec"]))


def test_every_conflict_of_a_spec_is_reported_at_once(dry_jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    take_out(every_field, WAIT)
    put(every_field, f"{ALGORITHM}.trainingImage", "image")

    with pytest.raises(RefusedError, match=r"requires stoppingCondition.*; algorithmSpecification takes either"):
        dry_jobs.create(every_field, dry_run=True)


def test_the_operators_tags_and_the_maximum_of_user_tags_are_within_the_limit() -> None:
    user = [(f"key-{number}", "") for number in range(SPEC["properties"]["tags"]["maxItems"])]

    tags = compose_tags(user, {"default": "first to go"}, Owner("cluster", "namespace", "name", "uid"))

    assert len(tags) == MAX_TAGS
    assert "default" not in {tag["Key"] for tag in tags}


def test_an_object_without_spec_is_accepted_for_adoption(dry_jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    del every_field["spec"]

    assert dry_jobs.create(every_field, dry_run=True)["kind"] == "TrainingJob"


TAKEN = [
    ("spec.trainingJobName", ["a", "a--1", "1" * 63]),
    ("spec.roleARN", ["arn:aws:iam::123456789012:role/r", "arn:aws-iso-b:iam::123456789012:role/a/b/c_d+e=f,g.h@i"]),
    ("spec.algorithmSpecification.algorithmName", ["my-algorithm", "a" * 63, "a"]),
    ("spec.algorithmSpecification.trainingImage", ["img", "host:5000/name@sha256:0123"]),
    ("spec.algorithmSpecification.metricDefinitions[0].regex", ["loss: (.*?);", "größe=([0-9]+)"]),
    ("spec.inputDataConfig[0].channelName", ["train", "a.b-c_1"]),
    ("spec.inputDataConfig[0].dataSource.s3DataSource.s3URI", ["s3://b", "s3://b/", "s3://b/a b/ü*", "https://h/k"]),
    ("spec.inputDataConfig[0].dataSource.s3DataSource.s3DataType", ["Converse", "OfTomorrow"]),
    ("spec.inputDataConfig[0].dataSource.fileSystemDataSource.fileSystemID", ["fs-01234567"]),
    ("spec.outputDataConfig.kmsKeyID", ["", "alias/key", "1234abcd-12ab-34cd-56ef-1234567890ab"]),
    ("spec.resourceConfig.instanceType", ["ml.m5.large", "ml.of-tomorrow.1024xlarge"]),
    ("spec.resourceConfig.volumeKMSKeyID", ["", "arn:aws:kms:eu-west-1:123456789012:key/mrk_1"]),
    ("spec.environment", [{}, {"_": "", "A1": "x" * 512}, {f"KEY_{n}": "v" for n in range(100)}]),
    ("spec.hyperParameters", [{}, {"": ""}, {"any key, \t": "x" * 2500}, {f"key {n}": "v" for n in range(100)}]),
    ("spec.tags", [[], [{"key": "app.kubernetes.io/managed-by", "value": "x"}], [{"key": "services", "value": "x"}]]),
    ("spec.tags[0].key", ["awsome", "a:b/c=d+e-f@g", "größe 一"]),
    ("spec.serverlessJobConfig.sequenceLength", ["1K", "1024K"]),
]

REFUSED = [
    ("spec.trainingJobName", ["-a", "a-", "a_b", "a.b", "1" * 64], "spec.trainingJobName"),
    (
        "spec.roleARN",
        [
            "arn:aws:iam::12345678901:role/r",
            "arn:aws:iam::123456789012:user/somebody",
            "x-arn:aws:iam::123456789012:role/r",
        ],
        "should match",
    ),
    ("spec.algorithmSpecification.algorithmName", ["my-algorithm-", "a" * 64, "a_b"], "should match"),
    ("spec.algorithmSpecification.trainingInputMode", ["file", ""], "Unsupported value"),
    ("spec.algorithmSpecification.metricDefinitions[0].regex", ["two\nlines"], "should match"),
    ("spec.inputDataConfig[0].channelName", ["a b", "a/b"], "should match"),
    (
        "spec.inputDataConfig[0].dataSource.s3DataSource.s3URI",
        ["bucket/key", "s3:/b", "s3://", "x s3://b"],
        "should match",
    ),
    ("spec.inputDataConfig[0].dataSource.fileSystemDataSource.fileSystemID", ["fs-0123456X"], "should match"),
    ("spec.outputDataConfig.kmsKeyID", ["alias/a b"], "should match"),
    ("spec.environment", [{"A-B": ""}, {"1A": ""}, {"": ""}, {"A" * 513: ""}], "spec.environment"),
    ("spec.hyperParameters", [{"x" * 257: ""}], "a key has 0 to 256 characters"),
    ("spec.profilerConfig.profilingParameters", [{"": ""}, {"x" * 257: ""}], "a key has 1 to 256 characters"),
    (
        "spec.tags",
        [
            [{"key": "services.k8s.aws/namespace", "value": "x"}],
            [{"key": "team", "value": "x"}, {"key": "aws:cloudformation:stack-name", "value": "x"}],
            [{"key": "AWS:x", "value": "x"}],
        ],
        "choose another prefix",
    ),
    ("spec.serverlessJobConfig.sequenceLength", ["K", "1k"], "should match"),
]


@pytest.mark.parametrize(("path", "values"), TAKEN, ids=[path for path, _ in TAKEN])
def test_real_values_are_accepted(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], path: str, values: list[Any]
) -> None:
    for value in values:
        put(every_field, path, value)
        if path.endswith("trainingImage"):
            take_out(every_field, f"{ALGORITHM}.algorithmName")

        assert value_at(dry_jobs.create(every_field, dry_run=True), path) == value
        assert find_problem(every_field["spec"]) is None


@pytest.mark.parametrize(("path", "values", "complaint"), REFUSED, ids=[path for path, _, _ in REFUSED])
def test_plausible_mistakes_are_rejected_with_their_path(
    dry_jobs: TrainingJobs, every_field: dict[str, Any], path: str, values: list[Any], complaint: str
) -> None:
    for value in values:
        put(every_field, path, value)

        with pytest.raises(RefusedError) as refusal:
            dry_jobs.create(every_field, dry_run=True)

        assert path in str(refusal.value)
        assert complaint in str(refusal.value)
        assert path.removesuffix("[0].key") in str(find_problem(every_field["spec"]))
