"""Discovery and access reviews of an API server, and a coverage built on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from trainingjob_operator.coverage import Coverage
from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.discovery import rights_in
from trainingjob_operator.kube.errors import Forbidden, KubeError
from trainingjob_operator.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainingjob_operator.kube.discovery import Right


@dataclass
class FakeDiscovery:
    """Serves and allows everything by default."""

    schema: str | None = "1"
    not_found: set[str] = field(default_factory=set)
    """Missing namespaces."""
    denied: Callable[[Right], bool] = lambda _: False
    error: KubeError | None = None
    """Number of all calls."""
    reviews: int = 0

    async def read_schema(self) -> str | None:
        if self.error is not None:
            raise self.error
        return self.schema

    async def find_missing(self, rights: Sequence[Right]) -> list[Right]:
        self.reviews += 1
        return [right for right in rights if self.denied(right)]

    async def read_identity(self) -> str:
        return "system:serviceaccount:ops:operator"

    async def exists(self, namespace: str) -> bool:
        for right in [right for right in _reads(namespace) if self.denied(right)]:
            raise Forbidden(f"cannot get {right.resource} {right.name}")
        return namespace not in self.not_found


def _reads(namespace: str) -> list[Right]:
    return [right for right in rights_in(namespace) if right.resource == "namespaces"]


def make_coverage(
    discovery: FakeDiscovery,
    *namespaces: str,
    beside: Sequence[Right] = (),
    readiness: Readiness | None = None,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> Coverage:
    """A coverage before its first survey."""
    return Coverage(
        namespaces=namespaces,
        beside=beside,
        discovery=discovery,
        exists=discovery.exists,
        readiness=readiness or Readiness(),
        metrics=Metrics(registry or CollectorRegistry(), "0", clock),
        clock=clock,
    )
