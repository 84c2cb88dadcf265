"""Outcomes: the changes of what this process knows about a job, by answers of AWS and by other news.

Each outcome is a value with one pure function from the old state of the job to the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.updates import UpdatePlan
from trainingjob_operator.logic.objects.annotations import Policy
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.memory import PASSING, RETRY_SECONDS, EditState, JobState, Trouble
from trainingjob_operator.logic.state.ownership import TagProof, Verdict

RETRY_FIRST = 1.0
"""First back-off of one job, in seconds; RETRY_SECONDS is the longest."""

DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS = 15.0, 300.0
"""The same for denied calls: only a user can correct permissions."""

PROBE_RETRY_FIRST, PROBE_SHARE = 5.0, 0.25
"""One object (the probe) retries for all objects denied the same call: first back-off, later share of elapsed time."""

THROTTLED_RETRY_SECONDS = 2.0
"""Longest back-off after a throttle: the shared budget slows down instead, for all jobs in their order."""

LASTING_SHARE, LASTING_RETRY_SECONDS = 0.1, 600.0
"""Back-off of a Create with persistent failures: share of the elapsed time, up to a maximum in seconds."""

QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS = 300.0, 3600.0
"""Back-off of a Create that needs a larger quota: an increase takes hours."""

_PAUSES = {
    ErrorClass.DENIED: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.REGION: (DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ErrorClass.THROTTLED: (RETRY_FIRST, THROTTLED_RETRY_SECONDS),
}

# -- state of the job -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hinted:
    """A list or an event showed another state; a Describe becomes due."""

    hint: Observation

    def after(self, job: JobState) -> JobState:
        return replace(job, needs_describe=True, hint=self.hint)


@dataclass(frozen=True, slots=True)
class Suspected:
    """A sign of a change of the job; a Describe becomes due."""

    def after(self, job: JobState) -> JobState:
        return replace(job, needs_describe=True)


@dataclass(frozen=True, slots=True)
class Described:
    """Describe found the job in this state."""

    seen: Observation
    now: float
    known: Observation
    """The state before, from the status if this process has seen none."""

    def after(self, job: JobState) -> JobState:
        known = self.known if job.observation is None else job.observation
        if job.hint is not None:  # a list or an event may be newer than the answer
            known = known.updated_by(job.hint)
        return replace(
            job,
            observation=known.updated_by(self.seen),
            hint=None,
            needs_describe=False,
            described_at=self.now,
            not_found=False,
            not_found_since=None,
            is_replaced=False,
        )


@dataclass(frozen=True, slots=True)
class JobMissing:
    """Describe returned NotFound, or another run with the name (`is_replaced`)."""

    now: float
    is_replaced: bool = False

    def after(self, job: JobState) -> JobState:
        return replace(
            job,
            needs_describe=False,
            described_at=self.now,
            not_found=True,
            not_found_since=self.now if job.not_found_since is None else job.not_found_since,
            is_replaced=self.is_replaced,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the job and its rules became known."""

    now: float

    def after(self, job: JobState) -> JobState:
        return replace(job, ended_at=self.now)


@dataclass(frozen=True, slots=True)
class AttemptListed:
    """The end of the job was written into `.status.attempts`."""

    def after(self, job: JobState) -> JobState:
        return replace(job, is_listed=True)


@dataclass(frozen=True, slots=True)
class Counted:
    """The metrics count the end of the job."""

    status: Mapping[str, Any]

    def after(self, job: JobState) -> JobState:
        return replace(job, counted=self.status)


# -- owner of the job -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagsRead:
    """ListTags answered; `proof` is the relation of the tags to the object of that generation."""

    tags: Mapping[str, str]
    generation: int
    proof: TagProof

    def after(self, job: JobState) -> JobState:
        owner = replace(job.owner, tags=self.tags, tags_generation=self.generation, proof=self.proof)
        return replace(job, owner=owner)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The evidence gives the object a claim on the job."""

    claim: Verdict

    def after(self, job: JobState) -> JobState:
        return replace(job, owner=replace(job.owner, claim=self.claim))


@dataclass(frozen=True, slots=True)
class OwnerChecked:
    """The API server knows, or does not know, the object named by the job's tags."""

    exists: bool
    now: float

    def after(self, job: JobState) -> JobState:
        return replace(job, owner=replace(job.owner, named_owner=(self.exists, self.now)))


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The job becomes the object's own."""

    arn: str
    claim: Verdict | None
    applied_tag_keys: tuple[str, ...] | None
    """None without evidence of tags set by the object."""
    applied_fields: tuple[str, ...] | None
    """None unless a Create of this object without an answer created the job."""

    def after(self, job: JobState) -> JobState:
        edit = job.edit
        return replace(
            job,
            arn=self.arn,
            owner=replace(job.owner, claim=self.claim or job.owner.claim),
            edit=replace(
                edit,
                applied_tag_keys=edit.applied_tag_keys if self.applied_tag_keys is None else self.applied_tag_keys,
                applied_fields=edit.applied_fields if self.applied_fields is None else self.applied_fields,
            ),
            attempt=replace(job.attempt, name_taken=False, unsettled=False),
        )


@dataclass(frozen=True, slots=True)
class OnlyObserved:
    """A read-only object reported the job; that proves no ownership of it."""

    def after(self, job: JobState) -> JobState:
        return replace(job, arn=None, owner=replace(job.owner, claim=None))


# -- attempts to create the job ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queued:
    """The object waits in the create queue."""

    now: float

    def after(self, job: JobState) -> JobState:
        attempt = job.attempt
        if attempt.waiting_since is not None:
            return job
        return replace(job, attempt=replace(attempt, waiting_since=self.now))


@dataclass(frozen=True, slots=True)
class PlaceShown:
    """The status contains that position in the create queue."""

    place: str
    now: float

    def after(self, job: JobState) -> JobState:
        shown = job.attempt.place_shown
        if shown is not None and shown[0] == self.place:
            return job
        return replace(job, attempt=replace(job.attempt, place_shown=(self.place, self.now)))


@dataclass(frozen=True, slots=True)
class Attempted:
    """A CreateTrainingJob call begins. Another spec or policy starts with a new back-off."""

    generation: int
    policy: Policy

    def after(self, job: JobState) -> JobState:
        attempt = job.attempt
        if attempt.tried != (self.generation, self.policy):
            tried = (self.generation, self.policy)
            attempt = replace(attempt, tried=tried, doubtful_since=None, doubtful_rounds=0, outdone=0)
        if not attempt.unsettled:
            attempt = replace(attempt, open_generation=self.generation)
        return replace(job, attempt=attempt)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An attempt of a previous process may have created a job."""

    def after(self, job: JobState) -> JobState:
        return replace(job, attempt=replace(job.attempt, unsettled=True))


@dataclass(frozen=True, slots=True)
class CreateFailed:
    """CreateTrainingJob failed; without a `definite` error it may have created a job."""

    definite: bool
    now: float

    def after(self, job: JobState) -> JobState:
        unsettled = job.attempt.unsettled or not self.definite
        return replace(job, attempt=replace(job.attempt, attempted_at=self.now, unsettled=unsettled))


@dataclass(frozen=True, slots=True)
class Created:
    """CreateTrainingJob created the job, with these tags and fields of the spec."""

    arn: str
    applied_tag_keys: tuple[str, ...]
    applied_fields: tuple[str, ...]
    now: float

    def after(self, job: JobState) -> JobState:
        return replace(
            job,
            arn=self.arn,
            needs_describe=True,
            observation=None,
            edit=replace(job.edit, applied_tag_keys=self.applied_tag_keys, applied_fields=self.applied_fields),
            attempt=replace(
                job.attempt,
                attempted_at=self.now,
                created_at=self.now,
                unsettled=False,
                name_taken=False,
                doubtful_since=None,
            ),
        )


@dataclass(frozen=True, slots=True)
class NameTaken:
    """CreateTrainingJob returned ResourceInUse: the owner of the name must be found anew."""

    def after(self, job: JobState) -> JobState:
        return replace(
            job,
            needs_describe=False,
            observation=None,
            described_at=None,
            not_found=False,
            not_found_since=None,
            owner=replace(job.owner, proof=None),
            attempt=replace(job.attempt, name_taken=True),
        )


@dataclass(frozen=True, slots=True)
class Doubted:
    """CreateTrainingJob failed with a validation error that may be transient."""

    now: float

    def after(self, job: JobState) -> JobState:
        since = job.attempt.doubtful_since
        return replace(job, attempt=replace(job.attempt, doubtful_since=self.now if since is None else since))


@dataclass(frozen=True, slots=True)
class DoubtEnded:
    """Such an error persisted: the spec counts as refused until the next round."""

    def after(self, job: JobState) -> JobState:
        attempt = replace(job.attempt, doubtful_rounds=job.attempt.doubtful_rounds + 1)
        return Dismissed(CREATE).after(replace(job, attempt=attempt))


@dataclass(frozen=True, slots=True)
class Outdone:
    """The service failed with this spec; it has created that number of jobs in the account and region."""

    created_jobs: int

    def after(self, job: JobState) -> JobState:
        attempt = job.attempt
        outdone = attempt.outdone + (self.created_jobs > attempt.created_jobs)
        return replace(job, attempt=replace(attempt, outdone=outdone, created_jobs=self.created_jobs))


@dataclass(frozen=True, slots=True)
class AttemptSettled:
    """The attempt created no job of this object; nothing of it remains."""

    def after(self, job: JobState) -> JobState:
        return replace(
            job,
            observation=None,
            described_at=None,
            not_found=False,
            not_found_since=None,
            owner=replace(job.owner, proof=None, named_owner=None, tags=None),
            attempt=replace(job.attempt, name_taken=False, unsettled=False),
        )


# -- edits and the end of the job -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Describe answered for that generation of the spec."""

    generation: int

    def after(self, job: JobState) -> JobState:
        return replace(job, edit=replace(job.edit, compared_generation=self.generation))


@dataclass(frozen=True, slots=True)
class Compared:
    """The spec was compared with the job."""

    differences: tuple[str, ...]
    plan: UpdatePlan

    def after(self, job: JobState) -> JobState:
        plan = self.plan if self.plan != UpdatePlan() else None
        return replace(job, edit=replace(job.edit, differences=self.differences, plan=plan))


@dataclass(frozen=True, slots=True)
class EditRefused:
    """The service, or the schema, refuses the edit of that generation for good."""

    generation: int
    finding: Finding

    def after(self, job: JobState) -> JobState:
        return replace(job, edit=replace(job.edit, edit_refused=(self.generation, self.finding)))


@dataclass(frozen=True, slots=True)
class Updated:
    """UpdateTrainingJob accepted these members."""

    members: Mapping[str, Any]
    applied_fields: tuple[str, ...]
    now: float

    def after(self, job: JobState) -> JobState:
        edit: EditState = replace(job.edit, updated=(self.members, self.now), applied_fields=self.applied_fields)
        return replace(job, needs_describe=True, edit=edit)


@dataclass(frozen=True, slots=True)
class TagsSet:
    """AddTags and DeleteTags succeeded."""

    added: Mapping[str, str]
    removed: tuple[str, ...]
    applied_tag_keys: tuple[str, ...]

    def after(self, job: JobState) -> JobState:
        kept = {key: value for key, value in (job.owner.tags or {}).items() if key not in self.removed}
        return replace(
            job,
            owner=replace(job.owner, tags={**kept, **self.added}),
            edit=replace(job.edit, applied_tag_keys=self.applied_tag_keys),
        )


@dataclass(frozen=True, slots=True)
class Stopping:
    """The job stops, or should stop, since this time at the latest."""

    now: float

    def after(self, job: JobState) -> JobState:
        since = job.stop.stopping_since
        return job if since is not None else replace(job, stop=replace(job.stop, stopping_since=self.now))


@dataclass(frozen=True, slots=True)
class StopSent:
    """StopTrainingJob succeeded."""

    now: float

    def after(self, job: JobState) -> JobState:
        stop = replace(job.stop, stop_sent_at=self.now, stopping_since=self.now)
        return replace(job, needs_describe=True, stop=stop)


# -- errors -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failed:
    """A call failed; the back-off grows.

    `operation` is the intended call; the error may come from a preliminary one, such as AssumeRole.
    """

    operation: str
    error: AwsError
    now: float
    spread: float
    """The jitter between objects, 0.5 to 1.0."""
    is_probe: bool = False
    """The object tries for all objects denied the same call."""
    is_lasting: bool = False
    """The back-off continues to grow with the elapsed time."""
    finding: Finding | None = None
    """Reported in place of the error, for a quota below the demand."""

    def after(self, job: JobState) -> JobState:
        known = job.troubles.get(self.operation)
        failures, since = (1, self.now) if known is None else (known.failures + 1, known.since)
        pause = self._pause(failures, self.now - since)
        trouble = Trouble(self.error, since, failures, self.now + pause * self.spread, finding=self.finding)
        return replace(job, troubles={**job.troubles, self.operation: trouble})

    def _pause(self, failures: int, elapsed: float) -> float:
        first, limit = _PAUSES.get(self.error.kind, (RETRY_FIRST, RETRY_SECONDS))
        if self.finding is not None:
            first, limit = QUOTA_RETRY_FIRST, QUOTA_RETRY_SECONDS
        if self.is_lasting:
            limit = max(limit, min(LASTING_RETRY_SECONDS, LASTING_SHARE * elapsed))
        pause = Backoff(first, limit).after(failures)
        return min(pause, max(PROBE_RETRY_FIRST, PROBE_SHARE * elapsed)) if self.is_probe else pause


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The errors of the operation no longer count: it succeeded, or the spec counts as refused."""

    operation: str

    def after(self, job: JobState) -> JobState:
        if self.operation not in job.troubles:
            return job
        return replace(job, troubles={name: job.troubles[name] for name in job.troubles if name != self.operation})


@dataclass(frozen=True, slots=True)
class Woken:
    """Another object succeeded with the call denied to this one: the retry is due (`JobState.may_wake`)."""

    operation: str
    now: float

    def after(self, job: JobState) -> JobState:
        trouble = replace(job.troubles[self.operation], retry_at=self.now, is_woken=True)
        return replace(job, troubles={**job.troubles, self.operation: trouble})


@dataclass(frozen=True, slots=True)
class Forgiven:
    """The service answers again: retries of transient errors are due."""

    now: float

    def after(self, job: JobState) -> JobState:
        due = {
            operation: replace(trouble, retry_at=self.now)
            for operation, trouble in job.troubles.items()
            if trouble.error.kind in PASSING and trouble.retry_at > self.now
        }
        return replace(job, troubles={**job.troubles, **due})
