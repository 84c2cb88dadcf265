"""Samples of deploy/ in different states with log lines, for docs/plugin.md."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import yaml

from tests.demo.samples import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.controlplane.fixtures import Kubectl
    from tests.sagemaker.stand_in import Control

GROUP = "/aws/sagemaker/TrainingJobs"

LIVES = {
    "churn-completed": "Starting:2,Pending:5,Downloading:4,Training:20,Uploading:2,Completed",
    "vision-spot": "Starting:2,Pending:6,Downloading:5,Training:12,Interrupted:7,Starting:2,Downloading:4,Training:14,"
    "Uploading:3,Completed",
    "reviews-failed": "Starting:2,Pending:4,Downloading:6,Training:9,Failed",
    "forecast-deleted": "Starting:2,Pending:6,Downloading:3,Training:36000,Completed",
    "vision-again": "Starting:2,Training:36000,Completed",
    "*-r2": "Starting:1,Completed",
}
"""Phases by name of the job, with seconds."""


class Log:
    """CloudWatch Logs of a job."""

    def __init__(self, sagemaker: Control, job: str) -> None:
        self._client, self._job = sagemaker.client("logs"), job
        if not self._client.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            self._client.create_log_group(logGroupName=GROUP)

    def write(self, instance: str, *lines: str, at: float, step: float = 1.0) -> None:
        """Write lines of an instance, `step` seconds apart, from this time since the epoch."""
        stream = f"{self._job}/{instance}-1700000000"
        found = self._client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]
        if not found:
            self._client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events = [{"timestamp": int((at + number * step) * 1000), "message": line} for number, line in enumerate(lines)]
        self._client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def prepare(kubectl: Kubectl, sagemaker: Control, pace: float) -> None:
    """Apply the samples with the durations of LIVES times `pace`, write their logs, and wait for their ends."""
    for name, phases in LIVES.items():
        sagemaker.plan(name, phases=_stretch(phases, pace))
    bodies = [yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yaml"))]
    kubectl("apply", "-f", "-", input=json.dumps(_list(bodies)))
    spot = next(body for body in bodies if body["metadata"]["name"] == "vision-spot")
    again = {**spot, "metadata": {"name": "vision-again"}, "spec": {**spot["spec"], "trainingJobName": "vision-again"}}
    kubectl("apply", "-f", "-", input=json.dumps(_list([again])))
    for name in ("churn-2025", "churn-2024-12-31"):
        sagemaker.create_job(name)
        sagemaker.enter(name, "Training")
    write_logs(sagemaker)
    kubectl("label", "trainingjob", "vision-spot", "team=vision")
    ended = [f"trainingjob/{name}" for name in ("churn-completed", "vision-spot", "reviews-failed")]
    kubectl("wait", "--for=condition=Settled", *ended, "--timeout=240s", timeout=250)


def write_logs(sagemaker: Control) -> None:
    """Write log lines of training containers."""
    start = time.time() - 1200
    curve = [0.96 - 0.33 * math.exp(-number / 14) + 0.008 * math.sin(number * 1.7) for number in range(60)]
    rounds = [f"[{number}]\tvalidation-auc:{value:.5f}" for number, value in enumerate(curve)]
    Log(sagemaker, "churn-completed").write("algo-1", *rounds, at=start, step=7)
    forecast = Log(sagemaker, "forecast-deleted")
    for instance in (1, 2):
        lines = [f"epoch {number}: {4000 - 37 * number + instance} samples/s" for number in range(8)]
        forecast.write(f"algo-{instance}", *lines, at=start + instance / 3, step=60)
    Log(sagemaker, "vision-spot").write("algo-1", "resumed from checkpoint 41", "epoch 90 done", at=start)
    Log(sagemaker, "reviews-failed").write("algo-1", "FileNotFoundError: vocab.txt", at=start)


def _stretch(phases: str, pace: float) -> str:
    parts = (part.partition(":") for part in phases.split(","))
    return ",".join(f"{name}:{float(seconds) * pace:.2f}" if seconds else name for name, _, seconds in parts)


def _list(bodies: Sequence[Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": bodies}
