"""Leases in memory with the API server's optimistic concurrency, on the test's clock."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.errors import AlreadyExists, Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class LeaseStore(ApiServer):
    """Leases of one namespace; `before` and `after` run around the commit of each call and may raise."""

    def __init__(self) -> None:
        super().__init__(Login({}))
        self.leases: dict[str, dict[str, Any]] = {}
        self.before: Callable[[str], None] = lambda method: None
        self.after: Callable[[str], None] = lambda method: None
        self._version = 0

    async def call(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "",
    ) -> dict[str, Any]:
        assert seconds > 0
        self.before(method)
        answer = self._commit(method, path, body)
        self.after(method)
        return copy.deepcopy(answer)

    def edit(self, name: str, **spec: Any) -> None:
        """Write of another client; without a spec, of a label."""
        lease = self.leases.setdefault(name, {"metadata": {"name": name}, "spec": {}})
        lease["spec"].update(spec)
        self._version += 1
        lease["metadata"]["resourceVersion"] = str(self._version)

    def _commit(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        name = path.rpartition("/")[2] if body is None else body["metadata"]["name"]
        lease = self.leases.get(name)
        if method == "POST":
            if lease is not None:
                raise AlreadyExists(name)
        elif lease is None:
            raise NotFound(name)
        if body is not None:
            if lease is not None and body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
                raise Conflict(name)
            self.leases[name] = copy.deepcopy(dict(body))
            self.edit(name)
        return self.leases[name]
