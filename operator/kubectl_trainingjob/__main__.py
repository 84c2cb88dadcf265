"""`python -m kubectl_trainingjob`, and the functions of the console scripts."""

import sys

EXTRA_MISSING = (
    "error: {name} is missing. Install the plugin with its packages: pip install 'trainingjob-operator[plugin]'"
)


def main() -> int:
    """Run kubectl-trainingjob."""
    try:
        from kubectl_trainingjob import cli  # noqa: PLC0415  the operator is installed without these packages
    except ModuleNotFoundError as error:
        sys.exit(EXTRA_MISSING.format(name=error.name))
    return cli.main()


def complete() -> int:
    """Run kubectl_complete-trainingjob."""
    try:
        from kubectl_trainingjob import cli  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.exit(EXTRA_MISSING.format(name=error.name))
    return cli.complete()


if __name__ == "__main__":
    sys.exit(main())
