"""Keyed work queue: hands out each due key once, to at most one worker per key.

Delays are seconds of the event loop's monotonic clock.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from trainingjob_operator.logic.backoff import Backoff

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 0.5
"""Seconds before the first retry of a failed key; doubled with each failure, up to the caller's limit."""

URGENT_RUN = 2
"""Number of urgent keys handed out before one other key that waits: urgent keys never starve the rest."""


class WorkQueue(Generic[K]):
    """Due keys in order of arrival, URGENT_RUN urgent keys before each other one, and delayed keys.

    A second `add` keeps the earlier time and the better position. A key added during its processing is handed out once
    more afterwards, never to two workers concurrently.
    """

    def __init__(self, *, jitter: random.Random) -> None:
        self._jitter = jitter
        self._urgent: OrderedDict[K, None] = OrderedDict()
        self._other: OrderedDict[K, None] = OrderedDict()
        self._urgent_run = 0
        self._arrivals: asyncio.Queue[None] = asyncio.Queue()
        """At least one entry for each due key without a worker; a discarded key leaves one too many."""
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._working: set[K] = set()
        self._again: dict[K, tuple[float, bool]] = {}
        self._failures: dict[K, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._drained = False
        self.turnover = 0
        """Number of keys handed out or released so far; constant while every worker is stuck."""

    @property
    def depth(self) -> int:
        """Number of due keys without a worker."""
        return len(self._urgent) + len(self._other)

    def add(self, key: K, delay: float = 0.0, *, urgent: bool = False) -> None:
        """Make the key due in `delay` seconds, or keep its earlier time.

        :param urgent: overtake the keys that are not urgent; only for keys without delay
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if key in self._working:
            earlier, was_urgent = self._again.get(key, (due, False))
            self._again[key] = min(due, earlier), urgent or was_urgent
            return
        if key in self._urgent:
            return
        if key in self._other:
            if urgent:
                del self._other[key]
                self._urgent[key] = None
            return
        timer = self._later.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        if delay > 0:
            self._later[key] = loop.call_at(due, self._ripen, key)
        else:
            self._ripen(key, urgent=urgent)

    def _ripen(self, key: K, *, urgent: bool = False) -> None:
        """Append the key to its queue."""
        self._later.pop(key, None)
        (self._urgent if urgent else self._other)[key] = None
        self._arrivals.put_nowait(None)

    def discard(self, key: K) -> None:
        """Remove the key until the next `add`."""
        self._urgent.pop(key, None)
        self._other.pop(key, None)
        self._again.pop(key, None)
        self._failures.pop(key, None)
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> K:
        """Wait for the next due key; the caller owns it until `release`."""
        while True:
            await self._arrivals.get()
            if self._drained:
                await asyncio.get_running_loop().create_future()
            if self.depth:
                key = self._pop()
                self._working.add(key)
                self._idle.clear()
                self.turnover += 1
                return key

    def _pop(self) -> K:
        is_urgent = bool(self._urgent) and (self._urgent_run < URGENT_RUN or not self._other)
        self._urgent_run = self._urgent_run + 1 if is_urgent else 0
        key, _ = (self._urgent if is_urgent else self._other).popitem(last=False)
        return key

    def release(self, key: K) -> None:
        """Return the key after its processing."""
        self._working.discard(key)
        self.turnover += 1
        if not self._working:
            self._idle.set()
        again = self._again.pop(key, None)
        if again is not None:
            due, urgent = again
            self.add(key, due - asyncio.get_running_loop().time(), urgent=urgent)

    async def drain(self, seconds: float) -> bool:
        """Hand out no more keys, and wait up to `seconds` for keys in processing; True if none remains."""
        self._drained = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def retry(self, key: K, limit: float) -> float:
        """Requeue the key with exponential back-off and jitter, at most `limit` seconds; returns the delay."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = Backoff(BACKOFF_FIRST, limit).after(failures) * self._jitter.uniform(0.5, 1.0)
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Reset the back-off of the key."""
        self._failures.pop(key, None)
