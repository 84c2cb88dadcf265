"""All objects and the jobs that they claim: input of the reconciler and of the sweep.

Of each object the store keeps compressed JSON, without the field managers that make up half of it.
"""

import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity, Location, Slot
from trainingjob_operator.logic.objects.resource import Key, Resource, mapping
from trainingjob_operator.logic.objects.validation import check_request
from trainingjob_operator.logic.reasons import PENDING
from trainingjob_operator.logic.state.memory import Memory, Outcome
from trainingjob_operator.logic.state.ownership import read_standing
from trainingjob_operator.logic.timestamps import parse_time


@dataclass(frozen=True, slots=True)
class Live:
    """A running job of an object, watched by the sweep."""

    target: Target
    identity: Identity
    seen: Observation
    """The part that a list shows, as last reported."""


@dataclass(slots=True)
class StoredObject:
    """One object: its newest known state and the memory of this process."""

    key: Key
    uid: str
    version: int
    packed: bytes
    memory: Memory
    live: Live | None = None
    slot: Slot | None = None
    is_owner: bool = False
    """The object claims the job against other objects."""
    is_judged: bool = False
    """Slot and claim are from a reconcile of this term, not from the status alone."""
    phase: str = ""
    """status.phase, or trainingJobStatus under ACK's CRD."""
    modified: datetime | None = None
    """lastModifiedTime in the status, by the service's clock."""
    checked: tuple[int, Finding | None] | None = None
    """Generation of the spec checked last, and the reason why it makes no valid request."""
    foreign_writes: frozenset[tuple[str, str]] = frozenset()
    """The other field managers of the status, each with the time of its last write by the API server."""

    @property
    def seen(self) -> Observation | None:
        """The last observation of a live job, reported or not."""
        return None if self.live is None else self.memory.job.observation or self.live.seen

    def check(self, resource: Resource) -> Finding | None:
        """Return the reason why the spec makes no valid request, if any; checked once per generation."""
        if self.checked is None or self.checked[0] != resource.generation:
            self.checked = (resource.generation, check_request(resource.spec))
        return self.checked[1]

    def note(self, outcome: Outcome) -> None:
        """Replace the memory by that after an outcome."""
        self.memory = self.memory.after(outcome)

    def resource(self) -> Resource:
        return Resource.from_body(json.loads(zlib.decompress(self.packed)))


class ObjectStore:
    """All objects by key, the claims on each job, and the jobs that are live."""

    def __init__(self, own_manager: str) -> None:
        """:param own_manager: this operator's name in metadata.managedFields"""
        self._own_manager = own_manager
        self._objects: dict[Key, StoredObject] = {}
        self._claims: dict[Location, dict[str, set[Key]]] = {}
        """The objects that name a job, by its account and region, then by its name."""
        self._live: dict[Target, dict[str, set[Key]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[StoredObject]:
        return iter(self._objects.values())

    def get(self, key: Key) -> StoredObject | None:
        return self._objects.get(key)

    def versions(self) -> dict[Key, int]:
        """Return the known version of each object: a read sent from now on returns no older one."""
        return {tracked.key: tracked.version for tracked in self}

    def see(self, body: Mapping[str, Any], now: float, *, known_before: int = 0) -> StoredObject | None:
        """Store an object from the API server; None if a newer state is known already.

        :param known_before: the known version at the time of the request. An older answer shows that the API server was
            restored from a backup; the memory of such an object is discarded.
        """
        metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        key = (metadata["namespace"], metadata["name"])
        version = _comparable(metadata.get("resourceVersion"))
        tracked = self._objects.get(key)
        is_restored = tracked is not None and version < tracked.version == known_before
        if tracked is not None and tracked.version >= version and not is_restored:
            return None
        kept = {"metadata": metadata, "spec": body.get("spec"), "status": body.get("status")}
        written = _find_foreign_writes(body["metadata"], self._own_manager)
        packed = zlib.compress(json.dumps(kept, separators=(",", ":")).encode(), level=1)
        if tracked is None or tracked.uid != metadata["uid"] or is_restored:
            if tracked is not None:
                self.forget(key, tracked.uid)
            tracked = StoredObject(key, metadata["uid"], version, packed, Memory(first_seen=now))
            self._objects[key] = tracked
        else:
            tracked.version, tracked.packed = version, packed
            for manager, _ in sorted(written - tracked.foreign_writes):
                tracked.memory = tracked.memory.after_foreign_write(manager, now)
        tracked.foreign_writes = written
        status = mapping(body.get("status"))
        tracked.phase = _read_phase(status)
        tracked.modified = parse_time(status.get("lastModifiedTime"))
        if not tracked.is_judged:
            self._presume(tracked, Resource.from_body(kept))
        return tracked

    def see_answer(self, body: Mapping[str, Any], now: float, *, known_before: int = 0) -> None:
        """Store the answer to a read or write of one object, unless the object was deleted meanwhile."""
        if (body["metadata"]["namespace"], body["metadata"]["name"]) in self._objects:
            self.see(body, now, known_before=known_before)

    def _presume(self, tracked: StoredObject, resource: Resource) -> None:
        """Set the claim from the status: an adoption must find an owner not reconciled yet."""
        slot, is_owner = read_standing(resource)
        self._set_claim(tracked, slot, is_owner=is_owner)

    def begin_term(self) -> None:
        """Reset all claims to those of the statuses, since another replica may have led."""
        for tracked in self:
            if tracked.is_judged:
                tracked.is_judged = False
                self._presume(tracked, tracked.resource())

    def forget(self, key: Key, uid: str) -> bool:
        """Remove a deleted object; False if another object, or none, has the name."""
        tracked = self._objects.get(key)
        if tracked is None or tracked.uid != uid:
            return False
        self.watch(tracked, None)
        self.claim(tracked, None, is_owner=False)
        del self._objects[key]
        return True

    def claim(self, tracked: StoredObject, slot: Slot | None, *, is_owner: bool) -> None:
        """Set the job named by the object, from a reconcile."""
        tracked.is_judged = True
        self._set_claim(tracked, slot, is_owner=is_owner)

    def _set_claim(self, tracked: StoredObject, slot: Slot | None, *, is_owner: bool) -> None:
        if tracked.slot is not None and tracked.slot != slot:
            place, name = tracked.slot[:2], tracked.slot[2]
            names = self._claims[place]
            names[name].discard(tracked.key)
            if not names[name]:
                del names[name]
            if not names:
                del self._claims[place]
        if slot is not None:
            self._claims.setdefault(slot[:2], {}).setdefault(slot[2], set()).add(tracked.key)
        tracked.slot, tracked.is_owner = slot, is_owner

    def find_rival(self, key: Key, slot: Slot) -> Key | None:
        """Return another object with a claim on that job."""
        return next((rival.key for rival in self.claimants(slot) if rival.is_owner and rival.key != key), None)

    def claimants(self, slot: Slot) -> list[StoredObject]:
        """Return the objects that name that job."""
        return [self._objects[key] for key in self._claims.get(slot[:2], {}).get(slot[2], ())]

    def places(self) -> AbstractSet[Location]:
        """Return all accounts and regions named by objects."""
        return self._claims.keys()

    def last_modified(self, account: str, region: str) -> datetime | None:
        """Return the newest lastModifiedTime in a status there, by the clock of the service."""
        shown = (tracked.modified for tracked in self.in_region(account, region))
        return max((modified for modified in shown if modified is not None), default=None)

    def in_region(self, account: str, region: str) -> Iterator[StoredObject]:
        """Return the objects with a present or future job there."""
        names = self._claims.get((account, region), {})
        return (self._objects[key] for keys in names.values() for key in keys)

    def watch(self, tracked: StoredObject, live: Live | None) -> None:
        """Set or clear the job that the sweep watches for the object."""
        old = tracked.live
        if old is not None and (live is None or (old.target, old.identity) != (live.target, live.identity)):
            jobs = self._live[old.target]
            jobs[old.identity.job_name.lower()].discard(tracked.key)
            if not jobs[old.identity.job_name.lower()]:
                del jobs[old.identity.job_name.lower()]
            if not jobs:
                del self._live[old.target]
        if live is not None:
            self._live.setdefault(live.target, {}).setdefault(live.identity.job_name.lower(), set()).add(tracked.key)
        tracked.live = live

    def live_targets(self) -> list[Target]:
        return list(self._live)

    def live_jobs(self, target: Target) -> Mapping[str, set[Key]]:
        """Return the objects by job name in lower case."""
        return self._live.get(target, {})

    def last_seen(self, target: Target) -> Mapping[str, Observation]:
        """Return a live view: the last observation of each live job, by its name in lower case."""
        return _LastSeen(self, target)


class _LastSeen(Mapping[str, Observation]):
    """No copy: thousands of jobs are live, and a page of a list needs a hundred."""

    def __init__(self, jobs: ObjectStore, target: Target) -> None:
        self._jobs = jobs
        self._target = target

    def __getitem__(self, name: str) -> Observation:
        for key in self._jobs.live_jobs(self._target)[name]:
            tracked = self._jobs.get(key)
            if tracked is not None and tracked.seen is not None:
                return tracked.seen
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs.live_jobs(self._target))

    def __len__(self) -> int:
        return len(self._jobs.live_jobs(self._target))


def _read_phase(status: Mapping[str, Any]) -> str:
    phase = status.get("phase") or status.get("trainingJobStatus")
    return sys.intern(phase) if isinstance(phase, str) else PENDING  # thousands of objects have a few phases


def _comparable(resource_version: object) -> int:
    """Versions of one kind compare as numbers: promised since Kubernetes 1.35, and always true with etcd."""
    return int(resource_version) if isinstance(resource_version, str) and resource_version.isdigit() else 0


def _find_foreign_writes(metadata: Mapping[str, Any], own_manager: str) -> frozenset[tuple[str, str]]:
    """Return the last status write of each other field manager that still owns a part of it."""
    return frozenset(
        (str(entry.get("manager", "")), str(entry.get("time", "")))
        for entry in metadata.get("managedFields") or ()
        if entry.get("subresource") == "status" and entry.get("manager") != own_manager
    )
