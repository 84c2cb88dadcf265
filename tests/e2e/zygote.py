"""Operators by the hundred: one process imports all modules and forks each operator in milliseconds.

A killed fork is a killed operator, because forks share only code. As a program this is the forking process, with orders
as JSON lines on stdin; `Zygote` is its client. Every fork ends with it, and it ends with its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fnmatch
import functools
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.operator_process import OperatorProcess
from tests.fakes.hanging import hang

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.operator_process import Running

ROOT = Path(__file__).parents[2]
PRELOADED = ("trainingjob_operator.cli", "trainingjob_operator.process", "botocore.session", "kubernetes.aio", "kopf")
PR_SET_PDEATHSIG = 1
HANG = signal.SIGUSR1


def bare_environment() -> dict[str, str]:
    """Environment of programs of the harness: without coverage, because it slows all processes and loses its data
    with a killed process.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"}


class Child:
    """One forked process; the part of subprocess.Popen needed for the child of another process."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder
        self._fd = os.pidfd_open(pid)
        # Closed with this object and not at the end of the process, because several threads may use it.
        weakref.finalize(self, os.close, self._fd)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while it runs, then 0, because only its parent learns the exit code."""
        return self._wait(0)

    def wait(self, timeout: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self._wait(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return 0

    def send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            signal.pidfd_send_signal(self._fd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def hang(self, loop: str) -> None:
        """Stop one of its loops: the tasks of that name, or the thread `kopf`."""
        (self._folder / f"hang-{self.pid}").write_text(loop)
        self.send_signal(HANG)

    def _wait(self, seconds: float) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            if poll.poll(seconds * 1000):
                self.returncode = 0
        return self.returncode


class Zygote:
    """A context manager; `fork` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=bare_environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate(timeout=30)

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """Start `trainingjob-operator` with these arguments; its output is appended to the log."""
        log.touch()  # a reader need not wait for the fork
        order = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        assert self._process is not None, "not entered"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return Child(int(self._process.stdout.readline()), log.parent)


class ForkedOperator(OperatorProcess):
    """The operator as a fork of the zygote. Its exit code is unknown, and coverage does not count it."""

    def __init__(self, zygote: Zygote, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._zygote = zygote

    def _spawn(self, command: list[str], environment: dict[str, str], log: Path) -> Running:
        return self._zygote.fork(command[command.index("run") :], environment, log)


def _serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(json.loads(line))
        print(pid, flush=True)


def _hang_loops(name: str) -> None:
    """Called in the main thread, at any time."""
    main = asyncio.get_running_loop()
    if name == "kopf":
        others = [one for one in gc.get_objects() if isinstance(one, asyncio.AbstractEventLoop) and one is not main]
        for loop in others:
            if loop.is_running():
                loop.call_soon_threadsafe(time.sleep, 3600)
        return
    for task in asyncio.all_tasks(main):
        if fnmatch.fnmatchcase(task.get_name(), name):
            main.call_soon_threadsafe(functools.partial(hang, task, for_good=True))


def _live(order: dict[str, Any]) -> None:
    """The life of a fork; never returns."""
    code = 70
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        folder = Path(order["log"]).parent
        signal.signal(HANG, lambda *_: _hang_loops((folder / f"hang-{os.getpid()}").read_text()))
        from trainingjob_operator.cli import main

        code = main(order["arguments"])
    except BaseException:  # noqa: BLE001  the log gets the cause of any end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
