"""One row for each namespace, and their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kubectl_trainingjob.logic.durations import format_duration
from kubectl_trainingjob.logic.job import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubectl_trainingjob.logic.usage import Usage

_COLUMNS = {
    "SUCCEEDED": (Outcome.SUCCEEDED,),
    "FAILED": (Outcome.FAILED,),
    "STOPPED": (Outcome.STOPPED,),
    "REFUSED": (Outcome.REFUSED,),
    "LOST": (Outcome.LOST,),
    "OPEN": (Outcome.RUNNING, Outcome.WAITING),
}


def build_usage_table(usages: Sequence[Usage]) -> Table:
    """Return the table of `usage`."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("NAMESPACE", no_wrap=True)
    for head in ("JOBS", *_COLUMNS, "BILLABLE"):
        table.add_column(head, no_wrap=True, justify="right")
    for usage in usages:
        table.add_row(Text(usage.namespace), *_build_numbers([usage]))
    if len(usages) > 1:
        table.add_row(Text("total", style="bold"), *_build_numbers(usages))
    return table


def _build_numbers(usages: Iterable[Usage]) -> list[str]:
    some = list(usages)
    counts = [str(sum(usage.count(*outcomes) for usage in some)) for outcomes in _COLUMNS.values()]
    billable = format_duration(sum(usage.billable_instance_seconds for usage in some))
    return [str(sum(usage.jobs for usage in some)), *counts, billable]
