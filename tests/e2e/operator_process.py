"""The operator as a separate process, started and killed by tests and observed through its log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from tests.controlplane.plane import TETHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.controlplane.plane import Cluster
    from tests.sagemaker.stand_in import Control

QUICK = ("--sweep-seconds=0.5", "--create-tps=100", "--describe-tps=100", "--list-tps=20")
"""Short intervals, because the default ones spare a real account."""

_FORKER = ThreadPoolExecutor(1, thread_name_prefix="operators")
"""The kernel binds a parent-death signal to the forking thread, so one thread forks every operator."""


def await_true(expectation: str, question: Callable[[], Any], seconds: float = 60.0, pause: float = 0.1) -> Any:
    """The first true answer; the TimeoutError names the condition, with the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            message = f"not within {seconds} s: {expectation}; last answer: {answer!r}"
            raise TimeoutError(message)
        time.sleep(pause)


class Running(Protocol):
    """A started process: the part of subprocess.Popen in use here."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, number: signal.Signals) -> None: ...

    def kill(self) -> None: ...


class OperatorProcess:
    """`trainingjob-operator run` for a control plane and a stand-in; a context manager that stops all it started.

    It ends with this process, even by SIGKILL, and Ctrl-C at the terminal does not reach it. Its log goes to `log`, one
    JSON object per line. The kernel chooses the addresses; they are read from the log.
    """

    def __init__(
        self,
        cluster: Cluster,
        sagemaker: Control,
        folder: Path,
        *flags: str,
        kubeconfig: Path | None = None,
        environment: Mapping[str, str] | None = None,
        pace: tuple[str, ...] = QUICK,
        python: Path = Path(sys.executable),
    ) -> None:
        self._command = [
            str(python),
            "-m",
            "trainingjob_operator",
            "run",
            f"--aws-region={sagemaker.region}",
            f"--aws-endpoint-url={sagemaker.url}",
            "--allow-unsafe-aws-endpoint-urls",
            "--metrics-addr=127.0.0.1:0",
            "--healthz-addr=127.0.0.1:0",
            "--log-level=debug",
            *pace,
            *flags,
        ]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ACK_"))}
        self._environment = {
            **kept,
            **sagemaker.environment(),
            "KUBECONFIG": str(kubeconfig or cluster.kubeconfig),
            "PYTHONPATH": str(Path(__file__).parents[2] / "operator"),
            **(environment or {}),
        }
        self.log = folder / f"operator-{time.monotonic_ns()}.log"
        self._process: Running | None = None
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> Running:
        assert self._process is not None, "not started"
        return self._process

    def start(self, *, wait: bool = True, seconds: float = 60.0) -> None:
        """Start it, and wait until it is ready, for at most this number of seconds."""
        self.log = self.log.with_name(f"operator-{time.monotonic_ns()}.log")
        self._addresses.clear()
        self._process = self._spawn(self._command, self._environment, self.log)
        if wait:
            await_true("the operator is ready", self._is_ready_or_dead, seconds)
            if self._process.poll() is not None:
                message = f"the operator ended with {self._process.returncode}:\n{self.log.read_text()}"
                raise RuntimeError(message)

    def _spawn(self, command: list[str], environment: dict[str, str], log: Path) -> Running:
        with log.open("wb") as file:
            return _FORKER.submit(
                subprocess.Popen,
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            ).result()

    def _is_ready_or_dead(self) -> bool:
        return self.process.poll() is not None or self.ask("readyz")[0] == 200

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> None:
        """SIGTERM, which saves the counts of coverage, and kill -9 if the process does not end."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.terminate()
            self.kill()

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; returns its exit code and the seconds until its end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - began

    def restart(self) -> None:
        """kill -9 and a restart."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP during the context."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    # -- observation ------------------------------------------------------------------------------------------------

    def lines(self) -> list[dict[str, Any]]:
        """Its log; every line must be JSON, except for a partly written last one."""
        text = self.log.read_text()
        try:
            return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        except ValueError as error:
            raise RuntimeError(f"the operator's log is not JSON:\n{text}") from error

    def address(self, server: str) -> str | None:
        """host:port of "metrics" or "health", once it serves there; read from its log once."""
        if server not in self._addresses:
            for line in self.lines():
                if str(line.get("msg")).lower() == f"serving {server}":  # the bench also runs older versions
                    self._addresses[server] = f"{line['host']}:{line['port']}"
        return self._addresses.get(server)

    def ask(self, path: str) -> tuple[int, str]:
        """The answer of /healthz, /readyz or /metrics; (0, "") without a listener."""
        address = self.address("metrics" if path == "metrics" else "health")
        if address is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{address}/{path}", timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> dict[str, float]:
        """The samples of a metric, by their labels in the text format."""
        samples = (line.rpartition(" ") for line in self.ask("metrics")[1].splitlines() if line.startswith(name))
        return {labels.removeprefix(name): float(value) for labels, _, value in samples}
