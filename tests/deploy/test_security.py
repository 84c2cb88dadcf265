"""Restrictions of docs/security.md without another test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.controlplane.plane import KubectlError
from tests.crds.installation import install_crd
from tests.deploy.test_manifests import ROLE, Object, build, named, rules, the
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster


@pytest.fixture(scope="module", params=["deploy", "deploy/namespaced"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The manifests of an installation."""
    return build(request.param)


@pytest.fixture(scope="module")
def roles() -> list[Object]:
    """The ClusterRoles of the installation for a cluster."""
    return [thing for thing in build("deploy") if thing["kind"] == "ClusterRole"]


def test_metrics_are_open_to_labeled_namespaces_alone(objects: list[Object]) -> None:
    policy = the("NetworkPolicy", objects)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "http-health"}]},
        {
            "from": [{"namespaceSelector": {"matchLabels": {"metrics": "enabled"}}}],
            "ports": [{"port": "http-metrics"}],
        },
    ]
    assert not [thing for thing in objects if thing["kind"] == "Service"]


def test_the_operator_may_connect_to_dns_https_and_credentials_alone(objects: list[Object]) -> None:
    egress = the("NetworkPolicy", objects)["spec"]["egress"]
    everywhere = {port["port"] for rule in egress if "to" not in rule for port in rule["ports"]}
    restricted = {to["ipBlock"]["cidr"] for rule in egress for to in rule.get("to", ())}
    assert everywhere == {53, 443, 6443}
    assert restricted == {"169.254.170.23/32", "169.254.169.254/32"}


def test_no_role_for_users_may_write_a_status(roles: list[Object]) -> None:
    users = [role for role in roles if role is not named("ClusterRole", ROLE, roles)]
    assert len(users) == 2
    for role in users:
        for _, resource, _, verbs in rules(role):
            assert "*" not in {resource, *verbs}
            assert resource == "trainingjobs" or verbs <= {"get", "list", "watch"}


def test_roles_for_users_read_whole_objects(roles: list[Object]) -> None:
    view = named("ClusterRole", f"{ROLE}:view", roles)
    assert ("sagemaker.services.k8s.aws", "trainingjobs", (), frozenset({"get", "list", "watch"})) in rules(view)


def test_the_role_for_writers_is_complete_by_itself(roles: list[Object]) -> None:
    """Documented in docs/pipelines.md."""
    edit = named("ClusterRole", f"{ROLE}:edit", roles)
    verbs = set().union(*(granted for _, resource, _, granted in rules(edit) if resource == "trainingjobs"))
    assert verbs == {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}


def test_a_quota_limits_the_objects_of_a_namespace(control_plane: Cluster, namespace: str, kubectl: Kubectl) -> None:
    install_crd(control_plane)
    jobs = Jobs(control_plane, namespace)
    hard = {"count/trainingjobs.sagemaker.services.k8s.aws": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "jobs"}, "spec": {"hard": hard}}
    kubectl("create", "-f", "-", input=yaml.safe_dump(quota))
    # In place of the quota controller, not part of this control plane.
    counted = json.dumps({"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}})
    kubectl("patch", "resourcequota", "jobs", "--subresource=status", "--type=merge", "--patch", counted)
    jobs.apply(training_job("one"))

    def refusal() -> str:
        try:
            kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(training_job("two")))
        except KubectlError as error:
            return str(error)
        return ""

    assert "exceeded quota: jobs" in await_true("the quota counts the object", refusal)
