"""The demo as `make demo` runs it: in a pipe to its end and beyond, on a terminal, interrupted and killed."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.controlplane.plane import Cluster

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

ROOT = Path(__file__).parents[2]


class Demo:
    """A demo with jobs that take a fifth of their time."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        """`output` is a file descriptor."""
        self.process = process
        self._output = output
        self.text = ""

    def read_until(self, has_come: Callable[[str], object]) -> None:
        """Read its output until the condition holds."""
        while not has_come(self.text):
            chunk = os.read(self._output, 1 << 16)
            assert chunk, self.text
            self.text += chunk.decode(errors="replace")

    def end(self, number: signal.Signals) -> int:
        """Send the signal; return the exit code, once every process below it has ended."""
        started = descendants(self.process.pid)
        assert len(started) >= 5, self.text  # three programs of the control plane, the stand-in, the operator
        self.process.send_signal(number)
        code = self.process.wait(30)
        await_true("all have ended", lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()])
        return code


@contextmanager
def running(folder: Path, keep: str = "", *, terminal: bool = False) -> Iterator[Demo]:
    command = [sys.executable, "-m", "tests.demo", "--scale=0.2"]
    environment = {**os.environ, "KEEP": keep, "CLUSTER": "", "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    environment.update(TERM="xterm", COLUMNS="120", LINES="50")
    ours, its = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=its, stderr=its) as process:
        os.close(its)
        try:
            yield Demo(process, ours)
        finally:
            process.kill()
            os.close(ours)


def descendants(pid: int) -> set[int]:
    """Every process below this one, by /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


def test_a_demo_that_is_kept_can_be_reached_as_it_prints(control_plane: Cluster, tmp_path: Path) -> None:
    """Of the cluster it needs only that its programs are built."""
    with running(tmp_path, keep="1") as demo:
        demo.read_until(lambda text: "AWS_SECRET_ACCESS_KEY" in text)
        assert demo.text.count("as expected") == 4
        assert "kubectl get trainingjobs -o wide" in demo.text
        assert "\x1b" not in demo.text
        enter = re.search(r"^  \. (/\S+)$", demo.text, re.MULTILINE)
        assert enter is not None, demo.text
        commands = re.findall(r"^  (kubectl .*?) +#", demo.text, re.MULTILINE)
        assert len(commands) >= 5, demo.text
        script = "\n".join([f". {enter[1]}", "set -ex", *commands])
        tried = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
        assert tried.returncode == 0, tried.stderr
        for part in ("churn-completed", "reviews-failed-r2", "FileNotFoundError", "validation:auc"):
            assert part in tried.stdout + tried.stderr
        assert demo.end(signal.SIGINT) == 0


def test_a_terminal_shows_bars_and_gets_its_cursor_back(control_plane: Cluster, tmp_path: Path) -> None:
    with running(tmp_path, terminal=True) as demo:
        parts = ("TrainingJobs after", "SECONDARY STATUSES", "CONDITIONS", "OUTCOME", "InProgress", "█", "vision-spot")
        demo.read_until(lambda text: all(part in text for part in parts))
        assert demo.end(signal.SIGTERM) == 130
        demo.read_until(lambda text: "Interrupted; everything is stopped." in text)
        assert demo.text.rindex("\x1b[?25h") > demo.text.rindex("\x1b[?25l")


def test_a_demo_that_is_killed_leaves_nothing_running(control_plane: Cluster, tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        demo.read_until(lambda text: "InProgress" in text)
        assert demo.end(signal.SIGKILL) == -signal.SIGKILL
