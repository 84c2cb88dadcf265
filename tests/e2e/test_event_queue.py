"""Push: with an event queue the status follows within a second; without it, or beside it, the sweep does."""

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
"""Seconds from a change to its status, 0.1 of them the event's own way to the queue."""


@contextlib.contextmanager
def stamped(cluster: Cluster, namespace: str, name: str) -> Iterator[dict[str, float]]:
    """When a watch showed each secondary status first, in epoch seconds."""
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
    """Seconds from one sweep to the next, while there is one."""
    return next(iter(operator.metric("trainingjob_sweep_interval_seconds").values()), None)


def errors(operator: OperatorProcess) -> dict[str, float]:
    return operator.metric("trainingjob_event_queue_errors_total")


def told_of_the_queue(operator: OperatorProcess) -> list[str]:
    return [line["msg"].partition(";")[0] for line in operator.lines() if line["msg"].startswith("Event queue")]


def test_each_transition_is_in_status_long_before_a_sweep(
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
        "all that was received is deleted",
        lambda: asked()["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0",
    )


def test_without_its_queue_the_sweep_is_back_at_its_pace_until_the_queue_is_there_again(
    jobs: Jobs, new_operator: NewOperator, sagemaker: StandIn
) -> None:
    queue = sagemaker.create_queue()
    sagemaker.send_events(queue)
    sagemaker.plan(phases="Starting:1,Pending:1,Downloading:1,Training:inf")
    operator = new_operator(f"--event-queue-url={queue}", "--sweep-seconds=3")
    operator.start()
    jobs.apply(training_job("job"))
    await_true("the sweep takes its time", lambda: interval(operator) == 60)
    sagemaker.pause_events()
    sagemaker.client("sqs").delete_queue(QueueUrl=queue)
    await_true("the sweep is back at its pace", lambda: interval(operator) == 3)
    sagemaker.enter("job", "Interrupted")
    jobs.wait("job", "swept", lambda body: body["status"]["secondaryStatus"] == "Interrupted")
    await_true("several tries", lambda: sum(errors(operator).values()) >= 2)
    assert told_of_the_queue(operator) == ["Event queue unavailable"]
    sagemaker.send_events(sagemaker.create_queue())
    await_true("the queue is read", lambda: len(told_of_the_queue(operator)) > 1, 60.0)
    statuses = itertools.cycle(("Restarting", "Interrupted"))

    def is_told_first() -> bool:
        """By an event, before a sweep has found it."""
        sagemaker.enter("job", next(statuses))
        return interval(operator) == 60

    await_true("the sweep takes its time again", is_told_first, 60.0, pause=1.0)
    assert told_of_the_queue(operator)[1:] == ["Event queue available again"]
    assert operator.ask("healthz")[0] == 200
