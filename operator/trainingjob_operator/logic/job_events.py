"""EventBridge's "SageMaker Training Job State Change" events: what one of them says.

Their detail is shaped like DescribeTrainingJob's answer, but times are milliseconds or seconds of the epoch, as
numbers or as texts, or ISO 8601 texts. They come of every
job of an account, at least once, in no certain order; what follows from one is event_listener.py's, how far they can
be relied on event_flow.py's.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trainingjob_operator.logic.naming import Identity, parse_arn
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.resource import mapping

SOURCE = "aws.sagemaker"
DETAIL_TYPE = "SageMaker Training Job State Change"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 1e9
"""Seconds of the epoch before any training job. As milliseconds they are in 1970, so that the size tells the unit."""
_NUMBER = re.compile(r"\d{10,20}(\.\d{1,9})?", re.ASCII)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII)
_TIMES = ("CreationTime", "LastModifiedTime", "TrainingEndTime")
"""Those that a summary shows too."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job had this state at some time."""

    identity: Identity
    """With the name as the ARN spells it, in lower case."""
    told: Observation
    """As much as ListTrainingJobs would tell."""


def read_event(body: object) -> JobEvent | None:
    """The event in a message's body; None for whatever is not a usable one. Takes any value at all."""
    try:
        event = mapping(json.loads(body))  # type: ignore[arg-type]  # what it can't take is caught
    except (TypeError, ValueError, RecursionError):
        return None
    if (event.get("source"), event.get("detail-type")) != (SOURCE, DETAIL_TYPE):
        return None
    detail = mapping(event.get("detail"))
    named = parse_arn(detail.get("TrainingJobArn"))
    told = Observation.from_summary({**detail, **{name: _read_time(detail.get(name)) for name in _TIMES}})
    return None if named is None or not told.status else JobEvent(named[1], told)


def _read_time(value: object) -> datetime | None:
    if isinstance(value, str):
        return _read_epoch(float(value)) if _NUMBER.fullmatch(value) else _read_iso(value)
    return _read_epoch(value) if isinstance(value, int | float) else None


def _read_epoch(number: float) -> datetime | None:
    if not number >= _EARLIEST:  # or not a number
        return None
    try:
        return _EPOCH + (timedelta(seconds=number) if number < _EARLIEST * 1000 else timedelta(milliseconds=number))
    except (OverflowError, ValueError):  # beyond the calendar; infinite
        return None


def _read_iso(text: str) -> datetime | None:
    if not _DATE_AND_TIME.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
