"""`kubectl trainingjob` in this process: its output, errors and exit code, and pictures of its terminal."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from kubectl_trainingjob.cli import run_command
from kubectl_trainingjob.screen import PLAIN_WIDTH, Screen


@dataclass(frozen=True, slots=True)
class Result:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str


def _open(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, color_system=None)


def run_plugin(*arguments: str) -> Result:
    """Run a command as in a pipe."""
    screen = Screen(_open(PLAIN_WIDTH), _open(PLAIN_WIDTH))
    code = run_command(arguments, screen)
    out, err = screen.out.file, screen.err.file
    assert isinstance(out, io.StringIO)
    assert isinstance(err, io.StringIO)
    return Result(code, out.getvalue(), err.getvalue())


def picture(*arguments: str, width: int = 100) -> str:
    """Run a command as on a terminal of `width` columns, and return its picture as SVG."""
    console = open_recorder(width)
    run_command(arguments, Screen(console, console))
    return export(console, f"kubectl trainingjob {' '.join(arguments)}")


def open_recorder(width: int) -> Console:
    """A terminal whose contents become a picture."""
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="truecolor",
        record=True,
        highlight=False,
        markup=False,
        emoji=False,
    )


def export(console: Console, title: str) -> str:
    """The recorded contents as SVG."""
    form = re.sub(
        r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL
    )  # the style sheet loads fonts from a server
    return re.sub(r"[ \t]+$", "", console.export_svg(title=title, code_format=form, unique_id="t"), flags=re.MULTILINE)
