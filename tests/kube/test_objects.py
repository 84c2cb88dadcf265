"""The TrainingJobs API against the real API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from trainingjob_operator.kube.errors import Conflict, Invalid, NotFound
from trainingjob_operator.kube.objects import API_VERSION, FIELD_MANAGER, KIND, PAGE_SIZE, TrainingJobObjects

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl
    from trainingjob_operator.kube.client import ApiServer

pytestmark = pytest.mark.usefixtures("crd")

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"


@pytest.fixture
def objects(api: ApiServer) -> TrainingJobObjects:
    return TrainingJobObjects(api)


async def create(api: ApiServer, namespace: str, name: str, **metadata: Any) -> dict[str, Any]:
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, **metadata},
        "spec": {"trainingJobName": name},
    }
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/trainingjobs"
    return await api.call("POST", path, seconds=10, body=body)


async def delete(api: ApiServer, namespace: str, name: str) -> None:
    await api.call("DELETE", f"/apis/{API_VERSION}/namespaces/{namespace}/trainingjobs/{name}", seconds=10)


async def test_finalizer_and_annotation_go_in_one_write_and_leave_the_rest(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    created = await create(api, namespace, "one", finalizers=["example.com/theirs"], annotations={"theirs": "1"})
    meta = created["metadata"]

    patched = await objects.patch_metadata(
        namespace,
        "one",
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        finalizers=[*meta["finalizers"], FINALIZER],
        annotations={"ours": "2"},
    )
    assert patched["metadata"]["finalizers"] == ["example.com/theirs", FINALIZER]
    assert patched["metadata"]["annotations"] == {"theirs": "1", "ours": "2"}
    assert patched["spec"] == created["spec"]
    assert patched["metadata"]["generation"] == meta["generation"]

    undone = await objects.patch_metadata(
        namespace,
        "one",
        uid=meta["uid"],
        resource_version=patched["metadata"]["resourceVersion"],
        finalizers=[],
        annotations={"ours": None},
    )
    assert "finalizers" not in undone["metadata"]
    assert undone["metadata"]["annotations"] == {"theirs": "1"}


async def test_status_patch_merges_and_names_this_operator_as_its_manager(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]

    first = await objects.patch_status(
        namespace,
        "one",
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        patch={"trainingJobStatus": "InProgress", "failureReason": "x", "conditions": [{"type": "Ready"}]},
    )
    second = await objects.patch_status(
        namespace,
        "one",
        uid=meta["uid"],
        resource_version=first["metadata"]["resourceVersion"],
        patch={"failureReason": None, "conditions": []},
    )
    assert second["status"] == {"trainingJobStatus": "InProgress", "conditions": []}
    managers = {entry["manager"] for entry in second["metadata"]["managedFields"] if "f:status" in entry["fieldsV1"]}
    assert managers == {FIELD_MANAGER}


async def test_a_write_based_on_an_older_state_is_a_conflict(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]
    status = {"uid": meta["uid"], "resource_version": meta["resourceVersion"], "patch": {"a": "1"}}
    await objects.patch_status(namespace, "one", **status)

    with pytest.raises(Conflict):
        await objects.patch_status(namespace, "one", **{**status, "patch": {"a": "2"}})
    with pytest.raises(Conflict):
        await objects.patch_metadata(
            namespace, "one", uid=meta["uid"], resource_version=meta["resourceVersion"], finalizers=[FINALIZER]
        )
    assert (await objects.get(namespace, "one"))["status"] == {"a": "1"}


async def test_nothing_is_written_on_the_next_object_of_the_same_name(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    old = (await create(api, namespace, "one"))["metadata"]
    await delete(api, namespace, "one")
    new = (await create(api, namespace, "one"))["metadata"]

    for version in (old["resourceVersion"], new["resourceVersion"]):
        with pytest.raises(Conflict):
            await objects.patch_metadata(
                namespace, "one", uid=old["uid"], resource_version=version, finalizers=[FINALIZER]
            )
    with pytest.raises(Conflict):
        await objects.patch_status(
            namespace, "one", uid=old["uid"], resource_version=old["resourceVersion"], patch={"a": "1"}
        )
    assert (await objects.get(namespace, "one"))["metadata"]["resourceVersion"] == new["resourceVersion"]


async def test_what_is_gone_is_not_found_for_reads_and_writes(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]
    await delete(api, namespace, "one")

    with pytest.raises(NotFound):
        await objects.get(namespace, "one")
    with pytest.raises(NotFound):
        await objects.patch_status(
            namespace, "one", uid=meta["uid"], resource_version=meta["resourceVersion"], patch={"a": "1"}
        )


async def test_what_the_api_server_refuses_for_good_is_invalid(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]
    with pytest.raises(Invalid, match="not a key"):
        await objects.patch_metadata(
            namespace,
            "one",
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            annotations={"not a key": ""},
        )


async def test_pages_hold_every_object_of_the_namespace_once(
    api: ApiServer, objects: TrainingJobObjects, namespace: str, kubectl: Kubectl
) -> None:
    names = [f"job-{number:04}" for number in range(PAGE_SIZE + 20)]
    for start in range(0, len(names), 40):
        await asyncio.gather(*(create(api, namespace, name) for name in names[start : start + 40]))
    await asyncio.to_thread(kubectl, "label", "trainingjob", names[3], "team=a")

    pages = [page async for page in objects.list_pages(namespace)]
    assert [len(page) for page in pages] == [PAGE_SIZE, 20]
    assert [item["metadata"]["name"] for page in pages for item in page] == names

    labelled = [item["metadata"]["name"] async for page in objects.list_pages(None, "team=a") for item in page]
    assert labelled == [names[3]]
