"""The chart's values: the rendering of each one, and the error for an invalid one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.test_manifests import CLUSTER_RULES, NAMESPACE_RULES, OWN_RULES, named, rules, the
from tests.helm.program import CHART, Helm, HelmError
from trainingjob_operator import settings
from trainingjob_operator.cli import build_parser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.plane import Cluster

Object = dict[str, Any]
Values = dict[str, Any]

RELEASE = "trainingjob-operator"
NAMESPACE = "operators"
MONITORED = ("--api-versions", "monitoring.coreos.com/v1/ServiceMonitor")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """Merge `over` into `base`, as Helm merges files of values."""
    both = dict(base)
    for key, value in over.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def render(helm: Helm, values: Values, *flags: str, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """The objects of the chart, without those of `helm test`; a region is set unless `values` has one."""
    given = merged({"aws": {"region": "eu-west-1"}}, values)
    arguments = (release, str(CHART), "--namespace", namespace, "--skip-tests", *flags)
    return [thing for thing in yaml.safe_load_all(helm.with_values("template", given, *arguments)) if thing]


def pod(objects: list[Object]) -> Object:
    template: Object = the("Deployment", objects)["spec"]["template"]["spec"]
    return template


def container(objects: list[Object]) -> Object:
    [only] = pod(objects)["containers"]
    return dict(only)


def started(objects: list[Object], namespace: str = NAMESPACE) -> settings.Settings:
    """The settings of the container at its start."""
    environ = {variable["name"]: variable.get("value", namespace) for variable in container(objects)["env"]}
    return settings.read(vars(build_parser().parse_args(container(objects)["args"])), environ)


def test_lint_reports_no_problem(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), "--set", "aws.region=eu-west-1")
    assert "0 chart(s) failed" in helm.run("lint", str(CHART)), "no value is needed to lint"


def test_the_defaults_are_those_of_the_program(helm: Helm) -> None:
    chosen = started(render(helm, {}))
    expected = settings.read(
        {"aws_region": "eu-west-1", "enable_leader_election": "true"}, {"K8S_NAMESPACE": NAMESPACE}
    )
    assert chosen == expected


NO_SELECTORS = {"feature_gates": (("IAMRoleSelector", "false"),)}
"""They are cluster-scoped."""

FLAGS: list[tuple[Values, dict[str, Any]]] = [
    ({"watchSelectors": "team in (a, b),!old"}, {"watch_selectors": "team in (a, b),!old"}),
    ({"aws": {"endpoint_url": "https://vpce.example"}}, {"aws_endpoint_url": "https://vpce.example"}),
    ({"aws": {"identity_endpoint_url": "https://sts.example"}}, {"aws_identity_endpoint_url": "https://sts.example"}),
    (
        {"aws": {"endpoint_url": "http://x:1", "allow_unsafe_aws_endpoint_urls": True}},
        {"aws_endpoint_url": "http://x:1", "allow_unsafe_aws_endpoint_urls": True},
    ),
    (
        {"aws": {"allowed_endpoint_urls": ["https://*.example", "https://b.example"]}},
        {"allowed_endpoint_urls": ("https://*.example", "https://b.example")},
    ),
    ({"aws": {"assume_role_external_id": "a=b,c"}}, {"assume_role_external_id": "a=b,c"}),
    ({"aws": {"event_queue_url": "https://sqs.example/q"}}, {"event_queue_url": "https://sqs.example/q"}),
    ({"clusterID": "blue"}, {"cluster_id": "blue"}),
    ({"adoptionNamespaces": ["a", "b"]}, {"adoption_namespaces": ("a", "b")}),
    (
        {"resourceTags": ["team=%K8S_NAMESPACE%", "a b=c d"]},
        {"resource_tags": (("team", "%K8S_NAMESPACE%"), ("a b", "c d"))},
    ),
    ({"resourceTags": []}, {}),
    ({"deletionPolicy": "retain"}, {"deletion_policy": "retain"}),
    ({"enableCARM": False}, {"enable_carm": False}),
    ({"accountMapNamespace": "ack-system"}, {"system_namespace": "ack-system"}),
    ({"reconcile": {"defaultMaxConcurrentSyncs": 3}}, {"max_concurrent_reconciles": 3}),
    (
        {"reconcile": {"defaultMaxConcurrentSyncs": 3, "resourceMaxConcurrentSyncs": {"TrainingJob": 7, "Model": 1}}},
        {"max_concurrent_reconciles": 7},
    ),
    (
        {"log": {"level": "debug", "enable_development_logging": True}},
        {"log_level": "debug", "enable_development_logging": True},
    ),
    (
        {"leaderElection": {"enabled": False}, "deployment": {"replicas": 1}},
        {"enable_leader_election": False},
    ),
    ({"leaderElection": {"namespace": "leases"}}, {"leader_election_namespace": "leases"}),
    (
        {"deployment": {"containerPort": 9090, "healthPort": 9091}},
        {"metrics_addr": settings.Address("0.0.0.0", 9090), "healthz_addr": settings.Address("0.0.0.0", 9091)},
    ),
    ({"deployment": {"extraArgs": ["--sweep-seconds=10"]}}, {"sweep_seconds": 10.0}),
    ({"deployment": {"extraEnvVars": [{"name": "ACK_CREATE_TPS", "value": "2"}]}}, {"create_tps": 2.0}),
    ({"installScope": "namespace", "watchNamespace": "a, b,a"}, {"watch_namespace": ("a", "b"), **NO_SELECTORS}),
    ({"installScope": "namespace"}, {"watch_namespace": (NAMESPACE,), **NO_SELECTORS}),
]


@pytest.mark.parametrize(("values", "expected"), FLAGS, ids=lambda value: str(value)[:60])
def test_a_value_becomes_its_flag(helm: Helm, values: Values, expected: dict[str, Any]) -> None:
    usual, chosen = started(render(helm, {})), started(render(helm, values))
    changed = {
        field: getattr(chosen, field)
        for field in settings.Settings.__slots__
        if getattr(chosen, field) != getattr(usual, field)
    }
    assert changed == expected


REFUSED: list[tuple[Values, str]] = [
    ({"aws": {"region": ""}}, "aws.region is required: set it to the default region"),
    ({"aws": {"region": None}}, "aws.region is required"),
    ({"watchNamespace": "a"}, "watchNamespace needs installScope=namespace"),
    ({"installScope": "namespace", "watchNamespace": "a,B"}, 'namespace names; "B" is none'),
    ({"installScope": "namespace", "watchNamespace": "a,"}, 'namespace names; "" is none'),
    ({"installScope": "Namespaced"}, "at '/installScope': value must be one of 'cluster', 'namespace'"),
    ({"deletionPolicy": "Delete"}, "at '/deletionPolicy': value must be one of 'delete', 'retain'"),
    ({"deletionPolicy": None}, "missing property 'deletionPolicy'"),
    ({"log": {"level": "trace"}}, "at '/log/level': value must be one of 'debug'"),
    ({"resourceTags": ["a"]}, "resourceTags must have the form key=value, each with one '='; \"a\" does not"),
    ({"resourceTags": {"a": "b"}}, "at '/resourceTags': got object, want array"),
    ({"aws": {"endpoint_url": "vpce.example"}}, "aws.endpoint_url must be a URL"),
    ({"aws": {"endpoint_url": "http://x"}}, "unless aws.allow_unsafe_aws_endpoint_urls is true"),
    ({"aws": {"identity_endpoint_url": "http://x"}}, "aws.identity_endpoint_url must be an https URL"),
    ({"aws": {"endpointUrl": "https://x"}}, "at '/aws': additional properties 'endpointUrl' not allowed"),
    ({"aws": {"credentials": None}}, "at '/aws': missing property 'credentials'"),
    ({"replicas": 3}, "additional properties 'replicas' not allowed"),
    ({"imagePullSecrets": []}, "additional properties 'imagePullSecrets' not allowed"),
    ({"image": {"digest": "abc"}}, "image.digest must be sha256: and 64 hexadecimal digits"),
    ({"image": {"tag": 1.0}}, "at '/image/tag': got number, want string"),
    ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
    ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name is required with serviceAccount.create=false"),
    ({"leaderElection": {"enabled": False}}, "deployment.replicas=2 needs leaderElection.enabled=true"),
    (
        {"leaderElection": {"enabled": False}, "deployment": {"replicas": 1, "strategy": {"type": "RollingUpdate"}}},
        "deployment.strategy RollingUpdate needs leaderElection.enabled=true",
    ),
    ({"deployment": {"replicas": "two"}}, "at '/deployment/replicas': got string, want integer"),
    ({"deployment": {"replicas": None}}, "at '/deployment': missing property 'replicas'"),
    ({"deployment": {"replicas": -1}}, "at '/deployment/replicas': minimum: got -1, want 0"),
    (
        {"deployment": {"extraEnvVars": [{"name": "AWS_REGION", "value": "x"}]}},
        "extraEnvVars must not contain AWS_REGION",
    ),
    (
        {"deployment": {"extraEnvVars": [{"name": "AWS_PROFILE"}]}, "aws": {"credentials": {"secretName": "s"}}},
        "extraEnvVars must not contain AWS_PROFILE",
    ),
    ({"deployment": {"extraArgs": ["sweep-seconds=1"]}}, "at '/deployment/extraArgs/0'"),
    ({"reconcile": {"resources": ["Model"]}}, "reconcile.resources does not contain TrainingJob"),
    (
        {"priorityClassName": "a", "deployment": {"priorityClassName": "b"}},
        "priorityClassName and deployment.priorityClassName differ",
    ),
    ({"crds": {"keep": False}}, "or confirm with crds.confirmDeletion=delete-every-trainingjob"),
    ({"crds": {"keep": None}}, "at '/crds': missing property 'keep'"),
    ({"crds": {"keep": "false"}}, "at '/crds/keep': got string, want boolean"),
    ({"crds": {"keep": False, "confirmDeletion": "yes"}}, "at '/crds/confirmDeletion'"),
    ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "at '/podDisruptionBudget/maxUnavailable'"),
    ({"featureGates": {"ServiceLevelCARM": "on"}}, "at '/featureGates/ServiceLevelCARM': got string, want boolean"),
    ({"fullnameOverride": "Upper"}, "at '/fullnameOverride'"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=lambda value: str(value)[:60])
def test_an_invalid_value_is_rejected_with_an_error(helm: Helm, values: Values, sentence: str) -> None:
    with pytest.raises(HelmError) as refused:
        render(helm, values)
    assert sentence in str(refused.value)


ACKS_VALUES: Values = {
    "image": {"repository": "r", "tag": "1", "pullPolicy": "Always", "pullSecrets": ["registry"]},
    "nameOverride": "",
    "fullnameOverride": "",
    "deployment": {
        "annotations": {"a": "b"},
        "labels": {"c": "d"},
        "containerPort": 8080,
        "replicas": 1,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [],
        "affinity": {},
        "priorityClassName": "",
        "hostNetwork": False,
        "dnsPolicy": "ClusterFirst",
        "strategy": {},
        "extraVolumes": [],
        "extraVolumeMounts": [],
        "extraEnvVars": [],
    },
    "role": {"labels": {}},
    "metrics": {"service": {"create": False, "type": "ClusterIP"}},
    "resources": {"requests": {"memory": "64Mi", "cpu": "50m"}, "limits": {"memory": "128Mi", "cpu": "100m"}},
    "aws": {
        "region": "eu-west-1",
        "endpoint_url": "",
        "identity_endpoint_url": "",
        "allow_unsafe_aws_endpoint_urls": False,
        "credentials": {"secretName": "", "secretKey": "credentials", "profile": "default"},
    },
    "log": {"enable_development_logging": False, "level": "info"},
    "installScope": "cluster",
    "watchNamespace": "",
    "watchSelectors": "",
    "resourceTags": ["services.k8s.aws/namespace=%K8S_NAMESPACE%", "kro.run/kro-version=%KRO_VERSION%"],
    "deletionPolicy": "delete",
    "reconcile": {
        "defaultResyncPeriod": 36000,
        "resourceResyncPeriods": {"TrainingJob": 60},
        "defaultMaxConcurrentSyncs": 1,
        "resourceMaxConcurrentSyncs": {},
        "resources": ["App", "TrainingJob", "TransformJob"],
    },
    "serviceAccount": {"create": True, "name": "ack-sagemaker-controller", "annotations": {}},
    "leaderElection": {"enabled": False, "namespace": ""},
    "enableCARM": True,
    "enableCrossNamespace": True,
    "featureGates": {
        "ServiceLevelCARM": True,
        "TeamLevelCARM": False,
        "ReadOnlyResources": True,
        "ResourceAdoption": True,
        "IAMRoleSelector": False,
    },
}
"""Every value of the chart of ACK 1.9.1."""


def test_values_of_acks_chart_are_accepted(helm: Helm) -> None:
    objects = render(helm, ACKS_VALUES)
    chosen = started(objects)
    assert the("ServiceAccount", objects)["metadata"]["name"] == "ack-sagemaker-controller"
    assert (chosen.max_concurrent_reconciles, chosen.enable_leader_election) == (1, False)
    assert pod(objects)["imagePullSecrets"] == [{"name": "registry"}]
    assert the("Deployment", objects)["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("values", "serves"),
    [
        ({}, True),
        ({"featureGates": None}, True),
        ({"featureGates": {"ServiceLevelCARM": True}}, True),
        ({"featureGates": {"IAMRoleSelector": False}}, False),
        ({"installScope": "namespace"}, False),
    ],
)
def test_role_selectors_are_served_with_their_right_alone(helm: Helm, values: Values, serves: bool) -> None:
    objects = render(helm, values)
    rules = [rule for thing in objects for rule in thing.get("rules", ())]
    granted = [rule["verbs"] for rule in rules if rule["resources"] == ["iamroleselectors"]]
    assert granted == ([["list", "watch"]] if serves else [])
    assert started(objects).follows_role_selectors is serves


@pytest.mark.parametrize("aggregates", [True, False])
def test_writers_have_a_cluster_role_of_their_own(helm: Helm, aggregates: bool) -> None:
    objects = render(helm, {"rbac": {"aggregateClusterRoles": aggregates}})
    [writer] = [each for each in objects if each["metadata"]["name"] == f"{NAMESPACE}:{RELEASE}:edit"]
    assert {verb for rule in writer["rules"] for verb in rule["verbs"]} == {
        "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
    }  # fmt: skip
    assert ("rbac.authorization.k8s.io/aggregate-to-edit" in writer["metadata"]["labels"]) is aggregates


def test_a_values_file_with_empty_keys_is_accepted(helm: Helm) -> None:
    """`key:` without a value removes a default."""
    nothing: Values = {
        "watchNamespace": None,
        "watchSelectors": None,
        "resourceTags": None,
        "nameOverride": None,
        "image": {"tag": None, "digest": None, "pullSecrets": None},
        "aws": {"endpoint_url": None, "identity_endpoint_url": None, "allowed_endpoint_urls": None},
        "serviceAccount": {"annotations": None, "name": None},
        "deployment": {
            "annotations": None, "labels": None, "tolerations": None, "affinity": None, "nodeSelector": None,
            "extraEnvVars": None, "extraArgs": None, "extraVolumes": None, "priorityClassName": None,
        },
        "reconcile": {"resources": None, "resourceMaxConcurrentSyncs": None, "resourceResyncPeriods": None},
        "topologySpreadConstraints": None,
        "leaderElection": {"namespace": None},
        "networkPolicy": {"metricsFrom": None, "egress": {"extra": None, "ports": None}},
        "role": {"labels": None},
        "featureGates": None,
        "extraObjects": None,
        "accountMapNamespace": None,
        "clusterID": None,
        "priorityClassName": None,
    }  # fmt: skip
    objects = render(helm, nothing)
    assert container(objects)["image"] == "trainingjob-operator:0.1.0"
    assert started(objects).watch_namespace == ()


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": "r.example/o"}, "r.example/o:0.1.0"),
        ({"repository": "r.example/o", "tag": "2"}, "r.example/o:2"),
        ({"repository": "r.example/o", "digest": DIGEST}, f"r.example/o@{DIGEST}"),
        ({"repository": "r.example/o", "tag": "2", "digest": DIGEST}, f"r.example/o:2@{DIGEST}"),
    ],
)
def test_the_image_is_named_by_tag_or_digest(helm: Helm, image: Values, expected: str) -> None:
    assert container(render(helm, {"image": image}))["image"] == expected


def test_rights_of_the_cluster_scope(helm: Helm) -> None:
    objects = render(helm, {"role": {"labels": {"team": "ml"}}})
    role = named("ClusterRole", f"{NAMESPACE}:{RELEASE}", objects)
    assert role["metadata"]["labels"]["team"] == "ml"
    assert rules(role) == CLUSTER_RULES
    assert rules(the("Role", objects)) == OWN_RULES
    users = [thing for thing in objects if thing["kind"] == "ClusterRole" and thing is not role]
    assert len(users) == 2
    for thing in users:
        assert not [
            rule for rule in thing["rules"] if "patch" in rule["verbs"] and "trainingjobs/status" in rule["resources"]
        ]


CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "PriorityClass"}


def test_the_namespace_scope_has_no_object_of_the_cluster(helm: Helm) -> None:
    values: Values = {
        "installScope": "namespace",
        "watchNamespace": f"a,{NAMESPACE}",
        "crds": {"install": False},
        "clusterID": "blue",
    }
    objects = render(helm, values)
    assert not [thing for thing in objects if thing["kind"] in CLUSTER_WIDE]
    assert {thing["metadata"]["namespace"] for thing in objects} == {NAMESPACE, "a"}
    assert rules(the("Role", objects, "a")) == NAMESPACE_RULES
    assert rules(the("Role", objects, NAMESPACE)) == NAMESPACE_RULES | OWN_RULES
    del values["clusterID"]
    objects = render(helm, values)
    assert rules(the("Role", objects, "kube-system")) == {("", "namespaces", ("kube-system",), frozenset({"get"}))}


def test_rights_follow_the_namespaces_of_lease_and_account_map(helm: Helm) -> None:
    values = {"leaderElection": {"namespace": "leases"}, "accountMapNamespace": "ack-system"}
    objects = render(helm, values)
    kinds = {
        thing["metadata"]["namespace"]: {rule[1] for rule in rules(thing)}
        for thing in objects
        if thing["kind"] == "Role"
    }
    assert kinds == {"leases": {"leases"}, "ack-system": {"configmaps"}}
    off = render(helm, {"leaderElection": {"enabled": False}, "deployment": {"replicas": 1}, "enableCARM": False})
    assert not [thing for thing in off if thing["kind"] == "Role"]


LONG = "r" * 53
NAMES = [
    ({}, "trainingjob-operator", "trainingjob-operator"),
    ({}, "prod", "prod-trainingjob-operator"),
    ({}, "my-trainingjob-operator", "my-trainingjob-operator"),
    ({}, "a.b", "a-b-trainingjob-operator"),
    ({}, LONG, f"{LONG}-trainingj"),
    ({"nameOverride": "jobs"}, "prod", "prod-jobs"),
    ({"nameOverride": "n" * 63}, LONG, f"{LONG}-{'n' * 9}"),
    ({"fullnameOverride": "jobs"}, "prod", "jobs"),
]


@pytest.mark.parametrize(("values", "release", "expected"), NAMES, ids=lambda value: str(value)[:30])
def test_names_are_valid_for_every_release_name(helm: Helm, values: Values, release: str, expected: str) -> None:
    values = merged(values, {"metrics": {"service": {"create": True}}})
    objects = render(helm, values, release=release)
    assert the("Deployment", objects)["metadata"]["name"] == expected
    for thing in objects:
        assert len(thing["metadata"]["name"]) <= (128 if ":" in thing["metadata"]["name"] else 63)
        assert all(len(value) <= 63 for value in thing["metadata"].get("labels", {}).values())
    labels = the("Deployment", objects)["spec"]["template"]["metadata"]["labels"]
    assert the("Service", objects)["spec"]["selector"].items() <= labels.items()


def test_the_service_monitor_is_rendered_if_the_cluster_has_its_kind(helm: Helm) -> None:
    wanted: Values = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    assert not [thing for thing in render(helm, wanted) if thing["kind"] in {"ServiceMonitor", "Service"}]
    objects = render(helm, wanted, *MONITORED)
    monitor, service = the("ServiceMonitor", objects), the("Service", objects)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["honorLabels"]) == ("http-metrics", True)
    assert [port["name"] for port in service["spec"]["ports"]] == ["http-metrics"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    annotations = the("Deployment", objects)["spec"]["template"]["metadata"].get("annotations", {})
    assert "prometheus.io/scrape" not in annotations, "metrics would be scraped twice"


def test_alerts_and_dashboard_are_rendered_unchanged_where_they_are_wanted(helm: Helm) -> None:
    kinds = {"PrometheusRule", "ServiceMonitor"}
    assert not [thing for thing in render(helm, {}, *MONITORED) if thing["kind"] in kinds | {"ConfigMap"}]
    wanted: Values = {
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "docsURL": "https://wiki.example/docs/",
        },
        "grafanaDashboard": {"enabled": True, "annotations": {"grafana_folder": "SageMaker"}},
    }
    assert [thing["kind"] for thing in render(helm, wanted) if thing["kind"] in kinds | {"ConfigMap"}] == ["ConfigMap"]
    objects = render(helm, wanted, *MONITORED, "--api-versions", "monitoring.coreos.com/v1/PrometheusRule")
    rule, dashboard = the("PrometheusRule", objects), the("ConfigMap", objects)
    expected = yaml.safe_load((CHART / "files/prometheus-rules.yaml").read_text())
    urls = [each["annotations"].pop("runbook_url") for spec in (rule["spec"], expected) for group in spec["groups"]
            for each in group["rules"] if "alert" in each]  # fmt: skip
    assert rule["spec"] == expected
    half = len(urls) // 2
    assert urls[:half] == [url.replace("docs/", "https://wiki.example/docs/") for url in urls[half:]]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert dashboard["data"] == {
        "trainingjob-operator.json": (CHART / "files/grafana-dashboard.json").read_text().rstrip("\n")
    }
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["metadata"]["annotations"] == {"grafana_folder": "SageMaker"}


def test_the_network_policy_permits_the_connections_in_use(helm: Helm) -> None:
    values = {"aws": {"endpoint_url": "https://vpce.example:8443/path"}}
    policy = the("NetworkPolicy", render(helm, values))["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    health, metrics = policy["ingress"]
    assert health == {"ports": [{"port": "http-health"}]}
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {"metrics": "enabled"}}}]
    assert metrics["ports"] == [{"port": "http-metrics"}]
    dns, services, credentials = policy["egress"]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert [port["port"] for port in services["ports"]] == [443, 6443, 8443]
    assert [to["ipBlock"]["cidr"] for to in credentials["to"]] == ["169.254.170.23/32", "169.254.169.254/32"]
    closed = the("NetworkPolicy", render(helm, {"networkPolicy": {"metricsFrom": [], "egress": {"enabled": False}}}))
    assert closed["spec"]["ingress"] == [{"ports": [{"port": "http-health"}]}]
    assert closed["spec"]["policyTypes"] == ["Ingress"]
    assert not [
        thing for thing in render(helm, {"networkPolicy": {"enabled": False}}) if thing["kind"] == "NetworkPolicy"
    ]


def test_the_crd_is_the_generated_one_and_is_kept(helm: Helm) -> None:
    crd = the("CustomResourceDefinition", render(helm, {}))
    generated = yaml.safe_load((CHART.parents[1] / "crds/sagemaker.services.k8s.aws_trainingjobs.yaml").read_text())
    assert crd["spec"] == generated["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    confirmed = {"crds": {"keep": False, "confirmDeletion": "delete-every-trainingjob"}}
    assert "annotations" not in the("CustomResourceDefinition", render(helm, confirmed))["metadata"]


MATRIX: dict[str, tuple[Values, tuple[str, ...]]] = {
    "defaults": ({}, ()),
    "ack": (ACKS_VALUES, ()),
    "everything": (
        {
            "image": {"digest": DIGEST, "pullSecrets": ["a", "b"]},
            "aws": {"credentials": {"secretName": "aws"}, "endpoint_url": "https://x.example:1"},
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
            "deployment": {
                "annotations": {"prometheus.io/scrape": "false", "n": "1"},
                "labels": {"app.kubernetes.io/name": "ignored", "team": "ml"},
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "hostNetwork": True,
                "dnsPolicy": "ClusterFirstWithHostNet",
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
                "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
                "extraEnvVars": [{"name": "AWS_CA_BUNDLE", "value": "/ca/ca.crt"}],
            },
            "priorityClassName": "system-cluster-critical",
            "topologySpreadConstraints": [
                {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"},
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "maxSkew": 1,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"a": "b"}},
                },
            ],
            "metrics": {"service": {"create": True, "type": "NodePort"}},
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "networkPolicy": {"egress": {"extra": [{"ports": [{"port": 3128}]}]}},
            "extraObjects": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}},
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-two",
            ],
        },
        (),
    ),
    "bare": (
        {
            "leaderElection": {"enabled": False},
            "deployment": {"replicas": 0, "nodeSelector": {"kubernetes.io/os": None}},
            "serviceAccount": {"create": False, "name": "default"},
            "podDisruptionBudget": {"enabled": False},
            "networkPolicy": {"enabled": False},
            "rbac": {"aggregateClusterRoles": False},
            "crds": {"install": False},
            "enableCARM": False,
            "topologySpreadConstraints": [],
            "resources": {"requests": None, "limits": None},
        },
        (),
    ),
    "namespace": ({"installScope": "namespace"}, ()),
    "long": ({"metrics": {"service": {"create": True}}}, (LONG,)),
    "dotted": ({"metrics": {"service": {"create": True}}}, ("1.release",)),
}


@pytest.mark.parametrize("case", MATRIX)
def test_the_api_server_accepts_the_rendered_objects(
    helm: Helm, control_plane: Cluster, namespace: str, case: str
) -> None:
    values, releases = MATRIX[case]
    release = releases[0] if releases else RELEASE
    given = merged({"aws": {"region": "eu-west-1"}}, values)
    text = helm.with_values("template", given, release, str(CHART), "--namespace", namespace)  # with those of helm test
    kinds = [thing["kind"] for thing in yaml.safe_load_all(text) if thing]
    flags = ("--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts")
    taken = control_plane.kubectl("apply", *flags, "-f", "-", input=text)
    assert len(taken.splitlines()) == len(kinds)


def test_values_of_the_deployment_reach_the_pod(helm: Helm) -> None:
    objects = render(helm, MATRIX["everything"][0])
    template = the("Deployment", objects)["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "false",
        "prometheus.io/port": "8080",
        "n": "1",
    }
    assert template["metadata"]["labels"] == {
        "app.kubernetes.io/name": "trainingjob-operator",
        "app.kubernetes.io/instance": RELEASE,
        "team": "ml",
    }
    spec = template["spec"]
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    selectors = [each["labelSelector"]["matchLabels"] for each in spec["topologySpreadConstraints"]]
    assert selectors == [the("Deployment", objects)["spec"]["selector"]["matchLabels"], {"a": "b"}]
    assert [volume["name"] for volume in spec["volumes"]] == ["aws-credentials", "ca"]
    environ = {variable["name"]: variable.get("value") for variable in container(objects)["env"]}
    assert environ["AWS_SHARED_CREDENTIALS_FILE"] == "/var/run/secrets/aws/credentials"
    assert environ["AWS_CA_BUNDLE"] == "/ca/ca.crt"
    names = [thing["metadata"]["name"] for thing in objects if thing["kind"] == "ConfigMap"]
    assert names == ["one", f"{RELEASE}-two"]


def test_the_notes_name_the_next_step_and_values_without_effect(helm: Helm) -> None:
    notes = helm.with_values("install", merged(ACKS_VALUES, {"serviceMonitor": {"enabled": True}}), *(
        RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client",
    ))  # fmt: skip
    for part in (
        f"kubectl rollout status deployment/{RELEASE} -n {NAMESPACE}",
        "kubectl wait --for=condition=Settled trainingjob/NAME",
        "It needs an IAM role",
        "serviceMonitor.enabled has no effect",
        "reconcile.defaultResyncPeriod, reconcile.resourceResyncPeriods",
        "featureGates.ServiceLevelCARM",
        "their jobs continue",
    ):
        assert part in notes, part
    assert "TeamLevelCARM" not in notes


def test_a_parent_chart_can_enable_the_chart_and_pass_globals(helm: Helm) -> None:
    assert render(helm, {"global": {"x": 1}, "enabled": True})


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
@pytest.mark.parametrize(
    ("values", "flag", "may_delete"),
    [
        ({}, None, False),
        ({"rbac": {"deleteFinishedObjects": True}}, None, True),
        ({"ttlSecondsAfterFinished": 0}, "--ttl-seconds-after-finished=0", True),
        ({"ttlSecondsAfterFinished": 86400}, "--ttl-seconds-after-finished=86400", True),
    ],
)
def test_the_right_to_delete_objects_is_granted_only_on_request(
    helm: Helm, values: dict[str, Any], flag: str | None, scope: str, *, may_delete: bool
) -> None:
    objects = render(helm, {"installScope": scope, **values})
    arguments = the("Deployment", objects)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [each for each in arguments if "ttl" in each] == ([] if flag is None else [flag])
    rules = [rule for thing in objects if thing["kind"] in ("ClusterRole", "Role") for rule in thing["rules"]]
    deletes = [rule for rule in rules if "delete" in rule["verbs"] and rule["resources"] == ["trainingjobs"]]
    assert {tuple(rule["verbs"]) for rule in deletes if len(rule["verbs"]) == 1} == (
        {("delete",)} if may_delete else set()
    )
