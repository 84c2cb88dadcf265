"""The operator beside a control plane and a stand-in; each test has its own namespace and operator.

Operators have the rights of the installation in deploy/ and no others.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.crds.installation import install_crd
from tests.deploy.test_manifests import NAMESPACE, Installation, the
from tests.e2e.objects import Jobs
from tests.e2e.zygote import ForkedOperator, Zygote
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import Control


class NewOperator(Protocol):
    """An operator for the namespace of the test, not yet started; accepts further flags."""

    def __call__(self, *flags: str, kubeconfig: Path | None = None) -> OperatorProcess: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that starts an operator as an e2e test."""
    for item in items:
        if {"new_operator", "shared"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """This operator's CRD, in place of any other."""
    install_crd(control_plane)


@pytest.fixture
def jobs(crd: None, control_plane: Cluster, namespace: str) -> Jobs:
    return Jobs(control_plane, namespace)


class Launch(Protocol):
    """An operator for a cluster and a stand-in, not yet started."""

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
    """Forks operators and so saves each the second of its imports.

    A module of tests about the process itself has a fixture of this name that returns OperatorProcess.
    """
    return partial(ForkedOperator, zygote)


@dataclass(frozen=True)
class Account:
    """The ServiceAccount of an installation of deploy/."""

    installation: Installation
    kubeconfig: Path
    control_plane: Cluster

    def grant_system(self, namespace: str) -> None:
        """Grant it the rights on Lease and account map in this namespace, in place of the installation's own."""
        own = f"{NAMESPACE}{self.installation.suffix}"
        granted = [the(kind, self.installation.objects, own) for kind in ("Role", "RoleBinding")]
        moved = [{**thing, "metadata": {**thing["metadata"], "namespace": namespace}} for thing in granted]
        self.control_plane.kubectl(
            "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": moved})
        )


@pytest.fixture(scope="session")
def account(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A token (TokenRequest, one hour) of an installation in the cluster."""
    installation = Installation("deploy")
    control_plane.kubectl("apply", "-f", "-", input=installation.yaml)
    name = the("ServiceAccount", installation.objects)["metadata"]
    folder = tmp_path_factory.mktemp("account")
    kubeconfig = control_plane.kubeconfig_of_service_account(name["namespace"], name["name"], folder)
    account = Account(installation, kubeconfig, control_plane)
    default = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ack-system"}}
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(default))
    account.grant_system("ack-system")  # the default of --system-namespace
    yield account
    control_plane.kubectl("delete", "--wait=false", "-f", "-", input=installation.yaml)


SYSTEM_FLAGS = ("--system-namespace=", "--leader-election-namespace=")


@pytest.fixture
def new_operator(
    crd: None,
    control_plane: Cluster,
    namespace: str,
    sagemaker: StandIn,
    tmp_path: Path,
    launch: Launch,
    account: Account,
) -> Iterator[NewOperator]:
    """Makes operators that watch only the namespace of the test; running ones are stopped at the end."""
    made: list[OperatorProcess] = []

    def make(*flags: str, kubeconfig: Path | None = None) -> OperatorProcess:
        watched = f"--watch-namespace={namespace}"
        for flag in flags:
            if flag.startswith(SYSTEM_FLAGS):
                account.grant_system(flag.partition("=")[2])
        who = kubeconfig or account.kubeconfig
        made.append(launch(control_plane, sagemaker, tmp_path, watched, *flags, kubeconfig=who))
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
    """One operator for all tests of a module; each test sets plans and faults for its own job names only."""

    jobs: Jobs
    operator: OperatorProcess
    sagemaker: StandIn
    namespace: str


@pytest.fixture(scope="module")
def shared(
    crd: None, control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory, launch: Launch, account: Account
) -> Iterator[Shared]:
    namespace = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", namespace)
    folder = tmp_path_factory.mktemp("operator")
    with (
        StandIn() as sagemaker,
        launch(
            control_plane, sagemaker, folder, f"--watch-namespace={namespace}", kubeconfig=account.kubeconfig
        ) as operator,
    ):
        yield Shared(Jobs(control_plane, namespace), operator, sagemaker, namespace)
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
        assert sagemaker.drift() == []
