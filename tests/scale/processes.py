"""Cost of processes, from /proc (Linux)."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a process and its descendants."""

    cpu: float
    """Seconds, user and system."""
    resident: int
    """Bytes."""


def read_usage(pid: int) -> Usage:
    """Usage of the live processes of the tree below `pid`; zero without any."""
    cpu = resident = 0
    for each in (pid, *descendants(pid)):
        try:
            text = Path(f"/proc/{each}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()  # without the program's name, which may contain any character
        cpu += int(fields[11]) + int(fields[12])
        resident += int(fields[21])
    return Usage(cpu / _TICKS, resident * _PAGE)


def descendants(pid: int) -> set[int]:
    """Its children and their descendants."""
    found: set[int] = set()
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return found
    for child in children:
        found |= {child, *descendants(child)}
    return found


def read_machine() -> float:
    """CPU seconds of all processes of this machine since its boot."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS


def count_descriptors(pid: int) -> int:
    """Open files, sockets and pipes of the tree below `pid`."""
    count = 0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            count += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return count


def memory_gigabytes() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE / 1e9
