"""Push: with an event queue the status follows within a second; without it, or besides it, the sweep updates it."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import subprocess
import threading
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from tests.controlplane.plane import KUBECTL
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn

SWEEP_SECONDS = 30
PHASES = "Starting:2,Pending:2,Downloading:2,Training:2.5,Uploading:2,Completed"
LATENCY = 2.0
"""Seconds from a change to its status, 0.1 of them from the event to the queue."""


@contextlib.contextmanager
def stamped(cluster: Cluster, namespace: str, name: str) -> Iterator[dict[str, float]]:
    """Epoch seconds of the first appearance of each secondary status in a watch."""
    shown: dict[str, float] = {}
    path = 'jsonpath={.status.secondaryStatus}{"\\n"}'
    command = [KUBECTL, "--namespace", namespace, "get", "trainingjob", name, "--watch", "--output", path]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None

        def read(lines: Iterator[str]) -> None:
            for line in lines:
                shown.setdefault(line.strip(), time.time())

        reader = threading.Thread(target=read, args=(watch.stdout,))
        reader.start()
        try:
            yield shown
        finally:
            watch.terminate()
            reader.join(10)


def interval(operator: OperatorProcess) -> float | None:
    """Interval of the sweep in seconds; None before the first sweep."""
    return next(iter(operator.metric("trainingjob_sweep_interval_seconds").values()), None)


def errors(operator: OperatorProcess) -> dict[str, float]:
    return operator.metric("trainingjob_event_queue_errors_total")


def queue_messages(operator: OperatorProcess) -> list[str]:
    return [line["msg"].partition(";")[0] for line in operator.lines() if line["msg"].startswith("Event queue")]


def test_each_transition_reaches_the_status_long_before_a_sweep(
    jobs: Jobs, new_operator: NewOperator, sagemaker: StandIn, control_plane: Cluster, namespace: str
) -> None:
    queue = sagemaker.create_queue()
    sagemaker.send_events(queue, twice=0.5)
    sagemaker.plan(phases=PHASES)
    operator = new_operator(f"--event-queue-url={queue}", f"--sweep-seconds={SWEEP_SECONDS}")
    operator.start()
    sagemaker.create_job("foreign")
    jobs.apply(training_job("pushed"))
    with stamped(control_plane, namespace, "pushed") as shown:
        body = jobs.wait_status("pushed", "Completed", SWEEP_SECONDS)
        await_true("the watch has shown it", lambda: "Completed" in shown)
    transitions = body["status"]["secondaryStatusTransitions"]
    began = {each["status"]: datetime.fromisoformat(each["startTime"]).timestamp() for each in transitions}
    assert list(began) == [part.partition(":")[0] for part in PHASES.split(",")]
    late = {status: shown[status] - moment for status, moment in began.items() if status in shown}
    assert len(late) >= len(began) - 1, "the watch may have begun after the first"
    assert statistics.median(late.values()) <= LATENCY, late
    assert max(late.values()) < SWEEP_SECONDS / 5, late
    assert len(sagemaker.calls("DescribeTrainingJob", job="pushed")) <= len(began) + 2
    outcomes = operator.metric("trainingjob_event_queue_messages_total")
    assert outcomes['{outcome="foreign"}'] >= 1
    assert outcomes['{outcome="news"}'] >= 3
    asked = partial(sagemaker.client("sqs").get_queue_attributes, QueueUrl=queue, AttributeNames=["All"])
    await_true(
        "all received messages are deleted",
        lambda: asked()["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0",
    )


def test_the_sweep_returns_to_its_interval_while_the_queue_is_missing(
    jobs: Jobs, new_operator: NewOperator, sagemaker: StandIn
) -> None:
    queue = sagemaker.create_queue()
    sagemaker.send_events(queue)
    sagemaker.plan(phases="Starting:1,Pending:1,Downloading:1,Training:inf")
    operator = new_operator(f"--event-queue-url={queue}", "--sweep-seconds=3")
    operator.start()
    jobs.apply(training_job("job"))
    await_true("the sweep slows down", lambda: interval(operator) == 60)
    sagemaker.pause_events()
    sagemaker.client("sqs").delete_queue(QueueUrl=queue)
    await_true("the sweep returns to its interval", lambda: interval(operator) == 3)
    sagemaker.enter("job", "Interrupted")
    jobs.wait("job", "swept", lambda body: body["status"]["secondaryStatus"] == "Interrupted")
    await_true("several tries", lambda: sum(errors(operator).values()) >= 2)
    assert queue_messages(operator) == ["Event queue unavailable"]
    sagemaker.send_events(sagemaker.create_queue())
    await_true("the queue is read", lambda: len(queue_messages(operator)) > 1, 60.0)
    statuses = itertools.cycle(("Restarting", "Interrupted"))

    def is_pushed() -> bool:
        """True after an event arrived before a sweep."""
        sagemaker.enter("job", next(statuses))
        return interval(operator) == 60

    await_true("the sweep slows down again", is_pushed, 60.0, pause=1.0)
    assert queue_messages(operator)[1:] == ["Event queue available again"]
    assert operator.ask("healthz")[0] == 200
