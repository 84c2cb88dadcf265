"""The client of TrainingJobs against a real API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.installation import REPOSITORY
from trainingjob_operator.kube.errors import Conflict, Invalid, NotFound
from trainingjob_operator.kube.objects import API_VERSION, FIELD_MANAGER, KIND, TrainingJobObjects

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import ControlPlane
    from trainingjob_operator.kube.client import ApiServer

pytestmark = pytest.mark.usefixtures("crd")

SPEC = yaml.safe_load((REPOSITORY / "tests/data/every-field.yaml").read_text())["spec"]
FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"


@pytest.fixture
def objects(api: ApiServer) -> TrainingJobObjects:
    return TrainingJobObjects(api)


async def create(api: ApiServer, namespace: str, name: str, **metadata: Any) -> dict[str, Any]:
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, **metadata},
        "spec": {**SPEC, "trainingJobName": name},
    }
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/trainingjobs"
    return await api.call("POST", path, seconds=10, body=body)


async def delete(api: ApiServer, namespace: str, name: str) -> None:
    await api.call("DELETE", f"/apis/{API_VERSION}/namespaces/{namespace}/trainingjobs/{name}", seconds=10)


async def test_finalizer_and_annotation_are_written_at_once_and_keep_the_rest(
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
        patch={
            "trainingJobStatus": "InProgress",
            "failureReason": "x",
            "conditions": [{"type": "Ready", "status": "False"}],
        },
    )
    second = await objects.patch_status(
        namespace,
        "one",
        uid=meta["uid"],
        resource_version=first["metadata"]["resourceVersion"],
        patch={"failureReason": None, "conditions": []},
    )
    assert second["status"] == {"trainingJobStatus": "InProgress", "conditions": [], "phase": "Pending"}
    managers = {entry["manager"] for entry in second["metadata"]["managedFields"] if "f:status" in entry["fieldsV1"]}
    assert managers == {FIELD_MANAGER}


async def test_a_write_based_on_an_older_state_is_a_conflict(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]
    status = {"uid": meta["uid"], "resource_version": meta["resourceVersion"], "patch": {"failureReason": "1"}}
    await objects.patch_status(namespace, "one", **status)

    with pytest.raises(Conflict):
        await objects.patch_status(namespace, "one", **{**status, "patch": {"failureReason": "2"}})
    with pytest.raises(Conflict):
        await objects.patch_metadata(
            namespace, "one", uid=meta["uid"], resource_version=meta["resourceVersion"], finalizers=[FINALIZER]
        )
    assert (await objects.get(namespace, "one"))["status"]["failureReason"] == "1"


async def test_a_later_object_of_the_same_name_is_not_written(
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
            namespace, "one", uid=old["uid"], resource_version=old["resourceVersion"], patch={"failureReason": "1"}
        )
    assert (await objects.get(namespace, "one"))["metadata"]["resourceVersion"] == new["resourceVersion"]


async def test_a_deleted_object_is_not_found_by_reads_and_writes(
    api: ApiServer, objects: TrainingJobObjects, namespace: str
) -> None:
    meta = (await create(api, namespace, "one"))["metadata"]
    await delete(api, namespace, "one")

    with pytest.raises(NotFound):
        await objects.get(namespace, "one")
    with pytest.raises(NotFound):
        await objects.patch_status(
            namespace, "one", uid=meta["uid"], resource_version=meta["resourceVersion"], patch={"failureReason": "1"}
        )


async def test_a_write_rejected_by_the_api_server_is_invalid(
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


async def test_pages_contain_every_object_once_and_match_the_selector(
    api: ApiServer, namespace: str, kubectl: Kubectl
) -> None:
    names = [f"job-{number}" for number in range(7)]
    await asyncio.gather(*(create(api, namespace, name) for name in names))
    await asyncio.to_thread(kubectl, "label", "trainingjob", names[3], f"team={namespace}")
    objects = TrainingJobObjects(api, page_size=3)

    pages = [[item["metadata"]["name"] for item in page] async for page in objects.list_pages(namespace)]
    assert pages == [names[:3], names[3:6], names[6:]]

    everywhere = [item async for page in objects.list_pages() for item in page]
    assert {item["metadata"]["name"] for item in everywhere if item["metadata"]["namespace"] == namespace} == {*names}

    labelled = [
        item["metadata"]["name"] async for page in objects.list_pages(None, f"team={namespace}") for item in page
    ]
    assert labelled == [names[3]]


async def test_a_list_continues_after_a_compaction_with_the_next_object(
    api: ApiServer, namespace: str, own_control_plane: ControlPlane
) -> None:
    names = [f"job-{number}" for number in range(5)]
    await asyncio.gather(*(create(api, namespace, name) for name in names))
    pages = TrainingJobObjects(api, page_size=2).list_pages(namespace)
    first = await anext(pages)
    await delete(api, namespace, names[4])
    await asyncio.to_thread(own_control_plane.compact)
    await asyncio.to_thread(own_control_plane.restart_apiserver)  # or it continues from its cache

    rest = [item async for page in pages for item in page]
    assert [item["metadata"]["name"] for item in [*first, *rest]] == names[:4]
