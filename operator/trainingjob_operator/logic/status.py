"""`.status` as it should be: the whole of it from one report, and the patch that gets it there.

The only road to `.status`. Not here: conditions (conditions.py), the translation of SageMaker's answers
(observation.py), and the writing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.conditions import DELETING, READY, build_conditions, recorded_vanishing
from trainingjob_operator.logic.observation import UNSEEN, Observation

if TYPE_CHECKING:
    from datetime import datetime

    from trainingjob_operator.logic.report import Report

LOG_GROUP = "/aws/sagemaker/TrainingJobs"

CONSOLE_DOMAINS: Mapping[str, str] = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""By partition; the isolated ones have no console that is publicly known."""


def build_status(previous: Mapping[str, Any], report: Report, now: datetime) -> dict[str, Any]:
    """The whole wanted status; `previous` is the one in the object, by whomever and however written.

    What the report says nothing about keeps its last value, except for ACK's account and region of a job that
    never was: they would pin both.
    """
    if report.disowned:
        previous = {name: previous[name] for name in ("conditions", "lastHandledReconcileAt") if name in previous}
    known = Observation() if report.overrules else Observation.from_status(previous)
    vanished = report.vanished or recorded_vanishing(previous.get("conditions"))
    if answer := report.observation:
        if (report.is_found or answer.is_newer_than(known)) and answer.is_same_run_as(known):
            vanished = report.vanished  # Describe has answered with it, or it has moved since: so it is there
        known = known.updated_by(answer)
    # What became of a job that is not proved to be this object's says nothing about the object.
    proved = Observation() if report.unproved else known
    metadata = _metadata(previous, report)
    report = replace(report, arn=metadata.get("arn"), vanished=vanished)
    conditions = build_conditions(previous.get("conditions"), report, proved, now)
    status = {
        "ackResourceMetadata": metadata,
        "conditions": conditions,
        "instanceType": _instance_type(previous, report, metadata),
        "observedGeneration": report.generation,
        "ownership": report.ownership,
        "phase": _phase(conditions, report, proved),
        **(UNSEEN if metadata and not (any(known.phase) or known.creation_time) else {}),
        **known.fields,
        **_whereabouts(previous, report, metadata),
        "lastHandledReconcileAt": report.handled_request or _text(previous.get("lastHandledReconcileAt")),
        "appliedFields": _names(previous, "appliedFields", report.applied_fields),
        "appliedTagKeys": _names(previous, "appliedTagKeys", report.applied_tag_keys),
    }
    return {name: value for name, value in status.items() if value is not None and value != {}}


def _metadata(previous: Mapping[str, Any], report: Report) -> dict[str, str]:
    """ackResourceMetadata, which exists only beside an ARN; an ARN fixes where the job is."""
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
        # required by the schema, ACK's and ours
        "ownerAccountID": report.account or _text(recorded.get("ownerAccountID")) or "",
        "partition": report.partition or _text(recorded.get("partition")) or "",
        "region": report.region or _text(recorded.get("region")) or "",
    }


def _phase(conditions: Sequence[Mapping[str, str]], report: Report, observation: Observation) -> str:
    """Where the object stands in one word; the CRD reads it, too (codegen/immutability.py)."""
    if observation.is_ended():
        return observation.status
    if report.deleting:
        return DELETING
    cause = next(condition["reason"] for condition in conditions if condition["type"] == READY)
    return cause if report.vanished else observation.status or cause


def _instance_type(previous: Mapping[str, Any], report: Report, metadata: Mapping[str, str]) -> str | None:
    """What SageMaker says, else what is recorded of the job, else what spec asks for."""
    observed = report.observation.instance_type if report.observation else None
    recorded = _text(previous.get("instanceType")) if metadata else None
    return observed or recorded or report.instance_type


def _whereabouts(previous: Mapping[str, Any], report: Report, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Where people find the job and its logs; nothing before there is a job."""
    name = report.job_name or _recorded_name(previous)
    if not metadata or not name:
        return {}
    logs = {"group": LOG_GROUP, "streamPrefix": f"{name}/"}
    region, domain = metadata["region"], CONSOLE_DOMAINS.get(metadata["partition"])
    if not domain:
        return {"logs": logs}
    console = f"https://{region}.{domain}"
    group = LOG_GROUP.replace("/", "$252F")  # the console's own escape: percent-encoded twice, with $ for %
    return {
        "consoleURL": f"{console}/sagemaker/home?region={region}#/jobs/{name}",
        "logs": {
            **logs,
            "url": f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
            f"$3FlogStreamNameFilter$3D{name}$252F",
        },
    }


def _recorded_name(previous: Mapping[str, Any]) -> str | None:
    """The job's name as the user spells it, which no other field keeps."""
    logs = previous.get("logs")
    prefix = _text(logs.get("streamPrefix")) if isinstance(logs, Mapping) else None
    return prefix.removesuffix("/") if prefix else None


def _names(previous: Mapping[str, Any], field: str, told: Collection[str] | None) -> list[str] | None:
    """A list of names, as told or else as recorded; None when it would be empty."""
    if told is not None:
        return sorted(told) or None
    recorded = previous.get(field)
    return [name for name in recorded if isinstance(name, str)] or None if isinstance(recorded, list) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def difference(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON merge patch (RFC 7386) from one to the other; None when nothing differs."""
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
    """What the API server dropped of a status that was sent, because the CRD in the cluster lacks it.

    `stored` is the status in the answer to that very write. Paths such as `logs` or `conditions[].reason`.
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
    """The wanted status without those paths: sent again, they would be dropped again, for ever."""
    return {
        name: _cut(value, {path.removeprefix(name) for path in pruned if path.startswith((f"{name}.", f"{name}["))})
        for name, value in wanted.items()
        if name not in pruned
    }


def _cut(value: Any, below: Collection[str]) -> Any:
    """`below`: paths that start after the value, with `.name` or `[]`."""
    if not below:
        return value
    if isinstance(value, Mapping):
        return without(value, {path[1:] for path in below if path.startswith(".")})
    if isinstance(value, list):
        inner = {path[2:] for path in below if path.startswith("[]")}
        return [_cut(item, inner) for item in value]
    return value
