"""One row for each job."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kubectl_trainingjob.logic.durations import format_age, format_duration
from kubectl_trainingjob.logic.job import Outcome
from kubectl_trainingjob.logic.text import escape
from kubectl_trainingjob.views.colors import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kubectl_trainingjob.logic.job import Job


def build_table(jobs: Sequence[Job], now: datetime, *, namespaces: bool, wide: bool) -> Table:
    """Return the table of `list`."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    heads = [*(["NAMESPACE"] if namespaces else []), "NAME", "STATUS", "STEP", "INSTANCE", "AGE", "BILLABLE"]
    for head in [*heads, *(["REASON", "JOB"] if wide else [])]:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for job in jobs:
        table.add_row(*_build_cells(job, now, namespaces=namespaces, wide=wide))
    return table


def _build_cells(job: Job, now: datetime, *, namespaces: bool, wide: bool) -> list[Text]:
    status = Text(escape(job.phase) or "-", style=OUTCOMES[job.outcome])
    age = format_age((now - job.created).total_seconds()) if job.created else "-"
    billable = job.billable_instance_seconds
    texts = [job.secondary_status, job.instance, age, "" if billable is None else format_duration(billable)]
    cells = [Text(job.name), status, *(Text(escape(text) or "-") for text in texts)]
    if namespaces:
        cells.insert(0, Text(job.namespace))
    if wide:
        reason = job.terminal or job.recoverable or job.advisory
        cells += [Text(escape(reason.reason) if reason else "-"), Text(escape(job.job_name) or "-")]
    return cells


def summarize(jobs: Sequence[Job]) -> Text:
    """Return the number of jobs by outcome, and the billable time of their instances."""
    counts = Counter(job.outcome for job in jobs)
    total = sum(job.billable_instance_seconds or 0 for job in jobs)
    parts = [f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome]]
    noun = "job" if len(jobs) == 1 else "jobs"
    return Text(f"{len(jobs)} {noun}: {', '.join(parts)}; billable {format_duration(total)}", style="dim")
