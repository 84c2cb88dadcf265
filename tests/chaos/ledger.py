"""Faults and results: the table at the end of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    fault: str
    injected: int
    jobs: int
    invariant: str
    problems: tuple[str, ...]


@dataclass
class Ledger:
    """The rows so far; each is printed at once."""

    rows: list[Row] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def announce(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def enter(
        self, fault: str, invariant: str, *, injected: int, jobs: int, problems: list[str], needed: bool = True
    ) -> None:
        """Add one row; a needed fault without an injection is a problem, because it proves nothing."""
        if needed and not injected:
            problems = [*problems, "the fault was never injected"]
        self.rows.append(Row(fault, injected, jobs, invariant, tuple(problems)))
        self.announce(f"{fault}: {injected} injected, {jobs} jobs, {'NOT held' if problems else 'held'}")
        for problem in problems:
            print(problem, flush=True)

    @property
    def problems(self) -> list[str]:
        return [f"{row.fault}: {problem}" for row in self.rows for problem in row.problems]

    def table(self) -> str:
        """The table in Markdown."""
        head = ["fault", "injected", "jobs", "invariant", "held"]
        rows = [
            [
                row.fault,
                str(row.injected),
                str(row.jobs),
                row.invariant,
                f"NO ({len(row.problems)})" if row.problems else "yes",
            ]
            for row in self.rows
        ]
        rows.append(
            [
                "**all**",
                str(sum(r.injected for r in self.rows)),
                str(sum(r.jobs for r in self.rows)),
                "",
                "NO" if self.problems else "yes",
            ]
        )
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = [head, ["-" * width for width in widths], *rows]
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )
