"""What one pass of the reconciler learned of one object. Values only: status.py and events.py draw conclusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainingjob_operator.logic.observation import Observation


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to tell the user: a CamelCase reason (conditions.py has them) and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Hindrance:
    """An error that is retried; `waiting` for quota or capacity, else whether the job is as wanted is unknown."""

    reason: str
    message: str
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All that one pass learned; None means that nothing new was learned and the last value stays."""

    generation: int
    """metadata.generation that was decided on."""
    account: str | None = None
    region: str | None = None
    partition: str | None = None
    arn: str | None = None
    job_name: str | None = None
    """In the user's spelling; the ARN's is lower-cased."""
    instance_type: str | None = None
    """What spec asks for; what SageMaker says comes first."""
    is_found: bool = False
    """The last Describe of this process found the job."""
    observation: Observation | None = None
    """What SageMaker said last."""
    overrules: bool = False
    """Another field manager has written the status: what it tells of the job is replaced by the observation."""
    terminal: Finding | None = None
    """Refused for good, name clash, nothing to adopt or to read, an unusable annotation before there is a job."""
    vanished: Finding | None = None
    """The job is not found any more."""
    hindrance: Hindrance | None = None
    waiting: Finding | None = None
    """Waiting for its turn: the place in the queue."""
    advisories: tuple[Finding, ...] = ()
    pending_edit: Finding | None = None
    """A valid edit that waits for the phase in which the API takes it."""
    is_past: bool = False
    """The job was not created for this object, and this is the first report on it: its past is no news."""
    ownership: Mapping[str, Any] | None = None
    """The record of the object's claim on the job, as the status field holds it."""
    adopted: bool = False
    observed: bool = False
    """The object reads the job only."""
    handled_request: str | None = None
    """The last request to look again at once that was served."""
    applied_tag_keys: tuple[str, ...] | None = None
    """Keys of the user tags on the job that the operator set."""
    applied_fields: tuple[str, ...] | None = None
    """Updatable parts of spec that the operator has put on the job (updates.py)."""
    deleting: bool = False
    disowned: bool = False
    """The recorded ARN is of somebody else's job (ACK records it on a name clash): it and what was observed go."""
    unproved: bool = False
    """Nobody knows yet whether the job of the recorded ARN is this object's."""
