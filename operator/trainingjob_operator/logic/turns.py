"""Who may create next: one line per account and region, first come first served by the object's creation time.

The line holds back what the service has no capacity for, one lane per instance type: after a refusal for capacity the
lane waits, one probe at a time, and goes on one by one as long as they succeed, until nobody waits. Time is an argument
(monotonic seconds); the rate is asked of a budget that is passed in.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")

PROBE_SECONDS = 60.0
"""The longest time between two probes of a lane without capacity."""

FIRST_PROBE_SECONDS = 5.0
"""The first one comes sooner: capacity is often back when the next job has ended."""


@dataclass(slots=True)
class _Lane(Generic[K]):
    waiting: list[tuple[str, str, K]] = field(default_factory=list)  # sorted by (creation time, uid)
    held_until: float | None = None  # None: open
    pause: float = 0.0
    probing: K | None = None

    def relax(self) -> None:
        """There is capacity: who waits goes on at once, but one by one, since it may be for one alone."""
        self.pause = 0.0
        if self.held_until is not None:
            self.held_until = -math.inf if self.waiting else None

    def is_ready(self, now: float) -> bool:
        """Whether its first may go, as far as capacity is concerned."""
        return bool(self.waiting) and self.probing is None and (self.held_until is None or self.held_until <= now)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object stands: `ahead` others come before it; `capacity` names the instance type that is lacking."""

    ahead: int
    capacity: str | None


@dataclass(frozen=True, slots=True)
class Granted(Generic[K]):
    """Who may go now; and who is to ask again, in how many seconds (None: only when something changes)."""

    keys: list[K]
    next: tuple[K, float] | None


class Turns(Generic[K]):
    """The line of one account and region."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[K]] = {}
        self._members: dict[K, tuple[str, str, str]] = {}  # key -> (lane, creation time, uid)
        self._granted: set[K] = set()

    def __len__(self) -> int:
        return len(self._members)

    def join(self, key: K, *, lane: str, created: str, uid: str) -> None:
        """Stand in line; an object whose instance type changed moves to that lane, one that was granted stays so."""
        member = (lane, created, uid)
        if key in self._granted or self._members.get(key) == member:
            return
        self.leave(key)
        self._members[key] = member
        insort(self._lanes.setdefault(lane, _Lane()).waiting, (created, uid, key), key=_order)

    def leave(self, key: K) -> None:
        """Give up the place or the turn."""
        member = self._members.pop(key, None)
        if member is not None:
            waiting = self._lanes[member[0]].waiting
            del waiting[bisect_left(waiting, member[1:], key=_order)]
        self._use(key)
        self._tidy()

    def is_granted(self, key: K) -> bool:
        return key in self._granted

    def is_waiting(self, key: K) -> bool:
        return key in self._members

    def grant(self, now: float, claim: Callable[[], float]) -> Granted[K]:
        """Give turns to as many as the budget allows now; `claim()` takes a token or tells the seconds until one."""
        granted: list[K] = []
        while True:
            ready = [lane for lane in self._lanes.values() if lane.is_ready(now)]
            if not ready:
                return Granted(granted, self._next_probe(now))
            lane = min(ready, key=lambda ready: _order(ready.waiting[0]))
            wait = claim()
            if wait > 0:
                return Granted(granted, (lane.waiting[0][2], wait))
            _, _, key = lane.waiting.pop(0)
            del self._members[key]
            self._granted.add(key)
            granted.append(key)
            if lane.held_until is not None:
                lane.probing = key

    def created(self, key: K, lane: str) -> None:
        """The create was taken: the turn is used, and the next one of the lane may try."""
        self._use(key)
        if lane in self._lanes:
            self._lanes[lane].relax()
            self._tidy()

    def refused_for_capacity(self, key: K, lane: str, now: float) -> None:
        """There is no capacity for this lane: hold it, longer each time, and let the next probe try."""
        held = self._lanes.setdefault(lane, _Lane())
        is_late = held.held_until is not None and held.probing != key
        self._use(key)
        if is_late:
            return  # it was under way when the lane was held: the same news once more
        held.pause = min(PROBE_SECONDS, max(FIRST_PROBE_SECONDS, held.pause * 2))
        held.held_until = now + held.pause

    def place(self, key: K) -> Place | None:
        """Where it stands; None when it does not wait.

        Those of an open lane go whenever their time comes, those of a held one only behind their own kind.
        """
        member = self._members.get(key)
        if member is None:
            return None
        held = self._lanes[member[0]].held_until is not None
        rivals = [self._lanes[member[0]]] if held else list(self._lanes.values())
        ahead = sum(bisect_left(lane.waiting, member[1:], key=_order) for lane in rivals)
        return Place(ahead, capacity=member[0] if held else None)

    def _use(self, key: K) -> None:
        """Its turn is over, and with it the probe, which may be of a lane that the object has left since."""
        self._granted.discard(key)
        for lane in self._lanes.values():
            if lane.probing == key:
                lane.probing = None

    def _next_probe(self, now: float) -> tuple[K, float] | None:
        probes = [
            (lane.held_until, lane.waiting[0][2])
            for lane in self._lanes.values()
            if lane.waiting and lane.held_until is not None and lane.probing is None
        ]
        if not probes:
            return None
        at, key = min(probes, key=lambda probe: probe[0])
        return key, max(0.0, at - now)

    def _tidy(self) -> None:
        """Lanes that nobody waits in and that hold nobody back are forgotten."""
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.waiting or lane.held_until is not None}


def _order(waiting: tuple[str, str, object]) -> tuple[str, str]:
    return waiting[:2]
