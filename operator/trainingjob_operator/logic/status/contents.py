"""Desired `.status`, built completely from one report, and the patch to reach it.

The only source of `.status`. Not here: conditions (conditions.py), the conversion of SageMaker's answers
(observation.py), and the write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.jobs.observation import UNSEEN, Observation
from trainingjob_operator.logic.status.conditions import READY, build_conditions, outcome_of, recorded_vanishing

if TYPE_CHECKING:
    from datetime import datetime

    from trainingjob_operator.logic.status.report import Report

LOG_GROUP = "/aws/sagemaker/TrainingJobs"

CONSOLE_DOMAINS: Mapping[str, str] = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""By partition; the isolated partitions have no public console."""


def build_status(previous: Mapping[str, Any], report: Report, now: datetime) -> dict[str, Any]:
    """Return the complete desired status; `previous` is the one in the object, from any writer and in any shape.

    Fields missing from the report keep their last value, except for ACK's account and region without a job: they would
    pin both.
    """
    if report.disowned:
        previous = {name: previous[name] for name in ("conditions", "lastHandledReconcileAt") if name in previous}
    known = Observation() if report.overrules else Observation.from_status(previous)
    vanished = report.vanished or recorded_vanishing(previous.get("conditions"))
    if answer := report.observation:
        if (report.is_found or answer.is_newer_than(known)) and answer.is_same_run_as(known):
            vanished = report.vanished  # a Describe answer or a later state proves its existence
        known = known.updated_by(answer)
    # The fate of an unproven job is no statement about the object.
    proved = Observation() if report.unproved else known
    metadata = _metadata(previous, report)
    report = replace(report, arn=metadata.get("arn"), vanished=vanished)
    conditions = build_conditions(previous.get("conditions"), report, proved, now)
    is_open = bool(metadata) or (report.retrying is not None and report.terminal is None)
    status = {
        "ackResourceMetadata": metadata,
        "attempts": [attempt.to_status() for attempt in report.attempts] or None,
        "clashingJobARN": report.terminal.job_arn if report.terminal else None,
        "conditions": conditions,
        "instanceType": _instance_type(previous, report, metadata),
        "observedGeneration": report.generation,
        "outcome": outcome_of(report, proved),
        "ownership": report.ownership,
        "phase": _phase(conditions, report, proved),
        **known.fields,
        **(UNSEEN if is_open and not (any(known.phase) or known.creation_time) else {}),
        **_whereabouts(previous, report, metadata),
        "lastHandledReconcileAt": report.handled_request or _text(previous.get("lastHandledReconcileAt")),
        "appliedFields": _names(previous, "appliedFields", report.applied_fields),
        "appliedTagKeys": _names(previous, "appliedTagKeys", report.applied_tag_keys),
    }
    return {name: value for name, value in status.items() if value is not None and value != {}}


def _metadata(previous: Mapping[str, Any], report: Report) -> dict[str, str]:
    """Return ackResourceMetadata, which requires an ARN; the ARN fixes the job's location."""
    recorded = previous.get("ackResourceMetadata")
    if not isinstance(recorded, Mapping):
        recorded = {}
    arn = report.arn or _text(recorded.get("arn"))
    if not arn:
        return {}
    parts = arn.split(":")
    if len(parts) == 6 and all(parts[1:5]):
        _, partition, _, region, account, _ = parts
        return {"arn": arn, "ownerAccountID": account, "partition": partition, "region": region}
    return {
        "arn": arn,
        # required by both CRDs, ACK's and this project's
        "ownerAccountID": report.account or _text(recorded.get("ownerAccountID")) or "",
        "partition": report.partition or _text(recorded.get("partition")) or "",
        "region": report.region or _text(recorded.get("region")) or "",
    }


def _phase(conditions: Sequence[Mapping[str, str]], report: Report, observation: Observation) -> str:
    """Return the phase of the object as one word; the CRD reads it, too (codegen/immutability.py)."""
    if observation.is_ended():
        return observation.status
    if report.deleting:
        return reasons.DELETING
    cause = next(condition["reason"] for condition in conditions if condition["type"] == READY)
    return cause if report.vanished else observation.status or cause


def _instance_type(previous: Mapping[str, Any], report: Report, metadata: Mapping[str, str]) -> str | None:
    """Return the observed type, otherwise the recorded one, otherwise the requested one."""
    observed = report.observation.instance_type if report.observation else None
    recorded = _text(previous.get("instanceType")) if metadata else None
    return observed or recorded or report.instance_type


def _whereabouts(previous: Mapping[str, Any], report: Report, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the job's name in the user's spelling, and links to the job and its logs; empty without a job."""
    name = report.job_name or _text(previous.get("trainingJobName"))
    if not metadata or not name:
        return {}
    logs = {"group": LOG_GROUP, "streamPrefix": f"{name}/"}
    region, domain = metadata["region"], CONSOLE_DOMAINS.get(metadata["partition"])
    if not domain:
        return {"trainingJobName": name, "logs": logs}
    console = f"https://{region}.{domain}"
    group = LOG_GROUP.replace("/", "$252F")  # the console's own escape: percent-encoded twice, with $ for %
    return {
        "trainingJobName": name,
        "consoleURL": f"{console}/sagemaker/home?region={region}#/jobs/{name}",
        "logs": {
            **logs,
            "url": f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
            f"$3FlogStreamNameFilter$3D{name}$252F",
        },
    }


def _names(previous: Mapping[str, Any], field: str, applied: Collection[str] | None) -> list[str] | None:
    """Return the list from the report, otherwise the recorded one; None instead of an empty list."""
    if applied is not None:
        return sorted(applied) or None
    recorded = previous.get(field)
    return [name for name in recorded if isinstance(name, str)] or None if isinstance(recorded, list) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def difference(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON merge patch (RFC 7386) between the two; None without a difference."""
    patch: dict[str, Any] = {name: None for name in current if name not in wanted}
    for name, value in wanted.items():
        present = current.get(name)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            if (nested := difference(present, value)) is not None:
                patch[name] = nested
        elif name not in current or present != value:
            patch[name] = value
    return patch or None


def pruned_paths(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> frozenset[str]:
    """Return the paths that the API server pruned from a sent status, because the installed CRD lacks them.

    `stored` is the status in the answer to that write. Paths look like `logs` or `conditions[].reason`.
    """
    return frozenset() if sent == stored else frozenset(_missing(sent, stored, ""))


def _missing(sent: object, stored: object, path: str) -> Iterator[str]:
    if isinstance(sent, Mapping) and isinstance(stored, Mapping):
        for name, value in sent.items():
            below = f"{path}.{name}" if path else name
            if name in stored:
                yield from _missing(value, stored[name], below)
            else:
                yield below
    elif isinstance(sent, list) and isinstance(stored, list):
        for item, kept in zip(sent, stored, strict=False):
            yield from _missing(item, kept, f"{path}[]")


def without(wanted: Mapping[str, Any], pruned: Collection[str]) -> dict[str, Any]:
    """Return the desired status without those paths: they would be sent and pruned endlessly."""
    return {
        name: _cut(value, {path.removeprefix(name) for path in pruned if path.startswith((f"{name}.", f"{name}["))})
        for name, value in wanted.items()
        if name not in pruned
    }


def _cut(value: Any, below: Collection[str]) -> Any:
    """`below`: paths relative to the value, with `.name` or `[]`."""
    if not below:
        return value
    if isinstance(value, Mapping):
        return without(value, {path[1:] for path in below if path.startswith(".")})
    if isinstance(value, list):
        inner = {path[2:] for path in below if path.startswith("[]")}
        return [_cut(item, inner) for item in value]
    return value
