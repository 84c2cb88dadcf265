"""State of one object in this process beyond the object itself, in frozen parts by subject.

All of it may be lost at any time: after a restart the operator reads the object and the service again. A change
replaces a part; outcomes.py has the changes of the job's part. Not here: the conclusions (decide/).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.updates import UpdatePlan
from trainingjob_operator.logic.naming import Identity, Slot
from trainingjob_operator.logic.objects.annotations import Policy
from trainingjob_operator.logic.state.ownership import TagProof, Verdict

RETRY_SECONDS = 30.0
"""Longest back-off of one job, in seconds."""

UNMARKED_BACKOFF = Backoff(2.0, 300.0)
"""Back-off of an object after a failed write of its metadata."""

PASSING = frozenset(
    {ErrorClass.RETRY, ErrorClass.THROTTLED, ErrorClass.CREDENTIALS, ErrorClass.REGION, ErrorClass.ACCOUNT}
)
"""Errors of the service rather than of one job: its next answer ends them for all jobs."""

ACK_MANAGER = "controller"
"""Field manager of ACK's controllers; a single write by it makes the object passive."""

RIVAL_WRITES, RIVAL_SECONDS = 3, 120.0
"""Number of status writes by other field managers, and their period, that indicate a controller. Fewer come from a user
or a backup tool, and are overwritten.
"""

OWNER_SECONDS = 60.0
"""Validity of the existence check for the object named by a job's tags."""

PASSIVE_SECONDS = 600.0
"""The operator resumes writes to the object after this time without writes by another controller."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in back-off: the last failure, the start of the failures without a success since, and the next retry."""

    error: AwsError
    since: float
    failures: int
    retry_at: float
    is_woken: bool = False
    """Retried because of another object's success, before its own back-off has expired."""
    finding: Finding | None = None
    """Reported in place of the error."""

    @property
    def waits_for_capacity(self) -> bool:
        """The object waits in the queue of a quota; the queue decides its next attempt."""
        return self.error.kind is ErrorClass.WAITING and self.finding is None


@dataclass(frozen=True, slots=True)
class Unmarked:
    """The API server refused the record of intent required before a Create."""

    state: tuple[int, int]
    """State of the object in `Memory.note_unmarked`; a change permits an immediate retry."""
    words: str
    failures: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class Undeleted:
    """The API server rejected the deletion of the finished object."""

    words: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused spec, not sent again until spec or annotations change."""

    generation: int
    policy: Policy
    finding: Finding
    retry_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerState:
    """Evidence of this process about the owner of the job."""

    claim: Verdict | None = None
    """The claim of this process, before the status records it."""
    proof: TagProof | None = None
    """Relation of the job's tags to the object, as last read."""
    named_owner: tuple[bool, float] | None = None
    """Existence of the object named by the tags, and the time of the check."""
    tags: Mapping[str, str] | None = None
    """The job's tags, as last read."""
    tags_generation: int | None = None
    """The generation whose tags were compared with the job's."""

    def exists(self, now: float) -> bool | None:
        """Return the existence of the object named by the job's tags; None if it must be read (again)."""
        is_known = self.named_owner is not None and now < self.named_owner[1] + OWNER_SECONDS
        return self.named_owner[0] if self.named_owner is not None and is_known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditState:
    """Comparison of the spec with the job, and the edits sent to SageMaker."""

    differences: tuple[str, ...] = ()
    """Spec fields set by the user with another value in the last Describe."""
    compared_generation: int | None = None
    plan: UpdatePlan | None = None
    """Plan for the differences."""
    updated: tuple[Mapping[str, Any], float] | None = None
    """The last update and its time: a stale Describe does not repeat it."""
    edit_refused: tuple[int, Finding] | None = None
    """Generation of an edit refused by the service, and its message."""
    applied_tag_keys: tuple[str, ...] | None = None
    applied_fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptState:
    """The attempts of this process to create the job."""

    name_taken: bool = False
    """Create returned ResourceInUse: the name is taken."""
    attempted_at: float | None = None
    tried: tuple[int, Policy] | None = None
    """Generation and policy of the last attempt; its errors apply to no other."""
    unsettled: bool = False
    """An attempt may have created a job: one without a definite answer, or one recorded by a previous process.

    A later refused attempt proves nothing about it; only the job's tags, or its absence long after, do.
    """
    open_generation: int | None = None
    """Generation of the first unsettled attempt; None for an attempt of a previous process."""
    created_at: float | None = None
    doubtful_since: float | None = None
    doubtful_rounds: int = 0
    outdone: int = 0
    """Number of failures of the service with this spec, each after successful creates of other objects."""
    created_jobs: int = 0
    """Jobs created in the account and region at the time of the last such failure."""
    waiting_since: float | None = None
    place_shown: tuple[str, float] | None = None
    """The queue position in the status, and the time of its first report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopState:
    """The Stop of the job of a deleted object."""

    stop_sent_at: float | None = None
    stopping_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """State of one job, and of this process's calls about it. Another job starts with an empty one."""

    arn: str | None = None
    """ARN of a job created or taken over by this process, before the status contains it."""
    observation: Observation | None = None
    hint: Observation | None = None
    """State from a list or an event since the last Describe, reported while Describe has to wait."""
    needs_describe: bool = False
    """A sign of a change of the job: a Describe is due."""
    described_at: float | None = None
    is_listed: bool = False
    """This process wrote the end of the job into `.status.attempts`."""
    ended_at: float | None = None
    """Time when this process first knew the end of the job and its rules."""
    counted: Mapping[str, Any] | None = None
    """The status with its end counted in the metrics."""
    not_found_since: float | None = None
    """Time of the first NotFound."""
    not_found: bool = False
    """The last Describe returned NotFound."""
    is_replaced: bool = False
    """The last Describe returned another run with this name: this object's job no longer exists."""
    owner: OwnerState = OwnerState()
    edit: EditState = EditState()
    attempt: AttemptState = AttemptState()
    stop: StopState = StopState()
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    """By operation."""

    def is_denied(self, operation: str) -> bool:
        trouble = self.troubles.get(operation)
        return trouble is not None and trouble.error.kind is ErrorClass.DENIED

    def may_wake(self, operation: str, now: float) -> bool:
        """Return True while a retry of a denied call is pending."""
        return self.is_denied(operation) and self.troubles[operation].retry_at > now

    def has_news(self, operation: str) -> bool:
        """Return True if other objects denied this call should retry it after its success.

        A success of a woken object returns False: otherwise each of a thousand objects permitted at once would wake all
        objects still denied.
        """
        return self.is_denied(operation) and not self.troubles[operation].is_woken

    def may_forgive(self, now: float) -> bool:
        """Return True if retries of transient errors are pending."""
        return any(trouble.error.kind in PASSING and trouble.retry_at > now for trouble in self.troubles.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalState:
    """Status writes by other field managers."""

    foreign_writer: str = ""
    """The last other field manager with a status write, since this process knows the object."""
    foreign_writes: tuple[float, ...] = ()
    """Times of recent status writes by other field managers."""
    disputed: bool = False
    """Another field manager overwrote the status: only the next answer of SageMaker is reliable."""
    passive_until: float | None = None
    """End of the passive period."""
    passive_shown: bool = False


class Outcome(Protocol):
    """A change of the job's part of the memory (outcomes.py)."""

    def after(self, job: JobState) -> JobState: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """State of one object in this process beyond the object itself. All of it may be lost at any time."""

    first_seen: float
    term: int = 0
    """Leadership term of this state: changes during another replica's term are unknown."""
    slot: Slot | None = None
    """The job described by `job`."""
    endpoint_url: str | None = None
    """The endpoint set by the namespace: another endpoint has other jobs."""
    target: Hashable = None
    """Account, region, endpoint and role that the troubles apply to."""
    job: JobState = JobState()
    rival: RivalState = RivalState()
    decided_generation: int | None = None
    """The last reported generation, for CRDs without observedGeneration."""
    refused: Refusal | None = None
    """Contains the spec generation and the policy that it applies to."""
    unreleased: Hindrance | None = None
    """The API server refused the removal of the finalizer."""
    marked: Identity | None = None
    """The intent recorded by this process: no earlier attempt can be behind that record."""
    unmarked: Unmarked | None = None
    """The last write of the intent failed."""
    undeleted: Undeleted | None = None
    """The last attempt to delete the finished object failed."""
    handled_request: str | None = None
    asked: bool = False
    """A reconcile request since the start of this process: refusals by a previous process are retried once."""

    def after(self, outcome: Outcome) -> "Memory":
        """Return the memory after an outcome."""
        return replace(self, job=outcome.after(self.job))

    def turned_to(self, slot: Slot, endpoint_url: str | None) -> "Memory":
        """Return the memory for that job; nothing known about another job, or from another endpoint, remains."""
        if (self.slot, self.endpoint_url) == (slot, endpoint_url):
            return self
        job = self.job if self.slot is None else JobState()
        return replace(self, slot=slot, endpoint_url=endpoint_url, job=job)

    def reached_by(self, target: Hashable) -> "Memory":
        """Return the memory without errors of another endpoint or role."""
        if self.target == target:
            return self
        job = self.job if self.target is None else replace(self.job, troubles={})
        return replace(self, target=target, job=job)

    def after_foreign_write(self, manager: str, now: float) -> "Memory":
        """Return the memory after a status write by another field manager; repeated writes make the object passive.

        A single write is overwritten; two controllers would write forever.
        """
        rival = self.rival
        was_passive = rival.passive_until is not None and now < rival.passive_until
        writes = (*(at for at in rival.foreign_writes if now - at < RIVAL_SECONDS), now)[-RIVAL_WRITES:]
        is_rival = was_passive or manager == ACK_MANAGER or len(writes) == RIVAL_WRITES
        rival = RivalState(
            foreign_writer=manager,
            foreign_writes=writes,
            disputed=True,
            passive_until=now + PASSIVE_SECONDS if is_rival else rival.passive_until,
            passive_shown=rival.passive_shown and was_passive,
        )
        return replace(self, rival=rival, job=replace(self.job, needs_describe=True))

    def after_request(self, request: str) -> "Memory":
        """Return the memory after a reconcile request: all postponed actions are due."""
        attempt = self.job.attempt
        job = replace(
            self.job,
            needs_describe=True,
            not_found=False,
            not_found_since=None,
            attempt=replace(
                attempt,
                doubtful_since=None,
                doubtful_rounds=0,
                outdone=0,
                name_taken=attempt.name_taken and attempt.unsettled,
            ),
            troubles={},
        )
        unmarked = None if self.unmarked is None else replace(self.unmarked, retry_at=0.0)
        return replace(
            self, handled_request=request, asked=True, refused=None, job=job, unmarked=unmarked, undeleted=None
        )

    def refuse_mark(self, state: tuple[int, int], words: str, now: float, spread: float) -> Unmarked:
        """Return `unmarked` after a refused write of the intent, with a longer back-off."""
        failures = 1 if self.unmarked is None else self.unmarked.failures + 1
        return Unmarked(state, words, failures, now + spread * UNMARKED_BACKOFF.after(failures))

    def after_report(self, generation: int | None, *, is_passive: bool) -> "Memory":
        """Return the memory after a report of that generation; `is_passive` leaves the status to another controller."""
        disputed = self.rival.disputed and (is_passive or self.job.needs_describe)
        rival = self.rival if disputed == self.rival.disputed else replace(self.rival, disputed=disputed)
        return replace(self, decided_generation=generation, rival=rival)

    def after_attempt(self) -> "Memory":
        """Return the memory of an object that has left its ended job: another attempt follows."""
        return replace(self, job=JobState())

    def after_end(self) -> "Memory":
        """Return the memory of a finished object. The status holds the rest; most objects are finished."""
        job = self.job
        return Memory(
            first_seen=self.first_seen,
            term=self.term,
            slot=self.slot,
            endpoint_url=self.endpoint_url,
            job=JobState(
                described_at=job.described_at, ended_at=job.ended_at, counted=job.counted, is_listed=job.is_listed
            ),
            rival=RivalState(foreign_writes=self.rival.foreign_writes),
            undeleted=self.undeleted,
        )
