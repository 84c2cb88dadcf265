"""Changes of coverage: the CRD, a namespace and its roles come and go; the rest is served in the meantime."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.controlplane.plane import ControlPlane, choose_cluster
from tests.crds.installation import ACKS, NAME, install_crd
from tests.deploy.test_manifests import build
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import OperatorProcess, await_true
from trainingjob_operator.kube.leader import LEASE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.sagemaker.stand_in import StandIn

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A control plane for tests that delete the CRD."""
    plane = choose_cluster(os.environ)()
    if not isinstance(plane, ControlPlane):
        pytest.skip("a cluster that is given may have the CRD for a reason")
    with plane:
        yield plane


def seen(jobs: Jobs, name: str, seconds: float) -> None:
    """Wait until the operator handles the object."""
    jobs.wait(name, "seen", lambda body: body.get("status", {}).get("ackResourceMetadata", {}).get("arn"), seconds)


def test_a_deleted_reapplied_or_changed_crd_is_followed_within_seconds(
    bare: ControlPlane, sagemaker: StandIn, tmp_path: Path
) -> None:
    install_crd(bare)
    jobs = Jobs(bare, "default")
    with OperatorProcess(bare, sagemaker, tmp_path) as operator:
        sagemaker.plan(seconds=0.5)
        jobs.apply(training_job("before"))
        jobs.wait_status("before", "Completed")
        for life in ("first", "second"):
            bare.kubectl("delete", "crd", NAME)
            await_true("it is not ready", lambda: operator.ask("readyz")[0] == 503)
            assert "does not serve trainingjobs" in operator.ask("readyz")[1]
            assert operator.ask("healthz")[0] == 200
            install_crd(bare)
            jobs.apply(training_job(life))
            seen(jobs, life, 15)
            await_true("it is ready", lambda: operator.ask("readyz")[0] == 200)
        reported = [line["msg"] for line in operator.lines() if "does not serve" in line["msg"]]
        assert len(reported) == 2, "one line each time"
        assert "Traceback" not in operator.log.read_text()

        install_crd(bare, ACKS)
        jobs.apply(training_job("under-acks"))
        seen(jobs, "under-acks", 15)
        jobs.wait_status("under-acks", "Completed")
        assert "observedGeneration" not in jobs.status("under-acks"), "ACK's CRD does not keep it"
        install_crd(bare)
        names = (f"under-ours-{number}" for number in itertools.count())

        def keeps_every_field() -> bool:
            name = next(names)
            jobs.apply(training_job(name))
            return "observedGeneration" in jobs.wait_status(name, "Completed")["status"]

        await_true("fields dropped by ACK's CRD are written again", keeps_every_field, 60)


def grant(cluster: Cluster, where: str, account: str, *, but: str = "") -> None:
    """Grant the account's default ServiceAccount the rights of deploy/namespaced in a namespace, except for one
    resource.
    """
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": account}
    roles = [thing for thing in build("deploy/namespaced") if thing["metadata"].get("namespace") == "training"]
    for thing in roles:
        thing["metadata"]["namespace"] = where
        if "subjects" in thing:
            thing["subjects"] = [subject]
        else:
            thing["rules"] = [rule for rule in thing["rules"] if rule["resources"] != [but]]
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(roles))


def test_a_namespace_with_unreadable_annotations_gets_no_calls(
    crd: None, control_plane: Cluster, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    grant(control_plane, namespace, namespace, but="namespaces")
    control_plane.kubectl("annotate", "namespace", namespace, "sagemaker.services.k8s.aws/deletion-policy=retain")
    account = control_plane.kubeconfig_of_service_account(namespace, "default", tmp_path)
    flags = (f"--watch-namespace={namespace}", "--cluster-id=it", "--enable-carm=false")
    jobs = Jobs(control_plane, namespace)
    with OperatorProcess(control_plane, sagemaker, tmp_path, *flags, kubeconfig=account) as operator:
        assert f"is not allowed to get namespaces in namespace {namespace}" in operator.ask("readyz")[1]
        jobs.apply(training_job("waits"))
        reported = jobs.wait_condition("waits", "ACK.Recoverable")
        assert reported["reason"] == "NamespaceUnreadable"
        assert f'cannot get resource "namespaces" in API group "" in the namespace "{namespace}"' in reported["message"]
        assert sagemaker.calls("CreateTrainingJob") == []
        grant(control_plane, namespace, namespace)
        seen(jobs, "waits", 60)
        await_true("nothing is missing", lambda: operator.ask("readyz") == (200, "ok\n"))
        jobs.delete("waits")
        jobs.wait_gone("waits")
        assert sagemaker.calls("StopTrainingJob") == [], "the namespace has the policy retain"


def test_a_missing_namespace_delays_no_other(
    crd: None, control_plane: Cluster, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    other = f"{namespace}-other"
    grant(control_plane, namespace, namespace)
    account = control_plane.kubeconfig_of_service_account(namespace, "default", tmp_path)
    flags = (f"--watch-namespace={other},{namespace}", "--cluster-id=it", "--enable-carm=false")
    jobs = Jobs(control_plane, namespace)
    others = Jobs(control_plane, other)
    served = f'{{namespace="{other}"}}'
    with OperatorProcess(control_plane, sagemaker, tmp_path, *flags, kubeconfig=account) as operator:
        assert f"in namespace {other}" in operator.ask("readyz")[1]
        assert operator.metric("trainingjob_namespace_served")[served] == 0
        jobs.apply(training_job("first"))
        seen(jobs, "first", 10)

        control_plane.kubectl("create", "namespace", other)
        grant(control_plane, other, namespace)
        others.apply(training_job("theirs"))
        seen(others, "theirs", 20)
        assert operator.ask("readyz") == (200, "ok\n")
        assert operator.metric("trainingjob_namespace_served")[served] == 1

        sagemaker.plan("theirs", stop_seconds=0.5)
        control_plane.kubectl("delete", "trainingjob", "theirs", "--namespace", other)
        control_plane.kubectl("delete", "namespace", other, timeout=120)
        await_true("it is named", lambda: other in operator.ask("readyz")[1], 60)
        assert operator.ask("readyz")[0] == 200
        assert operator.metric("trainingjob_namespace_served")[served] == 0
        jobs.apply(training_job("second"))
        seen(jobs, "second", 10)
        assert "Traceback" not in operator.log.read_text()


def test_a_replica_that_cannot_list_takes_no_lease_and_ends_on_sigterm(
    crd: None, control_plane: Cluster, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> None:
    election = ("--enable-leader-election", f"--system-namespace={namespace}")
    watched = f"--watch-namespace={namespace}"
    selector = f"--watch-selectors={'a' * 254}/team=b"  # the check of the flag accepts this; the API server does not
    unlistable = OperatorProcess(control_plane, sagemaker, tmp_path, *election, watched, selector)
    jobs = Jobs(control_plane, namespace)
    try:
        unlistable.start(wait=False)
        await_true("readiness names the flag", lambda: "--watch-selectors" in unlistable.ask("readyz")[1])
        assert unlistable.ask("readyz")[0] == 503
        assert unlistable.ask("healthz")[0] == 200
        assert jobs.kubectl("get", "leases", "-o", "name") == ""
        with OperatorProcess(control_plane, sagemaker, tmp_path, *election, watched) as healthy:
            jobs.apply(training_job("served"))
            seen(jobs, "served", 15)
            lease = json.loads(jobs.kubectl("get", "lease", LEASE_NAME, "-o", "json"))
            assert lease["spec"]["leaseTransitions"] == 0
            assert any("Became leader" in line["msg"] for line in healthy.lines())
        code, seconds = unlistable.terminate()
        assert (code, seconds < 10) == (0, True)
    finally:
        unlistable.stop()


def test_the_operator_ends_on_sigterm_while_the_api_server_does_not_answer(
    bare: ControlPlane, sagemaker: StandIn, tmp_path: Path
) -> None:
    install_crd(bare)
    operator = OperatorProcess(bare, sagemaker, tmp_path)
    try:
        with bare.paused_apiserver():
            operator.start(wait=False)
            await_true("it serves its health", lambda: operator.ask("healthz")[0] == 200)
            assert operator.ask("readyz")[0] == 503
            code, seconds = operator.terminate()
        assert (code, seconds < 10) == (0, True)
    finally:
        operator.stop()
