"""The program's command line: flags and environment to `Settings`, settings to a running operator.

Here: argument parsing, `--help`, exit codes. Not here: which flags there are and what they take (settings.py), and
what runs (assembly.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gc
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
"""Objects made before Python looks for garbage: by its own 700, half of reading a list goes to looking in vain."""

EXIT_USAGE = 2

_logger = logging.getLogger(__name__)


class _UsageError(settings.SettingsError):
    """There is no such command or flag, or it was given without its value."""


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong in one sentence, without the page of usage before it."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}.")


def _explained(flag: settings.Flag) -> str:
    """The help text with the variables and the default."""
    facts = [" or ".join(f"${variable}" for variable in flag.variables)]
    if flag.default is dataclasses.MISSING:
        facts.append("required")
    elif settings.show(flag.default):
        facts.append(f"default {settings.show(flag.default)}")
    return f"{flag.help} [{', '.join(facts)}]".replace("%", "%%")  # argparse formats help texts with %


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole program; values stay text, so that flags and environment are read by one rule."""
    program = _Parser(
        prog=PROGRAM,
        description="Makes SageMaker TrainingJob objects true, and tells the truth about them in their status.",
        allow_abbrev=False,
    )
    program.add_argument("--version", action="version", version=f"{PROGRAM} {metadata.version(PROGRAM)}")
    commands = program.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run the operator, in the cluster or with a kubeconfig",
        description="Runs the operator until SIGTERM. Each flag can also be given by the variable shown with it.",
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
    """The Kubernetes client asks for the home directory when it is imported; a user without passwd entry has none."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


async def _operate(chosen: Settings) -> int:
    _ensure_home()
    from trainingjob_operator import assembly  # noqa: PLC0415 - a usage error must not wait for boto3 and Kopf

    gc.freeze()  # what was imported stays
    gc.set_threshold(GARBAGE_THRESHOLD)
    return await assembly.run(chosen)


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    operate: Callable[[Settings], Coroutine[Any, Any, int]] = _operate,
) -> int:
    """Run the program.

    :param argv: the arguments after the program's name; the process's own when not given
    :param environ: the environment variables; the process's own when not given
    :param operate: what runs with the settings; the operator unless told otherwise
    :returns: the exit code: 2 for what can't be taken from the command line or the environment, else that of `operate`
    """
    parser = build_parser()
    try:
        given = vars(parser.parse_args(argv))
        chosen = settings.read(given, os.environ if environ is None else environ)
    except settings.SettingsError as error:
        if isinstance(error, _UsageError):
            with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
                parser.parse_args(["run", "--help"])
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201 - the answer to a person, before there is a log
        return EXIT_USAGE
    log_format.configure(chosen.log_level, sys.stderr, for_people=chosen.enable_development_logging)
    for name, reason in settings.IGNORED_FLAGS.items():
        if name in given:
            _logger.warning("%s is accepted and ignored: %s", name, reason)
    return asyncio.run(operate(chosen))
