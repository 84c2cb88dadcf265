"""Annotations of objects and namespaces with ACK's keys: valid, invalid, empty and edited values, and precedence."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.e2e.objects import training_job
from tests.e2e.operator_process import OperatorProcess, await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator, Shared
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

ACK = "services.k8s.aws/"
SERVICE = "sagemaker.services.k8s.aws/"

REFUSED = {
    "region-word": ({f"{ACK}region": "mars"}, ("'mars'", "us-west-2")),
    "region-empty": ({f"{ACK}region": ""}, ("region",)),
    "deletion-case": ({f"{ACK}deletion-policy": "Delete"}, ("'Delete'", "delete or retain")),
    "deletion-empty": ({f"{ACK}deletion-policy": ""}, ("delete or retain",)),
    "adoption-word": ({f"{ACK}adoption-policy": "take"}, ("'take'", "adopt or adopt-or-create")),
    "adoption-empty": ({f"{ACK}adoption-policy": ""}, ("adopt or adopt-or-create",)),
    "fields-no-json": ({f"{ACK}adoption-fields": "x"}, ('{"trainingJobName": "my-job"}',)),
    "fields-other": ({f"{ACK}adoption-fields": '{"name": "x"}'}, ('{"trainingJobName": "my-job"}',)),
    "fields-empty": ({f"{ACK}adoption-fields": ""}, ('{"trainingJobName": "my-job"}',)),
    "fields-clash": ({f"{ACK}adoption-fields": '{"trainingJobName": "x"}'}, ("'x'", "Use one name")),
    "adopted-word": ({f"{ACK}adopted": "yes"}, ("'yes'", "true or false")),
    "read-only-empty": ({f"{ACK}read-only": ""}, ("true or false",)),
    "two-at-once": ({f"{ACK}region": "mars", f"{ACK}read-only": "1"}, ("'mars'", "'1'")),
}

NAMESPACE_REFUSED: dict[str, dict[str, tuple[str, ...]]] = {
    f"{ACK}default-region": {"mars": ("'mars'", "us-west-2"), "": ("default-region",)},
    f"{ACK}owner-account-id": {"12345": ("'12345'", "12 digits"), "": ("12 digits",)},
    f"{ACK}team-id": {"vision": ("team-id", "not supported", "owner-account-id")},
    f"{ACK}endpoint-url": {"ftp://x": ("'ftp://x'", "http:// or https://"), "": ("endpoint-url",)},
    f"{SERVICE}deletion-policy": {"keep": ("'keep'", "delete or retain"), "": ("delete or retain",)},
}


@contextlib.contextmanager
def namespace_annotated(jobs: Jobs, namespace: str, **annotations: str) -> Iterator[None]:
    """Annotate the namespace during the context."""
    pairs = [f"{key}={value}" for key, value in annotations.items()]
    jobs.kubectl("annotate", "namespace", namespace, *pairs)
    try:
        yield
    finally:
        jobs.kubectl("annotate", "namespace", namespace, *[f"{key}-" for key in annotations])


def test_an_invalid_value_is_reported_with_the_valid_ones(shared: Shared) -> None:
    shared.jobs.apply(*[training_job(name, annotations=annotations) for name, (annotations, _) in REFUSED.items()])
    for name, (_, texts) in REFUSED.items():
        reported = shared.jobs.wait_condition(name, "ACK.Terminal")
        assert reported["reason"] == "InvalidAnnotation", name
        assert [text for text in texts if text not in reported["message"]] == [], (name, reported["message"])
        assert shared.jobs.condition(name, "Ready")["status"] == "False"
        assert shared.sagemaker.calls(job=name) == []


def test_an_edited_annotation_takes_effect_without_an_edit_of_the_spec(shared: Shared) -> None:
    shared.jobs.apply(training_job("edited", annotations={f"{ACK}region": "mars"}))
    shared.jobs.wait_condition("edited", "ACK.Terminal")
    shared.jobs.kubectl("annotate", "trainingjob", "edited", "--overwrite", f"{ACK}region=eu-central-1")
    body = shared.jobs.wait_status("edited", "InProgress")
    assert body["status"]["ackResourceMetadata"]["region"] == "eu-central-1"
    assert body["metadata"]["generation"] == 1
    assert shared.jobs.condition("edited", "ACK.Terminal") == {}


@pytest.mark.parametrize("key", NAMESPACE_REFUSED)
def test_an_invalid_annotation_of_the_namespace_is_reported_until_it_is_removed(shared: Shared, key: str) -> None:
    for number, (value, texts) in enumerate(NAMESPACE_REFUSED[key].items()):
        name = f"{key.partition('/')[2]}-{number}"
        with namespace_annotated(shared.jobs, shared.namespace, **{key: value}):
            shared.jobs.apply(training_job(name))
            reported = shared.jobs.wait_condition(name, "ACK.Terminal")
            assert reported["reason"] == "InvalidAnnotation"
            assert [text for text in texts if text not in reported["message"]] == [], reported["message"]
            assert shared.sagemaker.calls(job=name) == []
        shared.jobs.wait_status(name, "InProgress")


def test_an_invalid_value_on_a_running_job_is_an_advisory_and_the_status_continues(shared: Shared) -> None:
    shared.sagemaker.plan("advised", outcome="Running", seconds=0.5)
    shared.jobs.apply(training_job("advised"))
    shared.jobs.wait("advised", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    for pair, texts in {
        f"{ACK}region=mars": ("'mars'",),
        f"{ACK}region=eu-central-1": ("us-east-1", "eu-central-1", "an existing job cannot move"),
        f"{ACK}adoption-policy=": ("adopt or adopt-or-create",),
    }.items():
        shared.jobs.kubectl("annotate", "trainingjob", "advised", "--overwrite", pair)
        shared.jobs.wait(
            "advised",
            f"{pair} is reported",
            lambda _, texts=texts: all(  # type: ignore[misc]
                text in shared.jobs.condition("advised", "ACK.Advisory").get("message", "") for text in texts
            ),
        )
        key = pair.partition("=")[0]
        shared.jobs.kubectl("annotate", "trainingjob", "advised", f"{key}-")
        shared.jobs.wait("advised", "is well", lambda _: not shared.jobs.condition("advised", "ACK.Advisory"))
    shared.jobs.kubectl("annotate", "trainingjob", "advised", f"{ACK}region=mars")
    shared.jobs.wait_condition("advised", "ACK.Advisory")
    shared.sagemaker.complete_job("advised")
    shared.jobs.wait_condition("advised", "Complete")
    assert shared.jobs.condition("advised", "Ready")["status"] == "True"
    assert len(shared.sagemaker.effects("CreateTrainingJob", job="advised")) == 1


def test_the_region_of_the_object_precedes_the_namespace_and_the_namespace_the_flag(shared: Shared) -> None:
    shared.jobs.apply(training_job("by-flag"))
    shared.jobs.wait_status("by-flag", "InProgress")
    with namespace_annotated(shared.jobs, shared.namespace, **{f"{ACK}default-region": "eu-west-3"}):
        body = shared.jobs.wait("by-flag", "differs", lambda _: shared.jobs.condition("by-flag", "ACK.Advisory"))
        assert body["status"]["ackResourceMetadata"]["region"] == "us-east-1"
        shared.jobs.apply(
            training_job("by-namespace"), training_job("by-object", annotations={f"{ACK}region": "sa-east-1"})
        )
        for name in ("by-namespace", "by-object"):
            shared.jobs.wait_status(name, "InProgress")
    places = {job["TrainingJobName"]: job["Region"] for job in shared.sagemaker.jobs()}
    assert [places[name] for name in ("by-flag", "by-namespace", "by-object")] == [
        "us-east-1", "eu-west-3", "sa-east-1",
    ]  # fmt: skip

    def all_swept() -> bool:
        return set(places.values()) <= {call["region"] for call in shared.sagemaker.calls("ListTrainingJobs")}

    await_true("a sweep of each region", all_swept)


def test_the_deletion_policy_of_the_object_precedes_namespace_and_flag(
    new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    new_operator("--deletion-policy=retain").start()
    sagemaker.plan(outcome="Running", seconds=0.5, stop_seconds=0.2)
    names = ("by-flag", "by-namespace", "by-object")
    own = {"by-object": {f"{ACK}deletion-policy": "retain"}}
    jobs.apply(*[training_job(name, annotations=own.get(name)) for name in names])
    for name in names:
        jobs.wait_status(name, "InProgress")
    jobs.delete("by-flag")
    jobs.wait_gone("by-flag", 10)
    with namespace_annotated(jobs, namespace, **{f"{SERVICE}deletion-policy": "delete"}):
        for name in names[1:]:
            jobs.delete(name)
            jobs.wait_gone(name)
    assert [len(sagemaker.calls("StopTrainingJob", job=name)) for name in names] == [0, 1, 0]


def test_the_endpoint_of_a_namespace_needs_https_without_the_unsafe_flag(
    jobs: Jobs, control_plane: Cluster, sagemaker: StandIn, namespace: str, tmp_path: Path
) -> None:
    # botocore's own variables lead to the stand-in
    endpoints = {
        "AWS_ENDPOINT_URL": "",
        "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker.url,
        "AWS_ENDPOINT_URL_STS": sagemaker.url,
    }
    flags = (f"--watch-namespace={namespace}", "--aws-endpoint-url=", "--allow-unsafe-aws-endpoint-urls=false")
    with (
        OperatorProcess(control_plane, sagemaker, tmp_path, *flags, environment=endpoints),
        namespace_annotated(jobs, namespace, **{f"{ACK}endpoint-url": sagemaker.url}),
    ):
        jobs.apply(training_job("unsafe"))
        reported = jobs.wait_condition("unsafe", "ACK.Terminal")
        assert "https://" in reported["message"]
        assert "--allow-unsafe-aws-endpoint-urls" in reported["message"]
        assert sagemaker.calls(job="unsafe") == []
        jobs.kubectl("annotate", "namespace", namespace, f"{ACK}endpoint-url-")
        jobs.wait_status("unsafe", "InProgress")


def test_calls_use_the_endpoint_of_the_namespace(
    new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    new_operator("--aws-endpoint-url=http://127.0.0.1:1", "--allowed-endpoint-urls=*").start()
    with namespace_annotated(jobs, namespace, **{f"{ACK}endpoint-url": sagemaker.url}):
        jobs.apply(training_job("elsewhere"))
        jobs.wait_status("elsewhere", "InProgress")
    assert len(sagemaker.effects("CreateTrainingJob")) == 1


@pytest.mark.parametrize("key", ["reconcile.fluxcd.io/requestedAt", f"{ACK}reconcile-requested-at"])
def test_a_reconcile_request_triggers_one_describe_at_once(shared: Shared, key: str) -> None:
    name = "asked-" + key.partition("/")[0].replace(".", "-")
    shared.sagemaker.plan(name, outcome="Running", seconds=0.5)
    shared.jobs.apply(training_job(name))
    shared.jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    before = len(shared.sagemaker.calls("DescribeTrainingJob", job=name))
    shared.jobs.kubectl("annotate", "trainingjob", name, f"{key}=2026-01-01T00:00:00Z")
    shared.jobs.wait(name, "is handled", lambda body: body["status"].get("lastHandledReconcileAt"))
    await_true("a Describe", lambda: len(shared.sagemaker.calls("DescribeTrainingJob", job=name)) == before + 1)
