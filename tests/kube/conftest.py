"""A connection to the real API server, and the kind TrainingJob in it."""

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
    """A connection as the admin."""
    server = ApiServer(Login({"KUBECONFIG": str(control_plane.kubeconfig)}))
    yield server
    await server.close()
    await asyncio.sleep(0.05)  # the connections' TLS ends in the background, and the test's loop ends with the test


@pytest.fixture(scope="module")
def crd(control_plane: Cluster) -> None:
    """Our kind TrainingJob."""
    install_crd(control_plane)
