"""Objects of ACK's controller 1.9.1 in every phase (tests/data/ack-objects), and their jobs in a stand-in.

The state before a takeover; nothing here comes from this operator.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.sagemaker.program import Options
from trainingjob_operator.logic.objects.annotations import ADOPTION_FIELDS
from trainingjob_operator.logic.objects.fields import to_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.objects import Body
    from tests.sagemaker.stand_in import StandIn

FOLDER = Path(__file__).parents[1] / "data/ack-objects"
ACCOUNT, REGION = "000000000000", "us-west-2"
STAND_IN = Options(region=REGION, account=ACCOUNT)
"""Options of a stand-in with the account and region of the recorded jobs."""
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": f"AKIA{ACCOUNT}"}

PATIENCE = 180.0
"""Seconds for a write of many objects on a busy machine."""

MANAGER = "controller"
"""The field manager of ACK's controllers."""

PHASES = {
    "adopted": "Training",
    "completed": "Completed",
    "deleting": "Stopping",
    "failed": "Failed",
    "illegal-edit": "Training",
    "max-runtime-exceeded": "MaxRuntimeExceeded",
    "name-clash": "Training",
    "other-region": "Training",
    "read-only": "Training",
    "refused": None,
    "retain": "Training",
    "rules-running": "Completed",
    "running": "Training",
    "stopped-in-console": "Stopped",
    "warm-pool": "Completed",
}
"""The secondary status of each object's job; None: no job."""

NOT_BY_ACK = frozenset({"adopted", "name-clash", "read-only"})
"""Jobs created by other clients."""

LIVE = tuple(name for name, phase in PHASES.items() if phase in ("Training", "Stopping"))


def read_object(name: str, renamed: str | None = None) -> Body:
    """The object, with its job, optionally under another name."""
    body: Body = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    if renamed is not None:
        body["metadata"]["name"] = body["spec"]["trainingJobName"] = renamed
        metadata = body["status"]["ackResourceMetadata"]
        if "arn" in metadata:
            metadata["arn"] = metadata["arn"].replace(f"/{name}", f"/{renamed}")
        if fields := body["metadata"].get("annotations", {}).get(ADOPTION_FIELDS):
            body["metadata"]["annotations"][ADOPTION_FIELDS] = fields.replace(f'"{name}"', f'"{renamed}"')
    return body


def make_job(name: str, sagemaker: StandIn, namespace: str, renamed: str | None = None) -> None:
    """The job of a recorded object in its recorded state, optionally under another name."""
    body, phase = read_object(name, renamed), PHASES[name]
    if phase is None:
        return
    request = to_request(body["spec"])
    job = request.pop("TrainingJobName")
    if name == "illegal-edit":  # created before the edit
        request["HyperParameters"]["num_round"] = "10"
    if name in NOT_BY_ACK:
        request.pop("Tags", None)
    else:
        request["Tags"] = [
            *request.get("Tags", ()),
            {"Key": "services.k8s.aws/controller-version", "Value": "sagemaker-1.9.1"},
            {"Key": "services.k8s.aws/namespace", "Value": namespace},
        ]
    region = body["status"]["ackResourceMetadata"]["region"]
    sagemaker.plan(job, rule_seconds=86400)
    sagemaker.create_job(job, account=ACCOUNT, region=region, **request)
    if phase == "Failed":
        sagemaker.fail_job(job, body["status"]["failureReason"].partition(": ")[2])
    else:
        sagemaker.enter(job, phase)


def put_objects(copies: Mapping[str, str], sagemaker: StandIn, kubectl: Any) -> None:
    """Create the objects as ACK wrote them, in the namespace of `kubectl`; their times are those of the jobs.

    :param copies: names, each with the recorded object to copy
    """
    recorded = {name: read_object(like, name) for name, like in copies.items()}
    bare = [_bare(body) for body in recorded.values()]
    kubectl("create", f"--field-manager={MANAGER}", "-f", "-", input=_list(bare), timeout=PATIENCE)
    stored = json.loads(kubectl("get", "trainingjobs", *recorded, "-o", "json"))
    stored = stored.get("items", [stored])
    for body in stored:
        name = body["metadata"]["name"]
        body["status"] = recorded[name]["status"]
        job = sagemaker.job(name)
        if job is not None:
            description = job["description"]
            body["status"]["creationTime"] = _second(description["CreationTime"])
            body["status"]["lastModifiedTime"] = _second(description["LastModifiedTime"])
    status = ("replace", "--subresource=status", f"--field-manager={MANAGER}")
    kubectl(*status, "-f", "-", input=_list(stored), timeout=PATIENCE)
    if deleting := [name for name, body in recorded.items() if "deletionTimestamp" in body["metadata"]]:
        kubectl("delete", "trainingjob", *deleting, "--wait=false")


def _bare(body: Body) -> Body:
    """The body that a user and ACK together send to the API server."""
    kept = {name: body["metadata"][name] for name in ("annotations", "finalizers", "name") if name in body["metadata"]}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": kept, "spec": body["spec"]}


def _list(bodies: list[Body]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})


def _second(epoch: float) -> str:
    """A time in ACK's format."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
