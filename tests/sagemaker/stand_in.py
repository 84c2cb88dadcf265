"""The stand-in for tests: started in a thread or as a process, controlled through typed methods.

Tests control both kinds over HTTP, so the same test works with either.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from tests.sagemaker.identity import DEFAULT_ACCOUNT
from tests.sagemaker.program import Options, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@functools.cache
def _session() -> boto3.Session:
    """One session of the process, because each session loads SageMaker's model again."""
    return boto3.Session()


class CommandError(Exception):
    """The stand-in rejected a control command."""


class Control:
    """Control of the stand-in at this URL. A name identifies a job, with account and region only for a clash."""

    def __init__(self, url: str, region: str = "us-east-1") -> None:
        self.url = url
        self.region = region

    def command(self, command: str, /, **arguments: Any) -> Any:
        """Sends one control command; tests use the typed methods below."""
        request = urllib.request.Request(f"{self.url}/_control/{command}", data=json.dumps(arguments).encode())
        try:
            with _NO_PROXY.open(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise CommandError(f"{command}: {error.read().decode()}") from None

    # -- clients ---------------------------------------------------------------------------------------

    def environment(self, account: str = DEFAULT_ACCOUNT) -> dict[str, str]:
        """Environment variables of a process that uses this stand-in as that account."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": f"AKIA{account}",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "sagemaker", *, account: str = DEFAULT_ACCOUNT, region: str | None = None) -> Any:
        """A boto3 client of the account, without retries."""
        return _session().client(
            service,
            aws_access_key_id=f"AKIA{account}",
            aws_secret_access_key="secret",
            region_name=region or self.region,
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    # -- future jobs -----------------------------------------------------------------------------------

    def plan(self, name: str = "*", **plan: Any) -> None:
        """Sets the plan of future jobs with a name that matches the glob (fields of timeline.Plan); the latest match
        wins.
        """
        self.command("plan", name=name, **plan)

    def settings(self, **settings: Any) -> Json:
        """Changes fields of service.Settings or `latency`; returns all."""
        return dict(self.command("settings", **settings))

    def advance(self, seconds: float) -> float:
        """Advances the service's clock."""
        return float(self.command("advance", seconds=seconds))

    # -- faults ----------------------------------------------------------------------------------------

    def fault(self, kind: str, operation: str = "*", *, seconds: float | None = None, **fault: Any) -> int:
        """Adds a fault (fields of faults.Fault); returns its number."""
        return int(self.command("fault", kind=kind, operation=operation, seconds=seconds, **fault))

    def throttle(
        self,
        operation: str = "*",
        *,
        count: int | None = None,
        rate: float = 1.0,
        seconds: float | None = None,
    ) -> int:
        return self.fault("throttle", operation, count=count, rate=rate, seconds=seconds)

    def fail(self, operation: str, code: str, message: str = "", *, status: int = 400, **fault: Any) -> int:
        """Answers this error code, e.g. ExpiredTokenException; with after=True the call takes effect first."""
        return self.fault("error", operation, code=code, message=message, status=status, **fault)

    def deny(self, operation: str, *, count: int | None = None, seconds: float | None = None) -> int:
        message = f"User: arn:aws:iam::{DEFAULT_ACCOUNT}:user/test is not authorized to perform: sagemaker:{operation}"
        return self.fail(operation, "AccessDeniedException", message, count=count, seconds=seconds)

    def drop(self, operation: str, *, after: bool, count: int | None = 1, skip: int = 0) -> int:
        """Closes the connection before or after the call takes effect."""
        return self.fault("drop", operation, after=after, count=count, skip=skip)

    def hold(self, operation: str, *, after: bool, **fault: Any) -> int:
        """Holds the next such call until release(), before or after its effect: the moment to kill its caller."""
        return self.fault("hold", operation, after=after, **({"count": 1} | fault))

    def wait_for_hit(self, number: int, seconds: float = 30.0) -> bool:
        """True as soon as a fault has hit a call; False after the time limit."""
        deadline = time.monotonic() + seconds
        while not self.command("hits", number=number):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def release(self, number: int, *, drop: bool = False) -> None:
        """Releases the calls under hold(), or drops their connections."""
        self.command("release", number=number, drop=drop)

    def refuse(self, reason: str, *, count: int | None = None, seconds: float | None = None) -> int:
        """Rejects Creates for a reason of service.REFUSALS: role, data, image, …"""
        return self.fault("refuse", "CreateTrainingJob", reason=reason, count=count, seconds=seconds)

    def clear_faults(self, number: int | None = None) -> None:
        self.command("clear_faults", number=number)

    def faults(self) -> list[Json]:
        return list(self.command("faults"))

    def quota(self, operation: str, rate: float | None, burst: float | None = None) -> None:
        """Limits the calls per second of an account and region; None removes the limit."""
        self.command("quota", operation=operation, rate=rate, burst=burst)

    # -- events ----------------------------------------------------------------------------------------

    def create_queue(self, name: str = "events", *, account: str = DEFAULT_ACCOUNT) -> str:
        """Creates an SQS queue; returns its URL."""
        return str(self.client("sqs", account=account).create_queue(QueueName=name)["QueueUrl"])

    def send_events(self, queue: str, **how: float) -> None:
        """Sends every change of a job as an EventBridge event to this queue (its URL); fields of events.Delivery."""
        self.command("send_events", queue=queue, **how)

    def pause_events(self) -> None:
        """Stops sending changes, until send_events."""
        self.command("pause_events")

    # -- accounts --------------------------------------------------------------------------------------

    def identity(self, **values: Any) -> None:
        """Changes attributes of identity.Identity."""
        self.command("identity", **values)

    def expire_sessions(self) -> int:
        """Expires every key that STS issued so far; returns their number."""
        return int(self.command("expire_sessions"))

    def seen_web_tokens(self) -> list[str]:
        return list(self.command("seen_web_tokens"))

    # -- records ---------------------------------------------------------------------------------------

    def calls(
        self,
        operation: str | None = None,
        *,
        job: str | None = None,
        since: int = 0,
        effect: bool | None = None,
    ) -> list[Json]:
        """Calls (fields of calls.Call) in order; `since`: number of the first one."""
        return list(self.command("calls", operation=operation, job=job, since=since, effect=effect))

    def effects(self, operation: str | None = None, *, job: str | None = None) -> list[Json]:
        """Calls that changed something, with any answer."""
        return self.calls(operation, job=job, effect=True)

    def counts(self) -> dict[str, int]:
        """Number of calls by operation."""
        return dict(self.command("counts")["operations"])

    def errors(self) -> dict[str, int]:
        """Number of answers by "operation:error code"."""
        return dict(self.command("counts")["errors"])

    def total(self) -> int:
        return int(self.command("counts")["total"])

    def drift(self) -> list[str]:
        return list(self.command("drift"))

    def jobs(self, *, account: str | None = None, region: str | None = None) -> list[Json]:
        return list(self.command("jobs", account=account, region=region))

    def job(self, name: str, *, account: str | None = None, region: str | None = None) -> Json | None:
        """request, tags, description, account, region, ends; None if there is no such job."""
        found = self.command("job", name=name, account=account, region=region)
        return None if found is None else dict(found)

    # -- the console -----------------------------------------------------------------------------------

    def stop_job(self, name: str, **where: str) -> None:
        self.command("stop", name=name, **where)

    def fail_job(self, name: str, reason: str | None = None, **where: str) -> None:
        self.command("fail", name=name, reason=reason, **where)

    def complete_job(self, name: str, **where: str) -> None:
        self.command("complete", name=name, **where)

    def enter(self, name: str, status: str, **where: str) -> None:
        """Puts a job into a status (`Secondary` or `Primary/Secondary`) for good."""
        self.command("enter", name=name, status=status, **where)

    def delete_job(self, name: str, **where: str) -> None:
        self.command("delete", name=name, **where)

    def tag(self, name: str, tags: Mapping[str, str], **where: str) -> None:
        self.command("tag", name=name, tags=dict(tags), **where)

    def untag(self, name: str, keys: Sequence[str] | None = None, **where: str) -> None:
        """Removes these tags, or all."""
        self.command("untag", name=name, keys=None if keys is None else list(keys), **where)

    def create_job(self, name: str, **request: Any) -> str:
        """Creates a job of another client (members of CreateTrainingJob; account=, region=); returns its ARN."""
        return str(self.command("create", name=name, **request))

    def create_foreign_jobs(self, count: int, **how: Any) -> None:
        """Creates many jobs of another client at once: prefix, status, oldest and newest age in seconds, account,
        region.
        """
        self.command("foreign", count=count, **how)


class StandIn(Control):
    """A stand-in in a thread of this process, with fresh state."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="sagemaker stand-in", daemon=True)
        self._ready = threading.Event()
        super().__init__("", self._options.region)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        async with serve(self._options) as url:
            self.url = url
            self._ready.set()
            await self._stopping.wait()

    def start(self) -> Self:
        self._thread.start()
        if not self._ready.wait(30):
            raise TimeoutError("the SageMaker stand-in did not start")
        return self

    def stop(self) -> None:
        if self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


@contextlib.contextmanager
def stand_in_process(*arguments: str, region: str = "us-east-1") -> Iterator[Control]:
    """A stand-in as a separate process with these command line arguments; it ends with the context."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [sys.executable, "-m", "tests.sagemaker", "--port-file", str(port_file), "--region", region]
        with subprocess.Popen(
            [*command, "--with-parent", *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            try:
                yield Control(f"http://127.0.0.1:{_read_port(port_file, process)}", region)
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def _read_port(path: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 30
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the SageMaker stand-in did not start (exit code {process.poll()})")
        time.sleep(0.02)
    return int(path.read_text())
