"""Samples of deploy/ in different states with log lines, for docs/plugin.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from tests.demo.logs import write_logs
from tests.demo.samples import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.controlplane.fixtures import Kubectl
    from tests.sagemaker.stand_in import Control

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


def _stretch(phases: str, pace: float) -> str:
    parts = (part.partition(":") for part in phases.split(","))
    return ",".join(f"{name}:{float(seconds) * pace:.2f}" if seconds else name for name, _, seconds in parts)


def _list(bodies: Sequence[Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": bodies}
