"""State of one object in this process beyond the object itself, and its changes by outcome.

All of it may be lost at any time: after a restart the operator reads the object and the service again. Not here: the
conclusions (decide/).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trainingjob_operator.logic.annotations import Policy
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.logic.naming import Identity, Slot
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof, Verdict
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.updates import UpdatePlan

RETRY_FIRST, RETRY_SECONDS = 1.0, 30.0
"""First and longest back-off of one job, in seconds."""

DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS = 15.0, 300.0
"""The same for denied calls: only a user can correct permissions."""

VANGUARD_RETRY_FIRST, VANGUARD_SHARE = 5.0, 0.25
"""One object (the probe) retries for all objects denied the same call: first back-off, later share of elapsed time."""

THROTTLED_RETRY_SECONDS = 2.0
"""Longest back-off after a throttle: the shared budget slows down instead, for all jobs in their order."""

LASTING_SHARE, LASTING_RETRY_SECONDS = 0.1, 600.0
"""Back-off of a Create with persistent failures: share of the elapsed time, up to a maximum in seconds."""

QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS = 300.0, 3600.0
"""Back-off of a Create that needs a larger quota: an increase takes hours."""

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

_PAUSES = {
    ErrorClass.DENIED: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.REGION: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.THROTTLED: (RETRY_FIRST, THROTTLED_RETRY_SECONDS),
}


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
class Refusal:
    """A refused spec, not sent again until spec or annotations change."""

    generation: int
    policy: Policy
    finding: Finding
    retry_at: float | None = None


@dataclass(slots=True, kw_only=True)
class JobMemory:
    """State of one job, and of this process's attempts to create it."""

    arn: str | None = None
    """ARN of a job created or taken over by this process, before the status contains it."""
    observation: Observation | None = None
    differences: tuple[str, ...] = ()
    """Spec fields set by the user with another value in the last Describe."""
    compared_generation: int | None = None
    plan: UpdatePlan | None = None
    """Plan for the differences."""
    updated: tuple[Mapping[str, Any], float] | None = None
    """The last update and its time: a stale Describe does not repeat it."""
    edit_refused: tuple[int, Finding] | None = None
    """Generation of an edit refused by the service, and its message."""
    tags: Mapping[str, str] | None = None
    """The job's tags, as last read."""
    tags_generation: int | None = None
    """The generation whose tags were compared with the job's."""
    applied_tag_keys: tuple[str, ...] | None = None
    applied_fields: tuple[str, ...] | None = None
    needs_describe: bool = False
    """A sign of a change of the job: a Describe is due."""
    told: Observation | None = None
    """State from a list or an event since the last Describe, reported while Describe has to wait."""
    looked_at: float | None = None
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
    proof: TagProof | None = None
    """Relation of the job's tags to the object, as last read."""
    named_owner: tuple[bool, float] | None = None
    """Existence of the object named by the tags, and the time of the check."""
    claim: Verdict | None = None
    """The claim of this process, before the status records it."""
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
    troubles: dict[str, Trouble] = field(default_factory=dict)
    """By operation."""
    stop_sent_at: float | None = None
    stopping_since: float | None = None


@dataclass(slots=True, kw_only=True)
class Memory(JobMemory):
    """State of one object in this process beyond the object itself. All of it may be lost at any time."""

    first_seen: float
    term: int = 0
    """Leadership term of this state: changes during another replica's term are unknown."""
    slot: Slot | None = None
    """The job described by JobMemory."""
    endpoint_url: str | None = None
    """The endpoint set by the namespace: another endpoint has other jobs."""
    target: Hashable = None
    """Account, region, endpoint and role that the troubles apply to."""
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
    foreign_writer: str = ""
    """The last other field manager with a status write, since this process knows the object."""
    foreign_writes: tuple[float, ...] = ()
    """Times of recent status writes by other field managers."""
    disputed: bool = False
    """Another field manager overwrote the status: only the next answer of SageMaker is reliable."""
    passive_until: float | None = None
    """End of the passive period."""
    passive_shown: bool = False
    handled_request: str | None = None
    asked: bool = False
    """A reconcile request since the start of this process: refusals by a previous process are retried once."""

    def note_told(self, told: Observation) -> None:
        """Record a change found by a list or an event; a Describe becomes due."""
        self.needs_describe, self.told = True, told

    def note_found(self, observation: Observation, now: float) -> None:
        self.observation, self.told = observation, None
        self.needs_describe = False
        self.looked_at = now
        self.not_found = self.is_replaced = False
        self.not_found_since = None

    def note_not_found(self, now: float, *, is_replaced: bool = False) -> None:
        """:param is_replaced: the name belongs to another run"""
        self.needs_describe = False
        self.is_replaced = is_replaced
        self.looked_at = now
        self.not_found = True
        self.not_found_since = now if self.not_found_since is None else self.not_found_since

    def owner_exists(self, now: float) -> bool | None:
        """Return the existence of the object named by the job's tags; None if it must be read (again)."""
        is_known = self.named_owner is not None and now < self.named_owner[1] + OWNER_SECONDS
        return self.named_owner[0] if self.named_owner is not None and is_known else None

    def note_trouble(
        self,
        operation: str,
        error: AwsError,
        now: float,
        spread: float,
        *,
        is_vanguard: bool = False,
        is_lasting: bool = False,
        finding: Finding | None = None,
    ) -> None:
        """Increase the back-off after a failure; `spread` (0.5 to 1.0) is the jitter between objects.

        `operation` is the intended call; the error may come from a preliminary one, such as AssumeRole.

        :param is_lasting: the back-off continues to grow with the elapsed time
        :param finding: reported in place of the error, for a quota below the demand
        """
        known = self.troubles.get(operation)
        failures, since = (1, now) if known is None else (known.failures + 1, known.since)
        first, limit = _PAUSES.get(error.kind, (RETRY_FIRST, RETRY_SECONDS))
        if finding is not None:
            first, limit = QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS
        if is_lasting:
            limit = max(limit, min(LASTING_RETRY_SECONDS, LASTING_SHARE * (now - since)))
        pause = Backoff(first, limit).after(failures)
        if is_vanguard:
            pause = min(pause, max(VANGUARD_RETRY_FIRST, VANGUARD_SHARE * (now - since)))
        self.troubles[operation] = Trouble(error, since, failures, now + pause * spread, finding=finding)

    def note_unmarked(self, state: tuple[int, int], words: str, now: float, spread: float) -> float:
        """Record a refused write of the intent and return the back-off in seconds."""
        failures = 1 if self.unmarked is None else self.unmarked.failures + 1
        pause = spread * UNMARKED_BACKOFF.after(failures)
        self.unmarked = Unmarked(state, words, failures, now + pause)
        return pause

    def note_outdone(self, created_jobs: int) -> int:
        """Record a failure of the service with this spec; return the number of failures after successes of others."""
        if created_jobs > self.created_jobs:
            self.outdone += 1
        self.created_jobs = created_jobs
        return self.outdone

    def is_denied(self, operation: str) -> bool:
        trouble = self.troubles.get(operation)
        return trouble is not None and trouble.error.kind is ErrorClass.DENIED

    def forgive(self, now: float) -> bool:
        """Make retries of transient errors due after an answer of the service; return True if there were any."""
        waiting = {
            operation: replace(trouble, retry_at=now)
            for operation, trouble in self.troubles.items()
            if trouble.error.kind in PASSING and trouble.retry_at > now
        }
        self.troubles.update(waiting)
        return bool(waiting)

    def note_success(self, operation: str) -> bool:
        """Record a success; return True if other objects denied the same call should retry it.

        A success of a woken object returns False: otherwise each of a thousand objects permitted at once would wake all
        objects still denied.
        """
        has_news = self.is_denied(operation) and not self.troubles[operation].is_woken
        self.troubles.pop(operation, None)
        return has_news

    def wake(self, operation: str, now: float) -> bool:
        """Make the retry due after another object's success; return True if one was pending."""
        if not self.is_denied(operation) or self.troubles[operation].retry_at <= now:
            return False
        self.troubles[operation] = replace(self.troubles[operation], retry_at=now, is_woken=True)
        return True

    def turn_to(self, slot: Slot, endpoint_url: str | None) -> None:
        """Forget all facts about another job or from another endpoint."""
        if self.slot is not None and (self.slot, self.endpoint_url) != (slot, endpoint_url):
            nothing = JobMemory()
            for known in fields(JobMemory):
                setattr(self, known.name, getattr(nothing, known.name))
        self.slot, self.endpoint_url = slot, endpoint_url

    def reach_by(self, target: Hashable) -> None:
        """Forget errors of another endpoint or role."""
        if self.target not in (None, target):
            self.troubles.clear()
        self.target = target

    def note_foreign_write(self, manager: str, now: float) -> None:
        """Become passive after repeated writes. A single write is overwritten; two controllers would write forever."""
        was_passive = self.passive_until is not None and now < self.passive_until
        self.passive_shown = self.passive_shown and was_passive
        self.foreign_writer = manager
        recent = [at for at in self.foreign_writes if now - at < RIVAL_SECONDS]
        self.foreign_writes = (*recent, now)[-RIVAL_WRITES:]
        self.disputed = self.needs_describe = True
        if was_passive or manager == ACK_MANAGER or len(self.foreign_writes) == RIVAL_WRITES:
            self.passive_until = now + PASSIVE_SECONDS

    def note_request(self, request: str) -> None:
        """Handle a reconcile request: all postponed actions become due."""
        self.handled_request = request
        self.asked = self.needs_describe = True
        self.not_found, self.not_found_since = False, None
        self.refused = None
        self.doubtful_since, self.doubtful_rounds = None, 0
        self.outdone = 0
        self.name_taken = self.name_taken and self.unsettled
        self.troubles.clear()
        if self.unmarked is not None:
            self.unmarked = replace(self.unmarked, retry_at=0.0)

    def note_attempt(self, generation: int, policy: Policy) -> None:
        """Record an attempt; another spec or policy starts with a new back-off."""
        if self.tried != (generation, policy):
            self.tried = (generation, policy)
            self.doubtful_since, self.doubtful_rounds, self.outdone = None, 0, 0

    def forget_attempt(self) -> None:
        """Forget the attempt after it is settled."""
        self.name_taken = self.unsettled = self.not_found = False
        self.proof = self.named_owner = self.observation = self.tags = None
        self.not_found_since = self.looked_at = None
