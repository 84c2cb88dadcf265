"""What is kept as long as it is used: the least recently used goes first, and what nobody asked for is let go."""

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
        """Hold nothing yet.

        :param limit: of the values that are not busy
        :param seconds: after which a value that nobody asked for is let go, when another one is asked for
        :param is_busy: whether the value must stay for now
        :param drop: called with each value that is let go
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
        """The value, which counts as used now."""
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
        """Keep the value, and let go of what is over the limit or old."""
        with self._lock:
            self._values[key] = value, self._clock()
            self._values.move_to_end(key)
            gone = self._expire(key)
        for one in gone:
            self._drop(one)

    def pop_if(self, condition: Callable[[K], bool]) -> None:
        """Let go of all whose key fulfils the condition."""
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
