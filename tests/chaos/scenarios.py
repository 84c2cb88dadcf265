"""All scenarios by name, and their concurrency."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.chaos import (
    availability,
    capacity,
    crash_points,
    fuzz,
    health,
    kubernetes_side,
    lost_answers,
    out_of_band,
    storms,
    tenancy,
)
from tests.crds.installation import ACKS, OURS, install_crd

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from tests.chaos.world import World

    Scenario = Callable[[World], Coroutine[Any, Any, None]]

SIDE_BY_SIDE: dict[str, Scenario] = {
    "availability": availability.run,
    "health": health.run,
    "capacity": capacity.run,
    "out_of_band": out_of_band.run,
    "tenancy": tenancy.run,
    "kubernetes": kubernetes_side.run,
    "lost_answers": lost_answers.run,
    "crash_points": crash_points.run,
    "random": crash_points.run_random,
    "storms": storms.run,
}


async def run_under_acks_crd(world: World) -> None:
    """Scenarios that only ACK's looser CRD permits."""
    await asyncio.to_thread(install_crd, world.cluster, ACKS)
    try:
        if world.only.count("/") == 4:
            await crash_points.run(world)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(crash_points.run_under_acks_crd(world))
            group.create_task(fuzz.run_under_acks_crd(world))
            group.create_task(tenancy.run_under_acks_crd(world))
    finally:
        await asyncio.to_thread(install_crd, world.cluster, OURS)


FIRST = {name: SIDE_BY_SIDE[name] for name in ("availability", "capacity")}
BY_ITSELF: dict[str, Scenario] = {
    "acks_crd": run_under_acks_crd,
    "api_server": kubernetes_side.run_without_api_server,
    "fuzz": fuzz.run,
}


async def run_side_by_side(world: World) -> None:
    """All scenarios without effect on others; a full run starts with those that measure seconds, before many share the
    machine.
    """
    first = {} if world.quick else FIRST
    async with asyncio.TaskGroup() as group:
        for scenario in first.values():
            group.create_task(scenario(world))
    async with asyncio.TaskGroup() as group:
        for name, scenario in SIDE_BY_SIDE.items():
            if name not in first:
                group.create_task(scenario(world))


async def run_apart(world: World) -> None:
    """The fuzz needs no API server, so it continues while the API server is down."""
    async with asyncio.TaskGroup() as group:
        group.create_task(kubernetes_side.run_without_api_server(world))
        group.create_task(fuzz.run(world))


def choose_all() -> dict[str, Scenario]:
    """All scenarios, in order of execution."""
    return {"side_by_side": run_side_by_side, "acks_crd": run_under_acks_crd, "apart": run_apart}
