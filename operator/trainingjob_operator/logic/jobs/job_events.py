"""Parser of EventBridge's "SageMaker Training Job State Change" events.

The detail has the shape of DescribeTrainingJob's answer, but times are milliseconds or seconds of the epoch, as numbers
or text, or ISO 8601 text. EventBridge delivers them at least once, in any order, for every job of an account. Not here:
the reaction to an event (event_listener.py) and the reliability of events (event_flow.py).
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity, parse_arn
from trainingjob_operator.logic.objects.resource import mapping

SOURCE = "aws.sagemaker"
DETAIL_TYPE = "SageMaker Training Job State Change"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 1e9
"""Seconds of the epoch before any training job; as milliseconds they fall in 1970, so the size determines the unit."""
_NUMBER = re.compile(r"\d{10,20}(\.\d{1,9})?", re.ASCII)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_TIMES = ("CreationTime", "LastModifiedTime", "TrainingEndTime")
"""The times contained in a list summary, too."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """The state of a job at some time."""

    identity: Identity
    """The job; its name is lower-case, as in the ARN."""
    seen: Observation
    """The fields of a ListTrainingJobs summary."""


def read_event(body: object) -> JobEvent | None:
    """Return the event in a message body of any type; None if it is not usable."""
    try:
        event = mapping(json.loads(body))  # type: ignore[arg-type]  # what it can't take is caught
    except (TypeError, ValueError, RecursionError):
        return None
    if (event.get("source"), event.get("detail-type")) != (SOURCE, DETAIL_TYPE):
        return None
    detail = mapping(event.get("detail"))
    named = parse_arn(detail.get("TrainingJobArn"))
    seen = Observation.from_summary({**detail, **{name: _read_time(detail.get(name)) for name in _TIMES}})
    return None if named is None or not seen.status else JobEvent(named, seen)


def _read_time(value: object) -> datetime | None:
    if isinstance(value, str):
        return _read_epoch(float(value)) if _NUMBER.fullmatch(value) else _read_iso(value)
    return _read_epoch(value) if isinstance(value, int | float) else None


def _read_epoch(number: float) -> datetime | None:
    if not number >= _EARLIEST:  # also not a number
        return None
    try:
        return _EPOCH + (timedelta(seconds=number) if number < _EARLIEST * 1000 else timedelta(milliseconds=number))
    except (OverflowError, ValueError):  # beyond the calendar, or infinite
        return None


def _read_iso(text: str) -> datetime | None:
    if not _DATE_AND_TIME.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
