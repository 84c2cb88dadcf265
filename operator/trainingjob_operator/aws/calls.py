"""One blocking call of an AWS API, made from the event loop: in a thread, with a deadline, ending in one kind of error.

What is called is gateway.py's and event_queue.py's part, as whom credentials.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from urllib3.exceptions import NameResolutionError

from trainingjob_operator.aws.threads import Threads
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass, classify, is_clock, is_named, readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    class Slots(Protocol):
        """Bounds the threads that some calls occupy, as an asyncio.Semaphore does."""

        async def acquire(self) -> object: ...

        def release(self) -> None: ...

    Observe = Callable[[str, float, AwsError | None], None]
    """Is told of each call that was sent: operation, seconds, how it failed."""

T = TypeVar("T")


class Caller:
    """Makes the calls; its threads are bounded and never keep the process from ending.

    `before_send` and `hold` belong into the sessions (aws/credentials.py), which call them in the thread right before
    a request goes out, and before a socket is used.
    """

    def __init__(self, *, threads: int, clock: Callable[[], float]) -> None:
        self._threads = Threads(threads, "aws")
        self._clock = clock
        self._thread = threading.local()

    def before_send(self) -> None:
        """Credentials are there and the request is signed: send it now or never."""
        attempt: _Attempt = self._thread.attempt
        attempt.start()

    def hold(self, sock: socket.socket) -> None:
        """The calling thread is about to use this socket: the end of its call ends it too."""
        attempt: _Attempt = self._thread.attempt
        attempt.hold(sock)

    async def call(
        self,
        operation: str,
        work: Callable[[], T],
        *,
        patience: float,
        seconds: float,
        slots: Slots,
        fence: Callable[[], None] | None = None,
        observe: Observe | None = None,
        limit: asyncio.Timeout | None = None,
    ) -> T:
        """What `work` returns; raises AwsError, or what `fence` raises, and then nothing was sent.

        :param work: sends one request and reads its answer; what it raises after sending is an unreadable answer
        :param patience: seconds to wait for a thread and for credentials; what was not sent by then never is
        :param seconds: from sending to the end of the answer, however it comes; then the connection is closed
        :param slots: bounds the threads that calls like this one occupy, hung ones included
        :param fence: called in the thread right before sending
        :param limit: of `patience` seconds; whoever made it may end the call early
        """
        loop, began = asyncio.get_running_loop(), self._clock()
        limit = limit or asyncio.timeout(patience)

        def extend() -> None:
            if (limit.when() or 0.0) > loop.time():  # else it ends right now
                with contextlib.suppress(RuntimeError):  # the caller waits no longer
                    limit.reschedule(loop.time() + seconds)

        attempt = _Attempt(self._clock, fence, lambda: loop.call_soon_threadsafe(extend))

        def attempt_work() -> T:
            self._thread.attempt = attempt
            try:
                return work()
            finally:
                attempt.let_go()

        try:
            async with limit:
                result = await self._in_thread(attempt_work, slots)
        except asyncio.CancelledError:
            attempt.give_up()
            raise
        except AwsError:  # raised before anything was sent
            raise
        except Exception as error:
            if attempt.stopped_by is not None:
                raise attempt.stopped_by from None
            failure = self._failure(operation, error, attempt, self._clock() - began)
            self._report(operation, attempt, observe, failure)
            raise failure from error
        self._report(operation, attempt, observe, None)
        return result

    def close(self) -> None:
        """Take no more calls; does not wait for those under way."""
        self._threads.close()

    async def _in_thread(self, work: Callable[[], T], slots: Slots) -> T:
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
    def _failure(operation: str, error: Exception, attempt: _Attempt, waited: float) -> AwsError:
        if not isinstance(error, TimeoutError):
            return translate(operation, error, sent=attempt.sent_at is not None)
        if attempt.give_up():
            code, message = "NotSent", f"No thread, or no credentials, within {waited:.0f} s."
        else:
            code, message = "DeadlineExceeded", f"No whole answer within {waited:.0f} s."
        return AwsError(operation, code, message, ErrorClass.RETRY, definite=code == "NotSent", answered=False)

    def _report(self, operation: str, attempt: _Attempt, observe: Observe | None, failure: AwsError | None) -> None:
        if observe is not None and attempt.sent_at is not None:
            observe(operation, self._clock() - attempt.sent_at, failure)


class _Attempt:
    """One call, seen from its thread and from whoever waits for it: it is sent, or given up, never both."""

    def __init__(
        self, clock: Callable[[], float], fence: Callable[[], None] | None, started: Callable[[], object]
    ) -> None:
        """:param started: called in the thread when the request goes out"""
        self._clock = clock
        self._fence = fence
        self._started = started
        self._lock = threading.Lock()
        self._given_up = False
        self._held: socket.socket | None = None
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
        self._started()

    def hold(self, sock: socket.socket) -> None:
        """The call uses this socket from now on; raises if nobody waits for it any more."""
        with self._lock:
            self._close()
            if self._given_up:
                raise _GivenUpError
            # a handle of its own: the socket may be wrapped for TLS, or closed and its number used for another
            self._held = socket.socket(fileno=os.dup(sock.fileno()))

    def let_go(self) -> None:
        """The thread is done with it."""
        with self._lock:
            self._close()

    def give_up(self) -> bool:
        """From now on it will not be sent, nor its answer read on; whether it had not been sent yet."""
        with self._lock:
            self._given_up = True
            if self._held is not None:
                with contextlib.suppress(OSError):  # the peer was faster
                    self._held.shutdown(socket.SHUT_RDWR)
            return self.sent_at is None

    def _close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


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
    elif isinstance(error, EndpointConnectionError) and isinstance(error.kwargs.get("error"), NameResolutionError):
        host = urlsplit(error.kwargs["endpoint_url"]).hostname
        code, message = "NameNotResolved", f"The name of the endpoint, {host}, can't be resolved."
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
