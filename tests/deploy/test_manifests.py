"""The manifests: their rights are exactly those used by the code, and a real API server accepts them."""

from __future__ import annotations

import ast
import importlib
import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane.plane import KUBECTL, KubectlError
from tests.crds.installation import OURS, install_crd
from tests.e2e.operator_process import await_true
from tests.helm import rendering
from tests.sagemaker.timeline import Plan, plan_of
from trainingjob_operator import settings
from trainingjob_operator.cli import build_parser
from trainingjob_operator.kube.leader import LEASE_NAME
from trainingjob_operator.logic.decide.accounts import ACCOUNT_MAP
from trainingjob_operator.logic.objects.fields import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import Cluster

Object = dict[str, Any]
Rule = tuple[str, str, tuple[str, ...], frozenset[str]]

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "operator/trainingjob_operator"
SAMPLES = sorted((REPOSITORY / "deploy/samples").glob("*.yaml"))
NAMESPACE = "trainingjob-operator"
ROLE = f"{NAMESPACE}:{NAMESPACE}"
TRAINING = "training"


def build(folder: str) -> list[Object]:
    """Objects of `kubectl apply -k`."""
    built = subprocess.run(
        [KUBECTL, "kustomize", folder], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    return [document for document in yaml.safe_load_all(built) if document]


def the(kind: str, objects: list[Object], namespace: str | None = None) -> Object:
    [found] = [
        thing
        for thing in objects
        if thing["kind"] == kind and (namespace is None or thing["metadata"].get("namespace") == namespace)
    ]
    return found


def named(kind: str, name: str, objects: list[Object]) -> Object:
    [found] = [thing for thing in objects if (thing["kind"], thing["metadata"]["name"]) == (kind, name)]
    return found


def rules(role: Object) -> set[Rule]:
    """(group, resource, names, verbs) of each rule."""
    return {
        (group, resource, tuple(rule.get("resourceNames", ())), frozenset(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


@pytest.fixture(scope="module")
def everywhere() -> list[Object]:
    return build("deploy")


@pytest.fixture(scope="module")
def namespaced() -> list[Object]:
    return build("deploy/namespaced")


@pytest.mark.parametrize("name", rendering.RENDERINGS)
def test_a_rendered_manifest_matches_the_chart(name: str) -> None:
    assert rendering.path(name).read_text().startswith(rendering.notice(name)), "run make manifests"


def test_the_single_file_has_the_crd_and_the_cluster_wide_manifests(everywhere: list[Object]) -> None:
    installed = list(yaml.safe_load_all(rendering.path("install.yaml").read_text()))
    crd = the("CustomResourceDefinition", installed)
    assert crd["spec"] == yaml.safe_load(OURS.read_text())["spec"]

    def by_name(thing: Object) -> tuple[str, str, str]:
        return thing["kind"], thing["metadata"].get("namespace", ""), thing["metadata"]["name"]

    assert sorted(installed, key=by_name) == sorted([crd, *everywhere], key=by_name)


# Calls of each module of kube/ to the API server, by its code, and the required right.
CALLS = {
    "discovery": {"GET", "POST"},  # the group's resources (open to every account), selfsubjectaccessreviews
    "events": {"POST"},
    "leader": {"GET", "POST", "PUT"},
    "objects": {"GET", "PATCH", "DELETE"},  # DELETE only with a time to live, as in the chart
    "cluster_state": {"GET", "watch"},
}
CLUSTER_RULES: set[Rule] = {
    ("sagemaker.services.k8s.aws", "trainingjobs", (), frozenset({"get", "list", "watch", "patch"})),
    ("sagemaker.services.k8s.aws", "trainingjobs/status", (), frozenset({"patch"})),
    ("", "namespaces", (), frozenset({"get", "list", "watch"})),
    ("services.k8s.aws", "iamroleselectors", (), frozenset({"list", "watch"})),
    ("events.k8s.io", "events", (), frozenset({"create"})),
}
OWN_RULES: set[Rule] = {
    ("coordination.k8s.io", "leases", (), frozenset({"create"})),
    ("coordination.k8s.io", "leases", (LEASE_NAME,), frozenset({"get", "update"})),
    ("", "configmaps", (ACCOUNT_MAP,), frozenset({"get", "list", "watch"})),
}
NAMESPACE_RULES: set[Rule] = {
    ("sagemaker.services.k8s.aws", "trainingjobs", (), frozenset({"get", "list", "watch", "patch"})),
    ("sagemaker.services.k8s.aws", "trainingjobs/status", (), frozenset({"patch"})),
    ("", "namespaces", (), frozenset({"get"})),
    ("events.k8s.io", "events", (), frozenset({"create"})),
}
GRANTED_TO_ALL = {
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
}
"""The role system:basic-user grants these to every authenticated account."""


def calls_of_the_code() -> dict[str, set[str]]:
    """HTTP methods and watches of each module with calls to the API server."""
    found: dict[str, set[str]] = {}
    for module in (PACKAGE / "kube").glob("*.py"):
        if module.stem == "client":  # the transport of all calls; its callers name the paths
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="call"), args=[ast.Constant(value=str(method)), *_]):
                    found.setdefault(module.stem, set()).add(method)
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="_api"), attr="watch")):
                    found.setdefault(module.stem, set()).add("watch")
    return found


_PATH = re.compile(r"/apis?(?:/([\w.]+))?/v\w+(?:/namespaces/\{\}|\{\})?/([a-z]+)(?:\{\}|/.+)?")
_SUBRESOURCE = re.compile(r"\{\}/([a-z]+)")


def text_of(node: ast.AST, names: dict[str, Any]) -> str:
    """String of the code, with `{}` for each value of the run time."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, names) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) if isinstance(names.get(name), str):
            return str(names[name])
    return "{}"


def resources_of_the_code() -> set[tuple[str, str]]:
    """(group, resource) of every path of the API server in kube/."""
    found = set()
    for module in (PACKAGE / "kube").glob("*.py"):
        names = vars(importlib.import_module(f"trainingjob_operator.kube.{module.stem}"))
        strings = [
            node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant | ast.JoinedStr)
        ]
        texts = [text_of(node, names) for node in strings]
        resources = {(path[1] or "", path[2]) for text in texts if (path := _PATH.fullmatch(text))}
        parts = [part[1] for text in texts if (part := _SUBRESOURCE.fullmatch(text))]
        found |= resources | {(group, f"{resource}/{part}") for group, resource in resources for part in parts}
    return found


def test_the_rules_name_the_resources_of_the_code() -> None:
    granted = {(group, resource) for group, resource, *_ in CLUSTER_RULES | OWN_RULES}
    assert resources_of_the_code() == granted | GRANTED_TO_ALL
    assert {(group, resource) for group, resource, *_ in NAMESPACE_RULES} <= resources_of_the_code()


def test_the_table_of_calls_matches_the_code() -> None:
    assert calls_of_the_code() == CALLS


def test_the_roles_have_exactly_the_verbs_used(everywhere: list[Object]) -> None:
    assert rules(named("ClusterRole", ROLE, everywhere)) == CLUSTER_RULES
    assert rules(the("Role", everywhere)) == OWN_RULES


def test_the_namespaced_installation_has_no_right_on_the_cluster(namespaced: list[Object]) -> None:
    assert not [thing for thing in namespaced if thing["kind"].startswith("ClusterRole")]
    assert rules(the("Role", namespaced, NAMESPACE)) == OWN_RULES
    assert rules(the("Role", namespaced, TRAINING)) == NAMESPACE_RULES
    assert rules(the("Role", namespaced, "kube-system")) == {("", "namespaces", ("kube-system",), frozenset({"get"}))}


@pytest.mark.parametrize("folder", ["deploy", "deploy/namespaced"])
def test_every_binding_grants_a_role_of_the_installation_to_its_service_account(folder: str) -> None:
    objects = build(folder)
    account = the("ServiceAccount", objects)["metadata"]
    roles = {(thing["kind"], thing["metadata"]["name"]) for thing in objects if thing["kind"].endswith("Role")}
    bindings = [thing for thing in objects if thing["kind"].endswith("RoleBinding")]
    assert len(bindings) == (2 if folder == "deploy" else 3)
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]


def start(objects: list[Object]) -> settings.Settings:
    """Settings of the Deployment's container."""
    container = the("Deployment", objects)["spec"]["template"]["spec"]["containers"][0]
    environ = {variable["name"]: variable.get("value", NAMESPACE) for variable in container["env"]}
    return settings.read(vars(build_parser().parse_args(container["args"])), environ)


def test_the_deployments_arguments_are_flags_of_the_program(everywhere: list[Object]) -> None:
    started = start(everywhere)
    assert started.enable_leader_election
    assert started.lease_namespace == started.system_namespace == NAMESPACE
    assert started.watch_namespace == ()


def test_the_namespaced_deployment_names_its_namespaces_and_no_cluster_id(
    namespaced: list[Object],
) -> None:
    started = start(namespaced)
    assert started.watch_namespace == (TRAINING,)
    assert started.cluster_id == "", "a copied file must not give two clusters one ID"


def test_the_probes_use_the_health_endpoints(everywhere: list[Object]) -> None:
    container = the("Deployment", everywhere)["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    started = start(everywhere)
    assert ports == {"http-metrics": started.metrics_addr.port, "http-health": started.healthz_addr.port}
    for probe, path in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
        assert container[probe]["httpGet"] == {"path": path, "port": "http-health"}


def test_selectors_match_the_deployments_pods(everywhere: list[Object]) -> None:
    deployment = the("Deployment", everywhere)["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    spread = deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    budget = the("PodDisruptionBudget", everywhere)["spec"]["selector"]
    policy = the("NetworkPolicy", everywhere)["spec"]["podSelector"]
    for selector in (deployment["selector"], budget, policy, spread):
        assert selector["matchLabels"].items() <= labels


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_its_stated_end_at_the_stand_in(path: Path) -> None:
    sample = yaml.safe_load(path.read_text())
    annotations = sample["metadata"]["annotations"]
    plan = plan_of(to_request(sample["spec"]), Plan())
    if "samples/deleted-in" in annotations:
        assert (plan.outcome, annotations["samples/ends-as"]) == ("Running", "Stopped")
    else:
        assert plan.outcome == annotations["samples/ends-as"]
    if plan.outcome == "Failed":
        assert plan.failure_reason == annotations["samples/failure-reason"]
    if "samples/savings-percent" in annotations:
        assert plan.billable == pytest.approx(1 - int(annotations["samples/savings-percent"]) / 100)


def test_the_samples_show_each_end_state() -> None:
    ends = [yaml.safe_load(path.read_text())["metadata"]["annotations"]["samples/ends-as"] for path in SAMPLES]
    assert sorted(ends) == ["Completed", "Completed", "Failed", "Stopped"]


def renamed(thing: Any, suffix: str) -> Any:
    """The installation under other names, without conflicts in the cluster."""
    if isinstance(thing, list):
        return [renamed(item, suffix) for item in thing]
    if not isinstance(thing, dict):
        return thing
    return {
        key: ":".join(part + suffix if part in {NAMESPACE, TRAINING} else part for part in value.split(":"))
        if key in {"name", "namespace", "serviceAccountName"} and isinstance(value, str)
        else renamed(value, suffix)
        for key, value in thing.items()
    }


class Installation:
    """Objects of one folder under unique names."""

    def __init__(self, folder: str) -> None:
        self.suffix = f"-{secrets.token_hex(3)}"
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TRAINING}}
        self.objects: list[Object] = renamed([namespace, *build(folder)], self.suffix)
        self.yaml = yaml.safe_dump_all(self.objects)


@pytest.fixture(scope="module", params=["deploy", "deploy/namespaced"])
def installed(control_plane: Cluster, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """One of the installations, in the cluster during its tests."""
    installation = Installation(request.param)
    install_crd(control_plane)
    control_plane.kubectl("apply", "-f", "-", input=installation.yaml)
    yield installation
    control_plane.kubectl("delete", "--wait=false", "-f", "-", input=installation.yaml)


def test_the_pod_security_of_the_namespace_accepts_the_pods(control_plane: Cluster, installed: Installation) -> None:
    deployment = the("Deployment", installed.objects)
    pod: Object = {"apiVersion": "v1", "kind": "Pod", **deployment["spec"]["template"]}
    pod["metadata"] |= {"name": "probe", "namespace": deployment["metadata"]["namespace"]}
    create = ("create", "--dry-run=server", "-f", "-")
    assert "pod/probe created (server dry run)" in control_plane.kubectl(*create, input=json.dumps(pod))
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        control_plane.kubectl(*create, input=json.dumps(pod | {"spec": pod["spec"] | {"securityContext": {}}}))


RIGHTS = [
    (TRAINING, "patch", "trainingjobs.sagemaker.services.k8s.aws/x", True),
    (TRAINING, "patch", "trainingjobs.sagemaker.services.k8s.aws/x --subresource=status", True),
    (TRAINING, "create", "events.events.k8s.io", True),
    (NAMESPACE, "update", f"leases.coordination.k8s.io/{LEASE_NAME}", True),
    (NAMESPACE, "get", f"configmaps/{ACCOUNT_MAP}", True),
    (TRAINING, "delete", "trainingjobs.sagemaker.services.k8s.aws/x", False),
    (TRAINING, "get", "secrets", False),
    (NAMESPACE, "get", "secrets", False),
    (NAMESPACE, "get", "configmaps/other", False),
    (NAMESPACE, "update", "leases.coordination.k8s.io/other", False),
]


def test_the_service_account_has_exactly_its_rights(control_plane: Cluster, installed: Installation) -> None:
    account = the("ServiceAccount", installed.objects)["metadata"]
    impersonated = f"--as=system:serviceaccount:{account['namespace']}:{account['name']}"
    namespace_itself = (TRAINING, "get", f"namespaces/{TRAINING}{installed.suffix}", True)

    def ask() -> list[tuple[str, str, str, str]]:
        """Unexpected answers."""
        wrong = []
        for where, verb, resource, allowed in [*RIGHTS, namespace_itself]:
            review = ["--namespace", where + installed.suffix, "auth", "can-i", verb, *resource.split(), impersonated]
            try:
                answer = control_plane.kubectl(*review).strip()
            except KubectlError:  # the exit code is 1 for "no"
                answer = "no"
            if (answer == "yes") is not allowed:
                wrong.append((where, verb, resource, answer))
        return wrong

    # A right takes effect some moments after its grant.
    await_true("every right is known", lambda: "no" not in [answer for *_, answer in ask()])
    assert not ask()
