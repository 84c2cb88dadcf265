"""`python -m tests.helm` renders the manifests in deploy/ from the chart."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import ProgramsMissingError
from tests.helm.program import Helm, HelmError, find_helm
from tests.helm.rendering import RENDERINGS, path, render


def main() -> int:
    """Build Helm if the cache lacks it, and write changed files."""
    parser = argparse.ArgumentParser(prog="python -m tests.helm", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="build Helm, and end")
    options = parser.parse_args()
    try:
        program = find_helm(os.environ)
        if options.build_only:
            return 0
        with tempfile.TemporaryDirectory() as folder:
            helm = Helm(program, Path(folder))
            for name in RENDERINGS:
                path(name).write_text(render(helm, name))
                to_stderr(f"wrote {path(name)}")
    except (HelmError, ProgramsMissingError) as error:
        to_stderr(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
