"""Terminal output: colors and width on a terminal, plain and uncut lines elsewhere; JSON and YAML."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.text import Text

from kubectl_trainingjob.logic.text import escape_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

PLAIN_WIDTH = 10_000
"""Columns where there is no terminal: nothing is cut or wrapped."""


def _open(stream: str) -> Console:
    console = Console(file=getattr(sys, stream), highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


@dataclass(frozen=True, slots=True)
class Screen:
    """Standard output for results, standard error for news and errors."""

    out: Console = field(default_factory=lambda: _open("stdout"))
    err: Console = field(default_factory=lambda: _open("stderr"))

    @property
    def width(self) -> int:
        """Columns for a drawing."""
        return self.out.width if self.out.is_terminal else 100

    def show(self, *parts: RenderableType) -> None:
        """Write the parts below each other, without blanks at the ends of lines where there is no terminal."""
        if self.out.is_terminal:
            self.out.print(*parts, sep="\n")
            return
        with self.out.capture() as capture:
            self.out.print(*parts, sep="\n")
        self.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))

    def show_line(self, line: Text) -> None:
        """Write one line at once: a terminal may wrap it, and a file gets its text unchanged."""
        if self.out.is_terminal:
            self.out.print(line, soft_wrap=True)
        else:
            self.write(f"{line.plain}\n")

    def write(self, text: str) -> None:
        """Write the text unchanged."""
        self.out.file.write(text)
        self.out.file.flush()

    def write_data(self, format_name: str, document: Mapping[str, object]) -> None:
        """Write a document as json or yaml."""
        if format_name == "json":
            self.write(escape_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n")
        else:
            self.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def write_names(self, names: Iterable[str]) -> None:
        """Write one name a line."""
        self.write("".join(f"{name}\n" for name in names))

    def tell(self, text: str) -> None:
        """Write one line of news to standard error."""
        self.err.print(Text(text, style="dim"), soft_wrap=True)

    def fail(self, text: str) -> None:
        """Write an error to standard error."""
        self.err.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
