"""Settings from flags and environment, or one sentence with the remedy."""

from __future__ import annotations

import dataclasses

import pytest

from trainingjob_operator.settings import (
    DEFAULT_RESOURCE_TAGS,
    FLAGS,
    IGNORED_FLAGS,
    TAG_FORMATS,
    Address,
    Settings,
    SettingsError,
    read,
)

REGION = {"AWS_REGION": "eu-west-1"}


GOOD = [
    ("aws_region", "us-gov-west-1", "us-gov-west-1"),
    ("aws_region", "eusc-de-east-1", "eusc-de-east-1"),
    ("aws_endpoint_url", "https://vpce-1.example.com/", "https://vpce-1.example.com"),
    ("aws_endpoint_url", "http://127.0.0.1:4566", "http://127.0.0.1:4566"),
    ("aws_identity_endpoint_url", "https://sts.example.com", "https://sts.example.com"),
    ("event_queue_url", "https://sqs.eu-west-1.amazonaws.com/123/q", "https://sqs.eu-west-1.amazonaws.com/123/q"),
    ("enable_carm", "False", False),
    ("allow_unsafe_aws_endpoint_urls", "t", True),
    ("allowed_endpoint_urls", "*", ("*",)),
    ("allowed_endpoint_urls", "https://*.a.example/, https://b", ("https://*.a.example", "https://b")),
    ("enable_leader_election", "1", True),
    ("enable_development_logging", "TRUE", True),
    ("system_namespace", "ack", "ack"),
    ("list_tps", "0.5", 0.5),
    ("describe_tps", "20", 20.0),
    ("override_passive", "true", True),
    ("feature_gates", "IAMRoleSelector=False", (("IAMRoleSelector", "false"),)),
    ("assume_role_external_id", "tenant/7", "tenant/7"),
    ("http_client_timeout", "60s", 60.0),
    ("http_client_timeout", "1500ms", 1.5),
    ("http_client_timeout", "2m", 120.0),
    ("http_client_timeout", "20", 20.0),
    ("watch_namespace", "vision, speech", ("vision", "speech")),
    ("watch_selectors", "team=vision", "team=vision"),
    ("watch_selectors", "team in (a, b),!legacy,x.io/y!=z", "team in (a, b),!legacy,x.io/y!=z"),
    ("watch_selectors", "team notin (a),exists", "team notin (a),exists"),
    ("adoption_namespaces", "platform", ("platform",)),
    ("cluster_id", "arn:aws:eks:eu-west-1:1:cluster/x", "arn:aws:eks:eu-west-1:1:cluster/x"),
    ("leader_election_namespace", "operators", "operators"),
    ("deletion_policy", "retain", "retain"),
    ("ttl_seconds_after_finished", "86400", 86400),
    ("resource_tags", "team=vision,ns=%K8S_NAMESPACE%-x", (("team", "vision"), ("ns", "%K8S_NAMESPACE%-x"))),
    ("resource_tags", "note=", (("note", ""),)),
    ("sweep_seconds", "0.5", 0.5),
    ("create_tps", "2", 2.0),
    ("max_concurrent_reconciles", "1", 1),
    ("log_level", "WARN", "warn"),
    ("log_level", "panic", "fatal"),
    ("metrics_addr", ":9090", Address("", 9090)),
    ("metrics_addr", "127.0.0.1:0", Address("127.0.0.1", 0)),
    ("healthz_addr", "[::1]:8081", Address("::1", 8081)),
    ("metrics_max_jobs", "200", 200),
]  # fmt: skip


def read_flag(field: str, text: str) -> object:
    return getattr(read({field: text}, REGION | {"ACK_ALLOW_UNSAFE_AWS_ENDPOINT_URLS": "true"}), field)


@pytest.mark.parametrize(("field", "text", "value"), GOOD)
def test_a_valid_value_is_accepted(field: str, text: str, value: object) -> None:
    assert read_flag(field, text) == value


@pytest.mark.parametrize(
    ("field", "text", "advice"),
    [
        ("aws_region", "Ireland", "the name of an AWS region, such as eu-west-1"),
        ("aws_endpoint_url", "sagemaker.example.com", "a URL such as"),
        ("aws_endpoint_url", "https://host:port", "a URL such as"),
        ("aws_endpoint_url", "https://[half", "a URL such as"),
        ("aws_endpoint_url", "ftp://host", "a URL such as"),
        ("allowed_endpoint_urls", "https://a,b.example", "URLs such as"),
        ("enable_carm", "maybe", "true or false"),
        ("assume_role_external_id", "x", "2 to 1224 letters"),
        ("http_client_timeout", "0", "from 1s to 300s"),
        ("http_client_timeout", "1h", "a duration such as 30s"),
        ("watch_namespace", "Vision", "list of namespace names"),
        ("watch_namespace", "vision,", "list of namespace names"),
        ("watch_namespace", "vision,vision", "without duplicate namespaces"),
        ("watch_selectors", "team in vision", "a label selector"),
        ("cluster_id", "a b", "1 to 128 letters"),
        ("leader_election_namespace", "a.b", "the name of a namespace"),
        ("feature_gates", "IAMRoleSelector", "name=true or name=false pairs"),
        ("feature_gates", "IAMRoleSelector=false,", "name=true or name=false pairs"),
        ("feature_gates", "IamRoleSelector=true", "without 'IamRoleSelector'; the feature gates are IAMRoleSelector, "),
        ("deletion_policy", "Delete", "delete or retain"),
        ("ttl_seconds_after_finished", "1d", "a number of seconds, such as 86400"),
        ("resource_tags", "team", "key=value pairs"),
        ("resource_tags", "team=a=b", "key=value pairs"),
        ("resource_tags", "a=1,a=2", "without duplicate keys (a)"),
        ("resource_tags", "aws:x=1", "AWS reserves the prefix aws:"),
        ("resource_tags", "services.k8s.aws/object-uid=1", "reserved for proof of ownership"),
        ("resource_tags", "a=(1)", "up to 256 letters"),
        ("resource_tags", f"a={'x' * 257}", "up to 256 letters"),
        ("resource_tags", "a=%K8S_NAME%", "%K8S_RESOURCE_NAME%"),
        ("resource_tags", "a=100%", "%K8S_RESOURCE_NAME%"),
        ("sweep_seconds", "soon", "a number of seconds from 0.1 to 3600"),
        ("sweep_seconds", "nan", "a number of seconds from 0.1 to 3600"),
        ("create_tps", "0", "a number of calls per second"),
        ("max_concurrent_reconciles", "0", "a whole number from 1 to 1000"),
        ("max_concurrent_reconciles", "2.5", "a whole number from 1 to 1000"),
        ("log_level", "loud", "debug, info, warn, error or fatal"),
        ("metrics_addr", "8080", "host:port"),
        ("metrics_addr", "0.0.0.0:66000", "host:port"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_rejected_in_one_sentence_with_flag_and_valid_form(
    field: str, text: str, advice: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_flag(field, text)
    sentence = str(caught.value)
    assert sentence.startswith("--" + field.replace("_", "-"))
    assert advice in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_without_a_region_the_flag_and_the_variable_are_named() -> None:
    with pytest.raises(SettingsError, match="--aws-region is required: set the flag, or set AWS_REGION"):
        read({}, {})


def test_every_flag_but_the_region_has_a_default() -> None:
    settings = read({}, REGION)
    assert settings == Settings(aws_region="eu-west-1")
    assert settings.resource_tags == DEFAULT_RESOURCE_TAGS
    assert settings.metrics_addr.port == 8080
    assert settings.healthz_addr.port == 8081
    assert settings.sweep_seconds == 5


@pytest.mark.parametrize(
    ("gates", "follows"),
    [("", True), ("IAMRoleSelector=true", True), ("TeamLevelCARM=false", True), ("IAMRoleSelector=false", False)],
)
def test_role_selectors_are_followed_unless_the_gate_is_off(gates: str, follows: bool) -> None:
    assert read({"feature_gates": gates}, REGION).follows_role_selectors is follows


def test_the_table_of_valid_values_has_every_flag() -> None:
    assert {field for field, _, _ in GOOD} == {flag.field for flag in FLAGS}


@pytest.mark.parametrize(("field", "text", "value"), GOOD)
def test_each_flag_is_also_read_from_its_variable(field: str, text: str, value: object) -> None:
    variable = field.upper() if field.startswith("aws_") else f"ACK_{field.upper()}"
    environ = REGION | {"ACK_ALLOW_UNSAFE_AWS_ENDPOINT_URLS": "true", variable: text}
    assert getattr(read({}, environ), field) == value


def test_a_flag_overrides_its_variable() -> None:
    assert read({"aws_region": "us-east-1"}, REGION).aws_region == "us-east-1"


def test_an_empty_flag_or_variable_counts_as_unset() -> None:
    settings = read({"watch_namespace": "", "log_level": " "}, REGION | {"ACK_LOG_LEVEL": "error"})
    assert settings.watch_namespace == ()
    assert settings.log_level == "error"


def test_an_invalid_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^ACK_LOG_LEVEL: invalid value 'loud': must be debug"):
        read({}, REGION | {"ACK_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("environ", "system", "lease"),
    [
        ({}, "ack-system", "ack-system"),
        ({"K8S_NAMESPACE": "pod"}, "pod", "pod"),
        ({"K8S_NAMESPACE": "pod", "ACK_SYSTEM_NAMESPACE": "ack"}, "ack", "pod"),
        ({"ACK_SYSTEM_NAMESPACE": "ack"}, "ack", "ack"),
        ({"K8S_NAMESPACE": "pod", "ACK_LEADER_ELECTION_NAMESPACE": "lease"}, "pod", "lease"),
    ],
)
def test_the_namespaces_of_system_and_lease_are_read_from_acks_variables(
    environ: dict[str, str], system: str, lease: str
) -> None:
    settings = read({}, REGION | environ)
    assert (settings.system_namespace, settings.lease_namespace) == (system, lease)


@pytest.mark.parametrize("field", ["aws_endpoint_url", "aws_identity_endpoint_url", "event_queue_url"])
def test_an_endpoint_without_https_requires_the_unsafe_flag(field: str) -> None:
    with pytest.raises(SettingsError, match="https"):
        read({field: "http://127.0.0.1:1"}, REGION)
    with pytest.raises(SettingsError, match="https"):
        read({field: "HTTP://127.0.0.1:1"}, REGION)
    assert getattr(read({field: "https://host"}, REGION), field) == "https://host"


def test_every_format_of_a_tag_is_accepted() -> None:
    text = ",".join(f"tag{number}={form}" for number, form in enumerate(TAG_FORMATS))
    assert len(read({"resource_tags": text}, REGION).resource_tags) == len(TAG_FORMATS)


def test_acks_default_tags_given_as_a_flag_are_accepted() -> None:
    text = ",".join(f"{key}={value}" for key, value in DEFAULT_RESOURCE_TAGS)
    assert read({"resource_tags": text}, REGION).resource_tags == DEFAULT_RESOURCE_TAGS


def test_flags_and_variables_have_unique_names() -> None:
    names = [name for flag in FLAGS for name in (flag.name, *flag.aliases)] + list(IGNORED_FLAGS)
    assert len(names) == len(set(names))


def test_settings_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read({}, REGION).aws_region = "us-east-1"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["my-cluster", "<cluster>", "MY-CLUSTER", "changeme", "your-cluster", "TODO"])
def test_a_placeholder_is_not_a_cluster_id(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--cluster-id: invalid value .*: must be unique to this cluster"):
        read({"cluster_id": text}, {"AWS_REGION": "eu-west-1"})
