"""The SQS queue in which EventBridge leaves its events, as the rest of the operator reads it.

What the messages say is logic/jobs/job_events.py's part.
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
"""That a queue occupies at most: one waits for messages, and one may hang."""
BATCH: Final = 10
"""Messages received or deleted at once; the most that SQS takes."""
WAIT_SECONDS: Final = 15
"""How long SQS keeps a call that waits for the first message."""
POLLING_TIMEOUTS: Final = Timeouts(5, WAIT_SECONDS + 5)
PATIENCE: Final = 10.0
"""Seconds to wait for a thread and for credentials."""

_REGION_IN_HOST: Final = re.compile(
    r"(?:^|\.)sqs(?:-fips)?\.(?P<now>[a-z0-9-]+)\.|^(?P<once>[a-z0-9-]+)\.queue\.amazonaws\.com"
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `receipt` is what deletes it."""

    body: str
    receipt: str


class EventQueue:
    """One queue, read with the operator's own credentials.

    Every method raises AwsError; `delete` also what the fence raises, and then sent nothing.
    """

    def __init__(
        self, url: str, *, region: str, caller: Caller, sessions: Sessions, fence: Callable[[float], None]
    ) -> None:
        """Do no I/O.

        :param region: of a queue whose URL names none
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
        """The next messages, up to BATCH of them; none when none came within WAIT_SECONDS.

        They are hidden, not gone, until they are deleted or the queue's visibility time-out has passed.
        """
        return await self._call("ReceiveMessage", self._receive, POLLING_TIMEOUTS, fence=None)

    async def delete(self, messages: Collection[Message]) -> None:
        """Delete up to BATCH messages; one that SQS fails to delete comes again."""
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
    """The region in the host of a queue's URL: SQS's own, a VPC endpoint's or an old one's; None where it is none."""
    match = _REGION_IN_HOST.search(host)
    return None if match is None else match["now"] or match["once"]
