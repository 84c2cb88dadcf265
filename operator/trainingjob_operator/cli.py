"""Command line of the program: argument parsing, `--help` and exit codes.

settings.py defines the flags; process.py runs the operator.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import importlib.util
import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from trainingjob_operator import log_format, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from trainingjob_operator.settings import Settings

PROGRAM = "trainingjob-operator"
GARBAGE_THRESHOLD = 20_000
"""Allocations between garbage collections; with Python's default of 700, collections take half the time of a list."""

EXIT_USAGE = 2

_logger = logging.getLogger(__name__)


class _UsageError(settings.SettingsError):
    """Unknown command or flag, or a flag without its value."""


class _Parser(argparse.ArgumentParser):
    """Raises errors as one sentence, without argparse's usage text."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}.")


def _explained(flag: settings.Flag) -> str:
    """Return the help text with variables and default."""
    facts = [" or ".join(f"${variable}" for variable in flag.variables)]
    if flag.default is dataclasses.MISSING:
        facts.append("required")
    elif settings.show(flag.default):
        facts.append(f"default {settings.show(flag.default)}")
    return f"{flag.help} [{', '.join(facts)}]".replace("%", "%%")  # argparse expands % in help texts


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; values stay text, since `settings.read` parses flags and environment alike."""
    program = _Parser(
        prog=PROGRAM,
        description="Kubernetes operator that reconciles TrainingJob objects with Amazon SageMaker training jobs.",
        allow_abbrev=False,
    )
    program.add_argument("--version", action="version", version=f"{PROGRAM} {metadata.version(PROGRAM)}")
    commands = program.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run the operator, in the cluster or with a kubeconfig",
        description="Runs the operator until SIGTERM. Each flag can also be set by its environment variable.",
        usage=f"{PROGRAM} run [flags]",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for group in settings.Group:
        section = run.add_argument_group(group.value)
        for flag in settings.FLAGS:
            if flag.group is not group:
                continue
            value: dict[str, Any] = {"nargs": "?", "const": "true"} if flag.is_switch else {}
            section.add_argument(
                flag.name,
                *flag.aliases,
                dest=flag.field,
                metavar="true|false" if flag.is_switch else flag.metavar,
                help=_explained(flag),
                **value,
            )
    for name in settings.IGNORED_FLAGS:
        run.add_argument(name, dest=name, nargs="?", help=argparse.SUPPRESS)
    return program


def _ensure_home() -> None:
    """Set HOME for a user without passwd entry; the Kubernetes client reads the home directory at import."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def load_bare(package: str) -> None:
    """Load a package without the code of its own module, for modules in it that do not need this code."""
    if package not in sys.modules and (spec := importlib.util.find_spec(package)) is not None:
        sys.modules[package] = importlib.util.module_from_spec(spec)


async def _operate(chosen: Settings) -> int:
    _ensure_home()
    load_bare("kubernetes")  # its own module imports the synchronous client: 8 MB
    from trainingjob_operator import process  # noqa: PLC0415 - usage errors appear without the import time of boto3 and Kopf

    gc.freeze()  # excludes imported modules from collections
    gc.set_threshold(GARBAGE_THRESHOLD)
    return await process.run(chosen)


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    operate: Callable[[Settings], Coroutine[Any, Any, int]] = _operate,
) -> int:
    """Run the program.

    :param argv: arguments after the program name; defaults to those of the process
    :param environ: environment variables; defaults to those of the process
    :param operate: entry point that takes the settings; defaults to the operator
    :returns: the exit code: 2 for invalid flags or variables, else that of `operate`
    """
    parser = build_parser()
    try:
        given = vars(parser.parse_args(argv))
        chosen = settings.read(given, os.environ if environ is None else environ)
    except settings.SettingsError as error:
        if isinstance(error, _UsageError):
            with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
                parser.parse_args(["run", "--help"])
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return EXIT_USAGE
    log_format.configure(chosen.log_level, sys.stderr, for_people=chosen.enable_development_logging)
    for name, reason in settings.IGNORED_FLAGS.items():
        if name in given:
            _logger.warning("%s is accepted but has no effect: %s", name, reason)
    return asyncio.run(operate(chosen))
