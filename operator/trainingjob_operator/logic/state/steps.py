"""Steps returned by decide/ and executed by reconciler.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.updates import TagChange
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.logic.state.ownership import Verdict


@dataclass(frozen=True, slots=True)
class Idle:
    """No action and no report until a change."""

    refused: Finding | None = None
    """The recorded refusal by a previous process: valid until spec or annotations change."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """No report; decide again after this number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Describe:
    """DescribeTrainingJob."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class ReadTags:
    """ListTags of the described job."""

    identity: Identity
    arn: str


@dataclass(frozen=True, slots=True)
class FindOwner:
    """Read the object named by the job's tags."""

    key: Key


@dataclass(frozen=True, slots=True)
class JoinQueue:
    """Join the create queue."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class RecordIntent:
    """Add finalizer and create-pending in one patch."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class ClearIntent:
    """Remove finalizer and create-pending: the attempt ended without a job."""

    refusal: Finding | None = None
    """The reason to remember."""


@dataclass(frozen=True, slots=True)
class Create:
    identity: Identity


@dataclass(frozen=True, slots=True)
class TakeOwnership:
    """Record the job with that ARN as this object's."""

    arn: str
    finalizer: bool
    claim: Verdict | None = None
    """The claim to record; None keeps the current one."""


@dataclass(frozen=True, slots=True)
class Stop:
    identity: Identity


@dataclass(frozen=True, slots=True)
class Update:
    """UpdateTrainingJob with these members."""

    identity: Identity
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetTags:
    """AddTags and DeleteTags."""

    arn: str
    change: TagChange


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Remove finalizer and create-pending: nothing is left to stop."""


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the finished object: its time to live is over."""


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Report, and decide again after this number of seconds (None: on a change)."""

    terminal: Finding | None = None
    vanished: Finding | None = None
    hindrance: Hindrance | None = None
    waiting: Finding | None = None
    retrying: Finding | None = None
    """Between two attempts: the end of the last one."""
    pending_edit: Finding | None = None
    advisories: tuple[Finding, ...] = ()
    again: float | None = None
    place: str | None = None
    """The reported queue position."""
    release: bool = False
    """Remove the finalizer after the report: the job has ended."""
    passive: bool = False
    """The last report while another controller writes the object."""
    unfinished: bool = False
    """An edit is unfinished: its generation is not observed yet."""
    disowned: bool = False
    """Show no job: the one with this name is not this object's."""
    lists_attempt: bool = False
    """List the ended job in `.status.attempts`, before the status drops it."""
    closes_attempt: bool = False
    """Drop the ended job: another attempt follows."""


Step = (
    Idle
    | Requeue
    | Describe
    | ReadTags
    | FindOwner
    | JoinQueue
    | RecordIntent
    | ClearIntent
    | Create
    | TakeOwnership
    | Stop
    | Update
    | SetTags
    | RemoveFinalizer
    | DeleteObject
    | WriteStatus
)
