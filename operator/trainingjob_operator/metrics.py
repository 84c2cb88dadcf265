"""Prometheus metrics of the operator: names, labels, buckets, and one method per observation.

Callers pass in the registry; health.py serves it. The two `ack_outbound_api_requests` metrics have ACK's labels and
values; all others start with `trainingjob_`. No label but those of the optional `trainingjob_job_status` contains the
name of an object or a job. Whatever else tenants choose is bounded here and in metric_series.py.
"""

from __future__ import annotations

import re
from collections import Counter as Totals
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.jobs.errors import CODES
from trainingjob_operator.logic.jobs.failure_reason import CLASSES
from trainingjob_operator.logic.jobs.observation import ENDED
from trainingjob_operator.logic.operations import OPERATIONS
from trainingjob_operator.logic.status.conditions import ADVISORY, LOST, OUTCOMES, RECOVERABLE, TERMINAL
from trainingjob_operator.metric_series import OTHER, NamespaceCounts, NamespaceSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from collections.abc import Set as AbstractSet

    from prometheus_client import CollectorRegistry

    from trainingjob_operator.logic.jobs.errors import AwsError
    from trainingjob_operator.logic.naming import Location

_SERVICE = "sagemaker"
# ACK's status_code is the fault value of its SDK; only errors in SageMaker's API model have one.
_MODELLED_ERRORS = {"ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound"}
# botocore's exceptions for calls without a response.
_NO_ANSWER = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "HTTPClientError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
}
_FAULT_NO_ANSWER, _FAULT_UNKNOWN, _FAULT_OF_CLIENT = "-1", "0", "2"

_CALL_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 10, 20)
_RECONCILE_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SWEEP_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WAIT_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_LAG_SECONDS = (1, 2.5, 5, 10, 15, 30, 60, 120, 300, 900, 3600)

PLACES = 100
"""Maximum number of pairs of account and region with series; objects may name any region."""
QUOTAS = 100
"""Maximum number of quotas with series."""
ABSENT_SECONDS = 3600.0
"""Time after which the counters of a namespace without objects end: many scrapes after the last increment."""

FINAL_OUTCOMES = (*OUTCOMES.values(), reasons.REFUSED, LOST)
"""Values of `status.outcome`."""
_ERRORS = {TERMINAL, RECOVERABLE, ADVISORY}
_REASONS = {word for name, word in vars(reasons).items() if name.isupper()} | CLASSES
_WORDS = frozenset({*_REASONS, *CODES, *ENDED, "InProgress", "Stopping"})
"""Statuses and reasons with a series of their own; SageMaker and its error codes may bring others."""
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]{1,20}\.[a-z0-9-]{1,20}")
_OTHER_PLACE = (OTHER, OTHER)


class Metrics:
    """The operator's metrics. Durations are seconds."""

    def __init__(self, registry: CollectorRegistry, version: str, clock: Callable[[], float]) -> None:
        """Register all metrics.

        :param registry: at most one `Metrics` per registry
        :param version: version of the operator, exposed as build info
        :param clock: monotonic seconds
        """
        self._clock = clock
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, *labels: str) -> Gauge:
            return Gauge(name, documentation, labels, registry=registry)

        def histogram(name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, documentation, labels, buckets=buckets, registry=registry)

        gauge("trainingjob_build_info", "Version of the operator; always 1.", "version").labels(version).set(1)

        self._requests = counter(
            "ack_outbound_api_requests_total", "Number of AWS API calls.", "service", "op_type", "op_id"
        )
        self._request_errors = counter(
            "ack_outbound_api_requests_error_total",
            "Number of failed AWS API calls; status_code -1: no response, 2: error in the API model, 0: other errors.",
            "service",
            "op_id",
            "status_code",
        )
        self._call_seconds = histogram(
            "trainingjob_aws_call_seconds",
            "Duration of AWS API calls, failed calls included.",
            _CALL_SECONDS,
            "operation",
        )
        self._call_errors = counter(
            "trainingjob_aws_errors_total", "Number of failed AWS API calls by error class.", "operation", "kind"
        )

        self._jobs = NamespaceCounts(
            gauge("trainingjob_jobs", "Number of objects by namespace and status.phase.", "namespace", "status")
        )
        self._ended = NamespaceSeries(
            counter("trainingjob_ended_total", "Number of objects that reached an outcome.", "namespace", "outcome")
        )
        paid = ("namespace", "instance_type", "spot")
        self._training_seconds = NamespaceSeries(
            counter(
                "trainingjob_training_instance_seconds_total", "Training time of ended jobs times instances.", *paid
            )
        )
        self._billable_seconds = NamespaceSeries(
            counter(
                "trainingjob_billable_instance_seconds_total", "Billable time of ended jobs times instances.", *paid
            )
        )
        self._counters = (self._ended, self._training_seconds, self._billable_seconds)
        self._last_present: dict[str, float] = {}
        """The last time at which the namespace had an object."""
        self._job_status = gauge(
            "trainingjob_job_status",
            "1 for the status.phase of an object; see --metrics-max-jobs.",
            "namespace",
            "name",
            "status",
        )
        self._errors = counter(
            "trainingjob_errors_total",
            "Number of conditions that became True with a new reason, by type and reason.",
            "condition",
            "reason",
        )
        for condition in sorted(_ERRORS):  # Prometheus sees no increase in the first value of a series
            for reason in sorted(_REASONS):
                self._errors.labels(condition, reason)
        self._lag_seconds = histogram(
            "trainingjob_status_lag_seconds",
            "Time from a change of a job in SageMaker to its report in the status.",
            _LAG_SECONDS,
        )
        self._turn_seconds = histogram(
            "trainingjob_turn_wait_seconds",
            "Time from the creation of an object to its CreateTrainingJob call.",
            _WAIT_SECONDS,
        )
        self._waiting = gauge(
            "trainingjob_waiting_jobs",
            "Number of objects in the create queue by exhausted quota; empty: waiting for their turn only.",
            "quota",
        )
        self._passive = gauge(
            "trainingjob_passive_objects", "Number of objects left to another controller that writes to them."
        )

        self._queue_depth = gauge("trainingjob_queue_depth", "Number of due objects without a worker.")
        self._reconcile_seconds = histogram(
            "trainingjob_reconcile_seconds", "Duration of reconciles by outcome.", _RECONCILE_SECONDS, "outcome"
        )
        self._status_writes = counter(
            "trainingjob_status_writes_total",
            "Number of status writes; outcome: written, conflict (concurrent write), failed.",
            "outcome",
        )
        self._events_dropped = counter(
            "trainingjob_events_dropped_total", "Number of dropped Events: queue full, or repeated API server errors."
        )
        self._watch_restarts = counter("trainingjob_watch_restarts_total", "Number of watch restarts.")
        self._watch_age = gauge(
            "trainingjob_watch_age_seconds", "Time since the watch delivered a change or a complete list succeeded."
        )
        self._served = gauge(
            "trainingjob_namespace_served",
            "1 while the operator can serve the namespace, else 0; the label is empty without --watch-namespace.",
            "namespace",
        )
        self._leading = gauge("trainingjob_leading", "1 while this replica is the leader, else 0.")

        self._sweep_seconds = histogram(
            "trainingjob_sweep_seconds", "Duration of sweeps of all running jobs.", _SWEEP_SECONDS, "account", "region"
        )
        self._sweep_pages = counter(
            "trainingjob_sweep_pages_total", "Number of pages listed by sweeps.", "account", "region"
        )
        self._sweep_age = gauge(
            "trainingjob_sweep_age_seconds",
            "Time since the last successful sweep of the least recently swept running jobs.",
            "account",
            "region",
        )
        self._sweep_interval = gauge(
            "trainingjob_sweep_interval_seconds",
            "Interval between sweeps; longer while the event queue delivers state changes.",
            "account",
            "region",
        )
        self._places: set[Location] = set()
        """The accounts and regions that have series."""
        self._swept: dict[Hashable, tuple[Location, float]] = {}
        """Place of each sweep, and the time of its last success or of its start."""
        budget = ("account", "region", "operation")
        self._budget_rate = gauge(
            "trainingjob_budget_calls_per_second", "Present rate limit; below the start while AWS throttles.", *budget
        )
        self._budget_waiting = gauge(
            "trainingjob_budget_waiting_calls", "Number of calls that wait for the rate limit.", *budget
        )

        self._event_messages = counter(
            "trainingjob_event_queue_messages_total",
            "Number of event queue messages; outcome: news (new state), known, foreign (unknown job), unreadable.",
            "outcome",
        )
        self._event_errors = counter(
            "trainingjob_event_queue_errors_total", "Number of failed event queue calls by error class.", "kind"
        )

    def aws_call_ended(self, operation: str, seconds: float, error: AwsError | None = None) -> None:
        """Count one SageMaker call and observe its duration; `error` marks a failed call."""
        self._requests.labels(_SERVICE, OPERATIONS[operation].ack_type, operation).inc()
        self._call_seconds.labels(operation).observe(seconds)
        if error is None:
            return
        self._request_errors.labels(_SERVICE, operation, _fault(error)).inc()
        self._call_errors.labels(operation, error.kind.value).inc()

    def jobs_are(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set the number of objects by namespace and status.phase; absent pairs have none."""
        words: Totals[tuple[str, str]] = Totals()
        for (namespace, status), count in counts.items():
            words[namespace, _bound_word(status)] += count
        self._jobs.replace(words)
        self._keep_namespaces({namespace for namespace, _ in counts})

    def jobs_show(self, statuses: Mapping[tuple[str, str], str]) -> None:
        """Set status.phase of single objects by namespace and name; all others have no series."""
        self._job_status.clear()
        for (namespace, name), status in statuses.items():
            self._job_status.labels(namespace, name, _bound_word(status)).set(1)

    def job_expected(self, namespace: str, instances: Mapping[str, int], is_spot: bool) -> None:
        """Start the series of a job before its end: Prometheus sees no increase in the first value of a series.

        :param instances: number by type; empty while unknown
        """
        for outcome in FINAL_OUTCOMES:
            self._ended.of(namespace, outcome)
        self.job_took(namespace, instances, is_spot, 0.0, 0.0)

    def job_settled(self, namespace: str, outcome: str) -> None:
        """Count one object with a new `status.outcome`."""
        self._note_namespace(namespace)
        self._ended.of(namespace, outcome).inc()

    def job_took(
        self, namespace: str, instances: Mapping[str, int], is_spot: bool, training: float, billable: float
    ) -> None:
        """Add newly reported seconds of one instance of an ended job, for each of its instances."""
        self._note_namespace(namespace)
        spot = str(is_spot).lower()
        for kind, count in instances.items():
            known = kind if _INSTANCE_TYPE.fullmatch(kind) else OTHER
            self._training_seconds.of(namespace, known, spot).inc(training * count)
            self._billable_seconds.of(namespace, known, spot).inc(billable * count)

    def _note_namespace(self, namespace: str) -> None:
        self._last_present[namespace] = self._clock()

    def _keep_namespaces(self, present: AbstractSet[str]) -> None:
        """End the counters of namespaces that have had no objects for ABSENT_SECONDS."""
        now = self._clock()
        self._last_present.update(dict.fromkeys(present, now))
        for namespace in [name for name, last in self._last_present.items() if now - last > ABSENT_SECONDS]:
            del self._last_present[namespace]
            for family in self._counters:
                family.forget(namespace)

    def condition_reported(self, condition: str, reason: str) -> None:
        """Count one condition of type ACK.Terminal, ACK.Recoverable or ACK.Advisory with a new reason."""
        if condition in _ERRORS:
            self._errors.labels(condition, _bound_word(reason)).inc()

    def status_lagged(self, seconds: float) -> None:
        """Observe the seconds from a change in SageMaker to its report."""
        self._lag_seconds.observe(max(0.0, seconds))

    def job_waited(self, seconds: float) -> None:
        """Observe the seconds from the creation of an object to its CreateTrainingJob call."""
        self._turn_seconds.observe(seconds)

    def jobs_wait(self, counts: Mapping[str, int]) -> None:
        """Set the number of objects in the create queue by quota; "" without one."""
        totals = Totals(dict(Totals(counts).most_common(QUOTAS)))
        totals[OTHER] += sum(counts.values()) - totals.total()
        self._waiting.clear()
        self._waiting.labels("")
        for quota, count in totals.items():
            if count:
                self._waiting.labels(quota).set(count)

    def objects_are_passive(self, count: int) -> None:
        """Set the number of objects left to another controller."""
        self._passive.set(count)

    def queue_is(self, depth: int) -> None:
        """Set the number of due objects without a worker."""
        self._queue_depth.set(depth)

    def reconciled(self, outcome: str, seconds: float) -> None:
        """Observe one reconcile; `outcome` is one of a small, fixed set."""
        self._reconcile_seconds.labels(outcome).observe(seconds)

    def status_written(self, outcome: str) -> None:
        """Count one status write; `outcome` is one of a small, fixed set."""
        self._status_writes.labels(outcome).inc()

    def event_dropped(self) -> None:
        """Count one dropped Event."""
        self._events_dropped.inc()

    def watch_restarted(self) -> None:
        """Count one watch restart."""
        self._watch_restarts.inc()

    def watch_is(self, age: float) -> None:
        """Set the seconds since the watch delivered a change or a complete list succeeded."""
        self._watch_age.set(age)

    def namespace_is_served(self, namespace: str, served: bool) -> None:
        """Set the availability of a namespace."""
        self._served.labels(namespace).set(served)

    def leading(self, leads: bool) -> None:
        """Set the leadership of this replica."""
        self._leading.set(leads)

    def sweep_begins(self, sweep: Hashable, place: Location) -> None:
        """Start the age of a sweep; each target of the sweeper is one. A place is as old as its oldest sweep."""
        here = self._bound_place(place)
        self._swept[sweep] = here, self._clock()
        self._sweep_age.labels(*here).set_function(lambda: self._age_of(here))

    def sweep_is_fresh(self, sweep: Hashable) -> None:
        """Reset the age of a sweep: all of its running jobs were read."""
        self._swept[sweep] = self._swept[sweep][0], self._clock()

    def sweep_ended(self, sweep: Hashable, seconds: float, pages: int) -> None:
        """Observe one successful sweep; resets its age."""
        self.sweep_is_fresh(sweep)
        here, _ = self._swept[sweep]
        self._sweep_seconds.labels(*here).observe(seconds)
        self._sweep_pages.labels(*here).inc(pages)

    def sweep_interval_is(self, sweep: Hashable, seconds: float) -> None:
        """Set the interval between sweeps at the place of this one, in seconds."""
        self._sweep_interval.labels(*self._swept[sweep][0]).set(seconds)

    def sweep_rests(self, sweep: Hashable) -> None:
        """End a sweep without running jobs; the last one of a place removes its age and interval."""
        here, _ = self._swept.pop(sweep)
        if all(other != here for other, _ in self._swept.values()):
            self._sweep_age.remove(*here)
            self._sweep_interval.remove(*here)

    def keep_sweeps(self, places: AbstractSet[Location]) -> None:
        """End the series of all other accounts and regions: no object names them any more."""
        for place in self._places - places - {here for here, _ in self._swept.values()}:
            self._places.discard(place)
            self._sweep_seconds.remove(*place)
            self._sweep_pages.remove(*place)

    def _age_of(self, place: Location) -> float:
        return self._clock() - min((at for here, at in self._swept.values() if here == place), default=self._clock())

    def _bound_place(self, place: Location) -> Location:
        here = place if place in self._places or len(self._places) < PLACES else _OTHER_PLACE
        self._places.add(here)
        return here

    def budgets_are(self, budgets: Mapping[tuple[str, str, str], tuple[float, int]]) -> None:
        """Set rate and number of waiting calls by account, region and operation; all others have no series."""
        self._budget_rate.clear()
        self._budget_waiting.clear()
        for labels, (rate, waiting) in budgets.items():
            self._budget_rate.labels(*labels).set(rate)
            self._budget_waiting.labels(*labels).set(waiting)

    def event_received(self, outcome: str) -> None:
        """Count one event queue message; `outcome` is one of a small, fixed set."""
        self._event_messages.labels(outcome).inc()

    def event_queue_failed(self, error: AwsError) -> None:
        """Count one failed event queue call."""
        self._event_errors.labels(error.kind.value).inc()


def _bound_word(word: str) -> str:
    return word if word in _WORDS else OTHER


def _fault(error: AwsError) -> str:
    """Return ACK's status_code of an error."""
    if error.code in _MODELLED_ERRORS:
        return _FAULT_OF_CLIENT
    return _FAULT_NO_ANSWER if error.code in _NO_ANSWER else _FAULT_UNKNOWN
