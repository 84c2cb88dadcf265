"""Serves a stand-in on loopback: options, start and stop. server.py and commands.py hold the handlers."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from aiohttp import web

from tests.sagemaker.commands import PREFIX, Commands
from tests.sagemaker.identity import DEFAULT_ACCOUNT
from tests.sagemaker.server import Front
from tests.sagemaker.service import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """Initial settings of a stand-in."""

    port: int = 0  # 0: a free port
    region: str = "us-east-1"  # default region of console commands
    account: str = DEFAULT_ACCOUNT
    seconds: tuple[float, float] = (60.0, 120.0)  # range of job durations without a plan
    scale: float = 1.0  # factor of all durations
    latency: float = 0.0  # seconds added to each call
    seed: int = 0
    fast: bool = False  # no checks against SageMaker's shapes


@contextlib.asynccontextmanager
async def serve(options: Options) -> AsyncIterator[str]:
    """Serves until the context ends; yields the URL."""
    settings = Settings(scale=options.scale, seconds_from=options.seconds[0], seconds_to=options.seconds[1])
    front = Front(settings=settings, seed=options.seed, latency=options.latency, fast=options.fast)
    commands = Commands(front, account=options.account, region=options.region)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(PREFIX):
            return await commands.answer(request)
        return await front.answer(request)

    runner = web.ServerRunner(web.Server(answer, access_log=None, keepalive_timeout=300), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port, backlog=1024)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        front.events.pause()
        await runner.cleanup()
        await front.neighbours.stop()
