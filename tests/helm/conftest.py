"""The pinned version of Helm; its tests are skipped if the cache lacks it."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import choose_cluster
from tests.crds.installation import NAME
from tests.e2e.objects import Jobs
from tests.helm.program import Helm, cached_helm
from tests.helm.releases import OURS_ALONE, Releases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Helm, for `make chart`."""
    for item in items:
        if "helm_program" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.helm)


@pytest.fixture(scope="session")
def helm_program() -> Path:
    program = cached_helm(os.environ)
    if not program.exists():
        pytest.skip("Helm is not in the cache: make chart builds it")
    return program


@pytest.fixture(scope="session")
def helm(helm_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(helm_program, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def cluster_helm(helm_program: Path, tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Helm:
    """Helm as the admin of the control plane."""
    return Helm(helm_program, tmp_path_factory.mktemp("helm"), control_plane.kubeconfig)


@pytest.fixture(scope="module")
def cluster(helm_program: Path) -> Iterator[Cluster]:
    """A separate control plane, because the tests create and delete the CRD."""
    with choose_cluster(os.environ)() as plane:
        yield plane


@pytest.fixture
def releases(helm_program: Path, cluster: Cluster, tmp_path: Path) -> Iterator[Releases]:
    """A cluster without the CRD, before and after the test; its namespaces have unique names."""
    yield Releases(Helm(helm_program, tmp_path, cluster.kubeconfig), cluster, tmp_path)
    if cluster.kubectl("get", "crd", NAME, "--ignore-not-found"):
        for job in json.loads(cluster.kubectl("get", "trainingjobs", "-A", "-o", "json"))["items"]:
            place = ("--namespace", job["metadata"]["namespace"], "trainingjob", job["metadata"]["name"])
            cluster.kubectl("patch", *place, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        cluster.kubectl("delete", "crd", NAME)
    cluster.kubectl("delete", "clusterroles,clusterrolebindings", "--selector", OURS_ALONE)


@pytest.fixture
def place(releases: Releases) -> str:
    """The name of a tenant's namespace."""
    name = f"team-{secrets.token_hex(3)}"
    releases.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def team(releases: Releases, place: str) -> Jobs:
    """The objects of the tenant."""
    return Jobs(releases.cluster, place)
