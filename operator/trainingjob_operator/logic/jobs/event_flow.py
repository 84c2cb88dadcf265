"""Reliability of EventBridge events per account and region: with reliable events the sweep may slow down.

The first event with news marks the events as flowing; a change found by the sweep and not reported by an event revokes
that. `now` is monotonic seconds.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Location, Slot

GRACE_SECONDS = 10.0
"""Maximum delay of an event behind the sweep."""

DISTRUST_SECONDS = 600.0
"""Time without reliance on events after a missing one."""


@dataclass(slots=True)
class EventFlow:
    """Recent findings of events and sweeps, in all places."""

    _flowing: set[Location] = field(default_factory=set)
    _distrusted_until: dict[Location, float] = field(default_factory=dict)
    _found: dict[Slot, tuple[Observation, float]] = field(default_factory=dict)
    """Changes found by a sweep without an event so far, each with the deadline for its event."""

    def is_flowing(self, place: Location, now: float) -> bool:
        """Return True if events are expected to report the changes of jobs there."""
        overdue = [slot for slot, (_, until) in self._found.items() if slot[:2] == place and now >= until]
        if overdue:
            self._distrusted_until[place] = now + DISTRUST_SECONDS
            self._forget(place)
        return place in self._flowing

    def note_event(self, slot: Slot, seen: Observation, now: float, *, is_news: bool) -> None:
        """Record an event; `is_news` is True if the change was unknown before."""
        found = self._found.get(slot)
        if found is not None and not found[0].is_newer_than(seen):
            del self._found[slot]
        if is_news and now >= self._distrusted_until.get(slot[:2], now):
            self._flowing.add(slot[:2])

    def note_found(self, slot: Slot, seen: Observation, now: float) -> None:
        """Record a change found by a sweep before any event."""
        if slot[:2] in self._flowing:
            self._found.setdefault(slot, (seen, now + GRACE_SECONDS))

    def note_failure(self) -> None:
        """Record a failure to receive events."""
        self._flowing.clear()
        self._found.clear()

    def keep(self, places: AbstractSet[Location]) -> None:
        """Delete the state of all other places: no object uses them."""
        self._flowing &= places
        for place in self._distrusted_until.keys() - places:
            del self._distrusted_until[place]
        for slot in [slot for slot in self._found if slot[:2] not in places]:
            del self._found[slot]

    def _forget(self, place: Location) -> None:
        self._flowing.discard(place)
        self._found = {slot: found for slot, found in self._found.items() if slot[:2] != place}
