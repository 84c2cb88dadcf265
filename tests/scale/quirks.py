"""Deviations of the real service from its documentation; the figures must meet their targets under them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sagemaker.stand_in import Control


@dataclass(frozen=True, slots=True)
class Quirk:
    """One deviation, and the target of the delay of the status under it: seconds, for 99 of 100 changes."""

    apply: Callable[[Control], object]
    behind: float


def filter_after_paging(sagemaker: Control) -> None:
    sagemaker.settings(filters_after_paging=["StatusEquals", "LastModifiedTimeAfter"])


def filter_before_paging(sagemaker: Control) -> None:
    """Restore the documented behaviour."""
    sagemaker.settings(filters_after_paging=["StatusEquals"])


def _add_foreign_jobs(sagemaker: Control) -> None:
    sagemaker.create_foreign_jobs(50_000)


QUIRKS = {
    "filters-after-paging": Quirk(filter_after_paging, 15.0),
    "empty-pages": Quirk(lambda sagemaker: sagemaker.settings(empty_pages=-1), 15.0),
    "stale-lists": Quirk(lambda sagemaker: sagemaker.settings(stale_list_seconds=3.0), 11.0),
    "foreign-jobs": Quirk(_add_foreign_jobs, 8.0),
}
"""Pages of at most 100 and a quota of 2 lists a second apply in every measurement. Jobs that run for weeks take longer
than a measurement: tests/logic/test_sweep.py covers them, and each of these, in virtual time.
"""
