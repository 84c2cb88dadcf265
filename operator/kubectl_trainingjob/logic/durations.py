"""Durations: as kubectl writes and reads them."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"(\d+)([dhms])")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as 90s, 1h30m or 2d. Raises ValueError with the valid form."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write it as 90s, 30m, 1h30m or 2d.")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Return the duration in whole seconds, such as 1h2m3s, without units that are zero."""
    rest, shown = max(0, round(seconds)), ""
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


def format_age(seconds: float) -> str:
    """Return the duration in the largest unit, or two of them, as the AGE column of kubectl."""
    rest = max(0, int(seconds))
    if rest < 120:
        return f"{rest}s"
    if rest < 3 * 3600:
        minutes, left = divmod(rest, 60)
        return f"{minutes}m{left}s" if left and minutes < 10 else f"{minutes}m"
    if rest < 48 * 3600:
        hours, left = divmod(rest // 60, 60)
        return f"{hours}h{left}m" if left and hours < 8 else f"{hours}h"
    days, left = divmod(rest // 3600, 24)
    return f"{days}d{left}h" if left and days < 8 else f"{days}d"
