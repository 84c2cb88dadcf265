"""The live table of the demo: a row for each sample, its secondary statuses as bars on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kubectl_trainingjob.logic.durations import format_duration
from kubectl_trainingjob.logic.job import Job
from kubectl_trainingjob.logic.text import escape
from kubectl_trainingjob.logic.timeline import build_lane, place, total_seconds
from kubectl_trainingjob.views.colors import OUTCOMES, color_of
from kubectl_trainingjob.views.timeline_view import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from kubectl_trainingjob.logic.timeline import Lane
    from tests.demo.trial import Trial

LEAST_SECONDS = 20.0
"""Length of the scale at the beginning, so that the first bars do not fill it."""
BARS_WIDTH = 30
CONDITION_STYLES = {"True": "green", "Unknown": "yellow"}
ALARMS = frozenset({"ACK.Terminal", "ACK.Recoverable", "Stalled", "Failed"})
"""Conditions that are bad news if they are True."""


def build_table(trials: Sequence[Trial], seconds: float) -> RenderableType:
    """The screen after so many seconds."""
    lanes = [build_lane(Job(trial.body or {}), trial.seen) for trial in trials]
    total = max(LEAST_SECONDS, total_seconds(lanes))
    ended = sum(trial.seconds is not None for trial in trials)
    title = f"TrainingJobs after {seconds:.0f} s: {ended} of {len(trials)} ended"
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=ROUNDED, show_lines=True
    )
    table.add_column("SAMPLE", no_wrap=True)
    table.add_column("STATUS", no_wrap=True, min_width=11)
    table.add_column(f"SECONDARY STATUSES, {format_duration(total)}", width=BARS_WIDTH, no_wrap=True)
    table.add_column("CONDITIONS", min_width=26, ratio=3)
    table.add_column("OUTCOME", min_width=16, ratio=2)
    for trial, lane in zip(trials, lanes, strict=True):
        cells = (build_status(trial, lane.job), build_bars(lane, total), build_conditions(lane.job))
        table.add_row(Text(trial.sample.name), *cells, build_outcome(trial, lane.job))
    return Group(table, build_legend(lanes))


def build_status(trial: Trial, job: Job) -> Text:
    """Status and secondary status; of a deleted object the job's status."""
    if trial.seconds is not None and trial.is_deleted:
        return Text.assemble((escape(trial.ended_as), "yellow"), "\n(deleted)")
    if trial.body is None:
        return Text("-")
    step = escape(job.secondary_status)
    below = f"\n{step}" if step and step != job.phase else ""
    return Text.assemble((escape(job.phase) or "-", OUTCOMES[job.outcome]), below)


def build_bars(lane: Lane, total: float) -> Text:
    """All bars of a job in one line."""
    line = Text()
    for bar in lane.bars:
        first, length = place(bar, lane.lead, total, BARS_WIDTH)
        line.append(" " * max(0, first - len(line)))
        line.append(BLOCK * max(1, first + length - len(line)), style=color_of(bar.status))
    line.truncate(BARS_WIDTH)
    return line


def build_conditions(job: Job) -> Text:
    """Each condition in the color of its status."""
    parts = Text()
    for each in job.conditions:
        style = "red" if each.status == "True" and each.type in ALARMS else CONDITION_STYLES.get(each.status, "dim")
        parts.append(f"{' ' if parts else ''}{each.type}", style=style)
        if each.status != "True":
            parts.append(f"={each.status}", style=style)
    return parts


def build_outcome(trial: Trial, job: Job) -> Text:
    """The reason until the end, then the comparison with the sample's file."""
    if trial.seconds is None:
        ready = job.ready
        return Text(escape(ready.reason) if ready else "no status yet", style="dim")
    style = "green" if trial.has_succeeded else "bold red"
    return Text(f"{trial.verdict}, {trial.seconds:.0f} s", style=style)


def build_legend(lanes: Sequence[Lane]) -> Text:
    """The colors of the secondary statuses that occur."""
    legend = Text()
    for status in dict.fromkeys(bar.status for lane in lanes for bar in lane.bars):
        legend.append("■ ", style=color_of(status))
        legend.append(f"{escape(status)}  ")
    return legend
