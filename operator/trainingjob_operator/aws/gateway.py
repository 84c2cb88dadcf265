"""Calls of SageMaker about training jobs, without retries.

Not here: the schedule of calls and the reaction to errors.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from trainingjob_operator.aws.calls import Caller
from trainingjob_operator.aws.credentials import (
    MUTATING_TIMEOUTS,
    READING_TIMEOUTS,
    Principal,
    Sessions,
    Timeouts,
)
from trainingjob_operator.aws.event_queue import THREADS as QUEUE_THREADS
from trainingjob_operator.aws.event_queue import EventQueue
from trainingjob_operator.aws.identities import CallerIdentity, Identities
from trainingjob_operator.aws.lanes import Lane, Lanes, Place
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass, readable
from trainingjob_operator.logic.operations import (
    ADD_TAGS,
    CREATE,
    DELETE_TAGS,
    DESCRIBE,
    LIST_JOBS,
    LIST_TAGS,
    OPERATIONS,
    STOP,
    UPDATE,
)

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trainingjob_operator.aws.budget import Budget, Budgets
    from trainingjob_operator.aws.calls import Observe

    _Read = Callable[[dict[str, Any]], T]
    Fence = Callable[[float], None]
    """Raises unless a call of at most that many seconds may start now; called in threads."""


@dataclass(frozen=True, slots=True)
class Target:
    """Location of a job and credentials for it; the operator's own without `role_arn`."""

    account: str
    region: str
    role_arn: str | None = None
    endpoint_url: str | None = None
    external_id: str | None = None
    namespace: str | None = None
    """Namespace served with the role; part of the session name."""

    @property
    def principal(self) -> Principal:
        return Principal(self.role_arn, self.external_id, self.namespace)


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Maximum durations of calls in seconds, from sending to the end of the answer.

    `patience`: maximum wait for a thread and for credentials, before sending.
    """

    reading: Timeouts = READING_TIMEOUTS
    mutating: Timeouts = MUTATING_TIMEOUTS
    patience: float = 10.0


class Gateway(Protocol):
    """SageMaker's training jobs at one target.

    Every method raises AwsError, and Busy while too many calls to that place are in flight; mutating methods also raise
    the fence's error. Busy and the fence's error mean that nothing was sent. Members have the API's names; times are
    aware datetimes in UTC.
    """

    async def create(self, request: Mapping[str, Any]) -> str:
        """Call CreateTrainingJob with exactly these members; returns the job's ARN."""

    async def describe(self, job_name: str) -> dict[str, Any]:
        """Return the answer to DescribeTrainingJob."""

    async def list_page(self, **filters: Any) -> tuple[list[dict[str, Any]], str | None]:
        """Return one page of ListTrainingJobs: summaries, and the NextToken or None."""

    async def stop(self, job_name: str) -> None:
        """Call StopTrainingJob."""

    async def update(self, request: Mapping[str, Any]) -> None:
        """Call UpdateTrainingJob with exactly these members."""

    async def list_tags(self, arn: str) -> dict[str, str]:
        """Return all tags of a job."""

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add or overwrite tags."""

    async def delete_tags(self, arn: str, keys: Collection[str]) -> None:
        """Remove tags."""


class Accounts(Protocol):
    """The gateways of all targets."""

    def get(self, target: Target) -> Gateway: ...

    async def confirm(self, target: Target) -> None:
        """Raise AwsError unless STS confirms that the target's credentials belong to its account."""


class Gateways:
    """The gateways of all targets, with their common threads and sessions."""

    def __init__(
        self,
        *,
        region: str,
        version: str,
        budgets: Budgets,
        fence: Fence,
        observe: Observe,
        threads: int = 48,
        workers: int = 20,
        identity_endpoint_url: str | None = None,
        timeouts: CallTimeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start nothing yet.

        :param region: the operator's own region, with the STS endpoint
        :param version: version of the operator, for the user agent
        :param observe: called after each sent SageMaker call
        :param threads: maximum number of SageMaker calls in flight
        :param workers: number of workers that call SageMaker, besides the sweeps
        :param clock: monotonic seconds
        """
        # Long polls have their own threads: no call waits behind one.
        self._caller = Caller(threads=threads + QUEUE_THREADS, clock=clock)
        self._sessions = Sessions(
            region=region,
            version=version,
            connections=threads,
            clock=clock,
            before_send=self._caller.before_send,
            hold=self._caller.hold,
            identity_endpoint_url=identity_endpoint_url,
        )
        self._region = region
        self._budgets = budgets
        self._fence = fence
        self._observe = observe
        self._timeouts = timeouts or CallTimeouts()
        self._lanes = Lanes(clock, workers=workers)
        self._identities = Identities(
            caller=self._caller, sessions=self._sessions, patience=self._timeouts.patience, clock=clock
        )

    def get(self, target: Target) -> Gateway:
        """Return the gateway of `target`; without I/O or state."""
        return BotoGateway(
            target,
            caller=self._caller,
            sessions=self._sessions,
            identities=self._identities,
            lane=self._lanes.of(Place(target.account, target.region, target.endpoint_url)),
            budgets=self._budgets,
            fence=self._fence,
            observe=self._observe,
            timeouts=self._timeouts,
        )

    async def caller_identity(self) -> CallerIdentity:
        """Return the operator's own identity from STS; raises AwsError.

        After the first answer, nothing is sent with the operator's own credentials while they belong to another
        account.
        """
        identity = await self._identities.ask(anew=True)  # start_up.py waits between two attempts
        self._sessions.expect_account(identity.account)
        return identity

    async def confirm(self, target: Target) -> None:
        """Raise AwsError unless STS confirms that the target's credentials belong to its account."""
        identity = await self._identities.ask(target.principal)
        if identity.account != target.account:
            message = f"The credentials for account {target.account} are of account {identity.account}."
            raise AwsError("GetCallerIdentity", "AccountChanged", message, ErrorClass.ACCOUNT, definite=True)

    def knows_region(self, region: str) -> bool:
        """Return True if botocore's data contain the region; they lack new regions."""
        return self._sessions.knows_region(region)

    @property
    def account_problem(self) -> str | None:
        """Sentence on the reason why nothing is sent with the operator's own credentials; None if they are usable."""
        return self._sessions.account_problem

    def event_queue(self, url: str) -> EventQueue:
        """Return a queue read with the operator's own credentials; without I/O."""
        return EventQueue(url, region=self._region, caller=self._caller, sessions=self._sessions, fence=self._fence)

    def close(self) -> None:
        """Accept no more calls and close idle connections; does not wait for calls in flight."""
        self._caller.close()
        self._sessions.close()


class BotoGateway:
    """A Gateway over botocore."""

    def __init__(
        self,
        target: Target,
        *,
        caller: Caller,
        sessions: Sessions,
        identities: Identities,
        lane: Lane,
        budgets: Budgets,
        fence: Fence,
        observe: Observe,
        timeouts: CallTimeouts,
    ) -> None:
        """Do no I/O."""
        self._target = target
        self._caller = caller
        self._sessions = sessions
        self._identities = identities
        self._lane = lane
        self._budgets = budgets.of(target.account, target.region)
        self._fence = fence
        self._observe = observe
        self._timeouts = timeouts

    async def create(self, request: Mapping[str, Any]) -> str:
        return await self._call(CREATE, self._budgets.create, request, _read_arn)

    async def describe(self, job_name: str) -> dict[str, Any]:
        request = {"TrainingJobName": job_name}
        return await self._call(DESCRIBE, self._budgets.describe, request, _read_job)

    async def list_page(self, **filters: Any) -> tuple[list[dict[str, Any]], str | None]:
        return await self._call(LIST_JOBS, self._budgets.list_page, filters, _read_page)

    async def stop(self, job_name: str) -> None:
        request = {"TrainingJobName": job_name}
        await self._call(STOP, self._budgets.stop, request, _ignore)

    async def update(self, request: Mapping[str, Any]) -> None:
        await self._call(UPDATE, self._budgets.update, request, _read_arn)

    async def list_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        request = {"ResourceArn": arn}
        while True:
            page, token = await self._call(LIST_TAGS, self._budgets.list_tags, request, _read_tags)
            tags.update(page)
            if token is None:
                return tags
            request = {"ResourceArn": arn, "NextToken": token}

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        request = {"ResourceArn": arn, "Tags": pairs}
        await self._call(ADD_TAGS, self._budgets.add_tags, request, _ignore)

    async def delete_tags(self, arn: str, keys: Collection[str]) -> None:
        request = {"ResourceArn": arn, "TagKeys": list(keys)}
        await self._call(DELETE_TAGS, self._budgets.delete_tags, request, _ignore)

    async def _call(self, operation: str, budget: Budget, request: Mapping[str, Any], read: _Read[T]) -> T:
        is_mutating = OPERATIONS[operation].is_mutating
        timeouts = self._timeouts.mutating if is_mutating else self._timeouts.reading
        limit = asyncio.timeout(self._timeouts.patience)
        try:
            async with self._lane.entered(operation, limit):
                answer = await self._caller.call(
                    operation,
                    lambda: read(self._send(operation, request)),
                    patience=self._timeouts.patience,
                    seconds=sum(timeouts),
                    slots=self._lane,
                    fence=(lambda: self._fence(sum(timeouts))) if is_mutating else None,
                    observe=self._observe,
                    limit=limit,
                )
        except AwsError as failure:
            if failure.kind is ErrorClass.THROTTLED and failure.operation == operation:
                budget.throttled()
            judged = await self._judge(failure, operation)
            raise judged from (None if judged is failure else failure)
        budget.succeeded()
        return answer

    def _send(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        # One client for both kinds of calls: the deadline of the caller ends each.
        reading, mutating = self._timeouts.reading, self._timeouts.mutating
        client = self._sessions.client(
            "sagemaker",
            region=self._target.region,
            timeouts=Timeouts(max(reading.connect, mutating.connect), max(reading.read, mutating.read)),
            principal=self._target.principal,
            endpoint_url=self._target.endpoint_url,
        )
        answer: dict[str, Any] = getattr(client, OPERATIONS[operation].method)(**request)
        return answer

    async def _judge(self, failure: AwsError, operation: str) -> AwsError:
        """Find the cause of a failure: the credentials, renewed in this case, or the region."""
        region = self._target.region
        if failure.code == "NameNotResolved" and self._target.endpoint_url is None:
            if self._sessions.knows_region(region):
                words = (
                    f"{failure.message} Either DNS fails, or SageMaker has no endpoint in region {region}: correct the "
                    "region in this case."
                )
                return _blame(failure, failure.code, words, failure.kind)
            words = f"There is no region {region} that is known here. {failure.message} Check the region's spelling."
            return _blame(failure, "RegionNotFound", words)
        if failure.kind not in (ErrorClass.CREDENTIALS, ErrorClass.ACCOUNT):
            return failure
        if failure.kind is ErrorClass.ACCOUNT or failure.operation != operation:  # obtaining credentials
            self._sessions.renew()
            return failure
        if not failure.answered:
            self._sessions.renew(self._target.principal)
            return failure
        # An endpoint may belong to anybody, and a region that is not enabled rejects all keys: STS decides.
        try:
            await self._identities.ask(self._target.principal)
        except AwsError:
            return failure
        if failure.code not in UNKNOWN_KEY or self._target.endpoint_url is not None:
            return failure
        words = (
            f"Region {region} does not accept credentials that STS accepts: it is not enabled for account "
            f"{self._target.account}. {failure.message}"
        )
        return _blame(failure, "RegionNotEnabled", words)


UNKNOWN_KEY: Final = frozenset(
    {
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidClientTokenIdException",
        "InvalidSecurity",
        "InvalidToken",
        "UnrecognizedClient",
        "UnrecognizedClientException",
    }
)
"""Error codes of a region for an unknown key, such as one that is not enabled for the account."""


def _blame(failure: AwsError, code: str, message: str, kind: ErrorClass = ErrorClass.REGION) -> AwsError:
    return AwsError(failure.operation, code, readable(message), kind, definite=True, answered=failure.answered)


# Botocore checks no answer, and reads an answer without JSON as one without members: the readers raise for both.


def _ignore(_: dict[str, Any]) -> None:
    """Read nothing."""


def _text(answer: Mapping[str, Any], member: str) -> str:
    text = answer[member]
    if not isinstance(text, str) or not text:
        raise TypeError(member)
    return text


def _next_token(answer: Mapping[str, Any]) -> str | None:
    return _text(answer, "NextToken") if answer.get("NextToken") else None


def _read_arn(answer: dict[str, Any]) -> str:
    return _text(answer, "TrainingJobArn")


def _read_job(answer: dict[str, Any]) -> dict[str, Any]:
    for member in ("TrainingJobArn", "TrainingJobStatus"):
        _text(answer, member)
    del answer["ResponseMetadata"]
    return answer


def _read_page(answer: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    summaries: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    for summary in summaries:
        _text(summary, "TrainingJobArn")
    return summaries, _next_token(answer)


def _read_tags(answer: dict[str, Any]) -> tuple[dict[str, str], str | None]:
    return {_text(tag, "Key"): str(tag.get("Value", "")) for tag in answer["Tags"]}, _next_token(answer)
