"""Secondary statuses of jobs on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainingjob_operator.logic.jobs.observation import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kubectl_trainingjob.logic.job import Job

_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Distances between marks of the axis in seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One secondary status: seconds after the start of its job, and its length."""

    status: str
    offset: float
    seconds: float
    is_open: bool = False
    """The status lasts."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The bars of one job."""

    job: Job
    bars: tuple[Bar, ...]
    lead: float = 0.0
    """Seconds from the start of the axis to the start of the job."""

    @property
    def seconds(self) -> float:
        """From the start of the first bar to the end of the last."""
        return max((bar.offset + bar.seconds for bar in self.bars), default=0.0)


def build_lane(job: Job, now: datetime) -> Lane:
    """Return the job's bars; a status without an end lasts until the next one, the job's end, or now."""
    transitions = job.transitions
    if not transitions:
        return Lane(job, ())
    start = transitions[0].start
    starts = [transition.start for transition in transitions[1:]]
    last = job.time("trainingEndTime") or transitions[-1].start if job.outcome.is_final else now
    bars = []
    for transition, following in zip(transitions, [*starts, None], strict=True):
        until = transition.end or following or max(last, transition.start)
        is_open = transition.end is None and following is None and not job.outcome.is_final
        if transition.status not in ENDED or following is not None:
            length = max(0.0, (until - transition.start).total_seconds())
            bars.append(Bar(transition.status, (transition.start - start).total_seconds(), length, is_open))
    return Lane(job, tuple(bars))


def align_by_clock(lanes: Sequence[Lane]) -> list[Lane]:
    """Return the lanes with their distances in time; without this, each job starts at zero."""
    starts = [lane.job.transitions[0].start for lane in lanes if lane.bars]
    first = min(starts, default=None)
    return [
        Lane(lane.job, lane.bars, (lane.job.transitions[0].start - first).total_seconds())
        if lane.bars and first is not None
        else lane
        for lane in lanes
    ]


def total_seconds(lanes: Sequence[Lane]) -> float:
    """Return the length of the axis; at least one second."""
    return max([1.0, *(lane.lead + lane.seconds for lane in lanes)])


def place(bar: Bar, lead: float, total: float, width: int) -> tuple[int, int]:
    """Return first column and number of columns of a bar on `width` columns; at least one column."""
    first = min(width - 1, round((lead + bar.offset) / total * width))
    last = min(width, round((lead + bar.offset + bar.seconds) / total * width))
    return first, max(1, last - first)


def tick_step(total: float, most: int) -> int:
    """Return the distance of marks in seconds, so that there are at most `most` of them."""
    days = 86400
    steps = (*_TICKS, *(days * count for count in (2, 7, 14, 28)))
    return next((step for step in steps if total / step <= most), steps[-1])
