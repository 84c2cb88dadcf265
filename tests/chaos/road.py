"""The roads from an operator to AWS and to the API server: every passage is counted, and a fault may strike at any.

Each road is a reverse proxy; the case decides about each passage.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

AWS, KUBERNETES = "aws", "kubernetes"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


class CutError(Exception):
    """Closes the connection here; raised by hooks."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A call to AWS, or a write to Kubernetes."""

    number: int
    """From 1, both roads together."""
    road: str
    operation: str
    """CreateTrainingJob, or such as `PATCH trainingjobs/status`."""


@dataclass
class Hooks:
    """Hooks for passages; CutError closes the connection."""

    before: Callable[[Passage], Awaitable[web.Response | None]] | None = None
    """Called before the request is forwarded; an answer replaces the service's."""
    after: Callable[[Passage], Awaitable[None]] | None = None
    """Called after the service's answer, before it is passed on."""

    read: Callable[[web.BaseRequest], Awaitable[web.Response | None]] | None = None
    """The same for reads from Kubernetes; they are not counted."""


@dataclass
class Trace:
    """The passages of one case, in order; both roads append to it."""

    hooks: Hooks = field(default_factory=Hooks)
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def begin(self, road: str, operation: str) -> Passage:
        self.count += 1
        self.lines.append(f"{self.count:3} {road} {operation}")
        return Passage(self.count, road, operation)

    def note(self, text: str) -> None:
        self.lines.append(f"    -- {text}")


class Road:
    """One reverse proxy on its own loopback port."""

    def __init__(self, name: str, upstream: str, session: aiohttp.ClientSession, trace: Trace) -> None:
        self._name = name
        self._upstream = upstream
        self._session = session
        self._trace = trace
        self._open = asyncio.Event()
        self._open.set()
        self._runner: web.ServerRunner | None = None
        self._watches: set[asyncio.Transport] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, handler_cancellation=True, keepalive_timeout=300),
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=512).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self._open.set()
        await self._runner.cleanup()

    def swallow(self) -> None:
        """Keep open watches open without events; new connections pass."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Close every open watch."""
        for transport in set(self._watches):
            transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        operation = self._name_passage(request, body)
        hooks = self._trace.hooks
        try:
            if operation is None:
                answer = None if hooks.read is None else await hooks.read(request)
                return answer or await self._forward(request, body, None)
            passage = self._trace.begin(self._name, operation)
            if hooks.before is not None:
                answer = await hooks.before(passage)
                if answer is not None:
                    self._trace.note(f"answered {answer.status} instead of the service")
                    return answer
            return await self._forward(request, body, passage)
        except (CutError, aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    def _name_passage(self, request: web.BaseRequest, body: bytes) -> str | None:
        """None for uncounted requests: reads from Kubernetes, and the requests of every start."""
        if self._name == AWS:
            return request.headers.get("X-Amz-Target", "").partition(".")[2] or None
        if request.method not in WRITES or request.path.endswith("reviews"):
            return None
        parts = request.path.split("/")
        shown = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
        named = "/".join([shown[0], *shown[2:]])
        detail = ""
        if request.method == "PATCH":
            with contextlib.suppress(ValueError):
                metadata = json.loads(body).get("metadata", {})
                detail = "".join(
                    f" {name}={metadata[name]}" for name in ("finalizers", "annotations") if name in metadata
                )
        return f"{request.method} {named}{detail}"

    async def _forward(self, request: web.BaseRequest, body: bytes, passage: Passage | None) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        limits = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.path_qs}",
            headers=headers,
            data=body or None,
            timeout=limits,
            allow_redirects=False,
        ) as upstream:
            kept = {name: value for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP}
            if "watch=true" not in request.query_string.lower():
                text = await upstream.read()
                if passage is not None and self._trace.hooks.after is not None:
                    await self._trace.hooks.after(passage)
                return web.Response(status=upstream.status, headers=kept, body=text)
            response = web.StreamResponse(status=upstream.status, headers=kept)
            await response.prepare(request)
            assert request.transport is not None
            self._watches.add(request.transport)
            try:
                async for chunk in upstream.content.iter_any():
                    await self._open.wait()
                    await response.write(chunk)
            finally:
                self._watches.discard(request.transport)
            return response


def open_session(trust: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session for all requests of the harness; it passes bodies on unchanged."""
    connector = aiohttp.TCPConnector(limit=0, ssl=trust if trust is not None else True)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)
