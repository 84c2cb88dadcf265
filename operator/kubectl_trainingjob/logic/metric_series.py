"""Metrics of the algorithm in log lines, found as SageMaker finds them: by the regular expressions of the spec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubectl_trainingjob.logic.log_lines import LogLine


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one metric in order of time."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(seconds since the epoch, value)"""
    problem: str = ""
    """Why there can be no values."""


def find_series(definitions: Sequence[tuple[str, str]], lines: Iterable[LogLine]) -> list[Series]:
    """Return one series for each definition (name, regular expression), in their order."""
    found = list(lines)
    return [_find(name, regex, found) for name, regex in definitions]


def _find(name: str, regex: str, lines: Sequence[LogLine]) -> Series:
    try:
        pattern = re.compile(regex)
    except re.error as error:
        return Series(name, (), f"its regular expression is invalid: {error}")
    points = []
    for line in lines:
        for match in pattern.finditer(line.text):
            value = _number(match[1] if pattern.groups else match[0])
            if value is not None:
                points.append((line.milliseconds / 1000, value))
    return Series(name, tuple(points), "" if points else "no log line matches its regular expression")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None  # False for NaN, too
