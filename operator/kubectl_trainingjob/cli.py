"""Command line of `kubectl trainingjob`: subcommands, exit codes and completion."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import ShellComplete

from kubectl_trainingjob.commands.changing import adopt, retry, stop
from kubectl_trainingjob.commands.following import logs, metrics, run, wait
from kubectl_trainingjob.commands.reading import describe, list_jobs, timeline, usage, why
from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.logic.outcomes import EXIT_ERROR, EXIT_INTERRUPTED
from kubectl_trainingjob.options import scope_options
from kubectl_trainingjob.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "kubectl trainingjob"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="trainingjob-operator", message="%(version)s")
@scope_options
def plugin() -> None:
    """List, follow and explain SageMaker training jobs that are TrainingJob objects.

    \b
    Examples:
      kubectl trainingjob list -A --outcome failed
      kubectl trainingjob why churn
      kubectl trainingjob logs -f churn
      kubectl trainingjob run -f churn.yaml
    """


for command in (list_jobs, usage, describe, timeline, logs, metrics, why, wait, run, stop, adopt, retry):
    plugin.add_command(command)


def run_command(arguments: Sequence[str], screen: Screen) -> int:
    """Run one command line; return its exit code."""
    try:
        code = plugin.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=screen)
    except click.UsageError as error:
        hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        screen.fail(f"{error.format_message()}{hint}")
        return EXIT_ERROR
    except click.exceptions.Abort:
        screen.tell("Interrupted; jobs continue.")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        screen.fail(error.format_message())
        return EXIT_ERROR
    except CommandError as error:
        screen.fail(str(error))
        return EXIT_ERROR
    return code if isinstance(code, int) else 0


def main() -> int:
    """Entry point of the console script kubectl-trainingjob."""
    return run_command(sys.argv[1:], Screen())


NO_FILES = 4
"""Cobra's directive ShellCompDirectiveNoFileComp, in which kubectl expects the answer."""


def complete() -> int:
    """Entry point of kubectl_complete-trainingjob, which kubectl asks for completions of this plugin's arguments."""
    *given, incomplete = sys.argv[1:] or [""]
    items = ShellComplete(plugin, {}, PROGRAM, "").get_completions(given, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items]
    takes_file = any(item.type in ("file", "dir") for item in items)
    sys.stdout.write("".join(f"{line}\n" for line in ([] if takes_file else lines)))
    sys.stdout.write(f":{0 if takes_file else NO_FILES}\n")
    return 0
