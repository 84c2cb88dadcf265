"""Two versions of the operator measured in turn on the same machine: ratios with their spread, beside targets."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.demo.screen import tabulate
from tests.scale.figures import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.scale.figures import Figure

ROOT = Path(__file__).parents[2]

TARGETS = {
    "CPU a job": 0.60,
    "Resident memory, at most": 0.75,
    "CR to ARN, p50": 0.80,
    "CR to ARN, p99": 0.80,
    "Status behind SageMaker, p99": 0.70,
}
"""Highest ratio to version 1acffc7 that meets the project's goal; shown for any other version, too."""


@contextlib.contextmanager
def checked_out(ref: str, folder: Path, repository: Path = ROOT) -> Iterator[Path]:
    """A checkout of a git ref with its locked environment, removed at the end.

    Raises SystemExit for an unknown ref.
    """
    question = ["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
    found = subprocess.run(question, cwd=repository, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise SystemExit(f"--against={ref}: there is no such commit; use a branch, a tag or a hash of `git log`.")
    tree = folder / found.stdout.strip()
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--detach", "--force", str(tree), ref], cwd=repository, check=True
    )
    try:
        base = str(Path(sys.base_prefix) / "bin" / Path(sys.executable).name)
        variables = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        subprocess.run(["make", "setup", f"PYTHON={base}"], cwd=tree, env=variables, check=True)
        yield tree
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=repository, check=True)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of both versions, from the same number of rounds."""

    title: str
    here: Sequence[float]
    there: Sequence[float]
    unit: str = ""

    @property
    def values(self) -> list[float]:
        """The ratio of each round; none if the other version shows 0."""
        return [here / there for here, there in zip(self.here, self.there, strict=True) if there]

    @property
    def is_met(self) -> bool | None:
        target = TARGETS.get(self.title)
        return None if target is None or not self.values else median(self.values) <= target

    def cells(self) -> tuple[str, ...]:
        values, target = self.values, TARGETS.get(self.title)
        spread = f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "–"
        return (
            self.title,
            f"{show(median(self.there))} {self.unit}".rstrip(),
            f"{show(median(self.here))} {self.unit}".rstrip(),
            spread,
            "" if target is None else f"≤ {target:.2f}",
            {None: "", True: "met", False: "MISSED"}[self.is_met],
        )


def compare(here: Sequence[Sequence[Figure]], there: Sequence[Sequence[Figure]]) -> list[Ratio]:
    """The figures that all rounds of both versions measured, in order. Each side has one list per round."""
    rounds = [{figure.title: figure for figure in figures} for figures in (*here, *there)]
    common = [
        figure
        for figure in here[0]
        if all(figure.title in each and each[figure.title].value is not None for each in rounds)
    ]

    def values(figure: Figure, rounds: Sequence[Sequence[Figure]]) -> list[float]:
        return [float(each.value or 0.0) for figures in rounds for each in figures if each.title == figure.title]

    return [Ratio(figure.title, values(figure, here), values(figure, there), figure.unit) for figure in common]


def compose_comparison(ratios: Sequence[Ratio], ref: str) -> list[str]:
    return tabulate(("MEASURED", ref.upper(), "HERE", "RATIO", "TARGET", ""), *(ratio.cells() for ratio in ratios))
