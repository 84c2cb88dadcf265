"""Calls denied to several objects: one object, the probe, retries for all that are denied the same call."""

from trainingjob_operator.logic.naming import Location
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.logic.state.outcomes import Woken
from trainingjob_operator.object_store import StoredObject
from trainingjob_operator.runtime import Runtime


class Denials:
    """The probe of each denied operation, per account and region."""

    def __init__(self, runtime: Runtime) -> None:
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._clocks = runtime.clocks
        self._probes: dict[tuple[str, str, str], Key] = {}
        """By account, region and operation.

        Each probe is an existing object, without an entry of another account or region.
        """

    def is_probe(self, operation: str, tracked: StoredObject, location: Location) -> bool:
        """Return True for the first object denied the call, while it is denied."""
        if self._jobs.get(tracked.key) is not tracked:
            return False  # deleted during the call
        probe = self._probes.get((*location, operation))
        other = None if probe is None else self._jobs.get(probe)
        if other is None or not other.memory.job.is_denied(operation):
            self._drop(tracked.key, but_in=location)
            self._probes[*location, operation] = probe = tracked.key
        return probe == tracked.key

    def lift(self, operation: str, location: Location) -> None:
        """Retry the call at once for all objects denied it: one of them succeeded."""
        self._probes.pop((*location, operation), None)
        now = self._clocks.monotonic()
        for tracked in self._jobs.in_region(*location):
            if tracked.memory.job.may_wake(operation, now):
                tracked.note(Woken(operation, now))
                self._queue.add(tracked.key)

    def forget(self, key: Key) -> None:
        """Forget a deleted object: it retries for no others."""
        self._drop(key)

    def _drop(self, key: Key, *, but_in: Location | None = None) -> None:
        for place in [place for place, probe in self._probes.items() if probe == key and place[:2] != but_in]:
            del self._probes[place]
