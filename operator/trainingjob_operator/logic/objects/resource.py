"""Validated view of a TrainingJob object from the API server.

Under ACK's looser CRD, or with a foreign status, any value may be missing or invalid: an unreadable value counts as
absent. Not here: annotations with settings (annotations.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, Identity, parse_arn, parse_pending
from trainingjob_operator.logic.objects.attempts import FIELD, Attempt, read_attempts

Key = tuple[str, str]
"""(namespace, name)"""


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True)
class Resource:
    """One object: its metadata, spec and status as plain mappings (no slots: parsed fields are cached)."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: str
    deleting: bool
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    status: Mapping[str, Any]

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Resource":
        metadata = mapping(body.get("metadata"))
        generation = metadata.get("generation")
        finalizers = metadata.get("finalizers")
        return cls(
            namespace=str(metadata.get("namespace", "")),
            name=str(metadata.get("name", "")),
            uid=str(metadata.get("uid", "")),
            resource_version=str(metadata.get("resourceVersion", "")),
            generation=generation if isinstance(generation, int) else 0,
            created=str(metadata.get("creationTimestamp", "")),
            deleting=bool(metadata.get("deletionTimestamp")),
            finalizers=tuple(finalizers) if isinstance(finalizers, list) else (),
            annotations=mapping(metadata.get("annotations")),
            labels=mapping(metadata.get("labels")),
            spec=mapping(body.get("spec")),
            status=mapping(body.get("status")),
        )

    @cached_property
    def key(self) -> Key:
        return self.namespace, self.name

    def age_at(self, now: datetime) -> float:
        """Return the seconds since the object's creation; 0.0 if its time is unreadable."""
        try:
            return max(0.0, (now - datetime.fromisoformat(self.created)).total_seconds())
        except ValueError:
            return 0.0

    @property
    def writable_state(self) -> tuple[int, int]:
        """Changes with spec and annotations, either a possible cause of a refused metadata write."""
        return self.generation, hash(frozenset(self.annotations.items()))

    @cached_property
    def holds_finalizer(self) -> bool:
        return FINALIZER in self.finalizers

    @cached_property
    def pending(self) -> Identity | None:
        """The identity of a Create possibly in flight."""
        return None if self.holds_closed_intent else parse_pending(self.annotations.get(CREATE_PENDING))

    @cached_property
    def holds_closed_intent(self) -> bool:
        """The recorded intent is that of an attempt that has ended and been left."""
        intent = parse_pending(self.annotations.get(CREATE_PENDING)) if self.attempts else None
        closed = (attempt for attempt in self.attempts if attempt.is_ended and attempt.arn != self.arn)
        return intent is not None and any(attempt.is_job(intent) for attempt in closed)

    @cached_property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts listed in the status, in order."""
        return read_attempts(self.status.get(FIELD))

    @cached_property
    def arn(self) -> str | None:
        """The recorded ARN; None for any value except a training job's ARN."""
        arn = string(mapping(self.status.get("ackResourceMetadata")).get("arn"))
        return arn if parse_arn(arn) is not None else None

    @cached_property
    def recorded(self) -> Identity | None:
        """The job of the recorded ARN, in the user's spelling if it is the same name."""
        identity = parse_arn(self.arn)
        if identity is None:
            return None
        for spelled in (string(self.spec.get("trainingJobName")), self.recorded_job_name):
            if spelled is not None and spelled.lower() == identity.job_name:
                return Identity(identity.account, identity.region, spelled)
        return identity

    @property
    def recorded_job_name(self) -> str | None:
        """The job's name at creation, independent of the current spec."""
        return string(self.status.get("trainingJobName"))

    @property
    def instance_type(self) -> str | None:
        """The requested instance type; the first of several."""
        resources = mapping(self.spec.get("resourceConfig"))
        lists = (resources.get(name) for name in ("instanceGroups", "instancePreferences"))
        firsts = (mapping(items[0]) for items in lists if isinstance(items, list) and items)
        return next((kind for part in (resources, *firsts) if (kind := string(part.get("instanceType")))), None)

    @property
    def ran(self) -> Identity | None:
        """The ended job recorded in the annotation, with its lower-case name."""
        return parse_arn(self.annotations.get(JOB_ARN))

    @cached_property
    def observed_generation(self) -> int | None:
        value = self.status.get("observedGeneration")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @cached_property
    def _conditions(self) -> Mapping[object, Mapping[str, Any]]:
        """The conditions by type; of several with one type the first."""
        listed = self.status.get("conditions")
        conditions = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
        return {str(each.get("type")): each for each in reversed(conditions)}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the condition of that type, or an empty mapping."""
        return self._conditions.get(kind, {})

    def has_condition(self, kind: str) -> bool:
        return self.condition(kind).get("status") == "True"

    def recorded_names(self, field: str) -> tuple[str, ...]:
        """Return a list of names in the status: appliedTagKeys, appliedFields."""
        names = self.status.get(field)
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    def user_tags(self) -> tuple[tuple[str, str], ...]:
        """Return (key, value) of spec.tags in order, without unreadable ones."""
        tags = self.spec.get("tags")
        return tuple(
            (tag["key"], str(tag.get("value", "")))
            for tag in (tags if isinstance(tags, list) else ())
            if isinstance(tag, Mapping) and string(tag.get("key"))
        )
