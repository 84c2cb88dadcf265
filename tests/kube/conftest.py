"""Connection to a real API server with the kind TrainingJob."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.crds.installation import install_crd
from trainingjob_operator.kube.client import ApiServer, Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.controlplane.plane import Cluster


@pytest.fixture
async def api(control_plane: Cluster) -> AsyncIterator[ApiServer]:
    """Connection of the administrator."""
    server = ApiServer(Login({"KUBECONFIG": str(control_plane.kubeconfig)}))
    yield server
    await server.close()
    await asyncio.sleep(0.05)  # TLS connections end in the background, before the end of the test's event loop


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """The project's kind TrainingJob."""
    install_crd(control_plane)
