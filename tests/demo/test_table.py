"""The live table as a terminal of 118 columns shows it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.demo.samples import read_samples
from tests.demo.table import BARS_WIDTH, build_table
from tests.demo.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 28, 12, 0, 40, tzinfo=UTC)
SAMPLES = {sample.name: sample for sample in read_samples()}


def condition(kind: str, status: str, reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": ""}


def step(status: str, start: int, end: int | None) -> dict[str, str]:
    moments = {"startTime": start, "endTime": end}
    return {"status": status} | {
        name: f"2026-11-28T12:00:{second:02}Z" for name, second in moments.items() if second is not None
    }


def running(name: str, *steps: dict[str, str]) -> Trial:
    status = {
        "phase": "InProgress",
        "trainingJobStatus": "InProgress",
        "secondaryStatus": steps[-1]["status"],
        "secondaryStatusTransitions": list(steps),
        "ackResourceMetadata": {"arn": "arn:aws:sagemaker:us-east-1:111122223333:training-job/x"},
        "conditions": [condition("Ready", "False", steps[-1]["status"]), condition("ACK.ResourceSynced", "False")],
    }
    return trial(name, status)


def trial(name: str, status: dict[str, Any] | None = None, **facts: Any) -> Trial:
    body = None if status is None else {"metadata": {"name": name}, "spec": {}, "status": status}
    return Trial(SAMPLES[name], 0.0, body=body, seen=NOW, **facts)


def draw(trials: Sequence[Trial], width: int = 118) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(build_table(trials, 40))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def row_of(name: str, lines: Sequence[str]) -> list[str]:
    line = next(line for line in lines if name in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_each_sample_has_a_row_from_the_beginning() -> None:
    lines = draw([trial("churn-completed"), trial("vision-spot")])
    assert lines[0].strip() == "TrainingJobs after 40 s: 0 of 2 ended"
    assert row_of("vision-spot", lines) == ["vision-spot", "-", "", "", "no status yet"]


def test_secondary_statuses_are_bars_on_one_scale() -> None:
    lines = draw(
        [
            running("vision-spot", step("Starting", 0, 10), step("Training", 10, None)),
            running("churn-completed", step("Starting", 0, 10), step("Training", 30, None)),
        ]
    )
    assert len(row_of("vision-spot", lines)[2]) == BARS_WIDTH  # 40 s, the whole scale
    assert "Starting" in lines[-1]
    assert "Training" in lines[-1]
    assert row_of("vision-spot", lines)[1] == "InProgress"
    assert any("Ready=False" in line for line in lines)


def test_a_sample_that_ended_otherwise_names_the_difference() -> None:
    status = {"phase": "Failed", "conditions": [condition("Failed", "True"), condition("Stalled", "True")]}
    lines = draw([trial("churn-completed", status, seconds=12.0, ended_as="Failed", difference="the job is Failed")])
    assert lines[0].strip() == "TrainingJobs after 40 s: 1 of 1 ended"
    assert row_of("churn-completed", lines)[1] == "Failed"
    assert row_of("churn-completed", lines)[4].startswith("the job is Failed")


def test_a_deleted_object_keeps_its_row() -> None:
    seen = running("forecast-deleted", step("Starting", 0, 10), step("Stopping", 10, None))
    seen.is_deleted, seen.seconds, seen.ended_as = True, 14.0, "Stopped"
    row = row_of("forecast-deleted", draw([seen]))
    assert row[1] == "Stopped"
    assert row[4] == "as expected, 14 s"


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_the_terminal(width: int) -> None:
    shown = running("vision-spot", *(step("Training", second, second + 1) for second in range(40)))
    assert max(map(len, draw([shown], width))) <= width
