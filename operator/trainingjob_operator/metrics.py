"""Prometheus metrics of the operator: names, labels, buckets, and one method per observation.

Callers pass in the registry; health.py serves it. The two `ack_outbound_api_requests` metrics have ACK's labels and
values; all others start with `trainingjob_`. No label contains the name of an object or a job: operations, statuses,
and the accounts and regions that objects name at present bound the number of series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

from trainingjob_operator.logic.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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

        self._jobs = gauge("trainingjob_jobs", "Number of running jobs by trainingJobStatus.", "status")
        self._ended = counter("trainingjob_ended_total", "Number of ended jobs by final trainingJobStatus.", "outcome")
        self._training_seconds = counter("trainingjob_training_seconds_total", "Training time of ended jobs.")
        self._billable_seconds = counter("trainingjob_billable_seconds_total", "Billable time of ended jobs.")
        self._turn_seconds = histogram(
            "trainingjob_turn_wait_seconds",
            "Time from the creation of an object to its CreateTrainingJob call.",
            _WAIT_SECONDS,
        )
        self._waiting = gauge("trainingjob_waiting_jobs", "Number of jobs in the create queue.")
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
            "trainingjob_sweep_age_seconds", "Time since the last successful sweep.", "account", "region"
        )

        self._sweep_interval = gauge(
            "trainingjob_sweep_interval_seconds",
            "Interval between sweeps; longer while the event queue delivers state changes.",
            "account",
            "region",
        )
        self._swept: set[Location] = set()
        """The accounts and regions that have series."""

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

    def jobs_are(self, count_by_status: Mapping[str, int]) -> None:
        """Set the number of running jobs by trainingJobStatus; an absent status has none."""
        self._jobs.clear()
        for status, count in count_by_status.items():
            self._jobs.labels(status).set(count)

    def job_ended(self, outcome: str) -> None:
        """Count one job with the final status Completed, Failed or Stopped."""
        self._ended.labels(outcome).inc()

    def job_took(self, training_seconds: float, billable_seconds: float) -> None:
        """Add newly reported seconds of an ended job."""
        self._training_seconds.inc(training_seconds)
        self._billable_seconds.inc(billable_seconds)

    def job_waited(self, seconds: float) -> None:
        """Observe the seconds from the creation of an object to its CreateTrainingJob call."""
        self._turn_seconds.observe(seconds)

    def jobs_wait(self, count: int) -> None:
        """Set the number of jobs in the create queue."""
        self._waiting.set(count)

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

    def namespace_is_served(self, namespace: str, served: bool) -> None:
        """Set the availability of a namespace."""
        self._served.labels(namespace).set(served)

    def leading(self, leads: bool) -> None:
        """Set the leadership of this replica."""
        self._leading.set(leads)

    def sweep_ended(self, account: str, region: str, seconds: float, pages: int) -> None:
        """Observe one successful sweep of the account and region; resets its age."""
        ended = self._clock()
        self._swept.add((account, region))
        self._sweep_seconds.labels(account, region).observe(seconds)
        self._sweep_pages.labels(account, region).inc(pages)
        self._sweep_age.labels(account, region).set_function(lambda: self._clock() - ended)

    def sweep_interval_is(self, account: str, region: str, seconds: float) -> None:
        """Set the interval between sweeps of the account and region, in seconds."""
        self._sweep_interval.labels(account, region).set(seconds)

    def sweep_rests(self, account: str, region: str) -> None:
        """Remove age and interval of an account and region without running jobs."""
        self._sweep_age.remove(account, region)
        self._sweep_interval.remove(account, region)

    def keep_sweeps(self, places: AbstractSet[Location]) -> None:
        """Delete the series of all other accounts and regions: no object names them any more."""
        for account, region in self._swept - places:
            self._sweep_seconds.remove(account, region)
            self._sweep_pages.remove(account, region)
        self._swept &= places

    def event_received(self, outcome: str) -> None:
        """Count one event queue message; `outcome` is one of a small, fixed set."""
        self._event_messages.labels(outcome).inc()

    def event_queue_failed(self, error: AwsError) -> None:
        """Count one failed event queue call."""
        self._event_errors.labels(error.kind.value).inc()


def _fault(error: AwsError) -> str:
    """Return ACK's status_code of an error."""
    if error.code in _MODELLED_ERRORS:
        return _FAULT_OF_CLIENT
    return _FAULT_NO_ANSWER if error.code in _NO_ANSWER else _FAULT_UNKNOWN
