"""Helm of the pinned version; its tests are skipped where the cache does not have it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.helm.program import Helm, cached_helm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Helm, for `make chart`."""
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
