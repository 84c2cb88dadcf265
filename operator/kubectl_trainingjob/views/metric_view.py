"""Final metrics, and curves of the metrics in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kubectl_trainingjob.logic.durations import format_duration
from kubectl_trainingjob.logic.plot import draw
from kubectl_trainingjob.logic.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubectl_trainingjob.logic.job import Job
    from kubectl_trainingjob.logic.metric_series import Series

HEIGHT = 8
"""Lines of a curve."""
MARGIN = 12
"""Columns of the numbers beside a curve."""


def build_final_table(job: Job) -> Table:
    """Return the last value of each metric."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for head in ("METRIC", "VALUE", "TIME"):
        table.add_column(head, no_wrap=True)
    for name, value, time in job.final_metrics:
        table.add_row(Text(escape(name)), Text(f"{value:.6g}"), Text(f"{time:%Y-%m-%d %H:%M:%S}Z" if time else "-"))
    return table


def draw_series(series: Series, width: int) -> Iterator[Text]:
    """Yield the lines of one curve, its highest and lowest value at the left, its duration below."""
    name = escape(series.name)
    if not series.points:
        yield Text.assemble((name, "bold"), f"  {escape(series.problem)}")
        return
    values = [value for _, value in series.points]
    noun = "value" if len(values) == 1 else "values"
    yield Text.assemble(
        (name, "bold"),
        f"  {len(values)} {noun}, last {values[-1]:.6g}, lowest {min(values):.6g}, highest {max(values):.6g}",
    )
    lines = draw(series.points, max(10, width - MARGIN - 2), HEIGHT)
    for row, line in enumerate(lines):
        label = {0: max(values), len(lines) - 1: min(values)}.get(row)
        margin = "" if label is None else f"{label:.5g}"
        yield Text.assemble(f"{margin:>{MARGIN}} ", (line, "cyan"))
    seconds = series.points[-1][0] - series.points[0][0]
    yield Text(f"{' ' * MARGIN} {format_duration(seconds)} from the first value to the last", style="dim")
