"""Environment of a measurement: a control plane, a stand-in, the measured controller, and their driver.

Each is a separate process; the driver is this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from tests.controlplane.plane import ControlPlane, choose_cluster
from tests.crds.installation import install_crd
from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess
from tests.sagemaker.identity import DEFAULT_ACCOUNT
from tests.sagemaker.stand_in import Control, stand_in_process
from tests.scale.follower import PATH, Follower
from tests.scale.processes import Usage, descendants, read_machine, read_usage
from trainingjob_operator.kube.client import ApiServer, Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from tests.controlplane.plane import Cluster
    from tests.scale.follower import Moment

NAMESPACE = "scale"
CONNECTIONS = 8
"""Connections for writes of objects and commands to the stand-in."""
PROBE_SECONDS = 2.0
"""Duration of the measurement of the stand-in's speed."""
SHARE_SAMPLES, SAMPLE_SECONDS = 10, 0.5
"""Number of samples of memory for each sample of CPU shares."""
CONTROLLER, STAND_IN, DRIVER, STRANGERS = "controller", "stand-in", "driver", "processes of others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters of a measurement."""

    jobs: int
    seconds: str = "60-120"
    """Duration of a job, from shortest to longest."""
    latency: float = 0.04
    """Seconds of each AWS call."""
    list_rate: float | None = 2.0
    """ListTrainingJobs calls a second permitted by the service; None: no limit."""
    controller: str = ""
    """A command to measure in place of this operator."""
    source: str = ""
    """Another checkout of this project with the operator to measure, and its environment in .venv."""
    flags: tuple[str, ...] = ()
    """Further flags of this operator."""
    push: bool = False
    """This operator receives changes as events."""
    window: float = 30.0
    """Seconds of each observation of a steady state."""


LIFTED = ("--create-tps=1000", "--describe-tps=1000", "--log-level=info")
"""Budgets: Create and Describe up to the limit of the service; ListTrainingJobs at its default."""


class Controller(Protocol):
    """The measured controller."""

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def check(self) -> None:
        """Raises RuntimeError, with the end of its log, if it ended by itself."""

    @property
    def pid(self) -> int: ...


class OwnOperator:
    """This operator."""

    def __init__(
        self, cluster: Cluster, sagemaker: Control, folder: Path, flags: tuple[str, ...], source: str = ""
    ) -> None:
        root = Path(source) if source else Path(__file__).parents[2]
        python = root / ".venv" / "bin" / "python" if source else Path(sys.executable)
        environment = {"PYTHONPATH": str(root / "operator")}
        self.process = OperatorProcess(
            cluster, sagemaker, folder, *flags, pace=LIFTED, environment=environment, python=python
        )
        self._is_killed = False

    def start(self) -> None:
        """Returns once it is ready; ten thousand objects may take a while."""
        self.process.start(seconds=120.0)
        self._is_killed = False

    def kill(self) -> None:
        self._is_killed = True
        self.process.kill()

    def check(self) -> None:
        if not self._is_killed:
            _check("the operator", self.process.process.poll(), self.process.log)

    @property
    def pid(self) -> int:
        return self.process.process.pid

    @property
    def dropped_events(self) -> int:
        return int(sum(self.process.metric("trainingjob_events_dropped_total").values()))


class OtherController:
    """A command that finds the cluster by KUBECONFIG and AWS by the variables of its SDKs."""

    SETTLING_SECONDS = 10.0
    """Controllers share no sign of readiness."""

    def __init__(self, command: str, cluster: Cluster, sagemaker: Control, folder: Path) -> None:
        self._command = shlex.split(command)
        self._environment = {**os.environ, **sagemaker.environment(), "KUBECONFIG": str(cluster.kubeconfig)}
        self._log = folder / "controller.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        time.sleep(self.SETTLING_SECONDS)
        self.check()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def check(self) -> None:
        if self._process is not None:
            _check(self._command[0], self._process.poll(), self._log)

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid


def _check(name: str, code: int | None, log: Path) -> None:
    if code is not None:
        raise RuntimeError(f"{name} ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Counters at a time; the difference of two covers the time between them."""

    at: float
    usage: Usage
    """Usage of the controller."""
    cpu: Mapping[str, float]
    """CPU seconds by part of the world."""
    calls: dict[str, int]
    writes: int

    def calls_since(self, earlier: Mark) -> dict[str, int]:
        """Calls of SageMaker's operations alone."""
        counts = {name: count - earlier.calls.get(name, 0) for name, count in self.calls.items()}
        return {name: count for name, count in counts.items() if count and ":" not in name}

    def cpu_since(self, earlier: Mark) -> float:
        """CPU seconds of the controller."""
        return self.usage.cpu - earlier.usage.cpu

    def others_since(self, earlier: Mark) -> dict[str, float]:
        """CPU seconds of every part except the controller."""
        return {part: self.cpu[part] - cpu for part, cpu in earlier.cpu.items() if part != CONTROLLER}


class World:
    """The parts, and the actions on them."""

    def __init__(
        self,
        parameters: Parameters,
        cluster: Cluster,
        sagemaker: Control,
        stand_in_pid: int,
        controller: Controller,
        api: ApiServer,
    ) -> None:
        self.parameters = parameters
        self.sagemaker = sagemaker
        self.stand_in_pid = stand_in_pid
        self.controller = controller
        self.control_plane = cluster if isinstance(cluster, ControlPlane) else None
        self.follower = Follower(api)
        self.peak = 0
        """Bytes: peak memory of the controller over all samples."""
        self.shares: dict[str, float] = {}
        """Latest shares of one core, by part."""
        self.busiest: dict[str, float] = {}
        """The greatest of those shares."""
        self.strangers: list[float] = []
        """CPU of unrelated processes: above a few percent the figures are those of a shared machine."""
        self._api = api

    def check(self) -> None:
        """Raises if a part ended by itself, because the awaited state would never come."""
        self.controller.check()
        if self.control_plane is not None:
            self.control_plane.check()

    def make_like_aws(self) -> None:
        """Set latency and quota of the parameters."""
        self.sagemaker.settings(latency=self.parameters.latency)
        self.sagemaker.quota("ListTrainingJobs", self.parameters.list_rate)

    def make_quick(self) -> None:
        """Remove latency and quota."""
        self.sagemaker.settings(latency=0.0)
        self.sagemaker.quota("ListTrainingJobs", None)

    # -- measuring ----------------------------------------------------------------------------------------------------

    async def mark(self) -> Mark:
        counts = await asyncio.to_thread(self.sagemaker.counts)
        usage = read_usage(self.controller.pid)
        return Mark(time.time(), usage, self._read_cpu(), counts, self.follower.writes)

    async def sample(self) -> None:
        """Update `peak`, `shares` and `busiest` until cancelled."""
        while True:
            before, machine, began = self._read_cpu(), read_machine(), time.monotonic()
            for _ in range(SHARE_SAMPLES):
                await asyncio.sleep(SAMPLE_SECONDS)
                self.peak = max(self.peak, read_usage(self.controller.pid).resident)
            seconds = time.monotonic() - began
            for part, cpu in self._read_cpu().items():  # less than before: the part was restarted
                self.shares[part] = max(0.0, cpu - before[part]) / seconds
                self.busiest[part] = max(self.busiest.get(part, 0.0), self.shares[part])
            strange = (read_machine() - machine) / seconds - sum(self.shares[part] for part in before)
            self.shares[STRANGERS] = max(0.0, strange)
            self.strangers.append(self.shares[STRANGERS])

    def _read_cpu(self) -> dict[str, float]:
        pids = {CONTROLLER: self.controller.pid, STAND_IN: self.stand_in_pid}
        if self.control_plane is not None:
            pids |= {process.name: process.pid for process in self.control_plane.processes if process.pid}
        return {part: read_usage(pid).cpu for part, pid in pids.items()} | {DRIVER: sum(os.times()[:2])}

    async def read_storage(self, *, compacted: bool) -> int | None:
        """Bytes in etcd's database, with its history or after a compaction; None for a given cluster."""
        if self.control_plane is None:
            return None
        if compacted:
            await asyncio.to_thread(self.control_plane.compact)
            await asyncio.sleep(1)  # etcd counts freed pages with the next commits
        return await asyncio.to_thread(lambda plane: plane.database_bytes, self.control_plane)

    async def read_moments(self, names: Iterable[str]) -> dict[str, list[Moment]]:
        """The lives of jobs from SageMaker, without jobs that never existed."""
        lives: dict[str, list[Moment]] = {}

        async def read(name: str) -> None:
            job = await asyncio.to_thread(self.sagemaker.job, name)
            if job is not None:
                lives[name] = [
                    (transition["Status"], round(transition["StartTime"] * 1000))
                    for transition in job["description"]["SecondaryStatusTransitions"]
                ]

        await side_by_side(read, names)
        return lives

    async def count_events(self) -> int:
        """Number of Events of TrainingJobs; from etcd if possible, because the API server is busy."""
        if self.control_plane is not None:
            return (await asyncio.to_thread(self.control_plane.stored_bytes, f"events/{NAMESPACE}", 1))[0]
        return (await self.count_reasons()).total()

    async def count_reasons(self) -> Counter[str]:
        """Events of TrainingJobs by reason."""
        path, query = f"/api/v1/namespaces/{NAMESPACE}/events", {"fieldSelector": "involvedObject.kind=TrainingJob"}
        pages = self._api.pages(path, query=query, size=500)
        return Counter([event["reason"] async for page in pages for event in page["items"]])

    # -- objects ------------------------------------------------------------------------------------------------------

    async def create(self, names: Iterable[str], region: str | None = None) -> None:
        """Create objects of these jobs, all at once, in the controller's region unless another is given."""

        async def post(name: str) -> None:
            path = PATH.replace("/trainingjobs", f"/namespaces/{NAMESPACE}/trainingjobs")
            await self._api.call("POST", path, seconds=60, body=_job(name, region))

        await side_by_side(post, names)

    async def delete(self, names: Iterable[str]) -> None:
        async def delete(name: str) -> None:
            path = PATH.replace("/trainingjobs", f"/namespaces/{NAMESPACE}/trainingjobs/{name}")
            await self._api.call("DELETE", path, seconds=60)

        await side_by_side(delete, names)

    async def command(self, names: Iterable[str], act: Callable[[str], object]) -> None:
        """Send the stand-in a command about each of the jobs."""
        await side_by_side(lambda name: asyncio.to_thread(act, name), names)


def _job(name: str, region: str | None) -> dict[str, Any]:
    """An object of typical size."""
    return training_job(
        name,
        annotations={"services.k8s.aws/region": region} if region else None,
        inputDataConfig=[
            {
                "channelName": channel,
                "dataSource": {"s3DataSource": {"s3DataType": "S3Prefix", "s3URI": f"s3://bucket/{channel}"}},
                "contentType": "text/csv",
            }
            for channel in ("train", "validation")
        ],
        hyperParameters={"epochs": "10", "eta": "0.2", "max_depth": "5", "objective": "reg:linear", "subsample": "0.7"},
        environment={"MODE": "train", "LOG_LEVEL": "info"},
        tags=[{"key": "team", "value": "vision"}, {"key": "project", "value": "scale"}],
    )


async def side_by_side(act: Callable[[str], Awaitable[object]], names: Iterable[str]) -> None:
    """Act on each name, over a few connections."""
    waiting = iter(list(names))

    async def work() -> None:
        for name in waiting:
            await act(name)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


def _push(sagemaker: Control) -> list[str]:
    """Let every change become an event; returns the operator's flag for its queue."""
    queue = sagemaker.create_queue()
    sagemaker.send_events(queue, delay=0.1, spread=0.2, twice=0.1)
    return [f"--event-queue-url={queue}"]


@contextlib.asynccontextmanager
async def open_world(parameters: Parameters) -> AsyncIterator[World]:
    """Start all parts, with the controller running; stop all at the end."""
    with contextlib.ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="scale-")))
        cluster = choose_cluster({})()
        await asyncio.to_thread(parts.enter_context, cluster)
        await asyncio.to_thread(install_crd, cluster)
        await asyncio.to_thread(cluster.kubectl, "create", "namespace", NAMESPACE)
        before = descendants(os.getpid())
        sagemaker = parts.enter_context(stand_in_process("--fast", f"--seconds={parameters.seconds}"))
        (stand_in_pid,) = descendants(os.getpid()) - before
        controller: Controller
        if parameters.controller:
            controller = OtherController(parameters.controller, cluster, sagemaker, folder)
        else:
            flags = (*parameters.flags, *_push(sagemaker)) if parameters.push else parameters.flags
            controller = OwnOperator(cluster, sagemaker, folder, flags, parameters.source)
        api = ApiServer(Login({"KUBECONFIG": str(cluster.kubeconfig)}), "trainingjob-scale")
        world = World(parameters, cluster, sagemaker, stand_in_pid, controller, api)
        parts.callback(controller.kill)
        await asyncio.to_thread(controller.start)
        tasks = [asyncio.create_task(world.follower.run()), asyncio.create_task(world.sample())]
        try:
            yield world
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await api.close()


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of the stand-in for one kind of call: it must not limit the measurement."""

    per_second: float
    cpu: float
    """CPU seconds of the stand-in for one call."""


async def probe(world: World, operation: str, request: dict[str, Any]) -> Speed:
    """Call it as fast as this process can for a short time."""
    headers = {
        "X-Amz-Target": f"SageMaker.{operation}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIA{DEFAULT_ACCOUNT}/20260101/us-east-1/sagemaker/aws4_request",
    }
    calls, before = 0, read_usage(world.stand_in_pid)
    deadline = time.monotonic() + PROBE_SECONDS

    async with aiohttp.ClientSession() as session:

        async def call() -> None:
            nonlocal calls
            while time.monotonic() < deadline:
                async with session.post(world.sagemaker.url, json=request, headers=headers) as answer:
                    await answer.read()
                    assert answer.status == 200, await answer.text()
                calls += 1

        await asyncio.gather(*(call() for _ in range(16)))
    return Speed(calls / PROBE_SECONDS, (read_usage(world.stand_in_pid).cpu - before.cpu) / calls)
