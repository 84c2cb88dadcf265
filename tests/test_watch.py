"""Kopf against a small API server on loopback: its events reach the work queue, and its end causes a restart."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from tests.fakes.api_server import FakeApiServer
from tests.fakes.discovery import FakeDiscovery, make_coverage
from tests.fakes.operator import SimulatedOperator
from tests.fakes.service import FakeService, wall
from tests.logic.builders import NAME, NAMESPACE, body
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.kube.client import Login
from trainingjob_operator.kube.objects import GROUP, PLURAL, VERSION
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.runtime import Runtime
from trainingjob_operator.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from trainingjob_operator.coverage import Coverage

KEY = (NAMESPACE, NAME)
KIND = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainingJob"}


def served(name: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    verbs = ["list", "watch", "patch"]
    resource = {"name": name, "kind": kind, "singularName": kind.lower(), "namespaced": namespaced, "verbs": verbs}
    return {"resources": [resource]}


DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": served("namespaces", "Namespace", namespaced=False),  # Kopf reads only their names
    "/apis": {
        "groups": [{"name": GROUP, "preferredVersion": {"version": VERSION}, "versions": [{"version": VERSION}]}]
    },
    f"/apis/{GROUP}/{VERSION}": served(PLURAL, "TrainingJob", namespaced=True),
}


class Server:
    """Discovery, a list of one object, and a watch with given events."""

    def __init__(self) -> None:
        self.refusals = 0
        """Number of lists answered as for a missing kind."""
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.selectors: set[str | None] = set()
        self.writes = 0
        self.url = ""

    async def serve(self) -> AsyncIterator[Server]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        app.router.add_route("*", "/{path:.*}", self._note_write)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield self
        await runner.cleanup()

    async def _note_write(self, _request: web.Request) -> web.Response:
        self.writes += 1
        return web.json_response({})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        if not request.path.endswith(f"/{PLURAL}"):
            return web.json_response({})
        self.selectors.add(request.query.get("labelSelector"))
        if "watch" not in request.query:
            if self.refusals:
                self.refusals -= 1
                return web.json_response({"kind": "Status", "code": 404, "message": "gone"}, status=404)
            return web.json_response({**KIND, "metadata": {"resourceVersion": "1"}, "items": [body()]})
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(json.dumps(await self.events.get()).encode() + b"\n")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async for server in Server().serve():
        yield server


class Watch:
    """Watcher with Kopf as its only source."""

    def __init__(self, server: Server, folder: Path, operator: SimulatedOperator, coverage: Coverage) -> None:
        config = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "abc"}}],
        }
        (folder / "config").write_text(json.dumps(config))
        self.jobs, self.metrics = operator.jobs, CollectorRegistry()
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        runtime = Runtime(
            operator.jobs,
            operator.queue,
            operator.leadership,
            Metrics(self.metrics, "0", loop.time),
            Clocks(loop.time, wall, random.Random(7)),
        )
        self.watcher = Watcher(
            runtime,
            login=Login({"KUBECONFIG": str(folder / "config")}),
            lists=FakeApiServer(),
            coverage=coverage,
            label_selector="team=red",
            reconciler=operator.reconciler,
        )
        self._task = asyncio.ensure_future(self.watcher.watch())

    def knows(self, *keys: tuple[str, str]) -> bool:
        return {tracked.key for tracked in self.jobs} == set(keys)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.until(lambda: not any(thread.name == "kopf" for thread in threading.enumerate()))


@pytest.fixture
async def watch(server: Server, tmp_path: Path) -> AsyncIterator[Watch]:
    operator = SimulatedOperator(FakeApiServer(), FakeService())
    await operator.end()
    coverage = make_coverage(FakeDiscovery())
    await coverage.survey()
    watch = Watch(server, tmp_path, operator, coverage)
    yield watch
    await watch.end()


async def test_objects_of_the_watch_are_known_without_any_write(server: Server, watch: Watch) -> None:
    await watch.until(lambda: watch.knows(KEY))
    other = {**KIND, **body(name="other", uid="other", version=2)}
    server.events.put_nowait({"type": "ADDED", "object": other})
    await watch.until(lambda: watch.knows(KEY, (NAMESPACE, "other")))
    server.events.put_nowait({"type": "DELETED", "object": {**KIND, **body(version=3)}})
    await watch.until(lambda: watch.knows((NAMESPACE, "other")))
    assert server.selectors == {"team=red"}
    assert server.writes == 0, "no finalizer, no annotation, no progress of Kopf's"
    assert watch.watcher.heartbeat.last() > watch.began


async def test_an_ended_watch_is_started_again(server: Server, watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    server.refusals = 1
    await watch.until(lambda: watch.knows(KEY))
    assert watch.metrics.get_sample_value("trainingjob_watch_restarts_total") == 1
    assert "Watch ended" in caplog.text
