"""Objects with a job of their own: from its ARN to the last change after its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from trainingjob_operator.logic.decide.absence import decide_absence
from trainingjob_operator.logic.decide.advisories import advise, note_stuck
from trainingjob_operator.logic.decide.aftermath import FOLLOW_SECONDS, await_late_news, await_transitions, is_followed
from trainingjob_operator.logic.decide.edits import apply_edit, is_uncompared, name_pending
from trainingjob_operator.logic.decide.evidence import collect_evidence
from trainingjob_operator.logic.decide.expiry import expires_in
from trainingjob_operator.logic.decide.retries import await_access, wait_out
from trainingjob_operator.logic.decide.rules import first
from trainingjob_operator.logic.decide.succession import close_attempt, holds_end
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.state.memory import RETRY_SECONDS
from trainingjob_operator.logic.state.steps import Describe, Step, TakeOwnership, WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import recorded_vanishing


@dataclass(frozen=True, slots=True)
class Situation:
    """One followed job, with the facts that several rules need."""

    view: View
    identity: Identity
    known: Observation
    """The newest state of the job."""
    is_ended: bool
    is_uncompared: bool
    """Spec and job must be compared."""
    is_followed: bool
    """Rules or the warm pool of an ended job may still change."""
    is_unreachable: bool
    waited: WriteStatus | None
    """The wait before the next Describe."""
    late_in: float | None
    """Seconds until the late Describe of an ended job."""
    transitions_in: float | None
    """Seconds until the next Describe for an end known from a list only."""

    @classmethod
    def of(cls, view: View, identity: Identity) -> "Situation":
        known = view.observation
        ended = known.is_ended()
        is_unreachable = view.no_access is not None
        return cls(
            view=view,
            identity=identity,
            known=known,
            is_ended=ended,
            is_uncompared=is_uncompared(view, ended=ended),
            is_followed=ended and is_followed(view),
            is_unreachable=is_unreachable,
            waited=WriteStatus(again=RETRY_SECONDS) if is_unreachable else wait_out(view, DESCRIBE),
            late_in=await_late_news(view) if ended else None,
            transitions_in=await_transitions(view) if ended else None,
        )

    @property
    def is_unseen(self) -> bool:
        """Only a Describe can show the result of an edit."""
        return self.is_uncompared and not self.view.job.not_found

    @property
    def is_overdue(self) -> bool:
        """A Describe is due for an end known from a list only, for an edit, or for late news."""
        return self.is_unseen or 0.0 in (self.late_in, self.transitions_in)


def follow(view: View, identity: Identity) -> Step:
    """Return the next step for an object with that job."""
    job = Situation.of(view, identity)
    return first(rule(job) for rule in RULES) or _report(job, WriteStatus())


def _keep_vanished(job: Situation) -> Step | None:
    """Repeat a recorded JobNotFound without a sign of the job since."""
    view, state = job.view, job.view.job
    gone = recorded_vanishing(view.resource.status.get("conditions"))
    if gone is None or state.needs_describe or not (state.not_found or state.observation is None):
        return None
    return WriteStatus(vanished=gone, release=view.resource.holds_finalizer)


def _await_access(job: Situation) -> Step | None:
    waited = None if job.is_ended else await_access(job.view)
    return None if waited is None else _report_wait(job, waited)


def _confirm_absence(job: Situation) -> Step | None:
    if job.is_ended or not job.view.job.not_found:
        return None
    return decide_absence(job.view, job.identity, unfinished=job.is_uncompared)


def _await_describe(job: Situation) -> Step | None:
    if job.is_ended or job.waited is None:
        return None
    return _report_wait(job, job.waited)


def _report_wait(job: Situation, waited: WriteStatus) -> WriteStatus:
    return replace(waited, advisories=advise(job.view, job.identity), unfinished=job.is_unseen)


def _describe(job: Situation) -> Step | None:
    view, state = job.view, job.view.job
    if job.waited is not None:
        return None
    is_due = job.is_followed and (state.described_at is None or view.now >= state.described_at + FOLLOW_SECONDS)
    is_unknown = state.observation is None and not job.known.status
    return Describe(job.identity) if state.needs_describe or is_unknown or is_due or job.is_overdue else None


def _collect_evidence(job: Situation) -> Step | None:
    """Read the evidence for a job without a recorded claim; an ended job needs none."""
    view = job.view
    if (job.is_ended and not job.is_followed) or view.claim is not None:
        return None
    evidence = collect_evidence(view, job.identity)
    if evidence is None:
        return None
    unread = WriteStatus(again=RETRY_SECONDS) if job.is_unreachable else wait_out(view, LIST_TAGS)
    return evidence if unread is None else _hold_finalizer(job) or _report(job, unread)


def _hold_finalizer(job: Situation) -> Step | None:
    """Add the finalizer again after its removal by a user."""
    view = job.view
    if job.is_ended or view.resource.holds_finalizer or not view.is_owner:
        return None
    return TakeOwnership(view.arn or "", finalizer=True)


def _close_attempt(job: Situation) -> Step | None:
    step = close_attempt(job.view, job.identity)
    if step is None and job.waited is not None and holds_end(job.view):
        return _report_wait(job, job.waited)
    return step


def _apply_edit(job: Situation) -> Step | None:
    edit = apply_edit(job.view, job.identity)
    return _report(job, edit) if isinstance(edit, WriteStatus) else edit


def _report(job: Situation, written: WriteStatus) -> WriteStatus:
    """Report the job; `written` is the wait of an edit, or empty."""
    view = job.view
    overdue_in = job.waited.again if job.waited is not None and (view.job.needs_describe or job.is_overdue) else None
    again = overdue_in or job.transitions_in or (FOLLOW_SECONDS if job.is_followed else job.late_in or written.again)
    due = [seconds for seconds in (again, expires_in(view)) if seconds is not None]
    return replace(
        written,
        advisories=advise(view, job.identity),
        pending_edit=name_pending(view),
        release=job.is_ended and view.resource.holds_finalizer and not holds_end(view),
        unfinished=job.is_unseen or written.unfinished,
        again=min(due, default=None),
    )


RULES: tuple[Callable[[Situation], Step | None], ...] = (
    _keep_vanished,
    _await_access,
    _confirm_absence,
    _await_describe,
    _describe,
    _collect_evidence,
    _hold_finalizer,
    _close_attempt,
    _apply_edit,
)


def report_meanwhile(view: View, identity: Identity) -> WriteStatus:
    """Report the known state of the object's job while its Describe has to wait."""
    return WriteStatus(
        advisories=note_stuck(view) if view.resource.deleting else advise(view, identity),
        pending_edit=name_pending(view),
        release=view.observation.is_ended() and view.resource.holds_finalizer and not holds_end(view),
        unfinished=view.is_edited or view.is_inherited,
    )
