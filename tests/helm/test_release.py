"""Releases on a real API server: installation, also over ACK's CRD, upgrade, rollback and uninstallation.

No Pod runs here: the operator is a process with the token of the release's ServiceAccount and the arguments of the
container.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane.plane import KubectlError
from tests.crds.installation import ACKS, NAME, OURS
from tests.deploy.test_manifests import the
from tests.e2e import recorded
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import OperatorProcess, await_true
from tests.helm.program import CHART, Helm, HelmError
from tests.helm.releases import OURS_ALONE, RELEASE, Releases, Values, is_served
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.installation


TAKE_OVER = ("--take-ownership", "--force-conflicts")
"""The values in docs/moving-from-ack.md."""


def earlier_chart(folder: Path) -> Path:
    """The chart as version 0.0.1; its CRD lacks a column and its Deployment has other ports."""
    chart = folder / "earlier"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.0.1", "appVersion": "0.0.1"}))
    file = chart / "files" / OURS.name
    crd = yaml.safe_load(file.read_text())
    crd["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    file.write_text(yaml.safe_dump(crd))
    return chart


def columns(crd: dict[str, Any]) -> int:
    return len(crd["spec"]["versions"][0]["additionalPrinterColumns"])


def test_a_job_survives_upgrade_rollback_uninstallation_and_another_installation(
    releases: Releases, team: Jobs, sagemaker: StandIn
) -> None:
    sagemaker.plan(outcome="Running", seconds=0.5)
    releases.apply(chart=earlier_chart(releases.folder))
    assert releases.crd()["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    before = columns(releases.crd())
    with releases.operator(sagemaker):
        team.apply(training_job("long"))
        team.wait_status("long", "InProgress")

    releases.apply(values={"deployment": {"replicas": 3}})
    assert (columns(releases.crd()), releases.deployment()["spec"]["replicas"]) == (before + 1, 3)
    assert releases.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.1.0")
    with releases.operator(sagemaker):
        await_true("it is followed", lambda: sagemaker.calls("DescribeTrainingJob", job="long"))

    releases.run("rollback", "1")
    assert (columns(releases.crd()), releases.deployment()["spec"]["replicas"]) == (before, 2)

    releases.run("uninstall")
    assert releases.kubectl("get", "deployments", "--namespace", releases.namespace, "--output=name") == ""
    assert releases.kubectl("get", "clusterroles", "--selector", OURS_ALONE, "-o", "name") == ""
    assert team.get("long") is not None

    releases.apply()
    assert columns(releases.crd()) == before + 1
    with releases.operator(sagemaker):
        sagemaker.complete_job("long")
        team.wait_status("long", "Completed")
    assert len(sagemaker.calls("CreateTrainingJob")) == 1
    assert sagemaker.calls("StopTrainingJob") == []


def test_the_crd_is_deleted_only_after_a_confirmation(releases: Releases, team: Jobs) -> None:
    releases.apply()
    team.apply(training_job("one"))
    with pytest.raises(HelmError, match="keep=false makes the end of the release delete the CRD"):
        releases.apply(values={"crds": {"keep": False}})
    releases.apply(values={"crds": {"install": False}})
    assert team.get("one") is not None, "an upgrade without the CRD keeps it in the cluster"
    releases.apply()
    releases.run("uninstall")
    assert team.get("one") is not None
    releases.apply(values={"crds": {"keep": False, "confirmDeletion": "delete-every-trainingjob"}})
    releases.run("uninstall")
    await_true("the CRD is gone", lambda: not releases.kubectl("get", "crd", NAME, "--ignore-not-found"))


INSTALLATIONS_OF_ACK = {
    "helm": ("create", "--field-manager=helm"),
    "kubectl": ("apply",),
    "server-side": ("apply", "--server-side", "--field-manager=kustomize-controller"),
}


@pytest.mark.parametrize("how", INSTALLATIONS_OF_ACK)
def test_one_command_installs_over_acks_crd(releases: Releases, place: str, team: Jobs, how: str) -> None:
    command, *flags = INSTALLATIONS_OF_ACK[how]
    releases.kubectl(command, *flags, "--filename", str(ACKS))
    with StandIn(recorded.STAND_IN) as sagemaker:
        await_true("the kind is served", lambda: is_served(releases))
        for name in recorded.PHASES:
            recorded.make_job(name, sagemaker, place)
        recorded.put_objects({name: name for name in recorded.PHASES}, sagemaker, team.kubectl)
        before = {body["metadata"]["name"]: body["metadata"]["uid"] for body in team.bodies()}
        since = sagemaker.total()

        with pytest.raises(HelmError, match="invalid ownership metadata"):
            releases.apply()
        releases.apply(*TAKE_OVER)

        assert columns(releases.crd()) == columns(yaml.safe_load(OURS.read_text()))
        assert {body["metadata"]["name"]: body["metadata"]["uid"] for body in team.bodies()} == before
        region = {"environment": {**recorded.ENVIRONMENT, "AWS_REGION": recorded.REGION}}
        with releases.operator(sagemaker, f"--watch-namespace={place}", **region):
            for name in recorded.PHASES:
                team.wait(name, "is taken over", lambda body: "observedGeneration" in body["status"])
        calls = [call["operation"] for call in sagemaker.calls(since=since)]
        changes = [name for name in calls if not name.startswith(("Describe", "List", "sts:"))]
        assert changes == []
    releases.apply(values={"deployment": {"replicas": 3}})
    assert releases.deployment()["spec"]["replicas"] == 3, "later upgrades need no flags"


def test_the_command_also_repairs_a_partly_failed_installation(releases: Releases) -> None:
    releases.kubectl("apply", "--server-side", "--filename", str(ACKS))
    with pytest.raises(HelmError, match="conflict"):
        releases.apply("--take-ownership")
    releases.apply(*TAKE_OVER)
    assert json.loads(releases.run("status", "--output=json"))["info"]["status"] == "deployed"


def test_leader_election_can_be_disabled_and_enabled(releases: Releases) -> None:
    alone = {"leaderElection": {"enabled": False}, "deployment": {"replicas": 1}}
    for values, strategy in [({}, "RollingUpdate"), (alone, "Recreate"), ({}, "RollingUpdate")]:
        releases.apply(values=values)
        assert releases.deployment()["spec"]["strategy"]["type"] == strategy


@pytest.fixture
def installer(releases: Releases, tmp_path: Path) -> Releases:
    """An identity with all rights in two namespaces and none elsewhere."""
    account = tmp_path / "installer"
    account.mkdir()
    kubeconfig = releases.cluster.kubeconfig_of_service_account("default", "default", account)
    installer = Releases(Helm(releases.helm.program, tmp_path, kubeconfig), releases.cluster, tmp_path)
    for namespace in (installer.namespace, f"{installer.namespace}-b"):
        releases.kubectl("create", "namespace", namespace)
        releases.kubectl("create", "role", "all", "--verb=*", "--resource=*.*", "--namespace", namespace)
        binding = ("--role=all", "--serviceaccount=default:default", "--namespace", namespace)
        releases.kubectl("create", "rolebinding", "all", *binding)
    return installer


def test_the_namespace_scope_is_installed_and_runs_without_any_right_on_the_cluster(
    releases: Releases, installer: Releases, sagemaker: StandIn
) -> None:
    releases.kubectl("apply", "--server-side", "--filename", str(OURS))
    with pytest.raises(HelmError, match="forbidden"):
        installer.apply()
    a, b = installer.namespace, f"{installer.namespace}-b"
    values: Values = {
        "installScope": "namespace",
        "watchNamespace": f"{a},{b}",
        "clusterID": "blue",
        "crds": {"install": False},
    }
    installer.apply(values=values)
    mine, other = (Jobs(releases.cluster, name) for name in (a, b))
    sagemaker.plan(seconds=0.5)
    with installer.operator(sagemaker) as operator:
        mine.apply(training_job("here"))
        other.apply(training_job("there"))
        mine.wait_status("here", "Completed")
        other.wait_status("there", "Completed")
        assert operator.ask("readyz") == (200, "ok\n")
        releases.kubectl("delete", "namespace", b, "--timeout=60s")
        await_true("it is named", lambda: b in operator.ask("readyz")[1])
        assert operator.ask("readyz")[0] == 200
        mine.apply(training_job("after"))
        mine.wait_status("after", "Completed")
        with pytest.raises(HelmError, match=f'namespaces "{b}" not found|forbidden'):
            installer.apply(values=values)
        installer.apply(values={**values, "watchNamespace": a})
        installer.run("uninstall")


def test_a_second_release_in_one_namespace_is_rejected(releases: Releases) -> None:
    releases.apply()
    with pytest.raises(HelmError, match=f"has the release {RELEASE} of this chart already: both would share one Lease"):
        releases.helm.run("install", "second", str(CHART), "--namespace", releases.namespace, "--set", "aws.region=x-1")
    releases.apply(values={"deployment": {"replicas": 1}})


def test_teams_install_releases_of_one_name_in_their_namespaces(releases: Releases) -> None:
    releases.kubectl("apply", "--server-side", "--filename", str(OURS))
    own: Values = {"installScope": "namespace", "crds": {"install": False}}
    one, two = (f"{releases.namespace}-{name}" for name in ("one", "two"))
    for namespace in (one, two):
        releases.apply(namespace=namespace, values=own)

    def roles() -> set[str]:
        names = releases.kubectl("get", "roles", "--namespace", "kube-system", "-l", OURS_ALONE, "-o", "name").split()
        return {name.partition("/")[2] for name in names}

    assert roles() == {f"{one}:{RELEASE}", f"{two}:{RELEASE}"}
    releases.run("uninstall", namespace=one)
    assert roles() == {f"{two}:{RELEASE}"}
    releases.run("uninstall", namespace=two)


def test_users_get_the_rights_of_their_cluster_role(releases: Releases, team: Jobs) -> None:
    releases.apply()
    for name in ("view", "edit", "admin"):
        team.kubectl("create", "rolebinding", name, f"--clusterrole={name}", f"--user={name}")

    def may(user: str, verb: str, *arguments: str) -> bool:
        try:
            return team.kubectl("auth", "can-i", verb, *arguments, f"--as={user}").strip() == "yes"
        except KubectlError:
            return False

    kind = "trainingjobs.sagemaker.services.k8s.aws"
    await_true("the roles are aggregated", lambda: may("view", "list", kind) and may("admin", "delete", kind))
    for user, writes in [("view", False), ("edit", True), ("admin", True)]:
        assert may(user, "get", kind)
        assert may(user, "create", kind) is writes
        assert may(user, "delete", kind) is writes
        assert not may(user, "patch", kind, "--subresource=status")
    assert not may("nobody", "get", kind)


def test_the_program_of_helm_test_passes_only_with_every_pod_ready(
    releases: Releases, sagemaker: StandIn, tmp_path: Path
) -> None:
    text = releases.helm.template("--set", "aws.region=us-east-1")
    pod = the("Pod", [thing for thing in yaml.safe_load_all(text) if thing])
    _, _, port = pod["spec"]["containers"][0]["args"]
    assert port == "8081"

    def test(address: str | None) -> tuple[int, str]:
        host, _, number = str(address).rpartition(":")
        program = [sys.executable, "-c", pod["spec"]["containers"][0]["args"][0], host, number]
        done = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout

    operator = OperatorProcess(releases.cluster, sagemaker, tmp_path)
    operator.start(wait=False)
    try:
        await_true("it listens", lambda: operator.ask("healthz")[0] == 200)
        await_true(
            "readiness reports the missing CRD",
            lambda: "apply the CustomResourceDefinition" in operator.ask("readyz")[1],
        )
        code, printed = test(operator.address("health"))
        assert code == 1
        assert "apply the CustomResourceDefinition" in printed
        releases.apply()
        await_true("it is ready", lambda: operator.ask("readyz")[0] == 200)
        assert test(operator.address("health")) == (0, "127.0.0.1: ok\n")
    finally:
        address = operator.address("health")
        operator.stop()
    code, printed = test(address)
    assert code == 1
    assert "does not answer" in printed
