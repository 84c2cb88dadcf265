"""Discovery: kinds served by the API server, the operator's user name, and its rights."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.kube.client import READ_SECONDS, ApiServer
from trainingjob_operator.kube.errors import Forbidden, NotFound
from trainingjob_operator.kube.leader import LEASE_NAME
from trainingjob_operator.kube.objects import API_VERSION, GROUP, PLURAL
from trainingjob_operator.logic.decide.accounts import ACCOUNT_MAP

SIDE_BY_SIDE = 8
"""Maximum number of concurrent access reviews."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; an empty namespace means all namespaces, an empty name any name."""

    verb: str
    resource: str
    """Plural, with an optional subresource: `trainingjobs/status`."""
    group: str = ""
    namespace: str = ""
    name: str = ""
    is_needed: bool = True
    """False for an optional right; the operator degrades without it."""


def rights_in(namespace: str) -> tuple[Right, ...]:
    """Return the rights required to serve a namespace; the empty name means all namespaces."""
    return (
        *(Right(verb, PLURAL, GROUP, namespace) for verb in ("list", "watch", "get", "patch")),
        Right("patch", f"{PLURAL}/status", GROUP, namespace),
        Right("get", "namespaces", namespace=namespace, name=namespace, is_needed=False),
        Right("create", "events", "events.k8s.io", namespace=namespace, is_needed=False),
    )


def rights_to_lead(namespace: str) -> tuple[Right, ...]:
    """Return the rights required for leader election in the namespace of the Lease."""
    leases = ("leases", "coordination.k8s.io", namespace)
    return (Right("create", *leases), Right("get", *leases, LEASE_NAME), Right("update", *leases, LEASE_NAME))


def right_to_cluster_id() -> Right:
    return Right("get", "namespaces", namespace="kube-system", name="kube-system")


def right_to_account_map(namespace: str) -> Right:
    return Right("get", "configmaps", namespace=namespace, name=ACCOUNT_MAP, is_needed=False)


def describe(rights: Sequence[Right]) -> str:
    """Format rights as text, grouped by namespace and resource."""
    places: dict[str, dict[str, list[str]]] = {}
    for right in rights:
        name = f" {right.name}" if right.name and right.name != right.namespace else ""
        resource = f"{right.resource}.{right.group}{name}" if right.group else f"{right.resource}{name}"
        place = f"in namespace {right.namespace}" if right.namespace else "in all namespaces"
        places.setdefault(place, {}).setdefault(resource, []).append(right.verb)
    return "; ".join(
        ", ".join(f"{'/'.join(verbs)} {resource}" for resource, verbs in resources.items()) + f" {place}"
        for place, resources in places.items()
    )


class Discovery:
    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def read_schema(self) -> str | None:
        """Return a version of the kind's schema; None if the API server does not serve the kind. Raises KubeError."""
        try:
            version = await self._api.call("GET", f"/apis/{API_VERSION}", seconds=READ_SECONDS)
        except NotFound:
            return None
        served = {resource["name"] for resource in version.get("resources") or ()}
        if not {PLURAL, f"{PLURAL}/status"} <= served:
            return None
        try:
            index = await self._api.call("GET", "/openapi/v3", seconds=READ_SECONDS)
        except (Forbidden, NotFound):
            return ""
        entry = (index.get("paths") or {}).get(f"apis/{API_VERSION}") or {}
        return str(entry.get("serverRelativeURL") or "")  # includes a hash of the schema

    async def find_missing(self, rights: Iterable[Right]) -> list[Right]:
        """Return the missing rights of `rights`. Raises KubeError."""
        rights = list(rights)
        slots = asyncio.Semaphore(SIDE_BY_SIDE)

        async def allows(right: Right) -> bool:
            async with slots:
                return await self._allows(right)

        answers = await asyncio.gather(*map(allows, rights))
        return [right for right, allowed in zip(rights, answers, strict=True) if not allowed]

    async def read_identity(self) -> str:
        """Return the operator's user name; empty without SelfSubjectReview. Raises KubeError."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        try:
            answer = await self._api.call("POST", path, body=body, seconds=READ_SECONDS)
        except (Forbidden, NotFound):
            return ""
        return str(answer["status"]["userInfo"]["username"])

    async def _allows(self, right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        attributes: dict[str, Any] = {
            "namespace": right.namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "name": right.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            answer = await self._api.call("POST", path, body=review, seconds=READ_SECONDS)
        except Forbidden:  # access reviews are forbidden; the call itself reveals a missing right
            return True
        return bool(answer["status"]["allowed"])
