"""The real control plane: the properties that other tests rely on, not the general promises of Kubernetes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.plane import (
    KIND_CONFIG,
    ClusterError,
    ControlPlane,
    GivenCluster,
    KindCluster,
    KubectlError,
    choose_cluster,
)
from tests.controlplane.programs import WITHOUT_CONTROLLERS, find_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster


def processes_naming(folder: Path) -> list[int]:
    """Ids of the processes with `folder` on their command line, as all processes of a control plane have."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (entry / "cmdline").read_text(errors="replace"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def get(kubectl: Kubectl, *arguments: str) -> Any:
    return json.loads(kubectl("get", *arguments, "--output=json"))


def test_kubectl_and_api_server_are_of_the_same_minor_version(own_control_plane: ControlPlane) -> None:
    versions = json.loads(own_control_plane.kubectl("version", "--output=json"))
    assert versions["clientVersion"]["minor"] == versions["serverVersion"]["minor"]


def test_a_service_account_has_the_rights_of_rbac_and_no_more(
    control_plane: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl("create", "serviceaccount", "reader")
    kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader")
    reader = GivenCluster(control_plane.kubeconfig_of_service_account(namespace, "reader", tmp_path))
    who = json.loads(reader.kubectl("auth", "whoami", "--output=json"))["status"]["userInfo"]["username"]
    assert who == f"system:serviceaccount:{namespace}:reader"
    reader.kubectl("--namespace", namespace, "get", "configmaps")
    with pytest.raises(KubectlError, match="forbidden"):
        reader.kubectl("--namespace", namespace, "get", "secrets")


def test_a_read_without_kubectl_returns_the_answers_of_kubectl(own_control_plane: ControlPlane, namespace: str) -> None:
    given = GivenCluster(own_control_plane.kubeconfig)
    path = f"/api/v1/namespaces/{namespace}"
    for cluster in (own_control_plane, given):
        assert cluster.read(path)["metadata"]["name"] == namespace
        with pytest.raises(KubectlError, match="NotFound"):
            cluster.read(f"{path}-absent")
        with pytest.raises(KubectlError, match=r"(?i)forbidden.*mallory.* cannot get"):
            cluster.read(path, user="mallory")


def test_the_deletion_of_a_namespace_removes_its_objects(control_plane: Cluster) -> None:
    control_plane.kubectl("create", "namespace", "short-lived")
    control_plane.kubectl("--namespace", "short-lived", "create", "configmap", "inside")
    control_plane.kubectl("delete", "namespace", "short-lived", "--wait", "--timeout=30s")
    with pytest.raises(KubectlError, match="NotFound"):
        control_plane.kubectl("get", "namespace", "short-lived")


def test_the_deletion_of_an_owner_removes_its_dependents(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "owner")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    owner["uid"] = get(kubectl, "configmap", "owner")["metadata"]["uid"]
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [owner]}}
    kubectl("create", "--filename=-", input=json.dumps(owned))
    kubectl("delete", "configmap", "owner")
    kubectl("wait", "--for=delete", "configmap/owned", "--timeout=30s")


def test_a_restarted_api_server_keeps_address_data_and_tokens(
    own_control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl("create", "configmap", "before", "--from-literal=a=b")
    account = GivenCluster(own_control_plane.kubeconfig_of_service_account(namespace, "default", tmp_path))
    own_control_plane.kill_apiserver()
    try:
        with pytest.raises(KubectlError, match="refused"):
            kubectl("get", "configmap", "before")
    finally:
        own_control_plane.restart_apiserver()
    assert get(kubectl, "configmap", "before")["data"] == {"a": "b"}
    assert f":{namespace}:default" in account.kubectl("auth", "whoami")


def test_a_paused_api_server_answers_no_request_until_it_resumes(
    own_control_plane: ControlPlane, kubectl: Kubectl
) -> None:
    with own_control_plane.paused_apiserver(), pytest.raises(KubectlError, match=r"(?i)timeout|deadline"):
        kubectl("get", "configmaps", "--request-timeout=1s")
    kubectl("get", "configmaps")


def test_compaction_and_restart_remove_old_versions(
    own_control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    kubectl("create", "configmap", "first")
    version = get(kubectl, "configmap", "first")["metadata"]["resourceVersion"]
    kubectl("create", "configmap", "second")
    past = f"/api/v1/namespaces/{namespace}/configmaps?resourceVersion={version}&resourceVersionMatch=Exact"
    assert "second" not in kubectl("get", "--raw", past)
    assert own_control_plane.compact() > int(version)
    own_control_plane.restart_apiserver()
    with pytest.raises(KubectlError, match=r"too old|compacted|Expired"):
        kubectl("get", "--raw", past)


def test_the_size_of_objects_in_etcd_is_shown_by_kind(
    own_control_plane: ControlPlane, kubectl: Kubectl, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("x" * 900_000)  # far more than the churn of other objects
    count, _ = own_control_plane.stored_bytes("secrets")  # every namespace gets one ConfigMap some time later
    before = own_control_plane.database_bytes
    kubectl("create", "secret", "generic", "large", f"--from-file={tmp_path / 'text'}")
    assert own_control_plane.stored_bytes("secrets")[0] == count + 1
    assert own_control_plane.stored_bytes("secrets")[1] > 900_000 / (count + 1)
    assert own_control_plane.database_bytes > before + 500_000
    assert own_control_plane.stored_bytes("nothings") == (0, 0.0)


def test_two_control_planes_run_concurrently_and_a_stopped_one_leaves_no_files(own_control_plane: ControlPlane) -> None:
    with ControlPlane(find_programs(os.environ), apiserver_flags=["--watch-cache=false"]) as second:
        assert second.url != own_control_plane.url
        second.kubectl("create", "namespace", "only-here")
        assert "only-here" not in own_control_plane.kubectl("get", "namespaces")
        assert len(processes_naming(second.folder)) == 3
    assert processes_naming(second.folder) == []
    assert not second.folder.exists()
    second.stop()  # a second call has no effect


def test_assets_of_envtest_are_enough_for_a_control_plane_without_controllers(
    own_control_plane: ControlPlane, tmp_path: Path
) -> None:
    for name in WITHOUT_CONTROLLERS:
        (tmp_path / name).symlink_to(find_programs(os.environ) / name)
    find = partial(find_programs, needed=WITHOUT_CONTROLLERS)
    with choose_cluster({"KUBEBUILDER_ASSETS": str(tmp_path)}, find)() as plane:
        plane.kubectl("create", "configmap", "works")
        assert isinstance(plane, ControlPlane)
        assert [process.name for process in plane.processes] == ["etcd", "kube-apiserver"]


def test_a_failed_program_is_reported_with_its_log_and_the_others_are_stopped(own_control_plane: ControlPlane) -> None:
    broken = ControlPlane(find_programs(os.environ), apiserver_flags=["--no-such-flag"])
    with pytest.raises(ClusterError, match=r"kube-apiserver ended with exit code 1:(.|\n)*unknown flag"):
        broken.start()
    assert processes_naming(broken.folder) == []
    assert not broken.folder.exists()


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_program_prints_its_kubeconfig_and_leaves_no_process(
    own_control_plane: ControlPlane, tmp_path: Path, ending: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "tests.controlplane"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # the files left by a kill -9 are removed with the test
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout is not None
        export, _, path = program.stdout.readline().strip().partition("=")
        folder = Path(path).parent
        assert export == "export KUBECONFIG"
        assert "default" in GivenCluster(Path(path)).kubectl("get", "namespaces")
        assert len([pid for pid in processes_naming(folder) if pid != program.pid]) == 3
        program.send_signal(ending)
        assert program.wait(30) == code
    wait_until(lambda: not processes_naming(folder))
    assert folder.exists() == (ending is signal.SIGKILL)


KIND = """#!/bin/sh
echo "$*" >> "$KIND_CALLS"
[ "$1" = delete ] || exit "$KIND_EXIT"
"""


@pytest.mark.parametrize("fails", [False, True])
def test_a_kind_cluster_is_deleted_even_after_a_failed_creation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: bool
) -> None:
    (tmp_path / "kind").write_text(KIND)
    (tmp_path / "kind").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("KIND_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("KIND_EXIT", str(int(fails)))
    cluster = KindCluster()
    with pytest.raises(ClusterError, match="create cluster") if fails else contextlib.nullcontext(), cluster:
        assert KIND_CONFIG.exists()
    create, delete = (tmp_path / "calls").read_text().splitlines()
    where = f"--kubeconfig {cluster.kubeconfig}"
    assert create.startswith(f"create cluster --config {KIND_CONFIG}")
    assert delete.startswith("delete cluster")
    assert where in create
    assert where in delete
    assert not cluster.kubeconfig.parent.exists()


def test_a_missing_kind_program_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="needs the program kind"):
        KindCluster().start()


def found(environment: Mapping[str, str]) -> Path:
    return Path("found")


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({"TEST_KUBECONFIG": "/given", "CLUSTER": "kind", "KUBECONFIG": "/other"}, GivenCluster),
        ({"CLUSTER": "kind", "KUBECONFIG": "/other"}, KindCluster),
        ({"CLUSTER": "own"}, ControlPlane),
        ({"CLUSTER": "", "KUBECONFIG": "/production"}, ControlPlane),
        ({"TEST_KUBECONFIG": ""}, ControlPlane),
    ],
)
def test_the_environment_chooses_the_cluster_and_kubeconfig_alone_does_not(
    environment: Mapping[str, str], chosen: type[Cluster]
) -> None:
    make = choose_cluster(environment, found)
    assert getattr(make, "func", make) is chosen


def test_an_unknown_kind_of_cluster_is_rejected_by_name() -> None:
    with pytest.raises(ClusterError, match="CLUSTER=minikube is neither own nor kind"):
        choose_cluster({"CLUSTER": "minikube"}, found)


def test_a_run_without_a_cluster_ends_before_its_tests_with_one_error() -> None:
    command = [sys.executable, "-m", "pytest", "-k", "kubectl_and_api_server", __file__]
    run = subprocess.run(
        command, env={**os.environ, "CLUSTER": "minikube"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert run.stderr.splitlines()[0] == "ERROR: CLUSTER=minikube is neither own nor kind"
    assert "Traceback" not in run.stdout + run.stderr
