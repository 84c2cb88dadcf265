"""Identity of a job, and its tags with the owner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logic.builders import ACCOUNT, CLUSTER, JOB, NAME, NAMESPACE, OWNER, REGION, UID
from trainingjob_operator.logic.naming import (
    MAX_TAGS,
    TAG_CLUSTER,
    TAG_CONTROLLER_VERSION,
    TAG_NAME,
    TAG_NAMESPACE,
    TAG_UID,
    Identity,
    build_arn,
    compose_tags,
    expand_tag_format,
    parse_arn,
    parse_pending,
)
from trainingjob_operator.logic.state.ownership import TagProof, read_proof

identities = st.builds(
    Identity,
    st.from_regex(r"[0-9]{12}", fullmatch=True),
    st.sampled_from(["us-west-2", "eu-central-1", "us-gov-east-1", "cn-north-1"]),
    st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,30}", fullmatch=True),
)


@given(identities)
def test_an_arn_round_trips_to_its_job_in_lower_case(identity: Identity) -> None:
    parsed = parse_arn(build_arn("aws-cn", identity))
    assert parsed is not None
    assert parsed.slot == identity.slot
    assert parsed.job_name == identity.job_name.lower()


@given(identities)
def test_the_intent_keeps_the_case_of_the_job_name(identity: Identity) -> None:
    assert parse_pending(str(identity)) == identity


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "arn:aws:sagemaker:us-west-2:123456789012:processing-job/churn",
        "arn:aws:s3:::bucket",
        "arn:aws:sagemaker:us-west-2:12345:training-job/churn",
        "arn:aws:sagemaker:us-west-2:123456789012:training-job/-churn",
        "arn:aws:sagemaker:us-west-2:123456789012:training-job/churn\n",
    ],
)
def test_other_values_than_arns_of_training_jobs_are_rejected(value: object) -> None:
    assert parse_arn(value) is None


@pytest.mark.parametrize(
    "value", [None, 7, "", "12/us-west-2/churn", f"{ACCOUNT}/{REGION}/", f"{ACCOUNT}/{REGION}/a b"]
)
def test_an_invalid_intent_names_no_attempt(value: object) -> None:
    assert parse_pending(value) is None


OURS = {TAG_CLUSTER: CLUSTER, TAG_NAMESPACE: NAMESPACE, TAG_NAME: NAME, TAG_UID: UID}


def _composed(user: list[tuple[str, str]], defaults: dict[str, str]) -> dict[str, str]:
    tags = compose_tags(user, defaults, OWNER)
    assert len({tag["Key"] for tag in tags}) == len(tags), "SageMaker rejects duplicate keys"
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_a_job_has_the_tags_of_user_flags_and_owner() -> None:
    tags = _composed([("team", "x"), ("env", "")], {"env": "prod", TAG_CONTROLLER_VERSION: "sagemaker-1", "kro": ""})
    assert tags == {"team": "x", "env": "", TAG_CONTROLLER_VERSION: "sagemaker-1", **OURS}
    assert list(tags)[:2] == ["team", "env"]


@given(st.dictionaries(st.sampled_from([*OURS, "a", "b"]), st.text(max_size=3)), st.dictionaries(st.text(), st.text()))
def test_tags_of_user_and_flags_cannot_change_the_owner(user: dict[str, str], flags: dict[str, str]) -> None:
    tags = _composed(list(user.items()), flags)
    assert read_proof(tags, OWNER) is TagProof.SAME_OBJECT


@pytest.mark.parametrize(("users", "defaults"), [(0, 60), (40, 60), (44, 2), (46, 5), (47, 5)])
def test_the_tag_limit_drops_default_tags_but_never_the_owners_tags(users: int, defaults: int) -> None:
    user = [(f"u{number}", "x") for number in range(users)]
    tags = _composed(user, {f"d{number}": "x" for number in range(defaults)})
    assert len(tags) == max(MAX_TAGS if users + defaults + len(OURS) >= MAX_TAGS else 0, users + len(OURS))
    assert read_proof(tags, OWNER) is TagProof.SAME_OBJECT
    assert all(key in tags for key, _ in user), "SageMaker rejects too many tags of the user"


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%", "sagemaker-1.0"),
        ("100%", "100%"),
        ("%UNHEARD_OF%", "%UNHEARD_OF%"),
        ("%MANAGED_BY%", ""),
        ("%CONTROLLER_SERVICE", "%CONTROLLER_SERVICE"),
        ("", ""),
    ],
)
def test_a_tag_format_is_expanded_and_unknown_variables_are_kept(value: str, expanded: str) -> None:
    known = {"CONTROLLER_SERVICE": "sagemaker", "CONTROLLER_VERSION": "1.0", "MANAGED_BY": ""}
    assert expand_tag_format(value, known) == expanded


def test_an_identity_is_formatted_as_the_intent() -> None:
    assert str(Identity(ACCOUNT, REGION, JOB)) == f"{ACCOUNT}/{REGION}/{JOB}"
