"""Shared parts of the tests of aws/: gateways that are closed at the end, and a server with any behaviour."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.fakes.clock import Clock
from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.gateway import Gateways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from trainingjob_operator.logic.jobs.errors import AwsError

REGION = "us-east-1"


@dataclass
class Bench:
    """Gateways, and a record of their effects."""

    clock: Clock = field(default_factory=Clock)
    fenced: list[float] = field(default_factory=list)
    stop_with: Exception | None = None
    observed: list[tuple[str, AwsError | None]] = field(default_factory=list)
    opened: list[Gateways] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budgets = Budgets(self.clock)

    def gateways(self, **settings: Any) -> Gateways:
        opened = Gateways(
            region=REGION,
            version="1.2.3",
            budgets=self.budgets,
            fence=self._fence,
            observe=lambda operation, _, error: self.observed.append((operation, error)),
            clock=self.clock,
            **settings,
        )
        self.opened.append(opened)
        return opened

    def _fence(self, seconds: float) -> None:
        self.fenced.append(seconds)
        if self.stop_with is not None:
            raise self.stop_with


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for gateways in made.opened:
        gateways.close()


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Advance the clock of the event loop: its time-outs end, unlike those of sockets and threads."""
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + seconds)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").partition(".")[2]


Answer = tuple[int, bytes]
"""Status and body."""
Behaviour = Callable[[Request], Awaitable[Answer | None]]
"""None closes the connection without an answer."""


def answer_json(body: Any, status: int = 200) -> Answer:
    return status, json.dumps(body).encode()


class RawServer:
    """HTTP server with the given behaviour, until the end of the context."""

    def __init__(self, behave: Behaviour, *, pause_seconds: float = 0.0) -> None:
        self._behave = behave
        self._pause_seconds = pause_seconds  # between any two bytes of an answer
        self._open: set[asyncio.Task[Any]] = set()
        self._news = asyncio.Condition()
        self.requests: list[Request] = []
        self.url = ""

    async def received(self, count: int = 1) -> None:
        """Wait for this number of requests."""
        async with self._news, asyncio.timeout(60):
            await self._news.wait_for(lambda: len(self.requests) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                async with self._news:
                    self._news.notify_all()
                answer = await self._behave(request)
                if answer is None:
                    return
                status, body = answer
                text = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
                await self._write(writer, text)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, text: bytes) -> None:
        pieces = [text] if self._pause_seconds == 0 else [text[i : i + 1] for i in range(len(text))]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self._pause_seconds)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.sleep(0)
        await self._server.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


@contextlib.asynccontextmanager
async def hanging_server() -> AsyncIterator[RawServer]:
    """Server that accepts every request and answers none until the end of the context."""
    released = asyncio.Event()

    async def hang(_: Request) -> None:
        await released.wait()

    async with RawServer(hang) as server:
        try:
            yield server
        finally:
            released.set()
            await asyncio.sleep(0.05)
