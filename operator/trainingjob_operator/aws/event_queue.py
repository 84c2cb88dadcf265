"""SQS queue with EventBridge's events.

Not here: the format of messages (logic/jobs/job_events.py).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from trainingjob_operator.aws.credentials import MUTATING_TIMEOUTS, Sessions, Timeouts
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trainingjob_operator.aws.calls import Caller

T = TypeVar("T")

THREADS: Final = 2
"""Maximum number of threads of a queue: one receives messages, and one may hang."""
BATCH: Final = 10
"""Messages per call; SQS's maximum."""
WAIT_SECONDS: Final = 15
"""Seconds of a long poll without messages."""
POLLING_TIMEOUTS: Final = Timeouts(5, WAIT_SECONDS + 5)
PATIENCE: Final = 10.0
"""Seconds to wait for a thread and for credentials, before sending."""

_REGION_IN_HOST: Final = re.compile(
    r"(?:^|\.)sqs(?:-fips)?\.(?P<now>[a-z0-9-]+)\.|^(?P<once>[a-z0-9-]+)\.queue\.amazonaws\.com"
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `receipt` is the handle for its deletion."""

    body: str
    receipt: str


class EventQueue:
    """One queue, read with the operator's own credentials.

    Every method raises AwsError; `delete` also raises the fence's error, without sending.
    """

    def __init__(
        self, url: str, *, region: str, caller: Caller, sessions: Sessions, fence: Callable[[float], None]
    ) -> None:
        """Do no I/O.

        :param region: used if the URL names none
        """
        self._url = url
        parts = urlsplit(url)
        self._endpoint_url = f"{parts.scheme}://{parts.netloc}"
        self._region = find_region(parts.hostname or "") or region
        self._caller = caller
        self._sessions = sessions
        self._fence = fence
        self._slots = asyncio.Semaphore(THREADS)

    async def receive(self) -> list[Message]:
        """Return up to BATCH messages; none after WAIT_SECONDS without one.

        SQS hides them until their deletion or the queue's visibility timeout.
        """
        return await self._call("ReceiveMessage", self._receive, POLLING_TIMEOUTS, fence=None)

    async def delete(self, messages: Collection[Message]) -> None:
        """Delete up to BATCH messages; SQS delivers a message again if its deletion fails."""
        entries = [{"Id": str(number), "ReceiptHandle": message.receipt} for number, message in enumerate(messages)]
        await self._call(
            "DeleteMessageBatch",
            lambda: self._client(MUTATING_TIMEOUTS).delete_message_batch(QueueUrl=self._url, Entries=entries),
            MUTATING_TIMEOUTS,
            fence=lambda: self._fence(sum(MUTATING_TIMEOUTS)),
        )

    async def _call(
        self, operation: str, work: Callable[[], T], timeouts: Timeouts, *, fence: Callable[[], None] | None
    ) -> T:
        try:
            return await self._caller.call(
                operation, work, patience=PATIENCE, seconds=sum(timeouts), slots=self._slots, fence=fence
            )
        except AwsError as error:
            if error.kind is ErrorClass.CREDENTIALS:
                self._sessions.renew()
            raise

    def _receive(self) -> list[Message]:
        answer = self._client(POLLING_TIMEOUTS).receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_SECONDS
        )
        return [Message(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", ())]

    def _client(self, timeouts: Timeouts) -> Any:
        return self._sessions.client("sqs", region=self._region, timeouts=timeouts, endpoint_url=self._endpoint_url)


def find_region(host: str) -> str | None:
    """Return the region in the host of a queue's URL: SQS's own, a VPC endpoint's or a legacy one; None without one."""
    match = _REGION_IN_HOST.search(host)
    return None if match is None else match["now"] or match["once"]
