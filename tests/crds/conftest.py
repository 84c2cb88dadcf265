"""The CRD in a real API server, and a client that tells a refusal from everything else."""

from __future__ import annotations

import asyncio
import copy
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.installation import REPOSITORY, install_crd
from trainingjob_operator.kube.login import Login

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster

EVERY_FIELD: dict[str, Any] = yaml.safe_load((REPOSITORY / "tests/data/every-field.yaml").read_text())


class RefusedError(Exception):
    """The API server finds the object invalid; the message holds every field and cause."""


class TrainingJobs:
    """TrainingJob objects of one namespace, through the API server's REST interface."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._credentials = asyncio.run(Login({"KUBECONFIG": str(kubeconfig)}).load())
        self._context = self._credentials.build_context()
        self._path = f"/apis/sagemaker.services.k8s.aws/v1alpha1/namespaces/{namespace}/trainingjobs"

    def create(self, job: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create the object, or tell whether it would be."""
        return self._call("POST", "", job, dry_run=dry_run)

    def replace(self, job: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace the object but for its status, or tell whether it would be."""
        return self._call("PUT", f"/{job['metadata']['name']}", job, dry_run=dry_run)

    def merge_status(self, name: str, status: dict[str, Any]) -> dict[str, Any]:
        """Merge into the object's status."""
        return self._call("PATCH", f"/{name}/status", {"status": status})

    def delete(self, name: str) -> None:
        """Delete the object."""
        self._call("DELETE", f"/{name}", None)

    def _call(self, method: str, path: str, body: object, *, dry_run: bool = False) -> dict[str, Any]:
        credentials = self._credentials
        request = urllib.request.Request(
            f"{credentials.server}{self._path}{path}{'?dryRun=All' if dry_run else ''}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"},
            method=method,
        )
        if credentials.token:
            request.add_header("Authorization", f"{credentials.scheme} {credentials.token}")
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 422:
                    raise
                raise RefusedError(json.load(error)["message"]) from None
        return answer


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """Our CRD, whichever was there before."""
    install_crd(control_plane)


@pytest.fixture
def jobs(crd: None, control_plane: Cluster, namespace: str) -> TrainingJobs:
    """The objects of the test's own namespace."""
    return TrainingJobs(control_plane.kubeconfig, namespace)


@pytest.fixture(scope="module")
def dry_jobs(crd: None, control_plane: Cluster) -> TrainingJobs:
    """The objects of a namespace that always exists, for dry runs."""
    return TrainingJobs(control_plane.kubeconfig, "default")


@pytest.fixture
def every_field() -> dict[str, Any]:
    """An object with every field of spec, each with a value that the CRD takes; the test may change it."""
    return copy.deepcopy(EVERY_FIELD)
