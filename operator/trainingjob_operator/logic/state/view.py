"""Input of one decision: the object, its policy, and the known state of its job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.create_order import Place
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import TAG_CLUSTER, Identity, is_job_name, name_attempt, parse_arn, shares_base
from trainingjob_operator.logic.objects.annotations import Policy, Suffix
from trainingjob_operator.logic.objects.resource import Resource, mapping
from trainingjob_operator.logic.objects.role_selectors import RoleSelection
from trainingjob_operator.logic.state.memory import JobState, Memory, Outcome
from trainingjob_operator.logic.state.ownership import (
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
from trainingjob_operator.logic.status.conditions import ADOPTED


@dataclass(frozen=True)
class View:
    """Input of one decision. All parts are frozen, so conclusions are computed once (no slots: they are cached)."""

    resource: Resource
    policy: Policy
    memory: Memory
    now: float
    """Monotonic seconds."""
    wall: datetime
    """For comparison with the service's times only."""
    partition: str
    own_turn: bool = False
    """The object has its turn to create."""
    place: Place | None = None
    """Position in the create queue; None outside it."""
    rival: str | None = None
    """Another object, `namespace/name`, with an ownership claim on the job of this name."""
    request_problem: Finding | None = None
    """The reason why the spec makes no valid request."""
    is_region_known: bool = True
    """AWS's published data list SageMaker in the job's region."""
    overrides_passive: bool = False
    """The user requested actions in spite of another controller."""
    selection: RoleSelection | None = None
    """The role of the IAMRoleSelector that matches the object; `policy` then has its account."""
    no_access: Hindrance | None = None
    """The reason why no call is possible in the job's account."""
    namespace_unread: Hindrance | None = None
    """The reason why the namespace's annotations are unknown; `policy` then contains object and flags only."""

    @property
    def job(self) -> JobState:
        """The state of the job known to this process."""
        return self.memory.job

    def remembering(self, memory: Memory) -> "View":
        """Return the view with a newer memory."""
        return self if memory is self.memory else replace(self, memory=memory)

    def after(self, outcome: Outcome) -> "View":
        """Return the view after an outcome."""
        return self.remembering(self.memory.after(outcome))

    @property
    def is_passive(self) -> bool:
        """Another controller writes the object, too."""
        until = self.memory.rival.passive_until
        return until is not None and self.now < until and not self.overrides_passive

    @property
    def is_edited(self) -> bool:
        """The spec has changed since the last decision."""
        return self.decided_generation is not None and self.decided_generation != self.resource.generation

    @property
    def is_inherited(self) -> bool:
        """The job runs for the object, and edits since are unknown: ACK records no generation."""
        return self.decided_generation is None and self.arn is not None and self.job.attempt.created_at is None

    @property
    def decided_generation(self) -> int | None:
        """The generation of the last decision; None before the first."""
        return self.resource.observed_generation or self.memory.decided_generation or None

    @cached_property
    def claim(self) -> Verdict | None:
        """The claim on the job made by this process or recorded in the status."""
        return self.job.owner.claim or read_claim(self.resource, self.policy.namespace_endpoint)

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict on the job, by the available evidence (ownership.py)."""
        policy, memory, resource = self.policy, self.memory, self.resource
        return judge(
            Evidence(
                reads_only=policy.reads_only,
                is_created_here=memory.job.attempt.created_at is not None and memory.job.arn is not None,
                proof=memory.job.owner.proof,
                recorded=self.claim,
                is_presumed=presumes(resource),
                asks_adoption=policy.asks_adoption,
                names_cluster=policy.adopt_from_cluster is not None
                and policy.adopt_from_cluster == (memory.job.owner.tags or {}).get(TAG_CLUSTER),
                named_owner_exists=memory.job.owner.exists(self.now),
                has_rival=self.rival is not None,
            )
        )

    @cached_property
    def is_adopting(self) -> bool:
        """The job was not created for this object: it is followed, and possibly stopped, but never changed."""
        policy, resource, claim = self.policy, self.resource, self.claim
        if claim is not None and not policy.read_only:
            return claim in (Verdict.ADOPTED, Verdict.OBSERVED)
        if policy.observes_only or policy.adoption is None:
            return policy.observes_only
        was_created = resource.arn is not None and not resource.has_condition(ADOPTED)
        return not was_created and self.job.edit.applied_fields is None

    @cached_property
    def arn(self) -> str | None:
        """The ARN of the object's job."""
        resource, claim = self.resource, self.claim
        if has_recorded_end(resource):
            return resource.arn
        if self.verdict in (Verdict.FOREIGN, Verdict.EARLIER_RUN):
            return None
        if self.job.arn is not None:
            return self.job.arn
        if self.policy.read_only:
            return resource.arn if self.policy.reads_only else None
        return resource.arn if presumes(resource) or (claim is not None and claim.may_change) else None

    @property
    def is_owner(self) -> bool:
        """The object has a claim on the job against other objects."""
        if self.arn is None or self.policy.read_only:
            return False
        return self.verdict.may_change or self.verdict is Verdict.UNKNOWN

    @property
    def is_past(self) -> bool:
        """The status has no claim yet, and the job was not created for this object."""
        return read_record(self.resource) is None and self.verdict is not Verdict.CREATED

    def record(self) -> Record | None:
        """The claim to record in the status; None without one."""
        arn, verdict, claim = self.arn, self.verdict, self.claim
        known = claim if claim is not None and claim.may_change else verdict
        if arn is None or not known.is_recorded:
            return None
        return Record(known, arn, self.resource.uid, self.policy.namespace_endpoint)

    def ownership(self) -> Mapping[str, Any] | None:
        """The status field for the claim."""
        record = self.record()
        if record is None:
            return None
        if record == read_record(self.resource):  # the evidence may be that of a previous process
            return mapping(self.resource.status.get(RECORD))
        return record.to_status(explain(record.claim, self.job.owner.proof))

    @cached_property
    def observation(self) -> Observation:
        """The newest state: from this process, from lists and events since, or from the status."""
        memory = self.memory
        known = memory.job.observation
        if known is None:
            known = Observation.from_status(self.resource.status)
            if memory.rival.disputed:  # only its run is kept: another run would be another job
                known = Observation({name: known.fields[name] for name in ("creationTime",) if name in known.fields})
        return known if memory.job.hint is None else known.updated_by(memory.job.hint)

    @property
    def ran(self) -> Identity | None:
        """The ended job recorded in the annotation, unless the object names another job.

        The annotation shows a restored backup: it has another UID, but does not run again.
        """
        ran, name = self.resource.ran, self.policy.job_name
        if ran is None:
            return None
        if name.lower() == ran.job_name:
            return Identity(ran.account, ran.region, name)
        if (number := self.policy.number_of(ran.job_name)) is not None:
            return Identity(ran.account, ran.region, name_attempt(self.policy.first_name, number))
        is_restored = self.policy.suffix is Suffix.UID and shares_base(name.lower(), ran.job_name)
        return ran if is_restored else None

    def attached(self) -> Identity | None:
        """The object's job in the user's spelling: an ARN has it in lower case."""
        identity, pending = parse_arn(self.arn), self.resource.pending
        if identity is None:
            return None
        recorded = self.resource.recorded_job_name  # spec may name another job after the end
        for spelled in (self.policy.job_name, None if pending is None else pending.job_name, recorded):
            if spelled is not None and spelled.lower() == identity.job_name.lower():
                return Identity(identity.account, identity.region, spelled)
        return identity

    def concerned(self) -> Identity | None:
        """The job for the next call."""
        policy = self.policy
        resource = self.resource
        recorded = None if policy.names_existing_job else resource.recorded or self.ran
        return self.attached() or self.resource.pending or recorded or self.wanted()

    def wanted(self) -> Identity | None:
        """The job named by spec and annotations."""
        policy = self.policy
        name = policy.job_name
        return Identity(policy.account, policy.region, name) if is_job_name(name) else None
