"""One blocking call of an AWS API, made from the event loop: in a thread, with a deadline, ending in one kind of error.

What is called is gateway.py's and event_queue.py's part, as whom credentials.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)

from trainingjob_operator.aws.threads import Threads
from trainingjob_operator.logic.errors import AwsError, ErrorClass, classify, is_clock, is_named, readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    Observe = Callable[[str, float, AwsError | None], None]
    """Is told of each call that was sent: operation, seconds, how it failed."""

T = TypeVar("T")


class Caller:
    """Makes the calls; its threads are bounded and never keep the process from ending.

    `before_send` belongs into the sessions (aws/credentials.py), which call it in the thread right before a request
    goes out.
    """

    def __init__(self, *, threads: int, clock: Callable[[], float]) -> None:
        self._threads = Threads(threads, "aws")
        self._clock = clock
        self._thread = threading.local()

    def before_send(self) -> None:
        """Credentials are there and the request is signed: send it now or never."""
        attempt: _Attempt = self._thread.attempt
        attempt.start()

    async def call(
        self,
        operation: str,
        work: Callable[[], T],
        *,
        deadline: float,
        slots: asyncio.Semaphore,
        fence: Callable[[], None] | None = None,
        observe: Observe | None = None,
    ) -> T:
        """What `work` returns; raises AwsError, or what `fence` raises, and then nothing was sent.

        :param work: sends one request and reads its answer; what it raises after sending is an unreadable answer
        :param deadline: seconds until the caller waits no longer; what was not sent by then never is
        :param slots: bounds the threads that calls like this one occupy, hung ones included
        :param fence: called in the thread right before sending
        """
        attempt = _Attempt(self._clock, fence)

        def attempt_work() -> T:
            self._thread.attempt = attempt
            return work()

        try:
            async with asyncio.timeout(deadline):
                result = await self._in_thread(attempt_work, slots)
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        except Exception as error:
            if attempt.stopped_by is not None:
                raise attempt.stopped_by from None
            failure = self._failure(operation, error, attempt, deadline)
            self._report(operation, attempt, observe, failure)
            raise failure from error
        self._report(operation, attempt, observe, None)
        return result

    def close(self) -> None:
        """Take no more calls; does not wait for those under way."""
        self._threads.close()

    async def _in_thread(self, work: Callable[[], T], slots: asyncio.Semaphore) -> T:
        await slots.acquire()
        loop = asyncio.get_running_loop()

        def free_slot(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(slots.release)

        try:
            future = self._threads.submit(work)
        except RuntimeError:
            slots.release()
            raise
        # not when the caller stops waiting, but when the thread is free again
        future.add_done_callback(free_slot)
        return await asyncio.wrap_future(future)

    @staticmethod
    def _failure(operation: str, error: Exception, attempt: _Attempt, deadline: float) -> AwsError:
        if isinstance(error, TimeoutError):
            unsent = attempt.give_up()
            message = f"No answer within {deadline:.0f} s."
            return AwsError(operation, "DeadlineExceeded", message, ErrorClass.RETRY, definite=unsent, answered=False)
        return translate(operation, error, sent=attempt.sent_at is not None)

    def _report(self, operation: str, attempt: _Attempt, observe: Observe | None, failure: AwsError | None) -> None:
        if observe is not None and attempt.sent_at is not None:
            observe(operation, self._clock() - attempt.sent_at, failure)


class _Attempt:
    """One call, seen from its thread and from whoever waits for it: it is sent, or given up, never both."""

    def __init__(self, clock: Callable[[], float], fence: Callable[[], None] | None) -> None:
        self._clock = clock
        self._fence = fence
        self._lock = threading.Lock()
        self._given_up = False
        self.sent_at: float | None = None
        self.stopped_by: Exception | None = None

    def start(self) -> None:
        """Called right before sending; raises if it must not be sent."""
        with self._lock:
            if self._given_up:
                raise _GivenUpError
            if self._fence is not None:
                try:
                    self._fence()
                except Exception as error:
                    self.stopped_by = error
                    raise
            self.sent_at = self._clock()

    def give_up(self) -> bool:
        """From now on it will not be sent; whether it had not been sent yet."""
        with self._lock:
            self._given_up = True
            return self.sent_at is None


class _GivenUpError(Exception):
    """Nobody waits for this call any more."""


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
    elif sent and not isinstance(error, BotoCoreError):
        # the exception's own text may quote the answer
        code, message = "UnreadableAnswer", "The answer could not be read."
    else:
        code, message = type(error).__name__, str(error)
    kind = classify(operation, code, message, status)
    definite = not sent or kind is not ErrorClass.RETRY or _was_not_connected(error)
    answered = status is not None or code == "UnreadableAnswer"
    if is_clock(code, message):
        definite, message = True, f"The clock here and the service's differ by minutes. {message}"
    return AwsError(operation, code, readable(message), kind, definite=definite, answered=answered)


def _was_not_connected(error: Exception) -> bool:
    """Whether no connection stood, over which the request could have gone."""
    if isinstance(error, SSLError):
        cause = error.kwargs.get("error")
        return any(isinstance(reason, ssl.SSLCertVerificationError) for reason in getattr(cause, "args", ()))
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError | ProxyConnectionError)
