"""Progress of long steps on a pseudo-terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane.meter import Meter, format_estimate

ROOT = Path(__file__).parents[2]
STEP = """
from tests.controlplane.meter import Meter, to_stderr
with Meter("downloading etcd", "MB", to_stderr) as meter:
    meter.show(5, None)
    meter.show(10, 40)
    meter.show(20, 40)
"""


def test_a_terminal_shows_a_bar_with_counts_and_an_estimate() -> None:
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, env=environment, stderr=its, check=True, timeout=60)
    os.close(its)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "downloading etcd" in shown
    assert "━" in shown
    assert "20 of 40 MB" in shown
    assert "left" in shown


def test_a_pipe_gets_the_name_of_the_step_and_lines_at_intervals() -> None:
    run = subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert run.stderr.splitlines() == ["downloading etcd"]


@pytest.mark.parametrize(
    ("done", "total", "line"),
    [
        (300, 1200, "building etcd: 300 of 1,200 packages, about 60 s left"),
        (1200, 1200, "building etcd: 1,200 of 1,200 packages, about 0 s left"),
        (7, None, "building etcd: 20 s"),
    ],
)
def test_a_line_shows_counts_and_estimate_where_they_are_known(done: int, total: int | None, line: str) -> None:
    times = iter([0.0, 1.0, 14.0, 20.0])
    lines: list[str] = []
    with Meter("building etcd", "packages", lines.append, lambda: next(times)) as shown:
        shown.show(0, total)
        shown.show(1, total)  # within the interval, so without a line
        shown.show(done, total)
    assert lines == ["building etcd", line]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (89, "89 s"), (95, "2 min"), (600, "10 min")])
def test_estimates_are_short(seconds: float, text: str) -> None:
    assert format_estimate(seconds) == text
