"""A node, the operator installed on it as Pods, and a stand-in for them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.controlplane import programs as controlplane
from tests.controlplane.plane import ControlPlane
from tests.e2e.objects import Jobs
from tests.helm.program import Helm, find_helm
from tests.node.__main__ import INSIDE
from tests.node.image import find_image
from tests.node.installation import Installation
from tests.node.node import CONTROLLERS, Node
from tests.node.programs import find_programs
from tests.node.system import find_system
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUDIT = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts:trainingjob-operator"]
  - level: None
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them outside of their namespaces."""
    for item in items:
        if "node" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.node)
            if INSIDE not in os.environ:
                item.add_marker(pytest.mark.skip(reason="takes 6 minutes: make pod runs the tests of a node"))


@pytest.fixture(scope="session")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API server's log of the operator's requests, one JSON object per line."""
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="session")
def control_plane(audit_log: Path) -> Iterator[ControlPlane]:
    """A control plane for a node."""
    policy = audit_log.with_name("policy.yaml")
    policy.write_text(AUDIT)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    flags = [f"--audit-policy-file={policy}", f"--audit-log-path={audit_log}", "--audit-log-mode=blocking"]
    flags.append("--kubelet-preferred-address-types=InternalIP")  # no DNS resolves the name of the node
    programs = controlplane.find_programs(os.environ)
    with ControlPlane(programs, apiserver_flags=flags, more_controllers=CONTROLLERS) as plane:
        yield plane


@pytest.fixture(scope="session")
def node(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folders = [find(os.environ) for find in (find_system, find_programs, find_image)]
    with Node(control_plane, tmp_path_factory.mktemp("node"), *folders) as node:
        yield node


@pytest.fixture(scope="session")
def stand_in(control_plane: ControlPlane) -> Iterator[StandIn]:
    """One for all tests, because the installation contains its address."""
    with StandIn() as stand_in:
        yield stand_in
        assert stand_in.drift() == []


@pytest.fixture(scope="session")
def installation(
    control_plane: ControlPlane, node: Node, stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The installed operator, ready, with two replicas."""
    helm = Helm(find_helm(os.environ), tmp_path_factory.mktemp("helm"), control_plane.kubeconfig)
    installation = Installation(control_plane, node, helm, stand_in)
    installation.install()
    return installation


@pytest.fixture
def jobs(installation: Installation, control_plane: ControlPlane, namespace: str) -> Jobs:
    """TrainingJobs in the namespace of the test."""
    return Jobs(control_plane, namespace)
