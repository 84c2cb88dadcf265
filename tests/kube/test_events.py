"""Events in the API server, and their queue in the operator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import string
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.objects import training_job
from tests.fakes.clock import Clock
from tests.kube.proxy import Relay
from tests.kube.test_client import through
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.errors import Unavailable
from trainingjob_operator.kube.events import IN_FLIGHT, MESSAGE_LIMIT, EventRecorder, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster

MOMENT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


class Drops:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def drops() -> Drops:
    return Drops()


def make_recorder(
    api: ApiServer,
    drops: Drops,
    clock: Callable[[], float] = time.monotonic,
    is_busy: Callable[[], bool] = lambda: False,
    now: Callable[[], datetime] = lambda: MOMENT,
    **limits: Any,
) -> EventRecorder:
    return EventRecorder(
        api,
        clock=clock,
        now=now,
        jitter=random.Random(1),
        dropped=drops,
        is_busy=is_busy,
        instance="replica-1",
        **limits,
    )


@contextlib.asynccontextmanager
async def running(recorder: EventRecorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    try:
        yield
        assert not task.done(), "the recorder runs until its cancellation"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_taken(api: ApiServer, namespace: str) -> bool:
    """True if the namespace accepts Events."""
    event = {"metadata": {"generateName": "probe-"}, "involvedObject": {"namespace": namespace}}
    try:
        await api.call("POST", f"/api/v1/namespaces/{namespace}/events", seconds=10, body=event)
    except Unavailable:
        return False
    return True


async def events_in(api: ApiServer, namespace: str) -> list[dict[str, Any]]:
    answer = await api.call("GET", f"/api/v1/namespaces/{namespace}/events", seconds=10)
    return list(answer["items"])


async def test_one_event_is_posted_once_by_several_waiting_posters(
    api: ApiServer, namespace: str, drops: Drops
) -> None:
    recorder = make_recorder(api, drops)
    async with running(recorder):
        for number in range(3):
            await asyncio.sleep(0.1)  # until all posters wait
            recorder.record(Subject(namespace, "job", "uid-1"), "Normal", "Told", "once", f"Told/{number}")
            await recorder.flush(30)
    assert len(await events_in(api, namespace)) == 3


@pytest.mark.usefixtures("crd")
async def test_an_event_names_its_object_and_its_reporter(
    api: ApiServer, namespace: str, drops: Drops, kubectl: Kubectl
) -> None:
    recorder = make_recorder(api, drops)
    async with running(recorder):
        recorder.record(Subject(namespace, "job", "uid-1"), "Warning", "JobFailed", "it failed", "JobFailed/1")
        await recorder.flush(30)
    (event,) = await events_in(api, namespace)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "JobFailed", "it failed")
    assert event["involvedObject"] == {
        "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
        "kind": "TrainingJob",
        "namespace": namespace,
        "name": "job",
        "uid": "uid-1",
    }
    assert event["reportingComponent"] == "trainingjob-operator"
    assert event["reportingInstance"] == "replica-1"
    assert event["eventTime"] == "2026-11-21T10:00:00.000000Z"
    shown = await asyncio.to_thread(kubectl, "events", "--namespace", namespace, "--for", "trainingjob/job")
    assert "it failed" in shown


VIEWS = [
    ("describe", "trainingjob", "job"),
    ("events", "--for", "trainingjob/job"),
    *(
        ("get", "events", f"--sort-by={field}")
        for field in (".eventTime", ".lastTimestamp", ".firstTimestamp", ".metadata.creationTimestamp")
    ),
    ("get", "events"),
]


@pytest.mark.usefixtures("crd")
async def test_kubectl_shows_events_in_the_order_of_the_changes(
    api: ApiServer, namespace: str, drops: Drops, kubectl: Kubectl
) -> None:
    manifest = json.dumps(training_job("job"))
    await asyncio.to_thread(kubectl, "create", "--namespace", namespace, "--filename", "-", input=manifest)
    uid = await asyncio.to_thread(
        kubectl, "get", "trainingjob", "job", "--namespace", namespace, "--output=jsonpath={.metadata.uid}"
    )
    reasons = [f"Reason{letter}" for letter in string.ascii_uppercase]  # more than a short sort keeps in order
    recorder = make_recorder(api, drops)
    async with running(recorder):
        for number, reason in enumerate(reasons):
            recorder.record(Subject(namespace, "job", uid), "Normal", reason, "message", reason, f"{number:02x}")
        await recorder.flush(60)
    for view in VIEWS:
        shown = await asyncio.to_thread(kubectl, *view, "--namespace", namespace)
        assert re.findall(r"Reason[A-Z]\b", shown) == reasons, view


async def test_event_times_follow_a_clock_that_is_set_back(api: ApiServer, namespace: str, drops: Drops) -> None:
    times = iter([MOMENT, MOMENT, MOMENT - timedelta(hours=1)])
    recorder = make_recorder(api, drops, now=lambda: next(times))
    async with running(recorder):
        for key in "abc":
            recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", key, key)
        await recorder.flush(30)
    assert {event["message"]: event["eventTime"] for event in await events_in(api, namespace)} == {
        "a": "2026-11-21T10:00:00.000000Z",
        "b": "2026-11-21T10:00:00.000001Z",
        "c": "2026-11-21T09:00:00.000000Z",
    }


async def test_an_event_repeated_after_a_crash_is_not_created_twice(
    api: ApiServer, namespace: str, drops: Drops
) -> None:
    for _ in range(2):
        recorder = make_recorder(api, drops)
        async with running(recorder):
            recorder.record(Subject(namespace, "job", "uid-1"), "Normal", "Created", "once", "Created/arn")
            recorder.record(Subject(namespace, "job", "uid-2"), "Normal", "Created", "another object", "Created/arn")
            recorder.record(Subject(namespace, "job", "uid-1"), "Normal", "Started", "another key", "Started")
            await recorder.flush(30)
    messages = sorted(event["message"] for event in await events_in(api, namespace))
    assert messages == ["another key", "another object", "once"]
    assert drops.count == 0


@pytest.mark.parametrize("letter", ["x", "é", "文"])
async def test_a_long_name_and_message_are_truncated_to_the_api_servers_limits(
    api: ApiServer, namespace: str, drops: Drops, letter: str
) -> None:
    recorder = make_recorder(api, drops)
    async with running(recorder):
        recorder.record(Subject(namespace, "a" * 253, "uid"), "Normal", "Created", letter * 5000, "k")
        await recorder.flush(30)
    (event,) = await events_in(api, namespace)
    assert MESSAGE_LIMIT - 6 < len(event["message"].encode()) <= MESSAGE_LIMIT
    assert event["message"].endswith(letter + "…")


async def test_a_rejected_event_does_not_delay_others(
    api: ApiServer, namespace: str, drops: Drops, kubectl: Kubectl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    leaving = f"{namespace}-leaving"
    await asyncio.to_thread(kubectl, "create", "namespace", leaving)
    hold = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "hold", "finalizers": ["example.com/hold"]},
    }
    hold_arguments = ("create", "--namespace", leaving, "--filename", "-")
    await asyncio.to_thread(kubectl, *hold_arguments, input=json.dumps(hold))
    await asyncio.to_thread(kubectl, "delete", "namespace", leaving, "--wait=false")
    recorder = make_recorder(api, drops)
    try:
        async with running(recorder):
            recorder.record(Subject(leaving, "job", "uid"), "Normal", "Created", "into a leaving namespace", "k")
            recorder.record(Subject("no-such", "job", "uid"), "Normal", "Created", "into no namespace", "k")
            recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", "fine", "k")
            await recorder.flush(30)
        assert [event["message"] for event in await events_in(api, namespace)] == ["fine"]
        assert caplog.records == []
    finally:
        patch = '{"metadata":{"finalizers":null}}'
        await asyncio.to_thread(
            kubectl, "patch", "configmap", "hold", "--namespace", leaving, "--type=merge", "-p", patch
        )


async def test_a_webhook_that_fails_for_one_namespace_does_not_delay_the_events_of_others(
    api: ApiServer, namespace: str, drops: Drops, kubectl: Kubectl
) -> None:
    guarded = f"{namespace}-guarded"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": guarded},
        "webhooks": [
            {
                "name": "away.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": guarded}},
                "rules": [rule],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    await asyncio.to_thread(kubectl, "create", "namespace", guarded)
    await asyncio.to_thread(kubectl, "create", "--filename", "-", input=json.dumps(webhook))
    recorder = make_recorder(api, drops)
    try:
        async with asyncio.timeout(60):
            while await is_taken(api, guarded):  # the webhook is not active in the API server yet
                await asyncio.sleep(0.2)
            async with running(recorder):
                for key in range(5 * IN_FLIGHT):
                    recorder.record(Subject(guarded, "job", "uid"), "Normal", "Created", "refused", str(key))
                recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", "fine", "k")
                while not await events_in(api, namespace):
                    await asyncio.sleep(0.2)
                await recorder.flush(60)
        assert drops.count == 5 * IN_FLIGHT, "the recorder drops the event after some attempts"
    finally:
        await asyncio.to_thread(kubectl, "delete", "validatingwebhookconfiguration", guarded)
        await asyncio.to_thread(kubectl, "delete", "namespace", guarded, "--wait=false")


async def test_a_role_without_events_is_logged_once(
    control_plane: Cluster, namespace: str, drops: Drops, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(control_plane.kubectl, "create", "serviceaccount", "nobody", "--namespace", namespace)
    config = await asyncio.to_thread(control_plane.kubeconfig_of_service_account, namespace, "nobody", tmp_path)
    api = ApiServer(Login({"KUBECONFIG": str(config)}))
    recorder = make_recorder(api, drops)
    async with running(recorder):
        for key in "ab":
            recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", "denied", key)
        await recorder.flush(30)
    await api.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "right to create events.events.k8s.io" in caplog.text


async def test_while_the_api_server_is_unavailable_the_oldest_events_are_dropped(
    control_plane: Cluster, namespace: str, drops: Drops, tmp_path: Path, api: ApiServer
) -> None:
    async with Relay(control_plane.url) as relay:
        far_api = ApiServer(Login({"KUBECONFIG": str(through(relay, control_plane, tmp_path))}))
        recorder = make_recorder(far_api, drops, capacity=3)
        relay.refuse = True
        async with running(recorder):
            started = time.monotonic()
            for number in range(5):
                recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", f"{number}", f"{number}")
            assert time.monotonic() - started < 1.0
            await asyncio.sleep(0.3)
            relay.refuse = False
            await recorder.flush(30)
        await far_api.close()
    assert sorted(event["message"] for event in await events_in(api, namespace)) == ["2", "3", "4"]
    assert drops.count == 2


@pytest.mark.parametrize(("is_busy", "capacity", "count"), [(False, 100, 5), (True, 100, 2), (True, 7, 4)])
async def test_events_are_posted_in_a_burst_and_then_at_the_given_rate(
    api: ApiServer, namespace: str, drops: Drops, is_busy: bool, capacity: int, count: int
) -> None:
    recorder = make_recorder(api, drops, Clock(), lambda: is_busy, per_second=0.001, burst=5, capacity=capacity)
    async with running(recorder):
        for number in range(7):
            recorder.record(Subject(namespace, "job", "uid"), "Normal", "Created", f"{number}", f"{number}")
        async with asyncio.timeout(30):
            while len(await events_in(api, namespace)) < count:
                await asyncio.sleep(0.1)
        await recorder.flush(1)  # no more Events
    assert sorted(event["message"] for event in await events_in(api, namespace)) == [str(n) for n in range(count)]
