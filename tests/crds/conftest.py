"""The CRD in a real API server, and a client with a distinct error for invalid objects."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes import client, config

from tests.crds.installation import REPOSITORY, install_crd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster

EVERY_FIELD: dict[str, Any] = yaml.safe_load((REPOSITORY / "tests/data/every-field.yaml").read_text())


class RefusedError(Exception):
    """The API server rejects the object as invalid; the message contains every field and cause."""


class TrainingJobs:
    """TrainingJob objects of one namespace, through the API server's REST interface."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        configuration = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        self._api = client.CustomObjectsApi(client.ApiClient(configuration))
        self._kind = ("sagemaker.services.k8s.aws", "v1alpha1", namespace, "trainingjobs")

    def create(self, job: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create the object, or try it in a dry run."""
        return self._answer(self._api.create_namespaced_custom_object, job, dry_run=dry_run)

    def replace(self, job: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace the object without its status, or try it in a dry run."""
        return self._answer(self._api.replace_namespaced_custom_object, job["metadata"]["name"], job, dry_run=dry_run)

    def merge_status(self, name: str, status: dict[str, Any]) -> dict[str, Any]:
        """Merge into the object's status."""
        return self._answer(self._api.patch_namespaced_custom_object_status, name, {"status": status}, dry_run=False)

    def delete(self, name: str) -> None:
        """Delete the object."""
        self._api.delete_namespaced_custom_object(*self._kind, name)

    def _answer(self, call: Any, *arguments: Any, dry_run: bool) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = call(*self._kind, *arguments, dry_run="All" if dry_run else None)
        except client.ApiException as error:
            if error.status != 422:
                raise
            raise RefusedError(json.loads(str(error.body))["message"]) from None
        return answer


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """The project's CRD, in place of any other."""
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
    """Object with a valid value in every field of spec; the test may change it."""
    return copy.deepcopy(EVERY_FIELD)
