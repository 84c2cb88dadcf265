"""Facts for users: a reason and a sentence. conditions.py and events.py show them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason in CamelCase (listed in reasons.py) and a sentence for the user."""

    reason: str
    message: str
    job_arn: str | None = None
    """ARN of another owner's job that the finding is about."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """An error with retries; `waiting` for quota or capacity, otherwise the sync state of the job is unknown."""

    reason: str
    message: str
    waiting: bool = False
