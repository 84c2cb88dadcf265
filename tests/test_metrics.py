"""Each reported fact changes its metric, with the name and labels of the dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.clock import Clock
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.metric_series import NAMESPACES, OTHER, SERIES_OF_NAMESPACE
from trainingjob_operator.metrics import ABSENT_SECONDS, PLACES, QUOTAS, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = {"account": "1", "region": "r"}
BUDGET = {**ACCOUNT, "operation": "StopTrainingJob"}
BUDGETS = {("1", "r", "StopTrainingJob"): (2.5, 3)}
TEAM = {"namespace": "a"}
SINGLE = {**TEAM, "name": "b", "status": "Failed"}
NODES = {"ml.m5.large": 4}
PAID = {**TEAM, "instance_type": "ml.m5.large", "spot": "true"}
TERMINAL = {"condition": "ACK.Terminal", "reason": "JobFailed"}
DENIED = AwsError("ReceiveMessage", "AccessDenied", "no", ErrorClass.DENIED, definite=True)


class Scrape:
    """One `Metrics`, and its samples for Prometheus."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, "1.2.3", self.clock)

    def series(self, family: str) -> dict[tuple[str, ...], float]:
        """Values of a gauge or counter by the values of its labels."""
        return {
            tuple(sample.labels.values()): sample.value
            for metric in self.registry.collect()
            if metric.name == family
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }

    def value(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)


def sweep(metrics: Metrics, seconds: float, pages: int) -> None:
    metrics.sweep_begins("sweep", ("1", "r"))
    metrics.sweep_interval_is("sweep", 60)
    metrics.sweep_ended("sweep", seconds, pages)


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


@pytest.mark.parametrize(
    ("report", "name", "labels", "value"),
    [
        (lambda m: m.jobs_are({("a", "InProgress"): 2}), "trainingjob_jobs", {**TEAM, "status": "InProgress"}, 2),
        (lambda m: m.job_settled("a", "Failed"), "trainingjob_ended_total", {**TEAM, "outcome": "Failed"}, 1),
        (lambda m: m.job_took("a", NODES, True, 60, 20), "trainingjob_training_instance_seconds_total", PAID, 240),
        (lambda m: m.job_took("a", NODES, True, 60, 20), "trainingjob_billable_instance_seconds_total", PAID, 80),
        (lambda m: m.condition_reported("ACK.Terminal", "JobFailed"), "trainingjob_errors_total", TERMINAL, 1),
        (lambda m: m.status_lagged(-3.0), "trainingjob_status_lag_seconds_sum", {}, 0),
        (lambda m: m.jobs_show({("a", "b"): "Failed"}), "trainingjob_job_status", SINGLE, 1),
        (lambda m: m.watch_is(7.0), "trainingjob_watch_age_seconds", {}, 7),
        (lambda m: m.budgets_are(BUDGETS), "trainingjob_budget_calls_per_second", BUDGET, 2.5),
        (lambda m: m.budgets_are(BUDGETS), "trainingjob_budget_waiting_calls", BUDGET, 3),
        (lambda m: m.job_waited(2.5), "trainingjob_turn_wait_seconds_sum", {}, 2.5),
        (lambda m: m.jobs_wait({"": 7}), "trainingjob_waiting_jobs", {"quota": ""}, 7),
        (lambda m: m.jobs_wait({"x/y": 7}), "trainingjob_waiting_jobs", {"quota": "x/y"}, 7),
        (lambda m: m.objects_are_passive(1), "trainingjob_passive_objects", {}, 1),
        (lambda m: m.queue_is(5), "trainingjob_queue_depth", {}, 5),
        (lambda m: m.reconciled("created", 0.2), "trainingjob_reconcile_seconds_sum", {"outcome": "created"}, 0.2),
        (lambda m: m.status_written("conflict"), "trainingjob_status_writes_total", {"outcome": "conflict"}, 1),
        (lambda m: m.event_dropped(), "trainingjob_events_dropped_total", {}, 1),
        (lambda m: m.watch_restarted(), "trainingjob_watch_restarts_total", {}, 1),
        (lambda m: m.leading(leads=True), "trainingjob_leading", {}, 1),
        (lambda m: sweep(m, 0.5, 3), "trainingjob_sweep_seconds_sum", ACCOUNT, 0.5),
        (lambda m: sweep(m, 0.5, 3), "trainingjob_sweep_pages_total", ACCOUNT, 3),
        (lambda m: sweep(m, 0.5, 3), "trainingjob_sweep_interval_seconds", ACCOUNT, 60),
        (lambda m: m.event_received("news"), "trainingjob_event_queue_messages_total", {"outcome": "news"}, 1),
        (lambda m: m.event_queue_failed(DENIED), "trainingjob_event_queue_errors_total", {"kind": "denied"}, 1),
    ],
)  # fmt: skip
def test_a_reported_fact_changes_its_metric(
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


def test_a_status_without_a_job_has_no_series(scrape: Scrape) -> None:
    scrape.metrics.jobs_are({("a", "InProgress"): 2, ("a", "Failed"): 1, ("b", "Failed"): 1})
    scrape.metrics.jobs_are({("a", "Completed"): 3})
    assert scrape.series("trainingjob_jobs") == {("a", "Completed"): 3}


def test_the_end_of_a_job_increases_a_counter_from_zero(scrape: Scrape) -> None:
    scrape.metrics.job_expected("a", NODES, True)
    outcomes = {"Succeeded", "Failed", "Stopped", "Refused", "Lost"}
    assert scrape.series("trainingjob_ended") == {("a", outcome): 0 for outcome in outcomes}
    assert scrape.value("trainingjob_billable_instance_seconds_total", **PAID) == 0


def test_instance_groups_are_counted_by_type(scrape: Scrape) -> None:
    scrape.metrics.job_took("a", {"ml.c5.xlarge": 3, "ml.p4d.24xlarge": 1}, False, 60, 20)
    assert scrape.series("trainingjob_billable_instance_seconds") == {
        ("a", "ml.c5.xlarge", "false"): 60,
        ("a", "ml.p4d.24xlarge", "false"): 20,
    }


def test_counters_of_a_namespace_end_an_hour_after_its_last_object(scrape: Scrape) -> None:
    for name in "ab":
        scrape.metrics.job_took(name, NODES, False, 60, 20)
        scrape.metrics.job_settled(name, "Failed")
    scrape.clock.now += ABSENT_SECONDS / 2
    scrape.metrics.jobs_are({("a", "Failed"): 1})
    scrape.clock.now += ABSENT_SECONDS / 2 + 1
    scrape.metrics.jobs_are({("c", "Failed"): 1})
    for name in ("trainingjob_ended", "trainingjob_billable_instance_seconds"):
        assert {labels[0] for labels in scrape.series(name)} == {"a"}, name


def test_ten_thousand_namespaces_share_a_series_and_totals_stay_right(scrape: Scrape) -> None:
    scrape.metrics.jobs_are({("early", "Failed"): 1})
    many = {(f"ns-{number}", "Failed"): 1 for number in range(10_000)}
    scrape.metrics.jobs_are({**many, ("early", "Failed"): 2})
    for name, _ in many:
        scrape.metrics.job_settled(name, "Failed")
        scrape.metrics.job_took(name, NODES, False, 1, 1)
    for name, total in (
        ("trainingjob_jobs", 10_002),
        ("trainingjob_ended", 10_000),
        ("trainingjob_billable_instance_seconds", 40_000),
    ):
        series = scrape.series(name)
        assert (len(series), sum(series.values())) == (NAMESPACES + 1, total), name
    assert scrape.value("trainingjob_jobs", namespace="early", status="Failed") == 2
    scrape.metrics.jobs_are({("late", "Failed"): 1})
    assert scrape.series("trainingjob_jobs") == {("late", "Failed"): 1}, "deleted namespaces free their series"


def test_a_namespace_with_many_instance_types_has_few_series(scrape: Scrape) -> None:
    for number in range(1000):
        scrape.metrics.job_took("a", {f"ml.m{number}.large": 1}, False, 1, 1)
    series = scrape.series("trainingjob_billable_instance_seconds")
    assert (len(series), sum(series.values())) == (SERIES_OF_NAMESPACE + 1, 1000)
    scrape.metrics.job_took("b", {"\n{}evil": 1, "x" * 999: 1}, False, 1, 1)
    assert (
        scrape.value("trainingjob_billable_instance_seconds_total", namespace="b", instance_type=OTHER, spot="false")
        == 2
    )


def test_untrusted_label_values_share_a_series(scrape: Scrape) -> None:
    scrape.metrics.jobs_are({("a", f"Word{number}"): 1 for number in range(1000)})
    assert scrape.series("trainingjob_jobs") == {("a", OTHER): 1000}
    for number in range(1000):
        scrape.metrics.condition_reported("ACK.Terminal", f"Word{number}")
        scrape.metrics.condition_reported(f"Word{number}", "JobFailed")
    counted = {labels: value for labels, value in scrape.series("trainingjob_errors").items() if value}
    assert counted == {("ACK.Terminal", OTHER): 1000}
    scrape.metrics.jobs_wait({f"quota {number}": number for number in range(1, 1001)})
    quotas = scrape.series("trainingjob_waiting_jobs")
    assert (len(quotas), sum(quotas.values())) == (QUOTAS + 2, 500_500)
    assert quotas["quota 1000",] == 1000, "the largest queues keep their names"


def test_unknown_regions_of_objects_share_a_series(scrape: Scrape) -> None:
    scrape.metrics.sweep_begins("real", ("1", "us-east-1"))
    places = {("1", f"xx-fake-{number}") for number in range(1000)}
    for place in places:
        scrape.metrics.sweep_begins(place, place)
    assert len(scrape.series("trainingjob_sweep_age_seconds")) == PLACES + 1
    for place in places:
        scrape.metrics.sweep_rests(place)
    scrape.metrics.keep_sweeps({("1", "us-east-1")})
    assert set(scrape.series("trainingjob_sweep_age_seconds")) == {("1", "us-east-1")}
    scrape.metrics.sweep_begins("late", ("1", "eu-west-1"))
    assert set(scrape.series("trainingjob_sweep_age_seconds")) == {("1", "us-east-1"), ("1", "eu-west-1")}


def test_leadership_can_be_lost(scrape: Scrape) -> None:
    scrape.metrics.leading(leads=True)
    scrape.metrics.leading(leads=False)
    assert scrape.value("trainingjob_leading") == 0


def test_a_sweep_ages_from_its_start_and_has_no_age_while_idle(scrape: Scrape) -> None:
    scrape.metrics.sweep_begins("sweep", ("1", "r"))
    scrape.clock.now += 12
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 12, "a sweep without success ages, too"
    scrape.metrics.sweep_ended("sweep", 0.5, 1)
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 0
    scrape.metrics.sweep_interval_is("sweep", 5)
    scrape.metrics.sweep_rests("sweep")
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) is None
    assert scrape.value("trainingjob_sweep_interval_seconds", **ACCOUNT) is None


def test_a_region_has_the_age_of_its_oldest_sweep_until_the_last_one_is_idle(scrape: Scrape) -> None:
    for role in ("one", "two"):
        scrape.metrics.sweep_begins(role, ("1", "r"))
        scrape.metrics.sweep_interval_is(role, 5)
    scrape.clock.now += 12
    scrape.metrics.sweep_ended("one", 0.5, 1)
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 12
    scrape.metrics.sweep_rests("one")
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 12
    assert scrape.value("trainingjob_sweep_interval_seconds", **ACCOUNT) == 5
    scrape.metrics.sweep_is_fresh("two")
    assert scrape.value("trainingjob_sweep_age_seconds", **ACCOUNT) == 0


def test_the_version_and_the_process_are_shown(scrape: Scrape) -> None:
    assert scrape.value("trainingjob_build_info", version="1.2.3") == 1
    assert (scrape.value("process_resident_memory_bytes") or 0) > 0


def test_every_own_metric_has_a_help_text_and_the_prefix(scrape: Scrape) -> None:
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


FIXED = {"service", "op_type", "op_id", "status_code", "operation", "kind", "outcome", "version", "condition", "spot"}
"""Labels with values of the operator or of SageMaker's API."""
BOUNDED = {"account", "region", "namespace", "status", "reason", "instance_type", "quota"}
"""Labels with values of tenants or of SageMaker: each has a bound and a test."""


def test_only_the_optional_metric_has_names_of_objects(scrape: Scrape) -> None:
    labels: set[str] = set()
    for name, collector in scrape.registry._names_to_collectors.items():
        if name.startswith(("ack_", "trainingjob_")) and name != "trainingjob_job_status":
            labels |= set(getattr(collector, "_labelnames", ()))
    assert labels == FIXED | BOUNDED
    sweep(scrape.metrics, 1.0, 1)
    scrape.metrics.sweep_rests("sweep")
    scrape.metrics.keep_sweeps(set())
    assert b'region="r"' not in generate_latest(scrape.registry), "a region without an object has no series"


def test_two_operators_in_one_process_have_separate_metrics(scrape: Scrape) -> None:
    other = Scrape()
    scrape.metrics.queue_is(5)
    assert other.value("trainingjob_queue_depth") == 0
