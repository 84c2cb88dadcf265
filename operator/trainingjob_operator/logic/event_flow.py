"""Whether events tell of the jobs of an account and region, so that their sweep may take its time.

One event that told something first shows that they flow; one change that the sweep found and no event told of shows
that they do not. `now` is monotonic seconds.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from trainingjob_operator.logic.naming import Location, Slot
from trainingjob_operator.logic.observation import Observation

GRACE_SECONDS = 10.0
"""An event may come that much later than the sweep saw the same."""

DISTRUST_SECONDS = 600.0
"""How long events are not relied on after one was missing."""


@dataclass(slots=True)
class EventFlow:
    """What events and sweeps have told lately, of all places."""

    _flowing: set[Location] = field(default_factory=set)
    _distrusted_until: dict[Location, float] = field(default_factory=dict)
    _found: dict[Slot, tuple[Observation, float]] = field(default_factory=dict)
    """What a sweep has found and no event has told yet, and until when one may."""

    def is_flowing(self, place: Location, now: float) -> bool:
        """Whether changes of jobs there are expected to be told by events."""
        overdue = [slot for slot, (_, until) in self._found.items() if slot[:2] == place and now >= until]
        if overdue:
            self._distrusted_until[place] = now + DISTRUST_SECONDS
            self._forget(place)
        return place in self._flowing

    def note_event(self, slot: Slot, told: Observation, now: float, *, is_news: bool) -> None:
        """An event has told this of a job; `is_news` when nothing else had before."""
        found = self._found.get(slot)
        if found is not None and not found[0].is_newer_than(told):
            del self._found[slot]
        if is_news and now >= self._distrusted_until.get(slot[:2], now):
            self._flowing.add(slot[:2])

    def note_found(self, slot: Slot, told: Observation, now: float) -> None:
        """A sweep has found that a job went on, of which no event had told."""
        if slot[:2] in self._flowing:
            self._found.setdefault(slot, (told, now + GRACE_SECONDS))

    def note_failure(self) -> None:
        """Events can't be received at all."""
        self._flowing.clear()
        self._found.clear()

    def keep(self, places: AbstractSet[Location]) -> None:
        """Delete what is known of all other places: no object names them any more."""
        self._flowing &= places
        for place in self._distrusted_until.keys() - places:
            del self._distrusted_until[place]
        for slot in [slot for slot in self._found if slot[:2] not in places]:
            del self._found[slot]

    def _forget(self, place: Location) -> None:
        self._flowing.discard(place)
        self._found = {slot: found for slot, found in self._found.items() if slot[:2] != place}
