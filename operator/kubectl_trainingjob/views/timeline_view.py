"""Bars for the secondary statuses of jobs, in a terminal and as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as escape_xml

from rich.text import Text

from kubectl_trainingjob.logic.durations import format_duration
from kubectl_trainingjob.logic.text import escape
from kubectl_trainingjob.logic.timeline import place, tick_step, total_seconds
from kubectl_trainingjob.views.colors import OUTCOMES, color_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubectl_trainingjob.logic.timeline import Bar, Lane

BLOCK = "█"
MIN_WIDTH = 10
"""Least number of columns for bars."""


def draw_lanes(lanes: Sequence[Lane], width: int) -> list[Text]:
    """Return the lines of all jobs on one scale, `width` columns wide, and the axis below them."""
    labels = max((len(bar.status) for lane in lanes for bar in lane.bars), default=8)
    columns = max(MIN_WIDTH, width - labels - 14)
    total = total_seconds(lanes)
    lines: list[Text] = []
    for lane in lanes:
        lines += [_draw_title(lane), *_draw_bars(lane, total, labels, columns), Text()]
    if any(lane.bars for lane in lanes):
        lines += _draw_axis(total, labels, columns)
    return lines


def describe_total(lane: Lane) -> str:
    """Return the sum of the bars, and the billable time if it is known."""
    billable = lane.job.billable_instance_seconds
    paid = "" if billable is None else f", billable {format_duration(billable)}"
    return f"{format_duration(lane.seconds)}{paid}"


def _draw_title(lane: Lane) -> Text:
    job = lane.job
    title = Text.assemble((job.name, "bold"), "  ", (escape(job.phase), OUTCOMES[job.outcome]))
    if lane.bars:
        title.append(f"  {describe_total(lane)}")
    else:
        title.append("  no secondary status recorded yet", style="dim")
    return title


def _draw_bars(lane: Lane, total: float, labels: int, columns: int) -> Iterator[Text]:
    for bar in lane.bars:
        first, length = place(bar, lane.lead, total, columns)
        line = Text(f"  {escape(bar.status).ljust(labels)}  {' ' * first}")
        line.append(BLOCK * length, style=color_of(bar.status))
        line.append(f" {describe_length(bar)}")
        yield line


def describe_length(bar: Bar) -> str:
    """Return the duration of a bar; a status that lasts has a trailing mark."""
    length = f"{bar.seconds:.1f}s" if bar.seconds < 10 else format_duration(bar.seconds)
    return f"{length} …" if bar.is_open else length


def _draw_axis(total: float, labels: int, columns: int) -> list[Text]:
    step = tick_step(total, max(1, columns // 12))
    marks, numbers = [" "] * (columns + 12), [" "] * (columns + 12)
    for count in range(int(total / step) + 1):
        column = int(count * step / total * columns)
        marks[column] = "|"
        text = format_duration(count * step)
        numbers[column : column + len(text)] = text
    indent = " " * (labels + 4)
    return [Text((indent + "".join(row)).rstrip(), style="dim") for row in (marks, numbers)]


ROW, LEFT, RIGHT = 22, 150, 90
"""Height of a row, and widths of the margins in pixels."""


def draw_svg(lanes: Sequence[Lane], width: int = 900) -> str:
    """Return the same picture as SVG, which scales without loss."""
    total = total_seconds(lanes)
    rows = sum(len(lane.bars) + 2 for lane in lanes)
    height = rows * ROW + 40
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="ui-sans-serif, system-ui, sans-serif" font-size="13">'
        ),
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    parts += _draw_svg_axis(total, width, height)
    top = 8
    for lane in lanes:
        parts += _draw_svg_lane(lane, total, width, top)
        top += (len(lane.bars) + 2) * ROW
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_svg_lane(lane: Lane, total: float, width: int, top: int) -> Iterator[str]:
    scale = (width - LEFT - RIGHT) / total
    title = f"{lane.job.name} · {escape(lane.job.phase)} · {describe_total(lane)}"
    yield f'<text x="8" y="{top + 15}" font-weight="600" fill="#1b1f24">{escape_xml(title)}</text>'
    for row, bar in enumerate(lane.bars, start=1):
        y = top + row * ROW
        x, length = LEFT + (lane.lead + bar.offset) * scale, max(1.5, bar.seconds * scale)
        yield f'<text x="8" y="{y + 15}" fill="#57606a">{escape_xml(escape(bar.status))}</text>'
        box = f'x="{x:.1f}" y="{y + 3}" width="{length:.1f}" height="{ROW - 6}" rx="2"'
        yield f'<rect {box} fill="{color_of(bar.status)}"/>'
        yield f'<text x="{x + length + 5:.1f}" y="{y + 15}" fill="#1b1f24">{describe_length(bar)}</text>'


def _draw_svg_axis(total: float, width: int, height: int) -> Iterator[str]:
    scale, step = (width - LEFT - RIGHT) / total, tick_step(total, 8)
    for count in range(int(total / step) + 1):
        x = LEFT + count * step * scale
        yield f'<line x1="{x:.1f}" y1="8" x2="{x:.1f}" y2="{height - 26}" stroke="#d8dee4"/>'
        label = format_duration(count * step)
        yield f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle" fill="#57606a">{label}</text>'
