"""Kinds and rights of a real API server."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import ControlPlane
from tests.controlplane.programs import find_programs
from tests.crds.installation import ACKS, NAME, install_crd
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.discovery import (
    Discovery,
    Right,
    describe,
    right_to_account_map,
    right_to_cluster_id,
    rights_in,
    rights_to_lead,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster

pytestmark = pytest.mark.usefixtures("crd")


@pytest.fixture
async def limited(control_plane: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """Connection of a ServiceAccount of the namespace with the right to list TrainingJobs."""
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


RIGHTS = (*rights_in(""), *rights_to_lead("default"), right_to_cluster_id(), right_to_account_map("default"))


async def test_an_administrator_has_every_right(api: ApiServer) -> None:
    assert await Discovery(api).find_missing(RIGHTS) == []
    assert await Discovery(api).read_identity() == "admin"


async def test_every_missing_right_is_reported_with_the_identity(limited: ApiServer, namespace: str) -> None:
    discovery = Discovery(limited)
    assert await discovery.find_missing(RIGHTS) == list(RIGHTS)
    assert await discovery.read_identity() == f"system:serviceaccount:{namespace}:limited"


async def test_a_right_is_valid_in_its_namespace(limited: ApiServer, kubectl: Kubectl, namespace: str) -> None:
    discovery = Discovery(limited)
    # A right takes effect some moments after its grant.
    await allow(kubectl, namespace, "watch,get,patch")
    async with asyncio.timeout(20):
        while [right.resource for right in await discovery.find_missing(rights_in(namespace))] != [
            "trainingjobs/status",
            "namespaces",
            "events",
        ]:
            await asyncio.sleep(0.1)
    await allow(kubectl, namespace, "patch", "trainingjobs/status")
    async with asyncio.timeout(20):
        while any(right.is_needed for right in await discovery.find_missing(rights_in(namespace))):
            await asyncio.sleep(0.1)
    assert len(await discovery.find_missing(rights_in("default"))) == len(rights_in("default"))


async def test_the_schema_follows_the_crd_and_is_none_without_it() -> None:
    # In its own cluster: the deletion of the CRD in the shared one would wait for every object of every test.
    with ControlPlane(find_programs(os.environ)) as bare:
        api = ApiServer(Login({"KUBECONFIG": str(bare.kubeconfig)}))
        discovery = Discovery(api)

        async def until_other_than(schema: str | None) -> str | None:
            async with asyncio.timeout(30):
                while (found := await discovery.read_schema()) == schema:
                    await asyncio.sleep(0.2)
            return found

        assert await discovery.read_schema() is None
        await asyncio.to_thread(install_crd, bare)
        ours = await until_other_than(None)
        if ours == "":  # served, not published yet
            ours = await until_other_than("")
        await asyncio.to_thread(install_crd, bare, ACKS)
        assert await until_other_than(ours) not in (None, "")
        await asyncio.to_thread(bare.kubectl, "delete", "crd", NAME)
        async with asyncio.timeout(30):
            while await discovery.read_schema() is not None:
                await asyncio.sleep(0.2)
        await api.close()


def test_rights_are_described_by_scope_and_resource() -> None:
    rights = [*rights_in("a")[:2], Right("patch", "trainingjobs/status", "x", "a"), *rights_to_lead("b")[1:]]
    assert describe(rights) == (
        "list/watch trainingjobs.sagemaker.services.k8s.aws, patch trainingjobs/status.x in namespace a; "
        "get/update leases.coordination.k8s.io trainingjob-operator.sagemaker.services.k8s.aws in namespace b"
    )
    assert describe(rights_in("")[5:6]) == "get namespaces in all namespaces"
