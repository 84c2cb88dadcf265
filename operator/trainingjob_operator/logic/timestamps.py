"""Timestamps in `.status`: RFC 3339 in UTC. Not here: the clock; `now` is always an argument."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

# Python parses more of ISO 8601 than the API server permits as date-time.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_OURS = re.compile(r"[^.]{19}(\.\d{3})?Z", re.ASCII)


def parse_time(value: object) -> datetime | None:
    """Parse an aware datetime or RFC 3339 text, in UTC and truncated to milliseconds; None for any other value."""
    if isinstance(value, str):
        return _parse_text(value)
    return _to_utc(value) if isinstance(value, datetime) else None


@functools.lru_cache(maxsize=4096)  # one reconcile parses the same few texts repeatedly
def _parse_text(text: str) -> datetime | None:
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return _to_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def _to_utc(moment: datetime) -> datetime | None:
    if moment.utcoffset() is None:
        return None
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:  # within an offset of the first or the last year
        return None
    return utc - timedelta(microseconds=excess) if (excess := utc.microsecond % 1000) else utc


def format_time(moment: datetime) -> str:
    """Format as RFC 3339 in UTC, with milliseconds unless zero.

    Keeps SageMaker's precision: several transitions may occur within a second, and LastModifiedTime separates newer
    answers from stale ones – in whole seconds, every live job would appear changed after a restart.
    """
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def normalize_time(value: object) -> str | None:
    """Convert any value accepted by parse_time to the form of format_time."""
    moment = parse_time(value)
    if moment is None:
        return None
    # Most texts were written by this function; formatting costs more than a match.
    return value if isinstance(value, str) and _OURS.fullmatch(value) else format_time(moment)


def format_second(moment: datetime) -> str:
    """Format as RFC 3339 in UTC in whole seconds, like Kubernetes' own times."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
