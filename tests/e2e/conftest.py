"""The operator beside a control plane and a stand-in, for each test its own namespace and operator."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.crds.installation import install_crd
from tests.e2e.objects import Jobs
from tests.e2e.operator_process import OperatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster
    from tests.sagemaker.stand_in import StandIn


class NewOperator(Protocol):
    """An operator for the test's namespace, not started yet; more flags may follow."""

    def __call__(self, *flags: str, kubeconfig: Path | None = None) -> OperatorProcess: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts an operator is an e2e test."""
    for item in items:
        if "new_operator" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """Our CRD, whichever was there before."""
    install_crd(control_plane)


@pytest.fixture
def jobs(crd: None, kubectl: Kubectl) -> Jobs:
    return Jobs(kubectl)


@pytest.fixture
def new_operator(
    crd: None, control_plane: Cluster, namespace: str, sagemaker: StandIn, tmp_path: Path
) -> Iterator[NewOperator]:
    """Makes operators that watch the test's namespace alone; those that still run are stopped at the end."""
    made: list[OperatorProcess] = []

    def make(*flags: str, kubeconfig: Path | None = None) -> OperatorProcess:
        new = partial(OperatorProcess, control_plane, sagemaker, tmp_path, f"--watch-namespace={namespace}")
        made.append(new(*flags, kubeconfig=kubeconfig))
        return made[-1]

    yield make
    for operator in made:
        operator.stop()


@pytest.fixture
def operator(new_operator: NewOperator) -> OperatorProcess:
    """A running operator."""
    process = new_operator()
    process.start()
    return process
