"""`python -m tests.chaos [--seed N] [--quick] [--only NAME]`: inject every fault, and print a table of results."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.ledger import Ledger
from tests.chaos.scenarios import BY_ITSELF, SIDE_BY_SIDE, choose_all
from tests.chaos.world import World, run
from tests.controlplane.plane import ControlPlane, choose_cluster
from tests.crds.installation import install_crd
from tests.e2e.zygote import Zygote
from tests.sagemaker.stand_in import stand_in_process


def main() -> int:
    """The exit code: 1 after a violated invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    names = ", ".join([*SIDE_BY_SIDE, *BY_ITSELF])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--quick", action="store_true", help="a sample of each scenario, in a few minutes")
    parser.add_argument("--only", default="", metavar="NAME", help=f"a scenario, or SCENARIO:CASE; of {names}")
    parser.add_argument("--lanes", type=int, default=12, help="number of concurrent cases")
    options = parser.parse_args()
    chosen, _, case = options.only.partition(":")
    scenarios = choose_all()
    if chosen:
        scenarios = {name: one for name, one in {**SIDE_BY_SIDE, **BY_ITSELF}.items() if name == chosen}
    if not scenarios:
        parser.error(f"unknown scenario {chosen!r}; known: {names}")
    ledger = Ledger()
    with choose_cluster(os.environ)() as cluster, stand_in_process("--fast") as sagemaker, Zygote() as zygote:
        if not isinstance(cluster, ControlPlane):
            parser.error("faults are for the own control plane only")
        install_crd(cluster)
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        ledger.announce(f"seed {options.seed}; logs in {folder}")
        world = World(cluster, sagemaker, zygote, folder, ledger, options.seed, options.quick, options.lanes, case)
        for name, scenario in scenarios.items():
            ledger.announce(name)
            asyncio.run(run(world, scenario))
    print(ledger.table())
    print(f"seed {options.seed}, {time.monotonic() - ledger.began:.0f} s")
    if ledger.problems:
        print(f"repeat a case with: python -m tests.chaos --seed {options.seed} --only SCENARIO:CASE, as named above")
    return 1 if ledger.problems else 0


if __name__ == "__main__":
    sys.exit(main())
