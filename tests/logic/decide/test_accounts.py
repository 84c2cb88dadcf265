"""Role of an account, and objects in wait for a role selector."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.logic.builders import ARN, REGION, WANTED, recorded, remembered, resource
from trainingjob_operator.logic.decide.accounts import (
    await_selectors,
    choose_role,
    find_role,
    find_wrong_target,
    forbid_account,
)
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.naming import JOB_ARN, Identity
from trainingjob_operator.logic.objects.annotations import ENDPOINT_URL, OWNER_ACCOUNT, Defaults, resolve
from trainingjob_operator.logic.objects.role_selectors import RoleSelection, RoleSelector
from trainingjob_operator.logic.reasons import ROLE_SELECTOR_GONE, ROLE_SELECTORS_UNREADABLE, ROLE_UNAVAILABLE
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import ROLE_SELECTED

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
        ({f"sagemaker.{ACCOUNT}": ""}, "No role is known"),
        ({f"s3.{ACCOUNT}": ROLE}, "No role is known"),
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


@pytest.mark.parametrize("other", [{}, {ACCOUNT: "arn:aws:iam::111122223333:role/all"}, {ACCOUNT: "sagemaker"}])
def test_the_key_for_sagemaker_takes_precedence(other: dict[str, str]) -> None:
    assert find_role(ACCOUNT, {**other, f"sagemaker.{ACCOUNT}": ROLE}) == ROLE


def test_an_empty_key_for_sagemaker_is_absent_and_an_invalid_one_is_an_error() -> None:
    assert find_role(ACCOUNT, {ACCOUNT: ROLE, f"sagemaker.{ACCOUNT}": ""}) == ROLE
    for invalid in ("sagemaker", "arn:aws:iam::444455556666:role/sagemaker"):
        found = find_role(ACCOUNT, {ACCOUNT: ROLE, f"sagemaker.{ACCOUNT}": invalid})
        assert isinstance(found, Hindrance)
        assert f"maps sagemaker.{ACCOUNT} to {invalid!r}" in found.message
        assert f'"sagemaker.{ACCOUNT}": "<ARN of a role' in found.message


def test_a_forbidden_account_is_reported_with_the_flag_and_config_map_to_change() -> None:
    forbidden = forbid_account(ACCOUNT)
    assert (forbidden.reason, forbidden.waiting) == (ROLE_UNAVAILABLE, False)
    for words in (ACCOUNT, "--enable-carm is false", "ack-role-account-map"):
        assert words in forbidden.message


SELECTED = {"conditions": [{"type": ROLE_SELECTED, "status": "True"}]}
SELECTOR = RoleSelector({"arn": ROLE}, "7")


@pytest.mark.parametrize(
    ("status", "selectors", "expected"),
    [
        ({}, {}, None),
        ({}, {"gold": SELECTOR}, ROLE),
        (SELECTED, {"gold": SELECTOR}, ROLE),
        (SELECTED, {}, ROLE_SELECTOR_GONE),
        ({"conditions": [{"type": ROLE_SELECTED, "status": "False"}]}, {}, ROLE_SELECTOR_GONE),
        ({**SELECTED, **recorded()}, {}, None),
    ],
)
def test_a_formerly_selected_object_without_a_job_waits_for_a_selector(
    status: dict[str, Any], selectors: dict[str, RoleSelector], expected: str | None
) -> None:
    found = choose_role(selectors, resource(status=status), {})
    match found:
        case RoleSelection():
            assert found.role_arn == expected
        case Hindrance():
            assert (found.reason, found.waiting) == (expected, False)
        case None:
            assert expected is None


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        ({}, True),
        (SELECTED, True),
        (recorded(), False),
        ({**SELECTED, **recorded()}, True),
    ],
)
def test_unreadable_selectors_delay_objects_that_they_may_match(status: dict[str, Any], waits: bool) -> None:
    found = await_selectors(resource(status=status), "iamroleselectors is forbidden")
    assert (found is not None) is waits
    if found is not None:
        assert found.reason == ROLE_SELECTORS_UNREADABLE
        assert "iamroleselectors is forbidden" in found.message


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


def test_a_pending_attempt_in_another_account_than_the_selected_one_names_the_selector() -> None:
    seen = resource(pending=WANTED)
    policy = resolve(seen, {}, Defaults(WANTED.account, REGION)).served_in(ACCOUNT)
    selection = RoleSelection("gold", "7", ROLE, ACCOUNT)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    found = find_wrong_target(View(seen, policy, remembered(), 0.0, now, "aws", selection=selection))
    assert found is not None
    assert f"names account {WANTED.account}, and the IAMRoleSelector gold selects account {ACCOUNT}" in found.message


def test_the_account_of_a_selector_replaces_the_namespaces_account_and_its_problems() -> None:
    namespace = {OWNER_ACCOUNT: "my-account", ENDPOINT_URL: "not a URL"}
    policy = resolve(resource(), namespace, Defaults(WANTED.account, REGION)).served_in(ACCOUNT)
    assert policy.account == ACCOUNT
    assert [problem.annotation for problem in policy.problems] == [ENDPOINT_URL]
    assert not resolve(resource(), MAPPED, Defaults(WANTED.account, REGION)).served_in(ACCOUNT).names_account
