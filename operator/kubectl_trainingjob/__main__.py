"""`python -m kubectl_trainingjob`."""

import sys

from kubectl_trainingjob.cli import main

if __name__ == "__main__":
    sys.exit(main())
