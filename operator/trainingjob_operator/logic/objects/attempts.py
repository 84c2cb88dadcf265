"""Attempts of one object, each with a job of its own: the list in `.status.attempts`.

SageMaker keeps the name of a job forever, so that each attempt has another name (`name_attempt` in naming.py). Not
here: the ends that another attempt follows (decide/succession.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.logic.naming import Identity, parse_arn

MAX_ATTEMPTS = 10
"""Maximum number of attempts of an object: each costs the price of a job."""

FIELD = "attempts"
"""The status field of the list."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; the fields of an ended job are None while it is open."""

    number: int
    job_name: str
    arn: str
    reason: str | None = None
    """Reason of the end of the job, as in its conditions."""
    failure_reason: str | None = None
    end_time: str | None = None
    """RFC 3339."""
    training_seconds: int | None = None
    billable_seconds: int | None = None

    @property
    def is_ended(self) -> bool:
        return self.reason is not None

    def is_job(self, identity: Identity) -> bool:
        own = parse_arn(self.arn)
        return own is not None and own.slot == identity.slot

    def to_status(self) -> dict[str, Any]:
        """Return the item of the list in the status."""
        item = {
            "number": self.number,
            "trainingJobName": self.job_name,
            "arn": self.arn,
            "reason": self.reason,
            "failureReason": self.failure_reason,
            "endTime": self.end_time,
            "trainingTimeInSeconds": self.training_seconds,
            "billableTimeInSeconds": self.billable_seconds,
        }
        return {name: value for name, value in item.items() if value is not None}


def read_attempts(listed: object) -> tuple[Attempt, ...]:
    """Return the attempts in a status in their order, without unreadable ones."""
    found = (_read_attempt(item) for item in (listed if isinstance(listed, list) else ()))
    return order_attempts(attempt for attempt in found if attempt is not None)


def order_attempts(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Return the newest MAX_ATTEMPTS attempts by number, each job once."""
    by_arn = {attempt.arn: attempt for attempt in attempts}
    return tuple(sorted(by_arn.values(), key=lambda attempt: attempt.number))[-MAX_ATTEMPTS:]


def _read_attempt(item: object) -> Attempt | None:
    if not isinstance(item, Mapping):
        return None
    arn, number = item.get("arn"), _integer(item.get("number"))
    identity = parse_arn(arn)
    if identity is None or not isinstance(arn, str) or number is None or number < 1:
        return None
    return Attempt(
        number=number,
        job_name=_text(item.get("trainingJobName")) or identity.job_name,
        arn=arn,
        reason=_text(item.get("reason")),
        failure_reason=_text(item.get("failureReason")),
        end_time=_text(item.get("endTime")),
        training_seconds=_integer(item.get("trainingTimeInSeconds")),
        billable_seconds=_integer(item.get("billableTimeInSeconds")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
