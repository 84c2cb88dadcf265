"""Entry point of `python -m trainingjob_operator`; same program as the console script."""

import sys

from trainingjob_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
