"""Cache with a limit and a lifetime; the least recently used value is dropped first."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key; safe to use from any thread."""

    def __init__(
        self,
        *,
        limit: int,
        seconds: float,
        clock: Callable[[], float],
        is_busy: Callable[[V], bool] = lambda _: False,
        drop: Callable[[V], None] = lambda _: None,
    ) -> None:
        """Create an empty cache.

        :param limit: maximum number of values, besides busy ones
        :param seconds: lifetime without use; checked at each access
        :param is_busy: True for a value to keep
        :param drop: called with each dropped value
        """
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._is_busy = is_busy
        self._drop = drop
        self._lock = Lock()
        self._values: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[V]:
        with self._lock:
            return iter([value for value, _ in self._values.values()])

    def get(self, key: K) -> V | None:
        """Return the value, and renew its lifetime."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values[key] = found[0], self._clock()
                self._values.move_to_end(key)
            gone = self._expire(key)
        for one in gone:
            self._drop(one)
        return None if found is None else found[0]

    def put(self, key: K, value: V) -> None:
        """Store the value, and drop values beyond limit or lifetime."""
        with self._lock:
            self._values[key] = value, self._clock()
            self._values.move_to_end(key)
            gone = self._expire(key)
        for one in gone:
            self._drop(one)

    def pop_if(self, condition: Callable[[K], bool]) -> None:
        """Drop the values of all keys for which the condition is True."""
        with self._lock:
            gone = [self._values.pop(key)[0] for key in list(self._values) if condition(key)]
        for one in gone:
            self._drop(one)

    def _expire(self, newest: K) -> list[V]:
        oldest = self._clock() - self._seconds
        gone: list[V] = []
        first = next(iter(self._values.values()), None)
        if first is None or (len(self._values) <= self._limit and first[1] > oldest):
            return gone
        for key, (value, used) in list(self._values.items()):
            if len(self._values) <= self._limit and used > oldest:
                break
            if key != newest and not self._is_busy(value):
                gone.append(value)
                del self._values[key]
        return gone
