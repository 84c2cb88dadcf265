"""The demo as `make demo` runs it, where no terminal is: to its end, and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import Cluster

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(control_plane: Cluster) -> Iterator[subprocess.Popen[str]]:
    """The demo with jobs that take a fifth of their time. Of the cluster it needs only that its programs are built."""
    command = [sys.executable, "-m", "tests.demo", "--scale=0.2"]
    environment = {**os.environ, "KEEP": "", "CLUSTER": "", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def descendants(pid: int) -> set[int]:
    """Every process below this one, by /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, below = set(), {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found |= below
    return found


def test_it_ends_well_when_each_sample_ended_as_its_file_says(demo: subprocess.Popen[str]) -> None:
    said, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, said
    assert said.count("as expected") == 4
    assert "kubectl get trainingjobs -o wide" in said


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_running(demo: subprocess.Popen[str], number: signal.Signals) -> None:
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if "InProgress" in line:
            break
    started = descendants(demo.pid)
    assert len(started) >= 5, said  # three programs of the control plane, the stand-in, the operator
    demo.send_signal(number)
    assert demo.wait(30) == 130
    await_true("all have ended", lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()])
