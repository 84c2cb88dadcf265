"""TrainingJob objects with the rules of the API server: versions, generations, finalizers, deletion, conflicts."""

import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from trainingjob_operator.kube.errors import Conflict, NotFound
from trainingjob_operator.kube.objects import FIELD_MANAGER
from trainingjob_operator.logic.objects.resource import Key

Object = dict[str, Any]
Watch = Callable[[str, Object], None]


class FakeApiServer:
    """The interface of kube/objects.py. Each write calls `hinder` before (True) and after (False) it."""

    def __init__(self, *, keeps: frozenset[str] | None = None) -> None:
        """:param keeps: the status fields of the CRD; None keeps all"""
        self.objects: dict[Key, Object] = {}
        self.watchers: list[Watch] = []
        self.writes: list[str] = []
        self.hinder: Callable[[str, bool], None] = lambda _operation, _before: None
        self.keeps = keeps
        self._versions = itertools.count(1)

    # -- calls of a user -----------------------------------------------------------------------------------------------

    def apply(self, body: Object) -> None:
        """Create the object, or edit its spec and annotations."""
        new = copy.deepcopy(body)
        key = (new["metadata"]["namespace"], new["metadata"]["name"])
        old = self.objects.get(key)
        if old is None:
            new["metadata"]["generation"] = 1
            self._store(key, new)
            return
        self._edit(key, spec=new["spec"], annotations=new["metadata"].get("annotations", {}))

    def annotate(self, key: Key, **annotations: str | None) -> None:
        body = copy.deepcopy(self.objects[key])
        _merge(body["metadata"].setdefault("annotations", {}), annotations)
        self._store(key, body)

    def edit(self, key: Key, **spec: Any) -> None:
        self._edit(key, spec={**self.objects[key]["spec"], **spec}, annotations={})

    def delete(self, key: Key) -> None:
        body = copy.deepcopy(self.objects.get(key))
        if body is None or "deletionTimestamp" in body["metadata"]:
            return
        body["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        body["metadata"]["generation"] += 1
        self._store(key, body)

    def back_up(self) -> Callable[[], None]:
        """Return a function that restores the current objects with their versions; watches report no restore."""
        objects, version = copy.deepcopy(self.objects), next(self._versions)

        def restore() -> None:
            self.objects, self._versions = objects, itertools.count(version)

        return restore

    def write_status_as(self, manager: str, key: Key, **status: Any) -> None:
        """Write the status as another controller."""
        body = copy.deepcopy(self.objects[key])
        body.setdefault("status", {}).update(status)
        now = f"2026-11-21T13:00:{int(body['metadata']['resourceVersion']) % 60:02}Z"
        body["metadata"]["managedFields"] = [{"manager": manager, "subresource": "status", "time": now}]
        self._store(key, body)

    def _edit(self, key: Key, *, spec: Object, annotations: Mapping[str, Any]) -> None:
        body = copy.deepcopy(self.objects[key])
        if body["spec"] != spec:
            body["spec"] = copy.deepcopy(spec)
            body["metadata"]["generation"] += 1
        body["metadata"].setdefault("annotations", {}).update(annotations)
        self._store(key, body)

    # -- calls of the operator -----------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str) -> Object:
        return copy.deepcopy(self._find((namespace, name)))

    async def list_pages(self, namespace: str | None = None, label_selector: str = "") -> AsyncIterator[list[Object]]:
        for body in list(self.objects.values()):
            yield [copy.deepcopy(body)]

    async def delete_object(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        self.hinder("delete", True)
        metadata = self._find((namespace, name))["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (uid, resource_version):
            raise Conflict("the object has been modified")
        self.writes.append("delete")
        self.delete((namespace, name))

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
        def change(body: Object) -> None:
            if finalizers is not None:
                added = set(finalizers) - set(body["metadata"].get("finalizers", ()))
                if added and "deletionTimestamp" in body["metadata"]:
                    raise Conflict("no new finalizers can be added if the object is being deleted")
                body["metadata"]["finalizers"] = list(finalizers)
            _merge(body["metadata"].setdefault("annotations", {}), annotations or {})

        return self._write("metadata", (namespace, name), uid, resource_version, change)

    async def patch_status(
        self, namespace: str, name: str, *, uid: str, resource_version: str, patch: Mapping[str, Any]
    ) -> Object:
        def change(body: Object) -> None:
            _merge(body.setdefault("status", {}), patch)
            if self.keeps is not None:
                body["status"] = {name: value for name, value in body["status"].items() if name in self.keeps}
            body["metadata"]["managedFields"] = [
                {"manager": FIELD_MANAGER, "subresource": "status", "time": "2026-11-21T12:00:00Z"}
            ]

        return self._write("status", (namespace, name), uid, resource_version, change)

    def _write(self, operation: str, key: Key, uid: str, version: str, change: Callable[[Object], None]) -> Object:
        self.hinder(operation, True)
        body = copy.deepcopy(self._find(key))
        if body["metadata"]["uid"] != uid or body["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified")
        change(body)
        self.writes.append(operation)
        self._store(key, body)
        self.hinder(operation, False)
        return copy.deepcopy(body)

    def _find(self, key: Key) -> Object:
        if key not in self.objects:
            raise NotFound("not found")
        return self.objects[key]

    def _store(self, key: Key, body: Object) -> None:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        known = key in self.objects
        gone = "deletionTimestamp" in body["metadata"] and not body["metadata"].get("finalizers")
        if gone:
            self.objects.pop(key, None)
        else:
            self.objects[key] = body
        for watch in list(self.watchers):
            watch("DELETED" if gone else "MODIFIED" if known else "ADDED", copy.deepcopy(body))


def _merge(into: Object, patch: Mapping[str, Any]) -> None:
    """Apply a JSON merge patch."""
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, Mapping):
            inner = into.get(name)
            into[name] = inner if isinstance(inner, dict) else {}
            _merge(into[name], value)
        else:
            into[name] = copy.deepcopy(value)
