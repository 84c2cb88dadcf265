"""What the process knows of one object beyond the object itself, and how an outcome changes it.

All of it may be lost at any moment: what a restart needs is in the object or asked of the service again. What follows
from it is decision.py's to say.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trainingjob_operator.logic.annotations import Policy
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.logic.naming import Identity, Slot
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof, Verdict
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.updates import UpdatePlan

RETRY_FIRST, RETRY_SECONDS = 1.0, 30.0
"""The first and the longest pause between two tries of one job."""

DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS = 15.0, 300.0
"""The same where the credentials are not allowed to do it: people change that, not time."""

VANGUARD_RETRY_FIRST, VANGUARD_SHARE = 5.0, 0.25
"""One object tries on behalf of all that are denied a call: how soon, and later after what share of the time so far."""

THROTTLED_RETRY_SECONDS = 2.0
"""The longest pause after a throttle: the budget is what slows down, for all jobs together and in their order."""

LASTING_SHARE, LASTING_RETRY_SECONDS = 0.1, 600.0
"""The pause of a Create that fails for long: at most that share of the time so far, up to so many seconds."""

QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS = 300.0, 3600.0
"""Pauses of a Create that needs a larger quota: people change that, and it takes them hours."""

UNMARKED_RETRY_FIRST, UNMARKED_RETRY_SECONDS = 2.0, 300.0
"""Pauses of an object whose metadata could not be written."""

PASSING = frozenset(
    {ErrorClass.RETRY, ErrorClass.THROTTLED, ErrorClass.CREDENTIALS, ErrorClass.REGION, ErrorClass.ACCOUNT}
)
"""Errors of the service rather than of one job: when it answers again, they are over for all."""

ACK_MANAGER = "controller"
"""The field manager of ACK's controllers; one write of it is enough to leave the object to it."""

RIVAL_WRITES, RIVAL_SECONDS = 3, 120.0
"""So many writes of a status by other field managers within that time are those of a controller. Fewer are those of a
person or a backup tool, and are overwritten."""

OWNER_SECONDS = 60.0
"""How long the existence of the object that a job's tags name is relied on."""

PASSIVE_SECONDS = 600.0
"""How long another controller must have been quiet before its object is touched again."""

_PAUSES = {
    ErrorClass.DENIED: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.REGION: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.THROTTLED: (RETRY_FIRST, THROTTLED_RETRY_SECONDS),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that is being waited out: what failed last, since when without a success between, and until when."""

    error: AwsError
    since: float
    failures: int
    retry_at: float
    is_woken: bool = False
    """It is tried again because another object's try went well, not because its own time has come."""
    finding: Finding | None = None
    """To show in place of the error."""

    @property
    def waits_for_capacity(self) -> bool:
        """The object waits in the queue of a quota, and the queue decides when it is tried."""
        return self.error.kind is ErrorClass.WAITING and self.finding is None


@dataclass(frozen=True, slots=True)
class Unmarked:
    """The API server refused the mark that an object needs before a Create."""

    state: tuple[int, int]
    """Of the object, as `Memory.note_unmarked` was given it: another one is tried at once."""
    words: str
    failures: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A spec that is not sent again until it, or what the annotations ask for, changes."""

    generation: int
    policy: Policy
    finding: Finding
    retry_at: float | None = None


@dataclass(slots=True, kw_only=True)
class JobMemory:
    """What this process knows of one job, and of its own attempts to create it."""

    arn: str | None = None
    """Of a job that this process created or took over, before the status shows it."""
    observation: Observation | None = None
    differences: tuple[str, ...] = ()
    """Spec fields the user set that are not what runs; as of the last Describe."""
    compared_generation: int | None = None
    plan: UpdatePlan | None = None
    """What is to be done about the differences."""
    updated: tuple[Mapping[str, Any], float] | None = None
    """The update sent last, and when: an answer that does not show it yet is no reason to send it again."""
    edit_refused: tuple[int, Finding] | None = None
    """The generation whose edit the service has refused, and its words."""
    tags: Mapping[str, str] | None = None
    """The job's tags, as last read."""
    tags_generation: int | None = None
    """The generation whose tags were compared with the job's."""
    applied_tag_keys: tuple[str, ...] | None = None
    applied_fields: tuple[str, ...] | None = None
    look: bool = False
    """Something says that the job has changed."""
    told: Observation | None = None
    """What a list or an event said of it since the last Describe: all there is where Describe has to wait."""
    looked_at: float | None = None
    ended_at: float | None = None
    """When this process first knew that the job had ended, and its rules too."""
    counted: Mapping[str, Any] | None = None
    """The status whose end is in the metrics."""
    absent_since: float | None = None
    """When Describe first said NotFound."""
    absent: bool = False
    """Describe's last answer was NotFound."""
    is_replaced: bool = False
    """Describe's last answer was about another run of the name: this object's job is gone."""
    proof: TagProof | None = None
    """The relation of the job's tags to the object, as last read."""
    named_owner: tuple[bool, float] | None = None
    """Existence of the object that the tags name, and when that was read."""
    claim: Verdict | None = None
    """The claim made by this process, before the status records it."""
    in_use: bool = False
    """Create was answered with ResourceInUse: somebody has the name."""
    attempted_at: float | None = None
    tried: tuple[int, Policy] | None = None
    """The generation and the annotations of the last attempt: its errors say nothing about other ones."""
    unsettled: bool = False
    """An attempt may have made a job: one without a definite answer, or one marked in an earlier life of the process.

    A later attempt that is refused proves nothing about it; only the job's tags, or its absence long after, do.
    """
    open_generation: int | None = None
    """The generation of the first attempt that is not settled; None when an earlier life of the process made it."""
    created_at: float | None = None
    doubtful_since: float | None = None
    doubtful_rounds: int = 0
    outdone: int = 0
    """How often the service failed with this spec after it had created others since the failure before."""
    created_jobs: int = 0
    """How many had been created in that account and region at the last such failure."""
    waiting_since: float | None = None
    place_shown: tuple[str, float] | None = None
    """The place in the line that the status tells, and since when."""
    troubles: dict[str, Trouble] = field(default_factory=dict)
    """By operation."""
    stop_sent_at: float | None = None
    stopping_since: float | None = None


@dataclass(slots=True, kw_only=True)
class Memory(JobMemory):
    """What this process knows of one object beyond the object itself. All of it may be lost at any moment."""

    first_seen: float
    term: int = 0
    """The term of leadership in which it was learned: what happened since another replica led is unknown."""
    slot: Slot | None = None
    """The job that everything in JobMemory is about."""
    endpoint_url: str | None = None
    """The endpoint that answered, where a namespace names one: another endpoint knows other jobs."""
    target: Hashable = None
    """The account, region, endpoint and role that the troubles are about."""
    decided_generation: int | None = None
    """The generation reported last, for where the CRD does not keep observedGeneration."""
    refused: Refusal | None = None
    """It names the spec and the annotations that it is about."""
    unreleased: Hindrance | None = None
    """The API server refused to let the finalizer go."""
    marked: Identity | None = None
    """What this process has marked the object with: that mark tells of no attempt before its own."""
    unmarked: Unmarked | None = None
    """The mark could not be written, the last time that it was tried."""
    foreign_writer: str = ""
    """The other field manager that has written the status last, since this process knows the object."""
    foreign_writes: tuple[float, ...] = ()
    """When other field managers have written the status lately."""
    disputed: bool = False
    """The status holds what another field manager has written: only the next answer of SageMaker counts."""
    passive_until: float | None = None
    """Until then the object is left to that other controller."""
    passive_shown: bool = False
    handled_request: str | None = None
    asked: bool = False
    """A request came in this life of the process, so what an earlier one refused is tried once more."""

    def note_told(self, told: Observation) -> None:
        """A list or an event shows something new: have a look."""
        self.look, self.told = True, told

    def note_found(self, observation: Observation, now: float) -> None:
        self.observation, self.told = observation, None
        self.look = False
        self.looked_at = now
        self.absent = self.is_replaced = False
        self.absent_since = None

    def note_absent(self, now: float, *, is_replaced: bool = False) -> None:
        """:param is_replaced: the name belongs to another run"""
        self.look = False
        self.is_replaced = is_replaced
        self.looked_at = now
        self.absent = True
        self.absent_since = now if self.absent_since is None else self.absent_since

    def owner_exists(self, now: float) -> bool | None:
        """Existence of the object that the job's tags name; None where it has to be read (again)."""
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
        """Wait longer after each failure; `spread` (0.5 to 1.0) keeps objects that fail together apart.

        `operation` is the call that was wanted; the error may be of one on the way to it, such as AssumeRole.

        :param is_lasting: the pauses go on growing with the time that it lasts
        :param finding: a quota that is too small: what to show in place of the error
        """
        known = self.troubles.get(operation)
        failures, since = (1, now) if known is None else (known.failures + 1, known.since)
        first, limit = _PAUSES.get(error.kind, (RETRY_FIRST, RETRY_SECONDS))
        if finding is not None:
            first, limit = QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS
        if is_lasting:
            limit = max(limit, min(LASTING_RETRY_SECONDS, LASTING_SHARE * (now - since)))
        pause = min(limit, first * 2.0 ** min(failures - 1, 16))
        if is_vanguard:
            pause = min(pause, max(VANGUARD_RETRY_FIRST, VANGUARD_SHARE * (now - since)))
        self.troubles[operation] = Trouble(error, since, failures, now + pause * spread, finding=finding)

    def note_unmarked(self, state: tuple[int, int], words: str, now: float, spread: float) -> float:
        """The API server refused the mark; the seconds until the next try, which grow with each failure."""
        failures = 1 if self.unmarked is None else self.unmarked.failures + 1
        pause = spread * min(UNMARKED_RETRY_SECONDS, UNMARKED_RETRY_FIRST * 2.0 ** min(failures - 1, 16))
        self.unmarked = Unmarked(state, words, failures, now + pause)
        return pause

    def note_outdone(self, created_jobs: int) -> int:
        """The service failed with this spec; how often it did so after it had created others in between."""
        if created_jobs > self.created_jobs:
            self.outdone += 1
        self.created_jobs = created_jobs
        return self.outdone

    def is_denied(self, operation: str) -> bool:
        trouble = self.troubles.get(operation)
        return trouble is not None and trouble.error.kind is ErrorClass.DENIED

    def forgive(self, now: float) -> bool:
        """The service answers again: what waits for that is due at once; whether anything was."""
        waiting = {
            operation: replace(trouble, retry_at=now)
            for operation, trouble in self.troubles.items()
            if trouble.error.kind in PASSING and trouble.retry_at > now
        }
        self.troubles.update(waiting)
        return bool(waiting)

    def note_success(self, operation: str) -> bool:
        """The call went well; whether that tells others who were denied it that they may be allowed it as well.

        Those who were woken by such news have none: else each of a thousand that were allowed at once would wake
        whoever is denied for good.
        """
        has_news = self.is_denied(operation) and not self.troubles[operation].is_woken
        self.troubles.pop(operation, None)
        return has_news

    def wake(self, operation: str, now: float) -> bool:
        """Somebody who was denied this call has been allowed it: try it at once; whether it was waiting for that."""
        if not self.is_denied(operation) or self.troubles[operation].retry_at <= now:
            return False
        self.troubles[operation] = replace(self.troubles[operation], retry_at=now, is_woken=True)
        return True

    def turn_to(self, slot: Slot, endpoint_url: str | None) -> None:
        """Nothing that was learned of another job, or from another endpoint, holds for this one."""
        if self.slot is not None and (self.slot, self.endpoint_url) != (slot, endpoint_url):
            nothing = JobMemory()
            for known in fields(JobMemory):
                setattr(self, known.name, getattr(nothing, known.name))
        self.slot, self.endpoint_url = slot, endpoint_url

    def reach_by(self, target: Hashable) -> None:
        """Errors of another endpoint, or under another role, do not hold for this one."""
        if self.target not in (None, target):
            self.troubles.clear()
        self.target = target

    def note_foreign_write(self, manager: str, now: float) -> None:
        """A single write is overwritten; two controllers would undo each other's work for ever."""
        was_passive = self.passive_until is not None and now < self.passive_until
        self.passive_shown = self.passive_shown and was_passive
        self.foreign_writer = manager
        recent = [at for at in self.foreign_writes if now - at < RIVAL_SECONDS]
        self.foreign_writes = (*recent, now)[-RIVAL_WRITES:]
        self.disputed = self.look = True
        if was_passive or manager == ACK_MANAGER or len(self.foreign_writes) == RIVAL_WRITES:
            self.passive_until = now + PASSIVE_SECONDS

    def note_request(self, request: str) -> None:
        """Somebody asked for another look: nothing that was put off is put off any longer."""
        self.handled_request = request
        self.asked = self.look = True
        self.absent, self.absent_since = False, None
        self.refused = None
        self.doubtful_since, self.doubtful_rounds = None, 0
        self.outdone = 0
        self.in_use = self.in_use and self.unsettled
        self.troubles.clear()
        if self.unmarked is not None:
            self.unmarked = replace(self.unmarked, retry_at=0.0)

    def note_attempt(self, generation: int, policy: Policy) -> None:
        """Another spec, or other annotations, have their own time to heal in."""
        if self.tried != (generation, policy):
            self.tried = (generation, policy)
            self.doubtful_since, self.doubtful_rounds, self.outdone = None, 0, 0

    def forget_attempt(self) -> None:
        """Nothing is on its way any more under the name that was tried."""
        self.in_use = self.unsettled = self.absent = False
        self.proof = self.named_owner = self.observation = self.tags = None
        self.absent_since = self.looked_at = None
