"""Environment of every scenario: a control plane, a stand-in, forked operators by the hundred, and one case each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import ssl
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from tests.chaos.road import AWS, KUBERNETES, Hooks, Passage, Road, Trace, open_session
from tests.controlplane.plane import write_kubeconfig
from tests.e2e.operator_process import QUICK
from tests.e2e.zygote import Child, ForkedOperator
from tests.sagemaker.stand_in import Control, stand_in_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import aiohttp

    from tests.chaos.ledger import Ledger
    from tests.controlplane.plane import ControlPlane
    from tests.e2e.operator_process import Running
    from tests.e2e.zygote import Zygote

Body = dict[str, Any]
GROUP = "/apis/sagemaker.services.k8s.aws/v1alpha1"
FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"


OVERLOADED = (429, 503, 504)
READS = 10


class Refused(Exception):  # noqa: N818  an answer rather than an error
    """The API server rejected the request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text[:300]}")
        self.status = status


async def until(expectation: str, question: Callable[[], Awaitable[Any]], seconds: float, pause: float = 0.1) -> Any:
    """The first true answer; the TimeoutError names the condition."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {expectation}")
        await asyncio.sleep(pause)


@dataclass
class World:
    """Shared by all cases of a run; an asynchronous context manager."""

    cluster: ControlPlane
    sagemaker: Control
    zygote: Zygote
    folder: Path
    ledger: Ledger
    seed: int
    quick: bool
    lanes: int = 8
    only: str = ""
    """The single case to run in scenarios with many; empty for all."""
    room: float = 0.0
    """Seconds added to every limit, for a machine shared with other tests."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    """Numbers of the cases, shared by all copies: namespaces and accounts are used once."""

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context(cafile=str(self.cluster.ca_file))
        self.kube: aiohttp.ClientSession = open_session(trust)
        self.aws: aiohttp.ClientSession = open_session()
        self.slots = asyncio.Semaphore(self.lanes)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kube.close()
        await self.aws.close()

    def chance(self, *names: object) -> random.Random:
        """Randomness determined by the seed and the names alone."""
        return random.Random(f"{self.seed}/{'/'.join(map(str, names))}")

    async def command(self, name: str, /, **arguments: Any) -> Any:
        """Send one control command to the stand-in, without blocking the proxies."""
        url = f"{self.sagemaker.url}/_control/{name}"
        async with self.aws.post(url, data=json.dumps(arguments).encode()) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{name}: {await answer.text()}")
            return json.loads(await answer.read())

    async def api(self, method: str, path: str, body: Body | None = None, kind: str = "application/json") -> Body:
        """Send one request to the API server as the admin; raises Refused. A read is repeated during an overload."""
        headers = {"Authorization": f"Bearer {self.cluster.token}", "Content-Type": kind, "Accept-Encoding": "identity"}
        data = None if body is None else json.dumps(body).encode()
        for tries in itertools.count(1):
            async with self.kube.request(method, f"{self.cluster.url}{path}", headers=headers, data=data) as answer:
                text = await answer.read()
            if answer.status < 400:
                break
            if method != "GET" or answer.status not in OVERLOADED or tries == READS:
                raise Refused(answer.status, text.decode(errors="replace"))
            await asyncio.sleep(1.0)
        return dict(json.loads(text))

    @contextlib.asynccontextmanager
    async def with_own_service(self) -> AsyncIterator[World]:
        """The same with a separate stand-in, for faults of the whole service."""
        with contextlib.ExitStack() as stack:
            sagemaker = await asyncio.to_thread(stack.enter_context, stand_in_process("--fast"))
            async with replace(self, sagemaker=sagemaker) as own:
                yield own
            await asyncio.to_thread(stack.close)

    @contextlib.asynccontextmanager
    async def case(self, name: str, *flags: str, pace: tuple[str, ...] = QUICK) -> AsyncIterator[Case]:
        """A namespace, an AWS account and an operator of its own; the operator is not started."""
        number = next(self._numbers)
        case = Case(self, name, number)
        await self.api("POST", "/api/v1/namespaces", {"metadata": {"name": case.namespace}})
        async with (
            Road(AWS, self.sagemaker.url, self.aws, case.trace) as case.aws_road,
            Road(KUBERNETES, self.cluster.url, self.kube, case.trace) as case.kube_road,
        ):
            if "--enable-leader-election" in flags:
                flags += (f"--leader-election-namespace={case.namespace}",)
            case.operator = case.new_operator(*flags, pace=pace)
            try:
                yield case
            finally:
                await case.close()


async def run(world: World, scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run one scenario in the world."""
    async with world:
        await scenario(world)


class HarassedOperator(ForkedOperator):
    """An operator whose logs are searched for defects."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logs: list[Path] = []

    def _spawn(self, command: list[str], environment: dict[str, str], log: Path) -> Running:
        self.logs.append(log)
        return super()._spawn(command, environment, log)

    def hang(self, loop: str) -> None:
        """Stop one of its loops, while the process lives."""
        assert isinstance(self.process, Child)
        self.process.hang(loop)

    def complaints(self) -> list[str]:
        """Defects independent of the fault: an unexpected error in a reconcile, an ended loop, output that is not a log
        line.

        Kopf's own tracebacks after the API server ends its watch do not count.
        """
        found = []
        for log in self.logs:
            for line in log.read_text().splitlines(keepends=True):
                if not line.startswith("{"):
                    found.append(f"not JSON: {line[:300]}")
                elif '"logger": "kopf' not in line and any(sign in line for sign in _SIGNS):
                    found.append(line[:1500])
        return found


_SIGNS = ("Unexpected error", "unexpected error", 'terminated unexpectedly"', "Traceback")


class Case:
    """One operator, one namespace, one account: faults of one case do not affect others."""

    aws_road: Road
    kube_road: Road
    operator: HarassedOperator

    def __init__(self, world: World, name: str, number: int) -> None:
        self.world = world
        self.name = name
        self.namespace = f"case-{number}"
        self.account = f"{100000000000 + number}"
        self.trace = Trace()
        self.folder = world.folder / self.namespace
        self.folder.mkdir()
        self.others: list[HarassedOperator] = []
        self.injected = 0
        self.kills = 0
        self._supervisor: asyncio.Task[None] | None = None
        self._died = asyncio.Event()
        self.supervisor_error: BaseException | None = None

    @property
    def hooks(self) -> Hooks:
        return self.trace.hooks

    def job_name(self, name: str) -> str:
        """A training job's name that no other case uses, because the stand-in's record is by name."""
        return f"{self.namespace}-{name}"

    # -- operators ----------------------------------------------------------------------------------------------------

    def new_operator(self, *flags: str, pace: tuple[str, ...] = QUICK, roads: bool = True) -> HarassedOperator:
        """One more operator for this case."""
        world = self.world
        control = Control(self.aws_road.url if roads else world.sagemaker.url, world.sagemaker.region)
        entry = (
            {"server": self.kube_road.url}
            if roads
            else {"server": world.cluster.url, "certificate-authority": str(world.cluster.ca_file)}
        )
        kubeconfig = write_kubeconfig(
            self.folder / f"kubeconfig-{len(self.others)}", entry, {"token": world.cluster.token}
        )
        operator = HarassedOperator(
            world.zygote,
            world.cluster,
            control,
            self.folder,
            f"--watch-namespace={self.namespace}",
            *flags,
            kubeconfig=kubeconfig,
            environment=control.environment(self.account),
            pace=pace,
        )
        self.others.append(operator)
        return operator

    def kill(self) -> None:
        """kill -9, from within a passage."""
        self.operator.process.kill()
        self.injected += 1
        self.kills += 1
        self.trace.note("kill -9")
        self._died.set()

    def supervise(self, while_down: Callable[[], Awaitable[None]] | None = None) -> None:
        """Start the operator, and again after each kill, as a kubelet does; `while_down` runs in between."""
        self.operator.start(wait=False)
        self._supervisor = asyncio.create_task(self._supervise(while_down))

    async def _supervise(self, while_down: Callable[[], Awaitable[None]] | None) -> None:
        try:
            while True:
                await self._died.wait()
                self._died.clear()
                await asyncio.to_thread(self.operator.kill)
                if while_down is not None:
                    await while_down()
                self.trace.note("started again")
                self.operator.start(wait=False)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.supervisor_error = error
            raise

    async def restart(self) -> None:
        """kill -9 and a restart."""
        await asyncio.to_thread(self.operator.kill)
        self.operator.start(wait=False)

    async def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._supervisor
        for operator in self.others:
            await asyncio.to_thread(operator.kill)
        for body in (
            await self.objects()
        ):  # no operator remains to remove the finalizers, and they would block the deletion of the CRD
            await self.patch(body["metadata"]["name"], {"metadata": {"finalizers": []}})
            await self.delete(body["metadata"]["name"])

    async def ready(self, seconds: float = 30.0) -> None:
        """Wait until /readyz answers 200."""
        operator = self.operator

        async def ask() -> bool:
            return (await asyncio.to_thread(operator.ask, "readyz"))[0] == 200

        await until("the operator is ready", ask, seconds + self.world.room)

    # -- objects ------------------------------------------------------------------------------------------------------

    def path(self, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/trainingjobs" + (f"/{name}" if name else "")

    async def create(self, body: Body) -> Body:
        return await self.world.api("POST", self.path(), body)

    async def patch(self, name: str, patch: Body, *, status: bool = False) -> Body:
        path = self.path(name) + ("/status" if status else "")
        return await self.world.api("PATCH", path, patch, "application/merge-patch+json")

    async def delete(self, name: str) -> None:
        with contextlib.suppress(Refused):
            await self.world.api("DELETE", self.path(name))

    async def get(self, name: str) -> Body | None:
        try:
            return await self.world.api("GET", self.path(name))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def objects(self) -> list[Body]:
        return list((await self.world.api("GET", self.path()))["items"])

    async def wait(self, name: str, expectation: str, question: Callable[[Body], Any], seconds: float = 60.0) -> Body:
        """Wait for the object until the question is true for it."""
        last: Body | None = None

        async def ask() -> Body | None:
            nonlocal last
            last = await self.get(name)
            return last if last is not None and question(last) else None

        try:
            return dict(await until(f"{name}: {expectation}", ask, seconds + self.world.room))
        except TimeoutError as error:
            raise TimeoutError(f"{error}; last seen: {json.dumps(_short(last))}") from None

    async def wait_status(self, name: str, status: str, seconds: float = 60.0) -> Body:
        return await self.wait(name, status, lambda body: status_of(body) == status, seconds)

    async def wait_gone(self, name: str, seconds: float = 60.0) -> None:
        last: Body | None = None

        async def ask() -> bool:
            nonlocal last
            last = await self.get(name)
            return last is None

        try:
            await until(f"{name} is gone", ask, seconds + self.world.room)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; last seen: {json.dumps(_short(last))}") from None

    # -- the stand-in -------------------------------------------------------------------------------------------------

    async def jobs(self) -> list[Body]:
        return list(await self.world.command("jobs", account=self.account))

    async def job(self, name: str, region: str | None = None) -> Body | None:
        found = await self.world.command("job", name=name, account=self.account, region=region)
        return None if found is None else dict(found)

    async def calls(self, job: str, operation: str | None = None, *, effect: bool | None = None) -> list[Body]:
        """Calls for one job, by name."""
        calls = await self.world.command("calls", job=job, operation=operation, effect=effect)
        return [call for call in calls if call["account"] == self.account]

    def console(self, command: str, job: str, **more: Any) -> Awaitable[Any]:
        """Do an action in the console."""
        return partial(self.world.command, command, name=job, account=self.account, **more)()

    def fault(self, kind: str, operation: str = "*", **fault: Any) -> Awaitable[Any]:
        """Add a fault for the account of this case alone."""
        return self.world.command("fault", kind=kind, operation=operation, account=self.account, **fault)

    def report(self) -> str:
        """Text of a failure: the record of the case, and the data for its repetition."""
        lines = "\n".join(f"      {line}" for line in self.trace.lines)
        logs = ", ".join(str(log) for operator in self.others for log in operator.logs)
        return f"    seed {self.world.seed}, case {self.name}, namespace {self.namespace}\n{lines}\n    logs: {logs}"


def status_of(body: Body | None) -> str:
    return str(((body or {}).get("status") or {}).get("trainingJobStatus") or "")


def arn_of(body: Body | None) -> str:
    return str((((body or {}).get("status") or {}).get("ackResourceMetadata") or {}).get("arn") or "")


def condition_of(body: Body | None, kind: str) -> Body:
    conditions = ((body or {}).get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == kind), {})


def _short(body: Body | None) -> Body | None:
    if body is None:
        return None
    metadata = {
        k: v
        for k, v in body["metadata"].items()
        if k in ("name", "uid", "generation", "finalizers", "annotations", "deletionTimestamp")
    }
    status = {k: v for k, v in (body.get("status") or {}).items() if k != "secondaryStatusTransitions"}
    return {"metadata": metadata, "status": status}


__all__ = ["Body", "Case", "Passage", "World"]
