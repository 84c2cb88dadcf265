"""The plan of a job's life, and the moments computed from it.

Pure: seconds in, moments out. job.py computes the answers at a moment.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDED = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})
FOREVER = math.inf

# the phases of a default life, as shares of its seconds
SHARES = {"Starting": 0.02, "Pending": 0.18, "Downloading": 0.15, "Training": 0.5, "Uploading": 0.15}
DETOUR = 0.1  # Interrupted and Restarting, on the same scale

PRIMARY = {
    "Completed": "Completed",
    "Failed": "Failed",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
    "Deleting": "Deleting",
}

MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Preparing the instances for training",
    "Downloading": "Downloading the training image",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Spot capacity was reclaimed. Waiting for capacity to resume training",
    "Restarting": "Restarting the training job",
    "Updating": "Updating the profiler configuration",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
    "Deleting": "Deleting the training job",
}

# initial message; the message changes within the status, and LastModifiedTime with it
EARLY_MESSAGES = {"Pending": "Training job waiting for capacity", "Downloading": "Downloading input data"}
EARLY = 0.25  # share of the status' time


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a job. Each member comes from the control API, else from the job's own input, else from the default.

    A job sets it by hyperparameters `standin/<field, with dashes>` or environment `STANDIN_<FIELD>`. All seconds are
    multiplied by the service's scale.
    """

    outcome: str = "Completed"  # the final secondary status, or Running: the job trains until it is stopped
    seconds: float | None = None  # creation to end; None: drawn from the service's range
    phases: str = ""  # "Starting:1,Training:5,Completed" or with "Primary/Secondary:1": instead of outcome
    interruptions: int = 0  # spot: Interrupted, then Starting, Downloading, Training once more
    restarts: int = 0  # Restarting, then Downloading, Training once more
    failure_reason: str = "AlgorithmError: ExecuteUserScriptError: exit code 1"
    stop_seconds: float | None = None  # from Stop to Stopped; None: the service's default; "inf" stays in Stopping
    delete_seconds: float = 0.0  # duration of the status Deleting
    rule_seconds: float = 0.0  # time of debug and profiler rules after the end of the job
    rule_outcome: str = "NoIssuesFound"
    pool_delay: float = 0.0  # seconds from the end to the first answer with a warm pool
    billable: float | None = None  # billed share of the training time; None: 1, spot 0.3
    billable_delay: float = 0.0  # seconds from the end to the first answer with billable seconds
    last_write: float | None = None  # seconds from the end to the last LastModifiedTime; None: 0.3, spot and rules 10


_KINDS = {field.name: str(field.type) for field in dataclasses.fields(Plan)}


def read_plan(values: Mapping[str, Any], base: Plan) -> Plan:
    """The base with the values (by field name, as text or number) on top; raises ValueError or KeyError."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        kind = _KINDS[name]
        changes[name] = str(value) if kind == "str" else int(value) if kind == "int" else float(value)
    return dataclasses.replace(base, **changes)


def plan_of(request: Mapping[str, Any], base: Plan) -> Plan:
    """The plan in the input of a CreateTrainingJob request."""
    chosen: dict[str, Any] = {}
    for key, value in request.get("Environment", {}).items():
        if key.startswith("STANDIN_"):
            chosen[key.removeprefix("STANDIN_").lower()] = value
    for key, value in request.get("HyperParameters", {}).items():
        if key.startswith("standin/"):
            chosen[key.removeprefix("standin/").replace("-", "_")] = value
    return read_plan(chosen, base) if chosen else base


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """Status of the job from `start` (epoch seconds) until the next moment."""

    start: float
    primary: str
    secondary: str
    message: str

    def message_at(self, now: float, until: float) -> str:
        """The message at a time, for a moment until `until`."""
        return self.message if now >= self.late(until) else EARLY_MESSAGES[self.secondary]

    def late(self, until: float) -> float:
        """Time of the change of message, for a moment until `until`; the start if the message does not change."""
        if self.secondary not in EARLY_MESSAGES or until <= self.start:
            return self.start
        return round(self.start + EARLY * (until - self.start), 3)


def moment(start: float, status: str, message: str = "") -> Moment:
    """A moment of a status given as `Secondary` or `Primary/Secondary`."""
    primary, _, secondary = status.rpartition("/")
    return Moment(
        round(start, 3),
        primary or PRIMARY.get(secondary, "InProgress"),
        secondary,
        message or MESSAGES.get(secondary, ""),
    )


def _phases(plan: Plan) -> list[tuple[str, float]]:
    """Statuses with shares; the last one ends the job, or lasts."""
    if plan.phases:
        parts = (part.strip().partition(":") for part in plan.phases.split(","))
        return [(status, float(seconds or 0)) for status, _, seconds in parts]
    again = [("Downloading", SHARES["Downloading"]), ("Training", SHARES["Training"])]
    phases = [(status, SHARES[status]) for status in ("Starting", "Pending", "Downloading", "Training")]
    for _ in range(plan.interruptions):
        phases += [("Interrupted", DETOUR), ("Starting", SHARES["Starting"]), *again]
    for _ in range(plan.restarts):
        phases += [("Restarting", DETOUR), *again]
    if plan.outcome == "Running":
        return phases
    if plan.outcome == "Completed":
        phases.append(("Uploading", SHARES["Uploading"]))
    elif PRIMARY.get(plan.outcome) == "Stopped":
        phases += [("Stopping", DETOUR), ("Stopping/Uploading", DETOUR)]
    return [*phases, (plan.outcome, 0.0)]


def life(plan: Plan, created: float, seconds: float, scale: float) -> list[Moment]:
    """All moments of an undisturbed life. `seconds`: creation to end, unless the plan lists its phases."""
    phases = _phases(plan)
    whole = sum(share for _, share in phases)
    factor = scale if plan.phases or not whole else scale * seconds / whole
    moments, start = [], created
    for status, share in phases:
        moments.append(moment(start, status))
        start += share * factor
        if math.isinf(start):
            break
    return moments
