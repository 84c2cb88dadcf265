"""A curve in Braille characters, which have two by four dots each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a character by column and row."""
_BLANK = 0x2800

Point = tuple[float, float]


def draw(points: Sequence[Point], width: int, height: int) -> list[str]:
    """Return `height` lines of `width` characters with the curve through the points."""
    cells = [[0] * width for _ in range(height)]
    dots = _scale(points, width * 2 - 1, height * 4 - 1)
    for column, row in _connect(dots):
        cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    return ["".join(chr(_BLANK + cell) for cell in line) for line in cells]


def _scale(points: Sequence[Point], right: int, bottom: int) -> list[tuple[int, int]]:
    """Return the dots (column, row from the top) of the points."""
    times, values = [point[0] for point in points], [point[1] for point in points]
    start, low = min(times, default=0.0), min(values, default=0.0)
    duration, span = max(times, default=0.0) - start, max(values, default=0.0) - low
    return [
        (
            round((time - start) / duration * right) if duration else 0,
            round((1 - (value - low) / span) * bottom) if span else bottom // 2,
        )
        for time, value in points
    ]


def _connect(dots: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the dots and those on the straight lines between neighbours."""
    drawn = set(dots)
    for (column, row), (next_column, next_row) in itertools.pairwise(dots):
        steps = max(abs(next_column - column), abs(next_row - row))
        for step in range(1, steps):
            drawn.add(
                (column + round((next_column - column) * step / steps), row + round((next_row - row) * step / steps))
            )
    return drawn
