"""Result of one reconcile of one object. Values only: contents.py and events.py draw conclusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainingjob_operator.logic.findings import Finding, Hindrance
    from trainingjob_operator.logic.jobs.observation import Observation
    from trainingjob_operator.logic.objects.attempts import Attempt
    from trainingjob_operator.logic.objects.role_selectors import RoleSelection


@dataclass(frozen=True, slots=True)
class Report:
    """Result of one reconcile; None keeps the last value."""

    generation: int
    """The reconciled metadata.generation."""
    account: str | None = None
    region: str | None = None
    partition: str | None = None
    arn: str | None = None
    job_name: str | None = None
    """In the user's spelling; the ARN has it in lower case."""
    instance_type: str | None = None
    """The requested type; the observed one has precedence."""
    is_found: bool = False
    """The last Describe of this process found the job."""
    observation: Observation | None = None
    """The last observation."""
    overrules: bool = False
    """Another field manager wrote the status: the observation replaces its job state."""
    terminal: Finding | None = None
    """Permanent refusal, name clash, missing job to adopt or read, or an invalid annotation without a job."""
    vanished: Finding | None = None
    """SageMaker no longer has the job."""
    hindrance: Hindrance | None = None
    waiting: Finding | None = None
    """Waiting for its turn, with the position in the queue."""
    retrying: Finding | None = None
    """Between two attempts: the end of the last one, and its successor."""
    attempts: tuple[Attempt, ...] = ()
    advisories: tuple[Finding, ...] = ()
    pending_edit: Finding | None = None
    """A valid edit pending until SageMaker accepts it."""
    is_past: bool = False
    """First report on a job not created for this object: its history makes no Events."""
    ownership: Mapping[str, Any] | None = None
    """The object's claim on the job, in the form of the status field."""
    adopted: bool = False
    selection: RoleSelection | None = None
    """The role of the IAMRoleSelector that matches the object."""
    observed: bool = False
    """The object is read-only."""
    handled_request: str | None = None
    """The last handled reconcile request."""
    applied_tag_keys: tuple[str, ...] | None = None
    """Keys of user tags applied to the job by the operator."""
    applied_fields: tuple[str, ...] | None = None
    """Updatable parts of spec applied to the job by the operator (updates.py)."""
    deleting: bool = False
    disowned: bool = False
    """The recorded ARN is a foreign job's (ACK records it on a name clash): remove it with the observed fields."""
    unproved: bool = False
    """The ownership of the job with the recorded ARN is not verified yet."""
