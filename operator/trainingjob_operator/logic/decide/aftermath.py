"""Changes of a job after its end: warm pool, rules, and the late news of spot jobs and rules."""

from trainingjob_operator.logic.decide.evidence import UNCERTAIN_SECONDS
from trainingjob_operator.logic.objects.resource import Resource, mapping
from trainingjob_operator.logic.state.view import View

FOLLOW_SECONDS = 30.0
"""Interval between Describe calls for an ended job with a live warm pool or running rules."""

TRANSITIONS_SECONDS = 5.0
"""Interval between Describe calls for an end known from a list only, until UNCERTAIN_SECONDS after that end."""

LATE_NEWS_SECONDS, LATE_NEWS_LIMIT = 60.0, 300.0
"""Time from the end of a job with spot instances or rules to one more Describe, unless its last change is older than
the limit: the service updates such jobs after the end, for example the billable seconds."""


def is_followed(view: View) -> bool:
    """Return True while rules or the warm pool of an ended job may still change."""
    plan = view.job.edit.plan
    own = None if plan is None else plan.pool_seconds
    seconds = max(keep_alive_seconds(view.resource) or 0, own or 0)
    return view.observation.needs_following(view.wall, seconds)


def is_overdue(view: View) -> bool:
    """Return True if the phase required by a pending edit can no longer come."""
    return view.observation.is_ended() and not is_followed(view)


def keep_alive_seconds(resource: Resource) -> int | None:
    """Return the warm pool's keep-alive period in seconds, from the spec."""
    value = mapping(resource.spec.get("resourceConfig")).get("keepAlivePeriodInSeconds")
    return value if isinstance(value, int) else None


def await_late_news(view: View) -> float | None:
    """Return the seconds until the late Describe of an ended job; None if done or not required."""
    job, spec, known = view.job, view.resource.spec, view.observation
    has_late_news = spec.get("enableManagedSpotTraining") is True or known.has_rules
    changed = known.last_news_time
    if not has_late_news or job.ended_at is None or changed is None or view.no_access is not None:
        return None
    due_at = job.ended_at + LATE_NEWS_SECONDS
    is_done = job.described_at is not None and job.described_at >= due_at
    if is_done or (view.wall - changed).total_seconds() >= LATE_NEWS_LIMIT:
        return None
    return max(0.0, due_at - view.now)


def await_transitions(view: View) -> float | None:
    """Return the seconds until the next Describe for an end known from a list only; None if no Describe is required.

    The first answers after the end may be stale, or NotFound for a job that ended soon after its Create.
    """
    job = view.job
    if not view.observation.is_from_list_only():
        return None
    if job.described_at is None:
        return 0.0
    if job.ended_at is None or job.described_at >= job.ended_at + UNCERTAIN_SECONDS:
        return None
    return max(0.0, job.described_at + TRANSITIONS_SECONDS - view.now)
