"""Commands of the documentation, run as readers would run them.

A command is an indented block without comments; the comment `# prints …` below it states its output.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.plane import KUBECTL

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)
PROSE = re.compile(r"^ *(?:[-*] |\d+\. )")
"""Continuation lines of a list are indented, too; a command begins with a program or a variable."""
COMMAND = re.compile(r"(?:kubectl|helm|[A-Z]+=\$\()")


@dataclass(frozen=True)
class Command:
    """One or more lines of shell, and their output on the page; None: the page states no output."""

    text: str
    prints: str | None

    @property
    def prints_nothing(self) -> bool:
        return self.prints == "nothing"


def read_commands(page: str, section: str) -> list[Command]:
    """All commands of a section, in order."""
    text = (ROOT / page).read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    commands: list[Command] = []
    for block in BLOCK.findall(text):
        lines: list[str] = []
        for line in textwrap.dedent(block).splitlines():
            if line.startswith("# prints "):
                commands.append(Command("\n".join(lines), line.removeprefix("# prints ")))
                lines = []
            else:
                lines.append(line)
        if lines:
            commands.append(Command("\n".join(lines), None))
    return [command for command in commands if COMMAND.match(command.text)]


class Reader:
    """A reader who runs commands of a page in a separate folder, with values for the upper-case words."""

    def __init__(self, kubeconfig: Path, folder: Path, words: Mapping[str, str], path: str = "") -> None:
        """`path` has further folders with programs, before those of the system."""
        self._folder = folder
        self._words = words
        programs = [str(Path(KUBECTL).parent), path, os.environ["PATH"]]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
        homes = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        self._environment = {
            **kept,
            **homes,
            "PATH": os.pathsep.join(filter(None, programs)),
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(folder / "kube"),
        }

    def run(self, command: Command | str, timeout: float = 120) -> str:
        """Return its output. Raises AssertionError with its errors, if it prints any."""
        text = command if isinstance(command, str) else command.text
        for word, value in self._words.items():
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", value, text)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not re.search("(?i)error|refused|usage", done.stderr), f"{text}\n{done.stderr}"
        return done.stdout


@dataclass(frozen=True)
class Example:
    """One section of docs/jobs-by-example.md with its row in the table."""

    title: str
    file: Path
    fields: tuple[str, ...]
    """Fields of spec that define the kind, as the table names them."""
    status_fields: tuple[str, ...]
    """Fields of status in the table."""
    excerpt: str
    """YAML of the section."""


def read_examples() -> list[Example]:
    """All sections with a sample, in the order of the table; its links must have the order of the sections."""
    text = (ROOT / "docs/jobs-by-example.md").read_text()
    table = re.findall(r"^\| \[[^]]+\]\(#([\w-]+)\) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [anchor for anchor, _, _ in table] == [head(section).lower().replace(" ", "-") for section in sections]
    return [read_example(section, *map(names, row[1:])) for section, row in zip(sections, table, strict=True)]


def head(section: str) -> str:
    return section.partition("\n")[0]


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall("`([^`]+)`", cell))


def read_example(section: str, fields: tuple[str, ...], status_fields: tuple[str, ...]) -> Example:
    [excerpt] = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    [path] = re.findall(r"\]\(\.\./(deploy/samples/jobs/[\w-]+\.yaml)\)", section)
    return Example(head(section), ROOT / path, fields, status_fields, excerpt)
