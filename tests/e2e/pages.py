"""Commands of the documentation, run as its readers run them.

A command is an indented block without comments; the comment `# prints …` below it tells its output.
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
    """One or more lines of shell, and what the page says that they print; None: the page does not say."""

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
    """Somebody who runs commands of a page in a folder of their own, with their own words for the upper-case ones."""

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
        """Return what it prints. Raises AssertionError with its errors, should it print any."""
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
