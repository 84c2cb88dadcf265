"""Every annotation: valid, invalid and empty values, and the precedence of object, namespace and flag."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logic.builders import ACCOUNT, JOB, NAME, NAMESPACE, REGION, SPEC, UID, body, resource
from trainingjob_operator.logic.naming import is_job_name
from trainingjob_operator.logic.objects.annotations import (
    ADOPTABLE_JOBS,
    ADOPTED,
    ADOPTION_FIELDS,
    ADOPTION_POLICY,
    ALLOWED_ROLES,
    DEFAULT_REGION,
    DELETION_POLICY,
    ENDPOINT_URL,
    JOB_NAME_SUFFIX,
    NAMESPACE_DELETION_POLICY,
    OWNER_ACCOUNT,
    PRIORITY,
    READ_ONLY,
    RECONCILE_REQUESTS,
    TEAM,
    TTL,
    Adoption,
    Defaults,
    Deletion,
    Policy,
    read_request,
    resolve,
)
from trainingjob_operator.logic.objects.annotations import (
    REGION as REGION_KEY,
)
from trainingjob_operator.logic.objects.resource import Resource

DEFAULTS = Defaults(
    account=ACCOUNT,
    region=REGION,
    endpoint_url="https://flag.example",
    allowed_endpoints=("https://vpce.example",),
)
OTHER_ACCOUNT = "999999999999"
Annotations = dict[str, str]


def policy(own: Annotations, namespace: Annotations, defaults: Defaults = DEFAULTS, **spec: Any) -> Policy:
    return resolve(resource(annotations=own, spec={**SPEC, **spec}), namespace, defaults)


def test_without_annotations_the_flags_apply() -> None:
    assert policy({}, {}) == Policy(
        account=ACCOUNT,
        region=REGION,
        endpoint_url="https://flag.example",
        deletion=Deletion.DELETE,
        adoption=None,
        adopted=False,
        read_only=False,
        job_name=JOB,
        first_name=JOB,
    )


FOLLOWED: list[tuple[Annotations, Annotations, str, object]] = [
    ({REGION_KEY: "eu-central-1"}, {}, "region", "eu-central-1"),
    ({REGION_KEY: "us-gov-west-1"}, {}, "region", "us-gov-west-1"),
    ({}, {DEFAULT_REGION: "eu-west-3"}, "region", "eu-west-3"),
    ({REGION_KEY: "eu-central-1"}, {DEFAULT_REGION: "eu-west-3"}, "region", "eu-central-1"),
    ({}, {REGION_KEY: "eu-west-3"}, "region", REGION),
    ({DEFAULT_REGION: "eu-west-3"}, {}, "region", REGION),
    ({DELETION_POLICY: "retain"}, {}, "deletion", Deletion.RETAIN),
    ({DELETION_POLICY: "delete"}, {}, "deletion", Deletion.DELETE),
    ({}, {NAMESPACE_DELETION_POLICY: "retain"}, "deletion", Deletion.RETAIN),
    ({DELETION_POLICY: "delete"}, {NAMESPACE_DELETION_POLICY: "retain"}, "deletion", Deletion.DELETE),
    ({}, {DELETION_POLICY: "retain"}, "deletion", Deletion.DELETE),
    ({ADOPTION_POLICY: "adopt"}, {}, "adoption", Adoption.ADOPT),
    ({ADOPTION_POLICY: "adopt-or-create"}, {}, "adoption", Adoption.ADOPT_OR_CREATE),
    ({}, {ADOPTION_POLICY: "adopt"}, "adoption", None),
    ({ADOPTED: "true"}, {}, "adopted", True),
    ({ADOPTED: "false"}, {}, "adopted", False),
    ({READ_ONLY: "True"}, {}, "read_only", True),
    ({READ_ONLY: "FALSE"}, {}, "read_only", False),
    ({}, {READ_ONLY: "true"}, "read_only", False),
    ({}, {OWNER_ACCOUNT: OTHER_ACCOUNT}, "account", OTHER_ACCOUNT),
    ({OWNER_ACCOUNT: OTHER_ACCOUNT}, {}, "account", ACCOUNT),
    ({}, {ENDPOINT_URL: "https://vpce.example/x"}, "endpoint_url", "https://vpce.example/x"),
    ({ENDPOINT_URL: "https://own.example"}, {}, "endpoint_url", "https://flag.example"),
    ({}, {ALLOWED_ROLES: " arn:a , arn:b* ,"}, "allowed_roles", ("arn:a", "arn:b*")),
    ({ADOPTION_FIELDS: f'{{"trainingJobName": "{JOB}"}}'}, {}, "job_name", JOB),
    ({PRIORITY: "10"}, {}, "priority", 10),
    ({PRIORITY: "+1000"}, {}, "priority", 1000),
    ({PRIORITY: "-1000"}, {}, "priority", -1000),
    ({}, {PRIORITY: "10"}, "priority", 0),
]


@pytest.mark.parametrize(("own", "namespace", "field", "value"), FOLLOWED)
def test_object_annotations_override_the_namespace_and_the_namespace_overrides_flags(
    own: Annotations, namespace: Annotations, field: str, value: object
) -> None:
    answer = policy(own, namespace)
    assert getattr(answer, field) == value
    assert answer.problems == ()


REFUSED: list[tuple[Annotations, Annotations, str, str]] = [
    ({REGION_KEY: ""}, {}, REGION_KEY, "us-west-2"),
    ({REGION_KEY: "Frankfurt"}, {}, REGION_KEY, "us-west-2"),
    ({REGION_KEY: "us-west-2 "}, {}, REGION_KEY, "us-west-2"),
    ({REGION_KEY: "x" * 500}, {DEFAULT_REGION: "eu-west-3"}, REGION_KEY, "…"),
    ({}, {DEFAULT_REGION: "eu_west_3"}, DEFAULT_REGION, "of the namespace"),
    ({DELETION_POLICY: "Delete"}, {}, DELETION_POLICY, "delete or retain"),
    ({DELETION_POLICY: ""}, {NAMESPACE_DELETION_POLICY: "delete"}, DELETION_POLICY, "delete or retain"),
    ({}, {NAMESPACE_DELETION_POLICY: "keep"}, NAMESPACE_DELETION_POLICY, "delete or retain"),
    ({ADOPTION_POLICY: "yes"}, {}, ADOPTION_POLICY, "adopt or adopt-or-create"),
    ({ADOPTION_POLICY: ""}, {}, ADOPTION_POLICY, "adopt or adopt-or-create"),
    ({ADOPTION_FIELDS: ""}, {}, ADOPTION_FIELDS, '{"trainingJobName": "my-job"}'),
    ({ADOPTION_FIELDS: "{"}, {}, ADOPTION_FIELDS, '{"trainingJobName": "my-job"}'),
    ({ADOPTION_FIELDS: '["x"]'}, {}, ADOPTION_FIELDS, '{"trainingJobName": "my-job"}'),
    ({ADOPTION_FIELDS: '{"arn": "x"}'}, {}, ADOPTION_FIELDS, '{"trainingJobName": "my-job"}'),
    ({ADOPTION_FIELDS: '{"trainingJobName": "a b"}'}, {}, ADOPTION_FIELDS, '{"trainingJobName": "my-job"}'),
    ({ADOPTION_FIELDS: '{"trainingJobName": "other"}'}, {}, ADOPTION_FIELDS, "Use one name"),
    ({PRIORITY: "high"}, {}, PRIORITY, "'high'. Use an integer from -1000 to 1000."),
    ({PRIORITY: ""}, {}, PRIORITY, "an integer"),
    ({PRIORITY: "1.5"}, {}, PRIORITY, "an integer"),
    ({PRIORITY: "1001"}, {}, PRIORITY, "an integer"),
    ({PRIORITY: "-1001"}, {}, PRIORITY, "an integer"),
    ({PRIORITY: "9" * 5000}, {}, PRIORITY, "an integer"),
    ({PRIORITY: "\u0661"}, {}, PRIORITY, "an integer"),
    ({ADOPTED: "yes"}, {}, ADOPTED, "true or false"),
    ({ADOPTED: ""}, {}, ADOPTED, "true or false"),
    ({READ_ONLY: "1"}, {}, READ_ONLY, "true or false"),
    ({READ_ONLY: ""}, {}, READ_ONLY, "true or false"),
    ({}, {OWNER_ACCOUNT: "12345"}, OWNER_ACCOUNT, "12 digits"),
    ({}, {OWNER_ACCOUNT: ""}, OWNER_ACCOUNT, "12 digits"),
    ({}, {ENDPOINT_URL: "http://plain.example"}, ENDPOINT_URL, "https://"),
    ({}, {ENDPOINT_URL: ""}, ENDPOINT_URL, "https://"),
    ({}, {ENDPOINT_URL: "https://"}, ENDPOINT_URL, "https://"),
    ({}, {ENDPOINT_URL: "https://a b"}, ENDPOINT_URL, "https://"),
    ({}, {ENDPOINT_URL: "file:///etc/passwd"}, ENDPOINT_URL, "https://"),
    ({}, {TEAM: "red"}, TEAM, "owner-account-id"),
    ({}, {TEAM: ""}, TEAM, "owner-account-id"),
    ({}, {ALLOWED_ROLES: ""}, ALLOWED_ROLES, "remove it"),
    ({}, {ALLOWED_ROLES: " , "}, ALLOWED_ROLES, "remove it"),
]


@pytest.mark.parametrize(("own", "namespace", "key", "advice"), REFUSED)
def test_an_invalid_annotation_is_reported_with_its_key_and_allowed_values(
    own: Annotations, namespace: Annotations, key: str, advice: str
) -> None:
    (problem,) = policy(own, namespace).problems
    assert problem.annotation == key
    assert problem.message.startswith(f"Annotation {key} ")
    assert advice in problem.message
    assert len(problem.message) < 300


@pytest.mark.parametrize(
    ("own", "namespace"),
    [
        ({DELETION_POLICY: "Delete"}, {}),
        ({DELETION_POLICY: ""}, {NAMESPACE_DELETION_POLICY: "delete"}),
        ({}, {NAMESPACE_DELETION_POLICY: "remove"}),
        ({READ_ONLY: "yes"}, {}),
        ({DELETION_POLICY: "delete", READ_ONLY: ""}, {}),
    ],
)
def test_an_invalid_annotation_for_retaining_the_job_retains_it(own: Annotations, namespace: Annotations) -> None:
    assert policy(own, namespace).deletion is Deletion.RETAIN


def test_the_deletion_flag_is_the_default_of_the_annotation() -> None:
    retaining = Defaults(account=ACCOUNT, region=REGION, deletion=Deletion.RETAIN)
    assert policy({}, {}, retaining).deletion is Deletion.RETAIN
    assert policy({DELETION_POLICY: "delete"}, {}, retaining).deletion is Deletion.DELETE


def test_an_insecure_endpoint_needs_the_flag() -> None:
    unsafe = Defaults(account=ACCOUNT, region=REGION, allow_unsafe_endpoints=True, allowed_endpoints=("*",))
    assert policy({}, {ENDPOINT_URL: "http://plain.example:8080"}, unsafe).endpoint_url == "http://plain.example:8080"
    (problem,) = policy({}, {ENDPOINT_URL: "plain.example"}, unsafe).problems
    assert "http:// or https://" in problem.message


@pytest.mark.parametrize(
    ("allowed", "url", "is_allowed"),
    [
        ((), "https://sagemaker.example", False),
        (("*",), "https://sagemaker.example:8443/x", True),
        (("https://sagemaker.example",), "https://sagemaker.example", True),
        (("https://sagemaker.example",), "https://sagemaker.example/path", True),
        (("https://sagemaker.example",), "https://sagemaker.example:8443", False),
        (("https://sagemaker.example",), "https://sagemaker.example.evil.example", False),
        (("https://sagemaker.example/v1",), "https://sagemaker.example/v1/", True),
        (("https://sagemaker.example/v1",), "https://sagemaker.example/v2", False),
        (("https://*.vpce.example",), "https://a.vpce.example", True),
        (("https://*.vpce.example",), "https://A.VPCE.example", True),
        (("https://*.vpce.example",), "https://evil.example/.vpce.example", False),
        (("https://a.example", "https://b.example"), "https://b.example", True),
        (("https://*",), "https://host:99999", False),
        (("https://*",), "https://[::1", False),
    ],
)
def test_a_namespace_may_use_only_endpoints_of_the_flag(
    allowed: tuple[str, ...], url: str, *, is_allowed: bool
) -> None:
    answer = policy({}, {ENDPOINT_URL: url}, Defaults(account=ACCOUNT, region=REGION, allowed_endpoints=allowed))
    assert answer.namespace_endpoint == (url if is_allowed else None)
    assert (answer.endpoint_problem is None) is is_allowed
    if answer.endpoint_problem is not None:
        assert "--allowed-endpoint-urls" in answer.endpoint_problem.message


@pytest.mark.parametrize("key", [ADOPTION_POLICY, ADOPTED, READ_ONLY])
@pytest.mark.parametrize(
    ("jobs", "is_permitted"),
    [("churn-*", True), ("CHURN-2026", True), ("other, churn-2026", True), ("other-*", False), ("", False)],
)
def test_a_namespace_may_restrict_adoption_and_reading_by_job_name(key: str, jobs: str, *, is_permitted: bool) -> None:
    value = "adopt" if key == ADOPTION_POLICY else "true"
    answer = policy({key: value}, {ADOPTABLE_JOBS: jobs})
    assert (answer.reads_only or answer.asks_adoption) is is_permitted
    assert [ADOPTABLE_JOBS in problem.message for problem in answer.problems] == [True] * (not is_permitted)


def test_another_account_needs_carm() -> None:
    without = Defaults(account=ACCOUNT, region=REGION, carm_enabled=False)
    (problem,) = policy({}, {OWNER_ACCOUNT: OTHER_ACCOUNT}, without).problems
    assert "--enable-carm" in problem.message
    assert policy({}, {OWNER_ACCOUNT: ACCOUNT}, without).problems == ()


@pytest.mark.parametrize("own", [{ADOPTION_POLICY: "adopt"}, {ADOPTION_POLICY: "adopt-or-create"}, {ADOPTED: "true"}])
def test_adoption_is_limited_to_the_namespaces_of_the_flag(own: Annotations) -> None:
    elsewhere = Defaults(account=ACCOUNT, region=REGION, adoption_namespaces=("ops", "platform"))
    (problem,) = policy(own, {}, elsewhere).problems
    assert "--adoption-namespaces" in problem.message
    here = Defaults(account=ACCOUNT, region=REGION, adoption_namespaces=("ops", NAMESPACE))
    assert policy(own, {}, here).problems == ()


@pytest.mark.parametrize(
    ("own", "only"),
    [
        ({ADOPTION_POLICY: "adopt"}, True),
        ({ADOPTED: "true"}, True),
        ({READ_ONLY: "true"}, True),
        ({ADOPTION_POLICY: "adopt-or-create"}, False),
        ({}, False),
    ],
)
def test_objects_that_only_adopt_or_read_never_create_a_job(own: Annotations, only: bool) -> None:
    assert policy(own, {}).observes_only is only


def test_adoption_needs_no_spec() -> None:
    bare = resource(annotations={ADOPTION_POLICY: "adopt", ADOPTION_FIELDS: '{"trainingJobName": "x"}'}, spec={})
    answer = resolve(bare, {}, DEFAULTS)
    assert (answer.job_name, answer.problems) == ("x", ())


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_spec_without_a_job_name_uses_the_name_of_the_object(name: object) -> None:
    assert policy({}, {}, trainingJobName=name).job_name == NAME


def named(own: Annotations, namespace: Annotations | None = None, *, uid: str = UID, **spec: Any) -> str:
    """Job name of an object with these annotations; spec.trainingJobName defaults to `base`."""
    body_ = body(annotations=own, spec={**SPEC, "trainingJobName": "base", **spec}, uid=uid)
    return resolve(Resource.from_body(body_), namespace or {}, DEFAULTS).job_name


def test_a_suffix_of_the_spec_changes_with_the_spec_alone() -> None:
    suffixed = {JOB_NAME_SUFFIX: "spec"}
    name = named(suffixed)
    assert re.fullmatch(r"base-[0-9a-f]{8}", name)
    assert named(suffixed, uid="another") == name
    assert named({}, suffixed) == name, "the annotation is valid on the namespace"
    reordered = dict(reversed(SPEC.items()))
    assert named(suffixed, **{**reordered, "trainingJobName": "base"}) == name
    assert named(suffixed, roleARN="arn:aws:iam::123456789012:role/another") != name
    assert named(suffixed, trainingJobName="other").removeprefix("other-") != name.removeprefix("base-")


def test_a_suffix_of_the_uid_changes_with_each_object() -> None:
    suffixed = {JOB_NAME_SUFFIX: "uid"}
    assert re.fullmatch(r"base-[0-9a-f]{8}", named(suffixed))
    assert named(suffixed, roleARN="arn:aws:iam::123456789012:role/another") == named(suffixed)
    assert named(suffixed, uid="another") != named(suffixed)


@pytest.mark.parametrize("base", ["a" * 63, "a" * 53 + "-b" * 5, "a" * 54 + "-" * 8 + "b"])
def test_a_suffixed_name_is_valid_at_any_length(base: str) -> None:
    name = named({JOB_NAME_SUFFIX: "uid"}, trainingJobName=base)
    assert is_job_name(base)
    assert is_job_name(name)
    assert base.startswith(name[:-9])


@pytest.mark.parametrize(
    "asks", [{ADOPTION_POLICY: "adopt"}, {ADOPTION_POLICY: "adopt-or-create"}, {READ_ONLY: "true"}]
)
def test_an_object_for_an_existing_job_has_no_suffix(asks: dict[str, str]) -> None:
    assert named({JOB_NAME_SUFFIX: "uid", **asks}) == "base"


def test_another_suffix_is_a_problem() -> None:
    [problem] = policy({JOB_NAME_SUFFIX: "random"}, {}).problems
    assert problem.message == f"Annotation {JOB_NAME_SUFFIX} is 'random'. Allowed: spec or uid."


def test_several_problems_are_reported_at_once() -> None:
    problems = policy({REGION_KEY: "", READ_ONLY: "1"}, {TEAM: "red"}).problems
    assert {problem.annotation for problem in problems} == {REGION_KEY, READ_ONLY, TEAM}


@pytest.mark.parametrize(
    ("allowed", "role", "may"),
    [
        (None, "arn:aws:iam::1:role/x", True),
        (None, None, True),
        ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x", True),
        ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/xy", False),
        ("arn:aws:iam::1:role/X", "arn:aws:iam::1:role/x", False),
        ("arn:aws:iam::1:role/team-a-*, arn:aws:iam::2:*", "arn:aws:iam::2:role/z", True),
        ("arn:aws:iam::1:role/*", None, False),
        ("*", 7, False),
    ],
)
def test_a_namespace_may_restrict_the_roles_of_its_jobs(allowed: str | None, role: object, may: bool) -> None:
    namespace = {} if allowed is None else {ALLOWED_ROLES: allowed}
    assert policy({}, namespace).allows_role(role) is may


def test_a_reconcile_request_is_a_new_value_of_either_annotation() -> None:
    flux, ours = RECONCILE_REQUESTS
    values = [read_request(asked) for asked in ({flux: "1"}, {flux: "2"}, {ours: "1"}, {flux: "1", ours: "2"})]
    assert None not in values
    assert values[0] != values[1]
    assert values[3] not in values[:3]
    assert read_request({}) is None
    assert read_request({flux: ""}) is None


OWN = [REGION_KEY, DELETION_POLICY, ADOPTION_POLICY, ADOPTION_FIELDS, ADOPTED, READ_ONLY]
OF_THE_NAMESPACE = [DEFAULT_REGION, NAMESPACE_DELETION_POLICY, OWNER_ACCOUNT, ENDPOINT_URL, TEAM, ALLOWED_ROLES]
_values = st.text(max_size=20)


@given(
    st.dictionaries(st.sampled_from(OWN), _values),
    st.dictionaries(st.sampled_from(OF_THE_NAMESPACE), _values),
)
def test_any_annotations_yield_a_policy_of_allowed_values(own: Annotations, namespace: Annotations) -> None:
    answer = policy(own, namespace)
    assert answer.region == REGION or answer.region in (own.get(REGION_KEY), namespace.get(DEFAULT_REGION))
    assert answer.account == ACCOUNT or answer.account == namespace.get(OWNER_ACCOUNT)
    if answer.deletion is Deletion.DELETE:
        assert own.get(DELETION_POLICY, "delete") == "delete"
    if answer.adoption is not None:
        assert own[ADOPTION_POLICY] == answer.adoption.value
    unknown = [key for key in own if key != ADOPTION_FIELDS and own[key].lower() not in ("true", "false")]
    assert answer.problems or not set(unknown) & {ADOPTED, READ_ONLY}


@pytest.mark.parametrize(
    ("own", "namespace", "flag", "problems"),
    [
        ({TTL: "5", JOB_NAME_SUFFIX: "uid"}, {}, None, 1),
        ({TTL: "5"}, {JOB_NAME_SUFFIX: "uid"}, None, 1),
        ({JOB_NAME_SUFFIX: "uid"}, {TTL: "5"}, 5, 0),
    ],
)
def test_an_object_with_a_uid_suffix_has_no_time_to_live(
    own: Annotations, namespace: Annotations, flag: int | None, problems: int
) -> None:
    answer = resolve(resource(annotations=own), namespace, replace(DEFAULTS, ttl_seconds=flag))
    assert (answer.ttl_seconds, len(answer.problems)) == (None, problems)
    assert all("Remove one of them" in problem.message for problem in answer.problems)


@pytest.mark.parametrize(
    ("own", "namespace", "flag", "seconds"),
    [
        ({}, {}, None, None),
        ({}, {}, 5, 5),
        ({}, {TTL: "6"}, 5, 6),
        ({TTL: "7"}, {TTL: "6"}, 5, 7),
        ({TTL: "0"}, {}, 5, 0),
        ({TTL: "-1"}, {TTL: "6"}, 5, None),
        ({TTL: "1e3"}, {}, 5, None),
        ({TTL: "٣"}, {}, None, None),
        ({TTL: "9999999999"}, {}, None, None),
        ({}, {TTL: ""}, 5, None),
    ],
)
def test_the_time_to_live_is_taken_from_object_namespace_or_flag(
    own: Annotations, namespace: Annotations, flag: int | None, seconds: int | None
) -> None:
    defaults = replace(DEFAULTS, ttl_seconds=flag)
    assert resolve(resource(annotations=own), namespace, defaults).ttl_seconds == seconds
