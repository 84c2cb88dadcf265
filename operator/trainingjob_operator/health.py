"""What the process says about itself over HTTP: metrics, whether it lives, whether it is ready.

Here: the heartbeats by which loops show that they run, and the two servers. Not here: what the metrics are
(metrics.py), and the loops. Liveness is about this process alone: when AWS or the API server answer badly, a restart
would help nobody. Readiness shows what the process waits for.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from trainingjob_operator.settings import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from aiohttp.typedefs import Handler
    from prometheus_client import CollectorRegistry

_logger = logging.getLogger(__name__)


class Heartbeat:
    """The sign of life of one loop that calls `tick`; from `Heartbeats.expect`, or for `Heartbeats.follow`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()

    def tick(self) -> None:
        """The loop went round once more."""
        self._last = self._clock()

    def last(self) -> float:
        """When it did so last, or was first expected to."""
        return self._last


class Heartbeats:
    """The loops that must go round for the process to be alive.

    Going round is all that counts, also when what the loop calls fails: it shows that the loop runs, not that it
    succeeds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: monotonic seconds"""
        self._clock = clock
        self._loops: dict[str, tuple[float, Callable[[], float]]] = {}

    def expect(self, loop: str, max_age: float) -> Heartbeat:
        """Expect a tick of the loop every `max_age` seconds at least, from now on."""
        heartbeat = Heartbeat(self._clock)
        self.follow(loop, max_age, heartbeat.last)
        return heartbeat

    def follow(self, loop: str, max_age: float, last: Callable[[], float]) -> None:
        """As `expect`, for a loop that itself keeps when it went round last, by the same clock."""
        self._loops[loop] = (max_age, last)

    def silent(self) -> list[str]:
        """A sentence for each loop that has not gone round for too long."""
        now = self._clock()
        return [
            f"{loop} has not gone round for {now - last():.0f} s (at most {max_age:.0f} s)"
            for loop, (max_age, last) in self._loops.items()
            if now - last() > max_age
        ]


class Readiness:
    """What the process still waits for before it is ready, leader or not; and what is worth a note although it is."""

    def __init__(self, *parts: str) -> None:
        """:param parts: such as "the first list of objects" """
        self._awaited = dict.fromkeys(parts, "")
        self._notes: dict[str, list[str]] = {}

    @property
    def awaited(self) -> list[str]:
        """The parts that are waited for."""
        return list(self._awaited)

    def wait_for(self, part: str, why: str) -> None:
        """The part is not there yet, or no longer; `why` is a sentence."""
        self._awaited[part] = why

    def reached(self, part: str) -> None:
        """The part is there, until `wait_for` it."""
        self._awaited.pop(part, None)

    def note(self, part: str, sentences: list[str]) -> None:
        """Show these in place of earlier ones about the part."""
        self._notes[part] = sentences

    def explain(self) -> list[str]:
        """A line for each part that is waited for; empty when the process is ready."""
        return [f"waiting for {part}" + (f": {why}" if why else "") for part, why in self._awaited.items()]

    def notes(self) -> list[str]:
        """A line for each note."""
        return [f"note: {sentence}" for sentences in self._notes.values() for sentence in sentences]


@contextlib.asynccontextmanager
async def serve_metrics(address: Address, registry: CollectorRegistry) -> AsyncIterator[Address]:
    """Serve /metrics while the context lasts; yields where, with the port that was chosen for port 0.

    :raises OSError: the address can't be listened on
    """
    async with _serve("metrics", address, {"/metrics": make_aiohttp_handler(registry)}) as bound:
        yield bound


@contextlib.asynccontextmanager
async def serve_health(address: Address, heartbeats: Heartbeats, readiness: Readiness) -> AsyncIterator[Address]:
    """Serve /healthz and /readyz while the context lasts; yields where, as `serve_metrics` does.

    :raises OSError: the address can't be listened on
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(heartbeats.silent())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(readiness.explain(), readiness.notes())

    async with _serve("health", address, {"/healthz": healthz, "/readyz": readyz}) as bound:
        yield bound


def _answer(problems: list[str], notes: Sequence[str] = ()) -> web.Response:
    """200, "ok" and the notes, or 503 and a line for each problem."""
    return web.Response(text="\n".join(problems or ["ok", *notes]) + "\n", status=503 if problems else 200)


@contextlib.asynccontextmanager
async def _serve(what: str, address: Address, handlers: Mapping[str, Handler]) -> AsyncIterator[Address]:
    application = web.Application()
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
    # No access log: a probe every few seconds is no news. An open scrape must not hold up the end of the process.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host or None, address.port).start()
        host, port = runner.addresses[0][:2]
        _logger.info("serving %s", what, extra={"host": host, "port": port})
        yield Address(host, port)
    finally:
        await runner.cleanup()
