"""Exit codes by outcome, and the filters of `list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_trainingjob.logic.job import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

EXIT_COMPLETED = 0
EXIT_FAILED = 1
"""A job failed or disappeared, or the operator refused an object."""
EXIT_STOPPED = 2
EXIT_TIMEOUT = 3
EXIT_ERROR = 4
"""The command itself failed: wrong usage, no such object, no access."""
EXIT_INTERRUPTED = 130

_CODES = {
    Outcome.SUCCEEDED: EXIT_COMPLETED,
    Outcome.STOPPED: EXIT_STOPPED,
    Outcome.FAILED: EXIT_FAILED,
    Outcome.REFUSED: EXIT_FAILED,
    Outcome.LOST: EXIT_FAILED,
}
_GRAVITY = (EXIT_COMPLETED, EXIT_STOPPED, EXIT_FAILED, EXIT_TIMEOUT)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code for several objects: the gravest of timeout, failed, stopped and succeeded."""
    return max((_CODES.get(outcome, EXIT_TIMEOUT) for outcome in outcomes), key=_GRAVITY.index)


def select(jobs: Iterable[Job], outcomes: Collection[str], created_after: datetime | None) -> list[Job]:
    """Return the jobs with one of the outcomes (empty: any), created at that time or later, the oldest first."""
    chosen = [
        job
        for job in jobs
        if (not outcomes or job.outcome.value in outcomes)
        and (created_after is None or (job.created is not None and job.created >= created_after))
    ]
    return sorted(chosen, key=lambda job: (job.created.timestamp() if job.created else 0.0, job.namespace, job.name))
