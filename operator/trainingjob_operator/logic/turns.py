"""Who may create next: one line per account and region, first come first served by the object's creation time.

The line holds back what the service has no capacity for, one lane per instance type: after a refusal for capacity the
lane waits, one probe at a time, and opens as soon as a probe succeeds. Time is an argument (monotonic seconds); the
rate is asked of a budget that is passed in.
"""

import heapq
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
    waiting: list[tuple[str, str, K]] = field(default_factory=list)  # heap by (creation time, uid)
    held_until: float | None = None  # None: open
    pause: float = 0.0
    probing: K | None = None

    def open(self) -> None:
        self.held_until, self.pause, self.probing = None, 0.0, None


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
        heapq.heappush(self._lanes.setdefault(lane, _Lane()).waiting, (created, uid, key))

    def leave(self, key: K) -> None:
        """Give up the place or the turn."""
        member = self._members.pop(key, None)
        if member is not None:
            self._tidy(member[0])
        self._use(key)

    def is_granted(self, key: K) -> bool:
        return key in self._granted

    def is_waiting(self, key: K) -> bool:
        return key in self._members

    def grant(self, now: float, claim: Callable[[], float]) -> Granted[K]:
        """Give turns to as many as the budget allows now; `claim()` takes a token or tells the seconds until one."""
        granted: list[K] = []
        while True:
            name = self._next_lane(now)
            if name is None:
                return Granted(granted, self._next_probe(now))
            lane = self._lanes[name]
            wait = claim()
            if wait > 0:
                return Granted(granted, (lane.waiting[0][2], wait))
            _, _, key = heapq.heappop(lane.waiting)
            del self._members[key]
            self._granted.add(key)
            granted.append(key)
            if lane.held_until is not None:
                lane.probing = key

    def created(self, key: K, lane: str) -> None:
        """The create was taken: the turn is used, and the lane is open again."""
        self._use(key)
        if lane in self._lanes:
            self._lanes[lane].open()
            self._tidy(lane)

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
        """How many of all lanes come before it; None when it does not wait."""
        member = self._members.get(key)
        if member is None:
            return None
        lane, created, uid = member
        held = self._lanes[lane].held_until is not None
        # Those of an open lane go whenever their time comes; those of a held one only behind their own kind.
        rivals = (m for m in self._members.values() if not held or m[0] == lane)
        return Place(ahead=sum(m[1:] < (created, uid) for m in rivals), capacity=lane if held else None)

    def _use(self, key: K) -> None:
        """Its turn is over, and with it the probe, which may be of a lane that the object has left since."""
        self._granted.discard(key)
        for lane in self._lanes.values():
            if lane.probing == key:
                lane.probing = None

    def _next_lane(self, now: float) -> str | None:
        best: tuple[tuple[str, str], str] | None = None
        for name, lane in self._lanes.items():
            while lane.waiting and self._members.get(lane.waiting[0][2]) != (name, *lane.waiting[0][:2]):
                heapq.heappop(lane.waiting)  # it left or moved
            if not lane.waiting or lane.probing is not None:
                continue
            if lane.held_until is not None and lane.held_until > now:
                continue
            order = lane.waiting[0][:2]
            if best is None or order < best[0]:
                best = (order, name)
        return None if best is None else best[1]

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

    def _tidy(self, name: str) -> None:
        lane = self._lanes[name]
        if not lane.waiting and lane.held_until is None:
            del self._lanes[name]
