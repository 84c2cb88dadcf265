"""Keyed work queue: hands out each due key once, to at most one worker per key.

Delays are seconds of the event loop's monotonic clock.
"""

import asyncio
import random
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

from trainingjob_operator.logic.backoff import Backoff

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 0.5
"""Seconds before the first retry of a failed key; doubled with each failure, up to the caller's limit."""

HEAD_START = 2000
"""Maximum number of waiting keys overtaken by one urgent key; without a limit, urgent keys could starve the rest."""


class WorkQueue(Generic[K]):
    """Due keys in order of arrival, urgent keys first, and delayed keys.

    A second `add` keeps the earlier time and the better position. A key added during its processing is handed out once
    more afterwards, never to two workers concurrently.
    """

    def __init__(self, *, jitter: random.Random) -> None:
        self._jitter = jitter
        self._line: asyncio.PriorityQueue[tuple[int, int, K]] = asyncio.PriorityQueue()
        self._arrivals = count()
        self._ready: dict[K, int] = {}
        """Position of each waiting key; entries of `_line` at other positions are stale."""
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
        return len(self._ready)

    def add(self, key: K, delay: float = 0.0, *, urgent: bool = False) -> None:
        """Make the key due in `delay` seconds, or keep its earlier time.

        :param urgent: overtake waiting keys; only for keys without delay
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if key in self._working:
            earlier, was_urgent = self._again.get(key, (due, False))
            self._again[key] = min(due, earlier), urgent or was_urgent
            return
        if key in self._ready:
            if urgent:
                self._ripen(key, urgent=True)
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
        """Append the key to the queue, or improve its position."""
        self._later.pop(key, None)
        arrival = next(self._arrivals)
        place = arrival - HEAD_START if urgent else arrival
        if place < self._ready.get(key, arrival + 1):
            self._ready[key] = place
            self._line.put_nowait((place, arrival, key))

    def discard(self, key: K) -> None:
        """Remove the key until the next `add`."""
        self._ready.pop(key, None)
        self._again.pop(key, None)
        self._failures.pop(key, None)
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> K:
        """Wait for the next due key; the caller owns it until `release`."""
        while True:
            place, _, key = await self._line.get()
            if self._drained:
                await asyncio.get_running_loop().create_future()
            if self._ready.get(key) == place:  # else a stale entry: discarded, or at a better position now
                del self._ready[key]
                self._working.add(key)
                self._idle.clear()
                self.turnover += 1
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
