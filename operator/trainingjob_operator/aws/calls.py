"""One blocking call of an AWS API, made from the event loop: in a thread, with a deadline, ending in one kind of error.

Not here: the operations (gateway.py, event_queue.py) and the credentials (credentials.py).
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
        """Bounds the threads of some calls, as an asyncio.Semaphore does."""

        async def acquire(self) -> object: ...

        def release(self) -> None: ...

    Observe = Callable[[str, float, AwsError | None], None]
    """Called after each sent call with operation, seconds, and the error or None."""

T = TypeVar("T")


class Caller:
    """Makes the calls in bounded threads; the end of the process does not wait for them.

    The sessions (credentials.py) call `before_send` in the thread right before a request, and `hold` before the use of
    a socket.
    """

    def __init__(self, *, threads: int, clock: Callable[[], float]) -> None:
        self._threads = Threads(threads, "aws")
        self._clock = clock
        self._thread = threading.local()

    def before_send(self) -> None:
        """Mark the call as sent; raises if it was given up before."""
        attempt: _Attempt = self._thread.attempt
        attempt.start()

    def hold(self, sock: socket.socket) -> None:
        """Tie a socket to the call of this thread: the end of the call closes the socket."""
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
        """Return the result of `work`; raises AwsError, or the error of `fence` if nothing was sent.

        :param work: sends one request and reads its answer; an error after sending is an unreadable answer
        :param patience: seconds to wait for a thread and for credentials; an unsent request is given up then
        :param seconds: from sending to the end of the answer; the connection is closed then
        :param slots: bounds the threads of calls like this one, including hung ones
        :param fence: called in the thread right before sending
        :param limit: of `patience` seconds; its owner may end the call early
        """
        loop, began = asyncio.get_running_loop(), self._clock()
        limit = limit or asyncio.timeout(patience)

        def extend() -> None:
            if (limit.when() or 0.0) > loop.time():  # else it ends right now
                with contextlib.suppress(RuntimeError):  # the caller has given up
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
        """Accept no more calls; does not wait for those in flight."""
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
        # when the thread is free again, which may be later than the end of the caller's wait
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
    """One call, shared by its thread and its caller: it is sent or given up, never both."""

    def __init__(
        self, clock: Callable[[], float], fence: Callable[[], None] | None, started: Callable[[], object]
    ) -> None:
        """:param started: called in the thread when the request is sent"""
        self._clock = clock
        self._fence = fence
        self._started = started
        self._lock = threading.Lock()
        self._given_up = False
        self._held: socket.socket | None = None
        self.sent_at: float | None = None
        self.stopped_by: Exception | None = None

    def start(self) -> None:
        """Mark the call as sent, right before sending; raises if it was given up."""
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
        """Tie the socket to the call; raises if the caller has given up."""
        with self._lock:
            self._close()
            if self._given_up:
                raise _GivenUpError
            # a handle of its own: the socket may be wrapped for TLS, or closed and its number used for another
            self._held = socket.socket(fileno=os.dup(sock.fileno()))

    def let_go(self) -> None:
        """Release the socket at the end of the thread's work."""
        with self._lock:
            self._close()

    def give_up(self) -> bool:
        """Give up the call: neither send it nor read its answer; True if it was not sent yet."""
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
    """The caller has given up."""


def translate(operation: str, error: Exception, *, sent: bool) -> AwsError:
    """Return the AwsError for any exception of a call.

    :param sent: the request may have reached the service; a failure without an answer is not definite then
    """
    status: int | None = None
    if isinstance(error, ClientError):
        operation = error.operation_name  # perhaps AssumeRole
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
    """Return True if there was no connection for the request."""
    if isinstance(error, SSLError):
        cause = error.kwargs.get("error")
        return any(isinstance(reason, ssl.SSLCertVerificationError) for reason in getattr(cause, "args", ()))
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError | ProxyConnectionError)
