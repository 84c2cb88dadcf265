"""Metrics, liveness and readiness over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from tests.fakes.clock import Clock
from trainingjob_operator.health import Heartbeats, Readiness, serve_health, serve_metrics
from trainingjob_operator.settings import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK = Address("127.0.0.1", 0)


async def get(address: Address, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address.host}:{address.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


class Process:
    """Process with its own clock and port."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.heartbeats = Heartbeats(self.clock)
        self.readiness = Readiness("the API server", "the first list")
        self.address = LOOPBACK

    async def healthz(self) -> tuple[int, str]:
        return await get(self.address, "/healthz")

    async def readyz(self) -> tuple[int, str]:
        return await get(self.address, "/readyz")


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process()
    async with serve_health(LOOPBACK, process.heartbeats, process.readiness) as process.address:
        yield process


async def test_a_process_with_running_loops_is_alive(process: Process) -> None:
    beat = process.heartbeats.expect("the sweep", max_age=30)
    process.clock.now += 29
    beat.tick()
    process.clock.now += 29
    assert await process.healthz() == (200, "ok\n")


async def test_a_stopped_loop_is_reported(process: Process) -> None:
    process.heartbeats.expect("the watch", max_age=100)
    process.heartbeats.expect("the sweep", max_age=30)
    process.clock.now += 31
    assert await process.healthz() == (503, "Loop the sweep has not iterated for 31 s (limit 30 s)\n")
    process.clock.now += 70
    _, reported = await process.healthz()
    assert [line.split(" has")[0] for line in reported.splitlines()] == ["Loop the watch", "Loop the sweep"]


async def test_a_resumed_loop_restores_liveness(process: Process) -> None:
    beat = process.heartbeats.expect("the sweep", max_age=30)
    process.clock.now += 31
    assert (await process.healthz())[0] == 503
    beat.tick()
    assert (await process.healthz())[0] == 200


async def test_a_loop_may_have_its_own_time_limit(process: Process) -> None:
    last = process.clock.now
    process.heartbeats.follow("the elector", 10, lambda: last)
    process.clock.now += 11
    assert (await process.healthz())[0] == 503
    last = process.clock.now
    assert (await process.healthz())[0] == 200


async def test_a_process_is_ready_after_every_step_and_stays_ready(process: Process) -> None:
    assert await process.readyz() == (503, "waiting for the API server\nwaiting for the first list\n")
    process.readiness.reached("the API server")
    assert await process.readyz() == (503, "waiting for the first list\n")
    process.readiness.reached("the first list")
    process.readiness.reached("the first list")
    assert await process.readyz() == (200, "ok\n")


async def test_readiness_is_independent_of_liveness(process: Process) -> None:
    process.heartbeats.expect("the sweep", max_age=1)
    process.clock.now += 2
    for step in process.readiness.awaited:
        process.readiness.reached(step)
    assert (await process.readyz())[0] == 200
    assert (await process.healthz())[0] == 503


async def test_the_metrics_of_the_registry_are_served() -> None:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    async with serve_metrics(LOOPBACK, registry) as address:
        status, text = await get(address, "/metrics")
    assert status == 200
    assert "\njobs_total 3.0\n" in text


async def test_other_paths_are_not_found(process: Process) -> None:
    assert (await get(process.address, "/"))[0] == 404
    assert (await get(process.address, "/metrics"))[0] == 404


async def test_the_chosen_port_is_logged_and_requests_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serve_metrics(LOOPBACK, CollectorRegistry()) as address:
        await get(address, "/metrics")
    assert address.port > 0
    assert [(line.getMessage(), line.__dict__["port"]) for line in caplog.records] == [
        ("Serving metrics", address.port)
    ]


async def test_a_port_in_use_is_an_error_of_the_caller() -> None:
    async with serve_metrics(LOOPBACK, CollectorRegistry()) as address:
        with pytest.raises(OSError, match="address already in use"):
            async with serve_metrics(address, CollectorRegistry()):
                raise AssertionError("two servers on one port")


async def test_an_open_connection_does_not_delay_the_end() -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve_metrics(LOOPBACK, CollectorRegistry()))
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        await writer.drain()
        async with asyncio.timeout(20):
            await stack.aclose()
        writer.close()
