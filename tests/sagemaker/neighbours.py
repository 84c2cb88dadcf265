"""moto's server for services other than SageMaker, STS and SQS: IAM, S3, CloudWatch Logs and others.

It is heavy and slow compared with the stand-in, so the first request for it starts it as a separate process. The
program serves on a free loopback port, prints the port and ends with its standard input, after any end of its parent.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp
from aiohttp import web

_HOP = frozenset({"connection", "content-length", "content-encoding", "keep-alive", "transfer-encoding"})


class Neighbours:
    """Forwards requests to moto."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._starting = asyncio.Lock()

    async def forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        await self._start()
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        # the Host header is kept: URLs made by moto must lead back here
        async with self._session.request(
            request.method, self._url + request.raw_path, headers=headers, data=body, allow_redirects=False
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, headers=passed, body=await answer.read())

    async def _start(self) -> None:
        async with self._starting:
            if self._process is not None:
                return
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.sagemaker.neighbours",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            )
            assert self._process.stdout is not None
            port = int(await self._process.stdout.readline())
            self._url = f"http://127.0.0.1:{port}"
            self._session = aiohttp.ClientSession(auto_decompress=True)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()


def main() -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
