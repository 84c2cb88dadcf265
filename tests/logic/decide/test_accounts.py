"""Role of an account, and role selectors that exclude an object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.logic.builders import ARN, REGION, WANTED, recorded, remembered, resource
from trainingjob_operator.logic.decide.accounts import find_role, find_selector, find_wrong_target, forbid_account
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.naming import JOB_ARN, Identity
from trainingjob_operator.logic.objects.annotations import ENDPOINT_URL, OWNER_ACCOUNT, Defaults, resolve
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.reasons import ROLE_SELECTED, ROLE_UNAVAILABLE
from trainingjob_operator.logic.state.view import View

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/sagemaker"
CHINA = f"arn:aws-cn:iam::{ACCOUNT}:role/sagemaker"


@pytest.mark.parametrize("role", [ROLE, CHINA])
def test_the_role_of_the_account_is_taken_from_the_map(role: str) -> None:
    assert find_role(ACCOUNT, {ACCOUNT: role, "444455556666": "arn:aws:iam::444455556666:role/x"}) == role


@pytest.mark.parametrize(
    ("roles", "cause"),
    [
        (None, "there is no ConfigMap"),
        ({}, "No role is known"),
        ({"444455556666": ROLE}, "No role is known"),
        ({ACCOUNT: ""}, "No role is known"),
        ({ACCOUNT: "sagemaker"}, "not to a role"),
        ({ACCOUNT: "arn:aws:iam::444455556666:role/sagemaker"}, "not to a role"),
        ({ACCOUNT: f"arn:aws:iam::{ACCOUNT}:user/sagemaker"}, "not to a role"),
        ({f"sagemaker.{ACCOUNT}": ROLE}, "for one service only"),
        ({ACCOUNT: ROLE, f"sagemaker.{ACCOUNT}": ROLE}, "for one service only"),
    ],
)
def test_an_account_without_a_usable_role_is_reported_with_the_missing_entry(
    roles: dict[str, str] | None, cause: str
) -> None:
    found = find_role(ACCOUNT, roles)
    assert isinstance(found, Hindrance)
    assert (found.reason, found.waiting) == (ROLE_UNAVAILABLE, False)
    assert cause in found.message
    assert f'"{ACCOUNT}": "<ARN of a role' in found.message


def test_a_forbidden_account_is_reported_with_the_flag_and_config_map_to_change() -> None:
    forbidden = forbid_account(ACCOUNT)
    assert (forbidden.reason, forbidden.waiting) == (ROLE_UNAVAILABLE, False)
    for words in (ACCOUNT, "--enable-carm is false", "ack-role-account-map"):
        assert words in forbidden.message


def _resource(**labels: str) -> Resource:
    return Resource.from_body({"metadata": {"namespace": "ml", "name": "job", "labels": labels}})


NAMESPACE_LABELS = {"team": "vision"}
OURS = {"group": "sagemaker.services.k8s.aws", "version": "v1alpha1", "kind": "TrainingJob"}


@pytest.mark.parametrize(
    ("spec", "selects"),
    [
        ({}, True),
        ({"arn": ROLE, "namespaceSelector": {}, "resourceTypeSelector": [], "resourceLabelSelector": {}}, True),
        ({"namespaceSelector": {"names": ["ml", "other"]}}, True),
        ({"namespaceSelector": {"names": ["other"]}}, False),
        ({"namespaceSelector": {"labelSelector": {"matchLabels": {"team": "vision"}}}}, True),
        ({"namespaceSelector": {"labelSelector": {"matchLabels": {"team": "speech"}}}}, False),
        ({"namespaceSelector": {"names": ["ml"], "labelSelector": {"matchLabels": {"team": "speech"}}}}, False),
        ({"resourceTypeSelector": [OURS]}, True),
        ({"resourceTypeSelector": [{"group": "", "version": "", "kind": "TrainingJob"}]}, True),
        ({"resourceTypeSelector": [{"kind": "Bucket"}, {"group": "sagemaker.services.k8s.aws"}]}, True),
        ({"resourceTypeSelector": [{"kind": "Model"}, {"group": "s3.services.k8s.aws"}]}, False),
        ({"resourceLabelSelector": {"matchLabels": {"tier": "gold"}}}, True),
        ({"resourceLabelSelector": {"matchLabels": {"tier": "lead"}}}, False),
        ({"namespaceSelector": {"names": ["ml"]}, "resourceTypeSelector": [{"kind": "Model"}]}, False),
    ],
)
def test_a_selector_matches_by_all_parts_and_an_empty_part_matches_everything(
    spec: dict[str, Any], selects: bool
) -> None:
    found = find_selector({"gpu": spec}, _resource(tier="gold"), NAMESPACE_LABELS)
    assert (found is not None) is selects
    if found is not None:
        assert (found.reason, found.waiting) == (ROLE_SELECTED, False)
        assert "IAMRoleSelector gpu" in found.message


def test_one_matching_selector_of_several_is_enough() -> None:
    selectors = {"a": {"resourceTypeSelector": [{"kind": "Model"}]}, "b": {}}
    found = find_selector(selectors, _resource(), {})
    assert found is not None
    assert "IAMRoleSelector b" in found.message


MAPPED = {OWNER_ACCOUNT: ACCOUNT}


@pytest.mark.parametrize(
    ("members", "namespace", "marked", "words"),
    [
        ({"pending": WANTED}, {}, None, None),
        ({"pending": WANTED}, MAPPED, None, f"names account {WANTED.account}"),
        ({"pending": WANTED}, MAPPED, WANTED, None),
        ({"annotations": {JOB_ARN: ARN}}, {}, None, None),
        ({"annotations": {JOB_ARN: ARN}}, MAPPED, None, "names a job in account"),
        ({"annotations": {JOB_ARN: ARN}, "held": True, "status": recorded()}, MAPPED, None, None),
        ({}, {ENDPOINT_URL: "not a URL"}, None, "endpoint"),
    ],
    ids=["attempt", "attempt elsewhere", "its own", "run", "run elsewhere", "a job", "endpoint"],
)
def test_metadata_with_another_account_is_reported(
    members: dict[str, Any], namespace: dict[str, str], marked: Identity | None, words: str | None
) -> None:
    seen = resource(**members)
    policy = resolve(seen, namespace, Defaults(WANTED.account, REGION))
    memory = remembered(marked=marked)
    found = find_wrong_target(View(seen, policy, memory, 0.0, datetime(2026, 11, 21, tzinfo=UTC), "aws"))
    if words is None:
        assert found is None
    else:
        assert found is not None
        assert found.reason == "InvalidAnnotation"
        assert words in found.message
