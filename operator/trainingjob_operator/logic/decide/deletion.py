"""Deletion of an object: the finalizer is held while the operator may have to stop a job."""

from dataclasses import replace

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.absence import decide_absence
from trainingjob_operator.logic.decide.advisories import STUCK_SECONDS, describe_unproven, note_stuck
from trainingjob_operator.logic.decide.attempts import find_attempt, is_known_unborn
from trainingjob_operator.logic.decide.evidence import collect_evidence
from trainingjob_operator.logic.decide.retries import await_access, wait_out
from trainingjob_operator.logic.decide.rules import JobRule, Rule, first
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import FINALIZER, Identity, build_arn
from trainingjob_operator.logic.objects.annotations import SPARING_KEYS, Deletion
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS, STOP
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import (
    Describe,
    Idle,
    RemoveFinalizer,
    Step,
    Stop,
    TakeOwnership,
    WriteStatus,
)
from trainingjob_operator.logic.state.view import View

FRESH_SECONDS = 5.0
"""Maximum age of the Describe answer required for a Stop: another run may have taken the name since."""


def delete(view: View) -> Step:
    """Return the next step of a deletion."""
    step = first(rule(view) for rule in RULES)
    if step is not None:
        return step
    identity = view.attached()
    if identity is None:
        return _delete_attempt(view)
    return first(rule(view, identity) for rule in STOP_RULES) or Stop(identity)


def _ignore_released(view: View) -> Step | None:
    return None if view.resource.holds_finalizer else Idle()


def _retain_unclear(view: View) -> Step | None:
    """Report an invalid value of an annotation that could spare the job: it never stops a job."""
    unclear = tuple(
        Finding(reasons.INVALID_ANNOTATION, p.message) for p in view.policy.problems if p.annotation in SPARING_KEYS
    )
    return WriteStatus(advisories=unclear, release=True) if unclear else None


def _retain(view: View) -> Step | None:
    return RemoveFinalizer() if view.policy.deletion is Deletion.RETAIN or view.policy.read_only else None


def _report_end(view: View) -> Step | None:
    """Report the end of the job before the finalizer is removed."""
    if view.attached() is None or not view.observation.is_ended():
        return None
    is_reported = Observation.from_status(view.resource.status).is_ended()
    return RemoveFinalizer() if is_reported else WriteStatus(release=True)


RULES: tuple[Rule, ...] = (_ignore_released, _retain_unclear, _retain, _report_end, await_access)


def _delete_attempt(view: View) -> Step:
    """Settle a deletion with a finalizer but no ARN: an earlier attempt may have created a job."""
    if view.resource.holds_closed_intent:
        return RemoveFinalizer()
    identity = view.resource.pending or (None if view.policy.problems else view.wanted())
    if identity is None or is_known_unborn(view.job.attempt):
        return RemoveFinalizer()
    match find_attempt(view, identity):
        case Verdict.CREATED:
            claim = Verdict.CREATED
        case Verdict.EARLIER_RUN if not view.job.edit.differences:
            claim = Verdict.INHERITED
        case Verdict():  # among them a run of an earlier object with another spec, perhaps left running on purpose
            return RemoveFinalizer()
        case step:
            return step
    return TakeOwnership(build_arn(view.partition, identity), finalizer=True, claim=claim)


def _confirm_absence(view: View, identity: Identity) -> Step | None:
    return decide_absence(view, identity) if view.job.not_found else None


def _await_calls(view: View, _identity: Identity) -> Step | None:
    waited = wait_out(view, STOP, LIST_TAGS, *(() if _is_blind(view) else (DESCRIBE,)))
    return None if waited is None else replace(waited, advisories=note_stuck(view))


def _describe_changed(view: View, identity: Identity) -> Step | None:
    return Describe(identity) if view.job.needs_describe and not _is_blind(view) else None


def _await_end(view: View, _identity: Identity) -> Step | None:
    """Wait for the end of a stopping job."""
    job = view.job
    if view.observation.status not in ("Stopping", "Deleting") and job.stop.stop_sent_at is None:
        return None
    stuck = note_stuck(view)
    since = view.now if job.stop.stopping_since is None else job.stop.stopping_since
    return WriteStatus(advisories=stuck, again=None if stuck else max(1.0, since + STUCK_SECONDS - view.now))


def _describe_stale(view: View, identity: Identity) -> Step | None:
    described_at = view.job.described_at
    is_fresh = described_at is not None and view.now < described_at + FRESH_SECONDS
    return None if is_fresh or _is_blind(view) else Describe(identity)


def _leave_unproven(view: View, identity: Identity) -> Step | None:
    """Leave a job without evidence of ownership running, and report it."""
    return None if view.verdict.may_change else WriteStatus(advisories=(describe_unproven(identity),), release=True)


def _is_blind(view: View) -> bool:
    """Return True for the object's own job without permission to describe it: it must be stopped all the same."""
    return view.job.is_denied(DESCRIBE) and view.verdict is Verdict.CREATED


STOP_RULES: tuple[JobRule, ...] = (
    _confirm_absence,
    _await_calls,
    _describe_changed,
    _await_end,
    _describe_stale,
    collect_evidence,
    _leave_unproven,
)
"""Rules before the one Stop of a running job."""


def explain_unreleased(words: str) -> Hindrance:
    """Return the hindrance for a finalizer that the API server refuses to remove; `words` is its error."""
    message = (
        f"The API server refused the removal of the finalizer {FINALIZER}, no longer needed by the operator: "
        f"{words.rstrip('.')}. Correct the policy, webhook or role behind the refusal; the operator retries."
    )
    return Hindrance(reasons.FINALIZER_NOT_REMOVED, message)
