"""What the bench makes of what it saw: percentiles, lags, what is missing, verdicts, the plot."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.scale.chart import Panel, draw
from tests.scale.figures import Figure, compose_table, percentile
from tests.scale.follower import Sight, count_missing

LIFE = [("Starting", 10_000), ("Training", 20_000), ("Completed", 30_000)]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.99, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (list(range(1, 101)), 0.99, 99)],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("sight", "index", "lag"),
    [
        (Sight(0.0, told={("Starting", 10_000): 12.0}), 0, 2.0),
        (Sight(0.0, told={("Training", 20_000): 23.0}), 0, 13.0),  # skipped, and passed by a later one
        (Sight(0.0, shown={"Training": 22.0}), 1, 2.0),  # a controller that keeps no list
        (Sight(0.0, told={("Starting", 10_000): 12.0}), 1, None),
        (Sight(0.0, told={("Completed", 30_000): 29.999}), 2, 0.0),  # rounded to milliseconds
    ],
)
def test_a_status_is_behind_until_it_or_a_later_one_is_told(sight: Sight, index: int, lag: float | None) -> None:
    assert sight.lag(LIFE, index) == lag


def test_a_status_that_was_shown_and_not_kept_is_missing_from_the_list_alone() -> None:
    sight = Sight(0.0, told={("Starting", 10_000): 12.0}, shown={"Training": 22.0})
    assert count_missing(sight, LIFE) == (2, 1)


@pytest.mark.parametrize(
    ("value", "target", "verdict"), [(3.0, 3.0, "met"), (3.1, 3.0, "MISSED"), (None, 3.0, "MISSED"), (3.0, None, "")]
)
def test_a_figure_is_held_against_its_target(value: float | None, target: float | None, verdict: str) -> None:
    figure = Figure("CR to ARN", value, "s", target)
    assert figure.cells()[-1] == verdict
    assert "CR to ARN" in compose_table([figure])[1]


@pytest.mark.parametrize("is_logarithmic", [False, True])
def test_a_plot_is_svg_with_a_line_for_each_series(is_logarithmic: bool) -> None:
    series = {"one": [(1.0, 2.0), (10.0, 20.0)], "two": [(1.0, 1.0), (100.0, 5.0)]}
    root = ET.fromstring(draw([Panel("A & B", "x", "y", series, is_logarithmic), Panel("empty", "x", "y", {})]))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
