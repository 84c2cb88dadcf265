"""Parsing of objects with members of any type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logic.builders import ACCOUNT, ARN, JOB, NAME, NAMESPACE, REGION, SPEC, UID, WANTED, body, recorded, resource
from tests.logic.nonsense import nonsense
from trainingjob_operator.logic.naming import JOB_ARN, Identity
from trainingjob_operator.logic.objects.resource import Resource


def test_a_complete_object_is_parsed() -> None:
    read = resource(held=True, pending=WANTED, generation=3, version=7, deleting=True, status=recorded())
    assert (read.key, read.uid, read.resource_version, read.generation) == ((NAMESPACE, NAME), UID, "7", 3)
    assert read.created == "2026-11-21T10:33:40Z"
    assert read.deleting
    assert read.holds_finalizer
    assert read.pending == WANTED
    assert read.arn == ARN
    assert read.spec == SPEC


def test_an_empty_object_is_parsed_as_empty() -> None:
    read = Resource.from_body({})
    assert read.key == ("", "")
    assert not read.deleting
    assert not read.holds_finalizer
    assert (read.pending, read.arn, read.recorded, read.observed_generation) == (None,) * 4
    assert read.user_tags() == ()
    assert not read.has_condition("Ready")


@given(st.fixed_dictionaries({}, optional={"metadata": nonsense, "spec": nonsense, "status": nonsense}))
def test_parsing_accepts_any_object(odd: dict[str, Any]) -> None:
    read = Resource.from_body(odd)
    assert read.arn is None or isinstance(read.arn, str)
    assert isinstance(read.condition("Ready"), dict)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in read.user_tags())
    assert read.observed_generation is None or isinstance(read.observed_generation, int)
    assert isinstance(read.holds_finalizer, bool)
    assert read.recorded is None or isinstance(read.recorded, Identity)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [(JOB, JOB), ("CHURN-2026", "CHURN-2026"), ("other", "churn-2026"), (None, "churn-2026"), (7, "churn-2026")],
)
def test_a_recorded_job_has_the_case_of_the_spec(name: object, spelled: str) -> None:
    read = resource(status=recorded(), spec={**SPEC, "trainingJobName": name})
    assert read.recorded == Identity(ACCOUNT, REGION, spelled)


@pytest.mark.parametrize("status", [recorded("arn:aws:s3:::x"), recorded(""), {"ackResourceMetadata": "x"}, {}])
def test_an_invalid_arn_in_the_status_names_no_job(status: dict[str, Any]) -> None:
    assert resource(status=status).recorded is None


@pytest.mark.parametrize(("value", "read"), [(3, 3), (True, None), ("3", None), (None, None), (1.5, None)])
def test_an_observed_generation_is_a_whole_number_or_none(value: object, read: int | None) -> None:
    assert resource(status={"observedGeneration": value}).observed_generation == read


CONDITIONS: list[tuple[object, bool]] = [
    ([{"type": "Ready", "status": "True"}], True),
    ([{"type": "Ready", "status": "False"}], False),
    ([{"type": "Ready", "status": True}], False),
    ([{"type": "Other", "status": "True"}], False),
    (["Ready", None, {"type": "Ready", "status": "True"}], True),
    ({"type": "Ready", "status": "True"}, False),
    (None, False),
]


@pytest.mark.parametrize(("conditions", "holds"), CONDITIONS)
def test_a_condition_holds_only_with_status_true(conditions: object, holds: bool) -> None:
    assert resource(status={"conditions": conditions}).has_condition("Ready") is holds


TAGS: list[tuple[object, tuple[tuple[str, str], ...]]] = [
    ([{"key": "b", "value": "2"}, {"key": "a", "value": "1"}], (("b", "2"), ("a", "1"))),
    ([{"key": "a"}, {"key": "", "value": "x"}, {"value": "x"}, "a", None], (("a", ""),)),
    ([{"key": "a", "value": 7}], (("a", "7"),)),
    ({"a": "1"}, ()),
    (None, ()),
]


@pytest.mark.parametrize(("tags", "read"), TAGS)
def test_tags_keep_their_order_and_invalid_ones_are_omitted(tags: object, read: tuple[tuple[str, str], ...]) -> None:
    assert resource(spec={**SPEC, "tags": tags}).user_tags() == read


def test_labels_and_annotations_of_the_object_are_kept() -> None:
    raw = body(annotations={"a": "1"})
    raw["metadata"]["labels"] = {"app": "x"}
    read = Resource.from_body(raw)
    assert (read.annotations["a"], read.labels) == ("1", {"app": "x"})


@pytest.mark.parametrize(("annotation", "name"), [(ARN, JOB.lower()), ("no ARN", None)])
def test_the_job_arn_annotation_names_the_earlier_run(annotation: str, name: str | None) -> None:
    ran = resource(annotations={JOB_ARN: annotation}).ran
    assert (None if ran is None else ran.job_name) == name


@pytest.mark.parametrize(
    ("created", "age"), [("2026-11-21T11:59:00Z", 60.0), ("2026-11-21T13:00:00Z", 0.0), ("soon", 0.0)]
)
def test_an_age_is_never_negative_and_requires_a_valid_time(created: str, age: float) -> None:
    seen = Resource.from_body({"metadata": {"creationTimestamp": created}})
    assert seen.age_at(datetime(2026, 11, 21, 12, 0, tzinfo=UTC)) == age
