"""Everything that one decision rests on: the object, what is asked of it, and what is known of its job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainingjob_operator.logic.annotations import Policy
from trainingjob_operator.logic.conditions import ADOPTED
from trainingjob_operator.logic.memory import Memory
from trainingjob_operator.logic.naming import TAG_CLUSTER, Identity, is_job_name, parse_arn
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import (
    RECORD,
    Evidence,
    Record,
    Verdict,
    explain,
    has_recorded_end,
    judge,
    presumes,
    read_claim,
    read_record,
)
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Resource, mapping
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
    """Another object, `namespace/name`, that claims the job of this name as its owner."""
    request_problem: Finding | None = None
    """Why the spec can't be turned into a request."""
    is_region_known: bool = True
    """AWS's published data has SageMaker in the job's region."""
    overrides_passive: bool = False
    """The operator was told to act even where another controller does."""
    no_access: Hindrance | None = None
    """Why no call can be made in the job's account."""
    namespace_unread: Hindrance | None = None
    """Why the namespace's annotations are unknown; `policy` is then what the object and the flags ask for alone."""

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
    def claim(self) -> Verdict | None:
        """The claim on the job that this process made or the status records."""
        return self.memory.claim or read_claim(self.resource, self.policy.namespace_endpoint)

    @property
    def verdict(self) -> Verdict:
        """Whose job it is, by the evidence at hand (ownership.py)."""
        policy, memory, resource = self.policy, self.memory, self.resource
        return judge(
            Evidence(
                reads_only=policy.reads_only,
                is_created_here=memory.created_at is not None and memory.arn is not None,
                proof=memory.proof,
                recorded=self.claim,
                is_presumed=presumes(resource),
                asks_adoption=policy.asks_adoption,
                names_cluster=policy.adopt_from_cluster is not None
                and policy.adopt_from_cluster == (memory.tags or {}).get(TAG_CLUSTER),
                named_owner_exists=memory.owner_exists(self.now),
                has_rival=self.rival is not None,
            )
        )

    @property
    def is_adopting(self) -> bool:
        """The job was not made for this object: it is followed, and perhaps stopped, but never changed."""
        policy, resource, claim = self.policy, self.resource, self.claim
        if claim is not None and not policy.read_only:
            return claim in (Verdict.ADOPTED, Verdict.OBSERVED)
        if policy.observes_only or policy.adoption is None:
            return policy.observes_only
        was_created = resource.arn is not None and not resource.has_condition(ADOPTED)
        return not was_created and self.memory.applied_fields is None

    @property
    def arn(self) -> str | None:
        """The ARN of the job that the object follows as its own."""
        resource, claim = self.resource, self.claim
        if has_recorded_end(resource):
            return resource.arn
        if self.verdict in (Verdict.FOREIGN, Verdict.EARLIER_RUN):
            return None
        if self.memory.arn is not None:
            return self.memory.arn
        if self.policy.read_only:
            return resource.arn if self.policy.reads_only else None
        return resource.arn if presumes(resource) or (claim is not None and claim.may_change) else None

    @property
    def is_owner(self) -> bool:
        """The object claims the job against other objects."""
        if self.arn is None or self.policy.read_only:
            return False
        return self.verdict.may_change or self.verdict is Verdict.UNKNOWN

    @property
    def is_past(self) -> bool:
        """The status does not record a claim yet, and the job was not created for this object."""
        return read_record(self.resource) is None and self.verdict is not Verdict.CREATED

    def record(self) -> Record | None:
        """The claim to be recorded in the status; None where there is nothing to claim yet."""
        arn, verdict, claim = self.arn, self.verdict, self.claim
        known = claim if claim is not None and claim.may_change else verdict
        if arn is None or not known.is_recorded:
            return None
        return Record(known, arn, self.resource.uid, self.policy.namespace_endpoint)

    def ownership(self) -> Mapping[str, Any] | None:
        """The status field that records the claim."""
        record = self.record()
        if record is None:
            return None
        if record == read_record(self.resource):  # its evidence may be what an earlier process read
            return mapping(self.resource.status.get(RECORD))
        return record.to_status(explain(record.claim, self.memory.proof))

    @property
    def observation(self) -> Observation:
        """The newest of what this process saw, what lists and events have shown since, and what the status tells."""
        memory = self.memory
        known = memory.observation
        if known is None:
            known = Observation.from_status(self.resource.status)
            if memory.disputed:  # only the run that it is about is kept: another run would be another job
                known = Observation({name: known.fields[name] for name in ("creationTime",) if name in known.fields})
        return known if memory.told is None else known.updated_by(memory.told)

    def attached(self) -> Identity | None:
        """The job that is known to be this object's, spelled as the user spells it: an ARN is in lower case."""
        parsed = parse_arn(self.arn)
        if parsed is None:
            return None
        identity, pending = parsed[1], self.resource.pending
        recorded = self.resource.recorded_job_name  # spec may name another once the job has ended
        for spelled in (self.policy.job_name, None if pending is None else pending.job_name, recorded):
            if spelled is not None and spelled.lower() == identity.job_name.lower():
                return Identity(identity.account, identity.region, spelled)
        return identity

    def concerned(self) -> Identity | None:
        """The job that the next call is about."""
        policy = self.policy
        resource = self.resource
        recorded = None if policy.observes_only or policy.adoption is not None else resource.recorded or resource.ran
        return self.attached() or self.resource.pending or recorded or self.wanted()

    def wanted(self) -> Identity | None:
        """The job that spec and annotations name."""
        policy = self.policy
        name = policy.job_name
        return None if name is None or not is_job_name(name) else Identity(policy.account, policy.region, name)
