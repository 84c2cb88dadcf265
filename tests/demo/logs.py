"""Log lines of the samples in CloudWatch Logs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sagemaker.stand_in import Control

GROUP = "/aws/sagemaker/TrainingJobs"


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
