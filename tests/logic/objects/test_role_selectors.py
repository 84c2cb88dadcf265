"""Matching of IAMRoleSelectors with objects, by ACK's rules."""

from __future__ import annotations

from typing import Any

import pytest

from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.objects.role_selectors import RoleSelection, RoleSelector, select_role

ROLE = "arn:aws:iam::111122223333:role/team/gold"
NAMESPACE_LABELS = {"team": "vision", "stage": "prod"}
OURS = {"group": "sagemaker.services.k8s.aws", "version": "v1alpha1", "kind": "TrainingJob"}
OTHERS = {"group": "s3.services.k8s.aws", "version": "v1alpha1", "kind": "Bucket"}


def select(*specs: dict[str, Any], arn: str = ROLE) -> RoleSelection | Hindrance | None:
    """Select among selectors a, b, … for an object in namespace ml with the label tier=gold."""
    selectors = {chr(97 + place): RoleSelector({"arn": arn, **spec}, f"1{place}") for place, spec in enumerate(specs)}
    metadata = {"namespace": "ml", "name": "job", "labels": {"tier": "gold", "stage": "test"}}
    return select_role(selectors, Resource.from_body({"metadata": metadata}), NAMESPACE_LABELS)


def labeled(**labels: str) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": labels}}


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        ({}, True),
        ({"namespaceSelector": {"names": []}, "resourceTypeSelector": [], "resourceLabelSelector": {}}, True),
        ({"namespaceSelector": {"names": ["ml", "other"]}}, True),
        ({"namespaceSelector": {"names": ["other"]}}, False),
        ({"namespaceSelector": {"names": ["ML"]}}, False),
        ({"namespaceSelector": labeled(team="vision")}, True),
        ({"namespaceSelector": labeled(team="vision", stage="prod")}, True),
        ({"namespaceSelector": labeled(team="vision", stage="test")}, False),
        ({"namespaceSelector": labeled(team="speech")}, False),
        ({"namespaceSelector": labeled(tier="gold")}, False),
        ({"namespaceSelector": {"names": ["ml"], **labeled(team="speech")}}, False),
        ({"namespaceSelector": {"names": ["other"], **labeled(team="vision")}}, False),
        ({"resourceTypeSelector": [OURS]}, True),
        ({"resourceTypeSelector": [{"group": "", "version": "", "kind": "TrainingJob"}]}, True),
        ({"resourceTypeSelector": [OTHERS, {"group": OURS["group"], "version": "", "kind": ""}]}, True),
        ({"resourceTypeSelector": [{**OURS, "kind": "Model"}, OTHERS]}, False),
        ({"resourceTypeSelector": [{**OURS, "version": "v1"}]}, False),
        ({"resourceLabelSelector": {"matchLabels": {"tier": "gold"}}}, True),
        ({"resourceLabelSelector": {"matchLabels": {"tier": "lead"}}}, False),
        ({"resourceLabelSelector": {"matchLabels": {"team": "vision"}}}, False),
        ({"namespaceSelector": {"names": ["ml"]}, "resourceTypeSelector": [OTHERS]}, False),
        ({"namespaceSelector": "ml", "resourceTypeSelector": "TrainingJob", "resourceLabelSelector": []}, True),
    ],
)
def test_a_selector_matches_by_all_of_its_parts_and_an_empty_part_matches_everything(
    spec: dict[str, Any], matches: bool
) -> None:
    expected = RoleSelection("a", "10", ROLE, "111122223333")
    assert select(spec) == (expected if matches else None)


def test_the_message_equals_acks() -> None:
    selected = select({})
    assert isinstance(selected, RoleSelection)
    assert selected.sentence == f"roleARN: {ROLE}, selectorName: a, selectorResourceVersion: 10"


def test_one_match_among_several_selectors_is_the_role() -> None:
    selected = select({"resourceTypeSelector": [OTHERS]}, {}, {"namespaceSelector": {"names": ["other"]}})
    assert isinstance(selected, RoleSelection)
    assert selected.selector == "b"


def test_several_matches_are_named() -> None:
    found = select({}, {"resourceTypeSelector": [OTHERS]}, {"resourceTypeSelector": [OURS]})
    assert isinstance(found, Hindrance)
    assert (found.reason, found.waiting) == ("RoleSelectorsConflict", False)
    assert "2 IAMRoleSelectors match this object: a, c." in found.message


@pytest.mark.parametrize(
    ("arn", "account"),
    [
        ("arn:aws-cn:iam::111122223333:role/x", "111122223333"),
        ("arn:aws:iam::111122223333:user/x", None),
        ("arn:aws:iam::1111:role/x", None),
        ("arn:aws:s3:::bucket", None),
        ("role/x", None),
        ("", None),
    ],
)
def test_the_account_is_read_from_the_role(arn: str, account: str | None) -> None:
    found = select({}, arn=arn)
    if account is None:
        assert isinstance(found, Hindrance)
        assert found.reason == "RoleUnavailable"
        assert f"IAMRoleSelector a matches this object and is invalid: arn {arn!r} is no ARN" in found.message
    else:
        assert isinstance(found, RoleSelection)
        assert found.account == account


@pytest.mark.parametrize(
    ("spec", "flaw"),
    [
        ({"namespaceSelector": {"names": ["ml", "ml"]}}, "namespaceSelector.names has a duplicate"),
        ({"resourceTypeSelector": [OURS, OTHERS, OURS]}, "resourceTypeSelector has a duplicate"),
        ({"resourceTypeSelector": [{"group": "", "version": "", "kind": ""}]}, "neither group, version nor kind"),
    ],
)
def test_a_selector_ignored_by_ack_is_reported_with_its_defect(spec: dict[str, Any], flaw: str) -> None:
    found = select(spec)
    assert isinstance(found, Hindrance)
    assert found.reason == "RoleUnavailable"
    assert flaw in found.message
