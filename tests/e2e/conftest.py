"""The operator beside a control plane and a stand-in, for each test its own namespace and operator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.crds.installation import install_crd
from tests.e2e.objects import Jobs
from tests.e2e.zygote import ForkedOperator, Zygote
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import Control


class NewOperator(Protocol):
    """An operator for the test's namespace, not started yet; more flags may follow."""

    def __call__(self, *flags: str, kubeconfig: Path | None = None) -> OperatorProcess: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts an operator is an e2e test."""
    for item in items:
        if {"new_operator", "shared"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """Our CRD, whichever was there before."""
    install_crd(control_plane)


@pytest.fixture
def jobs(crd: None, kubectl: Kubectl) -> Jobs:
    return Jobs(kubectl)


class Launch(Protocol):
    """An operator against a cluster and a stand-in, not started yet."""

    def __call__(
        self,
        cluster: Cluster,
        sagemaker: Control,
        folder: Path,
        *flags: str,
        kubeconfig: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> OperatorProcess: ...


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process


@pytest.fixture(scope="module")
def launch(zygote: Zygote) -> Launch:
    """Forks operators, which spares each the second that its imports take.

    A module of tests about the process itself has a fixture of this name that returns OperatorProcess.
    """
    return partial(ForkedOperator, zygote)


@pytest.fixture
def new_operator(
    crd: None, control_plane: Cluster, namespace: str, sagemaker: StandIn, tmp_path: Path, launch: Launch
) -> Iterator[NewOperator]:
    """Makes operators that watch the test's namespace alone; those that still run are stopped at the end."""
    made: list[OperatorProcess] = []

    def make(*flags: str, kubeconfig: Path | None = None) -> OperatorProcess:
        watched = f"--watch-namespace={namespace}"
        made.append(launch(control_plane, sagemaker, tmp_path, watched, *flags, kubeconfig=kubeconfig))
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


@dataclass(frozen=True)
class Shared:
    """One operator for all tests of a module, each with plans and faults for the names of its own jobs alone."""

    jobs: Jobs
    operator: OperatorProcess
    sagemaker: StandIn
    namespace: str


@pytest.fixture(scope="module")
def shared(
    crd: None, control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory, launch: Launch
) -> Iterator[Shared]:
    namespace = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", namespace)
    folder = tmp_path_factory.mktemp("operator")
    with (
        StandIn() as sagemaker,
        launch(control_plane, sagemaker, folder, f"--watch-namespace={namespace}") as operator,
    ):
        yield Shared(Jobs(partial(control_plane.kubectl, "--namespace", namespace)), operator, sagemaker, namespace)
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
        assert sagemaker.drift() == []
