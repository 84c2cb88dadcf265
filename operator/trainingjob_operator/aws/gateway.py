"""The calls of SageMaker, without blocking the event loop and with one kind of error.

Each call runs in a thread with time-outs, passes the fence right before it is sent, and ends as an answer or as an
`AwsError` that says whether the service may have acted. When to call, and how often, is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)

from trainingjob_operator.aws.credentials import MUTATING_TIMEOUTS, READING_TIMEOUTS, Sessions
from trainingjob_operator.aws.threads import Threads
from trainingjob_operator.logic.errors import AwsError, ErrorClass, classify, is_named, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    from trainingjob_operator.aws.budget import Budget, Budgets

    Fence = Callable[[float], None]
    """Raises unless a call that starts now and takes that many seconds at most is allowed; called in threads."""
    Observe = Callable[[str, float, AwsError | None], None]
    """Is told of each call that was sent: operation, seconds, how it failed."""

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds that a call may wait for a thread and for credentials, on top of its own time-outs."""
IDENTITY_DEADLINE: Final = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a job lives and as whom it is reached; without `role_arn` the operator's own credentials are used."""

    account: str
    region: str
    role_arn: str | None = None
    endpoint_url: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """As whom the operator itself calls."""

    account: str
    partition: str
    arn: str


class Gateway(Protocol):
    """SageMaker's training jobs at one target.

    Every method raises AwsError; those that change something also what the fence raises, and then sent nothing.
    Members are named as in the API, times are aware datetimes in UTC.
    """

    async def create(self, request: Mapping[str, Any]) -> str:
        """CreateTrainingJob with exactly these members; the job's ARN."""

    async def describe(self, job_name: str) -> dict[str, Any]:
        """DescribeTrainingJob's answer."""

    async def list_page(self, **filters: Any) -> tuple[list[dict[str, Any]], str | None]:
        """One page of ListTrainingJobs: its summaries, and the NextToken if there are more."""

    async def stop(self, job_name: str) -> None:
        """StopTrainingJob."""

    async def update(self, request: Mapping[str, Any]) -> None:
        """UpdateTrainingJob with exactly these members."""

    async def list_tags(self, arn: str) -> dict[str, str]:
        """All tags of a job."""

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add or overwrite tags."""

    async def delete_tags(self, arn: str, keys: Collection[str]) -> None:
        """Remove tags."""


class Gateways:
    """The gateways of all targets, with the threads and sessions that they share."""

    def __init__(
        self,
        *,
        region: str,
        version: str,
        budgets: Budgets,
        fence: Fence,
        observe: Observe,
        threads: int = 16,
        identity_endpoint_url: str | None = None,
    ) -> None:
        """Start nothing yet.

        :param region: the operator's own, where STS is asked
        :param threads: calls under way at the same time; one target gets half of them at most
        """
        self._threads = Threads(threads, "aws")
        self._per_target = max(1, threads // 2)
        self._sessions = Sessions(
            region=region, version=version, connections=threads, identity_endpoint_url=identity_endpoint_url
        )
        self._budgets = budgets
        self._fence = fence
        self._observe = observe
        self._gateways: dict[Target, BotoGateway] = {}
        self._identity: CallerIdentity | None = None

    def get(self, target: Target) -> Gateway:
        """The gateway of `target`, always the same one; does no I/O."""
        gateway = self._gateways.get(target)
        if gateway is None:
            gateway = self._gateways[target] = BotoGateway(
                target,
                sessions=self._sessions,
                threads=self._threads,
                limit=self._per_target,
                budgets=self._budgets,
                fence=self._fence,
                observe=self._observe,
            )
        return gateway

    async def caller_identity(self) -> CallerIdentity:
        """The operator's own account, asked of STS once; raises AwsError."""
        if self._identity is None:
            answer = await self._ask_identity()
            arn: str = answer["Arn"]
            self._identity = CallerIdentity(account=answer["Account"], partition=arn.split(":")[1], arn=arn)
        return self._identity

    async def _ask_identity(self) -> dict[str, Any]:
        operation = "GetCallerIdentity"

        def ask() -> dict[str, Any]:
            client = self._sessions.identity_client()
            with contextlib.closing(client):
                answer: dict[str, Any] = client.get_caller_identity()
                if not answer.get("Arn") or not answer.get("Account"):
                    raise _UnreadableAnswerError
                return answer

        future = asyncio.wrap_future(self._threads.submit(ask))
        try:
            async with asyncio.timeout(IDENTITY_DEADLINE):
                return await future
        except TimeoutError:
            raise _late(operation, IDENTITY_DEADLINE, definite=True) from None
        except Exception as error:
            raise translate(operation, error, sent=False) from error

    def close(self) -> None:
        """Take no more calls and close what is idle; does not wait for calls under way."""
        self._threads.close()
        for gateway in self._gateways.values():
            gateway.close()


class BotoGateway:
    """A Gateway over botocore."""

    def __init__(
        self,
        target: Target,
        *,
        sessions: Sessions,
        threads: Threads,
        limit: int,
        budgets: Budgets,
        fence: Fence,
        observe: Observe,
    ) -> None:
        self._target = target
        self._sessions = sessions
        self._threads = threads
        self._slots = asyncio.Semaphore(limit)
        self._budgets = budgets.of(target.account, target.region)
        self._fence = fence
        self._observe = observe
        self._clients: dict[bool, Any] = {}
        self._making_client = threading.Lock()
        self._thread = threading.local()

    async def create(self, request: Mapping[str, Any]) -> str:
        answer = await self._change("CreateTrainingJob", self._budgets.create, request, "TrainingJobArn")
        arn: str = answer["TrainingJobArn"]
        return arn

    async def describe(self, job_name: str) -> dict[str, Any]:
        request = {"TrainingJobName": job_name}
        answer = await self._read(
            "DescribeTrainingJob", self._budgets.describe, request, "TrainingJobArn", "TrainingJobStatus"
        )
        answer.pop("ResponseMetadata", None)
        return answer

    async def list_page(self, **filters: Any) -> tuple[list[dict[str, Any]], str | None]:
        answer = await self._read("ListTrainingJobs", self._budgets.list_page, filters, "TrainingJobSummaries")
        return answer["TrainingJobSummaries"], answer.get("NextToken")

    async def stop(self, job_name: str) -> None:
        await self._change("StopTrainingJob", self._budgets.stop, {"TrainingJobName": job_name})

    async def update(self, request: Mapping[str, Any]) -> None:
        await self._change("UpdateTrainingJob", self._budgets.update, request, "TrainingJobArn")

    async def list_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        request = {"ResourceArn": arn}
        while True:
            answer = await self._read("ListTags", self._budgets.list_tags, request, "Tags")
            tags.update((tag["Key"], tag["Value"]) for tag in answer["Tags"])
            token = answer.get("NextToken")
            if not token:
                return tags
            request = {"ResourceArn": arn, "NextToken": token}

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        await self._change("AddTags", self._budgets.add_tags, {"ResourceArn": arn, "Tags": pairs})

    async def delete_tags(self, arn: str, keys: Collection[str]) -> None:
        request = {"ResourceArn": arn, "TagKeys": list(keys)}
        await self._change("DeleteTags", self._budgets.delete_tags, request)

    def close(self) -> None:
        """Close connections that are idle."""
        for client in self._clients.values():
            client.close()

    async def _read(self, operation: str, budget: Budget, request: Mapping[str, Any], *expected: str) -> dict[str, Any]:
        return await self._call(operation, budget, request, expected, mutating=False)

    async def _change(
        self, operation: str, budget: Budget, request: Mapping[str, Any], *expected: str
    ) -> dict[str, Any]:
        return await self._call(operation, budget, request, expected, mutating=True)

    async def _call(
        self,
        operation: str,
        budget: Budget,
        request: Mapping[str, Any],
        expected: Collection[str],
        *,
        mutating: bool,
    ) -> dict[str, Any]:
        attempt = _Attempt(self._fence if mutating else None)
        deadline = sum(MUTATING_TIMEOUTS if mutating else READING_TIMEOUTS) + PATIENCE
        try:
            async with asyncio.timeout(deadline):
                answer = await self._in_thread(
                    lambda: self._send(operation, request, expected, attempt, mutating=mutating)
                )
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        except Exception as error:
            if attempt.stopped_by is not None:
                raise attempt.stopped_by from None
            if isinstance(error, TimeoutError):
                failure = _late(operation, deadline, definite=attempt.give_up())
            else:
                failure = translate(operation, error, sent=attempt.sent_at is not None)
            if failure.kind is ErrorClass.THROTTLED and failure.operation == operation:
                budget.throttled()
            self._report(operation, attempt, failure)
            raise failure from error
        budget.succeeded()
        self._report(operation, attempt, None)
        return answer

    def _report(self, operation: str, attempt: _Attempt, failure: AwsError | None) -> None:
        if attempt.sent_at is not None:
            self._observe(operation, time.monotonic() - attempt.sent_at, failure)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        await self._slots.acquire()
        loop = asyncio.get_running_loop()

        def free_slot(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._slots.release)

        try:
            future = self._threads.submit(work)
        except BaseException:
            self._slots.release()
            raise
        # not when the caller stops waiting, but when the thread is free again
        future.add_done_callback(free_slot)
        return await asyncio.wrap_future(future)

    def _send(
        self,
        operation: str,
        request: Mapping[str, Any],
        expected: Collection[str],
        attempt: _Attempt,
        *,
        mutating: bool,
    ) -> dict[str, Any]:
        client = self._client(mutating=mutating)
        self._thread.attempt = attempt
        method = getattr(client, _METHODS[operation])
        answer: dict[str, Any] = method(**request)
        if not all(answer.get(member) is not None for member in expected):
            raise _UnreadableAnswerError
        return answer

    def _client(self, *, mutating: bool) -> Any:
        with self._making_client:
            client = self._clients.get(mutating)
            if client is None:
                client = self._sessions.client(
                    "sagemaker",
                    region=self._target.region,
                    timeouts=MUTATING_TIMEOUTS if mutating else READING_TIMEOUTS,
                    role_arn=self._target.role_arn,
                    external_id=self._target.external_id,
                    endpoint_url=self._target.endpoint_url,
                )
                client.meta.events.register("before-send.sagemaker", self._before_send)
                self._clients[mutating] = client
            return client

    def _before_send(self, **_: Any) -> None:
        # credentials are fetched and the request is signed: what follows is the connection
        attempt: _Attempt = self._thread.attempt
        attempt.go()


_METHODS: Final = {
    "CreateTrainingJob": "create_training_job",
    "DescribeTrainingJob": "describe_training_job",
    "ListTrainingJobs": "list_training_jobs",
    "StopTrainingJob": "stop_training_job",
    "UpdateTrainingJob": "update_training_job",
    "ListTags": "list_tags",
    "AddTags": "add_tags",
    "DeleteTags": "delete_tags",
}


class _Attempt:
    """One call, seen from its thread and from whoever waits for it: it is sent, or given up, never both."""

    def __init__(self, fence: Fence | None) -> None:
        self._fence = fence
        self._lock = threading.Lock()
        self._given_up = False
        self.sent_at: float | None = None
        self.stopped_by: Exception | None = None

    def go(self) -> None:
        """Called right before sending; raises if it must not be sent."""
        with self._lock:
            if self._given_up:
                raise _GivenUpError
            if self._fence is not None:
                try:
                    self._fence(sum(MUTATING_TIMEOUTS))
                except Exception as error:
                    self.stopped_by = error
                    raise
            self.sent_at = time.monotonic()

    def give_up(self) -> bool:
        """From now on it will not be sent; whether it had not been sent yet."""
        with self._lock:
            self._given_up = True
            return self.sent_at is None


class _GivenUpError(Exception):
    """Nobody waits for this call any more."""


class _UnreadableAnswerError(Exception):
    """An answer without the members that it always has."""


_NOT_CONNECTED: Final = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)


def _late(operation: str, seconds: float, *, definite: bool) -> AwsError:
    message = f"No answer within {seconds:.0f} s."
    return AwsError(operation, "DeadlineExceeded", message, ErrorClass.RETRY, definite=definite)


def translate(operation: str, error: Exception, *, sent: bool) -> AwsError:
    """The AwsError for whatever a call raised; total.

    :param sent: the request may have reached the service, so that a failure without its word is not definite
    """
    status: int | None = None
    if isinstance(error, ClientError):
        operation = error.operation_name  # AssumeRole on the way, perhaps
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(error.response["Error"].get("Code") or "")
        message = str(error.response["Error"].get("Message") or "")
        if not is_named(code):
            code, message = "UnreadableAnswer", f"The answer (HTTP {status}) is not the service's."
    elif isinstance(error, BotoCoreError):
        code, message = type(error).__name__, str(error)
    elif sent or isinstance(error, _UnreadableAnswerError):
        # the exception's own text may quote the answer
        code, message = "UnreadableAnswer", "The answer could not be read."
    else:
        code, message = type(error).__name__, str(error)
    kind = classify(operation, code, message, status)
    definite = not sent or kind is not ErrorClass.RETRY or isinstance(error, _NOT_CONNECTED)
    return AwsError(operation, code, readable(message), kind, definite=definite)
