"""Waits for the back-off of failed calls, and their reports."""

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.state.memory import PASSING, RETRY_SECONDS, Trouble
from trainingjob_operator.logic.state.steps import WriteStatus
from trainingjob_operator.logic.state.view import View

LASTING_SECONDS = 60.0
"""Transient errors appear in conditions after this time."""

DOUBTFUL_SECONDS = 120.0
"""A possibly transient validation error is retried for this time before it counts as refused."""

DOUBTFUL_REPEATS = (300.0, 900.0, 3600.0)
"""Seconds between later retries of a spec refused with such an error."""

OUTDONE_SECONDS, OUTDONE_FAILURES = 7200.0, 10
"""A spec counts as refused after server errors for this time and this number of failures, each with successful
creates of other objects in between.
"""

_REASONS = {
    ErrorClass.DENIED: reasons.ACCESS_DENIED,
    ErrorClass.DOUBTFUL: reasons.CREATE_FAILING,
    ErrorClass.THROTTLED: reasons.THROTTLED,
    ErrorClass.CREDENTIALS: reasons.CREDENTIALS_INVALID,
    ErrorClass.RETRY: reasons.SERVICE_UNAVAILABLE,
}
"""For other classes the reason is the error code."""

_SHOWN_LATE = (PASSING - {ErrorClass.REGION, ErrorClass.ACCOUNT}) | {ErrorClass.CONFLICT}
"""Transient errors, reported only if they persist."""


def await_access(view: View, _identity: Identity | None = None) -> WriteStatus | None:
    """Return the wait while no call is possible in the job's account; None with access."""
    return None if view.no_access is None else WriteStatus(hindrance=view.no_access, again=RETRY_SECONDS)


def wait_out(view: View, *operations: str) -> WriteStatus | None:
    """Return the wait for the back-off of these operations; None once a retry is due."""
    for operation in operations:
        trouble = view.job.troubles.get(operation)
        if trouble is not None and trouble.retry_at > view.now:
            return explain(trouble, view)
    return None


def explain(trouble: Trouble, view: View) -> WriteStatus:
    """Report an error at once if it needs an action by the user; a transient one only if it persists."""
    error, again = trouble.error, trouble.retry_at - view.now
    if error.kind in _SHOWN_LATE and view.now - trouble.since < LASTING_SECONDS:
        return WriteStatus(again=again)
    found = trouble.finding or Finding(_REASONS.get(error.kind, error.code), error.sentence)
    return WriteStatus(hindrance=Hindrance(found.reason, found.message, trouble.waits_for_capacity), again=again)
