"""`python -m tests.sagemaker`: run a SageMaker stand-in on loopback until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.sagemaker.identity import DEFAULT_ACCOUNT
from tests.sagemaker.program import Options, serve


def _options() -> tuple[Options, Path | None, bool]:
    parser = argparse.ArgumentParser(prog="python -m tests.sagemaker", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 uses a free port (default)")
    parser.add_argument("--port-file", type=Path, help="file for the port, written when the server listens")
    parser.add_argument("--region", default="us-east-1", help="default region of console commands")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="default account of console commands")
    parser.add_argument(
        "--seconds", default="60-120", metavar="FROM-TO", help="seconds of a job without a plan (default 60-120)"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="factor of every duration")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each call, e.g. 0.04")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="skip the checks against SageMaker's shapes")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    low, _, high = arguments.seconds.partition("-")
    options = Options(
        port=arguments.port,
        region=arguments.region,
        account=arguments.account,
        seconds=(float(low), float(high or low)),
        scale=arguments.scale,
        latency=arguments.latency,
        seed=arguments.seed,
        fast=arguments.fast,
    )
    return options, arguments.port_file, arguments.with_parent


async def _main(options: Options, port_file: Path | None, with_parent: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    if with_parent:
        loop.add_reader(sys.stdin, stopping.set)  # the parent sends nothing: a readable pipe is a closed one
    async with serve(options) as url:
        if port_file is not None:
            written = port_file.with_suffix(f".{os.getpid()}")
            await asyncio.to_thread(written.write_text, url.rpartition(":")[2])
            await asyncio.to_thread(written.replace, port_file)
        print(url, flush=True)
        await stopping.wait()


asyncio.run(_main(*_options()))
