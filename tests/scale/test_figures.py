"""Evaluation of the bench: percentiles, lags, missing statuses, verdicts, the plot."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.scale.chart import Panel, draw
from tests.scale.comparison import checked_out, compare, compose_comparison
from tests.scale.figures import Figure, compose_table, percentile
from tests.scale.follower import Sight, count_missing
from tests.scale.scenarios import measure_power
from tests.scale.soak import fit_slope

LIFE = [("Starting", 10_000), ("Training", 20_000), ("Completed", 30_000)]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.99, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (list(range(1, 101)), 0.99, 99)],
)
def test_a_percentile_is_one_of_the_measured_values(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("sight", "index", "lag"),
    [
        (Sight(0.0, reported={("Starting", 10_000): 12.0}), 0, 2.0),
        (Sight(0.0, reported={("Training", 20_000): 23.0}), 0, 13.0),  # skipped, and followed by a later one
        (Sight(0.0, shown={"Training": 22.0}), 1, 2.0),  # a controller without a list of transitions
        (Sight(0.0, reported={("Starting", 10_000): 12.0}), 1, None),
        (Sight(0.0, reported={("Completed", 30_000): 29.999}), 2, 0.0),  # rounded to milliseconds
    ],
)
def test_a_status_is_behind_until_it_or_a_later_one_is_reported(sight: Sight, index: int, lag: float | None) -> None:
    assert sight.lag(LIFE, index) == lag


def test_a_status_shown_and_not_listed_is_missing_from_the_list_only() -> None:
    sight = Sight(0.0, reported={("Starting", 10_000): 12.0}, shown={"Training": 22.0})
    assert count_missing(sight, LIFE) == (2, 1)


@pytest.mark.parametrize(
    ("value", "target", "verdict"), [(3.0, 3.0, "met"), (3.1, 3.0, "MISSED"), (None, 3.0, "MISSED"), (3.0, None, "")]
)
def test_a_figure_is_compared_with_its_target(value: float | None, target: float | None, verdict: str) -> None:
    figure = Figure("CR to ARN", value, "s", target)
    assert figure.cells()[-1] == verdict
    assert "CR to ARN" in compose_table([figure])[1]


@pytest.mark.parametrize("is_logarithmic", [False, True])
def test_a_plot_is_svg_with_a_line_for_each_series(is_logarithmic: bool) -> None:
    series = {"one": [(1.0, 2.0), (10.0, 20.0)], "two": [(1.0, 1.0), (100.0, 5.0)]}
    root = ET.fromstring(draw([Panel("A & B", "x", "y", series, is_logarithmic), Panel("empty", "x", "y", {})]))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_the_panels_of_a_plot_are_in_rows_of_two() -> None:
    root = ET.fromstring(draw([Panel(name, "x", "y", {"one": [(1.0, 2.0)]}) for name in "ABC"]))
    places = [group.get("transform") for group in root.iter("{http://www.w3.org/2000/svg}g")]
    assert places == ["translate(0,0)", "translate(420,0)", "translate(0,300)"]
    assert root.get("viewBox") == "0 0 840 600"


@pytest.mark.parametrize(
    ("curve", "power"),
    [({100: 2.0, 1000: 20.0}, 1.0), ({100: 2.0, 300: 99.0, 10_000: 2.0}, 0.0), ({10: 1.0, 100: 100.0}, 2.0),
     ({100: 2.0}, None), ({100: 0.0, 1000: 1.0}, None)],
)  # fmt: skip
def test_growth_is_a_power_from_the_first_number_to_the_last(curve: dict[int, float], power: float | None) -> None:
    assert measure_power(curve) == pytest.approx(power)


@pytest.mark.parametrize(
    ("points", "slope"),
    [([(0.0, 5.0)], 0.0), ([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], 2.0), ([(0.0, 1.0), (1.0, 4.0), (2.0, 1.0)], 0.0)],
)
def test_the_slope_is_that_of_the_line_through_all_samples(points: list[tuple[float, float]], slope: float) -> None:
    assert fit_slope(points) == pytest.approx(slope)


def test_versions_are_compared_round_by_round() -> None:
    here = [[Figure("CPU a job", 5.0, "ms"), Figure("new", 1.0)], [Figure("CPU a job", 6.0, "ms"), Figure("new", 1.0)]]
    there = [[Figure("CPU a job", 10.0, "ms"), Figure("old", 1.0)], [Figure("CPU a job", 10.0, "ms")]]
    [ratio] = compare(here, there)
    assert (ratio.values, ratio.is_met) == ([0.5, 0.6], True)
    [_, row] = compose_comparison([ratio], "main")
    assert re.split(r" {2,}", row) == ["CPU a job", "10 ms", "5.5 ms", "0.55 (0.50 to 0.60)", "≤ 0.60", "met"]


def test_a_figure_of_zero_or_without_a_target_has_no_verdict() -> None:
    figures = [[Figure("CPU a job", 0.0), Figure("Applied within", 1.0, "s")]]
    assert [ratio.is_met for ratio in compare(figures, figures)] == [None, None]


def test_a_ref_is_checked_out_with_its_environment_and_removed(tmp_path: Path) -> None:
    repository, trees = tmp_path / "repository", tmp_path / "trees"
    repository.mkdir()
    (repository / "Makefile").write_text("setup:\n\techo $(PYTHON) >environment\n")
    commit = ("-c", "user.name=x", "-c", "user.email=x@y.example", "commit", "--quiet", "--message", "One")
    for arguments in (("init", "--quiet"), ("add", "Makefile"), commit):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    with checked_out("HEAD", trees, repository) as tree:
        assert Path((tree / "environment").read_text().strip()).is_file(), "the Python that runs the bench"
        assert repository not in tree.parents
    assert not tree.exists()
    with (
        pytest.raises(SystemExit, match="--against=nowhere: there is no such commit"),
        checked_out("nowhere", trees, repository),
    ):
        pass
