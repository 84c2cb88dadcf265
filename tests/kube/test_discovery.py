"""What is missing is said in one sentence with what to do about it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import ControlPlane
from tests.controlplane.programs import find_programs
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.discovery import find_obstacle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster

pytestmark = pytest.mark.usefixtures("crd")


@pytest.fixture
async def limited(control_plane: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A connection as a ServiceAccount of the namespace, whose Role may list TrainingJobs there."""
    await asyncio.to_thread(kubectl, "create", "serviceaccount", "limited")
    await allow(kubectl, namespace, "list")
    config = await asyncio.to_thread(control_plane.kubeconfig_of_service_account, namespace, "limited", tmp_path)
    api = ApiServer(Login({"KUBECONFIG": str(config)}))
    yield api
    await api.close()


async def allow(kubectl: Kubectl, namespace: str, verbs: str, resource: str = "trainingjobs") -> None:
    name = f"{verbs.replace(',', '-')}-{resource.replace('/', '-')}"
    group = f"{resource.partition('/')[0]}.sagemaker.services.k8s.aws"
    full = "/".join([group, *resource.split("/")[1:]])
    await asyncio.to_thread(kubectl, "create", "role", name, f"--verb={verbs}", f"--resource={full}")
    await asyncio.to_thread(
        kubectl, "create", "rolebinding", name, f"--role={name}", f"--serviceaccount={namespace}:limited"
    )


async def test_nothing_is_missing_for_an_admin(api: ApiServer) -> None:
    assert await find_obstacle(api, []) is None


async def test_a_missing_right_is_named_with_where_it_is_missing(
    limited: ApiServer, kubectl: Kubectl, namespace: str
) -> None:
    everywhere = await find_obstacle(limited, [])
    assert everywhere is not None
    assert "may not list trainingjobs.sagemaker.services.k8s.aws in all namespaces" in everywhere
    here = await find_obstacle(limited, [namespace])
    assert here is not None
    assert f"may not watch trainingjobs.sagemaker.services.k8s.aws in {namespace}" in here

    # A right counts some moments after it was granted.
    await allow(kubectl, namespace, "watch,get,patch")
    async with asyncio.timeout(20):
        while "may not patch trainingjobs/status" not in (await find_obstacle(limited, [namespace]) or ""):
            await asyncio.sleep(0.1)
    await allow(kubectl, namespace, "patch", "trainingjobs/status")
    async with asyncio.timeout(20):
        while await find_obstacle(limited, [namespace]) is not None:
            await asyncio.sleep(0.1)


async def test_a_missing_crd_is_named_with_the_command() -> None:
    # In a cluster that never had it: taking it away from the shared one waits for every object of every test.
    with ControlPlane(find_programs(os.environ)) as bare:
        api = ApiServer(Login({"KUBECONFIG": str(bare.kubeconfig)}))
        obstacle = await find_obstacle(api, [])
        await api.close()
    assert obstacle is not None
    assert "CustomResourceDefinition" in obstacle
    assert "kubectl apply --server-side -k crds" in obstacle
