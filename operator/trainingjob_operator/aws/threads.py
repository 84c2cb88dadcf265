"""Bounded daemon threads for blocking calls; the end of the process does not wait for them.

The standard library's ThreadPoolExecutor joins its threads at exit: one hung call would delay it.
"""

from __future__ import annotations

from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Threads:
    """At most `size` daemon threads, started on demand."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = Lock()
        self._unfinished = 0
        self._started = 0
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in a thread, in order of submission; raises RuntimeError once closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads are closed")
            self._work.put((future, work))
            self._unfinished += 1
            if self._started < min(self._unfinished, self._size):
                self._started += 1
                Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """End the threads after the submitted work; does not wait."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in range(self._started):
                    self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            result: Any = None
            failure: BaseException | None = None
            wanted = future.set_running_or_notify_cancel()
            if wanted:
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001  the future has it
                    failure = error
            with self._lock:  # before the result: a caller that submits more at once finds this thread free
                self._unfinished -= 1
            if failure is not None:
                future.set_exception(failure)
            elif wanted:
                future.set_result(result)
            del item, future, work, result, failure  # an idle thread keeps no answer
