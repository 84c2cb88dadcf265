"""HTTP endpoints of the process: metrics, liveness, readiness.

Contains the heartbeats of the loops and the two servers; metrics.py defines the metrics. Liveness covers this process
only: a restart does not help against errors of AWS or the API server. Readiness lists the unmet preconditions.
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
    """Heartbeat of one loop; created by `Heartbeats.expect`, or passed to `Heartbeats.follow`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()

    def tick(self) -> None:
        """Record one iteration of the loop."""
        self._last = self._clock()

    def last(self) -> float:
        """Time of the last iteration, or of creation."""
        return self._last


class Heartbeats:
    """The loops that must iterate for the process to be alive.

    A heartbeat shows that a loop iterates, not that its calls succeed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: monotonic seconds"""
        self._clock = clock
        self._loops: dict[str, tuple[float, Callable[[], float]]] = {}

    def expect(self, loop: str, max_age: float) -> Heartbeat:
        """Require a tick of the loop at least every `max_age` seconds, from now on."""
        heartbeat = Heartbeat(self._clock)
        self.follow(loop, max_age, heartbeat.last)
        return heartbeat

    def follow(self, loop: str, max_age: float, last: Callable[[], float]) -> None:
        """Like `expect`, for a loop that records its own last iteration by the same clock."""
        self._loops[loop] = (max_age, last)

    def silent(self) -> list[str]:
        """One sentence for each loop with an overdue heartbeat."""
        now = self._clock()
        return [
            f"Loop {loop} has not iterated for {now - last():.0f} s (limit {max_age:.0f} s)"
            for loop, (max_age, last) in self._loops.items()
            if now - last() > max_age
        ]


class Readiness:
    """Unmet preconditions of readiness, for leader and standby alike, and notes on a ready process."""

    def __init__(self, *parts: str) -> None:
        """:param parts: initial preconditions, such as "the initial list of TrainingJobs" """
        self._awaited = dict.fromkeys(parts, "")
        self._notes: dict[str, list[str]] = {}

    @property
    def awaited(self) -> list[str]:
        """Unmet preconditions."""
        return list(self._awaited)

    def wait_for(self, part: str, why: str) -> None:
        """Mark the part as unmet; `why` is a sentence."""
        self._awaited[part] = why

    def reached(self, part: str) -> None:
        """Mark the part as met, until the next `wait_for`."""
        self._awaited.pop(part, None)

    def note(self, part: str, sentences: list[str]) -> None:
        """Replace the notes on the part."""
        self._notes[part] = sentences

    def explain(self) -> list[str]:
        """One line for each unmet precondition; empty if the process is ready."""
        return [f"waiting for {part}" + (f": {why}" if why else "") for part, why in self._awaited.items()]

    def notes(self) -> list[str]:
        """One line for each note."""
        return [f"note: {sentence}" for sentences in self._notes.values() for sentence in sentences]


@contextlib.asynccontextmanager
async def serve_metrics(address: Address, registry: CollectorRegistry) -> AsyncIterator[Address]:
    """Serve /metrics within the context; yields the bound address.

    :raises OSError: cannot listen on the address
    """
    async with _serve("metrics", address, {"/metrics": make_aiohttp_handler(registry)}) as bound:
        yield bound


@contextlib.asynccontextmanager
async def serve_health(address: Address, heartbeats: Heartbeats, readiness: Readiness) -> AsyncIterator[Address]:
    """Serve /healthz and /readyz within the context; yields the bound address.

    :raises OSError: cannot listen on the address
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(heartbeats.silent())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(readiness.explain(), readiness.notes())

    async with _serve("health", address, {"/healthz": healthz, "/readyz": readyz}) as bound:
        yield bound


def _answer(problems: list[str], notes: Sequence[str] = ()) -> web.Response:
    """Build a response: 200 with "ok" and the notes, or 503 with one line for each problem."""
    return web.Response(text="\n".join(problems or ["ok", *notes]) + "\n", status=503 if problems else 200)


@contextlib.asynccontextmanager
async def _serve(what: str, address: Address, handlers: Mapping[str, Handler]) -> AsyncIterator[Address]:
    application = web.Application()
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
    # No access log, since probes repeat every few seconds. The timeout keeps an open scrape from delaying shutdown.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host or None, address.port).start()
        host, port = runner.addresses[0][:2]
        _logger.info("Serving %s", what, extra={"host": host, "port": port})
        yield Address(host, port)
    finally:
        await runner.cleanup()
