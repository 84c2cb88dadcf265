"""Namespaces and account map as the API server has them, through every failure of the watch."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.crds.installation import is_established
from tests.e2e.operator_process import await_true
from tests.kube.proxy import Relay
from tests.kube.test_client import through
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.cluster_state import ClusterState
from trainingjob_operator.kube.errors import Forbidden, Unavailable
from trainingjob_operator.logic.decide.accounts import ACCOUNT_MAP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster, ControlPlane

REGION = "services.k8s.aws/default-region"
POLICY = "sagemaker.services.k8s.aws/deletion-policy"


class Changes:
    """Callback: records the reported namespaces, and waits for the next one."""

    def __init__(self) -> None:
        self.reported: asyncio.Queue[str | None] = asyncio.Queue()

    def __call__(self, namespace: str | None) -> None:
        self.reported.put_nowait(namespace)

    async def next(self, seconds: float = 30.0) -> str | None:
        return await asyncio.wait_for(self.reported.get(), seconds)

    async def are_none(self, seconds: float = 1.0) -> bool:
        await asyncio.sleep(seconds)
        return self.reported.empty()


@pytest.fixture
def changes() -> Changes:
    return Changes()


@contextlib.asynccontextmanager
async def following(api: ApiServer, namespace: str, changes: Changes, **limits: Any) -> AsyncIterator[ClusterState]:
    """Synchronized cluster state with `namespace` as the system namespace."""
    cluster_state = ClusterState(
        api, system_namespace=namespace, changed=changes, clock=time.monotonic, jitter=random.Random(1), **limits
    )
    task = asyncio.create_task(cluster_state.run())
    try:
        await asyncio.sleep(0.5)
        yield cluster_state
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def annotate(api: ApiServer, namespace: str, **annotations: str | None) -> None:
    """Merge annotations into a namespace; the keys omit `services.k8s.aws/`."""
    body = {"metadata": {"annotations": {f"services.k8s.aws/{key}": value for key, value in annotations.items()}}}
    path = f"/api/v1/namespaces/{namespace}"
    await api.call("PATCH", path, seconds=10, body=body, content_type="application/merge-patch+json")


async def test_only_annotations_of_the_two_prefixes_are_returned(
    api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    wanted = {REGION: "eu-west-1", POLICY: "retain"}
    pairs = [f"{key}={value}" for key, value in {**wanted, "example.com/x": "y", "xservices.k8s.aws/z": "z"}.items()]
    await asyncio.to_thread(kubectl, "annotate", "namespace", namespace, *pairs)
    async with following(api, namespace, changes) as cluster_state:
        assert await cluster_state.annotations(namespace) == wanted
        assert await cluster_state.annotations("default") == {}


async def test_an_edit_is_reported_only_for_namespaces_in_use(
    api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    async with following(api, namespace, changes) as cluster_state:
        await annotate(api, namespace, region="eu-west-1")
        assert await changes.are_none()  # the namespace is not in use yet
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-1"}
        await asyncio.to_thread(kubectl, "annotate", "namespace", namespace, "example.com/x=y")
        assert await changes.are_none()  # no relevant change
        await asyncio.to_thread(kubectl, "label", "namespace", namespace, "team=a")
        assert await changes.next() == namespace
        assert (await cluster_state.labels(namespace))["team"] == "a"
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-1"}
        await annotate(api, namespace, region="eu-west-2")
        assert await changes.next() == namespace
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-2"}
        await annotate(api, namespace, region=None)
        assert await changes.next() == namespace
        assert await cluster_state.annotations(namespace) == {}


async def test_a_namespace_created_just_now_is_known(api: ApiServer, namespace: str, changes: Changes) -> None:
    async with following(api, namespace, changes) as cluster_state:
        for number in range(5):
            name = f"{namespace}-{number}"
            metadata = {"name": name, "annotations": {REGION: f"eu-west-{number}"}}
            await api.call("POST", "/api/v1/namespaces", seconds=10, body={"metadata": metadata})
            assert await cluster_state.annotations(name) == {REGION: f"eu-west-{number}"}
            await api.call("DELETE", f"/api/v1/namespaces/{name}", seconds=10)


async def test_the_account_map_is_followed_from_creation_to_deletion(
    api: ApiServer, namespace: str, changes: Changes
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with following(api, namespace, changes) as cluster_state:
        assert await cluster_state.account_roles() is None
        body: dict[str, Any] = {"metadata": {"name": ACCOUNT_MAP}, "data": {"111122223333": "arn:one"}}
        await api.call("POST", path, seconds=10, body=body)
        assert await changes.next() is None
        assert await cluster_state.account_roles() == {"111122223333": "arn:one"}
        await api.call("POST", path, seconds=10, body={"metadata": {"name": "another"}, "data": {"x": "y"}})
        assert await changes.are_none()
        await api.call("PUT", f"{path}/{ACCOUNT_MAP}", seconds=10, body={**body, "data": {"111122223333": "arn:two"}})
        assert await changes.next() is None
        assert await cluster_state.account_roles() == {"111122223333": "arn:two"}
        await api.call("DELETE", f"{path}/{ACCOUNT_MAP}", seconds=10)
        assert await changes.next() is None
        assert await cluster_state.account_roles() is None


async def test_the_cluster_id_is_the_uid_of_kube_system(
    api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    uid = await asyncio.to_thread(kubectl, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    async with following(api, namespace, changes) as cluster_state:
        assert await cluster_state.cluster_id() == uid


async def test_a_change_during_a_silent_watch_is_detected_at_its_time_out(
    control_plane: Cluster, api: ApiServer, namespace: str, changes: Changes, tmp_path: Path
) -> None:
    async with Relay(control_plane.url) as relay:
        far_api = ApiServer(Login({"KUBECONFIG": str(through(relay, control_plane, tmp_path))}))
        async with following(far_api, namespace, changes, watch_seconds=2.0) as cluster_state:
            assert await cluster_state.annotations(namespace) == {}
            relay.stall()
            await annotate(api, namespace, region="eu-west-1")
            await asyncio.sleep(3.0)
            relay.cut()
            relay.resume()
            assert await changes.next() == namespace
            assert time.monotonic() - cluster_state.heartbeat < 10.0
        await far_api.close()


async def test_a_watch_ended_by_the_api_server_is_opened_again(
    api: ApiServer, namespace: str, changes: Changes
) -> None:
    async with following(api, namespace, changes, watch_seconds=1.0) as cluster_state:
        assert await cluster_state.annotations(namespace) == {}
        await asyncio.sleep(2.5)
        await annotate(api, namespace, region="eu-west-1")
        assert await changes.next() == namespace


async def test_the_state_is_followed_after_a_restart_of_the_api_server_without_history(
    own_control_plane: ControlPlane, api: ApiServer, namespace: str, changes: Changes
) -> None:
    async with following(api, namespace, changes) as cluster_state:
        assert await cluster_state.annotations(namespace) == {}
        await asyncio.to_thread(own_control_plane.kill_apiserver)
        try:
            await until_unknown(cluster_state, namespace)
            await asyncio.to_thread(own_control_plane.compact)
        finally:
            await asyncio.to_thread(own_control_plane.restart_apiserver)
        await annotate(api, namespace, region="eu-west-1")
        assert await changes.next() == namespace
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-1"}


async def until_unknown(cluster_state: ClusterState, namespace: str) -> None:
    """Wait for the detected end of the watch; the annotations are unknown afterwards."""
    async with asyncio.timeout(30):
        while True:
            try:
                await cluster_state.annotations(namespace)
            except Unavailable:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def limited(control_plane: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path) -> AsyncIterator[ApiServer]:
    """Connection of a ServiceAccount of the namespace without a role."""
    await asyncio.to_thread(kubectl, "create", "serviceaccount", "limited")
    config = await asyncio.to_thread(control_plane.kubeconfig_of_service_account, namespace, "limited", tmp_path)
    api = ApiServer(Login({"KUBECONFIG": str(config)}))
    yield api
    await api.close()


async def test_without_the_right_to_watch_namespaces_in_use_are_read_again(
    limited: ApiServer, api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    may_get = ("create", "role", "reader", "--verb=get", "--resource=namespaces,configmaps")
    await asyncio.to_thread(kubectl, *may_get)
    bind = ("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:limited")
    await asyncio.to_thread(kubectl, *bind)
    await asyncio.to_thread(kubectl, "create", "configmap", ACCOUNT_MAP, "--from-literal=111122223333=arn:one")
    async with following(limited, namespace, changes, poll_seconds=0.5) as cluster_state:
        assert await cluster_state.annotations(namespace) == {}
        assert await cluster_state.account_roles() == {"111122223333": "arn:one"}
        await annotate(api, namespace, region="eu-west-1")
        assert await changes.next() == namespace
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-1"}
        await asyncio.to_thread(kubectl, "delete", "configmap", ACCOUNT_MAP)
        assert await changes.next() is None
        assert await cluster_state.account_roles() is None


async def test_a_forbidden_read_does_not_make_a_known_state_absent(
    limited: ApiServer, api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    await asyncio.to_thread(kubectl, "create", "role", "reader", "--verb=get", "--resource=namespaces,configmaps")
    bind = ("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:limited")
    await asyncio.to_thread(kubectl, *bind)
    await asyncio.to_thread(kubectl, "create", "configmap", ACCOUNT_MAP, "--from-literal=111122223333=arn:one")
    await annotate(api, namespace, region="eu-west-1")
    async with following(limited, namespace, changes, poll_seconds=0.2) as cluster_state:
        assert await cluster_state.annotations(namespace) == {"services.k8s.aws/region": "eu-west-1"}
        assert await cluster_state.account_roles() == {"111122223333": "arn:one"}
        await asyncio.to_thread(kubectl, "delete", "rolebinding", "reader")
        denied: set[str] = set()
        async with asyncio.timeout(20):
            while len(denied) < 2:  # meanwhile it is known or unknown, but never absent
                for read in (cluster_state.annotations(namespace), cluster_state.account_roles()):
                    try:
                        assert await read
                    except Forbidden as error:
                        denied.add(str(error))
                await asyncio.sleep(0.2)


async def test_an_unreadable_namespace_is_unknown_and_an_unreadable_account_map_absent(
    limited: ApiServer, api: ApiServer, namespace: str, changes: Changes, caplog: pytest.LogCaptureFixture
) -> None:
    await annotate(api, namespace, region="eu-west-1")
    async with following(limited, namespace, changes, poll_seconds=0.2) as cluster_state:
        for _ in range(3):
            for ask in (cluster_state.annotations, cluster_state.labels, cluster_state.exists):
                with pytest.raises(Forbidden, match=f'namespaces "{namespace}" is forbidden'):
                    await ask(namespace)
            assert await cluster_state.account_roles() is None
            assert await cluster_state.cluster_id() is None
            await asyncio.sleep(0.2)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.partition(":")[0] for message in warnings] == [
        "ConfigMaps ack-role-account-map cannot be read and count as absent"
    ]


SELECTOR_CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: iamroleselectors.services.k8s.aws
spec:
  group: services.k8s.aws
  names: {kind: IAMRoleSelector, plural: iamroleselectors, singular: iamroleselector, listKind: IAMRoleSelectorList}
  scope: Cluster
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [arn]
              properties:
                arn: {type: string, x-kubernetes-validations: [{rule: self == oldSelf}]}
                namespaceSelector:
                  type: object
                  required: [names]
                  properties:
                    names: {type: array, items: {type: string}}
                    labelSelector: &labels
                      type: object
                      required: [matchLabels]
                      properties: {matchLabels: {type: object, additionalProperties: {type: string}}}
                resourceLabelSelector: *labels
                resourceTypeSelector:
                  type: array
                  items:
                    type: object
                    required: [group, version, kind]
                    properties: {group: {type: string}, version: {type: string}, kind: {type: string}}
            status: {type: object}
"""
"""The fields of ACK's CRD."""
SELECTOR_KIND = "iamroleselectors.services.k8s.aws"
SELECTOR = """
apiVersion: services.k8s.aws/v1alpha1
kind: IAMRoleSelector
metadata: {name: gold}
spec: {arn: "arn:aws:iam::111122223333:role/gold"}
"""


@pytest.fixture
def selectors(control_plane: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """ACK's CRD."""
    kubectl("apply", "-f", "-", input=SELECTOR_CRD)
    await_true("its CRD", lambda: is_established(control_plane, SELECTOR_KIND))
    yield
    kubectl("delete", "crd", SELECTOR_KIND, "--ignore-not-found")


async def test_role_selectors_are_watched_from_the_creation_of_their_kind_to_its_deletion(
    control_plane: Cluster, api: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    def is_served() -> bool:
        return is_established(control_plane, SELECTOR_KIND)

    async with following(api, namespace, changes) as cluster_state:
        assert await cluster_state.role_selectors() == {}
        await asyncio.to_thread(kubectl, "apply", "-f", "-", input=SELECTOR_CRD)
        try:
            await asyncio.to_thread(await_true, "its CRD", is_served)
            await asyncio.to_thread(kubectl, "apply", "-f", "-", input=SELECTOR)
            assert await changes.next() is None
            assert list(await cluster_state.role_selectors()) == ["gold"]
            await asyncio.to_thread(kubectl, "patch", "iamroleselector", "gold", "--type=merge", "-p", NARROWED)
            assert await changes.next() is None
            found = await cluster_state.role_selectors()
            assert found["gold"].spec["namespaceSelector"] == {"names": ["ml"]}
            await asyncio.to_thread(kubectl, "delete", "iamroleselector", "gold")
            assert await changes.next() is None
            assert await cluster_state.role_selectors() == {}
            await asyncio.to_thread(kubectl, "apply", "-f", "-", input=SELECTOR)
            assert await changes.next() is None
            assert list(await cluster_state.role_selectors()) == ["gold"]
        finally:
            await asyncio.to_thread(kubectl, "delete", "crd", SELECTOR_KIND)
        assert await changes.next() is None
        assert await cluster_state.role_selectors() == {}


NARROWED = '{"spec": {"namespaceSelector": {"names": ["ml"]}}}'


@pytest.mark.usefixtures("selectors")
async def test_unreadable_role_selectors_are_unknown(limited: ApiServer, namespace: str, changes: Changes) -> None:
    async with following(limited, namespace, changes) as cluster_state:
        for _ in range(2):
            with pytest.raises(Forbidden, match=r"iamroleselectors\.services\.k8s\.aws is forbidden"):
                await cluster_state.role_selectors()


async def test_unreadable_role_selectors_are_absent_without_their_kind(
    limited: ApiServer, namespace: str, changes: Changes
) -> None:
    async with following(limited, namespace, changes) as cluster_state:
        assert await cluster_state.role_selectors() == {}


@pytest.mark.usefixtures("selectors")
async def test_role_selectors_without_the_right_to_watch_are_polled(
    limited: ApiServer, namespace: str, changes: Changes, kubectl: Kubectl
) -> None:
    account = f"{namespace}:limited"
    await asyncio.to_thread(kubectl, "create", "clusterrole", namespace, "--verb=list", f"--resource={SELECTOR_KIND}")
    bind = ("create", "clusterrolebinding", namespace, f"--clusterrole={namespace}", f"--serviceaccount={account}")
    await asyncio.to_thread(kubectl, *bind)
    try:
        async with following(limited, namespace, changes, poll_seconds=0.2) as cluster_state:
            async with asyncio.timeout(20):
                while True:  # the right becomes effective
                    with contextlib.suppress(Forbidden):
                        assert await cluster_state.role_selectors() == {}
                        break
                    await asyncio.sleep(0.2)
            await asyncio.to_thread(kubectl, "apply", "-f", "-", input=SELECTOR)
            assert await changes.next() is None
    finally:
        await asyncio.to_thread(kubectl, "delete", "clusterrolebinding,clusterrole", namespace)


async def test_unfollowed_role_selectors_cause_no_call(api: ApiServer, namespace: str, changes: Changes) -> None:
    async with following(api, namespace, changes, follows_selectors=False) as cluster_state:
        assert await cluster_state.role_selectors() == {}
        assert len(cluster_state._mirrors()) == 2
