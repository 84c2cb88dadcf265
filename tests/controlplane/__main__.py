"""`python -m tests.controlplane`: run a control plane for experiments until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time

from tests.controlplane.meter import to_stderr
from tests.controlplane.plane import ClusterError, ControlPlane
from tests.controlplane.programs import ProgramsMissingError, find_programs


def main() -> int:
    """Start it, print the command for its kubeconfig on stdout and wait; progress goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="find or build the programs, and end")
    parser.add_argument(
        "--print-kubeconfig", action="store_true", help="print the kubeconfig's path alone, for scripts"
    )
    parser.add_argument("--keep", action="store_true", help="keep its folder (data, logs) at the end")
    parser.add_argument(
        "--apiserver-flag", action="append", default=[], metavar="FLAG", help="such as --watch-cache=false"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        programs = find_programs(os.environ)
        if options.build_only:
            return 0
        plane = ControlPlane(programs, apiserver_flags=options.apiserver_flag, keep=options.keep)
        with plane:
            path = str(plane.kubeconfig)
            print(path if options.print_kubeconfig else f"export KUBECONFIG={path}", flush=True)
            to_stderr(f"{plane.url} is up; logs are in {plane.folder}; Ctrl-C ends it")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    plane.check()
                    time.sleep(1)
    except (ClusterError, ProgramsMissingError) as error:
        to_stderr(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
