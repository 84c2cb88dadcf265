"""A stage for scenes with one object: an API server, a service and the operator, in virtual time."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.api_server import FakeApiServer
from tests.fakes.service import FakeService
from tests.fakes.virtual_time import run
from tests.fakes.world import FakeClusterState, Life
from tests.logic.builders import NAME, NAMESPACE

KEY = (NAMESPACE, NAME)
Object = dict[str, Any]


class Stage:
    """An API server, a service and the operator."""

    def __init__(self, *, keeps: frozenset[str] | None = None, **service: Any) -> None:
        self.api = FakeApiServer(keeps=keeps)
        self.service = FakeService(**service)
        self.cluster_state = FakeClusterState()
        self.life: Life | None = None

    async def start(self, **options: Any) -> Life:
        if self.life is not None:
            await self.life.end()
        self.life = Life(self.api, self.service, cluster_state=self.cluster_state, **options)
        return self.life

    async def wait(self, seconds: float) -> None:
        assert self.life is not None
        await self.life.settle(seconds)

    @property
    def object(self) -> Object:
        return self.api.objects[KEY]

    @property
    def gone(self) -> bool:
        return KEY not in self.api.objects

    def condition(self, kind: str, key: tuple[str, str] = KEY) -> tuple[str, str, str]:
        for condition in self.api.objects[key].get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def count(self, operation: str) -> int:
        return sum(call == operation for call, _ in self.service.calls)


def played(scene: Callable[..., Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        stage = Stage(**options)
        await stage.start()
        await scene(stage)
        if stage.life is not None:
            await stage.life.end()

    run(main())
