"""How many calls may be under way to one place, so that a place that does not answer leaves threads and workers to
the others. A place is an account, a region and an endpoint.

Belongs to the event loop's thread; the calls are gateway.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARE: Final = 8
"""Calls under way to one place; fewer than half of the workers and a quarter of the threads."""
NEWCOMERS: Final = 6
"""Calls under way to all places together that have not answered yet; one of them gets half."""
PROBES: Final = 2
"""Calls under way to all dark places together, one for each at most."""
DARK_AFTER: Final = 3
"""So many calls without an answer in a row make a place dark."""
PROBE_FIRST: Final = 1.0
PROBE_LIMIT: Final = 10.0
"""The first and the longest pause before a dark place is tried again, in seconds."""
IDLE_SECONDS: Final = 600.0
PLACES: Final = 256
"""A place that is not called for so long, or so many others later, is forgotten."""

_SILENCE: Final = frozenset({"ConnectTimeoutError", "ReadTimeoutError", "DeadlineExceeded"})
"""What took its time and brought no answer. What fails at once holds nobody up."""


class Busy(Exception):  # noqa: N818  not a fault
    """So many calls to the place are under way that this one has to come later. Nothing was sent."""


class Place(NamedTuple):
    account: str
    region: str
    endpoint_url: str | None


class Lane:
    """The calls to one place."""

    def __init__(self, place: Place, lanes: Lanes, clock: Callable[[], float]) -> None:
        self._place = place
        self._lanes = lanes
        self._clock = clock
        self.slots = asyncio.Semaphore(SHARE + 1)
        """Bounds the threads, which a call may hold longer than its caller waits."""
        self.under_way = 0
        self.has_answered = False
        self._silent = 0
        self._silent_since = 0.0
        self._last: AwsError | None = None
        self._probe_at = 0.0
        self._probing = False

    @property
    def is_dark(self) -> bool:
        return self._silent >= DARK_AFTER

    @contextlib.contextmanager
    def entered(self, operation: str) -> Iterator[None]:
        """A call under way; raises Busy, or AwsError where the place is dark. Raise in it what the call ends with."""
        if self.is_dark:
            with self._probe(operation):
                yield
            return
        # the sweep is one call for all jobs: it never waits for those of single ones
        share = SHARE + (operation == "ListTrainingJobs")
        if self.under_way >= share or not (self.has_answered or self._lanes.has_room_for(self)):
            raise Busy
        with self._counted(operation):
            yield

    @contextlib.contextmanager
    def _probe(self, operation: str) -> Iterator[None]:
        now = self._clock()
        if self._probing or now < self._probe_at or self._lanes.probes >= PROBES:
            raise self._explain(operation, now)
        self._probing = True
        self._lanes.probes += 1
        try:
            with self._counted(operation):
                yield
        finally:
            self._probing = False
            self._lanes.probes -= 1

    @contextlib.contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        self.under_way += 1
        try:
            yield
        except AwsError as error:
            if error.operation == operation:
                self._note(error)
            raise
        else:
            self._note(None)
        finally:
            self.under_way -= 1

    def _note(self, error: AwsError | None) -> None:
        if error is None or error.answered:
            self.has_answered = True
            self._silent = 0
            return
        if error.code not in _SILENCE:
            return
        now = self._clock()
        if self._silent == 0:
            self._silent_since = now
        self._silent += 1
        self._last = error
        doublings = min(max(0, self._silent - DARK_AFTER), 16)
        self._probe_at = now + min(PROBE_LIMIT, PROBE_FIRST * 2.0**doublings)

    def _explain(self, operation: str, now: float) -> AwsError:
        where = f"The endpoint {self._place.endpoint_url}" if self._place.endpoint_url else "SageMaker"
        said = "" if self._last is None else f" Last: {self._last}"
        message = (
            f"{where} in region {self._place.region} has not answered for {now - self._silent_since:.0f} s. It is "
            f"tried again every {PROBE_LIMIT:.0f} s.{said}"
        )
        code = "NotAnswering"
        return AwsError(operation, code, message, ErrorClass.RETRY, definite=True, answered=False)


class Lanes:
    """The lanes of all places."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: Recent[Place, Lane] = Recent(
            limit=PLACES, seconds=IDLE_SECONDS, clock=clock, is_busy=lambda lane: lane.under_way > 0
        )
        self.probes = 0

    def __len__(self) -> int:
        return len(self._lanes)

    def of(self, place: Place) -> Lane:
        """The lane of that place, made at the first question."""
        lane = self._lanes.get(place)
        if lane is None:
            lane = Lane(place, self, self._clock)
            self._lanes.put(place, lane)
        return lane

    def has_room_for(self, newcomer: Lane) -> bool:
        """Whether a place that has not answered yet may have one more call under way."""
        held = sum(lane.under_way for lane in self._lanes if not (lane.has_answered or lane.is_dark))
        return held < NEWCOMERS and newcomer.under_way < NEWCOMERS // 2
