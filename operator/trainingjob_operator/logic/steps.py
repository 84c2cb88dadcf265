"""The steps that decision.py can ask for, and reconciler.py and job_calls.py carry out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.ownership import Verdict
from trainingjob_operator.logic.report import Finding, Hindrance
from trainingjob_operator.logic.resource import Key
from trainingjob_operator.logic.updates import TagChange


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do and nothing to say until something changes."""

    refused: Finding | None = None
    """What the status tells an earlier life of the process was refused: it holds until spec or annotations change."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to say yet; ask again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """DescribeTrainingJob."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class ReadTags:
    """ListTags of the job that Describe has shown."""

    identity: Identity
    arn: str


@dataclass(frozen=True, slots=True)
class FindOwner:
    """Read the object that the job's tags name."""

    key: Key


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Stand in the line of those who want to create."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Mark:
    """Finalizer and create-pending, in one patch."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Unmark:
    """The attempt is over without a job: take the finalizer and create-pending away."""

    refusal: Finding | None = None
    """What to remember as the reason."""


@dataclass(frozen=True, slots=True)
class Create:
    identity: Identity


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The job with that ARN is this object's from now on."""

    arn: str
    finalizer: bool
    claim: Verdict | None = None
    """The claim to record; None keeps the one that holds."""


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
class Release:
    """Take the finalizer and create-pending away: there is nothing left to stop."""


@dataclass(frozen=True, slots=True)
class Say:
    """Report, and ask again after so many seconds (None: when something changes)."""

    terminal: Finding | None = None
    vanished: Finding | None = None
    hindrance: Hindrance | None = None
    waiting: Finding | None = None
    pending_edit: Finding | None = None
    advisories: tuple[Finding, ...] = ()
    again: float | None = None
    place: str | None = None
    """The place in the line as told in words."""
    release: bool = False
    """Afterwards take the finalizer away: what there was to stop has ended."""
    passive: bool = False
    """The last word for as long as another controller writes the object."""
    unfinished: bool = False
    """An edit is not dealt with yet: its generation must not count as observed."""
    disowned: bool = False
    """Nothing of a job may be shown: the one of this name is not this object's."""


Step = (
    Rest
    | Wait
    | Look
    | ReadTags
    | FindOwner
    | TakeTurn
    | Mark
    | Unmark
    | Create
    | TakeOver
    | Stop
    | Update
    | SetTags
    | Release
    | Say
)
