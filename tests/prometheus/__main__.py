"""`python -m tests.prometheus` builds Prometheus, unless the cache has it; --picture draws the dashboard, too."""

from __future__ import annotations

import argparse
import os
import sys

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import ProgramsMissingError
from tests.prometheus.picture import PICTURE, draw_run
from tests.prometheus.program import find_prometheus


def main() -> int:
    """Build, and end; or draw the picture of docs/metrics.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.prometheus", description=__doc__)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name} from a run of some minutes")
    options = parser.parse_args()
    try:
        programs = find_prometheus(os.environ)
    except ProgramsMissingError as error:
        to_stderr(str(error))
        return 1
    if options.picture:
        PICTURE.write_text(draw_run(programs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
