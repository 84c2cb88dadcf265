"""Everything that one decision rests on: the object, what is asked of it, and what is known of its job."""

from dataclasses import dataclass
from datetime import datetime

from trainingjob_operator.logic.annotations import Policy
from trainingjob_operator.logic.conditions import ADOPTED
from trainingjob_operator.logic.memory import Memory
from trainingjob_operator.logic.naming import Identity, is_job_name, parse_arn
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Resource
from trainingjob_operator.logic.turns import Place


@dataclass(frozen=True, slots=True)
class View:
    """Everything that one decision rests on."""

    resource: Resource
    policy: Policy
    memory: Memory
    now: float
    """Monotonic seconds."""
    wall: datetime
    """Only for what the service's own times are compared with."""
    partition: str
    own_turn: bool = False
    """The object has been given its turn to create."""
    place: Place | None = None
    """Where it stands in the line; None while it does not."""
    rival: str | None = None
    """Another object, `namespace/name`, that has proof of owning the job of this name."""
    request_problem: Finding | None = None
    """Why the spec can't be turned into a request."""
    overrides_passive: bool = False
    """The operator was told to act even where another controller does."""
    no_access: Hindrance | None = None
    """Why no call can be made in the job's account."""

    @property
    def is_passive(self) -> bool:
        """Another controller writes the object too."""
        until = self.memory.passive_until
        return until is not None and self.now < until and not self.overrides_passive

    @property
    def is_edited(self) -> bool:
        """The spec is not the one that was decided on last."""
        return self.decided_generation is not None and self.decided_generation != self.resource.generation

    @property
    def is_inherited(self) -> bool:
        """The job runs for the object, and nobody has told whether the spec was edited since: ACK never does."""
        return self.decided_generation is None and self.arn is not None and self.memory.created_at is None

    @property
    def decided_generation(self) -> int | None:
        """The generation that was decided on last; None before the first."""
        return self.resource.observed_generation or self.memory.decided_generation or None

    @property
    def is_adopting(self) -> bool:
        """The job was not made for this object: it is followed, and perhaps stopped, but never changed."""
        policy, resource = self.policy, self.resource
        if policy.observes_only or policy.adoption is None:
            return policy.observes_only
        was_created = resource.arn is not None and not resource.has_condition(ADOPTED)
        return not was_created and self.memory.applied_fields is None

    @property
    def arn(self) -> str | None:
        """The ARN of the job that is known to be this object's."""
        if self.memory.arn is not None:
            return self.memory.arn
        resource = self.resource
        if resource.holds_finalizer or self.policy.read_only or has_recorded_end(resource):
            return resource.arn
        return None

    @property
    def observation(self) -> Observation:
        """The newest of what this process saw and what the status tells."""
        if self.memory.observation is not None:
            return self.memory.observation
        return Observation() if self.memory.disputed else Observation.from_status(self.resource.status)

    def attached(self) -> Identity | None:
        """The job that is known to be this object's, spelled as the user spells it: an ARN is in lower case."""
        parsed = parse_arn(self.arn)
        if parsed is None:
            return None
        identity, pending = parsed[1], self.resource.pending
        for spelled in (self.policy.job_name, None if pending is None else pending.job_name):
            if spelled is not None and spelled.lower() == identity.job_name.lower():
                return Identity(identity.account, identity.region, spelled)
        return identity

    def concerned(self) -> Identity | None:
        """The job that the next call is about."""
        policy = self.policy
        recorded = None if policy.observes_only or policy.adoption is not None else self.resource.recorded
        return self.attached() or self.resource.pending or recorded or self.wanted()

    def wanted(self) -> Identity | None:
        """The job that spec and annotations name."""
        policy = self.policy
        name = policy.job_name
        return None if name is None or not is_job_name(name) else Identity(policy.account, policy.region, name)


def has_recorded_end(resource: Resource) -> bool:
    """Whether this operator has recorded how the job ended (ACK knows neither condition)."""
    return resource.has_condition("Complete") or resource.has_condition("Failed")
