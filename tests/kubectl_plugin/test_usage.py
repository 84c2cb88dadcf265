"""Totals of namespaces: billable time of all instances, each job once."""

from __future__ import annotations

import json

from rich.console import Console

from kubectl_trainingjob.logic.job import Job, Outcome
from kubectl_trainingjob.logic.usage import sum_usage
from kubectl_trainingjob.views.usage_table import build_usage_table
from tests.kubectl_plugin.objects import condition, job


def in_namespace(namespace: str, subject: Job) -> Job:
    body = json.loads(json.dumps(subject.body))
    body["metadata"]["namespace"] = namespace
    return Job(body)


DONE, FAILED = condition("Complete"), condition("Failed", reason="JobFailed")
JOBS = [
    in_namespace("small", job(DONE, billableTimeInSeconds=60, billableInstanceSeconds=60)),
    in_namespace("large", job(DONE, billableTimeInSeconds=60, billableInstanceSeconds=480)),
    in_namespace("large", job(FAILED, billableTimeInSeconds=10, billableInstanceSeconds=20)),
    in_namespace("large", job(phase="InProgress")),
    in_namespace("reader", job(DONE, condition("ACK.Observed"), billableInstanceSeconds=480)),
]


def test_totals_count_each_job_for_its_owner_in_order_of_size() -> None:
    large, small = sum_usage(JOBS)
    assert (large.namespace, large.jobs, large.billable_instance_seconds) == ("large", 3, 500)
    assert dict(large.outcomes) == {Outcome.SUCCEEDED: 1, Outcome.FAILED: 1, Outcome.RUNNING: 1}
    assert (small.namespace, small.billable_instance_seconds) == ("small", 60)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(build_usage_table(sum_usage(JOBS)))
    assert [line.split() for line in shown.get().splitlines()] == [
        ["NAMESPACE", "JOBS", "SUCCEEDED", "FAILED", "STOPPED", "REFUSED", "LOST", "OPEN", "BILLABLE"],
        ["large", "3", "1", "1", "0", "0", "0", "1", "8m20s"],
        ["small", "1", "1", "0", "0", "0", "0", "0", "1m"],
        ["total", "4", "2", "1", "0", "0", "0", "1", "9m20s"],
    ]


def test_an_object_of_an_earlier_version_is_counted_with_the_instances_of_its_spec() -> None:
    spec = {"resourceConfig": {"instanceType": "ml.m5.large", "instanceCount": 4}}
    assert job(spec=spec, billableTimeInSeconds=60).billable_instance_seconds == 240
    assert job(spec=spec).billable_instance_seconds is None
