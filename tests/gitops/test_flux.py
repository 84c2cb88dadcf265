"""Flux's kustomize-controller and the operator: waits, failures, prune, and at most one job for each object."""

from __future__ import annotations

import copy
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane.plane import choose_cluster
from tests.crds.installation import install_crd
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import OperatorProcess
from tests.gitops.flux import Flux
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import Cluster

Body = dict[str, Any]

SAMPLES = Path(__file__).parents[2] / "deploy/flux"
CREATE, STOP = "CreateTrainingJob", "StopTrainingJob"


@pytest.fixture(scope="module")
def cluster(flux_programs: Path) -> Iterator[Cluster]:
    """A separate control plane, because Flux's CRDs and objects stay in it."""
    with choose_cluster(os.environ)() as plane:
        install_crd(plane)
        yield plane


@pytest.fixture(scope="module")
def service() -> Iterator[StandIn]:
    with StandIn() as sagemaker:
        yield sagemaker
        assert sagemaker.drift() == []


@pytest.fixture(scope="module")
def flux(
    flux_programs: Path, cluster: Cluster, service: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flux]:
    """Flux, and an operator for all namespaces."""
    with (
        OperatorProcess(cluster, service, tmp_path_factory.mktemp("operator")),
        Flux(flux_programs, cluster, tmp_path_factory.mktemp("flux")) as flux,
    ):
        yield flux


class Repository:
    """A repository of TrainingJobs for one namespace, and a Kustomization that applies them."""

    def __init__(self, flux: Flux, cluster: Cluster) -> None:
        self.flux = flux
        self.name = f"team-{secrets.token_hex(3)}"
        self.jobs = Jobs(cluster, self.name)
        self.files: dict[str, Body] = {}
        cluster.kubectl("create", "namespace", self.name)

    def push(self, *bodies: Body) -> None:
        """Publish exactly these objects."""
        self.files = {f"jobs/{body['metadata']['name']}.yaml": body for body in bodies}
        self.flux.push(self.name, self.files)

    def sync(self, sample: str = "training.yaml", **spec: Any) -> None:
        """Apply a sample of deploy/flux for this repository."""
        kustomization = copy.deepcopy(yaml.safe_load((SAMPLES / sample).read_text()))
        kustomization["metadata"]["name"] = self.name
        kustomization["spec"]["sourceRef"]["name"] = self.name
        kustomization["spec"] |= {"targetNamespace": self.name, **spec}
        self.flux.apply(kustomization)

    def wait(self, status: str, word: str) -> str:
        """Reason and message of Ready of the Kustomization."""
        return self.flux.wait(self.name, status, word)

    def wait_for_checks(self) -> None:
        """Return once the Kustomization waits for the health of its objects."""
        self.flux.wait(self.name, "True", "Running health checks", "Reconciling")
        assert self.flux.condition(self.name)[0] == "Unknown"


@pytest.fixture
def repository(flux: Flux, cluster: Cluster) -> Iterator[Repository]:
    repository = Repository(flux, cluster)
    yield repository
    flux.kubectl("delete", "kustomization", repository.name, "--ignore-not-found", "--wait=false")


def job(repository: Repository, name: str, **spec: Any) -> Body:
    """An object with a job name that is unique in the account."""
    return training_job(name, **{"trainingJobName": f"{repository.name}-{name}", **spec})


def test_a_kustomization_waits_for_the_end_shows_no_drift_and_creates_no_second_job(
    repository: Repository, service: StandIn
) -> None:
    name = f"{repository.name}-churn"
    service.plan(name, outcome="Running", seconds=0.5)
    repository.push(job(repository, "churn"))
    repository.sync()
    repository.jobs.wait_status("churn", "InProgress")
    repository.wait_for_checks()
    service.complete_job(name)
    repository.wait("True", "Applied revision")
    body = repository.jobs.wait("churn", "is released", lambda body: "finalizers" not in body["metadata"])
    assert repository.jobs.condition("churn", "Complete")["status"] == "True"

    for _ in range(2):
        repository.flux.reconcile(repository.name)
    repository.push(job(repository, "churn"))  # another revision with the same content
    repository.wait("True", "Applied revision")
    assert repository.jobs.get("churn") == body

    repository.jobs.delete("churn")  # an edit by a tenant
    repository.jobs.wait_gone("churn")
    repository.flux.reconcile(repository.name)
    repository.jobs.wait_condition("churn", "Complete")
    repository.wait("True", "Applied revision")
    assert repository.jobs.condition("churn", "ACK.Advisory")["reason"] == "EarlierRun"
    assert len(service.effects(CREATE, job=name)) == 1


def test_a_failure_ends_the_wait_at_once(repository: Repository, service: StandIn) -> None:
    service.plan(f"{repository.name}-fails", outcome="Failed", seconds=0.5)
    repository.push(job(repository, "fails"))
    repository.sync()  # with a timeout of a day
    assert "TrainingJob" in repository.wait("False", "HealthCheckFailed")


def test_a_retried_error_does_not_end_the_wait(repository: Repository, service: StandIn) -> None:
    name = f"{repository.name}-waits"
    service.plan(name, seconds=0.5)
    fault = service.fail(CREATE, "ResourceLimitExceeded", "The account-level service limit", job=name)
    repository.push(job(repository, "waits"))
    repository.sync()
    repository.jobs.wait_condition("waits", "ACK.Recoverable")
    repository.wait_for_checks()
    service.clear_faults(fault)
    repository.wait("True", "Applied revision")


def test_prune_stops_the_job_of_a_removed_file_unless_it_is_retained(repository: Repository, service: StandIn) -> None:
    names = [f"{repository.name}-{name}" for name in ("removed", "retained", "stays")]
    for name in names:
        service.plan(name, outcome="Running", seconds=0.5, stop_seconds=0.5)
    retained = job(repository, "retained")
    retained["metadata"]["annotations"] = {"services.k8s.aws/deletion-policy": "retain"}
    stays = job(repository, "stays")
    repository.push(job(repository, "removed"), retained, stays)
    repository.sync(wait=False)
    for name in ("removed", "retained", "stays"):
        repository.jobs.wait_status(name, "InProgress")
    repository.push(stays)
    for name in ("removed", "retained"):
        repository.jobs.wait_gone(name)
    stops = {name: len(service.effects(STOP, job=name)) for name in names}
    assert list(stops.values()) == [1, 0, 0]
    assert repository.jobs.status("stays")["trainingJobStatus"] == "InProgress"


def test_an_edit_of_a_running_job_is_rejected_and_the_job_continues(repository: Repository, service: StandIn) -> None:
    name = f"{repository.name}-edited"
    service.plan(name, outcome="Running", seconds=0.5)
    repository.push(job(repository, "edited"))
    repository.sync(wait=False)
    repository.jobs.wait_status("edited", "InProgress")
    repository.push(job(repository, "edited", hyperParameters={"eta": "0.3"}))
    repository.wait("False", "hyperParameters")
    assert repository.jobs.status("edited")["trainingJobStatus"] == "InProgress"
    assert service.effects(STOP, job=name) == []


def test_force_stops_the_job_and_creates_no_other(repository: Repository, service: StandIn) -> None:
    name = f"{repository.name}-forced"
    service.plan(name, outcome="Running", seconds=0.5, stop_seconds=0.5)
    repository.push(job(repository, "forced"))
    repository.sync(wait=False, force=True)
    first = repository.jobs.wait_status("forced", "InProgress")["metadata"]["uid"]
    repository.push(job(repository, "forced", hyperParameters={"eta": "0.3"}))
    repository.jobs.wait("forced", "is another object", lambda body: body["metadata"]["uid"] != first)
    repository.jobs.wait_condition("forced", "Stalled")
    assert len(service.effects(STOP, job=name)) == 1
    assert len(service.effects(CREATE, job=name)) == 1


def test_the_sample_for_long_jobs_is_ready_after_the_jobs_start(repository: Repository, service: StandIn) -> None:
    service.plan(f"{repository.name}-long", outcome="Running", seconds=0.5)
    repository.push(job(repository, "long"))
    repository.sync("started.yaml")
    repository.wait("True", "Applied revision")
    assert repository.jobs.status("long")["trainingJobStatus"] == "InProgress"


def test_the_sample_for_long_jobs_fails_for_a_rejected_job(repository: Repository, service: StandIn) -> None:
    message = "1 validation error detected: Value at 'roleArn' failed to satisfy constraint"
    service.fail(CREATE, "ValidationException", message, job=f"{repository.name}-refused")
    repository.push(job(repository, "refused"))
    repository.sync("started.yaml")
    repository.wait("False", "HealthCheckFailed")


def test_the_deletion_of_a_kustomization_stops_its_jobs(repository: Repository, service: StandIn) -> None:
    name = f"{repository.name}-goes"
    service.plan(name, outcome="Running", seconds=0.5, stop_seconds=0.5)
    repository.push(job(repository, "goes"))
    repository.sync(wait=False)
    repository.jobs.wait_status("goes", "InProgress")
    repository.flux.kubectl("delete", "kustomization", repository.name, "--timeout=60s")
    repository.jobs.wait_gone("goes")
    assert len(service.effects(STOP, job=name)) == 1


def test_flux_removes_fields_written_by_kubectl_and_keeps_those_of_the_operator(
    repository: Repository, service: StandIn
) -> None:
    service.plan(f"{repository.name}-noted", seconds=0.5)
    repository.push(job(repository, "noted"))
    repository.sync()
    repository.wait("True", "Applied revision")
    before = repository.jobs.wait("noted", "is released", lambda body: "finalizers" not in body["metadata"])
    patch = {"metadata": {"annotations": {"services.k8s.aws/reconcile-requested-at": "1"}}}
    repository.jobs.kubectl("patch", "trainingjob", "noted", "--type=merge", "-p", json.dumps(patch))
    handled = repository.jobs.wait("noted", "is handled", lambda body: "lastHandledReconcileAt" in body["status"])
    repository.flux.reconcile(repository.name)
    after = repository.jobs.get("noted")
    assert after is not None
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert "services.k8s.aws/job-arn" in after["metadata"]["annotations"]
    assert after["status"] == handled["status"]
