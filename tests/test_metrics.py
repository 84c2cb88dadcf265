"""Each fact that is reported moves its metric, under the name and labels that dashboards know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.clock import Clock
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = {"account": "1", "region": "r"}
DENIED = AwsError("ReceiveMessage", "AccessDenied", "no", ErrorClass.DENIED, definite=True)


class Scrape:
    """One `Metrics`, and what Prometheus reads of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, "1.2.3", self.clock)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


@pytest.mark.parametrize(
    ("report", "name", "labels", "value"),
    [
        (lambda m: m.jobs_are({"InProgress": 2}), "trainingjob_jobs", {"status": "InProgress"}, 2),
        (lambda m: m.job_ended("Failed"), "trainingjob_ended_total", {"outcome": "Failed"}, 1),
        (lambda m: m.job_took(60, 20), "trainingjob_training_seconds_total", {}, 60),
        (lambda m: m.job_took(60, 20), "trainingjob_billable_seconds_total", {}, 20),
        (lambda m: m.job_waited(2.5), "trainingjob_turn_wait_seconds_sum", {}, 2.5),
        (lambda m: m.jobs_wait(7), "trainingjob_waiting_jobs", {}, 7),
        (lambda m: m.objects_are_passive(1), "trainingjob_passive_objects", {}, 1),
        (lambda m: m.queue_is(5), "trainingjob_queue_depth", {}, 5),
        (lambda m: m.reconciled("created", 0.2), "trainingjob_reconcile_seconds_sum", {"outcome": "created"}, 0.2),
        (lambda m: m.status_written("conflict"), "trainingjob_status_writes_total", {"outcome": "conflict"}, 1),
        (lambda m: m.event_dropped(), "trainingjob_events_dropped_total", {}, 1),
        (lambda m: m.watch_restarted(), "trainingjob_watch_restarts_total", {}, 1),
        (lambda m: m.leading(leads=True), "trainingjob_leading", {}, 1),
        (lambda m: m.sweep_ended("1", "r", 0.5, 3), "trainingjob_sweep_seconds_sum", ACCOUNT, 0.5),
        (lambda m: m.sweep_ended("1", "r", 0.5, 3), "trainingjob_sweep_pages_total", ACCOUNT, 3),
        (lambda m: m.sweep_interval_is("1", "r", 60), "trainingjob_sweep_interval_seconds", ACCOUNT, 60),
        (lambda m: m.event_received("news"), "trainingjob_event_queue_messages_total", {"outcome": "news"}, 1),
        (lambda m: m.event_queue_failed(DENIED), "trainingjob_event_queue_errors_total", {"kind": "denied"}, 1),
    ],
)  # fmt: skip
def test_a_fact_moves_its_metric(
    scrape: Scrape, report: Callable[[Metrics], None], name: str, labels: dict[str, str], value: float
) -> None:
    report(scrape.metrics)
    assert scrape.value(name, **labels) == value


@pytest.mark.parametrize(
    ("operation", "kind_of_call"),
    [
        ("CreateTrainingJob", "CREATE"),
        ("DescribeTrainingJob", "READ_ONE"),
        ("ListTrainingJobs", "READ_MANY"),
        ("UpdateTrainingJob", "UPDATE"),
        ("StopTrainingJob", "DELETE"),
        ("ListTags", "GET"),
        ("AddTags", "UPDATE"),
        ("DeleteTags", "UPDATE"),
    ],
)
def test_calls_are_counted_under_acks_name_and_labels(scrape: Scrape, operation: str, kind_of_call: str) -> None:
    scrape.metrics.aws_call_ended(operation, 0.25)
    labels = {"service": "sagemaker", "op_type": kind_of_call, "op_id": operation}
    assert scrape.value("ack_outbound_api_requests_total", **labels) == 1
    assert scrape.value("trainingjob_aws_call_seconds_sum", operation=operation) == 0.25


@pytest.mark.parametrize(
    ("code", "kind", "status_code"),
    [
        ("ThrottlingException", ErrorClass.THROTTLED, "0"),
        ("ValidationException", ErrorClass.REFUSED, "0"),
        ("ResourceInUse", ErrorClass.IN_USE, "2"),
        ("ResourceLimitExceeded", ErrorClass.WAITING, "2"),
        ("ReadTimeoutError", ErrorClass.RETRY, "-1"),
    ],
)
def test_failed_calls_are_counted_with_acks_status_code_and_by_class(
    scrape: Scrape, code: str, kind: ErrorClass, status_code: str
) -> None:
    error = AwsError("CreateTrainingJob", code, "no", kind, definite=True)
    scrape.metrics.aws_call_ended("CreateTrainingJob", 0.1, error)
    acks = {"service": "sagemaker", "op_id": "CreateTrainingJob", "status_code": status_code}
    assert scrape.value("ack_outbound_api_requests_error_total", **acks) == 1
    assert scrape.value("trainingjob_aws_errors_total", operation="CreateTrainingJob", kind=kind.value) == 1


def test_a_status_that_no_job_has_any_more_is_gone(scrape: Scrape) -> None:
    scrape.metrics.jobs_are({"InProgress": 2, "Failed": 1})
    scrape.metrics.jobs_are({"Completed": 3})
    assert scrape.value("trainingjob_jobs", status="InProgress") is None
    assert scrape.value("trainingjob_jobs", status="Completed") == 3


def test_leadership_can_be_lost(scrape: Scrape) -> None:
    scrape.metrics.leading(leads=True)
    scrape.metrics.leading(leads=False)
    assert scrape.value("trainingjob_leading") == 0


def test_a_sweep_ages_until_the_next_and_has_no_age_while_it_rests(scrape: Scrape) -> None:
    scrape.metrics.sweep_ended("1", "r", 0.5, 1)
    scrape.clock.now += 12
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 12
    scrape.metrics.sweep_ended("1", "r", 0.5, 1)
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 0
    scrape.metrics.sweep_interval_is("1", "r", 5)
    scrape.metrics.sweep_rests("1", "r")
    scrape.metrics.sweep_rests("1", "r")
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) is None
    assert scrape.value("trainingjob_sweep_interval_seconds", **ACCOUNT) is None


def test_the_version_and_the_process_are_shown(scrape: Scrape) -> None:
    assert scrape.value("trainingjob_build_info", version="1.2.3") == 1
    assert (scrape.value("process_resident_memory_bytes") or 0) > 0


def test_every_metric_of_ours_says_what_it_is_and_bears_the_prefix(scrape: Scrape) -> None:
    foreign = ("process_", "python_")
    families = [
        family
        for family in text_string_to_metric_families(generate_latest(scrape.registry).decode())
        if not family.name.startswith(foreign)
    ]
    assert len(families) > 20
    for family in families:
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith(("trainingjob_", "ack_outbound_api_requests")), family.name


FIXED = {"service", "op_type", "op_id", "status_code", "operation", "kind", "outcome", "version", "status"}
"""Labels with values of the operator or of SageMaker's API."""
CHOSEN = {"account", "region", "namespace"}
"""Labels with values of the installation: places that objects name, and the namespaces of a flag."""


def test_no_label_is_a_text_of_a_tenant(scrape: Scrape) -> None:
    labels: set[str] = set()
    for name, collector in scrape.registry._names_to_collectors.items():
        if name.startswith(("ack_", "trainingjob_")):
            labels |= set(getattr(collector, "_labelnames", ()))
    assert labels == FIXED | CHOSEN
    scrape.metrics.sweep_ended("1", "r", 1.0, 1)
    scrape.metrics.sweep_rests("1", "r")
    scrape.metrics.keep_sweeps(set())
    assert b'region="r"' not in generate_latest(scrape.registry), "a region that no object names has no series"


def test_two_operators_in_one_process_do_not_meet(scrape: Scrape) -> None:
    other = Scrape()
    scrape.metrics.queue_is(5)
    assert other.value("trainingjob_queue_depth") == 0
