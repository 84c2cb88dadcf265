"""Sessions in the pages of docs/: blocks ```console with commands after `$ ` and their output.

Times, durations, seconds and the widths of columns differ between runs and are not compared.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from tests.e2e.pages import ROOT
from tests.kubectl_plugin.terminal import run_plugin
from tests.sagemaker.timeline import EARLY_MESSAGES, MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.objects import Jobs

SESSION = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
REPEATED = re.compile(r" \(x\d+ over \w+\)")
DURATION = re.compile(r"\b(?:\d+[dhm])*\d+[dhms]\b")


NUMBER = re.compile(r"(?<= )\d+(?= )")


def comparable(text: str) -> str:
    """Return a session without the parts that differ between runs."""
    for status, early in EARLY_MESSAGES.items():  # an Event has the message of its moment
        text = text.replace(early, MESSAGES[status])
    for pattern, word in ((TIME, "TIME"), (REPEATED, ""), (DURATION, "DURATION"), (NUMBER, "NUMBER")):
        text = pattern.sub(word, text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def replay(session: str, run: Callable[[str], str]) -> str:
    """Return a session with the present output of its commands."""
    commands = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    outputs = [f"$ {command}\n{run(command)}" for command in commands]
    return "".join(f"{line.rstrip()}\n" for output in outputs for line in output.splitlines())


def run_command(jobs: Jobs, command: str) -> str:
    """Run a kubectl command of a page in the namespace of the jobs; return its output."""
    program, *arguments = shlex.split(command)
    assert program == "kubectl", command
    if arguments[0] != "trainingjob":
        return jobs.kubectl(*arguments)
    result = run_plugin("-n", jobs.namespace, *arguments[1:])
    assert result.code == 0, result.err
    return result.out


def check_page(page: str, run: Callable[[str], str], *, update: bool) -> None:
    """Compare every session of a page with the output of its commands, or write the output into the page."""
    file = ROOT / page
    text = file.read_text()
    if update:
        file.write_text(SESSION.sub(lambda match: replay(match[0], run), text))
        return
    for session in SESSION.findall(text):
        assert comparable(session) == comparable(replay(session, run))
