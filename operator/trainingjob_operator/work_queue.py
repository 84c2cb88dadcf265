"""The keyed work queue: what is due is handed out once, to at most one worker per key.

It knows nothing of what a key means. Delays are seconds of the event loop's monotonic clock.
"""

import asyncio
import random
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST = 0.5
"""Seconds before the first repeat of a failed key; doubled each time, up to the limit given with the failure."""

HEAD_START = 2000
"""So many keys that wait are overtaken at most by one that is urgent: enough of them would else keep the rest waiting
for ever."""


class WorkQueue(Generic[K]):
    """Keys that are due now, in order of arrival but for urgent ones, and keys that will be.

    A key that is added again moves to the earlier time, or to the better place. A key added while it is being worked on
    is handed out once more after that, never to two workers at once.
    """

    def __init__(self, *, jitter: random.Random) -> None:
        self._jitter = jitter
        self._line: asyncio.PriorityQueue[tuple[int, int, K]] = asyncio.PriorityQueue()
        self._arrivals = count()
        self._ready: dict[K, int] = {}
        """The place in line of each key that waits; what stands elsewhere in line is void."""
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._working: set[K] = set()
        self._again: dict[K, tuple[float, bool]] = {}
        self._failures: dict[K, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._drained = False
        self.turnover = 0
        """How many keys were handed out or given back so far: it stands still when every worker is stuck."""

    @property
    def depth(self) -> int:
        """How many keys wait for a worker at this moment."""
        return len(self._ready)

    def add(self, key: K, delay: float = 0.0, *, urgent: bool = False) -> None:
        """Make the key due in `delay` seconds, or keep its earlier time.

        :param urgent: once due it overtakes those that wait; a matter of keys without delay
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
        """Let the key stand in line, or move on in it."""
        self._later.pop(key, None)
        arrival = next(self._arrivals)
        place = arrival - HEAD_START if urgent else arrival
        if place < self._ready.get(key, arrival + 1):
            self._ready[key] = place
            self._line.put_nowait((place, arrival, key))

    def discard(self, key: K) -> None:
        """Forget the key: it is not handed out unless it is added again."""
        self._ready.pop(key, None)
        self._again.pop(key, None)
        self._failures.pop(key, None)
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> K:
        """The next due key; it is the caller's until `release`."""
        while True:
            place, _, key = await self._line.get()
            if self._drained:
                await asyncio.get_running_loop().create_future()
            if self._ready.get(key) == place:  # else it was discarded while it waited, or has moved on in line
                del self._ready[key]
                self._working.add(key)
                self._idle.clear()
                self.turnover += 1
                return key

    def release(self, key: K) -> None:
        """The work on the key is over."""
        self._working.discard(key)
        self.turnover += 1
        if not self._working:
            self._idle.set()
        again = self._again.pop(key, None)
        if again is not None:
            due, urgent = again
            self.add(key, due - asyncio.get_running_loop().time(), urgent=urgent)

    async def drain(self, seconds: float) -> bool:
        """Hand out nothing more, and wait that long for what is being worked on; whether it has ended."""
        self._drained = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def retry(self, key: K, limit: float) -> float:
        """Add the key after an exponential back-off with jitter, at most `limit`; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(limit, BACKOFF_FIRST * 2.0 ** min(failures, 16)) * self._jitter.uniform(0.5, 1.0)
        self.add(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """The next failure of the key starts the back-off anew."""
        self._failures.pop(key, None)
