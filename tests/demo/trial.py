"""The samples on the way to their ends: what the cluster shows of each, and the deletion of those to be deleted."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.demo.samples import Sample, is_finished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.plane import Cluster
    from tests.demo.stage import Stage

Body = dict[str, Any]


@dataclass
class Trial:
    """One sample on its way."""

    sample: Sample
    began: float
    seconds: float | None = None
    """Until its end; None before it."""
    ended_as: str = ""
    difference: str | None = None
    is_deleted: bool = False
    body: Body | None = None
    """The object as it was last seen."""
    seen: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When that was."""
    shown: str = field(default="", init=False)

    @property
    def has_succeeded(self) -> bool:
        return self.seconds is not None and self.difference is None

    @property
    def verdict(self) -> str:
        return self.difference or ("as expected" if self.has_succeeded else "not within the time")


def advance(trial: Trial, body: Body | None, stage: Stage) -> str | None:
    """Note the state of the sample, and delete it in its time; return the news in one line, if there is any."""
    sample, status = trial.sample, (body or {}).get("status", {})
    if trial.seconds is not None:
        return None
    if body is not None:
        trial.body, trial.seen = body, datetime.now(UTC)
    if body is None and trial.is_deleted:
        job = stage.sagemaker.job(sample.job_name) or {}
        end(trial, job.get("description", {}).get("TrainingJobStatus", "gone"))
    elif is_finished(status) and not sample.deleted_in:
        end(trial, status.get("trainingJobStatus", ""), sample.find_difference(status))
    elif sample.deleted_in is not None and status.get("secondaryStatus") == sample.deleted_in and not trial.is_deleted:
        stage.cluster.kubectl("delete", "trainingjob", sample.name, "--wait=false")
        trial.is_deleted = True
        return f"{sample.name}  {sample.deleted_in}: kubectl delete trainingjob {sample.name}"
    shown = describe(body)
    if shown == trial.shown:
        return None
    trial.shown = shown
    return f"{sample.name}  {shown}"


def end(trial: Trial, ended_as: str, difference: str | None = None) -> None:
    """Note how it ended."""
    trial.seconds = time.monotonic() - trial.began
    trial.ended_as = ended_as
    trial.difference = difference
    if difference is None and ended_as != trial.sample.ends_as:
        trial.difference = f"the job is {ended_as} and not {trial.sample.ends_as}"


def describe(body: Body | None) -> str:
    """Status and conditions in one line."""
    if body is None:
        return "the object is gone"
    status = body.get("status", {})
    conditions = status.get("conditions", [])
    states = [status.get("trainingJobStatus"), status.get("secondaryStatus")]
    ready: Mapping[str, str] = next((each for each in conditions if each["type"] == "Ready"), {})
    return "  ".join(
        [
            "/".join(filter(None, states)) or "-",
            " ".join(f"{each['type']}={each['status']}" for each in conditions),
            f"({ready.get('reason', 'no status yet')}: {ready.get('message', '')})",
        ]
    )


def read_bodies(cluster: Cluster) -> dict[str, Body]:
    """The objects by name."""
    items = json.loads(cluster.kubectl("get", "trainingjobs", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}
