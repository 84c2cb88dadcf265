"""An operator between a fake API server and a fake SageMaker in virtual time; `simulated` makes tests of it."""

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec

from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import FakeClusterState, SimulatedOperator
from tests.fakes.service import FakeService
from tests.fakes.virtual_time import run
from tests.logic.builders import NAME, NAMESPACE

KEY = (NAMESPACE, NAME)
Object = dict[str, Any]
P = ParamSpec("P")


class Simulation:
    """An API server, a service and one operator; a test may restart the operator."""

    def __init__(self, *, keeps: frozenset[str] | None = None, **service: Any) -> None:
        """:param keeps: the status fields of the CRD; None keeps all
        :param service: fields of FakeService
        """
        self.api = FakeApiServer(keeps=keeps)
        self.service = FakeService(**service)
        self.cluster_state = FakeClusterState()
        self._operator: SimulatedOperator | None = None

    @property
    def operator(self) -> SimulatedOperator:
        """The running operator."""
        assert self._operator is not None, "not started"
        return self._operator

    async def start(self, **options: Any) -> SimulatedOperator:
        """Start an operator in place of the running one; options are those of SimulatedOperator."""
        await self.end()
        self._operator = SimulatedOperator(self.api, self.service, cluster_state=self.cluster_state, **options)
        return self._operator

    async def end(self) -> None:
        """Kill the operator with SIGKILL, if it runs."""
        if self._operator is not None:
            await self._operator.end()
            self._operator = None

    async def wait(self, seconds: float) -> None:
        await self.operator.settle(seconds)

    @property
    def object(self) -> Object:
        return self.api.objects[KEY]

    @property
    def gone(self) -> bool:
        return KEY not in self.api.objects

    def condition(self, kind: str, key: tuple[str, str] = KEY) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty strings for a missing one."""
        for condition in self.api.objects[key].get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    @property
    def created_jobs(self) -> list[str]:
        """Names of the jobs created by the operator, in order of creation."""
        return [job.identity.job_name for job in self.service.created]

    def count(self, operation: str) -> int:
        """Number of calls of an operation of SageMaker so far."""
        return sum(call == operation for call, _ in self.service.calls)

    def sample(self, name: str, **labels: str) -> float | None:
        """One sample of the operator's metrics."""
        return self.operator.registry.get_sample_value(name, labels)


@asynccontextmanager
async def simulate(**options: Any) -> AsyncIterator[Simulation]:
    """A simulation with a started operator; options are those of Simulation. Needs the loop of `in_virtual_time`."""
    simulation = Simulation(**options)
    await simulation.start()
    yield simulation
    await simulation.end()


def simulated(
    **options: Any,
) -> Callable[[Callable[Concatenate[Simulation, P], Awaitable[None]]], Callable[P, None]]:
    """Make a test of a coroutine function; its first parameter is a simulation with these options."""

    def decorate(test: Callable[Concatenate[Simulation, P], Awaitable[None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def run_test(*arguments: P.args, **named: P.kwargs) -> None:
            async def main() -> None:
                async with simulate(**options) as simulation:
                    await test(simulation, *arguments, **named)

            run(main())

        signature = inspect.signature(test)
        fixtures = list(signature.parameters.values())[1:]
        run_test.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]  # for pytest
        return run_test

    return decorate
