"""Every metric, registered on the registry that is passed in.

Here: names, labels and buckets, and one method for each fact that is reported. Not here: the server (health.py),
and when something is a fact. The two `ack_outbound_api_requests` metrics are ACK's, with its labels and values; all
others begin with `trainingjob_`. No label holds the name of an object or a job, so the number of series is bounded
by accounts, regions, operations and statuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from trainingjob_operator.logic.errors import AwsError

_SERVICE = "sagemaker"
# ACK's op_type of each operation.
_OPERATION_TYPES = {
    "CreateTrainingJob": "CREATE",
    "DescribeTrainingJob": "READ_ONE",
    "ListTrainingJobs": "READ_MANY",
    "UpdateTrainingJob": "UPDATE",
    "StopTrainingJob": "DELETE",
    "ListTags": "GET",
    "AddTags": "UPDATE",
    "DeleteTags": "UPDATE",
}
# ACK's status_code is its SDK's notion of whose fault it was, which only errors that SageMaker's model names have.
_MODELLED_ERRORS = {"ConflictException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound"}
# What botocore calls the ways not to get an answer.
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
    """What the operator tells Prometheus. Durations are seconds."""

    def __init__(self, registry: CollectorRegistry, version: str, clock: Callable[[], float]) -> None:
        """Register everything.

        :param registry: each registry takes one `Metrics`
        :param version: of this operator, shown as build info
        :param clock: monotonic seconds
        """
        self._clock = clock
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(name, told, labels, registry=registry)

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(name, told, labels, registry=registry)

        def histogram(name: str, told: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, told, labels, buckets=buckets, registry=registry)

        gauge("trainingjob_build_info", "The running version, always 1.", "version").labels(version).set(1)

        self._requests = counter(
            "ack_outbound_api_requests_total", "Calls of an AWS API.", "service", "op_type", "op_id"
        )
        self._request_errors = counter(
            "ack_outbound_api_requests_error_total",
            "Calls of an AWS API that failed; status_code: -1 no answer, 2 an error of the API's model, 0 others.",
            "service",
            "op_id",
            "status_code",
        )
        self._call_seconds = histogram(
            "trainingjob_aws_call_seconds", "Time until an AWS API answered or failed.", _CALL_SECONDS, "operation"
        )
        self._call_errors = counter(
            "trainingjob_aws_errors_total", "Failed calls by class of error; throttled is one.", "operation", "kind"
        )

        self._jobs = gauge("trainingjob_jobs", "Jobs that are followed, by trainingJobStatus.", "status")
        self._ended = counter("trainingjob_ended_total", "Jobs seen to end, by their end state.", "outcome")
        self._training_seconds = counter("trainingjob_training_seconds_total", "Training time of ended jobs.")
        self._billable_seconds = counter("trainingjob_billable_seconds_total", "Billable time of ended jobs.")
        self._turn_seconds = histogram(
            "trainingjob_turn_wait_seconds", "Time from an object's creation to its Create call.", _WAIT_SECONDS
        )
        self._waiting = gauge("trainingjob_waiting_jobs", "Jobs that wait for their turn, quota or capacity.")
        self._passive = gauge("trainingjob_passive_objects", "Objects left to another controller that writes them.")

        self._queue_depth = gauge("trainingjob_queue_depth", "Objects that are due and have no worker yet.")
        self._reconcile_seconds = histogram(
            "trainingjob_reconcile_seconds", "One look at one job, by how it went.", _RECONCILE_SECONDS, "outcome"
        )
        self._status_writes = counter(
            "trainingjob_status_writes_total",
            "Writes of a status: written, conflict (somebody else wrote first), failed.",
            "outcome",
        )
        self._events_dropped = counter(
            "trainingjob_events_dropped_total", "Events given up: too many waited, or the API server kept failing."
        )
        self._watch_restarts = counter("trainingjob_watch_restarts_total", "Restarts of a watch that had ended.")
        self._served = gauge(
            "trainingjob_namespace_served",
            "1 while the namespace can be served, else 0; without --watch-namespace its name is empty.",
            "namespace",
        )
        self._leading = gauge("trainingjob_leading", "1 while this replica may act, else 0.")

        self._sweep_seconds = histogram(
            "trainingjob_sweep_seconds", "One look at all live jobs.", _SWEEP_SECONDS, "account", "region"
        )
        self._sweep_pages = counter("trainingjob_sweep_pages_total", "Pages listed by sweeps.", "account", "region")
        self._sweep_age = gauge(
            "trainingjob_sweep_age_seconds", "Time since the last sweep ended well.", "account", "region"
        )

        self._sweep_interval = gauge(
            "trainingjob_sweep_interval_seconds",
            "Time from one sweep to the next: longer while events tell of changes.",
            "account",
            "region",
        )
        self._event_messages = counter(
            "trainingjob_event_queue_messages_total",
            "Messages read from the event queue: told something new, known already, foreign jobs, unreadable.",
            "outcome",
        )
        self._event_errors = counter(
            "trainingjob_event_queue_errors_total", "Failed calls of the event queue, by class of error.", "kind"
        )

    def aws_call_ended(self, operation: str, seconds: float, error: AwsError | None = None) -> None:
        """A call of SageMaker was answered, or failed with the error."""
        self._requests.labels(_SERVICE, _OPERATION_TYPES[operation], operation).inc()
        self._call_seconds.labels(operation).observe(seconds)
        if error is None:
            return
        self._request_errors.labels(_SERVICE, operation, _fault(error)).inc()
        self._call_errors.labels(operation, error.kind.value).inc()

    def jobs_are(self, count_by_status: Mapping[str, int]) -> None:
        """How many jobs of each trainingJobStatus are followed; a status that is not named has none."""
        self._jobs.clear()
        for status, count in count_by_status.items():
            self._jobs.labels(status).set(count)

    def job_ended(self, outcome: str) -> None:
        """A job was seen to end as Completed, Failed or Stopped."""
        self._ended.labels(outcome).inc()

    def job_took(self, training_seconds: float, billable_seconds: float) -> None:
        """So many seconds of an ended job became known."""
        self._training_seconds.inc(training_seconds)
        self._billable_seconds.inc(billable_seconds)

    def job_waited(self, seconds: float) -> None:
        """A job had its turn that many seconds after its object was created."""
        self._turn_seconds.observe(seconds)

    def jobs_wait(self, count: int) -> None:
        """That many jobs wait for their turn, quota or capacity."""
        self._waiting.set(count)

    def objects_are_passive(self, count: int) -> None:
        """That many objects are left to another controller."""
        self._passive.set(count)

    def queue_is(self, depth: int) -> None:
        """That many objects are due and have no worker yet."""
        self._queue_depth.set(depth)

    def reconciled(self, outcome: str, seconds: float) -> None:
        """A look at a job took that long; the outcome is one word of a small, fixed set."""
        self._reconcile_seconds.labels(outcome).observe(seconds)

    def status_written(self, outcome: str) -> None:
        """A status write ended; the outcome is one word of a small, fixed set."""
        self._status_writes.labels(outcome).inc()

    def event_dropped(self) -> None:
        """An Event was given up."""
        self._events_dropped.inc()

    def watch_restarted(self) -> None:
        """A watch had ended and was started again."""
        self._watch_restarts.inc()

    def namespace_is_served(self, namespace: str, served: bool) -> None:
        """The namespace can be served now, or not."""
        self._served.labels(namespace).set(served)

    def leading(self, leads: bool) -> None:
        """This replica may act from now on, or may not."""
        self._leading.set(leads)

    def sweep_ended(self, account: str, region: str, seconds: float, pages: int) -> None:
        """A sweep of the account and region ended well; its age counts from now."""
        ended = self._clock()
        self._sweep_seconds.labels(account, region).observe(seconds)
        self._sweep_pages.labels(account, region).inc(pages)
        self._sweep_age.labels(account, region).set_function(lambda: self._clock() - ended)

    def sweep_interval_is(self, account: str, region: str, seconds: float) -> None:
        """That is the time from one sweep of the account and region to the next."""
        self._sweep_interval.labels(account, region).set(seconds)

    def sweep_rests(self, account: str, region: str) -> None:
        """No job of the account and region is live, so no sweep is due and none has an age."""
        self._sweep_age.remove(account, region)
        self._sweep_interval.remove(account, region)

    def event_received(self, outcome: str) -> None:
        """A message was read from the event queue; the outcome is one word of a small, fixed set."""
        self._event_messages.labels(outcome).inc()

    def event_queue_failed(self, error: AwsError) -> None:
        """A call of the event queue failed."""
        self._event_errors.labels(error.kind.value).inc()


def _fault(error: AwsError) -> str:
    """ACK's status_code of an error."""
    if error.code in _MODELLED_ERRORS:
        return _FAULT_OF_CLIENT
    return _FAULT_NO_ANSWER if error.code in _NO_ANSWER else _FAULT_UNKNOWN
