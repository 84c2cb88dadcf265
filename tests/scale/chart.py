"""Line charts as SVG, by hand: panels in rows, each with its axes and series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 300, 64, 16, 40, 64
COLUMNS = 2
COLOURS = ("#0b6e99", "#c4471d", "#3b7d3b", "#7a4fa0")


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. On a logarithmic panel both axes are logarithmic, and no value may be 0."""

    title: str
    across: str
    up: str
    series: Mapping[str, Points]
    is_logarithmic: bool = False


def draw(panels: Sequence[Panel]) -> str:
    """The SVG document, without panels that have no points."""
    shown = [panel for panel in panels if any(panel.series.values())]
    body = "".join(
        f'<g transform="translate({index % COLUMNS * WIDTH},{index // COLUMNS * HEIGHT})">{_panel(panel)}</g>'
        for index, panel in enumerate(shown)
    )
    columns, rows = max(1, min(COLUMNS, len(shown))), max(1, math.ceil(len(shown) / COLUMNS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * columns} {HEIGHT * rows}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


def _panel(panel: Panel) -> str:
    points = [point for series in panel.series.values() for point in series]
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT, is_logarithmic=panel.is_logarithmic)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, is_logarithmic=panel.is_logarithmic)
    parts = [_text(WIDTH / 2, 20, panel.title, "middle", weight="bold")]
    for tick in across.ticks:
        parts.append(_line(across.place(tick), TOP, across.place(tick), HEIGHT - BOTTOM, "#ddd"))
        parts.append(_text(across.place(tick), HEIGHT - BOTTOM + 16, f"{tick:g}", "middle"))
    for tick in up.ticks:
        parts.append(_line(LEFT, up.place(tick), WIDTH - RIGHT, up.place(tick), "#ddd"))
        parts.append(_text(LEFT - 6, up.place(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text(WIDTH / 2, HEIGHT - BOTTOM + 34, panel.across, "middle"))
    parts.append(_text(6, TOP - 10, panel.up, "start"))
    for number, (name, series) in enumerate(panel.series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in series)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(series) < 10:
            parts += [f'<circle cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="3" fill="{colour}"/>'
                      for x, y in series]  # fmt: skip
        place = LEFT + number * (WIDTH - LEFT) / len(panel.series)
        parts.append(_line(place, HEIGHT - 14, place + 14, HEIGHT - 14, colour, 2))
        parts.append(_text(place + 18, HEIGHT - 10, name, "start"))
    return "".join(parts)


class _Axis:
    """Maps values to coordinates between `low` and `high`."""

    def __init__(self, values: Sequence[float], low: float, high: float, *, is_logarithmic: bool) -> None:
        self._is_logarithmic = is_logarithmic
        if is_logarithmic:
            first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
            self.ticks = [10.0**power for power in range(first, max(last, first + 1) + 1)]
        else:
            step = _round_step(max(values) / 5)
            self.ticks = [step * index for index in range(math.ceil(max(values) / step) + 1)]
        self._low, self._high = low, high

    def place(self, value: float) -> float:
        first, last = self._scaled(self.ticks[0]), self._scaled(self.ticks[-1])
        return self._low + (self._high - self._low) * (self._scaled(value) - first) / (last - first)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._is_logarithmic else value


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, …"""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="#222">{escape(text)}</text>'
    )
