"""Threads for blocking calls: bounded, and never waited for when the process ends.

The standard library's ThreadPoolExecutor joins its threads at exit, so that one hung call would hold up the end.
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
    """At most `size` daemon threads, started as they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = Lock()
        self._unfinished = 0
        self._started = 0
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in a thread, after what was submitted before; RuntimeError once closed."""
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
        """Let the threads end when what was submitted is done; does not wait."""
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
                except BaseException as error:  # noqa: BLE001 – whoever waits for the future gets it
                    failure = error
            with self._lock:  # before the result is out: who submits more at once finds this thread free
                self._unfinished -= 1
            if failure is not None:
                future.set_exception(failure)
            elif wanted:
                future.set_result(result)
            del item, future, work, result, failure  # a thread that waits holds on to no answer
