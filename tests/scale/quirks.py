"""Habits of the real service under which the figures must hold too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sagemaker.stand_in import Control


@dataclass(frozen=True, slots=True)
class Quirk:
    """One habit, and how late the status may be under it: seconds, for 99 of 100 changes."""

    apply: Callable[[Control], object]
    behind: float


def _filter_after_paging(sagemaker: Control) -> None:
    filters = ["StatusEquals", "LastModifiedTimeAfter"]
    sagemaker.settings(filters_after_paging=filters)


def _add_foreign_jobs(sagemaker: Control) -> None:
    sagemaker.create_foreign_jobs(50_000)


QUIRKS = {
    "filters-after-paging": Quirk(_filter_after_paging, 15.0),
    "empty-pages": Quirk(lambda sagemaker: sagemaker.settings(empty_pages=-1), 15.0),
    "stale-lists": Quirk(lambda sagemaker: sagemaker.settings(stale_list_seconds=3.0), 11.0),
    "foreign-jobs": Quirk(_add_foreign_jobs, 8.0),
}
