"""The dashboard's panels as SVG, with the answers of a real Prometheus to their queries.

It stands in for Grafana, which cannot be installed from the registries that this project's machines reach: the layout,
titles and queries are the dashboard's, the drawing is not Grafana's.
"""

from __future__ import annotations

import os
import tempfile
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import choose_cluster
from tests.crds.installation import install_crd
from tests.e2e.operator_process import OperatorProcess, await_true
from tests.prometheus.queries import Query, read_layout
from tests.prometheus.scene import is_over, prepare, prepare_more
from tests.prometheus.server import Prometheus
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PICTURE = Path(__file__).parents[2] / "docs/dashboard.svg"
COLUMN, LINE = 50, 26
"""Size in pixels of a cell of Grafana's grid of 24 columns."""
COLORS = ("#73bf69", "#5794f2", "#f2495c", "#ff9830", "#b877d9", "#fade2a", "#8ab8ff", "#96d98d", "#ffa6b0", "#ca95e5")
STEP = 2.0
ROUNDS, ROUND_SECONDS = 4, 25.0

Series = tuple[str, list[tuple[float, float]]]
"""Legend, and (time, value) in order."""


def draw_run(programs: Path) -> str:
    """Run the scene several times under Prometheus, and draw the panels."""
    with (
        tempfile.TemporaryDirectory() as name,
        choose_cluster(os.environ)() as cluster,
        StandIn() as sagemaker,
    ):
        folder = Path(name)
        install_crd(cluster)
        with OperatorProcess(cluster, sagemaker, folder) as operator:
            address = await_true("the address of the metrics", lambda: operator.address("metrics"))
            with Prometheus(programs, folder, address) as prometheus:
                began = time.time()
                teams = prepare(cluster, sagemaker)
                for number in range(ROUNDS):
                    time.sleep(ROUND_SECONDS)
                    sagemaker.throttle("DescribeTrainingJob", count=3)
                    prepare_more(teams, number)
                await_true("the jobs have ended", lambda: is_over(teams), 120.0)
                time.sleep(ROUND_SECONDS)
                return draw(prometheus, began, time.time())


def draw(prometheus: Prometheus, start: float, end: float) -> str:
    """Draw all panels with the answers for that time."""
    parts = [draw_panel(panel, queries, prometheus, start, end) for panel, queries in read_layout()]
    height = max(bottom for _, bottom in parts)
    body = "\n".join(text for text, _ in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" '
        f'font-family="Inter, Helvetica, Arial, sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="#111217"/>\n{body}\n</svg>\n'
    )


def draw_panel(
    panel: dict[str, Any], queries: Sequence[Query], prometheus: Prometheus, start: float, end: float
) -> tuple[str, int]:
    """The panel as SVG, and its lower edge."""
    place = panel["gridPos"]
    x, y, width, height = place["x"] * COLUMN, place["y"] * LINE, place["w"] * COLUMN, place["h"] * LINE
    title = escape(panel["title"])
    if panel["type"] == "row":
        return (
            f'<text x="{x + 8}" y="{y + 18}" fill="#ccccdc" font-size="14" font-weight="600">{title}</text>',
            y + LINE,
        )
    frame = (
        f'<g transform="translate({x + 4} {y + 4})"><rect width="{width - 8}" height="{height - 8}" rx="3" '
        f'fill="#181b1f" stroke="#2a2d33"/><text x="8" y="16" fill="#ccccdc" font-weight="600">{title}</text>'
    )
    unit = format_unit(panel["fieldConfig"]["defaults"]["unit"])
    if panel["type"] == "timeseries":
        series = [found for query in queries for found in ask(prometheus, query, start, end)]
        is_stacked = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
        inner = draw_series(series, start, end, width - 8, height - 8, unit, is_stacked=is_stacked)
    else:
        bars = [found for query in queries for found in ask_now(prometheus, query, end - start)]
        inner = (
            draw_stat(bars, width - 8, height - 8, unit)
            if panel["type"] == "stat"
            else draw_bars(bars, width - 8, unit)
        )
    return f"{frame}{inner}</g>", y + height


def ask(prometheus: Prometheus, query: Query, start: float, end: float) -> Iterator[Series]:
    for series in prometheus.query_range(query.fill(__rate_interval="30s"), start, end, STEP):
        points = [(float(at), float(value)) for at, value in series["values"] if value != "NaN"]
        if points:
            yield fill_legend(query.legend, series["metric"]), points


def ask_now(prometheus: Prometheus, query: Query, seconds: float) -> list[tuple[str, float]]:
    found = prometheus.query_labels(query.fill(__range=f"{seconds:.0f}s"))
    return [(fill_legend(query.legend, labels), value) for labels, value in found]


def fill_legend(legend: str, labels: dict[str, str]) -> str:
    """The legend of a series, or its labels where the panel has none."""
    text = legend
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text or ", ".join(labels.values())


def format_unit(unit: str) -> Callable[[float], str]:
    """How values of one of the units of the dashboard are written."""

    def seconds(value: float) -> str:
        size, name = next((pair for pair in ((3600, "h"), (60, "min"), (1, "s")) if value >= pair[0]), (0.001, "ms"))
        return f"{value / size:.3g} {name}"

    return {
        "s": seconds,
        "bytes": lambda value: f"{value / 2**20:.3g} MiB",
        "percentunit": lambda value: f"{value * 100:.0f} %",
        "reqps": lambda value: f"{value:.3g}/s",
    }.get(unit, lambda value: f"{value:.3g}")


def draw_stat(bars: Sequence[tuple[str, float]], width: int, height: int, unit: Callable[[float], str]) -> str:
    value = unit(bars[0][1]) if bars else "No data"
    return (
        f'<text x="{width / 2}" y="{height / 2 + 18}" fill="#e8e8f0" font-size="28" text-anchor="middle">'
        f"{escape(value)}</text>"
    )


def draw_bars(bars: Sequence[tuple[str, float]], width: int, unit: Callable[[float], str]) -> str:
    most = max((value for _, value in bars), default=0) or 1
    lines = []
    for number, (legend, value) in enumerate(bars[:6]):
        y = 32 + 28 * number
        long = max(1.0, (width - 90) * max(0.0, value) / most)
        lines.append(
            f'<text x="8" y="{y}" fill="#9d9fa8">{escape(legend)}</text>'
            f'<rect x="8" y="{y + 4}" width="{long:.1f}" height="10" fill="{COLORS[number % len(COLORS)]}"/>'
            f'<text x="{long + 14:.1f}" y="{y + 13}" fill="#ccccdc">{escape(unit(value))}</text>'
        )
    return "".join(lines)


def draw_series(
    series: Sequence[Series],
    start: float,
    end: float,
    width: int,
    height: int,
    unit: Callable[[float], str],
    *,
    is_stacked: bool,
) -> str:
    """Lines, or areas upon each other, with an axis and a legend below."""
    if not series:
        return f'<text x="{width / 2}" y="{height / 2}" fill="#9d9fa8" text-anchor="middle">No data</text>'
    curves = stack(series) if is_stacked else [points for _, points in series]
    top = max(value for points in curves for _, value in points) * 1.1 or 1.0
    left, right, bottom, upper = 52, width - 10, height - 44, 26

    def place(at: float, value: float) -> str:
        x = left + (right - left) * (at - start) / (end - start)
        return f"{x:.1f},{bottom - (bottom - upper) * value / top:.1f}"

    parts = []
    for share in (0, 0.5, 1):
        y = bottom - (bottom - upper) * share
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#2a2d33"/>'
            f'<text x="{left - 5}" y="{y + 4:.1f}" fill="#9d9fa8" text-anchor="end">{escape(unit(top * share))}</text>'
        )
    for number, points in reversed(list(enumerate(curves))):
        color, path = COLORS[number % len(COLORS)], " ".join(place(at, value) for at, value in points)
        if is_stacked:
            path = f"{place(points[0][0], 0)} {path} {place(points[-1][0], 0)}"
        fill = f'fill="{color}" fill-opacity="0.45"' if is_stacked else 'fill="none"'
        parts.append(f'<polyline points="{path}" {fill} stroke="{color}" stroke-width="1.5"/>')
    return "".join(parts) + draw_legend([legend for legend, _ in series], width, height)


def draw_legend(legends: Sequence[str], width: int, height: int) -> str:
    parts, x, y = [], 10.0, height - 26
    for number, legend in enumerate(legends):
        long = 22 + 6.2 * len(legend)
        if x + long > width:
            x, y = 10.0, y + 15
        if y > height - 8:
            break
        color = COLORS[number % len(COLORS)]
        parts.append(
            f'<rect x="{x:.1f}" y="{y - 4}" width="10" height="3" fill="{color}"/>'
            f'<text x="{x + 14:.1f}" y="{y}" fill="#9d9fa8">{escape(legend)}</text>'
        )
        x += long
    return "".join(parts)


def stack(series: Sequence[Series]) -> list[list[tuple[float, float]]]:
    """Each curve upon the sum of those before it; a series that is absent at a time counts as 0."""
    times = sorted({at for _, points in series for at, _ in points})
    heights, curves = dict.fromkeys(times, 0.0), []
    for _, points in series:
        known = dict(points)
        heights = {at: height + known.get(at, 0.0) for at, height in heights.items()}
        curves.append(sorted(heights.items()))
    return curves
