"""`python -m tests.chaos [--seed N] [--quick] [--only NAME]`: every fault, and a table of what held."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
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
)
from tests.chaos.ledger import Ledger
from tests.chaos.world import World
from tests.chaos.zygote import Zygote
from tests.controlplane.plane import ControlPlane, choose_cluster
from tests.crds.installation import install_crd
from tests.sagemaker.stand_in import stand_in_process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SCENARIOS: dict[str, Callable[[World], Awaitable[None]]] = {
    "crash_points": crash_points.run,
    "random": crash_points.run_random,
    "lost_answers": lost_answers.run,
    "storms": storms.run,
    "kubernetes": kubernetes_side.run,
    "health": health.run,
    "availability": availability.run,
    "capacity": capacity.run,
    "out_of_band": out_of_band.run,
    "fuzz": fuzz.run,
    "fuzz_real": fuzz.run_on_real_parts,
}


async def run(world: World, scenario: Callable[[World], Awaitable[None]]) -> None:
    """One scenario in an event loop of its own."""
    async with world:
        await scenario(world)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--quick", action="store_true", help="a sample of each scenario, in about three minutes")
    parser.add_argument("--only", default="", metavar="NAME", help="a scenario, or scenario:case")
    parser.add_argument("--lanes", type=int, default=8, help="operators side by side")
    options = parser.parse_args()
    chosen, _, case = options.only.partition(":")
    if chosen and chosen not in SCENARIOS:
        parser.error(f"there is no scenario {chosen!r}; there are: {', '.join(SCENARIOS)}")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    ledger = Ledger()
    ledger.say(f"seed {options.seed}; logs in {folder}")
    with (
        choose_cluster(os.environ)() as cluster,
        stand_in_process("--fast") as sagemaker,
        Zygote() as zygote,
    ):
        assert isinstance(cluster, ControlPlane), "faults are for the own control plane only"
        install_crd(cluster)
        world = World(cluster, sagemaker, zygote, folder, ledger, options.seed, options.quick, options.lanes, case)
        for name, scenario in SCENARIOS.items():
            if chosen in ("", name):
                ledger.say(name)
                asyncio.run(run(world, scenario))
    print(ledger.table())
    print(f"seed {options.seed}, {time.monotonic() - ledger.began:.0f} s")
    if ledger.problems:
        print(f"do it again with: python -m tests.chaos --seed {options.seed} --only SCENARIO:CASE, as named above")
    return 1 if ledger.problems else 0


if __name__ == "__main__":
    sys.exit(main())
