"""Lines of CloudWatch Logs: instances, order, and the part not shown yet."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OVERLAP_MILLISECONDS = 60_000
"""CloudWatch shows the lines of an instance late: each read starts so long before the newest line."""

MAX_REMEMBERED = 200_000
"""Number of lines that are remembered as shown."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a log stream."""

    milliseconds: int
    """Time since the epoch, as the instance wrote it."""
    instance: str
    text: str
    id: str
    """The same for each read of the event."""

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.milliseconds)


def read_instance(stream: str) -> str:
    """Return the instance in the name of a stream: algo-1 in `job/algo-1-1700000000`."""
    name = stream.rpartition("/")[2]
    head, _, number = name.rpartition("-")
    return head if head and number.isdigit() else name


def choose_streams(streams: Iterable[str], instances: Sequence[str]) -> list[str]:
    """Return the streams of these instances, by number (1) or name (algo-1); all without instances."""
    wanted = {f"algo-{each}" if each.isdigit() else each for each in instances}
    return sorted(stream for stream in streams if not wanted or read_instance(stream) in wanted)


def read_line(event: Mapping[str, Any]) -> LogLine:
    """Convert an event of FilterLogEvents."""
    instance = read_instance(event["logStreamName"])
    return LogLine(int(event["timestamp"]), instance, str(event["message"]), str(event["eventId"]))


def order(lines: Iterable[LogLine]) -> list[LogLine]:
    """Return the lines in order of time; lines of one instance with the same time keep their order."""
    return sorted(lines, key=lambda line: line.milliseconds)


class ShownLines:
    """Memory of the lines shown, so that overlapping reads show each line once."""

    def __init__(self, start: int | None) -> None:
        self._start = start
        self._newest: int | None = None
        self._ids: OrderedDict[str, None] = OrderedDict()

    @property
    def next_start(self) -> int | None:
        """Start of the next read in milliseconds; None reads from the beginning."""
        if self._newest is None:
            return self._start
        return max(self._newest - OVERLAP_MILLISECONDS, self._start or 0)

    def take(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Return the lines not shown yet, in order of time, and remember them."""
        fresh = []
        for line in order(lines):
            if line.id in self._ids:
                continue
            self._ids[line.id] = None
            self._newest = line.milliseconds if self._newest is None else max(self._newest, line.milliseconds)
            fresh.append(line)
        while len(self._ids) > MAX_REMEMBERED:
            self._ids.popitem(last=False)
        return fresh
