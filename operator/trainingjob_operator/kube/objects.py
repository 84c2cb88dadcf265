"""TrainingJob objects: list, get, patch.

Bodies are the API server's JSON as dicts. Every patch is a JSON merge patch with the object's UID and resourceVersion:
it changes that object in that state, or raises Conflict. errors.py lists all errors.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from trainingjob_operator.kube.client import MERGE_PATCH, READ_SECONDS, WRITE_SECONDS, ApiServer

GROUP = "sagemaker.services.k8s.aws"
VERSION = "v1alpha1"
PLURAL = "trainingjobs"
KIND = "TrainingJob"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "trainingjob-operator"
"""Field manager of this operator in metadata.managedFields."""

PAGE_SIZE = 100
"""Objects of a page: one object may have a megabyte, and a page is in memory as a whole."""

Object = dict[str, Any]


class TrainingJobObjects:
    def __init__(self, api: ApiServer, page_size: int = PAGE_SIZE) -> None:
        self._api = api
        self._page_size = page_size

    async def list_pages(self, namespace: str | None = None, label_selector: str = "") -> AsyncIterator[list[Object]]:
        """List the objects of one or all namespaces in pages of at most `page_size`; see ApiServer.pages."""
        query = {"labelSelector": label_selector} if label_selector else {}
        async for page in self._api.pages(_path(namespace), query=query, size=self._page_size):
            yield page.get("items") or []

    async def get(self, namespace: str, name: str) -> Object:
        return await self._api.call("GET", _path(namespace, name), seconds=READ_SECONDS)

    async def delete_object(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        """Delete the object in this version."""
        options = {"preconditions": {"uid": uid, "resourceVersion": resource_version}}
        await self._api.call("DELETE", _path(namespace, name), seconds=WRITE_SECONDS, body=options)

    async def patch_metadata(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str,
        finalizers: Sequence[str] | None = None,
        annotations: Mapping[str, str | None] | None = None,
    ) -> Object:
        """Replace the finalizers and merge the annotations (None removes one) in one write; returns the new object."""
        metadata: Object = {"uid": uid, "resourceVersion": resource_version}
        if finalizers is not None:
            metadata["finalizers"] = list(finalizers)
        if annotations is not None:
            metadata["annotations"] = dict(annotations)
        return await self._patch(_path(namespace, name), {"metadata": metadata})

    async def patch_status(
        self, namespace: str, name: str, *, uid: str, resource_version: str, patch: Mapping[str, Any]
    ) -> Object:
        """Merge `patch` into the status (None removes a field, lists are replaced); returns the new object."""
        metadata = {"uid": uid, "resourceVersion": resource_version}
        return await self._patch(f"{_path(namespace, name)}/status", {"metadata": metadata, "status": dict(patch)})

    async def _patch(self, path: str, body: Object) -> Object:
        return await self._api.call(
            "PATCH",
            path,
            seconds=WRITE_SECONDS,
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type=MERGE_PATCH,
        )


def _path(namespace: str | None, name: str | None = None) -> str:
    scope = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"
    item = "" if name is None else f"/{quote(name, safe='')}"
    return f"/apis/{API_VERSION}{scope}/{PLURAL}{item}"
