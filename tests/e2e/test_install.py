"""Install: the objects of `kubectl apply -k` are sufficient for a whole life."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane.plane import KUBECTL, KubectlError
from tests.crds.installation import REPOSITORY
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import OperatorProcess, await_true
from trainingjob_operator.kube.leader import LEASE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.sagemaker.stand_in import StandIn

pytestmark = pytest.mark.e2e

SYSTEM = "trainingjob-operator"


@pytest.fixture(params=["deploy", "deploy/namespaced"])
def installed(crd: None, control_plane: Cluster, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The container of the Deployment; its installation is in the cluster during a test."""
    folder = request.param
    if folder == "deploy/namespaced":  # the manifests expect an existing namespace
        control_plane.kubectl("create", "namespace", "training")
    control_plane.kubectl("apply", "-k", str(REPOSITORY / folder))
    rendered = subprocess.run([KUBECTL, "kustomize", folder], cwd=REPOSITORY, capture_output=True, check=True).stdout
    [deployment] = [each for each in yaml.safe_load_all(rendered) if each["kind"] == "Deployment"]
    yield dict(deployment["spec"]["template"]["spec"]["containers"][0])
    control_plane.kubectl("delete", "-k", str(REPOSITORY / folder), "--wait=false")
    control_plane.kubectl("wait", "--for=delete", f"namespace/{SYSTEM}", "--timeout=60s")
    if folder == "deploy/namespaced":
        control_plane.kubectl("delete", "namespace", "training")


def is_a_denial(message: str) -> bool:
    """True if the line reports a missing right. Some rights need the cluster; without them the operator logs a
    substitute.

    In a terminating namespace, for example of another test, all creations are forbidden.
    """
    no_denials = ("are polled", "count as absent", "is being terminated")
    return "forbidden" in message.lower() and not any(words in message for words in no_denials)


def test_the_service_account_has_all_rights_for_a_whole_life(
    control_plane: Cluster, installed: dict[str, Any], namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    account = control_plane.kubeconfig_of_service_account(SYSTEM, SYSTEM, tmp_path)
    command, *flags = installed["args"]
    assert command == "run"
    variables = {each["name"]: each.get("value", SYSTEM) for each in installed["env"]}  # or the pod's namespace
    served = variables.get("ACK_WATCH_NAMESPACE") or next(
        (flag.partition("=")[2] for flag in flags if flag.startswith("--watch-namespace=")), namespace
    )
    jobs = Jobs(control_plane, served)
    sagemaker.plan("whole-life", seconds=2)
    sagemaker.plan("cut-short", outcome="Running", seconds=0.5, stop_seconds=0.5)
    make = partial(OperatorProcess, control_plane, sagemaker, tmp_path, *flags, kubeconfig=account)
    with ExitStack() as replicas:
        first, second = (replicas.enter_context(make(environment=variables)) for _ in range(2))
        jobs.apply(training_job("whole-life"), training_job("cut-short"))
        jobs.wait_status("whole-life", "Completed", 120)
        jobs.wait("cut-short", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
        jobs.delete("cut-short")
        jobs.wait_gone("cut-short")
        await_true("the last Event", lambda: "JobCompleted" in [event["reason"] for event in jobs.events("whole-life")])
        lease = json.loads(control_plane.kubectl("--namespace", SYSTEM, "get", "lease", LEASE_NAME, "--output=json"))
        assert lease["spec"]["holderIdentity"]
        for replica in (first, second):
            assert not [line["msg"] for line in replica.lines() if is_a_denial(line["msg"])]
            code, _ = replica.terminate()
            assert code == 0
    for name in ("whole-life", "cut-short"):  # the operator may also serve objects left by other tests
        assert len(sagemaker.calls("CreateTrainingJob", job=name)) == 1
    jobs.kubectl("delete", "trainingjob", "whole-life", "--timeout=15s")


def test_the_command_of_the_readme_installs_the_crd(control_plane: Cluster) -> None:
    printed = control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(REPOSITORY / "crds"))
    assert "trainingjobs.sagemaker.services.k8s.aws serverside-applied" in printed

    def explain() -> str:
        try:
            return control_plane.kubectl("explain", "trainingjob.spec.resourceConfig")
        except KubectlError:  # the API server publishes descriptions a little later
            return ""

    assert "instanceType\t<string>" in await_true("kubectl explain", explain)
