"""Limits of concurrent calls per place: places without answers leave threads and workers to the others.

A place is an account, a region and an endpoint. It is trusted while its last call was answered. A call without room
raises Busy, except at a place with frequent answers: there it waits for the next one. Belongs to the event loop's
thread; gateway.py sends the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.operations import LIST_JOBS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOM: Final = 16
"""Maximum number of the workers' calls in flight to all places together; one worker in five stays free.

A place may have as many as it leaves free for the others: one alone gets half, each of n an (n + 1)th.
"""
SWEEPS: Final = 12
"""Maximum number of ListTrainingJobs calls in flight to all places together; no worker waits for them."""
LONG_SECONDS: Final = 3.0
"""Minimum duration of a call that may be ended for a place without any call."""
WAIT_SECONDS: Final = 0.5
"""Maximum wait of a call for room; only for a place with an answer within this time."""
PAUSE: Final = 1.0
LONG_PAUSE: Final = 5.0
"""Longest pause in seconds of a call without room, to a trusted place and to another."""
THREADS_OF_ONE: Final = 4
THREADS_LEFT: Final = 16
"""Maximum number of threads of one untrusted place, and of all ended calls before untrusted places get no more: the
resolution of a host name can't be interrupted.
"""
DARK_AFTER: Final = 3
"""Number of consecutive calls without an answer that make a place dark."""
PROBE_FIRST: Final = 1.0
PROBE_LIMIT: Final = 10.0
"""First and longest pause between the probes of a dark place, in seconds."""
IDLE_SECONDS: Final = 600.0
PLACES: Final = 256
"""Bounds of the cache of places."""

_SILENCE: Final = frozenset({"ConnectTimeoutError", "ReadTimeoutError", "DeadlineExceeded"})
"""Errors after a long wait without an answer. Immediate failures delay nobody."""


class Busy(Exception):  # noqa: N818  not a fault
    """Too many calls to the place are in flight. Nothing was sent."""

    def __init__(self, seconds: float) -> None:
        """:param seconds: the longest pause before the next attempt"""
        super().__init__("too many calls are in flight")
        self.seconds = seconds


class Place(NamedTuple):
    account: str
    region: str
    endpoint_url: str | None


@dataclass(slots=True, eq=False)
class UnderWay:
    """A call in flight; `since` is the time of its admission."""

    lane: Lane
    since: float
    is_sweep: bool
    limit: asyncio.Timeout

    def end(self) -> None:
        """End the call early, as its deadline would."""
        with contextlib.suppress(RuntimeError):  # the deadline has passed
            self.limit.reschedule(0.0)


class Lane:
    """The calls to one place. As the slots of calls.py it counts their threads without any wait."""

    def __init__(self, place: Place, lanes: Lanes, clock: Callable[[], float]) -> None:
        self._place = place
        self._lanes = lanes
        self._clock = clock
        self.threads = 0
        """A call may hold its thread beyond its deadline."""
        self._waiting: deque[tuple[UnderWay, asyncio.Future[None]]] = deque()
        """Calls waiting for room; the future of an admitted call is done."""
        self._answer_seconds = math.inf
        """Duration of the last answered call."""
        self._answered_at = -math.inf
        self._has_answered = False
        self._silent = 0
        self._silent_since = 0.0
        self._last: AwsError | None = None
        self._probe_at = 0.0

    @property
    def is_trusted(self) -> bool:
        return self._has_answered and self._silent == 0

    @property
    def is_new(self) -> bool:
        """No call has ended yet."""
        return not self._has_answered and self._silent == 0

    @property
    def is_dark(self) -> bool:
        return self._silent >= DARK_AFTER

    async def acquire(self) -> None:
        """Count one thread."""
        self.threads += 1

    def release(self) -> None:
        """Discount one thread."""
        self.threads -= 1

    @contextlib.asynccontextmanager
    async def entered(self, operation: str, limit: asyncio.Timeout) -> AsyncIterator[None]:
        """Admit one call; raises Busy, or AwsError for a dark place. An error of the call must pass through.

        :param limit: deadline of the call; it expires early if another place needs the room
        """
        call = UnderWay(self, self._clock(), operation == LIST_JOBS, limit)
        is_due = not self.is_dark or call.since >= self._probe_at
        if not (is_due and self._lanes.admit(call)):
            if self.is_dark:
                raise self._explain(operation, call.since)
            if not await self._wait(call):
                raise Busy(PAUSE if self.is_trusted else LONG_PAUSE)
        try:
            yield
        except AwsError as error:
            if error.operation == operation:
                self._note(error, call)
            raise
        else:
            self._note(None, call)
        finally:
            self._lanes.leave(call)
            self._admit_waiting()

    async def _wait(self, call: UnderWay) -> bool:
        """Wait for room if an answer is expected in time; returns True for an admitted call."""
        now = self._clock()
        ahead = self._answer_seconds * (len(self._waiting) + 1) / max(1, self._lanes.count(self))
        if call.is_sweep or not self.is_trusted or now - self._answered_at > WAIT_SECONDS or ahead > WAIT_SECONDS:
            return False
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append((call, admitted))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await admitted
        except TimeoutError:
            return admitted.done() and not admitted.cancelled()
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self._lanes.leave(call)
                self._admit_waiting()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove((call, admitted))
        return True

    def _admit_waiting(self) -> None:
        while self._waiting:
            call, admitted = self._waiting[0]
            call.since = self._clock()
            if not admitted.cancelled() and not self._lanes.admit(call):
                return
            self._waiting.popleft()
            if not admitted.cancelled():
                admitted.set_result(None)

    def _note(self, error: AwsError | None, call: UnderWay) -> None:
        if error is None or error.answered:
            self._has_answered = True
            self._silent = 0
            self._answered_at = self._clock()
            self._answer_seconds = self._answered_at - call.since
            return
        if error.code not in _SILENCE:
            return
        now = self._clock()
        if self._silent == 0:
            self._silent_since = now
        self._silent += 1
        self._last = error
        self._probe_at = now + Backoff(PROBE_FIRST, PROBE_LIMIT).after(self._silent - DARK_AFTER + 1)

    def _explain(self, operation: str, now: float) -> AwsError:
        where = f"The endpoint {self._place.endpoint_url}" if self._place.endpoint_url else "SageMaker"
        last = "" if self._last is None else f" Last: {self._last}"
        message = (
            f"{where} in region {self._place.region} has not answered for {now - self._silent_since:.0f} s. It is "
            f"tried again every {PROBE_LIMIT:.0f} s.{last}"
        )
        code = "NotAnswering"
        return AwsError(operation, code, message, ErrorClass.RETRY, definite=True, answered=False)


class Lanes:
    """The lanes of all places."""

    def __init__(self, clock: Callable[[], float], *, workers: int) -> None:
        """:param workers: number of workers that make calls, besides the sweeps"""
        self._clock = clock
        self._lanes: Recent[Place, Lane] = Recent(
            limit=PLACES, seconds=IDLE_SECONDS, clock=clock, is_busy=lambda lane: lane.threads > 0
        )
        self._calls: list[UnderWay] = []
        self._room = max(1, min(ROOM, workers * 4 // 5))

    def __len__(self) -> int:
        return len(self._lanes)

    def of(self, place: Place) -> Lane:
        """Return the lane of that place."""
        lane = self._lanes.get(place)
        if lane is None:
            lane = Lane(place, self, self._clock)
            self._lanes.put(place, lane)
        return lane

    def admit(self, call: UnderWay) -> bool:
        """Admit the call if there is room, or if the end of another call makes room."""
        admitted = self._has_room_for(call)
        if admitted:
            self._calls.append(call)
        return admitted

    def count(self, lane: Lane) -> int:
        """Return the number of calls in flight to that place."""
        return sum(one.lane is lane for one in self._calls)

    def leave(self, call: UnderWay) -> None:
        """Discount an ended call."""
        if call in self._calls:  # else it was ended early
            self._calls.remove(call)

    def _has_room_for(self, call: UnderWay) -> bool:
        lane, room = call.lane, SWEEPS if call.is_sweep else self._room
        held = [one for one in self._calls if one.is_sweep is call.is_sweep]
        own = sum(one.lane is lane for one in held)
        if not lane.is_trusted:
            # Untrusted places get three eighths together, one of them half of that, a dark one a single call.
            most = max(1, room * 3 // 8)
            if own >= (1 if lane.is_dark else max(1, most // 2)) or self._lacks_threads(lane):
                return False
            untrusted = [one for one in held if not one.lane.is_trusted]
            if len(untrusted) >= most:
                return own == 0 and self._end_one(untrusted)
        if own < room - len(held):
            return True
        return own == 0 and (lane.is_trusted or lane.is_new) and self._end_one(held)

    def _lacks_threads(self, lane: Lane) -> bool:
        left = sum(one.threads for one in self._lanes) - len(self._calls)
        return lane.threads >= THREADS_OF_ONE or left >= THREADS_LEFT

    def _end_one(self, calls: list[UnderWay]) -> bool:
        """End a long call, first of an untrusted place, then of the place with most; False without one."""
        latest = self._clock() - LONG_SECONDS
        counts = Counter(one.lane for one in calls)
        long = [one for one in calls if one.since <= latest]
        if not long:
            return False
        ended = max(long, key=lambda one: (not one.lane.is_trusted, counts[one.lane], -one.since))
        self._calls.remove(ended)
        ended.end()
        return True
