"""Figures beside their targets: a table for people, JSON for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.demo.screen import tabulate

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; a figure without a target is for information."""

    title: str
    value: float | None
    """None: not measurable."""
    unit: str = ""
    target: float | None = None
    """The highest value that meets the target."""

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value is not None and self.value <= self.target

    def cells(self) -> tuple[str, str, str, str]:
        verdict = {None: "", True: "met", False: "MISSED"}[self.is_met]
        target = "" if self.target is None else f"≤ {show(self.target)} {self.unit}".rstrip()
        value = "not measured" if self.value is None else f"{show(self.value)} {self.unit}".rstrip()
        return self.title, target, value, verdict


def show(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that is not exceeded by this share of all values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def compose_table(figures: Sequence[Figure]) -> list[str]:
    return tabulate(("MEASURED", "TARGET", "VALUE", ""), *(figure.cells() for figure in figures))
