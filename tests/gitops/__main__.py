"""`python -m tests.gitops`: build Flux's kustomize-controller unless the cache has it."""

from __future__ import annotations

import os
import sys

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import ProgramsMissingError
from tests.gitops.program import find_flux


def main() -> int:
    try:
        find_flux(os.environ)
    except ProgramsMissingError as error:
        to_stderr(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
