"""`python -m tests.node`: build the parts of a node, then run tests/node in new namespaces."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tests.controlplane import programs as controlplane
from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import ProgramsMissingError
from tests.helm.program import find_helm
from tests.node.image import find_image
from tests.node.programs import find_programs
from tests.node.system import find_system

NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Namespaces of a test run; all its mounts, bridges and processes end with them."""
INSIDE = "TESTS_NODE"
"""Variable that is set in them."""


def main() -> int:
    """Build and test; unknown arguments go to pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.node", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="build, and end")
    options, arguments = parser.parse_known_args()
    began = time.monotonic()
    try:
        controlplane.find_programs(os.environ)
        for find in (find_helm, find_programs, find_system, find_image):
            find(os.environ)
    except ProgramsMissingError as error:
        to_stderr(str(error))
        return 1
    to_stderr(f"programs, Helm, system and image are there after {time.monotonic() - began:.0f} s")
    if options.build_only:
        return 0
    test = [sys.executable, "-m", "pytest", "-m", "node", "--durations=0", "tests/node", *arguments]
    return subprocess.run([*NAMESPACES, *test], env={**os.environ, INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
