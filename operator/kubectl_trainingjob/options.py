"""Options that commands share, with kubectl's names, and the completion of their values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.kubectl import Kubectl
from kubectl_trainingjob.logic.durations import parse_duration
from kubectl_trainingjob.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_SCOPE = f"{__name__}.scope"


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Keep the value for the whole command line: it may stand before or behind the subcommand."""
    if value is not None:
        context.meta.setdefault(_SCOPE, {})[parameter.name] = value


def open_kubectl() -> Kubectl:
    """Return kubectl with the person's flags."""
    context = click.get_current_context()
    return read_kubectl(context)


def read_kubectl(context: click.Context) -> Kubectl:
    """Return kubectl with the flags of the command line so far."""
    scope: dict[str, str] = context.meta.get(_SCOPE, {})
    flags = [f"--{name}={scope[name]}" for name in ("kubeconfig", "context") if name in scope]
    return Kubectl(flags, scope.get("namespace", ""))


def get_screen() -> Screen:
    """Return the terminal of this command."""
    screen = click.get_current_context().find_object(Screen)
    assert screen is not None  # noqa: S101  cli.run sets it
    return screen


def read_now() -> datetime:
    """Return the time of the clock, for ages and open ends."""
    return datetime.now(UTC)


class Duration(click.ParamType[int]):
    """A duration such as 30m, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def start_of(since: int | None) -> datetime | None:
    """Return the time that --since names."""
    return None if since is None else read_now() - timedelta(seconds=since)


def _complete(list_values: Callable[[Kubectl], list[str]]) -> Callable[..., list[CompletionItem]]:
    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            values = list_values(read_kubectl(context))
        except CommandError:
            return []  # a completion has no place for an error
        return [CompletionItem(value) for value in values if value.startswith(incomplete)]

    return complete


complete_jobs = _complete(lambda kubectl: [job.name for job in kubectl.list_jobs()])
complete_namespaces = _complete(lambda kubectl: list(kubectl.namespaces()))
complete_contexts = _complete(lambda kubectl: list(kubectl.contexts()))


def scope_options(command: F) -> F:
    """Add -n, --context and --kubeconfig."""
    for option in (
        click.option(
            "--kubeconfig", expose_value=False, callback=_remember, type=click.Path(), help="Path of the kubeconfig."
        ),
        click.option(
            "--context",
            expose_value=False,
            callback=_remember,
            shell_complete=complete_contexts,
            help="Context of the kubeconfig.",
        ),
        click.option(
            "-n",
            "--namespace",
            expose_value=False,
            callback=_remember,
            shell_complete=complete_namespaces,
            help="Namespace; by default that of the context.",
        ),
    ):
        command = option(command)
    return command


job_argument = click.argument("name", shell_complete=complete_jobs)
jobs_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_jobs)
profile_option = click.option("--profile", default="", help="Profile of the AWS configuration; by default AWS_PROFILE.")
values_option = click.option(
    "--show-values",
    is_flag=True,
    help="Show the values of environment, hyperparameters and container arguments; they are hidden otherwise.",
)
timeout_option = click.option(
    "--timeout", type=Duration(), help="Longest time to wait, such as 90s or 2h; by default no limit."
)


def output_option(*formats: str) -> Callable[[F], F]:
    """Return the option -o with these formats."""
    return click.option("-o", "--output", type=click.Choice(formats), help="Format of the output.")
