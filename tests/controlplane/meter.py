"""Progress of a step of minutes with an estimate: a bar on a terminal, otherwise a line at intervals."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich import progress as bars
from rich.console import Console

if TYPE_CHECKING:
    from types import TracebackType

LINE_SECONDS = 15.0
"""Interval of lines without a terminal."""

Progress = Callable[[str], None]
"""Prints one line for people."""


def to_stderr(line: str) -> None:
    """The default for progress lines: a first build takes minutes and must not appear to hang."""
    print(line, file=sys.stderr, flush=True)


class Meter:
    """Shows the progress of a step; reports the name of the step at once."""

    def __init__(self, step: str, unit: str, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        """`unit`, such as "MB", follows the counts. A bar is drawn only if `progress` writes to a terminal."""
        self._clock = clock
        self._step = step
        self._unit = unit
        self._progress = progress
        self._began = self._written = clock()
        self._first: float | None = None
        self._bar: bars.Progress | None = None
        if progress is to_stderr and sys.stderr.isatty():
            columns = (
                bars.TextColumn("{task.description}"),
                bars.BarColumn(),
                bars.TextColumn("{task.fields[count]}"),
                bars.TimeElapsedColumn(),
                bars.TextColumn("{task.fields[left]}"),
            )
            self._bar = bars.Progress(*columns, console=Console(stderr=True, highlight=False))
            self._task = self._bar.add_task(step, total=None, count="", left="")

    def __enter__(self) -> Self:
        if self._bar is None:
            self._progress(self._step)
        else:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: float, total: float | None) -> None:
        """Show this state; None is an unknown `total`. Call this about every second."""
        now = self._clock()
        if self._first is None:
            self._first = done
        count = f"{done:,.0f} of {total:,.0f} {self._unit}" if total else ""
        left = ""
        if total and done > self._first:
            seconds = (now - self._began) * (total - done) / (done - self._first)
            left = f"about {format_estimate(seconds)} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, count=count, left=left)
        elif now >= self._written + LINE_SECONDS:
            self._written = now
            self._progress(f"{self._step}: {', '.join(filter(None, [count or f'{now - self._began:.0f} s', left]))}")


def format_estimate(seconds: float) -> str:
    """Seconds below 90 s, else whole minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
