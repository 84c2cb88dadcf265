"""The control plane itself, real throughout; what it needs of Kubernetes, not what Kubernetes does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import KubectlError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster, ControlPlane

VIEWER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: viewer}]
"""


def test_kubectl_and_api_server_are_of_the_same_minor_version(control_plane: Cluster) -> None:
    versions = json.loads(control_plane.kubectl("version", "--output=json"))
    assert versions["clientVersion"]["minor"] == versions["serverVersion"]["minor"]
