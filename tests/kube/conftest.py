"""Connections to the real API server, and a TrainingJob kind as loose as ACK's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainingjob_operator.kube.client import ApiServer, Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.controlplane.plane import Cluster

LOOSE_CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trainingjobs.sagemaker.services.k8s.aws}
spec:
  group: sagemaker.services.k8s.aws
  scope: Namespaced
  names: {kind: TrainingJob, listKind: TrainingJobList, plural: trainingjobs, singular: trainingjob}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


@pytest.fixture
async def api(control_plane: Cluster) -> AsyncIterator[ApiServer]:
    """A connection as the admin."""
    server = ApiServer(Login({"KUBECONFIG": str(control_plane.kubeconfig)}))
    yield server
    await server.close()


@pytest.fixture(scope="session")
def crd(control_plane: Cluster) -> None:
    """The kind TrainingJob."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=LOOSE_CRD)
    control_plane.kubectl(
        "wait", "--for=condition=Established", "crd/trainingjobs.sagemaker.services.k8s.aws", "--timeout=30s"
    )
