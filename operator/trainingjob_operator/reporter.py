"""Status reports: compose the report of one reconcile, patch the difference into `.status`, record Events.

logic/status/contents.py defines the desired status; the reconciler supplies the facts.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from trainingjob_operator.kube.errors import Conflict
from trainingjob_operator.kube.events import Subject
from trainingjob_operator.log_format import name_in_log
from trainingjob_operator.logic.decide.composition import compose
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.objects.resource import Resource, mapping
from trainingjob_operator.logic.state.outcomes import Counted
from trainingjob_operator.logic.state.steps import WriteStatus
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status import contents as status
from trainingjob_operator.logic.status import events
from trainingjob_operator.logic.status.conditions import OUTCOMES, read_conditions
from trainingjob_operator.logic.status.report import Report
from trainingjob_operator.object_store import StoredObject
from trainingjob_operator.runtime import Runtime

log = logging.getLogger(__name__)

PRUNED_SECONDS = 10.0
"""Age in seconds at which the list of pruned fields is learned again; costs one patch without effect."""

_SECONDS = ("trainingTimeInSeconds", "billableTimeInSeconds")


class StatusWriter(Protocol):
    """The status subresource (kube/objects.py)."""

    async def patch_status(
        self, namespace: str, name: str, *, uid: str, resource_version: str, patch: Mapping[str, Any]
    ) -> dict[str, Any]: ...


class Recorder(Protocol):
    """Recorder of Events (kube/events.py)."""

    def record(self, subject: Subject, kind: str, reason: str, message: str, key: str, order: str = "") -> None: ...


class Reporter:
    """The only writer of `.status`."""

    def __init__(self, runtime: Runtime, *, objects: StatusWriter, recorder: Recorder) -> None:
        self._jobs = runtime.jobs
        self._leadership = runtime.leadership
        self._metrics = runtime.metrics
        self._objects = objects
        self._recorder = recorder
        self._pruned: frozenset[str] = frozenset()
        self._pruned_since = 0.0

    async def report(self, tracked: StoredObject, view: View, step: WriteStatus) -> Mapping[str, Any]:
        """Patch the status unless it is up to date; returns the desired status.

        Raises KubeError for a failed write, NotLeading without leadership.
        """
        resource, report = view.resource, compose(view, step)
        wanted = status.build_status(resource.status, report, view.wall)
        # ACK's CRD prunes some fields: a patch with them would repeat forever. The list does not outlive the CRD for
        # long; a change of the CRD is no good moment to clear it, since kube-apiserver prunes by the old schema for a
        # while after it published the new one.
        if view.now - self._pruned_since >= PRUNED_SECONDS:
            self._pruned = frozenset()
        sent = status.without(wanted, self._pruned)
        patch = status.difference(resource.status, sent)
        if patch is not None:
            self._leadership.fence(0.0)
            body = await self._write(resource, patch)
            self._jobs.see_answer(body, view.now)
            self._learn(status.pruned_paths(sent, mapping(body.get("status"))), view.now)
            self._announce(tracked, view, wanted, report)
            if step.closes_attempt:
                self._count_attempt(view)
        tracked.memory = tracked.memory.after_report(report.generation, is_passive=step.passive)
        return wanted

    def _learn(self, pruned: frozenset[str], now: float) -> None:
        if pruned and not self._pruned:
            self._pruned_since = now
        self._pruned |= pruned

    async def _write(self, resource: Resource, patch: Mapping[str, Any]) -> dict[str, Any]:
        outcome = "failed"
        try:
            body = await self._objects.patch_status(
                resource.namespace,
                resource.name,
                uid=resource.uid,
                resource_version=resource.resource_version,
                patch=patch,
            )
            outcome = "written"
        except Conflict:
            outcome = "conflict"
            raise
        finally:
            self._metrics.status_written(outcome)
        return body

    def _announce(self, tracked: StoredObject, view: View, wanted: Mapping[str, Any], report: Report) -> None:
        resource, known = view.resource, tracked.memory.job.counted
        subject = Subject(resource.namespace, resource.name, resource.uid)
        named = name_in_log(*resource.key)
        final = {finding.reason for finding in (report.terminal, report.vanished) if finding is not None}
        for draft in events.drafts(resource.status, wanted, report):
            self._recorder.record(subject, draft.type, draft.reason, draft.message, draft.key, draft.order)
            if draft.reason in final:
                log.warning("%s: %s", draft.reason, draft.message, extra=named)
        before, after = Observation(resource.status), Observation(wanted)
        self._measure(view, wanted, before, after)
        if not after.is_ended() or (report.is_past and not before.status):
            return
        # Another field manager may have reverted the end since it was counted.
        counted = known if known is not None else resource.status if before.is_ended() else None
        training, billable = (self._uncounted(counted, wanted, name) for name in _SECONDS)
        if (seen := report.observation) is not None and not report.observed:
            self._metrics.job_took(resource.namespace, seen.instances, seen.is_spot, training, billable)
        tracked.note(Counted({name: wanted[name] for name in _SECONDS if name in wanted}))
        if counted is None:
            if not report.observed:
                self._metrics.job_settled(resource.namespace, OUTCOMES[after.status])
            log.info("Training job ended: %s", after.status, extra=named)

    def _count_attempt(self, view: View) -> None:
        """Count the cost of an ended job that another attempt follows."""
        seen = view.observation
        training, billable = (float(seen.fields.get(name, 0)) for name in _SECONDS)
        self._metrics.job_took(view.resource.namespace, seen.instances, seen.is_spot, training, billable)

    def _measure(self, view: View, wanted: Mapping[str, Any], before: Observation, after: Observation) -> None:
        """Count new reasons of errors, outcomes without an end of a job, and the lag of a changed status."""
        namespace, previous = view.resource.namespace, view.resource.status
        known = {(one["type"], one.get("reason")) for one in _true_conditions(previous)}
        for condition in _true_conditions(wanted):
            if (condition["type"], condition.get("reason")) not in known:
                self._metrics.condition_reported(condition["type"], condition.get("reason", ""))
        is_open = not after.is_ended()
        outcome: Any = wanted.get("outcome")
        if is_open and outcome is None:
            self._metrics.job_expected(namespace, view.observation.instances, view.observation.is_spot)
        elif is_open and outcome != previous.get("outcome") and "outcome" not in self._pruned:
            self._metrics.job_settled(namespace, outcome)
        changed, last = after.last_modified_time, before.last_modified_time
        if changed is not None and last is not None and changed > last:
            self._metrics.status_lagged((view.wall - changed).total_seconds())

    def _uncounted(self, counted: Mapping[str, Any] | None, wanted: Mapping[str, Any], name: str) -> float:
        """Seconds not counted yet; some arrive after the end. A field pruned by the CRD is counted once, at the end."""
        if counted is not None and name in self._pruned:
            return 0.0
        before = (counted or {}).get(name)
        known = before if isinstance(before, int | float) else 0  # another writer may have set any value
        return max(0.0, float(wanted.get(name, 0)) - known)


def _true_conditions(status: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    return (one for one in read_conditions(status.get("conditions")) if one["status"] == "True")
